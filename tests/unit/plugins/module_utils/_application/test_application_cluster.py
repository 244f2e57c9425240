# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is to be set up, why servers cannot be one cluster, and whether they are one."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._application import cluster

MEMBERS = [{"host": f"h{number}", "name": f"n{number}", "address": ""} for number in (1, 2)]
NOTES = {"begun": "/notes/setup.lock", "setup": "/notes/setup", "joined": "/notes/joined"}
LAST, PROGRAM = "/install/setup.properties.last", "/install/setup.py"


def member(*paths: str, services: tuple[str, ...] = ("web.service",), **contents: str) -> dict[str, Any]:
    """Return what a member was found to have: paths, and certificate files with their content."""
    files = {path: {"fingerprint": "0", "certificate": ""} for path in paths}
    files.update({f"/certs/{name}": {"fingerprint": text, "certificate": text} for name, text in contents.items()})
    return {"files": files, "services": list(services), "units": dict.fromkeys(services, "active")}


def problems(found: dict[str, Any], unit: str = "") -> list[str]:
    return cluster.problems(
        found, MEMBERS, "h1", due=cluster.to_set_up(found, MEMBERS, "h1", NOTES), role="idp_cluster", program=PROGRAM,
        properties=LAST, notes=NOTES, masks=["/certs/*"], unit_variable="idp_cluster_unit", unit=unit,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("there", "due"), [((), True), ((NOTES["begun"],), True), ((NOTES["setup"],), False), ((NOTES["joined"],), False)]
)
def test_due_until_noted(there: tuple[str, ...], due: bool) -> None:
    found = {"h1": member(LAST), "h2": member(*there)}
    assert cluster.to_set_up(found, MEMBERS, "h1", NOTES) == (["h2"] if due else [])


def test_no_problem() -> None:
    assert problems({"h1": member(LAST, a="1"), "h2": member(PROGRAM, services=())}) == []


def test_interrupted_is_no_problem() -> None:
    """What a set-up that was cut off has left is not taken for one that somebody else has run."""
    assert problems({"h1": member(LAST, a="1"), "h2": member(PROGRAM, LAST, NOTES["begun"], services=())}) == []


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        (member(LAST, a="1"), None, "h2 could not be asked"),
        (member(LAST), member(PROGRAM), "h1 has no certificate among /certs/*"),
        (member(a="1"), member(PROGRAM), "h1 has no /install/setup.properties.last, with which the others are set up"),
        (member(LAST, a="1"), member(PROGRAM, LAST), "Give idp_cluster_joined=separately"),
        (member(LAST, a="1"), member(), "h2 has no /install/setup.py"),
        (member(LAST, a="1", services=()), member(PROGRAM), "h1 the service manager has none that it may be"),
        (
            member(a="1", services=("a", "b")),
            member(NOTES["joined"]),
            "it may be: a, b. Name its unit with idp_cluster_u",
        ),
        (member(a="1", services=("a",)), member(NOTES["joined"], services=("b",)), "on each member (h1 a, h2 b)"),
    ],
)
def test_problems(first: dict[str, Any], second: dict[str, Any] | None, said: str) -> None:
    found = {"h1": first, **({"h2": second} if second else {})}
    told = problems(found)
    assert len(told) == 1
    assert said in told[0]


def test_unit_that_was_given_is_not_looked_for() -> None:
    found = {"h1": member(a="1", services=()), "h2": member(NOTES["joined"], services=("a", "b"))}
    assert problems(found, unit="web.service") == []


def verify(found: dict[str, Any], lacks: dict[str, Any], ok: bool = True) -> dict[str, Any]:
    part = {"role": "csync2", "ok": ok, "checks": [{"name": "files", "ok": ok, "evidence": "they differ"}]}
    return cluster.verification(
        found, MEMBERS, "h1", below="/certs", cluster="idp", role="idp_cluster", truststores=lacks, parts=[part]
    )


def test_verified() -> None:
    found = {"h1": member(a="1", b="2"), "h2": member(a="1", b="2", own="3")}
    document = verify(found, {"h1": {"changed_aliases": []}, "h2": {"changed_aliases": []}})
    assert document["ok"]
    assert document["members_seen"] == ["n1", "n2"]


def test_each_difference_is_named() -> None:
    found = {"h1": member(a="1", b="2"), "h2": member(a="other")}
    found["h2"]["units"]["web.service"] = "failed"
    document = verify(found, {"h1": {"changed_aliases": ["idp-a"]}}, ok=False)
    assert [check["evidence"] for check in document["checks"] if not check["ok"]] == [
        "certificates that the truststore of n1 lacks: idp-a",
        "files of n2 that are not those of h1: /certs/a, /certs/b",
        "certificates that the truststore of n2 lacks: it could not be read",
        "web.service on n2 is failed",
        "they differ",
    ]
    assert not verify({"h1": found["h1"]}, {})["ok"]


def test_unlike() -> None:
    found = {"h1": member(LAST, a="1"), "h2": member(a="2")}
    assert cluster.unlike(found, MEMBERS, "h1", "/certs") == ["h2"]
    assert cluster.unlike({"h1": found["h1"]}, MEMBERS, "h1", "/certs") == []
