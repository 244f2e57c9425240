# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What HAProxy answers at its socket, what is kept over reloads, and servers that leave and come back."""

from __future__ import annotations

import pathlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._haproxy import health, runtime, state, traffic

STAT = """# pxname,svname,qcur,qmax,scur,status,check_status,wredis,
web,FRONTEND,,,3,OPEN,,,
web,s1,1,0,2,UP,L7OK,4,
web,s2,0,0,0,{s2},* L7OK,0,
web,BACKEND,0,0,2,UP,,,
"""
STATES = """1
# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_port
3 web 1 s1 10.0.0.1 2 0 8080
3 web 2 s2 10.0.0.2 0 1 8080
3 gone 1 s1 10.0.0.1 2 0 8080
"""
SERVICES = [
    {
        "name": "web",
        "members": [
            {"name": "s1", "address": "10.0.0.1", "port": 9090},
            {"name": "s2", "address": "10.0.0.2", "port": 9090},
        ],
    }
]


class Balancer(runtime.Runtime):
    """A HAProxy whose server s1 serves `sessions`, and whose s2 is what it was set to."""

    def __init__(self, sessions: int = 0, s2: str = "UP") -> None:
        super().__init__()
        self.asked: list[str] = []
        self.statuses = {"s1": "UP", "s2": s2}
        self.left = sessions

    def ask(self, command: str) -> str:
        self.asked.append(command)
        if command.startswith("set server"):
            words = command.split()
            name = words[2].partition("/")[2]
            self.statuses[name] = {"ready": "UP", "drain": "DRAIN", "maint": "MAINT"}[words[-1]]
            return "\n"
        if command.startswith("shutdown"):
            self.left = 0
            return "\n"
        rows = [
            f"web,{name},0,0,{self.left if name == 's1' else 0},{status},L7OK,0,"
            for name, status in self.statuses.items()
        ]
        return "\n".join([STAT.splitlines()[0], *rows]) + "\n"


def test_table_of_servers() -> None:
    """Sessions are those that it serves and those that wait; pages of the balancer are no servers."""
    (one, two) = runtime.parse_stat(STAT.format(s2="MAINT"))
    assert (one.name, one.sessions, one.redispatched, one.serves, one.checked) == ("s1", 3, 4, True, True)
    assert two.withdrawn and not two.serves and two.check == "L7OK"
    with pytest.raises(ClusterkitError, match="expected its table"):
        runtime.parse_stat("Unknown command.\n")


def test_states_are_written_as_they_were_read() -> None:
    """Those that the configuration still has, with its port: HAProxy would take the port from this file."""
    states = runtime.parse_states(STATES)
    assert states.render() == STATES
    fitted = state.fitted(states, SERVICES)
    # s1 was in traffic and has another port: what is known of it is another one's. s2 stays out.
    assert [(row["srv_name"], row["srv_port"]) for row in fitted.rows] == [("s2", "9090")]
    with pytest.raises(ClusterkitError, match="no list of server states"):
        runtime.parse_states("nothing\n")


def test_before_a_start_only_who_was_taken_out_is_kept(tmp_path: pathlib.Path) -> None:
    """What the file says of health may be hours old; a broken file is none."""
    path = tmp_path / "server-state"
    state.freshen(SERVICES, str(path))
    assert path.read_text(encoding="utf-8") == "1\n# be_name\n"
    path.write_text(STATES.replace("8080", "9090"), encoding="utf-8")
    state.freshen(SERVICES, str(path))
    assert [row["srv_name"] for row in runtime.parse_states(path.read_text(encoding="utf-8")).rows] == ["s2"]
    path.write_text("broken", encoding="utf-8")
    state.freshen(SERVICES, str(path))
    assert not path.exists()
    with pytest.raises(ClusterkitError, match="the role haproxy writes it"):
        state.read_catalogue(str(tmp_path / "absent"))


def test_a_server_leaves_and_comes_back() -> None:
    """Each change is kept at once; the last one that serves does not leave."""
    balancer, kept = Balancer(), list[str]()
    one = traffic.Traffic(balancer, "s1", keep=lambda: kept.append("x"), wait=lambda _seconds: None)
    one.may_leave(1)
    one.withdraw("maint")
    assert balancer.statuses["s1"] == "MAINT" and one.idle_within(1.0)
    with pytest.raises(ClusterkitError, match="s2 cannot be taken out of the service web, which 0 others would serve"):
        traffic.Traffic(balancer, "s2").may_leave(1)
    one.give_back()
    one.serves_within(1.0)
    assert balancer.statuses["s1"] == "UP" and kept == ["x", "x"]
    with pytest.raises(
        ClusterkitError, match="'s9' is no server of this balancer in any service: its servers are s1, s2"
    ):
        traffic.Traffic(balancer, "s9").servers()


def test_sessions_are_waited_for_or_ended() -> None:
    """The wait is bounded."""
    balancer = Balancer(sessions=2)
    one = traffic.Traffic(balancer, "s1", wait=lambda _seconds: None)
    assert not one.idle_within(0.05)
    one.end_sessions()
    assert one.idle_within(1.0)


def test_a_balancer_that_does_not_answer(tmp_path: pathlib.Path) -> None:
    """Is told of with what to look at."""
    with pytest.raises(ClusterkitError, match=r"does haproxy\.service run"):
        runtime.Runtime(str(tmp_path / "absent")).info()


@pytest.fixture
def server() -> Iterator[dict[str, Any]]:
    """Return a server that answers 503 to each request, as a member of a service."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            while True:
                try:
                    connection, _address = listening.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    connection.sendall(b"HTTP/1.0 503 Busy\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield {"name": "s1", "address": "127.0.0.1", "port": listening.getsockname()[1]}
        listening.shutdown(socket.SHUT_RDWR)


def test_health_is_asked_as_the_balancer_asks(server: dict[str, Any]) -> None:
    """The status has to be one of those expected; without a path a connection is enough."""
    check = {"path": "/health", "method": "GET", "host": "", "status": "200-299", "port": 0, "tls": False}
    assert "/health answers 503, expected 200-299" in health.ailment({"check": check}, server)
    assert health.ailment({"check": {**check, "status": "200,500-503"}}, server) == ""
    assert health.ailment({"check": {**check, "path": ""}}, server) == ""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert "refused" in health.ailment({"check": check}, {**server, "port": port}).lower()
