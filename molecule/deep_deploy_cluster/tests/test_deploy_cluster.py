# SPDX-License-Identifier: GPL-3.0-or-later
"""A Deploy cluster that was one server: what it had is there, users stay with a server, and what is refused."""

from __future__ import annotations

import http.client
import json
from typing import Any

import pytest

from molecule.shared.deploy import has_what_the_first_had
from molecule.shared.scenario import Node, Scenario, wait_for

Nodes = dict[str, Node]
PROPERTIES = "/opt/deploy/conf/server/installed.properties"


@pytest.fixture(scope="session")
def addresses(scenario: Scenario) -> dict[str, str]:
    """Return the nodes' addresses."""
    return {name: node.out("hostname", "-i").split()[0] for name, node in scenario.nodes().items()}


class User:
    """A browser: it keeps its cookies, and tries nothing twice."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.cookies: dict[str, str] = {}

    def ask(self, path: str) -> tuple[int, dict[str, Any]]:
        """Return the status and the answer."""
        connection = http.client.HTTPConnection(self.address, 80, timeout=20)
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        connection.request("GET", path, headers={"Cookie": cookies} if cookies else {})
        answer = connection.getresponse()
        for header in answer.headers.get_all("Set-Cookie") or []:
            name, _equals, value = header.partition(";")[0].partition("=")
            self.cookies[name] = value
        body = answer.read().decode()
        connection.close()
        return answer.status, json.loads(body) if body.startswith("{") else {}


def test_what_the_first_server_had_is_there_for_all(nodes: Nodes, addresses: dict[str, str]) -> None:
    """Rows and files of before are read from both, as is what each has stored since."""
    for name in ("s1", "s2"):
        has_what_the_first_had(nodes[name])
        assert "multiserver=true" in str(nodes[name].read(PROPERTIES))


def test_users_stay_with_a_server(addresses: dict[str, str]) -> None:
    """20 users, each with a session on one server, whichever balancer they come by; both servers serve."""
    seen = set()
    for number in range(20):
        user = User(addresses["lb1" if number % 2 else "lb2"])
        first = user.ask("/session")[1]
        user.address = addresses["lb2" if number % 2 else "lb1"]
        second = user.ask("/session")[1]
        assert (first["node"], first["count"], second["count"]) == (second["node"], 1, 2)
        seen.add(first["node"])
    assert seen == {"s1", "s2"}


def test_a_server_that_dies_is_left(nodes: Nodes, addresses: dict[str, str], scenario: Scenario) -> None:
    """After a kill the user's next request gets a fresh session on the other, and once it is noticed no error."""
    user = User(addresses["lb1"])
    node = user.ask("/session")[1]["node"]
    other = {"s1": "s2", "s2": "s1"}[node]
    nodes[node].engine("kill")
    try:
        wait_for(lambda: user.ask("/session")[1].get("node") == other, "the other server", 15)
        for _number in range(30):
            status, told = user.ask("/session")
            assert (status, told["node"]) == (200, other)
        assert user.ask("/session")[1]["count"] > 1
    finally:
        nodes[node].engine("start")
    wait_for(lambda: nodes[node].run("systemctl", "is-active", "deploy-server.service").returncode == 0, "it", 90)
    wait_for(lambda: scenario.play("converge.yml").rc == 0, "the cluster to be whole again", 120)


def complaint(scenario: Scenario, *options: str) -> str:
    """Return why a run of the servers' playbook refuses; it changes nothing."""
    run = scenario.play("clusterkit.middleware.deploy_servers", *options)
    text = run.complaint()
    assert run.changed == set()
    return text


def test_a_copied_installation_is_refused(scenario: Scenario, nodes: Nodes) -> None:
    """The property that gives it away is named."""
    kept = str(nodes["s2"].read(PROPERTIES))
    try:
        nodes["s2"].write(PROPERTIES, str(nodes["s1"].read(PROPERTIES)))
        said = complaint(scenario)
        assert "agentcomm.uri is wss://s1:7919 on s1 and s2: an installation was copied" in said
    finally:
        nodes["s2"].write(PROPERTIES, kept)


def test_another_version_is_refused(scenario: Scenario, nodes: Nodes) -> None:
    """Both versions are named."""
    nodes["s2"].write("/opt/deploy/conf/installed.version", "7.2.0.0\n")
    try:
        assert "s2 has version 7.2.0.0, and s1 7.3.0.0" in complaint(scenario)
    finally:
        nodes["s2"].write("/opt/deploy/conf/installed.version", "7.3.0.0\n")


def test_a_standby_that_runs_is_refused(scenario: Scenario) -> None:
    """It would change the shared database."""
    said = complaint(scenario, "-e", '{"deploy_cluster_standby": ["s2"]}')
    assert "s2 is a cold standby, and deploy-server.service runs there" in said


def test_ports_that_are_never_balanced_are_refused(scenario: Scenario) -> None:
    """Connections of agents and of servers hold what a balancer cannot see."""
    service = {"name": "jms", "mode": "tcp", "port": 7918, "members_group": "deploy_servers", "member_port": 7918}
    said = complaint(scenario, "-e", json.dumps({"haproxy_services": [service]}))
    assert "The service jms balances 7918" in said
