# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The membership in hazelcast.yaml: one scheme, the others switched off, and every other byte as it was."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._formats.format import Outcome
from ansible_collections.clusterkit.middleware.plugins.module_utils._formats.hazelcast_yaml import HazelcastYaml
from ansible_collections.clusterkit.middleware.plugins.module_utils._hazelcast.membership import Membership

CANARY = "can#ry<&>'\" \\ü %"
FILE = """\
# ours
hazelcast:
  cluster-name: dev   # theirs
  network:
    port:
      auto-increment: true
      port: 5701
    join:
      multicast:
        enabled: true
      tcp-ip:
        enabled: false
        # the first one is old
        member-list:
          - 10.0.0.9
          - 10.0.0.1:5701
    interfaces:
      enabled: false
      interfaces:
        - 10.0.*.*
  map:
    default:
      backup-count: 1
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
    return HazelcastYaml(text.encode()).declare(declared)


def changed(text: str, **options: Any) -> str:
    """Return the file's new text."""
    return declare(text, **options).content.decode()


def test_only_the_values_change() -> None:
    wanted = (
        FILE.replace("dev ", "site ")
        .replace("multicast:\n        enabled: true", "multicast:\n        enabled: false")
        .replace("tcp-ip:\n        enabled: false", "tcp-ip:\n        enabled: true")
        .replace("- 10.0.0.9\n          - 10.0.0.1:5701", '- "10.0.0.1:5701"\n          - "10.0.0.2:5701"')
        .replace("port: 5701\n    join", "port: 5702\n    join")
        .replace("auto-increment: true", "auto-increment: false")
    )
    for end in ("\n", "\r\n"):
        assert changed(FILE.replace("\n", end), **WKA) == wanted.replace("\n", end)
    assert changed(wanted, **WKA) == wanted


def test_interfaces_are_switched_on_with_their_list() -> None:
    new = yaml.safe_load(changed(FILE, scheme="multicast", interfaces=["10.0.3.*"]))
    assert new["hazelcast"]["network"]["interfaces"] == {"enabled": True, "interfaces": ["10.0.3.*"]}
    assert new["hazelcast"]["map"] == {"default": {"backup-count": 1}}


def test_a_file_that_says_nothing_of_it() -> None:
    new = changed("hazelcast:\n  cluster-name: x\n", **WKA)
    found = yaml.safe_load(new)["hazelcast"]["network"]
    assert found["join"] == {
        "tcp-ip": {"enabled": True, "member-list": WKA["members"]},
        "multicast": {"enabled": False},
    }
    assert found["port"] == {"port": 5702, "auto-increment": False}
    assert changed(new, **WKA) == new


def test_absent_lets_a_member_find_nobody() -> None:
    new = changed(FILE, state="absent")
    join = yaml.safe_load(new)["hazelcast"]["network"]["join"]
    assert join["multicast"] == join["auto-detection"] == {"enabled": False}
    assert changed(new, state="absent") == new


def test_amazon() -> None:
    aws = {"access_key": "A", "secret_key": CANARY, "security_group": "g", "tag_key": "k", "tag_value": "v"}
    outcome = declare(FILE, scheme="aws", local_port=5701, aws=aws)
    join = yaml.safe_load(outcome.content)["hazelcast"]["network"]["join"]
    assert join["aws"] == {
        "enabled": True,
        "access-key": "A",
        "secret-key": CANARY,
        "security-group-name": "g",
        "tag-key": "k",
        "tag-value": "v",
    }
    assert not join["multicast"]["enabled"] and CANARY not in str(outcome.differences.diff())


@pytest.mark.parametrize(
    ("text", "options", "complaint"),
    [
        (FILE, {"password": "x", "scheme": "wka"}, "Hazelcast from 4 on has no password"),
        (FILE, {"local_host": "10.0.0.1"}, "give interfaces"),
        (FILE, {"scheme": "other", "scheme_class": "x"}, "scheme_class cannot be expressed"),
        ("hazelcast: {}\n", {"domain": "x"}, "scheme is missing"),
        (FILE.replace("- 10.0.0.9\n", "- 10.0.0.9 # old\n"), WKA, "member-list has comments among its items"),
        (FILE + "  cluster-name: twice\n", WKA, "cluster-name stands in lines 3"),
        ("hazelcast: [\n", WKA, "YAML"),
    ],
)
def test_refused(text: str, options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ClusterkitError, match=complaint):
        declare(text, **options)


PARTS = st.sampled_from(
    [
        *("  cluster-name: 'a'", "  properties:\n    hazelcast.x.y: 1 # kept", "  # comment", "", "  map: {a: {b: 1}}"),
        "  network:\n    public-address: 1.2.3.4:5\n",
        "  network:\n    join:\n      tcp-ip: {enabled: false, member-list: ['a:1', \"b\"]}\n      kubernetes:\n"
        "        enabled: true",
        "  network:\n    join:\n      auto-detection:\n        enabled: true\n      multicast: {enabled: true}",
        "  network:\n    interfaces:\n      interfaces: [10.0.0.1]\n    join:\n      tcp-ip:\n        member-list:\n"
        "        - a:1\n        - 'b'",
    ]
)


@given(
    st.lists(PARTS, max_size=4, unique_by=lambda part: part.strip().partition(":")[0] or part),
    st.sampled_from(["\n", "\r\n"]),
)
def test_any_file_keeps_what_is_not_declared(parts: list[str], end: str) -> None:
    text = "\n".join(["hazelcast:", *parts, "other: [1, 2]", ""]).replace("\n", end)
    before = yaml.safe_load(text)
    new = changed(text, **WKA)
    after = yaml.safe_load(new)
    network = after["hazelcast"].pop("network")
    assert network["join"].pop("tcp-ip") == {"enabled": True, "member-list": WKA["members"]}
    assert network["join"].pop("multicast") == {"enabled": False}
    assert all(one == {"enabled": False} for one in network.pop("join").values())
    assert network.pop("port") == {"port": 5702, "auto-increment": False}
    assert after["hazelcast"].pop("cluster-name") == "site"
    rest = before["hazelcast"] or {}
    kept = {name: value for name, value in rest.pop("network", {}).items() if name not in ("join", "port")}
    rest.pop("cluster-name", None)
    assert network == kept and after["hazelcast"] == rest and after["other"] == [1, 2]
    for line in text.split(end):
        if "#" in line:
            assert line in new.split(end)
    assert changed(new, **WKA) == new
