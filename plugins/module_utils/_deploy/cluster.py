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
#: States of a unit in which its program may change data.
_ALIVE = ("active", "activating", "deactivating", "reloading", "refreshing", "maintenance")


def due(found: Found, members: Members) -> list[str]:
    """Return the hosts on which the server is not installed, or whose installation was interrupted.

    What tells of an interrupted one is a path that was asked for and is there: its unpacked installer.
    """
    return [
        member["host"] for member in members if member["host"] in found and not _is_installed(found[member["host"]])
    ]


def _is_installed(info: Mapping[str, Any]) -> bool:
    return info["properties"] is not None and "directory" not in info.get("paths", {}).values()


def _half_restored(found: Found) -> list[str]:
    """Return where a restore was begun and has not ended: a file of the paths that were asked for tells of it."""
    hosts = [host for host, info in found.items() if "file" in info.get("paths", {}).values()]
    if not hosts:
        return []
    where = ", ".join(hosts)
    return [
        f"A restore has begun and not ended (seen on {where}), so that data and database may not fit: call it again."
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
    certificates: Found | None = None,
) -> list[str]:
    """Return, before anything is changed, why these servers cannot become one cluster; empty when they can.

    `source` is the host of the first server, `identity` the keys of properties that each has of its own, `alike` those
    that are the same on all with what that means, `standby` the hosts whose server must not run, `version` that of the
    archive, `services` what balancers serve, `never_balanced` the ports that they must not. `certificates` is what
    served_certificate_info found of each server's keystore, where that of the first server is to be that of all.
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
    out += _half_restored(found)
    out += _copies(found, identity)
    out += _versions(found, source, version if missing else "")
    for host, info in found.items():
        for key, what in alike.items():
            own, first = _value(info, key), _value(found.get(source, {}), key)
            if own and first and own != first:
                out.append(f"{key} on {host} is {own}, on {source} {first}: servers of a cluster have {what}.")
        running = _running(info)
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
    # One that is to be installed has none yet, and gets that of the first one
    files = {host: one["file"] for host, one in (certificates or {}).items() if host not in missing}
    out += [
        f"{host} has another keystore than {source} (SHA-256 {_short(file)}, {_short(files.get(source, ''))}), and "
        "which of them is right is not guessed: say so with deploy_cluster_keystore_file."
        for host, file in files.items()
        if file != files.get(source, "")
    ]
    return out


def _running(info: Mapping[str, Any]) -> list[str]:
    """Return the units that run, are about to, or have not ended yet."""
    return [unit for unit, state in info["units"].items() if state in _ALIVE]


def failover_problems(
    found: Found,
    members: Members,
    *,
    host: str,
    target: str,
    fenced: Sequence[str] = (),
    planned: bool = False,
    answering: Iterable[Sequence[Any]] = (),
) -> list[str]:
    """Return why `host` must not be the one server that runs; empty when it may be.

    Every other server has to be known to be stopped, or to be one of `fenced`, hosts that somebody has powered off or
    cut off from database and storage. `planned` allows servers that run, since they will be stopped. `answering` are
    the ports at which fenced ones answered, each as host and port.
    """
    out = []
    own = found.get(host)
    if not own or not _is_installed(own):
        return [f"{host} is to serve, and {'has no server' if own else 'could not be asked'}: install it first."]
    out += _half_restored(found)
    storage = own.get("storage", {})
    if storage.get("error") or not storage.get("exists"):
        out.append(f"{host} has no {target} ({storage.get('error') or 'not there'}): mount the storage first.")
    if own["data"] != target:
        out.append(f"{host} has its data in {own['data']}, not in {target}, which the servers share.")
    for member in members:
        name = member["host"]
        if name == host:
            continue
        info = found.get(name)
        if info is None and name not in fenced:
            out.append(
                f"{name} could not be asked, and so may run: power it off, or cut it off from the database and the "
                "storage, and then name it in deploy_cluster_fenced."
            )
        if info is None:
            continue
        running = _running(info)
        if running and name in fenced:
            out.append(f"{name} is in deploy_cluster_fenced, and {', '.join(running)} runs there: it is not fenced.")
        elif running and not planned:
            out.append(
                f"{', '.join(running)} runs on {name}: two servers would change the database. Let it go on, or say "
                "deploy_cluster_planned: true, and it is stopped."
            )
        if info["text"] and info["text"] != own["text"]:
            out.append(f"{name} has version {info['text']}, and {host} {own['text'] or 'unknown'}: both need the same.")
    out += [
        f"{name} is in deploy_cluster_fenced, and answers at port {port}: it is not fenced." for name, port in answering
    ]
    return out


def _short(digest: str) -> str:
    return f"{digest[:16]}…" if digest else "none"


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
        if _is_installed(info) and info["text"] != first
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
    certificates: Found | None = None,
    balancers: Iterable[Mapping[str, Any]] = (),
    never_balanced: Sequence[int] = (),
) -> dict[str, Any]:
    """Return whether the servers are one cluster: alike where they have to be, each itself, running or standing by.

    `flag` is the property that tells a server that it is one of several, `fronts` what the balancers answered:
    results of the module uri, each with the address as `item`. `certificates` is what served_certificate_info found of
    each server, where they terminate TLS, `balancers` what haproxy_info found of each balancer that runs.
    """
    out = Verification("deploy_cluster", cluster, [member["name"] for member in members])
    first = next((found[member["host"]] for member in members if member["host"] in found), {})
    for member in members:
        host, name = member["host"], member["name"]
        info = found.get(host)
        if not info:
            out.silent(name)
            continue
        installed = _is_installed(info)
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
        right = (told.lower() == "true") == (len(members) > 1)
        out.check("one of several", right, f"{flag} on {name} is {told or 'not set'}, of {len(members)} servers", name)
        for unit, state in sorted(info["units"].items()):
            right = state not in _ALIVE if host in standby else state == "active"
            role = "stands by" if host in standby else "serves"
            out.check("unit", right, f"{name} {role}, and {unit} is {state}", name)
    if certificates is not None:
        _check_certificates(out, certificates, members, standby)
    for balancer in balancers:
        carried = sorted(set(balancer["listening"]) & set(never_balanced))
        evidence = f"{balancer['item']} listens on {', '.join(map(str, carried)) or 'none'} of {list(never_balanced)}"
        out.check("never balanced", not carried, evidence)
    copies = _copies(found, identity)
    out.check("no copy", not copies, " ".join(copies) or f"each has its own {', '.join(identity)}")
    for front in fronts:
        status = front.get("status", "nothing")
        why = f" ({front['msg']})" if front.get("msg") and status not in statuses else ""
        out.check("front", status in statuses, f"{front.get('item', 'the balancer')} answers {status}{why}")
    return out.result()


def _check_certificates(out: Verification, certificates: Found, members: Members, standby: Sequence[str]) -> None:
    """Check that all have one keystore, and that all that serve show one certificate."""
    known = [
        (member["name"], member["host"], certificates[member["host"]])
        for member in members
        if member["host"] in certificates
    ]
    file = next((info["file"] for _name, _host, info in known), "")
    shown = next((info["fingerprint"] for _name, host, info in known if host not in standby), "")
    for name, host, info in known:
        same = bool(file) and info["file"] == file
        out.check("same keystore", same, f"the keystore of {name} is {_short(info['file'])}", name)
        if host not in standby:
            what = f"{name} shows the certificate {_short(info['fingerprint'])}"
            why = f" ({info['error']})" if info["error"] else ""
            out.check("same certificate", bool(shown) and info["fingerprint"] == shown, what + why, name)


def _value(info: Mapping[str, Any], key: str) -> str:
    return str((info.get("properties") or {}).get(key) or "")
