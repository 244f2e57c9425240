# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Moving data of a program to another place: copy, read back, put in place, switch, and only later remove.

At every moment the old or the new location is complete, and the switch points to a complete one:

    copying      the old location is in use. Below the target a staging directory grows towards it.
    publishing   as before; what was verified is being renamed from the staging directory into the target.
    switching    both are complete, and equal.
    switched     the new location is in use, the originals are still there.
    clearing     the originals are being put aside, so that nothing new that comes to their places is touched.
    removing     the originals are being removed.
    removed      the new location is all there is.
    joined       another member had brought the data there; this one uses them, and its own stay where they are.

Interrupted before the switch, a run begins again at copying, with all that has been verified; interrupted behind it,
it goes on. Which of the two is asked of the switch itself.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import secrets
import time
from dataclasses import dataclass, field
from typing import Any, Mapping, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._appdata import target as targets
from ansible_collections.clusterkit.middleware.plugins.module_utils._appdata.guards import check_entries, check_unused
from ansible_collections.clusterkit.middleware.plugins.module_utils._appdata.journal import (
    VERIFIED,
    Journal,
    journal_path,
)
from ansible_collections.clusterkit.middleware.plugins.module_utils._appdata.phases import (
    CLEARING,
    COPYING,
    GONE,
    JOINED,
    PUBLISHING,
    REMOVED,
    REMOVING,
    SWITCHED,
    SWITCHING,
)
from ansible_collections.clusterkit.middleware.plugins.module_utils._appdata.scan import Needs, Scanner
from ansible_collections.clusterkit.middleware.plugins.module_utils._appdata.switch import (
    ASIDE,
    NEITHER,
    ON,
    PARTLY,
    Switch,
    original,
)
from ansible_collections.clusterkit.middleware.plugins.module_utils._appdata.target import LOSSES, OWN, Abilities
from ansible_collections.clusterkit.middleware.plugins.module_utils._appdata.transfer import Transfer, guarded
from ansible_collections.clusterkit.middleware.plugins.module_utils._appdata.tree import (
    Entry,
    directory,
    remove,
    shown,
    split,
)
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.files import read_if_exists, sync_directory
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.locks import exclusive
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.progress import BYTES, Progress

#: Scans that may find something new while nothing is to run, before a migration gives up.
_ROUNDS = 5
#: Of the space that is needed, so much more has to be free: directories and the file system's own books.
_SPARE = 1.05


@dataclass(frozen=True)
class Request:
    """What is to be moved, and how.

    `identity` names what has to be the same on a member that joins. `join_only` tells that this member brings nothing:
    another one has moved its data there.
    """

    entries: tuple[Entry, ...]
    target: str
    switch: Switch
    member: str
    state_directory: str
    identity: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    accept: frozenset[str] = frozenset()
    allow_same_file_system: bool = False
    workers: int = 0
    join_only: bool = False


@dataclass
class Report:
    """What a phase found and did; sizes in bytes."""

    changed: bool = False
    phase: str = ""
    entries: list[dict[str, Any]] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    files: int = 0
    bytes: int = 0
    to_copy: int = 0
    to_copy_bytes: int = 0
    free_bytes: int = 0
    free_inodes: int = 0
    copied: int = 0
    removed: int = 0
    lost: dict[str, str] = field(default_factory=dict)
    changed_since: int = 0
    kept: str = ""


class Migration:
    """One migration, to be asked for a phase. `status_file` None tells nobody how far it has come."""

    def __init__(self, request: Request, runner: Runner, status_file: str | None = None) -> None:
        self._request = request
        self._runner = runner
        self._status_file = status_file
        self._journal_path = journal_path(request.state_directory, request.target)
        self._staging = os.path.join(request.target, OWN, "staging")
        self._report = Report()
        # Before anything else: whoever asks a server that is gone waits for ever
        targets.require_answer(request.target, runner)
        check_entries(request.entries, request.target)

    # --- phases ------------------------------------------------------------------------------------------------------

    def plan(self, phase: str) -> Report:
        """Tell what a phase would do; nothing is written but a temporary file. Raises ClusterkitError."""
        journal = Journal("")
        try:
            if os.path.exists(self._journal_path):
                journal.copy_from(self._journal_path)
            known, on = journal.get("phase"), self._request.switch.state() == ON
            self._report.phase = known or ""
            if phase in ("precopy", "migrate"):
                if not on:
                    self._preview(journal, phase)
            elif phase == "rollback":
                self._report.changed = self._request.switch.state() != NEITHER
                if self._report.changed:
                    self._require_originals(journal)
            else:
                self._report.changed = known in (SWITCHED, CLEARING, REMOVING)
            return self._report
        finally:
            journal.close()

    def run(self, phase: str) -> Report:
        """Do a phase: precopy, migrate, rollback or remove_source. Raises ClusterkitError."""
        do = {
            "precopy": self._precopy,
            "migrate": self._migrate,
            "rollback": self._rollback,
            "remove_source": self._remove_source,
        }[phase]
        os.makedirs(os.path.dirname(self._journal_path), mode=0o700, exist_ok=True)
        # One lock for all: two targets of the same source are as wrong as two runs to one target
        with exclusive(os.path.join(self._request.state_directory, "lock"), 0, f"{phase} to {self._request.target}"):
            journal = Journal(self._journal_path)
            try:
                with Progress(self._status_file, unit=BYTES) as progress:
                    guarded(lambda: do(journal, progress))
                self._report.phase = journal.get("phase", "")
                return self._report
            finally:
                journal.close()

    def _precopy(self, journal: Journal, progress: Progress) -> None:
        if self._request.switch.state() == ON or self._is_gone(journal) or self._joins():
            return
        self._begin(journal)
        transfer, _scanner = self._prepare(journal, progress)
        self._measure(journal)
        self._report.copied, self._report.removed = transfer.run(int(journal.get("generation")))
        self._report.changed = bool(self._report.to_copy or self._report.removed)

    def _migrate(self, journal: Journal, progress: Progress) -> None:
        request = self._request
        if request.switch.state() == ON:
            self._finish_switch(journal)
            return
        if self._is_gone(journal):
            check_unused([], request.units, self._runner)
            request.switch.on()
            self._report.changed = True
            return
        joins = self._joins()
        check_unused(list(self._places(required=not joins).values()), request.units, self._runner)
        if joins:
            self._join(journal)
            return
        self._begin(journal)
        transfer, scanner = self._prepare(journal, progress)
        self._measure(journal)
        self._copy_until_nothing_changes(journal, transfer, scanner)
        check_unused(list(self._places().values()), request.units, self._runner)
        self._publish(journal, transfer)
        journal.set(phase=SWITCHING, before=request.switch.before(), moved=self._moved())
        request.switch.on()
        self._finish_switch(journal)
        self._report.changed = True

    def _rollback(self, journal: Journal, progress: Progress) -> None:
        del progress  # nothing here takes long
        request, phase = self._request, journal.get("phase")
        if request.switch.state() == NEITHER and phase in (None, COPYING):
            return
        self._require_originals(journal)
        places = self._places(required=phase != JOINED).values()
        check_unused([request.target, *places], request.units, self._runner)
        self._report.changed = True
        if request.switch.state() != NEITHER:
            request.switch.off(journal.get("before"))
        self._put_back()
        if phase != JOINED:
            # What has been written there meanwhile may be nowhere else: it is kept
            self._report.kept = self._take_aside(journal)
        journal.forget_all()
        journal.set(phase=COPYING)

    def _remove_source(self, journal: Journal, progress: Progress) -> None:
        phase = journal.get("phase")
        if phase in (None, REMOVED, JOINED):
            return
        if self._request.switch.state() != ON:
            raise ClusterkitError("the new location is not in use yet: migrate before the originals are removed")
        self._finish_switch(journal)
        if journal.get("phase") == SWITCHED:
            check_unused(list(self._to_remove().values()), (), self._runner)
            self._verify_once_more(journal, progress)
            journal.set(phase=CLEARING)
        if journal.get("phase") == CLEARING:
            for number, place in self._to_remove().items():
                aside = self._request.entries[number].source + ASIDE
                if place != aside:
                    os.rename(place, aside)
                    sync_directory(os.path.dirname(aside))
            journal.set(phase=REMOVING)
        protected = "flags" in self._request.accept
        for entry in self._request.entries:
            parent, name = os.path.split(entry.source + ASIDE)
            if not entry.keep and os.path.isdir(parent):
                with directory(parent, b"") as opened:
                    remove(opened, os.fsencode(name), protected)
                sync_directory(parent)
        journal.forget_all()
        journal.set(phase=REMOVED)
        self._report.changed = True

    # --- before anything is copied -----------------------------------------------------------------------------------

    def _places(self, required: bool = True) -> dict[int, str]:
        """Return where the originals lie that there are. Raises ClusterkitError for none, where one is required."""
        found = {number: original(entry) for number, entry in enumerate(self._request.entries)}
        self._report.absent = [self._request.entries[number].source for number, place in found.items() if not place]
        places = {number: place for number, place in found.items() if place}
        if required and not places:
            raise ClusterkitError(f"nothing to be moved: none of {', '.join(self._report.absent)} is there")
        return places

    def _is_anothers(self) -> bool:
        """Tell whether another member has brought its data to the target. Raises ClusterkitError while it does so."""
        marker = targets.read_marker(self._request.target) if os.path.isdir(self._request.target) else {}
        if not marker or marker["member"] == self._request.member:
            return False
        if not marker["published"]:
            raise ClusterkitError(
                f"{marker['member']} is moving its data to {self._request.target}, or was interrupted: let it finish"
            )
        return True

    def _joins(self) -> bool:
        """Tell whether this member is to use what another one has brought. Raises ClusterkitError when nobody has."""
        if self._is_anothers():
            return True
        if self._request.join_only:
            raise ClusterkitError(
                f"no other member has brought its data to {self._request.target} yet: migrate the one whose data are "
                "to be shared first"
            )
        return False

    def _is_gone(self, journal: Journal) -> bool:
        """Tell whether the old location is no more, so that only the new one can be used, whatever the switch says.

        Raises ClusterkitError when somebody has switched back by hand while both are there: a copy of the old location
        would overwrite what was written at the new one.
        """
        phase, target = journal.get("phase"), self._request.target
        if phase in GONE or (phase == SWITCHED and not self._places(required=False)):
            marker = targets.read_marker(target) if os.path.isdir(target) else {}
            if not marker.get("published") or marker["migration"] != journal.get("migration"):
                raise ClusterkitError(
                    f"the data were moved to {target}, where they cannot be seen: is the shared storage mounted?"
                )
            return True
        if phase != SWITCHED:
            return False
        raise ClusterkitError(
            f"the data were moved to {target}, and somebody has switched back by hand since. What was written there "
            "meanwhile would be overwritten: roll back, which keeps it aside, and migrate again; or switch to it again "
            "by hand"
        )

    def _look_at_target(self, places: Mapping[int, str]) -> targets.Mount:
        request = self._request
        mount = targets.mount_of(request.target)
        if not request.allow_same_file_system:
            for place in places.values():
                if os.lstat(place).st_dev == mount.device:
                    raise ClusterkitError(
                        f"{request.target} is on the file system of {place}: is the shared storage mounted at all? "
                        "(allow_same_file_system lets this pass)"
                    )
        if mount.read_only:
            raise ClusterkitError(f"{request.target} is on {mount.point}, which is mounted read-only")
        marker = targets.read_marker(request.target) if os.path.isdir(request.target) else {}
        others = targets.strangers(request.target, marker.get("names", ()))
        if others:
            raise ClusterkitError(
                f"{request.target} holds what is not ours: {', '.join(others[:5])}. Give an empty or new directory"
            )
        return mount

    def _begin(self, journal: Journal) -> None:
        """Come to the state in which everything that is done lies in the staging directory."""
        self._look_at_target(self._places())
        if self._request.switch.state() == PARTLY:
            self._undo_partly(journal)
        if journal.get("migration") is None:
            journal.set(migration=secrets.token_hex(8), phase=COPYING)
        target = self._request.target
        if not os.path.isdir(target):
            parent = os.path.dirname(target)
            if not os.path.isdir(parent):
                raise ClusterkitError(f"{target} cannot be made: {parent} does not exist")
            journal.set(made_target=True)
            os.mkdir(target, 0o755)
            sync_directory(parent)
        marker = targets.read_marker(target)
        if not marker:
            journal.forget_all()
            self._mark(journal, published=False, names=[], claim=True)
        elif marker["migration"] != journal.get("migration"):
            # The journal that knew the staging directory is lost, and so is what had been verified
            if marker["published"]:
                raise ClusterkitError(
                    f"{target} holds what this member brought there, and nothing here knows of it any more: either the "
                    "program is to use that (then switch by hand), or it is to be moved away"
                )
            journal.forget_all()
            with directory(target, os.fsencode(OWN)) as own:
                remove(own, b"staging")
            journal.set(migration=marker["migration"], phase=COPYING)
        os.makedirs(self._staging, mode=0o700, exist_ok=True)
        self._unpublish(journal)

    def _mark(self, journal: Journal, published: bool, names: Sequence[str], claim: bool = False) -> None:
        marker = {"migration": journal.get("migration"), "member": self._request.member}
        content = {**marker, "published": published, "names": sorted(names)}
        targets.write_marker(self._request.target, content, claim)

    def _undo_partly(self, journal: Journal) -> None:
        """Go back from a switch of several links that was interrupted, unless what was switched has been used."""
        target = self._request.target
        if os.path.isdir(os.path.join(target, OWN)):
            used = self._known_transfer(journal, {}, Progress(None)).differing(target)
            if used:
                raise ClusterkitError(
                    f"a run was interrupted while it switched, and the program has been started since: "
                    f"{', '.join(used[:5])} in {target} changed. Compare with the originals, and let rollback put "
                    "them back"
                )
        self._request.switch.off(None)

    def _prepare(self, journal: Journal, progress: Progress) -> tuple[Transfer, Scanner]:
        """Look at the source, try the target, and refuse what does not fit."""
        request, places = self._request, self._places()
        mount = self._look_at_target(places)
        scanner = Scanner(journal, request.entries, places, request.target, request.switch.links_stay)
        generation = scanner.run()
        needs = scanner.needs()
        probing = os.path.join(request.target, OWN, "probe")
        with directory(request.target, os.fsencode(OWN)) as own:
            remove(own, b"probe")
            os.mkdir(b"probe", 0o700, dir_fd=own)
            found = targets.probe(probing, needs)
            remove(own, b"probe")
        self._refuse_losses(journal, needs, found)
        journal.pair_links(generation, "hard_links" not in found.lost)
        abilities = dataclasses.replace(found, workers=request.workers or found.workers)
        journal.set(lost=sorted(found.lost), granularity=found.granularity)
        self._check_space(journal, generation)
        transfer = Transfer(journal, request.entries, places, self._staging, abilities, mount.is_local, progress)
        return transfer, scanner

    def _refuse_losses(self, journal: Journal, needs: Needs, found: Abilities) -> None:
        lost = {name: needs.told(name) if name in needs.counts else "" for name in found.lost}
        for name in ("flags", "links"):
            if name in needs.counts:
                lost[name] = needs.told(name)
        outside = journal.links_out()
        if outside:
            lost["hard_links_out"] = f"{len(outside)}: {', '.join(shown(path) for path in outside[:5])}"
        self._report.lost = {name: lost[name] for name in sorted(lost)}
        refused = [name for name in sorted(lost) if name not in self._request.accept]
        if refused:
            told = [f"{LOSSES[name]} ({name}{': ' + lost[name] if lost[name] else ''})" for name in refused]
            raise ClusterkitError(
                f"{self._request.target} would not hold {'; '.join(told)}. Take storage that does, or accept the loss "
                f"by name: accept: [{', '.join(refused)}]"
            )

    def _check_space(self, journal: Journal, generation: int) -> None:
        todo = "generation = ? AND state < ?"
        files, size = journal.count(todo, (generation, VERIFIED))
        self._report.to_copy, self._report.to_copy_bytes = files, size
        free = os.statvfs(targets.existing(self._request.target))
        self._report.free_bytes, self._report.free_inodes = free.f_bavail * free.f_frsize, free.f_favail
        space = int(journal.space(todo, (generation, VERIFIED)) * _SPARE)
        too_many = bool(free.f_files) and files > free.f_favail
        if space <= self._report.free_bytes and not too_many:
            return
        # An interrupted run may have written some of it already
        written, blocks = self._written(journal, generation)
        if space > self._report.free_bytes + blocks:
            raise ClusterkitError(
                f"{self._request.target} has {self._report.free_bytes} bytes free, and {space} are needed: make room"
            )
        if too_many and files > free.f_favail + written:
            raise ClusterkitError(
                f"{self._request.target} has {free.f_favail} inodes free, and {files} are needed: make room"
            )

    def _written(self, journal: Journal, generation: int) -> tuple[int, int]:
        """Return how many of the files that are to be copied have something in the staging directory, and its space."""
        number = blocks = 0
        for page in journal.pages("generation = ? AND state < ?", (generation, VERIFIED)):
            for item in page:
                parent, name = split(item.path)
                with contextlib.suppress(OSError), directory(self._staging, parent) as opened:
                    found = os.lstat(name or b".", dir_fd=opened)
                    number += 1
                    blocks += found.st_blocks * 512
        return number, blocks

    def _measure(self, journal: Journal) -> None:
        generation = int(journal.get("generation"))
        self._report.files, self._report.bytes = journal.count("generation = ?", (generation,))
        for number, entry in enumerate(self._request.entries):
            files, size = journal.count("generation = ? AND entry = ?", (generation, number))
            if files:
                self._report.entries.append(
                    {"source": entry.source, "name": entry.name, "files": files, "bytes": size, "keep": entry.keep}
                )

    def _preview(self, journal: Journal, phase: str) -> None:
        request, migrate = self._request, phase == "migrate"
        self._report.changed = migrate
        if self._is_gone(journal):
            return
        if self._joins():
            self._compare_identity()
            return
        places = self._places()
        self._look_at_target(places)
        scanner = Scanner(journal, request.entries, places, request.target, request.switch.links_stay)
        generation = scanner.run()
        self._measure(journal)
        self._check_space(journal, generation)
        self._report.changed = migrate or bool(self._report.to_copy)

    # --- copying and putting in place --------------------------------------------------------------------------------

    def _copy_until_nothing_changes(self, journal: Journal, transfer: Transfer, scanner: Scanner) -> None:
        generation = int(journal.get("generation"))
        left = "generation < ? OR state < ?"
        for _round in range(_ROUNDS):
            copied, removed = transfer.run(generation)
            self._report.copied += copied
            self._report.removed += removed
            transfer.reopen_differing()
            if not scanner.is_still_so(targets.FEW):
                generation = scanner.run()
                journal.pair_links(generation, "hard_links" not in transfer.abilities.lost)
            if not journal.count(left, (generation, VERIFIED))[0]:
                return
        page = next(journal.pages(left, (generation, VERIFIED)))
        raise ClusterkitError(
            f"{shown(page[0].path)}, and perhaps more, keeps changing while nothing is to use it: "
            "find out what writes there"
        )

    def _publish(self, journal: Journal, transfer: Transfer) -> None:
        target, names = self._request.target, sorted(os.listdir(self._staging))
        journal.set(phase=PUBLISHING)
        self._mark(journal, published=False, names=names)
        self._rename(names, self._staging, target)
        transfer.finish_root(target, made=bool(journal.get("made_target")))
        sync_directory(self._staging)
        sync_directory(target)
        self._mark(journal, published=True, names=names)

    def _unpublish(self, journal: Journal) -> None:
        """Take back into the staging directory what an interrupted run put in place: the source may have changed."""
        target = self._request.target
        names = targets.read_marker(target)["names"]
        self._rename([name for name in names if os.path.lexists(os.path.join(target, name))], target, self._staging)
        if names:
            sync_directory(target)
            self._mark(journal, published=False, names=[])
        journal.set(phase=COPYING)

    @staticmethod
    def _rename(names: Sequence[str], source: str, target: str) -> None:
        for name in names:
            if os.path.lexists(os.path.join(target, name)):
                raise ClusterkitError(f"{os.path.join(target, name)} has come into being meanwhile: whose is it?")
            os.rename(os.path.join(source, name), os.path.join(target, name))

    def _finish_switch(self, journal: Journal) -> None:
        """Note that the new location is in use, where a run was interrupted before it could."""
        if journal.get("phase") not in (PUBLISHING, SWITCHING):
            return
        for number, place in self._places().items():
            # Exchanging names was a change of the originals' inodes, and none of their content
            journal.touch(os.fsencode(self._request.entries[number].name), os.lstat(place).st_ctime_ns)
        journal.set(phase=SWITCHED)

    # --- a member that comes later -----------------------------------------------------------------------------------

    def _join(self, journal: Journal) -> None:
        self._compare_identity()
        journal.set(phase=JOINED, before=self._request.switch.before(), moved=self._moved())
        self._request.switch.on()
        self._report.changed = True

    def _compare_identity(self) -> None:
        """Raise ClusterkitError when what this member has of what has to be the same is another's.

        One that has nothing of it yet takes it from there.
        """
        wrong = []
        for name in self._request.identity:
            there = read_if_exists(os.path.join(self._request.target, name))
            mine = read_if_exists(self._own_path(name))
            if mine is not None and there != mine:
                wrong.append(f"{name} {'is not there' if there is None else 'differs'}")
        if wrong:
            raise ClusterkitError(
                f"this member is none of those that share {self._request.target}: {', '.join(wrong)}. Nothing was "
                "merged; install it so that it has the same, and keep a copy of what it has now"
            )

    def _own_path(self, name: str) -> str:
        for entry in self._request.entries:
            place = original(entry) or entry.source
            if not entry.name or name == entry.name or name.startswith(f"{entry.name}/"):
                return os.path.join(place, os.fsdecode(entry.at(os.fsencode(name)))).rstrip("/")
        raise ClusterkitError(f"identity names {name}, which is below none of the entries")

    def _moved(self) -> dict[str, Any]:
        """Return what has to be known of the migration later, when the program's configuration tells it no more."""
        entries = [dataclasses.asdict(entry) for entry in self._request.entries]
        return {"target": self._request.target, "entries": entries, "property": self._request.switch.told()}

    # --- afterwards --------------------------------------------------------------------------------------------------

    def _to_remove(self) -> dict[int, str]:
        """Return where the originals lie that are not to be kept."""
        entries = self._request.entries
        found = {number: original(entry) for number, entry in enumerate(entries) if not entry.keep}
        return {number: place for number, place in found.items() if place}

    def _verify_once_more(self, journal: Journal, progress: Progress) -> None:
        """Compare the originals with what is in use now, as far as that has not been changed by use.

        Raises ClusterkitError for originals that have changed, and for copies that differ and should not.
        """
        places = self._to_remove()
        Scanner(journal, self._request.entries, places, self._request.target, self._request.switch.links_stay).run()
        among = f"entry IN ({', '.join(map(str, places)) or 'NULL'})"
        generation = int(journal.get("generation"))
        for page in journal.pages(f"{among} AND (generation < ? OR state < ?)", (generation, VERIFIED)):
            raise ClusterkitError(
                f"{shown(page[0].path)} was changed at the old location after the migration: something still uses it. "
                "Bring what is new to the new location by hand, or roll back"
            )
        self._report.changed_since = self._known_transfer(journal, places, progress).compare_in_use(
            self._request.target, f"{among} AND kind = 'f'"
        )

    def _known_transfer(self, journal: Journal, places: Mapping[int, str], progress: Progress) -> Transfer:
        """Return a transfer with what an earlier run found out about the target."""
        mount, target = targets.mount_of(self._request.target), self._request.target
        workers = self._request.workers or (targets.FEW if mount.is_local else targets.MANY)
        known = Abilities(frozenset(journal.get("lost", ())), frozenset(), int(journal.get("granularity", 1)), workers)
        return Transfer(journal, self._request.entries, places, target, known, mount.is_local, progress)

    def _require_originals(self, journal: Journal) -> None:
        phase = journal.get("phase")
        if phase in (REMOVING, REMOVED):
            raise ClusterkitError("the originals have been removed: restore a backup to go back")
        if phase is None:
            raise ClusterkitError(f"nothing here knows of a migration to {self._request.target}: switch back by hand")
        entries = self._request.entries if phase != JOINED else ()
        moved = [one for number, one in enumerate(entries) if journal.count("entry = ?", (number,))[0]]
        missing = [entry.source for entry in moved if not original(entry)]
        if missing:
            raise ClusterkitError(f"{', '.join(missing)} is not there any more: restore a backup to go back")

    def _put_back(self) -> None:
        for entry in self._request.entries:
            aside = entry.source + ASIDE
            if os.path.lexists(aside) and not os.path.lexists(entry.source):
                os.rename(aside, entry.source)
                sync_directory(os.path.dirname(aside))

    def _take_aside(self, journal: Journal) -> str:
        """Move what was in use out of the target, into a directory that nothing here ever touches again."""
        target = self._request.target
        marker = targets.read_marker(target)
        names = [name for name in marker.get("names", ()) if os.path.lexists(os.path.join(target, name))]
        if not names:
            return ""
        kept = os.path.join(target, OWN, time.strftime("rolled-back-%Y%m%dT%H%M%S"))
        os.makedirs(kept, mode=0o700, exist_ok=True)
        for name in names:
            os.rename(os.path.join(target, name), os.path.join(kept, name))
        sync_directory(target)
        self._mark(journal, published=False, names=[])
        return kept
