# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections between Deploy servers, made at an interface that is played: one for each server, and each once."""

from __future__ import annotations

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Iterator

import pytest

from tests.unit.roles.conftest import Play

PASSWORD = "canary of the interface"  # a test's


class Interface(ThreadingHTTPServer):
    """What lists connections and makes them."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.connections: list[dict[str, Any]] = [{"title": "ucd1", "address": "ucd1.example.org"}]
        self.users: set[str] = set()


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Interface

    def do_GET(self) -> None:
        """List the connections."""
        self.answer()

    def do_PUT(self) -> None:
        """Make one."""
        self.server.connections.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.answer()

    def answer(self) -> None:
        """Answer with all."""
        self.server.users.add(base64.b64decode(self.headers["Authorization"].split()[1]).decode())
        body = json.dumps(self.server.connections).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_more: Any) -> None:
        """Say nothing."""


@pytest.fixture
def interface() -> Iterator[Interface]:
    with Interface() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def run(play: Play, interface: Interface) -> str:
    """Run the tasks on a host that is no member, so that nothing restarts; return what Ansible says."""
    variables = {
        "deploy_cluster_connections_url": f"http://127.0.0.1:{interface.server_address[1]}/connections",
        "deploy_cluster_connections_method": "PUT",
        "deploy_cluster_connections_fields": {"name": "title", "host": "address", "port": "jms", "active": "on"},
        "deploy_cluster_rest_user": "admin",
        "deploy_cluster_rest_password": PASSWORD,
        "deploy_cluster_unit": "none.service",
        "deploy_cluster_appdata_dir": "/none",
    }
    members = {"ucd1": {"deploy_cluster_web_host": "ucd1.example.org"}, "ucd2": {}}
    inventory = {"all": {"hosts": {"asker": {}}, "vars": variables, "children": {"deploy_servers": {"hosts": members}}}}
    done = play("deploy_cluster", "connections", "asker", inventory, "-vvv")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_one_for_each_server(play: Play, interface: Interface) -> None:
    """The one that is there stays, the missing one is made, the second run makes none; no password shows."""
    said = run(play, interface)
    made = {"title": "ucd2", "address": "ucd2", "jms": 7918, "on": True}
    assert interface.connections == [{"title": "ucd1", "address": "ucd1.example.org"}, made]
    assert interface.users == {f"admin:{PASSWORD}"}
    assert "changed=1" in said and PASSWORD not in said
    said = run(play, interface)
    assert len(interface.connections) == 2 and "changed=0" in said
