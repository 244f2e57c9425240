# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of java.util.Properties: read as Java reads them, changed so that every other byte stays.

The reading follows LineReader, load0() and loadConvert() of the JDK's Properties.java step by step, for what is
described there in words leaves open what happens at the edges (a backslash at the end of the file, a comment after a
lone backslash). No error of this file shows a value.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from typing import Iterator, Mapping, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError

_BLANKS = " \t\f"
_LINE_ENDS = "\r\n"
#: load() reads bytes as ISO 8859-1, which has a character for every byte: positions in text are those in the file.
_ENCODING = "latin-1"
_ESCAPED = {"t": "\t", "r": "\r", "n": "\n", "f": "\f"}
_ESCAPES = {"\\": "\\\\", "\t": "\\t", "\r": "\\r", "\n": "\\n", "\f": "\\f"}


@dataclass(frozen=True)
class Property:
    """One key with its value, and where they stand: positions count from the start of the file.

    `start` is where its first line begins and `stop` is behind the end of its last one. The value stands from
    `value_start` to `value_stop`, escapes and continued lines included. `separated` tells whether anything stands
    between key and value.
    """

    key: str
    value: str
    start: int
    value_start: int
    value_stop: int
    stop: int
    separated: bool


class PropertiesFile:
    """The content of a properties file. Unchangeable: what changes it returns another one."""

    def __init__(self, content: bytes) -> None:
        """Read the content. Raises ClusterkitError for what Java refuses, a malformed \\uXXXX."""
        self._text = content.decode(_ENCODING)
        self._properties = [_property(self._text, line) for line in _logical_lines(self._text)]

    @property
    def content(self) -> bytes:
        """What the file holds."""
        return self._text.encode(_ENCODING)

    @property
    def values(self) -> dict[str, str]:
        """The values that Java sees: of a key that stands there several times the last one."""
        return {one.key: one.value for one in self._properties}

    def with_values(self, wanted: Mapping[str, str], heading: str = "") -> PropertiesFile:
        """Return the file with these values. A key is changed where it takes effect, a new one comes at the end.

        With a `heading`, a comment, new ones come below the line that is the same, which is added where there is none.
        Raises ClusterkitError when Java would not read the result as it is meant.
        """
        if heading and not re.match(r"[#!][^\r\n]*$", heading):
            raise ClusterkitError(f"heading is {heading!r}: give one line that begins with # or !")
        new = self
        # Below a heading the last one that is put there comes first
        for key, value in list(wanted.items())[:: -1 if heading else 1]:
            if new.values.get(key) != value:
                new = new._with_value(key, value, heading)
        return new

    def without(self, keys: Sequence[str]) -> PropertiesFile:
        """Return the file without these keys, wherever they stand. Raises ClusterkitError as `with_values` does."""
        text = self._text
        for one in reversed(self._properties):
            if one.key in keys:
                text = text[: one.start] + text[one.stop :]
        return self._checked([text], [(one.key, one.value) for one in self._properties if one.key not in keys])

    def _with_value(self, key: str, value: str, heading: str) -> PropertiesFile:
        pairs = [(one.key, one.value) for one in self._properties]
        present = [number for number, one in enumerate(self._properties) if one.key == key]
        if not present:
            entry = f"{_escape_key(key)}={_escape_value(value)}{self._line_end()}"
            if heading:
                return self._below(heading, entry, (key, value))
            # The last line may have no end; and an end behind a backslash does not count
            joints = ["", self._line_end(), 2 * self._line_end()]
            return self._checked([self._text + joint + entry for joint in joints], [*pairs, (key, value)])
        number = present[-1]
        one = self._properties[number]
        written = ("" if one.separated else "=") + _escape_value(value)
        pairs[number] = (key, value)
        return self._checked([self._text[: one.value_start] + written + self._text[one.value_stop :]], pairs)

    def _below(self, heading: str, entry: str, pair: tuple[str, str]) -> PropertiesFile:
        """Return the file with a new entry below a heading."""
        pairs = [(one.key, one.value) for one in self._properties]
        # Within a value of several lines a line that looks the same is none; what is read then is not as expected
        candidates = []
        line = re.compile(rf"(?m)^[ \t\f]*{re.escape(heading.encode().decode(_ENCODING))}[ \t\f]*(\r\n|\r|\n|\Z)")
        for found in line.finditer(self._text):
            joint = "" if found[1] else self._line_end()
            candidates.append((found.end(), joint + entry))
        if not candidates:
            gap = self._line_end() if self._text else ""
            titled = f"{heading.encode().decode(_ENCODING)}{self._line_end()}{entry}"
            candidates = [(len(self._text), joint + gap + titled) for joint in ("", self._line_end())]
        for at, added in candidates:
            before = sum(one.start < at for one in self._properties)
            expected = [*pairs[:before], pair, *pairs[before:]]
            with contextlib.suppress(ClusterkitError):
                return self._checked([self._text[:at] + added + self._text[at:]], expected)
        return self._checked([], [])

    def _checked(self, candidates: Sequence[str], expected: Sequence[tuple[str, str]]) -> PropertiesFile:
        """Return the first of the candidates that is read as expected."""
        for text in candidates:
            new = PropertiesFile(text.encode(_ENCODING))
            if [(one.key, one.value) for one in new._properties] == list(expected):
                return new
        raise ClusterkitError(
            "cannot change the file so that Java reads it as it is meant: look for a line that holds nothing but a "
            "backslash, which joins what is around it, and remove that first"
        )

    def _line_end(self) -> str:
        found = re.search(r"\r\n|\r|\n", self._text)
        return found[0] if found else "\n"


@dataclass
class _Line:
    """A logical line: its characters, where each of them stands, and where the line begins and ends in the file."""

    characters: str
    positions: Sequence[int]
    start: int
    end: int
    stop: int


def _logical_lines(text: str) -> Iterator[_Line]:  # noqa: PLR0912, PLR0915  # Java's own state machine, in its order
    characters: list[str] = []
    positions: list[int] = []
    start, natural = -1, 0  # where the logical line began, -1 when none has, and the natural one
    skip_blanks, appended, backslash = True, False, False
    at = 0
    while at < len(text):
        c = text[at]
        at += 1
        if skip_blanks:
            if c in _BLANKS:
                continue
            if not appended and c in _LINE_ENDS:
                natural = at
                continue
            skip_blanks = appended = False
        if not characters and c in "#!":
            while at < len(text) and text[at] not in _LINE_ENDS:
                at += 1
            at = natural = min(at + 1, len(text))
            skip_blanks, start = True, -1
            continue
        if c not in _LINE_ENDS:
            if start < 0:
                start = natural
            characters.append(c)
            positions.append(at - 1)
            backslash = c == "\\" and not backslash
            continue
        end, natural = at - 1, at
        if not characters:
            skip_blanks, start = True, -1
            continue
        if at == len(text):
            break  # a backslash before this line end is dropped, as at the end of the file
        if backslash:
            characters.pop()
            positions.pop()
            skip_blanks = appended = True
            backslash = False
            if c == "\r" and text[at] == "\n":
                at += 1
            natural = at
            continue
        stop = at + 1 if c == "\r" and text[at] == "\n" else at
        yield _Line("".join(characters), positions, start, end, stop)
        characters, positions, start, skip_blanks = [], [], -1, True
    if characters:
        if backslash:
            characters.pop()
            positions.pop()
        end = len(text) - 1 if text[-1] in _LINE_ENDS and not skip_blanks else len(text)
        yield _Line("".join(characters), positions, start, end, len(text))


def _property(text: str, line: _Line) -> Property:
    characters = line.characters
    length = 0
    backslash = False
    while length < len(characters):
        if characters[length] in "=:" + _BLANKS and not backslash:
            break
        backslash = characters[length] == "\\" and not backslash
        length += 1
    value = length
    assigned = False
    while value < len(characters) and (characters[value] in _BLANKS or (characters[value] in "=:" and not assigned)):
        assigned = assigned or characters[value] in "=:"
        value += 1
    # An empty value stands behind the last character before it; with none there, where the line begins
    if value < len(characters):
        value_start = line.positions[value]
    else:
        value_start = line.positions[-1] + 1 if line.positions else line.start
    return Property(
        key=_unescape(characters[:length], text, line.start),
        value=_unescape(characters[value:], text, line.start),
        start=line.start,
        value_start=value_start,
        value_stop=line.end,
        stop=line.stop,
        separated=value > length,
    )


def _unescape(raw: str, text: str, start: int) -> str:
    if "\\" not in raw:
        return raw

    def replace(found: re.Match[str]) -> str:
        if found["hex"]:
            return chr(int(found["hex"], 16))
        if found["other"] == "u":
            number = len(re.findall(r"\r\n|\r|\n", text[:start])) + 1
            raise ClusterkitError(f"line {number}: malformed \\u escape, which Java refuses: expected four hex digits")
        return _ESCAPED.get(found["other"], found["other"])

    units = re.sub(r"\\(?:u(?P<hex>[0-9A-Fa-f]{4})|(?P<other>.))", replace, raw, flags=re.S)
    # Java's characters are UTF-16: two escapes may be one character here
    return units.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def _escape_value(value: str) -> str:
    escaped = _escape(value)
    # At the beginning blanks would be skipped, and = and : be taken for the separator
    return "\\" + escaped if escaped[:1] in (" ", "=", ":") else escaped


def _escape_key(key: str) -> str:
    return re.sub(r"([ =:#!])", r"\\\1", _escape(key))


def _escape(text: str) -> str:
    return "".join(_ESCAPES.get(one) or (one if " " <= one <= "~" else _units(one)) for one in text)


def _units(character: str) -> str:
    """Return a character outside of ASCII as an escape: understood whatever encoding the program reads with."""
    raw = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{raw[at] << 8 | raw[at + 1]:04x}" for at in range(0, len(raw), 2))
