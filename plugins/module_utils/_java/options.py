# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""System properties among the options of Java in a start script: lines that end in a backslash, one option each."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import Mapping, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._formats.editing import line_end

_OPTION = re.compile(r"^(?P<indent>[ \t]*)-D(?P<name>[A-Za-z0-9_.-]+)(?:=(?P<value>.*?))?[ \t]*\\[ \t]*$")
_NAME = re.compile(r"[A-Za-z0-9_.-]+")
#: What a shell takes as it stands.
_PLAIN = re.compile(r"[A-Za-z0-9_.,:/@%+-]*")


@dataclass(frozen=True)
class _Line:
    number: int
    indent: str
    name: str
    value: str


class StartScript:
    """The content of a start script, of which one block of lines holds the options of Java."""

    def __init__(self, content: bytes) -> None:
        """Read the content. Raises ClusterkitError where it has no one such block."""
        text = content.decode("utf-8", "surrogateescape")
        self._end = line_end(text)
        self._lines = text.split(self._end)
        blocks = self._blocks()
        if len(blocks) != 1:
            found = f"{len(blocks)} (lines {', '.join(str(one[0].number + 1) for one in blocks)})" if blocks else "none"
            raise ClusterkitError(
                f"it has {found} blocks of options of Java, lines -Dname=value that end in a backslash: expected one"
            )
        self._options = blocks[0]

    @property
    def values(self) -> dict[str, str]:
        """The properties as Java gets them; of one that stands twice the last one."""
        return {one.name: _read(one.value) for one in self._options}

    def changed(self, wanted: Mapping[str, str], absent: Sequence[str] = ()) -> bytes:
        """Return the content with these properties and without those. Raises ClusterkitError."""
        lines: list[str | None] = list(self._lines)
        added = []
        present = {one.name: one for one in self._options}
        for name, value in wanted.items():
            if not _NAME.fullmatch(name):
                raise ClusterkitError(f"{name!r} is no name of a property: give letters, digits, '.', '_' and '-'")
            one = present.get(name)
            if one is None:
                added.append(f"{self._options[-1].indent}-D{name}={_spelled(value)} \\")
            elif _read(one.value) != value:
                lines[one.number] = f"{one.indent}-D{name}={_spelled(value)} \\"
        for one in self._options:
            # One that stands twice as well: the last one would count
            if one.name in absent or (one.name in wanted and one is not present[one.name]):
                lines[one.number] = None
        last = self._options[-1].number
        out = [*lines[: last + 1], *added, *lines[last + 1 :]]
        return self._end.join(one for one in out if one is not None).encode("utf-8", "surrogateescape")

    def _blocks(self) -> list[list[_Line]]:
        """Return the options of every run of lines that are continued."""
        blocks: list[list[_Line]] = []
        block: list[_Line] = []
        for number, line in enumerate(self._lines):
            if found := _OPTION.match(line):
                block.append(_Line(number, found["indent"], found["name"], found["value"] or ""))
            elif not line.rstrip().endswith("\\") or line.lstrip().startswith("#"):
                if block:
                    blocks.append(block)
                block = []
        return blocks + ([block] if block else [])


def no_proxy(hosts: Sequence[str]) -> str:
    """Return the hosts as Java wants them in http.nonProxyHosts. Raises ClusterkitError for what it would not match."""
    for one in hosts:
        if not re.fullmatch(r"\*?[A-Za-z0-9._:\[\]-]+\*?|\*", one):
            raise ClusterkitError(
                f"{one!r} matches no host for Java: give names or addresses, with * at the beginning or the end alone"
            )
        if one.startswith("."):
            raise ClusterkitError(f"{one!r} matches no host for Java: write *{one}")
    return "|".join(hosts)


def _read(value: str) -> str:
    """Return a value as the shell hands it on; what it would replace stays as it stands."""
    quoted = re.fullmatch(r'"((?:[^"\\$`]|\\.)*)"', value)
    if quoted:
        return re.sub(r'\\(["\\$`])', r"\1", quoted[1])
    try:
        words = shlex.split(value, posix=True)
    except ValueError:
        return value
    return words[0] if len(words) == 1 else value


def _spelled(value: str) -> str:
    if re.search(r"[\x00-\x1f\x7f]", value):
        raise ClusterkitError(f"{value!r} has control characters: give one line without them")
    if _PLAIN.fullmatch(value):
        return value
    return '"' + re.sub(r'(["\\$`])', r"\\\1", value) + '"'
