# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module managed_service: what it reads from its options. What it does with units the scenarios show."""

from __future__ import annotations

import base64
import os
import pwd
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.clusterkit.middleware.plugins.modules.managed_service import main

if TYPE_CHECKING:
    from tests.unit.conftest import RunModule

OWNED = {"owner": pwd.getpwuid(os.getuid()).pw_name, "group": str(os.getgid())}


def test_check_tells_what_the_run_does_and_the_second_run_does_nothing(run_module: RunModule, tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "directories": [{"path": str(tmp_path / "d"), "mode": "0700", **OWNED}],
        "files": [
            {"path": str(tmp_path / "d" / "text"), "content": "a\n", **OWNED},
            {
                "path": str(tmp_path / "program"),
                "content_base64": base64.b64encode(b"\x00\xff").decode(),
                "mode": "0755",
                **OWNED,
            },
            {"path": str(tmp_path / "closed"), "secret_content": "canary", "mode": "0600", **OWNED},
        ],
    }
    predicted = run_module(main, check=True, **options)
    assert list(tmp_path.iterdir()) == []
    done = run_module(main, **options)
    assert predicted["changed"]
    assert predicted["diff"] == done["diff"]
    assert "canary" not in str({**done, "invocation": {}})
    assert (tmp_path / "program").read_bytes() == b"\x00\xff"
    assert (tmp_path / "closed").stat().st_mode & 0o7777 == 0o600
    assert not run_module(main, **options)["changed"]
    gone = {"files": [{"path": one["path"], "state": "absent"} for one in options["files"]]}
    assert run_module(main, **gone)["files"] == [one["path"] for one in options["files"]]
    assert not run_module(main, **gone)["changed"]


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"content": "x", "mode": "rw"}, "mode of PATH is 'rw': give octal digits"),
        ({}, "PATH has 0 of content, content_base64, secret_content: give one"),
        ({"content": "x", "secret_content": "zzzz"}, "PATH has 2 of"),
        ({"content_base64": "?"}, "content_base64 of PATH is no base64"),
        ({"content": "x", "owner": "nobody-has-this-name"}, "user 'nobody-has-this-name' does not exist"),
    ],
)
def test_bad_input_is_named(run_module: RunModule, tmp_path: Path, given: dict[str, Any], complaint: str) -> None:
    path = str(tmp_path / "file")
    result = run_module(main, files=[{"path": path, **OWNED, **given}])
    assert result["failed"]
    assert complaint.replace("PATH", path) in result["msg"]
    assert list(tmp_path.iterdir()) == []
