# SPDX-License-Identifier: GPL-3.0-or-later
"""What the csync2 scenarios share."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator

from molecule.shared.scenario import Node

Nodes = dict[str, Node]
KEY = "/etc/csync2.key"
UNITS = ("csync2-watch.service", "csync2-sync.timer")


@contextlib.contextmanager
def quiet(nodes: Nodes) -> Iterator[None]:
    """Let nothing run by itself meanwhile, so that a test decides who sends when."""
    for node in nodes.values():
        node.out("systemctl", "stop", *UNITS)
    yield
    for node in nodes.values():
        node.out("systemctl", "start", *UNITS)


def synchronise(node: Node) -> subprocess.CompletedProcess[str]:
    """Let a member send what has changed, as its timer does."""
    return node.run("systemctl", "start", "csync2-sync.service")
