# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HAProxy's runtime socket: what it says of servers, and how they are taken out of traffic and back.

The answers are described in HAProxy's management guide, chapters 9.1 (CSV) and 9.3 (the commands).
"""

from __future__ import annotations

import csv
import io
import socket
from dataclasses import dataclass
from typing import Any, Iterator, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError

SOCKET = "/run/haproxy/admin.sock"
#: What `show stat` says of check results that are good: by layer, and conditionally (404 where that means draining).
_CHECK_OK = ("L4OK", "L6OK", "L7OK", "L7OKC", "PROCOK")
#: Bits of srv_admin_state that an operator or a program sets at run time: forced maintenance and forced drain.
FORCED_MAINTENANCE, FORCED_DRAIN = 0x01, 0x08
FORCED = FORCED_MAINTENANCE | FORCED_DRAIN
#: The names of the columns of `show servers state` that are used here.
BACKEND, SERVER, ADDRESS, PORT = "be_name", "srv_name", "srv_addr", "srv_port"
OPERATION, ADMINISTRATION = "srv_op_state", "srv_admin_state"


@dataclass(frozen=True)
class Server:
    """One server of one backend, as `show stat` tells of it; `sessions` are those that it serves or that wait for it.

    `redispatched` counts requests that it refused and another server got.
    """

    backend: str
    name: str
    status: str
    sessions: int
    check: str
    redispatched: int = 0

    @property
    def serves(self) -> bool:
        """Whether new requests go to it."""
        # "UP 1/3" is on its way down and still serves; "no check" is what a server without a check says
        return self.status.startswith("UP") or self.status == "no check"

    @property
    def withdrawn(self) -> bool:
        """Whether somebody took it out of traffic."""
        return self.status.startswith(("MAINT", "DRAIN"))

    @property
    def checked(self) -> bool:
        """Whether its last health check was good, or it has none."""
        return self.check in _CHECK_OK or self.status == "no check"


@dataclass(frozen=True)
class States:
    """What `show servers state` tells, and what the server-state file holds: names of columns, and rows."""

    version: str
    columns: tuple[str, ...]
    rows: tuple[dict[str, str], ...]

    def render(self) -> str:
        """Return the text that HAProxy reads."""
        lines = [self.version, "# " + " ".join(self.columns)]
        lines += [" ".join(row[column] for column in self.columns) for row in self.rows]
        return "\n".join(lines) + "\n"


def parse_stat(text: str) -> list[Server]:
    """Return the servers in the answer to `show stat`. Raises ClusterkitError for what is none."""
    if not text.startswith("# pxname,svname,"):
        raise ClusterkitError(f"HAProxy answered {text[:80]!r} to show stat: expected its table")
    return [
        Server(
            row["pxname"],
            row["svname"],
            row["status"],
            int(row["scur"] or 0) + int(row["qcur"] or 0),
            row["check_status"].lstrip("* "),
            int(row["wredis"] or 0),
        )
        for row in csv.DictReader(io.StringIO(text[2:]))
        if row["svname"] not in ("FRONTEND", "BACKEND")
    ]


def parse_states(text: str) -> States:
    """Return the answer to `show servers state`, or a server-state file. Raises ClusterkitError for what is none."""
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) < 2 or not lines[0].strip().isdigit() or not lines[1].startswith("# "):
        raise ClusterkitError(f"{text[:80]!r} is no list of server states")
    columns = tuple(lines[1][2:].split())
    rows = [dict(zip(columns, line.split())) for line in lines[2:]]
    return States(lines[0].strip(), columns, tuple(row for row in rows if len(row) == len(columns)))


def parse_info(text: str) -> dict[str, str]:
    """Return the answer to `show info`."""
    return dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)


class Runtime:
    """A HAProxy that runs, asked by its socket. Every method raises ClusterkitError when it does not answer."""

    def __init__(self, path: str = SOCKET, limit: float = 10.0) -> None:
        self._path = path
        self._limit = limit

    def ask(self, command: str) -> str:
        """Send one command and return the answer."""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(self._limit)
                connection.connect(self._path)
                connection.sendall(f"{command}\n".encode())
                return b"".join(_chunks(connection)).decode(errors="replace")
        except OSError as error:
            raise ClusterkitError(
                f"HAProxy does not answer at {self._path}: {error.strerror or error} - does haproxy.service run?"
            ) from None

    def servers(self) -> list[Server]:
        """Return all servers of all backends."""
        return parse_stat(self.ask("show stat -1 4 -1"))

    def states(self) -> States:
        """Return the states as the server-state file holds them."""
        return parse_states(self.ask("show servers state"))

    def info(self) -> dict[str, str]:
        """Return what the process says of itself."""
        return parse_info(self.ask("show info"))

    def set_state(self, server: Server, state: str) -> None:
        """Bring a server to 'ready', 'drain' (sessions that are bound to it stay) or 'maint' (no request any more)."""
        self._act(f"set server {server.backend}/{server.name} state {state}")

    def end_sessions(self, server: Server) -> None:
        """End what a server still serves."""
        self._act(f"shutdown sessions server {server.backend}/{server.name}")

    def _act(self, command: str) -> None:
        said = self.ask(command).strip()
        if said:
            raise ClusterkitError(f"HAProxy refused `{command}`: {said}")


def _chunks(connection: socket.socket) -> Iterator[bytes]:
    while True:
        chunk = connection.recv(65536)
        if not chunk:
            return
        yield chunk


def named(servers: Sequence[Server], name: str, services: Sequence[str] = ()) -> list[Server]:
    """Return the servers of a name, in some services or in all. Raises ClusterkitError when there is none."""
    found = [one for one in servers if one.name == name and (not services or one.backend in services)]
    if not found:
        known = ", ".join(sorted({one.name for one in servers})) or "none"
        where = f"in {', '.join(services)}" if services else "in any service"
        raise ClusterkitError(f"{name!r} is no server of this balancer {where}: its servers are {known}")
    missing = sorted(set(services) - {one.backend for one in found})
    if missing:
        raise ClusterkitError(f"{name!r} is no server of {', '.join(missing)}")
    return found


def last_ones(servers: Sequence[Server], name: str, minimum: int, services: Sequence[str] = ()) -> list[str]:
    """Say of which services a server cannot be taken out, since fewer than `minimum` others would serve them.

    One that does not serve is taken from nobody.
    """
    out = []
    for one in named(servers, name, services):
        others = [other for other in servers if other.backend == one.backend and other.name != name]
        serving = [other.name for other in others if other.serves]
        if one.serves and len(serving) < minimum:
            states = ", ".join(f"{other.name} is {other.status}" for other in others) or "it has no other server"
            out.append(
                f"{name} cannot be taken out of the service {one.backend}, which {len(serving)} others would serve and "
                f"{minimum} have to: {states}. Bring another one up first."
            )
    return out


def summary(server: Server) -> dict[str, Any]:
    """Return a server as modules return it."""
    return {
        "service": server.backend,
        "name": server.name,
        "status": server.status,
        "sessions": server.sessions,
        "check": server.check,
        "redispatched": server.redispatched,
    }
