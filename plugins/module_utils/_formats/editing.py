# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a file that belongs to a product is edited, whatever its format: ranges are replaced, every other byte stays.

A parser finds the positions, what is to change is noted as ranges, and the result is parsed again and compared.
"""

from __future__ import annotations

import contextlib
import gc
import re
from typing import Generic, Iterator, TypeVar

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError

T = TypeVar("T", str, bytes)


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Let no cycles be looked for meanwhile: in a large file that takes longer than to read it.

    What a parser makes is many, lives as long as the file is edited, and is looked through again and again.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


class Edits(Generic[T]):
    """Ranges of one content with what comes in their place. Positions are those of the content as it was read."""

    def __init__(self, content: T) -> None:
        self._content: T = content
        self._edits: list[tuple[int, int, T]] = []

    def __iter__(self) -> Iterator[tuple[int, int, T]]:
        return iter(self._edits)

    def put(self, number: int, edit: tuple[int, int, T]) -> None:
        """Put an edit in the place of the one with that number."""
        self._edits[number] = edit

    def replace(self, start: int, stop: int, new: T) -> None:
        """Put `new` in the place of what stands from `start` to `stop`."""
        self._edits.append((start, stop, new))

    def insert(self, at: int, new: T) -> None:
        """Put `new` at a position. What is inserted there later comes behind it."""
        self.replace(at, at, new)

    def applied(self) -> T:
        """Return the content with all edits. Raises ClusterkitError when two of them touch the same range."""
        applied, at = self._content[:0], 0
        parts: list[T] = []
        # Sorting is stable: what is inserted at one position keeps its order
        for start, stop, new in sorted(self._edits, key=lambda one: (one[0], one[1])):
            if start < at:
                raise ClusterkitError("two changes would touch the same part of the file: change one by hand first")
            parts.extend((self._content[at:start], new))
            at = stop
        parts.append(self._content[at:])
        return applied.join(parts)


def line_end(text: str) -> str:
    """Return what ends the first line of a text."""
    found = re.search(r"\r\n|\n|\r", text)
    return found[0] if found else "\n"


def not_as_meant(what: str) -> ClusterkitError:
    """Say that the result of an edit was read otherwise than it was meant; nothing has been written then."""
    return ClusterkitError(f"cannot change {what} so that it is read as it is meant: change it by hand first")
