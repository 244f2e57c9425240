# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Virtual addresses and the checks that they depend on, as users declare them: what is refused, what was not said."""

from __future__ import annotations

import ipaddress
import re
from typing import Any, Mapping, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError

Declared = Sequence[Mapping[str, Any]]
Members = Sequence[Mapping[str, str]]
Catalogue = Mapping[str, Any]

#: The group of the members where none is named.
GROUP = "keepalived_servers"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_WORDS = re.compile(r"/[^\s\"'#!{}\\]*( [^\"'#!{}\\\n]+)*")
#: VRRP tells intervals in hundredths of a second, in twelve bits (RFC 5798, 5.2.7).
LONGEST_ADVERT = 40.95
_HIGHEST, _STEP = 250, 10
_CHECK = {"interval_seconds": 1, "timeout_seconds": 2, "fall": 2, "rise": 2}


def catalogue(instances: Declared, checks: Declared, advert_seconds: float, multicast: bool) -> dict[str, Any]:
    """Return instances and checks with all that was not said of them. Raises ClusterkitError for a wrong address."""
    return {
        "instances": [
            {
                "name": str(one["name"]),
                "router_id": int(one["router_id"]),
                "addresses": [str(_address(text)) for text in one["addresses"]],
                "interface": str(one.get("interface") or ""),
                "preferred": str(one.get("preferred") or ""),
                "preempt": bool(one.get("preempt")),
                "routed": bool(one.get("routed")),
            }
            for one in instances
        ],
        "checks": [_check(one) for one in checks],
        "advert_seconds": float(advert_seconds),
        "multicast": bool(multicast),
    }


def mistakes(
    instances: Declared, members: Members, *, checks: Declared, advert_seconds: float, multicast: bool
) -> list[str]:
    """Return what cannot be right, whatever the hosts are like: sentences, none when all is well."""
    out = []
    if len(members) < 2:
        out.append(f"keepalived_members_group has {len(members)} hosts - a virtual address needs two at least.")
    if not instances:
        out.append("keepalived_instances is empty - declare one at least, with name, router_id and addresses.")
    if not checks:
        out.append(
            "keepalived_checks is empty - an address would stay where nothing serves it: give the command or the port "
            "of what has to live."
        )
    if not 0.01 <= float(advert_seconds) <= LONGEST_ADVERT or round(float(advert_seconds) * 100, 6) % 1:
        out.append(
            f"keepalived_advert_seconds is {advert_seconds} - give 0.01 to {LONGEST_ADVERT}, in hundredths of a second."
        )
    for number, one in enumerate(instances):
        out += _instance(one, f"keepalived_instances[{number}]", [member["name"] for member in members])
    for number, one in enumerate(checks):
        out += _check_mistakes(one, f"keepalived_checks[{number}]")
    out += _twice(instances, "name", "keepalived_instances")
    out += _twice(instances, "router_id", "keepalived_instances")
    out += _twice(checks, "name", "keepalived_checks")
    addresses = [{"addresses": text.partition("/")[0]} for one in instances for text in one["addresses"]]
    out += _twice(addresses, "addresses", "keepalived_instances")
    if not multicast:
        v6 = [member["host"] for member in members if ":" in member["address"]]
        if v6:
            out.append(f"keepalived_address of {', '.join(v6)} is of IPv6, which this role does not know: give IPv4.")
    return out


def strangers(
    instances: Declared, hostvars: Mapping[str, Any], groups: Mapping[str, Sequence[str]], *, group: str
) -> list[str]:
    """Say which other cluster of the inventory has the same router_id; `group` is that of this one's members.

    On one network either would take the other's advertisements for its own.
    """
    own = {int(one["router_id"]): one["name"] for one in instances}
    found: dict[tuple[int, str], str] = {}
    for host in sorted(set(groups["all"]) - set(groups.get(group, ()))):
        variables = hostvars[host]
        other = str(variables.get("keepalived_members_group") or GROUP)
        # A host that only has the variables, such as any with `-e`, shares no address
        if other == group or host not in groups.get(other, ()):
            continue
        for one in variables.get("keepalived_instances") or []:
            if int(one.get("router_id") or 0) in own:
                found.setdefault((int(one["router_id"]), other), host)
    return [
        f"router_id {number} of {own[number]} is that of {host} in {other}, too - give each cluster its own, or say "
        "keepalived_shared_router_ids: true where they are on different networks."
        for (number, other), host in sorted(found.items())
    ]


def priorities(instance: Mapping[str, Any], members: Members) -> dict[str, int]:
    """Return each member's priority by its name: the preferred one's is the highest, then as in the inventory."""
    names = sorted((member["name"] for member in members), key=lambda name: name != instance["preferred"])
    step = max(1, min(_STEP, (_HIGHEST - 1) // max(1, len(names))))
    return {name: _HIGHEST - step * place for place, name in enumerate(names)}


def plain(address: str) -> str:
    """Return an address without its prefix."""
    return address.partition("/")[0]


def _address(text: Any) -> ipaddress.IPv4Interface:
    try:
        found = ipaddress.ip_interface(str(text))
    except ValueError:
        found = None
    if not isinstance(found, ipaddress.IPv4Interface):
        raise ClusterkitError(
            f"{text!r} is no address of IPv4 - write it as '192.0.2.10' or '192.0.2.10/24'; IPv6 is not known here"
        )
    return found


def _check(one: Mapping[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {"name": str(one["name"]), "command": str(one.get("command") or "")}
    if one.get("port"):
        out.update(
            port=int(one["port"]), address=str(one.get("address") or "127.0.0.1"), path=str(one.get("path") or "")
        )
    return {**out, **{key: int(one.get(key) or default) for key, default in _CHECK.items()}}


def _instance(one: Mapping[str, Any], where: str, names: Sequence[str]) -> list[str]:
    out = []
    if not _NAME.fullmatch(str(one["name"])):
        out.append(f"{where}.name is {one['name']!r} - give letters, digits, '.', '_' and '-'.")
    if not 1 <= int(one["router_id"]) <= 255:
        out.append(f"{where}.router_id is {one['router_id']} - give 1 to 255.")
    if not one["addresses"]:
        out.append(f"{where}.addresses is empty - give one at least.")
    for text in one["addresses"]:
        try:
            address = _address(text)
        except ClusterkitError as error:
            out.append(f"{where}.addresses: {error}.")
            continue
        if address.ip.is_loopback or address.ip.is_multicast or address.ip.is_unspecified:
            out.append(f"{where}.addresses has {text} - no clients reach that: give an address of their network.")
    if one.get("interface") and not re.fullmatch(r"[^\s/\"'#!{}]{1,15}", str(one["interface"])):
        out.append(f"{where}.interface is {one['interface']!r} - give the name of an interface, such as 'eth0'.")
    if one.get("preferred") and one["preferred"] not in names:
        out.append(f"{where}.preferred is {one['preferred']!r} - name one of the members: {', '.join(names)}.")
    if one.get("preempt") and not one.get("preferred"):
        out.append(f"{where}.preempt is true - say which member takes the address back: preferred.")
    return out


def _check_mistakes(one: Mapping[str, Any], where: str) -> list[str]:
    out = []
    if not _NAME.fullmatch(str(one["name"])):
        out.append(f"{where}.name is {one['name']!r} - give letters, digits, '.', '_' and '-'.")
    command, port = one.get("command"), one.get("port")
    if bool(command) == bool(port):
        out.append(f"{where} has {'both' if command else 'none'} of command and port - give one of them.")
    if command and not _WORDS.fullmatch(str(command)):
        out.append(
            f"{where}.command is {command!r} - give an absolute path and words without quotes; no shell reads it."
        )
    if port and not 1 <= int(port) <= 65535:
        out.append(f"{where}.port is {port} - give 1 to 65535.")
    if one.get("address") and not re.fullmatch(r"[A-Za-z0-9._:-]+", str(one["address"])):
        out.append(f"{where}.address is {one['address']!r} - give an address or a name.")
    if one.get("path") and (not port or not re.fullmatch(r"/[A-Za-z0-9._~/?&=%+:@,-]*", str(one["path"]))):
        out.append(f"{where}.path is {one['path']!r} - give one such as '/health', with the port that answers it.")
    for key in _CHECK:
        if one.get(key) is not None and int(one[key]) < 1:
            out.append(f"{where}.{key} is {one[key]} - give 1 at least.")
    return out


def _twice(declared: Declared, key: str, where: str) -> list[str]:
    values = [one[key] for one in declared]
    return [f"{where} has the {key} {value} twice." for value in sorted({v for v in values if values.count(v) > 1})]
