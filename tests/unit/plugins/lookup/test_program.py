# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lookup program: one file that runs by Python alone, the same each time, and a module that is not there."""

from __future__ import annotations

import base64
import subprocess
import sys
from pathlib import Path

import pytest
from ansible.errors import AnsibleLookupError

from ansible_collections.clusterkit.middleware.plugins.lookup.program import LookupModule


def test_program_runs(tmp_path: Path) -> None:
    first, second = LookupModule().run(["_csync2.agent", "_csync2.agent"])
    assert first == second
    program = tmp_path / "program"
    program.write_bytes(base64.b64decode(first))
    done = subprocess.run([sys.executable, "-I", str(program), "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "clusterkit-csync2" in done.stdout


def test_unknown_module_is_named() -> None:
    with pytest.raises(AnsibleLookupError, match=r"no module _csync2\.absent"):
        LookupModule().run(["_csync2.absent"])
