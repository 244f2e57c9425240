# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looking at what is to be moved: into the journal, and what a target has to be able to hold of it."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import struct
from dataclasses import dataclass, field
from typing import Any, Iterator, Mapping, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._appdata.journal import PAGE, Journal, inode
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
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.crew import Crew
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError

#: Of a kind of thing that a target may not hold, so many are named.
NAMED = 5
_ORDINARY = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"
_MOST_OWNERS = 1000
#: Names are longer only where the target is asked whether it holds such.
_SHORT_NAME = 64
#: Of a directory with more files than this all are noted anew: what is known of the others is read at once.
_LISTED = 20000
_ALL = -1
_STAMP = struct.Struct("<IIIQQQqqq")


@dataclass
class Needs:
    """What a source asks of a target. It is bounded, however many files there are."""

    owners: set[tuple[int, int]] = field(default_factory=set)
    modes: set[int] = field(default_factory=set)
    largest: int = 0
    longest_name: int = _SHORT_NAME
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
        self._extras: list[tuple[bytes, str]] = []
        self._devices: dict[int, int] = {}

    def run(self) -> int:
        """Note all that is there in the journal; return the number of the scan, which all items seen have.

        Raises ClusterkitError for what cannot be moved.
        """
        self._generation = int(self._journal.get("generation", 0)) + 1
        self._journal.set(generation=self._generation)
        self._rows = []
        for number, place in self._places.items():
            entry = self._entries[number]
            for above, looks in self._parents(entry):
                # Their times say nothing: they are not moved, only what is in them
                self._rows.append((above, -1, DIRECTORY, *looks, 0, 0, 0, 0, 1, None, 0, self._generation))
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

    def is_still_so(self, workers: int) -> bool:
        """Tell whether the last scan would see the same again; it is no scan, and quicker."""
        journal, here = self._journal, (self._generation,)
        # One that held too much has no listing
        directories = journal.count("generation = ? AND kind = 'd' AND entry >= 0", here)[0]
        if directories != sum(map(len, journal.listings(self._generation))):
            return False
        for number, place in self._places.items():
            item = journal.item(os.fsencode(self._entries[number].name))
            if item is None or not item.is_still(os.lstat(place)):
                return False
            for path, looks in self._parents(self._entries[number]):
                parent = journal.item(path)
                if parent is None or (parent.mode, parent.uid, parent.gid) != looks:
                    return False
        with Crew(self._are_still_so, workers) as crew:
            return all(same for _rows, same in crew.do(journal.listings(self._generation)))

    def _are_still_so(self, rows: Sequence[tuple[bytes, int, bytes]]) -> bool:
        try:
            for path, number, digest in rows:
                with directory(self._places[number], self._entries[number].at(path)) as opened:
                    stamps = [_stamp(child.name, child.stat(follow_symlinks=False)) for child in listing(opened, b".")]
                if _digest(stamps) != digest:
                    return False
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    @staticmethod
    def _parents(entry: Entry) -> Iterator[tuple[bytes, tuple[int, int, int]]]:
        """Walk over the directories above an entry; they look like those of the source that have the same names."""
        source, path, like = entry.source, entry.name, True
        while path:
            source, path = os.path.dirname(source), os.path.dirname(path)
            like = like and (not path or os.path.basename(source) == os.path.basename(path))
            status = os.stat(source)
            looks = (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) if like else (0o755, 0, 0)
            yield os.fsencode(path), looks

    def _look_into(self, path: bytes, number: int) -> None:
        """Note of what a directory holds each directory, and of all else what is not known so already."""
        try:
            with directory(self._places[number], self._entries[number].at(path)) as opened:
                found: list[tuple[bytes, os.stat_result]] = []
                stamps: list[bytes] = []
                huge = False
                for child in listing(opened, b"."):
                    try:
                        status = child.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue
                    name = os.fsencode(child.name)
                    if len(stamps) <= _LISTED:
                        stamps.append(_stamp(child.name, status))
                    if stat.S_ISDIR(status.st_mode) or huge:
                        self._saw(join(path, name), number, status, opened, name)
                        continue
                    found.append((name, status))
                    huge = len(found) > _LISTED
                known = self._journal.known(path, _LISTED) if found and not huge else {}
                still = []
                for name, status in found:
                    here = join(path, name)
                    same_device = status.st_dev == self._devices[number]
                    if same_device and known.get(here) == self._row(here, number, status)[1:-2]:
                        still.append(here)
                    else:
                        self._saw(here, number, status, opened, name)
                if still:
                    self._journal.still_there(path, still, self._generation, len(known) == len(still))
                if len(stamps) <= _LISTED:
                    self._journal.note_listing(path, number, self._generation, _digest(stamps))
        except FileNotFoundError:
            return  # a program that still runs has removed it meanwhile; the last scan is without such programs

    def _row(self, path: bytes, number: int, status: os.stat_result) -> tuple[Any, ...]:
        """Return an item in the order of the journal's columns."""
        kind = kind_of(status.st_mode)
        linked = status.st_nlink > 1 and kind != DIRECTORY
        return (
            path,
            number,
            kind,
            stat.S_IMODE(status.st_mode),
            status.st_uid,
            status.st_gid,
            status.st_size,
            status.st_mtime_ns,
            status.st_ctime_ns,
            inode(status),
            status.st_nlink,
            f"{status.st_dev}:{status.st_ino}" if linked else None,
            status.st_blocks * 512,
            self._generation,
        )

    def _saw(self, path: bytes, number: int, status: os.stat_result, opened: int, name: bytes) -> None:
        if status.st_dev != self._devices[number]:
            raise ClusterkitError(
                f"another file system is mounted at {self._entries[number].source}, {shown(path)}: "
                "give what is mounted as an entry of its own, or unmount it"
            )
        self._rows.append(self._row(path, number, status))
        extra = _extra(kind_of(status.st_mode), opened, name)
        if extra:
            self._extras.append((path, json.dumps(extra)))
        if len(self._rows) >= PAGE:
            self._flush()

    def _flush(self) -> None:
        self._journal.saw(self._rows)
        self._journal.note_extras((row[0] for row in self._rows), self._extras)
        self._rows, self._extras = [], []

    # --- what a target has to hold -----------------------------------------------------------------------------------

    def needs(self) -> Needs:
        """Return what a target has to hold of what the last scan saw."""
        journal, here, values = self._journal, "generation = ?", (self._generation,)
        needs = Needs(
            owners=set(journal.distinct("uid, gid", here, values, _MOST_OWNERS)),
            modes={mode for (mode,) in journal.distinct("mode", f"{here} AND kind != '{LINK}'", values, _ALL)},
            kinds={kind for (kind,) in journal.distinct("kind", here, values, _ALL)},
            largest=max(
                (size for (size,) in journal.distinct("MAX(size)", f"{here} AND kind = 'f'", values, 1)), default=0
            )
            or 0,
            fractions=bool(journal.examples(f"{here} AND mtime % 1000000000 != 0", values, 1)),
        )
        for what, which in (
            ("special_files", f"{here} AND kind NOT IN ('{FILE}', '{DIRECTORY}', '{LINK}')"),
            ("hard_links", f"{here} AND link IS NOT NULL"),
        ):
            number, _bytes = journal.count(which, values)
            if number:
                needs.counts[what] = number
                needs.examples[what] = [shown(path) for path in journal.examples(which, values, NAMED)]
        for path, number, text in journal.extras(self._generation):
            extra = json.loads(text)
            _note_extra(needs, path, extra)
            if "link" in extra and self._misleads(os.fsdecode(bytes.fromhex(extra["link"])), path, number):
                needs.note("links", path)
        return needs

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


def _stamp(name: str, status: os.stat_result) -> bytes:
    """Return what is another one when a thing in a directory is. Who only reads does not change it."""
    return b"%s\0%s" % (
        os.fsencode(name),
        _STAMP.pack(
            status.st_mode,
            status.st_uid,
            status.st_gid,
            status.st_nlink,
            status.st_dev,
            status.st_ino,
            0 if stat.S_ISDIR(status.st_mode) else status.st_size,
            status.st_mtime_ns,
            status.st_ctime_ns,
        ),
    )


def _digest(stamps: Sequence[bytes]) -> bytes:
    return hashlib.sha256(b"".join(stamps)).digest()


def _extra(kind: str, opened: int, name: bytes) -> dict[str, Any]:
    """Return what a target has to hold of a thing besides what its row says; of most it is nothing.

    All of it stays as long as the time of change does, so that it is not asked again before.
    """
    extra: dict[str, Any] = {}
    if name.translate(None, _ORDINARY) or len(name) > _SHORT_NAME:
        extra["name"] = True
    if kind == LINK:
        extra["link"] = os.readlink(name, dir_fd=opened).hex()
    if kind in (FILE, DIRECTORY) and is_protected(opened, name):
        extra["protected"] = True
    attributes = xattrs(opened, name)
    if attributes:
        extra["xattrs"] = {one: value.hex() for one, value in attributes.items()}
    return extra


def _note_extra(needs: Needs, path: bytes, extra: dict[str, Any]) -> None:
    if "name" in extra:
        name = split(path)[1]
        needs.longest_name = max(needs.longest_name, len(name))
        needs.odd_bytes |= set(name) - set(_ORDINARY)
        try:
            name.decode()
        except UnicodeDecodeError:
            needs.not_utf8 = name
    if "link" in extra:
        link = bytes.fromhex(extra["link"])
        needs.links["absolute" if link.startswith(b"/") else "upwards" if b".." in link else "near"] = link
    if "protected" in extra:
        needs.note("flags", path)
    for one, text in extra.get("xattrs", {}).items():
        value = bytes.fromhex(text)
        needs.note("acls" if one in ACLS else "xattrs", path)
        namespace = one if one in ACLS or one.startswith("security.") else one.partition(".")[0]
        # The longest of each namespace stands for all of it
        if len(value) >= len(needs.xattrs.get(namespace, ("", b""))[1]):
            needs.xattrs[namespace] = (one, value)
