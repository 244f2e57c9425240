# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judging servers that share a database and data together, from what appdata_migration_info found on each.

What a product calls its properties, and what it lets nobody balance, is told by its role.
"""

from __future__ import annotations

from typing import Any, Iterable, Mapping, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.members import unasked
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.verification import Verification

Found = Mapping[str, Mapping[str, Any]]
Members = Sequence[Mapping[str, str]]


def due(found: Found, members: Members) -> list[str]:
    """Return the hosts on which the server is not installed."""
    return [
        member["host"] for member in members if member["host"] in found and found[member["host"]]["properties"] is None
    ]


def problems(
    found: Found,
    members: Members,
    *,
    source: str,
    identity: Sequence[str],
    alike: Mapping[str, str],
    standby: Sequence[str] = (),
    archive: str = "",
    version: str = "",
    services: Iterable[Mapping[str, Any]] = (),
    never_balanced: Sequence[int] = (),
) -> list[str]:
    """Return, before anything is changed, why these servers cannot become one cluster; empty when they can.

    `source` is the host of the first server, `identity` the keys of properties that each has of its own, `alike` those
    that are the same on all with what that means, `standby` the hosts whose server must not run, `version` that of the
    archive, `services` what balancers serve, `never_balanced` the ports that they must not.
    """
    out = [unasked(member["host"]) for member in members if member["host"] not in found]
    missing = due(found, members)
    if source in missing:
        out.append(f"{source} is the first server, and none is installed there: install it, or name another one.")
    if missing and not (archive and version):
        out.append(
            f"{', '.join(missing)} have no server: give deploy_cluster_archive and deploy_cluster_version, from which "
            "the installer can set one up."
        )
    out += _copies(found, identity)
    out += _versions(found, source, version if missing else "")
    for host, info in found.items():
        for key, what in alike.items():
            own, first = _value(info, key), _value(found.get(source, {}), key)
            if own and first and own != first:
                out.append(f"{key} on {host} is {own}, on {source} {first}: servers of a cluster have {what}.")
        running = [unit for unit, state in info["units"].items() if state == "active"]
        if host in standby and running:
            out.append(
                f"{host} is a cold standby, and {', '.join(running)} runs there: even without traffic it changes the "
                "shared database. Stop it, or take the host out of deploy_cluster_standby."
            )
    for service in services:
        balanced = sorted({int(service.get(key) or 0) for key in ("port", "member_port")} & set(never_balanced))
        if balanced:
            out.append(
                f"The service {service.get('name')} balances {', '.join(map(str, balanced))}: connections there hold "
                "what a balancer cannot see. Let agents and servers reach each server itself."
            )
    return out


def _copies(found: Found, identity: Sequence[str]) -> list[str]:
    """Return which installations are copies of others, and what gives them away."""
    out = []
    for key in identity:
        holders: dict[str, list[str]] = {}
        for host, info in found.items():
            value = _value(info, key)
            if value:
                holders.setdefault(value, []).append(host)
        for value, hosts in holders.items():
            if len(hosts) > 1:
                out.append(
                    f"{key} is {value} on {' and '.join(hosts)}: an installation was copied, which is not supported, "
                    "since each server keeps its own. Remove the copy, and let the installer set the server up."
                )
    return out


def _versions(found: Found, source: str, archive: str) -> list[str]:
    first = found.get(source, {}).get("text", "")
    out = [
        f"{host} has version {info['text'] or 'unknown'}, and {source} {first or 'unknown'}: all servers of a cluster "
        "have to be of the same one."
        for host, info in found.items()
        if info["properties"] is not None and info["text"] != first
    ]
    if archive and first and archive != first:
        out.append(
            f"deploy_cluster_version is {archive}, and {source} has version {first}: give the archive of that version."
        )
    return out


def verification(
    found: Found,
    members: Members,
    *,
    cluster: str,
    target: str,
    identity: Sequence[str],
    alike: Mapping[str, str],
    flag: str,
    standby: Sequence[str] = (),
    fronts: Sequence[Mapping[str, Any]] = (),
    statuses: Sequence[int] = (200,),
) -> dict[str, Any]:
    """Return whether the servers are one cluster: alike where they have to be, each itself, running or standing by.

    `flag` is the property that tells a server that it is one of several, `fronts` what the balancers answered:
    results of the module uri, each with the address as `item`.
    """
    out = Verification("deploy_cluster", cluster, [member["name"] for member in members])
    first = next((found[member["host"]] for member in members if member["host"] in found), {})
    for member in members:
        host, name = member["host"], member["name"]
        info = found.get(host)
        if not info:
            out.silent(name)
            continue
        installed = info["properties"] is not None
        out.check("installed", installed, f"{name} has version {info['text'] or 'none'}", name)
        if not installed:
            continue
        out.seen(name)
        out.check("same version", info["text"] == first["text"], f"{name} has version {info['text']}", name)
        for key, what in alike.items():
            value = _value(info, key)
            out.check(what, value == _value(first, key), f"{key} on {name} is {value or 'not set'}", name)
        out.check("same data", info["data"] == target, f"{name} has its data in {info['data']}", name)
        told = _value(info, flag)
        out.check("one of several", told.lower() == "true", f"{flag} on {name} is {told or 'not set'}", name)
        for unit, state in sorted(info["units"].items()):
            right = state != "active" if host in standby else state == "active"
            role = "stands by" if host in standby else "serves"
            out.check("unit", right, f"{name} {role}, and {unit} is {state}", name)
    copies = _copies(found, identity)
    out.check("no copy", not copies, " ".join(copies) or f"each has its own {', '.join(identity)}")
    for front in fronts:
        status = front.get("status", "nothing")
        why = f" ({front['msg']})" if front.get("msg") and status not in statuses else ""
        out.check("front", status in statuses, f"{front.get('item', 'the balancer')} answers {status}{why}")
    return out.result()


def _value(info: Mapping[str, Any], key: str) -> str:
    return str((info.get("properties") or {}).get(key) or "")
