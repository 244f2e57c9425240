# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replication of one member with a reference: what differs, which steps mend it, and taking them.

Exit codes of dsreplication are not believed: it ends with 0 where members were down, with 5 whatever the
administrator's password is, and may hang for ever. What is true is in the state, which is read again after each one.
"""

from __future__ import annotations

import os
import re
import tempfile
from dataclasses import dataclass
from typing import Any, Mapping, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Result, Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.files import group_id, user_id
from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj import state
from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj.directory import (
    BASE,
    ONE,
    SUBTREE,
    Directory,
    normal,
)
from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj.installation import (
    as_user,
    tool_environment,
)
from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj.keystore import to_der, truststore

State = Mapping[str, Any]

ENABLE, HEAL, REJOIN, MEND = "enable", "heal", "rejoin", "mend"
INITIALIZE, DISABLE, FORGET = "initialize", "disable", "forget"
#: Exit codes of dsreplication, as recorded: done, and all base DNs were replicated already.
_DONE, _ALREADY = 0, 5


@dataclass(frozen=True)
class Server:
    """A server as the others know it. `certificate` (PEM) is that of its administration connector."""

    host: str
    port: int
    replication_port: int
    certificate: str
    bind_dn: str = ""
    password: str = ""

    @property
    def name(self) -> str:
        """Under which it is registered."""
        return f"{self.host}:{self.port}"

    @property
    def replication_name(self) -> str:
        """Under which its replication server is known."""
        return f"{self.host}:{self.replication_port}"


def refusals(
    member: Server, reference: Server, own: State, other: State, base_dns: Sequence[str], keys: Sequence[str] = ("", "")
) -> list[str]:
    """Return why these two must not be brought to replicate; empty when they may.

    `own` and `other` are the states of member and reference, `keys` the ids of their keys where they are known.
    """
    out = []
    if member.name.lower() == reference.name.lower() or (keys[0] and keys[0] == keys[1]):
        return [f"{member.name} and {reference.name} are one server: name another reference"]
    for server, seen in ((member, own), (reference, other)):
        present = {normal(base) for base in seen["base_dns"]}
        out += [f"{server.name} has no base DN {base}" for base in base_dns if normal(base) not in present]
        port = seen["replication_server"].get("port", 0)
        if port and port != server.replication_port:
            out.append(f"{server.name} replicates at port {port}, not at {server.replication_port}")
    for server, key in zip((member, reference), keys):
        for registered in (*own["servers"], *other["servers"]):
            if key and registered["key"] == key and registered["name"].lower() != server.name.lower():
                out.append(
                    f"{server.name} is registered as {registered['name']}: use that spelling, another one "
                    "would register the server twice"
                )
    return list(dict.fromkeys(out))


def differences(member: Server, reference: Server, own: State, other: State, base_dns: Sequence[str]) -> list[str]:
    """Return what is missing for the member to replicate with the reference and all whom that one knows."""
    out = []
    for server, seen, peer in ((member, own, reference), (reference, other, member)):
        registered = {one["name"].lower() for one in seen["servers"]}
        missing = sorted({member.name.lower(), reference.name.lower()} - registered)
        out += [f"{server.name} does not have {name} registered" for name in missing]
        for base in (*base_dns, *state.OWN_DOMAINS):
            domain = domain_of(seen, base)
            if not domain["replicated"]:
                out.append(f"{server.name} does not replicate {base}")
            elif peer.replication_name.lower() not in _names(domain["peers"]):
                out.append(f"{server.name} does not know {peer.replication_name} for {base}")
    if out:
        return out
    for base in (*base_dns, *state.OWN_DOMAINS):
        mine, theirs = _names(domain_of(own, base)["peers"]), _names(domain_of(other, base)["peers"])
        for server, lost in ((member, theirs - mine), (reference, mine - theirs)):
            out += [f"{server.name} does not know {name} for {base}" for name in sorted(lost)]
    mine, theirs = _names(own["replication_server"]["peers"]), _names(other["replication_server"]["peers"])
    for server, lost in ((member, theirs - mine), (reference, mine - theirs)):
        out += [f"the replication server of {server.name} does not know {name}" for name in sorted(lost)]
    return out


def step_towards(member: Server, own: State, found: Sequence[str]) -> str:
    """Return the step that brings the member in: HEAL where it takes part already, empty where nothing differs.

    REJOIN is for one that was forgotten and does not know: enabling it again would not register it.
    """
    if not found:
        return ""
    if not any(domain_of(own, base)["replicated"] for base in own["base_dns"]):
        return ENABLE
    known = any(one["name"].lower() == member.name.lower() for one in own["servers"])
    return HEAL if known else REJOIN


def initialisations(
    member: Server,
    source: Server,
    own: State,
    other: State,
    base_dns: Sequence[str],
    force: bool = False,
    will_join: bool = False,
) -> list[str]:
    """Return the base DNs whose entries the member has to get from the source. Raises ClusterkitError for refusals.

    Whatever the member has below them is lost: only what differs is taken, and never from a source without entries.
    `will_join` is for check mode, where the step before this one was not taken.
    """
    out = []
    for base in base_dns:
        mine, theirs = domain_of(own, base), domain_of(other, base)
        for server, domain in ((member, mine), (source, theirs)):
            if not domain["replicated"] and not will_join:
                raise ClusterkitError(f"{server.name} does not replicate {base}: let it join first")
        same = mine["generation_id"] == theirs["generation_id"] != "" and mine["status"] != state.BAD_GENERATION_ID
        if same and not force:
            continue
        if not theirs.get("entries"):
            raise ClusterkitError(
                f"{source.name} has no entries below {base}, and {member.name} has {mine.get('entries', 0)}: "
                "an empty server is no source"
            )
        out.append(base)
    return out


class Dsreplication:
    """The program of an installation, run as its owner, with pinned certificates and passwords in memory only."""

    def __init__(
        self, runner: Runner, path: str, owner: str, group: str, trusted: Sequence[str], java_home: str = ""
    ) -> None:
        self._runner = runner
        self._program = f"{path}/bin/dsreplication"
        self._owner = owner
        self._group = group
        self._store = truststore({f"server-{number}": to_der(pem) for number, pem in enumerate(trusted)}, "")
        self._java_home = java_home

    def enable(
        self,
        member: Server,
        reference: Server,
        base_dns: Sequence[str],
        administrator: str,
        password: str,
        limit: float,
    ) -> str:
        """Let a member join, or make up for what it missed; return what was complained of. Raises ClusterkitError."""
        # The reference comes first: of the second one registrations and schema are replaced
        options = [
            *("--host1", reference.host, "--port1", str(reference.port), "--bindDN1", reference.bind_dn),
            *("--replicationPort1", str(reference.replication_port), "--secureReplication1"),
            *("--host2", member.host, "--port2", str(member.port), "--bindDN2", member.bind_dn),
            *("--replicationPort2", str(member.replication_port), "--secureReplication2"),
        ]
        secret = {"--bindPasswordFile1": reference.password, "--bindPasswordFile2": member.password}
        done = self._run("enable", [*options, *_bases(base_dns)], administrator, password, secret, limit, (_ALREADY,))
        left_out = re.search(
            r"cannot be replicated between the two servers because\s+they could not be found in", done.stderr
        )
        if left_out:
            raise ClusterkitError(f"enabling {member.name} left base DNs out: {_sentence(done)}")
        return _sentence(done) if "Error on " in done.stderr else ""

    def initialize(
        self, member: Server, source: Server, base_dns: Sequence[str], administrator: str, password: str, limit: float
    ) -> None:
        """Replace the member's entries by those of the source. Raises ClusterkitError."""
        options = [
            *("--hostSource", source.host, "--portSource", str(source.port)),
            *("--hostDestination", member.host, "--portDestination", str(member.port)),
        ]
        self._run("initialize", [*options, *_bases(base_dns)], administrator, password, {}, limit)

    def disable(self, member: Server, administrator: str, password: str, limit: float) -> None:
        """Let a member leave: the others forget it as well, those that can be reached. Raises ClusterkitError."""
        options = ["--disableAll", "--hostname", member.host, "--port", str(member.port)]
        self._run("disable", options, administrator, password, {}, limit)

    def _run(
        self,
        command: str,
        options: Sequence[str],
        administrator: str,
        password: str,
        secrets: Mapping[str, str],
        limit: float,
        accept: Sequence[int] = (),
    ) -> Result:
        with tempfile.TemporaryDirectory(prefix="clusterkit-opendj-") as work, self._runner.secret_files(
            self._store, password, *secrets.values()
        ) as (store, *files):
            # Its own log of the operation goes here, and away with it
            os.chown(work, user_id(self._owner) or 0, group_id(self._group) or 0)
            argv = [self._program, command, *options, "--adminUID", administrator, "--adminPasswordFile", files[0]]
            for option, file in zip(secrets, files[1:]):
                argv += [option, file]
            argv += ["--trustStorePath", store, "--no-prompt", "--noPropertiesFile"]
            try:
                return self._runner.run(
                    [*as_user(self._owner, self._group), *argv],
                    env=tool_environment(work, self._java_home),
                    cwd=work,
                    limit=limit,
                    accept=(_DONE, *accept),
                )
            except ClusterkitError as error:
                raise ClusterkitError(f"dsreplication {command}: {_explained(error)}", error.details) from None


def mend(directory: Directory, peers: Mapping[str, Sequence[str]]) -> list[str]:
    """Give domains the peers that they lack; return the entries that were changed. Raises ClusterkitError.

    `peers` holds those that a domain has to know by its base DN, and by an empty one those of the replication server.
    Running dsreplication again does not do so for `cn=admin data`.
    """
    changed = []
    wanted = {normal(base): names for base, names in peers.items()}
    for dn, values in directory.search(state.PROVIDER, SUBTREE):
        is_server = normal(dn) == normal(state.REPLICATION_SERVER)
        bases = values.get("ds-cfg-base-dn", [])
        names = wanted.get("" if is_server else normal(bases[0])) if is_server or bases else None
        present = list(values.get("ds-cfg-replication-server", []))
        missing = [name for name in names or [] if name.lower() not in _names(present)]
        if missing:
            directory.modify(dn, {"ds-cfg-replication-server": [*present, *missing]})
            changed.append(dn)
    return changed


def forget(directory: Directory, leaving: Server, check: bool = False) -> list[str]:
    """Take a server that is gone out of what this one knows; return what was changed. Raises ClusterkitError.

    Over LDAP alone: dsreplication cleans nothing up after a server that does not answer. What is registered is
    replicated, so that another member's removal may arrive between a look and the change: nothing is left to do then.
    """
    changed = []
    for dn, values in directory.search(state.PROVIDER, SUBTREE):
        present = list(values.get("ds-cfg-replication-server", []))
        kept = [name for name in present if name.lower() != leaving.replication_name.lower()]
        if kept != present and (check or directory.modify(dn, {"ds-cfg-replication-server": kept or None})):
            changed.append(dn)
    registered = directory.search(state.SERVERS, ONE, "(objectClass=*)", ["cn", "ds-cfg-key-id"])
    mine = [(dn, values) for dn, values in registered if _is(values, leaving.name)]
    used = {
        key for _dn, values in registered if not _is(values, leaving.name) for key in values.get("ds-cfg-key-id", [])
    }
    for dn, _values in directory.search(state.ALL_SERVERS, SUBTREE, "(uniqueMember=*)", ["uniqueMember"]):
        present = list(_values["uniquemember"])
        kept = [name for name in present if normal(name) != normal(f"cn={leaving.name}")]
        if kept != present and (check or directory.modify(dn, {"uniqueMember": kept or None})):
            changed.append(dn)
    for dn, values in mine:
        keys = [key for key in values.get("ds-cfg-key-id", []) if key not in used]
        for entry in (dn, *(f"ds-cfg-key-id={key},{state.INSTANCE_KEYS}" for key in keys)):
            if directory.search(entry, BASE, attributes=["1.1"]) and (check or directory.delete(entry)):
                changed.append(entry)
    return changed


def _is(values: Mapping[str, Sequence[str]], name: str) -> bool:
    return name.lower() in (one.lower() for one in values.get("cn", []))


def domain_of(seen: State, base: str) -> Mapping[str, Any]:
    """Return what a server says of a base DN, one of its own domains included."""
    for name, domain in (*seen["base_dns"].items(), *seen["own_domains"].items()):
        if normal(name) == normal(base):
            return dict(domain)
    return {"replicated": False, "peers": [], "generation_id": "", "status": "", "entries": 0}


def _names(peers: Sequence[str]) -> set[str]:
    return {name.lower() for name in peers}


def _bases(base_dns: Sequence[str]) -> list[str]:
    return [word for base in base_dns for word in ("--baseDN", base)]


def _sentence(done: Result) -> str:
    return " ".join(done.stderr.split())


def _explained(error: ClusterkitError) -> str:
    """Return the first paragraph of what was said, which is the reason; usage and the command line follow it."""
    said = str(error.details.get("stderr") or error.details.get("stdout") or "").strip()
    if error.details.get("timed_out") or not said:
        return str(error)
    return " ".join(said.partition("\n\n")[0].partition("Usage:")[0].split())
