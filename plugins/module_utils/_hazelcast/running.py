# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The process that a log is of: when it started, on which clock its log's times are, and the files that hold it."""

from __future__ import annotations

import contextlib
import glob
import os
import pathlib
import pwd
import time
from dataclasses import dataclass
from typing import Iterator

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError

_TIMEZONE_OPTION = "-Duser.timezone="
#: A log is read from this much before the start that the kernel tells, whose clock counts in hundredths.
_TOLERANCE = 1.0


@dataclass(frozen=True)
class Process:
    """A running process: when it started, in seconds of the system's clock, and the name of its time zone, if given."""

    pid: int
    started: float
    timezone: str = ""
    user: str = ""

    def moment(self, seconds: float) -> str:
        """Return a time as the process would write it into its log."""
        with _timezone(self.timezone):
            return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def find(argument: str, root: pathlib.Path = pathlib.Path("/proc")) -> Process | None:
    """Return the process that has this word among its arguments, None for none. Raises ClusterkitError for several."""
    found = []
    for place in root.glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            words = (place / "cmdline").read_bytes().split(b"\0")
            if os.fsencode(argument) not in words:
                continue
            # Behind the name, which may hold anything; see proc(5)
            fields = (place / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            uptime = float((root / "uptime").read_text(encoding="ascii").split()[0])
            age = uptime - int(fields[19]) / os.sysconf("SC_CLK_TCK")
            owner = user_name(place.stat().st_uid)
            found.append(Process(int(place.name), time.time() - age, _named(place, words), owner))
    if len(found) > 1:
        numbers = ", ".join(str(one.pid) for one in sorted(found, key=lambda one: one.pid))
        raise ClusterkitError(f"{len(found)} processes run with the argument {argument} ({numbers}): expected one")
    return found[0] if found else None


def user_name(number: int) -> str:
    """Return the name of a user, its number where it has none."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _named(place: pathlib.Path, words: list[bytes]) -> str:
    for word in reversed(words):
        if word.startswith(_TIMEZONE_OPTION.encode()):
            return os.fsdecode(word[len(_TIMEZONE_OPTION) :])
    with contextlib.suppress(OSError):
        for word in (place / "environ").read_bytes().split(b"\0"):
            if word.startswith(b"TZ="):
                return os.fsdecode(word[3:])
    return ""


@contextlib.contextmanager
def _timezone(name: str) -> Iterator[None]:
    if not name:
        yield
        return
    before = os.environ.get("TZ")
    os.environ["TZ"] = name
    time.tzset()
    try:
        yield
    finally:
        if before is None:
            del os.environ["TZ"]
        else:
            os.environ["TZ"] = before
        time.tzset()


def lines(path: str, process: Process) -> Iterator[str]:
    """Yield the lines of a log that the process may have written, those of files that it has moved away first."""
    place = pathlib.Path(path)
    others = glob.glob(f"{glob.escape(str(place.with_suffix('')))}*")  # noqa: PTH207  # the directory may have any name
    aged = []
    for one in {path, *others}:
        with contextlib.suppress(OSError):
            aged.append((one == path, pathlib.Path(one).stat().st_mtime, one))
    for _last, changed, one in sorted(aged):
        if changed < process.started - _TOLERANCE or one.endswith((".gz", ".lck", ".zip")):
            continue
        try:
            with pathlib.Path(one).open(encoding="utf-8", errors="replace") as file:
                yield from file
        except OSError as error:
            raise ClusterkitError(f"cannot read the log {one}: {error.strerror}") from None


def since(process: Process) -> str:
    """Return from when on lines are the process's own, as they have it."""
    return process.moment(process.started - _TOLERANCE)
