# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One at a time: a lock that the kernel drops when its holder ends, however it ends."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from typing import Iterator

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError

_LONGEST_WAIT_SECONDS = 0.25


@contextlib.contextmanager
def exclusive(path: str, limit: float, what: str = "") -> Iterator[float]:
    """Hold the lock file `path` while the block runs; yield the seconds that were waited for it.

    It is an flock, so flock(1) in a script or a unit takes the same one. The file is created (0600) and never
    removed: whoever removes it would let two holders have a lock each, on the old file and on the new one.

    `limit` is in seconds; 0 tries once. `what` is for the error that others get meanwhile.
    Raises ClusterkitError with the holder when the limit passes, and when the file cannot be opened.
    """
    descriptor = _open(path)
    try:
        waited = _acquire(descriptor, path, limit)
        _tell(descriptor, json.dumps({"pid": os.getpid(), "what": what, "since": int(time.time())}))
        try:
            yield waited
        finally:
            _tell(descriptor, "")
    finally:
        os.close(descriptor)


def _open(path: str) -> int:
    try:
        # No link is followed: lock files often lie where others may write
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise ClusterkitError(f"cannot open the lock file {path}: {error.strerror}") from None


def _acquire(descriptor: int, path: str, limit: float) -> float:
    started = time.monotonic()
    pause = 0.01
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return time.monotonic() - started
        except BlockingIOError:
            waited = time.monotonic() - started
            if waited >= limit:
                raise ClusterkitError(
                    f"{path} is locked by {_holder(descriptor)}: waited {waited:.1f} s for it. "
                    "Let that end, then run this again"
                ) from None
            time.sleep(min(pause, limit - waited))
            pause = min(2 * pause, _LONGEST_WAIT_SECONDS)
        except OSError as error:
            raise ClusterkitError(f"cannot lock {path}: {error.strerror}") from None


def _holder(descriptor: int) -> str:
    """Say who holds the lock, as far as the holder wrote it: one killed leaves its words, flock(1) writes none."""
    try:
        said = json.loads(os.pread(descriptor, 4096, 0))
        pid = int(said["pid"])
        os.kill(pid, 0)
    except (ValueError, KeyError, TypeError, ProcessLookupError):
        return "another process"
    except PermissionError:
        pass  # alive, another user's
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(float(said.get("since", 0))))
    what = f" ({said['what']})" if said.get("what") else ""
    return f"process {pid}{what} since {since}"


def _tell(descriptor: int, text: str) -> None:
    # The lock is held with or without these words, so a full disk is no reason to fail
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, text.encode(), 0)
