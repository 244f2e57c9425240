# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module cluster_service_info: it waits for connections, sees what changed since the start, and changes nothing."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.clusterkit.middleware.plugins.modules import cluster_service_info
from ansible_collections.clusterkit.middleware.plugins.modules.cluster_service_info import main

if TYPE_CHECKING:
    from tests.unit.conftest import RunModule


@pytest.fixture
def unit(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Stand for systemd: a unit that was started a minute ago."""
    said: dict[str, Any] = {"state": "active", "started": time.time() - 60}
    monkeypatch.setattr(cluster_service_info.host, "unit_states", lambda units, _runner: {units[0]: said["state"]})
    monkeypatch.setattr(cluster_service_info, "started", lambda _unit, _runner: said["started"])
    monkeypatch.setattr(cluster_service_info.connections, "addresses", lambda _runner: ["192.0.2.1"])
    monkeypatch.setattr(cluster_service_info.firewall, "names", lambda _runner: [])
    return said


def test_files_that_changed_since_the_start(run_module: RunModule, unit: dict[str, Any], tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.touch(), new.touch()
    os.utime(old, (0, time.time() - 120))
    files = [str(old), str(new), str(tmp_path / "none")]
    found = run_module(main, unit="sync.service", port=1, files=files, asked_at=time.time() - 5)
    assert found["newer"] == [str(new)] and found["missing"] == files[2:] and not found["changed"]
    assert 5 <= found["clock_ahead"] < 60
    unit["state"] = "inactive"
    assert run_module(main, unit="sync.service", port=1, files=files)["newer"] == []


def test_connections_are_waited_for(run_module: RunModule, unit: dict[str, Any]) -> None:
    with socket.create_server(("127.0.0.2", 0)) as listener:
        port = listener.getsockname()[1]
        begun = time.monotonic()
        alone = run_module(main, unit="sync.service", port=port, peers=["127.0.0.3"], settle=0.5)
        assert alone["connected"] == [] and time.monotonic() - begun >= 0.5
        with socket.create_connection(("127.0.0.2", port), source_address=("127.0.0.3", 0)):
            found = run_module(main, unit="sync.service", port=port, peers=["127.0.0.3"], settle=30)
        assert "127.0.0.3" in found["connected"] and found["listening"] == ["127.0.0.2"]
        reach = run_module(main, unit="sync.service", port=port, reach=[f"127.0.0.2:{port}"])["reach"]
        assert reach == {f"127.0.0.2:{port}": ""}
        unit["state"] = "failed"
        assert str(os.getpid()) in run_module(main, unit="sync.service", port=port)["port_holder"]


def test_what_cannot_be_reached_is_no_address(run_module: RunModule, unit: dict[str, Any]) -> None:
    failed = run_module(main, unit="sync.service", port=1, reach=["192.0.2.1"])
    assert failed["failed"] and "write address:port" in failed["msg"] and unit["state"] == "active"
