# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who the members of a cluster are: always from the inventory, never from the hosts that a play happens to run on.

`--limit`, `serial` and unreachable hosts must not shrink a cluster's configuration.
"""

from __future__ import annotations

import ipaddress
from typing import Any, Iterable, Mapping, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError


def cluster_members(
    hostvars: Mapping[str, Any], hosts: Sequence[str], role: str, addresses: bool = True
) -> list[dict[str, str]]:
    """Return the members in the inventory's order, each with `host`, `name` and `address`.

    `name` is the host's `<role>_name`, else its name in the inventory; `address` is its `<role>_address`, else the
    address of its default route. `addresses` False is for members that need none: it is empty then. Raises
    ClusterkitError for a member without an address and for two of one name.
    """
    members = []
    for host in hosts:
        variables = hostvars[host]  # each look into hostvars makes all variables of the host anew
        address = _address(variables, role) if addresses else ""
        try:
            address = address and str(ipaddress.ip_address(address))
        except ValueError:
            raise ClusterkitError(f"{role}_address of {host} is {address!r}: give an address, not a name") from None
        if addresses and not address:
            raise ClusterkitError(
                f"no address is known of {host}: it has to be reachable, so that its facts can be gathered, or set "
                f"{role}_address for it in the inventory"
            )
        members.append({"host": host, "name": str(variables.get(f"{role}_name") or host), "address": address})
    for key, what in (("name", f"{role}_name"), ("address", f"{role}_address")):
        seen: dict[str, str] = {}
        for member in members:
            other = seen.setdefault(member[key].lower(), member["host"]) if member[key] else member["host"]
            if other != member["host"]:
                raise ClusterkitError(
                    f"{what} is {member[key]} for both {other} and {member['host']}: each needs its own"
                )
    return members


def members_without_address(hostvars: Mapping[str, Any], hosts: Sequence[str], role: str) -> list[str]:
    """Return the hosts whose address has still to be asked of them."""
    return [host for host in hosts if not _address(hostvars[host], role)]


def unasked(host: str) -> str:
    """Say that a member did not answer, before a run changes anything."""
    return f"{host} could not be asked: it has to be reachable, also when --limit leaves it out."


def _address(variables: Mapping[str, Any], role: str) -> str:
    given = variables.get(f"{role}_address")
    if given:
        return str(given)
    facts = variables.get("ansible_facts") or {}
    for family in ("default_ipv4", "default_ipv6"):
        found = (facts.get(family) or {}).get("address") or (variables.get(f"ansible_{family}") or {}).get("address")
        if found:
            return str(found)
    return ""


def cluster_results(
    hostvars: Mapping[str, Any],
    members: Iterable[Mapping[str, str]],
    registered: str,
    elsewhere: Mapping[str, Any] | None = None,
) -> dict[str, dict[str, Any]]:
    """Return what a task registered for every member, by host.

    For members that are not in this run the result comes from `elsewhere`: a loop over them, delegated to each. It goes
    first, since with `serial` a host of an earlier batch still has what it registered then.
    A member is left out that neither has, and one whose task failed or was skipped: nothing is known of it.
    """
    others = {one["item"]["host"]: one for one in (elsewhere or {}).get("results", []) if "item" in one}
    results: dict[str, dict[str, Any]] = {}
    for member in members:
        found = others.get(member["host"]) or hostvars[member["host"]].get(registered)
        if found and not any(found.get(word) for word in ("failed", "skipped", "unreachable")):
            results[member["host"]] = dict(found)
    return results
