# SPDX-License-Identifier: GPL-3.0-or-later
"""What every scenario's tests use: running playbooks and telling what they changed, and the nodes as containers."""

from __future__ import annotations

import os
import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from molecule.shared.scenario import Node, Scenario  # noqa: E402  # the project's root has to be on the path first


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what the tier does not run; by hand, without a tier, and in deep scenarios everything runs."""
    tier = os.environ.get("CLUSTERKIT_TIER")
    if tier is None or os.environ.get("MOLECULE_SCENARIO_NAME", "").startswith("deep_"):
        return
    left_out = [item for item in items if (item.get_closest_marker("deep") is None) == (tier == "deep")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def scenario() -> Scenario:
    """Return the scenario that molecule runs."""
    return Scenario.from_environment()


@pytest.fixture
def nodes(scenario: Scenario) -> dict[str, Node]:
    """Return the scenario's nodes by name."""
    return scenario.nodes()
