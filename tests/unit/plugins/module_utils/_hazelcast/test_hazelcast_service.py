# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of members of a service together: before a run, of their files, of the table, and afterwards."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._hazelcast.service import (
    end,
    ends,
    exported,
    password_changes,
    plan,
    problems,
    registry,
    unlike,
    verification,
)

MEMBERS = [{"host": f"h{i}", "name": f"n{i}", "address": f"10.3.10.{i}"} for i in (1, 2, 3)]
CONFIG = """# kept
sql:
  db:
    password: s3cr3t-db
sync:
  cluster:
    enabled: true
    interface: 10.3.10.*
  hazelcast.port: 5701
  hazelcast:
    bind.any: false
    password: s3cr3t
"""
DECLARED = {"interfaces": ["10.3.10.*"], "bind_any": False, "password": "s3cr3t", "local_port": 5701}
WORDS = {"port": 5701, "unit": "sync.service", "stop": "/opt/sync/stop", "role": "site"}


def coded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def info(number: int, **other: Any) -> dict[str, Any]:
    """Return what a member tells that is well."""
    return {
        "state": "active",
        "addresses": [f"10.3.10.{number}", f"192.0.2.{number}"],
        "listening": [f"10.3.10.{number}"],
        "connected": [f"10.3.10.{one}" for one in (1, 2, 3) if one != number],
        "missing": [],
        "newer": [],
        "port_holder": "",
        **other,
    }


def found(**other: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {f"h{number}": info(number, **other.get(f"h{number}", {})) for number in (1, 2, 3)}


def plans(declared: dict[str, Any] | None = None, **texts: str) -> dict[str, dict[str, Any]]:
    wanted = declared or DECLARED
    return {host: plan(coded(texts.get(host, CONFIG)), wanted, "sync_service") for host in ("h1", "h2", "h3")}


def test_what_is_declared_is_there_already() -> None:
    planned = plan(coded(CONFIG), DECLARED, "sync_service")
    assert planned["error"] == "" and planned["changed"] == [] and planned["after"] == coded(CONFIG)
    assert plan(coded(CONFIG), {}, "sync_service")["values"]["interfaces"] == ["10.3.10.*"]


def test_what_will_be() -> None:
    planned = plan(coded(CONFIG), {**DECLARED, "local_port": 5702}, "sync_service")
    assert planned["changed"] == ["local_port"] and planned["values"]["local_port"] == 5702
    assert base64.b64decode(planned["after"]).decode() == CONFIG.replace("5701", "5702")


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ({"interfaces": ["10.256.*.*"]}, "'10.256.*.*' can match no address (256 is no octet)"),
        ({"bind_any": True}, "bind_any is true, so that interfaces would have no effect"),
        ({"management_center": {"enabled": True}}, "management_center.url is missing"),
        ({"timings": {"check_timeout_ms": 4}}, "timings.check_timeout_ms is 4: members would be taken for dead"),
        ({"password": "two\nlines"}, "password is of several lines"),
    ],
)
def test_what_cannot_be_is_said(declared: dict[str, Any], said: str) -> None:
    planned = plan(coded(CONFIG), declared, "sync_service")
    assert said in planned["error"] and planned["after"] == coded(CONFIG)
    assert "two" not in planned["error"]


def test_auto_increment_is_warned_of() -> None:
    assert "recommends false" in plan(coded(CONFIG), {"port_auto_increment": True}, "sync_service")["warnings"][0]


def test_members_that_fit() -> None:
    assert problems(found(), MEMBERS, plans(), **WORDS) == []


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"missing": ["/opt/sync/config.yml"]}, "On h2 there is no /opt/sync/config.yml"),
        ({"port_holder": "java (process 7)"}, "port 5701 is taken by java (process 7) while sync.service does not run"),
        ({"addresses": ["192.0.2.2"]}, "On h2 the interface 10.3.10.* matches no address (it has 192.0.2.2)"),
        ({"addresses": ["10.3.10.2", "10.3.10.7"]}, "matches 10.3.10.2, 10.3.10.7 (it has"),
        ({"addresses": ["10.3.10.9"]}, "means 10.3.10.9, and site_address is 10.3.10.2"),
    ],
)
def test_a_member_that_does_not(told: dict[str, Any], said: str) -> None:
    out = problems(found(h2=told), MEMBERS, plans(), **WORDS)
    assert len(out) == 1 and said in out[0]


def test_who_was_not_asked_is_named_alone() -> None:
    assert problems({"h1": info(1)}, MEMBERS, {}, **WORDS) == [
        "h2 could not be asked: it has to be reachable, also when --limit leaves it out.",
        "h3 could not be asked: it has to be reachable, also when --limit leaves it out.",
    ]


def test_files_that_differ_in_what_nobody_declared() -> None:
    out = problems(found(), MEMBERS, plans(h3=CONFIG.replace("enabled: true", "enabled: true\n    other: 9")), **WORDS)
    assert out == [
        "The members' configurations differ in sync.cluster.other: nothing on n1, nothing on n2, 9 on n3. Make them "
        "the same."
    ]


def test_secrets_that_differ_are_not_shown() -> None:
    out = unlike({"n1": coded(CONFIG), "n2": coded(CONFIG.replace("s3cr3t-db", "s3cr3t-other"))})
    assert len(out) == 1 and "differ in sql.db.password" in out[0] and "s3cr3t" not in out[0]
    url = "sql: {url: 'jdbc:x://h/d?user=u&password=s3cr3t'}\n"
    out = unlike({"n1": coded(url), "n2": coded(url.replace("//h", "//g"))})
    assert len(out) == 1 and "s3cr3t" not in out[0]


def test_how_a_value_is_spelled_is_no_difference() -> None:
    assert unlike({"n1": coded('a:\n  b: "x"\n'), "n2": coded("a.b: x # so\n")}) == []


def test_exact_interfaces_may_differ_and_patterns_may_not() -> None:
    exact = {f"n{i}": coded(CONFIG.replace("10.3.10.*", f"10.3.10.{i}")) for i in (1, 2)}
    assert unlike(exact) == []
    assert "sync.cluster.interface" in unlike({**exact, "n3": coded(CONFIG)})[0]


def test_a_password_is_changed_on_all_at_once() -> None:
    changing = plans({**DECLARED, "password": "s3cr3t-new"})
    assert password_changes(found(h3={"state": "inactive"}), changing) == ["h1", "h2"]
    out = problems(found(), MEMBERS, changing, **WORDS)
    assert len(out) == 1 and "say site_stop_all: true" in out[0] and "s3cr3t" not in out[0]
    assert problems(found(), MEMBERS, changing, **WORDS, stop_all=True) == []
    assert "h3 would keep the former one" in problems(found(), MEMBERS, changing, **WORDS, outside=["h3"])[0]
    # One that does not run yet gets that of the others, which stay as they are
    fresh = {**plans(), "h3": {**plans()["h3"], "changed": ["password"]}}
    assert problems(found(h3={"state": "inactive"}), MEMBERS, fresh, **WORDS) == []


ROWS = [{"host": f"10.3.10.{i}", "port": 5701} for i in (1, 2, 3)]
COLUMNS = {"address": "host", "port": "port", "own_port": 5701}


def test_rows_of_members_that_live() -> None:
    nothing: dict[str, list[Any]] = {"stale": [], "unregistered": [], "others": []}
    assert registry(ROWS, found(), MEMBERS, {}, **COLUMNS) == nothing
    assert ends(ROWS, "host", "port", 1) == ["10.3.10.1:5701", "10.3.10.2:5701", "10.3.10.3:5701"]
    assert end({"host": "n1"}, "host", "", 5701) == "n1:5701"
    with pytest.raises(ClusterkitError, match="no column port"):
        end({"host": "n1"}, "host", "port", 5701)


def test_a_member_that_does_not_run_is_dead_whatever_answers_there() -> None:
    out = registry(ROWS, found(h3={"state": "failed", "listening": []}), MEMBERS, {"10.3.10.3:5701": ""}, **COLUMNS)
    assert out == {"stale": [ROWS[2]], "unregistered": [], "others": []}


def test_a_row_with_a_former_port_is_one_of_nobody() -> None:
    former = {"host": "10.3.10.3", "port": 5799}
    assert registry([*ROWS, former], found(), MEMBERS, {}, **COLUMNS)["stale"] == [former]


def test_rows_that_the_inventory_does_not_know() -> None:
    rows = [*ROWS, *({"host": f"10.3.10.{i}", "port": 5701} for i in (7, 8, 9))]
    reach = {"10.3.10.7:5701": "", "10.3.10.8:5701": "refused", "10.3.10.9:5701": "timed out"}
    out = registry(rows, found(h1={"connected": ["10.3.10.9"]}), MEMBERS, reach, **COLUMNS)
    assert out["stale"] == [rows[4]] and out["others"] == ["10.3.10.7:5701", "10.3.10.9:5701"]


def test_who_runs_without_a_row() -> None:
    assert registry(ROWS[:2], found(), MEMBERS, {}, **COLUMNS)["unregistered"] == ["n3"]


CONFIGS = {f"h{i}": {"content": coded(CONFIG)} for i in (1, 2, 3)}
WELL = {f"h{i}": {"status": 200} for i in (1, 2, 3)}


def judged(**other: dict[str, Any]) -> dict[str, Any]:
    return verification(found(**other), MEMBERS, CONFIGS, WELL, "site", "sites", 5701)


def test_one_cluster() -> None:
    document = judged()
    assert document["ok"] and document["members_seen"] == ["n1", "n2", "n3"]


@pytest.mark.parametrize(
    ("told", "name", "said"),
    [
        ({"state": "failed"}, "unit", "the service on n2 is failed"),
        ({"connected": ["10.3.10.1"]}, "connected", "n2 is connected not with n3"),
        ({"listening": ["10.9.9.9"]}, "listens", "n2 listens on 10.9.9.9 at port 5701"),
        ({"newer": ["/opt/sync/config.yml"]}, "read", "/opt/sync/config.yml"),
    ],
)
def test_a_member_that_is_not_in_it(told: dict[str, Any], name: str, said: str) -> None:
    document = judged(h2=told)
    wrong = [check for check in document["checks"] if not check["ok"]]
    assert not document["ok"] and [check["name"] for check in wrong] == [name] and said in wrong[0]["evidence"]


def test_health_configuration_and_rows_are_judged() -> None:
    registered = {"stale": [ROWS[0]], "unregistered": ["n3"], "others": []}
    configs = {**CONFIGS, "h3": {"content": coded(CONFIG + "more: 1\n")}}
    health = {**WELL, "h2": {"status": 500}}
    document = verification(found(), MEMBERS, configs, health, "site", "sites", 5701, registered=registered)
    assert [check["name"] for check in document["checks"] if not check["ok"]] == [
        "health",
        "configuration",
        "registered",
    ]
    silent = verification({"h1": info(1)}, MEMBERS, CONFIGS, WELL, "site", "sites", 5701)
    assert "n2 could not be asked" in [check["evidence"] for check in silent["checks"]]


WHOLE = {"error": "", "values": {"size": 3, "whole": True}, "errors": {}}


@pytest.mark.parametrize(
    ("second", "name", "said"),
    [
        (WHOLE, "", ""),
        ({**WHOLE, "values": {"size": 3}}, "", ""),
        ({**WHOLE, "values": {"size": 2, "whole": True}}, "JMX size", "n2 counts 2 members"),
        ({**WHOLE, "values": {"size": 3, "whole": False}}, "JMX check", "all members see each other: false"),
        ({"error": "Connection refused", "values": {}, "errors": {}}, "JMX size", "Connection refused"),
        ({"error": "", "values": {}, "errors": {"size": "no such attribute"}}, "JMX size", "no such attribute"),
        ({**WHOLE, "values": {"size": 3}, "errors": {"whole": "it failed"}}, "JMX check", "it failed"),
    ],
)
def test_what_members_tell_by_jmx(second: dict[str, Any], name: str, said: str) -> None:
    answers = {"10.3.10.1": WHOLE, "10.3.10.2": second, "10.3.10.3": WHOLE}
    document = verification(found(), MEMBERS, CONFIGS, WELL, "site", "sites", 5701, jmx=answers)
    wrong = [check for check in document["checks"] if not check["ok"]]
    assert [check["name"] for check in wrong] == ([name] if name else [])
    assert not wrong or said in wrong[0]["evidence"]


def test_jmx_at_a_public_address() -> None:
    members = [{**MEMBERS[0], "address": "9.9.9.9"}]
    document = verification(found(), members, CONFIGS, WELL, "site", "sites", 5701, jmx={"9.9.9.9": WHOLE})
    told = [check["evidence"] for check in document["checks"] if check["name"] == "JMX address"]
    assert told == ["n1 has the public address 9.9.9.9"] and not document["ok"]


def test_exported_without_secrets() -> None:
    assert exported(coded(CONFIG), "sync_service", "site") == {
        "site_interface": "10.3.10.*",
        "site_port": 5701,
        "site_bind_any": False,
    }
