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


def test_an_interrupted_installation_is_due_again() -> None:
    """Its properties are there, and so is the installer: what comes behind it may not have been done."""
    interrupted = {**server(2), "text": "", "paths": {"/var/lib/installer": "directory"}}
    assert cluster.due({"h1": server(1), "h2": interrupted}, MEMBERS) == ["h2"]
    assert problems({"h1": server(1), "h2": interrupted}, archive="/a.tgz", version="7.3.0.0") == []
    whole = {**server(2), "paths": {"/var/lib/installer": "absent"}}
    assert cluster.due({"h1": server(1), "h2": whole}, MEMBERS) == []


def test_a_restore_that_has_not_ended_is_told_once() -> None:
    found = {host: {**info, "paths": {"/share/restore.json": "file"}} for host, info in BOTH.items()}
    (told,) = problems(found)
    assert "A restore has begun and not ended (seen on h1, h2)" in told
    assert cluster.due(found, MEMBERS) == []


def shown(file: str = "aa", fingerprint: str = "cc", error: str = "") -> dict[str, Any]:
    """Return what is found of a server's certificate."""
    return {"file": file, "fingerprint": fingerprint, "error": error}


def test_keystores_that_differ_are_refused() -> None:
    assert problems(BOTH, certificates={"h1": shown(), "h2": shown()}) == []
    (told,) = problems(BOTH, certificates={"h1": shown(), "h2": shown(file="bb" * 32)})
    assert "h2 has another keystore than h1 (SHA-256 bbbbbbbbbbbbbbbb…, aa…)" in told
    assert "deploy_cluster_keystore_file" in told
    coming = {"h1": server(1), "h2": NONE}
    assert problems(coming, archive="/a", version="7.3.0.0", certificates={"h1": shown(), "h2": shown(file="")}) == []


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


@pytest.mark.parametrize(
    ("second", "standby", "wrong"),
    [
        (shown(), [], []),
        (shown(file="bb"), [], ["same keystore"]),
        (shown(file=""), [], ["same keystore"]),
        (shown(fingerprint="dd"), [], ["same certificate"]),
        (shown(fingerprint="", error="no connection"), [], ["same certificate"]),
        (shown(fingerprint="", error="no connection"), ["h2"], []),
        (shown(file="bb", fingerprint=""), ["h2"], ["same keystore"]),
    ],
)
def test_all_that_serve_show_one_certificate(second: dict[str, Any], standby: list[str], wrong: list[str]) -> None:
    found = copy.deepcopy(BOTH)
    found["h2"]["units"][UNIT] = "inactive" if standby else "active"
    document = verify(found, standby=standby, certificates={"h1": shown(), "h2": second})
    assert [check["name"] for check in document["checks"] if not check["ok"]] == wrong


def test_a_single_server_is_none_of_several() -> None:
    """What a cluster was before, and is on the way back."""
    for flag, right in (("false", True), ("", True), ("true", False)):
        document = cluster.verification(
            {"h1": server(1, **{FLAG: flag})}, MEMBERS[:1], cluster="c", target="/share", identity=IDENTITY,
            alike=ALIKE, flag=FLAG,
        )  # fmt: skip
        assert document["ok"] is right


def test_a_balancer_that_carries_what_it_cannot_see_is_told() -> None:
    for listening, right in (([80, 7919], True), ([80, 7918], False)):
        balancers = [{"item": "lb1", "listening": listening}]
        document = verify(BOTH, balancers=balancers, never_balanced=[7918, 7916])
        assert document["ok"] is right
        check = next(one for one in document["checks"] if one["name"] == "never balanced")
        assert check["evidence"] == f"lb1 listens on {'none' if right else '7918'} of [7918, 7916]"


def test_who_does_not_answer_is_told() -> None:
    document = verify({"h1": server(1)})
    assert not document["ok"] and document["members_seen"] == ["n1"]


def failover(found: dict[str, Any], **options: Any) -> list[str]:
    """Return why h2 must not serve."""
    return cluster.failover_problems(found, MEMBERS, host="h2", target="/share", **options)


def stopped(number: int, state: str = "inactive", **more: Any) -> dict[str, Any]:
    """Return what is found of a server that does not run."""
    return {**server(number), "units": {UNIT: state}, "storage": {"error": "", "exists": True}, **more}


@pytest.mark.parametrize(
    ("first", "options"),
    [
        (stopped(1), {}),
        (stopped(1, "failed"), {}),
        (server(1), {"planned": True}),
        (None, {"fenced": ["h1"]}),
        (stopped(1), {"fenced": ["h1"]}),
    ],
)
def test_when_the_others_are_dead_a_standby_may_serve(first: dict[str, Any] | None, options: dict[str, Any]) -> None:
    found = {"h2": stopped(2), **({"h1": first} if first else {})}
    assert failover(found, **options) == []


@pytest.mark.parametrize(
    ("first", "second", "options", "said"),
    [
        (server(1), stopped(2), {}, "deploy.service runs on h1: two servers would change the database"),
        (stopped(1, "activating"), stopped(2), {}, "deploy.service runs on h1"),
        (stopped(1, "deactivating"), stopped(2), {}, "deploy.service runs on h1"),
        (None, stopped(2), {"planned": True}, "h1 could not be asked, and so may run"),
        (server(1), stopped(2), {"fenced": ["h1"], "planned": True}, "and deploy.service runs there: it is not fenced"),
        (None, stopped(2), {"fenced": ["h1"], "answering": [["h1", 8443]]}, "answers at port 8443: it is not fenced"),
        (stopped(1, text="7.4"), stopped(2), {}, "h1 has version 7.4, and h2 7.3.0.0"),
        (stopped(1), stopped(2, storage={"error": "no answer"}), {}, "h2 has no /share (no answer)"),
        (stopped(1), stopped(2, storage={"error": "", "exists": False}), {}, "h2 has no /share (not there)"),
        (stopped(1), stopped(2, data="/opt/x"), {}, "h2 has its data in /opt/x, not in /share"),
        (stopped(1), {**NONE}, {}, "h2 is to serve, and has no server"),
        (stopped(1), None, {}, "h2 is to serve, and could not be asked"),
    ],
)
def test_otherwise_it_may_not(
    first: dict[str, Any] | None, second: dict[str, Any] | None, options: dict[str, Any], said: str
) -> None:
    found = {host: info for host, info in (("h1", first), ("h2", second)) if info}
    (told,) = failover(found, **options)
    assert said in told
