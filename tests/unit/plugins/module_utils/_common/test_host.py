# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions about this host, asked of this host."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Outcome, Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.host import (
    REFUSED,
    addresses,
    port_holder,
    reach,
    resources,
    symbolic_links,
    unit_states,
)


def test_addresses() -> None:
    assert addresses("127.0.0.1") == ["127.0.0.1"]
    assert "127.0.0.1" in addresses("localhost") or "::1" in addresses("localhost")
    for name in ("n1.invalid", "a..b", "x" * 70, ".", "\udcff"):
        assert addresses(name) == []


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_port_holder(family: socket.AddressFamily) -> None:
    name = Path("/proc/self/comm").read_text().strip()
    try:
        listener = socket.create_server(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0), family=family)
    except OSError:
        return  # no IPv6 on this machine
    port = listener.getsockname()[1]
    assert port_holder(port, ["csync2"]) == f"{name} (process {os.getpid()})"
    assert port_holder(port, ["csync2", name]) == ""
    listener.close()
    assert port_holder(port, []) == ""


def test_a_connection_holds_no_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        port = client.getsockname()[1]
        assert port_holder(port, []) == ""
        client.close()


def test_symbolic_links(tmp_path: Path) -> None:
    real = tmp_path / "tomcat-7" / "conf"
    real.mkdir(parents=True)
    (tmp_path / "tomcat").symlink_to("tomcat-7")
    through, plain = f"{tmp_path}/tomcat/conf", str(real)
    assert symbolic_links([through, plain, f"{plain}/", f"{plain}/not/there", "/"]) == {through: str(real)}
    # Not yet a path: a prefix of csync2, or a pattern that is compared with names alone
    assert symbolic_links(["%home%/bob", "*.conf"]) == {}
    assert symbolic_links([f"{tmp_path}/tomcat/*"]) == {f"{tmp_path}/tomcat/*": f"{tmp_path}/tomcat-7/*"}


class Systemd(Runner):
    """Plays systemctl."""

    def __init__(self, said: bytes) -> None:
        super().__init__()
        self.said = said

    def execute(self, argv: list[str], stdin: bytes, env: dict[str, str], cwd: str | None, limit: float) -> Outcome:
        assert argv[:2] == ["systemctl", "is-active"]
        return Outcome(3, stdout=self.said)


def test_unit_states() -> None:
    units = ["csync2.socket", "csync2-sync.timer"]
    assert unit_states(units, Systemd(b"active\ninactive\n")) == {units[0]: "active", units[1]: "inactive"}
    assert unit_states([], Systemd(b"")) == {}
    # Where systemd does not run it says why on standard error only
    assert unit_states(units, Systemd(b"")) == dict.fromkeys(units, "unknown")


def test_reach() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert reach("127.0.0.1", port) == ""
    assert reach("127.0.0.1", port) == REFUSED
    assert reach("n1.invalid", port).startswith("the name does not resolve: ")
    assert reach("a..b", port) and reach("x" * 70 + ".example.org", port, limit=0.1)


def test_peer_that_does_not_answer_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def waits(address: tuple[str, int], timeout: float) -> None:
        raise socket.timeout("timed out")

    monkeypatch.setattr(socket, "create_connection", waits)
    assert reach("n2", 30865, limit=0.1) == "timed out"


def test_resources(tmp_path: Path) -> None:
    found = resources(str(tmp_path / "is" / "not" / "there"))
    assert found == resources(str(tmp_path))
    assert found["cpus"] == os.cpu_count() and found["disk"] == shutil.disk_usage(tmp_path).total
    meminfo = Path("/proc/meminfo").read_text(encoding="ascii")
    assert found["memory"] == int(meminfo.split()[1]) * 1024
