# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an account needs so that members of a cluster find each other by the instances that AWS names.

Hazelcast asks for all instances of a security group that have a tag. Nothing fails where a group, a tag, a right or a
rule is missing: the member starts alone. So each is looked at here.
"""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._aws.client import (
    Account,
    ClientError,
    caller,
    code_of,
    told,
)
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.verification import Verification

#: The tag by which it is known for whom something was made.
OWNER = "clusterkit"
#: States of instances that have an address and may be members.
_STATES = ["pending", "running", "stopping", "stopped"]

Members = Sequence[Mapping[str, Any]]


def look(account: Account, user: str, group: str, vpc: str, addresses: Sequence[str]) -> dict[str, Any]:
    """Return what there is; RETURN of module instance_discovery_info says in which form. Raises ClusterkitError."""
    who = caller(account)
    instances = _instances(account("ec2"), addresses, vpc)
    networks = sorted({one["vpc"] for listed in instances.values() for one in listed} | ({vpc} if vpc else set()))
    return {
        "account": who,
        "user": _user(account("iam"), user),
        "policy": _policy(account("iam"), f"arn:{who['partition']}:iam::{who['id']}:policy/{user}"),
        "groups": _groups(account("ec2"), group, networks),
        "vpcs": networks,
        "instances": instances,
    }


def _user(client: Any, name: str) -> dict[str, Any]:
    with told(f"user {name}"):
        try:
            user = client.get_user(UserName=name)["User"]
        except ClientError as error:
            if code_of(error) == "NoSuchEntity":
                return {}
            raise
        attached = client.get_paginator("list_attached_user_policies").paginate(UserName=name)
        inline = client.get_paginator("list_user_policies").paginate(UserName=name)
        keys = client.get_paginator("list_access_keys").paginate(UserName=name)
        return {
            "arn": user["Arn"],
            "tags": _tags(client.list_user_tags(UserName=name)["Tags"]),
            "attached": sorted(one["PolicyArn"] for page in attached for one in page["AttachedPolicies"]),
            "inline": sorted(one for page in inline for one in page["PolicyNames"]),
            "keys": {one["AccessKeyId"]: one["Status"] for page in keys for one in page["AccessKeyMetadata"]},
        }


def _policy(client: Any, arn: str) -> dict[str, Any]:
    with told(f"policy {arn}"):
        try:
            policy = client.get_policy(PolicyArn=arn)["Policy"]
        except ClientError as error:
            if code_of(error) == "NoSuchEntity":
                return {}
            raise
        version = client.get_policy_version(PolicyArn=arn, VersionId=policy["DefaultVersionId"])["PolicyVersion"]
        return {
            "arn": arn,
            "tags": _tags(client.list_policy_tags(PolicyArn=arn)["Tags"]),
            "document": version["Document"],
        }


def _groups(client: Any, name: str, networks: Sequence[str]) -> list[dict[str, Any]]:
    """Return the security groups of a name in the networks: a name is unique in one, not in a region."""
    if not networks:
        return []
    wanted = [{"Name": "group-name", "Values": [name]}, {"Name": "vpc-id", "Values": list(networks)}]
    with told(f"security group {name}"):
        pages = client.get_paginator("describe_security_groups").paginate(Filters=wanted)
        return [
            {
                "id": one["GroupId"],
                "vpc": one["VpcId"],
                "tags": _tags(one.get("Tags", [])),
                "rules": [
                    {
                        "protocol": rule["IpProtocol"],
                        "from": rule.get("FromPort", 0),
                        "to": rule.get("ToPort", 65535),
                        "groups": [pair["GroupId"] for pair in rule.get("UserIdGroupPairs", [])],
                        "networks": [network["CidrIp"] for network in rule.get("IpRanges", [])],
                    }
                    for rule in one["IpPermissions"]
                ],
            }
            for page in pages
            for one in page["SecurityGroups"]
        ]


def _instances(client: Any, addresses: Sequence[str], vpc: str) -> dict[str, list[dict[str, Any]]]:
    """Return the instances with each private address: networks of a region may have the same ones."""
    found: dict[str, list[dict[str, Any]]] = {address: [] for address in addresses}
    wanted = [
        {"Name": "private-ip-address", "Values": list(addresses)},
        {"Name": "instance-state-name", "Values": _STATES},
        *([{"Name": "vpc-id", "Values": [vpc]}] if vpc else []),
    ]
    if not addresses:
        return found
    with told("the instances of the members"):
        pages = client.get_paginator("describe_instances").paginate(Filters=wanted)
        listed = [one for page in pages for reservation in page["Reservations"] for one in reservation["Instances"]]
    for one in listed:
        found[one["PrivateIpAddress"]].append(
            {
                "id": one["InstanceId"],
                "vpc": one.get("VpcId", ""),
                "tags": _tags(one.get("Tags", [])),
                "groups": sorted(each["GroupId"] for each in one["SecurityGroups"]),
                "tokens": one.get("MetadataOptions", {}).get("HttpTokens", ""),
            }
        )
    return found


def _tags(listed: Sequence[Mapping[str, str]]) -> dict[str, str]:
    return {one["Key"]: one["Value"] for one in listed}


def plan(found: Mapping[str, Any], members: Members, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return what has to be done: `group` (its id, empty while there is none), `vpc`, and lists for those that need it.

    `join` has the instances that are not in the group, each with `id` and `groups` as they shall be; `tag` the ids of
    those without the tags; `leave` the instances with the groups that they keep, `alone` those that would have none.
    `unkept` are the ids of the user's keys but the one that is kept.
    """
    instances = [found["instances"][one["address"]][0] for one in members if found["instances"].get(one["address"])]
    group = found["groups"][0]["id"] if len(found["groups"]) == 1 else ""
    inside = [one for one in instances if group in one["groups"]]
    return {
        "group": group,
        "vpc": found["vpcs"][0] if len(found["vpcs"]) == 1 else "",
        "join": [
            {"id": one["id"], "groups": sorted([*one["groups"], group])} for one in instances if one not in inside
        ],
        "tag": [one["id"] for one in instances if not _tagged(one, wanted)],
        "tagged": [one["id"] for one in instances if _tagged(one, wanted)],
        "leave": [
            {"id": one["id"], "groups": [each for each in one["groups"] if each != group]}
            for one in inside
            if len(one["groups"]) > 1
        ],
        "alone": [one["id"] for one in inside if len(one["groups"]) == 1],
        "unkept": sorted(set(found["user"].get("keys", {})) - {wanted["key"]}),
    }


def _tagged(instance: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    return all(instance["tags"].get(key) == value for key, value in wanted["tags"].items())


def problems(found: Mapping[str, Any], members: Members, wanted: Mapping[str, Any], role: str) -> list[str]:
    """Return, in sentences, what stands in the way. `role` is the one whose variables are named.

    `wanted` has `owner` (for whom things are made), `manages` (whether they are, or only looked at), `user` (empty
    where none is wanted), `rights` (its policy's document), `key` (the id of the key that is kept, empty where there is
    none) and `replaces` (whether others of the user may go), `group`, `port` and `tags`.
    """
    out = _of_instances(found, members, wanted, role)
    out += _of_group(found, members, wanted, role)
    return out + (_of_user(found, wanted, role) if wanted["user"] else [])


def _where(found: Mapping[str, Any]) -> str:
    return f"account {found['account']['id']}, {found['account']['region']}"


def _of_instances(found: Mapping[str, Any], members: Members, wanted: Mapping[str, Any], role: str) -> list[str]:
    out = []
    for member in members:
        host, address = member["host"], member["address"]
        listed = found["instances"].get(address, [])
        if not listed:
            out.append(
                f"{role}_address of {host} is {address}, and no instance has that ({_where(found)}): give the private "
                f"address of its instance, or the right {role}_aws_region and {role}_aws_profile."
            )
        elif len(listed) > 1:
            told_ones = ", ".join(f"{one['id']} in {one['vpc']}" for one in listed)
            out.append(
                f"{role}_address of {host} is {address}, which {len(listed)} instances have ({told_ones}): give "
                f"{role}_aws_vpc."
            )
        elif not wanted["manages"] and not _tagged(listed[0], wanted):
            tags = ", ".join(f"{key}={value}" for key, value in wanted["tags"].items())
            out.append(f"Instance {listed[0]['id']} of {host} does not have the tag {tags}: the others do not find it.")
    return out


def _of_group(found: Mapping[str, Any], members: Members, wanted: Mapping[str, Any], role: str) -> list[str]:
    name, port = wanted["group"], wanted["port"]
    if len(found["vpcs"]) > 1:
        return [
            f"The instances are in several networks, {', '.join(found['vpcs'])}: a security group is in one, and so "
            "have to be the members."
        ]
    if not found["groups"]:
        if wanted["manages"]:
            return []
        return [f"There is no security group {name} ({_where(found)}): give the right {role}_aws_security_group."]
    (group,) = found["groups"]
    # What somebody else has made is looked at only
    if wanted["manages"] and group["tags"].get(OWNER) == wanted["owner"]:
        return []
    out = []
    if not opened(group, port):
        out.append(
            f"Security group {name} ({group['id']}) was not made for {wanted['owner']}, and lets its members not "
            f"reach each other: add a rule for tcp port {port} from {group['id']}."
        )
    for member in members:
        for one in found["instances"].get(member["address"], []):
            if group["id"] not in one["groups"]:
                out.append(
                    f"Instance {one['id']} of {member['host']} is not in security group {name} ({group['id']}), which "
                    f"was not made for {wanted['owner']}: add it."
                )
    return out


def opened(group: Mapping[str, Any], port: int) -> bool:
    """Tell whether a security group lets its own instances reach a port of each other."""
    return any(
        rule["protocol"] in ("tcp", "-1")
        and (rule["protocol"] == "-1" or rule["from"] <= port <= rule["to"])
        and (group["id"] in rule["groups"] or "0.0.0.0/0" in rule["networks"])
        for rule in group["rules"]
    )


def _of_user(found: Mapping[str, Any], wanted: Mapping[str, Any], role: str) -> list[str]:
    user, key = wanted["user"], wanted["key"]
    out = [
        f"There is a {what} {user} already ({_where(found)}), which was not made for {wanted['owner']}: give another "
        f"{role}_aws_user."
        for what in ("user", "policy")
        if found[what] and found[what]["tags"].get(OWNER) != wanted["owner"]
    ]
    if out:
        return out
    keys = found["user"].get("keys", {})
    if key and key not in keys:
        return [
            f"{role}_aws_key_path has the key {key}, which is none of user {user} ({_where(found)}): move that file "
            "away, and a key is made, or give another path."
        ]
    if key and keys[key] != "Active":
        return [f"The key {key} of user {user} is {keys[key].lower()}: make it active, or move the file with it away."]
    others = sorted(set(keys) - {key})
    if others and not wanted["replaces"]:
        return [
            f"User {user} has the key {', '.join(others)}, which is not in {role}_aws_key_path: a secret key is told "
            f"once. Bring the file with it back, or run with {role}_aws_replace_key: true, which removes that key."
        ]
    return []


def verification(found: Mapping[str, Any], members: Members, wanted: Mapping[str, Any], role: str) -> dict[str, Any]:
    """Return whether the members would find each other, as the document of a verification; `wanted` as for problems."""
    out = Verification(role, str(wanted["owner"]), [one["name"] for one in members])
    groups = found["groups"]
    group = groups[0] if len(groups) == 1 else {}
    for member in members:
        listed = found["instances"].get(member["address"], [])
        one = listed[0] if len(listed) == 1 else {"tags": {}, "groups": []}
        tagged = _tagged(one, wanted)
        inside = bool(group) and group["id"] in one["groups"]
        name = member["name"]
        out.check("instance", len(listed) == 1, ", ".join(each["id"] for each in listed) or "there is none", name)
        out.check("tag", tagged, f"has {one['tags'] or 'no tag'}", name)
        out.check("group", inside, f"is in {', '.join(one['groups']) or 'no group'}", name)
        if tagged and inside:
            out.seen(name)
    told_group = f"{group['id']} in {group['vpc']}" if group else f"there are {len(groups)} of that name"
    out.check("security group", bool(group), told_group)
    opens = bool(group) and opened(group, wanted["port"])
    out.check("rule", opens, f"port {wanted['port']} is {'open' if opens else 'closed'} to the group's instances")
    if wanted["user"]:
        user, policy = found["user"], found["policy"]
        has = [*user.get("attached", []), *user.get("inline", [])]
        out.check("user", has == [policy.get("arn")], f"its policies: {', '.join(has) or 'none'}")
        right = policy.get("document") == wanted["rights"]
        out.check("rights", right, "exactly those that are needed" if right else f"{policy.get('document')}")
        state = user.get("keys", {}).get(wanted["key"], "not there")
        out.check("key", state == "Active", f"{wanted['key'] or 'the key'} is {state}")
    return out.result()
