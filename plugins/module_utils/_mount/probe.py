# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trying a share from all members: each writes what the others read, and a lock of one keeps the others out."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from contextlib import suppress
from typing import Any, Callable, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._mount import guard, settings
from ansible_collections.clusterkit.middleware.plugins.module_utils._mount.asking import within
from ansible_collections.clusterkit.middleware.plugins.module_utils._mount.settings import Share

#: A lock is dropped when the file here is removed, or after some time.
HELD = "/run/clusterkit-shared_mount-{}.held"
HOLD_SECONDS = 120.0
MODE = 0o640
#: More than one block of any network file system.
_FILLING = 128 * 1024
#: Each in a file of its own: over NFS both are the same lock, and would keep each other out.
LOCKS: dict[str, Callable[[int, int], None]] = {"flock": fcntl.flock, "posix": fcntl.lockf}


def _content(token: str, member: str) -> bytes:
    line = f"{token} {member}\n".encode()
    return (line * (_FILLING // len(line) + 1))[:_FILLING]


class Probe:
    """One share, tried by one member within a time. `token` is the same for all members, and new each time."""

    def __init__(self, share: Share, member: str, token: str, limit: float = guard.LIMIT) -> None:
        self._share = share
        self._member = member
        self._token = token
        self._limit = limit
        self._directory = os.path.join(share.path, settings.PROBES)
        self._uid, self._gid = guard.user_of(share)

    def write(self) -> dict[str, Any]:
        """Write this member's file; return whose it is. Raises ClusterkitError."""
        self._require_mounted()
        written: dict[str, Any] = self._ask(self._write)
        return written

    def read(self, members: Sequence[str]) -> dict[str, Any]:
        """Return what was read of each member's file: owner, group, mode and whether its content is the right one.

        A file that is not seen yet is waited for. Raises ClusterkitError.
        """
        self._require_mounted()
        seen: dict[str, Any] = self._ask(lambda: self._read(members))
        return seen

    def hold(self) -> None:
        """Lock, and go on holding the lock when this ends, until `release`. Raises ClusterkitError."""
        self._require_mounted()
        flag = self._flag()
        with open(flag, "w", encoding="utf-8"):
            pass
        try:
            self._ask(lambda: self._hold_apart(flag))
        except ClusterkitError:
            self.release()
            raise

    def release(self) -> None:
        """Drop the locks."""
        with suppress(FileNotFoundError):
            os.unlink(self._flag())

    def try_locks(self) -> dict[str, str]:
        """Return for each lock 'kept out', 'taken', or what went wrong."""
        self._require_mounted()
        said: dict[str, str] = self._ask(lambda: {name: self._try(name) for name in LOCKS})
        return said

    def clear(self) -> None:
        """Remove all files. Raises ClusterkitError."""
        self._require_mounted()
        self._ask(self._clear)

    def _ask(self, question: Callable[[], Any]) -> Any:
        return within(self._limit + 5, self._share.path, question, self._uid, self._gid)

    def _require_mounted(self) -> None:
        if not guard.mounted_at(self._share.path, guard.table()):
            raise ClusterkitError(f"nothing is mounted at {self._share.path}")

    def _flag(self) -> str:
        return HELD.format(self._share.name)

    def _file(self, member: str) -> str:
        return os.path.join(self._directory, f"{self._token}-{member}")

    def _write(self) -> dict[str, Any]:
        descriptor = self._created(time.monotonic() + self._limit)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, MODE)
            file.write(_content(self._token, self._member))
            file.flush()
            os.fsync(descriptor)
        found = os.stat(self._file(self._member))
        return {"owner": found.st_uid, "group": found.st_gid, "mode": f"{stat.S_IMODE(found.st_mode):04o}"}

    def _created(self, end: float) -> int:
        """Return a descriptor of this member's new file.

        A network file system may go on showing the directory of the time before, which another member has removed,
        until what it remembers of it is too old (sshfs: 20 s).
        """
        while True:
            with suppress(FileExistsError):  # another member was faster
                os.mkdir(self._directory, 0o700)
            try:
                return os.open(self._file(self._member), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            except FileNotFoundError:
                if time.monotonic() > end:
                    raise
            time.sleep(0.1)

    def _read(self, members: Sequence[str]) -> dict[str, Any]:
        end = time.monotonic() + self._limit
        return {member: self._read_one(member, end) for member in members}

    def _read_one(self, member: str, end: float) -> dict[str, Any]:
        while True:
            error, found = "", None
            try:
                with open(self._file(member), "rb") as file:
                    content = file.read()
                    found = os.fstat(file.fileno())
                if content != _content(self._token, member):
                    error = "it has another content"
            except OSError as failed:
                error = str(failed.strerror)
            if (found and not error) or time.monotonic() > end:
                break
            time.sleep(0.1)
        out: dict[str, Any] = {"error": error}
        if found:
            out.update(owner=found.st_uid, group=found.st_gid, mode=f"{stat.S_IMODE(found.st_mode):04o}")
        return out

    def _lock_file(self, name: str) -> int:
        return os.open(os.path.join(self._directory, f"lock-{name}"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def _try(self, name: str) -> str:
        descriptor = self._lock_file(name)
        try:
            LOCKS[name](descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return "taken"
        except OSError as error:
            return "kept out" if error.errno in (errno.EAGAIN, errno.EACCES) else str(error.strerror)
        finally:
            os.close(descriptor)

    def _hold_apart(self, flag: str) -> None:
        """Lock in a process that outlives this one, and return when it has the locks. Raises OSError."""
        reading, writing = os.pipe()
        if os.fork() == 0:
            try:
                os.setsid()
                # Among them the pipe that whoever asked waits at
                os.closerange(3, writing)
                os.closerange(writing + 1, 1024)
                self._hold(writing, flag)
            finally:
                os._exit(0)
        os.close(writing)
        with os.fdopen(reading, encoding="utf-8") as file:
            said = file.readline()
        if said != "held\n":
            raise ClusterkitError(f"cannot lock a file below {self._share.path}: {said.strip() or 'nothing was said'}")

    def _hold(self, writing: int, flag: str) -> None:
        try:
            for name, lock in LOCKS.items():
                lock(self._lock_file(name), fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.write(writing, b"held\n")
        except OSError as error:
            os.write(writing, f"{error.strerror}\n".encode())
            return
        finally:
            os.close(writing)
        end = time.monotonic() + HOLD_SECONDS
        while os.path.exists(flag) and time.monotonic() < end:
            time.sleep(0.05)

    def _clear(self) -> None:
        end = time.monotonic() + self._limit
        while True:
            try:
                for name in os.listdir(self._directory):
                    with suppress(FileNotFoundError):
                        os.unlink(os.path.join(self._directory, name))
                os.rmdir(self._directory)
                return
            except FileNotFoundError:
                return
            except OSError:
                # Over NFS what somebody has open is there under another name until it is closed
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)
