# SPDX-License-Identifier: GPL-3.0-or-later
"""A secret that members have from each other shows nowhere on its way.

A scenario's vars/secrets.yml names it as `travels`: the `path` that holds it, and the node (`lost_on`) that is to get
it anew. One whose members have no such secret leaves this file out (verifier.additional_files_or_dirs).
"""

from __future__ import annotations

import pathlib

from molecule.shared import secrets
from molecule.shared.scenario import Node, Scenario


def test_a_secret_that_travels_shows_nowhere(
    scenario: Scenario, nodes: dict[str, Node], tmp_path: pathlib.Path
) -> None:
    """What a member gets from another one travels unseen: as loud as can be, and traced."""
    declared = secrets.declared_in(scenario)
    travels = declared["travels"]
    node = nodes[travels["lost_on"]]
    secret = str(node.read(travels["path"])).strip()
    assert len(secret) > 20
    node.out("rm", travels["path"])
    attempt = secrets.Attempt(scenario, nodes, {}, tmp_path, [secret])
    done = attempt.run()
    assert done.returncode == 0, done.stdout[-3000:].decode(errors="replace")
    assert str(node.read(travels["path"])).strip() == secret
    assert attempt.leaks(done.stdout + done.stderr, declared["kept_in"]) == []
