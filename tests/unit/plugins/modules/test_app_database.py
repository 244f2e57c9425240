# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules app_database, app_database_info and app_database_backup: what a run does is told before."""

from __future__ import annotations

import json
import pathlib
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._database import agent, look, mariadb
from ansible_collections.clusterkit.middleware.plugins.modules import (
    app_database,
    app_database_backup,
    app_database_info,
)

if TYPE_CHECKING:
    from tests.unit.conftest import RunModule

OPTIONS: dict[str, Any] = {
    "engine": "mariadb",
    "database": "shop",
    "user": "shop",
    "password": "canary of the module",
    "clients": ["192.0.2.1"],
    "rights": ["SELECT"],
    "charset": "utf8mb4",
}


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what a server is told, which has nothing yet."""
    told: list[str] = []

    def query(_self: Any, statement: str, database: str = "") -> list[list[str]]:
        told.append(statement)
        return []

    monkeypatch.setattr(mariadb.MariaDB, "query", query)
    return told


def test_a_database_is_made(run_module: RunModule, said: list[str]) -> None:
    predicted = run_module(app_database.main, check=True, **OPTIONS)
    assert predicted["changed"] and not [one for one in said if not one.startswith("SELECT")]
    done = run_module(app_database.main, **OPTIONS)
    assert done["diff"] == predicted["diff"]
    assert [one.split()[0] for one in said if not one.startswith("SELECT")] == ["CREATE", "CREATE", "GRANT"]
    assert "canary" not in json.dumps(done)
    assert "needs password" in run_module(app_database.main, **{**OPTIONS, "password": ""})["msg"]


def test_what_a_host_finds(run_module: RunModule, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look, "_MARIADB", ())
    found = run_module(
        app_database_info.main,
        engine="mariadb",
        database="shop",
        local=True,
        host="127.0.0.1",
        port=9,
        backup_directory=str(tmp_path),
    )
    assert found["server"]["installed"] is False
    assert "127.0.0.1:9 cannot be reached" in found["connection"]["error"]
    assert found["backups"]["count"] == 0 and not found["changed"]


def test_backups_need_the_roles_settings(
    run_module: RunModule, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    monkeypatch.setattr(agent.settings_of, "__defaults__", (str(tmp_path),))
    assert "let the role write it" in run_module(app_database_backup.main, database="shop")["msg"]
    settings = {
        "engine": "mariadb",
        "database": "shop",
        "directory": str(tmp_path / "backups"),
        "keep": 2,
        "passphrase": "",
        "limit": 10,
        "access": {"engine": "mariadb"},
    }
    (tmp_path / "database-shop.json").write_text(json.dumps(settings), encoding="utf-8")
    assert "no database shop to back up" in run_module(app_database_backup.main, database="shop")["msg"]
    assert "say which backup" in run_module(app_database_backup.main, database="shop", state="restored")["msg"]
    missing = run_module(
        app_database_backup.main, check=True, database="shop", state="restored", file=str(tmp_path / "no.sql.gz")
    )
    assert "no whole backup" in missing["msg"]
    assert run_module(app_database_backup.main, check=True, database="shop")["changed"]


def test_the_program_tells_in_one_line(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str], said: list[str]
) -> None:
    assert agent.main(["--settings", str(tmp_path), "shop", "status"]) == 1
    assert not json.loads(capsys.readouterr().out)["ok"]
    settings = {
        "engine": "mariadb",
        "database": "shop",
        "directory": str(tmp_path / "backups"),
        "keep": 2,
        "passphrase": "",
        "limit": 10,
        "access": {"engine": "mariadb"},
    }
    (tmp_path / "database-shop.json").write_text(json.dumps(settings), encoding="utf-8")
    assert agent.main(["--settings", str(tmp_path), "shop", "status"]) == 0
    assert json.loads(capsys.readouterr().out)["count"] == 0
    assert agent.main(["--settings", str(tmp_path), "shop", "drill"]) == 1
    assert "no backup of shop" in json.loads(capsys.readouterr().out)["error"]
    (tmp_path / "database-shop.json").write_text("{", encoding="utf-8")
    assert agent.main(["--settings", str(tmp_path), "shop", "status"]) == 1
