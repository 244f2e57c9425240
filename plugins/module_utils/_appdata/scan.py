# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looking at what is to be moved: into the journal, and what a target has to be able to hold of it."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from typing import Any, Mapping, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._appdata.journal import PAGE, Journal
from ansible_collections.clusterkit.middleware.plugins.module_utils._appdata.tree import (
    ACLS,
    DIRECTORY,
    FILE,
    LINK,
    Entry,
    directory,
    is_protected,
    join,
    kind_of,
    listing,
    shown,
    split,
    xattrs,
)
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError

#: Of a kind of thing that a target may not hold, so many are named.
NAMED = 5
_ORDINARY = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
_MOST_OWNERS = 1000


@dataclass
class Needs:
    """What a source asks of a target. It is bounded, however many files there are."""

    owners: set[tuple[int, int]] = field(default_factory=set)
    modes: set[int] = field(default_factory=set)
    largest: int = 0
    longest_name: int = 0
    odd_bytes: set[int] = field(default_factory=set)
    not_utf8: bytes = b""
    fractions: bool = False
    kinds: set[str] = field(default_factory=set)
    #: Where symbolic links lead to, one of each sort: some file systems refuse those that lead out of them.
    links: dict[str, bytes] = field(default_factory=dict)
    xattrs: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    #: Examples of what was found, by what it is, and how many there are.
    examples: dict[str, list[str]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def note(self, what: str, path: bytes) -> None:
        """Remember that something was found at a path."""
        self.counts[what] = self.counts.get(what, 0) + 1
        examples = self.examples.setdefault(what, [])
        if len(examples) < NAMED:
            examples.append(shown(path))

    def told(self, what: str) -> str:
        """Say how many were found and name some."""
        more = ", …" if self.counts.get(what, 0) > NAMED else ""
        return f"{self.counts.get(what, 0)}: {', '.join(self.examples.get(what, []))}{more}"


class Scanner:
    """Walks over the entries once.

    `places` says where the source of each entry lies now, which is elsewhere once it has been put aside. `target` is
    the new directory. `links_stay` tells that the old paths go on to exist, as links to the new ones.
    """

    def __init__(
        self, journal: Journal, entries: Sequence[Entry], places: Mapping[int, str], target: str, links_stay: bool
    ) -> None:
        self._journal = journal
        self._entries = entries
        self._places = places
        self._target = target
        self._links_stay = links_stay
        self._generation = 0
        self._rows: list[tuple[Any, ...]] = []
        self._devices: dict[int, int] = {}
        self._needs: Needs | None = None

    def run(self, needs: Needs | None = None) -> int:
        """Note all that is there in the journal; return the number of the scan, which all items seen have.

        `needs` gathers what a target has to hold. Raises ClusterkitError for what cannot be moved.
        """
        self._needs = needs
        self._generation = int(self._journal.get("generation", 0)) + 1
        self._journal.set(generation=self._generation)
        self._rows = []
        for number, place in self._places.items():
            entry = self._entries[number]
            self._parents(entry)
            parent, name = os.path.split(place)
            with directory(parent, b"") as opened:
                status = os.lstat(name, dir_fd=opened)
                self._devices[number] = status.st_dev
                self._saw(os.fsencode(entry.name), number, status, opened, os.fsencode(name))
        after: bytes | None = None
        self._flush()
        while following := self._journal.next_directory(self._generation, after):
            after, number = following
            self._look_into(after, number)
            self._flush()
        self._journal.commit()
        return self._generation

    def _parents(self, entry: Entry) -> None:
        """Note the directories above an entry; they look like those of the source that have the same names."""
        source, path, like = entry.source, entry.name, True
        while path:
            source, path = os.path.dirname(source), os.path.dirname(path)
            like = like and (not path or os.path.basename(source) == os.path.basename(path))
            status = os.stat(source)
            looks = (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) if like else (0o755, 0, 0)
            if self._needs:
                self._needs.owners.add(looks[1:])
            # Their times say nothing: they are not moved, only what is in them
            self._rows.append((os.fsencode(path), -1, DIRECTORY, *looks, 0, 0, 0, 0, 1, None, 0, self._generation))

    def _look_into(self, path: bytes, number: int) -> None:
        try:
            with directory(self._places[number], self._entries[number].at(path)) as opened:
                for child in listing(opened, b"."):
                    try:
                        status = child.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue
                    name = os.fsencode(child.name)
                    self._saw(join(path, name), number, status, opened, name)
        except FileNotFoundError:
            return  # a program that still runs has removed it meanwhile; the last scan is without such programs

    def _saw(self, path: bytes, number: int, status: os.stat_result, opened: int, name: bytes) -> None:
        kind = kind_of(status.st_mode)
        if status.st_dev != self._devices[number]:
            raise ClusterkitError(
                f"another file system is mounted at {self._entries[number].source}, {shown(path)}: "
                "give what is mounted as an entry of its own, or unmount it"
            )
        linked = status.st_nlink > 1 and kind != DIRECTORY
        self._rows.append(
            (
                path,
                number,
                kind,
                stat.S_IMODE(status.st_mode),
                status.st_uid,
                status.st_gid,
                status.st_size,
                status.st_mtime_ns,
                status.st_ctime_ns,
                status.st_ino,
                status.st_nlink,
                f"{status.st_dev}:{status.st_ino}" if linked else None,
                status.st_blocks * 512,
                self._generation,
            )
        )
        if len(self._rows) >= PAGE:
            self._flush()
        if self._needs:
            self._note_needs(self._needs, path, number, status, opened, name)

    def _flush(self) -> None:
        self._journal.saw(self._rows)
        self._rows = []

    # --- what a target has to hold -----------------------------------------------------------------------------------

    def _note_needs(
        self, needs: Needs, path: bytes, number: int, status: os.stat_result, opened: int, name: bytes
    ) -> None:
        kind = kind_of(status.st_mode)
        needs.kinds.add(kind)
        if len(needs.owners) < _MOST_OWNERS:
            needs.owners.add((status.st_uid, status.st_gid))
        needs.fractions = needs.fractions or bool(status.st_mtime_ns % 1_000_000_000)
        self._note_name(needs, split(path)[1])
        if kind == LINK:
            link = os.readlink(name, dir_fd=opened)
            needs.links["absolute" if link.startswith(b"/") else "upwards" if b".." in link else "near"] = link
            if self._misleads(os.fsdecode(link), path, number):
                needs.note("links", path)
        else:
            needs.modes.add(stat.S_IMODE(status.st_mode))
        if kind == FILE:
            needs.largest = max(needs.largest, status.st_size)
        if kind in (FILE, DIRECTORY) and is_protected(opened, name):
            needs.note("flags", path)
        if kind not in (FILE, DIRECTORY, LINK):
            needs.note("special_files", path)
        if status.st_nlink > 1 and kind != DIRECTORY:
            needs.note("hard_links", path)
        for one, value in xattrs(opened, name).items():
            needs.note("acls" if one in ACLS else "xattrs", path)
            namespace = one if one in ACLS or one.startswith("security.") else one.partition(".")[0]
            # The longest of each namespace stands for all of it
            if len(value) >= len(needs.xattrs.get(namespace, ("", b""))[1]):
                needs.xattrs[namespace] = (one, value)

    @staticmethod
    def _note_name(needs: Needs, name: bytes) -> None:
        needs.longest_name = max(needs.longest_name, len(name))
        odd = set(name) - _ORDINARY
        if odd:
            needs.odd_bytes |= odd
            try:
                name.decode()
            except UnicodeDecodeError:
                needs.not_utf8 = name

    def _misleads(self, link: str, path: bytes, number: int) -> bool:
        """Tell whether a symbolic link would lead elsewhere once it and what it leads to have been moved."""
        entry = self._entries[number]
        old = os.path.join(entry.source, os.fsdecode(entry.at(path)))
        leads = os.path.normpath(os.path.join(os.path.dirname(old), link))
        inside = [one for one in self._entries if leads == one.source or leads.startswith(f"{one.source}/")]
        if os.path.isabs(link):
            return bool(inside) and not self._links_stay
        if not inside:
            return True
        follows = os.path.join(self._target, inside[0].name, os.path.relpath(leads, inside[0].source))
        new = os.path.join(self._target, os.fsdecode(path))
        return os.path.normpath(os.path.join(os.path.dirname(new), link)) != os.path.normpath(follows)
