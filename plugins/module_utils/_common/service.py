# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a service and its systemd units, planned as one and brought to what is wanted as one.

A plan compares what is wanted with what is there and changes nothing; applying it does what it says. A process that is
killed between a file and the restart that the file needs leaves a note of the restart, which the next plan finds.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pathlib
import stat
import tempfile
import time
from dataclasses import dataclass
from typing import Any, Callable, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common import files
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.differences import (
    MASK_PRESENT,
    MASK_WANTED,
)
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError

#: Notes of restarts and reloads that are still due: gone with a restart of the host, as the need for them is.
NOTES = "/run/clusterkit"
RESTART, RELOAD = "restart", "reload"
#: Note that systemd has still to read changed units.
_UNREAD = "daemon-reload"
#: Where systemd reads units that administrators write.
_UNIT_DIRECTORY = "/etc/systemd/system/"
_PROPERTIES = ("LoadState", "ActiveState", "UnitFileState", "NeedDaemonReload")
#: What `systemctl is-enabled` counts as enabled, and what cannot be (man systemctl, table of is-enabled).
_ENABLED = ("enabled", "enabled-runtime", "static", "alias", "indirect", "generated")
_RUNNING = ("active", "reloading")


@dataclass(frozen=True)
class File:
    """A file that is wanted, or, with `content` None, is not.

    `validate` is a command with `%s` for the path of what would be written. The path of another file of the same call,
    as a word of it or in what is judged, stands for what that one would be: what belongs together is judged together.
    """

    path: str
    content: bytes | None
    mode: int = 0o644
    owner: str = "root"
    group: str = "root"
    secret: bool = False
    validate: tuple[str, ...] = ()
    restarts: tuple[str, ...] = ()
    reloads: tuple[str, ...] = ()


@dataclass(frozen=True)
class Directory:
    """A directory that is wanted, those above it included."""

    path: str
    mode: int = 0o755
    owner: str = "root"
    group: str = "root"


@dataclass(frozen=True)
class Unit:
    """A unit that is wanted running and enabled, or neither; None leaves it as it is.

    One that runs is restarted when its files change, or, with `restart`, for a reason that is not in them.
    """

    name: str
    running: bool | None = True
    enabled: bool | None = True
    restart: bool = False


@dataclass(frozen=True)
class UnitState:
    """What systemd says of a unit: its LoadState, ActiveState, UnitFileState, and whether its file is newer."""

    load: str
    active: str
    file: str
    outdated: bool

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self.active in _RUNNING

    @property
    def enabled(self) -> bool:
        """Whether it starts with the host, or cannot be asked to."""
        return self.file in _ENABLED


class Systemd:
    """systemctl. Every method raises ClusterkitError when it fails."""

    def __init__(self, runner: Runner, limit: float = 90.0) -> None:
        self._runner = runner
        self._limit = limit

    def states(self, names: Sequence[str]) -> dict[str, UnitState]:
        """Return the state of each unit, by one call."""
        if not names:
            return {}
        said = self._runner.run(
            ["systemctl", "show", f"--property={','.join(_PROPERTIES)}", "--", *names], limit=self._limit
        ).stdout
        blocks = [dict(line.split("=", 1) for line in block.splitlines()) for block in said.strip().split("\n\n")]
        if len(blocks) != len(names):
            raise ClusterkitError(f"systemctl told of {len(blocks)} units and was asked for {len(names)}")
        return {
            name: UnitState(
                block.get("LoadState", ""),
                block.get("ActiveState", ""),
                block.get("UnitFileState", ""),
                block.get("NeedDaemonReload") == "yes",
            )
            for name, block in zip(names, blocks)
        }

    def call(self, verb: str, *names: str) -> None:
        """Run a verb of systemctl on units."""
        self._runner.run(["systemctl", verb, *names], limit=self._limit)

    def run_up(self, verb: str, name: str, wait: Callable[[float], None] = time.sleep) -> None:
        """Start, restart or reload a unit and wait until it runs; raise with its last words when it does not."""
        self._runner.run(["systemctl", "reset-failed", name], limit=self._limit, accept=None)
        done = self._runner.run(["systemctl", verb, name], limit=self._limit, accept=None)
        end = time.monotonic() + self._limit
        while done.rc == 0:
            state = self.states([name])[name]
            if state.running:
                return
            if state.active in ("failed", "inactive") or time.monotonic() > end:
                break
            wait(0.1)
        journal = self._runner.run(["journalctl", "-u", name, "-n", "5", "-o", "cat"], limit=30, accept=None).stdout
        words = "; ".join(line.strip() for line in journal.splitlines() if line.strip()) or done.stderr.strip()
        raise ClusterkitError(f"{name} does not run after `systemctl {verb} {name}`: {words}")


class Service:
    """What is wanted of a service on this host."""

    def __init__(
        self,
        wanted: Sequence[File],
        directories: Sequence[Directory],
        units: Sequence[Unit],
        systemd: Systemd,
        runner: Runner,
        notes: str = NOTES,
        unit_directory: str = _UNIT_DIRECTORY,
    ) -> None:
        self._files = wanted
        self._directories = directories
        self._units = units
        self._systemd = systemd
        self._runner = runner
        self._notes = pathlib.Path(notes)
        self._unit_directory = unit_directory

    def plan(self) -> Plan:
        """Compare with what is there. Raises ClusterkitError for what cannot be brought about."""
        changes = [change for one in self._files if (change := _compare(one))]
        missing = [one for one in self._directories if _differs(one)]
        states = self._systemd.states([unit.name for unit in self._units])
        written = {change.file.path for change in changes if change.file.content is not None}
        removed = {change.file.path for change in changes if change.file.content is None}
        due = {(name, RESTART) for change in changes for name in change.file.restarts}
        due |= {(name, RELOAD) for change in changes for name in change.file.reloads}
        here = {unit.name for unit in self._units}
        later = sorted(one for one in due if one[0] not in here)
        due |= self._due() | {(unit.name, RESTART) for unit in self._units if unit.restart}
        steps = []
        for unit in self._units:
            path = f"{self._unit_directory}{unit.name}"
            steps.append(_step(unit, states[unit.name], path in written, path in removed, due))
        # The note tells of units that are in no list of ours, such as the service of a timer
        reload_units = (
            (self._notes / _UNREAD).exists()
            or any(state.outdated for state in states.values())
            or any(path.startswith(self._unit_directory) for path in written | removed)
        )
        return Plan(changes, missing, steps, reload_units, later)

    def validate(self, plan: Plan, tolerate_missing: bool = False) -> None:
        """Let each file's own command judge what would be written. Raises ClusterkitError with what it said.

        `tolerate_missing` passes over a command that is not there: in check mode its package may come before this.
        """
        for change in plan.changes:
            if not change.file.validate or change.file.content is None:
                continue
            with tempfile.TemporaryDirectory(prefix="clusterkit-") as directory:
                staged = _stage(self._files, directory)
                own = staged[change.file.path]
                argv = [staged.get(word, word).replace("%s", own) for word in change.file.validate]
                try:
                    self._runner.run(argv, limit=60)
                except ClusterkitError as error:
                    if tolerate_missing and not error.details:
                        continue
                    raise ClusterkitError(f"what would be {change.file.path} is not valid: {error}") from None

    def apply(self, plan: Plan) -> None:
        """Do what the plan says. Raises ClusterkitError; applied again it goes on from there."""
        due = [(step.unit.name, step.needs) for step in plan.steps if step.needs in (RESTART, RELOAD)]
        for name, verb in due + plan.later:
            self._note(f"{name}.{verb}")
        if plan.reload_units:
            self._note(_UNREAD)
        stopping = [step.unit.name for step in plan.steps if step.stop]
        if stopping:
            self._systemd.call("stop", *stopping)
        disabling = [step.unit.name for step in plan.steps if step.disable]
        if disabling:
            self._systemd.call("disable", *disabling)
        self._write(plan)
        if plan.reload_units:
            self._systemd.call("daemon-reload")
            (self._notes / _UNREAD).unlink()
        enabling = [step.unit.name for step in plan.steps if step.enable]
        if enabling:
            self._systemd.call("enable", *enabling)
        for step in plan.steps:
            if step.needs:
                self._systemd.run_up(step.needs, step.unit.name)
            # A unit that was started or is stopped has read its files, or will
            for verb in (RESTART, RELOAD):
                with contextlib.suppress(FileNotFoundError):
                    self._path_of_note(step.unit.name, verb).unlink()

    def _write(self, plan: Plan) -> None:
        for directory in plan.directories:
            _make(directory)
        for change in plan.changes:
            if change.file.content is not None:
                change.apply()
        for one in self._files:
            if one.content is None and not _masked(one.path):
                # Also what a killed process left of writing it, which may be all that is there
                files.remove(one.path)

    def _due(self) -> set[tuple[str, str]]:
        return {
            (unit.name, verb)
            for unit in self._units
            for verb in (RESTART, RELOAD)
            if self._path_of_note(unit.name, verb).exists()
        }

    def _note(self, name: str) -> None:
        self._notes.mkdir(mode=0o755, parents=True, exist_ok=True)
        (self._notes / name).touch()

    def _path_of_note(self, name: str, verb: str) -> pathlib.Path:
        return self._notes / f"{name}.{verb}"


@dataclass(frozen=True)
class Change:
    """A file that differs: what is there (None where there is no file), and its attributes as (mode, uid, gid)."""

    file: File
    present: bytes | None
    attributes: tuple[int, int, int] | None

    def apply(self) -> None:
        """Write, or set the attributes. Raises ClusterkitError."""
        wanted = self.file
        if wanted.content is None:
            raise AssertionError("a file that goes is removed, not written")
        if wanted.content == self.present:
            files.set_attributes(wanted.path, mode=wanted.mode, owner=wanted.owner, group=wanted.group)
        else:
            files.write_atomically(
                wanted.path, wanted.content, mode=wanted.mode, owner=wanted.owner, group=wanted.group
            )

    def diff(self) -> dict[str, Any]:
        """Return the difference as Ansible shows it: text, the digest of what is none, or attributes.

        What a file held that goes is not shown: nobody said whether it was a secret.
        """
        wanted = self.file
        before, after = (
            _shown(self.present, wanted.secret or wanted.content is None, MASK_PRESENT),
            _shown(wanted.content, wanted.secret, MASK_WANTED),
        )
        if wanted.content == self.present and self.attributes:
            mode, uid, gid = self.attributes
            before = f"mode {mode:04o}, owner {uid}, group {gid}\n"
            after = (
                f"mode {wanted.mode:04o}, owner {files.user_id(wanted.owner)}, group {files.group_id(wanted.group)}\n"
            )
        return {"before_header": wanted.path, "after_header": wanted.path, "before": before, "after": after}


@dataclass(frozen=True)
class Step:
    """What a unit needs: `needs` is 'start', 'restart', 'reload' or empty."""

    unit: Unit
    state: UnitState
    stop: bool
    enable: bool
    disable: bool
    needs: str

    @property
    def changed(self) -> bool:
        """Whether anything is to be done."""
        return bool(self.stop or self.enable or self.disable or self.needs)


@dataclass(frozen=True)
class Plan:
    """All that differs."""

    changes: list[Change]
    directories: list[Directory]
    steps: list[Step]
    reload_units: bool
    #: Restarts and reloads of units that another plan brings up.
    later: list[tuple[str, str]]

    @property
    def changed(self) -> bool:
        """Whether anything differs."""
        return bool(self.changes or self.directories or self.reload_units or any(step.changed for step in self.steps))

    def diffs(self) -> list[dict[str, Any]]:
        """Return the differences as Ansible shows them."""
        out = [change.diff() for change in self.changes]
        before, after = {}, {}
        for directory in self.directories:
            before[directory.path] = "present" if pathlib.Path(directory.path).is_dir() else "absent"
            after[directory.path] = f"directory, mode {directory.mode:04o}, {directory.owner}:{directory.group}"
        for step in self.steps:
            if step.changed:
                name = step.unit.name
                before[name] = _told(step.state.running, step.state.enabled)
                after[name] = _told(
                    step.state.running if step.unit.running is None else step.unit.running,
                    step.state.enabled if step.unit.enabled is None else step.unit.enabled,
                    step.needs,
                )
        if self.reload_units:
            before["systemd"], after["systemd"] = "knows older units", "daemon-reload"
        if before or after:
            out.append({"before": before, "after": after})
        return out


def _stage(wanted_files: Sequence[File], directory: str) -> dict[str, str]:
    """Write what files would be into a directory, with each other's paths there in them; return these by their own.

    All of them, also those that are so already: what one of these names may be what is missing now.
    """
    wanted = {one.path: one.content for one in wanted_files if one.content is not None}
    staged = {path: f"{directory}/{number}/{pathlib.Path(path).name}" for number, path in enumerate(wanted)}
    for path, content in wanted.items():
        text = content
        for other in sorted(wanted, key=len, reverse=True):
            text = text.replace(other.encode(), staged[other].encode())
        pathlib.Path(staged[path]).parent.mkdir()
        files.write_atomically(staged[path], text, durable=False)
    return staged


def _masked(path: str) -> bool:
    """Tell whether a unit was masked: then its file is not there, and nobody but the administrator unmasks it."""
    return os.path.realpath(path) == os.devnull


def _compare(wanted: File) -> Change | None:
    if _masked(wanted.path):
        if wanted.content is None:
            return None
        name = pathlib.Path(wanted.path).name
        raise ClusterkitError(f"{name} is masked on this host: `systemctl unmask {name}` lets it start")
    status = files.status_if_exists(wanted.path)
    present = files.read_if_exists(wanted.path)
    if wanted.content is None:
        return Change(wanted, present, None) if present is not None else None
    if status is None or present != wanted.content:
        return Change(wanted, present, None)
    attributes = (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)
    same = attributes == (wanted.mode, files.user_id(wanted.owner), files.group_id(wanted.group))
    return None if same else Change(wanted, present, attributes)


def _differs(wanted: Directory) -> bool:
    try:
        status = pathlib.Path(wanted.path).stat()
    except FileNotFoundError:
        return True
    except OSError as error:
        raise ClusterkitError(f"cannot look at {wanted.path}: {error.strerror}") from None
    if not stat.S_ISDIR(status.st_mode):
        raise ClusterkitError(f"{wanted.path} is no directory: expected one, or nothing there")
    wanted_ids = (files.user_id(wanted.owner), files.group_id(wanted.group))
    return (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) != (wanted.mode, *wanted_ids)


def _make(wanted: Directory) -> None:
    path = pathlib.Path(wanted.path)
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700)
        files.set_attributes(wanted.path, mode=wanted.mode, owner=wanted.owner, group=wanted.group)
    except OSError as error:
        raise ClusterkitError(f"cannot make the directory {wanted.path}: {error.strerror}") from None


def _step(unit: Unit, state: UnitState, written: bool, removed: bool, due: set[tuple[str, str]]) -> Step:
    """Return what the unit needs, where `written` and `removed` tell of its own file. Raises ClusterkitError."""
    if unit.running:
        if state.load == "masked":
            raise ClusterkitError(f"{unit.name} is masked on this host: `systemctl unmask {unit.name}` lets it start")
        if removed or (state.load == "not-found" and not written):
            raise ClusterkitError(f"{unit.name} does not exist on this host: is its package installed?")
    needs = "start" if unit.running and not state.running else ""
    # One that is just starting may have read the old file
    if (state.running or state.active == "activating") and unit.running is not False:
        needs = next((verb for verb in (RESTART, RELOAD) if (unit.name, verb) in due), needs)
    return Step(
        unit,
        state,
        stop=unit.running is False and state.active not in ("", "inactive", "failed"),
        enable=unit.enabled is True and not state.enabled,
        disable=unit.enabled is False and state.enabled and state.file != "static",
        needs=needs,
    )


def _told(running: bool, enabled: bool, needs: str = "") -> str:
    text = f"{'running' if running else 'not running'}, {'enabled' if enabled else 'not enabled'}"
    return f"{text}, {needs}ed" if needs in (RESTART, RELOAD) else text


def _shown(content: bytes | None, secret: bool, mask: str) -> str:
    if content is None:
        return ""
    if secret:
        return f"{mask}\n"
    try:
        return content.decode()
    except UnicodeDecodeError:
        return f"SHA-256 {hashlib.sha256(content).hexdigest()}\n"
