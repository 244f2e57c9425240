# SPDX-License-Identifier: GPL-3.0-or-later
"""What every scenario has to show after it has converged, before the scenario's own tests."""

from __future__ import annotations

import pytest

from molecule.shared.scenario import Scenario
from tests.verify_document import load_and_validate


def test_check_mode_finds_nothing_to_change(scenario: Scenario) -> None:
    """Check mode on a converged cluster reports no change."""
    assert scenario.play("converge.yml", "--check").check().changed == set()


def test_the_cluster_was_asked(scenario: Scenario) -> None:
    """A run leaves a verification in the common schema, and it says that the cluster is whole."""
    facts = scenario.play("converge.yml").check().facts
    documents = [value for host in facts.values() for name, value in host.items() if name.endswith("_verification")]
    assert documents, "the play left no fact that ends in _verification"
    for document in documents:
        load_and_validate(document)
        assert document["ok"], document
        assert document["members_seen"] == document["members_expected"]


def test_check_mode_tells_exactly_what_a_run_changes(scenario: Scenario) -> None:
    """After changes by hand, check mode reports what the run then changes, task by task in detail; none are left."""
    if not (scenario.directory / "drift.yml").exists():
        pytest.fail("the scenario has no drift.yml that changes things by hand on one node")
    assert scenario.play("drift.yml").check().changed
    predicted = scenario.play("converge.yml", "--check", "--diff").check()
    done = scenario.play("converge.yml", "--diff").check()
    assert done.changed, "the drift was not noticed"
    assert predicted.changed == done.changed
    assert predicted.diffs == done.diffs
    assert scenario.play("converge.yml").check().changed == set()
