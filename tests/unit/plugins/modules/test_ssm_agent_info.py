# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Agents are asked for at Systems Manager, and waited for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Iterator

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._aws import lifecycle
from ansible_collections.clusterkit.middleware.plugins.modules import ssm_agent_info

if TYPE_CHECKING:
    from tests.unit.conftest import RunModule


class Manager:
    """Answers as Systems Manager does, the last answer again and again."""

    def __init__(self, *answers: dict[str, str]) -> None:
        self.answers = list(answers)
        self.asked: list[list[str]] = []

    def get_paginator(self, call: str) -> Manager:
        assert call == "describe_instance_information"
        return self

    def paginate(self, Filters: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:  # noqa: N803  # boto3's name
        self.asked.append(Filters[0]["Values"])
        known = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        yield {"InstanceInformationList": [{"InstanceId": one, "PingStatus": state} for one, state in known.items()]}


@pytest.fixture
def ask(run_module: RunModule, monkeypatch: pytest.MonkeyPatch) -> Any:
    def asked(manager: Manager, **options: Any) -> dict[str, Any]:
        monkeypatch.setattr(ssm_agent_info, "Account", lambda _options: lambda _service: manager)
        monkeypatch.setattr(lifecycle, "POLL", 0.001)
        return run_module(ssm_agent_info.main, instances=["i-2", "i-1"], **options)

    return asked


def test_waits_until_all_are_reached(ask: Any) -> None:
    manager = Manager({}, {"i-1": "Online"}, {"i-1": "Online", "i-2": "Online"})
    assert ask(manager, wait_seconds=5)["agents"] == {"i-1": "Online", "i-2": "Online"}
    assert manager.asked == [["i-1", "i-2"]] * 3


def test_what_is_known_then(ask: Any) -> None:
    manager = Manager({"i-1": "ConnectionLost"})
    said = ask(manager)
    assert said["agents"] == {"i-1": "ConnectionLost"} and not said["changed"] and len(manager.asked) == 1
