# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases of both engines: who gets in and who does not, backups, drills and restores, what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from molecule.shared.scenario import ROOT, Node, Scenario

Nodes = dict[str, Node]
PASSWORD = "Canary #!0^(' \"$%\\`;& Grüße"
ENGINES = pytest.mark.parametrize("engine", ["mariadb", "postgresql"])
SERVERS = {"mariadb": "m1", "postgresql": "p1"}
DATABASE = "shop_1"
#: As the server's administrator, with statements from standard input.
ADMINISTRATOR = {
    "mariadb": ["mariadb", "--batch", "--skip-column-names", DATABASE],
    "postgresql": ["runuser", "-u", "postgres", "--", *("psql", "-qAtX", "-v", "ON_ERROR_STOP=1", "-d", DATABASE)],
}
MARIADB = """
umask 077; printf '[client]\\nhost=m1\\nuser=shop_1\\npassword="%s"\\nconnect-timeout=10\\n' "$1" > /root/my.cnf
exec mariadb --defaults-file=/root/my.cnf $2 --default-character-set=utf8mb4 --batch --skip-column-names shop_1
"""
POSTGRESQL = """
umask 077; printf '*:*:*:*:%s\\n' "$1" > /root/pgpass
export PGPASSFILE=/root/pgpass PGSSLMODE=$2 PGCONNECT_TIMEOUT=10
exec psql -h p1 -U shop_1 -d shop_1 -wqAtX -v ON_ERROR_STOP=1
"""
TABLES = {
    "mariadb": """
        CREATE TABLE orders (id INT AUTO_INCREMENT PRIMARY KEY, what TEXT, picture BLOB);
        CREATE VIEW small AS SELECT id FROM orders WHERE id < 3;
        CREATE TABLE old (i INT) ENGINE=Aria;
        INSERT INTO old VALUES (1);
        INSERT INTO orders (what, picture) VALUES ('Grüße 😀\n''quoted'' \\\\ back', x'00ff0a0d'), (NULL, NULL);
    """,
    "postgresql": """
        CREATE TABLE orders (id SERIAL PRIMARY KEY, what TEXT, picture BYTEA);
        CREATE VIEW small AS SELECT id FROM orders WHERE id < 3;
        INSERT INTO orders (what, picture) VALUES (E'Grüße 😀\n''quoted'' \\\\ back', '\\x00ff0a0d'), (NULL, NULL);
    """,
}
ORDERS = {
    "mariadb": "SELECT id, what, HEX(picture) FROM orders ORDER BY id;",
    "postgresql": "SELECT id, what, encode(picture, 'hex') FROM orders ORDER BY id;",
}
#: One of MariaDB's knows no transactions, so that all are locked for a backup; the deep scenario has none such.
COUNT = {"mariadb": 2, "postgresql": 1}
TRIGGER = {
    "mariadb": "CREATE TRIGGER shout BEFORE INSERT ON orders FOR EACH ROW SET NEW.what = UPPER(NEW.what);",
    "postgresql": """
        CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN NEW.what = upper(NEW.what); RETURN NEW; END $$;
        CREATE TRIGGER shout BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION shout();
    """,
}


def application(node: Node, engine: str, statement: str, password: str = PASSWORD, tls: bool = True) -> Any:
    """Let the application on a server say a statement to its database."""
    if engine == "mariadb":
        escaped = password.replace("\\", "\\\\").replace('"', '\\"')
        words = ["sh", "-c", MARIADB, "sh", escaped, "--ssl" if tls else "--skip-ssl"]
    else:
        escaped = password.replace("\\", "\\\\").replace(":", "\\:")
        words = ["sh", "-c", POSTGRESQL, "sh", escaped, "require" if tls else "disable"]
    return node.run(*words, stdin=statement)


def said(node: Node, engine: str, statement: str) -> str:
    """Return what the application is answered."""
    done = application(node, engine, statement)
    assert done.returncode == 0, done.stderr
    return str(done.stdout).strip()


def administrator(nodes: Nodes, engine: str, statement: str) -> str:
    """Return what the server's administrator is answered."""
    return nodes[SERVERS[engine]].out(*ADMINISTRATOR[engine], stdin=statement).strip()


def program(nodes: Nodes, engine: str, *words: str) -> dict[str, Any]:
    """Run the program that the timers run; it has to succeed."""
    done = nodes[SERVERS[engine]].run("clusterkit-database", DATABASE, *words)
    told: dict[str, Any] = json.loads(done.stdout)
    assert (done.returncode == 0) == told["ok"], done
    return told


@pytest.fixture(params=["mariadb", "postgresql"])
def filled(request: pytest.FixtureRequest, nodes: Nodes) -> Any:
    """Let the application make tables with all kinds of values; they go again."""
    engine = str(request.param)
    said(nodes["a1"], engine, TABLES[engine])
    said(nodes["a1"], engine, TRIGGER[engine])
    yield engine
    administrator(nodes, engine, "DROP VIEW IF EXISTS small; DROP TABLE IF EXISTS orders, old;")
    if engine == "postgresql":
        administrator(nodes, engine, "DROP FUNCTION IF EXISTS shout;")


@ENGINES
def test_only_the_application_gets_in(nodes: Nodes, engine: str) -> None:
    """Both servers do, by TLS; another host does not, nor does a wrong password, nor who comes without TLS."""
    for name in ("a1", "a2"):
        assert said(nodes[name], engine, "SELECT 42;") == "42"
    assert application(nodes["a1"], engine, "SELECT 42;", password="wrong").returncode != 0
    assert application(nodes["a1"], engine, "SELECT 42;", tls=False).returncode != 0
    # The other database server has a client, and is none of the application's
    stranger = nodes["p1" if engine == "mariadb" else "m1"]
    stranger.out("apt-get", "install", "-y", "-qq", f"{engine}-client", limit=120)
    refused = application(stranger, engine, "SELECT 42;")
    assert refused.returncode != 0 and (
        "not allowed" in refused.stderr or "Access denied" in refused.stderr or "rejects connection" in refused.stderr
    ), refused.stderr


@ENGINES
def test_the_application_has_the_rights_it_needs_and_no_others(nodes: Nodes, engine: str) -> None:
    """It makes, fills and removes tables of its own, and neither databases nor users."""
    node = nodes["a2"]
    said(node, engine, "CREATE TABLE t (i INT); ALTER TABLE t ADD j INT; INSERT INTO t VALUES (1, 2); DROP TABLE t;")
    for statement in ("CREATE DATABASE other", "CREATE USER other", f"DROP DATABASE {DATABASE}x"):
        assert application(node, engine, statement + ";").returncode != 0, statement
    if engine == "mariadb":
        # `_` in a database's name stands for itself alone
        nodes["m1"].out("mariadb", "-e", "CREATE DATABASE IF NOT EXISTS shopx1")
        assert "shopx1" not in said(node, engine, "SHOW DATABASES;")
        nodes["m1"].out("mariadb", "-e", "DROP DATABASE shopx1")


def test_backup_change_drill_restore(scenario: Scenario, nodes: Nodes, filled: str) -> None:
    """What a backup has comes back whole, with views and triggers; a drill proves it before, and changes nothing."""
    server = nodes[SERVERS[filled]]
    run = scenario.play(ROOT / "playbooks" / "backup.yml", "--limit", server.name, "-e", "database_drill=true").check()
    backup = run.facts[server.name]["app_database_written"]
    assert backup["tables"] == COUNT[filled]
    assert server.run("sh", "-c", 'gzip -dc "$1" 2>&1', "sh", backup["file"]).returncode != 0, "it is not encrypted"
    status = program(nodes, filled, "status")
    assert status["drill"]["ok"] and status["drill"]["file"] == backup["file"]
    before = said(nodes["a1"], filled, ORDERS[filled])
    assert "Grüße 😀" in before
    if filled == "postgresql":
        administrator(nodes, filled, f"ALTER DATABASE {DATABASE} SET work_mem = '5MB';")
    said(nodes["a1"], filled, "DELETE FROM orders WHERE id = 1; INSERT INTO orders (what) VALUES ('new');")
    changed = said(nodes["a1"], filled, ORDERS[filled])
    assert "NEW" in changed and changed != before
    restore = ["--limit", server.name, "-e", f"app_database_restore={backup['file']}"]
    predicted = scenario.play(ROOT / "playbooks" / "restore.yml", *restore, "--check").check()
    assert said(nodes["a1"], filled, ORDERS[filled]) == changed
    done = scenario.play(ROOT / "playbooks" / "restore.yml", *restore).check()
    assert predicted.changed == done.changed
    assert said(nodes["a1"], filled, ORDERS[filled]) == before
    assert said(nodes["a1"], filled, "SELECT count(*) FROM small;") == "2"
    if filled == "postgresql":
        # What is set for the database itself is in no dump
        assert said(nodes["a1"], filled, "SHOW work_mem;") == "5MB"
    said(nodes["a1"], filled, "INSERT INTO orders (what) VALUES ('again');")
    assert "AGAIN" in said(nodes["a1"], filled, "SELECT what FROM orders;")
    # What was there before the restore was kept as well, and is restored by hand
    newest = program(nodes, filled, "status")["newest"]
    assert newest != backup["file"]
    assert program(nodes, filled, "restore", newest)["ok"]
    assert said(nodes["a1"], filled, ORDERS[filled]) == changed
    assert scenario.play("converge.yml", "--limit", server.name).check().changed == set()


def test_what_cannot_be_restored_is_refused(nodes: Nodes, filled: str) -> None:
    """A changed backup, one with another passphrase, and a database in use: each is told, and nothing changes."""
    server = nodes[SERVERS[filled]]
    before = said(nodes["a1"], filled, ORDERS[filled])
    told = program(nodes, filled, "backup")
    assert told["ok"] and told["tables"] == COUNT[filled]
    server.out(
        "sh", "-c", f"cp -p {told['file']} /root/kept; printf x | dd of={told['file']} bs=1 seek=40 conv=notrunc"
    )
    refused = program(nodes, filled, "restore", told["file"])
    assert not refused["ok"] and "it was changed" in refused["error"]
    assert not program(nodes, filled, "drill", told["file"])["ok"]
    server.out("cp", "-p", "/root/kept", told["file"])
    settings = str(server.read(f"/etc/clusterkit/database-{DATABASE}.json"))
    server.write(f"/etc/clusterkit/database-{DATABASE}.json", settings.replace("Canary of backups", "Another one"))
    refused = program(nodes, filled, "restore", told["file"])
    assert not refused["ok"] and "another passphrase" in refused["error"]
    server.write(f"/etc/clusterkit/database-{DATABASE}.json", settings)
    # Somebody is connected for a while
    wait = {"mariadb": "SELECT SLEEP(60);", "postgresql": "SELECT pg_sleep(60);"}[filled]
    server.write("/root/wait", wait)
    server.out("sh", "-c", f"setsid {' '.join(ADMINISTRATOR[filled])} > /dev/null 2>&1 < /root/wait & sleep 1")
    refused = program(nodes, filled, "restore", told["file"])
    assert not refused["ok"] and "stop its servers first" in refused["error"]
    refused = program(nodes, filled, "backup", "--idle")
    assert not refused["ok"] and "stop its servers first" in refused["error"]
    server.out("pkill", "-f", "mariadb --batch" if filled == "mariadb" else "psql -qAtX")
    assert said(nodes["a1"], filled, ORDERS[filled]) == before
    assert program(nodes, filled, "drill", told["file"])["ok"]


def test_an_external_database_with_wrong_rights_is_refused(scenario: Scenario, nodes: Nodes) -> None:
    """Each of what is wrong with it is told of each server, before anything changes."""
    external = nodes["e1"]
    external.out("mariadb", stdin=f"REVOKE CREATE, INSERT ON `{DATABASE}`.* FROM '{DATABASE}'@'%';")
    run = scenario.play("converge.yml", "--limit", "a1")
    said_of = run.complaint()
    for name in ("a1", "a2"):
        assert f"{name}: the user has not all rights on the database at e1: CREATE, INSERT missing." in said_of
    assert run.changed == set()
    external.out("mariadb", stdin=f"GRANT ALL ON `{DATABASE}`.* TO '{DATABASE}'@'%';")
    run = scenario.play("converge.yml", "--limit", "a1", "-e", "app_database_minimum_version=99")
    assert "99 at least is needed" in run.complaint() and run.changed == set()
    run = scenario.play("converge.yml", "--limit", "a1", "-e", "app_database_charset=latin1")
    assert "utf8mb4, latin1 is needed" in run.complaint() and run.changed == set()
    run = scenario.play("converge.yml", "--limit", "a1", "-e", "app_database_password=not-the-one-it-has")
    assert "Access denied" in run.complaint() and "not-the-one" not in run.output and run.changed == set()
    scenario.play("converge.yml", "--limit", "a1").check()


def test_mistakes_are_told_before_anything_changes(scenario: Scenario) -> None:
    """One run, one clear text for each mistake."""
    wrong = {
        "app_database_database": "Shop-1; DROP",
        "app_database_user": "root",
        "app_database_rights": ["ALL"],
        "app_database_clients_group": "nobody",
        "app_database_backup_keep": 0,
    }
    run = scenario.play("converge.yml", variables=wrong)
    text = run.complaint()
    for part in (
        "app_database_database is Shop-1; DROP - give at most 32 small letters",
        "app_database_user is root, who is the server's own",
        "name the rights that the application needs",
        "app_database_clients_group is nobody, which has no hosts",
        "app_database_backup_keep is 0 - give 1 at least",
    ):
        assert part in text
    assert run.changed == set()
