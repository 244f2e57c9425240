# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a csync2 member knows, read from its files and its database without starting csync2.

Names of files come from the database, not from csync2's output: there they are URL-encoded, so that a name with a
line end in it stays one name.
"""

from __future__ import annotations

import base64
import hashlib
import os
import pathlib
import re
import socket
import sqlite3
import stat
import urllib.parse
from dataclasses import dataclass
from typing import Any, Iterable, Iterator

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.files import read_if_exists
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


def database_path(name: str, directory: str = DATABASE_DIRECTORY) -> str:
    """Return the path of the database of the host `name`."""
    return f"{directory}/{name.lower()}.db3"


def read_database(path: str) -> Database | None:
    """Read a member's database; None where there is none yet.

    Raises ClusterkitError when the file is no csync2 database.
    """
    if not pathlib.Path(path).exists():
        return None
    connection = sqlite3.connect(f"file:{urllib.parse.quote(path)}?mode=ro", uri=True, timeout=_BUSY_SECONDS)
    try:
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        # csync2 creates the tables at its first run, one after the other
        if not {"file", "dirty", "x509_cert"} <= tables:
            return Database(0, (), {})
        files = connection.execute("SELECT count(*) FROM file").fetchone()[0]
        rows = connection.execute("SELECT peername, filename, forced FROM dirty ORDER BY peername, filename")
        dirty = tuple(Dirty(_decode(peer), _decode(name), str(forced) == "1") for peer, name, forced in rows)
        certificates = connection.execute("SELECT peername, certdata FROM x509_cert")
        pins = {_decode(peer): hashlib.sha256(bytes.fromhex(data)).hexdigest() for peer, data in certificates}
    except (sqlite3.DatabaseError, ValueError) as error:
        raise ClusterkitError(f"{path} cannot be read as csync2's database: {error}") from error
    finally:
        connection.close()
    return Database(files, dirty, pins)


def forget_pins(path: str, peers: Iterable[str]) -> None:
    """Delete the pinned certificates of peers, so that the next contact pins what they present then.

    Raises ClusterkitError when the database stays locked or is none.
    """
    names = [urllib.parse.quote(peer.lower(), safe="") for peer in peers]
    try:
        connection = sqlite3.connect(f"file:{urllib.parse.quote(path)}?mode=rw", uri=True, timeout=_BUSY_SECONDS)
        try:
            with connection:
                connection.executemany("DELETE FROM x509_cert WHERE lower(peername) = lower(?)", [(name,) for name in names])
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        raise ClusterkitError(f"{path}: the pinned certificates could not be forgotten: {error}") from error


def _decode(text: str) -> str:
    """Undo the URL encoding of the database; bytes that are no UTF-8 become surrogates, as everywhere in Python."""
    return urllib.parse.unquote_to_bytes(text).decode("utf-8", "surrogateescape")


def key_state(path: str) -> dict[str, str]:
    """Return the fingerprint of the key file `path`, and what is wrong with it; both empty where there is none."""
    try:
        content = read_if_exists(path)
        return {"fingerprint": key.fingerprint(key.parse(content)) if content is not None else "", "error": ""}
    except ClusterkitError as error:
        return {"fingerprint": "", "error": str(error)}


def certificate_fingerprint(path: str) -> str:
    """Return the SHA-256 fingerprint (hexadecimal, lower case) of a PEM certificate, empty where there is none."""
    content = read_if_exists(path) or b""
    found = re.search(rb"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", content, re.S)
    try:
        return hashlib.sha256(base64.b64decode(found.group(1))).hexdigest() if found else ""
    except ValueError:
        return ""


def manifest(config: Config, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (path, properties) of every file that the host `name` includes, in sorted order.

    Properties: type, mode (octal text), uid, gid, and sha256 of a file's content or a link's target. uid and gid are
    left out for properties that the configuration ignores. A file that vanishes while it is read is left out.
    """
    matcher = Matcher(config, name)
    seen: set[bytes] = set()
    for root in sorted(set(matcher.roots)):
        for path in _walk(root, matcher):
            if path in seen:
                continue
            seen.add(path)
            try:
                properties = _properties(path, config.ignore)
            except (FileNotFoundError, NotADirectoryError):
                continue
            yield os.fsdecode(path), properties


def _walk(root: bytes, matcher: Matcher) -> Iterator[bytes]:
    included = matcher.includes(root)
    if included:
        yield root
    # csync2 steps into a directory that is included, or that leads to an include pattern; the roots are the latter
    try:
        if not stat.S_ISDIR(os.lstat(root).st_mode):
            return
    except OSError:
        return
    stack = [root]
    while stack:
        directory = stack.pop()
        try:
            entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            continue
        for entry in entries:
            if not matcher.includes(entry.path):
                continue
            yield entry.path
            if entry.is_dir(follow_symlinks=False):
                stack.append(entry.path)


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
        properties["sha256"] = hashlib.sha256(os.readlink(path)).hexdigest()  # noqa: PTH115  # bytes, as above
    return properties


def _type(mode: int) -> str:
    for test, name in (
        (stat.S_ISREG, "file"),
        (stat.S_ISDIR, "directory"),
        (stat.S_ISLNK, "link"),
        (stat.S_ISFIFO, "fifo"),
        (stat.S_ISSOCK, "socket"),
    ):
        if test(mode):
            return name
    return "device"


def digest_of(entries: dict[str, dict[str, Any]]) -> str:
    """Return one SHA-256 over a manifest: equal exactly when all paths and properties are."""
    digest = hashlib.sha256()
    for path in sorted(entries):
        row = "\0".join([path, *(f"{key}={entries[path][key]}" for key in sorted(entries[path]))])
        digest.update(row.encode("utf-8", "surrogateescape") + b"\n")
    return digest.hexdigest()


def reach(host: str, port: int = PORT, limit: float = 3.0) -> str:
    """Connect to a peer's listener within `limit` seconds; return the error, empty when it answers."""
    try:
        with socket.create_connection((host, port), timeout=limit):
            return ""
    except socket.gaierror as error:
        return f"{host} does not resolve: {error.strerror}"
    except OSError as error:
        return f"{host} port {port}: {error.strerror or error}"
