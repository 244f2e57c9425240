# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups and restores that are killed at random moments: what is there afterwards is whole, and told."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from molecule.shared.scenario import Node, Scenario

Nodes = dict[str, Node]
DATABASE = "shop_1"
SERVERS = {"mariadb": "m1", "postgresql": "p1"}
ADMINISTRATOR = {
    "mariadb": ["mariadb", "--batch", "--skip-column-names", DATABASE],
    "postgresql": ["runuser", "-u", "postgres", "--", *("psql", "-qAtX", "-v", "ON_ERROR_STOP=1", "-d", DATABASE)],
}
NUMBERS = {
    "mariadb": "SELECT seq, REPEAT(MD5(seq), 20) FROM seq_1_to_100000",
    "postgresql": "SELECT i, repeat(md5(i::text), 20) FROM generate_series(1, 100000) AS i",
}
#: Long enough for the moments to be spread over all that is done.
MOMENTS = 12


def say(nodes: Nodes, engine: str, statement: str) -> str:
    """Return what the server's administrator is answered."""
    return nodes[SERVERS[engine]].out(*ADMINISTRATOR[engine], stdin=statement, limit=120).strip()


def program(nodes: Nodes, engine: str, *words: str) -> dict[str, Any]:
    """Run the program that the timers run."""
    done = nodes[SERVERS[engine]].run("clusterkit-database", DATABASE, *words, limit=300)
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def killed(nodes: Nodes, engine: str, seconds: float, *words: str) -> bool:
    """Run the program and kill it after a time; tell whether it was still running."""
    argv = ["timeout", "--signal=KILL", f"{seconds:.3f}", "clusterkit-database", DATABASE, *words]
    return nodes[SERVERS[engine]].run(*argv, limit=300).returncode in (124, 137)


@pytest.fixture(params=["mariadb", "postgresql"])
def filled(request: pytest.FixtureRequest, nodes: Nodes) -> Any:
    """Have a table of some 60 MB."""
    engine = str(request.param)
    say(nodes, engine, f"DROP TABLE IF EXISTS numbers; CREATE TABLE numbers AS {NUMBERS[engine]};")
    yield engine
    say(nodes, engine, "DROP TABLE IF EXISTS numbers;")


def test_killed_backups_leave_none_that_does_not_hold(nodes: Nodes, filled: str) -> None:
    """Whatever a kill leaves, each backup that is listed is whole, and the next one works."""
    moments = random.Random(8)  # noqa: S311  # moments, no secrets
    for _number in range(MOMENTS):
        killed(nodes, filled, moments.uniform(0.05, 3.0), "backup")
        for file in program(nodes, filled, "status")["backups"]:
            assert program(nodes, filled, "check", file)["ok"]
    nodes[SERVERS[filled]].out("sleep", "1.1")
    told = program(nodes, filled, "backup")
    assert told["ok"], told
    assert program(nodes, filled, "drill")["ok"]
    left = nodes[SERVERS[filled]].out("ls", "-A", "/var/backups/app_database").split()
    assert not [name for name in left if "incoming" in name], left


def test_killed_restores_are_told_and_made_up_for(scenario: Scenario, nodes: Nodes, filled: str) -> None:
    """After a kill at any moment the same command, run again, gives the database of the backup."""
    nodes[SERVERS[filled]].out("sleep", "1.1")
    file = program(nodes, filled, "backup")["file"]
    server = SERVERS[filled]
    moments = random.Random(9)  # noqa: S311  # moments, no secrets
    interrupted = 0
    for _number in range(MOMENTS):
        say(nodes, filled, "DELETE FROM numbers;")
        if not killed(nodes, filled, moments.uniform(0.1, 12.0), "restore", file):
            continue
        interrupted += 1
        status = program(nodes, filled, "status")
        if status["restoring"]:
            run = scenario.play("converge.yml", "--limit", server, "-e", "app_database_connect_limit_seconds=1")
            assert "was interrupted: run it again" in run.complaint()
        nodes[server].out("sleep", "1.1")
        told = program(nodes, filled, "restore", file)
        assert told["ok"], told
        assert say(nodes, filled, "SELECT count(*) FROM numbers;") == "100000"
    assert interrupted >= 3
    databases = {
        "mariadb": "SHOW DATABASES LIKE '%clusterkit%';",
        "postgresql": "SELECT datname FROM pg_database WHERE datname LIKE '%clusterkit%';",
    }
    assert say(nodes, filled, databases[filled]) == ""
    scenario.play("converge.yml", "--limit", server).check()


def test_a_full_disk_is_told_and_leaves_no_backup(nodes: Nodes, filled: str) -> None:
    """A backup that does not fit fails with its reason, and the one before stays."""
    node = nodes[SERVERS[filled]]
    before = program(nodes, filled, "status")["backups"]
    # What may be written is limited, which a process is told in the same way as of a full disk
    done = node.run("bash", "-c", f"ulimit -f 64; exec clusterkit-database {DATABASE} backup", limit=120)
    told = json.loads(done.stdout)
    assert not told["ok"] and done.returncode == 1
    assert program(nodes, filled, "status")["backups"] == before
