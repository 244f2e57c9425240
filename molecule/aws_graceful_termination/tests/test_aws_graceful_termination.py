# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role makes in an account, the function against that account, and what is left after removal.

Lambda is not run by the stand-in: the function is called in this process, with the environment that the role has set.
"""

from __future__ import annotations

import datetime
import http.client
import importlib.util
import json
import sys
import uuid
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from molecule.shared.scenario import ROOT, Scenario

GROUP, HOOK, NAME = "web", "graceful-termination", "graceful-termination-web"
REGION = "eu-central-1"
TRANSITION = "autoscaling:EC2_INSTANCE_TERMINATING"


class Account:
    """The stand-in, asked as AWS is, and told what to answer."""

    def __init__(self, scenario: Scenario) -> None:
        self.url = (ROOT / "build" / "lab" / "aws" / scenario.name / "url").read_text(encoding="ascii")

    def __call__(self, service: str) -> Any:
        """Return the client of a service."""
        return boto3.client(service, region_name=REGION, endpoint_url=self.url)

    def told(self, **state: Any) -> dict[str, Any]:
        """Set what is given, and return what is set and was asked."""
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=30)
        try:
            connection.request("POST", "/_stand_in", body=json.dumps(state))
            said: dict[str, Any] = json.load(connection.getresponse())
        finally:
            connection.close()
        return said

    def instances(self) -> list[str]:
        """Return the instances of the group."""
        (group,) = self("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[GROUP])["AutoScalingGroups"]
        return [one["InstanceId"] for one in group["Instances"]]


@pytest.fixture
def account(scenario: Scenario) -> Iterator[Account]:
    """Return the account, which afterwards answers as at its beginning."""
    account = Account(scenario)
    yield account
    account.told(silent=[], invocations=["Success"], actions=[], completed={}, asked=[])


def terminate(account: Account) -> tuple[dict[str, Any], str]:
    """Return the event of an instance that waits at the hook, and the token of its lifecycle action."""
    token = str(uuid.uuid4())
    account.told(actions=[token], completed={}, asked=[])
    detail = {
        "LifecycleActionToken": token,
        "AutoScalingGroupName": GROUP,
        "LifecycleHookName": HOOK,
        "EC2InstanceId": account.instances()[0],
        "LifecycleTransition": TRANSITION,
    }
    return {"time": datetime.datetime.now(datetime.UTC).isoformat(), "detail": detail}, token


def call(account: Account, monkeypatch: pytest.MonkeyPatch, event: dict[str, Any]) -> dict[str, str]:
    """Call the function with the environment that Lambda would give it; nothing is really waited for."""
    source = ROOT / "roles" / "aws_graceful_termination" / "files" / "graceful_termination.py"
    spec = importlib.util.spec_from_file_location("graceful_termination", source)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    # Its data classes look their module up
    monkeypatch.setitem(sys.modules, "graceful_termination", module)
    spec.loader.exec_module(module)
    configuration = account("lambda").get_function_configuration(FunctionName=NAME)
    for name, value in configuration["Environment"]["Variables"].items():
        monkeypatch.setenv(name, value)
    answer: dict[str, str] = module.handle(
        event, module.Settings.from_environment(), account, lambda: 900.0, lambda _event: None, wait=lambda _s: None
    )
    return answer


def commands(account: Account, instance: str, token: str) -> list[dict[str, Any]]:
    """Return the commands that were sent for a lifecycle action."""
    listed = account("ssm").list_commands(InstanceId=instance)["Commands"]
    return [one for one in listed if token in one.get("Comment", "")]


def test_stopped(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command is sent to the instance and waited for, an empty list at first, and the termination goes on."""
    event, token = terminate(account)
    account.told(invocations=["", "Pending", "InProgress", "Success"])
    assert call(account, monkeypatch, event) == {"outcome": "stopped"}
    assert account.told()["completed"] == {token: "CONTINUE"}
    (sent,) = commands(account, event["detail"]["EC2InstanceId"], token)
    assert sent["DocumentName"] == NAME


def test_failed_command(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """The termination goes on as well, and the function fails, which is what the alarm counts."""
    event, token = terminate(account)
    account.told(invocations=["InProgress", "Failed"])
    with pytest.raises(Exception, match="Failed"):
        call(account, monkeypatch, event)
    assert account.told()["completed"] == {token: "ABANDON"}
    # Lambda tries what failed again: it finds that all is over
    assert call(account, monkeypatch, event) == {"outcome": "over"}


def test_repeated_event(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the action is not completed, a second event waits for the command of the first."""
    event, token = terminate(account)
    assert call(account, monkeypatch, event) == {"outcome": "stopped"}
    account.told(completed={})
    assert call(account, monkeypatch, event) == {"outcome": "stopped"}
    assert len(commands(account, event["detail"]["EC2InstanceId"], token)) == 1


def test_rights_are_the_least(account: Account) -> None:
    """The function may do what it does and no more; only two lists are not bound to what they are about."""
    role = f"{NAME}-{REGION}"
    policy = account("iam").get_role_policy(RoleName=role, PolicyName="clusterkit")["PolicyDocument"]
    actions: dict[str, str] = {}
    for one in policy["Statement"]:
        for action in one["Action"] if isinstance(one["Action"], list) else [one["Action"]]:
            actions.setdefault(action, one["Resource"])
    assert set(actions) == {
        *("autoscaling:CompleteLifecycleAction", "autoscaling:RecordLifecycleActionHeartbeat"),
        *("ssm:SendCommand", "ssm:ListCommands", "ssm:ListCommandInvocations"),
        *("lambda:InvokeFunction", "logs:CreateLogStream", "logs:PutLogEvents"),
    }
    assert {action for action, resource in actions.items() if resource == "*"} == {
        "ssm:ListCommands",
        "ssm:ListCommandInvocations",
    }
    assert account("iam").list_attached_role_policies(RoleName=role)["AttachedPolicies"] == []


def test_refused_before_anything_changes(scenario: Scenario, account: Account) -> None:
    """One clear sentence for each mistake, and nothing is changed."""
    account.told(silent=account.instances()[:1])
    for variables, said in {
        '{"aws_graceful_termination_group": "other"}': "has no Auto Scaling group of that name",
        '{"aws_graceful_termination_region": "eu-central-1a"}': "without the letter of a zone",
        '{"aws_graceful_termination_limit_seconds": 100000}': "as long as Auto Scaling can wait",
        '{"aws_graceful_termination_create_group": true}': "aws_graceful_termination_image, is ''",
        "{}": account.instances()[0],
    }.items():
        run = scenario.play("converge.yml", variables=json.loads(variables))
        assert said in run.complaint()
        assert run.changed == set()


def test_removed_without_trace(scenario: Scenario, account: Account) -> None:
    """Nothing that the role has made is left, the group is, and the role can make it all again."""
    foreseen = scenario.play("remove.yml", "--check").check().changed
    assert scenario.play("remove.yml").check().changed == foreseen
    assert scenario.play("remove.yml").check().changed == set()
    assert len(account.instances()) == 2
    assert account("autoscaling").describe_lifecycle_hooks(AutoScalingGroupName=GROUP)["LifecycleHooks"] == []
    assert account("lambda").list_functions()["Functions"] == []
    assert account("events").list_rules()["Rules"] == []
    assert account("iam").list_roles()["Roles"] == []
    assert account("logs").describe_log_groups()["logGroups"] == []
    assert account("cloudwatch").describe_alarms()["MetricAlarms"] == []
    owned = account("ssm").list_documents(Filters=[{"Key": "Owner", "Values": ["Self"]}])["DocumentIdentifiers"]
    assert owned == []
    assert scenario.play().check().changed
