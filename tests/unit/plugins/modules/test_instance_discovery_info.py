# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What members need in an account is found, and judged together."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Iterator

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._aws import discovery
from ansible_collections.clusterkit.middleware.plugins.modules import instance_discovery_info
from tests.unit.plugins.modules.aws import REGION, account
from tests.verify_document import load_and_validate

if TYPE_CHECKING:
    from tests.unit.conftest import RunModule

MEMBERS = [{"host": f"h{i}", "name": f"n{i}", "address": f"172.31.0.1{i}"} for i in (1, 2)]
RIGHTS = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["ec2:DescribeInstances"]}]}
WANTED = {
    **{"owner": "servers", "manages": True, "user": "members", "rights": RIGHTS, "key": "AKIA1", "replaces": False},
    **{"group": "site", "port": 5701, "tags": {"cluster": "shop"}},
}
MINE = {"clusterkit": "servers"}


def found() -> dict[str, Any]:
    """Return an account in which everything is there."""
    return copy.deepcopy(
        {
            "account": {"id": "123456789012", "partition": "aws", "region": REGION},
            "user": {"tags": MINE, "attached": ["arn:p"], "inline": [], "keys": {"AKIA1": "Active"}},
            "policy": {"arn": "arn:p", "tags": MINE, "document": RIGHTS},
            "groups": [
                {
                    **{"id": "sg-1", "vpc": "vpc-1", "tags": MINE},
                    "rules": [{"protocol": "tcp", "from": 5701, "to": 5701, "groups": ["sg-1"], "networks": []}],
                }
            ],
            "vpcs": ["vpc-1"],
            "instances": {
                one["address"]: [
                    {"id": f"i-{one['host']}", "vpc": "vpc-1", "tags": {"cluster": "shop"}, "groups": ["sg-0", "sg-1"]}
                ]
                for one in MEMBERS
            },
        }
    )


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    yield from account(monkeypatch)


def test_account_with_nothing(run_module: RunModule, clients: Any) -> None:
    said = run_module(
        instance_discovery_info.main, user="members", group="site", addresses=["172.31.0.11"], region=REGION
    )
    assert not said["failed"], said
    assert said["instances"] == {"172.31.0.11": []}
    assert not any(said[name] for name in ("user", "policy", "groups", "vpcs"))


def test_what_there_is(run_module: RunModule, clients: Any) -> None:
    ec2, iam = clients("ec2"), clients("iam")
    subnet = ec2.describe_subnets(Filters=[{"Name": "cidr-block", "Values": ["172.31.0.0/20"]}])["Subnets"][0]
    group = ec2.create_security_group(GroupName="site", Description="x", VpcId=subnet["VpcId"])["GroupId"]
    ec2.authorize_security_group_ingress(
        GroupId=group,
        IpPermissions=[
            {"IpProtocol": "tcp", "FromPort": 5700, "ToPort": 5710, "UserIdGroupPairs": [{"GroupId": group}]}
        ],
    )
    ec2.run_instances(
        ImageId="ami-12c6146b",
        MinCount=1,
        MaxCount=1,
        SubnetId=subnet["SubnetId"],
        PrivateIpAddress="172.31.0.11",
        SecurityGroupIds=[group],
        MetadataOptions={"HttpTokens": "required"},
    )
    iam.create_user(UserName="members", Tags=[{"Key": "clusterkit", "Value": "servers"}])
    key = iam.create_access_key(UserName="members")["AccessKey"]["AccessKeyId"]
    said = run_module(
        instance_discovery_info.main, user="members", group="site", addresses=["172.31.0.11"], region=REGION
    )
    (instance,) = said["instances"]["172.31.0.11"]
    assert instance["groups"] == [group] and instance["tokens"] == "required"
    assert said["vpcs"] == [subnet["VpcId"]]
    (one,) = said["groups"]
    assert discovery.opened(one, 5701) and not discovery.opened(one, 5711)
    assert said["user"]["keys"] == {key: "Active"} and said["user"]["tags"] == MINE


def test_all_there() -> None:
    document = discovery.verification(found(), MEMBERS, WANTED, "site_cluster")
    load_and_validate(document)
    assert document["ok"], document
    assert discovery.problems(found(), MEMBERS, WANTED, "site_cluster") == []
    plan = discovery.plan(found(), MEMBERS, WANTED)
    assert not any(plan[name] for name in ("join", "tag", "alone", "unkept"))
    assert plan["leave"] == [{"id": "i-h1", "groups": ["sg-0"]}, {"id": "i-h2", "groups": ["sg-0"]}]


def change(*path: Any, to: Any) -> dict[str, Any]:
    """Return an account in which one thing is another."""
    changed = found()
    inner: Any = changed
    for one in path[:-1]:
        inner = inner[one]
    inner[path[-1]] = to
    return changed


FIRST = ("instances", "172.31.0.11", 0)


@pytest.mark.parametrize(
    ("there", "failing"),
    [
        (change("instances", "172.31.0.11", to=[]), {"instance", "tag", "group"}),
        (change(*FIRST, "tags", to={"cluster": "other"}), {"tag"}),
        (change(*FIRST, "groups", to=["sg-0"]), {"group"}),
        (change("groups", to=[]), {"group", "security group", "rule"}),
        (change("groups", 0, "rules", to=[]), {"rule"}),
        (change("user", "keys", to={"AKIA1": "Inactive"}), {"key"}),
        (change("user", "attached", to=[]), {"user"}),
        (change("user", "inline", to=["more"]), {"user"}),
        (change("policy", "document", to={}), {"rights"}),
    ],
)
def test_what_lacks_is_named(there: dict[str, Any], failing: set[str]) -> None:
    document = discovery.verification(there, MEMBERS, WANTED, "site_cluster")
    assert not document["ok"]
    assert {one["name"] for one in document["checks"] if not one["ok"]} == failing


OTHERS = {"clusterkit": "others"}


@pytest.mark.parametrize(
    ("there", "wanted", "said"),
    [
        (change("instances", "172.31.0.11", to=[]), {}, "no instance has that (account 123456789012, eu-central-1)"),
        (change("instances", "172.31.0.11", to=found()["instances"]["172.31.0.11"] * 2), {}, "give x_aws_vpc"),
        (change("vpcs", to=["vpc-1", "vpc-2"]), {}, "several networks, vpc-1, vpc-2"),
        (change("groups", 0, "tags", to={}), {"port": 5702}, "add a rule for tcp port 5702 from sg-1"),
        (change("groups", 0, "rules", to=[]), {"manages": False}, "add a rule for tcp port 5701 from sg-1"),
        (change("groups", to=[]), {"manages": False}, "There is no security group site"),
        (change(*FIRST, "groups", to=["sg-0"]), {"manages": False}, "Instance i-h1 of h1 is not in security group"),
        (change(*FIRST, "tags", to={}), {"manages": False}, "does not have the tag cluster=shop"),
        (change("user", "tags", to=OTHERS), {}, "There is a user members already"),
        (change("policy", "tags", to={}), {}, "There is a policy members already"),
        (found(), {"key": "AKIA2"}, "has the key AKIA2, which is none of user members"),
        (change("user", "keys", to={"AKIA1": "Inactive"}), {}, "is inactive: make it active"),
        (found(), {"key": ""}, "User members has the key AKIA1, which is not in x_aws_key_path"),
    ],
)
def test_what_stands_in_the_way(there: dict[str, Any], wanted: dict[str, Any], said: str) -> None:
    (problem, *others) = discovery.problems(there, MEMBERS, {**WANTED, **wanted}, "x")
    assert said in problem and not others


@pytest.mark.parametrize(
    ("there", "wanted"),
    [
        (change("groups", to=[]), {}),
        (change("groups", 0, "rules", to=[]), {}),
        (change(*FIRST, "groups", to=["sg-0"]), {}),
        (change(*FIRST, "tags", to={}), {}),
        (change("user", to={}), {"key": ""}),
        (change("user", "tags", to=OTHERS), {"user": ""}),
        (found(), {"key": "", "replaces": True}),
    ],
)
def test_what_the_role_mends_is_no_problem(there: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert discovery.problems(there, MEMBERS, {**WANTED, **wanted}, "x") == []


def test_what_is_done_about_it() -> None:
    there = change(*FIRST, "groups", to=["sg-0"])
    there["instances"]["172.31.0.12"][0].update(tags={}, groups=["sg-1"])
    plan = discovery.plan(there, MEMBERS, {**WANTED, "key": ""})
    assert plan["join"] == [{"id": "i-h1", "groups": ["sg-0", "sg-1"]}]
    assert (plan["tag"], plan["tagged"], plan["alone"]) == (["i-h2"], ["i-h1"], ["i-h2"])
    assert plan["unkept"] == ["AKIA1"]
