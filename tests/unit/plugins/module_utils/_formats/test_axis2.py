# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The membership in axis2.xml: the names of each kernel, and every other byte as it was."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._formats.axis2 import Axis2
from ansible_collections.clusterkit.middleware.plugins.module_utils._formats.format import Outcome, Surroundings
from ansible_collections.clusterkit.middleware.plugins.module_utils._hazelcast.membership import Membership

CANARY = "can#ry<&>'\" \\ü %"
AGENT = "org.wso2.carbon.core.clustering.hazelcast.HazelcastClusteringAgent"
FILE = """\
<?xml version="1.0" encoding="UTF-8"?>
<!-- ours -->
<axisconfig name="AxisJava2.0">
    <parameter name='hotdeployment'  >true</parameter>
    <!-- <clustering class="x" enable="true"/> -->
    <clustering class="AGENT"
                enable="false">
        // a line from the manual
        <parameter name="AvoidInitiation">true</parameter>
        <parameter name="membershipScheme">multicast</parameter><!-- or wka -->
        <!--parameter name="domain">wso2.old</parameter-->
        <parameter name='localMemberPort'> 4000 </parameter>
        <members>
            <member>
                <hostName>10.0.0.9</hostName><!-- old -->
                <port>4000</port>
            </member>
            <!-- the first one stays -->
            <member><hostName>10.0.0.1</hostName><port>4000</port></member>
        </members>
        <groupManagement enable="false"><parameter name="domain">inner</parameter></groupManagement>
    </clustering>
</axisconfig>
""".replace("AGENT", AGENT)
WKA: dict[str, Any] = {
    "scheme": "wka",
    "domain": "site",
    "local_host": "10.0.0.1",
    "local_port": 4100,
    "members": ["10.0.0.1:4000", "10.0.0.2:4000"],
}
AWS: dict[str, Any] = {
    "scheme": "aws",
    "local_port": 5701,
    "aws": {
        "access_key": "AKIA",
        "secret_key": CANARY,
        "region": "us-east-1",
        "security_group": "g",
        "tag_key": "k",
        "tag_value": "v",
    },
}


def declare(text: str, kernel: str = "4.4.35", state: str = "present", **options: Any) -> Outcome:
    return Axis2(text.encode(), Surroundings(kernel)).declare(Membership.read({"state": state, **options}))


def changed(text: str, **options: Any) -> str:
    """Return the new text; declaring the same again changes nothing."""
    new = declare(text, **options).content.decode()
    again = declare(new, **options)
    assert (again.content.decode(), again.differences.changed) == (new, False)
    return new


def parameters(text: str) -> dict[str, str]:
    """Return what another parser finds: the texts of the parameters of the live element."""
    root = ET.fromstring(text.lstrip("\ufeff").encode())  # noqa: S314  # a file of this test
    return {one.get("name", ""): (one.text or "").strip() for one in root.findall("clustering/parameter")}


def test_only_the_values_change() -> None:
    old = FILE.replace("\n", "\r\n")
    new = changed(old, **WKA)
    wanted = (
        FILE.replace('enable="false">\n        //', 'enable="true">\n        //')
        .replace(">multicast<", ">wka<")
        .replace("> 4000 <", "> 4100 <")
        .replace("old</parameter-->", 'old</parameter-->\n        <parameter name="domain">site</parameter>')
        .replace(
            """            <member>
                <hostName>10.0.0.9</hostName><!-- old -->
                <port>4000</port>
            </member>
""",
            "",
        )
        .replace(
            "<port>4000</port></member>\n",
            """<port>4000</port></member>
            <member>
                <hostName>10.0.0.2</hostName>
                <port>4000</port>
            </member>
""",
        )
        .replace(
            "> 4100 </parameter>", '> 4100 </parameter>\n        <parameter name="localMemberHost">10.0.0.1</parameter>'
        )
    )
    assert new == wanted.replace("\n", "\r\n")


def test_the_list_of_members_is_replaced_whole() -> None:
    """As a product brings it: one example, which goes."""
    old = """<axisconfig>
    <clustering class="x" enable="true">
        <members>
            <member>
                <hostName>127.0.0.1</hostName>
                <port>4000</port>
            </member>
        </members>
    </clustering>
</axisconfig>
"""
    new = changed(old, kernel="4.9.21", members=["b:2"])
    assert new == old.replace('"x"', f'"{AGENT.replace(".core.clustering", "")}"').replace("127.0.0.1", "b").replace(
        "4000", "2"
    )


def test_absent_disables_and_leaves_the_rest() -> None:
    live = FILE.replace('enable="false">\n        //', "enable = 'true'>\n        //")
    assert changed(live, state="absent") == live.replace("enable = 'true'", "enable = 'false'")
    assert changed(FILE, state="absent") == FILE
    commented = "<axisconfig>\n  <!-- <clustering enable='true'/> -->\n</axisconfig>"
    assert changed(commented, state="absent") == commented


def test_a_live_element_beside_one_that_is_commented_out() -> None:
    text = "<axisconfig>\n\t<!-- <clustering enable='true'/> -->\n\t<x/>\n</axisconfig>"
    new = changed(text, kernel="4.9.21", scheme="wka", members=["a:1"])
    assert new == text.replace(
        "-->",
        """-->
\t<clustering class="org.wso2.carbon.hazelcast.HazelcastClusteringAgent" enable="true">
\t\t<parameter name="membershipScheme">wka</parameter>
\t\t<members>
\t\t\t<member>
\t\t\t\t<hostName>a</hostName>
\t\t\t\t<port>1</port>
\t\t\t</member>
\t\t</members>
\t</clustering>""",
    )


@pytest.mark.parametrize("element", ["<clustering/>", "<clustering ></clustering>", "<clustering>\n </clustering>"])
def test_an_empty_element(element: str) -> None:
    new = changed(f"<axisconfig>{element}</axisconfig>", **WKA, parameters={"own": CANARY})
    assert parameters(new) == {
        "membershipScheme": "wka",
        "domain": "site",
        "localMemberHost": "10.0.0.1",
        "localMemberPort": "4100",
        "own": CANARY,
    }


@pytest.mark.parametrize(
    ("kernel", "names"),
    [
        ("4.4.16", "accessKey secretKey region securityGroup tagKey tagValue"),
        ("4.6.0", "accessKey secretKey region securityGroup tagKey tagValue"),
        ("4.7.0", "access-key secret-key region security-group-name tag-key tag-value"),
        ("4.9.27", "access-key secret-key region security-group-name tag-key tag-value"),
        ("4.12.37", "accessKey secretKey region securityGroup tagKey tagValue"),
    ],
)
def test_names_are_those_of_the_kernel(kernel: str, names: str) -> None:
    found = parameters(changed(FILE, kernel=kernel, **AWS))
    assert {name: found.get(name) for name in names.split()} == dict(
        zip(names.split(), ["AKIA", CANARY, *"us-east-1 g k v".split()])
    )
    assert CANARY not in str(declare(FILE, kernel=kernel, **AWS).differences.diff())


def test_password_is_warned_of_where_it_protects_nothing() -> None:
    assert declare(FILE, password="x").warnings == []
    assert "protects nothing" in declare(FILE, "4.6.0", password="x").warnings[0]


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ("<axisconfig/>", {}, "coordinates through a database"),
        ("<server/>", {}, "expected <axisconfig>"),
        ("<axisconfig><clustering/>\n<clustering/></axisconfig>", {}, r"2 times \(lines 1, 2\)"),
        (FILE.replace("AvoidInitiation", "membershipScheme"), {"scheme": "wka"}, "stands in lines"),
        (FILE, {"kernel": "4.11.0", **AWS}, "4.11.0: which names it reads"),
        (FILE, {"kernel": "4.13.0"}, "4.13.0: known are"),
        (FILE, {"kernel": ""}, "not given: known are"),
        (FILE, {"kernel": "4.9.0", **AWS, "local_port": 5750}, "scans 5701 to 5708"),
        (FILE, {**AWS, "local_port": 4000}, "from 5701 to 5800"),
        (FILE, {**AWS, "aws": {**AWS["aws"], "region": "us-east-1a"}}, "the region is us-east-1$"),
        (FILE, {**AWS, "aws": {**AWS["aws"], "tag_key": None}}, "aws.tag_value is given alone"),
        (FILE, {**AWS, "aws": {**AWS["aws"], "security_group": None}}, "security_group is missing"),
        (FILE, {**WKA, "local_host": "127.0.0.1"}, "which is loopback"),
        (FILE, {**WKA, "local_host": "localhost"}, "which is loopback"),
        (FILE, {"scheme": "foo"}, "scheme is foo"),
        (FILE, {"scheme": "wka", "members": []}, "members is empty"),
        (FILE, {"members": ["10.0.0.1"]}, "is no member"),
        (FILE, {"interfaces": ["10.0.0.*"]}, "interfaces cannot be expressed in axis2: give local_host"),
        (FILE, {"timings": {"merge_first_run_seconds": 1}}, "belongs into hazelcast.properties"),
        (FILE, {"parameters": {"domain": "x"}}, "give it as domain"),
        (FILE.replace("> 4000 <", "> <!-- x --> <"), {"local_port": 1}, "more than a text"),
        (FILE[:-20], {}, "no well-formed XML"),
        ("<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><axisconfig>&x;</axisconfig>", {}, "the entity x"),
        ('<?xml version="1.0" encoding="UTF-7"?><axisconfig/>', {}, "encoding UTF-7"),
    ],
)
def test_refused(text: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ClusterkitError, match=said):
        declare(text, **options)


def test_a_file_of_another_encoding() -> None:
    text = FILE.replace("UTF-8", "ISO-8859-1").replace("ours", "Grüße")
    new = Axis2(text.encode("latin-1"), Surroundings("4.4.35")).declare(
        Membership.read({"state": "present", "domain": "Größe €"})
    )
    assert b"Gr\xf6\xdfe &#8364;</parameter>" in new.content
    assert b"Gr\xfc\xdfe" in new.content


PARTS = st.sampled_from(
    [
        '<parameter name="domain">x</parameter>',
        "<parameter name='localMemberPort' >\t4000\n</parameter>",
        '<parameter name="localMemberHost"/>',
        '<parameter name="membershipScheme"></parameter>',
        '<parameter name="own" locked="false"><![CDATA[<x>]]></parameter>',
        '<parameter name="properties"><property name="a" value="b"/></parameter>',
        '<!-- <parameter name="domain">x</parameter> -->',
        "<!-- <members> -->",
        "// pasted",
        "\t",
        "\n\n",
        "  \n      ",
        "&#8364; &amp; é",
        "<?pi x?>",
        "<members\n><member><hostName>10.0.0.2</hostName>\n<port>4000</port></member>\n</members>",
        "<members/>",
        "<members>\n  <member><hostName>127.0.0.1</hostName><port>4000</port></member>\n </members>",
        "<members><member><hostName>a</hostName><port>1</port></member>\n<member>\n<hostName>b</hostName><port>2</port>"
        "</member>\n<!-- last --></members>",
        '<groupManagement enable="true"><members/></groupManagement>',
    ]
)
HEADS = st.sampled_from(["", "\ufeff", '<?xml version="1.0" encoding="utf-8"?>\n', "<!DOCTYPE axisconfig>\n"])


@given(
    HEADS,
    st.sampled_from(['enable="false"', "enable='true' class=\"x\"", ""]),
    st.lists(PARTS, max_size=8),
    st.sampled_from(["\n", "\r\n"]),
)
def test_any_file_keeps_what_is_not_declared(head: str, attributes: str, parts: list[str], end: str) -> None:
    inside = "".join(parts)
    text = f"{head}<axisconfig>\n<a> b</a>\n  <clustering {attributes}>{inside}</clustering>\n</axisconfig>\n".replace(
        "\n", end
    )
    try:
        outcome = declare(text, **WKA)
    except ClusterkitError as error:
        assert "leave one of them" in str(error), error  # the same parameter twice
        return
    new = outcome.content.decode()
    found = parameters(new)
    assert {name: found[name] for name in ("membershipScheme", "domain", "localMemberHost", "localMemberPort")} == {
        "membershipScheme": "wka",
        "domain": "site",
        "localMemberHost": "10.0.0.1",
        "localMemberPort": "4100",
    }
    root = ET.fromstring(new.lstrip("\ufeff").encode())  # noqa: S314  # a file of this test
    assert sorted(one.findtext("hostName", "") for one in root.findall("clustering/members/member")) == [
        "10.0.0.1",
        "10.0.0.2",
    ]
    for part in parts:
        if not part.startswith("<members") and "name='localM" not in part and '"domain"' not in part:
            assert part.replace("\n", end) in new or "localMemberHost" in part or "membershipScheme" in part
    assert declare(new, **WKA).differences.changed is False
