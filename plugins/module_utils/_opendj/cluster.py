# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judging several OpenDJ servers together, from what opendj_replication_info found on each."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common import peers
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.verification import Verification
from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj.directory import normal
from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj.keystore import to_der
from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj.replication import (
    Server,
    differences,
    initialisations,
)

Found = Mapping[str, Mapping[str, Any]]
Members = Sequence[Mapping[str, str]]

#: What a unit that is just being started says: it has not failed.
_RUNNING = ("active", "reloading")


def server_problems(found: Found, members: Members, base_dns: Sequence[str], path: str) -> list[str]:
    """Return, before anything is changed, why these hosts cannot have the servers that are wanted; empty when they can.

    `base_dns` are those that each server is to have, `path` is where it is or will be.
    """
    out = []
    for member in members:
        host, info = member["host"], found.get(member["host"])
        if not info:
            out.append(f"{host} could not be asked: it has to be reachable, also when --limit leaves it out.")
            continue
        remedy = "mend the name service, or set opendj_server_address"
        out += peers.names(host, info.get("resolved", {}), members, remedy)
        for port, program in sorted(info.get("port_holders", {}).items()):
            out.append(f"On {host} port {port} is taken by {program}: choose another port, or stop it.")
        if info.get("installed"):
            out += _problems_of_installed(member, info, base_dns, path)
    return out


def _problems_of_installed(
    member: Mapping[str, str], info: Mapping[str, Any], base_dns: Sequence[str], path: str
) -> list[str]:
    """Return why a server that is there is not the one that is wanted: it is used as it is, and so has to fit."""
    host = member["host"]
    out = []
    if info.get("refused"):
        out.append(f"{info['error']}: give the password of the server in {path} on {host} (opendj_server_password).")
    if info.get("hostname") and info["hostname"].lower() != member["name"].lower():
        out.append(
            f"The server in {path} on {host} was set up as {info['hostname']}, not as {member['name']}: "
            f"set opendj_server_name to {info['hostname']} for this host."
        )
    present = {normal(base) for base in info.get("config_base_dns", [])}
    lost = [base for base in base_dns if normal(base) not in present]
    if lost:
        has = ", ".join(info.get("config_base_dns", [])) or "none"
        out.append(
            f"The server in {path} on {host} has the base DNs {has}, and not {', '.join(lost)}: add them to it, or "
            "leave them out of opendj_server_base_dns. A server that is there is used as it is."
        )
    return out


def server_verification(
    found: Found, members: Members, cluster: str, base_dns: Sequence[str], probes: Found, certificate: str = ""
) -> dict[str, Any]:
    """Return the verification of servers that are to answer and to take writes, each by itself.

    `probes` holds what opendj_probe said when it wrote on each member, `certificate` is the one that all have to show,
    where they have one in common.
    """
    document = Verification("opendj_server", cluster, [member["name"] for member in members])
    for member in members:
        name, info = member["name"], found.get(member["host"])
        if not info:
            document.check("answers", False, f"{name} could not be asked", name)
            continue
        for unit, state in sorted(info.get("units", {}).items()):
            document.check("unit", state in _RUNNING, f"{unit} on {name} is {state}", name)
        if not info.get("answers"):
            reason = info.get("error") or f"there is no server in {info.get('path', 'its place')}"
            document.check("answers", False, reason, name)
            continue
        document.seen(name)
        version = info["server"].get("version") or "of an unknown version"
        document.check("answers", True, f"{name} lets the directory manager in, and is {version}", name)
        if certificate:
            # The connection was made to a server that shows what its files tell
            same = to_der(info.get("certificate", "")) == to_der(certificate)
            evidence = f"{name} shows {'the certificate of all servers' if same else 'another certificate'}"
            document.check("certificate", same, evidence, name)
        _check_base_dns(document, name, info["server"].get("base_dns", {}), base_dns, probes.get(member["host"], {}))
    return document.result()


def _check_base_dns(
    document: Verification,
    name: str,
    present: Mapping[str, Any],
    base_dns: Sequence[str],
    probe: Mapping[str, Any],
) -> None:
    bases = {normal(base): values for base, values in present.items()}
    written, read = ({normal(base) for base in probe.get(word, [])} for word in ("written", "read"))
    for base in base_dns:
        values = bases.get(normal(base))
        if values is None:
            document.check("base DN", False, f"{name} has no base DN {base}", name)
        elif normal(base) in written:
            there = normal(base) in read
            evidence = f"{base} on {name}: an entry {'was written' if there else 'was taken and is not there'}"
            document.check("writes", there, evidence, name)
        elif probe.get("error"):
            document.check("writes", False, f"{base} on {name}: {probe['error']}", name)
        elif values.get("entries"):
            document.check("writes", False, f"{base} on {name}: no entry was written, although it has some", name)
        else:
            # Nothing can be below an entry that is not there: it waits for an import
            document.check("base DN", True, f"{base} on {name} is empty, so that no entry was written", name)


def replication_problems(
    found: Found,
    members: Members,
    base_dns: Sequence[str],
    source: str = "",
    leaving: Sequence[str] = (),
    opens: bool = False,
) -> list[str]:
    """Return, before anything is changed, why these members cannot replicate; empty when they can.

    `source` is the name of the member whose entries the others shall get, where the user named one. `leaving` are the
    names of members that leave. `opens` is whether the run opens the firewalls that members have.
    """
    out = []
    for member in members:
        info = found.get(member["host"])
        if not info:
            out.append(f"{member['host']} could not be asked: it has to be reachable, also when --limit leaves it out.")
        elif not info.get("answers"):
            reason = info.get("error") or "there is no server that has been set up"
            out.append(f"The server on {member['host']} cannot be asked ({reason}): let it run first.")
    if out:
        return out
    seen = {member["name"]: found[member["host"]] for member in members}
    remedy = "mend the name service, or set opendj_replication_address"
    for member in members:
        info = found[member["host"]]
        out += peers.names(member["host"], info.get("resolved", {}), members, remedy)
        out += peers.ports(member["name"], info.get("reach", {}), *_idle_and_opened(seen, info, opens))
    for name, info in seen.items():
        out += _problems_of_member(name, info, members, base_dns, leaving)
    for what, values in (
        ("versions of OpenDJ", {name: info["server"]["version"] for name, info in seen.items()}),
        ("schemas", {name: info["server"]["schema"][:16] for name, info in seen.items()}),
    ):
        if len(set(values.values())) > 1:
            listed = ", ".join(f"{value} on {name}" for name, value in values.items())
            out.append(f"The members have different {what} ({listed}): bring them to one first.")
    if source and source not in seen:
        out.append(f"opendj_replication_source is {source}, which is no member: the members are {', '.join(seen)}.")
    for base in base_dns if not out else ():
        out += _problems_of_source(seen, base, source)
    return out


def _idle_and_opened(
    seen: Mapping[str, Mapping[str, Any]], info: Mapping[str, Any], opens: bool
) -> tuple[list[str], list[str]]:
    """Return, of the ports that a member looked at, those where nothing listens yet, and those that the run opens."""
    idle, opened = [], []
    for where in info.get("reach", {}):
        name, _colon, port = where.rpartition(":")
        if not seen[name]["server"]["replication_server"] and port != str(seen[name].get("admin_port")):
            idle.append(where)
        if opens and seen[name].get("firewalls"):
            opened.append(where)
    return idle, opened


def _problems_of_member(
    name: str, info: Mapping[str, Any], members: Members, base_dns: Sequence[str], leaving: Sequence[str]
) -> list[str]:
    server = info["server"]
    bases = {normal(base) for base in server["base_dns"]}
    out = [f"{name} has no base DN {base}: add it first." for base in base_dns if normal(base) not in bases]
    if info.get("hostname", name).lower() != name.lower():
        out.append(
            f"The server of {name} was set up as {info['hostname']}: set opendj_replication_name to that, since "
            "servers are registered by that name."
        )
    if info.get("administrator_refused"):
        out.append(
            f"{name} has the global administrator already, and another password for it: give that one "
            "(opendj_replication_administrator_password)."
        )
    for port, program in sorted(info.get("port_holders", {}).items()):
        out.append(f"On {name} port {port} is taken by {program}: choose another port, or stop it.")
    for one in server["duplicates"]:
        out.append(
            f"{name} has one server registered as {' and as '.join(one)}: take the wrong name out "
            "(opendj_replication with state=absent and leaving_host)."
        )
    known = {member["name"].lower() for member in members}
    for one in server["servers"]:
        if one["host"].lower() not in known and one["host"] not in leaving:
            out.append(
                f"{name} has {one['host']} registered, which the inventory has not: put it back, or let it leave "
                "(opendj_replication_leaving)."
            )
    return out


def _problems_of_source(seen: Mapping[str, Mapping[str, Any]], base: str, source: str) -> list[str]:
    """Return why it is not clear whose entries are right: nothing is ever guessed where two members have some."""
    domains = {name: _base(info, base) for name, info in seen.items()}
    if source:
        if not domains[source].get("entries"):
            return [f"opendj_replication_source is {source}, which has no entries below {base}: it is no source."]
        return []
    if not any(domain.get("entries") for domain in domains.values()):
        return [f"No member has entries below {base}: import them on one first, replication begins with what is there."]
    holders = _holders(domains)
    generations = {domains[name]["generation_id"] for name in holders}
    # Those that replicate from one origin have the same
    if len(holders) > 1 and (len(generations) > 1 or "" in generations):
        listed = ", ".join(f"{domains[name]['entries']} on {name}" for name in holders)
        return [
            f"More than one member has entries below {base} that are not of one origin ({listed}): name the one whose "
            "entries are right in opendj_replication_source. Those of the others are replaced."
        ]
    return []


def _holders(domains: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the members that have more than the entry of a base DN, which every new server has."""
    return [name for name, domain in domains.items() if domain.get("entries", 0) > 1]


def _base(info: Mapping[str, Any], base: str) -> Mapping[str, Any]:
    for name, values in info.get("server", {}).get("base_dns", {}).items():
        if normal(name) == normal(base):
            return dict(values)
    return {}


def replication_source(found: Found, members: Members, base_dns: Sequence[str], source: str = "") -> str:
    """Return the host of the member that the others join, and whose entries they get."""
    seen = {member["name"]: found.get(member["host"], {}) for member in members}
    hosts = {member["name"]: member["host"] for member in members}
    candidates = [source] if source in hosts else []
    for base in base_dns:
        domains = {name: _base(info, base) for name, info in seen.items()}
        holders = _holders(domains)
        # One that the others replicate with already comes before one that only has the same entries
        candidates += [name for name in holders if domains[name].get("replicated")] + holders
    for name, info in seen.items():
        if any(domain.get("replicated") for domain in info.get("server", {}).get("base_dns", {}).values()):
            candidates.append(name)
    return hosts[(candidates + list(hosts))[0]]


def replication_due(
    found: Found, members: Members, base_dns: Sequence[str], source: str, admin_port: int, replication_port: int
) -> bool:
    """Tell whether any member has still to join the one on the host `source`, or to get its entries.

    What is not known is due. It is all or none: who joins changes what the others have to know.
    """
    names = {member["host"]: member["name"] for member in members}
    servers = {host: Server(name, int(admin_port), int(replication_port), "") for host, name in names.items()}
    states = {host: found.get(host, {}).get("server") for host in names}
    reference = states[source]
    for host, own in states.items():
        if not own or not reference:
            return True
        if host == source:
            continue
        if differences(servers[host], servers[source], own, reference, base_dns):
            return True
        try:
            if initialisations(servers[host], servers[source], own, reference, base_dns):
                return True
        except ClusterkitError:
            return True  # the step itself says what is wrong
    return False


def replication_verification(
    found: Found, members: Members, cluster: str, base_dns: Sequence[str], probes: Mapping[str, str]
) -> dict[str, Any]:
    """Return the verification of a topology, in the schema that all roles share (docs/verify.schema.json).

    `probes` holds, by the name of each member, what it wrote below each base DN to show that writes travel.
    """
    document = Verification("opendj_replication", cluster, [member["name"] for member in members])
    seen = {}
    for member in members:
        name, info = member["name"], found.get(member["host"])
        if not info or not info.get("answers"):
            document.check("answers", False, (info or {}).get("error") or f"{name} could not be asked", name)
            continue
        seen[name] = info
    registered = {one["host"].lower() for info in seen.values() for one in info["server"]["servers"]}
    for name, info in seen.items():
        # A member is in the topology when the others have it, not when it answers
        others = [one for other, one in seen.items() if other != name]
        if any(_is_peer(name, one["server"], base_dns) for one in others) and name.lower() in registered:
            document.seen(name)
        _verify_member(document, name, info["server"], members)
    for base in base_dns:
        _verify_base(document, base, {name: _base(info, base) for name, info in seen.items()}, probes)
    for base in ("cn=schema", "cn=admin data"):
        domains = {name: info["server"]["own_domains"].get(base, {}) for name, info in seen.items()}
        _equal(
            document,
            f"{base}: the generation of the data",
            {n: one.get("generation_id", "") for n, one in domains.items()},
        )
    _equal(document, "the schema", {name: info["server"].get("schema", "")[:16] for name, info in seen.items()})
    return document.result()


def _is_peer(name: str, server: Mapping[str, Any], base_dns: Sequence[str]) -> bool:
    known = {peer.rpartition(":")[0].lower() for peer in server["replication_server"].get("peers", [])}
    return name.lower() in known and bool(base_dns)


def _verify_member(document: Verification, name: str, server: Mapping[str, Any], members: Members) -> None:
    encrypted = bool(server["encryption"])
    document.check("encryption", encrypted, f"replication of {name} is {'' if encrypted else 'not '}encrypted", name)
    for one in server["duplicates"]:
        document.check("registration", False, f"{name} has one server as {' and as '.join(one)}", name)
    # Keys that are left of servers that have gone do no harm: leaving by dsreplication keeps them
    wanted = sorted(member["name"].lower() for member in members)
    present = sorted({one["host"].lower() for one in server["servers"]})
    document.check("registration", present == wanted, f"{name} has registered {', '.join(present) or 'nobody'}", name)


def _verify_base(
    document: Verification, base: str, domains: Mapping[str, Mapping[str, Any]], probes: Mapping[str, str]
) -> None:
    for name, domain in domains.items():
        if not domain.get("replicated"):
            document.check("replicated", False, f"{name} does not replicate {base}", name)
            continue
        document.check(
            "status", domain["status"] == "Normal", f"{base} on {name}: {domain['status'] or 'unknown'}", name
        )
        for one in domain["conflicts"]:
            document.check("conflict", False, f"{name} has two entries {one['of']}: decide, and delete one", name)
        lost = sorted(writer for writer, token in probes.items() if domain["probes"].get(writer) != token)
        for writer in lost:
            document.check("travels", False, f"{base}: what {writer} wrote has not arrived on {name}", name)
        if not lost:
            document.check("travels", True, f"{base}: what {len(probes)} members wrote is on {name}", name)
    _equal(
        document, f"{base}: the generation of the data", {n: one.get("generation_id", "") for n, one in domains.items()}
    )
    _equal(document, f"{base}: the number of entries", {n: str(one.get("entries", 0)) for n, one in domains.items()})
    _equal(document, f"{base}: the list of peers", {n: ", ".join(one.get("peers", [])) for n, one in domains.items()})


def _equal(document: Verification, what: str, values: Mapping[str, str]) -> None:
    """Note whether members say the same."""
    if len(set(values.values())) == 1:
        document.check(
            "equal", "" not in values.values(), f"{what} is {next(iter(values.values())) or 'unknown'} on all"
        )
        return
    listed = "; ".join(f"{value or 'unknown'} on {name}" for name, value in values.items())
    document.check("equal", False, f"{what} differs: {listed}")
