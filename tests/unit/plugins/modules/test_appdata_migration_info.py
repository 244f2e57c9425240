# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module appdata_migration_info: what it tells before, between and after the phases."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._appdata import target as targets
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.modules import appdata_migration, appdata_migration_info

if TYPE_CHECKING:
    from tests.unit.conftest import RunModule

KEY = "server.appdata.dir"


@pytest.fixture
def install(tmp_path: Path) -> Path:
    """Return a program's directory: two folders of data, a keystore, a version, and no folder for all of them."""
    install = tmp_path / "install"
    for name in ("conf/server", "logs", "var/plugins"):
        (install / name).mkdir(parents=True)
    (install / "conf" / "keystore").write_bytes(b"\xce\xce key")
    (install / "conf" / "installed.version").write_text("7.1.2\n")
    (install / "conf" / "server" / "installed.properties").write_text(f"{KEY}=..\nmultiserver=true\n")
    (install / "patches").symlink_to("logs")
    return install


def told(run_module: RunModule, install: Path, **more: Any) -> dict[str, Any]:
    return run_module(
        appdata_migration_info.main,
        target=str(install.parent / "share"),
        properties_path=str(install / "conf" / "server" / "installed.properties"),
        properties_keys=[KEY, "multiserver", "absent"],
        base=str(install),
        paths=["logs", "patches", "conf/keystore", "nowhere"],
        digests=["conf/keystore", "conf/absent"],
        text="conf/installed.version",
        state_directory=str(install.parent / "state"),
        **more,
    )


def phase(run_module: RunModule, install: Path, name: str, links: bool = False) -> None:
    done = run_module(
        appdata_migration.main,
        phase=name,
        entries=[{"source": str(install / one), "name": one} for one in ("logs", "conf/keystore")],
        target=str(install.parent / "share"),
        property=None if links else {"path": str(install / "conf" / "server" / "installed.properties"), "key": KEY},
        member="s1",
        state_directory=str(install.parent / "state"),
        allow_same_file_system=True,
    )
    assert not done.get("failed"), done


def test_before_anything_was_moved(run_module: RunModule, install: Path) -> None:
    found = told(run_module, install)
    assert not found["changed"]
    assert found["properties"] == {KEY: "..", "multiserver": "true", "absent": None}
    assert found["data"] == str(install)
    kinds = {"logs": "directory", "patches": "link", "conf/keystore": "file", "nowhere": "absent"}
    assert found["paths"] == kinds
    key = hashlib.sha256(b"\xce\xce key").hexdigest()
    assert found["digests"] == {"conf/keystore": key, "conf/absent": ""}
    assert (found["text"], found["storage"]["text"], found["storage"]["exists"]) == ("7.1.2", "", False)
    assert found["migrations"] == []
    assert list(install.parent.iterdir()) == [install]


@pytest.mark.parametrize("links", [False, True])
def test_phases_are_told(run_module: RunModule, install: Path, links: bool) -> None:
    phase(run_module, install, "precopy", links)
    assert told(run_module, install)["migrations"] == []
    phase(run_module, install, "migrate", links)
    found = told(run_module, install)
    (one,) = found["migrations"]
    assert (one["phase"], one["in_use"], one["target"]) == ("switched", True, str(install.parent / "share"))
    assert [entry["name"] for entry in one["entries"]] == ["logs", "conf/keystore"]
    assert (one["property"] is None) == links
    assert (found["storage"]["member"], found["storage"]["published"]) == ("s1", True)
    assert found["data"] == (str(install) if links else str(install.parent / "share"))
    phase(run_module, install, "remove_source", links)
    assert told(run_module, install)["migrations"][0]["phase"] == "removed"


def test_what_was_rolled_back_is_not_told(run_module: RunModule, install: Path) -> None:
    phase(run_module, install, "migrate")
    phase(run_module, install, "rollback")
    assert told(run_module, install)["migrations"] == []


def test_a_program_that_is_gone(run_module: RunModule, install: Path) -> None:
    phase(run_module, install, "migrate")
    (install / "conf" / "server" / "installed.properties").unlink()
    found = told(run_module, install)
    assert found["properties"] is None
    assert not found["migrations"][0]["in_use"]


def test_storage_that_does_not_answer_is_told_of(
    run_module: RunModule, install: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise ClusterkitError("the share does not answer")

    phase(run_module, install, "migrate")
    monkeypatch.setattr(targets, "require_answer", refuse)
    found = told(run_module, install)
    assert found["storage"] == {"error": "the share does not answer", "text": ""}
    assert found["migrations"] == [] and found["digests"]["conf/keystore"] == ""
    assert found["data"] == str(install.parent / "share")


def test_a_journal_that_is_damaged_is_named(run_module: RunModule, install: Path) -> None:
    phase(run_module, install, "migrate")
    (journal,) = (install.parent / "state").glob("*/journal")
    journal.write_bytes(b"no database")
    assert str(journal) in told(run_module, install)["msg"]
