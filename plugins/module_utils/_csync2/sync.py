# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running csync2: each call under one lock and one time limit, its outcome told by the database and by what it says.

csync2 alone waits for ever for a paused peer, fails when two of its runs meet, and does not say why a file stays
unsent unless it is asked with -vvv. All three are answered here.
"""

from __future__ import annotations

import json
import os
import random
import re
import time
from dataclasses import dataclass, field
from typing import Any, Callable, Collection, Iterable, Iterator, Mapping, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Result, Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.files import (
    read_if_exists,
    write_atomically,
)
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.locks import exclusive
from ansible_collections.clusterkit.middleware.plugins.module_utils._csync2.state import (
    DATABASE_DIRECTORY,
    Database,
    Dirty,
    database_path,
    forget_peers,
    forget_pins,
    read_database,
)

#: Held around every run of ours; the program that the role installs holds the same one.
LOCK = "/run/lock/clusterkit-csync2.lock"
#: The listener writes the same database outside of our lock, so a run may still meet it: tried again, bounded.
_ATTEMPTS = 8
_BUSY = "Database backend is exceedingly busy"
#: What is said at -v when the peer hung up at once: its database may be busy with a run of its own.
_PEER_BUSY = "Config command failed."

CONFLICT = "conflict: changed here and on the peer"
WAITING = "changed here and on the peer, whose version wins by 'auto' and comes when the peer sends"
SLAVE = "not sent, since this host is a slave of the group"
DENIED = "refused by the peer: another key, or the file is outside its includes"
#: Recorded for a host whose certificate was changed.
UNKNOWN = "the peer does not accept this host: it has another certificate of it pinned, or knows it by another name"
HUNG_UP = "the peer hung up"
HUNG_UP_WHILE_SENT = "the peer hung up while the file was sent: is there room for it?"
#: Recorded for a malformed key, for another subject of the certificate, and for a database locked by somebody else.
HUNG_UP_AT_ONCE = (
    "hung up at once: a malformed configuration or key there, another certificate subject, or a busy database"
)
NO_REASON = "csync2 gave no reason"
#: What the peer answers, to why the file stays (conn_response() upstream; recorded with 2.0).
_ANSWERS = {9: HUNG_UP, 10: CONFLICT, 13: UNKNOWN, 14: SLAVE, 15: DENIED}
#: Answers from this one on are errors.
_FIRST_ERROR = 8
#: Stands in the note of the peers from when the files begin to be recorded until they all are.
_RECORDING = "recording"
#: Added to what csync2 said when it was ended.
_TIMED_OUT = "{} gave no answer within {:.0f} s"
#: How many names one run is given at most, and bytes: at -vvv csync2 writes all that it sends, in four times its size.
_MANY_NAMES, _TALKATIVE_BYTES = 500, 4 << 20
#: A large file may take a second for each of these bytes on top of the time limit.
_BYTES_PER_SECOND = 1 << 20
#: How a run ended: the peer said nothing any more, or the connection broke while a file was sent. After so many of the
#: latter the rest is left for the next run.
_SILENT, _BROKEN = "silent", "broken"
_MANY_DEATHS = 20
_WRITE_ERROR = "Write-error while sending data."


@dataclass
class Exchange:
    """What one synchronisation did: files sent, and for each file still unsent the reason."""

    sent: list[Dirty] = field(default_factory=list)
    left: list[tuple[Dirty, str]] = field(default_factory=list)

    def conflicts(self) -> list[Dirty]:
        """Return the files that were changed on both sides, and of which nothing decides."""
        return [dirty for dirty, reason in self.left if reason == CONFLICT]

    def failures(self) -> list[Dirty]:
        """Return the files that should have been sent and were not: neither in conflict, nor left as they should be."""
        return [dirty for dirty, reason in self.left if reason not in (CONFLICT, WAITING, SLAVE)]

    def outside(self, directory: str) -> Exchange:
        """Return what it did with the files that are not below a directory."""

        def kept(one: Dirty) -> bool:
            return not one.file.startswith(f"{directory}/")

        return Exchange([one for one in self.sent if kept(one)], [row for row in self.left if kept(row[0])])


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
        self._peers_note = f"{self._database}.peers"
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

    def check(self, paths: Sequence[str] = ("/",)) -> None:
        """Look for changed files at or below the paths and note them as to be sent; nothing is sent."""
        # Without a path, -cr would only look at hints, that is at nothing
        self._run("-cr", *paths)

    def recorded(self) -> bool:
        """Tell whether csync2 has noted the files that are here, all of them."""
        database, noted = self.database(), self._noted()
        if database is None or noted == _RECORDING:
            return False
        # A cluster that was set up by hand has no note
        return noted is not None or database.files > 0

    def record_if_new(self) -> bool:
        """Note the present files where csync2 never did; tell whether that was so.

        Before the first exchange every member has to know its own files: a member that does not would have them
        overwritten by a peer's without a conflict being seen. Nothing is noted as to be sent: that tells the
        comparison with each peer, once all have recorded.
        """
        if self.recorded():
            return False
        # csync2 keeps what it has every few seconds: were it killed, half of the files would look like all of them
        self._note(_RECORDING)
        self._run("-cIr", "/")
        self._note([])
        return True

    def met(self) -> list[str]:
        """Return the peers with which this member has been compared."""
        if not self.recorded():
            return []
        noted, database = self._noted(), self.database()
        # A cluster that was set up by hand has no such note: there a pinned certificate tells of a contact
        return sorted(noted if noted is not None else database.pins if database else ())

    def forget_meeting(self, peers: Collection[str]) -> None:
        """Forget that this member has been compared with peers that begin anew: it will be, once they have recorded."""
        left = [peer for peer in self.met() if peer not in peers]
        if left != self.met():
            self._note(left)

    def newcomers(self, peers: Collection[str]) -> list[str]:
        """Return the peers with which this member has never been compared."""
        return sorted(set(peers) - set(self.met()))

    def introduce(self, peer: str) -> None:
        """Compare all files with a peer that has recorded its own, and note what differs as to be sent to it.

        csync2 would send it later changes only: files that were known before are not marked for it.
        """
        # Recorded: -U marks the files for this peer alone; a file that differs is a conflict if the peer noted it too
        self._run("-TUIv", self.name, peer, accept={0, 2})

    def note_peers(self, peers: Collection[str]) -> None:
        """Note with which peers this member has been compared."""
        self._note(sorted(peers))

    def _note(self, what: Any) -> None:
        content = json.dumps(what).encode() + b"\n"
        if content != read_if_exists(self._peers_note):
            write_atomically(self._peers_note, content, mode=0o600)

    def _noted(self) -> Any:
        """Return the peers that are noted as met, or _RECORDING; None where nothing is noted."""
        try:
            return json.loads(read_if_exists(self._peers_note) or b"null")
        except ValueError:
            return None

    def strangers(self, peers: Collection[str]) -> list[str]:
        """Return those for whom the database holds something although they are peers no more."""
        database = self.database()
        known = {one.peer for one in database.dirty} | set(database.pins) if database else set()
        return sorted(known.union(self.met()) - set(peers))

    def forget_strangers(self, strangers: Collection[str]) -> None:
        """Delete what the database holds for those who are peers no more."""
        with exclusive(self._lock, limit=self._limit):
            forget_peers(self._database, strangers)

    def outdated_pins(self, certificates: Mapping[str, str]) -> list[str]:
        """Return the peers whose pinned certificate is another than the one that `certificates` gives for them."""
        for peer, fingerprint in certificates.items():
            # Another way to write one would never equal the pin, so that each run would trust the peer anew
            if not re.fullmatch(r"([0-9a-f]{64})?", str(fingerprint)):
                raise ClusterkitError(
                    f"the fingerprint of {peer} is {fingerprint!r}: write SHA-256 as 64 digits in lower case, no colons"
                )
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
        done = self._run("-Tv", accept={0, 2})
        # Recorded: 2 is "in sync", 0 "there are differences"; 1 is an error and raises
        if done.rc == 2:
            return []
        rows = (line.split("\t", 3) for line in done.stdout.splitlines())
        return [Difference(row[2], row[3], _SIDES[row[0]]) for row in rows if len(row) == 4 and row[0] in _SIDES]

    def contents_that_differ(self) -> str:
        """Ask every peer what differs in the files' content, as unified diffs from the peer's version to this one."""
        done = self._run("-TTv", accept={0, 2})
        return done.stdout

    def exchange(
        self,
        winner: bool = False,
        paths: Sequence[str] = ("/",),
        without: Collection[Dirty] = frozenset(),
        below: str = "",
    ) -> Exchange:
        """Look for changes at or below the paths and send them, peer by peer.

        With `winner`, this member's version of a file in conflict replaces the peer's. `without` are conflicts that are
        known: they are not tried again, and told as conflicts. `below`, a directory, leaves all other files unsent.
        """
        self.check(paths)
        result = self._send(without, below)
        contested = sorted({one.file for one, reason in result.left if reason in (CONFLICT, WAITING)})
        if winner and contested:
            for file in contested:
                self._run("-f", file)
            again = self._send(frozenset(), below)
            result = Exchange(result.sent + again.sent, again.left)
        return result

    def _send(self, without: Collection[Dirty], below: str) -> Exchange:
        noted = self._dirty()
        before = [one for one in noted if not below or f"{one.file}/".startswith(f"{below}/")]
        # One that is forced was decided meanwhile
        known = {(one.peer, one.file) for one in without} - {(one.peer, one.file) for one in before if one.forced}
        result = Exchange(left=[(one, CONFLICT) for one in before if (one.peer, one.file) in known])
        for peer in sorted({one.peer for one in before}):
            files = [one.file for one in before if one.peer == peer and (one.peer, one.file) not in known]
            if not files:
                continue
            # Without names csync2 sends all that is noted for the peer
            everything = len(files) == sum(one.peer == peer for one in noted)
            said = self._send_to(peer, files, everything)
            unsent = {one.file for one in self._dirty() if one.peer == peer}
            for one in before:
                if one.peer == peer and (one.peer, one.file) not in known:
                    if one.file in unsent:
                        result.left.append((one, reason_of(one, said) or NO_REASON))
                    else:
                        result.sent.append(one)
        return result

    def _send_to(self, peer: str, files: Sequence[str], everything: bool) -> str:
        """Send to one peer, so that one that hangs or refuses keeps no other from its files; return what was said."""
        said = []
        for batch in _batches(files):
            size = sum(map(_size, batch))
            waiting = batch
            names = [] if everything and len(batch) == len(files) else batch
            level = "-vvv" if size <= _TALKATIVE_BYTES else "-v"
            for _death in range(_MANY_DEATHS):
                text, outcome = self._update(peer, names, level, size)
                said.append(text)
                unsent = {one.file for one in self._dirty() if one.peer == peer}
                if level == "-v" and unsent.intersection(waiting) and not outcome:
                    # Why it stays is told at -vvv only
                    text, outcome = self._update(peer, waiting, "-vvv", size)
                    said.append(text)
                if not outcome:
                    break
                if outcome == _SILENT:
                    return "\n".join(said)
                # It ended at one file; those that it would have sent after it are no worse for that
                before = text.rpartition(f" on {peer} ...\n")[0]
                names = waiting = [file for file in waiting if file in unsent and not before.endswith(f" {file}")]
                if not waiting:
                    break
        return "\n".join(said)

    def _update(self, peer: str, files: Sequence[str], level: str, size: int) -> tuple[str, str]:
        """Run csync2 once; return what it said and how it ended: nothing to add, `_SILENT`, or `_BROKEN`."""
        # A large file takes its time, and that is no peer that hangs
        limit = self._limit + size / _BYTES_PER_SECOND
        try:
            done = self._run("-u", level, "-P", peer, *files, accept=None, limit=limit)
        except ClusterkitError as error:
            if not error.details.get("timed_out"):
                raise
            return f"{error.details.get('stderr', '')}\n{_TIMED_OUT.format(peer, limit)}", _SILENT
        broken = done.rc not in (0, 1) or _WRITE_ERROR in done.stderr
        return done.stderr + (f"\n{_WRITE_ERROR}\n" if broken else ""), _BROKEN if broken else ""

    def _dirty(self) -> tuple[Dirty, ...]:
        database = self.database()
        return database.dirty if database else ()

    def _run(self, *arguments: str, accept: Collection[int] | None = (0,), limit: float = 0) -> Result:
        argv = [self._binary, "-N", self.name, *arguments]
        for attempt in range(_ATTEMPTS):
            with exclusive(self._lock, limit=self._limit):
                done = self._runner.run(argv, limit=limit or self._limit, accept=None)
            if _BUSY not in done.stderr and _PEER_BUSY not in done.stderr:
                break
            self._wait(random.uniform(0.05, 0.2) * (attempt + 1))  # noqa: S311  # jitter, no secret
        if _BUSY in done.stderr:
            raise ClusterkitError(f"`{' '.join(argv)}` found the database busy {_ATTEMPTS} times: {_BUSY}")
        if accept is not None and done.rc not in accept:
            raise ClusterkitError(f"`{' '.join(argv)}` ended with {done.rc}: {last_words(done.stderr)}")
        return done


def _size(file: str) -> int:
    try:
        return os.lstat(file).st_size
    except OSError:
        return 0  # deleted, or named by a prefix


def _batches(files: Sequence[str]) -> Iterator[list[str]]:
    """Yield the files in batches that one run may be given: many small ones together, a large one alone."""
    batch: list[str] = []
    total = 0
    for file in files:
        size = _size(file)
        if batch and (len(batch) >= _MANY_NAMES or total + size > _TALKATIVE_BYTES):
            yield batch
            batch, total = [], 0
        batch.append(file)
        total += size
    if batch:
        yield batch


def reason_of(dirty: Dirty, said: str) -> str:
    """Return why a file stayed unsent, from what `csync2 -u -vvv` said; empty where it said nothing of it."""
    answers = re.findall(re.escape(f"response from peer({dirty.file}): {dirty.peer} [") + r"(\d+)\] <- (.*)", said)
    errors = [(int(code), text) for code, text in answers if int(code) >= _FIRST_ERROR]
    if errors:
        code, text = errors[-1]
        return WAITING if code == 10 and _lost(dirty, said) else _ANSWERS.get(code, f"the peer answered: {text}")
    before, failed, _rest = said.partition(f"ERROR: Connection to remote host `{dirty.peer}' failed")
    if failed:
        cause = (before.strip().splitlines() or ["no reason given"])[-1]
        if cause == _PEER_BUSY:
            return f"{dirty.peer} {HUNG_UP_AT_ONCE}"
        return f"{dirty.peer} could not be reached: {cause}"
    return _reason_of_all(dirty, said)


def _reason_of_all(dirty: Dirty, said: str) -> str:
    """Return why a file stayed unsent from what was said of another file, or of none."""
    # csync2 ends at the first peer with a wrong certificate, so the line stands for whoever was connected to last
    if "wrong SSL X509 cetrificate" in said:
        return f"{_last_peer(said) or dirty.peer} has another certificate than the one pinned here"
    # A peer that does not accept this host tells it at the first file, and csync2 tries no other
    if f"): {dirty.peer} [13] <- " in said:
        return UNKNOWN
    _before, attempted, after = said.rpartition(f" {dirty.file} on {dirty.peer} ...\n")
    if attempted and _WRITE_ERROR in after:
        return HUNG_UP_WHILE_SENT
    timed_out = re.search(re.escape(dirty.peer) + r" gave no answer within \d+ s", said)
    return timed_out.group() if timed_out else ""


def _lost(dirty: Dirty, said: str) -> bool:
    """Tell whether the group's `auto` decided for the peer, which also keeps what is to be deleted."""
    attempt = said.rpartition(f" {dirty.file} on {dirty.peer} ...\n")[2].partition("File stays in dirty state.")[0]
    return "Do not auto-resolve conflict: " in attempt


def _last_peer(said: str) -> str:
    peers = re.findall(r"^Connecting to host (\S+)", said, re.M)
    return peers[-1] if peers else ""


def last_words(said: str) -> str:
    """Return the last lines of csync2's output that tell something.

    None of what is exchanged with the peer is among them: -vvv shows the key and the files' content there.
    """
    noise = re.compile(r"Connection closed\.|Finished with|ASSERT:|SQL|.*(Local|Peer)> ")
    lines = [line.strip() for line in said.splitlines() if line.strip() and not noise.match(line)]
    return "; ".join(lines[-3:]) or "no output"


def summary(result: Exchange) -> dict[str, Any]:
    """Return an exchange as a module returns it."""
    return {
        "sent": [{"peer": one.peer, "file": one.file} for one in result.sent],
        "left": [{"peer": one.peer, "file": one.file, "reason": reason} for one, reason in result.left],
    }
