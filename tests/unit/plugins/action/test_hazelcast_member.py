# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action plugin hazelcast_member, by ansible-playbook itself: what changes, what is shown, and what is not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import ansible_collections
from ansible_collections.clusterkit.middleware.plugins.action.hazelcast_member import _OPTIONS
from ansible_collections.clusterkit.middleware.plugins.doc_fragments import file
from ansible_collections.clusterkit.middleware.plugins.modules import hazelcast_member

ANSIBLE_PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")
CANARY = "can#ry'\"%{}ü"


def documented(options: dict[str, Any]) -> dict[str, Any]:
    """Return of documented options what an argument spec says as well."""
    found: dict[str, Any] = {}
    for name, option in options.items():
        kept = {key: value for key, value in option.items() if key not in ("description", "suboptions")}
        if "suboptions" in option:
            kept["options"] = documented(option["suboptions"])
        found[name] = kept
    return found


def spec(options: dict[str, Any]) -> dict[str, Any]:
    return {
        name: {key: spec(value) if key == "options" else value for key, value in option.items() if key != "no_log"}
        for name, option in options.items()
    }


def test_documentation_is_what_it_takes() -> None:
    own = yaml.safe_load(hazelcast_member.DOCUMENTATION)
    assert "clusterkit.middleware.file" in own["extends_documentation_fragment"]
    shared = yaml.safe_load(file.ModuleDocFragment.DOCUMENTATION)
    assert documented({**shared["options"], **own["options"]}) == spec(_OPTIONS)


@pytest.mark.skipif(not ANSIBLE_PLAYBOOK.exists(), reason="no ansible-playbook beside this Python")
def test_a_play(tmp_path: Path) -> None:
    plugins = tmp_path / "repository/components/plugins"
    plugins.mkdir(parents=True)
    (plugins / "org.wso2.carbon.core_4.6.0.jar").touch()
    (plugins / "hazelcast_3.12.2.wso2v1.jar").touch()
    axis2, config = tmp_path / "axis2.xml", tmp_path / "config.yml"
    axis2.write_text('<axisconfig>\n  <clustering enable="false"/>\n</axisconfig>\n')
    config.write_text("sync:\n  cluster:\n    enabled: false # é\n")
    config.chmod(0o664)
    declared = {"path": str(axis2), "carbon_home": str(tmp_path), "domain": "site", "password": CANARY, "mode": "0640"}
    synced = {"path": str(config), "interfaces": ["10.3.*.*"], "password": CANARY, "backup": True}
    tasks: list[dict[str, Any]] = [
        {"clusterkit.middleware.hazelcast_member": declared, "check_mode": True},
        {"clusterkit.middleware.hazelcast_member": declared},
        {"clusterkit.middleware.hazelcast_member": declared},
        {"clusterkit.middleware.hazelcast_member": synced},
        {"clusterkit.middleware.hazelcast_member": {**synced, "password": CANARY, "local_host": "h"}},
        {"clusterkit.middleware.hazelcast_member": {"path": str(tmp_path / "none.yml"), "format": "sync_service"}},
    ]
    for number, task in enumerate(tasks):
        task.update(register=f"result_{number}", ignore_errors=True)
    names = ",".join(f"result_{number}" for number in range(len(tasks)))
    keep = {"ansible.builtin.copy": {"content": f"{{{{ [{names}] | to_json }}}}", "dest": str(tmp_path / "results")}}
    playbook = tmp_path / "play.yml"
    playbook.write_text(
        json.dumps(
            [{"hosts": "all", "gather_facts": False, "tasks": [*tasks, {**keep, "diff": False, "no_log": True}]}]
        )
    )
    (tmp_path / "empty.cfg").touch()
    done = subprocess.run(
        [str(ANSIBLE_PLAYBOOK), "-i", "localhost,", "-c", "local", "--diff", "-vvv", str(playbook)],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_CONFIG": str(tmp_path / "empty.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": str(Path(next(iter(ansible_collections.__path__))).parent),
            "ANSIBLE_REMOTE_TMP": str(tmp_path / "target"),
            "ANSIBLE_PIPELINING": "true",
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
            "ANSIBLE_NOCOLOR": "1",
        },
        text=True,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((tmp_path / "results").read_text())
    assert [one["changed"] for one in results[:4]] == [True, True, False, True], results
    assert results[0]["changed_values"] == ["state", "domain", "password", "agent"]
    assert "protects nothing" in results[1]["advice"][0]
    assert "protects nothing" in " ".join(done.stderr.split())
    assert 'enable="true"' in axis2.read_text() and axis2.stat().st_mode & 0o777 == 0o640
    assert "enabled: true # é\n    interface: 10.3.*.*\n" in config.read_text()
    assert config.stat().st_mode & 0o777 == 0o664
    assert Path(results[3]["backup"]).read_text() == "sync:\n  cluster:\n    enabled: false # é\n"
    assert results[4]["failed"] and "local_host cannot be expressed in sync_service" in results[4]["msg"]
    assert results[5]["failed"] and "there is no such file" in results[5]["msg"]
    said = done.stdout + done.stderr + json.dumps(results)
    assert CANARY not in said and "can#ry" not in said
    assert "******** (wanted)" in done.stdout
