# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PostgreSQL."""

from __future__ import annotations

import contextlib
from typing import Any, Iterator, Mapping, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._database.engine import Engine, Plan, Wanted
from ansible_collections.clusterkit.middleware.plugins.module_utils._database.passwords import is_scram_of, scram

_ROW = "\x1e"
_FIELD = "\x1f"
#: What a role may be beyond logging in, as pg_roles names it and as ALTER ROLE takes it away.
_POWERS = {
    "rolsuper": "SUPERUSER",
    "rolcreaterole": "CREATEROLE",
    "rolcreatedb": "CREATEDB",
    "rolreplication": "REPLICATION",
    "rolbypassrls": "BYPASSRLS",
}


def quoted(text: str) -> str:
    """Return a text as a string of SQL, whatever standard_conforming_strings says."""
    text = text.replace("'", "''")
    return " E'" + text.replace("\\", "\\\\") + "'" if "\\" in text else f"'{text}'"


def named(name: str) -> str:
    """Return a name as an identifier of SQL."""
    return '"' + name.replace('"', '""') + '"'


def passfile(text: str) -> str:
    """Return a text as a field of a password file."""
    return text.replace("\\", "\\\\").replace(":", "\\:")


class PostgreSQL(Engine):
    """A server of PostgreSQL."""

    client = ("psql",)
    dumper = ("pg_dump",)
    server_processes = ("postgres",)
    default_port = 5432
    # Of a key made anew for each dump
    noise = (b"\\restrict ", b"\\unrestrict ")

    @contextlib.contextmanager
    def connection(self, program: str) -> Iterator[tuple[list[str], dict[str, str]]]:
        """Yield the words with which one of the client's programs begins to connect, and its environment."""
        access = self.access
        env = {"PGCONNECT_TIMEOUT": str(access.connect_seconds), "PGCLIENTENCODING": "UTF8", "PGPORT": str(self.port)}
        if not access.host:
            yield ["runuser", "-u", "postgres", "--", program, "--no-password"], env
            return
        env.update(PGHOST=access.host, PGUSER=access.user)
        with self.runner.secret_files(*self.authorities()) as authority:
            env.update({"PGSSLMODE": "verify-full", "PGSSLROOTCERT": authority[0]} if authority else {})
            with self.runner.secret_files(f"*:*:*:*:{passfile(access.password)}\n", mode=0o600) as (path,):
                yield [program, "--no-password"], {**env, "PGPASSFILE": path}

    def query(self, statement: str, database: str = "") -> list[list[str]]:
        """Return the rows that a statement gives."""
        with self.connection(self.program(self.client)) as (argv, env):
            done = self.runner.run(
                [
                    *argv,
                    *("--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"),
                    *(f"--record-separator={_ROW}", f"--field-separator={_FIELD}", "--pset=null=NULL"),
                    f"--dbname={database or self.access.database or 'postgres'}",
                ],
                stdin=f"{statement};\n",
                env=env,
                cwd="/",
                secrets=[self.access.password] if self.access.password else [],
            )
        return [row.split(_FIELD) for row in done.stdout.strip(f"\n{_ROW}").split(_ROW) if row]

    def version(self) -> str:
        """Return the server's version."""
        return self.query("SHOW server_version")[0][0].split()[0]

    def look(self, database: str) -> dict[str, Any] | None:
        """Return what a database is: charset, collation, tables, unsafe (tables); None where there is none."""
        found = self.query(
            "SELECT pg_encoding_to_char(encoding), datcollate, datctype, pg_get_userbyid(datdba), "
            "has_database_privilege('public', oid, 'CONNECT') OR has_database_privilege('public', oid, 'TEMPORARY') "
            f"FROM pg_database WHERE datname = {quoted(database)}"
        )
        if not found:
            return None
        charset, collation, kind, owner, public = found[0]
        tables = self.query(
            "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE "
            "c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema') "
            "AND n.nspname NOT LIKE 'pg\\_toast%'",
            database,
        )
        return {
            "charset": charset,
            "collation": collation,
            "kind": kind,
            "owner": owner,
            "public": public == "t",
            "tables": int(tables[0][0]),
            "unsafe": [],
        }

    def sessions(self, database: str) -> list[str]:
        """Return who is connected to a database now."""
        rows = self.query(
            "SELECT usename || '@' || coalesce(host(client_addr), 'localhost') || ':' || coalesce(client_port, 0) "
            f"FROM pg_stat_activity WHERE datname = {quoted(database)} AND pid <> pg_backend_pid() "
            "AND backend_type = 'client backend'"
        )
        return sorted(row[0] for row in rows)

    def plan(self, wanted: Wanted) -> Plan:
        """Return what has to change. Raises ClusterkitError for a database whose letters are others."""
        plan = Plan()
        database = self.look(wanted.database)
        if database and database["charset"] != wanted.charset:
            raise ClusterkitError(
                f"database {wanted.database} has the character set {database['charset']}, not {wanted.charset}: "
                "convert it, or say that it is right"
            )
        if database and wanted.collation and database["collation"] != wanted.collation:
            raise ClusterkitError(
                f"database {wanted.database} has the collation {database['collation']}, not {wanted.collation}: "
                "convert it, or say that it is right"
            )
        self._role(plan, wanted)
        letters = f"ENCODING {quoted(wanted.charset)}"
        if wanted.collation:
            letters += f" LC_COLLATE {quoted(wanted.collation)} LC_CTYPE {quoted(wanted.collation)}"
        name, user = named(wanted.database), named(wanted.user)
        plan.add(
            f"database {wanted.database}",
            "present",
            "present" if database else None,
            [f"CREATE DATABASE {name} OWNER {user} TEMPLATE template0 {letters}"],
        )
        if database:
            plan.add(
                f"owner of {wanted.database}",
                wanted.user,
                database["owner"],
                [f"ALTER DATABASE {name} OWNER TO {user}"],
            )
        plan.add(
            f"{wanted.database} open to every user of the server",
            False,
            not database or database["public"],
            [f"REVOKE CONNECT, TEMPORARY ON DATABASE {name} FROM PUBLIC"],
        )
        return plan

    def removal(self, wanted: Wanted, drop: bool) -> Plan:
        """Return what has to change for the user to be gone, and the database where `drop`."""
        plan = Plan()
        database = self.look(wanted.database)
        user = named(wanted.user)
        if database and drop:
            name = named(wanted.database)
            plan.add(f"database {wanted.database}", None, "present", [f"DROP DATABASE {name} WITH (FORCE)"])
        if self.query(f"SELECT 1 FROM pg_roles WHERE rolname = {quoted(wanted.user)}"):
            statements = [f"DROP ROLE {user}"]
            if database and not drop:
                # It owns what stays: it stays as well, and may not log in
                statements = [f"ALTER ROLE {user} NOLOGIN PASSWORD NULL"]
                can = self.query(f"SELECT rolcanlogin FROM pg_roles WHERE rolname = {quoted(wanted.user)}")[0][0]
                plan.add(f"user {wanted.user} logs in", False, can == "t", statements)
            else:
                plan.add(f"user {wanted.user}", None, "present", statements)
        return plan

    def rights(self, database: str, wanted: Sequence[str]) -> dict[str, list[str]]:
        """Return which of the wanted rights this connection's user lacks (missing), and what is beyond (surplus)."""
        asked = [f"has_database_privilege(current_database(), {quoted(one)})" for one in wanted]
        asked += [f"has_schema_privilege('public', {quoted(one)})" for one in ("CREATE", "USAGE")]
        row = self.query("SELECT " + ", ".join(asked), database)[0]
        names = [*wanted, "CREATE on schema public", "USAGE on schema public"]
        powers = self.query(f"SELECT {', '.join(_POWERS)} FROM pg_roles WHERE rolname = current_user")[0]
        return {
            "missing": [name for name, has in zip(names, row) if has != "t"],
            "surplus": [power for power, has in zip(_POWERS.values(), powers) if has == "t"],
        }

    def encryption(self, database: str) -> str:
        """Return the version of TLS that this connection uses, empty for none."""
        rows = self.query("SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl", database)
        return rows[0][0] if rows else ""

    def create_like(self, name: str, model: Mapping[str, Any]) -> None:
        """Make an empty database that is as another one was when `look` saw it."""
        letters = (
            f"ENCODING {quoted(model['charset'])} LC_COLLATE {quoted(model['collation'])} "
            f"LC_CTYPE {quoted(model['kind'])}"
        )
        owner = f"OWNER {named(model['owner'])} " if model["owner"] else ""
        self.query(f"CREATE DATABASE {named(name)} {owner}TEMPLATE template0 {letters}")
        if not model["public"]:
            self.query(f"REVOKE CONNECT, TEMPORARY ON DATABASE {named(name)} FROM PUBLIC")

    def drop(self, name: str) -> None:
        """Remove a database, where it is there."""
        self.query(f"DROP DATABASE IF EXISTS {named(name)} WITH (FORCE)")

    def replace(self, name: str, scratch: str, model: Mapping[str, Any]) -> bool:
        """Let a database take another one's place, by its name."""
        former = f"{scratch}_former"
        if self.look(name):
            self.drop(former)
            own = (
                f"FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase AND d.datname = {quoted(name)}"
            )
            if self.query(f"SELECT 1 {own} LIMIT 1"):
                # What was set for the database itself is no part of a dump
                self.query(
                    f"INSERT INTO pg_db_role_setting SELECT fresh.oid, s.setrole, s.setconfig {own}, "
                    f"pg_database fresh WHERE fresh.datname = {quoted(scratch)}"
                )
            self.query(f"ALTER DATABASE {named(name)} RENAME TO {named(former)}")
        self.query(f"ALTER DATABASE {named(scratch)} RENAME TO {named(name)}")
        self.drop(former)
        return True

    def dump(self, database: str, locked: bool) -> list[str]:
        """Return the arguments, after those of the connection, that write a database as statements."""
        return ["--format=plain", "--encoding=UTF8", f"--dbname={database}"]

    def load(self, database: str) -> list[str]:
        """Return the arguments, after those of the connection, that take statements into a database."""
        return [
            *("--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--single-transaction", "--output=/dev/null"),
            f"--dbname={database}",
        ]

    def _role(self, plan: Plan, wanted: Wanted) -> None:
        user = named(wanted.user)
        rows = self.query(
            f"SELECT rolcanlogin, {', '.join(f'a.{one}' for one in _POWERS)}, rolpassword FROM pg_authid a "
            f"WHERE rolname = {quoted(wanted.user)}"
        )
        what = f"user {wanted.user}"
        verifier = quoted(scram(wanted.password))
        plan.add(what, "present", "present" if rows else None, [f"CREATE ROLE {user} LOGIN PASSWORD {verifier}"])
        if not rows:
            return
        login, *powers, kept = rows[0]
        plan.add(f"{what} logs in", True, login == "t", [f"ALTER ROLE {user} LOGIN"])
        has = [power for power, there in zip(_POWERS.values(), powers) if there == "t"]
        plan.add(f"powers of {what}", [], has, [f"ALTER ROLE {user} {' '.join(f'NO{power}' for power in has)}"])
        if not is_scram_of(kept, wanted.password):
            plan.add(f"password of {what}", verifier, kept, [f"ALTER ROLE {user} PASSWORD {verifier}"], secret=True)
