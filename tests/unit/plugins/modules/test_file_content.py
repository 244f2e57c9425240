# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file is read, and replaced only if it is still what was read."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from ansible_collections.clusterkit.middleware.plugins.modules import file_content
from tests.unit.conftest import RunModule


def encoded(text: bytes) -> str:
    return base64.b64encode(text).decode()


def test_read_and_replace(run_module: RunModule, tmp_path: Path) -> None:
    path = tmp_path / "file"
    read = run_module(file_content.main, path=str(path), names=[f"{tmp_path}/*"])
    assert (read["exists"], read["paths"], "content" in read) == (False, [], False)
    path.write_bytes(b"\xff\r\n")
    path.chmod(0o664)
    read = run_module(file_content.main, path=str(path), names=[f"{tmp_path}/f*", f"{tmp_path}/g*"])
    assert (base64.b64decode(read["content"]), read["paths"]) == (b"\xff\r\n", [str(path)])

    new = {"path": str(path), "content": encoded(b"new"), "replaces": read["sha256"], "backup": True}
    assert run_module(file_content.main, check=True, **new)["changed"] is True
    assert path.read_bytes() == b"\xff\r\n"
    written = run_module(file_content.main, **new, mode="0640")
    assert (written["changed"], path.read_bytes(), path.stat().st_mode & 0o777) == (True, b"new", 0o640)
    assert Path(written["backup"]).read_bytes() == b"\xff\r\n"

    refused = run_module(file_content.main, **new)
    assert refused["failed"] and "changed since it was read" in refused["msg"]
    same = {**new, "replaces": hashlib.sha256(b"new").hexdigest(), "mode": "0640"}
    assert run_module(file_content.main, **same)["changed"] is False
    assert run_module(file_content.main, **{**same, "mode": "0600"})["changed"] is True
    assert path.stat().st_mode & 0o777 == 0o600
