# SPDX-License-Identifier: GPL-3.0-or-later
"""No secret shows anywhere while a scenario converges, refuses, or is killed.

A scenario's vars/secrets.yml gives its secret variables: `accepted` with values that are taken, `refused` with values
that are not (with metacharacters and letters beyond ASCII), `kept_in`, the files that may hold them, and `travels`, a
secret that members have from each other: the `path` that holds it, and the node (`lost_on`) that is to get it anew.
"""

from __future__ import annotations

import contextlib
import json
import pathlib
import re
import subprocess
import time
from collections.abc import Sequence
from typing import Any

import pytest
import yaml

from molecule.shared import secrets
from molecule.shared.scenario import ROOT, Node, Scenario, kill_with_descendants

MARKER = "/var/cache/secrets-test-began"
#: Loud on purpose: all that Ansible tells of tasks, arguments and differences.
LOUD = ("-vvv", "--diff")


@pytest.fixture(scope="module")
def declared(scenario: Scenario) -> dict[str, Any]:
    """Return the scenario's vars/secrets.yml."""
    path = scenario.directory / "vars" / "secrets.yml"
    if not path.exists():
        pytest.fail("the scenario has no vars/secrets.yml that gives its secret variables")
    loaded: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return loaded


class Attempt:
    """A run with secret variables, given by a closed file, and all places that are searched after it."""

    def __init__(
        self,
        scenario: Scenario,
        nodes: dict[str, Node],
        variables: dict[str, Any],
        directory: pathlib.Path,
        values: Sequence[str] = (),
    ) -> None:
        self.values = [*values, *(str(value) for value in variables.values())]
        self.nodes = nodes
        self.directory = directory
        self.file = directory / "variables.json"
        self.file.touch(mode=0o600)
        self.file.write_text(json.dumps(variables), encoding="utf-8")
        self.began = time.time()
        self.argv = scenario.argv("converge.yml", *LOUD, "-e", f"@{self.file}")
        for node in nodes.values():
            node.out("touch", "-d", "-2 seconds", MARKER)

    def run(self) -> subprocess.CompletedProcess[bytes]:
        """Run to the end, with every program that is started here and on the nodes recorded."""
        with contextlib.ExitStack() as stack:
            for node in self.nodes.values():
                stack.enter_context(secrets.traced(node, self.directory / f"{node.name}.trace"))
            argv = [*secrets.STRACE, "-o", str(self.directory / "control.trace"), *self.argv]
            return subprocess.run(argv, capture_output=True, timeout=280, check=False, cwd=ROOT)

    def leaks(self, output: bytes, kept_in: list[str]) -> list[str]:
        """Return where a secret was found that must not hold it."""
        hits = [f"output: {hit}" for hit in secrets.found_in(output, self.values)]
        for trace in self.directory.glob("*.trace"):
            assert b"execve(" in trace.read_bytes(), f"{trace.name} recorded nothing"
            hits += [f"{trace.name}: {hit}" for hit in secrets.found_in_trace(trace, self.values)]
        for node in self.nodes.values():
            for path, status in secrets.files_holding(node, self.values, MARKER).items():
                if path not in kept_in or status != "600:root":
                    hits.append(f"{node.name}:{path} ({status})")
        return hits + secrets.left_on_control_node(self.values, self.began, [self.file])


def test_the_search_finds_what_it_looks_for(nodes: dict[str, Node], tmp_path: pathlib.Path) -> None:
    """The test of the test: a secret in arguments, environment and a file is found in each."""
    secret = "canary #!0^(' \"$%\\ ü"
    node = next(iter(nodes.values()))
    node.out("touch", "-d", "-2 seconds", MARKER)
    with secrets.traced(node, tmp_path / "node.trace"):
        # Through systemd, so that the traced init starts it
        node.out("systemd-run", "--wait", "--quiet", "sh", "-c", "exit 0", "sh", secret, limit=30)
    assert secrets.found_in_trace(tmp_path / "node.trace", [secret])
    node.write("/var/cache/leak", f"password={secret}\n")
    assert "/var/cache/leak" in secrets.files_holding(node, [secret], MARKER)
    node.out("rm", "/var/cache/leak")
    for name, form in secrets.forms(secret).items():
        assert secrets.found_in(b"before " + form + b" after", [secret]), name


def test_accepted_secrets_show_nowhere(
    scenario: Scenario, nodes: dict[str, Node], declared: dict[str, Any], tmp_path: pathlib.Path
) -> None:
    """A whole run with secrets, as loud as can be, shows none of them; the files that keep them are closed."""
    attempt = Attempt(scenario, nodes, declared["accepted"], tmp_path)
    done = attempt.run()
    assert done.returncode == 0, done.stdout[-3000:].decode(errors="replace")
    assert attempt.leaks(done.stdout + done.stderr, declared["kept_in"]) == []


def test_refused_secrets_show_nowhere(
    scenario: Scenario, nodes: dict[str, Node], declared: dict[str, Any], tmp_path: pathlib.Path
) -> None:
    """A run that refuses a secret does not show it either, nor keeps it, nor changes anything."""
    attempt = Attempt(scenario, nodes, declared["refused"], tmp_path)
    done = attempt.run()
    assert done.returncode != 0, "the malformed secrets were accepted"
    assert set(re.findall(rb"changed=(\d+)", done.stdout)) == {b"0"}
    assert attempt.leaks(done.stdout + done.stderr, []) == []


def test_a_secret_that_travels_shows_nowhere(
    scenario: Scenario, nodes: dict[str, Node], declared: dict[str, Any], tmp_path: pathlib.Path
) -> None:
    """What a member gets from another one travels unseen: as loud as can be, and traced."""
    travels = declared["travels"]
    node = nodes[travels["lost_on"]]
    secret = str(node.read(travels["path"])).strip()
    assert len(secret) > 20
    node.out("rm", travels["path"])
    attempt = Attempt(scenario, nodes, {}, tmp_path, [secret])
    done = attempt.run()
    assert done.returncode == 0, done.stdout[-3000:].decode(errors="replace")
    assert str(node.read(travels["path"])).strip() == secret
    assert attempt.leaks(done.stdout + done.stderr, declared["kept_in"]) == []


def test_killed_run_leaves_no_secret(
    scenario: Scenario, nodes: dict[str, Node], declared: dict[str, Any], tmp_path: pathlib.Path
) -> None:
    """A run killed at several moments leaves its secrets only where they belong; run again, it ends right."""
    variables = {name: str(value)[::-1] for name, value in declared["accepted"].items()}
    attempt = Attempt(scenario, nodes, variables, tmp_path)
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
