# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role makes in an account, that it tells nobody the key, and what is left after removal."""

from __future__ import annotations

import json
import stat
from typing import Any

import boto3
import pytest

from molecule.shared.scenario import ROOT, Scenario

USER, GROUP, REGION = "wso2_servers-members", "shop", "eu-central-1"
ADDRESSES = ["172.31.0.11", "172.31.0.12"]
RIGHTS = {"ec2:DescribeAvailabilityZones", "ec2:DescribeInstances"}


class Account:
    """The stand-in, asked as AWS is."""

    def __init__(self, scenario: Scenario) -> None:
        self.directory = ROOT / "build" / "lab" / "aws" / scenario.name
        self.key = self.directory / "key.json"

    def __call__(self, service: str) -> Any:
        """Return the client of a service."""
        url = (self.directory / "url").read_text(encoding="ascii")
        return boto3.client(service, region_name=REGION, endpoint_url=url)

    def instances(self) -> list[dict[str, Any]]:
        """Return the instances of the members, in their order."""
        listed = self("ec2").describe_instances()["Reservations"]
        found = {one["PrivateIpAddress"]: one for each in listed for one in each["Instances"]}
        return [found[address] for address in ADDRESSES]

    def keys(self) -> list[str]:
        """Return the ids of the user's keys."""
        return [one["AccessKeyId"] for one in self("iam").list_access_keys(UserName=USER)["AccessKeyMetadata"]]


@pytest.fixture
def account(scenario: Scenario) -> Account:
    """Return the account."""
    return Account(scenario)


def test_the_user_has_exactly_two_rights(account: Account) -> None:
    """The one policy is attached, and has the two actions of the manual and no others; nothing is inline."""
    iam = account("iam")
    (attached,) = iam.list_attached_user_policies(UserName=USER)["AttachedPolicies"]
    assert iam.list_user_policies(UserName=USER)["PolicyNames"] == []
    versions = iam.list_policy_versions(PolicyArn=attached["PolicyArn"])["Versions"]
    assert len(versions) == 1, "what the policy was before can be made the default again"
    document = iam.get_policy_version(PolicyArn=attached["PolicyArn"], VersionId=versions[0]["VersionId"])
    (statement,) = document["PolicyVersion"]["Document"]["Statement"]
    assert set(statement["Action"]) == RIGHTS and statement["Effect"] == "Allow"


def test_the_key_is_kept_where_it_was_said_and_nowhere_else(scenario: Scenario, account: Account) -> None:
    """It was made once, its file is closed to others, and no run tells it, however much it is asked to."""
    kept = json.loads(account.key.read_text(encoding="utf-8"))
    assert account.keys() == [kept["access_key"]]
    assert stat.S_IMODE(account.key.stat().st_mode) == 0o600
    run = scenario.play("converge.yml", "-vvv", "--diff").check()
    assert kept["secret_key"] not in run.output


def test_instances_find_each_other(account: Account) -> None:
    """All are in the group, whose one rule is the port for the group itself, and have the tag; what they had stays."""
    (group,) = account("ec2").describe_security_groups(Filters=[{"Name": "group-name", "Values": [GROUP]}])[
        "SecurityGroups"
    ]
    (rule,) = group["IpPermissions"]
    assert (rule["IpProtocol"], rule["FromPort"], rule["ToPort"]) == ("tcp", 5701, 5701)
    assert [one["GroupId"] for one in rule["UserIdGroupPairs"]] == [group["GroupId"]] and not rule["IpRanges"]
    for number, instance in enumerate(account.instances(), 1):
        assert {one["GroupName"] for one in instance["SecurityGroups"]} == {GROUP, "default"}
        tags = {one["Key"]: one["Value"] for one in instance["Tags"]}
        assert tags == {"Name": f"w{number}", "cluster": "shop"}


def test_a_key_that_is_kept_nowhere_is_told_of(scenario: Scenario, account: Account) -> None:
    """As after a run that was cut off between the key and its file: refused, and replaced on request."""
    lost = account("iam").create_access_key(UserName=USER)["AccessKey"]["AccessKeyId"]
    account.key.rename(account.key.with_suffix(".away"))
    try:
        run = scenario.play()
        assert f"has the key {', '.join(sorted(account.keys()))}, which is not in" in run.complaint()
        assert run.changed == set()
    finally:
        account.key.with_suffix(".away").rename(account.key)
    assert lost in scenario.play().complaint()
    scenario.play(variables={"wso2_cluster_aws_replace_key": True}).check()
    assert account.keys() == [json.loads(account.key.read_text(encoding="utf-8"))["access_key"]]


def test_refused_before_anything_changes(scenario: Scenario, account: Account) -> None:
    """One clear sentence for each mistake, and nothing is changed."""
    for variables, said in (
        ({"wso2_cluster_aws_region": "eu-central-1a"}, "without the letter of a zone"),
        ({"wso2_cluster_aws_region": "eu-west-1"}, "no instance has that (account 123456789012, eu-west-1)"),
        ({"wso2_cluster_aws_user": "root"}, "is none of user root"),
        ({"wso2_cluster_aws_security_group": "default"}, "was not made for wso2_servers"),
        ({"wso2_cluster_aws_key_path": "/nowhere/key.json"}, "there is no directory /nowhere"),
        ({"wso2_cluster_scheme": "wka"}, "nothing is needed in an account but for aws"),
    ):
        run = scenario.play(variables=variables)
        assert said in run.complaint()
        assert run.changed == set()


def test_what_is_only_checked_is_not_changed(scenario: Scenario, account: Account) -> None:
    """With `checked` a tag that is missing is told of and stays missing."""
    (first, _second) = account.instances()
    tags = [{"Key": "cluster", "Value": "shop"}]
    account("ec2").delete_tags(Resources=[first["InstanceId"]], Tags=tags)
    run = scenario.play(variables={"wso2_cluster_aws_account": "checked"})
    assert f"Instance {first['InstanceId']} of w1 does not have the tag cluster=shop" in run.complaint()
    assert scenario.play().check().changed


def test_removed_without_trace(scenario: Scenario, account: Account) -> None:
    """Nothing that the role has made is left, the instances are as they were, and it can make all of it again."""
    foreseen = scenario.play("remove.yml", "--check").check().changed
    assert scenario.play("remove.yml").check().changed == foreseen
    assert scenario.play("remove.yml").check().changed == set()
    assert not account.key.exists()
    assert account("iam").list_users()["Users"] == []
    assert account("iam").list_policies(Scope="Local")["Policies"] == []
    named = account("ec2").describe_security_groups(Filters=[{"Name": "group-name", "Values": [GROUP]}])
    assert named["SecurityGroups"] == []
    for number, instance in enumerate(account.instances(), 1):
        assert [one["GroupName"] for one in instance["SecurityGroups"]] == ["default"]
        assert [one["Value"] for one in instance["Tags"]] == [f"w{number}"]
    assert scenario.play().check().changed
