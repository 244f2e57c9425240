# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What keepalived is told, and what in a configuration somebody else wrote."""

from __future__ import annotations

import re
from typing import Any, Mapping, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._keepalived.instances import (
    Catalogue,
    Members,
    plain,
    priorities,
)

_BASH, PROGRAM = "/bin/bash", "/usr/local/sbin/clusterkit-keepalived"
_MARK = "# Written by the role keepalived of clusterkit.middleware: changes by hand are replaced."
_SECTION = re.compile(
    r"^[ \t]*(vrrp_instance|vrrp_script|vrrp_sync_group|virtual_server|virtual_server_group)[ \t]+([^{\n]*)", re.M
)
#: How often the holder tells its neighbours again whose the address is: heals what a paused former one may have said.
_REFRESH_SECONDS = 30


def render(catalogue: Catalogue, name: str, members: Members, *, addresses: Sequence[Mapping[str, Any]]) -> str:
    """Return keepalived.conf of the member `name`; `addresses` are those of its interfaces. Raises ClusterkitError."""
    lines = [
        _MARK,
        "global_defs {",
        f"    router_id {name}",
        "    vrrp_version 3",
        "    enable_script_security",
        "    script_user root",
        f"    vrrp_garp_master_refresh {_REFRESH_SECONDS}",
        "}",
    ]
    for check in catalogue["checks"]:
        lines += ["", *_script(check)]
    me = next(member for member in members if member["name"] == name)
    for instance in catalogue["instances"]:
        lines += ["", *_instance(instance, catalogue, me, members, addresses)]
    return "\n".join(lines) + "\n"


def interface_of(instance: Mapping[str, Any], address: str, addresses: Sequence[Mapping[str, Any]]) -> str:
    """Return the interface of an instance: the one it names, else the one that has the member's address."""
    if instance["interface"]:
        return str(instance["interface"])
    for one in addresses:
        if one["address"] == address:
            return str(one["interface"])
    raise ClusterkitError(
        f"no interface has the address {address}: set keepalived_address to one of this host, or name the interface of "
        f"{instance['name']}"
    )


def foreign(text: str) -> list[str]:
    """Return the sections of a configuration that the role did not write."""
    if text.startswith(_MARK):
        return []
    return [" ".join(found.group(1, 2)).strip() for found in _SECTION.finditer(text)]


def _script(check: Mapping[str, Any]) -> list[str]:
    # By bash, which is there already when the configuration is judged; the program is written with it
    command = check["command"] or f"{_BASH} {PROGRAM} port {check['address']} {check['port']} {check['path']}".rstrip()
    return [
        f"vrrp_script {check['name']} {{",
        f'    script "{command}"',
        f"    interval {check['interval_seconds']}",
        f"    timeout {check['timeout_seconds']}",
        f"    fall {check['fall']}",
        f"    rise {check['rise']}",
        # An address is only taken by who was found well
        "    init_fail",
        # Not another user for checks of ports: with one `keepalived -t` of 2.2.7 ends itself by SIGTERM
        "    user root",
        "}",
    ]


def _instance(
    instance: Mapping[str, Any],
    catalogue: Catalogue,
    me: Mapping[str, str],
    members: Members,
    addresses: Sequence[Mapping[str, Any]],
) -> list[str]:
    interface = interface_of(instance, me["address"], addresses)
    out = [
        f"vrrp_instance {instance['name']} {{",
        # All begin alike: who is to hold it is settled by priority, once
        "    state BACKUP",
        f"    interface {interface}",
        f"    virtual_router_id {instance['router_id']}",
        f"    priority {priorities(instance, members)[me['name']]}",
        f"    advert_int {catalogue['advert_seconds']:g}",
    ]
    if not instance["preempt"]:
        out.append("    nopreempt")
    if not catalogue["multicast"]:
        peers = [member["address"] for member in members if member["name"] != me["name"]]
        out += [
            f"    unicast_src_ip {me['address']}",
            "    unicast_peer {",
            *(f"        {one}" for one in peers),
            "    }",
        ]
    out.append("    virtual_ipaddress {")
    for address in instance["addresses"]:
        out.append(f"        {plain(address)}/{address.partition('/')[2]} dev {interface}")
    out += ["    }", "    track_script {", *(f"        {check['name']}" for check in catalogue["checks"]), "    }", "}"]
    return out
