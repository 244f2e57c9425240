# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What takes part in a termination is found, and judged together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Iterator

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._aws import lifecycle
from ansible_collections.clusterkit.middleware.plugins.modules import lifecycle_info
from tests.unit.plugins.modules.aws import REGION, account
from tests.verify_document import load_and_validate

if TYPE_CHECKING:
    from tests.unit.conftest import RunModule

HOOK = {"transition": lifecycle.TERMINATING, "heartbeat": 300, "result": "ABANDON"}
PATTERN = {"source": ["aws.autoscaling"]}
FUNCTION, RULE = "arn:aws:lambda:r:1:function:n", "arn:aws:events:r:1:rule/n"
WANTED = {
    **{"group": "web", "hook": "graceful", "heartbeat": 300, "result": "ABANDON", "document": {"a": 1}},
    **{"rule": PATTERN, "function": FUNCTION, "rule_arn": RULE},
}


def found() -> dict[str, Any]:
    """Return an account in which everything is there."""
    return {
        "group": {"instances": {"i-1": "InService", "i-2": "Terminating:Wait", "i-3": "InService"}},
        "hook": dict(HOOK),
        "document": {"a": 1},
        "function": {"state": "Active", "permission": RULE},
        "rule": {"enabled": True, "pattern": PATTERN, "targets": {"clusterkit": FUNCTION}},
        "alarm": {"actions": []},
        "agents": {"i-1": "Online", "i-3": "Online"},
    }


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    yield from account(monkeypatch)


def test_account_with_nothing(run_module: RunModule, clients: Any) -> None:
    said = run_module(
        lifecycle_info.main, group="web", hook="graceful", name="graceful-web", role="graceful-web-role", region=REGION
    )
    assert not said["failed"], said
    assert said["account"] == {"id": "123456789012", "partition": "aws", "region": REGION}
    assert said["retention"] is None
    assert not any(said[name] for name in ("group", "hook", "document", "function", "rule", "role", "alarm", "agents"))


def test_all_there() -> None:
    document = lifecycle.verification(found(), WANTED, "aws_graceful_termination")
    load_and_validate(document)
    assert document["ok"], document
    assert document["members_expected"] == ["i-1", "i-3"], "an instance that goes is none to count on"
    assert lifecycle.without_agent(found()) == []


@pytest.mark.parametrize(
    ("change", "failing"),
    [
        ({"agents": {"i-1": "Online", "i-3": "ConnectionLost"}}, {"agent"}),
        ({"agents": {"i-1": "Online"}}, {"agent"}),
        ({"hook": {}}, {"hook"}),
        ({"hook": {**HOOK, "heartbeat": 60}}, {"hook"}),
        ({"document": {}}, {"document"}),
        ({"document": {"a": 2}}, {"document"}),
        ({"rule": {}}, {"rule"}),
        ({"rule": {**found()["rule"], "enabled": False}}, {"rule"}),
        ({"rule": {**found()["rule"], "targets": {"clusterkit": "arn:other"}}}, {"rule"}),
        ({"rule": {**found()["rule"], "pattern": {}}}, {"rule"}),
        ({"function": {}}, {"function", "permission"}),
        ({"function": {"state": "Failed", "permission": RULE}}, {"function"}),
        ({"function": {"state": "Active", "permission": ""}}, {"permission"}),
        ({"alarm": {}}, {"alarm"}),
    ],
)
def test_each_part_is_missed(change: dict[str, Any], failing: set[str]) -> None:
    document = lifecycle.verification({**found(), **change}, WANTED, "aws_graceful_termination")
    load_and_validate(document)
    assert not document["ok"]
    assert {one["name"] for one in document["checks"] if not one["ok"]} == failing


@pytest.mark.parametrize("schema", ["1.2", "2.2"])
@pytest.mark.parametrize("user", ["root", "ubuntu"])
@pytest.mark.parametrize("command", [["/opt/service.sh", "stop"], ["/opt/my service/it's", "$HOME", "a;b", ""]])
def test_document_and_back(command: list[str], user: str, schema: str) -> None:
    content = lifecycle.document(command, user, 240, schema)
    assert lifecycle.command_of(content) == {"schema": schema, "command": command, "user": user}


def test_document_written_by_hand() -> None:
    """As manuals have it."""
    lines = ["#!/usr/bin/env bash", "sudo /home/ubuntu/service/service.sh stop"]
    content = {"schemaVersion": "1.2", "runtimeConfig": {"aws:runShellScript": {"properties": [{"runCommand": lines}]}}}
    said = {**found(), "document": content, "retention": None}
    assert lifecycle.exported(said, {"group": "web"}, "role") == {
        "role_group": "web",
        "role_command": ["/home/ubuntu/service/service.sh", "stop"],
        "role_user": "root",
        "role_document_schema": "1.2",
        "role_heartbeat_seconds": 300,
        "role_default_result": "ABANDON",
    } | ({"role_alarm_actions": []})
    lines.append("something more")
    assert "role_command" not in lifecycle.exported(said, {}, "role")
    lines[1:] = ["an 'open quote"]
    assert "role_command" not in lifecycle.exported(said, {}, "role")


def test_nothing_to_export() -> None:
    nothing = {"document": {}, "hook": {}, "function": {}, "retention": None, "alarm": {}}
    assert lifecycle.exported(nothing, {"group": "web"}, "role") == {}
