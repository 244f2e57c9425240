# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of backups: whole or not there, each with its checksum beside it, the oldest ones removed."""

from __future__ import annotations

import base64
import hashlib
import os
import pathlib
import re
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.files import (
    group_id,
    sync_directory,
    user_id,
    write_atomically,
)
from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj.directory import normal

_CHUNK = 1 << 20
_STAMP = r"\d{8}T\d{6}Z"
_CHECKSUM = ".sha256"
#: Where the server writes, as its own user.
_INCOMING = ".incoming"


@dataclass(frozen=True)
class BackupFile:
    """A backup that is being written: `incoming` until `finish` has given it its place and name."""

    path: pathlib.Path

    @property
    def incoming(self) -> pathlib.Path:
        """Where the server writes it."""
        return self.path.parent / _INCOMING / self.path.name

    def finish(self) -> dict[str, Any]:
        """Give the file its place, and its checksum; return what it is. Raises ClusterkitError."""
        entries, digest, _base = _read(self.incoming)
        if not entries:
            self.incoming.unlink()
            raise ClusterkitError(f"the server wrote no entry to {self.incoming}: there is nothing to back up")
        try:
            with self.incoming.open("rb") as file:
                os.fsync(file.fileno())
            # The checksum first: a file without one is no backup
            write_atomically(f"{self.path}{_CHECKSUM}", f"{digest}  {self.path.name}\n".encode(), mode=0o600)
            self.incoming.rename(self.path)
            sync_directory(self.path.parent)
        except OSError as error:
            raise ClusterkitError(f"cannot finish {self.path}: {error.strerror}") from None
        return {"file": str(self.path), "entries": entries, "sha256": digest}


def make_directory(directory: str, owner: str, group: str) -> None:
    """Make the directory, which the server may only read, and one in it that it writes to. Raises ClusterkitError.

    So the server's user cannot change a checksum, nor lead root to another place by a symbolic link.
    """
    path = pathlib.Path(directory)
    incoming = path / _INCOMING
    try:
        if not path.exists():
            path.mkdir(mode=0o750, parents=True)
            path.chmod(0o750)
            os.chown(path, -1, group_id(group) or 0)
        if incoming.is_dir():
            # Of a run that was killed: the server writes a file anew, and does not overwrite one
            for left in incoming.iterdir():
                left.unlink()
        else:
            incoming.mkdir(mode=0o700)
            os.chown(incoming, user_id(owner) or 0, group_id(group) or 0)
    except OSError as error:
        raise ClusterkitError(f"cannot make the directory {error.filename or directory}: {error.strerror}") from None


def path_for(directory: str, base: str) -> BackupFile:
    """Return where a backup that begins now goes."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    return BackupFile(pathlib.Path(directory) / f"{_stem(base)}-{stamp}.ldif")


def prune(directory: str, base: str, keep: int) -> list[str]:
    """Remove all but the newest `keep` backups of a base DN, at least one stays; return the files removed."""
    backup = re.compile(rf"{re.escape(_stem(base))}-{_STAMP}\.ldif")
    names = sorted(path.name for path in pathlib.Path(directory).iterdir() if backup.fullmatch(path.name))
    removed = []
    for name in names[: -max(keep, 1)]:
        # The checksum first: without it the file is no backup, and is found again by its name
        for path in (pathlib.Path(directory) / f"{name}{_CHECKSUM}", pathlib.Path(directory) / name):
            path.unlink(missing_ok=True)
            removed.append(str(path))
    return removed


def verify(file: str, base: str) -> dict[str, Any]:
    """Return what a backup is. Raises ClusterkitError for one that is not whole, or not of this base DN."""
    path = pathlib.Path(file)
    try:
        expected = pathlib.Path(file + _CHECKSUM).read_text(encoding="utf-8").split()
    except OSError as error:
        raise ClusterkitError(f"there is no checksum beside {file} ({error.strerror}): it is no whole backup") from None
    entries, digest, first = _read(path)
    if not expected or expected[0] != digest:
        raise ClusterkitError(f"{file} has the checksum {digest}, and {file}{_CHECKSUM} another one: it was changed")
    if normal(first) != normal(base):
        raise ClusterkitError(f"{file} begins with {first or 'no entry'}: it is no backup of {base}")
    return {"file": file, "entries": entries, "sha256": digest}


def _read(path: pathlib.Path) -> tuple[int, str, str]:
    """Return how many entries a file has, its SHA-256, and the first entry's DN. Raises ClusterkitError."""
    digest = hashlib.sha256()
    entries, first, rest = 0, "", b""
    try:
        # Not through a symbolic link: the server's user may have made one
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    if line.lower().startswith(b"dn:"):
                        entries += 1
                        first = first or _dn(line)
    except OSError as error:
        raise ClusterkitError(f"cannot read {path}: {error.strerror}") from None
    return entries, digest.hexdigest(), first


def _dn(line: bytes) -> str:
    """Return the DN in a line of LDIF (RFC 2849), which is in base64 where it has other letters than ASCII's."""
    value = line[3:]
    plain = base64.b64decode(value[1:]) if value.startswith(b":") else value
    return plain.decode("utf-8", "replace").strip()


def _stem(base: str) -> str:
    return quote(normal(base), safe="=,@ ").replace(" ", "_")
