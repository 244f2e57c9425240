# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The membership in deployment.toml: keys however they are spelled, and every other byte as it was."""

from __future__ import annotations

from typing import Any

import pytest
import tomllib
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._formats.deployment_toml import DeploymentToml
from ansible_collections.clusterkit.middleware.plugins.module_utils._formats.format import Outcome, Surroundings
from ansible_collections.clusterkit.middleware.plugins.module_utils._formats.toml_text import Other, TomlText
from ansible_collections.clusterkit.middleware.plugins.module_utils._hazelcast.membership import Membership

CANARY = "can#ry<&>'\" \\ü %"
FILE = """\
# ours
[server]
hostname = "localhost"   # theirs
node_ip = '127.0.0.1'

[clustering]
  # membership_scheme = "aws"
  membership_scheme = "multicast" # for now
  #domain = "old"
  local_member_port = "4000"
  members = [ # both
    "10.0.0.9:4000",
    "10.0.0.1:4000",
  ]

[clustering.properties]
own = "kept"

[[apim.gateway.environment]]
name = "Production"
service_url = "https://localhost:9443"
[[apim.gateway.environment]]
name = "Sandbox"
"""
WKA: dict[str, Any] = {
    "scheme": "wka",
    "domain": "site",
    "local_host": "10.0.0.1",
    "local_port": 4100,
    "members": ["10.0.0.1:4000", "10.0.0.2:4000"],
}


def declare(text: str, kernel: str = "4.6.0", **options: Any) -> Outcome:
    """Return what is made of a file by what is declared."""
    declared = Membership.read({"state": "present", **options})
    return DeploymentToml(text.encode(), Surroundings(kernel)).declare(declared)


def changed(text: str, kernel: str = "4.6.0", **options: Any) -> str:
    """Return the file's new text."""
    return declare(text, kernel, **options).content.decode()


def test_only_the_values_change() -> None:
    wanted = (
        FILE.replace('"multicast"', '"wka"')
        .replace('#domain = "old"', '#domain = "old"\n  domain = "site"')
        .replace('"4000"\n', '"4100"\n')
        .replace(
            '[ # both\n    "10.0.0.9:4000",\n    "10.0.0.1:4000",\n  ]', '["10.0.0.1:4000", "10.0.0.2:4000"]\n  LOCAL'
        )
        .replace("LOCAL", 'local_member_host = "10.0.0.1"')
    )
    for end in ("\n", "\r\n"):
        assert changed(FILE.replace("\n", end), **WKA) == wanted.replace("\n", end)
    assert changed("\ufeff" + FILE, **WKA) == "\ufeff" + wanted
    assert changed(wanted, **WKA) == wanted


def test_a_file_without_the_table_gets_one() -> None:
    new = changed("[server]\na = 1", password=CANARY, parameters={"AvoidInitiation": "false"}, **WKA)
    assert new.startswith("[server]\na = 1\n\n[clustering]\n")
    assert new.count("[clustering") == 2
    found = tomllib.loads(new)
    assert found["server"] == {"a": 1}
    assert found["clustering"]["properties"] == {"groupPassword": CANARY, "AvoidInitiation": "false"}
    assert found["clustering"]["members"] == WKA["members"]
    assert changed("", scheme="wka") == '[clustering]\nmembership_scheme = "wka"\n'


def test_keys_with_dots_stay_so() -> None:
    old = "clustering.domain = 'x' # the domain\nother.a = 1\n\n[server]\na = 1\n"
    new = changed(old, scheme="wka", domain="y")
    assert new == old.replace("'x'", "'y'").replace(
        "# the domain\n", '# the domain\nclustering.membership_scheme = "wka"\n'
    )


def test_absent_takes_the_scheme_away() -> None:
    new = changed(FILE, state="absent")
    assert new == FILE.replace('  membership_scheme = "multicast" # for now\n', "")
    assert changed(new, state="absent") == new


@pytest.mark.parametrize(("kernel", "key"), [("4.6.0", "accessKey"), ("4.9.0", "access-key")])
def test_names_for_amazon_are_those_of_the_kernel(kernel: str, key: str) -> None:
    aws = {"access_key": "A", "secret_key": CANARY, "security_group": "g", "tag_key": "k", "tag_value": "v"}
    outcome = declare(FILE, kernel, scheme="aws", local_port=5701, aws=aws)
    assert tomllib.loads(outcome.content.decode())["clustering"]["properties"][key] == "A"
    assert CANARY not in str(outcome.differences.diff())


@pytest.mark.parametrize(
    ("text", "options", "complaint"),
    [
        (FILE + "[clustering]\n", WKA, r"\[clustering\] stands in lines 6 and 24"),
        (FILE.replace("#domain", "local_member_port"), WKA, "clustering.local_member_port stands in lines 9 and 10"),
        ("clustering = {domain = 'x'}\n", WKA, r"clustering is an inline table \(line 1\)"),
        ("[[clustering]]\ndomain = 'x'\n", WKA, r"\[\[clustering\]\] stands in line 1"),
        ("[clustering\n", WKA, "line 1 is no TOML"),
        ("a = 1 b = 2\n", WKA, "line 1 is no TOML"),
        ("a =\n", WKA, "line 1 is no TOML"),
        (FILE, {"interfaces": ["10.0.0.*"]}, "interfaces cannot be expressed in deployment_toml: give local_host"),
        (
            FILE,
            {"scheme": "wka", "parameters": {"groupPassword": "x"}},
            "parameters has groupPassword: give it as pass",
        ),
        ("", {"domain": "x"}, "scheme is missing"),
    ],
)
def test_refused(text: str, options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ClusterkitError, match=complaint):
        declare(text, **options)


KEYS = st.sampled_from(["a", "b-c", '"q.r"', "'x y'", "m . n", "clustering.properties.z", "long"])
VALUES = st.sampled_from(
    [
        *("1", "-17", "1_000", "0x1F", "1.5e3", "true", "false", "inf", "1979-05-27 07:32:00Z", "07:32:00"),
        *('"a # b"', "'c = \\d'", '"\\u00e9\\t\\"\\\\"', '"""\nlong\\\n   er "" [x]\n"""', "'''\n[y]\n'''"),
        *("[]", "[1, 2]", "[ # c\n 'a',\n [ 'b' ], # d\n]", "{}", "{a = 1, 'b.c' = [2], d.e = '}'}"),
    ]
)
LINES = st.one_of(
    st.tuples(KEYS, VALUES).map(lambda pair: f"{pair[0]} = {pair[1]}"),
    st.sampled_from(["", "# comment", "  # domain = 'x'", "\t", "[t.u]", "[ 'v' . w ] # c", "[[arr]]", "[clustering]"]),
    st.sampled_from(['membership_scheme = "aws"', "domain='d'", "[clustering.properties]", "clustering.domain = 'e'"]),
)


@given(st.lists(LINES, max_size=9), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_any_file_keeps_what_is_not_declared(lines: list[str], end: str, ended: bool) -> None:
    """Judged by Python's own reader: what it reads is what was there, with what was declared."""
    text = ("\n".join(lines) + ("\n" if ended else "")).replace("\n", end)
    try:
        before = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    try:
        new = changed(text, **WKA)
    except ClusterkitError as error:
        assert any(word in str(error) for word in ("there may be several", "inline table", "as it is meant")), error
        return
    after = tomllib.loads(new)
    ours = before.setdefault("clustering", {})
    ours.update(membership_scheme="wka", domain="site", local_member_host="10.0.0.1", local_member_port=4100)
    ours["members"] = WKA["members"]
    assert repr(after) == repr(before) or sorted_repr(after) == sorted_repr(before)
    kept = [line for line in text.splitlines() if "membership_scheme" not in line and "domain" not in line]
    rest = iter(new.splitlines())
    assert all(any(line == other for other in rest) for line in kept if line.strip())
    assert changed(new, **WKA) == new


def sorted_repr(value: Any) -> str:
    """Return a text in which the order of keys does not matter."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{key!r}:{sorted_repr(one)}" for key, one in sorted(value.items())) + "}"
    return "[" + ",".join(map(sorted_repr, value)) + "]" if isinstance(value, list) else repr(value)


@given(VALUES)
def test_values_are_read_as_python_reads_them(value: str) -> None:
    found = TomlText(f"x = {value}\n".encode()).entries[0].value
    right = tomllib.loads(f"x = {value}\n")["x"]
    if not isinstance(found, (Other, dict)):
        assert sorted_repr(found) == sorted_repr(right)
