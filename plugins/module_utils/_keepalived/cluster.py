# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judging the members that share virtual addresses, from what the keepalived_info module found on each."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.members import unasked
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.verification import Verification
from ansible_collections.clusterkit.middleware.plugins.module_utils._keepalived.config import interface_of
from ansible_collections.clusterkit.middleware.plugins.module_utils._keepalived.instances import (
    Catalogue,
    Members,
    plain,
)
from ansible_collections.clusterkit.middleware.plugins.module_utils._keepalived.network import on_link

Found = Mapping[str, Mapping[str, Any]]
Instance = Mapping[str, Any]


def problems(
    found: Found, members: Members, catalogue: Catalogue, *, replace: bool = False, commands_later: bool = False
) -> list[str]:
    """Return, before anything is changed, why these hosts cannot share these addresses; empty when they can.

    `commands_later` is for check mode: commands of checks may be installed by what would come before.
    """
    out = []
    own = {member["address"]: member["host"] for member in members}
    held = {one["address"] for info in found.values() for one in info["addresses"]}
    for member in members:
        host = member["host"]
        info = found.get(host)
        if not info:
            out.append(unasked(host))
            continue
        if info["foreign"] and not replace:
            out.append(
                f"On {host} {info['config_path']} has {', '.join(info['foreign'])}, which this role did not write and "
                "would replace: bring them into keepalived_instances, and say keepalived_replace: true."
            )
        for command in [] if commands_later else info["missing_commands"]:
            out.append(f"On {host} there is no {command}, which keepalived_checks names: install it first.")
        for one in info["heard"]:
            if one["source"] not in own:
                out.append(
                    f"{host} hears {one['source']} advertise router_id {one['router_id']} at {one['interface']}: "
                    "another cluster has it on this network, give yours another one."
                )
        for address, neighbour in info["answering"].items():
            if address not in held:
                out.append(
                    f"On the network of {host} somebody has {address} already ({neighbour}): give an address "
                    "that is free."
                )
        for instance in catalogue["instances"]:
            out += _placed(instance, host, member["address"], info["addresses"])
    for instance in catalogue["instances"]:
        for address in instance["addresses"]:
            if plain(address) in own:
                out.append(
                    f"{plain(address)} of {instance['name']} is the address of {own[plain(address)]} itself: give one "
                    "that no host has."
                )
    return out


def _placed(instance: Instance, host: str, address: str, addresses: Sequence[dict[str, Any]]) -> list[str]:
    try:
        interface = interface_of(instance, address, addresses)
    except ClusterkitError as error:
        return [f"On {host} {error}."]
    known = sorted({one["interface"] for one in addresses})
    if interface not in known:
        return [
            f"On {host} there is no interface {interface} with an address, which {instance['name']} names: "
            f"it has {', '.join(known)}."
        ]
    if instance["routed"]:
        return []
    return [
        f"{plain(one)} of {instance['name']} is in no network of {interface} on {host}: nobody would reach it there. "
        "Give one of its networks, or say routed: true where a router knows the way."
        for one in instance["addresses"]
        if not on_link(plain(one), interface, addresses)
    ]


def verification(found: Found, members: Members, catalogue: Catalogue, *, cluster: str) -> dict[str, Any]:
    """Return whether every member runs and is well, and each address is held by exactly one of them.

    Who holds it is told by the kernels; that keepalived means it so, by itself.
    """
    out = Verification("keepalived", cluster, [member["name"] for member in members])
    for member in members:
        info, name = found.get(member["host"]), member["name"]
        if not info:
            out.silent(name)
            continue
        out.check("runs", not info["error"], info["error"] or f"keepalived {info['version']} answers on {name}", name)
        if info["error"]:
            continue
        out.seen(name)
        failing = [check["name"] for check in info["checks"] if not check["ok"]]
        told = f"of its checks {', '.join(failing)} fails" if failing else f"its {len(info['checks'])} checks pass"
        out.check("checks", not failing, f"{name}: {told}", name)
    for instance in catalogue["instances"]:
        _held(out, instance, found, members)
    return out.result()


def _held(out: Verification, instance: Instance, found: Found, members: Members) -> None:
    name = instance["name"]
    states = {
        member["name"]: next(
            (one["state"] for one in found[member["host"]]["instances"] if one["name"] == name), "not there"
        )
        for member in members
        if member["host"] in found
    }
    masters = [member for member, state in states.items() if state == "MASTER"]
    for address in instance["addresses"]:
        holders = [
            member["name"]
            for member in members
            if member["host"] in found
            and plain(address) in [one["address"] for one in found[member["host"]]["addresses"]]
        ]
        evidence = f"{plain(address)} of {name} is held by {', '.join(holders) or 'nobody'}"
        if len(holders) > 1:
            evidence += ": do firewalls let protocol 112 (VRRP) through between them?"
        out.check(f"holder of {plain(address)}", len(holders) == 1, evidence)
        if len(holders) == 1 and masters != holders:
            out.check(f"master of {name}", False, f"{name} is MASTER on {', '.join(masters) or 'nobody'}, {evidence}")
    bad = [f"{member} is {state}" for member, state in states.items() if state not in ("MASTER", "BACKUP")]
    told = "; ".join(bad or [f"{member} is {state}" for member, state in states.items()])
    out.check(f"states of {name}", not bad, f"{name}: {told or 'nobody was asked'}")
