# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows of one table of a database, read, and removed once they have been written to a file.

The database's own library is imported when it is used: psycopg2 or PyMySQL, which Debian and others package.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import re
from typing import Any, Callable, Iterator, Mapping, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError

POSTGRESQL, MYSQL = "postgresql", "mysql"
_LIBRARIES = {POSTGRESQL: "psycopg2", MYSQL: "pymysql"}
_PORTS = {POSTGRESQL: 5432, MYSQL: 3306}
_QUOTES = {POSTGRESQL: '"', MYSQL: "`"}
#: More rows than any cluster has members: a table with more is another one than was meant.
MOST_ROWS = 1000


def argument_spec() -> dict[str, Any]:
    """Return the options with which modules connect and name the table."""
    return {
        "engine": {"type": "str", "choices": [POSTGRESQL, MYSQL], "required": True},
        "host": {"type": "str", "required": True},
        "port": {"type": "int", "default": 0},
        "database": {"type": "str", "required": True},
        "user": {"type": "str", "required": True},
        "password": {"type": "str", "no_log": True, "default": ""},
        "authority": {"type": "path"},
        "table": {"type": "str", "required": True},
        "limit": {"type": "int", "default": 10},
    }


class Table:
    """One table, over one connection. Every method raises ClusterkitError; none of the texts has the password."""

    def __init__(self, connection: Any, engine: str, name: str, errors: type[Exception]) -> None:
        self._connection = connection
        self._quote = _QUOTES[engine]
        self._errors = errors
        self.name = name
        self._quoted = ".".join(self._identifier(one) for one in name.split("."))

    def rows(self, columns: Sequence[str] = ()) -> list[dict[str, Any]]:
        """Return all rows, by column; all columns where none are named."""
        wanted = ", ".join(self._identifier(one) for one in columns) or "*"
        rows, names = self._ask(f"SELECT {wanted} FROM {self._quoted} LIMIT {MOST_ROWS + 1}", ())
        if len(rows) > MOST_ROWS:
            raise ClusterkitError(
                f"table {self.name} has more than {MOST_ROWS} rows, so that it does not hold the members of a cluster: "
                "name the table that does"
            )
        return [dict(zip(names, row)) for row in rows]

    def remove(self, rows: Sequence[Mapping[str, Any]], keep: Callable[[bytes], None]) -> int:
        """Remove the rows with these values, once `keep` was given all rows of the table; return how many it were.

        All happens in one transaction: what `keep` raises removes nothing.
        """
        count = 0
        with self._transaction():
            keep(backup(self.name, self.rows()))
            for row in rows:
                where = " AND ".join(f"{self._identifier(name)} = %s" for name in row)
                count += self._run(f"DELETE FROM {self._quoted} WHERE {where}", tuple(row.values()))
        return count

    def _identifier(self, name: str) -> str:
        if not re.match(r"[^\W\d][\w$]*$", name):
            raise ClusterkitError(f"{name!r} is no name of a table or column: give letters, digits and '_'")
        return f"{self._quote}{name}{self._quote}"

    def _ask(self, statement: str, values: Sequence[Any]) -> tuple[list[Any], list[str]]:
        with self._told(), contextlib.closing(self._connection.cursor()) as cursor:
            cursor.execute(statement, values)
            return list(cursor.fetchall()), [one[0] for one in cursor.description]

    def _run(self, statement: str, values: Sequence[Any]) -> int:
        with self._told(), contextlib.closing(self._connection.cursor()) as cursor:
            cursor.execute(statement, values)
            return int(cursor.rowcount)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            with contextlib.suppress(self._errors):
                self._connection.rollback()
            raise
        with self._told():
            self._connection.commit()

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except self._errors as error:
            raise ClusterkitError(f"table {self.name}: {_words(error)}") from None


def backup(table: str, rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Return a text with all rows, for people and programs."""
    return (json.dumps({"table": table, "rows": list(rows)}, indent=2, default=str) + "\n").encode()


@contextlib.contextmanager
def opened(options: Mapping[str, Any]) -> Iterator[Table]:
    """Connect, hand the table out, and close. Raises ClusterkitError."""
    engine = options["engine"]
    try:
        library = importlib.import_module(_LIBRARIES[engine])
    except ImportError:
        raise ClusterkitError(
            f"{_LIBRARIES[engine]} is missing on this host, by which {engine} is asked: install its package"
        ) from None
    where = f"{engine} at {options['host']}"
    try:
        connection = _connect(library, engine, options)
    except library.Error as error:
        raise ClusterkitError(f"{where} does not let {options['user']} in: {_words(error)}") from None
    try:
        yield Table(connection, engine, options["table"], library.Error)
    finally:
        with contextlib.suppress(library.Error):
            connection.close()


def _connect(library: Any, engine: str, options: Mapping[str, Any]) -> Any:
    common = {
        "host": options["host"],
        "port": options["port"] or _PORTS[engine],
        "user": options["user"],
        "password": options["password"],
        "connect_timeout": options["limit"],
    }
    authority = options["authority"]
    if engine == POSTGRESQL:
        tls = {"sslmode": "verify-full", "sslrootcert": authority} if authority else {}
        connection = library.connect(dbname=options["database"], **common, **tls)
        connection.set_client_encoding("UTF8")
        return connection
    tls = {"ssl": {"ca": authority, "check_hostname": True}} if authority else {}
    limits = {"read_timeout": options["limit"], "write_timeout": options["limit"]}
    return library.connect(database=options["database"], charset="utf8mb4", **common, **limits, **tls)


def _words(error: Exception) -> str:
    """Return what the library says, in one line. PyMySQL's errors are a number and a text."""
    said = error.args[-1] if error.args else error
    return " ".join(str(said).split()) or type(error).__name__
