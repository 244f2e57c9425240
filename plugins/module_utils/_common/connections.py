# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which addresses this host has, where it listens, and with whom it is connected: of IPv4, also by sockets of IPv6."""

from __future__ import annotations

import json
import pathlib
import socket
import struct
from dataclasses import dataclass
from typing import Iterator

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError

_ESTABLISHED, LISTENING = "01", "0A"
_PROC = "/proc/net"
#: How an address of IPv4 begins where a socket of IPv6 has it (RFC 4291, 2.5.5.2).
_MAPPED = b"\0" * 10 + b"\xff" * 2


@dataclass(frozen=True)
class Socket:
    """One row of the kernel's table (proc(5)): both ends, the state as the table spells it, and its inode."""

    address: str
    port: int
    peer: str
    peer_port: int
    state: str
    inode: int


def addresses(runner: Runner) -> list[str]:
    """Return the addresses of IPv4 that interfaces of this host have, loopback left out. Raises ClusterkitError."""
    said = runner.run(["ip", "-4", "-json", "address", "show"], limit=10).stdout
    try:
        links = json.loads(said or "[]")
    except ValueError:
        raise ClusterkitError(f"`ip -4 -json address show` printed no JSON: {said[:200]!r}") from None
    found = {str(one["local"]) for link in links for one in link.get("addr_info", []) if "local" in one}
    return sorted(one for one in found if not one.startswith("127."))


def listening(port: int, tables: str = _PROC) -> list[str]:
    """Return the addresses at which a TCP port is listened on; 0.0.0.0 is all of them."""
    return sorted({one.address for one in sockets(tables) if one.state == LISTENING and one.port == port})


def connected(port: int, tables: str = _PROC) -> list[str]:
    """Return with whom there is a TCP connection, here or there at this port."""
    return sorted(
        {
            one.peer
            for one in sockets(tables)
            if one.state == _ESTABLISHED and port in (one.port, one.peer_port) and one.peer != one.address
        }
    )


def sockets(tables: str = _PROC) -> Iterator[Socket]:
    """Walk over the TCP sockets of this host, of IPv4 and of IPv6."""
    for name in ("tcp", "tcp6"):
        try:
            lines = (pathlib.Path(tables) / name).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            yield Socket(*_end(fields[1]), *_end(fields[2]), fields[3], int(fields[9]))


def _end(text: str) -> tuple[str, int]:
    """Read an end of a connection: words of 32 bits as the processor has them, and the port."""
    address, _colon, port = text.partition(":")
    words = [int(address[at : at + 8], 16) for at in range(0, len(address), 8)]
    raw = struct.pack(f"={len(words)}I", *words)
    if len(raw) == 16 and (raw.startswith(_MAPPED) or not any(raw)):
        raw = raw[12:]
    family = socket.AF_INET if len(raw) == 4 else socket.AF_INET6
    return socket.inet_ntop(family, raw), int(port, 16)
