# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a module changes, kept as one list: `changed` and `diff` cannot contradict each other."""

from __future__ import annotations

from typing import Any

#: Stand for the secret that is there and the one that will be: two different words, so that the change is seen.
MASK_PRESENT = "******** (present)"
MASK_WANTED = "******** (wanted)"


class DifferenceTracker:
    """Collects what differs between what is wanted and what is present."""

    def __init__(self) -> None:
        self._differences: dict[str, tuple[Any, Any]] = {}

    def add(self, name: str, wanted: Any, present: Any, secret: bool = False) -> bool:
        """Compare one thing, note it when it differs, and tell whether it does.

        None stands for "not there". Of a secret only that it is there, is not, or differs is ever kept.
        """
        # 1 == True and 0 == False in Python; in a configuration they are two different values
        if wanted == present and isinstance(wanted, bool) == isinstance(present, bool):
            return False
        if secret:
            wanted, present = wanted if wanted is None else MASK_WANTED, present if present is None else MASK_PRESENT
        self._differences[name] = (present, wanted)
        return True

    @property
    def changed(self) -> bool:
        """Whether anything differs."""
        return bool(self._differences)

    @property
    def names(self) -> list[str]:
        """The names of what differs, in the order in which they were added."""
        return list(self._differences)

    def diff(self, header: str = "") -> dict[str, Any]:
        """Return what differs in the form that Ansible shows for `--diff`; `header` says what it is about."""
        result: dict[str, Any] = {
            "before": {name: present for name, (present, _wanted) in self._differences.items()},
            "after": {name: wanted for name, (_present, wanted) in self._differences.items()},
        }
        if header:
            result.update(before_header=header, after_header=header)
        return result
