# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings the items of a journal from their source into a directory, and reads back what has arrived.

A file gets its modification time when its content is complete: so one with the time and size of its source was
written whole, or at worst lost in a power failure, which reading it back finds.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import errno
import itertools
import os
import stat
from collections import deque
from typing import Callable, Iterable, Iterator, List, Mapping, Sequence, Tuple, TypeVar

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
    kind_of,
    open_to_read,
    remove,
    same_content,
    set_xattrs,
    shown,
    split,
    status,
    sync_file_system,
    xattrs,
)
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.progress import Progress

#: Items of one directory that a worker takes at once: its directories are opened once for all of them.
_BATCH = 32
#: Batches that wait for a free worker, for each of them.
_AHEAD = 4
#: A file that comes back otherwise than it was written is written once more, and no third time.
_ATTEMPTS = 2

#: What is gone because the source changes while a program still runs.
_GONE = (FileNotFoundError, NotADirectoryError)
#: The states that items are in now.
Outcome = List[Tuple[bytes, int]]
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

        def look(items: list[Item]) -> Outcome:
            found.extend(shown(path) for path, _state in self._differing(root, items))
            del found[_BATCH:]
            return []

        self._each(look, "state = ?", (VERIFIED,), "comparing")
        return sorted(found)

    def compare_in_use(self, root: str, condition: str) -> int:
        """Compare the files that fulfil a condition with what is in use of them; return how many use has changed.

        Raises ClusterkitError for one that differs though nothing has changed it.
        """
        changed: list[int] = []

        def look(items: list[Item]) -> Outcome:
            still = [(item.path, VERIFIED) for item in items]
            with contextlib.ExitStack() as stack:
                source = stack.enter_context(self._source(items[0]))
                try:
                    target = stack.enter_context(directory(root, split(items[0].path)[0]))
                except _GONE:
                    changed.append(len(items))
                    return still
                for item in items:
                    present = status(target, _name(item))
                    if present is None or not self._is_whole(item, present):
                        changed.append(1)
                    elif not _same_file(source, self._source_name(item), target, _name(item), item.size):
                        raise ClusterkitError(
                            f"{shown(item.path)} is not what was brought to {root}, though its time says so: the "
                            "storage has damaged it. The originals stay"
                        )
            return still

        self._progress.total = self._journal.count(condition)[1]
        self._each(look, condition, (), "verifying once more")
        return sum(changed)

    def reopen_differing(self) -> None:
        """Note that items have to be done again that somebody changed in the staging directory, or took away."""
        self._each(lambda items: self._differing(self._staging, items), "state = ?", (VERIFIED,), "comparing")

    def finish_root(self, target: str, made: bool) -> None:
        """Give the target itself the attributes of what it stands for, when it was copied as a whole or is new."""
        item = self._journal.item(b"")
        if item is None or (item.entry < 0 and not made):
            return
        with directory(target, b"") as opened, self._source(item) as source:
            attributes = {} if item.entry < 0 else xattrs(source, self._source_name(item))
            self._give_attributes(item, opened, os.lstat(b".", dir_fd=opened), attributes)

    def _differing(self, root: str, items: list[Item]) -> Outcome:
        try:
            with directory(root, split(items[0].path)[0]) as opened:
                wrong = [item for item in items if not self._stands(item, status(opened, _name(item)))]
        except _GONE:
            wrong = items
        return [(item.path, TO_DO) for item in wrong]

    def _sync(self) -> None:
        if self._local:
            guarded(lambda: sync_file_system(self._staging))

    # --- one after the other, or many at once ------------------------------------------------------------------------

    def _each(self, task: Task, condition: str, values: Sequence[object], note: str, touches: bool = False) -> int:
        """Do a task for all items that fulfil a condition, note what came of it, return how many are further now.

        `touches` tells that the task changes directories, which then have to get their times anew.
        """
        done = 0
        with concurrent.futures.ThreadPoolExecutor(self.abilities.workers) as pool:
            for page in self._journal.pages(condition, values):
                sizes = {item.path: item.size for item in page if item.kind == FILE}
                for outcome in self._spread(pool, task, _batches(page, self._entries)):
                    for state in (TO_DO, WRITTEN, VERIFIED):
                        self._journal.mark((path for path, one in outcome if one == state), state)
                    if touches:
                        self._journal.reopen({split(path)[0] for path, _state in outcome})
                    done += sum(state != TO_DO for _path, state in outcome)
                    self._bytes += sum(sizes.get(path, 0) for path, _state in outcome)
                    self._progress.update(self._bytes, f"{note} ({done:,} files)")
                self._journal.commit_now_and_then()
        self._journal.commit()
        return done

    def _spread(
        self, pool: concurrent.futures.ThreadPoolExecutor, task: Task, batches: Iterable[list[Item]]
    ) -> Iterator[Outcome]:
        if self.abilities.workers == 1:  # a thread would only cost
            for batch in batches:
                yield guarded(lambda: task(batch))  # noqa: B023  # it is called before the loop goes on
            return
        waiting: deque[concurrent.futures.Future[Outcome]] = deque()
        try:
            for batch in batches:
                waiting.append(pool.submit(task, batch))
                if len(waiting) >= _AHEAD * self.abilities.workers:
                    yield guarded(waiting.popleft().result)
            while waiting:
                yield guarded(waiting.popleft().result)
        finally:
            for future in waiting:
                future.cancel()

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
        outcome: Outcome = []
        with contextlib.ExitStack() as stack:
            target = stack.enter_context(directory(self._staging, split(items[0].path)[0], make=True))
            try:
                source = stack.enter_context(self._source(items[0]))
            except _GONE:
                return outcome
            for item in items:
                if item.kind == DIRECTORY:
                    if _name(item) != b".":
                        with directory(f"/proc/self/fd/{target}", _name(item), make=True):
                            outcome.append((item.path, WRITTEN))
                    continue
                try:
                    found = os.lstat(self._source_name(item), dir_fd=source)
                except _GONE:
                    continue
                if item.is_still(found) and self._write_one(item, source, target, found):
                    outcome.append((item.path, WRITTEN))
        return outcome

    def _write_one(self, item: Item, source: int, target: int, found: os.stat_result) -> bool:
        """Bring one thing over; tell whether it is there now."""
        name, source_name = _name(item), self._source_name(item)
        present = status(target, name)
        if item.leader not in (None, item.path):
            return self._link(item, target, present)
        if item.kind in SPECIAL and "special_files" in self.abilities.lost:
            return True
        if item.kind == FILE:
            return self._write_file(item, source, target, present)
        if present is not None:
            remove(target, name)
        if item.kind == LINK:
            os.symlink(os.readlink(source_name, dir_fd=source), name, dir_fd=target)
        else:
            make_special(target, name, item.kind, found.st_rdev)
        self._give_attributes(item, target, os.lstat(name, dir_fd=target), xattrs(source, source_name))
        return True

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

    def _write_file(self, item: Item, source: int, target: int, present: os.stat_result | None) -> bool:
        name = _name(item)
        try:
            reading = open_to_read(source, self._source_name(item))
        except _GONE:
            return False
        try:
            attributes = xattrs(source, self._source_name(item))
            if present is not None:
                # One with several names was another file's twin in an earlier run, or is it still
                whole = present.st_nlink == 1 and self._is_whole(item, present)
                if whole:
                    self._give_attributes(item, target, present, attributes)
                    return True
                remove(target, name)
            writing = create(target, name, item.mode & 0o777)
            try:
                copy_content(reading, writing, item.size)
                if not self._local:
                    os.fsync(writing)
                present = os.fstat(writing)
            finally:
                os.close(writing)
            self._give_attributes(item, target, present, attributes)
        finally:
            os.close(reading)
        return True

    def _verify(self, items: list[Item]) -> Outcome:
        outcome: Outcome = []
        with contextlib.ExitStack() as stack:
            try:
                source = stack.enter_context(self._source(items[0]))
            except _GONE:
                return [(item.path, TO_DO) for item in items]
            target = stack.enter_context(directory(self._staging, split(items[0].path)[0]))
            for item in items:
                try:
                    same = self._is_same(item, source, target)
                    found = os.lstat(self._source_name(item), dir_fd=source)
                except _GONE:
                    outcome.append((item.path, TO_DO))
                    continue
                if not item.is_still(found):
                    outcome.append((item.path, TO_DO))
                elif same:
                    outcome.append((item.path, VERIFIED))
                else:
                    remove(target, _name(item))
        return outcome

    def _is_same(self, item: Item, source: int, target: int) -> bool:
        """Tell whether what has arrived is what was sent, in content and attributes."""
        name, source_name = _name(item), self._source_name(item)
        if item.kind in SPECIAL and "special_files" in self.abilities.lost:
            return True
        present = status(target, name)
        if present is None or not self._stands(item, present):
            return False
        if self._present(target, name) != self._held(xattrs(source, source_name)):
            return False
        if item.leader not in (None, item.path):
            parent, leader = split(item.leader or b"")
            with directory(self._staging, parent) as opened:
                first = status(opened, leader)
            return first is not None and (first.st_dev, first.st_ino) == (present.st_dev, present.st_ino)
        if item.kind == LINK:
            return os.readlink(name, dir_fd=target) == os.readlink(source_name, dir_fd=source)
        return item.kind != FILE or _same_file(source, source_name, target, name, item.size)

    def _finish_directory(self, items: list[Item]) -> Outcome:
        outcome: Outcome = []
        with directory(self._staging, split(items[0].path)[0], make=True) as target, contextlib.ExitStack() as stack:
            source = stack.enter_context(self._source(items[0])) if items[0].entry >= 0 else None
            for item in items:
                attributes = {} if source is None else xattrs(source, self._source_name(item))
                self._give_attributes(item, target, os.lstat(_name(item), dir_fd=target), attributes)
                if not self._stands(item, status(target, _name(item))):
                    raise ClusterkitError(f"the target did not take the attributes of the directory {shown(item.path)}")
                outcome.append((item.path, VERIFIED))
        return outcome

    # --- attributes --------------------------------------------------------------------------------------------------

    def _give_attributes(
        self, item: Item, target: int, present: os.stat_result, attributes: Mapping[str, bytes]
    ) -> None:
        """Give what stands at the target the item's attributes; its time comes last, as the sign that it is whole."""
        name, lost = _name(item), self.abilities.lost
        if item.kind == LINK and "link_attributes" in lost:
            return  # it would be given to what the link leads to
        owned = (present.st_uid, present.st_gid) == (item.uid, item.gid) or "owners" in lost
        if not owned:
            os.chown(name, item.uid, item.gid, dir_fd=target, follow_symlinks=False)
        has = self._present(target, name)
        set_xattrs(target, name, self._held(attributes), has)
        # A new owner takes setuid away, and a list changes the group's permissions
        if item.kind != LINK and (not owned or attributes or has or stat.S_IMODE(present.st_mode) != item.mode):
            with contextlib.suppress(*([OSError] if "modes" in lost else [])):
                os.chmod(name, item.mode, dir_fd=target)
        if item.entry >= 0 and present.st_mtime_ns != self.abilities.time(item.mtime):
            os.utime(name, ns=(item.mtime, item.mtime), dir_fd=target, follow_symlinks=False)

    def _held(self, attributes: Mapping[str, bytes]) -> dict[str, bytes]:
        """Return those of a file's extended attributes that the target holds."""
        return {
            name: value
            for name, value in attributes.items()
            if ("acls" if name in ACLS else "xattrs") not in self.abilities.lost
        }

    def _present(self, target: int, name: bytes) -> dict[str, bytes]:
        """Return what the target has of extended attributes that it did not give by itself."""
        return {one: value for one, value in xattrs(target, name).items() if one not in self.abilities.native}

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
        return same_content(reading, arrived, size)
    finally:
        os.close(reading)
        os.close(arrived)


def _name(item: Item) -> bytes:
    return split(item.path)[1] or b"."


def _batches(page: Iterable[Item], entries: Sequence[Entry]) -> Iterator[list[Item]]:
    """Walk over items by what has its directory in common, at the source and at the target."""

    def place(item: Item) -> tuple[bytes, int, bool]:
        is_entry = item.entry >= 0 and not entries[item.entry].at(item.path)
        return split(item.path)[0], item.entry, is_entry

    for _place, group in itertools.groupby(page, place):
        while batch := list(itertools.islice(group, _BATCH)):
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
