# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether hosts are fit to be each other's peers, from what the module `host` saw on each: names, ports, clocks, sizes.

Every function returns sentences: what was found, where, and what would be right; none when all is well.
"""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.host import REFUSED

Found = Mapping[str, Mapping[str, Any]]
Members = Sequence[Mapping[str, str]]

_GIGABYTE = 10**9
#: Firmware and kernel keep some of the memory, and a file system some of its disk, for themselves.
_ENOUGH = 0.9


def names(host: str, resolved: Mapping[str, Sequence[str]], members: Members, remedy: str) -> list[str]:
    """Say which members' names do not lead from a host to the addresses that Ansible knows."""
    out = []
    for member in members:
        answers = resolved.get(member["name"], [])
        # A member may know itself by a loopback address, as Debian's installer writes it; its peers may not
        if not answers or (member["host"] != host and member["address"] not in answers):
            told = ", ".join(answers) or "nothing"
            out.append(f"On {host} the name {member['name']} resolves to {told}, not to {member['address']}: {remedy}.")
    return out


def ports(host: str, reach: Mapping[str, str], idle: Sequence[str], opened: Sequence[str]) -> list[str]:
    """Say which ports of other members a host does not reach, of those that it was asked for as `name:port`.

    At those that are `idle` nothing need listen yet: to be refused there is an answer. Those that are `opened` a run
    lets through the firewall itself.
    """
    out = []
    for where, failure in sorted(reach.items()):
        if not failure or where in opened or (failure == REFUSED and where in idle):
            continue
        if failure == REFUSED:
            out.append(f"Nothing answers {host} at {where}: start what listens there.")
        else:
            out.append(f"{host} does not reach {where} ({failure}): let it through the firewalls between them.")
    return out


def clocks(found: Found, now: float = 0.0, asked_at: float = 0.0, most: float = 1.0) -> list[str]:
    """Say which hosts' clocks differ by more than `most` seconds for certain.

    `clock_ahead` of each host includes the time that passed until it was looked at. That is at most `clock_within`
    where the host was asked by itself, else what passed between `asked_at` and `now`, both by one clock: only what goes
    beyond that is certain.
    """
    latest, least = {}, {}
    for host, info in found.items():
        if "clock_ahead" in info:
            latest[host] = float(info["clock_ahead"])
            least[host] = latest[host] - float(info.get("clock_within", now - asked_at))
    if not latest:
        return []
    first, last = min(latest, key=latest.__getitem__), max(least, key=least.__getitem__)
    certain = least[last] - latest[first]
    if certain <= most:
        return []
    return [
        f"The clock of {last} is at least {certain:.1f} s ahead of that of {first}, and {most:g} s are let pass: "
        "synchronise them, for instance by chrony."
    ]


def shortages(found: Found, cpus: int, memory_gb: float, disk_gb: float) -> list[str]:
    """Say which hosts have fewer processors, less memory or a smaller file system than is asked for (10⁹ bytes)."""
    out = []
    for host, info in found.items():
        has = info.get("resources")
        if not has:
            continue
        if has["cpus"] < cpus:
            out.append(f"{host} has {has['cpus']} of {cpus} processors.")
        for what, name, wanted in (("memory", "GB of memory", memory_gb), ("disk", "GB of disk", disk_gb)):
            if has[what] < wanted * _GIGABYTE * _ENOUGH:
                out.append(f"{host} has {has[what] / _GIGABYTE:.1f} of {wanted:g} {name}.")
    return out
