# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A table of a database: what is asked of it, and in which order. PostgreSQL itself answers in the scenario."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._database.rows import MYSQL, POSTGRESQL, Table
from ansible_collections.clusterkit.middleware.plugins.modules.table_rows import there


class RefusalError(Exception):
    """What the library raises."""


class Connection:
    """Notes what it is asked, and answers with rows."""

    def __init__(self, rows: list[tuple[Any, ...]], fails: str = "") -> None:
        self.asked: list[Any] = []
        self.rows = rows
        self.fails = fails
        self.description = [("host",), ("port",)]
        self.rowcount = 1

    def cursor(self) -> Connection:
        return self

    def close(self) -> None:
        """A cursor is closed after each statement."""

    def execute(self, statement: str, values: tuple[Any, ...]) -> None:
        self.asked.append((statement, values) if values else statement)
        if self.fails and self.fails in statement:
            raise RefusalError(1142, "command denied\nto user")

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self.rows

    def commit(self) -> None:
        self.asked.append("COMMIT")

    def rollback(self) -> None:
        self.asked.append("ROLLBACK")


ROWS: list[tuple[Any, ...]] = [("10.0.0.1", 5701), ("10.0.0.2", 5701)]


def test_names_are_quoted_and_checked() -> None:
    connection = Connection(ROWS)
    table = Table(connection, POSTGRESQL, "site.members", RefusalError)
    assert table.rows(["host"])[0]["host"] == "10.0.0.1"
    Table(connection, MYSQL, "members", RefusalError).rows()
    assert connection.asked == [
        'SELECT "host" FROM "site"."members" LIMIT 1001',
        "SELECT * FROM `members` LIMIT 1001",
    ]
    with pytest.raises(ClusterkitError, match="no name of a table or column"):
        Table(connection, POSTGRESQL, 'm"; DROP TABLE x', RefusalError)


def test_all_rows_are_kept_before_one_is_removed() -> None:
    connection, kept = Connection(ROWS), []
    table = Table(connection, POSTGRESQL, "members", RefusalError)

    def keep(content: bytes) -> None:
        kept.append(json.loads(content))
        connection.asked.append("KEPT")

    assert table.remove([{"host": "10.0.0.2", "port": 5701}], keep) == 1
    assert connection.asked[1:] == [
        "KEPT",
        ('DELETE FROM "members" WHERE "host" = %s AND "port" = %s', ("10.0.0.2", 5701)),
        "COMMIT",
    ]
    assert kept[0]["rows"] == [dict(zip(("host", "port"), row)) for row in ROWS]


def test_what_is_not_kept_is_not_removed() -> None:
    connection = Connection(ROWS)

    def keep(content: bytes) -> None:
        raise ClusterkitError(f"no space for {len(content)} bytes")

    with pytest.raises(ClusterkitError, match="no space"):
        Table(connection, POSTGRESQL, "members", RefusalError).remove([{"host": "10.0.0.2"}], keep)
    assert connection.asked[-1] == "ROLLBACK" and len(connection.asked) == 2


def test_a_refusal_is_told_in_one_line_and_undone() -> None:
    connection = Connection(ROWS, fails="DELETE")
    with pytest.raises(ClusterkitError, match=r"^table members: command denied to user$"):
        Table(connection, MYSQL, "members", RefusalError).remove([{"host": "10.0.0.2"}], len)  # type: ignore[arg-type]
    assert connection.asked[-1] == "ROLLBACK"


def test_a_large_table_is_another_one() -> None:
    with pytest.raises(ClusterkitError, match="more than 1000 rows"):
        Table(Connection(ROWS * 501), POSTGRESQL, "members", RefusalError).rows()


def test_which_rows_are_there() -> None:
    present = [{"host": "a", "port": 1}, {"host": "b", "port": 2}]
    assert there([{"host": "b", "port": "2"}, {"host": "c", "port": 3}], present) == [{"host": "b", "port": 2}]
    assert there([{"host": "b", "port": 3}, {"node": "a"}], present) == []
