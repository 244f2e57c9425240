# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups of database and application data as a pair: written while users write, restored together or not at all."""

from __future__ import annotations

import json
from typing import Any

from molecule.shared.scenario import Node, Scenario

UNIT = "deploy-server.service"
#: Seconds for a run on a busy machine.
LIMIT = 600
VARIABLES = {"deploy_cluster_database_host": "d1", "deploy_cluster_database_name": "deploy"}
ASK = """
import sys, urllib.request
data = sys.argv[3].encode() if sys.argv[3:] else None
request = urllib.request.Request("http://127.0.0.1:8080" + sys.argv[2], method=sys.argv[1], data=data)
print(urllib.request.urlopen(request, timeout=20).read().decode())
"""


def ask(node: Node, *request: str) -> str:
    """Ask a server: method, path, body."""
    return node.out("python3", "-c", ASK, *request)


def state(nodes: dict[str, Node]) -> tuple[str, str]:
    """Return what each server shows: rows, and names of files."""
    seen = set()
    for name in ("s1", "s2"):
        rows, files = ask(nodes[name], "GET", "/rows"), ask(nodes[name], "GET", "/files")
        seen.add((rows.partition('"rows"')[2], files.partition('"names"')[2]))
    assert len(seen) == 1
    return seen.pop()


def run(nodes: dict[str, Node]) -> None:
    """Assert that both servers run."""
    assert [nodes[name].run("systemctl", "is-active", UNIT).stdout.strip() for name in ("s1", "s2")] == ["active"] * 2


def written(scenario: Scenario, **variables: Any) -> dict[str, Any]:
    """Write a pair by the playbook, and return the manifest of the data's half."""
    done = scenario.play(
        "clusterkit.middleware.backup", "--limit", "deploy_servers", variables={**VARIABLES, **variables}, limit=LIMIT
    )
    manifest: dict[str, Any] = done.check().facts["s1"]["deploy_cluster_written"]
    return manifest


def test_a_pair_is_restored_as_one(scenario: Scenario, nodes: dict[str, Node]) -> None:
    """Halves of two pairs are refused; those of one bring back what was, and keep what is."""
    ask(nodes["s1"], "POST", "/rows", "in the backup")
    ask(nodes["s2"], "PUT", "/files/in-the-backup.txt", "in the backup")
    first = written(scenario)
    assert nodes["s1"].out("stat", "-c", "%a", first["file"]).strip() == "600"
    before = state(nodes)
    ask(nodes["s2"], "POST", "/rows", "after the backup")
    ask(nodes["s1"], "PUT", "/files/after-the-backup.txt", "after the backup")
    after = state(nodes)
    second = written(scenario, deploy_cluster_backup_offline=True)
    run(nodes)
    assert second["belongs_to"]["offline"] is True

    wrong = {"deploy_cluster_restore": first["file"], "deploy_cluster_restore_database": second["belongs_to"]["file"]}
    refused = scenario.play("clusterkit.middleware.restore", variables={**VARIABLES, **wrong}, limit=LIMIT)
    assert "restore both halves of one pair" in refused.complaint()
    assert refused.changed == set()
    run(nodes)
    assert state(nodes) == after

    right = {**VARIABLES, "deploy_cluster_restore": first["file"]}
    done = scenario.play("clusterkit.middleware.restore", variables=right, limit=LIMIT).check()
    assert state(nodes) == before != after
    run(nodes)
    assert done.facts["s1"]["deploy_cluster_verification"]["ok"]
    kept = nodes["s1"].out("sh", "-c", "ls /media/share/appdata/.clusterkit-appdata/before-*/var/repository")
    assert "after-the-backup.txt" in kept
    assert scenario.play("clusterkit.middleware.deploy_servers", limit=LIMIT).check().changed == set()


def test_a_damaged_half_is_refused(scenario: Scenario, nodes: dict[str, Node]) -> None:
    """Nothing is stopped for it."""
    file = nodes["s1"].out("sh", "-c", "ls /var/backups/deploy_cluster/*.gz | tail -1").strip()
    nodes["s1"].out("sh", "-c", f"cp {file} /root/kept && echo more >> {file}")
    try:
        variables = {**VARIABLES, "deploy_cluster_restore": file}
        refused = scenario.play("clusterkit.middleware.restore", variables=variables, limit=LIMIT)
        assert "it was changed" in refused.complaint()
        assert refused.changed == set()
    finally:
        nodes["s1"].out("cp", "/root/kept", file)
    run(nodes)


def test_a_restore_that_has_not_ended_stops_every_other_run(scenario: Scenario, nodes: dict[str, Node]) -> None:
    """Until it is called again data and database may not fit."""
    note = "/media/share/appdata/.clusterkit-appdata/restore.json"
    nodes["s1"].write(note, json.dumps({"file": "/x", "names": None}))
    try:
        told = scenario.play("clusterkit.middleware.deploy_servers", limit=LIMIT).complaint()
        assert "A restore has begun and not ended (seen on s1, s2)" in told
    finally:
        nodes["s1"].out("rm", note)
