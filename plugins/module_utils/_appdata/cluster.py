# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judging members together whose data are to be, or are, in one shared directory; what each has to do for that.

It works on what the module appdata_migration_info found on each. Where a product keeps its data is told by its layouts:
each has `entries` (`source` below the installation, `name` below the target, `keep`), of which an empty source stands
for the directory that the property names, and `property`, whether a property says where the data are, or links do.
"""

from __future__ import annotations

import os
import re
from typing import Any, Mapping, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._appdata.phases import GONE
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.members import unasked
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.verification import Verification

Found = Mapping[str, Mapping[str, Any]]
Members = Sequence[Mapping[str, str]]
Layouts = Mapping[str, Mapping[str, Any]]

#: What `auto` decides between: one directory for all data; folders of the program's own, which a property can lead
#: away from; folders of a version that knows no such property.
FOLDER, FOLDERS, LINKS = "application_data_folder", "separate_folders", "linked_folders"


def use(
    info: Mapping[str, Any], target: str, layouts: Layouts, base: str, layout: str = "auto", since: str = ""
) -> dict[str, Any]:
    """Return how a member uses the target, and what it would have to move there.

    `shared` tells whether it does, `phase` how far its migration is, `entries` and `by_property` what is moved and
    how it is switched over, `has_data` whether there is anything to be moved, `error` why that cannot be told. `since`
    is the first version that has the property.
    """
    known = next((one for one in info["migrations"] if _same(one["target"], target)), None)
    told: dict[str, Any] = {
        "shared": False,
        "phase": "",
        "entries": [],
        "by_property": True,
        "has_data": False,
        "error": "",
    }
    if known:
        moved = {"entries": known["entries"], "by_property": known["property"] is not None}
        return {**told, **moved, "layout": "", "shared": known["in_use"], "phase": known["phase"], "has_data": True}
    if layout == "auto":
        layout, error = _layout(info, base, since)
        if error:
            return {**told, "layout": "", "error": error}
    by_property = bool(layouts[layout]["property"])
    shared = by_property and _same(info["data"], target)
    entries = [
        {**entry, "source": os.path.join(base, entry["source"]) if entry["source"] else info["data"]}
        for entry in layouts[layout]["entries"]
    ]
    sources = [entry["source"] for entry in layouts[layout]["entries"] if not entry.get("keep")]
    there = [one for one in sources if (info["paths"].get(one, "absent") != "absent" if one else info["data_exists"])]
    told.update(layout=layout, shared=shared, by_property=by_property, entries=[] if shared else entries)
    return {**told, "has_data": bool(there) and not shared}


def uses(
    found: Found, target: str, layouts: Layouts, base: str, layout: str = "auto", since: str = ""
) -> dict[str, dict[str, Any]]:
    """Return for each host how it uses the target: see `use`."""
    return {host: use(info, target, layouts, base, layout, since) for host, info in found.items()}


def _layout(info: Mapping[str, Any], base: str, since: str) -> tuple[str, str]:
    """Return which layout a member has, or why that cannot be told."""
    if not _same(info["data"], base):
        return FOLDER, ""
    if not info["text"]:
        return "", "says nothing of its version, so that its layout cannot be told: name it"
    return (FOLDERS, "") if _number(info["text"]) >= _number(since) else (LINKS, "")


def _number(version: str) -> list[int]:
    """Return the numbers in a version: '6.1.1.5.900' is newer than '6.1.1.5'."""
    return [int(digits) for digits in re.findall(r"[0-9]+", version)]


def source(uses: Mapping[str, Mapping[str, Any]], found: Found, members: Members, named: str = "") -> str:
    """Return the host whose data are to be shared, or are: the one named, the one that has brought them, or the only
    one that has any; empty where that cannot be told.
    """
    brought = {info["storage"].get("member") for info in found.values()} - {None, ""}
    for member in members:
        if member["name"] in ([named] if named else brought):
            return member["host"]
    if named or brought:
        return ""
    if any(one["shared"] for one in uses.values()):
        return next(host for host, one in uses.items() if one["shared"])
    having = [host for host, one in uses.items() if one["has_data"]]
    return having[0] if len(having) == 1 else ""


def problems(
    found: Found,
    members: Members,
    uses: Mapping[str, Mapping[str, Any]],
    host: str,
    target: str,
    base: str,
    role: str,
    named: str = "",
    properties_path: str = "",
    outside: Sequence[str] = (),
    rollback: bool = False,
) -> list[str]:
    """Return, before anything is changed, why these members cannot share their data; empty when they can.

    `host` is the source, `role` the prefix of the variables that are named, `outside` the hosts that this run leaves
    as they are though it is to move data. `rollback` tells that they are to go back to their own.
    """
    out = [unasked(member["host"]) for member in members if member["host"] not in found]
    for one, info in found.items():
        out += _problems_of(one, info, uses[one], target, role, properties_path)
    out += _whose(found, members, uses, host, target, role, named)
    if host in outside and not uses.get(host, {}).get("shared"):
        out.append(f"The data of {host} are those to be shared, and this run leaves it out: run on it first.")
    if rollback and uses.get(host, {}).get("phase") in GONE:
        out.append(f"The originals of {host} have been removed: restore a backup to go back.")
    if not out:
        out = _between(found, uses, host, target, base, role)
    return out


def _problems_of(
    host: str, info: Mapping[str, Any], one: Mapping[str, Any], target: str, role: str, properties_path: str
) -> list[str]:
    out = []
    if info["properties"] is None:
        out.append(f"On {host} there is no {properties_path}: set {role}_install_dir to where the server is installed.")
    elif one["error"]:
        out.append(f"{host} {one['error']} in {role}_layout.")
    storage = info["storage"]
    if storage["error"]:
        return [*out, f"On {host} {storage['error']}."]
    if storage["strangers"] and not storage["member"] and not one["shared"]:
        out.append(
            f"On {host} {target} holds what nobody brought there ({', '.join(storage['strangers'][:5])}): give an "
            f"empty or new directory in {role}_target."
        )
    for other in info["migrations"]:
        if other["in_use"] and not _same(other["target"], target):
            out.append(
                f"{host} uses {other['target']}, and {role}_target is {target}: moving from one shared directory to "
                "another is not done here. Roll back first, or put that directory into the variable."
            )
    return out


def _whose(
    found: Found,
    members: Members,
    uses: Mapping[str, Mapping[str, Any]],
    host: str,
    target: str,
    role: str,
    named: str,
) -> list[str]:
    names = [member["name"] for member in members]
    if named and named not in names:
        return [f"{role}_source is {named}, which is no member: the members are {', '.join(names)}."]
    brought = sorted({info["storage"].get("member", "") for info in found.values()} - {""})
    if brought and named and named not in brought:
        return [f"{role}_source is {named}, and {target} holds the data of {', '.join(brought)}: leave it out."]
    if brought and not set(brought) & set(names):
        return [f"{target} holds the data of {', '.join(brought)}, which is no member: give another directory."]
    if host and not uses.get(host, {}).get("has_data") and not uses.get(host, {}).get("shared"):
        return [f"{host} has no data that could be moved: name the member that has them in {role}_source."]
    having = [one for one, about in uses.items() if about["has_data"]]
    if not host and len(having) > 1:
        return [
            f"{', '.join(having)} have data of their own, and only one member's can become those of all: name that "
            f"one in {role}_source. What the others have stays aside."
        ]
    return [] if host or not found else [f"None of the members has data that could be moved to {target}."]


def _between(
    found: Found, uses: Mapping[str, Mapping[str, Any]], host: str, target: str, base: str, role: str
) -> list[str]:
    """Return in which way members differ from the one whose data are shared."""
    out = []
    first = found[host]
    for one, info in found.items():
        if info["text"] != first["text"]:
            out.append(
                f"{one} has version {info['text'] or 'unknown'}, and {host} {first['text'] or 'unknown'}: all members "
                "have to run the same one."
            )
        shared = info["storage"]
        if shared["published"] and shared["text"] and info["text"] and shared["text"] != info["text"]:
            out.append(
                f"{one} has version {info['text']}, and the data in {target} are of version {shared['text']}: install "
                "that one."
            )
        if shared["migration"] != first["storage"]["migration"]:
            out.append(
                f"{one} and {host} do not see the same in {target}: mount the same storage on both, and check "
                f"{role}_target."
            )
        if one == host or uses[one]["shared"]:
            continue
        if _same(info["data"], first["data"]) and not f"{first['data']}/".startswith(f"{base}/"):
            out.append(
                f"{one} and {host} both use {info['data']}, which they may share already: moving from one shared "
                "directory to another is not done here."
            )
        differing = [
            name for name, value in info["digests"].items() if value and value != first["digests"].get(name, "")
        ]
        if differing:
            out.append(
                f"{', '.join(differing)} on {one} is not that of {host}: it was installed on its own, not as a further "
                "server of the same database. What it holds would be unreadable: install it anew, or put its own aside."
            )
    return out


def verification(
    found: Found,
    members: Members,
    uses: Mapping[str, Mapping[str, Any]],
    health: Found,
    cluster: str,
    role: str,
    target: str,
    statuses: Sequence[int] = (200,),
) -> dict[str, Any]:
    """Return the verification that all members use the same data, in the schema that all roles share.

    `health` holds, for each member, what its server answered: `status` and `msg`. It is well with one of `statuses`.
    """
    document = Verification(role, cluster, [member["name"] for member in members])
    migrations = {host: info["storage"].get("migration", "") for host, info in found.items()}
    for member in members:
        host, name = member["host"], member["name"]
        info = found.get(host)
        if not info:
            document.silent(name)
            continue
        storage, one = info["storage"], uses[host]
        document.check("storage", not storage["error"], storage["error"] or f"{name} reaches {target}", name)
        if one["shared"]:
            document.seen(name)
        evidence = f"{name} uses {target if one['shared'] else info['data']}"
        document.check("in use", one["shared"], evidence, name)
        others = sorted({value for other, value in migrations.items() if other != host} - {migrations[host]})
        document.check(
            "same storage", not others, f"{name} sees {'what the others see' if not others else 'something else'}", name
        )
        for unit, state in sorted(info["units"].items()):
            document.check("unit", state == "active", f"{unit} on {name} is {state}", name)
        said = health.get(host, {})
        is_well = said.get("status") in statuses
        why = "" if is_well or not said.get("msg") else f" ({said['msg']})"
        document.check("health", is_well, f"the server on {name} answers {said.get('status', 'nothing')}{why}", name)
        if storage.get("text") or info["text"]:
            same = storage.get("text") in ("", info["text"])
            document.check(
                "version", same, f"{name} has version {info['text']}, the data {storage.get('text') or 'none'}", name
            )
    return document.result()


def _same(one: str, other: str) -> bool:
    return os.path.normpath(one) == os.path.normpath(other)
