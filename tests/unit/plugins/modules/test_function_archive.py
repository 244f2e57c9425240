# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same source is the same archive."""

from __future__ import annotations

import hashlib
import os
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from ansible_collections.clusterkit.middleware.plugins.modules import function_archive

if TYPE_CHECKING:
    from tests.unit.conftest import RunModule


def test_archive(run_module: RunModule, tmp_path: Path) -> None:
    path = tmp_path / "function.zip"
    wanted = {"path": str(path), "name": "function.py", "source": "print('ü')\n"}
    assert run_module(function_archive.main, check=True, **wanted)["changed"]
    assert not path.exists()
    assert run_module(function_archive.main, **wanted)["changed"]
    # Written down, so that another version of Python is seen to give the same bytes
    digest = "7f0f"
    assert hashlib.sha256(path.read_bytes()).hexdigest()[:4] == digest
    os.utime(path, (0, 0))
    assert not run_module(function_archive.main, **wanted)["changed"]
    with zipfile.ZipFile(path) as packed:
        assert packed.read("function.py").decode() == "print('ü')\n"
        assert packed.infolist()[0].external_attr >> 16 == 0o100644
    wanted["source"] = "print('u')\n"
    assert run_module(function_archive.main, **wanted)["changed"]
