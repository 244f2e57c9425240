# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rule leads what matches it to one target, and to no other."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Iterator

import pytest

from ansible_collections.clusterkit.middleware.plugins.modules import eventbridge_rule
from tests.unit.plugins.modules.aws import REGION, account

if TYPE_CHECKING:
    from tests.unit.conftest import RunModule

NAME, TARGET = "web", f"arn:aws:lambda:{REGION}:123456789012:function:web"
PATTERN = {"source": ["aws.autoscaling"], "detail": {"AutoScalingGroupName": ["web"]}}


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    yield from account(monkeypatch)


@pytest.fixture
def run(run_module: RunModule, clients: Any) -> Any:
    def call(check: bool = False, **options: Any) -> dict[str, Any]:
        wanted = {"pattern": PATTERN, "target": TARGET, "description": "What it is for", **options}
        return run_module(eventbridge_rule.main, check=check, name=NAME, region=REGION, **wanted)

    return call


def test_created_kept_and_removed(run: Any, clients: Any) -> None:
    foreseen = run(check=True)
    assert foreseen["changed"]
    assert clients("events").list_rules()["Rules"] == []
    assert run()["diff"] == foreseen["diff"]
    assert json.loads(clients("events").describe_rule(Name=NAME)["EventPattern"]) == PATTERN
    assert not run()["changed"]
    assert not run(check=True)["changed"]

    assert run(check=True, state="absent")["changed"]
    assert run(state="absent")["changed"]
    assert not run(state="absent")["changed"]
    assert clients("events").list_rules()["Rules"] == []


def test_changes_by_hand(run: Any, clients: Any) -> None:
    run()
    clients("events").disable_rule(Name=NAME)
    other = f"arn:aws:sqs:{REGION}:123456789012:other"
    clients("events").put_targets(Rule=NAME, Targets=[{"Id": "other", "Arn": other}])
    foreseen = run(check=True)
    assert foreseen["diff"]["before"] == {"enabled": False, "targets": {"clusterkit": TARGET, "other": other}}
    assert run()["diff"] == foreseen["diff"]
    assert [one["Arn"] for one in clients("events").list_targets_by_rule(Rule=NAME)["Targets"]] == [TARGET]
    assert clients("events").describe_rule(Name=NAME)["State"] == "ENABLED"
