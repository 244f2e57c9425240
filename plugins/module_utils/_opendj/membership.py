# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One member of a replication topology: read what is there, take the steps that are missing, read again."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, field
from typing import Any, Callable, ContextManager, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj import replication, state
from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj.directory import (
    BASE,
    INVALID_CREDENTIALS,
    Directory,
)
from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj.replication import (
    DISABLE,
    FORGET,
    INITIALIZE,
    MEND,
    REJOIN,
    Dsreplication,
    Server,
    State,
)

#: This server's own certificate for replication; its key's id is the MD5 of that.
_OWN_KEY = "ds-cfg-key-id=ads-certificate,cn=ads-truststore"
_CERTIFICATE = "ds-cfg-public-key-certificate;binary"
_LOOK_SECONDS = 0.5


@dataclass
class Outcome:
    """What was missing, the steps that were taken or would be, and what was complained of meanwhile."""

    missing: list[str] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    complaint: str = ""


@dataclass(frozen=True)
class Administrator:
    """Who replication is administered by, on all servers alike."""

    name: str
    password: str


@dataclass(frozen=True)
class Patience:
    """Seconds that a command may take, and that its effect may take to show."""

    limit: float = 300.0
    settle: float = 30.0


class Membership:
    """A member. `connect` opens a server's directory. Every method raises ClusterkitError; `check` changes nothing."""

    def __init__(
        self,
        member: Server,
        base_dns: Sequence[str],
        connect: Callable[..., ContextManager[Directory]],
        program: Callable[[], Dsreplication],
        administrator: Administrator,
        patience: Patience,
    ) -> None:
        self._member = member
        self._base_dns = list(base_dns)
        self._connect = connect
        self._program = program
        self._administrator = administrator
        self._patience = patience

    def differences(self, reference: Server) -> list[str]:
        """Return what is missing for the member to replicate with the reference."""
        own, other = self._read(self._member)[0], self._read(reference)[0]
        return replication.differences(self._member, reference, own, other, self._base_dns)

    def present(self, reference: Server, check: bool = False) -> Outcome:
        """Let the member join, or make up for what it missed."""
        (own, my_key), (other, their_key) = self._read(self._member), self._read(reference)
        refused = replication.refusals(self._member, reference, own, other, self._base_dns, (my_key, their_key))
        if refused:
            raise ClusterkitError("; ".join(refused))
        outcome = Outcome(replication.differences(self._member, reference, own, other, self._base_dns))
        if not outcome.missing:
            return outcome
        outcome.steps.append(replication.step_towards(self._member, own, outcome.missing))
        self._check_administrator(self._member)
        self._check_administrator(reference)
        if check:
            return outcome
        failure, left = self._joined(reference, outcome)
        # One that was forgotten while it was down may learn so only now
        again = replication.step_towards(self._member, self._read(self._member)[0], left)
        if again == REJOIN != outcome.steps[-1]:
            outcome.steps.append(again)
            failure, left = self._joined(reference, outcome)
        if left:
            outcome.steps.append(MEND)
            self._mend(reference)
            left = self._settled(reference)
        if left:
            why = f" ({failure})" if failure else ""
            raise ClusterkitError(f"{self._member.name} has not joined{why}: {'; '.join(left)}")
        return outcome

    def initialized(self, source: Server, force: bool = False, check: bool = False) -> Outcome:
        """Give the member the source's entries, where its own are of another generation."""
        own, other = self._read(self._member)[0], self._read(source)[0]
        bases = replication.initialisations(self._member, source, own, other, self._base_dns, force, will_join=check)
        outcome = Outcome([f"{self._member.name} has not the entries of {source.name} below {base}" for base in bases])
        if not bases:
            return outcome
        outcome.steps.append(INITIALIZE)
        self._check_administrator(source)
        if check:
            return outcome
        administrator = self._administrator
        self._program().initialize(
            self._member, source, bases, administrator.name, administrator.password, self._patience.limit
        )
        left = self._until_empty(lambda: self._not_the_same(source, bases))
        if left:
            raise ClusterkitError(f"after initialising {', '.join(left)}: the generations of the data still differ")
        return outcome

    def absent(self, check: bool = False) -> Outcome:
        """Let the member leave."""
        own = self._read(self._member)[0]
        replicated = [base for base, domain in own["base_dns"].items() if domain["replicated"]]
        outcome = Outcome([f"{self._member.name} replicates {base}" for base in replicated])
        if not replicated and not own["replication_server"]:
            return outcome
        outcome.steps.append(DISABLE)
        self._check_administrator(self._member)
        if check:
            return outcome
        self._leave()
        return outcome

    def forgotten(self, leaving: Server, check: bool = False) -> Outcome:
        """Take a server that is gone out of what the member knows."""
        if leaving.name.lower() == self._member.name.lower():
            raise ClusterkitError(f"leaving_host is {leaving.host}, which is this server: leave it out to let it leave")
        with self._connect(self._member) as directory:
            changed = replication.forget(directory, leaving, check)
        return Outcome(
            [f"{self._member.name} has {leaving.name} in {dn}" for dn in changed], [FORGET] if changed else []
        )

    def _read(self, server: Server) -> tuple[State, str]:
        """Return the state of a server, and the id of its key."""
        with self._connect(server) as directory:
            certificate = directory.binary(_OWN_KEY, _CERTIFICATE)
            key = hashlib.md5(certificate).hexdigest().upper() if certificate else ""  # noqa: S324  # OpenDJ's choice
            return state.read(directory, schema=False, conflicts=False), key

    def _leave(self) -> None:
        administrator = self._administrator
        self._program().disable(self._member, administrator.name, administrator.password, self._patience.limit)
        still = self._until_empty(self._still_replicated)
        if still:
            raise ClusterkitError(f"{self._member.name} still replicates {', '.join(still)}")

    def _joined(self, reference: Server, outcome: Outcome) -> tuple[str, list[str]]:
        """Take the last step of the outcome; return how its command failed, and what is missing still."""
        if outcome.steps[-1] == REJOIN:
            self._leave()
        return self._enable(reference, outcome), self._settled(reference)

    def _enable(self, reference: Server, outcome: Outcome) -> str:
        """Run the command; return how it failed where the state decides what came of it."""
        administrator = self._administrator
        try:
            outcome.complaint = self._program().enable(
                self._member,
                reference,
                self._base_dns,
                administrator.name,
                administrator.password,
                self._patience.limit,
            )
        except ClusterkitError as error:
            # It may hang after all is done
            if not error.details.get("timed_out"):
                raise
            return str(error)
        return ""

    def _mend(self, reference: Server) -> None:
        """Let both know all whom the other one knows."""
        states = [self._read(server)[0] for server in (self._member, reference)]
        peers: dict[str, list[str]] = {"": _union([one["replication_server"].get("peers", []) for one in states])}
        for base in (*self._base_dns, *state.OWN_DOMAINS):
            peers[base] = _union([_domain(one, base).get("peers", []) for one in states])
        for server in (self._member, reference):
            with self._connect(server) as directory:
                replication.mend(directory, peers)

    def _settled(self, reference: Server) -> list[str]:
        return self._until_empty(lambda: self.differences(reference))

    def _not_the_same(self, source: Server, bases: Sequence[str]) -> list[str]:
        own, other = self._read(self._member)[0], self._read(source)[0]
        return replication.initialisations(self._member, source, own, other, bases)

    def _still_replicated(self) -> list[str]:
        own = self._read(self._member)[0]
        return [base for base, domain in own["base_dns"].items() if domain["replicated"]]

    def _until_empty(self, ask: Callable[[], list[str]]) -> list[str]:
        """Ask until there is no answer any more; return the last one."""
        end = time.monotonic() + self._patience.settle
        while True:
            found = ask()
            if not found or time.monotonic() > end:
                return found
            time.sleep(_LOOK_SECONDS)

    def _check_administrator(self, server: Server) -> None:
        """Raise ClusterkitError for a wrong password: dsreplication would not tell it from a missing administrator."""
        if not self._administrator.password:
            raise ClusterkitError("administrator_password missing: a command has to be run")
        dn = state.administrator(self._administrator.name)
        with self._connect(server) as directory:
            if not directory.search(dn, BASE, attributes=["cn"]):
                return
        try:
            with self._connect(server, dn, self._administrator.password):
                return
        except ClusterkitError as error:
            if error.details.get("result") == INVALID_CREDENTIALS:
                raise ClusterkitError(
                    f"{server.name} has the administrator {self._administrator.name}, and another password for it: "
                    "give that one (administrator_password)"
                ) from None
            raise


def _domain(seen: State, base: str) -> dict[str, Any]:
    return dict(replication.domain_of(seen, base))


def _union(lists: Sequence[Sequence[str]]) -> list[str]:
    out: dict[str, str] = {}
    for names in lists:
        for name in names:
            out.setdefault(name.lower(), name)
    return list(out.values())
