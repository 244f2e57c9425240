# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether servers can become, and are, one cluster."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._deploy import cluster

MEMBERS = [{"host": f"h{i}", "name": f"n{i}", "address": ""} for i in (1, 2)]
UNIT = "deploy.service"
IDENTITY = ["agentcomm.uri"]
FLAG = "several"
ALIKE = {"hibernate.connection.url": "the same database", "encryption.keystore.alias": "the same key for secrets"}


def server(number: int, **properties: str) -> dict[str, Any]:
    """Return what is found of a server that runs."""
    return {
        "properties": {
            "server.appdata.dir": "/share",
            FLAG: "true",
            "hibernate.connection.url": "jdbc:mysql://d1/deploy",
            "encryption.keystore.alias": "key1",
            "agentcomm.uri": f"wss://n{number}:7919",
            **properties,
        },
        "text": "7.3.0.0",
        "data": "/share",
        "units": {UNIT: "active"},
    }


NONE: dict[str, Any] = {"properties": None, "text": "", "data": "/opt", "units": {UNIT: "inactive"}}
BOTH = {"h1": server(1), "h2": server(2)}


def problems(found: dict[str, Any], **options: Any) -> list[str]:
    """Return what is said of servers, of which the first has the data."""
    return cluster.problems(
        found, MEMBERS, source="h1", identity=IDENTITY, alike=ALIKE, never_balanced=[7918], **options
    )


def test_servers_that_fit() -> None:
    assert problems(BOTH) == []
    assert problems({"h1": server(1), "h2": NONE}, archive="/a.tgz", version="7.3.0.0") == []
    assert cluster.due({"h1": server(1), "h2": NONE}, MEMBERS) == ["h2"]
    assert cluster.due({"h1": server(1)}, MEMBERS) == []


@pytest.mark.parametrize(
    ("second", "options", "said"),
    [
        (NONE, {}, "h2 have no server: give deploy_cluster_archive"),
        (
            NONE,
            {"archive": "/a", "version": "7.2.0.0"},
            "deploy_cluster_version is 7.2.0.0, and h1 has version 7.3.0.0",
        ),
        (server(1), {}, "agentcomm.uri is wss://n1:7919 on h1 and h2: an installation was copied"),
        ({**server(2), "text": "7.2.0.0"}, {}, "h2 has version 7.2.0.0, and h1 7.3.0.0"),
        (
            server(2, **{"hibernate.connection.url": "jdbc:mysql://d2/x"}),
            {},
            "servers of a cluster have the same database",
        ),
        (server(2, **{"encryption.keystore.alias": "key2"}), {}, "servers of a cluster have the same key"),
        (server(2), {"standby": ["h2"]}, "h2 is a cold standby, and deploy.service runs there"),
        (server(2), {"services": [{"name": "jms", "port": 80, "member_port": 7918}]}, "The service jms balances 7918"),
    ],
)
def test_what_does_not_fit_is_told(second: dict[str, Any], options: dict[str, Any], said: str) -> None:
    (told,) = problems({"h1": server(1), "h2": second}, **options)
    assert said in told


def test_who_is_missing_is_told() -> None:
    assert problems({"h1": server(1)}) == [
        "h2 could not be asked: it has to be reachable, also when --limit leaves it out."
    ]
    assert "h1 is the first server, and none is installed" in problems({"h1": NONE, "h2": server(2)}, archive="/a")[0]


def verify(found: dict[str, Any], **options: Any) -> dict[str, Any]:
    """Return a verification."""
    return cluster.verification(
        found, MEMBERS, cluster="c", target="/share", identity=IDENTITY, alike=ALIKE, flag=FLAG, **options
    )


def test_a_cluster() -> None:
    document = verify(BOTH, fronts=[{"item": "http://lb/", "status": 200}])
    assert document["ok"] and document["members_seen"] == ["n1", "n2"]
    standing_by = copy.deepcopy(BOTH)
    standing_by["h2"]["units"][UNIT] = "inactive"
    assert verify(standing_by, standby=["h2"])["ok"]


@pytest.mark.parametrize(
    ("second", "options", "name"),
    [
        ({**server(2), "text": "7"}, {}, "same version"),
        ({**server(2), "data": "/opt/appdata"}, {}, "same data"),
        (server(2, **{FLAG: "false"}), {}, "one of several"),
        (server(2, **{"encryption.keystore.alias": ""}), {}, "the same key for secrets"),
        ({**server(2), "units": {UNIT: "failed"}}, {}, "unit"),
        (server(2), {"standby": ["h2"]}, "unit"),
        (server(1), {}, "no copy"),
        (server(2), {"fronts": [{"item": "http://lb/", "status": 503, "msg": "x"}]}, "front"),
        (NONE, {}, "installed"),
    ],
)
def test_what_is_wrong_with_one_counts(second: dict[str, Any], options: dict[str, Any], name: str) -> None:
    document = verify({"h1": server(1), "h2": second}, **options)
    assert [check["name"] for check in document["checks"] if not check["ok"]] == [name]
    assert not document["ok"]


def test_who_does_not_answer_is_told() -> None:
    document = verify({"h1": server(1)})
    assert not document["ok"] and document["members_seen"] == ["n1"]
