# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The membership in hazelcast.xml: one scheme, the others switched off, and every other byte as it was."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._formats.format import Outcome
from ansible_collections.clusterkit.middleware.plugins.module_utils._formats.hazelcast_xml import HazelcastXml
from ansible_collections.clusterkit.middleware.plugins.module_utils._hazelcast.membership import Membership

CANARY = "can#ry<&>'\" \\ü %"
FILE = """\
<?xml version="1.0" encoding="UTF-8"?>
<!-- ours -->
<hazelcast xmlns="http://www.hazelcast.com/schema/config">
    <cluster-name>dev</cluster-name>
    <network>
        <port auto-increment="true" port-count="100">5701</port>
        <join>
            <multicast enabled="true">
                <multicast-group>224.2.2.3</multicast-group>
            </multicast>
            <!-- the first one is old -->
            <tcp-ip enabled='false'>
                <member-list>
                    <member>10.0.0.9</member>
                    <member>10.0.0.1:5701</member>
                </member-list>
            </tcp-ip>
        </join>
        <interfaces enabled="false">
            <interface>10.0.*.*</interface>
        </interfaces>
    </network>
    <map name="default"><backup-count>1</backup-count></map>
</hazelcast>
"""
WKA: dict[str, Any] = {
    "scheme": "wka",
    "domain": "site",
    "local_port": 5702,
    "port_auto_increment": False,
    "members": ["10.0.0.1:5701", "10.0.0.2:5701"],
}


def declare(text: str, **options: Any) -> Outcome:
    """Return what is made of a file by what is declared."""
    declared = Membership.read({"state": "present", **options})
    return HazelcastXml(text.encode()).declare(declared)


def changed(text: str, **options: Any) -> str:
    """Return the file's new text."""
    return declare(text, **options).content.decode()


def found(text: str) -> dict[str, tuple[dict[str, str], list[str]]]:
    """Return attributes and texts by the path of elements, as another reader reads them."""
    out: dict[str, tuple[dict[str, str], list[str]]] = {}

    def walk(one: ET.Element, path: str) -> None:
        name = f"{path}/{one.tag.rpartition('}')[2]}"
        attributes, texts = out.setdefault(name, ({}, []))
        attributes.update(one.attrib)
        texts.append((one.text or "").strip())
        for child in one:
            walk(child, name)

    walk(ET.fromstring(text.lstrip("\ufeff").encode()), "")  # noqa: S314  # a file of this test
    return out


def test_only_the_values_change() -> None:
    wanted = (
        FILE.replace(">dev<", ">site<")
        .replace('multicast enabled="true"', 'multicast enabled="false"')
        .replace("enabled='false'", "enabled='true'")
        .replace("                    <member>10.0.0.9</member>\n", "")
        .replace(
            "<member>10.0.0.1:5701</member>\n",
            "<member>10.0.0.1:5701</member>\n                    <member>10.0.0.2:5701</member>\n",
        )
        .replace('auto-increment="true"', 'auto-increment="false"')
        .replace(">5701</port>", ">5702</port>")
    )
    for end in ("\n", "\r\n"):
        assert changed(FILE.replace("\n", end), **WKA) == wanted.replace("\n", end)
    assert changed(wanted, **WKA) == wanted


def test_a_file_that_says_nothing_of_it() -> None:
    new = changed("<hazelcast>\n</hazelcast>\n", **WKA)
    assert (
        new
        == """<hazelcast>
    <network>
        <join>
            <tcp-ip enabled="true">
                <member-list>
                    <member>10.0.0.1:5701</member>
                    <member>10.0.0.2:5701</member>
                </member-list>
            </tcp-ip>
            <multicast enabled="false"></multicast>
        </join>
        <port auto-increment="false">5702</port>
    </network>
    <cluster-name>site</cluster-name>
</hazelcast>
"""
    )


def test_interfaces_and_amazon() -> None:
    aws = {"access_key": "A", "secret_key": CANARY, "security_group": "g", "tag_key": "k", "tag_value": "v"}
    outcome = declare(FILE, scheme="aws", local_port=5701, interfaces=["10.0.3.*"], aws=aws)
    new = found(outcome.content.decode())
    assert new["/hazelcast/network/interfaces"][0] == {"enabled": "true"}
    assert new["/hazelcast/network/interfaces/interface"][1] == ["10.0.3.*"]
    assert new["/hazelcast/network/join/aws"][0] == {"enabled": "true"}
    assert new["/hazelcast/network/join/aws/secret-key"][1] == [CANARY]
    assert new["/hazelcast/network/join/multicast"][0] == {"enabled": "false"}
    assert CANARY not in str(outcome.differences.diff())


def test_absent_lets_a_member_find_nobody() -> None:
    new = changed(FILE, state="absent")
    assert {found(new)[f"/hazelcast/network/join/{one}"][0]["enabled"] for one in ("multicast", "auto-detection")} == {
        "false"
    }
    assert changed(new, state="absent") == new


@pytest.mark.parametrize(
    ("text", "options", "complaint"),
    [
        (FILE, {"password": "x", "scheme": "wka"}, "Hazelcast from 4 on has no password"),
        ("<other/>", WKA, "its outermost element is <other>: expected <hazelcast>"),
        ("<hazelcast/>", {"domain": "x"}, "scheme is missing"),
        (FILE.replace("<member-list>", "<member>a</member><member-list>"), WKA, "write it into <member-list>"),
        (FILE.replace("<join>", "<join/><join>"), WKA, "<join> stands 2 times"),
        ('<!DOCTYPE hazelcast [<!ENTITY x SYSTEM "file:///etc/passwd">]><hazelcast>&x;</hazelcast>', WKA, "entit"),
    ],
)
def test_refused(text: str, options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ClusterkitError, match=complaint):
        declare(text, **options)


JOINS = st.lists(
    st.sampled_from(
        [
            *("<multicast enabled='true'/>", "<kubernetes enabled='true'></kubernetes>", "<!-- join -->"),
            '<tcp-ip enabled="false"><member-list><member>a:1</member></member-list></tcp-ip>',
            "<aws enabled='true'>\n<region>x</region></aws>",
            "\n   ",
        ]
    ),
    unique=True,
    max_size=4,
)
PARTS = st.lists(
    st.sampled_from(
        ["<cluster-name> a </cluster-name>", "<port>1</port>", "<map name='x'/>", "<!-- c -->", "\n\t", "<?p i?>"]
    ),
    unique=True,
    max_size=4,
)


@given(PARTS, JOINS, st.sampled_from(["\n", "\r\n"]), st.sampled_from(["", "\ufeff", "<!-- head -->\n"]))
def test_any_file_keeps_what_is_not_declared(parts: list[str], joins: list[str], end: str, head: str) -> None:
    network = "".join(part for part in parts if "port" in part) + f"<join>{''.join(joins)}</join>"
    rest = "".join(part for part in parts if "port" not in part)
    text = f"{head}<hazelcast>{rest}<network>{network}</network>\n</hazelcast>\n".replace("\n", end)
    new = changed(text, **WKA)
    after = found(new)
    join = "/hazelcast/network/join"
    on = {path for path, (attributes, _texts) in after.items() if attributes.get("enabled") == "true"}
    assert on == {f"{join}/tcp-ip"}
    assert after[f"{join}/tcp-ip/member-list/member"][1] == WKA["members"]
    assert after["/hazelcast/cluster-name"][1] == ["site"]
    assert after["/hazelcast/network/port"] == ({"auto-increment": "false"}, ["5702"])
    before = found(text)
    for path in before:
        if not path.startswith((join, "/hazelcast/cluster-name", "/hazelcast/network/port")):
            assert after[path] == before[path]
    assert re.findall(r"<!--.*?-->|<\?p i\?>", new, re.S) == re.findall(r"<!--.*?-->|<\?p i\?>", text, re.S)
    assert changed(new, **WKA) == new
