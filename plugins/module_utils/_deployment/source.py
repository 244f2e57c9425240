# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The source of the files: it looks after itself first, then gives each node what that one lacks.

A node gets a file under its own name only when it is whole: rsync writes it elsewhere in the same file system. What
somebody is still writing on the source is left for the next run. Deletions come last, and are counted first.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Iterator, Mapping, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common import ssh_access
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Result, Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._deployment.manifest import holds_files
from ansible_collections.clusterkit.middleware.plugins.module_utils._deployment.settings import (
    RECEIVER,
    STAGING,
    Directory,
    Node,
    Settings,
    mount_point,
)

#: Exit codes of rsync (man rsync): a file vanished meanwhile; more would be deleted than was allowed.
_VANISHED, _DELETE_LIMIT = 24, 25
_SKIPPED = re.compile(r"Deletions stopped due to --max-delete limit \((\d+) skipped\)")
_COUNT = re.compile(r"^Number of files: ([\d,.]+)", re.MULTILINE)
#: More nodes than these are served one after the other.
_AT_A_TIME = 8
#: Changes that a report names at most.
_SHOWN = 200
_SPECIAL = re.compile(r"([\\*?\[])")


class RefusedError(ClusterkitError):
    """The source is not as it should be: nothing was sent to anybody."""


@dataclass
class Report:
    """What one node got: how many files were sent and deleted, and those that somebody still writes."""

    node: str
    sent: int = 0
    deleted: int = 0
    waiting: int = 0
    seconds: float = 0.0
    error: str = ""
    changes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether the node has all that it should."""
        return not self.error

    def line(self) -> dict[str, Any]:
        """Return what is told of it."""
        told: dict[str, Any] = {"node": self.node, "ok": self.ok, "sent": self.sent, "deleted": self.deleted}
        if self.waiting:
            told["waiting"] = self.waiting
        if self.error:
            told["error"] = self.error
        return {**told, "seconds": round(self.seconds, 3)}


class Source:
    """This host as the source."""

    def __init__(self, settings: Settings, runner: Runner, rsync: str = "rsync", proc: str = "/proc") -> None:
        self._settings = settings
        self._runner = runner
        self._rsync = rsync
        self._proc = proc

    def check(self) -> None:
        """Look whether this host may give its files to the others. Raises RefusedError."""
        with self._held():
            pass

    @contextlib.contextmanager
    def _held(self) -> Iterator[dict[str, str]]:
        """Check, and keep the directories that were checked open; yield by its path how each of them is read.

        What is mounted, unmounted or renamed in a directory's place meanwhile is not what is read: it was not checked.
        Raises RefusedError.
        """
        with contextlib.ExitStack() as opened:
            held = {}
            for directory in self._settings.directories:
                try:
                    descriptor = os.open(directory.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                except OSError as error:
                    raise RefusedError(f"cannot read {directory.path}, nothing was sent: {error.strerror}") from None
                opened.callback(os.close, descriptor)
                # By this process's number: rsync finds it there too, and inherits nothing
                held[directory.path] = f"/proc/{os.getpid()}/fd/{descriptor}"
            self._check(held)
            yield held

    def _check(self, held: Mapping[str, str]) -> None:
        """Look at the directories that are open. Raises RefusedError."""
        wanted = self._settings
        if wanted.role == RECEIVER:
            raise RefusedError(
                f"{wanted.name} is not the source, {wanted.source} is: two would overwrite each other's files. "
                "The playbook deployment_failover makes this one the source"
            )
        for directory in wanted.directories:
            try:
                filled = holds_files(held[directory.path], wanted.exclude)
                same = os.path.samestat(os.stat(held[directory.path]), os.stat(directory.path))
            except OSError as error:
                raise RefusedError(f"cannot read {directory.path}, nothing was sent: {error.strerror}") from None
            if not same:
                raise RefusedError(f"{directory.path} was replaced in this moment: nothing was sent; run again")
            here = mount_point(directory.path)
            if here != directory.mount_point:
                raise RefusedError(
                    f"{directory.path} is in the file system of {here} and was in that of {directory.mount_point}: "
                    "is it not mounted? Nothing was sent. If it has moved for good, run the role again with "
                    "deployment_sync_moved=true"
                )
            if not filled and not wanted.allow_empty:
                raise RefusedError(
                    f"{directory.path} has no file at all: nothing was sent, since all nodes would lose theirs. If it "
                    "is meant, set deployment_sync_allow_empty"
                )

    def synchronise(self, nodes: Sequence[str] | None = None, dry_run: bool = False) -> list[Report]:
        """Give all nodes, or those named, what they lack. Raises RefusedError."""
        chosen = [node for node in self._settings.nodes if nodes is None or node.name in nodes]
        with self._held() as held:
            busy = {one.path: sorted(self.open_for_writing(one.path)) for one in self._settings.directories}
            if not chosen:
                return []
            with ThreadPoolExecutor(min(len(chosen), _AT_A_TIME)) as pool:
                return list(pool.map(lambda node: self._serve(node, held, busy, dry_run), chosen))

    def open_for_writing(self, directory: str) -> set[str]:
        """Return the files below a directory that a process of this host has open for writing, by their path in it."""
        inside = os.path.realpath(directory) + "/"
        found = set()
        for pid in os.listdir(self._proc):
            if not pid.isdigit():
                continue
            # Processes and their files come and go while this looks at them
            with contextlib.suppress(OSError):
                for descriptor in os.listdir(f"{self._proc}/{pid}/fd"):
                    with contextlib.suppress(OSError):
                        path = os.readlink(f"{self._proc}/{pid}/fd/{descriptor}")
                        if path.startswith(inside) and self._writes(pid, descriptor):
                            found.add(path[len(inside) :])
        return found

    def _writes(self, pid: str, descriptor: str) -> bool:
        with open(f"{self._proc}/{pid}/fdinfo/{descriptor}", encoding="ascii") as info:
            for line in info:
                if line.startswith("flags:"):
                    return int(line.split()[1], 8) & os.O_ACCMODE != os.O_RDONLY
        return False

    def _serve(self, node: Node, held: Mapping[str, str], busy: dict[str, list[str]], dry_run: bool) -> Report:
        report = Report(node.name, waiting=sum(map(len, busy.values())))
        began = time.monotonic()
        for directory in self._settings.directories:
            try:
                self._give(node, directory, held[directory.path], busy[directory.path], dry_run, report)
            except ClusterkitError as error:
                report.error = f"{directory.path}: {error}"
                # A node that does not answer would take the same time again
                break
        report.seconds = time.monotonic() - began
        return report

    def _give(
        self, node: Node, directory: Directory, held: str, busy: list[str], dry_run: bool, report: Report
    ) -> None:
        """Send what a node lacks of a directory, and delete there what is gone here. Raises ClusterkitError."""
        done = self._run(node, directory, held, busy, dry_run, 0)
        _count(done, report)
        if done.rc != _DELETE_LIMIT:
            return
        skipped = _SKIPPED.search(done.stderr + done.stdout)
        surplus = int(skipped[1]) if skipped else 0
        here = int(re.sub(r"[,.]", "", found[1])) if (found := _COUNT.search(done.stdout)) else 0
        share = surplus / max(here + surplus, 1)
        if surplus > self._settings.delete_minimum and share > self._settings.delete_share:
            raise ClusterkitError(
                f"{surplus} files that are gone here would be deleted on {node.name}, {share:.0%} of those it has, and "
                f"{self._settings.delete_share:.0%} are let pass: none was. If it is meant, raise "
                "deployment_sync_delete_share for one run"
            )
        if not self._settings.allow_empty and not self._still_filled(held):
            raise ClusterkitError("it was emptied while this ran: nothing was deleted")
        # Directories that become empty are counted as well
        done = self._run(node, directory, held, busy, dry_run, 2 * surplus + 10)
        _count(done, report, sent=not dry_run)
        if done.rc == _DELETE_LIMIT:
            raise ClusterkitError("files went while this ran, more than were counted: the next run deletes the rest")

    def _still_filled(self, held: str) -> bool:
        try:
            return holds_files(held, self._settings.exclude)
        except OSError:
            return False

    def _run(self, node: Node, directory: Directory, held: str, busy: list[str], dry_run: bool, most: int) -> Result:
        wanted = self._settings
        shell = ssh_access.client(
            wanted.key, wanted.known_hosts, node.user, node.address, node.port, node.name, wanted.address
        )
        # Without the window two versions of one second and one size would be one
        options = ["--recursive", "--links", "--perms", "--times", "--modify-window=-1"]
        options += ["--owner", "--group"] if node.user == "root" else []
        options += ["--checksum"] if wanted.checksum else []
        options += ["--dry-run"] if dry_run else []
        options += [f"--exclude={pattern}" for pattern in (f"/{STAGING}", *wanted.exclude)]
        argv = [
            *(self._rsync, *options, "--delete-delay", f"--max-delete={most}", f"--timeout={wanted.io_limit}"),
            *("--stats", "--out-format=%i %n", "--rsh", shlex.join(shell), "--from0", "--exclude-from=-"),
            *("--", f"{held}/", f"{node.name}:{directory.name}"),
        ]
        accept = (0, _VANISHED, _DELETE_LIMIT)
        names = "".join(f"/{_SPECIAL.sub(_quote, path)}\0" for path in busy).encode("utf-8", "surrogateescape")
        return self._runner.run(argv, limit=wanted.limit, stdin=names, accept=accept)


def _quote(found: re.Match[str]) -> str:
    return f"\\{found[1]}"


def _count(done: Result, report: Report, sent: bool = True) -> None:
    """Add to a report what rsync says that it did. `sent` False is for what a dry run tells a second time."""
    for line in _items(done.stdout):
        if line.startswith("*deleting"):
            report.deleted += 1
        elif not sent:
            continue
        elif line[:2] in ("<f", "cL", "cd", "hf") or (line.startswith(".") and line[1] in "fL"):
            report.sent += 1
        else:
            continue
        if len(report.changes) < _SHOWN:
            report.changes.append(line)


def _items(output: str) -> Iterator[str]:
    for line in output.splitlines():
        if re.match(r"[<>ch.][fdLDS][^ ]{9} |\*deleting ", line):
            yield line
