# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Lambda function, in this process: its calls are checked against botocore's models of the services.

The answers are those of the services' documentation (`Stubber`), in the order in which they are expected.
"""

from __future__ import annotations

import datetime
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

boto3 = pytest.importorskip("boto3", reason="the function runs where boto3 is")
from botocore.stub import Stubber  # noqa: E402  # not there without boto3

SOURCE = (
    Path(__file__).resolve().parents[3] / "roles" / "aws_graceful_termination" / "files" / "graceful_termination.py"
)
GROUP, HOOK, DOCUMENT = "web", "graceful-termination", "graceful-termination-web"
INSTANCE, TOKEN = "i-0123456789abcdef0", "71514b9d-6a40-4b26-8523-05e7ee35fa40"
COMMAND, OTHER = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"
BEGAN = datetime.datetime(2026, 11, 29, 2, 0, tzinfo=datetime.timezone.utc)
ACTION = {
    "LifecycleHookName": HOOK,
    "AutoScalingGroupName": GROUP,
    "LifecycleActionToken": TOKEN,
    "InstanceId": INSTANCE,
}
#: As in "Amazon EventBridge event examples for Amazon EC2 Auto Scaling"
EVENT: dict[str, Any] = {
    "version": "0",
    "id": "12345678-1234-1234-1234-123456789012",
    "detail-type": "EC2 Instance-terminate Lifecycle Action",
    "source": "aws.autoscaling",
    "account": "123456789012",
    "time": "2026-11-29T02:00:00Z",
    "region": "eu-central-1",
    "resources": ["arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:x:autoScalingGroupName/web"],
    "detail": {
        "LifecycleActionToken": TOKEN,
        "AutoScalingGroupName": GROUP,
        "LifecycleHookName": HOOK,
        "EC2InstanceId": INSTANCE,
        "LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING",
        "Origin": "AutoScalingGroup",
        "Destination": "EC2",
    },
}


def load() -> Any:
    """Return the function's module, which is no part of a package."""
    spec = importlib.util.spec_from_file_location("graceful_termination", SOURCE)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    # dataclasses look their module up
    sys.modules["graceful_termination"] = module
    spec.loader.exec_module(module)
    return module


class Ground:
    """The services as the function sees them, and a clock that only waiting moves."""

    def __init__(self) -> None:
        self.function = load()
        self.now = BEGAN.timestamp()
        self.left = 900.0
        self.again: list[Any] = []
        options = {"region_name": "eu-central-1", "aws_access_key_id": "x", "aws_secret_access_key": "x"}
        self._clients = {name: boto3.client(name, **options) for name in ("ssm", "autoscaling")}
        self._stubs = {name: Stubber(client) for name, client in self._clients.items()}
        for stub in self._stubs.values():
            stub.activate()

    def beat(self, over: bool = False) -> None:
        """Expect a sign of life to the hook."""
        self._scaling("record_lifecycle_action_heartbeat", ACTION, over)

    def complete(self, result: str, over: bool = False) -> None:
        """Expect the end of the lifecycle action."""
        self._scaling("complete_lifecycle_action", {**ACTION, "LifecycleActionResult": result}, over)

    def _scaling(self, call: str, parameters: dict[str, Any], over: bool) -> None:
        if over:
            message = f"No active Lifecycle Action found with token {TOKEN}"
            self._stubs["autoscaling"].add_client_error(call, "ValidationError", message, 400, None, parameters)
        else:
            self._stubs["autoscaling"].add_response(call, {}, parameters)

    def listed(self, *commands: tuple[str, int, str]) -> None:
        """Expect the question for commands; each has an id, a second, and a comment."""
        answer = [
            {"CommandId": one, "Comment": comment, "RequestedDateTime": BEGAN + datetime.timedelta(seconds=second)}
            for one, second, comment in commands
        ]
        self._stubs["ssm"].add_response("list_commands", {"Commands": answer}, {"InstanceId": INSTANCE})

    def sent(self, error: str = "") -> None:
        """Expect the command to be sent."""
        wanted = {
            "InstanceIds": [INSTANCE],
            "DocumentName": DOCUMENT,
            "Comment": f"lifecycle action {TOKEN}",
            "TimeoutSeconds": 1200,
        }
        if error:
            self._stubs["ssm"].add_client_error("send_command", error, "", 400, None, wanted)
        else:
            self._stubs["ssm"].add_response("send_command", {"Command": {"CommandId": COMMAND}}, wanted)

    def states(self, *states: str, command: str = COMMAND) -> None:
        """Expect looks at the command; "" is a list with nothing in it."""
        for state in states:
            answer = [{"CommandId": command, "InstanceId": INSTANCE, "Status": state}] if state else []
            wanted = {"CommandId": command, "InstanceId": INSTANCE}
            self._stubs["ssm"].add_response("list_command_invocations", {"CommandInvocations": answer}, wanted)

    def run(self, event: dict[str, Any] | None = None, result: str = "ABANDON") -> Any:
        """Run the function, and check that everything expected was called."""
        settings = self.function.Settings(GROUP, HOOK, DOCUMENT, 1200.0, 60.0, 10.0, result)
        ends = self.now + self.left

        def wait(seconds: float) -> None:
            self.now += seconds

        try:
            return self.function.handle(
                EVENT if event is None else event, settings, self._clients.__getitem__, lambda: ends - self.now,
                self.again.append,
                clock=lambda: self.now, wait=wait,
            )  # fmt: skip
        finally:
            for stub in self._stubs.values():
                stub.assert_no_pending_responses()


@pytest.fixture
def ground() -> Iterator[Ground]:
    yield Ground()


MINE = f"lifecycle action {TOKEN}"


def test_sent_waited_for_and_completed(ground: Ground, caplog: pytest.LogCaptureFixture) -> None:
    """An empty list of invocations means "not yet"."""
    ground.beat()
    ground.listed((OTHER, 0, "lifecycle action of another time"))
    ground.sent()
    ground.listed((COMMAND, 1, MINE))
    ground.states("", "Pending", "InProgress", "Success")
    ground.complete("CONTINUE")
    caplog.set_level("INFO")
    assert ground.run() == {"outcome": "stopped"}
    said = [json.loads(one.message) for one in caplog.records if one.name == "graceful_termination"]
    assert [one["what"] for one in said] == ["sent the command", "completed"]
    assert all(one["instance"] == INSTANCE for one in said)
    assert TOKEN not in caplog.text, "with it anybody who may could complete the action"


@pytest.mark.parametrize("state", ["Failed", "TimedOut", "Cancelled"])
@pytest.mark.parametrize("result", ["ABANDON", "CONTINUE"])
def test_failed_command(ground: Ground, state: str, result: str) -> None:
    """The hook is told at once, and the function ends as failed, which raises the alarm."""
    ground.beat()
    ground.listed()
    ground.sent()
    ground.listed()  # Systems Manager may be late in listing what it has taken
    ground.states("InProgress", state)
    ground.complete(result)
    with pytest.raises(ground.function.StopFailedError, match=state):
        ground.run(result=result)


def test_no_agent(ground: Ground) -> None:
    """An instance that Systems Manager does not reach is not waited for."""
    ground.beat()
    ground.listed()
    ground.sent(error="InvalidInstanceId")
    ground.complete("ABANDON")
    with pytest.raises(ground.function.StopFailedError, match="agent"):
        ground.run()


def test_other_errors_are_told_and_tried_again(ground: Ground) -> None:
    """What is no fault of the instance ends the run: Lambda tries it again, and the hook has its own time limit."""
    ground.beat()
    ground.listed()
    ground.sent(error="AccessDeniedException")
    with pytest.raises(Exception, match="AccessDeniedException"):
        ground.run()


def test_hook_waits_as_long_as_the_command_runs(ground: Ground) -> None:
    ground.beat()
    ground.listed((COMMAND, 1, MINE))
    ground.states(*["InProgress"] * 13, "Success")
    ground.beat()
    ground.beat()
    ground.complete("CONTINUE")
    assert ground.run() == {"outcome": "stopped"}


def test_repeated_event(ground: Ground) -> None:
    """A second one finds the command of the first, also where another sent one at the same moment."""
    ground.beat()
    ground.listed((OTHER, 5, MINE), (COMMAND, 1, MINE))
    ground.states("Success")
    ground.complete("CONTINUE", over=True)
    assert ground.run() == {"outcome": "stopped"}
    ground.beat(over=True)
    assert ground.run() == {"outcome": "over"}


def test_goes_on_after_its_time(ground: Ground) -> None:
    """Before Lambda ends it, it has itself called again with the same event."""
    ground.left = 65
    ground.beat()
    ground.listed((COMMAND, 1, MINE))
    ground.states(*["InProgress"] * 5)
    assert ground.run() == {"outcome": "goes on"}
    assert ground.again == [EVENT]
    ground.left = 900
    ground.beat()
    ground.listed((COMMAND, 1, MINE))
    ground.states("Success")
    ground.complete("CONTINUE")
    assert ground.run() == {"outcome": "stopped"}


def test_ends_in_time(ground: Ground) -> None:
    """A command that never ends is given up, however many runs there were."""
    ground.now += 1195
    ground.beat()
    ground.listed((COMMAND, 1, MINE))
    ground.states("InProgress", "InProgress")
    ground.complete("ABANDON")
    with pytest.raises(ground.function.StopFailedError, match="InProgress after 1200 s"):
        ground.run()


def test_hook_that_waits_no_longer(ground: Ground) -> None:
    ground.beat()
    ground.listed((COMMAND, 1, MINE))
    ground.states(*["InProgress"] * 7)
    ground.beat(over=True)
    with pytest.raises(ground.function.StopFailedError, match="waited no longer"):
        ground.run()


@pytest.mark.parametrize(
    "change",
    [
        {"AutoScalingGroupName": "another"},
        {"LifecycleHookName": "another"},
        {"LifecycleTransition": "autoscaling:EC2_INSTANCE_LAUNCHING"},
        {"EC2InstanceId": None, "LifecycleActionToken": None},
    ],
)
def test_other_events_are_left_alone(ground: Ground, change: dict[str, Any]) -> None:
    detail = {key: value for key, value in {**EVENT["detail"], **change}.items() if value is not None}
    assert ground.run({**EVENT, "detail": detail}) == {"outcome": "left alone"}
    assert ground.run({}) == {"outcome": "left alone"}


def test_as_lambda_calls_it(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment that the role sets is what it reads."""
    called: list[Callable[..., Any]] = []
    monkeypatch.setattr(ground.function, "handle", lambda *given: called.extend(given) or {"outcome": "stopped"})
    for name, value in {
        "GROUP": GROUP, "HOOK": HOOK, "DOCUMENT": DOCUMENT, "LIMIT_SECONDS": "240", "HEARTBEAT_SECONDS": "100",
        "POLL_SECONDS": "5", "RESULT_WHEN_FAILED": "ABANDON", "AWS_DEFAULT_REGION": "eu-central-1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)

    class Context:
        function_name = "name"

        @staticmethod
        def get_remaining_time_in_millis() -> int:
            return 42000

    assert ground.function.lambda_handler(EVENT, Context) == {"outcome": "stopped"}
    event, settings, client, remaining, _again = called
    assert event is EVENT
    assert settings == ground.function.Settings(GROUP, HOOK, DOCUMENT, 240.0, 100.0, 5.0, "ABANDON")
    assert remaining() == 42.0
    assert client("ssm") is client("ssm")
