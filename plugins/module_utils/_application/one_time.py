# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A program that is run once, such as a set-up: noted before and after, so that one that was cut off is run again."""

from __future__ import annotations

import contextlib
import sys
import threading
from pathlib import Path
from typing import Iterator, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common import files
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.locks import exclusive
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.progress import Progress

_LOOK_SECONDS = 1.0
#: What chroot(8) of all distributions and env(1) of newer ones would do together.
_INSIDE = "import os, sys; os.chroot(sys.argv[1]); os.chdir(sys.argv[2]); os.execvp(sys.argv[3], sys.argv[3:])"


class OneTimeProgram:
    """A program and the note that says that it has run to its end."""

    def __init__(self, note: str, log: str, runner: Runner) -> None:
        self._note = note
        self._log = log
        self._runner = runner

    @property
    def is_due(self) -> bool:
        """Whether it has not run to its end yet. Raises ClusterkitError."""
        return files.status_if_exists(self._note) is None

    def run(
        self, argv: Sequence[str], chdir: str, limit: float, progress: Progress, talks_to: str = "", chroot: str = ""
    ) -> bool:
        """Run it to its end where it is due, and tell whether it was. With `chroot` it runs in there, `chdir` as well.

        What it says may hold passwords, and so goes to the log only. Raises ClusterkitError.
        """
        inside = [sys.executable, "-c", _INSIDE, chroot, chdir, *argv]
        Path(self._note).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # The one that a run has left behind, whose control node went away, may still be at it
        with exclusive(f"{self._note}.lock", limit=limit):
            if not self.is_due:
                return False
            with progress, _told(progress, talks_to):
                try:
                    if chroot:
                        done = self._runner.run(inside, limit=limit, accept=None)
                    else:
                        done = self._runner.run(argv, cwd=chdir, limit=limit, accept=None)
                except ClusterkitError as error:
                    self._keep(f"{error.details.get('stdout', '')}{error.details.get('stderr', '')}")
                    if error.details.get("timed_out"):
                        raise ClusterkitError(f"{argv[0]} did not end within {limit:g} s. {self._where}") from None
                    raise
                self._keep(done.stdout + done.stderr)
                if done.rc:
                    raise ClusterkitError(f"{' '.join(argv)} ended with {done.rc}, expected 0. {self._where}")
            files.write_atomically(self._note, b"done\n", mode=0o600)
        return True

    def _keep(self, said: str) -> None:
        files.write_atomically(self._log, said.encode(errors="surrogateescape"), mode=0o600)

    @property
    def _where(self) -> str:
        return f"What it said is in {self._log}, for root only"


@contextlib.contextmanager
def _told(progress: Progress, talks_to: str) -> Iterator[None]:
    """Tell meanwhile how many lines the program has written into its own log, where it has one."""
    ended = threading.Event()

    def tell() -> None:
        while not ended.wait(_LOOK_SECONDS):
            progress.update(_lines(talks_to), "set-up")

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        ended.set()
        teller.join()


def _lines(path: str) -> int:
    with contextlib.suppress(OSError):
        return Path(path).read_bytes().count(b"\n")
    return 0
