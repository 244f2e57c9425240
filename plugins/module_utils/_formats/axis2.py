# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`axis2.xml` of WSO2 Carbon: its `<clustering>` element, with the names that the installed kernel reads."""

from __future__ import annotations

import re
from typing import Any, ClassVar, Mapping

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._formats.carbon import (
    AWS_NAMES,
    agent_class,
    aws_names,
    kernel_warnings,
)
from ansible_collections.clusterkit.middleware.plugins.module_utils._formats.format import Format, Surroundings, number
from ansible_collections.clusterkit.middleware.plugins.module_utils._formats.xml_text import (
    Comment,
    Element,
    XmlText,
    outline,
    tagged,
)
from ansible_collections.clusterkit.middleware.plugins.module_utils._hazelcast.membership import (
    ABSENT,
    PRESENT,
    TERMS,
    Membership,
    host_and_port,
    spelled,
)

_NAMES = {
    "scheme": "membershipScheme",
    "scheme_class": "membershipSchemeClassName",
    "domain": "domain",
    "local_host": "localMemberHost",
    "local_port": "localMemberPort",
    "members": "members",
    "password": "groupPassword",
    "management_center.url": "mgtCenterURL",
    "multicast.address": "mcastAddress",
    "multicast.port": "mcastPort",
    "multicast.timeout_seconds": "mcastTimeout",
    "multicast.ttl": "mcastTTL",
}


class Axis2(Format):
    """The parameters of the clustering agent."""

    name = "axis2"
    file_names: ClassVar[list[str]] = ["axis2.xml"]
    names: ClassVar[dict[str, str]] = {**_NAMES, **AWS_NAMES}
    has_parameters = True
    hints: ClassVar[dict[str, str]] = {
        "interfaces": "give local_host, one address",
        "port_auto_increment": "the agent takes local_port as it is; leave it out",
        **{
            f"timings.{name}_seconds": "it belongs into hazelcast.properties in the same directory"
            for name in ("max_no_heartbeat", "merge_first_run", "merge_next_run")
        },
    }

    def __init__(self, content: bytes, around: Surroundings | None = None) -> None:
        """Read the content. Raises ClusterkitError where it has no one `<clustering>`."""
        super().__init__(content, around)
        self._xml = XmlText(content)
        root = self._xml.root
        if root.name != "axisconfig":
            raise ClusterkitError(f"its outermost element is <{root.name}>: expected <axisconfig>")
        found = root.all("clustering")
        if len(found) > 1:
            lines = ", ".join(str(self._xml.line(one.start)) for one in found)
            raise ClusterkitError(f"<clustering> stands {len(found)} times (lines {lines}): leave one of them")
        self._clustering = found[0] if found else None
        self._commented = next((one for one in root.comments if "<clustering" in one.text), None)
        if not found and not self._commented:
            raise ClusterkitError(
                "it has no <clustering>, not even one that is commented out: this product does not cluster through "
                "this file (Micro Integrator from 1.2 on coordinates through a database)"
            )

    def read(self) -> dict[str, Any]:
        """Return what the file says; of parameters that stand twice none is known."""
        clustering = self._clustering
        if clustering is None:
            return {"state": ABSENT}
        enabled = clustering.attributes.get("enable", "").strip().lower() == "true"
        found: dict[str, Any] = {"state": PRESENT if enabled else ABSENT}
        if self.around.kernel:
            found["agent"] = clustering.attributes.get("class", "")
        words = {tag: name for name, tag in self._names().items() if name != "members"}
        for tag, element in self._parameters().items():
            if element.children:
                continue
            name = words.get(tag, f"parameters.{tag}")
            term = TERMS.get(name)
            found[name] = number(element.text) if term and term.kind == "int" else element.text
        members = clustering.only("members")
        if members:
            found["members"] = sorted({spelled(*_member(one)) for one in members.all("member")})
        return found

    def rest(self) -> Any:
        """Return what is outside of the element, and what inside is no parameter of one value."""
        inside = self._clustering
        others = []
        for one in inside.children if inside else []:
            if one.name == "members" or (one.name == "parameter" and not one.children):
                continue
            others.append(outline(one))
        comments = [one.text for one in inside.comments] if inside else []
        # Without blanks: what is added between two pieces of text has its own around it
        text = "".join(inside.text.split()) if inside else ""
        return outline(self._xml.root, inside), others, comments, text

    def wanted(self, declared: Membership) -> dict[str, Any]:
        """Return what the file has to say. Raises ClusterkitError."""
        wanted = super().wanted(declared)
        if declared.state == PRESENT:
            wanted["agent"] = agent_class(self.around.kernel)
            for name in declared.parameters:
                if word := {tag: word for word, tag in self._names().items()}.get(name):
                    raise ClusterkitError(f"parameters has {name}: give it as {word}")
        return wanted

    def judge(self, declared: Membership, present: Mapping[str, Any]) -> list[str]:
        """Return warnings. Raises ClusterkitError."""
        scheme = declared.get("scheme")
        if scheme not in (None, "wka", "multicast", "aws") and not declared.get("scheme_class"):
            raise ClusterkitError(f"scheme is {scheme}: give wka, multicast or aws, or the class of it as scheme_class")
        if declared.get("management_center.enabled") is not None:
            raise ClusterkitError("management_center.enabled cannot be expressed in axis2: its url alone decides")
        return kernel_warnings(declared, self.around)

    def write(self, changes: Mapping[str, Any], declared: Membership) -> bytes:
        """Return the content with these values."""
        clustering = self._clustering
        if clustering is None:
            return self._with_new(changes)
        if "state" in changes:
            self._xml.set_attribute(clustering, "enable", str(changes["state"] == PRESENT).lower())
        if "agent" in changes:
            self._xml.set_attribute(clustering, "class", changes["agent"])
        parameters = self._parameters()
        for name, value in changes.items():
            if name in ("state", "agent"):
                continue
            if name == "members":
                self._set_members(clustering, value)
                continue
            tag = self._tag(name)
            if tag in parameters:
                self._xml.set_text(parameters[tag], str(value))
            else:
                self._add(clustering, tag, str(value))
        return self._xml.applied()

    def _with_new(self, changes: Mapping[str, Any]) -> bytes:
        """Add an element beside the one that is commented out."""
        if self._commented is None:
            return self.content  # __init__ has seen to it that there is one
        step = self._xml.step(self._xml.root)
        lines = [
            tagged("parameter", str(value), name=self._tag(name))
            for name, value in changes.items()
            if name not in ("state", "agent", "members")
        ]
        if "members" in changes:
            lines += ["<members>", *(f"{step}{one}" for one in _lines(changes["members"], step)), "</members>"]
        opened = f'<clustering class="{changes["agent"]}" enable="true">'
        self._xml.add_after(self._commented, [opened, *(f"{step}{one}" for one in lines), "</clustering>"])
        return self._xml.applied()

    def _add(self, clustering: Element, tag: str, value: str) -> None:
        """Add a parameter: beside one of its name that is commented out, else behind the last one."""
        named = re.compile(rf"\bname\s*=\s*[\"']{re.escape(tag)}[\"']")
        beside: list[Comment | Element] = [one for one in clustering.comments if named.search(one.text)]
        anchors = beside or list(clustering.all("parameter"))
        line = tagged("parameter", value, name=tag)
        if anchors:
            self._xml.add_after(anchors[-1], [line])
        else:
            self._xml.add_inside(clustering, [line])

    def _set_members(self, clustering: Element, wanted: list[str]) -> None:
        """Let members that are to stay stand, in their order, with what is written around them."""
        members = clustering.only("members")
        step = self._xml.step(clustering)
        if members is None:
            lines = ["<members>", *(f"{step}{one}" for one in _lines(wanted, step)), "</members>"]
            commented = [one for one in clustering.comments if "<members>" in one.text]
            if commented:
                self._xml.add_after(commented[-1], lines)
            else:
                self._xml.add_inside(clustering, lines)
            return
        kept = set()
        for one in members.all("member"):
            text = spelled(*_member(one))
            if text in wanted and text not in kept:
                kept.add(text)
            else:
                self._xml.remove(one)
        missing = _lines([one for one in wanted if one not in kept], step)
        if missing:
            self._xml.add_inside(members, missing)

    def _parameters(self) -> dict[str, Element]:
        found: dict[str, Element] = {}
        for one in self._clustering.all("parameter") if self._clustering else []:
            tag = one.attributes.get("name", "")
            if tag in found:
                lines = f"{self._xml.line(found[tag].start)} and {self._xml.line(one.start)}"
                raise ClusterkitError(f"parameter {tag} stands in lines {lines}: leave one of them")
            found[tag] = one
        return found

    def _tag(self, name: str) -> str:
        return name.partition(".")[2] if name.startswith("parameters.") else self._names()[name]

    def _names(self) -> dict[str, str]:
        try:
            return {**_NAMES, **aws_names(self.around.kernel)}
        except ClusterkitError:
            return _NAMES  # `judge` refuses what needs the others


def _member(element: Element) -> tuple[str, int | str]:
    host, port = element.only("hostName"), element.only("port")
    return (host.text if host else "", number(port.text) if port else "")


def _lines(members: list[str], step: str) -> list[str]:
    lines = []
    for one in members:
        host, port = host_and_port(one, None)
        lines += [
            "<member>",
            f"{step}{tagged('hostName', host)}",
            f"{step}{tagged('port', str(port))}",
            "</member>",
        ]
    return lines
