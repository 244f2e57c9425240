# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judging what members say of each other: are they one cluster, and if not, which parts are there and why."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.verification import Verification

Found = Mapping[str, Mapping[str, Any]]
Members = Sequence[Mapping[str, Any]]
#: So many errors of a member stand in a piece of evidence.
_NAMED = 3


def word(account: Mapping[str, Any], name: str) -> Mapping[str, str]:
    """Return what a member last said about the one with this `address:port`, empty for nothing."""
    for one in account["others"]:
        if one["address"] == name:
            found: Mapping[str, str] = one
            return found
    return {}


def together(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Tell whether two members are in one cluster, by what each last said about the other.

    The one that was there first has to say that the other joined, under the identifier that this one has. It has
    another one since its part of a split cluster has merged; then each says that the other joined.
    """
    if not (one["initialized"] and other["initialized"]):
        return False
    words = (word(one, _name(other)), word(other, _name(one)))
    if any(said and said["state"] != "joined" for said in words):
        return False
    if all(words):
        return True
    return any(said and said["uuid"] == whom["local"]["uuid"] for said, whom in zip(words, (other, one)))


def parts(found: Found, members: Members) -> list[list[str]]:
    """Return the clusters that there are, as lists of names: members that say so of each other, the largest first."""
    left = [one for one in members if one["host"] in found]
    out: list[list[str]] = []
    while left:
        group, waiting = [], [left[0]]
        while waiting:
            one = waiting.pop()
            if one in group:
                continue
            group.append(one)
            waiting += [other for other in left if together(found[one["host"]], found[other["host"]])]
        out.append([one["name"] for one in left if one in group])
        left = [one for one in left if one not in group]
    return sorted(out, key=lambda names: -len(names))


def verification(
    found: Found, members: Members, cluster: str, role: str = "hazelcast", scheme: str = "", domain: str = ""
) -> dict[str, Any]:
    """Return the verification that all members are one cluster, in the schema that all roles share.

    Each member has `host`, `name`, `address` and `port`. With `scheme` and `domain` it has to be those.
    """
    document = Verification(role, cluster, [one["name"] for one in members])
    groups = parts(found, members)
    largest = groups[0] if groups and (len(groups[0]) > 1 or len(members) == 1) else []
    names = {f"{one['address']}:{one['port']}": one["name"] for one in members}
    for one in members:
        host, name = one["host"], one["name"]
        if host not in found:
            document.silent(name)
            continue
        account = found[host]
        if name in largest and account["initialized"]:
            document.seen(name)
        document.check("runs", *_runs(account, name), name)
        if not account["running"]:
            continue
        if account["whole"] or account["initialized"]:
            document.check("clusters", *_clusters(account, name, scheme, domain), name)
        else:
            document.check("log", False, f"{name}: its log does not reach back to the start of its process", name)
        document.check("errors", *_errors(account, name), name)
        others = [
            other["name"]
            for other in members
            if other is not one and other["host"] in found and together(account, found[other["host"]])
        ]
        document.check("counts", *_counts(account, name, others, len(members), groups), name)
        strangers = [
            said["address"] for said in account["others"] if said["state"] == "joined" and said["address"] not in names
        ]
        if strangers:
            evidence = f"{name} has {', '.join(strangers)} in its cluster, which the inventory does not: give that one "
            document.check("strangers", False, f"{evidence}another domain, or add it to the group", name)
    if len([one for one in groups if len(one) > 1]) > 1 or (len(groups) > 1 and largest):
        split = " and ".join("+".join(one) for one in groups)
        document.check("one cluster", False, f"the cluster is split: {split}")
    elif groups:
        document.check("one cluster", len(groups) == 1, f"parts: {' and '.join('+'.join(one) for one in groups)}")
    return document.result()


def _name(account: Mapping[str, Any]) -> str:
    return f"{account['local']['address']}:{account['local']['port']}"


def _runs(account: Mapping[str, Any], name: str) -> tuple[bool, str]:
    if not account["running"]:
        return False, f"{name} does not run"
    return True, f"{name} runs since {account['started']}"


def _clusters(account: Mapping[str, Any], name: str, scheme: str, domain: str) -> tuple[bool, str]:
    if not account["scheme"]:
        return False, f"{name} does not cluster: nothing in its log since its start names a scheme"
    for what, wanted in (("scheme", scheme), ("domain", domain)):
        if wanted and account[what] != wanted:
            return False, f"{name} has the {what} {account[what]}, expected {wanted}"
    if not account["initialized"]:
        return False, f"{name} has not ended the start of its cluster{_because(account)}"
    return True, f"{name} uses the scheme {account['scheme']} in the domain {account['domain']}"


def _errors(account: Mapping[str, Any], name: str) -> tuple[bool, str]:
    count = account["errors_counted"]
    if not count:
        return True, f"{name} has logged no error since its start"
    return False, f"{name} has logged {count} errors since its start: {'; '.join(account['errors'][:_NAMED])}"


def _counts(
    account: Mapping[str, Any], name: str, others: Sequence[str], expected: int, groups: Sequence[Sequence[str]]
) -> tuple[bool, str]:
    count = len(others) + 1
    if count == expected:
        return True, f"{name} counts {count} members"
    if count > 1:
        return False, f"{name} counts {count} members of {expected}: itself, {', '.join(others)}"
    if not account["initialized"]:
        return False, f"{name} is in no cluster{_because(account)}"
    how = "started alone" if account["founded"] else "is alone"
    return False, f"{name} {how}{_because(account) or _likely(account, name, groups)}"


def _because(account: Mapping[str, Any]) -> str:
    return f": {', '.join(account['causes'])}" if account["causes"] else ""


def _likely(account: Mapping[str, Any], name: str, groups: Sequence[Sequence[str]]) -> str:
    if account["scheme"] == "aws":
        return ": a wrong region, tag, security group or secret key makes no error, compare them with the others'"
    if any(len(one) > 1 for one in groups if name not in one):
        return (
            ": it came back before the others had noticed that it was gone, or they did not reach each other then; it "
            "merges after a minute or so, or stop it, wait until the others log that it left, and start it"
        )
    return ": it did not reach the others when it started, look at the network, firewalls and localMemberHost"
