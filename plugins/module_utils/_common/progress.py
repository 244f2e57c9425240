# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far long work has come: a module writes it into a status file, `watched` shows it meanwhile.

The status file is a JSON object, mode 0600, always whole: done, total (or null), unit, rate (per second, or null),
seconds_left (or null), note, state ('running', 'done' or 'failed'), updated (seconds since 1970).
"""

from __future__ import annotations

import contextlib
import json
import math
import time
from types import TracebackType
from typing import Any, Callable, Mapping

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.files import write_atomically
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.process import end_with_parent

RUNNING, DONE, FAILED = "running", "done", "failed"

#: `unit` for which sizes are shown as kB, MB and so on.
BYTES = "bytes"


class Progress:
    """Tells how far work has come; a context manager whose end is `done`, or `failed` when an exception leaves it.

    `path` None tells nobody. `total` in `unit`s, None where it is not known. At most one write each `pause` seconds.
    `already` is what an interrupted run had done before: it counts as done, not for the rate. `now` is a clock in
    seconds.

    While it lasts, the process ends with its parent: that is async_wrapper, which at its time limit may end itself only
    (the module then has been started before its process group was made).
    """

    def __init__(
        self,
        path: str | None,
        total: int | None = None,
        unit: str = "files",
        *,
        already: int = 0,
        pause: float = 0.5,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.total = total
        self.unit = unit
        self._path = path
        self._already = already
        self._pause = pause
        self._now = now
        self._started = now()
        self._written = -math.inf
        self._done = already
        self._note = ""
        self._state = RUNNING

    def __enter__(self) -> Progress:
        """Write the first status. Raises ClusterkitError when that is impossible: then nothing would ever be seen."""
        self._started = self._now()
        self._write()
        if self._path is not None:
            end_with_parent()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # A module ends by SystemExit, and successfully with code 0
        succeeded = kind is None or (isinstance(error, SystemExit) and error.code in (None, 0))
        self._state = DONE if succeeded else FAILED
        self._try_to_write()
        if self._path is not None:
            end_with_parent(False)

    def update(self, done: int, note: str = "") -> None:
        """Tell that `done` units are done in all; `note` says what is being done, such as a phase or a file."""
        self._done = done
        self._note = note
        if self._now() - self._written >= self._pause:
            self._try_to_write()

    def status(self) -> dict[str, Any]:
        """Return what the status file holds."""
        seconds = self._now() - self._started
        done = self._done - self._already
        rate = done / seconds if done > 0 and seconds > 0 else None
        left = None
        if rate and self.total is not None and self._state == RUNNING:
            left = max(self.total - self._done, 0) / rate
        return {
            "done": self._done,
            "total": self.total,
            "unit": self.unit,
            "rate": None if rate is None else round(rate, 2),
            "seconds_left": None if left is None else round(left, 1),
            "note": self._note,
            "state": self._state,
            "updated": int(time.time()),
        }

    def _write(self) -> None:
        self._written = self._now()
        if self._path is not None:
            content = json.dumps(self.status()).encode()
            write_atomically(self._path, content, mode=0o600, durable=False)

    def _try_to_write(self) -> None:
        # The work is worth more than word of it: a full disk must not end it here
        with contextlib.suppress(ClusterkitError):
            self._write()


def render(status: Mapping[str, Any]) -> str:
    """Return a status as one line: '1,234 of 5,000 files, 410 files/s, 9 s left: copying images'.

    Raises ClusterkitError for a status that is none.
    """
    try:
        unit = _plain(status["unit"])
        # Sizes carry their unit already
        suffix = "" if unit == BYTES else f" {unit}"
        done = _amount(status["done"], unit)
        if status["total"] is not None:
            done += f" of {_amount(status['total'], unit)}"
        parts = [done + suffix]
        if status["rate"] is not None:
            parts.append(f"{_amount(status['rate'], unit)}{suffix}/s")
        if status["seconds_left"] is not None:
            parts.append(f"{_duration(status['seconds_left'])} left")
        if status["state"] != RUNNING:
            parts.append(_plain(status["state"]))
        note = _plain(status["note"])
        return ", ".join(parts) + (f": {note}" if note else "")
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ClusterkitError(f"found a status of another form: {type(error).__name__} at {error}") from None


def _amount(number: float, unit: str) -> str:
    if unit != BYTES:
        return f"{number:,.1f}" if number < 10 and number != int(number) else f"{round(number):,}"
    for prefix in ("", "k", "M", "G", "T"):
        if abs(number) < 1000 or prefix == "T":
            break
        number /= 1000
    return f"{number:.1f} {prefix}B" if prefix else f"{round(number)} B"


def _duration(seconds: float) -> str:
    whole = math.ceil(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _plain(text: Any) -> str:
    """Return text that cannot move the cursor or end the line of the terminal it is shown on."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in str(text))
