# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Watching files: what changes in them, as inotifywait tells it, with names as bytes."""

from __future__ import annotations

import os
import select
import stat
import subprocess
import time
from typing import Callable, Iterable, Iterator

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.process import end_with_parent

#: Seconds without a change after which a burst is over, and the longest that a burst can put a run off.
SETTLE, LONGEST = 0.03, 1.0
#: Seconds after which a watch says that nothing changed, so that what could not be sent is tried again.
RETRY = 30.0
_EVENTS = "close_write,create,delete,move,attrib,delete_self,move_self"
_FORMAT = ("--format", "%w%f%0", "--no-newline")
_INOTIFYWAIT = ("inotifywait", "--monitor", "--event", _EVENTS, *_FORMAT)


class Watch:
    """The changes of files at or below some paths, gathered into bursts; `included` tells which of them count.

    What is watched need not be there yet, and may be replaced: the directories on the way to it are watched as well.
    """

    def __init__(self, paths: Iterable[bytes], included: Callable[[bytes], bool]) -> None:
        self._wanted = sorted(set(paths))
        self._counts = included
        self._processes: list[subprocess.Popen[bytes]] = []
        self._out = -1
        self._start()

    def _start(self) -> None:
        """Watch what is there now; what was watched before is let go."""
        self.close()
        self._rest = b""
        #: What has to be watched anew when it comes, goes or is replaced.
        self._way: set[bytes] = set()
        directories, single = set(), set()
        for wanted in self._wanted:
            here = wanted
            while not os.path.lexists(here):
                self._way.add(here)
                here = os.path.dirname(here)  # noqa: PTH120  # bytes: a name need not be text
            if here == wanted and stat.S_ISDIR(os.lstat(here).st_mode):
                self._way.add(wanted)
                directories.add(here)
            # An editor replaces a file, a deployment a directory: then the directory above tells
            single.add(here if here != wanted else os.path.dirname(here))  # noqa: PTH120  # bytes, as above
        self._out, told = os.pipe()
        try:
            for paths, options in ((directories, ["--recursive"]), (single, [])):
                if paths:
                    argv = [*_INOTIFYWAIT, *options, "--", *sorted(map(os.fsdecode, paths))]
                    process = subprocess.Popen(  # what runs there takes no lock: a system call, loaded before
                        argv,
                        stdin=subprocess.DEVNULL,
                        stdout=told,
                        stderr=subprocess.PIPE,
                        # Nobody else ends it: systemd ends the watch alone, and what actions started goes on
                        preexec_fn=end_with_parent,  # noqa: PLW1509  # pylint: disable=subprocess-popen-preexec-fn
                    )
                    self._processes.append(process)
        finally:
            os.close(told)
        for process in self._processes:
            _wait_until_it_watches(process)

    def bursts(self) -> Iterator[list[str]]:
        """Yield the included paths that changed together; an empty list after RETRY seconds without a change.

        Raises ClusterkitError when inotifywait ends.
        """
        while True:
            changed: set[bytes] = set()
            anew = quiet = False
            began: float | None = None
            while not quiet and (began is None or time.monotonic() - began < LONGEST):
                paths = self._read(RETRY if began is None else SETTLE)
                quiet = paths is None
                for path in paths or ():
                    anew = anew or path in self._way
                    if path in self._way or self._counts(path):
                        changed.add(path)
                began = began or (time.monotonic() if changed else None)
            if anew:
                # What came before the new watch was set was told to nobody
                self._start()
                changed = {b"/"}
            yield [os.fsdecode(path) for path in sorted(changed)]

    def _read(self, seconds: float) -> list[bytes] | None:
        """Return the paths told within some seconds; None when none was. Raises ClusterkitError."""
        ready = select.select([self._out], [], [], seconds)[0]
        if any(process.poll() is not None for process in self._processes):
            raise ClusterkitError("inotifywait ended; the journal has its reason")
        if not ready:
            return None
        *paths, self._rest = (self._rest + os.read(self._out, 1 << 16)).split(b"\0")
        return [path.rstrip(b"/") for path in paths if path]

    def close(self) -> None:
        """End inotifywait."""
        for process in self._processes:
            process.terminate()
            process.wait(timeout=10)
            if process.stderr:
                process.stderr.close()
        self._processes = []
        if self._out >= 0:
            os.close(self._out)
        self._out = -1


def _wait_until_it_watches(process: subprocess.Popen[bytes]) -> None:
    """Wait until inotifywait has set its watches. Raises ClusterkitError with what it said when it does not."""
    said = b""
    while b"Watches established" not in said:
        line = process.stderr.readline() if process.stderr else b""
        if not line:
            raise ClusterkitError(f"inotifywait could not watch: {said.decode(errors='replace').strip()}")
        said += line
