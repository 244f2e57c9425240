# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The metadata service of an instance, as a program meets it that knows no tokens."""

from __future__ import annotations

import http.server
import threading
from typing import TYPE_CHECKING, Iterator

import pytest

from ansible_collections.clusterkit.middleware.plugins.modules import instance_metadata_info

if TYPE_CHECKING:
    from tests.unit.conftest import RunModule


class Metadata(http.server.BaseHTTPRequestHandler):
    """Answers as told, and notes what was asked."""

    status, body = 200, "members"
    asked: list[tuple[str, str | None]]

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers.get("Host")))
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(self.body.encode())

    def log_message(self, *_said: object) -> None:
        """Say nothing."""


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[type[Metadata], str]]:
    # Nothing answers there
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    handler = type("Handler", (Metadata,), {"asked": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield handler, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("status", "body", "tokens", "roles"),
    [(200, "members\n", "optional", ["members"]), (404, "", "optional", []), (401, "", "required", [])],
)
def test_what_it_says(
    run_module: RunModule, service: tuple[type[Metadata], str], status: int, body: str, tokens: str, roles: list[str]
) -> None:
    handler, url = service
    handler.status, handler.body = status, body
    said = run_module(instance_metadata_info.main, url=url)
    assert (said["answers"], said["tokens"], said["roles"], said["changed"]) == (True, tokens, roles, False)
    assert [path for path, _host in handler.asked] == ["/latest/meta-data/iam/security-credentials/"]


def test_a_host_that_is_no_instance(run_module: RunModule) -> None:
    said = run_module(instance_metadata_info.main, url="http://127.0.0.1:9", limit=1)
    assert (said["answers"], said["tokens"], said["roles"]) == (False, "", [])


def test_another_protocol(run_module: RunModule) -> None:
    said = run_module(instance_metadata_info.main, url="file:///etc/passwd")
    assert said["failed"] and "is asked by http://" in said["msg"]
