# SPDX-License-Identifier: GPL-3.0-or-later
"""A new member gets many files by rsync: all of them and nothing else, whatever is killed; nothing of it is left."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from molecule.shared.csync2 import Nodes
from molecule.shared.scenario import Node, Scenario, kill_with_descendants, wait_for

SEEDED = ("n2", "clusterkit.middleware.csync2 : Get the files that are missing")
STAGING = "/srv/web/.clusterkit-seed"
#: Everything that is synchronised, one line a file, with its content's checksum.
LISTING = (
    "cd /srv/web && find . ! -path './private*' ! -name '*~' -printf '%P %y %m %U %G %l\\0' | sort -z | sha256sum;"
    " find . -type f ! -path './private*' ! -name '*~' -print0 | sort -z | xargs -0 sha256sum | sha256sum"
)


def forget(node: Node) -> None:
    """Take from a server what csync2 knows, and its configuration."""
    node.run("systemctl", "disable", "--now", "csync2-watch.service", "csync2-sync.timer", "csync2.socket")
    node.out("sh", "-c", "rm -rf /etc/csync2* /var/lib/csync2/* /etc/systemd/system/csync2*; systemctl daemon-reload")


@pytest.fixture
def bare(nodes: Nodes) -> Node:
    """Return the second server as if it had been installed anew, without its files."""
    node = nodes["n2"]
    forget(node)
    node.out("sh", "-c", "rm -rf /srv/web && mkdir /srv/web", limit=120)
    return node


def listing(node: Node) -> str:
    """Return one sum over all that is synchronised."""
    return node.out("sh", "-c", LISTING, limit=300)


def left(nodes: Nodes) -> list[str]:
    """Return what is left of a seeding, on either member."""
    found = []
    for name, node in nodes.items():
        paths = [STAGING, "/run/clusterkit/csync2-seed", "/srv/.clusterkit-seed"]
        found += [f"{name}: {path}" for path in paths if node.run("test", "-e", path).returncode == 0]
        found += [f"{name}: {line}" for line in node.run("sh", "-c", "ls /tmp/clusterkit-csync2-seed-*").stdout.split()]
        if "clusterkit-csync2-seed" in str(node.read("/root/.ssh/authorized_keys")):
            found.append(f"{name}: an authorized key")
    return found


def test_all_files_are_on_both(nodes: Nodes) -> None:
    """With odd names, links and attributes; what is excluded did not come, and nothing of the seeding is left."""
    assert int(nodes["n2"].out("sh", "-c", "find /srv/web -type f | wc -l")) == 50007
    assert listing(nodes["n1"]) == listing(nodes["n2"])
    assert left(nodes) == []


def test_a_new_member_is_seeded(scenario: Scenario, nodes: Nodes, bare: Node) -> None:
    """By rsync, excluded files apart; the second run changes nothing."""
    run = scenario.play().check()
    assert SEEDED in run.changed
    assert bare.run("test", "-e", "/srv/web/private").returncode != 0
    assert bare.run("test", "-e", "/srv/web/d000/draft~").returncode != 0
    assert listing(nodes["n1"]) == listing(nodes["n2"])
    assert left(nodes) == []
    assert scenario.play().check().changed == set()


def test_what_differs_stays_and_is_a_conflict(scenario: Scenario, nodes: Nodes, bare: Node) -> None:
    """Seeding replaces nothing: a file of the newcomer's own is told as a conflict, until a winner is named."""
    bare.out("mkdir", "/srv/web/d001")
    bare.write("/srv/web/d001/f100", "of the newcomer")
    bare.write("/srv/web/d001/own", "of the newcomer")
    run = scenario.play()
    assert SEEDED in run.changed
    assert "/srv/web/d001/f100 to" in run.complaint() and "conflict" in run.complaint()
    assert bare.read("/srv/web/d001/f100") == "of the newcomer"
    assert str(nodes["n1"].read("/srv/web/d001/f100")).startswith("100 ")
    scenario.play(variables={"csync2_winner": "n1"}).check()
    assert listing(nodes["n1"]) == listing(nodes["n2"])
    assert nodes["n1"].read("/srv/web/d001/own") == "of the newcomer"


def kill_rsync(node: Node) -> None:
    """Kill rsync on the newcomer."""
    node.out("sh", "-c", "kill -9 $(pgrep -x rsync)")


def kill_module(node: Node) -> None:
    """Kill the module that seeds."""
    node.out("sh", "-c", "kill -9 $(pgrep -f '[c]sync2_seed')")


@pytest.mark.parametrize("kill", [None, kill_rsync, kill_module])
def test_killed_while_seeding(
    scenario: Scenario, nodes: Nodes, bare: Node, kill: Callable[[Node], None] | None
) -> None:
    """The control node is lost, or rsync or the module is killed: no half file, and the next run ends right."""
    process = scenario.start()
    wait_for(lambda: bare.run("test", "-e", f"{STAGING}/files/web/d010").returncode == 0, "the seeding", limit=120)
    if kill:
        kill(bare)
        process.wait(timeout=600)
    else:
        kill_with_descendants(process)
    scenario.play().check()
    assert listing(nodes["n1"]) == listing(nodes["n2"])
    assert left(nodes) == []
    assert scenario.play().check().changed == set()


def test_where_root_may_not_log_in_csync2_sends_the_files(scenario: Scenario, nodes: Nodes, bare: Node) -> None:
    """The run says why, and goes on."""
    nodes["n1"].write("/etc/ssh/sshd_config.d/no-root.conf", "PermitRootLogin no\n")
    try:
        # So many that they would be seeded, and so few that csync2 has soon sent them
        forget(nodes["n1"])
        nodes["n1"].out("sh", "-c", "cd /srv/web && rm -rf d[1-4]* d0[1-9]*", limit=120)
        run = scenario.play().check()
        assert "could not get its files from n1 by rsync" in run.output
        assert "root may not log in by key: sshd has permitrootlogin no" in run.output
        assert listing(nodes["n1"]) == listing(nodes["n2"])
        assert left(nodes) == []
    finally:
        nodes["n1"].out("rm", "/etc/ssh/sshd_config.d/no-root.conf")
