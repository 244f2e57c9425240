# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a csync2 member knows, read from its files and its database without starting csync2.

Names of files come from the database, not from csync2's output: there line ends are encoded, so that a name with one
in it stays one name.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import pathlib
import re
import sqlite3
import stat
import time
import urllib.parse
from dataclasses import dataclass
from typing import Any, Iterable, Iterator

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.files import (
    read_if_exists,
    status_if_exists,
)
from ansible_collections.clusterkit.middleware.plugins.module_utils._csync2 import key
from ansible_collections.clusterkit.middleware.plugins.module_utils._csync2.config import Config, Matcher

#: The port of csync2's listener, fixed in its source and in Debian's csync2.socket.
PORT = 30865
DATABASE_DIRECTORY = "/var/lib/csync2"
#: Seconds that a read waits for a csync2 that writes the database.
_BUSY_SECONDS = 10.0


@dataclass(frozen=True)
class Dirty:
    """A file that has still to be sent to a peer; `forced` wins a conflict."""

    peer: str
    file: str
    forced: bool


@dataclass(frozen=True)
class Database:
    """A member's database: how many files it knows, what it has still to send, and its peers' certificates.

    `pins` maps a peer to the SHA-256 fingerprint (hexadecimal, lower case) of the certificate it is pinned to.
    """

    files: int
    dirty: tuple[Dirty, ...]
    pins: dict[str, str]


def sysconfdir(binary: str) -> str:
    """Return the directory in which a csync2 binary looks for its files, empty where it does not tell.

    2.0 has it as the constant ETCDIR "/csync2.cfg"; later ones take it from the environment and name the default in
    their help (csync2.c upstream).
    """
    content = read_if_exists(os.path.realpath(binary)) or b""
    found = re.search(rb"CSYNC2_SYSTEM_DIR\n.*?\n\t*Defaults to (/[^\0\n]*)\.\n", content, re.S)
    found = found or re.search(rb"\0(/[^\0%]*)/csync2\.cfg\0", content)
    return os.path.normpath(os.fsdecode(found.group(1))) if found else ""


def database_path(name: str, directory: str = DATABASE_DIRECTORY) -> str:
    """Return the path of the database of the host `name`."""
    return f"{directory}/{name.lower()}.db3"


def read_database(path: str) -> Database | None:
    """Read a member's database; None where there is none yet.

    Raises ClusterkitError when the file is no csync2 database.
    """
    if not pathlib.Path(path).exists():
        return None
    try:
        with contextlib.closing(_connect(path)) as connection:
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            # csync2 creates the tables at its first run, one after the other
            if not {b"file", b"dirty", b"x509_cert"} <= tables:
                return Database(0, (), {})
            files = connection.execute("SELECT count(*) FROM file").fetchone()[0]
            rows = connection.execute("SELECT peername, filename, forced + 0 FROM dirty ORDER BY peername, filename")
            dirty = tuple(Dirty(_decode(peer), _decode(name), forced == 1) for peer, name, forced in rows)
            certificates = connection.execute("SELECT peername, certdata FROM x509_cert").fetchall()
        pins = {_decode(peer): hashlib.sha256(bytes.fromhex(_decode(data))).hexdigest() for peer, data in certificates}
    except (sqlite3.Error, ValueError, AttributeError) as error:
        raise ClusterkitError(f"{path} cannot be read as csync2's database: {error}") from error
    return Database(files, dirty, pins)


def settled(path: str, limit: float) -> Database | None:
    """Read a member's database when nothing is left to send, or after `limit` seconds as it is then.

    Raises ClusterkitError as read_database.
    """
    end = time.monotonic() + limit
    while True:
        database = read_database(path)
        if database is None or not database.dirty or time.monotonic() >= end:
            return database
        time.sleep(0.1)


def forget_pins(path: str, peers: Iterable[str]) -> None:
    """Delete the pinned certificates of peers, so that the next contact pins what they present then.

    Raises ClusterkitError when the database stays locked or is none.
    """
    try:
        with contextlib.closing(_connect(path)) as connection:
            connection.executemany("DELETE FROM x509_cert WHERE peername = ?", [(_encode(peer),) for peer in peers])
            connection.commit()
    except sqlite3.Error as error:
        raise ClusterkitError(f"{path}: the pinned certificates could not be forgotten: {error}") from error


def forget_peers(path: str, peers: Iterable[str]) -> None:
    """Delete all that the database holds for peers: their pinned certificates, and what was still to be sent to them.

    Raises ClusterkitError when the database stays locked or is none.
    """
    names = [(_encode(peer),) for peer in peers]
    try:
        with contextlib.closing(_connect(path)) as connection:
            connection.executemany("DELETE FROM x509_cert WHERE peername = ?", names)
            connection.executemany("DELETE FROM dirty WHERE peername = ?", names)
            connection.commit()
    except sqlite3.Error as error:
        raise ClusterkitError(f"{path}: what it holds for former peers could not be deleted: {error}") from error


def _connect(path: str) -> sqlite3.Connection:
    """Open a database that is there. For reading too it may be written: what a killed csync2 left is undone first."""
    connection = sqlite3.connect(f"file:{urllib.parse.quote(path)}?mode=rw", uri=True, timeout=_BUSY_SECONDS)
    # csync2 encodes no bytes beyond ASCII, so a name need not be UTF-8
    connection.text_factory = bytes
    return connection


def _decode(text: bytes) -> str:
    """Undo the URL encoding of the database; bytes that are no UTF-8 become surrogates, as everywhere in Python."""
    return urllib.parse.unquote_to_bytes(text).decode("utf-8", "surrogateescape")


def _encode(text: str) -> str:
    """Encode a peer's name as csync2 does (url_encode() upstream)."""
    return re.sub(r"[\x01-\x20\x7f\"'%$:|\\]", lambda found: f"%{ord(found.group()):02X}", text.lower())


def key_state(path: str) -> dict[str, str]:
    """Return the key file's fingerprint, mode (octal), and what is wrong with it; all empty where there is none."""
    state = {"fingerprint": "", "mode": "", "error": ""}
    try:
        status = status_if_exists(path)
        if status:
            state["mode"] = f"{stat.S_IMODE(status.st_mode):04o}"
            state["fingerprint"] = key.fingerprint(key.parse(read_if_exists(path) or b""))
    except ClusterkitError as error:
        state["error"] = str(error)
    return state


def certificate_fingerprint(path: str) -> str:
    """Return the SHA-256 fingerprint (hexadecimal, lower case) of a PEM certificate, empty where there is none."""
    content = read_if_exists(path) or b""
    found = re.search(rb"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", content, re.S)
    try:
        return hashlib.sha256(base64.b64decode(found.group(1))).hexdigest() if found else ""
    except ValueError:
        return ""


def manifest(config: Config, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (file, properties) of every file that the host `name` includes, a directory before what is in it.

    A file goes by csync2's name for it: its path, or `%prefix%/…`, which is the same on all hosts. Properties: type,
    mode (octal text), uid, gid, and sha256 of a file's content or a link's target; those are left out that the
    configuration ignores. A file that vanishes while it is read is left out.

    Raises ClusterkitError for one that cannot be read: nothing could be said of it.
    """
    matcher = Matcher(config, name)
    for start in matcher.starts:
        for file, path in walk(start, matcher):
            try:
                yield os.fsdecode(file), _properties(path, config.ignore)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                raise _unreadable(path, error) from None


def walk(start: tuple[bytes, bytes], matcher: Matcher) -> Iterator[tuple[bytes, bytes]]:
    """Yield name and path of what is included; as in csync2, no link is followed on the way to it."""
    stack = [start]
    while stack:
        file, path = stack.pop()
        if matcher.includes(file):
            yield file, path
        elif not matcher.leads_on(file):
            continue
        try:
            if not stat.S_ISDIR(os.lstat(path).st_mode):
                continue
            entries = sorted(os.listdir(path), reverse=True)  # noqa: PTH208  # bytes: a name need not be text
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise _unreadable(path, error) from None
        stack += [(file.rstrip(b"/") + b"/" + entry, path.rstrip(b"/") + b"/" + entry) for entry in entries]


def _unreadable(path: bytes, error: OSError) -> ClusterkitError:
    return ClusterkitError(f"{os.fsdecode(path)} cannot be read: {error.strerror}")


def _properties(path: bytes, ignore: list[str]) -> dict[str, Any]:
    status = os.lstat(path)
    properties: dict[str, Any] = {"type": _type(status.st_mode)}
    if "mod" not in ignore and not stat.S_ISLNK(status.st_mode):
        properties["mode"] = f"{stat.S_IMODE(status.st_mode):04o}"
    if "uid" not in ignore:
        properties["uid"] = status.st_uid
    if "gid" not in ignore:
        properties["gid"] = status.st_gid
    if stat.S_ISREG(status.st_mode):
        digest = hashlib.sha256()
        with open(path, "rb") as handle:  # noqa: PTH123  # bytes: the name need not be text
            for block in iter(lambda: handle.read(1 << 20), b""):
                digest.update(block)
        properties["sha256"] = digest.hexdigest()
    elif stat.S_ISLNK(status.st_mode):
        properties["sha256"] = hashlib.sha256(os.readlink(path)).hexdigest()  # bytes, as above
    elif stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
        properties["device"] = f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
    return properties


def _type(mode: int) -> str:
    for test, name in (
        (stat.S_ISREG, "file"),
        (stat.S_ISDIR, "directory"),
        (stat.S_ISLNK, "link"),
        (stat.S_ISFIFO, "fifo"),
        (stat.S_ISSOCK, "socket"),
        (stat.S_ISCHR, "character device"),
    ):
        if test(mode):
            return name
    return "block device"


def digest_of(entries: dict[str, dict[str, Any]]) -> str:
    """Return one SHA-256 over a manifest: equal exactly when all paths and properties are."""
    digest = hashlib.sha256()
    for path in sorted(entries):
        row = "\0".join([path, *(f"{key}={entries[path][key]}" for key in sorted(entries[path]))])
        digest.update(row.encode("utf-8", "surrogateescape") + b"\n")
    return digest.hexdigest()
