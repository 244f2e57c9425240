# SPDX-License-Identifier: GPL-3.0-or-later
"""Shares of several kinds on three members: faults, runs limited or killed, what leaves."""

from __future__ import annotations

import json
import time

import pytest

from molecule.shared.scenario import Node, Scenario, kill_with_descendants, wait_for

Nodes = dict[str, Node]
MEMBERS = ("n1", "n2", "n3")
PATHS = ("/srv/data", "/srv/app-s/main", "/mnt/there", "/srv/files")
PROGRAM = "/usr/local/sbin/clusterkit-shared-mount"


def start(node: Node) -> bool:
    """Start the service; tell whether systemd did."""
    node.run("systemctl", "reset-failed", "app.service")
    return node.run("systemctl", "start", "app.service", limit=120).returncode == 0


def test_all_kinds_are_well(nodes: Nodes) -> None:
    """Each member says so of each share, and the service runs on all."""
    for name in MEMBERS:
        assert json.loads(nodes[name].out(PROGRAM, "status")) == dict.fromkeys(PATHS, "ok")
        assert start(nodes[name])


@pytest.mark.parametrize("verb", ["kill", "pause"])
def test_one_of_two_storage_servers_is_missing(nodes: Nodes, verb: str) -> None:
    """Services go on; a member that starts meanwhile has its share from the other server."""
    nodes["s1"].engine(verb)
    try:
        nodes["n2"].engine("kill")
        nodes["n2"].engine("start")
        # The share of the other server, and the directory of it; sshfs has one server only
        wait_for(
            lambda: nodes["n2"].run("systemctl", "is-active", "--quiet", "app.service").returncode == 0,
            "the service on the member that starts",
            limit=400,
        )
        before = nodes["n1"].read("/srv/app-s/main/n1")
        wait_for(lambda: nodes["n1"].read("/srv/app-s/main/n1") != before, "the service that goes on", limit=60)
    finally:
        nodes["s1"].engine({"kill": "start", "pause": "unpause"}[verb])
    wait_for(lambda: nodes["s1"].run("systemctl", "is-active", "ssh.service").returncode == 0, "s1", limit=60)
    # A server that hung is not healed until that is asked for
    wait_for(
        lambda: nodes["s1"].run("gluster", "volume", "heal", "share", limit=60).returncode == 0, "the heal", limit=120
    )
    # What others mount, from one server alone, is theirs to mount again
    there = ("sh", "-c", "mountpoint -q /mnt/there || mount /mnt/there")
    wait_for(lambda: nodes["n2"].run(*there, limit=120).returncode == 0, "the share of others", limit=120)


def test_a_run_mends_all(scenario: Scenario) -> None:
    """After those faults a run brings back what is missing, and the next one changes nothing."""
    end = time.monotonic() + 240
    while scenario.play().rc != 0:
        assert time.monotonic() < end, scenario.play().failed
    assert scenario.play().check().changed == set()


def test_a_limited_run_asks_all(scenario: Scenario) -> None:
    """A run for one member changes nothing, and verifies the shares with the others too."""
    run = scenario.play("converge.yml", "--limit", "n2").check()
    assert run.changed == set()
    said = run.facts["n2"]["shared_mount_verification"]
    assert said["members_seen"] == list(MEMBERS)
    assert {one["member"] for one in said["checks"] if one["name"] == "share data: shared"} == set(MEMBERS)
    assert {one["member"] for one in said["checks"] if one["name"] == "share data: locks"} == {"n1", "n3"}


def test_what_others_mount_is_not_mounted(scenario: Scenario, nodes: Nodes) -> None:
    """A share that exists elsewhere and is missing here is refused; the role does not touch its line."""
    fstab = nodes["n1"].read("/etc/fstab")
    nodes["n1"].out("umount", "/mnt/there")
    refused = scenario.play()
    assert "nothing is mounted at /mnt/there, and entry is existing" in refused.complaint() and refused.changed == set()
    nodes["n1"].out("mount", "/mnt/there")
    assert scenario.play().check().changed == set()
    assert nodes["n1"].read("/etc/fstab") == fstab


def test_killed_runs_end_right_when_run_again(scenario: Scenario, nodes: Nodes) -> None:
    """A run that makes all anew on a member, killed at several moments; then whole, and the next changes nothing."""
    for seconds in (4, 6, 8, 10, 12):
        assert scenario.play("entry_remove.yml").check()
        process = scenario.start()
        time.sleep(seconds)
        kill_with_descendants(process)
        wait_for(
            lambda: nodes["n3"].run("pgrep", "-f", "ansible").returncode != 0, "what the killed run left", limit=120
        )
        scenario.play().check()
        assert scenario.play().check().changed == set()


def test_a_share_leaves(scenario: Scenario, nodes: Nodes) -> None:
    """One that is named no more is refused; absent it goes, what is on it stays, and it comes back with all."""
    nodes["n1"].write("/srv/files/kept", "kept")
    shares = scenario.play("converge.yml").check().facts["n1"]["shared_mount_verification"]
    assert shares["ok"]
    exported = scenario.play(
        "../shared/entry_points.yml",
        variables={
            "entry_role": "clusterkit.middleware.shared_mount",
            "entry_hosts": "shared_mount_members",
            "entry_points": ["export"],
        },
    ).facts["n1"]["shared_mount_exported"]["shared_mount_mounts"]
    assert [one["name"] for one in exported] == ["data", "apps", "there-already", "files"]
    refused = scenario.play(variables={"shared_mount_mounts": exported[:3]})
    assert "does not name any more: name it with state: absent once" in refused.complaint()
    leaving = [*exported[:3], {**exported[3], "state": "absent"}]
    assert scenario.play(variables={"shared_mount_mounts": leaving}).check().changed
    assert scenario.play(variables={"shared_mount_mounts": leaving}).check().changed == set()
    for name in MEMBERS:
        assert "/srv/files" not in str(nodes[name].read("/etc/fstab"))
        assert " /srv/files " not in str(nodes[name].read("/proc/self/mountinfo"))
    assert nodes["s1"].read("/srv/files/kept") == "kept"
    scenario.play().check()
    assert nodes["n2"].read("/srv/files/kept") == "kept"


def test_a_member_leaves_without_trace(scenario: Scenario, nodes: Nodes) -> None:
    """Nothing of the role stays on it; the others go on, and it can join again."""
    for _turn in range(2):
        run = scenario.play("entry_remove.yml").check()
    assert run.changed == set()
    node = nodes["n3"]
    assert node.run("systemctl", "is-active", "app.service").returncode != 0
    assert [path for path in PATHS if f" {path} " in str(node.read("/proc/self/mountinfo"))] == ["/mnt/there"]
    left = node.out(
        "sh", "-c", "ls -d /etc/systemd/system/*shared* /etc/systemd/system/srv-* /usr/local/sbin/cl* || true"
    )
    assert left.strip() == "" and node.read("/etc/clusterkit/shared_mount.d/shared_mount_members.json") is None
    assert node.run("touch", "/srv/data/open").returncode == 0
    node.out("rm", "/srv/data/open")
    scenario.play().check()
