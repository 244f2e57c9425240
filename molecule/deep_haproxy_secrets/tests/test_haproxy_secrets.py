# SPDX-License-Identifier: GPL-3.0-or-later
"""The key of a certificate shows nowhere on its way to a balancer."""

from __future__ import annotations

import pathlib

from molecule.shared import secrets
from molecule.shared.scenario import Node, Scenario

CERTIFICATE = "/etc/haproxy/certs/site.pem"


def key_of(pem: str) -> str:
    """Return the first line of a PEM file's private key: what follows the heading holds the secret."""
    lines = pem.splitlines()
    return next(lines[number + 1] for number, line in enumerate(lines) if line.endswith("PRIVATE KEY-----"))


def test_a_key_that_is_installed_shows_nowhere(
    scenario: Scenario, nodes: dict[str, Node], tmp_path: pathlib.Path
) -> None:
    """As loud as can be, and every program traced: the key is in its file, which is closed, and nowhere else."""
    balancer = nodes["lb1"]
    key = key_of(balancer.read(CERTIFICATE) or "")
    assert len(key) > 40
    balancer.out("rm", CERTIFICATE)
    attempt = secrets.Attempt(scenario, nodes, {}, tmp_path, [key])
    done = attempt.run()
    assert done.returncode == 0, done.stdout[-3000:].decode(errors="replace")
    assert key_of(balancer.read(CERTIFICATE) or "") == key
    assert attempt.leaks(done.stdout + done.stderr, [CERTIFICATE]) == []
