# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports of a service opened to its cluster's members, in the firewall that runs on this host: firewalld or ufw.

What was opened is kept in a note, so that a member that left is shut out again and nobody else's rule is touched.
"""

from __future__ import annotations

import ipaddress
import json
import pathlib
import re
import shutil
from dataclasses import dataclass
from typing import Callable, Iterable, Protocol, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common import files, host
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError

NOTES = "/var/lib/clusterkit/ports"
_LIMIT = 60.0
#: Protocols without ports, by the names that both firewalls know.
_PORTLESS = ("vrrp",)
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, order=True)
class Opening:
    """A port (such as '30865') of a protocol ('tcp' or 'udp') that one address may connect to.

    Of a protocol that has no ports, such as 'vrrp', `port` is empty.
    """

    address: str
    port: str
    protocol: str


class Firewall(Protocol):
    """A firewall that runs. Every method raises ClusterkitError."""

    name: str

    def has(self, opening: Opening) -> bool:
        """Tell whether it is open."""

    def open(self, opening: Opening) -> None:
        """Open it, now and after a restart."""

    def close(self, opening: Opening) -> None:
        """Close it, now and after a restart."""


class Firewalld:
    """firewalld by firewall-cmd, in the default zone; what runs and what is kept are changed each, without a reload.

    A reload would drop what others, such as a container engine, have put into the firewall that runs.
    """

    name = "firewalld"
    _kinds: tuple[tuple[str, ...], ...] = ((), ("--permanent",))

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def has(self, opening: Opening) -> bool:
        """Tell whether it is open, both now and after a restart."""
        return all(self._has(opening, kind) for kind in self._kinds)

    def open(self, opening: Opening) -> None:
        """Open it where it is not yet."""
        for kind in self._kinds:
            if not self._has(opening, kind):
                self._runner.run(["firewall-cmd", *kind, f"--add-rich-rule={self._rule(opening)}"], limit=_LIMIT)

    def close(self, opening: Opening) -> None:
        """Close it where it is open."""
        for kind in self._kinds:
            if self._has(opening, kind):
                self._runner.run(["firewall-cmd", *kind, f"--remove-rich-rule={self._rule(opening)}"], limit=_LIMIT)

    def _has(self, opening: Opening, kind: Sequence[str]) -> bool:
        argv = ["firewall-cmd", *kind, f"--query-rich-rule={self._rule(opening)}"]
        return self._runner.run(argv, limit=_LIMIT, accept={0, 1}).rc == 0

    @staticmethod
    def _rule(opening: Opening) -> str:
        family = f"ipv{ipaddress.ip_address(opening.address).version}"
        what = f'port port="{opening.port}" protocol' if opening.port else "protocol value"
        return f'rule family="{family}" source address="{opening.address}" {what}="{opening.protocol}" accept'


class Ufw:
    """ufw."""

    name = "ufw"

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def has(self, opening: Opening) -> bool:
        """Tell whether it is open."""
        shown = self._runner.run(["ufw", "show", "added"], limit=_LIMIT).stdout
        rules = (re.sub(r" comment '.*'$", "", line.strip()) for line in shown.splitlines())
        return f"ufw {' '.join(self._rule(opening))}" in rules

    def open(self, opening: Opening) -> None:
        """Open it where it is not yet."""
        if self.has(opening):
            return
        self._runner.run(["ufw", *self._rule(opening), "comment", "cluster member"], limit=_LIMIT)

    def close(self, opening: Opening) -> None:
        """Close it; it is no error where it is not open."""
        self._runner.run(["ufw", "delete", *self._rule(opening)], limit=_LIMIT)

    @staticmethod
    def _rule(opening: Opening) -> list[str]:
        # In the order in which `ufw show added` prints it
        port = ["to", "any", "port", opening.port] if opening.port else []
        return ["allow", "from", opening.address, *port, "proto", opening.protocol]


def names(runner: Runner, ufw_configuration: str = "/etc/ufw/ufw.conf") -> list[str]:
    """Return the names of the firewalls that run on this host, asking nothing where none is installed."""
    found = []
    if shutil.which("firewall-cmd", path=_PATH) and host.unit_states(["firewalld.service"], runner) == {
        "firewalld.service": "active"
    }:
        found.append(Firewalld.name)
    # `ufw status` takes half a second to read this; the unit says nothing of it
    if re.search(rb"^ENABLED=yes$", files.read_if_exists(ufw_configuration) or b"", re.M | re.I):
        found.append(Ufw.name)
    return found


def running(runner: Runner) -> list[Firewall]:
    """Return the firewalls that run on this host."""
    kinds: dict[str, Callable[[Runner], Firewall]] = {Firewalld.name: Firewalld, Ufw.name: Ufw}
    return [kinds[name](runner) for name in names(runner)]


class Openings:
    """What a service has had opened on this host, in every firewall that runs there."""

    def __init__(self, service: str, firewalls: Sequence[Firewall], directory: str = NOTES) -> None:
        self._firewalls = firewalls
        self._note = f"{directory}/{service}.json"

    def plan(self, wanted: Iterable[Opening]) -> tuple[list[Opening], list[Opening]]:
        """Return what is to be opened and what to be closed. Raises ClusterkitError."""
        wanted = set(wanted)
        missing = [one for one in sorted(wanted) if not all(firewall.has(one) for firewall in self._firewalls)]
        return missing, sorted(self.noted() - wanted)

    def apply(self, missing: Sequence[Opening], surplus: Sequence[Opening]) -> None:
        """Open and close. Killed in between, the note still has all that was opened. Raises ClusterkitError."""
        noted = self.noted()
        if missing:
            self._keep(noted | set(missing))
        for firewall in self._firewalls:
            for one in missing:
                firewall.open(one)
            for one in surplus:
                firewall.close(one)
        if surplus:
            self._keep((noted | set(missing)) - set(surplus))

    def noted(self) -> set[Opening]:
        """Return what was opened for the service and not closed again. Raises ClusterkitError."""
        try:
            return {Opening(*row) for row in json.loads(files.read_if_exists(self._note) or b"[]")}
        except (ValueError, TypeError) as error:
            raise ClusterkitError(f"{self._note} is not as it was written: {error}; remove it") from None

    def _keep(self, openings: set[Opening]) -> None:
        if not openings:
            files.remove(self._note)
            return
        pathlib.Path(self._note).parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        rows = [[one.address, one.port, one.protocol] for one in sorted(openings)]
        files.write_atomically(self._note, json.dumps(rows).encode() + b"\n", mode=0o644)


def openings(addresses: Iterable[str], ports: Iterable[str]) -> list[Opening]:
    """Return an opening for each address and port; a port is '30865/tcp', or 'vrrp'. Raises ClusterkitError."""
    out = []
    for address in addresses:
        try:
            ipaddress.ip_address(address)
        except ValueError:
            raise ClusterkitError(f"{address!r} is no address: a firewall takes addresses, not names") from None
        for port in ports:
            if port in _PORTLESS:
                out.append(Opening(address, "", port))
                continue
            if not re.fullmatch(r"[0-9]{1,5}/(tcp|udp)", port):
                raise ClusterkitError(f"port is {port!r}: write it as '30865/tcp', or {' or '.join(_PORTLESS)}")
            out.append(Opening(address, *port.split("/")))
    return out
