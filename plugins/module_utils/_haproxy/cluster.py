# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judging several balancers together, from what the haproxy_info module found on each."""

from __future__ import annotations

from typing import Any, Iterable, Mapping, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.members import unasked
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.verification import Verification

Found = Mapping[str, Mapping[str, Any]]
Members = Sequence[Mapping[str, str]]
Services = Sequence[Mapping[str, Any]]


def problems(found: Found, members: Members, replace: bool = False) -> list[str]:
    """Return, before anything is changed, why these hosts cannot be balancers; empty when they can."""
    out = []
    for member in members:
        host = member["host"]
        info = found.get(host)
        if not info:
            out.append(unasked(host))
            continue
        for port, holder in info["port_holders"].items():
            out.append(f"On {host} port {port} is taken by {holder}: stop it, or give the service another port.")
        if info["foreign"] and not replace:
            out.append(
                f"On {host} {info['config_path']} has {', '.join(info['foreign'])}, which this role did not write and "
                "would replace: bring them into haproxy_services, and say haproxy_replace: true."
            )
    return out


def listened_on(services: Services, own: Iterable[int] = ()) -> list[int]:
    """Return the ports that HAProxy shall listen on; `own` are those of the role itself, 0 for none."""
    ports = {int(port) for port in own if port}
    for service in services:
        ports |= {int(service[key]) for key in ("port", "redirect_port") if service[key]}
    return sorted(ports)


def verification(
    found: Found,
    members: Members,
    services: Services,
    cluster: str,
    own_ports: Iterable[int] = (),
    forbidden_ports: Iterable[int] = (),
) -> dict[str, Any]:
    """Return whether every balancer runs, listens, and finds every server of every service well.

    A server that somebody took out of traffic is told of, and is no fault; nor is a cold standby that is down.
    """
    out = Verification("haproxy", cluster, [member["name"] for member in members])
    wanted = listened_on(services, own_ports)
    forbidden = {int(port) for port in forbidden_ports}
    for member in members:
        info = found.get(member["host"])
        name = member["name"]
        if not info:
            out.silent(name)
            continue
        answers = not info["error"]
        out.check("runs", answers, info["error"] or f"HAProxy {info['version']} answers on {name}", name)
        if not answers:
            continue
        out.seen(name)
        _listeners(out, name, set(info["listening"]), set(wanted), forbidden)
        for service in services:
            _servers(out, name, service, info["servers"])
    return out.result()


def _listeners(out: Verification, name: str, listening: set[int], wanted: set[int], forbidden: set[int]) -> None:
    missing = sorted(wanted - listening)
    told = ", ".join(map(str, sorted(listening))) or "nothing"
    lacks = f", not on {', '.join(map(str, missing))}" if missing else ""
    out.check("listens", not missing, f"HAProxy on {name} listens on {told}{lacks}", name)
    balanced = sorted(listening & forbidden)
    if forbidden:
        evidence = ", ".join(map(str, balanced)) or "none"
        out.check("forbidden ports", not balanced, f"of haproxy_forbidden_ports {name} listens on {evidence}", name)


def _servers(out: Verification, name: str, service: Mapping[str, Any], servers: Sequence[Mapping[str, Any]]) -> None:
    known = {one["name"]: one for one in servers if one["service"] == service["name"]}
    wanted = [member["name"] for member in service["members"]]
    bad, told = [], []
    for server in wanted:
        one = known.get(server)
        status = one["status"] if one else "not there"
        told.append(f"{server} is {status}")
        # A standby is down until its program is started, by whoever fails over to it
        stands_by = bool(one) and server in service.get("standby", ())
        if not one or not (one["up"] or one["withdrawn"] or stands_by):
            bad.append(f"{server} is {status}" + (f" ({one['check']})" if one and one["check"] else ""))
    serving = [one for one in known.values() if one["up"]]
    if wanted and not serving and not bad:
        bad.append("all of its servers were taken out of traffic")
    what = "; ".join(bad or told)
    out.check(f"service {service['name']}", not bad, f"on {name} the service {service['name']}: {what}", name)
