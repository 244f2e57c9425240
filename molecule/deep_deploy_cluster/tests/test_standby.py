# SPDX-License-Identifier: GPL-3.0-or-later
"""A cold standby: installed and stopped, started when the server that serves is dead, and only then."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from molecule.shared.scenario import Node, Run, Scenario, wait_for

UNIT = "deploy-server.service"
#: Seconds for a run on a busy machine.
LIMIT = 600
SERVICE = {
    "name": "deploy",
    "port": 80,
    "members_group": "deploy_servers",
    "member_port": 8080,
    "check": {"path": "/health", "interval_seconds": 0.5},
    "standby": ["s2"],
}
VARIABLES = {"deploy_cluster_standby": ["s2"], "haproxy_services": [SERVICE]}


def state(node: Node) -> str:
    """Return whether a server runs, and whether it starts with its host."""
    return " ".join(node.run("systemctl", verb, UNIT).stdout.strip() for verb in ("is-active", "is-enabled"))


def switch(scenario: Scenario, playbook: str, node: str, **variables: Any) -> Run:
    """Let a server serve, by one of the two playbooks."""
    more = {**VARIABLES, "node": node, **variables}
    return scenario.play(f"clusterkit.middleware.{playbook}", variables=more, limit=LIMIT)


def serves(nodes: dict[str, Node]) -> str:
    """Return which server answers a new user, empty where none does."""
    address = nodes["lb1"].out("hostname", "-i").split()[0]
    try:
        with urllib.request.urlopen(f"http://{address}/rows", timeout=5) as answer:
            return str(json.load(answer)["node"])
    except OSError:
        return ""


@pytest.fixture(scope="module", autouse=True)
def standing_by(scenario: Scenario) -> Iterator[None]:
    """Let s2 stand by, and serve again afterwards."""
    nodes = scenario.nodes()
    nodes["s2"].out("systemctl", "stop", UNIT)
    yield
    nodes["s1"].run("systemctl", "start", "ssh")
    scenario.play("clusterkit.middleware.deploy_servers", limit=LIMIT).check()
    assert [state(nodes[name]) for name in ("s1", "s2")] == ["active enabled"] * 2


def test_a_standby_is_stopped_and_stays_so(scenario: Scenario, nodes: dict[str, Node]) -> None:
    """The cluster is whole with it; nothing starts it, by hand neither; the balancers know that it is down."""
    assert scenario.play("clusterkit.middleware.deploy_servers", variables=VARIABLES, limit=LIMIT).check().changed
    # The balancers note who stands by
    scenario.play("clusterkit.middleware.haproxy", variables=VARIABLES, limit=LIMIT).check()
    for playbook in ("deploy_servers", "haproxy"):
        run = scenario.play(f"clusterkit.middleware.{playbook}", variables=VARIABLES, limit=LIMIT).check()
        assert run.changed == set()
    nodes["s2"].run("systemctl", "start", UNIT)
    assert [state(nodes[name]) for name in ("s1", "s2")] == ["active enabled", "inactive disabled"]
    assert serves(nodes) == "s1"


def test_a_failover_needs_the_other_dead(scenario: Scenario, nodes: dict[str, Node]) -> None:
    """Refused while it runs, while nobody knows, and while it answers although it is said to be fenced."""
    run = switch(scenario, "deploy_failover", "s2")
    assert f"{UNIT} runs on s1: two servers would change the database" in run.complaint()
    # With the sessions that Ansible keeps open
    nodes["s1"].out("sh", "-c", "systemctl stop ssh; pkill -x sshd || true")
    try:
        assert "s1 could not be asked, and so may run" in switch(scenario, "deploy_failover", "s2").complaint()
        run = switch(scenario, "deploy_failover", "s2", deploy_cluster_fenced=["s1"])
        assert "s1 is in deploy_cluster_fenced, and answers at port 8080: it is not fenced" in run.complaint()
    finally:
        nodes["s1"].out("systemctl", "start", "ssh")
    assert run.changed == set()
    assert [state(nodes[name]) for name in ("s1", "s2")] == ["active enabled", "inactive disabled"]


def test_the_standby_serves_when_the_other_is_dead(scenario: Scenario, nodes: dict[str, Node]) -> None:
    """The data are there, and users reach it; the dead one comes back and does not start."""
    nodes["s1"].engine("kill")
    try:
        switch(scenario, "deploy_failover", "s2", deploy_cluster_fenced=["s1"]).check()
        wait_for(lambda: serves(nodes) == "s2", "users to reach the standby", 20)
        assert state(nodes["s2"]) == "active enabled"
        again = switch(scenario, "deploy_failover", "s2", deploy_cluster_fenced=["s1"]).check()
        assert again.changed == set()
    finally:
        nodes["s1"].engine("start")
    wait_for(lambda: nodes["s1"].run("systemctl", "is-active", "ssh").returncode == 0, "s1 to be up", 60)
    wait_for(lambda: nodes["s1"].run("mountpoint", "-q", "/media/share").returncode == 0, "its storage", 90)
    nodes["s1"].run("systemctl", "start", UNIT)
    assert state(nodes["s1"]).startswith("inactive")
    assert serves(nodes) == "s2"


def test_every_other_run_is_refused_meanwhile(scenario: Scenario) -> None:
    """The inventory still says that s2 stands by."""
    told = scenario.play("clusterkit.middleware.deploy_servers", variables=VARIABLES, limit=LIMIT).complaint()
    assert f"s2 is a cold standby, and {UNIT} runs there" in told


def test_failing_back(scenario: Scenario, nodes: dict[str, Node]) -> None:
    """The one that serves is stopped first; the inventory is right again, and nothing is left to change."""
    switch(scenario, "deploy_failback", "s1").check()
    wait_for(lambda: serves(nodes) == "s1", "users to reach the first server", 20)
    assert [state(nodes[name]) for name in ("s1", "s2")] == ["active enabled", "inactive disabled"]
    assert switch(scenario, "deploy_failback", "s1").check().changed == set()
    assert (
        scenario.play("clusterkit.middleware.deploy_servers", variables=VARIABLES, limit=LIMIT).check().changed == set()
    )
