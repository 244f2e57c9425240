# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judging the shares of several members together, from their variables and from what was found on each."""

from __future__ import annotations

import re
from typing import Any, Iterable, Mapping, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.members import unasked
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.mounts import escaped, unit_name
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.verification import Verification
from ansible_collections.clusterkit.middleware.plugins.module_utils._mount import entry, settings
from ansible_collections.clusterkit.middleware.plugins.module_utils._mount.host import hidden
from ansible_collections.clusterkit.middleware.plugins.module_utils._mount.probe import LOCKS, MODE

Found = Mapping[str, Mapping[str, Any]]
Members = Sequence[Mapping[str, str]]
Shares = Sequence[Mapping[str, Any]]

ENTRIES = (settings.FSTAB, settings.UNIT, settings.EXISTING)
#: Directories of the system itself, over which nothing is mounted.
_SYSTEM = re.compile(r"/|/(bin|boot|dev|etc|home|lib\w*|media|mnt|opt|proc|root|run|sbin|srv|sys|tmp|usr|var)")
_PATH = re.compile(r"(/[A-Za-z0-9_@+][A-Za-z0-9._@+-]*)+|/")
_UNIT = re.compile(r"[A-Za-z0-9:_.@\\-]+\.(service|socket|timer|target|path)")
_VERSION_3 = frozenset(("vers=3", "nfsvers=3", "v3"))
_SECRET = re.compile(r"(?i)(pass(word|wd)?|secret|credential_?key)=")


def shares(mounts: Iterable[Mapping[str, Any]], state: str = "present") -> list[dict[str, Any]]:
    """Return the shares that are wanted, or that shall be gone, with all that a member has to know of each."""
    out = []
    for one in mounts:
        if str(one.get("state") or "present") != state:
            continue
        kind = str(one.get("fstype") or "")
        share = {key: one[key] for key in ("locks", "immutable", "cover") if one.get(key) is not None}
        share.update({key: str(one.get(key) or "") for key in ("name", "source", "owner", "group", "mode")})
        share.update(
            path=str(one.get("path") or "").rstrip("/") or "/",
            fstype=kind,
            entry=str(one.get("entry") or settings.FSTAB),
            options=entry.full_options(kind, [str(option) for option in one.get("options") or ()]) if kind else [],
            services=[str(service) for service in one.get("services") or ()],
        )
        out.append(share)
    return out


def mistakes(mounts: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what is wrong with the variables: what was found, and what would be right."""
    out = [] if mounts else ["shared_mount_mounts is empty - give the shares to mount"]
    for one in mounts:
        out += _mistakes_of(one)
    for key in ("name", "path"):
        given = [str(one.get(key) or "").rstrip("/") for one in mounts]
        out += [
            f"shared_mount_mounts has {key} {value} twice - give each share its own"
            for value in sorted({value for value in given if value and given.count(value) > 1})
        ]
    return out


def _mistakes_of(one: Mapping[str, Any]) -> Iterable[str]:
    name, path = str(one.get("name") or ""), str(one.get("path") or "")
    kind, source = str(one.get("fstype") or ""), str(one.get("source") or "")
    where = f"in shared_mount_mounts share {name or path or '(without a name)'}"
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
        yield f"{where} has the name {name!r} - give letters, digits, '.', '_' and '-'"
    if not _PATH.fullmatch(path.rstrip("/") or path):
        yield f"{where} has the path {path!r} - give an absolute one of letters, digits and . _ @ + -"
    elif _SYSTEM.fullmatch(path.rstrip("/") or "/"):
        yield f"{where} has the path {path}, a directory of the system itself - give a directory of its own"
    how = str(one.get("entry") or settings.FSTAB)
    if how not in ENTRIES:
        yield f"{where} has entry {how} - give one of {', '.join(ENTRIES)}"
    if str(one.get("state") or "present") not in ("present", "absent"):
        yield f"{where} has state {one['state']} - give present or absent"
    if how != settings.EXISTING and not (source and re.fullmatch(r"[a-z0-9]+(\.[a-z0-9-]+)?", kind)):
        yield (
            f"{where} has source {source!r} and fstype {kind!r} - give both, such as nas.example.org:/share and nfs, "
            "or entry: existing for what is mounted already"
        )
    if re.search(r"[\s\\%]", source):
        yield f"{where} has source {source!r} - give one without white space, backslashes and percent signs"
    yield from _wrong_options(where, kind, one)
    mode = str(one.get("mode") or "")
    if mode and not re.fullmatch(r"0?[0-7]{3,4}", mode):
        yield f"{where} has mode {mode} - give octal digits in quotes, such as '0750'"
    wrong = [str(unit) for unit in one.get("services") or () if not _UNIT.fullmatch(str(unit))]
    if wrong:
        yield f"{where} has services {', '.join(wrong)} - give names of units, such as app.service"


def _wrong_options(where: str, kind: str, one: Mapping[str, Any]) -> Iterable[str]:
    options = [str(option) for option in one.get("options") or ()]
    odd = [option for option in options if not re.fullmatch(r"[^\s,\\%]+", option)]
    if any(_SECRET.search(option) for option in options):
        yield f"{where} has a password among its options, which every user of the host could read - give a file of it"
    elif odd:
        yield f"{where} has options {', '.join(odd)} - give a list, without commas and white space"
    soft = {"soft", "softerr"} & set(options)
    if soft and kind in ("nfs", "nfs4") and not one.get("allow_soft"):
        yield (
            f"{where} has the option {soft.pop()}, with which a slow server damages files that are being written - "
            "leave it out, or say allow_soft: true"
        )


def problems(found: Found, members: Members, wanted: Shares, new: str = "") -> list[str]:
    """Return, before anything is changed, why these shares cannot be mounted on these hosts; empty when they can."""
    out = []
    for member in members:
        host = member["host"]
        if host not in found:
            out.append(unasked(host))
            continue
        for share in wanted:
            out += _problems_of(host, share, found[host]["shares"][share["name"]], new)
        known = {share["name"] for share in wanted} | set(found[host].get("leaving", []))
        for name in sorted(set(found[host]["recorded"]) - known):
            out.append(
                f"{host} has the share {name}, which shared_mount_mounts does not name any more: name it with "
                "state: absent once."
            )
    for share in wanted:
        out += _owners_differ(found, share)
    return [*out, *_one_client(found, wanted)]


def _problems_of(host: str, share: Mapping[str, Any], info: Mapping[str, Any], new: str) -> Iterable[str]:
    path = share["path"]
    if info["others"]:
        yield f"On {host} {path} is a share of {', '.join(info['others'])} already: give another path."
    if info["error"]:
        yield f"On {host}: {info['error']}."
        return
    if info["link"]:
        yield f"On {host} {path} leads through a symbolic link to {info['link']}: give that path."
    if info["mounted"]:
        if info["problem"] and (info["sentinel"] is not None or not info["answers"]):
            yield f"On {host} {info['problem']}."
        elif info["problem"] and info["recorded"] and new != share["name"]:
            yield (
                f"On {host} {info['problem']} It had one when it was noted. Mount the right share; if this one is new "
                f"and to be used from now on, run once with shared_mount_new={share['name']}."
            )
    else:
        if share["entry"] == settings.EXISTING:
            yield f"On {host} nothing is mounted at {path}, and entry is existing: mount it, or give source and fstype."
        if info["below"] and not share.get("cover"):
            yield f"On {host} {hidden(path, info['below'])}."
        running = sorted(unit for unit, said in info["services"].items() if said["active"])
        if running:
            yield (
                f"On {host} {', '.join(running)} runs without its share, which is not mounted at {path}: stop it, look "
                "whether it has written something there, and run this again."
            )
    unknown = sorted(unit for unit, said in info["services"].items() if not said["known"])
    if unknown:
        yield f"On {host} there is no unit {', '.join(unknown)}: install the service first, or mend services."
    if share.get("immutable", True) and info["immutable"] == "none" and share["entry"] != settings.EXISTING:
        yield (
            f"On {host} the file system of {path} has no flag immutable: say immutable: false, and mind that root may "
            "write there while the share is missing."
        )


def _one_client(found: Found, wanted: Shares) -> Iterable[str]:
    """Name members that an NFS server of version 4 takes for one: each would take the other's locks."""
    over = [one["name"] for one in wanted if one["fstype"] in ("nfs", "nfs4") and not _VERSION_3 & set(one["options"])]
    known: dict[str, list[str]] = {}
    for host, info in found.items():
        if over and info.get("nfs_client"):
            known.setdefault(info["nfs_client"], []).append(host)
    for name, hosts in known.items():
        if len(hosts) > 1:
            yield (
                f"{', '.join(sorted(hosts))} are one client to the server of {', '.join(over)}: all call themselves "
                f"{name}, and each would take the others' locks. Give them different host names, or each a "
                "nfs4_unique_id of the kernel's module nfs (in /etc/modprobe.d, and a restart of the host)."
            )


def _owners_differ(found: Found, share: Mapping[str, Any]) -> Iterable[str]:
    for key, what in (("uid", "owner"), ("gid", "group")):
        numbers = {host: info["shares"][share["name"]][key] for host, info in found.items()}
        if share[what] and len(set(numbers.values())) > 1:
            told = ", ".join(f"{number} on {host}" for host, number in numbers.items())
            yield (
                f"{what} {share[what]} of share {share['name']} is {told}: over a network files belong to numbers; "
                "give it the same number on all members."
            )


def verification(
    found: Found,
    members: Members,
    wanted: Shares,
    cluster: str,
    written: Found | None = None,
    read: Found | None = None,
    holder: str = "",
    problem: str = "",
) -> dict[str, Any]:
    """Return whether every member has every share, closed below and guarded, and whether all of them share it.

    `written` and `read` are what each member said of its own file and of those of all; `holder` had the locks then.
    """
    out = Verification("shared_mount", cluster, [member["name"] for member in members])
    for member in members:
        info, name = found.get(member["host"]), member["name"]
        if not info:
            out.silent(name)
            continue
        out.seen(name)
        for share in wanted:
            _mounted(out, name, share, info["shares"][share["name"]])
    if problem:
        out.check("locks", False, problem)
    for share in wanted:
        for member in members if "bind" not in share["options"] else []:
            _shared(out, member, share, members, written or {}, read or {})
            if share.get("locks", True) and member["host"] != holder:
                _locks(out, member, share, read or {})
    return out.result()


def _mounted(out: Verification, name: str, share: Mapping[str, Any], info: Mapping[str, Any]) -> None:
    what = f"share {share['name']}"
    told = info["problem"] or info["error"]
    mounted = info["mounted"] or {"source": "", "type": "", "options": []}
    evidence = told or f"{mounted['source']} ({mounted['type']}) is mounted at {share['path']} and is {what}"
    out.check(f"{what}: mounted", not told, f"on {name} {evidence}", name)
    if share["fstype"] in ("nfs", "nfs4") and not {"soft", "softerr"} & set(share["options"]) and not told:
        hard = "hard" in mounted["options"]
        out.check(f"{what}: hard", hard, f"on {name} it is mounted {'hard' if hard else 'soft: mount it anew'}", name)
    if share.get("immutable", True) and share["entry"] != settings.EXISTING:
        closed = info["immutable"] in ("set", "unknown")
        evidence = {
            "set": "takes nothing while the share is missing",
            "unknown": "cannot be looked below while the share is mounted (an older kernel)",
        }.get(info["immutable"], "is open while the share is missing")
        out.check(f"{what}: closed below", closed, f"on {name} {share['path']} {evidence}", name)
    if share["services"]:
        free = sorted(unit for unit in share["services"] if not info["services"].get(unit, {}).get("guarded"))
        evidence = f"{', '.join(free or share['services'])} {'starts' if free else 'does not start'} without it"
        out.check(f"{what}: guarded", not free, f"on {name} {evidence}", name)


def _shared(
    out: Verification,
    member: Mapping[str, str],
    share: Mapping[str, Any],
    members: Members,
    written: Found,
    read: Found,
) -> None:
    """Judge what one member reads of what all have written: content, owner, group and mode."""
    what, name = share["name"], member["name"]
    seen = _said(read, member, what).get("files", {})
    wrong = []
    for other in members:
        own = _said(written, other, what)
        got = seen.get(other["name"], {"error": "it was not asked"})
        if own.get("error") or "owner" not in own:
            wrong.append(f"{other['name']} could not write: {own.get('error') or 'it was not asked'}")
        elif got["error"]:
            wrong.append(f"the file of {other['name']}: {got['error']}")
        else:
            expected = {"owner": own["owner"], "group": own["group"], "mode": f"{MODE:04o}"}
            wrong += [
                f"the file of {other['name']} has {key} {got[key]}, not {value}"
                for key, value in expected.items()
                if got[key] != value
            ]
    error = _said(read, member, what).get("error")
    if error:
        wrong = [error]
    evidence = "; ".join(wrong) or "reads what all wrote, owners and modes too"
    out.check(f"share {what}: shared", not wrong, f"{name} {evidence}", name)


def _locks(out: Verification, member: Mapping[str, str], share: Mapping[str, Any], read: Found) -> None:
    said = _said(read, member, share["name"]).get("locks", {})
    wrong = [f"{kind}: {said.get(kind, 'not tried')}" for kind in LOCKS if said.get(kind) != "kept out"]
    evidence = (
        f"{', '.join(wrong)}, while another member had the lock (locks: false for a share that needs none)"
        if wrong
        else f"is kept out by a lock of another member ({', '.join(LOCKS)})"
    )
    out.check(f"share {share['name']}: locks", not wrong, f"{member['name']} {evidence}", member["name"])


def _said(results: Found, member: Mapping[str, str], share: str) -> Mapping[str, Any]:
    said: Mapping[str, Any] = results.get(member["host"], {}).get("shares", {}).get(share, {})
    return said


def drop_ins(wanted: Shares, cluster: str, present: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Return the files that bind services to their shares, for the module managed_service.

    `cluster` says whose shares they are; `present` are services that have such a file of it now: it goes where no share
    names them any more.
    """
    services = sorted({service for share in wanted for service in share["services"]})
    out: list[dict[str, Any]] = [
        {"path": drop_in_path(service, cluster), "state": "absent"} for service in present if service not in services
    ]
    for service in services:
        lines = ["# Written by Ansible, role shared_mount: no start, and no going on, without its shares", "[Unit]"]
        for share in wanted:
            if service in share["services"]:
                guard = f"{settings.GUARD}@{escaped(share['path'])}.service"
                lines += [
                    f"RequiresMountsFor={share['path']}",
                    f"BindsTo={unit_name(share['path'])}",
                    f"Requires={guard}",
                    f"After={guard}",
                ]
        out.append({"path": drop_in_path(service, cluster), "content": "\n".join(lines) + "\n"})
    return out


def drop_in_path(service: str, cluster: str) -> str:
    """Return where the file is that binds a service to its shares."""
    return f"/etc/systemd/system/{service}.d/{settings.DROP_IN.format(cluster)}"


def settings_text(wanted: Shares, cluster: str) -> str:
    """Return what a member notes of its shares."""
    return settings.text(cluster, wanted)
