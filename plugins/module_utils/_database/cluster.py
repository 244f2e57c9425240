# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judging a database from what its host and its clients found, and what the role writes for it."""

from __future__ import annotations

import ipaddress
from typing import Any, Mapping, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.members import unasked
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.verification import Verification
from ansible_collections.clusterkit.middleware.plugins.module_utils._database.look import older

Found = Mapping[str, Mapping[str, Any]]
Members = Sequence[Mapping[str, str]]

#: What an application needs of its own database, and no more: no rights to hand rights on, none on other databases.
_RIGHTS = {
    "mariadb": (
        *("ALTER", "ALTER ROUTINE", "CREATE", "CREATE ROUTINE", "CREATE TEMPORARY TABLES", "CREATE VIEW", "DELETE"),
        *(
            "DROP",
            "EXECUTE",
            "INDEX",
            "INSERT",
            "LOCK TABLES",
            "REFERENCES",
            "SELECT",
            "SHOW VIEW",
            "TRIGGER",
            "UPDATE",
        ),
    ),
    "postgresql": ("CONNECT", "CREATE", "TEMPORARY"),
}
_CHARSETS = {"mariadb": ("utf8mb4",), "postgresql": ("UTF8",)}


def _kind(engine: str) -> str:
    return "postgresql" if engine == "postgresql" else "mariadb"


def rights(engine: str, given: Sequence[str] = ()) -> list[str]:
    """Return the rights that the application shall have: those given, else those of the engine."""
    return sorted({one.upper() for one in given}) or list(_RIGHTS[_kind(engine)])


def charset(engine: str, given: str = "") -> str:
    """Return the character set that the database shall have: the one given, else the engine's for all letters."""
    return given or _CHARSETS[_kind(engine)][0]


def hba(text: str, database: str, user: str = "", clients: Sequence[str] = (), tls: bool = False) -> str:
    """Return the text of pg_hba.conf with a block for a database at its top, or without it where `clients` is empty.

    The first line that fits counts, so those of the block let the clients in, and nobody else over the network.
    """
    begin, end = f"# BEGIN clusterkit {database}", f"# END clusterkit {database}"
    lines = text.splitlines()
    if begin in lines:
        first = lines.index(begin)
        if end not in lines[first:]:
            raise ClusterkitError(f"pg_hba.conf has '{begin}' without '{end}': remove what is left of that block")
        del lines[first : lines.index(end, first) + 1]
    if clients:
        kind = "hostssl" if tls else "host"
        allowed = []
        for client in clients:
            address = ipaddress.ip_address(client)
            allowed.append(f'{kind} "{database}" "{user}" {address}/{address.max_prefixlen} scram-sha-256')
        refused = [f'host "{database}" all {everybody} reject' for everybody in ("0.0.0.0/0", "::/0")]
        lines = [begin, *allowed, *refused, end, *lines]
    return "\n".join(lines) + ("\n" if lines else "")


def problems(
    server: Mapping[str, Any],
    clients: Found,
    members: Members,
    *,
    host: str,
    external: str = "",
    minimum_version: str = "",
    character_set: str = "",
    ready: bool = False,
) -> list[str]:
    """Return, before anything is changed, why the database cannot be had; empty when it can.

    `ready` says that the clients' programs are installed: they have to have asked an external server all by now.
    """
    out = []
    if not external:
        out += _problems_of_server(server, host, character_set)
    for member in members:
        info = clients.get(member["host"])
        if info is None:
            out.append(unasked(member["host"]))
        elif external:
            found = info["connection"]
            if ready and not found["asked"] and not found["error"]:
                found = {**found, "error": "there is no client to ask with"}
            out += [
                f"{member['host']}: {problem}"
                for problem in _problems_of_connection(found, external, minimum_version, character_set)
            ]
    return out


def _problems_of_server(server: Mapping[str, Any], host: str, character_set: str) -> list[str]:
    out = []
    if server["port_holder"]:
        out.append(f"On {host} the database's port is taken by {server['port_holder']}: stop it, or give another port.")
    if len(server["clusters"]) > 1:
        out.append(
            f"{host} has several PostgreSQL servers ({', '.join(server['clusters'])}): this role keeps one on a host."
        )
    database = server["database"]
    if database and character_set and database["charset"] != character_set:
        out.append(
            f"The database on {host} has the character set {database['charset']}, not {character_set}: convert it, or "
            "say app_database_charset."
        )
    return out


def _problems_of_connection(
    found: Mapping[str, Any], external: str, minimum_version: str, character_set: str
) -> list[str]:
    if found["error"]:
        return [f"the database at {external} cannot be used: {found['error']}."]
    if not found["asked"]:
        return []
    out = []
    if minimum_version and older(found["version"], minimum_version):
        out.append(f"the server at {external} has version {found['version']}, {minimum_version} at least is needed.")
    if character_set and found["charset"] != character_set:
        out.append(f"the database at {external} has the character set {found['charset']}, {character_set} is needed.")
    if found["missing"]:
        out.append(f"the user has not all rights on the database at {external}: {', '.join(found['missing'])} missing.")
    return out


def verification(
    found: Found,
    members: Members,
    *,
    cluster: str,
    state: Mapping[str, Any],
    host: str,
    external: str = "",
    minimum_version: str = "",
    character_set: str = "",
    tls: bool = False,
    backup_hours: float = 0,
    drill_hours: float = 0,
    now: float = 0,
) -> dict[str, Any]:
    """Return whether every client can use the database, in the right way, and whether there are backups that hold.

    `state` is what the host that backs the database up found. A first backup and a first drill are due by their timers;
    until then there is nothing to judge.
    """
    out = Verification("app_database", cluster, [member["name"] for member in members])
    for member in members:
        info = found.get(member["host"])
        if not info:
            out.silent(member["name"])
        elif _connects(out, member["name"], info["connection"]):
            _is_right(out, member["name"], info["connection"], external, minimum_version, character_set, tls)
    backups = state["backups"]
    out.check(
        "no restore interrupted",
        not backups["restoring"],
        f"the restore of {backups['restoring']} was interrupted: run it again"
        if backups["restoring"]
        else f"no restore was interrupted on {host}",
    )
    age = backups["age_seconds"]
    late = age is not None and backup_hours > 0 and age > backup_hours * 3600
    told = f"{backups['count']} backups, the newest is {age // 60} minutes old" if age is not None else "no backup yet"
    out.check("backup", not late, f"{told} on {host}")
    drill = backups["drill"]
    if drill:
        old = drill_hours > 0 and now > 0 and now - drill["time"] > drill_hours * 3600
        evidence = (
            f"the last drill on {host} failed: {drill['error']}"
            if not drill["ok"]
            else (f"{drill['file']} was restored and compared on {host}" + (", too long ago" if old else ""))
        )
        out.check("restore drill", drill["ok"] and not old, evidence)
    return out.result()


def _connects(out: Verification, name: str, connection: Mapping[str, Any]) -> bool:
    error = connection["error"] or ("" if connection["asked"] else "there is no client to ask with")
    out.check("connects", not error, error or f"{name} reads version {connection['version']}", name)
    if not error:
        out.seen(name)
    return not error


def _is_right(
    out: Verification,
    name: str,
    connection: Mapping[str, Any],
    external: str,
    minimum_version: str,
    character_set: str,
    tls: bool,
) -> None:
    version = connection["version"]
    if minimum_version:
        out.check(
            "version", not older(version, minimum_version), f"{name} finds {version}, wants {minimum_version}", name
        )
    letters = connection["charset"]
    out.check("character set", letters == character_set, f"{name} finds {letters}, wants {character_set}", name)
    missing, surplus = connection["missing"], connection["surplus"]
    evidence = f"{name} lacks {', '.join(missing) or 'none'}, has beyond its database {', '.join(surplus) or 'none'}"
    # What an external server's keepers allow is theirs to say
    out.check("rights", not missing and (bool(external) or not surplus), evidence, name)
    if tls:
        out.check("TLS", bool(connection["tls"]), f"{name} is connected by {connection['tls'] or 'no TLS'}", name)
