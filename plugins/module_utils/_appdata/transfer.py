# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings the items of a journal from their source into a directory, and reads back what has arrived.

A file gets its modification time when its content is complete: so one with the time and size of its source was
written whole, or at worst lost in a power failure, which reading it back finds.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import stat
from typing import Callable, Collection, Iterable, Iterator, List, Mapping, Optional, Sequence, TypeVar

from ansible_collections.clusterkit.middleware.plugins.module_utils._appdata.journal import (
    TO_DO,
    VERIFIED,
    WRITTEN,
    Item,
    Journal,
)
from ansible_collections.clusterkit.middleware.plugins.module_utils._appdata.target import Abilities, make_special
from ansible_collections.clusterkit.middleware.plugins.module_utils._appdata.tree import (
    ACLS,
    DIRECTORY,
    FILE,
    LINK,
    SPECIAL,
    Entry,
    copy_content,
    create,
    directory,
    forget_cached,
    kind_of,
    listing,
    open_to_read,
    remove,
    same_content,
    set_xattrs,
    shown,
    split,
    status,
    sync_file_system,
    xattrs,
    xattrs_of,
)
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.crew import Crew
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.progress import Progress

#: Items of one directory that a worker takes at once, and their bytes: its directories are opened once for all of them.
_BATCH, _BATCH_BYTES = 32, 4 * 1024 * 1024
#: The same where nothing but their attributes is looked at.
_BATCH_TO_LOOK_AT = 500
#: On a local file system less than this is done sooner than workers are there.
_FEW, _FEW_BYTES = 256, 64 * 1024 * 1024
#: So many of the workers are processes; each has the others as threads, which only wait for answers.
_PROCESSES = 4
#: A file that comes back otherwise than it was written is written once more, and no third time.
_ATTEMPTS = 2

#: What is gone because the source changes while a program still runs.
_GONE = (FileNotFoundError, NotADirectoryError)
#: The state that each of some items is in now; None: in that it was in.
Outcome = List[Optional[int]]
Task = Callable[[List[Item]], Outcome]
_T = TypeVar("_T")


class Transfer:
    """From where to where, and what may be lost on the way.

    `places` says where the source of each entry lies; `staging` is the directory that everything comes into; `local`
    tells that one call writes out the whole file system.
    """

    def __init__(
        self,
        journal: Journal,
        entries: Sequence[Entry],
        places: Mapping[int, str],
        staging: str,
        abilities: Abilities,
        local: bool,
        progress: Progress,
    ) -> None:
        self._journal = journal
        self._entries = entries
        self._places = places
        self._staging = staging
        self.abilities = abilities
        self._local = local
        self._progress = progress
        self._bytes = 0
        #: These lie in a directory of their own at the source, wherever they come to.
        self._roots = {os.fsencode(entry.name) for entry in entries}

    def run(self, generation: int) -> tuple[int, int]:
        """Do all that is to be done of what a scan saw; return how many files were copied and how many removed.

        Raises ClusterkitError. What changes meanwhile at the source stays to be done.
        """
        removed = guarded(lambda: self._remove_what_is_gone(generation))
        verified = 0
        for _attempt in range(_ATTEMPTS):
            self._journal.reopen_links()
            files, size = self._journal.count("generation = ? AND state < ?", (generation, VERIFIED))
            if not files:
                break
            self._progress.total = self._bytes + 2 * size
            first, second = "(leader IS NULL OR leader = path)", "leader != path"
            for which in (first, second):
                todo = f"generation = ? AND state < ? AND {which}"
                self._each(self._write, todo, (generation, VERIFIED), "copying", touches=True)
            self._sync()
            written = "generation = ? AND state = ? AND kind != 'd'"
            verified += self._each(self._verify, written, (generation, WRITTEN), "verifying")
            if not self._journal.count(written, (generation, WRITTEN))[0]:
                break
        else:
            page = next(self._journal.pages(written, (generation, WRITTEN)))
            raise ClusterkitError(
                f"{shown(page[0].path)} comes back from the target otherwise than it was written, time and again: "
                "do not use this storage before the cause is known"
            )
        self._each(self._finish_directory, "generation = ? AND state < ? AND kind = 'd'", (generation, VERIFIED), "")
        self._sync()
        return verified, removed

    def differing(self, root: str) -> list[str]:
        """Return names of items, some, whose kind, size or attributes in `root` are not those they were left with."""
        found: list[str] = []
        for items, outcome in self._outcomes(
            lambda items: self._differing(root, items), "state = ?", (VERIFIED,), _BATCH_TO_LOOK_AT
        ):
            found += [shown(item.path) for item, state in zip(items, outcome) if state == TO_DO]
            del found[_BATCH:]
        return sorted(found)

    def compare_in_use(self, root: str, condition: str) -> int:
        """Compare the files that fulfil a condition with what is in use of them; return how many use has changed.

        Raises ClusterkitError for one that differs though nothing has changed it.
        """
        self._progress.total = self._journal.count(condition)[1]
        changed = done = 0
        for items, outcome in self._outcomes(lambda items: self._compare_in_use(root, items), condition, ()):
            changed += sum(state == TO_DO for state in outcome)
            done += len(items)
            self._tell(items, f"verifying once more ({done:,} files)")
        return changed

    def _compare_in_use(self, root: str, items: list[Item]) -> Outcome:
        """Return TO_DO for what use has changed."""
        outcome: Outcome = []
        with contextlib.ExitStack() as stack:
            source = stack.enter_context(self._source(items[0]))
            try:
                target = stack.enter_context(directory(root, split(items[0].path)[0]))
            except _GONE:
                return [TO_DO] * len(items)
            for item in items:
                present = status(target, _name(item))
                if present is None or not self._is_whole(item, present):
                    outcome.append(TO_DO)
                    continue
                if not _same_file(source, self._source_name(item), target, _name(item), item.size):
                    raise ClusterkitError(
                        f"{shown(item.path)} is not what was brought to {root}, though its time says so: the "
                        "storage has damaged it. The originals stay"
                    )
                outcome.append(None)
        return outcome

    def reopen_differing(self) -> None:
        """Note that items have to be done again that somebody changed in the staging directory, or took away."""
        found = self._outcomes(
            lambda items: self._differing(self._staging, items), "state = ?", (VERIFIED,), _BATCH_TO_LOOK_AT
        )
        for items, outcome in found:
            self._journal.mark([item.path for item, state in zip(items, outcome) if state == TO_DO], TO_DO)
            self._tell([], "comparing")
        self._journal.commit()

    def finish_root(self, target: str, made: bool) -> None:
        """Give the target itself the attributes of what it stands for, when it was copied as a whole or is new."""
        item = self._journal.item(b"")
        if item is None or (item.entry < 0 and not made):
            return
        with directory(target, b"") as opened, self._source(item) as source:
            attributes = {} if item.entry < 0 else xattrs(source, self._source_name(item))
            self._give_attributes(item, opened, os.lstat(b".", dir_fd=opened), attributes)

    def _differing(self, root: str, items: list[Item]) -> Outcome:
        """Return TO_DO for what does not look as it was left."""
        try:
            with directory(root, split(items[0].path)[0]) as opened:
                if not self._local and len(items) > 1:
                    # Over a network a directory brings the attributes of all in it along; asked one by one each
                    # would be waited for
                    for _child in listing(opened, b"."):
                        pass
                return [None if self._stands(item, status(opened, _name(item))) else TO_DO for item in items]
        except _GONE:
            return [TO_DO] * len(items)

    def _sync(self) -> None:
        if self._local:
            guarded(lambda: sync_file_system(self._staging))

    # --- one after the other, or many at once ------------------------------------------------------------------------

    def _each(self, task: Task, condition: str, values: Sequence[object], note: str, touches: bool = False) -> int:
        """Do a task for all items that fulfil a condition, note what came of it, return how many are verified now.

        `touches` tells that the task changes directories, which then have to get their times anew.
        """
        done = verified = 0
        for items, outcome in self._outcomes(task, condition, values):
            for state in {one for one in outcome if one is not None}:
                self._journal.mark([item.path for item, one in zip(items, outcome) if one == state], state)
            if touches and any(outcome):
                self._journal.reopen([split(items[0].path)[0]])
            done += sum(bool(state) for state in outcome)
            verified += sum(state == VERIFIED for state in outcome)
            # Some tasks bring and verify in one
            self._tell(items, f"{note} ({done:,} files)", 2 if touches and VERIFIED in outcome else 1)
            self._journal.commit_now_and_then()
        self._journal.commit()
        return verified

    def _outcomes(
        self, task: Task, condition: str, values: Sequence[object], most: int = _BATCH
    ) -> Iterator[tuple[list[Item], Outcome]]:
        """Do a task for all items that fulfil a condition, here or in many workers."""
        workers = self.abilities.workers
        if self._local and workers > 1:
            files, size = self._journal.count(condition, values)
            workers = 1 if files < _FEW and size < _FEW_BYTES else workers
        processes = min(workers, _PROCESSES)
        try:
            with Crew(task, processes, -(-workers // processes)) as crew:
                pages = self._journal.pages(condition, values)
                yield from crew.do(batch for page in pages for batch in _batches(page, self._roots, most))
        except OSError as error:
            raise ClusterkitError(failure(error)) from None

    def _tell(self, items: Sequence[Item], note: str, times: int = 1) -> None:
        self._bytes += times * sum(item.size for item in items if item.kind == FILE)
        self._progress.update(self._bytes, note)

    # --- tasks -------------------------------------------------------------------------------------------------------

    def _remove_what_is_gone(self, generation: int) -> int:
        number = 0
        for page in self._journal.pages("generation < ?", (generation,), backwards=True):
            for item in page:
                parent, name = split(item.path)
                with contextlib.suppress(*_GONE), directory(self._staging, parent) as opened:
                    remove(opened, name)
            self._journal.reopen({split(item.path)[0] for item in page})
            self._journal.forget(item.path for item in page)
            number += len(page)
        self._journal.commit()
        return number

    def _write(self, items: list[Item]) -> Outcome:
        with contextlib.ExitStack() as stack:
            target = stack.enter_context(directory(self._staging, split(items[0].path)[0], make=True))
            try:
                source = stack.enter_context(self._source(items[0]))
            except _GONE:
                return [None] * len(items)
            # What is made in a directory takes over its list of access, and some storage gives attributes of its own
            plain = not self._keeps_xattrs or not (self.abilities.native or self._present(target, b"."))
            return [self._write_one(item, source, target, plain) for item in items]

    def _write_one(self, item: Item, source: int, target: int, plain: bool) -> int | None:
        """Bring one thing over; `plain` tells that what is made there has no attributes."""
        name = _name(item)
        if item.kind == DIRECTORY:
            if name != b".":
                with directory(f"/proc/self/fd/{target}", name, make=True):
                    pass
            return WRITTEN if name != b"." else None
        source_name = self._source_name(item)
        found = status(source, source_name)
        if found is None or not item.is_still(found):
            return None
        if item.leader in (None, item.path) and item.kind == FILE:
            return self._write_file(item, source, target, plain)
        if item.kind in SPECIAL and "special_files" in self.abilities.lost:
            return WRITTEN
        present = status(target, name)
        if item.leader not in (None, item.path):
            return WRITTEN if self._link(item, target, present) else None
        if present is not None:
            remove(target, name)
        if item.kind == LINK:
            os.symlink(os.readlink(source_name, dir_fd=source), name, dir_fd=target)
        else:
            make_special(target, name, item.kind, found.st_rdev)
        self._give_attributes(item, target, os.lstat(name, dir_fd=target), xattrs(source, source_name))
        return WRITTEN

    def _link(self, item: Item, target: int, present: os.stat_result | None) -> bool:
        parent, leader = split(item.leader or b"")
        with contextlib.suppress(*_GONE), directory(self._staging, parent) as opened:
            first = os.lstat(leader, dir_fd=opened)
            if present is None or (present.st_dev, present.st_ino) != (first.st_dev, first.st_ino):
                if present is not None:
                    remove(target, _name(item))
                os.link(leader, _name(item), src_dir_fd=opened, dst_dir_fd=target, follow_symlinks=False)
            return True
        return False

    def _write_file(self, item: Item, source: int, target: int, plain: bool) -> int | None:
        """Bring a file over, and read it back where that needs no wait for the whole file system."""
        name = _name(item)
        try:
            reading = open_to_read(source, self._source_name(item))
        except _GONE:
            return None
        try:
            attributes = self._held(xattrs_of(reading))
            try:
                writing = create(target, name, item.mode & 0o777)
            except FileExistsError:
                present = os.lstat(name, dir_fd=target)
                # One with several names was another file's twin in an earlier run, or is it still
                if present.st_nlink == 1 and self._is_whole(item, present):
                    self._give_attributes(item, target, present, attributes)
                    return WRITTEN
                remove(target, name)
                writing = create(target, name, item.mode & 0o777)
            try:
                copy_content(reading, writing, item.size)
                same = self._local or _came_back(reading, writing, item.size)
                present = os.fstat(writing)
                has = {} if plain else self._foreign(xattrs_of(writing))
            finally:
                os.close(writing)
        finally:
            os.close(reading)
        if not same:
            remove(target, name)
            return WRITTEN if self._is_still(item, source) else TO_DO
        self._give_attributes(item, target, present, attributes, has)
        if self._local:
            return WRITTEN
        if not self._is_still(item, source):
            return TO_DO
        # The attributes as well come from the storage: it was asked for those that were given
        stands = self._stands(item, status(target, name))
        bare = plain and not attributes
        return VERIFIED if stands and (bare or self._present(target, name) == attributes) else WRITTEN

    def _verify(self, items: list[Item]) -> Outcome:
        """Compare what has arrived with its source; what differs is removed, and stays as it was, written."""
        with contextlib.ExitStack() as stack:
            try:
                source = stack.enter_context(self._source(items[0]))
            except _GONE:
                return [TO_DO] * len(items)
            target = stack.enter_context(directory(self._staging, split(items[0].path)[0]))
            arrived = {}
            for item in items:
                if item.kind == FILE:
                    with contextlib.suppress(OSError):  # the comparison tells
                        arrived[item.path] = open_to_read(target, _name(item))
                        stack.callback(os.close, arrived[item.path])
                        forget_cached(arrived[item.path], item.size)
            return [self._verify_one(item, source, target, arrived.get(item.path, -1)) for item in items]

    def _verify_one(self, item: Item, source: int, target: int, arrived: int) -> int | None:
        try:
            same = self._is_same(item, source, target, arrived)
        except _GONE:
            return TO_DO
        if not self._is_still(item, source):
            return TO_DO
        if not same:
            remove(target, _name(item))
        return VERIFIED if same else None

    def _is_still(self, item: Item, source: int) -> bool:
        found = status(source, self._source_name(item))
        return found is not None and item.is_still(found)

    def _is_same(self, item: Item, source: int, target: int, arrived: int) -> bool:
        """Tell whether what has arrived is what was sent, in content and attributes."""
        name, source_name = _name(item), self._source_name(item)
        if item.kind in SPECIAL and "special_files" in self.abilities.lost:
            return True
        present = status(target, name)
        if present is None or not self._stands(item, present):
            return False
        if item.kind == FILE and item.leader in (None, item.path):
            return arrived >= 0 and self._is_same_file(item, source, arrived)
        if self._present(target, name) != self._held(xattrs(source, source_name)):
            return False
        if item.leader not in (None, item.path):
            parent, leader = split(item.leader or b"")
            with directory(self._staging, parent) as opened:
                first = status(opened, leader)
            return first is not None and (first.st_dev, first.st_ino) == (present.st_dev, present.st_ino)
        return item.kind != LINK or os.readlink(name, dir_fd=target) == os.readlink(source_name, dir_fd=source)

    def _is_same_file(self, item: Item, source: int, arrived: int) -> bool:
        reading = open_to_read(source, self._source_name(item))
        try:
            has = self._foreign(xattrs_of(arrived)) if self._keeps_xattrs else {}
            return has == self._held(xattrs_of(reading)) and same_content(reading, arrived, item.size)
        finally:
            os.close(reading)

    def _finish_directory(self, items: list[Item]) -> Outcome:
        outcome: Outcome = []
        with directory(self._staging, split(items[0].path)[0], make=True) as target, contextlib.ExitStack() as stack:
            source = stack.enter_context(self._source(items[0])) if items[0].entry >= 0 else None
            for item in items:
                attributes = {} if source is None else xattrs(source, self._source_name(item))
                self._give_attributes(item, target, os.lstat(_name(item), dir_fd=target), attributes)
                if not self._stands(item, status(target, _name(item))):
                    raise ClusterkitError(f"the target did not take the attributes of the directory {shown(item.path)}")
                outcome.append(VERIFIED)
        return outcome

    # --- attributes --------------------------------------------------------------------------------------------------

    def _give_attributes(
        self,
        item: Item,
        target: int,
        present: os.stat_result,
        attributes: Mapping[str, bytes],
        has: dict[str, bytes] | None = None,
    ) -> None:
        """Give what stands at the target the item's attributes; its time comes last, as the sign that it is whole.

        `has` is what it has of extended attributes, where that is known.
        """
        name, lost = _name(item), self.abilities.lost
        if item.kind == LINK and "link_attributes" in lost:
            return  # it would be given to what the link leads to
        owned = (present.st_uid, present.st_gid) == (item.uid, item.gid) or "owners" in lost
        if not owned:
            os.chown(name, item.uid, item.gid, dir_fd=target, follow_symlinks=False)
        has = self._present(target, name) if has is None else has
        wanted = self._held(attributes)
        if wanted or has:
            set_xattrs(target, name, wanted, has)
        # A new owner takes setuid away, and a list changes the group's permissions
        if item.kind != LINK and (not owned or wanted or has or stat.S_IMODE(present.st_mode) != item.mode):
            with contextlib.suppress(*([OSError] if "modes" in lost else [])):
                os.chmod(name, item.mode, dir_fd=target)
        if item.entry >= 0 and present.st_mtime_ns != self.abilities.time(item.mtime):
            os.utime(name, ns=(item.mtime, item.mtime), dir_fd=target, follow_symlinks=False)

    @property
    def _keeps_xattrs(self) -> bool:
        return not {"acls", "xattrs"} <= self.abilities.lost

    def _held(self, attributes: Mapping[str, bytes]) -> dict[str, bytes]:
        """Return those of a file's extended attributes that the target holds."""
        return {
            name: value
            for name, value in attributes.items()
            if ("acls" if name in ACLS else "xattrs") not in self.abilities.lost
        }

    def _present(self, target: int, name: bytes) -> dict[str, bytes]:
        """Return what the target has of extended attributes that it did not give by itself."""
        return self._foreign(xattrs(target, name)) if self._keeps_xattrs else {}

    def _foreign(self, attributes: Mapping[str, bytes]) -> dict[str, bytes]:
        return {one: value for one, value in attributes.items() if one not in self.abilities.native}

    def _is_whole(self, item: Item, present: os.stat_result) -> bool:
        time = self.abilities.time
        return (
            stat.S_ISREG(present.st_mode)
            and present.st_size == item.size
            and time(present.st_mtime_ns) == time(item.mtime)
        )

    def _stands(self, item: Item, present: os.stat_result | None) -> bool:
        """Tell whether what is at the target looks as it was left."""
        lost, time = self.abilities.lost, self.abilities.time
        if present is None or kind_of(present.st_mode) != item.kind:
            return present is None and item.kind in SPECIAL and "special_files" in lost
        if item.kind == LINK and "link_attributes" in lost:
            return True
        return (
            (item.kind != FILE or present.st_size == item.size)
            and (item.entry < 0 or time(present.st_mtime_ns) == time(item.mtime))
            and ("owners" in lost or (present.st_uid, present.st_gid) == (item.uid, item.gid))
            and ("modes" in lost or item.kind == LINK or stat.S_IMODE(present.st_mode) == item.mode)
        )

    def _source(self, item: Item) -> contextlib.AbstractContextManager[int]:
        """Open the directory that the item lies in at the source."""
        if item.entry < 0:
            return contextlib.nullcontext(-1)  # it is made for the entries below it, and has no source
        place, inside = self._places[item.entry], self._entries[item.entry].at(item.path)
        if inside:
            return directory(place, split(inside)[0])
        return directory(os.path.dirname(place), b"")

    def _source_name(self, item: Item) -> bytes:
        inside = self._entries[item.entry].at(item.path)
        return split(inside)[1] if inside else os.fsencode(os.path.basename(self._places[item.entry]))


def _same_file(source: int, source_name: bytes, target: int, name: bytes, size: int) -> bool:
    reading, arrived = open_to_read(source, source_name), open_to_read(target, name)
    try:
        forget_cached(arrived, size)
        return same_content(reading, arrived, size)
    finally:
        os.close(reading)
        os.close(arrived)


def _came_back(reading: int, writing: int, size: int) -> bool:
    """Tell whether a file that was written holds on its storage what it was written from."""
    os.fsync(writing)
    forget_cached(writing, size)
    return same_content(reading, writing, size)


def _name(item: Item) -> bytes:
    return split(item.path)[1] or b"."


def _batches(page: Iterable[Item], roots: Collection[bytes], most: int) -> Iterator[list[Item]]:
    """Walk over items by what has its directory in common, at the source and at the target."""

    def place(item: Item) -> tuple[bytes, int, bool]:
        return split(item.path)[0], item.entry, item.path in roots

    for _place, group in itertools.groupby(page, place):
        batch: list[Item] = []
        size = 0
        for item in group:
            if len(batch) >= most or size >= _BATCH_BYTES:
                yield batch
                batch, size = [], 0
            batch.append(item)
            size += item.size if item.kind == FILE and most == _BATCH else 0
        yield batch


def guarded(task: Callable[[], _T]) -> _T:
    """Do something with files; what the system refuses becomes a ClusterkitError that says what to do."""
    try:
        return task()
    except OSError as error:
        raise ClusterkitError(failure(error)) from None


def failure(error: OSError) -> str:
    """Say in a sentence what went wrong and what helps."""
    where = shown(os.fsencode(error.filename)) if error.filename else "a file"
    said = f"{where}: {error.strerror}"
    again = "Nothing is lost: the old location is complete and in use. Then run again, which goes on from here"
    advice = {
        errno.ENOSPC: f"the target is full. Make room. {again}",
        errno.EDQUOT: f"the target's quota is used up. Raise it. {again}",
        errno.ENOTCONN: f"the target is gone. Mount it anew. {again}",
        errno.ESTALE: f"the target is gone. Mount it anew. {again}",
        errno.EIO: f"the storage fails. Mend it. {again}",
        errno.EROFS: f"the target has become read-only. Find out why. {again}",
    }
    return f"{advice.get(error.errno or 0, again)} ({said})"
