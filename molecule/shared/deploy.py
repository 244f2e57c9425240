# SPDX-License-Identifier: GPL-3.0-or-later
"""What the scenarios of the Deploy cluster share: its stand-in, asked on its own host."""

from __future__ import annotations

import json

from molecule.shared.scenario import Node

_FETCH = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=20).read().decode())"


def fetch(node: Node, path: str) -> str:
    """Return what a node's server answers."""
    return node.out("python3", "-c", _FETCH, f"http://127.0.0.1:8080{path}")


def has_what_the_first_had(node: Node) -> None:
    """Assert that rows and files of before the cluster are there, and that the server is ready with the shared data."""
    assert "from before the cluster" in fetch(node, "/rows")
    assert "before.txt" in fetch(node, "/files")
    told = json.loads(fetch(node, "/health"))
    assert (told["ready"], told["appdata"]) == (True, "/media/share/appdata")
