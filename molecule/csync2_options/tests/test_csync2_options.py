# SPDX-License-Identifier: GPL-3.0-or-later
"""xinetd and cron, firewalls, names of their own, backups, a slave; and peers that hang, refuse or have no room."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator

import pytest

from molecule.shared.csync2 import KEY, Nodes, quiet, synchronise_as
from molecule.shared.scenario import Node, Scenario, wait_for

NAMES = {"n1": "idp1.gluu.org", "n2": "idp2.gluu.org"}
CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], 30865), timeout=3).close()"
SYSTEMD = {"csync2_listener": "systemd", "csync2_schedule": "timer", "csync2_on_change": True}


def sync(node: Node, limit: float = 20) -> subprocess.CompletedProcess[str]:
    """Synchronise a member once."""
    return synchronise_as(node, NAMES[node.name], limit)


@pytest.fixture
def by_hand(nodes: Nodes) -> Iterator[None]:
    """Let cron start nothing during a test."""
    with quiet({name: nodes[name] for name in NAMES}, ("cron.service",)):
        yield


def reached(source: Node, address: str) -> bool:
    """Tell whether a node reaches the listener at an address."""
    return source.run("python3", "-c", CONNECT, address).returncode == 0


def address(node: Node) -> str:
    """Return a node's address."""
    return node.out("hostname", "-I").split()[0]


def test_members_may_connect_and_nobody_else(nodes: Nodes) -> None:
    """Each firewall lets the other member in; a stranger is kept out by either."""
    for one, other in (("n1", "n2"), ("n2", "n1")):
        assert reached(nodes[one], address(nodes[other])), (one, other)
        assert not reached(nodes["n3"], address(nodes[one])), one


def test_names_come_from_the_hosts_file(nodes: Nodes) -> None:
    """Members know each other by the names that they were given."""
    for name in ("n1", "n2"):
        for other, known in NAMES.items():
            assert nodes[name].out("getent", "ahosts", known).split()[0] == address(nodes[other])


def test_configuration_in_its_own_include_stays_equal(nodes: Nodes, by_hand: None) -> None:
    """The manual's configuration keeps itself identical: it is the same on both, and nothing of it is in conflict."""
    assert nodes["n1"].read("/etc/csync2.cfg") == nodes["n2"].read("/etc/csync2.cfg")
    assert "include /etc/csync2.cfg;" in str(nodes["n1"].read("/etc/csync2.cfg"))
    assert sync(nodes["n1"]).returncode == 0


@pytest.mark.deep
def test_cron_synchronises_by_itself(nodes: Nodes) -> None:
    """A change arrives within the interval."""
    nodes["n1"].write("/srv/idp/by-cron", "tick")
    wait_for(lambda: nodes["n2"].read("/srv/idp/by-cron") == "tick", "cron's run", limit=75)


def test_older_versions_are_kept(nodes: Nodes, by_hand: None) -> None:
    """What is replaced is kept, two older versions of it; what is deleted too."""
    for number in range(5):
        nodes["n1"].write("/srv/idp/kept", f"version {number}{'!' * number}")
        assert sync(nodes["n1"]).returncode == 0
    kept = "/var/backups/csync2/srv/idp/kept"
    assert nodes["n2"].read(kept) == "version 3!!!"
    assert nodes["n2"].read(f"{kept}.2") == "version 2!!"
    nodes["n1"].out("rm", "/srv/idp/kept")
    assert sync(nodes["n1"]).returncode == 0
    assert nodes["n2"].read("/srv/idp/kept") is None
    assert nodes["n2"].read(kept) == "version 4!!!!"


def test_the_younger_of_two_versions_wins_by_itself(nodes: Nodes, by_hand: None) -> None:
    """With `auto: younger` the older side is told to wait, which is no failure, and the younger one arrives."""
    nodes["n1"].write("/srv/idp/both", "older, of n1")
    nodes["n2"].write("/srv/idp/both", "younger, of n2!!")
    nodes["n1"].out("touch", "-d", "-1 hour", "/srv/idp/both")
    for node in (nodes["n1"], nodes["n2"]):
        node.out("csync2", "-N", NAMES[node.name], "-cr", "/")
    older = sync(nodes["n1"])
    assert older.returncode == 0 and "comes when the peer sends" in older.stdout, older
    assert sync(nodes["n2"]).returncode == 0
    assert nodes["n1"].read("/srv/idp/both") == "younger, of n2!!"
    assert sync(nodes["n1"]).returncode == 0


def test_a_slave_receives_and_sends_nothing(nodes: Nodes, by_hand: None) -> None:
    """What a slave has added or changed reaches nobody, and the master's next run undoes it."""
    nodes["n1"].write("/srv/handed-down/conf", "of the master")
    assert sync(nodes["n1"]).returncode == 0
    assert nodes["n2"].read("/srv/handed-down/conf") == "of the master"
    nodes["n2"].write("/srv/handed-down/conf", "changed by the slave")
    nodes["n2"].write("/srv/handed-down/own", "of the slave")
    done = sync(nodes["n2"])
    assert done.returncode == 0 and "slave of the group" in done.stdout, done
    assert nodes["n1"].read("/srv/handed-down/own") is None
    assert sync(nodes["n1"]).returncode == 0
    assert nodes["n2"].read("/srv/handed-down/own") is None
    assert nodes["n2"].read("/srv/handed-down/conf") == "of the master"


def test_a_paused_peer_is_named_in_time_and_served_when_it_is_back(nodes: Nodes, by_hand: None) -> None:
    """csync2 alone would wait for ever: the run ends, says who gave no answer, and the next one sends."""
    nodes["n1"].write("/srv/idp/paused", "while n2 was paused")
    nodes["n2"].engine("pause")
    try:
        began = time.monotonic()
        done = sync(nodes["n1"], limit=3)
        assert time.monotonic() - began < 15
        assert done.returncode == 75 and "idp2.gluu.org gave no answer within 3 s" in done.stdout, done
    finally:
        nodes["n2"].engine("unpause")
    assert sync(nodes["n1"]).returncode == 0
    assert nodes["n2"].read("/srv/idp/paused") == "while n2 was paused"


def test_another_key_overwrites_nothing(nodes: Nodes, by_hand: None) -> None:
    """A member with another key is refused, with the reason, and its files stay as they are."""
    right = str(nodes["n2"].read(KEY))
    nodes["n1"].write("/srv/idp/guarded", "first")
    assert sync(nodes["n1"]).returncode == 0
    nodes["n1"].write(KEY, "w" * 64 + "\n")
    try:
        nodes["n1"].write("/srv/idp/guarded", "from one with another key")
        done = sync(nodes["n1"])
        assert done.returncode == 75 and "another key" in done.stdout, done
        assert nodes["n2"].read("/srv/idp/guarded") == "first"
    finally:
        nodes["n1"].write(KEY, right)
    assert sync(nodes["n1"]).returncode == 0
    assert nodes["n2"].read("/srv/idp/guarded") == "from one with another key"


def test_two_runs_at_once_take_turns(nodes: Nodes, by_hand: None) -> None:
    """csync2 alone fails when two of its runs meet; here all end well, on both members at the same time."""
    script = (
        'for i in 1 2 3; do clusterkit-csync2 run --name $1 & pids="$pids $!"; done;'
        " for pid in $pids; do wait $pid || exit 1; done"
    )
    nodes["n1"].write("/srv/idp/one", "1")
    nodes["n2"].write("/srv/idp/two", "2")
    started = [
        subprocess.Popen(
            ["docker", "exec", nodes[name].container, "sh", "-c", script, "sh", NAMES[name]],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for name in ("n1", "n2")
    ]
    for process in started:
        output = process.communicate(timeout=90)[0]
        assert process.returncode == 0, output
    assert nodes["n2"].read("/srv/idp/one") == "1" and nodes["n1"].read("/srv/idp/two") == "2"


def test_a_full_disk_on_the_receiver_loses_nothing(nodes: Nodes, by_hand: None) -> None:
    """What finds no room stays as it was on the receiver and is named; with room again it arrives."""
    nodes["n2"].out("mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", "/srv/small")
    try:
        nodes["n1"].write("/srv/small/file", "small")
        assert sync(nodes["n1"]).returncode == 0
        assert nodes["n2"].read("/srv/small/file") == "small"
        nodes["n1"].out("sh", "-c", "head -c 2000000 /dev/urandom > /srv/small/file")
        done = sync(nodes["n1"])
        assert done.returncode == 75 and "/srv/small/file" in done.stdout, done
        assert nodes["n2"].read("/srv/small/file") == "small"
        nodes["n2"].out("mount", "-o", "remount,size=8m", "/srv/small")
        assert sync(nodes["n1"]).returncode == 0
        sums = {nodes[name].out("sha256sum", "/srv/small/file") for name in ("n1", "n2")}
        assert len(sums) == 1
    finally:
        nodes["n2"].out("umount", "/srv/small")
    nodes["n1"].out("rm", "/srv/small/file")
    assert sync(nodes["n1"]).returncode == 0


def test_a_broken_member_is_described_whole(scenario: Scenario, nodes: Nodes, by_hand: None) -> None:
    """A verification asks all that it can, whatever is wrong, here with a member that lost its configuration."""
    nodes["n2"].out("cp", "-p", "/etc/csync2.cfg", "/root/csync2.cfg")
    nodes["n2"].out("rm", "/etc/csync2.cfg")
    run = scenario.play("converge.yml", "--tags", "csync2_verify")
    assert "there is none" in run.complaint() and "idp2.gluu.org cannot send" in run.complaint()
    nodes["n2"].out("cp", "-p", "/root/csync2.cfg", "/etc/csync2.cfg")
    for name in ("n2", "n1"):
        assert sync(nodes[name]).returncode == 0


@pytest.mark.deep
def test_logs_of_actions_are_turned_over(nodes: Nodes) -> None:
    """logrotate takes the file that the role wrote."""
    nodes["n1"].out("sh", "-c", "DEBIAN_FRONTEND=noninteractive apt-get install -yqq --no-install-recommends logrotate")
    nodes["n1"].write("/var/log/csync2_action.log", "a line\n")
    nodes["n1"].out("logrotate", "--force", "/etc/logrotate.d/clusterkit-csync2")
    assert nodes["n1"].read("/var/log/csync2_action.log.1") == "a line\n"


@pytest.mark.deep
@pytest.mark.parametrize("variables", [SYSTEMD, {}])
def test_listener_and_schedule_can_be_exchanged(scenario: Scenario, nodes: Nodes, variables: dict[str, object]) -> None:
    """From xinetd and cron to systemd and back: check tells it, the cluster is whole, nothing of the other is left."""
    predicted = scenario.play("converge.yml", "--check", "--diff", variables=variables).check()
    done = scenario.play("converge.yml", "--diff", variables=variables).check()
    assert done.changed and predicted.changed == done.changed and predicted.diffs == done.diffs
    assert scenario.play(variables=variables).check().changed == set()
    systemd = bool(variables)
    for name in ("n1", "n2"):
        units = nodes[name].run("systemctl", "is-active", "csync2.socket", "csync2-sync.timer", "csync2-watch.service")
        assert units.stdout.split() == (["active"] * 3 if systemd else ["inactive"] * 3), name
        for path in ("/etc/xinetd.d/csync2", "/etc/cron.d/clusterkit-csync2"):
            assert (nodes[name].read(path) is None) == systemd, path


@pytest.mark.deep
def test_the_firewall_is_closed_again_to_a_member_that_leaves(scenario: Scenario, nodes: Nodes) -> None:
    """What was opened for the service is closed on the member that leaves, and nothing of the listener is left."""
    assert scenario.play("remove.yml", "--check").check().changed
    assert scenario.play("remove.yml").check().changed
    assert "30865" not in nodes["n2"].out("firewall-cmd", "--list-rich-rules")
    assert "30865" not in nodes["n2"].out("firewall-cmd", "--permanent", "--list-rich-rules")
    for path in ("/etc/xinetd.d/csync2", "/etc/cron.d/clusterkit-csync2", KEY):
        assert nodes["n2"].read(path) is None
    assert "idp1.gluu.org" not in str(nodes["n2"].read("/etc/hosts"))
    assert scenario.play("remove.yml").check().changed == set()
    scenario.play().check()
