# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running csync2: each call under one lock and one time limit, its outcome told by the database and by what it says.

csync2 alone waits for ever for a paused peer, fails when two of its runs meet, and does not say why a file stays
unsent unless it is asked with -vvv. All three are answered here.
"""

from __future__ import annotations

import random
import re
import time
from dataclasses import dataclass, field
from typing import Any, Callable, Iterable, Mapping

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Result, Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.locks import exclusive
from ansible_collections.clusterkit.middleware.plugins.module_utils._csync2.state import (
    DATABASE_DIRECTORY,
    Database,
    Dirty,
    database_path,
    forget_pins,
    read_database,
)

#: Held around every run of ours; the units of the role hold the same one (with flock(1)).
LOCK = "/run/lock/clusterkit-csync2.lock"
#: The listener writes the same database outside of our lock, so a run may still meet it: tried again, bounded.
_ATTEMPTS = 8
_BUSY = "Database backend is exceedingly busy"

CONFLICT = "conflict: changed here and on the peer"
DENIED = "refused by the peer: another key, or the file is outside its includes"
#: Recorded for a host whose certificate was changed: the peer hangs up, and nothing is said on this side.
NO_REASON = "csync2 gave no reason; the peer may have another certificate of this host pinned"
#: What the peer answers, to why the file stays (conn_response() upstream; recorded with 2.0).
_ANSWERS = {10: CONFLICT, 15: DENIED}


@dataclass
class Exchange:
    """What one synchronisation did: files sent, and for each file still unsent the reason."""

    sent: list[Dirty] = field(default_factory=list)
    left: list[tuple[Dirty, str]] = field(default_factory=list)

    def conflicts(self) -> list[Dirty]:
        """Return the files that were changed on both sides."""
        return [dirty for dirty, reason in self.left if reason == CONFLICT]


@dataclass(frozen=True)
class Difference:
    """A file that differs from a peer's: `side` is 'both', 'here only' or 'peer only'."""

    peer: str
    file: str
    side: str


_SIDES = {"X": "both", "L": "here only", "R": "peer only"}


class Csync2:
    """One member's csync2. Every public method raises ClusterkitError that names what was run and what it said."""

    def __init__(
        self,
        name: str,
        runner: Runner,
        binary: str = "csync2",
        database_directory: str = DATABASE_DIRECTORY,
        limit: float = 300.0,
        lock: str = LOCK,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self.name = name
        self._runner = runner
        self._binary = binary
        self._database = database_path(name, database_directory)
        self._limit = limit
        self._lock = lock
        self._wait = wait

    def database(self) -> Database | None:
        """Return what the member's database holds, None where there is none yet."""
        return read_database(self._database)

    def version(self) -> str:
        """Return the version that the binary tells of itself, such as '2.1-0rc1'."""
        said = self._runner.run([self._binary, "--version"], limit=10, accept=None)
        found = re.search(r"^csync2 (\S+)", said.stdout + said.stderr, re.M)
        return found.group(1) if found else ""

    def check(self) -> None:
        """Look for changed files and note them as to be sent; nothing is sent."""
        # Without the path, -cr would only look at hints, that is at nothing
        self._run("-cr", "/")

    def record_if_new(self) -> bool:
        """Note the present files where csync2 never did; tell whether that was done.

        Before the first exchange every member has to know its own files: a member that does not would have them
        overwritten by a peer's without a conflict being seen.
        """
        database = self.database()
        if database and database.files:
            return False
        self.check()
        return True

    def outdated_pins(self, certificates: Mapping[str, str]) -> list[str]:
        """Return the peers whose pinned certificate is another than the one that `certificates` gives for them."""
        database = self.database()
        wanted = {peer.lower(): fingerprint for peer, fingerprint in certificates.items()}
        pins = database.pins if database else {}
        return sorted(peer for peer, pin in pins.items() if wanted.get(peer.lower(), pin) != pin)

    def forget(self, peers: Iterable[str]) -> None:
        """Forget the pinned certificates of peers."""
        with exclusive(self._lock, limit=self._limit):
            forget_pins(self._database, peers)

    def differences(self) -> list[Difference]:
        """Ask every peer which files differ; nothing is changed anywhere."""
        done = self._run("-T", accept={0, 2})
        # Recorded: 2 is "in sync", 0 "there are differences"; 1 is an error and raises
        if done.rc == 2:
            return []
        rows = (line.split("\t", 3) for line in done.stdout.splitlines())
        return [Difference(row[2], row[3], _SIDES[row[0]]) for row in rows if len(row) == 4 and row[0] in _SIDES]

    def exchange(self, winner: bool = False) -> Exchange:
        """Send what has changed; with `winner`, this member's version of a file in conflict replaces the peer's."""
        self.check()
        result = self._send()
        if winner and result.conflicts():
            for dirty in result.conflicts():
                self._run("-f", dirty.file)
            again = self._send()
            result = Exchange(result.sent + again.sent, again.left)
        return result

    def _send(self) -> Exchange:
        before = self._dirty()
        if not before:
            return Exchange()
        try:
            done = self._run("-u", "-vvv", accept={0, 1})
            said = done.stderr
            timed_out = ""
        except ClusterkitError as error:
            if not error.details.get("timed_out"):
                raise
            said = str(error.details.get("stderr", ""))
            timed_out = f"no answer within {self._limit:.0f} s"
        after = self._dirty()
        keys = {(one.peer, one.file) for one in after}
        sent = [one for one in before if (one.peer, one.file) not in keys]
        return Exchange(sent, [(one, reason_of(one, said) or timed_out or NO_REASON) for one in after])

    def _dirty(self) -> tuple[Dirty, ...]:
        database = self.database()
        return database.dirty if database else ()

    def _run(self, *arguments: str, accept: set[int] | None = None) -> Result:
        argv = [self._binary, "-N", self.name, *arguments]
        for attempt in range(_ATTEMPTS):
            with exclusive(self._lock, limit=self._limit):
                done = self._runner.run(argv, limit=self._limit, accept=None)
            if _BUSY not in done.stderr:
                break
            self._wait(random.uniform(0.05, 0.2) * (attempt + 1))  # noqa: S311  # jitter, no secret
        if done.rc not in (accept or {0}):
            raise ClusterkitError(f"`{' '.join(argv)}` ended with {done.rc}: {last_words(done.stderr)}")
        return done


def reason_of(dirty: Dirty, said: str) -> str:
    """Return why a file stayed unsent, from what `csync2 -u -vvv` said; empty where it said nothing of it."""
    answer = re.escape(f"response from peer({dirty.file}): {dirty.peer} [") + r"(\d+)\] <- "
    codes = [int(code) for code in re.findall(answer, said)]
    for code in reversed(codes):
        if code in _ANSWERS:
            return _ANSWERS[code]
    if f"Connection to remote host `{dirty.peer}' failed" in said:
        before = said.partition(f"ERROR: Connection to remote host `{dirty.peer}' failed")[0].strip().splitlines()
        return f"{dirty.peer} could not be reached: {before[-1].strip() if before else 'no reason given'}"
    # csync2 ends at the first peer with a wrong certificate, so the line stands for whoever was connected to last
    if "wrong SSL X509 cetrificate" in said:
        return f"{_last_peer(said) or dirty.peer} has another certificate than the one pinned here"
    return ""


def _last_peer(said: str) -> str:
    peers = re.findall(r"^Connecting to host (\S+)", said, re.M)
    return peers[-1] if peers else ""


def last_words(said: str) -> str:
    """Return the last lines of csync2's output that tell something, without the key that -vvv shows."""
    noise = ("Connection closed.", "Finished with", "ASSERT:", "SQL")
    lines = [line.strip() for line in said.strip().splitlines() if line.strip() and not line.startswith(noise)]
    lines = [re.sub(r"^(Local> [A-Z]+ )\S+", r"\1********", line) for line in lines]
    return "; ".join(lines[-3:]) or "no output"


def summary(result: Exchange) -> dict[str, Any]:
    """Return an exchange as a module returns it."""
    return {
        "sent": [{"peer": one.peer, "file": one.file} for one in result.sent],
        "left": [{"peer": one.peer, "file": one.file, "reason": reason} for one, reason in result.left],
    }
