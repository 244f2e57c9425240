# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Lambda function that has a service stopped before Auto Scaling terminates its instance.

EventBridge hands it the event of the lifecycle hook. It has the command sent to the instance, waits for the command's
end, lets the hook wait as long, and completes the lifecycle action. It keeps nothing of its own: an event that comes
twice, a run that was cut off and a run that goes on after 900 s all find the command by its comment.
"""

from __future__ import annotations

import datetime
import json
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

LOGGER = logging.getLogger("graceful_termination")
LOGGER.setLevel(logging.INFO)
TRANSITION = "autoscaling:EC2_INSTANCE_TERMINATING"
#: States in which Systems Manager will not change a command's invocation any more.
ENDED = {"Success", "Cancelled", "TimedOut", "Failed"}
#: Seconds that a run keeps for handing on to the next one, before Lambda ends it.
MARGIN = 30.0


class StopFailedError(Exception):
    """The service was not stopped. Lambda counts it as an error of the function, which is what the alarm looks at."""


@dataclass(frozen=True)
class Settings:
    """What the role sets as the function's environment; none of it is secret."""

    group: str
    hook: str
    document: str
    #: Seconds, from the event on, in which the command has to end.
    limit: float
    #: Seconds between two signs of life to the hook, and between two looks at the command.
    heartbeat: float
    poll: float
    #: What the hook is told when the command failed. The instance is terminated by either.
    result_when_failed: str

    @classmethod
    def from_environment(cls) -> Settings:
        """Return what the environment says."""
        return cls(
            group=os.environ["GROUP"],
            hook=os.environ["HOOK"],
            document=os.environ["DOCUMENT"],
            limit=float(os.environ["LIMIT_SECONDS"]),
            heartbeat=float(os.environ["HEARTBEAT_SECONDS"]),
            poll=float(os.environ["POLL_SECONDS"]),
            result_when_failed=os.environ["RESULT_WHEN_FAILED"],
        )


class Termination:
    """One instance that is about to be terminated."""

    def __init__(self, event: dict[str, Any], settings: Settings, clients: Callable[[str], Any]) -> None:
        """Raise ValueError for an event that is none of the hook."""
        detail = event.get("detail") or {}
        found = (detail.get("LifecycleTransition"), detail.get("AutoScalingGroupName"), detail.get("LifecycleHookName"))
        wanted = (TRANSITION, settings.group, settings.hook)
        if found != wanted:
            raise ValueError(f"this event is of {found}, and this function is there for {wanted}")
        self.settings = settings
        self.instance = str(detail["EC2InstanceId"])
        self._action = {
            "LifecycleHookName": settings.hook,
            "AutoScalingGroupName": settings.group,
            "LifecycleActionToken": str(detail["LifecycleActionToken"]),
            "InstanceId": self.instance,
        }
        #: Tells the commands of one lifecycle action from those of others, and is what a repeated event has in common.
        self.comment = f"lifecycle action {detail['LifecycleActionToken']}"[:100]
        began = datetime.datetime.fromisoformat(str(event["time"]).replace("Z", "+00:00"))
        self.deadline = began.timestamp() + settings.limit
        self._ssm = clients("ssm")
        self._scaling = clients("autoscaling")

    def say(self, what: str, **more: Any) -> None:
        """Write a line to the log."""
        LOGGER.info(json.dumps({"instance": self.instance, "what": what, **more}, sort_keys=True, default=str))

    def is_waiting(self) -> bool:
        """Let the hook wait longer, and tell whether it still does; it does not once the action was completed."""
        try:
            self._scaling.record_lifecycle_action_heartbeat(**self._action)
        except ClientError as error:
            if _is_over(error):
                return False
            raise
        return True

    def complete(self, result: str) -> None:
        """Let the termination go on; where another run has done so already, that is as good."""
        try:
            self._scaling.complete_lifecycle_action(**self._action, LifecycleActionResult=result)
            self.say("completed", result=result)
        except ClientError as error:
            if not _is_over(error):
                raise
            self.say("was completed already")

    def command(self) -> str:
        """Return the command of this action; it is sent where there is none. Raises StopFailedError."""
        if found := self._sent():
            self.say("found the command", command=found)
            return found
        try:
            sent = self._ssm.send_command(
                InstanceIds=[self.instance],
                DocumentName=self.settings.document,
                Comment=self.comment,
                # Until the agent has it; how long it may run stands in the document
                TimeoutSeconds=max(30, int(self.settings.limit)),
            )["Command"]["CommandId"]
        except ClientError as error:
            if error.response["Error"]["Code"] != "InvalidInstanceId":
                raise
            raise StopFailedError(
                "Systems Manager cannot reach it: its agent is not registered or not running"
            ) from None
        # Two runs at the same moment may both have sent one: all of them wait for the first
        command = self._sent() or str(sent)
        self.say("sent the command", command=command)
        return command

    def _sent(self) -> str:
        found = [
            (one["RequestedDateTime"], str(one["CommandId"]))
            for page in self._ssm.get_paginator("list_commands").paginate(InstanceId=self.instance)
            for one in page["Commands"]
            if one.get("Comment") == self.comment
        ]
        return min(found)[1] if found else ""

    def status(self, command: str) -> str:
        """Return the command's state on the instance."""
        listed = self._ssm.list_command_invocations(CommandId=command, InstanceId=self.instance)["CommandInvocations"]
        # A command that was just sent has none for a moment
        return str(listed[0]["Status"]) if listed else "not there yet"


def _is_over(error: ClientError) -> bool:
    """Tell whether Auto Scaling says that the lifecycle action is no longer there."""
    said = error.response["Error"]
    return said["Code"] == "ValidationError" and "No active Lifecycle Action" in said["Message"]


def wait_for_end(
    one: Termination,
    command: str,
    remaining: Callable[[], float],
    clock: Callable[[], float],
    wait: Callable[[float], None],
) -> str:
    """Return "Success", what came instead of it, "over" when the hook waits no more, "" when this run's time is up."""
    beaten = clock()
    while True:
        status = one.status(command)
        if status in ENDED:
            return status
        if clock() >= one.deadline:
            return f"{status} after {one.settings.limit:.0f} s"
        if remaining() < MARGIN:
            return ""
        if clock() - beaten >= one.settings.heartbeat:
            if not one.is_waiting():
                return "over"
            beaten = clock()
            one.say("still waits", command=command, status=status)
        wait(one.settings.poll)


def handle(
    event: dict[str, Any],
    settings: Settings,
    clients: Callable[[str], Any],
    remaining: Callable[[], float],
    again: Callable[[dict[str, Any]], None],
    clock: Callable[[], float] = time.time,
    wait: Callable[[float], None] = time.sleep,
) -> dict[str, str]:
    """Stop the service on the event's instance; `remaining` tells the seconds that Lambda leaves this run.

    Returns what came of it. Raises StopFailedError after the lifecycle action was completed all the same.
    """
    try:
        one = Termination(event, settings, clients)
    except (KeyError, ValueError) as error:
        # Tried again it would be as wrong
        LOGGER.warning(json.dumps({"what": "left alone", "why": str(error)}))
        return {"outcome": "left alone"}
    if not one.is_waiting():
        one.say("the lifecycle action is over")
        return {"outcome": "over"}
    try:
        command = one.command()
        status = wait_for_end(one, command, remaining, clock, wait)
    except StopFailedError as error:
        status = str(error)
    if not status:
        again(event)
        one.say("another run goes on")
        return {"outcome": "goes on"}
    if status == "over":
        one.say("the lifecycle action is over, and the command was not")
        raise StopFailedError(f"{one.instance}: the hook waited no longer for the command")
    if status == "Success":
        one.complete("CONTINUE")
        return {"outcome": "stopped"}
    one.say("the service was not stopped", status=status)
    one.complete(settings.result_when_failed)
    raise StopFailedError(f"{one.instance}: {status}")


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, str]:
    """Be called by Lambda."""
    config = Config(retries={"mode": "standard", "max_attempts": 8}, connect_timeout=10, read_timeout=30)
    made: dict[str, Any] = {}

    def client(name: str) -> Any:
        return made.setdefault(name, boto3.client(name, config=config))

    def again(same: dict[str, Any]) -> None:
        client("lambda").invoke(
            FunctionName=context.function_name, InvocationType="Event", Payload=json.dumps(same).encode()
        )

    def remaining() -> float:
        return float(context.get_remaining_time_in_millis()) / 1000

    return handle(event, Settings.from_environment(), client, remaining, again)
