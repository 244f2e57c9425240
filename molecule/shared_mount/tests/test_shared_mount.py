# SPDX-License-Identifier: GPL-3.0-or-later
"""A share on two members: whatever becomes of it, no service runs without it and nothing is written below it."""

from __future__ import annotations

import json
import time

from molecule.shared.scenario import Node, Scenario, wait_for

Nodes = dict[str, Node]
SHARE = "/srv/artifacts"
SENTINEL = f"{SHARE}/.clusterkit-share"
MEMBERS = ("n1", "n2")
PROGRAM = "/usr/local/sbin/clusterkit-shared-mount"
GUARD = "clusterkit-shared-mount@srv-artifacts.service"


def runs(node: Node) -> bool:
    """Tell whether the service runs."""
    return node.run("systemctl", "is-active", "--quiet", "app.service").returncode == 0


def start(node: Node) -> bool:
    """Start the service; tell whether systemd did."""
    node.run("systemctl", "reset-failed", "app.service")
    return node.run("systemctl", "start", "app.service", limit=120).returncode == 0


def is_mounted(node: Node) -> bool:
    """Tell whether something is mounted there, without asking it."""
    return f" {SHARE} " in str(node.read("/proc/self/mountinfo"))


def nothing_below(node: Node) -> None:
    """Assert that nothing can be written where the share is missing, not even by root, and nothing was."""
    assert not is_mounted(node)
    done = node.run("touch", f"{SHARE}/below")
    assert done.returncode != 0 and "Operation not permitted" in done.stderr
    assert node.out("ls", "-A", SHARE) == ""


def test_members_share_what_the_service_writes(nodes: Nodes) -> None:
    """The service runs on both as its own user, and each has what the other wrote; the share is its user's."""
    for name in MEMBERS:
        assert start(nodes[name])
    for name in MEMBERS:
        for other in MEMBERS:
            wait_for(lambda name=name, other=other: nodes[name].read(f"{SHARE}/work/{other}"), "the other's", limit=30)
        assert nodes[name].out("stat", "-c", "%U:%G %a", SHARE).strip() == "app:app 750"
        assert json.loads(nodes[name].out(PROGRAM, "status")) == {SHARE: "ok"}
        assert "s1:/share /srv/artifacts glusterfs _netdev 0 0\n" in str(nodes[name].read("/etc/fstab"))
    assert nodes["n1"].out("ls", "-A", SHARE).split() == [".clusterkit-share", "work"]


def test_a_service_does_not_go_on_without_its_share(nodes: Nodes) -> None:
    """Unmounted by hand, lazily: the service is stopped at once. Started again it has its share again."""
    nodes["n1"].out("umount", "--lazy", SHARE)
    wait_for(lambda: not runs(nodes["n1"]), "the service to be stopped", limit=30)
    nothing_below(nodes["n1"])
    assert start(nodes["n1"]) and is_mounted(nodes["n1"])


def test_without_its_server_no_service_starts(nodes: Nodes) -> None:
    """The server of the share is killed: what is unmounted stays so, the service does not start, nothing is written."""
    node = nodes["n1"]
    node.out("systemctl", "stop", "app.service")
    node.out("umount", SHARE)
    nodes["s1"].engine("kill")
    try:
        assert not start(node)
        assert not runs(node)
        nothing_below(node)
        # Nor on the other one, where the share is mounted and does not answer
        nodes["n2"].run("systemctl", "stop", "app.service", limit=120)
        assert not start(nodes["n2"]) and not runs(nodes["n2"])
    finally:
        nodes["s1"].engine("start")
    for name in MEMBERS:
        wait_for(lambda name=name: start(nodes[name]), f"the service on {name}", limit=90)
        assert is_mounted(nodes[name])


def test_a_server_that_hangs_does_not_hang_the_host(nodes: Nodes) -> None:
    """While it is looked whether the share answers, systemd does; the service does not start."""
    node = nodes["n2"]
    node.out("systemctl", "stop", "app.service")
    nodes["s1"].engine("pause")
    try:
        node.out("systemctl", "start", "--no-block", "app.service")
        began = time.monotonic()
        slowest = 0.0
        while time.monotonic() - began < 3:
            asked = time.monotonic()
            node.out("systemctl", "show", "--property=ActiveState", "app.service", limit=20)
            slowest = max(slowest, time.monotonic() - asked)
        assert slowest < 2, f"systemd took {slowest:.1f} s to answer"
        wait_for(
            lambda: node.run("systemctl", "is-failed", GUARD).returncode == 0,
            "the share to be given up",
            limit=60,
        )
        assert not runs(node)
    finally:
        nodes["s1"].engine("unpause")
    wait_for(lambda: start(node), "the service", limit=60)


def test_a_member_that_comes_back_has_its_share_and_its_service(nodes: Nodes) -> None:
    """A member is killed and starts again: the share is mounted, and then the service runs, by themselves."""
    nodes["n2"].engine("kill")
    nodes["n2"].engine("start")
    wait_for(lambda: runs(nodes["n2"]), "the service", limit=90)
    assert is_mounted(nodes["n2"])
    # The other one empties it whenever it writes
    wait_for(lambda: nodes["n2"].read(f"{SHARE}/work/n1"), "what the other one wrote", limit=30)


def test_another_share_is_refused_until_it_is_asked_for(scenario: Scenario, nodes: Nodes) -> None:
    """A share without its sentinel is not the one that was there: no service starts, and no run goes on with it."""
    node = nodes["n1"]
    node.out("systemctl", "stop", "app.service")
    # By the member's own mount: what it sees itself is never out of date
    kept = node.read(SENTINEL)
    node.out("rm", SENTINEL)
    assert not start(node)
    refused = scenario.play()
    assert "shared_mount_new=artifacts" in refused.complaint() and refused.changed == set()
    node.out("runuser", "-u", "app", "--", "sh", "-c", 'echo "{}" > "$1"', "sh", SENTINEL)
    assert not start(node)
    assert "a share that the role did not write" in scenario.play().complaint()
    node.out("rm", SENTINEL)
    scenario.play(variables={"shared_mount_new": "artifacts"}).check()
    assert node.read(SENTINEL) == kept
    assert start(node)


def test_bad_input_is_refused_before_a_change(scenario: Scenario) -> None:
    """Each share that cannot be is named with what would be right, and nothing changed; then what the hosts have."""
    base = {"name": "artifacts", "path": SHARE, "source": "s1:/share", "fstype": "glusterfs", "owner": "app"}
    shares = [
        ({**base, "path": "/srv"}, "a directory of the system itself"),
        ({**base, "name": "soft", "path": "/srv/b", "fstype": "nfs", "options": ["soft"]}, "a slow server damages"),
        ({**base, "name": "secret", "path": "/srv/c", "options": ["password=x"]}, "a password among its options"),
    ]
    refused = scenario.play(variables={"shared_mount_mounts": [share for share, _said in shares]})
    assert refused.changed == set()
    for _share, said in shares:
        assert said in refused.complaint()
    shares = [
        ({**base, "source": "s1:/other"}, "s1:/share is mounted at /srv/artifacts, not s1:/other"),
        ({**base, "name": "b", "path": "/srv/b", "owner": "nobody-known"}, "user 'nobody-known' does not exist"),
        ({**base, "name": "c", "path": "/srv/c", "services": ["missing.service"]}, "there is no unit missing.service"),
        ({**base, "name": "lib", "path": "/usr/local/lib"}, "holds app.py, "),
    ]
    refused = scenario.play(variables={"shared_mount_mounts": [share for share, _said in shares]})
    assert refused.changed == set()
    for _share, said in shares:
        assert said in refused.complaint()
