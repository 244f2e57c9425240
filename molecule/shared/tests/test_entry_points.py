# SPDX-License-Identifier: GPL-3.0-or-later
"""The entry points of a scenario's role, which vars/role.yml names with the `group` that it runs on."""

from __future__ import annotations

import pytest
import yaml

from molecule.shared.scenario import ROOT, Scenario


@pytest.mark.parametrize("points", [["preflight"], ["preflight", "install", "configure"], ["verify"], ["export"]])
def test_entry_points_can_be_called_by_themselves(scenario: Scenario, points: list[str]) -> None:
    """Each entry point works through `tasks_from`, and changes nothing in a cluster that is as it should be."""
    path = scenario.directory / "vars" / "role.yml"
    if not path.exists():
        pytest.fail("the scenario has no vars/role.yml that names its role and group")
    about = yaml.safe_load(path.read_text(encoding="utf-8"))
    role = str(about["role"]).rpartition(".")[2]
    # A role that brings no program has no `install`, for instance
    has = [point for point in points if (ROOT / "roles" / role / "tasks" / f"{point}.yml").exists()]
    variables = {"entry_role": about["role"], "entry_hosts": about["group"], "entry_points": has}
    run = scenario.play(ROOT / "molecule" / "shared" / "entry_points.yml", variables=variables).check()
    assert run.changed == set()
    left = {"verify": f"{role}_verification", "export": f"{role}_exported"}.get(points[-1])
    assert left is None or all(left in facts for facts in run.facts.values())
