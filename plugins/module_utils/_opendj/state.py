# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an OpenDJ server is and knows, from its entries: `read` asks for them, everything else only looks at them.

`dsreplication status` is not asked: it takes seconds, leaves out members that do not answer, and cannot tell a base DN
that was enabled from one that was initialised.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any, Mapping, Protocol, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj.directory import (
    BASE,
    ONE,
    SUBTREE,
    Entry,
    entries_below,
    escaped,
    normal,
)

PROVIDER = "cn=Multimaster Synchronization,cn=Synchronization Providers,cn=config"
REPLICATION_SERVER = f"cn=replication server,{PROVIDER}"
DOMAINS = f"cn=domains,{PROVIDER}"
MONITOR = "cn=Replication,cn=monitor"
ADMIN_DATA = "cn=admin data"
SERVERS = f"cn=Servers,{ADMIN_DATA}"
INSTANCE_KEYS = f"cn=instance keys,{ADMIN_DATA}"
ALL_SERVERS = f"cn=all-servers,cn=Server Groups,{ADMIN_DATA}"
CRYPTO_MANAGER = "cn=Crypto Manager,cn=config"
BACKENDS = "cn=Backends,cn=config"
SCHEMA = "cn=schema"
#: Domains that enabling sets up and initialises by itself.
OWN_DOMAINS = (ADMIN_DATA, SCHEMA)
#: What a domain's status says when its data are the same as those of the others.
NORMAL = "Normal"
BAD_GENERATION_ID = "Bad generation id"
#: Entries that show that writes work and travel: `cn=<PROBE><member>` directly below a base DN.
PROBE = "clusterkit-probe-"

#: How many conflicts are listed for a base DN.
MOST_CONFLICTS = 50
_MONITORED = (
    *("domain-name", "server-id", "replication-server-id", "status", "generation-id", "connected-to"),
    *("pending-updates", "lost-connections", "unresolved-naming-conflicts", "missing-changes", "approximate-delay"),
    *("replica", "replication-server"),
)
_SCHEMA = ("attributeTypes", "objectClasses")
#: In which file a definition is stored, which says nothing of it.
_STORED_IN = r" X-SCHEMA-FILE '[^']*'"
_DIRECTORY_SERVER = re.compile(r"(?i)^cn=Directory server DS\(")
_RUNNING_SERVER = re.compile(r"(?i)^cn=Replication server RS\((\d+)\)")
_CONNECTED_SERVER = re.compile(r"(?i)^cn=Connected replication server RS\(")
_CONNECTED_REPLICA = re.compile(r"(?i)^cn=Connected directory server DS\(\d+\) (.*?),cn=")
_PARENT_SERVER = re.compile(r"(?i),cn=(?:Connected )?replication server RS\(\d+\) (.+?),cn=")


class Searchable(Protocol):
    """What can be asked for entries: a Directory, or recorded ones."""

    def search(
        self, base: str, scope: str, wanted: str = ..., attributes: Sequence[str] = ..., most: int = ...
    ) -> list[Entry]:
        """Return the entries found."""


def read(directory: Searchable, schema: bool = True, conflicts: bool = True) -> dict[str, Any]:
    """Return the whole state of a server. `schema` and `conflicts` are what grows with it, and can be left out."""
    root = directory.search("", BASE, attributes=["vendorVersion", "fullVendorVersion", "namingContexts"])
    bases = _values(root, "namingcontexts")
    configured = directory.search(PROVIDER, SUBTREE)
    monitored = directory.search(MONITOR, SUBTREE, attributes=_MONITORED)
    replicated = domains(configured, monitored)
    heads = {base: _head(directory, base) for base in [*bases, *OWN_DOMAINS]}
    backends = directory.search(
        BACKENDS, ONE, "(objectClass=ds-cfg-pluggable-backend)", ["ds-cfg-backend-id", "ds-cfg-base-dn"]
    )
    counts = [
        entry
        for _dn, values in backends
        for entry in directory.search(f"cn={values['ds-cfg-backend-id'][0]} Backend,cn=monitor", BASE)
    ]
    return {
        "version": _first(root, "fullvendorversion") or _first(root, "vendorversion"),
        "schema": schema_checksum(_schema(directory)) if schema else "",
        "encryption": _first(directory.search(CRYPTO_MANAGER, BASE), "ds-cfg-ssl-encryption") == "true",
        "replication_server": replication_server(configured, monitored),
        "base_dns": {
            base: {
                **_of_domain(replicated, base, heads[base]),
                **contents(counts, base),
                "probes": probes(directory.search(base, ONE, f"(cn={PROBE}*)", ["cn", "description"])),
                "conflicts": naming_conflicts(_conflicts(directory, base)) if conflicts else [],
            }
            for base in bases
        },
        "own_domains": {base: _of_domain(replicated, base, heads[base]) for base in OWN_DOMAINS},
        **registrations(_admin_data(directory)),
    }


def base_dns(directory: Searchable) -> list[str]:
    """Return the base DNs of a server that are its users', not its own."""
    return _values(directory.search("", BASE, attributes=["namingContexts"]), "namingcontexts")


def administrator(name: str) -> str:
    """Return the DN of a global administrator."""
    return f"cn={escaped(name)},cn=Administrators,{ADMIN_DATA}"


def replication_server(configured: Sequence[Entry], monitored: Sequence[Entry]) -> dict[str, Any]:
    """Return the replication server of this host, its peers and those that are connected; empty where it has none."""
    for dn, values in configured:
        if normal(dn) == normal(REPLICATION_SERVER):
            return {
                "id": _number(values, "ds-cfg-replication-server-id"),
                "port": _number(values, "ds-cfg-replication-port"),
                "peers": sorted(values.get("ds-cfg-replication-server", [])),
                "connected": sorted(
                    {
                        name
                        for one, seen in monitored
                        if _CONNECTED_SERVER.match(one)
                        for name in seen.get("replication-server", [])
                    }
                ),
            }
    return {}


def domains(configured: Sequence[Entry], monitored: Sequence[Entry]) -> dict[str, dict[str, Any]]:
    """Return what is configured and seen of each replicated base DN, by its DN in the normal spelling."""
    found = {}
    running = replication_server(configured, ()).get("id", 0)
    for _dn, values in entries_below(configured, DOMAINS):
        for base in values.get("ds-cfg-base-dn", []):
            found[normal(base)] = {
                "server_id": _number(values, "ds-cfg-server-id"),
                "peers": sorted(values.get("ds-cfg-replication-server", [])),
                **_seen(base, monitored, _number(values, "ds-cfg-server-id"), running),
            }
    return found


def registrations(entries: Sequence[Entry]) -> dict[str, Any]:
    """Return the servers that `cn=admin data` has, those that are one and the same, and keys that none of them has."""
    servers: list[dict[str, Any]] = sorted(
        (
            {
                "name": _of(values, "cn") or _of(values, "id"),
                "host": _of(values, "hostname"),
                "port": _number(values, "adminport"),
                "ldap_port": _number(values, "ldapport"),
                "key": _of(values, "ds-cfg-key-id"),
            }
            for _dn, values in entries_below(entries, SERVERS)
        ),
        key=lambda one: str(one["name"]),
    )
    keys = {_of(values, "ds-cfg-key-id") for _dn, values in entries_below(entries, INSTANCE_KEYS)}
    names: dict[str, list[str]] = {}
    for server in servers:
        names.setdefault(server["key"], []).append(server["name"])
    return {
        "servers": servers,
        # A server has one key, under whatever names it was registered
        "duplicates": sorted(same for key, same in names.items() if key and len(same) > 1),
        "stale_keys": sorted(key for key in keys if key and key not in names),
    }


def contents(counts: Sequence[Entry], base: str) -> dict[str, Any]:
    """Return how many entries a base DN has and whether its backend may be written, from the backends' monitors."""
    for _dn, values in counts:
        for line in values.get("ds-base-dn-entry-count", []):
            number, _blank, name = line.partition(" ")
            if normal(name) == normal(base):
                return {"entries": int(number), "writability": _of(values, "ds-backend-writability-mode")}
    return {"entries": 0, "writability": ""}


def naming_conflicts(entries: Sequence[Entry]) -> list[dict[str, str]]:
    """Return the entries that replication moved aside since another server has one of the same name."""
    return sorted(
        ({"dn": dn, "of": _of(values, "ds-sync-conflict")} for dn, values in entries), key=lambda one: one["dn"]
    )


def probes(entries: Sequence[Entry]) -> dict[str, str]:
    """Return what members last wrote to show that writes travel, by the member's name."""
    return {
        _of(values, "cn")[len(PROBE) :]: _of(values, "description")
        for _dn, values in entries
        if _of(values, "cn").startswith(PROBE)
    }


def schema_checksum(entries: Sequence[Entry]) -> str:
    """Return a digest over what the schema defines, wherever it is stored and in whatever order; empty without one."""
    definitions = sorted(
        f"{name} {re.sub(_STORED_IN, '', definition)}"
        for _dn, values in entries
        for name in _SCHEMA
        for definition in values.get(name.lower(), [])
    )
    return hashlib.sha256("\n".join(definitions).encode()).hexdigest() if definitions else ""


def _seen(base: str, monitored: Sequence[Entry], server_id: int = 0, running: int = 0) -> dict[str, Any]:
    """Return what a server's monitor shows of a base DN, on the server that has this id for it.

    `running` is the id of its replication server: those that it had before stay in the monitor until it is started
    again, with what they knew last.
    """
    own_generation = ""
    out: dict[str, Any] = {
        "status": "",
        "pending_updates": 0,
        "unresolved_conflicts": 0,
        "server_generation_id": "",
        "replicas": [],
    }
    for dn, values in monitored:
        if normal(_of(values, "domain-name")) != normal(base):
            continue
        if _DIRECTORY_SERVER.match(dn):
            out["status"] = _of(values, "status")
            out["pending_updates"] = _number(values, "pending-updates")
            out["unresolved_conflicts"] = _number(values, "unresolved-naming-conflicts")
        elif (found := _RUNNING_SERVER.match(dn)) and int(found.group(1)) == running:
            # Written as "<base DN> <number>"
            out["server_generation_id"] = _of(values, "generation-id").rpartition(" ")[2]
        elif _CONNECTED_REPLICA.match(dn):
            above = _PARENT_SERVER.search(dn)
            if _number(values, "server-id") == server_id:
                own_generation = _of(values, "generation-id")
            out["replicas"].append(
                {
                    "server_id": _number(values, "server-id"),
                    "server": above.group(1) if above else "",
                    "missing_changes": _number(values, "missing-changes"),
                    "delay": _number(values, "approximate-delay"),
                }
            )
    if not out["status"] and own_generation:
        # OpenDJ drops the entry that has the status when its peers change, until it is started again. The replication
        # server has the one of the connection, and judges by the same numbers
        same = own_generation == out["server_generation_id"]
        out["status"] = NORMAL if same else BAD_GENERATION_ID
    out["replicas"].sort(key=lambda one: one["server_id"])
    return out


def _of_domain(replicated: Mapping[str, Mapping[str, Any]], base: str, head: Sequence[Entry]) -> dict[str, Any]:
    known = replicated.get(normal(base))
    none = {"server_id": 0, "peers": [], **_seen(base, ())}
    return {
        "replicated": known is not None,
        **(none if known is None else known),
        "generation_id": _first(head, "ds-sync-generation-id"),
    }


def _head(directory: Searchable, base: str) -> list[Entry]:
    # Attributes of replication are told only when asked for by name
    return directory.search(base, BASE, attributes=["ds-sync-generation-id"])


def _admin_data(directory: Searchable) -> list[Entry]:
    # By name, so that the administrator's password hash is not even read
    wanted = ["cn", "id", "hostname", "adminport", "ldapport", "ds-cfg-key-id"]
    return directory.search(ADMIN_DATA, SUBTREE, "(|(adminport=*)(ds-cfg-key-id=*))", wanted)


def _conflicts(directory: Searchable, base: str) -> list[Entry]:
    return directory.search(base, SUBTREE, "(ds-sync-conflict=*)", ["ds-sync-conflict"], MOST_CONFLICTS)


def _schema(directory: Searchable) -> list[Entry]:
    return directory.search(SCHEMA, BASE, attributes=list(_SCHEMA))


def _values(entries: Sequence[Entry], name: str) -> list[str]:
    return [value for _dn, values in entries for value in values.get(name, [])]


def _first(entries: Sequence[Entry], name: str) -> str:
    return next(iter(_values(entries, name)), "")


def _of(values: Mapping[str, Sequence[str]], name: str) -> str:
    return next(iter(values.get(name, [])), "")


def _number(values: Mapping[str, Sequence[str]], name: str) -> int:
    told = _of(values, name)
    return int(told) if re.fullmatch("-?[0-9]+", told) else 0
