# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judging the members of an application's cluster together: can they join, and are they alike."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.members import unasked
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.verification import Verification

Found = Mapping[str, Mapping[str, Any]]
Members = Sequence[Mapping[str, str]]


def to_set_up(found: Found, members: Members, source: str, notes: Mapping[str, str]) -> list[str]:
    """Return the hosts whose set-up is to be run: all but the source and those that are noted as set up or joined."""
    return [
        member["host"]
        for member in members
        if member["host"] != source and not {notes["setup"], notes["joined"]} & set(_files(found, member["host"]))
    ]


def unlike(found: Found, members: Members, source: str, below: str) -> list[str]:
    """Return the hosts that have another one of the source's files in the directory `below`, or lack one."""
    return [member["host"] for member in members if member["host"] in found and _others(found, member, source, below)]


def problems(
    found: Found,
    members: Members,
    source: str,
    due: Sequence[str],
    role: str,
    program: str,
    properties: str,
    notes: Mapping[str, str],
    masks: Sequence[str],
    unit_variable: str,
    unit: str = "",
) -> list[str]:
    """Return, in sentences, why the members cannot become one cluster.

    `program` is the set-up, `properties` what it leaves when it has run, `masks` are those of the files that the
    source gives to the others, `unit` is the service's unit as it was given by the variable `unit_variable`.
    """
    silent = [unasked(member["host"]) for member in members if member["host"] not in found]
    if silent:
        return silent
    out = [*_problems_of_service(found, members, due, unit_variable, unit)]
    own = _files(found, source)
    if not any(found[source]["files"][path]["certificate"] for path in own):
        out.append(
            f"{source} has no certificate among {', '.join(masks)}: finish its installation first, or name the "
            f"member that is installed with {role}_source."
        )
    if due and properties not in own:
        out.append(
            f"{source} has no {properties}, with which the others are set up: finish its installation first, or name "
            f"the member that is installed with {role}_source."
        )
    for host in due:
        there = _files(found, host)
        if properties in there and notes["begun"] not in there:
            out.append(
                f"On {host} set-up has already run ({properties} is there). Give {role}_joined=separately: then set-up "
                f"is not run, and the files of {source} replace those of {host} in which the two differ."
            )
        elif program not in there:
            out.append(f"{host} has no {program}: install the product's package there first.")
    return out


def verification(
    found: Found,
    members: Members,
    source: str,
    below: str,
    cluster: str,
    role: str,
    truststores: Found,
    parts: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """Return the verification that all members are alike, in the schema that all roles share.

    `below` is the directory of the files, `truststores` holds what each one's truststore lacks, `parts` are the
    verifications of what the cluster is made of.
    """
    document = Verification(role, cluster, [member["name"] for member in members])
    wanted = _fingerprints(found, source, below)
    for member in members:
        host, name = member["host"], member["name"]
        if host not in found:
            document.silent(name)
            continue
        document.seen(name)
        other = _others(found, member, source, below)
        evidence = ", ".join(other) or f"none of {len(wanted)}"
        evidence = f"files of {name} that are not those of {source}: {evidence}"
        document.check("certificate files", bool(wanted) and not other, evidence, name)
        lacks = truststores.get(host, {}).get("changed_aliases")
        evidence = "it could not be read" if lacks is None else ", ".join(lacks) or "none"
        document.check("truststore", lacks == [], f"certificates that the truststore of {name} lacks: {evidence}", name)
        for unit, state in sorted(found[host]["units"].items()):
            document.check("unit", state == "active", f"{unit} on {name} is {state}", name)
    for part in parts:
        wrong = [check["evidence"] for check in part["checks"] if not check["ok"]]
        document.check(
            part["role"], part["ok"], "; ".join(wrong) or f"{len(part['checks'])} checks of {part['role']} passed"
        )
    return document.result()


def _problems_of_service(
    found: Found, members: Members, later: Sequence[str], unit_variable: str, unit: str
) -> list[str]:
    """Say where the service manager does not tell which unit it is, or not the same on all members."""
    if unit:
        return []
    out = []
    there = [member["host"] for member in members if member["host"] not in later]
    for host in there:
        names = found[host]["services"]
        if len(names) != 1:
            what = f"several services that it may be: {', '.join(names)}" if names else "none that it may be"
            out.append(f"On {host} the service manager has {what}. Name its unit with {unit_variable}.")
    if not out and len({found[host]["services"][0] for host in there}) > 1:
        named = ", ".join(f"{host} {found[host]['services'][0]}" for host in there)
        out.append(f"The service has another name on each member ({named}): name its unit with {unit_variable}.")
    return out


def _files(found: Found, host: str) -> Sequence[str]:
    return list(found.get(host, {}).get("files", {}))


def _others(found: Found, member: Mapping[str, str], source: str, below: str) -> list[str]:
    own = _fingerprints(found, member["host"], below)
    return [path for path, one in sorted(_fingerprints(found, source, below).items()) if own.get(path) != one]


def _fingerprints(found: Found, host: str, below: str) -> dict[str, str]:
    files = found.get(host, {}).get("files", {})
    return {path: one["fingerprint"] for path, one in files.items() if path.startswith(f"{below}/")}
