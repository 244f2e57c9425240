# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judging the members of a service together that cluster with Hazelcast and find each other through a database.

What each host tells is from the module `cluster_service_info`; the files that they read are looked at here, where the
libraries are. No sentence has a secret.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from typing import Any, Iterable, Mapping, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.members import unasked
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.verification import Verification
from ansible_collections.clusterkit.middleware.plugins.module_utils._formats.format import Surroundings
from ansible_collections.clusterkit.middleware.plugins.module_utils._formats.formats import FORMATS
from ansible_collections.clusterkit.middleware.plugins.module_utils._formats.yaml_text import YamlText, flattened
from ansible_collections.clusterkit.middleware.plugins.module_utils._hazelcast.interfaces import interface_problems
from ansible_collections.clusterkit.middleware.plugins.module_utils._hazelcast.membership import TERMS, Membership

Found = Mapping[str, Mapping[str, Any]]
Members = Sequence[Mapping[str, str]]

_RUNNING = ("active", "reloading")
_ALL_ADDRESSES = ("0.0.0.0", "::")  # noqa: S104  # read, not bound to
_SECRET_KEY = re.compile(r"(?i)pass|secret|token|credential|key$")
_SECRET_VALUE = re.compile(r"(?i)(pass\w*|secret|token)=|://[^/@\s]*:[^/@\s]*@")


def plan(content: str, declared: Mapping[str, Any], file_format: str, dotted: bool = False) -> dict[str, Any]:
    """Return what a file, given in base64, will say: `changed` words, all `values`, the content `after`.

    `error` says why it cannot, with nothing else beside it. Where nothing is declared the file stays as it is.
    """
    empty: dict[str, Any] = {"error": "", "changed": [], "warnings": [], "values": {}, "after": content}
    try:
        raw = base64.b64decode(content)
        form = FORMATS[file_format](raw, Surroundings(dotted=dotted))
        if not declared:
            return {**empty, "values": form.read()}
        outcome = form.declare(Membership.read({"state": "present", **declared}))
        after = FORMATS[file_format](outcome.content, Surroundings(dotted=dotted))
        return {
            **empty,
            "changed": outcome.differences.names,
            "warnings": outcome.warnings,
            "values": after.read(),
            "after": base64.b64encode(outcome.content).decode(),
        }
    except ClusterkitError as error:
        return {**empty, "error": str(error)}


def problems(
    found: Found,
    members: Members,
    plans: Found,
    port: int,
    unit: str,
    stop: str,
    role: str,
    stop_all: bool = False,
    outside: Sequence[str] = (),
) -> list[str]:
    """Return, before anything is changed, why these hosts cannot be one cluster.

    `stop` is the command by which the service is stopped where it was started by hand, `outside` are the hosts that
    are not in this run.
    """
    silent = [unasked(member["host"]) for member in members if member["host"] not in found]
    if silent:
        return silent
    out: list[str] = []
    for member in members:
        host = member["host"]
        info = found[host]
        out += [f"On {host} there is no {path}: install the product there first." for path in info["missing"]]
        if info["port_holder"]:
            out.append(
                f"On {host} port {port} is taken by {info['port_holder']} while {unit} does not run: if that is the "
                f"service, started by hand, stop it by `{stop}`; otherwise give another port."
            )
        patterns = (plans.get(host, {}).get("values") or {}).get("interfaces") or []
        out += interface_problems(host, member["address"], info["addresses"], patterns, role)
    out += unlike({member["name"]: plans[member["host"]]["after"] for member in members if member["host"] in plans})
    return out + _of_password(found, plans, stop_all, outside, role)


def _of_password(found: Found, plans: Found, stop_all: bool, outside: Sequence[str], role: str) -> list[str]:
    changing = password_changes(found, plans)
    if not changing:
        return []
    if outside:
        return [
            f"The password of the cluster changes, and {', '.join(outside)} would keep the former one: run it for all "
            "members."
        ]
    if not stop_all:
        return [
            f"The password of the cluster changes while {', '.join(changing)} runs. A member with another password is "
            f"kept out, so all have to be stopped before the first one starts: say {role}_stop_all: true for this run, "
            "when the service may be away."
        ]
    return []


def password_changes(found: Found, plans: Found) -> list[str]:
    """Return the hosts whose running member has another password than its file will have."""
    return [
        host
        for host, planned in plans.items()
        if "password" in planned.get("changed", ()) and found.get(host, {}).get("state") in _RUNNING
    ]


def unlike(contents: Mapping[str, str], interface: str = "sync.cluster.interface") -> list[str]:
    """Return what differs between the members' files, given by name in base64; of secrets only that they do.

    The interface may differ where each is an exact address.
    """
    settings: dict[str, dict[str, Any]] = {}
    out = []
    for name, content in contents.items():
        try:
            settings[name] = _settings(base64.b64decode(content))
        except ClusterkitError as error:
            out.append(f"The configuration of {name}: {error}.")
    if out:
        return out
    for path in sorted({path for one in settings.values() for path in one}):
        values = {name: one.get(path) for name, one in settings.items()}
        if len({repr(one) for one in values.values()}) < 2:
            continue
        if path == interface and all(re.match(r"[\d.]+$", str(one)) for one in values.values()):
            continue
        told = ", ".join(f"{_shown(path, value)} on {name}" for name, value in values.items())
        out.append(f"The members' configurations differ in {path}: {told}. Make them the same.")
    return out


def _settings(content: bytes) -> dict[str, Any]:
    text = YamlText(content)
    try:
        loaded = text.loaded(text.root)
    except ClusterkitError:  # an alias; how it is spelled has to do
        return dict(flattened(text.root))
    found: dict[str, Any] = {}
    _flatten("", loaded, found)
    return found


def _flatten(path: str, value: Any, found: dict[str, Any]) -> None:
    inner: Iterable[tuple[str, Any]]
    if isinstance(value, dict):
        inner = ((f"{path}.{key}" if path else str(key), one) for key, one in value.items())
    elif isinstance(value, list):
        inner = ((f"{path}[{number}]", one) for number, one in enumerate(value))
    else:
        found[path] = value
        return
    for name, one in inner:
        _flatten(name, one, found)


def _shown(path: str, value: Any) -> str:
    if value is None:
        return "nothing"
    if _SECRET_KEY.search(path.rpartition(".")[2]) or _SECRET_VALUE.search(str(value)):
        return "a value that is not shown"
    return str(value).lower() if isinstance(value, bool) else str(value)


def end(row: Mapping[str, Any], address: str, port: str, otherwise: int) -> str:
    """Return where the member of a row is; `address` and `port` name the columns, the latter may be empty."""
    if address not in row or (port and port not in row):
        raise ClusterkitError(f"the table has no column {address if address not in row else port}")
    return f"{row[address]}:{row[port] if port else otherwise}"


def ends(rows: Sequence[Mapping[str, Any]], address: str, port: str, otherwise: int) -> list[str]:
    """Return where all members of rows are."""
    return [end(row, address, port, otherwise) for row in rows]


def registry(
    rows: Sequence[Mapping[str, Any]],
    found: Found,
    members: Members,
    reach: Mapping[str, str],
    address: str,
    port: str,
    own_port: int,
) -> dict[str, list[Any]]:
    """Tell rows of members that live from those of dead ones.

    Returns `stale` rows, `unregistered` members that run and have none, and `others`, which answer and which the
    inventory does not have.
    """
    out: dict[str, list[Any]] = {"stale": [], "unregistered": [], "others": []}
    registered: set[str] = set()
    connected = {one for info in found.values() for one in info["connected"]}
    for row in rows:
        where = end(row, address, port, own_port)
        place, _colon, number = where.rpartition(":")
        member = next((one for one in members if place in (one["address"], one["name"], one["host"])), None)
        if member and member["host"] in found:
            if _runs(found[member["host"]]) and int(number) == own_port:
                registered.add(member["host"])
            else:
                out["stale"].append(dict(row))
        elif reach.get(where, "unasked") == "" or place in connected:
            registered |= {member["host"]} if member else set()
            out["others"] += [] if member else [where]
        else:
            out["stale"].append(dict(row))
    out["unregistered"] = [
        member["name"]
        for member in members
        if member["host"] not in registered and _runs(found.get(member["host"], {}))
    ]
    return out


def _runs(info: Mapping[str, Any]) -> bool:
    return info.get("state") in _RUNNING and bool(info.get("listening"))


def verification(
    found: Found,
    members: Members,
    configs: Found,
    healths: Found,
    role: str,
    cluster: str,
    port: int,
    registered: Mapping[str, Any] | None = None,
    statuses: Sequence[int] = (200,),
    file_format: str = "sync_service",
    jmx: Found | None = None,
) -> dict[str, Any]:
    """Return whether the members are one cluster: each runs, is well, and is connected with all others.

    `jmx` is what each one's `size` and `whole` were, by address, where that was asked.
    """
    out = Verification(role, cluster, [member["name"] for member in members])
    for member in members:
        host, name = member["host"], member["name"]
        info = found.get(host)
        if not info:
            out.silent(name)
            continue
        out.check("unit", info["state"] in _RUNNING, f"the service on {name} is {info['state']}", name)
        values = plan(configs.get(host, {}).get("content", ""), {}, file_format)["values"]
        whole = _connected(out, member, info, members)
        _listens(out, member, info, values, port)
        status = healths.get(host, {}).get("status", -1)
        said = f"answers {status}" if status and status > 0 else "does not answer"
        out.check("health", status in statuses, f"the health check of {name} {said}", name)
        if jmx is not None:
            _tells(out, member, jmx.get(member["address"], {}), len(members))
        told = ", ".join(info["newer"]) or "nothing"
        out.check("read", not info["newer"], f"changed since the service on {name} was started: {told}", name)
        if whole and info["state"] in _RUNNING:
            out.seen(name)
    contents = {
        one["name"]: configs[one["host"]]["content"] for one in members if "content" in configs.get(one["host"], {})
    }
    differences = unlike(contents)
    out.check(
        "configuration",
        len(contents) == len(members) and not differences,
        " ".join(differences) or f"{len(contents)} of {len(members)} configurations are the same",
    )
    if registered is not None:
        lacks = ", ".join(registered["unregistered"]) or "none"
        out.check("registered", not registered["unregistered"], f"members that run and have no row: {lacks}")
        # A dead one's row makes starts slow, and is no reason to call the cluster broken
        out.check("stale rows", True, f"rows of dead members: {len(registered['stale'])}")
    return out.result()


def _connected(out: Verification, member: Mapping[str, str], info: Mapping[str, Any], members: Members) -> bool:
    others = [one for one in members if one["host"] != member["host"]]
    lacks = [one["name"] for one in others if one["address"] not in info["connected"]]
    told = f"not with {', '.join(lacks)}" if lacks else f"with all {len(others)} others"
    name = member["name"]
    out.check("connected", not lacks, f"{name} is connected {told}", name)
    return not lacks


def _listens(
    out: Verification, member: Mapping[str, str], info: Mapping[str, Any], values: Mapping[str, Any], port: int
) -> None:
    name, at = member["name"], info["listening"]
    told = ", ".join(at) or "no address"
    if values.get("interfaces") and not values.get("bind_any", True):
        right = at == [member["address"]]
    else:
        right = member["address"] in at or any(one in _ALL_ADDRESSES for one in at)
    out.check("listens", right, f"{name} listens on {told} at port {port}", name)


def _tells(out: Verification, member: Mapping[str, str], said: Mapping[str, Any], count: int) -> None:
    name, address = member["name"], member["address"]
    private = ipaddress.ip_address(address).is_private
    told = f"{name} has the {'private' if private else 'public'} address {address}"
    out.check("JMX address", private, told, name)
    values, errors = said.get("values", {}), said.get("errors", {})
    error = said.get("error", "it was not asked")
    size = values.get("size")
    out.check("JMX size", size == count, error or errors.get("size") or f"{name} counts {size} members", name)
    if "whole" in values or "whole" in errors:
        whole = values.get("whole")
        shown = f"all members see each other: {str(whole).lower()}"
        out.check("JMX check", whole is True, errors.get("whole") or shown, name)


def exported(content: str, file_format: str, role: str) -> dict[str, Any]:
    """Return what a file, given in base64, says, in a role's variables. Secrets are left out."""
    read = FORMATS[file_format](base64.b64decode(content)).read()
    out: dict[str, Any] = {}
    for name, value in read.items():
        term = TERMS.get(name)
        if term is None or term.secret:
            continue
        short = name.rpartition(".")[2] if name.startswith("timings.") else name.replace(".", "_")
        short = {"interfaces": "interface", "local_port": "port"}.get(short, short)
        out[f"{role}_{short}"] = value[0] if name == "interfaces" else value
    return out
