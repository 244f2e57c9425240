# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""XML files with the position of everything in them, as Expat reads them.

Nothing outside of the file is ever read: external entities are not followed, and a file that declares entities is
refused. Positions count bytes. No error of this file shows a value.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Collection, Iterator
from xml.parsers import expat  # its safety: see XmlText._read
from xml.sax.saxutils import escape, quoteattr

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._formats.editing import Edits, line_end, uncollected

#: Encodings in which a character of ASCII is the one byte that it is in ASCII.
_BYTE_FOR_BYTE = re.compile(r"(?i)(utf-?8|us-ascii|ascii|iso-8859-\d+|windows-125\d|latin-?1)$")


#: A tag ends at the first > that stands in no quotes; Expat has found it to be well-formed.
_TAG = re.compile(rb"<(?:[^>\"']+|\"[^\"]*\"|'[^']*')*>")


@dataclass
class Comment:
    """A comment, from `<!--` at `start` to behind `-->` at `stop`."""

    text: str
    start: int
    stop: int = -1


@dataclass
class Element:
    """An element: its start tag stands from `start` to `inside`, its end tag from `outside` to `stop`.

    Of an empty element (`<x/>`) `inside`, `outside` and `stop` are the same. `name` is without the prefix of its
    namespace.
    """

    name: str
    attributes: dict[str, str]
    start: int
    inside: int = -1
    outside: int = -1
    stop: int = -1
    parts: list[str] = field(default_factory=list)
    children: list[Element] = field(default_factory=list)
    comments: list[Comment] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The text that stands directly in it, without the blanks around."""
        return "".join(self.parts).strip()

    @property
    def empty(self) -> bool:
        """Whether it has no end tag of its own."""
        return self.inside == self.stop

    def all(self, name: str) -> list[Element]:
        """Return its children of that name."""
        return [one for one in self.children if one.name == name]

    def only(self, name: str) -> Element | None:
        """Return its child of that name, None where there is none. Raises ClusterkitError for several."""
        found = self.all(name)
        if len(found) > 1:
            raise ClusterkitError(f"<{name}> stands {len(found)} times in <{self.name}>: leave one of them")
        return found[0] if found else None

    def walk(self) -> Iterator[Element]:
        """Walk over itself and all below it."""
        yield self
        for one in self.children:
            yield from one.walk()


class XmlText:
    """The content of an XML file, and what is to change in it."""

    def __init__(self, content: bytes) -> None:
        """Read the content. Raises ClusterkitError for what is no XML, and what is not read for safety."""
        self.content = content
        self._encoding = self._declared_encoding()
        self._stack: list[Element] = []
        self._pending: list[Comment] = []
        self._root: Element | None = None
        self.edits: Edits[bytes] = Edits(content)
        self._added: dict[int, tuple[Element, str]] = {}
        self._read()
        self.line_end = line_end(content.decode("latin-1"))

    @property
    def root(self) -> Element:
        """The outermost element."""
        if self._root is None:
            raise ClusterkitError("the file holds no element")
        return self._root

    def text_of(self, start: int, stop: int) -> str:
        """Return what stands in the file from a position to another."""
        return self.content[start:stop].decode(self._encoding, "replace")

    def set_text(self, element: Element, text: str) -> None:
        """Give an element another text; what surrounds the old one, blanks and comments, stays."""
        new = self._encoded(escape(text))
        if element.empty:
            self._open(element, new)
            return
        if element.children or element.comments or b"<!" in self.content[element.inside : element.outside]:
            raise ClusterkitError(
                f"line {self.line(element.start)}: <{element.name}> holds more than a text: leave the value alone in it"
            )
        raw = self.content[element.inside : element.outside]
        if not raw.strip():
            self.edits.replace(element.inside, element.outside, new)
            return
        start = element.inside + len(raw) - len(raw.lstrip())
        stop = element.inside + len(raw.rstrip())
        self.edits.replace(start, stop, new)

    def set_attribute(self, element: Element, name: str, value: str) -> None:
        """Give an attribute another value, in the quotes that it has; a new one comes last."""
        tag = self.content[element.start : element.inside]
        for found in re.finditer(rb"\s([^\s=<>/\"']+)\s*=\s*(\"[^\"]*\"|'[^']*')", tag):
            if found[1].decode(self._encoding) == name:
                quote = found[2][:1].decode()
                escaped = escape(value, {quote: {'"': "&quot;", "'": "&apos;"}[quote]})
                self.edits.replace(
                    element.start + found.start(2) + 1, element.start + found.end(2) - 1, self._encoded(escaped)
                )
                return
        end = re.search(rb"\s*/?>$", tag)
        at = element.start + (end.start() if end else len(tag))
        self.edits.insert(at, self._encoded(f" {name}={quoteattr(value)}"))

    def remove(self, element: Element) -> None:
        """Remove an element, and the line that it leaves empty."""
        start, stop = element.start, element.stop
        line = self.content.rfind(b"\n", 0, start) + 1
        after = re.match(rb"[ \t]*(\r\n|\n|\r|$)", self.content[stop:])
        if after and after[1] and not self.content[line:start].strip():
            start, stop = line, stop + after.end()
        self.edits.replace(start, stop, b"")

    def add_after(self, anchor: Element | Comment, lines: list[str]) -> None:
        """Add lines behind an element or comment, indented as that is."""
        indent = self.indent_of(anchor.start)
        self.edits.insert(anchor.stop, self._encoded("".join(f"{self.line_end}{indent}{one}" for one in lines)))

    def add_inside(self, parent: Element, lines: list[str]) -> None:
        """Add lines as the last children of an element."""
        indent = f"{self.indent_of(parent.start)}{self.step(parent)}"
        added = "".join(f"{self.line_end}{indent}{one}" for one in lines)
        _parent, text = self._added.get(id(parent), (parent, ""))
        self._added[id(parent)] = parent, text + added

    def applied(self) -> bytes:
        """Return the content with all that is to change."""
        for parent, added in self._added.values():
            closing = f"{self.line_end}{self.indent_of(parent.start)}"
            if parent.empty:
                self._open(parent, self._encoded(added + closing))
                continue
            raw = self.content[parent.inside : parent.outside]
            at = self._behind(parent.inside, len(raw.rstrip()))
            self.edits.insert(at, self._encoded(added + ("" if re.search(rb"[\r\n][ \t]*$", raw) else closing)))
        self._added = {}
        return self.edits.applied()

    def _behind(self, start: int, length: int) -> int:
        """Return where what is added begins: behind the last text that stays."""
        at = start + length
        for removed, stop, new in sorted(self.edits, reverse=True):
            if not new and removed < at <= stop:
                at = start + len(self.content[start:removed].rstrip())
        return at

    def _open(self, element: Element, inner: bytes) -> None:
        """Give an element that has no end tag one, and what is in it."""
        tag = self.content[element.start : element.inside]
        end = element.start + len(tag[:-2].rstrip())
        self.edits.replace(end, element.inside, b">" + inner + b"</" + self._qualified(element).encode() + b">")

    def step(self, parent: Element) -> str:
        """Return by how much the children of an element are indented more than itself."""
        indent = self.indent_of(parent.start)
        for start in [one.start for one in parent.children] + [one.start for one in parent.comments]:
            found = self.indent_of(start)
            if len(found) > len(indent) and found.startswith(indent):
                return found[len(indent) :]
        return "\t" if indent.startswith("\t") else "    "

    def indent_of(self, at: int) -> str:
        """Return the blanks at the beginning of the line that a position is in."""
        line = max(self.content.rfind(b"\n", 0, at), self.content.rfind(b"\r", 0, at)) + 1
        found = re.match(rb"[ \t]*", self.content[line:at])
        return found[0].decode() if found else ""

    def line(self, at: int) -> int:
        """Return the number of the line that a position is in, counted from 1."""
        return len(re.findall(rb"\r\n|\r|\n", self.content[:at])) + 1

    def _encoded(self, text: str) -> bytes:
        return text.encode(self._encoding, "xmlcharrefreplace")

    def _qualified(self, element: Element) -> str:
        found = re.match(rb"<([^\s/>]+)", self.content[element.start : element.inside])
        return found[1].decode(self._encoding) if found else element.name

    def _declared_encoding(self) -> str:
        if self.content[:2] in (b"\xfe\xff", b"\xff\xfe"):
            raise ClusterkitError("the file is UTF-16: convert it to UTF-8 first")
        found = re.match(rb"(?:\xef\xbb\xbf)?<\?xml[^>]*?encoding\s*=\s*[\"']([A-Za-z0-9._-]+)", self.content)
        encoding = found[1].decode("ascii") if found else "utf-8"
        if not _BYTE_FOR_BYTE.match(encoding):
            raise ClusterkitError(f"the file is in the encoding {encoding}: convert it to UTF-8 first")
        return encoding

    @uncollected()
    def _read(self) -> None:
        parser = expat.ParserCreate()
        parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
        parser.buffer_text = False
        parser.EntityDeclHandler = self._refuse_entity
        parser.StartElementHandler = lambda name, attributes: self._started(parser.CurrentByteIndex, name, attributes)
        parser.EndElementHandler = lambda name: self._ended(parser.CurrentByteIndex)
        parser.CharacterDataHandler = self._characters
        parser.CommentHandler = lambda text: self._comment(parser.CurrentByteIndex, text)
        try:
            parser.Parse(self.content, True)
        except expat.ExpatError as error:
            problem = expat.ErrorString(error.code)
            raise ClusterkitError(f"line {error.lineno}: the file is no well-formed XML ({problem})") from None

    def _refuse_entity(self, name: str, *_rest: Any) -> None:
        raise ClusterkitError(f"the file declares the entity {name}: it is not read for safety, write the text itself")

    def _started(self, at: int, name: str, attributes: dict[str, str]) -> None:
        element = Element(name.rpartition(":")[2], attributes, at)
        tag = _TAG.match(self.content, at)
        element.inside = tag.end() if tag else at
        if self._stack:
            self._stack[-1].children.append(element)
        else:
            self._root = element
        self._stack.append(element)

    def _ended(self, at: int) -> None:
        element = self._stack.pop()
        if self.content[element.inside - 2 : element.inside] == b"/>":
            element.outside = element.stop = element.inside
            return
        element.outside = at
        element.stop = self.content.index(b">", at) + 1

    def _characters(self, text: str) -> None:
        if self._stack:
            self._stack[-1].parts.append(text)

    def _comment(self, at: int, text: str) -> None:
        if self._stack:
            stop = self.content.index(b"-->", at + 4) + 3
            self._stack[-1].comments.append(Comment(text, at, stop))


class Folded:
    """A file in which runs of elements that nothing is changed in are one empty element each, `content`.

    Changes that are made one after the other parse the file each time: what has nothing to do with them is left out.
    """

    def __init__(self, xml: XmlText, kept: Collection[str]) -> None:
        """Fold all children of the outermost element but those with the names `kept`."""
        self._folded: list[tuple[bytes, bytes]] = []
        name = "folded"
        while f"<{name}-".encode() in xml.content:
            name += "-"
        parts, at = [], 0
        run: list[Element] = []
        for one in [*xml.root.children, None]:
            if one is not None and one.name not in kept:
                run.append(one)
            elif run:
                sign = f"<{name}-{len(self._folded)}/>".encode()
                self._folded.append((sign, xml.content[run[0].start : run[-1].stop]))
                parts += [xml.content[at : run[0].start], sign]
                at = run[-1].stop
                run = []
        self.content = b"".join([*parts, xml.content[at:]])

    def unfolded(self, content: bytes) -> bytes:
        """Return a content with what was folded in its place."""
        for sign, what in self._folded:
            content = content.replace(sign, what)
        return content


def outline(element: Element, without: Element | None = None) -> list[tuple[str, tuple[tuple[str, str], ...], str]]:
    """Return what a program sees of an element and all below it, but for one branch, for comparing."""
    found: list[tuple[str, tuple[tuple[str, str], ...], str]] = []
    pending = [element]
    while pending:
        one = pending.pop()
        if one is without:
            continue
        found.append((one.name, tuple(sorted(one.attributes.items())), one.text))
        pending += reversed(one.children)
    return found


def tagged(tag: str, text: str, **attributes: str) -> str:
    """Return an element that holds a text."""
    given = "".join(f" {key}={quoteattr(value)}" for key, value in attributes.items())
    return f"<{tag}{given}>{escape(text)}</{tag}>"
