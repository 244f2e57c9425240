# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a migration knows across its runs, in one SQLite file: how far it is, and of each file whether it is over there.

SQLite keeps it whole through kills and power loss, and on disk: a million files take no memory.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import sqlite3
import time
from typing import Any, Iterable, Iterator, NamedTuple, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._appdata.tree import FILE
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError

#: Of an item: still to do; written, but not read back; read back and found the same.
TO_DO, WRITTEN, VERIFIED = 0, 1, 2
#: Rows that are read at once.
PAGE = 2000
_CACHE_KIB = 16384
_BUSY_SECONDS = 5.0
_COMMIT_SECONDS = 5.0
#: Directories that are looked at again at once.
_LISTINGS = 50
#: Bytes that a name has at most.
_LONGEST_NAME = 256

#: What makes an item another one than it was when it was copied: see `Item`.
_STAMP = ("kind", "mode", "uid", "gid", "size", "mtime", "ctime", "ino")
_SAME = " AND ".join(f"{one} IS excluded.{one}" for one in _STAMP)
_COLUMNS = ("path", "entry", *_STAMP, "nlink", "link", "space", "generation")
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS item (
    path BLOB PRIMARY KEY, entry INT, {", ".join(f"{one} INT" for one in _STAMP)}, nlink INT, link TEXT, space INT,
    leader BLOB, generation INT, state INT DEFAULT {TO_DO}
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS linked ON item (link) WHERE link IS NOT NULL;
CREATE TABLE IF NOT EXISTS listing (path BLOB PRIMARY KEY, entry INT, generation INT, digest BLOB) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS extra (path BLOB PRIMARY KEY, holds TEXT) WITHOUT ROWID;
"""
_UPSERT = f"""
INSERT INTO item ({", ".join(_COLUMNS)}) VALUES ({", ".join("?" * len(_COLUMNS))})
ON CONFLICT (path) DO UPDATE SET
    state = CASE WHEN {_SAME} THEN state ELSE {TO_DO} END,
    {", ".join(f"{one} = excluded.{one}" for one in _COLUMNS[1:])}
"""  # noqa: S608  # names of columns from above, no input
#: What lies in a directory itself and is none.
_INSIDE = "path > ? AND path < ? AND instr(substr(path, ?), x'2f') = 0 AND kind != 'd' AND entry >= 0"


def _inside(directory: bytes) -> tuple[bytes, bytes, int]:
    """Return the values of `_INSIDE`; no name is as long and as far behind as the second one."""
    below = directory + b"/" if directory else b""
    return below, below + b"\xff" * _LONGEST_NAME, len(below) + 1


def journal_path(state_directory: str, target: str) -> str:
    """Return where the journal of the migration to a target lies."""
    key = hashlib.sha256(os.fsencode(os.path.normpath(target))).hexdigest()[:16]
    return os.path.join(state_directory, key, "journal")


def journals(state_directory: str) -> list[str]:
    """Return the journals that there are."""
    return sorted(glob.glob(os.path.join(glob.escape(state_directory), "*", "journal")))


def inode(status: os.stat_result) -> int:
    """Return the number of an inode as SQLite has numbers, with a sign: network file systems use all 64 bits."""
    return status.st_ino - (1 << 64) if status.st_ino >> 63 else status.st_ino


class Item(NamedTuple):
    """A file, directory or other thing as the source had it when it was last looked at; times in nanoseconds.

    `path` is below the target. `leader` is, of files that are hard links of one another, the one that is copied.
    """

    path: bytes
    entry: int
    kind: str
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    ctime: int
    ino: int
    nlink: int
    leader: bytes | None
    state: int

    def is_still(self, status: os.stat_result) -> bool:
        """Tell whether a status is that of the item as it was."""
        now = (status.st_mode & 0o7777, status.st_uid, status.st_gid, status.st_mtime_ns, status.st_ctime_ns)
        size = self.kind != FILE or self.size == status.st_size
        return size and self.ino == inode(status) and now == (self.mode, self.uid, self.gid, self.mtime, self.ctime)


_ITEM = "path, entry, kind, mode, uid, gid, size, mtime, ctime, ino, nlink, leader, state"


class Journal:
    """The journal of one migration. `path` '' is one that vanishes with the process, such as check mode uses."""

    def __init__(self, path: str) -> None:
        """Open the journal, or make it. Raises ClusterkitError."""
        self._path = path
        self._committed = time.monotonic()
        try:
            self._database = sqlite3.connect(path, timeout=_BUSY_SECONDS)
            self._database.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            self._database.execute("PRAGMA synchronous = FULL")
            self._database.execute("PRAGMA journal_mode = TRUNCATE")
            self._database.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise ClusterkitError(f"cannot open the journal {path}: {error}") from None

    def close(self) -> None:
        """Close it; what was not committed is lost."""
        self._database.close()

    def copy_from(self, path: str) -> None:
        """Take over what another journal holds. Raises ClusterkitError."""
        try:
            other = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=_BUSY_SECONDS)
            other.backup(self._database)
            other.close()
        except sqlite3.Error as error:
            raise ClusterkitError(f"cannot read the journal {path}: {error}") from None

    def get(self, name: str, default: Any = None) -> Any:
        """Return what was noted under a name."""
        row = self._one("SELECT value FROM meta WHERE name = ?", (name,))
        return default if row is None else json.loads(row[0])

    def set(self, **values: Any) -> None:
        """Note values under their names, all or none, on disk when this returns."""
        rows = [(name, json.dumps(value)) for name, value in values.items()]
        self._do("INSERT OR REPLACE INTO meta VALUES (?, ?)", rows)
        self.commit()

    def commit(self) -> None:
        """Have everything on disk. Raises ClusterkitError, for a full disk for instance."""
        self._committed = time.monotonic()
        try:
            self._database.commit()
        except sqlite3.Error as error:
            raise self._failure(error) from None

    def commit_now_and_then(self) -> None:
        """Have what is noted on disk from time to time: each time costs the file system a wait for all that it holds.

        What is lost in between is looked at again, and not copied again.
        """
        if time.monotonic() - self._committed > _COMMIT_SECONDS:
            self.commit()

    # --- looking at the source ---------------------------------------------------------------------------------------

    def saw(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Note what the source holds: one row an item, in the order of the columns."""
        self._do(_UPSERT, rows)

    def next_directory(self, generation: int, after: bytes | None) -> tuple[bytes, int] | None:
        """Return the first directory behind a path, with its entry. What is in a directory comes behind it."""
        # Spelled so that the key is used: the root's own path is empty, and nothing else lies before the first path
        beyond = ">=" if after is None else ">"
        sql = "SELECT path, entry FROM item WHERE kind = 'd' AND entry >= 0 AND generation = ? "
        row = self._one(f"{sql} AND path {beyond} ? ORDER BY path LIMIT 1", (generation, after or b""))
        return (bytes(row[0]), int(row[1])) if row else None

    def known(self, directory: bytes, limit: int) -> dict[bytes, tuple[Any, ...]]:
        """Return what is known of the things in a directory that are none themselves; of more than `limit` nothing.

        By path: entry, the stamp, number of links, and what they are links of.
        """
        sql = f"SELECT path, entry, {', '.join(_STAMP)}, nlink, link FROM item WHERE {_INSIDE} LIMIT ?"  # noqa: S608  # names of columns
        rows = self._all(sql, (*_inside(directory), limit + 1))
        return {row[0]: row[1:] for row in rows} if len(rows) <= limit else {}

    def still_there(self, directory: bytes, paths: Sequence[bytes], generation: int, all_known: bool) -> None:
        """Note that a scan saw things in a directory as they are known; `all_known` tells that it knows no others."""
        if all_known:
            self._do(f"UPDATE item SET generation = ? WHERE {_INSIDE}", [(generation, *_inside(directory))])  # noqa: S608  # conditions are this package's own
        else:
            self._do("UPDATE item SET generation = ? WHERE path = ?", [(generation, path) for path in paths])

    def note_listing(self, directory: bytes, entry: int, generation: int, digest: bytes) -> None:
        """Note what stands for all that a scan saw in a directory."""
        self._do("INSERT OR REPLACE INTO listing VALUES (?, ?, ?, ?)", [(directory, entry, generation, digest)])

    def listings(self, generation: int) -> Iterator[list[tuple[bytes, int, bytes]]]:
        """Walk over what a scan noted so, some directories with their entries at a time."""
        last = None
        sql = "SELECT path, entry, digest FROM listing WHERE generation = ? AND path"
        while rows := self._all(
            f"{sql} {'>=' if last is None else '>'} ? ORDER BY path LIMIT {_LISTINGS}", (generation, last or b"")
        ):
            yield rows
            last = rows[-1][0]

    def note_extras(self, seen: Iterable[bytes], extras: Sequence[tuple[bytes, str]]) -> None:
        """Note what things have that their row does not say; `seen` are all that were looked at for it."""
        self._do("DELETE FROM extra WHERE path = ?", [(path,) for path in seen])
        self._do("INSERT INTO extra VALUES (?, ?)", extras)

    def extras(self, generation: int) -> Iterator[tuple[bytes, int, str]]:
        """Walk over what was noted so of what is there, with its entry."""
        last = None
        sql = "SELECT path, entry, holds FROM extra JOIN item USING (path) WHERE generation = ? AND path"
        while rows := self._all(
            f"{sql} {'>=' if last is None else '>'} ? ORDER BY path LIMIT {PAGE}", (generation, last or b"")
        ):
            yield from rows
            last = rows[-1][0]

    def distinct(self, columns: str, condition: str, values: Sequence[Any], limit: int) -> list[tuple[Any, ...]]:
        """Return the values of columns that items have which fulfil a condition."""
        return self._all(f"SELECT DISTINCT {columns} FROM item WHERE {condition} LIMIT {limit}", values)  # noqa: S608  # conditions are this package's own

    def examples(self, condition: str, values: Sequence[Any], limit: int) -> list[bytes]:
        """Return paths of items that fulfil a condition, the first ones."""
        return [row[0] for row in self._all(f"SELECT path FROM item WHERE {condition} LIMIT {limit}", values)]  # noqa: S608  # conditions are this package's own

    def pair_links(self, generation: int, together: bool) -> None:
        """Note for hard links which of them is copied; `together` False has each copied for itself."""
        self._do("UPDATE item SET leader = NULL WHERE leader IS NOT NULL", [()])
        if together:
            self._do(
                "UPDATE item SET leader = (SELECT MIN(i.path) FROM item i WHERE i.link = item.link "
                "AND i.generation = item.generation) WHERE link IS NOT NULL AND generation = ?",
                [(generation,)],
            )

    def links_out(self) -> list[bytes]:
        """Return a path each of files that have further names outside of what is moved."""
        rows = self._all("SELECT MIN(path) FROM item WHERE link IS NOT NULL GROUP BY link HAVING COUNT(*) < MAX(nlink)")
        return [bytes(row[0]) for row in rows]

    # --- working on it -----------------------------------------------------------------------------------------------

    def pages(self, condition: str, values: Sequence[Any] = (), backwards: bool = False) -> Iterator[list[Item]]:
        """Walk over items by their path, some at a time, so that they may be changed meanwhile."""
        order = "DESC" if backwards else "ASC"
        # The root's own path is empty, so that the first page has to include where it begins
        beyond, last = ("<", b"\xff" * 256) if backwards else (">=", b"")
        while True:
            sql = f"SELECT {_ITEM} FROM item WHERE path {beyond} ? AND ({condition}) ORDER BY path {order} LIMIT {PAGE}"  # noqa: S608  # conditions are this package's own
            page = [Item._make(row) for row in self._all(sql, (last, *values))]
            if not page:
                return
            yield page
            beyond, last = "<" if backwards else ">", page[-1].path

    def count(self, condition: str, values: Sequence[Any] = ()) -> tuple[int, int]:
        """Return how many items fulfil a condition, and the bytes of the files among them."""
        row = self._one(
            f"SELECT COUNT(*), COALESCE(SUM(CASE WHEN kind = 'f' THEN size END), 0) FROM item WHERE {condition}",  # noqa: S608  # conditions are this package's own
            values,
        )
        return (int(row[0]), int(row[1])) if row else (0, 0)

    def space(self, condition: str, values: Sequence[Any] = ()) -> int:
        """Return the bytes that items take on the disk of their source."""
        row = self._one(f"SELECT COALESCE(SUM(space), 0) FROM item WHERE {condition}", values)  # noqa: S608  # conditions are this package's own
        return int(row[0])

    def touch(self, path: bytes, ctime: int) -> None:
        """Note that an item's inode was changed by us, and nothing else of it."""
        self._do("UPDATE item SET ctime = ? WHERE path = ?", [(ctime, path)])

    def mark(self, paths: Iterable[bytes], state: int) -> None:
        """Note how far items have come."""
        self._do("UPDATE item SET state = ? WHERE path = ?", [(state, path) for path in paths])

    def reopen(self, paths: Iterable[bytes]) -> None:
        """Note that directories were written to, so that they have to get their times anew."""
        self._do("UPDATE item SET state = ? WHERE path = ? AND kind = 'd'", [(TO_DO, path) for path in paths])

    def reopen_links(self) -> None:
        """Note that the other names of a file that is to be written again are to be linked again."""
        self._do(
            "UPDATE item SET state = ? WHERE state > ? AND leader IN "
            "(SELECT path FROM item WHERE state < ? AND leader = path) AND leader != path",
            [(TO_DO, TO_DO, VERIFIED)],
        )

    def forget(self, paths: Iterable[bytes]) -> None:
        """Forget items."""
        rows = [(path,) for path in paths]
        self._do("DELETE FROM item WHERE path = ?", rows)
        self._do("DELETE FROM extra WHERE path = ?", rows)
        self._do("DELETE FROM listing WHERE path = ?", rows)

    def forget_all(self) -> None:
        """Forget all items."""
        self._do("DELETE FROM item", [()])
        self._do("DELETE FROM extra", [()])
        self._do("DELETE FROM listing", [()])

    def item(self, path: bytes) -> Item | None:
        """Return the item with a path."""
        row = self._one(f"SELECT {_ITEM} FROM item WHERE path = ?", (path,))  # noqa: S608  # names of columns
        return Item._make(row) if row else None

    def _do(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        try:
            self._database.executemany(sql, rows)
        except sqlite3.Error as error:
            raise self._failure(error) from None

    def _one(self, sql: str, values: Sequence[Any]) -> Any:
        rows = self._all(sql, values)
        return rows[0] if rows else None

    def _all(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        try:
            return self._database.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise self._failure(error) from None

    def _failure(self, error: sqlite3.Error) -> ClusterkitError:
        where = self._path or "the temporary directory"
        return ClusterkitError(f"the journal ({where}) failed: {error}. Nothing is lost: mend that and run again")
