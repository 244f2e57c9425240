# SPDX-License-Identifier: GPL-3.0-or-later
"""Three real members: they join, leave, are killed and come back; what keeps them apart is named."""

from __future__ import annotations

import re
from typing import Any

import pytest

from molecule.shared.scenario import ROOT, Node, Scenario, wait_for

Nodes = dict[str, Node]
LOG = "/opt/wso2/repository/logs/wso2carbon.log"
AXIS2 = "/opt/wso2/repository/conf/axis2/axis2.xml"
UNIT = "wso2.service"
VERIFY = {"entry_role": "clusterkit.middleware.wso2_cluster", "entry_hosts": "wso2_servers", "entry_points": ["verify"]}


def started(nodes: Nodes) -> dict[str, str]:
    """Return when each server was started, as systemd has it."""
    return {
        name: node.out("systemctl", "show", "--property=ExecMainStartTimestampMonotonic", "--value", UNIT).strip()
        for name, node in nodes.items()
    }


def log(node: Node) -> str:
    """Return a server's log since its last start."""
    return node.out("cat", LOG).rpartition("Starting WSO2 Carbon")[2]


def files(nodes: Nodes) -> list[str]:
    """Return what all servers' files hold, whose encoding is not UTF-8."""
    return [node.out("base64", AXIS2) for node in nodes.values()]


def give_password(node: Node, password: str) -> None:
    """Change the password by hand."""
    node.out("sed", "-i", f's/\\(name="groupPassword">\\)[^<]*/\\1{password}/', AXIS2)


def address(node: Node) -> str:
    """Return a node's address."""
    return node.out("hostname", "-i").split()[0]


def verify(scenario: Scenario) -> Any:
    """Run the entry point that verifies."""
    return scenario.play(ROOT / "molecule" / "shared" / "entry_points.yml", variables=VERIFY)


def test_members_are_declared_as_the_agent_reads_them(nodes: Nodes) -> None:
    """The agent itself tells the parameters that it was given, the password with all its characters among them."""
    for node in nodes.values():
        told = node.out("/opt/wso2/bin/wso2server.sh", "--print", limit=120).splitlines()
        assert f"parameter=localMemberHost={address(node)}" in told
        assert "parameter=membershipScheme=wka" in told and "parameter=domain=shop" in told
        assert "parameter=groupPassword=Canary #!0^(' \"$%\\`;& <Grüße>" in told
        assert sorted(one for one in told if one.startswith("member=")) == sorted(
            f"member={address(one)}:4000" for one in nodes.values()
        )
        assert node.out("stat", "-c", "%a %U", AXIS2).strip() == "640 wso2"


def test_a_member_that_is_killed_comes_back(scenario: Scenario, nodes: Nodes) -> None:
    """Without it the verification names it and counts two; back again it is counted by all."""
    nodes["w3"].out("systemctl", "kill", "--signal=KILL", UNIT)
    there = address(nodes["w3"])
    for name in ("w1", "w2"):
        wait_for(lambda name=name: log(nodes[name]).rpartition("Member left")[2].find(there) >= 0, "its leaving", 60)
    complaint = verify(scenario).complaint()
    assert "w3 does not run" in complaint and "w1 counts 2 members of 3: itself, w2" in complaint
    before = started(nodes)
    assert scenario.play().check().changed == {("w1", "clusterkit.middleware.wso2_cluster : Start the member")}
    after = started(nodes)
    assert {name for name in nodes if before[name] != after[name]} == {"w3"}


def test_members_are_restarted_one_after_the_other(scenario: Scenario, nodes: Nodes) -> None:
    """Each is stopped only when the one before is counted by all others, so two at least are there at any time."""
    before = {name: len(node.out("cat", LOG)) for name, node in nodes.items()}
    scenario.play(variables={"wso2_cluster_parameters": {"told": "again"}}).check()
    stops, starts = {}, {}
    for name, node in nodes.items():
        new = node.out("cat", LOG)[before[name] :]
        starts[name] = moment(new, "Starting WSO2 Carbon")
        stops[name] = node.out(
            "systemctl", "show", "--property=InactiveEnterTimestamp", "--timestamp=us", "--value", UNIT
        )
    order = sorted(nodes, key=lambda name: starts[name])
    for earlier, later in zip(order, order[1:], strict=False):
        # All others had said that it joined before the next one was stopped
        for other in set(nodes) - {earlier, later}:
            joined = moment(nodes[other].out("cat", LOG), f"Member joined .*{re.escape(address(nodes[earlier]))}:")
            assert joined < stops[later].split()[2], (earlier, later, joined, stops[later])
    assert verify(scenario).check().changed == set()
    scenario.play().check()


def moment(text: str, pattern: str) -> str:
    """Return when a line that matches was last logged, as the time of the day."""
    found = [line for line in text.splitlines() if re.search(pattern, line)]
    assert found, pattern
    match = re.search(r"\d\d:\d\d:\d\d,\d{3}", found[-1])
    assert match
    return match[0].replace(",", ".")


def test_another_password_keeps_a_member_out(scenario: Scenario, nodes: Nodes) -> None:
    """A member that was given another one by hand is named with the reason; the run brings it back."""
    node = nodes["w2"]
    give_password(node, "other")
    node.out("systemctl", "restart", UNIT)
    wait_for(lambda: "Incompatible group password" in log(node), "the refusal", 60)
    complaint = verify(scenario).complaint()
    assert "w2 is in no cluster: its group password is not that of the others" in complaint
    assert scenario.play().check().changed == {
        ("w2", "clusterkit.middleware.wso2_cluster : Declare the membership"),
        ("w1", "clusterkit.middleware.wso2_cluster : Start the member"),
    }
    verify(scenario).check()


def test_a_new_password_needs_a_word(scenario: Scenario, nodes: Nodes) -> None:
    """It is refused before the first change, since members with different ones keep each other out."""
    before = files(nodes)
    run = scenario.play(variables={"wso2_cluster_password": "new"})
    assert "wso2_cluster_password is not what w1, w2, w3 runs with" in run.complaint()
    assert run.changed == set() and files(nodes) == before


@pytest.mark.parametrize(
    ("variables", "complaint"),
    [
        ({"wso2_cluster_home": "/opt/other"}, "/opt/other/repository/components/plugins has no org.wso2.carbon.core"),
        ({"wso2_cluster_unit": "other.service"}, "the unit other.service is not-found"),
        ({"wso2_cluster_address": "127.0.0.1"}, "is 127.0.0.1 for both w1 and w2"),
        ({"wso2_cluster_port": 0}, "wso2_cluster_port is 0"),
        ({"wso2_cluster_kernel": "4.14.0"}, "kernel is 4.14.0"),
        ({"wso2_cluster_parameters": {"domain": "x"}}, "parameters has domain: give it as domain"),
        ({"wso2_cluster_password": "a\tb"}, "wso2_cluster_password has a control character"),
    ],
)
def test_refused_before_anything_changes(
    scenario: Scenario, nodes: Nodes, variables: dict[str, Any], complaint: str
) -> None:
    """What cannot be right is named, and nothing is written or restarted."""
    before = files(nodes), started(nodes)
    run = scenario.play(variables=variables)
    assert complaint in run.complaint()
    assert run.changed == set()
    assert (files(nodes), started(nodes)) == before


def test_no_secret_shows(scenario: Scenario, nodes: Nodes) -> None:
    """Neither in what a loud run says that changes the password, nor in a file that others can read."""
    node = nodes["w1"]
    give_password(node, "former")
    run = scenario.play("converge.yml", "--diff", "-vvv", "--check", variables={"wso2_cluster_full_restart": True})
    assert "Canary" not in run.output and "Declare the membership" in run.output
    scenario.play(variables={"wso2_cluster_full_restart": True}).check()
    assert node.run("runuser", "-u", "nobody", "--", "cat", AXIS2).returncode != 0
