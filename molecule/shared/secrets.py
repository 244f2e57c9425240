# SPDX-License-Identifier: GPL-3.0-or-later
"""Looking for secrets where they must not be: output, arguments and environments of processes, files."""

from __future__ import annotations

import base64
import codecs
import contextlib
import html
import json
import os
import pathlib
import shlex
import signal
import stat
import subprocess
import tempfile
import time
import urllib.parse
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import yaml

from molecule.shared.scenario import ROOT, Node, Scenario

#: Long enough that strace shows arguments and environments whole.
STRACE = ("strace", "-f", "-v", "-q", "-s", "65535", "-e", "trace=execve")
MARKER = "/var/cache/secrets-test-began"
#: Loud on purpose: all that Ansible tells of tasks, arguments and differences.
LOUD = ("-vvv", "--diff")


def forms(secret: str) -> dict[str, bytes]:
    """Return the spellings in which a secret could show, by the name of the spelling."""
    raw = secret.encode()
    spelled = {
        "plain": raw,
        "URL-encoded": urllib.parse.quote(secret, safe="").encode(),
        "form-encoded": urllib.parse.quote_plus(secret).encode(),
        "XML-escaped": html.escape(secret).encode(),
        "JSON": json.dumps(secret)[1:-1].encode(),
        "JSON, not ASCII": json.dumps(secret, ensure_ascii=False)[1:-1].encode(),
        "Python": repr(secret)[1:-1].encode(),
        "shell-quoted": shlex.quote(secret).encode(),
        "hexadecimal": raw.hex().encode(),
    }
    for offset in range(3):
        # Within a longer text the base64 of a secret begins at any of three alignments, and its ends depend on the rest
        encoded = base64.b64encode(b"\0" * offset + raw)
        first = 0 if not offset else 4
        whole = len(encoded) - (4 if (offset + len(raw)) % 3 else 0)
        spelled[f"base64 at offset {offset}"] = encoded[first:whole]
    return spelled


def found_in(text: bytes, secrets: Iterable[str]) -> list[str]:
    """Return in which spellings secrets stand in the text."""
    return [f"{secret[:6]}…: {name}" for secret in secrets for name, form in forms(secret).items() if form in text]


def found_in_trace(path: pathlib.Path, secrets: Iterable[str]) -> list[str]:
    """Return which secrets the arguments and environments in a trace hold, with the beginning of the line."""
    hits = []
    wanted = list(secrets)
    for line in path.read_bytes().splitlines():
        try:
            decoded = codecs.escape_decode(line)[0]
        except ValueError:
            decoded = line
        hits += [f"{hit} in {line[:200]!r}" for hit in found_in(line + b"\n" + bytes(decoded), wanted)]
    return hits


@contextlib.contextmanager
def traced(node: Node, output: pathlib.Path) -> Iterator[None]:
    """Record every program that is started on a node meanwhile, with its arguments and its environment."""
    listed = subprocess.run(
        ["docker", "top", node.container, "-eo", "pid"], capture_output=True, text=True, timeout=30, check=True
    )
    attach = [word for pid in listed.stdout.split()[1:] for word in ("-p", pid)]
    tracer = subprocess.Popen([*STRACE, "-o", str(output), *attach], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        end = time.monotonic() + 20
        # The tracer is attached when a program started on the node by the traced init shows; ssh's is such a one
        while "TracerPid:\t0" in pathlib.Path(f"/proc/{listed.stdout.split()[1]}/status").read_text(encoding="ascii"):
            assert tracer.poll() is None and time.monotonic() < end, f"strace did not attach to {node.name}"
            time.sleep(0.05)
        # One program for certain, so that an empty record is known to be a broken one
        node.out("systemd-run", "--wait", "--quiet", "true", limit=30)
        yield
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.communicate(timeout=30)


def files_holding(node: Node, secrets: Iterable[str], marker: str) -> dict[str, str]:
    """Return the files of a node changed since `marker` that hold a secret, with their mode and owner."""
    patterns = b"\n".join(form for secret in secrets for form in forms(secret).values()) + b"\n"
    script = (
        'find / /run /tmp /dev/shm -xdev -path /proc -prune -o -path /sys -prune -o -type f -newer "$1" -print0 |'
        " xargs -0 -r grep -laF -f /dev/fd/3 -- | sort -u | xargs -r -d '\\n' stat -c '%n %a:%U'"
    )
    done = subprocess.run(
        ["docker", "exec", "-i", node.container, "bash", "-c", f"exec 3<&0; {script}", "bash", marker],
        input=patterns.replace(b"\n\n", b"\n"),
        capture_output=True,
        timeout=120,
        check=False,
    )
    return dict(line.rsplit(" ", 1) for line in done.stdout.decode().splitlines())  # type: ignore[misc]


def left_on_control_node(secrets: Iterable[str], since: float, apart: Iterable[pathlib.Path]) -> list[str]:
    """Return the files below the temporary directories of the control node, changed since then, that hold a secret."""
    hits = []
    ansible = pathlib.Path(os.environ.get("ANSIBLE_HOME") or pathlib.Path.home() / ".ansible")
    roots = [pathlib.Path(tempfile.gettempdir()), ansible]
    skipped = {str(path) for path in apart}
    # The nodes' own disks may lie below a checkout that is below a temporary directory
    engine = subprocess.run(
        ["docker", "info", "--format", "{{.DockerRootDir}}"], capture_output=True, text=True, timeout=30, check=True
    ).stdout.strip()
    wanted = list(secrets)
    for root in roots:
        for directory, names, files in os.walk(root):
            names[:] = [name for name in names if f"{directory}/{name}" != engine]
            for name in files:
                path = pathlib.Path(directory) / name
                with contextlib.suppress(OSError):
                    status = path.lstat()
                    if stat.S_ISREG(status.st_mode) and status.st_mtime >= since and str(path) not in skipped:
                        hits += [f"{path}: {hit}" for hit in found_in(path.read_bytes(), wanted)]
    return hits


def declared_in(scenario: Scenario) -> dict[str, Any]:
    """Return the scenario's vars/secrets.yml; what it may say stands in the tests that use it."""
    path = scenario.directory / "vars" / "secrets.yml"
    assert path.exists(), "the scenario has no vars/secrets.yml that gives its secret variables"
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
                stack.enter_context(traced(node, self.directory / f"{node.name}.trace"))
            # By seccomp only execve stops a process: what Ansible does besides runs at full speed
            argv = [*STRACE, "--seccomp-bpf", "-o", str(self.directory / "control.trace"), *self.argv]
            return subprocess.run(argv, capture_output=True, timeout=280, check=False, cwd=ROOT)

    def leaks(self, output: bytes, kept_in: list[str]) -> list[str]:
        """Return where a secret was found that must not hold it."""
        hits = [f"output: {hit}" for hit in found_in(output, self.values)]
        for trace in self.directory.glob("*.trace"):
            assert b"execve(" in trace.read_bytes(), f"{trace.name} recorded nothing"
            hits += [f"{trace.name}: {hit}" for hit in found_in_trace(trace, self.values)]
        for node in self.nodes.values():
            for path, status in files_holding(node, self.values, MARKER).items():
                if path not in kept_in or status != "600:root":
                    hits.append(f"{node.name}:{path} ({status})")
        return hits + left_on_control_node(self.values, self.began, [self.file])
