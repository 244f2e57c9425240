# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module opendj_setup: when it sets up, what it refuses, what it says. How it does so is tested with its utils."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj.installation import (
    MADE,
    MARK,
    Installation,
    Setup,
)
from ansible_collections.clusterkit.middleware.plugins.modules.opendj_setup import main

if TYPE_CHECKING:
    from tests.unit.conftest import RunModule

WANTED = {
    "archive": "/root/opendj.zip",
    "checksum": f"sha256:{'a' * 64}",
    "host": "idp1.example.org",
    "base_dns": ["o=site"],
    "password": "CANARY",
}


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Play a host on which set-up takes no time."""
    state: dict[str, Any] = {"path": str(tmp_path / "opendj"), "calls": []}

    def install(_self: Installation, *arguments: Any) -> None:
        state["calls"].append(arguments)
        (tmp_path / "opendj" / "config").mkdir(parents=True, exist_ok=True)
        (tmp_path / "opendj" / "config" / "config.ldif").touch()
        (tmp_path / "opendj" / "config" / "buildinfo").write_text("4.9.2.abc\n", encoding="utf-8")
        (tmp_path / "opendj" / MARK).unlink(missing_ok=True)

    monkeypatch.setattr(Installation, "install", install)
    return state


def test_sets_up_once_and_check_mode_tells_it(run_module: RunModule, host: dict[str, Any]) -> None:
    predicted = run_module(main, check=True, path=host["path"], **WANTED)
    assert predicted["changed"] and host["calls"] == [] and predicted["build"] == ""
    done = run_module(main, path=host["path"], ldaps_port=1636, java_home="/opt/java", **WANTED)
    assert done["diff"] == predicted["diff"]
    assert done["diff"]["after"] == {"server": "set up", "base_dns": ["o=site"]}
    assert done["build"] == "4.9.2.abc"
    setup = Setup("idp1.example.org", ["o=site"], "cn=directory manager", 1389, 4444, 1636, "", True, "/opt/java")
    assert host["calls"] == [("/root/opendj.zip", "a" * 64, "ldap", "ldap", setup, "CANARY")]
    # What is there is left as it is: nothing else is needed then
    for check in (False, True):
        assert not run_module(main, check=check, path=host["path"])["changed"]
    assert "CANARY" not in json.dumps([predicted["diff"], done["diff"]])


def test_what_a_killed_run_left_is_begun_anew(run_module: RunModule, host: dict[str, Any]) -> None:
    Path(host["path"], "config").mkdir(parents=True)
    Path(host["path"], "config", "config.ldif").touch()
    Path(host["path"], MARK).touch()
    done = run_module(main, path=host["path"], **WANTED)
    assert done["diff"]["before"]["server"] == "left by a killed run" and len(host["calls"]) == 1


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (
            {"archive": None, "password": ""},
            "archive, password missing: state=present needs it where there is no server",
        ),
        ({"checksum": "sha1:ab"}, "checksum is 'sha1:ab': write sha256: and 64 digits in lower case"),
    ],
)
def test_what_is_missing(run_module: RunModule, host: dict[str, Any], change: dict[str, Any], error: str) -> None:
    done = run_module(main, path=host["path"], **{**WANTED, **change})
    assert done["failed"] and done["msg"] == error and host["calls"] == []


def test_removes(run_module: RunModule, host: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    removed: list[int] = []
    monkeypatch.setattr(Installation, "remove", lambda _self: removed.append(1))
    assert not run_module(main, state="absent", path=host["path"])["changed"]
    Path(host["path"]).mkdir()
    assert not run_module(main, state="absent", path=host["path"])["changed"]
    Path(host["path"], MADE).touch()
    assert run_module(main, check=True, state="absent", path=host["path"])["changed"] and removed == []
    assert run_module(main, state="absent", path=host["path"])["changed"] and removed == [1]
