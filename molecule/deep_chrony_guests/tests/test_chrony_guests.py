# SPDX-License-Identifier: GPL-3.0-or-later
"""Members whose clocks are really wrong: what differs is refused, what a run may set is set."""

from __future__ import annotations

import re
import time

from molecule.shared.scenario import Node, Scenario, wait_for

Nodes = dict[str, Node]
CHRONY = "clusterkit.middleware.chrony"
AHEAD = re.compile(r"The clock of g2 is at least (\d+\.\d) s ahead of that of g1, and 1 s are let pass")


def ahead(node: Node) -> tuple[float, float]:
    """Return by how many seconds a node's clock is ahead of this machine's, as bounds: least and most."""
    before = time.time()
    shown = float(node.out("date", "+%s.%N"))
    return shown - time.time(), shown - before


def is_right(node: Node) -> bool:
    """Tell whether a clock may be the right one, as far as can be told from here."""
    least, most = ahead(node)
    return least < 1 and most > -1


def set_ahead(node: Node, seconds: int) -> None:
    """Set a node's clock."""
    node.out("date", "--set", f"{seconds:+} seconds")


def test_wrong_clocks_have_been_set(nodes: Nodes) -> None:
    """They began 50 s behind and 70 s ahead; chrony may set them here, and did."""
    for name in ("g1", "g2"):
        assert is_right(nodes[name]), ahead(nodes[name])
        assert " -x" not in nodes[name].out("systemctl", "show", "--property=ExecStart", "chrony.service")


def test_a_clock_that_is_wrong_is_refused_and_then_set(scenario: Scenario, nodes: Nodes) -> None:
    """Nobody keeps it: verification names it and changes nothing. The run that starts chrony sets it."""
    node = nodes["g2"]
    node.out("systemctl", "stop", "chrony.service")
    set_ahead(node, 30)
    refused = scenario.play(CHRONY, "--tags", "chrony_verify")
    found = AHEAD.search(refused.complaint())
    assert found and 25 < float(found[1]) <= 30.5 and refused.changed == set()
    assert ahead(node)[1] > 25
    assert scenario.play(CHRONY).check().changed
    assert is_right(node), ahead(node)


def test_a_clock_that_something_else_sets_is_refused_while_chrony_runs(scenario: Scenario, nodes: Nodes) -> None:
    """Chrony follows its source and does not let time jump under a server; the run says who is ahead of whom."""
    node = nodes["g2"]
    set_ahead(node, 60)
    refused = scenario.play(CHRONY)
    found = AHEAD.search(refused.complaint())
    assert found and 5 < float(found[1]) <= 60.5 and refused.changed == set()
    node.out("chronyc", "makestep")
    wait_for(lambda: is_right(node), "the clock to be set", 60)
    scenario.play(CHRONY).check()


def test_who_may_set_clocks_does(scenario: Scenario) -> None:
    """To measure only is for containers."""
    refused = scenario.play(CHRONY, variables={"chrony_steer": False})
    assert "chrony_steer" in refused.complaint() and refused.changed == set()
