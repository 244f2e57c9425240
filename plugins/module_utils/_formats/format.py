# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all formats of files that hold a Hazelcast membership have in common."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Mapping

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.differences import DifferenceTracker
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._formats.editing import not_as_meant, uncollected
from ansible_collections.clusterkit.middleware.plugins.module_utils._hazelcast.membership import (
    ABSENT,
    TERMS,
    Membership,
)


@dataclass(frozen=True)
class Surroundings:
    """What decides over a file's names beside the file itself: the versions that are installed, empty where unknown."""

    kernel: str = ""
    hazelcast: str = ""
    dotted: bool = False


@dataclass
class Outcome:
    """A file's new content, what differs from the old one, and what its user ought to know."""

    content: bytes
    differences: DifferenceTracker
    warnings: list[str] = field(default_factory=list)


class Format:
    """One file format. A class below it names what it can express, reads that, and writes what differs."""

    #: As a task names it.
    name: ClassVar[str]
    #: Files with these names are of the format.
    file_names: ClassVar[list[str]]
    #: What each word of the vocabulary is called in such a file.
    names: ClassVar[dict[str, str]]
    #: What to do about a word that has no name here.
    hints: ClassVar[dict[str, str]] = {}
    #: Whether a file may have parameters beside those of the vocabulary.
    has_parameters: ClassVar[bool] = False

    def __init__(self, content: bytes, around: Surroundings | None = None) -> None:
        """Read the content. Raises ClusterkitError where it is not of this format."""
        self.content = content
        self.around = around or Surroundings()

    def read(self) -> dict[str, Any]:
        """Return what the file says, by the words of the vocabulary, with `state` and `parameters.NAME`."""
        raise NotImplementedError

    def rest(self) -> Any:
        """Return what the file says beside the membership, in a form that can be compared."""
        raise NotImplementedError

    def write(self, changes: Mapping[str, Any], declared: Membership) -> bytes:
        """Return the content with those words changed, by the names that `read` returns."""
        raise NotImplementedError

    def judge(self, declared: Membership, present: Mapping[str, Any]) -> list[str]:
        """Return what the user ought to know. Raises ClusterkitError for what the product would not take."""
        return []

    @uncollected()
    def declare(self, declared: Membership) -> Outcome:
        """Return the file that says what is declared. Raises ClusterkitError before anything is written."""
        present = self.read()
        wanted = self.wanted(declared)
        warnings = self.judge(declared, present) if declared.state != ABSENT else []
        differences = DifferenceTracker()
        for name, value in wanted.items():
            term = TERMS.get(name)
            differences.add(name, value, present.get(name), secret=term.secret if term else _sounds_secret(name))
        outcome = Outcome(self.content, differences, warnings)
        if differences.changed:
            outcome.content = self.write({name: wanted[name] for name in differences.names}, declared)
            new = type(self)(outcome.content, self.around)
            if new.read() != {**present, **wanted} or new.rest() != self.rest():
                raise not_as_meant(f"{', '.join(differences.names)}")
        return outcome

    def wanted(self, declared: Membership) -> dict[str, Any]:
        """Return what the file has to say. Raises ClusterkitError for what it cannot."""
        if declared.state == ABSENT:
            return {"state": ABSENT} if self.read()["state"] != ABSENT else {}
        for name in declared.values:
            if name not in self.names:
                raise ClusterkitError(
                    f"{name} cannot be expressed in {self.name}: {self.hints.get(name, 'leave it out')}"
                )
        if declared.parameters and not self.has_parameters:
            raise ClusterkitError(f"parameters cannot be expressed in {self.name}: leave them out")
        return {
            "state": declared.state,
            **declared.values,
            **{f"parameters.{name}": value for name, value in declared.parameters.items()},
        }


def _sounds_secret(name: str) -> bool:
    return any(word in name.lower() for word in ("password", "secret", "key", "token"))


def number(text: str) -> Any:
    """Return a text as the number that it spells, or as it is."""
    return int(text) if text.isascii() and text.isdigit() else text
