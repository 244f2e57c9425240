# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Entry points of deploy_cluster in check mode, on hosts that are all this machine: what they ask for and refuse."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from tests.unit.roles.conftest import Play

UNIT = "clusterkit-test-not-there.service"


@pytest.fixture
def inventory(tmp_path: Path) -> dict[str, Any]:
    """Two servers, which do not run, with their data on what they share."""
    install, data = tmp_path / "server", tmp_path / "share" / "appdata"
    for directory in (install / "conf" / "server", data):
        directory.mkdir(parents=True)
    (install / "conf" / "installed.version").write_text("7.3.0.0\n", encoding="utf-8")
    properties = f"server.appdata.dir={data}\nagentcomm.uri=wss://ucd:7919\n"
    (install / "conf" / "server" / "installed.properties").write_text(properties, encoding="utf-8")
    variables = {
        "deploy_cluster_install_dir": str(install),
        "deploy_cluster_appdata_dir": str(data),
        "deploy_cluster_unit": UNIT,
        "deploy_cluster_standby": ["ucd2"],
    }
    members = {"hosts": {"ucd1": {"ansible_host": "127.0.0.1"}, "ucd2": {}}}
    return {"all": {"hosts": {"db1": {}}, "vars": variables, "children": {"deploy_servers": members}}}


def test_a_fenced_server_that_answers_is_no_fenced_one(play: Play, inventory: dict[str, Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        inventory["all"]["vars"].update(deploy_cluster_fenced=["ucd1"], deploy_cluster_fence_ports=[port])
        done = play("deploy_cluster", "failover", "ucd2", inventory, "--check")
    assert done.returncode != 0
    assert f"ucd1 is in deploy_cluster_fenced, and answers at port {port}" in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("entry", "hosts", "variables", "said"),
    [
        ("failover", "deploy_servers", {}, "ucd1, ucd2 are to serve - with a cold standby one server does"),
        ("failover", "ucd2", {"deploy_cluster_fenced": ["ucd2"]}, "ucd2 is to serve and is in deploy_cluster_fenced"),
        ("backup", "deploy_servers", {}, "give the host on which role app_database writes backups"),
        (
            "backup",
            "ucd1",
            {
                "deploy_cluster_database_host": "db1",
                "deploy_cluster_database_name": "d",
                "deploy_cluster_backup_offline": True,
            },
            "deploy_cluster_backup_offline is true, and ucd2 are not in this run",
        ),
        (
            "restore",
            "deploy_servers",
            {"deploy_cluster_database_host": "db1", "deploy_cluster_database_name": "d"},
            "deploy_cluster_restore is empty - give the path of a backup on ucd1",
        ),
        (
            "restore",
            "deploy_servers",
            {
                "deploy_cluster_database_host": "db1",
                "deploy_cluster_database_name": "d",
                "deploy_cluster_restore": "/none.tar.gz",
            },
            "there is no manifest beside /none.tar.gz",
        ),
    ],
)
def test_what_is_refused(
    play: Play, inventory: dict[str, Any], tmp_path: Path, entry: str, hosts: str, variables: dict[str, Any], said: str
) -> None:
    inventory["all"]["vars"].update(variables, deploy_cluster_backup_directory=str(tmp_path / "backups"))
    done = play("deploy_cluster", entry, hosts, inventory, "--check")
    assert done.returncode != 0
    assert said in " ".join(done.stdout.split())
