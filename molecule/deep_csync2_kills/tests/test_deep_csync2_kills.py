# SPDX-License-Identifier: GPL-3.0-or-later
"""Whenever a run from nothing is interrupted, and whatever by, the next one ends in a verified cluster."""

from __future__ import annotations

import subprocess
import time

import pytest

from molecule.shared.csync2 import KEY, Nodes
from molecule.shared.scenario import ROOT, Scenario, kill_with_descendants, wait_for

CONTROL_NODE_MOMENTS = 24
MEMBER_MOMENTS = 6


@pytest.fixture(scope="module")
def duration(scenario: Scenario) -> float:
    """Return the seconds that a run from nothing takes here."""
    bare(scenario.nodes())
    began = time.monotonic()
    scenario.play().check()
    return time.monotonic() - began


def bare(nodes: Nodes) -> None:
    """Take from the members all that a run has brought, but for the packages and their own files."""
    for node in nodes.values():
        for unit in ("csync2-watch.service", "csync2-sync.timer", "csync2-sync.service", "csync2.socket"):
            node.run("systemctl", "disable", "--now", unit)
        node.out(
            "sh",
            "-c",
            "rm -rf /etc/csync2* /var/lib/csync2/* /var/lib/clusterkit /etc/systemd/system/csync2*"
            " /usr/local/sbin/clusterkit-csync2 && systemctl daemon-reload",
        )
        node.write(f"/srv/web/only-on-{node.name}", node.name)


def is_whole(scenario: Scenario, nodes: Nodes) -> None:
    """Run again, and once more: the cluster is verified, nothing is left to change, nothing was lost."""
    scenario.play().check()
    assert scenario.play().check().changed == set()
    assert len({node.read(KEY) for node in nodes.values()}) == 1
    for node in nodes.values():
        for owner in nodes:
            assert node.read(f"/srv/web/only-on-{owner}") == owner
        left = node.out("find", "/etc", "/var/lib/csync2", "/usr/local/sbin", "-name", "*.clusterkit-*")
        assert left == "", left


@pytest.mark.parametrize("moment", range(CONTROL_NODE_MOMENTS))
def test_control_node_is_lost(scenario: Scenario, nodes: Nodes, duration: float, moment: int) -> None:
    """The run is killed with all that came from it, at one of many moments."""
    bare(nodes)
    process = scenario.start()
    end = time.monotonic() + duration * (moment + 0.5) / CONTROL_NODE_MOMENTS
    while process.poll() is None and time.monotonic() < end:
        time.sleep(0.02)
    if process.poll() is None:
        kill_with_descendants(process)
    is_whole(scenario, nodes)


@pytest.mark.parametrize("moment", range(MEMBER_MOMENTS))
def test_member_is_lost(scenario: Scenario, nodes: Nodes, duration: float, moment: int) -> None:
    """A member loses its power in the middle of the run; the run ends and names it; it comes back."""
    bare(nodes)
    process = subprocess.Popen(
        scenario.argv("converge.yml"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT
    )
    end = time.monotonic() + duration * (moment + 0.5) / MEMBER_MOMENTS
    while process.poll() is None and time.monotonic() < end:
        time.sleep(0.02)
    nodes["n2"].engine("kill")
    try:
        output = process.communicate(timeout=300)[0]
    finally:
        nodes["n2"].engine("start")
    if process.returncode:
        assert "n2" in output
    up = ("systemctl", "is-active", "multi-user.target")
    wait_for(lambda: nodes["n2"].run(*up).stdout.strip() == "active", "n2 to be up", 90)
    is_whole(scenario, nodes)
