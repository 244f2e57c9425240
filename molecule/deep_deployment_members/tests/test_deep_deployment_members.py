# SPDX-License-Identifier: GPL-3.0-or-later
"""What somebody had by hand is taken over: list, user, key, cron. A source that is gone; a server that leaves."""

from __future__ import annotations

from typing import Any

from molecule.shared.scenario import Node, Scenario, wait_for

Nodes = dict[str, Node]
SERVER, SETUP = "/opt/mi/repository/deployment/server", "/home/depsync/setup"
PROGRAM = "/usr/local/sbin/clusterkit-deployment-sync"
SETTINGS = "/etc/clusterkit/deployment_sync.json"
OWN_KEY = "/etc/clusterkit/deployment_sync.key"
WATCH = "clusterkit-deployment-sync-watch.service"
SYNC, FAILOVER = "clusterkit.middleware.deployment_sync", "clusterkit.middleware.deployment_failover"
#: The cluster as it is when nothing is left of what was by hand.
PLAIN: dict[str, Any] = {
    "deployment_sync_nodes_list": "",
    "deployment_sync_existing_key": "",
    "deployment_sync_schedule": "timer",
    "deployment_sync_on_change": True,
}


def test_what_was_by_hand_is_taken_over(nodes: Nodes) -> None:
    """Files lie where the list says, and are its user's; the key is the one that was there, let in for nothing else."""
    public = nodes["n1"].out("ssh-keygen", "-y", "-f", "/home/depsync/depsync.pem").split()[1]
    assert nodes["n1"].read(OWN_KEY) is None
    for name in ("n2", "n3"):
        assert nodes[name].read(f"{SETUP}/n1.car") == "n1\n"
        assert nodes[name].out("stat", "-c", "%U", f"{SETUP}/n1.car").strip() == "depsync"
        (line,) = str(nodes[name].read("/home/depsync/.ssh/authorized_keys")).splitlines()
        assert line.startswith('restrict,from="') and public in line
        assert nodes[name].read(f"{SERVER}/{name}.car") == f"{name}\n"


def test_cron_synchronises(nodes: Nodes) -> None:
    """Each minute, by cron alone: no timer, no watch."""
    for unit in ("clusterkit-deployment-sync.timer", WATCH):
        assert nodes["n1"].run("systemctl", "is-active", unit).returncode != 0
    nodes["n1"].write(f"{SERVER}/cron.car", "cron")
    for name in ("n2", "n3"):
        wait_for(lambda name=name: nodes[name].read(f"{SETUP}/cron.car") == "cron", "cron", limit=150)


def test_a_list_that_names_a_stranger_is_refused(scenario: Scenario, nodes: Nodes) -> None:
    """Before a change, with its name."""
    listed = str(nodes["n1"].read("/home/depsync/nodes-list.txt"))
    nodes["n1"].write("/home/depsync/nodes-list.txt", listed + "depsync@n9:~/setup/\n")
    refused = scenario.play(SYNC)
    nodes["n1"].write("/home/depsync/nodes-list.txt", listed)
    assert "n9, which is no member" in refused.complaint() and refused.changed == set()


def test_a_source_that_is_gone_is_replaced(scenario: Scenario, nodes: Nodes) -> None:
    """The others go on without it; when it is back it gives nobody anything, and becomes a receiver."""
    scenario.play(SYNC, variables=PLAIN).check()
    assert nodes["n2"].read(f"{SERVER}/n1.car") == "n1\n"
    nodes["n1"].engine("kill")
    try:
        lost = scenario.play(FAILOVER, variables={**PLAIN, "deployment_sync_source": "n2"})
        assert lost.rc != 0
        gone = {**PLAIN, "deployment_sync_source": "n2", "deployment_sync_dead": "n1"}
        scenario.play(FAILOVER, variables=gone).check()
        nodes["n2"].write(f"{SERVER}/after.car", "after")
        wait_for(lambda: nodes["n3"].read(f"{SERVER}/after.car") == "after", "the new source's", limit=60)
    finally:
        nodes["n1"].engine("start")
    wait_for(lambda: nodes["n1"].run("systemctl", "is-active", "ssh.service").returncode == 0, "n1", limit=90)
    nodes["n1"].write(f"{SERVER}/stale.car", "stale")
    assert nodes["n1"].run(PROGRAM, "run", "--wait", "60", limit=120).returncode != 0
    assert nodes["n2"].read(f"{SERVER}/stale.car") is None and nodes["n3"].read(f"{SERVER}/stale.car") is None
    scenario.play(SYNC, variables={**PLAIN, "deployment_sync_source": "n2"}).check()
    assert nodes["n1"].read(f"{SERVER}/after.car") == "after" and nodes["n1"].read(f"{SERVER}/stale.car") is None
    assert "stale" in nodes["n1"].out("sh", "-c", "cat /var/backups/clusterkit/deployment_sync/*/stale.car")


def test_a_server_leaves(scenario: Scenario, nodes: Nodes) -> None:
    """The others forget it, it keeps its artifacts and nothing else; the rest goes on."""
    variables = {**PLAIN, "deployment_sync_source": "n2", "node": "n3"}
    scenario.play("clusterkit.middleware.remove_node", variables=variables).check()
    assert nodes["n3"].read(f"{SERVER}/after.car") == "after"
    for path in (SETTINGS, PROGRAM):
        assert nodes["n3"].read(path) is None
    assert not nodes["n3"].read("/root/.ssh/authorized_keys")
    assert "n3" not in str(nodes["n2"].read(SETTINGS)) + str(
        nodes["n2"].read("/etc/clusterkit/deployment_sync.known_hosts")
    )
    nodes["n2"].write(f"{SERVER}/left.car", "left")
    wait_for(lambda: nodes["n1"].read(f"{SERVER}/left.car") == "left", "the rest", limit=60)
    assert nodes["n3"].read(f"{SERVER}/left.car") is None
