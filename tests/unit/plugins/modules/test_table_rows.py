# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules table_rows_info and table_rows: check equals run, a backup comes first, and no password shows."""

from __future__ import annotations

import contextlib
import json
import sys
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any, Iterator

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._database import rows
from ansible_collections.clusterkit.middleware.plugins.modules import table_rows, table_rows_info

if TYPE_CHECKING:
    from tests.unit.conftest import RunModule

OPTIONS = {
    "engine": "postgresql",
    "host": "db.invalid",
    "database": "site",
    "user": "site",
    "password": "s3cr3t",
    "table": "members",
}


class Members:
    """A table with the two methods of the real one."""

    def __init__(self) -> None:
        self.present = [{"host": "a", "port": 1}, {"host": "b", "port": 2}]

    def rows(self, columns: list[str]) -> list[dict[str, Any]]:
        return [{name: row[name] for name in columns or row} for row in self.present]

    def remove(self, doomed: list[dict[str, Any]], keep: Any) -> int:
        keep(rows.backup("members", self.present))
        self.present = [row for row in self.present if row not in doomed]
        return len(doomed)


@pytest.fixture
def members(monkeypatch: pytest.MonkeyPatch) -> Members:
    table = Members()

    @contextlib.contextmanager
    def opened(_options: Any) -> Iterator[Members]:
        yield table

    monkeypatch.setattr(rows, "opened", opened)
    return table


def test_what_is_there(run_module: RunModule, members: Members) -> None:
    found = run_module(table_rows_info.main, **OPTIONS, columns=["host"])
    assert found["rows"] == [{"host": "a"}, {"host": "b"}] and not found["changed"]
    assert len(run_module(table_rows_info.main, **OPTIONS)["rows"]) == len(members.present)


def test_check_run_again(run_module: RunModule, members: Members, tmp_path: Path) -> None:
    directory = tmp_path / "kept" / "here"
    wanted = {**OPTIONS, "absent": [{"host": "b", "port": "2"}, {"host": "c"}], "backup_directory": str(directory)}
    predicted = run_module(table_rows.main, check=True, **wanted)
    assert len(members.present) == 2 and not directory.exists()
    done = run_module(table_rows.main, **wanted)
    assert predicted["removed"] == done["removed"] == [{"host": "b", "port": 2}]
    assert predicted["diff"] == done["diff"] and predicted["changed"] and done["changed"]
    assert members.present == [{"host": "a", "port": 1}]
    assert len(json.loads(Path(done["backup"]).read_text())["rows"]) == 2
    assert Path(done["backup"]).stat().st_mode & 0o777 == 0o600
    assert not run_module(table_rows.main, **wanted)["changed"]
    assert len(list(directory.iterdir())) == 1
    assert "s3cr3t" not in str(done)


def test_a_row_without_values_is_every_row(run_module: RunModule, members: Members, tmp_path: Path) -> None:
    failed = run_module(table_rows.main, **OPTIONS, absent=[{}], backup_directory=str(tmp_path))
    assert failed["failed"] and "which would be every row" in failed["msg"] and len(members.present) == 2


def test_who_is_not_let_in_is_told(run_module: RunModule, monkeypatch: pytest.MonkeyPatch) -> None:
    library = types.ModuleType("psycopg2")
    library.Error = type("Error", (Exception,), {})  # type: ignore[attr-defined]

    def connect(**options: Any) -> None:
        assert options["port"] == 5432 and options["connect_timeout"] == 10 and "sslmode" not in options
        raise library.Error("FATAL:  password authentication failed\n")

    library.connect = connect  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "psycopg2", library)
    failed = run_module(table_rows_info.main, **OPTIONS)
    assert failed["msg"] == ("postgresql at db.invalid does not let site in: FATAL: password authentication failed")
    monkeypatch.setitem(sys.modules, "pymysql", None)
    failed = run_module(table_rows_info.main, **{**OPTIONS, "engine": "mysql"})
    assert "pymysql is missing on this host" in failed["msg"]
