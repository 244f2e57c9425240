# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""YAML files with the position of every value, as PyYAML reads them, and keys found however they are spelled.

A key `a.b.c` may stand in the file nested, dotted or partly each. PyYAML is needed, which the control node has; it is
imported when it is used, so that this file can be loaded where there is none. Positions count characters.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Iterator, Mapping, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._formats.editing import Edits, line_end, uncollected

#: A text that YAML 1.1 and 1.2 both take as it stands, in block and in flow style.
_PLAIN = re.compile(r"[A-Za-z0-9_/.][A-Za-z0-9_/.@+*$()-]*( [A-Za-z0-9_/.@+*$()-]+)*$")
_BOM = "\ufeff"


@dataclass
class Node:
    """A value: from `start` to `stop`. `kind` is scalar, mapping, sequence or alias.

    `plain` tells that a scalar stands without quotes, `marked` that it has an anchor or a tag of its own. `column` is
    where it begins in its line, of a mapping where its keys do.
    """

    kind: str
    start: int
    stop: int = -1
    text: str = ""
    style: str = ""
    marked: bool = False
    flow: bool = False
    column: int = 0
    pairs: list[tuple[Node, Node]] = field(default_factory=list)
    items: list[Node] = field(default_factory=list)

    def last(self) -> int:
        """Return where the last thing in it ends: a block ends, for PyYAML, only where the next one begins."""
        if self.kind == "mapping" and not self.flow and self.pairs:
            return max(self.pairs[-1][0].stop, self.pairs[-1][1].last())
        if self.kind == "sequence" and not self.flow and self.items:
            return self.items[-1].last()
        return self.stop


class YamlText:
    """The content of a YAML file of one document, and what is to change in it."""

    def __init__(self, content: bytes) -> None:
        """Read the content. Raises ClusterkitError for what is no YAML, or more than one document."""
        try:
            self.text = content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise ClusterkitError(f"the file is no UTF-8 (byte {error.start}): convert it first") from None
        self.edits: Edits[str] = Edits(self.text)
        self.line_end = line_end(self.text)
        self._new: dict[int, tuple[Node, dict[str, Any]]] = {}
        self.root = self._read()

    def encoded(self) -> bytes:
        """Return the content with all edits. Raises ClusterkitError."""
        self._add_new()
        return self.edits.applied().encode()

    def find(self, path: str) -> list[tuple[Node, Node]]:
        """Return the keys and values that a dotted path leads to, however it is divided over nested keys."""
        return [(key, value) for key, value, _parent in self._find(self.root, path)]

    def only(self, path: str) -> Node | None:
        """Return the value at a path, None where there is none. Raises ClusterkitError for several."""
        found = self.find(path)
        if len(found) > 1:
            lines = ", ".join(str(self.line(key.start)) for key, _value in found)
            raise ClusterkitError(f"{path} stands in lines {lines}: leave one of them")
        return found[0][1] if found else None

    def value(self, path: str) -> Any:
        """Return what a program reads at a path, None where there is nothing."""
        node = self.only(path)
        return None if node is None else self.loaded(node)

    def loaded(self, node: Node) -> Any:
        """Return what a program reads of a node."""
        import yaml  # noqa: PLC0415  # not on targets

        if node.kind == "scalar" and not node.style:
            # What a text without quotes stands for; the schema is YAML 1.1's, as in the readers of these products
            return yaml.safe_load(node.text) if node.text else None
        if node.kind == "scalar":
            return node.text
        if node.kind == "sequence":
            return [self.loaded(one) for one in node.items]
        if node.kind == "mapping":
            return {key.text: self.loaded(value) for key, value in node.pairs}
        raise ClusterkitError(f"line {self.line(node.start)}: an alias stands in place of the value: write the value")

    def set(self, path: str, value: Any, dotted: bool = False) -> None:
        """Give the value at a path another one; a new key is nested as far as there are keys, or dotted."""
        node = self.only(path)
        if node is None:
            self._add(path, value, dotted)
            return
        if node.marked or node.kind == "alias":
            raise ClusterkitError(
                f"line {self.line(node.start)}: {path} has an anchor, an alias or a tag: write the plain value first"
            )
        if node.kind == "sequence" and isinstance(value, list):
            self._set_list(node, value, path)
            return
        if node.kind in ("mapping", "sequence") or node.style in ("|", ">"):
            raise ClusterkitError(f"line {self.line(node.start)}: {path} is no single value in one line: write it so")
        new = self._scalar(value, node.style)
        if node.start == node.stop:  # nothing stands behind the colon
            new = new if self.text[node.start - 1 : node.start] in (" ", "\t") else f" {new}"
        self.edits.replace(node.start, node.stop, new)

    def _set_list(self, node: Node, values: Sequence[Any], path: str) -> None:
        """Replace the items of a list, each spelled as the first one is."""
        stop = node.last()
        if "#" in re.sub(r"\"[^\"\n]*\"|'[^'\n]*'", "", self.text[node.start : stop]):
            raise ClusterkitError(
                f"line {self.line(node.start)}: {path} has comments among its items: write them above"
            )
        style = node.items[0].style if node.items and node.items[0].kind == "scalar" else ""
        items = [self._scalar(one, style) for one in values]
        if node.flow or not items:
            self.edits.replace(node.start, stop, f"[{', '.join(items)}]")
        else:
            gap = f"{self.line_end}{' ' * node.column}"
            self.edits.replace(node.start, stop, gap.join(f"- {one}" for one in items))

    def line(self, at: int) -> int:
        """Return the number of the line that a position is in, counted from 1."""
        return len(re.findall(r"\r\n|\r|\n", self.text[:at])) + 1

    def _add(self, path: str, value: Any, dotted: bool) -> None:
        """Note a key that is new, with the deepest mapping on its path: those of one mapping are added together."""
        parent, rest = self._deepest(self.root, path, dotted)
        _parent, branch = self._new.setdefault(id(parent), (parent, {}))
        # A key such as `no` would be read as false without quotes
        names = [self._scalar(name, "") for name in ([rest] if dotted else rest.split("."))]
        for name in names[:-1]:
            branch = branch.setdefault(name, {})
        branch[names[-1]] = self._scalar(value, "")

    def _add_new(self) -> None:
        """Add the new keys, as the last ones of their mappings."""
        # Where several mappings end in one line, what belongs into the inner ones comes first
        for parent, tree in sorted(self._new.values(), key=lambda one: -one[0].column - (one[0].kind == "scalar")):
            if parent.kind == "scalar":
                # A key without a value: what comes below it makes it a mapping
                self._insert_line(parent.stop, self._lines(tree, parent.column + self._step()))
            elif parent.flow:
                at = self.text.rindex("}", parent.start, parent.stop)
                at -= len(self.text[parent.start : at]) - len(self.text[parent.start : at].rstrip())
                self.edits.insert(at, (", " if parent.pairs else "") + _flow(tree)[1:-1])
            else:
                self._insert_line(parent.last(), self._lines(tree, parent.column))
        self._new = {}

    def _lines(self, tree: Mapping[str, Any], column: int) -> list[str]:
        lines = []
        for name, value in tree.items():
            if isinstance(value, dict):
                lines += [" " * column + f"{name}:", *self._lines(value, column + self._step())]
            else:
                lines.append(" " * column + f"{name}: {value}")
        return lines

    def _insert_line(self, at: int, lines: Sequence[str]) -> None:
        """Put lines behind the one that a position is in or, where that is a line's beginning, there."""
        if at and self.text[at - 1] in "\r\n":
            self.edits.insert(at, "".join(f"{one}{self.line_end}" for one in lines))
            return
        found = re.compile(r"[^\r\n]*").match(self.text, at)
        end = found.end() if found else at
        before = "" if not self.text.strip(_BOM + " \t\r\n") and end == 0 else self.line_end
        self.edits.insert(end, before + self.line_end.join(lines) + ("" if end < len(self.text) else self.line_end))

    def _deepest(self, node: Node, path: str, dotted: bool) -> tuple[Node, str]:
        if dotted:
            # Beside the dotted keys, which stand in the outermost mapping
            return node, path
        best = (node, path)
        if node.kind == "mapping":
            for key, value in node.pairs:
                if path.startswith(f"{key.text}."):
                    candidate = value
                    if value.kind == "scalar" and not (value.text or value.style or value.marked):
                        candidate.column = node.column
                    elif value.kind != "mapping":
                        raise ClusterkitError(
                            f"line {self.line(key.start)}: {key.text} has a value, and no keys below it"
                        )
                    found = self._deepest(candidate, path[len(key.text) + 1 :], dotted)
                    if len(found[1]) < len(best[1]):
                        best = found
        return best

    def _find(self, node: Node, path: str) -> Iterator[tuple[Node, Node, Node]]:
        if node.kind != "mapping":
            return
        for key, value in node.pairs:
            if key.text == path:
                yield key, value, node
            elif path.startswith(f"{key.text}."):
                yield from self._find(value, path[len(key.text) + 1 :])

    def _step(self) -> int:
        """Return by how much this file indents."""
        for _key, value in self.root.pairs:
            if value.kind == "mapping" and not value.flow and value.column:
                return value.column
        return 2

    def _scalar(self, value: Any, style: str) -> str:
        """Write a value in the quotes that stand there, or in none or others where it would not be read as it is."""
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, int):
            return str(value)
        if isinstance(value, list):
            return f"[{', '.join(self._scalar(one, style) for one in value)}]"
        text = str(value)
        if re.search(r"[\x00-\x1f\x7f\x85\u2028\u2029\ufeff\ud800-\udfff]", text):
            raise ClusterkitError("a value has a control character or a line end: give it in one line")
        if style == "'":
            return "'" + text.replace("'", "''") + "'"
        if not style and _PLAIN.match(text) and self._reads_as_text(text):
            return text
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    def _reads_as_text(self, text: str) -> bool:
        import yaml  # noqa: PLC0415  # not on targets

        try:
            # YAML 1.2 takes 0o17 for a number, and both of them 1_000 or 1e3: what begins like one is quoted
            return yaml.safe_load(text) == text and not re.match(r"[+-]?\.?\d[\d_.,eExXoO+-]*$", text)
        except yaml.YAMLError:
            return False

    @uncollected()
    def _read(self) -> Node:
        import yaml  # noqa: PLC0415  # not on targets

        text = self.text[1:] if self.text.startswith(_BOM) else self.text
        shift = len(self.text) - len(text)
        root = Node("mapping", len(self.text), len(self.text))
        documents = 0
        try:
            events: Any = yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
            stack: list[list[Node]] = []
            opened: list[Node] = []
            for event in events:
                kind = type(event).__name__
                if kind == "DocumentStartEvent":
                    documents += 1
                    stack = [[]]
                elif kind == "DocumentEndEvent" and documents == 1:
                    root = stack[0][0]
                elif kind in ("MappingStartEvent", "SequenceStartEvent"):
                    node = Node(kind[:-10].lower(), event.start_mark.index + shift, column=event.start_mark.column)
                    node.flow, node.marked = bool(event.flow_style), bool(event.anchor or event.tag)
                    opened.append(node)
                    stack[-1].append(node)
                    stack.append([])
                elif kind in ("MappingEndEvent", "SequenceEndEvent"):
                    self._close(opened.pop(), stack.pop(), event.end_mark.index + shift)
                elif kind in ("ScalarEvent", "AliasEvent"):
                    begin = event.start_mark
                    node = Node(kind[:-5].lower(), begin.index + shift, event.end_mark.index + shift)
                    node.column = begin.column
                    if kind == "ScalarEvent":
                        node.text, node.style = event.value, event.style or ""
                        node.marked = bool(event.anchor or event.tag)
                    stack[-1].append(node)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            where = f"line {mark.line + 1}: " if mark else ""
            raise ClusterkitError(f"{where}the file is no YAML ({getattr(error, 'problem', '') or error})") from None
        if documents > 1:
            raise ClusterkitError(f"the file holds {documents} documents: expected one")
        if root.kind == "scalar" and not root.text:
            root = Node("mapping", len(self.text), len(self.text))
        if root.kind != "mapping":
            raise ClusterkitError(f"the file holds no keys at its top, but a {root.kind}")
        return root

    def _close(self, node: Node, inner: list[Node], stop: int) -> None:
        node.stop = stop
        if node.kind == "sequence":
            node.items = inner
            return
        node.pairs = list(zip(inner[::2], inner[1::2]))
        if inner:
            # A mapping with an anchor begins with that, and its keys elsewhere
            node.column = inner[0].column


def _flow(tree: Mapping[str, Any]) -> str:
    inner = ", ".join(f"{name}: {_flow(one) if isinstance(one, dict) else one}" for name, one in tree.items())
    return f"{{{inner}}}"


def flattened(node: Node) -> dict[str, str]:
    """Return all single values below a node by their dotted path, as they are spelled: for comparing."""
    found: dict[str, str] = {}
    _flatten(node, "", found)
    return found


def _flatten(node: Node, prefix: str, found: dict[str, str]) -> None:
    if node.kind == "mapping":
        for key, value in node.pairs:
            _flatten(value, f"{prefix}.{key.text}" if prefix else key.text, found)
    elif node.kind == "sequence":
        for number, one in enumerate(node.items):
            _flatten(one, f"{prefix}[{number}]", found)
    else:
        found[prefix] = f"{node.style}{node.text}"
