# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The membership in config.yml: keys wherever they stand, and every other byte as it was."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._formats.format import Outcome, Surroundings
from ansible_collections.clusterkit.middleware.plugins.module_utils._formats.sync_service import SyncService
from ansible_collections.clusterkit.middleware.plugins.module_utils._hazelcast.membership import Membership

CANARY = "can#ry: ü'\"%{}[] \\*&!"
EVERYTHING: dict[str, Any] = {
    "interfaces": ["10.3.*.*"],
    "local_port": 5701,
    "password": CANARY,
    "port_auto_increment": False,
    "bind_any": False,
    "timings": {"check_timeout_ms": 4000, "max_no_heartbeat_seconds": 15},
    "management_center": {"enabled": True, "url": "http://h:1/mancenter"},
}
#: What those are in the file.
SYNC: dict[str, Any] = {
    "sync.cluster.enabled": True,
    "sync.cluster.interface": "10.3.*.*",
    "sync.clusterCheck.timeout": 4000,
    "sync.hazelcast.password": CANARY,
    "sync.hazelcast.port": 5701,
    "sync.hazelcast.autoinc.port": False,
    "sync.hazelcast.max.no.heartbeat.seconds": 15,
    "sync.hazelcast.bind.any": False,
    "sync.hazelcast.mancenter.enabled": True,
    "sync.hazelcast.mancenter.url": "http://h:1/mancenter",
}


def declare(text: str, dotted: bool = False, state: str = "present", **options: Any) -> Outcome:
    around = Surroundings(dotted=dotted)
    return SyncService(text.encode(), around).declare(Membership.read({"state": state, **options}))


def changed(text: str, **options: Any) -> str:
    """Return the new text; declaring the same again changes nothing."""
    new = declare(text, **options).content.decode()
    again = declare(new, **options)
    assert (again.content.decode(), again.differences.changed) == (new, False)
    return new


def flat(data: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(data, dict):
        return {prefix: data}
    found = {}
    for key, value in data.items():
        found.update(flat(value, f"{prefix}.{key}" if prefix else str(key)))
    return found


def test_only_the_values_change() -> None:
    text = (
        "# comment\r\n"
        "server:\r\n    port: 9090 # ours\r\n"
        "sync:\r\n"
        "    # hazelcast.port: 1\r\n"
        "    cluster:\r\n"
        "        enabled: false   # off\r\n"
        "        interface: '10.1.*.*'\r\n"
        "    hazelcast.port:\t5701\r\n"
        'sync.hazelcast.password: "x" # dotted\r\n'
        "...\r\n"
    )
    new = changed(text, interfaces=["10.3.*.*"], local_port=5702, password="a'b\"c")
    assert new == (
        text.replace("enabled: false", "enabled: true")
        .replace("'10.1.*.*'", "'10.3.*.*'")
        .replace("port:\t5701", "port:\t5702")
        .replace('"x"', '"a\'b\\"c"')
    )


@pytest.mark.parametrize(
    ("text", "new"),
    [
        ("", "sync:\n  cluster:\n    enabled: true\n  hazelcast:\n    port: 1\n"),
        ("a: 1", "a: 1\nsync:\n  cluster:\n    enabled: true\n  hazelcast:\n    port: 1\n"),
        ("sync:\n\n# end\n", "sync:\n  cluster:\n    enabled: true\n  hazelcast:\n    port: 1\n\n# end\n"),
        ("sync: {a: 1 }\nb: 2\n", "sync: {a: 1, cluster: {enabled: true}, hazelcast: {port: 1} }\nb: 2\n"),
        ("sync: {}\n", "sync: {cluster: {enabled: true}, hazelcast: {port: 1}}\n"),
        (
            "sync:\n   hazelcast:\n      bind.any: false # x\n\n\n# about b\nb: 2\n",
            "sync:\n   hazelcast:\n      bind.any: false # x\n      port: 1\n   cluster:\n      enabled: true\n"
            "\n\n# about b\nb: 2\n",
        ),
        ("sync.hazelcast:\n  port: 2\n", "sync.hazelcast:\n  port: 1\nsync:\n  cluster:\n    enabled: true\n"),
    ],
)
def test_new_keys_come_behind_the_last_one(text: str, new: str) -> None:
    assert changed(text, local_port=1) == new


def test_new_keys_dotted() -> None:
    assert changed("a: 1\n", dotted=True, local_port=1) == "a: 1\nsync.cluster.enabled: true\nsync.hazelcast.port: 1\n"


@pytest.mark.parametrize("dotted", [False, True])
@pytest.mark.parametrize("text", ["", "sync:\n  hazelcast:\n    x: é\n", "\ufeffa: [1, 2]\n", "sync.cluster:\n"])
def test_all_ten_properties(text: str, dotted: bool) -> None:
    outcome = declare(text, dotted, **EVERYTHING)
    read = flat(yaml.safe_load(outcome.content.decode().lstrip("\ufeff")))
    assert {key: read[key] for key in SYNC} == SYNC
    assert CANARY not in str(outcome.differences.diff())
    assert declare(outcome.content.decode(), dotted, **EVERYTHING).differences.changed is False


def test_absent_disables_and_leaves_the_rest() -> None:
    text = "sync:\n  cluster:\n    enabled: true\n    interface: 10.3.*.*\n"
    assert changed(text, state="absent") == text.replace("true", "false")
    assert declare("a: 1\n", state="absent").differences.changed is False


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ("", {"interfaces": ["10.256.*.*"]}, "256 is no octet"),
        ("", {"interfaces": ["10.3.9-4.*"]}, "runs backwards"),
        ("", {"interfaces": ["10.3.*.*"], "bind_any": True}, "bind_any is true"),
        ("sync.hazelcast.bind.any: true\n", {"interfaces": ["10.3.*.*"]}, "bind_any is true"),
        ("sync.hazelcast.mancenter.enabled: true", {}, "management_center.url is missing"),
        ("", {"management_center": {"enabled": True}}, "management_center.url is missing"),
        ("", {"members": ["a:1", "b:1"]}, "members cannot be expressed in sync_service"),
        ("", {"timings": {"check_timeout_ms": 4}}, "taken for dead at once"),
        ("sync.hazelcast.port: 1\nsync: {hazelcast: {port: 2}}\n", {"local_port": 3}, "stands in lines 1, 2"),
        ("sync: {hazelcast: {port: &p 1}}\n", {"local_port": 3}, "has an anchor"),
        ("- a\n", {}, "but a sequence"),
        ("a: 1\n---\nb: 2\n", {}, "2 documents"),
        ("a: [\n", {}, "is no YAML"),
        ("", {"password": "a\nb"}, "password is of several lines"),
    ],
)
def test_refused(text: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ClusterkitError, match=said) as error:
        declare(text, **options)
    assert "a\nb" not in str(error.value)


def test_warnings() -> None:
    said = declare("alfresco.hazelcast.port: 5701\n", port_auto_increment=True).warnings
    assert [one.partition(" ")[0] for one in said] == ["port_auto_increment", "alfresco.hazelcast.port"]


KEYS = ["sync", "cluster", "hazelcast", "sync.cluster", "hazelcast.port", "port", "enabled", "a", "é", "password"]
SCALARS = st.sampled_from(["1", "true", "'x'", '"y"', "10.3.*.*", "", "two words", "é # c", "|\n      x\n"])


@st.composite
def mappings(draw: st.DrawFn, indent: int = 0, depth: int = 0) -> str:
    lines = []
    for key in draw(st.lists(st.sampled_from(KEYS), unique=True, max_size=4)):
        if draw(st.booleans()):
            lines.append(draw(st.sampled_from(["", " " * indent + "# cluster: x", "   "])))
        kind = draw(st.sampled_from(["scalar", "mapping", "flow", "list"])) if depth < 3 else "scalar"
        head = " " * indent + f"{key}:"
        if kind == "scalar":
            scalar = draw(SCALARS)
            # A text in several lines has to be indented more than its key
            lines.append(f"{head} {scalar}" if "\n" not in scalar or indent < 4 else f"{head} 1")
        elif kind == "mapping":
            inner = draw(mappings(indent=indent + draw(st.sampled_from([1, 2, 4])), depth=depth + 1))
            lines += [head, *([inner] if inner else [])]
        else:
            lines.append(f"{head} {draw(st.sampled_from(['{}', '{port: 1}', '{a: {b: 2}}', '[1, 2]']))}")
    return "\n".join(lines)


@given(mappings(), st.sampled_from(["\n", "\r\n"]), st.booleans(), st.booleans(), st.booleans())
def test_any_file_keeps_what_is_not_declared(text: str, end: str, last: bool, bom: bool, dotted: bool) -> None:
    text = ("\ufeff" if bom else "") + text.replace("\n", end) + (end if last else "")
    try:
        outcome = declare(text, dotted, **EVERYTHING)
    except ClusterkitError as error:
        if "cannot change" in str(error):
            raise
        return
    new = outcome.content.decode()
    before, after = (flat(yaml.safe_load(one.lstrip("\ufeff")) or {}) for one in (text, new))
    assert {key: after[key] for key in SYNC} == SYNC
    assert {k: v for k, v in after.items() if k not in SYNC and v not in (None, {})} == {
        k: v for k, v in before.items() if k not in SYNC and v not in (None, {})
    }
    assert declare(new, dotted, **EVERYTHING).differences.changed is False
    # Taking away what was added or changed leaves pieces of the old text alone, in their order
    rest = iter(new)
    kept = [one for one in text.split(end) if one.strip() and ":" not in one]
    assert all(one in new for one in kept)
    assert rest is not None
