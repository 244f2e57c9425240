# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The document that every role's verification is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.verification import Verification, gathered
from tests.verify_document import InvalidDocumentError, load_and_validate

NAMES = st.lists(st.text(min_size=1), unique=True, max_size=4)
CHECKS = st.lists(st.tuples(st.text(min_size=1), st.booleans(), st.text(min_size=1), st.text()), min_size=1, max_size=4)


@given(NAMES, NAMES, CHECKS)
def test_ok_follows_from_the_rest(
    expected: list[str], seen: list[str], checks: list[tuple[str, bool, str, str]]
) -> None:
    document = Verification("csync2", "web", expected)
    for member in [*seen, *seen]:
        document.seen(member)
    for name, ok, evidence, member in checks:
        document.check(name, ok, evidence, member)
    result = document.result()
    whole = sorted(expected) == sorted(seen)
    assert result["ok"] == (whole and all(ok for _name, ok, _evidence, _member in checks))
    if whole or not all(ok for _name, ok, _evidence, _member in checks):
        assert load_and_validate(result) == result
    assert (result["members_expected"], result["members_seen"]) == (expected, seen)


def test_nothing_checked_is_not_ok() -> None:
    document = Verification("csync2", "web", ["n1"])
    document.seen("n1")
    assert document.result()["ok"] is False
    with pytest.raises(InvalidDocumentError, match="checks"):
        load_and_validate(document.result())


def test_check_of_the_whole_cluster_names_no_member() -> None:
    document = Verification("csync2", "web", [])
    document.check("quorum", True, "3 of 3 vote")
    assert document.result()["checks"] == [{"name": "quorum", "ok": True, "evidence": "3 of 3 vote"}]


def test_results_are_copies() -> None:
    document = Verification("csync2", "web", ["n1"])
    document.result()["checks"].append("no check")
    document.result()["members_expected"].append("n2")
    assert document.result()["checks"] == []
    assert document.result()["members_expected"] == ["n1"]


def test_one_document_for_each_cluster() -> None:
    def document(role: str, cluster: str, ok: bool) -> dict[str, object]:
        return {"role": role, "cluster": cluster, "ok": ok}

    hostvars = {
        "h1": {"csync2_verification": document("csync2", "web", True)},
        "h2": {"csync2_verification": document("csync2", "web", False), "haproxy_verification": {}},
        "h3": {"csync2_verification": document("csync2", "mail", True), "haproxy_verification": {"cluster": "lb"}},
        "h4": {"csync2_verification": document("csync2", "web", True)},
    }
    assert gathered(hostvars, list(hostvars), ["opendj_server", "csync2"]) == [
        document("csync2", "web", False),
        document("csync2", "mail", True),
    ]
    assert gathered(hostvars, ["h1"], ["csync2"]) == [document("csync2", "web", True)]
