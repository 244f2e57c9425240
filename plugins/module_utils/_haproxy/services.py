# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The services that a balancer has, each declared once: what may be said of one, and who its servers are."""

from __future__ import annotations

import ipaddress
import re
from typing import Any, Iterable, Mapping, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.members import (
    cluster_members,
    members_without_address,
)

#: How clients and servers are spoken to: `https` ends TLS here, `reencrypt` begins it anew towards the servers,
#: `passthrough` leaves it to them, `tcp` is anything else.
MODES = ("http", "https", "reencrypt", "passthrough", "tcp")
#: Where the balancer reads requests, and so can set a cookie.
HTTP_MODES = ("http", "https", "reencrypt")
#: Where it has a certificate.
TLS_MODES = ("https", "reencrypt")
#: Where its servers speak TLS.
TLS_TO_SERVERS = ("reencrypt", "passthrough")
AFFINITIES = ("cookie", "source", "none")
BALANCES = ("roundrobin", "leastconn", "source", "first", "random")
_DEFAULTS: dict[str, Any] = {
    "mode": "http",
    "addresses": ["*"],
    "redirect_port": 0,
    "members_group": "",
    "members": [],
    "members_prefix": "haproxy",
    "member_port": 0,
    "standby": [],
    "affinity": "",
    "affinity_minutes": 480,
    "cookie_name": "",
    "cookie_secure": None,
    "balance": "",
    "certificate": "",
    "authority": "",
    "verify_members": True,
    "timeout_seconds": 60,
    "tunnel_seconds": 3600,
    "frontend_lines": [],
    "backend_lines": [],
}
_CHECK_DEFAULTS: dict[str, Any] = {
    "path": "",
    "method": "GET",
    "host": "",
    "status": "200",
    "port": 0,
    "tls": None,
    "interval_seconds": 2.0,
    "fall": 3,
    "rise": 2,
}
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}")
_OWN = re.compile(r"clusterkit")  # the proxies that the role itself brings
_MEMBER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_COOKIE = re.compile(r"[A-Za-z0-9_.-]+")
_STATUS = re.compile(r"[1-5][0-9][0-9](-[1-5][0-9][0-9])?(,[1-5][0-9][0-9](-[1-5][0-9][0-9])?)*")
#: What a word of the configuration may hold without quotes that could end it.
_WORD = re.compile(r"[^\s\\\"'#$]+")
_PORTS = range(1, 65536)


def with_defaults(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a service with all that was not said of it."""
    service = {**_DEFAULTS, **given}
    service["check"] = {**_CHECK_DEFAULTS, **(given.get("check") or {})}
    service["check"]["status"] = str(service["check"]["status"])
    mode = service["mode"]
    service["affinity"] = service["affinity"] or ("cookie" if mode in HTTP_MODES else "source")
    service["cookie_name"] = service["cookie_name"] or f"SERVER_{str(service.get('name', '')).upper()}"
    if service["cookie_secure"] is None:
        service["cookie_secure"] = mode in TLS_MODES
    service["balance"] = service["balance"] or ("roundrobin" if mode in HTTP_MODES else "leastconn")
    if service["check"]["tls"] is None:
        service["check"]["tls"] = mode in TLS_TO_SERVERS and not service["check"]["port"]
    return service


def catalogue(
    services: Sequence[Mapping[str, Any]], hostvars: Mapping[str, Any], groups: Mapping[str, Sequence[str]]
) -> list[dict[str, Any]]:
    """Return the services with their servers, each with `name`, `address` and `port`. Raises ClusterkitError."""
    out = []
    for given in services:
        service = with_defaults(given)
        found: list[Mapping[str, Any]] = list(service["members"])
        if service["members_group"]:
            hosts = groups.get(service["members_group"], [])
            found += cluster_members(hostvars, hosts, service["members_prefix"])
        service["members"] = [
            {
                "name": str(one["name"]),
                "address": str(one["address"]),
                "port": int(one.get("port") or service["member_port"]),
            }
            for one in found
        ]
        out.append(service)
    return out


def said(services: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the services of `catalogue` as haproxy_services says them: without what is so anyway."""
    out = []
    for service in services:
        plain = with_defaults({"name": service["name"], "mode": service["mode"]})
        check = {key: value for key, value in service["check"].items() if value != plain["check"].get(key)}
        one = {key: value for key, value in service.items() if value != plain.get(key, service)}
        one.update({"name": service["name"], "mode": service["mode"], "members": service["members"]})
        for key in ("check", "members_group", "member_port"):
            one.pop(key, None)
        out.append({**one, "check": check} if check else one)
    return out


def hosts_without_address(
    services: Sequence[Mapping[str, Any]], hostvars: Mapping[str, Any], groups: Mapping[str, Sequence[str]]
) -> list[str]:
    """Return the hosts that are servers of a service and whose address has still to be asked of them."""
    out: list[str] = []
    for given in services:
        service = with_defaults(given)
        hosts = groups.get(service["members_group"], [])
        out += members_without_address(hostvars, hosts, service["members_prefix"])
    return sorted(set(out))


def mistakes(
    services: Sequence[Mapping[str, Any]],
    groups: Mapping[str, Sequence[str]],
    forbidden_ports: Iterable[int] = (),
    certificates: Iterable[str] = (),
    authorities: Iterable[str] = (),
    own_ports: Mapping[str, int] | None = None,
) -> list[str]:
    """Return a sentence for everything that cannot be as it was written; none when all can.

    `own_ports` are those that the balancer itself listens on, by the variable that gives each.
    """
    forbidden = {int(port) for port in forbidden_ports}
    out = []
    if not services:
        out.append("haproxy_services is empty: give the services that the balancers shall have.")
    names: set[str] = set()
    ports: dict[int, str] = {int(port): name for name, port in (own_ports or {}).items() if port}
    for number, given in enumerate(services, start=1):
        service = with_defaults(given)
        name = str(given.get("name") or "")
        where = f"service {name or number} of haproxy_services"
        for sentence in (
            *_name(name, names),
            *_words(service),
            *_port_mistakes(service, forbidden),
            *_members(service, groups, forbidden),
            *_affinity(service),
            *_tls(service, set(certificates), set(authorities)),
            *_check(service),
        ):
            out.append(f"{where}: {sentence}")
        names.add(name)
        for port in _listens(service):
            if port in ports:
                out.append(f"{where}: port {port} is that of {ports[port]} already - give each its own.")
            ports.setdefault(port, name)
    return out


def _listens(service: Mapping[str, Any]) -> list[int]:
    return [port for key in ("port", "redirect_port") if (port := _number(service.get(key)))]


def _number(value: Any) -> int:
    try:
        return int(value or 0)
    except (TypeError, ValueError):
        return -1


def _name(name: str, names: set[str]) -> Iterable[str]:
    if not _NAME.fullmatch(name) or _OWN.match(name):
        yield (
            f"its name is {name!r} - give letters, digits, '_' and '-', beginning with a letter, and not clusterkit, "
            "with which the names of the balancer's own pages begin."
        )
    if name in names:
        yield f"there are two of the name {name} - give each its own."


def _words(service: Mapping[str, Any]) -> Iterable[str]:
    unknown = sorted(set(service) - set(_DEFAULTS) - {"name", "port", "check"})
    if unknown:
        yield f"{', '.join(unknown)} means nothing - the words are {', '.join(sorted([*_DEFAULTS, 'check', 'name']))}."
    unknown = sorted(set(service["check"]) - set(_CHECK_DEFAULTS))
    if unknown:
        yield f"check.{', check.'.join(unknown)} means nothing - the words are {', '.join(sorted(_CHECK_DEFAULTS))}."
    if service["mode"] not in MODES:
        yield f"mode is {service['mode']!r} - give one of {', '.join(MODES)}."
    if service["balance"] not in BALANCES:
        yield f"balance is {service['balance']!r} - give one of {', '.join(BALANCES)}."
    for key in ("timeout_seconds", "tunnel_seconds", "affinity_minutes"):
        if _number(service[key]) < 1:
            yield f"{key} is {service[key]!r} - give 1 at least."
    for key in ("frontend_lines", "backend_lines"):
        if any("\n" in str(line) for line in service[key]):
            yield f"{key} has a line with a line end in it - give each its own entry."
    for address in service["addresses"]:
        if address != "*" and not _is_address(address):
            yield f"addresses has {address!r} - give addresses, or * for all."


def _is_address(text: Any) -> bool:
    try:
        ipaddress.ip_address(str(text))
    except ValueError:
        return False
    return True


def _port_mistakes(service: Mapping[str, Any], forbidden: set[int]) -> Iterable[str]:
    if _number(service.get("port")) not in _PORTS:
        yield f"port is {service.get('port')!r} - give the port that clients connect to, from 1 to 65535."
    if service["redirect_port"] and (_number(service["redirect_port"]) not in _PORTS or service["mode"] == "http"):
        yield (
            f"redirect_port is {service['redirect_port']!r} - give the port from which clients are sent to the one "
            "with TLS, in a mode with TLS."
        )
    for port in _listens(service):
        if port in forbidden:
            yield f"port {port} is one of haproxy_forbidden_ports, which are never balanced."


def _members(service: Mapping[str, Any], groups: Mapping[str, Sequence[str]], forbidden: set[int]) -> Iterable[str]:
    group, listed = service["members_group"], service["members"]
    if not group and not listed:
        yield "it has neither members_group nor members - name the group of the inventory whose hosts serve it."
    if group and not groups.get(group):
        yield f"members_group is {group}, which has no hosts in the inventory."
    needs_port = bool(group)
    names = set()
    for one in listed:
        name = str(one.get("name") or "")
        if not _MEMBER_NAME.fullmatch(name):
            yield f"members has the name {name!r} - give letters, digits, '.', '_' and '-'."
        if name in names:
            yield f"members has {name} twice - give each its own name."
        names.add(name)
        if not _is_address(one.get("address")):
            yield f"the address of {name} is {one.get('address')!r} - give an address, not a name."
        needs_port = needs_port or not one.get("port")
        if one.get("port") and _number(one["port"]) not in _PORTS:
            yield f"the port of {name} is {one['port']!r} - give a number from 1 to 65535."
        if _number(one.get("port")) in forbidden:
            yield f"the port of {name} is {one['port']}, one of haproxy_forbidden_ports, which are never balanced."
    if (needs_port or service["member_port"]) and _number(service["member_port"]) not in _PORTS:
        yield f"member_port is {service['member_port']!r} - give the port of the servers, from 1 to 65535."
    if _number(service["member_port"]) in forbidden:
        yield f"member_port is {service['member_port']}, one of haproxy_forbidden_ports, which are never balanced."


def _affinity(service: Mapping[str, Any]) -> Iterable[str]:
    if service["affinity"] not in AFFINITIES:
        yield f"affinity is {service['affinity']!r} - give one of {', '.join(AFFINITIES)}."
    if service["affinity"] == "cookie" and service["mode"] in MODES and service["mode"] not in HTTP_MODES:
        yield f"affinity is cookie, which a balancer cannot set in the mode {service['mode']} - give source."
    if not _COOKIE.fullmatch(str(service["cookie_name"])):
        yield f"cookie_name is {service['cookie_name']!r} - give letters, digits, '_', '.' and '-'."


def _tls(service: Mapping[str, Any], certificates: set[str], authorities: set[str]) -> Iterable[str]:
    certificate, authority = str(service["certificate"]), str(service["authority"])
    if service["mode"] in TLS_MODES:
        if not certificate.startswith("/") and certificate not in certificates:
            known = ", ".join(sorted(certificates)) or "none"
            yield (
                f"certificate is {certificate!r} - name one of haproxy_certificates, which has {known}, or give the "
                "path of a file on the balancers."
            )
    elif certificate:
        yield f"certificate has no use in the mode {service['mode']} - leave it out, or give https or reencrypt."
    if service["mode"] == "reencrypt" and service["verify_members"] and not authority:
        yield (
            "authority is missing - name one of haproxy_authorities by which those of the servers are verified, or "
            "give the path of a file on the balancers (verify_members: false would let anybody take their place)."
        )
    if authority and not authority.startswith("/") and authority not in authorities:
        known = ", ".join(sorted(authorities)) or "none"
        yield f"authority is {authority!r} - name one of haproxy_authorities, which has {known}, or give a path."
    for key in ("certificate", "authority"):
        if service[key] and not _WORD.fullmatch(str(service[key])):
            yield f"{key} is {service[key]!r} - HAProxy takes no blank, quote, backslash, '#' or '$' in it."


def _check(service: Mapping[str, Any]) -> Iterable[str]:
    check = service["check"]
    if check["path"] and (not str(check["path"]).startswith("/") or not _WORD.fullmatch(str(check["path"]))):
        yield f"check.path is {check['path']!r} - give the path of an address, which begins with '/'."
    if not check["path"] and service["mode"] in HTTP_MODES:
        yield "check.path is missing - give the path that a server answers when it is well, such as /health."
    if not _STATUS.fullmatch(check["status"]):
        yield f"check.status is {check['status']!r} - give statuses such as 200, 200-399 or 200,401."
    for key in ("method", "host"):
        if check[key] and not _COOKIE.fullmatch(str(check[key])):
            yield f"check.{key} is {check[key]!r} - give letters, digits, '_', '.' and '-'."
    if check["port"] and _number(check["port"]) not in _PORTS:
        yield f"check.port is {check['port']!r} - give a number from 1 to 65535."
    for key in ("fall", "rise"):
        if _number(check[key]) < 1:
            yield f"check.{key} is {check[key]!r} - give 1 at least."
    try:
        interval = float(check["interval_seconds"])
    except (TypeError, ValueError):
        interval = 0.0
    if interval < 0.1:
        yield f"check.interval_seconds is {check['interval_seconds']!r} - give 0.1 at least."


def find(named: Iterable[Mapping[str, Any]], name: str) -> Mapping[str, Any]:
    """Return the service, or the server of one, that has a name. Raises ClusterkitError."""
    for one in named:
        if one["name"] == name:
            return one
    raise ClusterkitError(f"{name} is not in the list of services that the role has written")
