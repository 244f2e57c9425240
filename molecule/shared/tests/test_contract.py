# SPDX-License-Identifier: GPL-3.0-or-later
"""What every scenario has to show after it has converged, before the scenario's own tests."""

from __future__ import annotations

import pytest

from molecule.shared.scenario import Run, Scenario
from tests.verify_document import load_and_validate


@pytest.fixture(scope="module")
def repeated(scenario: Scenario) -> Run:
    """Return a run on a cluster that is as it should be: tests share it, since each run takes its time."""
    return scenario.play("converge.yml").check()


def test_check_mode_finds_nothing_to_change(scenario: Scenario) -> None:
    """Check mode on a converged cluster reports no change."""
    assert scenario.play("converge.yml", "--check").check().changed == set()


def test_check_mode_tells_exactly_what_a_run_changes(scenario: Scenario, request: pytest.FixtureRequest) -> None:
    """After changes by hand, check mode reports what the run then changes, task by task in detail; none are left."""
    if not (scenario.directory / "drift.yml").exists():
        pytest.fail("the scenario has no drift.yml that changes things by hand on one node")
    assert scenario.play("drift.yml").check().changed
    predicted = scenario.play("converge.yml", "--check", "--diff").check()
    done = scenario.play("converge.yml", "--diff").check()
    assert done.changed, "the drift was not noticed"
    assert predicted.changed == done.changed
    assert predicted.diffs == done.diffs
    # Not before this moment
    assert request.getfixturevalue("repeated").changed == set()


def test_the_cluster_was_asked(repeated: Run) -> None:
    """A run leaves a verification in the common schema, and it says that the cluster is whole."""
    documents = [
        value for host in repeated.facts.values() for name, value in host.items() if name.endswith("_verification")
    ]
    assert documents, "the play left no fact that ends in _verification"
    for document in documents:
        load_and_validate(document)
        assert document["ok"], document
        assert document["members_seen"] == document["members_expected"]
