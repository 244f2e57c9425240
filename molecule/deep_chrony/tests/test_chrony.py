# SPDX-License-Identifier: GPL-3.0-or-later
"""Two members that follow a time server: what they follow, what their clocks show, and what is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from molecule.shared.scenario import Node, Scenario, wait_for

Nodes = dict[str, Node]
#: A clock that shows five seconds more, to whoever asks this host by `date`.
AHEAD = '#!/bin/sh\nexec /usr/bin/date -d "5 seconds" "$@"\n'


def followed(node: Node) -> tuple[str, str]:
    """Return what chrony of a node follows: its address and the stratum that the node has by it."""
    row = node.out("chronyc", "-n", "-c", "tracking").strip().split(",")
    return row[1], row[2]


@pytest.fixture
def ahead(nodes: Nodes) -> Iterator[Node]:
    """Return a member whose clock is ahead."""
    node = nodes["n2"]
    node.write("/usr/local/bin/date", AHEAD)
    node.out("chmod", "755", "/usr/local/bin/date")
    yield node
    node.out("rm", "/usr/local/bin/date")


def test_all_follow_the_server_and_know_each_other(nodes: Nodes) -> None:
    """By chrony's own word."""
    server = nodes["t1"].out("hostname", "-i").split()[0]
    for name, other in (("n1", "n2"), ("n2", "n1")):
        wait_for(lambda name=name: followed(nodes[name]) == (server, "4"), f"{name} follows the server", 60)
        peer = nodes[other].out("hostname", "-i").split()[0]
        rows = [row.split(",") for row in nodes[name].out("chronyc", "-n", "-c", "sources").splitlines()]
        assert {(row[0], row[2]) for row in rows} == {("^", server), ("=", peer)}


def test_the_clocks_are_asked_and_not_chrony(scenario: Scenario, nodes: Nodes, ahead: Node) -> None:
    """A clock that shows another time is found, although chrony follows its source."""
    run = scenario.play("clusterkit.middleware.chrony")
    found = re.search(
        r"The clock of n2 is at least (\d\.\d) s ahead of that of n1, and 1 s are let pass", run.complaint()
    )
    assert found and 2 < float(found[1]) <= 5.1
    assert followed(nodes["n2"])[1] == "4"
    run = scenario.play("clusterkit.middleware.chrony", variables={"chrony_most_seconds": 10}).check()
    told = [one["evidence"] for one in run.facts["n1"]["chrony_verification"]["checks"] if one["name"] == "one time"]
    print(told)
    within = re.search(r"asked within (\d+\.\d+) s", told[0])
    assert within and float(within[1]) < 5


def test_without_the_server_nobody_follows_anything(scenario: Scenario, nodes: Nodes) -> None:
    """A server that does not answer is named when its members are made to ask another one."""
    lone = {"chrony_time_servers": ["192.0.2.1"], "chrony_local_peers": False, "chrony_settle_seconds": 2}
    run = scenario.play("clusterkit.middleware.chrony", variables=lone)
    assert "n1 follows no source; it reaches none of 192.0.2.1" in run.complaint()
    scenario.play("clusterkit.middleware.chrony").check()


@pytest.mark.parametrize(
    ("variables", "complaint"),
    [
        ({"chrony_time_servers": []}, "chrony_time_servers and chrony_time_pools are empty"),
        ({"chrony_time_servers": ["n1"]}, "n1 is n1, a member itself"),
        ({"chrony_time_servers": ["t1 iburst"]}, "chrony_time_servers has 't1 iburst'"),
        ({"chrony_steer": True}, "On n1 nobody may set the clock"),
        ({"chrony_lines": ["no such word"]}, "chrony.conf is not valid"),
    ],
)
def test_refused_before_anything_changes(
    scenario: Scenario, nodes: Nodes, variables: dict[str, Any], complaint: str
) -> None:
    """What cannot be right is named, and nothing is replaced."""
    before = [nodes[name].read("/etc/chrony/chrony.conf") for name in ("n1", "n2")]
    run = scenario.play("clusterkit.middleware.chrony", variables=variables)
    assert complaint in run.complaint()
    assert run.changed == set()
    assert [nodes[name].read("/etc/chrony/chrony.conf") for name in ("n1", "n2")] == before


def test_what_somebody_chose_is_not_replaced_unasked(scenario: Scenario, nodes: Nodes) -> None:
    """It is named, line by line."""
    nodes["n2"].write("/etc/chrony/chrony.conf", "pool 2.debian.pool.ntp.org iburst\nserver time.example.org\n")
    run = scenario.play("clusterkit.middleware.chrony")
    assert "On n2 /etc/chrony/chrony.conf has 'server time.example.org', which this role did not" in run.complaint()
    assert scenario.play("clusterkit.middleware.chrony", variables={"chrony_replace": True}).check().changed
    assert scenario.play("clusterkit.middleware.chrony").check().changed == set()
