# SPDX-License-Identifier: GPL-3.0-or-later
"""What the csync2 scenarios share."""

from __future__ import annotations

import contextlib
import functools
import subprocess
from collections.abc import Iterator, Sequence

from molecule.shared.scenario import Node, wait_for

Nodes = dict[str, Node]
KEY = "/etc/csync2.key"
UNITS = ("csync2-watch.service", "csync2-sync.timer")


@contextlib.contextmanager
def quiet(nodes: Nodes, units: Sequence[str] = UNITS) -> Iterator[None]:
    """Let nothing run by itself meanwhile, so that a test decides who sends when."""
    for node in nodes.values():
        node.out("systemctl", "stop", *units)
        # A run that the timer has begun goes on: whoever starts the service meanwhile would only wait for that one
        wait_for(functools.partial(ended, node), "the end of a run", limit=300)
    try:
        yield
    finally:
        for node in nodes.values():
            # Tests follow one another faster than systemd lets a unit start again and again
            node.out("systemctl", "reset-failed", *units)
            node.out("systemctl", "start", *units)


def ended(node: Node) -> bool:
    """Tell whether no run goes on that a member's timer, or somebody else, has begun."""
    return node.out("systemctl", "show", "-P", "ActiveState", "csync2-sync.service").strip() != "activating"


def synchronise(node: Node) -> subprocess.CompletedProcess[str]:
    """Let a member send what has changed, as its timer does."""
    return node.run("systemctl", "start", "csync2-sync.service")


def synchronise_as(node: Node, name: str, limit: float) -> subprocess.CompletedProcess[str]:
    """Synchronise a member by its name in the configuration, each call of csync2 within `limit` seconds."""
    return node.run("clusterkit-csync2", "run", "--name", name, "--limit", str(limit), limit=limit * 4 + 30)
