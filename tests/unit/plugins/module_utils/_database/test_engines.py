# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The statements that bring a server to what is wanted, and what a client's programs are given to connect."""

from __future__ import annotations

import pathlib
from typing import Any, Mapping

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Outcome, Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._database import mariadb, postgresql
from ansible_collections.clusterkit.middleware.plugins.module_utils._database.engine import Access, Engine, Wanted
from ansible_collections.clusterkit.middleware.plugins.module_utils._database.engines import engine_for
from ansible_collections.clusterkit.middleware.plugins.module_utils._database.passwords import native, scram

PASSWORD = "Canary #!0^(' \"$%\\`;& Grüße"


class Told(Runner):
    """A client whose answers are given, by a part of the statement; what it was told is kept."""

    def __init__(self, answers: Mapping[str, str]) -> None:
        super().__init__()
        self.answers = answers
        self.statements: list[str] = []
        self.argv: list[list[str]] = []
        self.env: dict[str, str] = {}
        self.read: list[str] = []

    def execute(self, argv: list[str], stdin: bytes, env: dict[str, str], cwd: str | None, limit: float) -> Outcome:
        statement = stdin.decode()
        self.argv.append(argv)
        self.env = env
        self.read = [pathlib.Path(f"/proc/self/fd/{number}").read_text(encoding="utf-8") for number in self.inherited]
        self.statements.append(statement)
        for part, answer in self.answers.items():
            if part in statement:
                return Outcome(0, answer.encode())
        return Outcome(0, b"")


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in (mariadb.MariaDB, postgresql.PostgreSQL):
        monkeypatch.setattr(kind, "program", lambda _self, names: names[0])


def server(engine: str, answers: Mapping[str, str], **access: Any) -> tuple[Engine, Told]:
    """Return a server with these answers."""
    told = Told(answers)
    return engine_for(Access(engine, **access), told), told


WANTED = Wanted("my_shop", "keeper", PASSWORD, ["192.0.2.1"], ["SELECT", "INSERT"], "utf8mb4", "", tls=False)
LETTERS = {"FROM information_schema.SCHEMATA": "utf8mb4\tutf8mb4_general_ci\n"}


def test_mariadb_makes_what_is_not_there() -> None:
    engine, _told = server("mariadb", {})
    plan = engine.plan(WANTED)
    assert plan.statements == [
        "CREATE DATABASE `my_shop` CHARACTER SET utf8mb4",
        f"CREATE USER 'keeper'@'192.0.2.1' IDENTIFIED BY PASSWORD '{native(PASSWORD)}'",
        "GRANT INSERT, SELECT ON `my\\_shop`.* TO 'keeper'@'192.0.2.1'",
    ]
    assert PASSWORD not in str(plan.differences.diff())


def test_mariadb_leaves_what_is_right() -> None:
    engine, _told = server(
        "mariadb",
        {
            **LETTERS,
            "FROM mysql.user": f"192.0.2.1\tmysql_native_password\t{native(PASSWORD)}\t\n",
            "USER_PRIVILEGES": "USAGE\n",
            "SCHEMA_PRIVILEGES": "SELECT\tNO\nINSERT\tNO\n",
        },
    )
    plan = engine.plan(WANTED)
    assert plan.statements == [] and not plan.differences.changed


def test_mariadb_takes_away_what_is_too_much() -> None:
    engine, _told = server(
        "mariadb",
        {
            **LETTERS,
            "FROM mysql.user": "192.0.2.1\tunix_socket\t\tANY\n%\tmysql_native_password\t*0\t\n",
            "USER_PRIVILEGES": "SUPER\nFILE\n",
            "SCHEMA_PRIVILEGES": "SELECT\tYES\nINSERT\tYES\nDROP\tYES\n",
        },
    )
    assert engine.plan(WANTED).statements == [
        f"ALTER USER 'keeper'@'192.0.2.1' IDENTIFIED BY PASSWORD '{native(PASSWORD)}'",
        "ALTER USER 'keeper'@'192.0.2.1' REQUIRE NONE",
        "REVOKE ALL PRIVILEGES ON *.* FROM 'keeper'@'192.0.2.1'",
        "REVOKE DROP, GRANT OPTION ON `my\\_shop`.* FROM 'keeper'@'192.0.2.1'",
        "DROP USER 'keeper'@'%'",
    ]


@pytest.mark.parametrize("engine", ["mariadb", "postgresql"])
def test_other_letters_are_refused(engine: str) -> None:
    answers = {"information_schema.SCHEMATA": "latin1\tlatin1_swedish_ci\n"}
    if engine == "postgresql":
        answers = {"FROM pg_database": "LATIN1\x1fC\x1fC\x1fkeeper\x1ff", "count(*)": "3"}
    with pytest.raises(ClusterkitError, match=r"character set (?i:latin1)"):
        server(engine, answers)[0].plan(WANTED)


def test_postgresql_makes_what_is_not_there() -> None:
    engine, _told = server("postgresql", {})
    role, database, revoke = engine.plan(WANTED).statements
    assert role.startswith('CREATE ROLE "keeper" LOGIN PASSWORD \'SCRAM-SHA-256$4096:')
    assert database == 'CREATE DATABASE "my_shop" OWNER "keeper" TEMPLATE template0 ENCODING \'utf8mb4\''
    assert revoke == 'REVOKE CONNECT, TEMPORARY ON DATABASE "my_shop" FROM PUBLIC'


def there(powers: str, kept: str, public: str) -> dict[str, str]:
    """Return what PostgreSQL says of a role and a database."""
    return {
        "FROM pg_authid": "\x1f".join(["t", *powers, kept]),
        "FROM pg_database": f"utf8mb4\x1fC\x1fC\x1fkeeper\x1f{public}",
        "count(*)": "3",
    }


def test_postgresql_leaves_what_is_right_and_takes_away_what_is_too_much() -> None:
    plan = server("postgresql", there("fffff", scram(PASSWORD), "f"))[0].plan(WANTED)
    assert plan.statements == [] and not plan.differences.changed
    powers, password, revoke = server("postgresql", there("tftff", "md5x", "t"))[0].plan(WANTED).statements
    assert powers == 'ALTER ROLE "keeper" NOSUPERUSER NOCREATEDB'
    assert password.startswith('ALTER ROLE "keeper" PASSWORD \'SCRAM-SHA-256$')
    assert revoke.startswith("REVOKE CONNECT")


def test_who_owns_what_stays_may_not_log_in() -> None:
    answers = {**there("fffff", "x", "f"), "SELECT 1 FROM pg_roles": "1", "SELECT rolcanlogin": "t"}
    engine, _told = server("postgresql", answers)
    assert engine.removal(WANTED, drop=False).statements == ['ALTER ROLE "keeper" NOLOGIN PASSWORD NULL']
    assert engine.removal(WANTED, drop=True).statements == [
        'DROP DATABASE "my_shop" WITH (FORCE)',
        'DROP ROLE "keeper"',
    ]
    engine, _told = server("mariadb", {**LETTERS, "FROM mysql.user": "192.0.2.1\tx\ty\t\n"})
    assert engine.removal(WANTED, drop=True).statements == [
        "DROP USER 'keeper'@'192.0.2.1'",
        "DROP DATABASE `my_shop`",
    ]


def test_rights_of_a_connection() -> None:
    engine, told = server(
        "mariadb",
        {"USER_PRIVILEGES": "USAGE\nFILE\n", "SCHEMA_PRIVILEGES": "SELECT\n"},
        host="db",
        user="keeper",
        password=PASSWORD,
    )
    assert engine.rights("my_shop", ["SELECT", "INSERT"]) == {"missing": ["INSERT"], "surplus": ["FILE"]}
    engine, told = server("postgresql", {"has_database": "t\x1ff\x1ft\x1ff", "rolsuper": "t\x1ff\x1ff\x1ff\x1ff"})
    found = engine.rights("my_shop", ["CONNECT", "CREATE"])
    assert found == {"missing": ["CREATE", "USAGE on schema public"], "surplus": ["SUPERUSER"]}
    assert "runuser" in told.argv[0]


@pytest.mark.parametrize("engine", ["mariadb", "postgresql"])
def test_passwords_are_in_no_argument_and_no_environment(engine: str) -> None:
    made, told = server(engine, {}, host="db", user="keeper", password=PASSWORD, authority="CERTIFICATE")
    made.query("SELECT 1", "my_shop")
    assert PASSWORD not in " ".join(told.argv[0]) and PASSWORD not in str(told.env)
    assert told.read[0] == "CERTIFICATE"
    expected = {
        "mariadb": 'password="Canary #!0^(\' \\"$%\\\\`;& Grüße"\nssl\n',
        "postgresql": "*:*:*:*:Canary #!0^(' \"$%\\\\`;& Grüße\n",
    }
    assert expected[engine] in told.read[1]


def test_texts_and_names_are_quoted() -> None:
    assert mariadb.quoted("it's") == "'it''s'"
    assert mariadb.quoted("a\\b") == "CONVERT(0x615c62 USING utf8mb4)"
    assert mariadb.named("a`b") == "`a``b`"
    assert postgresql.quoted("it's") == "'it''s'"
    assert postgresql.quoted("a\\'b").strip() == "E'a\\\\''b'"
    assert postgresql.named('a"b') == '"a""b"'
    assert postgresql.passfile("a:b\\c") == "a\\:b\\\\c"
