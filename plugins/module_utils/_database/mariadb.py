# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""MariaDB, and MySQL as far as a server that others run is asked."""

from __future__ import annotations

import contextlib
from typing import Any, Iterator, Mapping, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._database.engine import Engine, Plan, Wanted
from ansible_collections.clusterkit.middleware.plugins.module_utils._database.passwords import native

#: Accounts that are as `IDENTIFIED BY PASSWORD` makes them.
_NATIVE = "mysql_native_password"


def quoted(text: str) -> str:
    """Return a text as a string of SQL, whatever the server's sql_mode says of backslashes."""
    if "\\" not in text and "\0" not in text:
        return "'" + text.replace("'", "''") + "'"
    return "CONVERT(0x" + text.encode().hex() + " USING utf8mb4)"


def named(name: str) -> str:
    """Return a name as an identifier of SQL."""
    return "`" + name.replace("`", "``") + "`"


def pattern(name: str) -> str:
    """Return a database's name as GRANT wants it, where `_` and `%` stand for any letters."""
    return name.replace("_", "\\_").replace("%", "\\%")


class MariaDB(Engine):
    """A server of MariaDB or MySQL."""

    client = ("mariadb", "mysql")
    dumper = ("mariadb-dump", "mysqldump")
    server_processes = ("mariadbd", "mysqld")
    default_port = 3306
    names_database = b"ALTER DATABASE "
    # A view whose definer may not read its tables, as in a scratch database, is written out with their full names
    qualified = b"/*!50001 VIEW "

    @contextlib.contextmanager
    def connection(self, program: str) -> Iterator[tuple[list[str], dict[str, str]]]:
        """Yield the words with which one of the client's programs begins to connect, and its environment."""
        access = self.access
        if not access.host:
            yield [program, "--no-defaults", "--protocol=socket", "--user=root"], {}
            return
        lines = ["[client]", "protocol=tcp", f"host={access.host}", f"port={self.port}", f"user={option(access.user)}"]
        lines.append(f"password={option(access.password)}")
        with self.runner.secret_files(*self.authorities()) as authority:
            if authority:
                lines += ["ssl", f"ssl-ca={authority[0]}", "ssl-verify-server-cert"]
            with self.runner.secret_files("\n".join(lines) + "\n") as (path,):
                yield [program, f"--defaults-file={path}"], {}

    def query(self, statement: str, database: str = "") -> list[list[str]]:
        """Return the rows that a statement gives."""
        more = [f"--connect-timeout={self.access.connect_seconds}", "--default-character-set=utf8mb4"]
        with self.connection(self.program(self.client)) as (argv, env):
            done = self.runner.run(
                [*argv, *more, "--batch", "--skip-column-names", "--skip-reconnect", *([database] if database else [])],
                stdin=f"{statement};\n",
                env=env,
                cwd="/",
                secrets=[self.access.password] if self.access.password else [],
            )
        return [line.split("\t") for line in done.stdout.splitlines()]

    def qualifier(self, database: str) -> bytes:
        """Return what stands before a name that is written out in full."""
        return f"{named(database)}.".encode()

    def version(self) -> str:
        """Return the server's version."""
        return self.query("SELECT VERSION()")[0][0]

    def look(self, database: str) -> dict[str, Any] | None:
        """Return what a database is: charset, collation, tables, unsafe (tables); None where there is none."""
        wanted = quoted(database)
        found = self.query(
            "SELECT DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA "
            f"WHERE SCHEMA_NAME = {wanted}"
        )
        if not found:
            return None
        tables = self.query(
            "SELECT TABLE_NAME, ENGINE FROM information_schema.TABLES "
            f"WHERE TABLE_SCHEMA = {wanted} AND TABLE_TYPE = 'BASE TABLE'"
        )
        return {
            "charset": found[0][0],
            "collation": found[0][1],
            "owner": "",
            "tables": len(tables),
            # A dump in one transaction does not see these as they were at its beginning
            "unsafe": sorted(row[0] for row in tables if row[1].lower() not in ("innodb", "null")),
        }

    def sessions(self, database: str) -> list[str]:
        """Return who is connected to a database now."""
        rows = self.query(
            "SELECT CONCAT(USER, '@', HOST) FROM information_schema.PROCESSLIST "
            f"WHERE DB = {quoted(database)} AND ID <> CONNECTION_ID()"
        )
        return sorted(row[0] for row in rows)

    def plan(self, wanted: Wanted) -> Plan:
        """Return what has to change. Raises ClusterkitError for a database whose letters are others."""
        plan = Plan()
        database = self.look(wanted.database)
        collation = wanted.collation or (database or {}).get("collation", "")
        if database and (database["charset"], database["collation"]) != (wanted.charset, collation):
            raise ClusterkitError(
                f"database {wanted.database} has the character set {database['charset']} and the collation "
                f"{database['collation']}, not {wanted.charset} and {collation}: convert it, or say that it is right"
            )
        letters = f"CHARACTER SET {wanted.charset}" + (f" COLLATE {collation}" if collation else "")
        plan.add(
            f"database {wanted.database}",
            "present",
            "present" if database else None,
            [f"CREATE DATABASE {named(wanted.database)} {letters}"],
        )
        accounts = self._accounts(wanted.user)
        for client in wanted.clients:
            self._account(plan, wanted, client, accounts.get(client))
        for client in sorted(set(accounts) - set(wanted.clients)):
            account = f"{quoted(wanted.user)}@{quoted(client)}"
            plan.add(f"user {wanted.user}@{client}", None, "present", [f"DROP USER {account}"])
        return plan

    def removal(self, wanted: Wanted, drop: bool) -> Plan:
        """Return what has to change for the user to be gone, and the database where `drop`."""
        plan = Plan()
        for client in sorted(self._accounts(wanted.user)):
            account = f"{quoted(wanted.user)}@{quoted(client)}"
            plan.add(f"user {wanted.user}@{client}", None, "present", [f"DROP USER {account}"])
        if drop and self.look(wanted.database):
            name = wanted.database
            plan.add(f"database {name}", None, "present", [f"DROP DATABASE {named(name)}"])
        return plan

    def rights(self, database: str, wanted: Sequence[str]) -> dict[str, list[str]]:
        """Return which of the wanted rights this connection's user lacks (missing), and what is beyond (surplus)."""
        me = "CONCAT('''', REPLACE(CURRENT_USER(), '@', '''@'''), '''')"
        everywhere = self.query(f"SELECT PRIVILEGE_TYPE FROM information_schema.USER_PRIVILEGES WHERE GRANTEE = {me}")
        here = self.query(
            f"SELECT PRIVILEGE_TYPE FROM information_schema.SCHEMA_PRIVILEGES WHERE GRANTEE = {me} "
            f"AND {quoted(database)} LIKE TABLE_SCHEMA"
        )
        beyond = {row[0] for row in everywhere} - {"USAGE"}
        has = beyond | {row[0] for row in here}
        return {"missing": sorted(set(wanted) - has), "surplus": sorted(beyond)}

    def encryption(self, database: str) -> str:
        """Return the version of TLS that this connection uses, empty for none."""
        rows = self.query("SHOW SESSION STATUS LIKE 'Ssl_version'")
        return rows[0][1] if rows and len(rows[0]) > 1 else ""

    def create_like(self, name: str, model: Mapping[str, Any]) -> None:
        """Make an empty database that is as another one was when `look` saw it."""
        self.query(f"CREATE DATABASE {named(name)} CHARACTER SET {model['charset']} COLLATE {model['collation']}")

    def drop(self, name: str) -> None:
        """Remove a database, where it is there."""
        self.query(f"DROP DATABASE IF EXISTS {named(name)}")

    def replace(self, name: str, scratch: str, model: Mapping[str, Any]) -> bool:
        """Return False: there is no way to rename a database with its triggers and views."""
        return False

    def dump(self, database: str, locked: bool) -> list[str]:
        """Return the arguments, after those of the connection, that write a database as statements."""
        consistent = ["--lock-tables", "--skip-single-transaction"] if locked else ["--single-transaction"]
        return [
            *consistent,
            *("--quick", "--routines", "--triggers", "--events", "--hex-blob", "--default-character-set=utf8mb4"),
            *("--skip-dump-date", "--skip-comments", "--no-tablespaces", "--order-by-primary", database),
        ]

    def load(self, database: str) -> list[str]:
        """Return the arguments, after those of the connection, that take statements into a database."""
        return ["--default-character-set=utf8mb4", "--binary-mode", "--max-allowed-packet=1G", database]

    def _accounts(self, user: str) -> dict[str, dict[str, str]]:
        rows = self.query(
            f"SELECT Host, plugin, authentication_string, ssl_type FROM mysql.user WHERE User = {quoted(user)}"
        )
        return {row[0]: {"plugin": row[1], "kept": row[2], "tls": row[3]} for row in rows}

    def _account(self, plan: Plan, wanted: Wanted, client: str, present: Mapping[str, str] | None) -> None:
        account = f"{quoted(wanted.user)}@{quoted(client)}"
        what = f"user {wanted.user}@{client}"
        kept = native(wanted.password)
        plan.add(
            what, "present", "present" if present else None, [f"CREATE USER {account} IDENTIFIED BY PASSWORD '{kept}'"]
        )
        if present and (present["kept"] != kept or present["plugin"] != _NATIVE):
            statement = f"ALTER USER {account} IDENTIFIED BY PASSWORD '{kept}'"
            plan.add(f"password of {what}", kept, present["kept"] or "none", [statement], secret=True)
        tls = bool(present and present["tls"])
        if present or wanted.tls:
            requirement = "SSL" if wanted.tls else "NONE"
            plan.add(f"TLS of {what}", wanted.tls, tls, [f"ALTER USER {account} REQUIRE {requirement}"])
        grantee = quoted(f"'{wanted.user}'@'{client}'")
        everywhere = sorted(
            row[0]
            for row in self.query(
                f"SELECT PRIVILEGE_TYPE FROM information_schema.USER_PRIVILEGES WHERE GRANTEE = {grantee}"
            )
            if row[0] != "USAGE"
        )
        if everywhere:
            plan.add(
                f"rights of {what} on all databases", None, everywhere, [f"REVOKE ALL PRIVILEGES ON *.* FROM {account}"]
            )
        schema = f"ON {named(pattern(wanted.database))}.*"
        rows = self.query(
            "SELECT PRIVILEGE_TYPE, IS_GRANTABLE FROM information_schema.SCHEMA_PRIVILEGES "
            f"WHERE GRANTEE = {grantee} AND TABLE_SCHEMA IN "
            f"({quoted(pattern(wanted.database))}, {quoted(wanted.database)})"
        )
        has = sorted({row[0] for row in rows} | ({"GRANT OPTION"} if any(row[1] == "YES" for row in rows) else set()))
        statements = []
        missing, surplus = sorted(set(wanted.rights) - set(has)), sorted(set(has) - set(wanted.rights))
        if missing:
            statements.append(f"GRANT {', '.join(missing)} {schema} TO {account}")
        if surplus:
            statements.append(f"REVOKE {', '.join(surplus)} {schema} FROM {account}")
        plan.add(f"rights of {what} on {wanted.database}", sorted(wanted.rights), has, statements)


def option(text: str) -> str:
    """Return a text as the value of an option in a file for the clients."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
