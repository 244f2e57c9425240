# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A program is run once, whatever happens to a run of it, and what it says stays on the host."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.clusterkit.middleware.plugins.modules import one_time_program

if TYPE_CHECKING:
    from tests.unit.conftest import RunModule


@pytest.fixture
def run(run_module: RunModule, tmp_path: Path) -> Any:
    def call(script: str, check: bool = False, limit: float = 20, **options: Any) -> dict[str, Any]:
        return run_module(
            one_time_program.main, check=check, argv=["sh", "-c", script], chdir=str(tmp_path), limit=limit,
            note=str(tmp_path / "notes" / "setup"), log=str(tmp_path / "log"), **options,
        )  # fmt: skip

    return call


def test_once(run: Any, tmp_path: Path) -> None:
    assert run("echo x >> ran", check=True)["changed"]
    assert not (tmp_path / "notes").exists()
    assert run("echo x >> ran")["changed"]
    assert not run("echo x >> ran")["changed"]
    assert not run("echo x >> ran", check=True)["changed"]
    assert (tmp_path / "ran").read_text(encoding="utf-8") == "x\n"


def test_failed_is_run_again_and_says_where_to_look(run: Any, tmp_path: Path) -> None:
    failed = run("echo the password; echo and more >&2; exit 3")
    assert failed["failed"]
    assert "ended with 3" in failed["msg"]
    assert str(tmp_path / "log") in failed["msg"]
    assert "the password" not in failed["msg"].replace("echo the password", "")
    assert (tmp_path / "log").read_text(encoding="utf-8") == "the password\nand more\n"
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "notes" / "setup.lock").exists()
    assert run("true")["changed"]


def test_time_limit(run: Any, tmp_path: Path) -> None:
    failed = run("echo begun; exec sleep 60", limit=0.5)
    assert "did not end within 0.5 s" in failed["msg"]
    assert (tmp_path / "log").read_text(encoding="utf-8") == "begun\n"
    assert not (tmp_path / "notes" / "setup").exists()


def test_progress(run: Any, tmp_path: Path) -> None:
    """The lines of the program's own log are what is shown."""
    status = tmp_path / "status"
    assert run("echo 1 > own; echo 2 >> own; sleep 2", talks_to=str(tmp_path / "own"), status_file=str(status))[
        "changed"
    ]
    assert '"done": 2' in status.read_text(encoding="utf-8")
    assert '"state": "done"' in status.read_text(encoding="utf-8")
