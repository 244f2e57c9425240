# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions about the network that virtual addresses are on: whose addresses, who advertises, who answers."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import select
import socket
import struct
import time
from typing import Any, Iterable, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError

_VRRP, _GROUP = 112, "224.0.0.18"
_ETHERTYPE_IPV4 = 0x0800
_DISCARD = 9
#: How long a neighbour may take to say that it has an address: the kernel asks three times, a second apart.
_NEIGHBOUR_SECONDS = 1.5
_KNOWN = {"REACHABLE", "STALE", "DELAY", "PROBE", "PERMANENT"}


def addresses(runner: Runner) -> list[dict[str, Any]]:
    """Return the addresses of IPv4 that this host's kernel has. Raises ClusterkitError."""
    said = runner.run(["ip", "-json", "-4", "address", "show"], limit=10).stdout
    try:
        return [
            {"interface": link["ifname"], "address": one["local"], "prefix": int(one["prefixlen"])}
            for link in json.loads(said or "[]")
            for one in link.get("addr_info", [])
        ]
    except (ValueError, KeyError) as error:
        raise ClusterkitError(f"`ip -json address show` said something else than is known here: {error!r}") from None


def advertisement(packet: bytes) -> tuple[str, int] | None:
    """Return source and router id of a packet of IPv4 that is an advertisement of VRRP."""
    if len(packet) < 20 or packet[0] >> 4 != 4 or packet[9] != _VRRP:
        return None
    body = packet[(packet[0] & 0x0F) * 4 :]
    # The type is the lower half of the first byte, and there is but one
    if len(body) < 8 or body[0] & 0x0F != 1:
        return None
    return socket.inet_ntoa(packet[12:16]), body[1]


def hear(router_ids: Iterable[int], interfaces: Sequence[str], seconds: float) -> list[dict[str, Any]]:
    """Listen for advertisements of some routers and return who sent them. Raises ClusterkitError."""
    wanted = set(router_ids)
    found: dict[tuple[str, str, int], None] = {}
    if not wanted:
        return []
    try:
        listener = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETHERTYPE_IPV4))
    except OSError as error:
        raise ClusterkitError(f"cannot listen for advertisements of VRRP: {error} - this has to run as root") from None
    with listener, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as joined:
        for name in interfaces:
            with contextlib.suppress(OSError):  # one that cannot have multicast hears none
                group = struct.pack("4s4si", socket.inet_aton(_GROUP), b"\0" * 4, socket.if_nametoindex(name))
                joined.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if not select.select([listener], [], [], left)[0]:
                break
            packet, place = listener.recvfrom(2048)
            heard = advertisement(packet)
            if heard and heard[1] in wanted and place[2] != socket.PACKET_OUTGOING:
                found[(place[0], heard[0], heard[1])] = None
    return [{"interface": name, "source": source, "router_id": number} for name, source, number in sorted(found)]


def answering(runner: Runner, wanted: Sequence[str], own: Iterable[str]) -> dict[str, str]:
    """Return, of addresses that this host has not, those that some host on its networks has, with its MAC address."""
    asked = [one for one in wanted if one not in set(own)]
    if not asked:
        return {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        for one in asked:
            with contextlib.suppress(OSError):
                # So that the kernel asks who has it; what was known of it before may be out of date
                runner.run(["ip", "neighbour", "flush", "to", one], limit=10, accept=None)
                sender.sendto(b"", (one, _DISCARD))
        end = time.monotonic() + _NEIGHBOUR_SECONDS
        while True:
            found = _neighbours(runner, asked)
            if len(found) == len(asked) or time.monotonic() > end:
                return found
            time.sleep(0.1)


def _neighbours(runner: Runner, wanted: Sequence[str]) -> dict[str, str]:
    said = runner.run(["ip", "-json", "-4", "neighbour", "show"], limit=10).stdout
    with contextlib.suppress(ValueError):
        return {
            one["dst"]: one["lladdr"]
            for one in json.loads(said or "[]")
            if one.get("dst") in wanted and one.get("lladdr") and set(one.get("state", [])) & _KNOWN
        }
    return {}


def on_link(address: str, interface: str, own: Sequence[dict[str, Any]]) -> bool:
    """Tell whether an address is in one of an interface's networks."""
    networks = [
        ipaddress.ip_network(f"{one['address']}/{one['prefix']}", strict=False)
        for one in own
        if one["interface"] == interface and one["address"] != address
    ]
    return any(ipaddress.ip_address(address) in network for network in networks)
