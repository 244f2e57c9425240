# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judging the members together: may they synchronise, what each is to know, and have they all the same files."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.members import unasked
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.verification import Verification
from ansible_collections.clusterkit.middleware.plugins.module_utils._deployment.settings import (
    RECEIVER,
    SOURCE,
    Directory,
    Node,
    Settings,
    directory_name,
    nodes_list,
)

Found = Mapping[str, Mapping[str, Any]]
Members = Sequence[Mapping[str, str]]
#: So many names of files stand in a piece of evidence.
_NAMED = 5


def nodes(text: str, members: Members, path: str) -> dict[str, dict[str, str]]:
    """Return what a list of nodes says of the members, by host: `user` and `path`.

    Raises ClusterkitError for a node that is no member: nothing could be known of its host keys.
    """
    by_any = {member[word]: member["host"] for member in members for word in ("address", "name", "host")}
    out = {}
    for node in nodes_list(text, path):
        if node["host"] not in by_any:
            raise ClusterkitError(
                f"{path} has the node {node['host']}, which is no member: add it to the inventory, so that it can be "
                f"set up, or take it out of the list. The members are {', '.join(one['name'] for one in members)}"
            )
        out[by_any[node["host"]]] = {"user": node["user"], "path": node["path"]}
    return out


def directories(paths: Sequence[str], tenants: str, path: str = "") -> list[dict[str, str]]:
    """Return the directories of a member by name and path; `path` is where it has the first one, if elsewhere."""
    own = [path or one if number == 0 else one for number, one in enumerate(paths)]
    named = [{"name": directory_name(one), "path": there} for one, there in zip(paths, own)]
    return [*named, {"name": directory_name(tenants), "path": tenants}] if tenants else named


def problems(
    found: Found,
    members: Members,
    source: str,
    failover: bool = False,
    rotate: bool = False,
    create: bool = False,
    moved: bool = False,
    allow_empty: bool = False,
) -> list[str]:
    """Return, in sentences, why the members cannot synchronise. `source` is the host that gives."""
    silent = [unasked(member["host"]) for member in members if member["host"] not in found]
    if silent:
        return silent
    out = _problems_of_sources(found, members, source, failover)
    names = [one["name"] for one in found[source]["directories"]]
    for member in members:
        host, there = member["host"], found[member["host"]]
        if [one["name"] for one in there["directories"]] != names:
            out.append(f"{host} has other deployment_sync_directories than {source}: set them for the whole group.")
            continue
        out += _problems_of_directories(host, there, host == source, create, moved, allow_empty)
        if host != source and there["closed"]:
            out.append(f"{source} cannot reach {host}: {there['closed']}. Name another one with deployment_sync_user.")
    if not rotate:
        for member in members:
            pinned = found[source]["pins"].get(member["name"], [])
            if pinned and not set(pinned) & set(found[member["host"]]["host_keys"]):
                out.append(
                    f"{member['host']} shows other host keys than {source} has pinned: look into why. If they were "
                    "renewed, run with deployment_sync_rotate_host_keys=true."
                )
    if found[source]["key_problem"]:
        out.append(f"{source} cannot use the key: {found[source]['key_problem']}.")
    return out


def _problems_of_sources(found: Found, members: Members, source: str, failover: bool) -> list[str]:
    others = [one["host"] for one in members if found[one["host"]]["role"] == SOURCE and one["host"] != source]
    if not others or failover or found[source]["role"] == SOURCE:
        return []
    return [
        f"{', '.join(others)} is the source now, and deployment_sync_source names {source}: two would overwrite each "
        f"other's files. Run the playbook deployment_failover with -e deployment_sync_source={source}, or name the "
        "present one."
    ]


def _problems_of_directories(
    host: str, there: Mapping[str, Any], is_source: bool, create: bool, moved: bool, allow_empty: bool
) -> list[str]:
    out = []
    recorded = {one["name"]: one["mount_point"] for one in (there["recorded"] or {}).get("directories", [])}
    for one in there["directories"]:
        path, before = one["path"], recorded.get(one["name"])
        if before and before != one["mount_point"] and not moved:
            out.append(
                f"{path} on {host} is in the file system of {one['mount_point']} and was in that of {before}: mount "
                "it. If it has moved for good, run with deployment_sync_moved=true."
            )
        elif not one["is_directory"]:
            if one["exists"] or is_source or not create:
                what = "is no directory" if one["exists"] else "is not there"
                remedy = "install the product there first, or give the right directory"
                out.append(f"{path} on {host} {what}: {remedy}{'' if is_source else ' (or deployment_sync_create)'}.")
        elif is_source and not one["filled"] and not allow_empty:
            out.append(
                f"{path} on {host} has no file, and all others would lose theirs: deploy something first, name another "
                "one with deployment_sync_source, or set deployment_sync_allow_empty."
            )
    return out


def settings(found: Found, members: Members, host: str, source: str, options: Mapping[str, Any]) -> str:
    """Return the settings of a member as its file holds them. `options` are further fields of the settings."""
    names = {member["host"]: member["name"] for member in members}
    own = found[host]
    is_source = host == source
    others = [one for one in members if one["host"] != source] if is_source else []
    lists: dict[str, Any] = {
        "directories": tuple(Directory(one["name"], one["path"], one["mount_point"]) for one in own["directories"]),
        "nodes": tuple(
            Node(
                one["name"],
                one["address"],
                int(found.get(one["host"], {}).get("port", 22)),
                str(found.get(one["host"], {}).get("user", "root")),
            )
            for one in others
        ),
    }
    address = next(one["address"] for one in members if one["host"] == host)
    given = {**options, "exclude": tuple(options.get("exclude", ()))}
    numbers = {"delete_share": float, "delete_minimum": int, "limit": float, "io_limit": int}
    given.update({name: kind(given[name]) for name, kind in numbers.items() if name in given})
    role = SOURCE if is_source else RECEIVER
    return Settings(role=role, name=names[host], source=names[source], address=address, **lists, **given).text()


def known_hosts(found: Found, members: Members, source: str) -> str:
    """Return the host keys that the source is to know, each under the name of its member."""
    pins = found[source]["pins"]
    lines = []
    for member in members:
        if member["host"] == source:
            continue
        keys = found[member["host"]]["host_keys"] if member["host"] in found else pins.get(member["name"], [])
        lines += [f"{member['name']} {key}\n" for key in keys]
    return "".join(lines)


def verification(
    found: Found,
    members: Members,
    cluster: str,
    source: str = "",
    probed: Found | None = None,
    units: Sequence[str] = (),
    reports: Sequence[Mapping[str, Any]] = (),
    wanted: Mapping[str, Any] | None = None,
    held: Found | None = None,
    token: str = "",
) -> dict[str, Any]:
    """Return the verification that all members have the same files, in the schema that all roles share.

    What is right is what the host `source`, else the first member, has; with `wanted`, a release, that one has to be in
    use, and each directory has its files and no others. `probed` is what members said while the probe was there, `held`
    what each read of one with `token` in it that went the way of a release, and `units` those that have to run on the
    source.
    """
    document = Verification("deployment_sync", cluster, [member["name"] for member in members])
    seen = [member for member in members if member["host"] in found]
    reference = source if source in found else (seen[0]["host"] if seen else "")
    for member in members:
        host, name = member["host"], member["name"]
        if host not in found:
            document.silent(name)
            continue
        document.seen(name)
        for one, right in zip(found[host]["directories"], found[reference]["directories"]):
            document.check("files", *_compared(one, right, name, reference), name)
        if wanted is not None:
            document.check("release", *_released(found[host], wanted, name), name)
        if held is not None:
            read = held.get(host, {}).get("held") or {}
            arrived = bool(read) and all(one == token for one in read.values())
            document.check("probe", arrived, f"{name} {'had' if arrived else 'had not'} the file that was sent", name)
        if probed is not None:
            there = bool(probed.get(host, {}).get("probe"))
            document.check("probe", there, f"{name} {'has' if there else 'has not'} the file that was sent", name)
            gone = not found[host]["probe_left"]
            document.check(
                "probe removed", gone, f"{name} has {'no' if gone else 'still the'} file that was sent", name
            )
    for report in reports:
        said = report.get("error") or f"{report['node']} has all that it should"
        document.check("served", bool(report["ok"]), said, str(report["node"]))
    if source in found:
        sources = [one["name"] for one in seen if found[one["host"]]["role"] == SOURCE]
        document.check("one source", len(sources) == 1, f"sources: {', '.join(sources) or 'none'}")
        for unit in units:
            state = found[source]["units"].get(unit, "unknown")
            document.check("unit", state in ("active", "activating"), f"{unit} on {source} is {state}")
    return document.result()


def _compared(one: Mapping[str, Any], right: Mapping[str, Any], name: str, reference: str) -> tuple[bool, str]:
    if one.get("digest") == right.get("digest"):
        return True, f"{name}: {one.get('count', 0)} files in {one['path']}, as on {reference}"
    mine, theirs = one.get("entries"), right.get("entries")
    if mine is None or theirs is None:
        return False, f"{name} has other files in {one['path']} than {reference}"
    different = sorted(path for path in {*mine, *theirs} if mine.get(path) != theirs.get(path))
    more = f" and {len(different) - _NAMED} more" if len(different) > _NAMED else ""
    return False, f"{name} and {reference} differ in {one['path']}: {', '.join(different[:_NAMED])}{more}"


def _released(there: Mapping[str, Any], wanted: Mapping[str, Any], name: str) -> tuple[bool, str]:
    in_use = there["store"]["current"]
    if in_use["release"] != wanted["name"] or not in_use["settled"]:
        state = "" if in_use["settled"] else ", not settled"
        return False, f"{name} has the release {in_use['release'] or 'none'}{state}, not {wanted['name']}"
    count = 0
    for one in there["directories"]:
        right = {path: file["sha256"] for path, file in wanted["files"].get(one["name"], {}).items()}
        entries = one.get("entries") or {}
        wrong = sorted(path for path in {*right, *entries} if entries.get(path) != right.get(path))
        if wrong:
            return False, f"{name} has {one['path']} not as released: {', '.join(wrong[:_NAMED])}"
        count += len(right)
    return True, f"{name} has all {count} files of the release {wanted['name']}, and no others"
