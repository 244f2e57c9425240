# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What takes part when an Auto Scaling group terminates an instance, and whether it fits together."""

from __future__ import annotations

import json
import shlex
import time
from typing import Any, Callable, Mapping, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._aws.client import (
    Account,
    ClientError,
    caller,
    code_of,
    told,
)
from ansible_collections.clusterkit.middleware.plugins.module_utils._aws.document import Document
from ansible_collections.clusterkit.middleware.plugins.module_utils._aws.rule import Rule
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.verification import Verification

TERMINATING = "autoscaling:EC2_INSTANCE_TERMINATING"
#: The statement of the function's policy that lets EventBridge invoke it.
STATEMENT = "clusterkit"
#: Systems Manager takes at most so many values in a filter.
INSTANCES_AT_ONCE = 50
#: Seconds between two looks.
POLL = 5.0


def look(account: Account, group: str, hook: str, name: str, role: str) -> dict[str, Any]:
    """Return what there is; RETURN of module lifecycle_info says in which form. Raises ClusterkitError."""
    found = _group(account("autoscaling"), group)
    hooks = _hooks(account("autoscaling"), group) if found else {}
    who = caller(account)
    return {
        "account": who,
        "group": found,
        "hook": hooks.get(hook, {}),
        "other_hooks": [one for one in hooks if one != hook and hooks[one]["transition"] == TERMINATING],
        "document": Document(account("ssm"), name).read() or {},
        "function": _function(account("lambda"), name),
        "rule": Rule(account("events"), name).read(),
        "role": _role(account("iam"), role),
        "retention": _retention(account("logs"), f"/aws/lambda/{name}"),
        "alarm": _alarm(account("cloudwatch"), name),
        "agents": agents(account("ssm"), sorted(found.get("instances", {}))),
    }


def look_until_ready(
    see: Callable[[], dict[str, Any]],
    limit: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    """Look until the function is ready and the instances can be reached, at most `limit` seconds; return the last look.

    Neither is so at once: a function is prepared, and an instance has to start.
    """
    return until(
        see, lambda one: one["function"].get("state") != "Pending" and not without_agent(one), limit, clock, sleep
    )


def until(
    see: Callable[[], dict[str, Any]],
    ready: Callable[[dict[str, Any]], bool],
    limit: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    """Look until what is seen is ready, at most `limit` seconds; return the last look."""
    end = clock() + limit
    while True:
        found = see()
        if ready(found) or clock() >= end:
            return found
        sleep(min(POLL, limit))


def _group(client: Any, name: str) -> dict[str, Any]:
    with told(f"Auto Scaling group {name}"):
        listed = client.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
    if not listed:
        return {}
    (group,) = listed
    template = group.get("LaunchTemplate") or {}
    return {
        "arn": group["AutoScalingGroupARN"],
        "minimum": group["MinSize"],
        "maximum": group["MaxSize"],
        "desired": group["DesiredCapacity"],
        "subnets": [one for one in (group.get("VPCZoneIdentifier") or "").split(",") if one],
        "launch_template": template.get("LaunchTemplateName") or "",
        "tags": {one["Key"]: one["Value"] for one in group.get("Tags", [])},
        "instances": {one["InstanceId"]: one["LifecycleState"] for one in group["Instances"]},
    }


def _hooks(client: Any, group: str) -> dict[str, dict[str, Any]]:
    with told(f"the lifecycle hooks of Auto Scaling group {group}"):
        listed = client.describe_lifecycle_hooks(AutoScalingGroupName=group)["LifecycleHooks"]
    return {
        one["LifecycleHookName"]: {
            "transition": one["LifecycleTransition"],
            "heartbeat": one.get("HeartbeatTimeout"),
            "result": one.get("DefaultResult"),
        }
        for one in listed
    }


def _function(client: Any, name: str) -> dict[str, Any]:
    with told(f"function {name}"):
        try:
            found = client.get_function_configuration(FunctionName=name)
        except ClientError as error:
            if code_of(error) == "ResourceNotFoundException":
                return {}
            raise
        return {
            "arn": found["FunctionArn"],
            # Some answer without one: a function is there at once then
            "state": found.get("State", "Active"),
            "sha256": found["CodeSha256"],
            "timeout": found["Timeout"],
            "environment": found.get("Environment", {}).get("Variables", {}),
            "permission": _permission(client, name),
        }


def _permission(client: Any, name: str) -> str:
    """Return the ARN for which EventBridge may invoke the function, empty where it may not."""
    try:
        policy = json.loads(client.get_policy(FunctionName=name)["Policy"])
    except ClientError as error:
        if code_of(error) == "ResourceNotFoundException":
            return ""
        raise
    for statement in policy["Statement"]:
        if statement.get("Sid") == STATEMENT and statement.get("Principal") == {"Service": "events.amazonaws.com"}:
            return str(statement.get("Condition", {}).get("ArnLike", {}).get("AWS:SourceArn", ""))
    return ""


def _role(client: Any, name: str) -> dict[str, Any]:
    with told(f"IAM role {name}"):
        try:
            role = client.get_role(RoleName=name)["Role"]
        except ClientError as error:
            if code_of(error) == "NoSuchEntity":
                return {}
            raise
        policies = [
            one
            for page in client.get_paginator("list_role_policies").paginate(RoleName=name)
            for one in page["PolicyNames"]
        ]
    return {"arn": role["Arn"], "policies": policies}


def _retention(client: Any, name: str) -> int | None:
    with told(f"log group {name}"):
        for page in client.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=name):
            for one in page["logGroups"]:
                if one["logGroupName"] == name:
                    return int(one.get("retentionInDays") or 0)
    return None


def _alarm(client: Any, name: str) -> dict[str, Any]:
    with told(f"alarm {name}"):
        listed = client.describe_alarms(AlarmNames=[name])["MetricAlarms"]
    return {"actions": sorted(listed[0].get("AlarmActions", []))} if listed else {}


def agents(client: Any, instances: Sequence[str]) -> dict[str, str]:
    """Return what Systems Manager says of the agent on each instance that it knows. Raises ClusterkitError."""
    states: dict[str, str] = {}
    with told("the agents of Systems Manager"):
        for start in range(0, len(instances), INSTANCES_AT_ONCE):
            wanted = [{"Key": "InstanceIds", "Values": instances[start : start + INSTANCES_AT_ONCE]}]
            for page in client.get_paginator("describe_instance_information").paginate(Filters=wanted):
                states.update({one["InstanceId"]: one["PingStatus"] for one in page["InstanceInformationList"]})
    return states


def without_agent(found: Mapping[str, Any]) -> list[str]:
    """Return the instances in service on which no command can be run."""
    return [one for one in in_service(found) if found["agents"].get(one) != "Online"]


def in_service(found: Mapping[str, Any]) -> list[str]:
    """Return the instances that are in service: those that come or go are none to count on."""
    return sorted(one for one, state in found["group"].get("instances", {}).items() if state == "InService")


def verification(found: Mapping[str, Any], wanted: Mapping[str, Any], role: str) -> dict[str, Any]:
    """Return whether an instance that is terminated now would be ended gracefully, as the document of a verification.

    `wanted` has group, hook, heartbeat, result, document, rule (its pattern), function (its ARN) and rule_arn.
    """
    result = Verification(role, str(wanted["group"]), in_service(found))
    for one in in_service(found):
        state = found["agents"].get(one, "not registered")
        if state == "Online":
            result.seen(one)
        result.check("agent", state == "Online", f"Systems Manager says of it: {state}", one)
    hook = found["hook"]
    wanted_hook = {"transition": TERMINATING, "heartbeat": wanted["heartbeat"], "result": wanted["result"]}
    result.check("hook", hook == wanted_hook, f"{wanted['hook']}: {hook or 'there is none'}")
    document = found["document"]
    evidence = "says what is wanted" if document == wanted["document"] else "says something else"
    result.check("document", document == wanted["document"], evidence if document else "there is none")
    rule = found["rule"]
    leads = list(rule.get("targets", {}).values()) == [wanted["function"]] and rule.get("pattern") == wanted["rule"]
    evidence = (
        f"enabled: {rule['enabled']}, targets: {', '.join(rule['targets'].values())}" if rule else "there is none"
    )
    result.check("rule", bool(rule) and rule["enabled"] and leads, evidence)
    function = found["function"]
    state = function.get("state", "there is none")
    result.check("function", state == "Active", f"{state}")
    permission = function.get("permission") or "nothing"
    result.check("permission", permission == wanted["rule_arn"], f"EventBridge may invoke it for {permission}")
    result.check("alarm", bool(found["alarm"]), "there" if found["alarm"] else "there is none")
    return result.result()


def document(command: Sequence[str], user: str, limit: int, schema: str) -> dict[str, Any]:
    """Return the document that has a command run as a user and ends it after `limit` seconds."""
    prefix = [] if user == "root" else ["runuser", "-u", user, "--"]
    lines = [" ".join(["exec", *map(shlex.quote, [*prefix, *command])])]
    description = "Stops the service before the instance is terminated"
    if schema == "1.2":
        step = {"id": "0.aws:runShellScript", "timeoutSeconds": str(limit), "runCommand": lines}
        return {
            "schemaVersion": "1.2",
            "description": description,
            "parameters": {},
            "runtimeConfig": {"aws:runShellScript": {"properties": [step]}},
        }
    return {
        "schemaVersion": "2.2",
        "description": description,
        "mainSteps": [
            {
                "action": "aws:runShellScript",
                "name": "stop",
                "precondition": {"StringEquals": ["platformType", "Linux"]},
                "inputs": {"timeoutSeconds": str(limit), "runCommand": lines},
            }
        ],
    }


def command_of(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return `schema`, and `command` and `user` of a document that runs one line, also one that was written by hand."""
    steps = [one.get("inputs", {}) for one in content.get("mainSteps", [])]
    steps += content.get("runtimeConfig", {}).get("aws:runShellScript", {}).get("properties", [])
    lines = [line for step in steps for line in step.get("runCommand", []) if line.strip() and not line.startswith("#")]
    result: dict[str, Any] = {"schema": content["schemaVersion"]} if "schemaVersion" in content else {}
    try:
        words = shlex.split(lines[0]) if len(lines) == 1 else []
    except ValueError:
        words = []
    if words[:1] == ["exec"]:
        del words[0]
    user = "root"
    if words[:2] in (["runuser", "-u"], ["sudo", "-u"]) and len(words) > 3:
        user = words[2]
        del words[: 4 if words[3] == "--" else 3]
    elif words[:1] == ["sudo"]:
        del words[0]
    return {**result, "command": words, "user": user} if words else result


def exported(found: Mapping[str, Any], given: Mapping[str, Any], role: str) -> dict[str, Any]:
    """Return what is there, in the variables of a role; `given` are the variables that said where to look."""
    values: dict[str, Any] = {}
    for key, value in command_of(found["document"]).items():
        values["document_schema" if key == "schema" else key] = value
    if found["hook"]:
        values["heartbeat_seconds"] = found["hook"]["heartbeat"]
        values["default_result"] = found["hook"]["result"]
    environment = found["function"].get("environment", {})
    for name, key in (("LIMIT_SECONDS", "limit_seconds"), ("POLL_SECONDS", "poll_seconds")):
        if name in environment:
            values[key] = int(float(environment[name]))
    if found["retention"]:
        values["log_retention_days"] = found["retention"]
    if found["alarm"]:
        values["alarm_actions"] = found["alarm"]["actions"]
    return {f"{role}_{key}": value for key, value in {**given, **values}.items()} if values else {}
