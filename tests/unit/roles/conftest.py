# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running one entry point of a role on hosts that are all this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable

import pytest

from tests.unit.conftest import COLLECTIONS

Play = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def play(tmp_path: Path) -> Play:
    """Return what calls `tasks_from` of `role` on `hosts` of an inventory, and returns what Ansible says."""

    def run(
        role: str, tasks_from: str, hosts: str, inventory: dict[str, Any], *options: str
    ) -> subprocess.CompletedProcess[str]:
        here = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        everywhere = inventory["all"].setdefault("vars", {})
        everywhere.update(here)
        include = {"name": f"clusterkit.middleware.{role}", "tasks_from": tasks_from}
        task = {"name": "Call the entry point", "ansible.builtin.include_role": include}
        plays = [{"hosts": hosts, "gather_facts": False, "any_errors_fatal": True, "tasks": [task]}]
        (tmp_path / "inventory.json").write_text(json.dumps(inventory), encoding="utf-8")
        (tmp_path / "play.json").write_text(json.dumps(plays), encoding="utf-8")
        program = Path(sys.executable).with_name("ansible-playbook")
        return subprocess.run(
            [str(program), "-i", "inventory.json", "play.json", *options],
            cwd=tmp_path,
            env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS), "ANSIBLE_LOCAL_TEMP": str(tmp_path / "t")},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    return run
