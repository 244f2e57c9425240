# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions about the host itself that preflights and verifications of several roles ask."""

from __future__ import annotations

import contextlib
import glob
import ipaddress
import os
import pathlib
import socket
from typing import Iterable, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common import connections
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner

#: What `reach` says where packets arrive, and nothing listens.
REFUSED = "refused"


def addresses(name: str) -> list[str]:
    """Return the addresses that a name resolves to on this host, empty when it does not."""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):  # the latter for what cannot be a name: a label that is empty or too long
        return []
    return sorted({str(entry[4][0]) for entry in found})


def reach(name: str, port: int, limit: float = 3.0) -> str:
    """Connect to a TCP port within `limit` seconds; return why not, REFUSED or a reason, empty when it answers."""
    try:
        with socket.create_connection((name, port), timeout=limit):
            return ""
    except socket.gaierror as error:
        return f"the name does not resolve: {error.strerror}"
    except ConnectionRefusedError:
        return REFUSED
    except (OSError, UnicodeError) as error:
        return str(getattr(error, "strerror", None) or error)


def resources(path: str) -> dict[str, int]:
    """Return the processors of this host, its memory, and the size of the file system of a path, both in bytes.

    Of a path that is not there yet its nearest parent counts.
    """
    place = pathlib.Path(path)
    while not place.exists():
        place = place.parent
    volume = os.statvfs(place)
    return {
        "cpus": os.sysconf("SC_NPROCESSORS_ONLN"),
        "memory": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "disk": volume.f_blocks * volume.f_frsize,
    }


def port_holder(port: int, expected: Sequence[str]) -> str:
    """Return the name of the program that listens on a TCP port, empty when none does or it is one of `expected`."""
    inodes = {socket_name for socket_name, number in _listeners().items() if number == port}
    for link in glob.iglob("/proc/[0-9]*/fd/*") if inodes else ():  # noqa: PTH207  # lazily, and it ends at the first
        try:
            if os.readlink(link) in inodes:  # thousands of links: no object for each
                process = pathlib.Path(link).parent.parent
                name = (process / "comm").read_text(encoding="utf-8", errors="replace").strip()
                return "" if name in expected else f"{name} (process {process.name})"
        except OSError:
            continue
    return ""


def listening(program: str) -> list[int]:
    """Return the TCP ports on which the processes of a program listen."""
    ports = _listeners()
    found = set()
    for name in pathlib.Path("/proc").glob("[0-9]*/comm"):
        try:
            if name.read_text(encoding="utf-8", errors="replace").strip() != program:
                continue
            descriptors = list((name.parent / "fd").iterdir())
        except OSError:
            continue
        for descriptor in descriptors:
            # One that has closed since is no reason to overlook the others: a busy process closes many
            with contextlib.suppress(OSError):
                found.add(ports.get(os.readlink(descriptor), 0))
    return sorted(found - {0})


def _listeners() -> dict[str, int]:
    """Return the TCP ports that are listened on, each by its socket as a process's descriptors name it (proc(5))."""
    return {f"socket:[{one.inode}]": one.port for one in connections.sockets() if one.state == connections.LISTENING}


def own_addresses() -> list[str]:
    """Return the addresses of this host, those of loopback and of one link alone left out (proc(5))."""
    found = set()
    with contextlib.suppress(OSError):
        lines = pathlib.Path("/proc/net/fib_trie").read_text(encoding="ascii").splitlines()
        for line, following in zip(lines, lines[1:]):
            if following.strip() == "/32 host LOCAL":
                found.add(ipaddress.ip_address(line.split()[-1]))
    with contextlib.suppress(OSError):
        for line in pathlib.Path("/proc/net/if_inet6").read_text(encoding="ascii").splitlines():
            found.add(ipaddress.ip_address(bytes.fromhex(line.split()[0])))
    return [str(one) for one in sorted(found, key=lambda one: (one.version, one.packed)) if not _near(one)]


def _near(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return address.is_loopback or address.is_link_local


def symbolic_links(paths: Iterable[str]) -> dict[str, str]:
    """Return, for each absolute path that leads through a symbolic link, where it really leads."""
    found = {}
    for path in paths:
        real = os.path.realpath(path)
        if path.startswith("/") and real != os.path.normpath(path):
            found[path] = real
    return found


def unit_states(units: Sequence[str], runner: Runner) -> dict[str, str]:
    """Return the state of each systemd unit as `systemctl is-active` tells it, 'unknown' where it tells none."""
    if not units:
        return {}
    said = runner.run(["systemctl", "is-active", *units], limit=10, accept=None).stdout.splitlines()
    return dict(zip(units, said + ["unknown"] * len(units)))
