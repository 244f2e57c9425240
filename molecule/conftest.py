# SPDX-License-Identifier: GPL-3.0-or-later
"""What every scenario's tests use: running playbooks and telling what they changed, and the nodes as containers."""

from __future__ import annotations

import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from molecule.shared.scenario import Node, Scenario  # noqa: E402  # the project's root has to be on the path first


@pytest.fixture(scope="session")
def scenario() -> Scenario:
    """Return the scenario that molecule runs."""
    return Scenario.from_environment()


@pytest.fixture
def nodes(scenario: Scenario) -> dict[str, Node]:
    """Return the scenario's nodes by name."""
    return scenario.nodes()
