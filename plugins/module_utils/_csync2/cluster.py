# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judging several csync2 members together, from what the csync2_info module found on each."""

from __future__ import annotations

import re
from typing import Any, Mapping, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.members import unasked
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.verification import Verification
from ansible_collections.clusterkit.middleware.plugins.module_utils._csync2.config import PROBE_DIRECTORY
from ansible_collections.clusterkit.middleware.plugins.module_utils._csync2.key import fingerprint

#: The binary that the package brings, of Debian as of Fedora.
PACKAGED = "/usr/sbin/csync2"
#: The first major version whose backups work.
_BACKUPS_SINCE = 2

Found = Mapping[str, Mapping[str, Any]]
Members = Sequence[Mapping[str, str]]


def problems(
    found: Found,
    members: Members,
    manage_hosts: bool = False,
    key: str = "",
    key_authority: str = "",
    leaving: Sequence[str] = (),
    outside: Sequence[str] = (),
    binary: str = PACKAGED,
    sysconfdir: str = "",
    source_version: str = "",
    backups: bool = False,
    allowed_versions: Sequence[str] = (),
) -> list[str]:
    """Return, before anything is changed, why these members cannot become a cluster; empty when they can.

    `source_version` is what this run builds on its members, empty where it installs the package. `backups` tells
    whether a group keeps any.
    """
    out = []
    for member in members:
        info = found.get(member["host"])
        if not info:
            out.append(unasked(member["host"]))
            continue
        out += _problems_of(member["host"], info, members, manage_hosts)
        out += _lost(member["host"], info, members, leaving)
        out += _program(member["host"], info, binary, sysconfdir, bool(source_version))
    out += _keys(found, bool(key), key_authority)
    out += _keys_outside(found, key, key_authority, outside)
    versions = {host: str(info["version"]) for host, info in found.items() if info.get("installed")}
    if source_version:
        versions.update({host: source_version for host in found if host not in outside})
    return out + _versions(versions, backups, allowed_versions)


def _program(host: str, info: Mapping[str, Any], binary: str, sysconfdir: str, builds: bool) -> list[str]:
    """Return why the binary that is there, or will be, is not the one that the role configures."""
    if not info.get("installed"):
        if builds or binary == PACKAGED:
            return []
        return [
            f"On {host} there is no {binary}, and the package brings {PACKAGED}: leave csync2_prefix out, or give "
            "csync2_source to build it."
        ]
    told = info.get("sysconfdir")
    if not told or not sysconfdir or told == sysconfdir:
        return []
    return [
        f"On {host} {binary} reads its files from {told}, not from {sysconfdir}: set csync2_sysconfdir to {told}, or "
        "remove that binary."
    ]


def _versions(versions: Mapping[str, str], backups: bool, allowed: Sequence[str]) -> list[str]:
    """Return what is wrong with the versions that the hosts will have."""
    out = []
    hosts = {version: host for host, version in versions.items()}
    if len(hosts) > 1:
        listed = ", ".join(f"{version} on {host}" for version, host in sorted(hosts.items()))
        out.append(f"The members have different versions of csync2 ({listed}): bring them to one version first.")
    for version, host in sorted(hosts.items()):
        number = re.match(r"[0-9]+", version)
        if backups and number and int(number.group()) < _BACKUPS_SINCE and version not in allowed:
            out.append(
                f"csync2 {version} on {host} may not keep backups, which are broken before {_BACKUPS_SINCE}.0: leave "
                f"backup_directory out of csync2_groups, or name {version} in csync2_allowed_versions."
            )
    return out


def _problems_of(host: str, info: Mapping[str, Any], members: Members, manage_hosts: bool) -> list[str]:
    out = []
    if not manage_hosts:
        for member in members:
            answers = info.get("resolved", {}).get(member["name"], [])
            # A member may know itself by a loopback address, as Debian's installer writes it; peers may not
            if member["host"] != host and member["address"] not in answers:
                told = ", ".join(answers) or "nothing"
                out.append(
                    f"On {host} the name {member['name']} resolves to {told}, not to {member['address']}: "
                    "mend the name service, set csync2_address, or let the role write the hosts file "
                    "(csync2_manage_hosts: true)."
                )
    if info.get("port_holder"):
        out.append(f"On {host} port 30865 is taken by {info['port_holder']}: it is the port of csync2's listener.")
    for path, target in info.get("symbolic_links", {}).items():
        out.append(f"On {host} {path} leads through a symbolic link, which csync2 does not follow: write {target}.")
    return out


def _hosts_of(info: Mapping[str, Any]) -> set[str]:
    """Return the names of all hosts in a member's running configuration."""
    return {
        str(name).partition("@")[0].lower()
        for group in info.get("config", {}).get("csync2_groups", [])
        for name in (*group.get("hosts", []), *group.get("slaves", []))
    }


def _lost(host: str, info: Mapping[str, Any], members: Members, leaving: Sequence[str]) -> list[str]:
    """Return whom a member's running configuration has and the inventory not: nobody leaves by being forgotten."""
    running = _hosts_of(info)
    names = {member["name"].lower() for member in members}
    # A configuration that names none of the members is another cluster's, or a packaged example
    lost = sorted(running - names - set(leaving)) if running & names else []
    return [
        f"On {host} the running configuration has the member {name}, which the inventory has not: put it back, or let "
        f"it leave with the playbook remove_node (csync2_leaving)."
        for name in lost
    ]


def _keys(found: Found, key_given: bool, key_authority: str) -> list[str]:
    out = []
    for host, info in found.items():
        error = info.get("key", {}).get("error")
        if error and not key_given and host != key_authority:
            out.append(f"The key on {host} is malformed ({error}): mend or remove it, or give csync2_key.")
    keys: dict[str, list[str]] = {}
    for host, info in found.items():
        if info.get("key", {}).get("fingerprint"):
            keys.setdefault(info["key"]["fingerprint"], []).append(host)
    if len(keys) > 1 and not key_given and not key_authority:
        listed = "; ".join(f"{fingerprint} on {', '.join(hosts)}" for fingerprint, hosts in sorted(keys.items()))
        out.append(
            f"The members have different keys ({listed}): name the host whose key is right in csync2_key_authority, "
            f"or give csync2_key."
        )
    if key_authority and not key_given and not found.get(key_authority, {}).get("key", {}).get("fingerprint"):
        out.append(f"csync2_key_authority is {key_authority}, which has no key: name a member that has one.")
    return out


def _keys_outside(found: Found, key: str, key_authority: str, outside: Sequence[str]) -> list[str]:
    """Return which members would be left with another key than this run installs, being outside of it."""
    wanted = fingerprint(key) if key else found.get(key_authority, {}).get("key", {}).get("fingerprint", "")
    return [
        f"{host} is outside of this run and has another key than the one it installs: run on all members."
        for host in outside
        if wanted and found.get(host, {}).get("key", {}).get("fingerprint") != wanted
    ]


def certificates(made: Found, found: Found, members: Members) -> dict[str, str]:
    """Return the fingerprint of each member's certificate by its name: as made in this run, else as it was found."""
    out = {}
    for member in members:
        host = member["host"]
        if host in made:
            out[member["name"]] = str(made[host].get("fingerprint", ""))
        elif found.get(host, {}).get("certificate"):
            out[member["name"]] = str(found[host]["certificate"])
    return out


def verification(found: Found, members: Members, cluster: str, probes: Found | None = None) -> dict[str, Any]:
    """Return the verification of a cluster, in the schema that all roles share (docs/verify.schema.json).

    `probes` holds, for each member that sent a file to show that files travel, what csync2_sync said of that.
    """
    document = Verification("csync2", cluster, [member["name"] for member in members])
    for member in members:
        info = found.get(member["host"])
        name = member["name"]
        if not info:
            document.silent(name)
            continue
        # A member is in the cluster when the others reach it, not when Ansible does
        others = [found[one["host"]] for one in members if one is not member and one["host"] in found]
        if not any(other.get("reachability", {}).get(name.lower()) for other in others):
            document.seen(name)
        _verify_member(document, name, info, members)
    seen = [(member["name"], found[member["host"]]) for member in members if found.get(member["host"])]
    for name, info in seen[1:]:
        _compare(document, *seen[0], name, info)
    _compare_files(document, [(name, info.get("manifest", {})) for name, info in seen])
    for member in members:
        _follow(document, member["name"], (probes or {}).get(member["host"], {}), seen)
    return document.result()


def _follow(
    document: Verification, sender: str, sent: Mapping[str, Any], seen: Sequence[tuple[str, Mapping[str, Any]]]
) -> None:
    """Look on every other member for the file that one has sent."""
    if sent.get("error"):
        document.check("travels", False, f"{sender} cannot send: {sent['error']}", sender)
    if not sent.get("probe"):
        return
    for name, info in seen:
        if name == sender:
            continue
        arrived = info.get("probes", {}).get(sender.lower()) == sent["probe"]
        reasons = [str(one["reason"]) for one in sent.get("left", []) if one["peer"] == name.lower()]
        why = f": {reasons[0]}" if reasons else ""
        evidence = f"{sender} → {name}: a file {'travels' if arrived else f'does not arrive{why}'}"
        document.check("travels", arrived, evidence, name)


def _verify_member(document: Verification, name: str, info: Mapping[str, Any], members: Members) -> None:
    error = info.get("config_error") or ("is read without an error" if info.get("config") else "there is none")
    document.check("configuration", bool(info.get("config")) and not info.get("config_error"), error, name)
    peers = sorted(info.get("peers", []))
    document.check("peers", bool(peers), f"{name} has the peers {', '.join(peers) or 'none'}", name)
    strangers = sorted(_hosts_of(info) - {member["name"].lower() for member in members})
    if strangers:
        document.check("members", False, f"{name} is configured for {', '.join(strangers)}, which is no member", name)
    for unit, state in sorted(info.get("units", {}).items()):
        document.check("unit", state == "active", f"{unit} on {name} is {state}", name)
    for peer, failure in sorted(info.get("reachability", {}).items()):
        document.check("reachability", not failure, f"{name} → {peer} port 30865: {failure or 'answers'}", name)
    for one in info.get("conflicts", []):
        document.check("conflict", False, f"{name} and {one['peer']} both changed {one['file']}: name a winner", name)
    # What a slave has changed it keeps until the master undoes it; the probes are judged by whether they arrived
    dirty = [
        one
        for one in info.get("dirty", [])
        if not one.get("slave") and not one["file"].startswith(f"{PROBE_DIRECTORY}/")
    ]
    unsent = ", ".join(f"{one['file']} for {one['peer']}" for one in dirty[:5])
    more = f" and {len(dirty) - 5} more" if len(dirty) > 5 else ""
    evidence = f"{name} has still to send {unsent}{more}" if dirty else f"{name} has sent all"
    document.check("sent", not dirty, evidence, name)


def _compare(document: Verification, first: str, one: Mapping[str, Any], second: str, other: Mapping[str, Any]) -> None:
    keys = [info.get("key", {}).get("fingerprint", "") for info in (one, other)]
    evidence = f"key {keys[0] or 'missing'} on {first}, {keys[1] or 'missing'} on {second}"
    document.check("key", keys[0] == keys[1] and bool(keys[0]), evidence, second)
    same = one.get("config") == other.get("config")
    document.check("same configuration", same, f"{'equal' if same else 'different'} on {first} and {second}", second)


def _compare_files(document: Verification, manifests: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
    """Compare each group's files with those of the first member that has the group."""
    for group in sorted({group for _name, manifest in manifests for group in manifest}):
        (first, mine), *others = [(name, manifest[group]) for name, manifest in manifests if group in manifest]
        for second, theirs in others:
            equal = mine["digest"] == theirs["digest"]
            if equal:
                evidence = f"{group}: {mine['count']} files with equal content, mode and owner on {first} and {second}"
            else:
                evidence = f"{group}: {first} and {second} differ in {_differing(mine, theirs)}"
            document.check("files", equal, evidence, second)


def _differing(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> str:
    """Name the first files that differ, where both manifests came with their entries."""
    one, other = mine.get("entries"), theirs.get("entries")
    if one is None or other is None:
        return f"their files ({mine.get('count', 0)} against {theirs.get('count', 0)})"
    paths = sorted(path for path in set(one) | set(other) if one.get(path) != other.get(path))
    return f"{len(paths)} files: {', '.join(paths[:5])}{', …' if len(paths) > 5 else ''}"
