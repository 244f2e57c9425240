# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action plugin python_program, by ansible-playbook itself: check, run, again, and a module that is not there."""

from __future__ import annotations

import getpass
import grp
import json
import os
import pathlib
import subprocess
import sys
from typing import Any

import pytest

import ansible_collections

ANSIBLE_PLAYBOOK = pathlib.Path(sys.executable).with_name("ansible-playbook")

pytestmark = pytest.mark.skipif(not ANSIBLE_PLAYBOOK.exists(), reason="no ansible-playbook beside this Python")


def test_installs_once(tmp_path: pathlib.Path) -> None:
    """Check mode tells and does nothing; the run installs; the second changes nothing; an unknown module is named."""
    dest = tmp_path / "program"
    owner = {"owner": getpass.getuser(), "group": grp.getgrgid(os.getgid()).gr_name}
    install = {"module": "_csync2.agent", "dest": str(dest), **owner}

    def task(register: str, more: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
        return {"clusterkit.middleware.python_program": {**install, **options}, "register": register, **(more or {})}

    tasks = [
        task("checked", {"check_mode": True}),
        {"ansible.builtin.stat": {"path": str(dest)}, "register": "after_check"},
        task("run"),
        task("again"),
        task("unknown", {"ignore_errors": True}, module="_csync2.absent"),
        {
            "ansible.builtin.copy": {
                "content": "{{ {'checked': checked, 'there': after_check.stat.exists, 'run': run, 'again': again,"
                " 'unknown': unknown} | to_json }}",
                "dest": str(tmp_path / "results"),
            }
        },
    ]
    playbook = tmp_path / "play.yml"
    playbook.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]), encoding="utf-8")
    collections = pathlib.Path(next(iter(ansible_collections.__path__))).parent
    done = subprocess.run(
        [str(ANSIBLE_PLAYBOOK), "-i", "localhost,", "-c", "local", str(playbook)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(collections), "ANSIBLE_LOCALHOST_WARNING": "0"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((tmp_path / "results").read_text(encoding="utf-8"))
    assert (results["checked"]["changed"], results["there"]) == (True, False)
    assert (results["run"]["changed"], results["again"]["changed"]) == (True, False)
    assert "no module _csync2.absent" in results["unknown"]["msg"]
    assert dest.stat().st_mode & 0o7777 == 0o755
    assert subprocess.run([sys.executable, str(dest), "--help"], capture_output=True, check=False).returncode == 0
