# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module csync2_build: when it builds, what it refuses, what it says. How it builds is tested with its utils."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._csync2.build import Build, Source
from ansible_collections.clusterkit.middleware.plugins.modules.csync2_build import main

if TYPE_CHECKING:
    from tests.unit.conftest import RunModule

WANTED = {"archive": "/root/a.tar.gz", "checksum": f"sha256:{'a' * 64}", "version": "2.1-0rc1"}


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Play a host: what its binary tells, what was built."""
    state: dict[str, Any] = {"told": ("", ""), "built": [], "leftovers": []}

    def install(_self: Build, source: Source, _progress: Any) -> list[str]:
        state["built"].append(source)
        state["told"] = (source.version, source.sysconfdir)
        return [source.binary]

    monkeypatch.setattr(Build, "told", lambda _self, _binary: state["told"])
    monkeypatch.setattr(Build, "install", install)
    monkeypatch.setattr(Build, "leftovers", lambda _self: list(state["leftovers"]))
    monkeypatch.setattr(Build, "remove", lambda _self: state["leftovers"].clear())
    return state


def test_builds_once_and_check_mode_tells_it(run_module: RunModule, host: dict[str, Any]) -> None:
    predicted = run_module(main, check=True, **WANTED)
    assert predicted["changed"] and host["built"] == []
    done = run_module(main, **WANTED, sysconfdir="/etc/csync2/")
    assert done["diff"] == predicted["diff"]
    assert done["diff"]["after"] == {"version": "2.1-0rc1", "sysconfdir": "/etc/csync2"}
    assert done["files"] == ["/usr/local/sbin/csync2"]
    assert host["built"] == [Source("/root/a.tar.gz", "a" * 64, "2.1-0rc1", "/usr/local", "/etc/csync2")]
    assert not run_module(main, **WANTED)["changed"]


@pytest.mark.parametrize("told", [("2.0", "/etc/csync2"), ("2.1-0rc1", "/etc")])
def test_another_one_is_replaced(run_module: RunModule, host: dict[str, Any], told: tuple[str, str]) -> None:
    host["told"] = told
    assert run_module(main, **WANTED)["changed"]
    assert len(host["built"]) == 1


def test_removes_what_was_built(run_module: RunModule, host: dict[str, Any]) -> None:
    host["leftovers"] = ["/usr/local/sbin/csync2"]
    predicted = run_module(main, check=True, state="absent")
    assert predicted["changed"] and host["leftovers"]
    done = run_module(main, state="absent")
    assert (done["diff"], done["files"]) == (predicted["diff"], ["/usr/local/sbin/csync2"])
    assert not run_module(main, state="absent")["changed"]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"checksum": "a" * 64}, "write sha256: and 64 digits"),
        ({"prefix": "/opt/my csync2"}, "prefix is '/opt/my csync2'"),
        ({"sysconfdir": "etc"}, "sysconfdir is 'etc'"),
        ({"version": None}, "version is missing: state=present needs it"),
    ],
)
def test_bad_input_is_named(
    run_module: RunModule, host: dict[str, Any], options: dict[str, Any], complaint: str
) -> None:
    result = run_module(main, **{**WANTED, **options})
    assert result["failed"] and complaint in result["msg"]
    assert host["built"] == []
