# SPDX-License-Identifier: GPL-3.0-or-later
"""A migration that is killed anywhere leaves a complete location in use, and goes on to its end when it is run again.

The calls of a whole run that change something are traced; then for each of them a run is killed as it makes that call,
before the kernel does it. What is there behind a call is what is there before the next one, so that both sides of each
are met. More runs are killed at random moments. The judge is rsync, which compares contents, attributes and links.
"""

from __future__ import annotations

import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.faults.ground import LIMIT, LINKS, PROPERTY, Ground, calls, command, environment, mounted

MUTATING = (
    "openat write pwrite64 ftruncate truncate fallocate copy_file_range sendfile rename renameat renameat2 unlink "
    "unlinkat rmdir mkdir mkdirat symlink symlinkat link linkat mknod mknodat chmod fchmod fchmodat chown fchown "
    "lchown fchownat utimensat setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr fsync fdatasync "
    "syncfs"
).split()
#: How data go, and what a run does in one go.
STORIES = {
    "property-to-the-end": (PROPERTY, "precopy,migrate,remove_source"),
    "property-and-back": (PROPERTY, "migrate,rollback"),
    "links-to-the-end": (LINKS, "migrate,remove_source"),
    "links-and-back": (LINKS, "precopy,migrate,rollback"),
}
#: Of each story the core tier kills so many runs at calls, and so many at random moments.
SAMPLE, AT_RANDOM = 24, 4
#: So that a failing random moment can be tried again.
SEED = 20


@pytest.fixture(params=STORIES)
def ground(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Iterator[Ground]:
    """Return the ground of a story, with the shared storage mounted."""
    yield from mounted(Ground(tmp_path, STORIES[request.param][0]))


@pytest.fixture
def phases(request: pytest.FixtureRequest) -> str:
    """Return what a run of the story does."""
    return STORIES[request.node.callspec.params["ground"]][1]


class Kills:
    """Runs of a story that are ended from outside, each on fresh data."""

    def __init__(self, ground: Ground, phases: str) -> None:
        self.ground = ground
        self.phases = phases
        self.number = 0
        ground.make_data()
        ground.write_request()
        # A namespace of its own: elsewhere the processes of the machine would make each run another one
        self.isolated = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
        ground.run("plan:migrate")  # what is made once, such as caches, is no part of a story

    def renew(self) -> None:
        """Have the data at home again and nothing at the target, as on the first day."""
        ground = self.ground
        for path in (ground.install, ground.root / "state"):
            if path.exists():
                shutil.rmtree(path)
        for path in ground.share.iterdir():
            shutil.rmtree(path)
        command("cp", "-a", ground.reference, ground.install)
        ground.properties.parent.mkdir()
        ground.properties.write_text("a=1\nserver.appdata.dir=..\n", encoding="utf-8")

    def trace(self) -> list[tuple[str, int]]:
        """Return the calls of a run from beginning to end that change something."""
        self.renew()
        trace = self.ground.root / "trace"
        strace = ["strace", "-o", str(trace), "-e", f"trace={','.join(MUTATING)}"]
        done = self._run([*self.isolated, *strace, *self.ground.argv(self.phases)])
        assert done.returncode == 0, done.stderr
        return calls(trace.read_text(encoding="utf-8", errors="replace"), MUTATING)

    def at_call(self, name: str, number: int) -> None:
        """Kill a run as it makes the given call, and see that all is well."""
        self.renew()
        strace = ["strace", "-o", "/dev/null", "-e", f"trace={name}"]
        kill = ["-e", f"inject={name}:signal=KILL:when={number}"]
        killed = self._run([*self.isolated, *strace, *kill, *self.ground.argv(self.phases)])
        self._judge(killed, f"killed at {name} number {number}")

    def at_moment(self, seconds: float) -> None:
        """Kill a run after a time, and see that all is well."""
        self.renew()
        process = subprocess.Popen(
            self.ground.argv(self.phases), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
        )
        time.sleep(seconds)
        process.kill()
        said, complaint = process.communicate(timeout=LIMIT)
        done = subprocess.CompletedProcess([], process.returncode, said, complaint)
        self._judge(done, f"killed after {seconds:.3f} s")

    def _judge(self, killed: subprocess.CompletedProcess[str], what: str) -> None:
        ground = self.ground
        assert killed.returncode in (0, -signal.SIGKILL, 128 + signal.SIGKILL), f"{what}: {killed.stderr}"
        self.number += killed.returncode != 0
        try:
            ground.assert_usable()
            # Run again it ends right, from wherever it was: forwards, and what was to go back goes back
            report = json.loads(self._again())
            if self.phases.endswith("rollback"):
                ground.assert_at_home()
            else:
                ground.assert_moved()
                assert report["phase"] == "removed"
                assert (ground.install / "logs").exists() == (ground.how == LINKS)
                assert (ground.install / "conf/installed.version").read_text(encoding="utf-8") == "7.3\n"
                assert not list(ground.install.rglob("*.clusterkit-original"))
        except AssertionError as error:
            raise AssertionError(f"{what}: {error}") from error

    def _again(self) -> str:
        done = self.ground.run("rollback" if self.phases.endswith("rollback") else self.phases)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _run(self, argv: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(argv, capture_output=True, text=True, timeout=LIMIT, check=False, env=environment())


def test_killed_at_some_calls(ground: Ground, phases: str) -> None:
    """A sample, evenly spread over the run, and some random moments."""
    kills = Kills(ground, phases)
    points = kills.trace()
    assert len(points) > SAMPLE, points
    for number in range(SAMPLE):
        kills.at_call(*points[number * len(points) // SAMPLE])
    draw = random.Random(SEED)  # noqa: S311  # repeatable, no secret
    kills.renew()
    began = time.monotonic()
    assert ground.run(phases).returncode == 0
    took = time.monotonic() - began
    for _number in range(AT_RANDOM):
        moment, before = draw.uniform(0, took), kills.number
        kills.at_moment(moment)
        if kills.number == before:
            # It ended sooner than the one that was measured, when the machine was busier
            took = moment
    # Four stories: more than a hundred in all
    assert kills.number >= SAMPLE + 1, f"only {kills.number} runs were killed before their end"


@pytest.mark.deep
def test_killed_at_each_call(ground: Ground, phases: str) -> None:
    """Every call, and many random moments."""
    kills = Kills(ground, phases)
    points = kills.trace()
    for name, number in points:
        kills.at_call(name, number)
    assert kills.number >= 0.95 * len(points)
    draw = random.Random(os.getpid())  # noqa: S311  # no secret; each moment is told when it fails
    for _number in range(50):
        kills.at_moment(draw.uniform(0, 0.6))
    print(f"{kills.number} runs were killed, {len(points)} of them at a call each")
