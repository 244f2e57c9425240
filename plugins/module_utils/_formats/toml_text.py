# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TOML files with the position of every value, however its key is spelled: in a table, dotted, quoted.

Own scanner: the one of Python's library tells no positions, and Python 3.10 has none. Positions count characters.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._formats.editing import Edits, line_end, uncollected

Path = tuple[str, ...]
_BOM = "\ufeff"
_BLANK = re.compile(r"[ \t]*")
_GAP = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_LINE_END = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\r?\n|\Z)")
#: What nearly all lines are: a bare key, and a text without escapes, a whole number, or true or false.
_PLAIN_LINE = re.compile(
    r"""([A-Za-z0-9_-]+)[ \t]*=[ \t]*("[^"\\\n]*"|'[^'\n]*'|true|false|[1-9]\d*|0)[ \t]*(?:\#[^\n]*)?(?:\r?\n|\Z)"""
)
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_BASIC = re.compile(r'"(?:[^"\\\n]|\\.)*"')
_LITERAL = re.compile(r"'[^'\n]*'")
_LONG = re.compile(r'"""(?:[^\\]|\\.)*?"""(?!")|\'\'\'.*?\'\'\'(?!\')', re.S)
_OTHER = re.compile(r"[^\s,\]}#\[{\"']+(?: \d[^\s,\]}#]*)?")
_NUMBER = re.compile(r"[+-]?(?:0|[1-9](?:_?\d)*)$")
_ESCAPES = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", '"': '"', "\\": "\\", "e": "\x1b"}
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|.)", re.S)


@dataclass(frozen=True)
class Entry:
    """A key with its value, which stands from `start` to `stop`; `at` is where the key begins."""

    path: Path
    at: int
    start: int
    stop: int
    value: Any


@dataclass(frozen=True)
class Table:
    """A header with its path; what is in it ends at `stop`. `array` tells that it is one of several."""

    path: Path
    at: int
    body: int
    stop: int
    array: bool


class TomlText:
    """The content of a TOML file, and what is to change in it."""

    def __init__(self, content: bytes) -> None:
        """Read the content. Raises ClusterkitError for what is no TOML."""
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise ClusterkitError(f"the file is no UTF-8 (byte {error.start}): convert it first") from None
        self.text = text
        self.edits: Edits[str] = Edits(text)
        self.line_end = line_end(text)
        self.entries: list[Entry] = []
        self.tables: list[Table] = []
        self._read()
        self._refuse_twice()

    def find(self, path: Path) -> Entry | None:
        """Return the entry of a path. Raises ClusterkitError where it is inside of an inline table or an array."""
        for one in self.entries:
            if one.path == path:
                return one
            if isinstance(one.value, dict) and one.path == path[: len(one.path)]:
                raise ClusterkitError(
                    f"{'.'.join(one.path)} is an inline table (line {self.line(one.at)}): write it as "
                    f"[{'.'.join(one.path)}] with a line for each key"
                )
        for table in self.tables:
            if table.array and table.path == path[: len(table.path)]:
                raise ClusterkitError(
                    f"[[{'.'.join(table.path)}]] stands in line {self.line(table.at)}, of which there may be several: "
                    f"write [{'.'.join(table.path)}]"
                )
        return None

    def below(self, path: Path) -> dict[str, Any]:
        """Return the values directly below a path, by key."""
        return {one.path[-1]: one.value for one in self.entries if one.path[:-1] == path}

    def set(self, path: Path, value: Any) -> None:
        """Give a key a value, where it stands, or new in its table."""
        entry = self.find(path)
        if entry is None:
            self._add(path, value)
        elif entry.value != value:
            old = self.text[entry.start : entry.stop]
            if isinstance(entry.value, str) and isinstance(value, int):
                value = str(value)
            self.edits.replace(entry.start, entry.stop, _spelled(value, literal=old.startswith("'")))

    def remove(self, path: Path) -> None:
        """Take a key away, with its line."""
        entry = self.find(path)
        if entry is None:
            return
        start = self.text.rfind("\n", 0, entry.at) + 1
        stop = self.text.find("\n", entry.stop)
        self.edits.replace(start, len(self.text) if stop < 0 else stop + 1, "")

    def applied(self) -> bytes:
        """Return the content with all that is to change."""
        return self.edits.applied().encode()

    def line(self, at: int) -> int:
        """Return the number of the line that a position is in, counted from 1."""
        return self.text.count("\n", 0, at) + 1

    def _add(self, path: Path, value: Any) -> None:
        parent, key = path[:-1], path[-1]
        table = next((one for one in self.tables if one.path == parent), None)
        if table is not None:
            # Beside one of its name that is commented out, else behind the last one
            body = self.text[table.body : table.stop]
            commented = list(re.finditer(rf"^[ \t]*#[ \t]*{re.escape(key)}[ \t]*=[^\n]*", body, re.M))
            inside = [one.stop for one in self.entries if table.body <= one.at < table.stop]
            after = table.body + commented[-1].end() if commented else max(inside, default=table.body - 1)
            self._insert(after, self._indent(table, parent), f"{_key(key)} = {_spelled(value)}")
            return
        dotted = [
            one for one in self.entries if one.path[: len(parent)] == parent and len(self._table_of(one)) < len(parent)
        ]
        if dotted:
            # Spelled as its neighbours are: behind them, with as much of the path as they have
            last = dotted[-1]
            name = ".".join(_key(word) for word in path[len(self._table_of(last)) :])
            self._insert(last.stop, self._blanks(last.at), f"{name} = {_spelled(value)}")
            return
        self._append(parent, f"{_key(key)} = {_spelled(value)}")

    def _append(self, parent: Path, line: str) -> None:
        """Add a line to a table that is not there yet, at the end of the file; lines of one table together."""
        header = f"[{'.'.join(_key(word) for word in parent)}]"
        for number, (start, stop, new) in enumerate(self.edits):
            if start == stop == len(self.text) and f"{header}{self.line_end}" in new:
                self.edits.put(number, (start, stop, f"{new}{line}{self.line_end}"))
                return
        before = "" if not self.text.strip(_BOM) else self.line_end
        if self.text and not self.text.endswith("\n"):
            before += self.line_end
        self.edits.insert(len(self.text), f"{before}{header}{self.line_end}{line}{self.line_end}")

    def _insert(self, after: int, indent: str, line: str) -> None:
        """Add a line below the one that a position is in."""
        end = self.text.find("\n", after)
        if end < 0:
            self.edits.insert(len(self.text), f"{self.line_end}{indent}{line}")
        else:
            self.edits.insert(end + 1, f"{indent}{line}{self.line_end}")

    def _table_of(self, entry: Entry) -> Path:
        holding = [one for one in self.tables if one.body <= entry.at < one.stop]
        return holding[-1].path if holding else ()

    def _indent(self, table: Table, parent: Path) -> str:
        inside = [one for one in self.entries if table.body <= one.at < table.stop]
        return self._blanks(inside[-1].at) if inside else self._blanks(table.at)

    def _blanks(self, at: int) -> str:
        start = self.text.rfind("\n", 0, at) + 1
        return self.text[start:at] if not self.text[start:at].strip() else ""

    @uncollected()
    def _read(self) -> None:
        at = len(_BOM) if self.text.startswith(_BOM) else 0
        current: Path = ()
        headers: list[tuple[Path, int, int, bool]] = []
        while (at := self._skip(at)) < len(self.text):
            begin = at
            if self.text.startswith("[", at):
                array = self.text.startswith("[[", at)
                path, at = self._key(at + 1 + array)
                if not self.text.startswith("]" * (1 + array), at):
                    raise self._wrong(at)
                at = self._ended(at + 1 + array)
                current = path
                headers.append((path, begin, at, array))
                continue
            if plain := _PLAIN_LINE.match(self.text, at):
                self.entries.append(Entry((*current, plain[1]), begin, *plain.span(2), _plain_value(plain[2])))
                at = plain.end()
                continue
            path, at = self._key(at)
            if not self.text.startswith("=", at):
                raise self._wrong(at)
            start = self._blank(at + 1)
            value, stop = self._value(start)
            self.entries.append(Entry((*current, *path), begin, start, stop, value))
            at = self._ended(stop)
        stops = [header[1] for header in headers[1:]] + [len(self.text)]
        self.tables = [
            Table(path, begin, body, stop, array) for (path, begin, body, array), stop in zip(headers, stops)
        ]

    def _refuse_twice(self) -> None:
        seen: dict[Path, Entry] = {}
        arrays = {one.path for one in self.tables if one.array}
        for one in self.entries:
            # One in several tables of a name may well stand several times
            if arrays and any(one.path[:length] in arrays for length in range(1, len(one.path) + 1)):
                continue
            if one.path in seen:
                lines = f"{self.line(seen[one.path].at)} and {self.line(one.at)}"
                raise ClusterkitError(f"{'.'.join(one.path)} stands in lines {lines}: leave one of them")
            seen[one.path] = one
        places: dict[Path, Table] = {}
        for table in self.tables:
            if table.path in places and not table.array:
                lines = f"{self.line(places[table.path].at)} and {self.line(table.at)}"
                raise ClusterkitError(f"[{'.'.join(table.path)}] stands in lines {lines}: leave one of them")
            places[table.path] = table

    def _skip(self, at: int) -> int:
        found = _GAP.match(self.text, at)
        return found.end() if found else at

    def _blank(self, at: int) -> int:
        found = _BLANK.match(self.text, at)
        return found.end() if found else at

    def _ended(self, at: int) -> int:
        """Return where the next line begins. Raises ClusterkitError where something else stands in this one."""
        found = _LINE_END.match(self.text, at)
        if not found:
            raise self._wrong(at)
        return found.end()

    def _key(self, at: int) -> tuple[Path, int]:
        words: list[str] = []
        while True:
            at = self._blank(at)
            if found := _BARE.match(self.text, at):
                words.append(found[0])
            elif found := _BASIC.match(self.text, at):
                words.append(self._unescaped(found[0][1:-1], at))
            elif found := _LITERAL.match(self.text, at):
                words.append(found[0][1:-1])
            else:
                raise self._wrong(at)
            at = self._blank(found.end())
            if not self.text.startswith(".", at):
                return tuple(words), at
            at += 1

    def _value(self, at: int) -> tuple[Any, int]:
        if self.text.startswith("[", at):
            return self._array(at)
        if self.text.startswith("{", at):
            return self._inline(at)
        return self._text(at) or self._other(at)

    def _text(self, at: int) -> tuple[str, int] | None:
        if found := _LONG.match(self.text, at):
            inner = re.sub(r"\A\r?\n", "", found[0][3:-3])
            if found[0].startswith('"'):
                inner = self._unescaped(re.sub(r"\\[ \t]*\r?\n\s*", "", inner), at)
            return inner, found.end()
        if found := _BASIC.match(self.text, at):
            return self._unescaped(found[0][1:-1], at), found.end()
        if found := _LITERAL.match(self.text, at):
            return found[0][1:-1], found.end()
        return None

    def _other(self, at: int) -> tuple[Any, int]:
        found = _OTHER.match(self.text, at)
        if not found:
            raise self._wrong(at)
        word = found[0]
        if word in ("true", "false"):
            return word == "true", found.end()
        return int(word.replace("_", "")) if _NUMBER.match(word) else Other(word), found.end()

    def _array(self, at: int) -> tuple[list[Any], int]:
        values: list[Any] = []
        at = self._skip(at + 1)
        while not self.text.startswith("]", at):
            value, at = self._value(at)
            values.append(value)
            at = self._skip(at)
            if self.text.startswith(",", at):
                at = self._skip(at + 1)
            elif not self.text.startswith("]", at):
                raise self._wrong(at)
        return values, at + 1

    def _inline(self, at: int) -> tuple[dict[Any, Any], int]:
        values: dict[Any, Any] = {}
        at = self._skip(at + 1)
        while not self.text.startswith("}", at):
            path, at = self._key(at)
            if not self.text.startswith("=", at):
                raise self._wrong(at)
            values[path], at = self._value(self._blank(at + 1))
            at = self._skip(at)
            if self.text.startswith(",", at):
                at = self._skip(at + 1)
            elif not self.text.startswith("}", at):
                raise self._wrong(at)
        return values, at + 1

    def _unescaped(self, text: str, at: int) -> str:
        def one(found: re.Match[str]) -> str:
            word = found[1]
            if len(word) > 1:
                return chr(int(word[1:], 16))
            if word not in _ESCAPES:
                raise self._wrong(at)
            return _ESCAPES[word]

        return _ESCAPE.sub(one, text)

    def _wrong(self, at: int) -> ClusterkitError:
        return ClusterkitError(f"line {self.line(at)} is no TOML: look at what stands there")


def _plain_value(text: str) -> Any:
    if text[0] in "\"'":
        return text[1:-1]
    return text == "true" if text in ("true", "false") else int(text)


class Other(str):
    """A value that is neither text, whole number nor true or false, as it stands in the file."""

    __slots__ = ()


def _key(word: str) -> str:
    return word if _BARE.fullmatch(word) else _spelled(word)


def _spelled(value: Any, literal: bool = False) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        if literal and "'" not in value:
            return f"'{value}'"
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Sequence):
        return f"[{', '.join(_spelled(one) for one in value)}]"
    raise ClusterkitError(f"a value of the type {type(value).__name__} cannot be written")
