# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`hazelcast.xml` of Hazelcast 4 and 5: what `hazelcast.yaml` says, as elements and attributes."""

from __future__ import annotations

from typing import Any, ClassVar, Mapping

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._formats.format import Format, Surroundings, number
from ansible_collections.clusterkit.middleware.plugins.module_utils._formats.hazelcast_yaml import (
    OTHERS,
    SCHEMES,
    HazelcastYaml,
    member,
)
from ansible_collections.clusterkit.middleware.plugins.module_utils._formats.xml_text import (
    Element,
    Folded,
    XmlText,
    tagged,
)
from ansible_collections.clusterkit.middleware.plugins.module_utils._hazelcast.membership import (
    ABSENT,
    PRESENT,
    TERMS,
    Membership,
)

Path = tuple[str, ...]
_JOIN: Path = ("network", "join")
_INTERFACES: Path = ("network", "interfaces")
_MEMBERS: Path = (*_JOIN, "tcp-ip", "member-list")
_PORT: Path = ("network", "port")


class HazelcastXml(Format):
    """The elements of one member."""

    name = "hazelcast_xml"
    file_names: ClassVar[list[str]] = ["hazelcast.xml"]
    names: ClassVar[dict[str, str]] = HazelcastYaml.names
    hints: ClassVar[dict[str, str]] = HazelcastYaml.hints
    #: Words whose value is the text of an element.
    _texts: ClassVar[dict[str, Path]] = {
        "domain": ("cluster-name",),
        "local_port": _PORT,
        "public_address": ("network", "public-address"),
        **{
            name: tuple(path.split(".")[1:])
            for name, path in HazelcastYaml.names.items()
            if name.startswith(("multicast.", "aws."))
        },
    }

    def __init__(self, content: bytes, around: Surroundings | None = None) -> None:
        """Read the content. Raises ClusterkitError."""
        super().__init__(content, around)
        self._xml = XmlText(content)
        if self._xml.root.name != "hazelcast":
            raise ClusterkitError(f"its outermost element is <{self._xml.root.name}>: expected <hazelcast>")
        listed = _at(self._xml, (*_JOIN, "tcp-ip"))
        for name in ("member", "members", "interface", "hostname"):
            if listed and listed.all(name):
                line = self._xml.line(listed.all(name)[0].start)
                raise ClusterkitError(f"line {line}: <{name}> stands in <tcp-ip>: write it into <member-list>")

    def read(self) -> dict[str, Any]:
        """Return what the file says; of several schemes that are enabled none is known."""
        enabled = [name for name, key in SCHEMES.items() if self._is_on((*_JOIN, key))]
        others = [one for one in OTHERS if self._is_on((*_JOIN, one))]
        found: dict[str, Any] = {"state": PRESENT if enabled or others else ABSENT}
        found["scheme"] = enabled[0] if len(enabled) == 1 and not others else None
        for name, path in self._texts.items():
            if element := _at(self._xml, path):
                found[name] = number(element.text) if TERMS[name].kind == "int" else element.text
        port = _at(self._xml, _PORT)
        if port and "auto-increment" in port.attributes:
            found["port_auto_increment"] = port.attributes["auto-increment"].strip().lower() == "true"
        if listed := _at(self._xml, _MEMBERS):
            found["members"] = sorted(member(one.text) for one in listed.all("member"))
        if self._is_on(_INTERFACES) and (listed := _at(self._xml, _INTERFACES)):
            found["interfaces"] = [one.text for one in listed.all("interface")]
        return found

    def rest(self) -> Any:
        """Return all other elements, attributes and comments of the file."""
        own = [
            *({path: element for path in self._texts.values() if (element := _at(self._xml, path))}.values()),
            *(element for path in (_MEMBERS, _INTERFACES) if (element := _at(self._xml, path))),
        ]
        ours = {id(one) for element in own for one in element.walk()}
        # Elements that are there for others alone, and attributes that are ours
        plain = {_at_id(self._xml, path) for path in self._containers()}
        found = []
        for one in self._xml.root.walk():
            attributes = {
                key: value for key, value in one.attributes.items() if key not in ("enabled", "auto-increment")
            }
            if id(one) not in ours and (id(one) not in plain or attributes or one.text):
                found.append((one.name, sorted(attributes.items()), one.text))
        comments = sorted(comment.text for one in self._xml.root.walk() for comment in one.comments)
        return sorted(found), comments

    def judge(self, declared: Membership, present: Mapping[str, Any]) -> list[str]:
        """Return warnings. Raises ClusterkitError."""
        scheme = declared.get("scheme")
        if scheme is None and not present.get("scheme"):
            raise ClusterkitError("scheme is missing, and the file enables no one of them: give wka, multicast or aws")
        if scheme is not None and scheme not in SCHEMES:
            raise ClusterkitError(f"scheme is {scheme}: give wka, multicast or aws")
        return []

    def wanted(self, declared: Membership) -> dict[str, Any]:
        """Return what the file has to say. Raises ClusterkitError."""
        wanted = super().wanted(declared)
        if declared.state == ABSENT and wanted:
            wanted["scheme"] = None
        return wanted

    def write(self, changes: Mapping[str, Any], declared: Membership) -> bytes:
        """Return the content with these values."""
        folded = Folded(self._xml, {path[0] for path in (*self._texts.values(), *self._containers())})
        content = folded.content
        scheme = None if changes.get("state") == ABSENT else declared.get("scheme") or self.read()["scheme"]
        if "scheme" in changes or "state" in changes:
            for name, key in SCHEMES.items():
                content = _switched(content, (*_JOIN, key), name == scheme, always=name in (scheme, "multicast"))
            for one in OTHERS:
                content = _switched(content, (*_JOIN, one), False, always=scheme is None and one == "auto-detection")
        for name, value in changes.items():
            if name in self._texts:
                content = _with_text(content, self._texts[name], str(value))
            elif name == "port_auto_increment":
                content = _with_attribute(_with(content, _PORT), _PORT, "auto-increment", value)
            elif name == "members":
                content = _with_list(content, _MEMBERS, "member", value)
            elif name == "interfaces":
                content = _switched(content, _INTERFACES, True, always=True)
                content = _with_list(content, _INTERFACES, "interface", value)
        return folded.unfolded(content)

    def _containers(self) -> list[Path]:
        return [
            ("network",),
            _JOIN,
            *((*_JOIN, one) for one in (*SCHEMES.values(), *OTHERS)),
        ]

    def _is_on(self, path: Path) -> bool:
        element = _at(self._xml, path)
        return bool(element and element.attributes.get("enabled", "").strip().lower() == "true")


def _at(xml: XmlText, path: Path) -> Element | None:
    """Return the element at a path below the outermost one. Raises ClusterkitError where one stands several times."""
    element: Element | None = xml.root
    for name in path:
        element = element.only(name) if element else None
    return element


def _at_id(xml: XmlText, path: Path) -> int:
    return id(_at(xml, path))


def _with(content: bytes, path: Path) -> bytes:
    """Return the content with an element at a path, and those above it."""
    for length in range(1, len(path) + 1):
        xml = XmlText(content)
        parent = _at(xml, path[: length - 1])
        if parent and _at(xml, path[:length]) is None:
            name = path[length - 1]
            xml.add_inside(parent, [f"<{name}>", f"</{name}>"] if length < len(path) else [f"<{name}></{name}>"])
            content = xml.applied()
    return content


def _with_text(content: bytes, path: Path, text: str) -> bytes:
    content = _with(content, path)
    xml = XmlText(content)
    if element := _at(xml, path):
        xml.set_text(element, text)
    return xml.applied()


def _with_attribute(content: bytes, path: Path, name: str, value: bool) -> bytes:
    xml = XmlText(content)
    if element := _at(xml, path):
        xml.set_attribute(element, name, str(value).lower())
    return xml.applied()


def _switched(content: bytes, path: Path, on: bool, always: bool) -> bytes:
    element = _at(XmlText(content), path)
    if element is None and not always:
        return content
    present = element.attributes.get("enabled", "").strip().lower() if element else ""
    if present == str(on).lower() or (not present and not always):
        return content
    return _with_attribute(_with(content, path), path, "enabled", on)


def _with_list(content: bytes, path: Path, tag: str, values: list[str]) -> bytes:
    """Let those of a list that are to stay stand, with what is written around them."""
    xml = XmlText(_with(content, path))
    listed = _at(xml, path)
    if listed is None:
        return content
    kept = set()
    for one in listed.all(tag):
        text = member(one.text) if tag == "member" else one.text
        if text in values and text not in kept:
            kept.add(text)
        else:
            xml.remove(one)
    missing = [tagged(tag, one) for one in values if one not in kept]
    if missing:
        xml.add_inside(listed, missing)
    return xml.applied()
