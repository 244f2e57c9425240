# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judging servers on a Carbon kernel together: can they be members of one cluster, and who needs a restart."""

from __future__ import annotations

import ipaddress
from typing import Any, Mapping, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.members import unasked
from ansible_collections.clusterkit.middleware.plugins.module_utils._formats.carbon import hazelcast_of, installed
from ansible_collections.clusterkit.middleware.plugins.module_utils._formats.format import Surroundings
from ansible_collections.clusterkit.middleware.plugins.module_utils._hazelcast.interfaces import interface_problems

#: From 3.12 on Hazelcast asks the metadata service in which zone it is, whatever it signs in with.
_ASKS_FOR_ZONE = (3, 12)
#: The first Hazelcast that shows tokens to the metadata service (IMDSv2).
_GIVES_TOKENS = (5, 2, 2)

Found = Mapping[str, Mapping[str, Any]]
Members = Sequence[Mapping[str, Any]]


def problems(
    found: Found,
    members: Members,
    home: str,
    paths: Sequence[str],
    unit: str,
    role: str = "",
    kernel: str = "",
    user: str = "",
    closes: bool = False,
    interface: str = "",
    metadata: Found | None = None,
    iam_role: str = "",
) -> list[str]:
    """Return, in sentences, why the servers cannot be members. `closes` is whether the file is closed to others.

    Of the `paths` of files that could declare a membership, the first one that is there is the one that counts.
    `role` is the one whose variables are named, `interface` a pattern that one address of each has to match.
    `metadata` is what the metadata service of each one's instance said, where they ask Amazon for each other, with
    `iam_role` in place of keys.
    """
    out: list[str] = []
    kernels: dict[str, list[str]] = {}
    for member in members:
        host = member["host"]
        if host not in found:
            out.append(unasked(host))
            continue
        there = found[host]
        out += _of_address(member, there, len(members), role)
        out += interface_problems(host, member["address"], there["addresses"], [interface] if interface else [], role)
        try:
            around = installed(home, there["paths"], kernel, dotted=False)
            kernels.setdefault(around.kernel, []).append(host)
            out += _of_metadata(host, (metadata or {}).get(host), around, iam_role, role)
        except ClusterkitError as error:
            out.append(f"On {host} {error}.")
            continue
        out += _of_server(host, there, paths, unit, role)
        path = declaring(there, paths)
        owner = there["paths"].get(path, {}).get("owner")
        if closes and not user and owner and there["user"] not in ("", "root", owner):
            out.append(
                f"On {host} the server runs as {there['user']} and {path} belongs to {owner}: with a password in it "
                f"the file is closed to others; give {role}_user: {there['user']}."
            )
    if len(kernels) > 1:
        told = "; ".join(f"{version} on {', '.join(hosts)}" for version, hosts in sorted(kernels.items()))
        out.append(f"The servers have different kernels, {told}: members need the same one.")
    return out


def _of_address(member: Mapping[str, Any], there: Mapping[str, Any], count: int, role: str) -> list[str]:
    host, address = member["host"], ipaddress.ip_address(member["address"])
    if address.version == 6:
        return [f"{role}_address of {host} is {address}: Carbon servers cluster over IPv4, give such an address."]
    if address.is_loopback and count > 1:
        return [
            f"{role}_address of {host} is {address}, which is loopback: give the address under which the other "
            f"members reach it, one of {', '.join(there['addresses'])}."
        ]
    if not address.is_loopback and str(address) not in there["addresses"]:
        return [
            f"{role}_address of {host} is {address}, which {host} does not have: it has "
            f"{', '.join(there['addresses']) or 'none'}."
        ]
    return []


def _of_metadata(
    host: str, said: Mapping[str, Any] | None, around: Surroundings, iam_role: str, role: str
) -> list[str]:
    if said is None:
        return []
    hazelcast = hazelcast_of(around)
    told = ".".join(str(one) for one in hazelcast)
    asks = bool(iam_role) or hazelcast >= _ASKS_FOR_ZONE
    if asks and said["tokens"] == "required" and hazelcast < _GIVES_TOKENS:
        others = (
            "" if hazelcast >= _ASKS_FOR_ZONE else f", or give {role}_aws_access_key in place of {role}_aws_iam_role"
        )
        return [
            f"On {host} the instance answers only those that show a token (HttpTokens=required), which Hazelcast "
            f"{told} cannot: let it answer others as well (HttpTokens=optional){others}."
        ]
    if iam_role and not said["answers"]:
        return [
            f"On {host} the instance's metadata service does not answer, where {role}_aws_iam_role {iam_role} is asked "
            f"for: switch it on, or give {role}_aws_access_key."
        ]
    if iam_role and said["tokens"] == "optional" and iam_role not in said["roles"]:
        return [
            f"On {host} the instance has the role {', '.join(said['roles']) or 'of no profile'}, and "
            f"{role}_aws_iam_role is {iam_role}: give the instance a profile with it, or the role that it has."
        ]
    return []


def declaring(there: Mapping[str, Any], paths: Sequence[str]) -> str:
    """Return the path of the file that declares a server's membership, the last one where none is there."""
    return next((path for path in paths if path in there["paths"]), paths[-1])


def _of_server(host: str, there: Mapping[str, Any], paths: Sequence[str], unit: str, role: str) -> list[str]:
    out = []
    path = declaring(there, paths)
    if path not in there["paths"]:
        out.append(f"On {host} there is no {path}: give the file with the element clustering as {role}_axis2_path.")
    if there["unit_state"] in ("not-found", "masked", "bad-setting", "error"):
        out.append(
            f"On {host} the unit {unit} is {there['unit_state']}: give the unit that runs the product as {role}_unit."
        )
    elif there["running"] and there["unit_state"] in ("inactive", "failed"):
        out.append(f"On {host} the server runs, and not by {unit}, which is {there['unit_state']}: stop it first.")
    if there["port_holder"]:
        out.append(
            f"On {host} the port of the cluster is taken by {there['port_holder']}: stop it, or give another "
            f"{role}_port."
        )
    return out


def due(
    found: Found, members: Members, paths: Sequence[str], changed: Sequence[str] = (), also: Sequence[str] = ()
) -> list[Mapping[str, Any]]:
    """Return the members that have to be started or restarted, those that do not run first.

    Those are the `changed` hosts, and whoever started before the file, see `problems`, was last changed: a run that was
    killed after it had written the file owes that one the restart. `also` are further paths that count.
    """
    stopped, older = [], []
    for member in members:
        there = found[member["host"]]
        if not there["running"]:
            stopped.append(member)
            continue
        read = [there["paths"][one] for one in (declaring(there, paths), *also) if one in there["paths"]]
        if member["host"] in changed or any(one["changed"] > there["started_seconds"] for one in read):
            older.append(member)
    return stopped + older
