# SPDX-License-Identifier: GPL-3.0-or-later
"""A scenario from its tests' point of view: its playbooks, what they changed, and its nodes."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import yaml

from lab.image import USER
from lab.nodes import Laboratory

ROOT = pathlib.Path(__file__).resolve().parents[2]
Value = TypeVar("Value")
#: Seconds for which anything is waited for: on a busy machine what takes a moment takes many.
LEAST_SECONDS = 30.0
#: Where molecule has Ansible keep its connections: each by address, port and user.
CONTROL_PATHS = "/tmp/clusterkit-ssh"  # noqa: S108  # a socket's path is limited in length


@dataclass
class Run:
    """One run of ansible-playbook: what it changed, as (host, task), what failed, and the facts that it left.

    `diffs` holds, for each task of `changed`, the difference that it showed.
    """

    rc: int
    output: str
    changed: set[tuple[str, str]] = field(default_factory=set)
    diffs: dict[tuple[str, str], Any] = field(default_factory=dict)
    failed: dict[tuple[str, str], str] = field(default_factory=dict)
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)

    def check(self) -> Run:
        """Assert that nothing failed, and return the run."""
        assert self.rc == 0, f"ansible-playbook ended with {self.rc}: {self.failed or self.output[-2000:]}"
        return self

    def complaint(self) -> str:
        """Return the messages of all that failed, in one text."""
        assert self.rc != 0, "the run was expected to refuse, and did not"
        return " ".join(self.failed.values()) or self.output


@dataclass(frozen=True)
class Node:
    """A node as the machine that it stands for: it can be asked, killed, paused, and it comes back."""

    name: str
    container: str

    def run(self, *argv: str, limit: float = 60, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command as root on the node."""
        interactive = ["-i"] if stdin is not None else []
        return subprocess.run(
            ["docker", "exec", *interactive, self.container, *argv],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=limit,
            check=False,
        )

    def out(self, *argv: str, limit: float = 60, stdin: str | None = None) -> str:
        """Run a command that has to succeed, and return what it printed."""
        done = self.run(*argv, limit=limit, stdin=stdin)
        assert done.returncode == 0, f"{self.name}: {' '.join(argv)}: {done.stderr or done.stdout}"
        return done.stdout

    def write(self, path: str, content: str) -> None:
        """Write a file on the node, in place."""
        self.out("sh", "-c", 'cat > "$1"', "sh", path, stdin=content)

    def read(self, path: str) -> str | None:
        """Return a file's content, None where there is none."""
        done = self.run("cat", path)
        return done.stdout if done.returncode == 0 else None

    def engine(self, verb: str) -> None:
        """Let the container engine act on the node: kill, start, pause, unpause."""
        subprocess.run(["docker", verb, self.container], check=True, capture_output=True, timeout=60)


@dataclass(frozen=True)
class GuestNode(Node):
    """A node that is a guest, with a kernel of its own: it is asked over ssh, as by Ansible."""

    laboratory: Laboratory
    address: str

    def run(self, *argv: str, limit: float = 60, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command as root on the guest."""
        how: dict[str, Any] = {"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}
        return subprocess.run(
            self.laboratory.ssh(self.address, *argv), capture_output=True, text=True, timeout=limit, check=False, **how
        )

    def engine(self, verb: str) -> None:
        """Let what happens to the container of another node happen to the guest: kill, start, pause, unpause."""
        guest = self.laboratory.guest(self.name)
        if verb == "kill":
            self._disconnect()
        if verb != "start":
            {"kill": guest.kill, "pause": guest.pause, "unpause": guest.unpause}[verb]()
            return
        guest.start()
        self.laboratory.wait_for_guest(self.name, self.address)

    def _disconnect(self) -> None:
        """End the connection that Ansible keeps: nobody would tell it that the other end is gone."""
        path = f"{CONTROL_PATHS}/{self.address}-22-{USER}"
        ended = ["ssh", "-q", "-O", "exit", "-o", f"ControlPath={path}", self.address]
        subprocess.run(ended, capture_output=True, timeout=30, check=False)

    def reboot(self) -> None:
        """Start it anew. Its kernel is ended from here: one that starts itself anew has lost its network."""
        self.run("sync")
        self.engine("kill")
        self.engine("start")


class Scenario:
    """The scenario that molecule runs."""

    def __init__(self, name: str, directory: pathlib.Path, inventory: str) -> None:
        self.name = name
        self.directory = directory
        self.inventory = inventory

    @classmethod
    def from_environment(cls) -> Scenario:
        """Return the scenario that molecule's environment names."""
        directory = pathlib.Path(os.environ["MOLECULE_SCENARIO_DIRECTORY"])
        return cls(os.environ["MOLECULE_SCENARIO_NAME"], directory, os.environ["MOLECULE_INVENTORY_FILE"])

    def nodes(self) -> dict[str, Node]:
        """Return the nodes by name, as the scenario's molecule.yml names them."""
        config = yaml.safe_load((self.directory / "molecule.yml").read_text(encoding="utf-8"))
        laboratory = Laboratory(self.name)
        return {one["name"]: self._node(one, laboratory) for one in config["platforms"]}

    def _node(self, platform: dict[str, Any], laboratory: Laboratory) -> Node:
        name = platform["name"]
        if not platform.get("guest"):
            return Node(name, laboratory.container(name))
        rows = json.loads((pathlib.Path(os.environ["MOLECULE_INSTANCE_CONFIG"])).read_text(encoding="utf-8"))
        address = next(row["address"] for row in rows if row["instance"] == name)
        return GuestNode(name, "", laboratory, address)

    def argv(self, playbook: str | pathlib.Path, *options: str) -> list[str]:
        """Return the command line that runs a playbook of the scenario, or one by its collection name."""
        path = str(playbook) if "." in str(playbook) and "/" in str(playbook) else str(self.directory / str(playbook))
        if str(playbook).startswith("clusterkit.middleware."):
            path = str(playbook)
        return ["ansible-playbook", "-i", self.inventory, path, *options]

    def start(self, *options: str) -> subprocess.Popen[bytes]:
        """Start a run of converge.yml that is to be ended before its time: see `kill_with_descendants`."""
        return subprocess.Popen(
            self.argv("converge.yml", *options),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd=ROOT,
        )

    def play(
        self,
        playbook: str | pathlib.Path = "converge.yml",
        *options: str,
        variables: dict[str, Any] | None = None,
        limit: float = 1200,
    ) -> Run:
        """Run a playbook and return what it changed; `limit` (seconds) is for one that hangs, not a slow one."""
        more = ["-e", json.dumps(variables)] if variables else []
        environment = {**os.environ, "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json", "ANSIBLE_FORCE_COLOR": "0"}
        process = subprocess.Popen(
            self.argv(playbook, *options, *more),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        try:
            output, errors = process.communicate(timeout=limit)
        except BaseException:
            # What it forked would go on changing the nodes under the tests that follow
            kill_with_descendants(process)
            raise
        return self._read(subprocess.CompletedProcess(process.args, process.returncode, output, errors))

    def _read(self, done: subprocess.CompletedProcess[str]) -> Run:
        run = Run(done.returncode, done.stdout + done.stderr)
        start = done.stdout.find("{\n")
        if start < 0:
            return run
        document = json.loads(done.stdout[start:])
        for play in document["plays"]:
            for task in play["tasks"]:
                for host, result in task["hosts"].items():
                    key = (host, task["task"]["name"])
                    if result.get("changed"):
                        run.changed.add(key)
                        run.diffs[key] = result.get("diff")
                    if result.get("failed") or result.get("unreachable"):
                        # A loop's own message only says that it failed
                        items = [one for one in result.get("results", []) if one.get("failed")]
                        run.failed[key] = " ".join(str(one.get("msg", one)) for one in items or [result])
                    run.facts.setdefault(host, {}).update(result.get("ansible_facts") or {})
        return run


def kill_with_descendants(process: subprocess.Popen[Any]) -> None:
    """Kill a process and all that came from it at once: Ansible's workers have sessions of their own."""
    parents: dict[int, int] = {}
    for entry in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(entry.parent.name)] = int(entry.read_text(encoding="utf-8").rpartition(")")[2].split()[1])
    doomed = {process.pid}
    while more := {child for child, parent in parents.items() if parent in doomed} - doomed:
        doomed |= more
    for pid in doomed:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait(timeout=30)


def wait_for(question: Callable[[], Value], what: str, limit: float) -> Value:
    """Ask until the answer is true, at most `limit` seconds; return the answer. Fails with what was waited for.

    Nobody is given up before LEAST_SECONDS: how quick a machine is decides over no test.
    """
    end = time.monotonic() + max(limit, LEAST_SECONDS)
    while True:
        answer = question()
        if answer:
            return answer
        assert time.monotonic() < end, f"waited {limit:.0f} s for {what}"
        time.sleep(0.05)
