# SPDX-License-Identifier: GPL-3.0-or-later
"""Three members that find each other through a database: they roll, leave, die, come back, and are refused."""

from __future__ import annotations

import functools
import json
from typing import Any

import pytest

from molecule.shared.load import getting, load
from molecule.shared.scenario import Node, Scenario, wait_for

Nodes = dict[str, Node]
CONFIG = "/opt/service-sync/config.yml"
UNIT = "alfresco-sync.service"
MEMBERS = ("sync1", "sync2", "sync3")
ASK = "SELECT host || ':' || port FROM sync_cluster_members ORDER BY 1"


@pytest.fixture(scope="session")
def addresses(scenario: Scenario) -> dict[str, str]:
    """Return the nodes' addresses."""
    return {name: node.out("hostname", "-i").split()[0] for name, node in scenario.nodes().items()}


def rows(nodes: Nodes) -> list[str]:
    """Return which members the database knows."""
    return nodes["store"].out("runuser", "-u", "postgres", "--", "psql", "-Atc", ASK, "sync").split()


def started(node: Node) -> str:
    """Return when a member's service was started."""
    return node.out("systemctl", "show", "--property=ActiveEnterTimestampMonotonic", "--value", UNIT).strip()


def configurations(nodes: Nodes) -> list[str]:
    """Return what no refusal may change."""
    return [
        *(nodes[name].out("sh", "-c", f"cat {CONFIG} /etc/systemd/system/{UNIT}") for name in MEMBERS),
        *(started(nodes[name]) for name in MEMBERS),
        *rows(nodes),
    ]


def test_each_is_registered_and_sees_all(nodes: Nodes, addresses: dict[str, str]) -> None:
    """The database has a row for each member, and Hazelcast itself has logged all three."""
    assert rows(nodes) == sorted(f"{addresses[name]}:5701" for name in MEMBERS)
    for name in MEMBERS:
        log = nodes[name].out("cat", "/opt/service-sync/logs/sync-service.log")
        assert log.rpartition("Members [")[2].startswith("3]")
    said = nodes["sync1"].out("cat", CONFIG)
    assert "    interface: 10.*.*.*\n" in said and "  hazelcast.port: 5701\n" in said
    assert "    cache.expiryMs: 300000   # five minutes\n" in said


def test_the_repository_is_told(nodes: Nodes) -> None:
    """One live line below its heading, and everything else as it was."""
    said = nodes["store"].out("cat", "/opt/alfresco/alfresco-global.properties")
    assert "### DesktopSync ###\ndsync.service.uris=http\\://store\\:9999/alfresco\n" in said.replace(
        "=http://store:9999/", "=http\\://store\\:9999/"
    )
    assert said.count("\ndsync.service.uris") == 1 and "\n### Mail ###\nmail.host=localhost\n" in said


def test_a_change_is_rolled_without_a_lost_request(scenario: Scenario, nodes: Nodes, addresses: dict[str, str]) -> None:
    """A timing is changed under load: every member is restarted, none fails a request, all are in it again."""
    before = {name: started(nodes[name]) for name in MEMBERS}
    clients = {
        "kept": getting(addresses["store"], 9999),
        "new": getting(addresses["store"], 9999, keep=False),
    }
    with load(clients) as outcome:
        run = scenario.play(variables={"alfresco_sync_cluster_max_no_heartbeat_seconds": 20}).check()
    assert {host for host, task in run.changed if task.endswith("Let it run with its configuration")} == set(MEMBERS)
    assert outcome.failures == []
    assert outcome.requests >= 100, outcome.requests
    assert all(started(nodes[name]) != before[name] for name in MEMBERS)
    assert scenario.play().check().changed
    assert rows(nodes) == sorted(f"{addresses[name]}:5701" for name in MEMBERS)


def test_a_member_that_stops_leaves_no_row(scenario: Scenario, nodes: Nodes, addresses: dict[str, str]) -> None:
    """`systemctl stop` is the product's own stop: the row is gone, and nothing was killed; a run brings it back."""
    nodes["sync2"].out("systemctl", "stop", UNIT)
    assert f"{addresses['sync2']}:5701" not in rows(nodes)
    assert nodes["sync2"].out("systemctl", "show", "--property=Result", "--value", UNIT).strip() == "success"
    run = scenario.play().check()
    assert {host for host, _task in run.changed} == {"sync2"}
    assert len(rows(nodes)) == 3


def test_the_row_of_a_dead_one_is_told_and_removed_on_request(
    scenario: Scenario, nodes: Nodes, addresses: dict[str, str]
) -> None:
    """One that is killed leaves its row; so did one that nobody knows any more. Removed after a backup."""
    # In the nodes' own network, where nothing answers
    gone = addresses["sync1"].rpartition(".")[0] + ".250"
    nodes["store"].out(
        *("runuser", "-u", "postgres", "--", "psql", "-qc"),
        f"INSERT INTO sync_cluster_members (host, port) VALUES ('{gone}', 5701)",  # noqa: S608  # by this test alone
        "sync",
    )
    nodes["sync3"].out("systemctl", "kill", "--signal=KILL", UNIT)
    wait_for(lambda: nodes["sync3"].run("systemctl", "is-active", UNIT).stdout.strip() == "failed", "its end", 30)
    dead = f"{addresses['sync3']}:5701"
    assert dead in rows(nodes)
    told = scenario.play("converge.yml", "--limit", "sync1")
    assert "the service on sync3 is failed" in told.complaint()
    assert dead in told.output and f"{gone}:5701" in told.output
    run = scenario.play(variables={"alfresco_sync_cluster_remove_stale": True}).check()
    assert ("sync1", "clusterkit.middleware.alfresco_sync_cluster : Remove the rows of dead members") in run.changed
    # It was taken out, and is in again since it was started
    assert rows(nodes) == sorted(f"{addresses[name]}:5701" for name in MEMBERS)
    kept = json.loads(nodes["sync1"].out("sh", "-c", "cat /var/lib/clusterkit/alfresco_sync/*.json"))
    assert {one["host"] for one in kept["rows"]} == {gone, *(addresses[name] for name in MEMBERS)}
    assert nodes["sync1"].out("sh", "-c", "stat -c %a /var/lib/clusterkit/alfresco_sync/*.json").strip() == "600"
    nodes["sync1"].out("rm", "-r", "/var/lib/clusterkit/alfresco_sync")


@pytest.mark.parametrize(
    ("variables", "complaint"),
    [
        ({"alfresco_sync_cluster_interface": "10.256.*.*"}, "'10.256.*.*' can match no address (256 is no octet)"),
        ({"alfresco_sync_cluster_interface": "192.0.2.*"}, "interface 192.0.2.* matches no address"),
        ({"alfresco_sync_cluster_bind_any": True}, "bind_any is true, so that interfaces would have no effect"),
        ({"alfresco_sync_cluster_management_center_enabled": True}, "management_center.url is missing"),
        ({"alfresco_sync_cluster_check_timeout_ms": 4}, "timings.check_timeout_ms is 4"),
        ({"alfresco_sync_cluster_password": "another one"}, "say alfresco_sync_cluster_stop_all: true"),
        ({"alfresco_sync_cluster_repository_clustered": False}, "clusters only beside a repository"),
        ({"alfresco_sync_cluster_home": "/opt/nowhere"}, "there is no /opt/nowhere/syncservice.sh"),
        ({"alfresco_sync_cluster_port": 22}, "alfresco_sync_cluster_port is 22"),
        ({"alfresco_sync_cluster_database_host": ""}, "alfresco_sync_cluster_table is sync_cluster_members - give"),
        ({"alfresco_sync_cluster_repository_properties_path": "/none"}, "and store has no such file"),
    ],
)
def test_refused_before_anything_changes(
    scenario: Scenario, nodes: Nodes, variables: dict[str, Any], complaint: str
) -> None:
    """What cannot be right is named, and nothing is replaced, stopped or started."""
    before = configurations(nodes)
    run = scenario.play(variables=variables)
    assert complaint in run.complaint()
    assert run.changed == set()
    assert configurations(nodes) == before


def test_members_whose_configurations_differ_are_refused(scenario: Scenario, nodes: Nodes) -> None:
    """In what the role does not write: told with both values, those of secrets not."""
    said = nodes["sync3"].out("cat", CONFIG)
    try:
        nodes["sync3"].write(CONFIG, said.replace("300000", "300").replace('password: "', 'password: "x'))
        before = configurations(nodes)
        run = scenario.play("converge.yml", "--diff")
        complaint = run.complaint()
        assert (
            "differ in sync.authentication.cache.expiryMs: 300000 on sync1, 300000 on sync2, 300 on sync3" in complaint
        )
        assert "differ in sql.db.password: a value that is not shown on sync1" in complaint
        assert "Canary" not in run.output and run.changed == set() and configurations(nodes) == before
    finally:
        nodes["sync3"].write(CONFIG, said)
        scenario.play().check()


def test_another_password_keeps_a_member_out(scenario: Scenario, nodes: Nodes, addresses: dict[str, str]) -> None:
    """Hazelcast refuses a member with another one, and the run says so; on request all change it at once."""
    before = {name: started(nodes[name]) for name in MEMBERS}
    run = scenario.play(
        variables={"alfresco_sync_cluster_password": "another one", "alfresco_sync_cluster_stop_all": True}
    ).check()
    assert {host for host, task in run.changed if task.endswith("Stop all members")} == set(MEMBERS)
    assert all(started(nodes[name]) != before[name] for name in MEMBERS)
    assert len(rows(nodes)) == 3
    # By hand on one member, which then is on its way to be started with it
    said = nodes["sync3"].out("cat", CONFIG)
    nodes["sync3"].out("systemctl", "stop", UNIT)
    nodes["sync3"].write(CONFIG, said.replace("another one", "a third one"))
    nodes["sync3"].out("systemctl", "start", UNIT)
    wait_for(
        lambda: nodes["sync3"].run("systemctl", "is-active", UNIT).stdout.strip() in ("failed", "inactive"),
        "its end",
        60,
    )
    log = nodes["sync3"].out("tail", "-n", "200", "/opt/service-sync/logs/sync-service.log")
    assert "Incompatible group password" in log and f"{addresses['sync3']}:5701" not in rows(nodes)
    back = scenario.play(variables={"alfresco_sync_cluster_stop_all": True}).check()
    assert back.changed and len(rows(nodes)) == 3


def test_exported_is_what_was_asked_for(scenario: Scenario) -> None:
    """What is configured can be written down in the role's variables, without the password."""
    variables = {
        "entry_role": "clusterkit.middleware.alfresco_sync_cluster",
        "entry_hosts": "sync1",
        "entry_points": ["export"],
    }
    run = scenario.play(scenario.directory.parent / "shared" / "entry_points.yml", variables=variables).check()
    assert run.facts["sync1"]["alfresco_sync_cluster_exported"] == {
        "alfresco_sync_cluster_home": "/opt/service-sync",
        "alfresco_sync_cluster_interface": "10.*.*.*",
        "alfresco_sync_cluster_bind_any": False,
        "alfresco_sync_cluster_port": 5701,
        "alfresco_sync_cluster_check_timeout_ms": 4000,
        "alfresco_sync_cluster_max_no_heartbeat_seconds": 15,
    }
    assert "canary" not in run.output.lower()


def test_a_member_leaves_and_comes_back(scenario: Scenario, nodes: Nodes, addresses: dict[str, str]) -> None:
    """After `remove` it is stopped, unclustered and unregistered, and the others are a cluster of two."""
    variables = {
        "entry_role": "clusterkit.middleware.alfresco_sync_cluster",
        "entry_hosts": "sync3",
        "entry_points": ["remove"],
    }
    scenario.play(scenario.directory.parent / "shared" / "entry_points.yml", variables=variables).check()
    assert rows(nodes) == sorted(f"{addresses[name]}:5701" for name in ("sync1", "sync2"))
    assert nodes["sync3"].read(f"/etc/systemd/system/{UNIT}") is None
    assert "enabled: false" in nodes["sync3"].out("cat", CONFIG)
    two = functools.partial(nodes["sync1"].out, "tail", "-n", "40", "/opt/service-sync/logs/sync-service.log")
    wait_for(lambda: "Members [2]" in two(), "a cluster of two", 30)
    assert {host for host, _task in scenario.play().check().changed} == {"sync3"}
    assert len(rows(nodes)) == 3
