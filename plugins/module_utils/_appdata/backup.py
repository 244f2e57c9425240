# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups of a directory that belong to something else, such as a backup of a database: a pair, restored as one.

A backup is a compressed archive and a manifest beside it, named as it and `.json`, which is written last: without it
there is no backup. What the collection itself keeps in the directory is not in it, and survives a restore.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import time
from pathlib import Path
from typing import Any, Iterator, Mapping

from ansible_collections.clusterkit.middleware.plugins.module_utils._appdata.target import OWN
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.files import (
    read_if_exists,
    remove,
    sync_directory,
    write_atomically,
)
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.locks import exclusive
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.pipeline import Stage, flow

_CHUNK = 1 << 20
_MANIFEST = ".json"
_ARCHIVE = r"{}-\d{{8}}T\d{{6}}Z\.tar\.gz"
#: tar ends with 1 where a file changed while it was read, as logs do, which is no failure of a backup of data in use.
_TAR = ("sh", "-c", 'tar "$@" || [ $? -eq 1 ]', "tar", "--create", "--file=-", "--xattrs", "--numeric-owner")
_UNTAR = ("tar", "--extract", "--file=-", "--xattrs", "--numeric-owner", "--preserve-permissions", "--same-owner")
_STAGING, _BEFORE = "restoring", "before"
#: In the directory's own part: a restore was begun and has not ended. No program may use the data as they are.
NOTE = "restore.json"


class DirectoryBackups:
    """The backups of the directory `source`, in `directory`. `limit` is in seconds. All raise ClusterkitError."""

    def __init__(self, source: str, directory: str, name: str, limit: float = 3600.0) -> None:
        self.source = Path(source)
        self.directory = Path(directory)
        self.name = name
        self.limit = limit

    @property
    def _own(self) -> Path:
        return self.source / OWN

    @property
    def _note(self) -> Path:
        return self._own / NOTE

    def write(self, belongs_to: Mapping[str, Any]) -> dict[str, Any]:
        """Write a backup which belongs to something else; return its manifest."""
        with self._locked():
            if not self.source.is_dir():
                raise ClusterkitError(f"{self.source} is no directory: is its storage mounted?")
            self._refuse_half_restored()
            began = int(time.time())
            path = self.directory / f"{self.name}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(began))}.tar.gz"
            if path.exists():
                raise ClusterkitError(f"{path} is there already: let a second pass between two backups")
            incoming = self.directory / f".{self.name}.incoming"
            remove(str(incoming))
            read = [Stage([*_TAR, f"--exclude=./{OWN}", f"--directory={self.source}", "."], name="tar")]
            try:
                opened = os.open(incoming, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
                with os.fdopen(opened, "wb") as to:
                    flow(read, [Stage(["gzip", "-c", "-n"])], stdout=to, limit=self.limit)
                    os.fsync(to.fileno())
                manifest = {
                    "file": str(path),
                    "source": str(self.source),
                    "began": began,
                    "ended": int(time.time()),
                    "bytes": incoming.stat().st_size,
                    "sha256": _digest(incoming),
                    "belongs_to": dict(belongs_to),
                }
                incoming.rename(path)
                sync_directory(self.directory)
            except OSError as error:
                raise ClusterkitError(f"cannot write {path}: {error.strerror}") from None
            text = json.dumps(manifest, indent=2, sort_keys=True) + "\n"
            write_atomically(f"{path}{_MANIFEST}", text.encode(), mode=0o600)
            return manifest

    def prune(self, keep: int) -> list[str]:
        """Remove all but the newest `keep`, and archives without a manifest; one at least stays."""
        with self._locked():
            pattern = re.compile(_ARCHIVE.format(re.escape(self.name)))
            archives = sorted(path for path in self.directory.iterdir() if pattern.fullmatch(path.name))
            whole = [path for path in archives if Path(f"{path}{_MANIFEST}").exists()]
            removed = []
            for path in archives:
                if path not in whole[-max(keep, 1) :]:
                    for one in (f"{path}{_MANIFEST}", str(path)):
                        removed += [one] if remove(one) else []
            return removed

    def check(self, file: str) -> dict[str, Any]:
        """Read a backup to its end; return its manifest. Fails where a byte of it is another one."""
        text = read_if_exists(f"{file}{_MANIFEST}")
        if text is None:
            raise ClusterkitError(f"there is no manifest beside {file}: it is no whole backup")
        try:
            manifest: dict[str, Any] = json.loads(text)
            expected = manifest["sha256"]
            manifest["belongs_to"]["sha256"]
        except (ValueError, KeyError, TypeError):
            raise ClusterkitError(f"{file}{_MANIFEST} is no manifest of a backup") from None
        try:
            found = _digest(Path(file))
        except OSError as error:
            raise ClusterkitError(f"cannot read {file}: {error.strerror}") from None
        if found != expected:
            raise ClusterkitError(f"{file} has the checksum {found}, its manifest {expected}: it was changed")
        # It may have been moved to another directory since
        return {**manifest, "file": file}

    def stage(self, file: str) -> dict[str, Any]:
        """Unpack a backup within the directory, beside its data, which may still be used; return its manifest."""
        with self._locked():
            manifest = self.check(file)
            staging = self._own / _STAGING
            try:
                self._own.mkdir(mode=0o700, exist_ok=True)
                self._finish_switch()
                shutil.rmtree(staging, ignore_errors=True)
                staging.mkdir(mode=0o700)
                with open(file, "rb") as source:
                    out = Stage([*_UNTAR, f"--directory={staging}"])
                    flow([Stage(["gzip", "-d", "-c"])], [out], stdin=source, limit=self.limit)
                os.sync()
            except OSError as error:
                shutil.rmtree(staging, ignore_errors=True)
                raise ClusterkitError(f"cannot unpack {file} in {staging}: {error.strerror}") from None
            except ClusterkitError:
                shutil.rmtree(staging, ignore_errors=True)
                raise
            return manifest

    def begin(self, file: str) -> None:
        """Note that a restore begins: from now on the data, and what they belong to, may not fit."""
        write_atomically(str(self._note), (json.dumps({"file": file, "names": None}) + "\n").encode(), mode=0o600)

    def restore(self, file: str) -> str:
        """Let the directory have what was unpacked of a backup; return where what it had is.

        Killed at any point, it goes on when it is called again. Nobody may use the directory meanwhile.
        """
        with self._locked():
            note = self._read_note()
            staging = self._own / _STAGING
            if note is None or note.get("file") != file or not (note.get("names") or staging.is_dir()):
                raise ClusterkitError(f"{file} has not been unpacked in {staging}: begin the restore anew")
            if note.get("names") is None:
                before = f"{_BEFORE}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
                note = {
                    "file": file,
                    "before": before,
                    "names": {
                        "old": sorted(set(os.listdir(self.source)) - {OWN}),
                        "new": sorted(os.listdir(staging)),
                    },
                }
                write_atomically(str(self._note), (json.dumps(note) + "\n").encode(), mode=0o600)
            try:
                self._finish_switch()
            except OSError as error:
                raise ClusterkitError(f"cannot restore {self.source}: {error.strerror}: call it again") from None
            return str(self._own / note["before"])

    def _finish_switch(self) -> None:
        """Move what is left to be moved, where a restore was killed while it did that. Raises OSError."""
        note = self._read_note()
        if not note or not note.get("names"):
            return
        before, staging = self._own / note["before"], self._own / _STAGING
        before.mkdir(mode=0o700, exist_ok=True)
        for name in note["names"]["old"]:
            # One that is there already was moved: what has its name now is of the backup
            if not os.path.lexists(before / name):
                (self.source / name).rename(before / name)
        for name in note["names"]["new"]:
            if os.path.lexists(staging / name):
                (staging / name).rename(self.source / name)
        with contextlib.suppress(FileNotFoundError):
            # The directory itself has an owner and a mode of its own
            shutil.copystat(staging, self.source)
            status = staging.stat()
            os.chown(self.source, status.st_uid, status.st_gid)
            staging.rmdir()
        sync_directory(self.source)
        remove(str(self._note))

    def _refuse_half_restored(self) -> None:
        if self._read_note() is not None:
            raise ClusterkitError(f"a restore of {self.source} has begun and not ended: call it again first")

    def _read_note(self) -> dict[str, Any] | None:
        text = read_if_exists(str(self._note))
        if text is None:
            return None
        try:
            note: dict[str, Any] = json.loads(text)
        except ValueError:
            raise ClusterkitError(f"{self._note} is not what a restore writes: look at it, and remove it") from None
        return note

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ClusterkitError(f"cannot make the directory {self.directory}: {error.strerror}") from None
        with exclusive(str(self.directory / f".{self.name}.lock"), 60.0, f"backup of {self.source}"):
            yield


def _digest(path: Path) -> str:
    """Return the checksum of a file. Raises OSError."""
    checksum = hashlib.sha256()
    with path.open("rb") as source:
        while chunk := source.read(_CHUNK):
            checksum.update(chunk)
    return checksum.hexdigest()
