# SPDX-License-Identifier: GPL-3.0-or-later
"""No secret shows anywhere while a scenario converges, refuses, or is killed.

A scenario's vars/secrets.yml gives its secret variables: `accepted` with values that are taken, `refused` with values
that are not (with metacharacters and letters beyond ASCII), and `kept_in`, the files that may hold them. Where secrets
are used only once, `begin_with` is a playbook of the scenario that takes away what they were used for; otherwise other
secrets take their place.
"""

from __future__ import annotations

import contextlib
import pathlib
import re
import subprocess
from typing import Any

import pytest

from molecule.shared import secrets
from molecule.shared.scenario import ROOT, Node, Scenario, kill_with_descendants


@pytest.fixture(scope="module")
def declared(scenario: Scenario) -> dict[str, Any]:
    """Return the scenario's vars/secrets.yml."""
    return secrets.declared_in(scenario)


def begin(scenario: Scenario, declared: dict[str, Any]) -> None:
    """Make the secrets needed."""
    if "begin_with" in declared:
        assert scenario.play(declared["begin_with"]).check().changed


def test_the_search_finds_what_it_looks_for(nodes: dict[str, Node], tmp_path: pathlib.Path) -> None:
    """The test of the test: a secret in arguments, environment and a file is found in each."""
    secret = "canary #!0^(' \"$%\\ ü"
    node = next(iter(nodes.values()))
    node.out("touch", "-d", "-2 seconds", secrets.MARKER)
    with secrets.traced(node, tmp_path / "node.trace"):
        # Through systemd, so that the traced init starts it
        node.out("systemd-run", "--wait", "--quiet", "sh", "-c", "exit 0", "sh", secret, limit=30)
    assert secrets.found_in_trace(tmp_path / "node.trace", [secret])
    node.write("/var/cache/leak", f"password={secret}\n")
    assert "/var/cache/leak" in secrets.files_holding(node, [secret], secrets.MARKER)
    node.out("rm", "/var/cache/leak")
    for name, form in secrets.forms(secret).items():
        assert secrets.found_in(b"before " + form + b" after", [secret]), name


def test_accepted_secrets_show_nowhere(
    scenario: Scenario, nodes: dict[str, Node], declared: dict[str, Any], tmp_path: pathlib.Path
) -> None:
    """A whole run with secrets, as loud as can be, shows none of them; the files that keep them are closed."""
    begin(scenario, declared)
    attempt = secrets.Attempt(scenario, nodes, declared["accepted"], tmp_path)
    done = attempt.run()
    assert done.returncode == 0, done.stdout[-3000:].decode(errors="replace")
    assert attempt.leaks(done.stdout + done.stderr, declared["kept_in"]) == []


def test_refused_secrets_show_nowhere(
    scenario: Scenario, nodes: dict[str, Node], declared: dict[str, Any], tmp_path: pathlib.Path
) -> None:
    """A run that refuses a secret does not show it either, nor keeps it, nor changes anything."""
    attempt = secrets.Attempt(scenario, nodes, declared["refused"], tmp_path)
    done = attempt.run()
    assert done.returncode != 0, "the malformed secrets were accepted"
    assert set(re.findall(rb"changed=(\d+)", done.stdout)) == {b"0"}
    assert attempt.leaks(done.stdout + done.stderr, []) == []


def test_killed_run_leaves_no_secret(
    scenario: Scenario, nodes: dict[str, Node], declared: dict[str, Any], tmp_path: pathlib.Path
) -> None:
    """A run killed at several moments leaves its secrets only where they belong; run again, it ends right."""
    begin(scenario, declared)
    variables = declared["accepted"]
    if "begin_with" not in declared:
        variables = {name: str(value)[::-1] for name, value in variables.items()}
    attempt = secrets.Attempt(scenario, nodes, variables, tmp_path)
    output = b""
    for seconds in (3.0, 5.0, 7.0):
        with (tmp_path / "output").open("wb") as out:
            process = subprocess.Popen(
                attempt.argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True, cwd=ROOT
            )
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=seconds)
            if process.poll() is None:
                kill_with_descendants(process)
        output += (tmp_path / "output").read_bytes()
    assert attempt.leaks(output, declared["kept_in"]) == []
    scenario.play("converge.yml", "-e", f"@{attempt.file}").check()
    scenario.play().check()
