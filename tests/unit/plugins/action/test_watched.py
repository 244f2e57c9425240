# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action plugin watched, by ansible-playbook itself: what a play gets, what a person sees, and what is left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

import pytest

import ansible_collections

LIBRARY = Path(__file__).parent / "library"
CANARY = "CANARY-$'\"-password"
ANSIBLE_PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")

pytestmark = pytest.mark.skipif(not ANSIBLE_PLAYBOOK.exists(), reason="no ansible-playbook beside this Python")


@dataclass
class Played:
    """The results that the play's tasks registered, and what was shown."""

    results: list[dict[str, Any]]
    stdout: str
    stderr: str

    @property
    def result(self) -> dict[str, Any]:
        (result,) = self.results
        return result

    @property
    def progress(self) -> list[str]:
        prefix = "localhost: watched_probe: "
        return [line[len(prefix) :] for line in self.stderr.splitlines() if line.startswith(prefix)]

    @property
    def everything(self) -> str:
        return self.stdout + self.stderr + json.dumps(self.results)


Play = Callable[..., Played]


def watch(task: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
    """Return a task that watches the probe."""
    watched = {"module": "watched_probe", "args": {"steps": 1}, "limit": 3, "interval": 0.1, **options}
    return {"clusterkit.middleware.watched": watched, "ignore_errors": True, **(task or {})}


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """What the play sees as the target's directories for temporary files and asynchronous jobs."""
    return tmp_path / "target"


@pytest.fixture
def play(tmp_path: Path, target: Path) -> Play:
    """Run tasks in a play, by ansible-playbook."""
    (tmp_path / "empty.cfg").touch()

    def run(*tasks: dict[str, Any], arguments: tuple[str, ...] = (), pipelining: bool = True) -> Played:
        names = [f"result_{number}" for number in range(len(tasks))]
        keep = {
            "ansible.builtin.copy": {
                "content": "{{ [" + ",".join(names) + "] | to_json }}",
                "dest": str(tmp_path / "results"),
            },
            "check_mode": False,
            "diff": False,
            "no_log": True,
        }
        registered = [{**task, "register": name} for task, name in zip(tasks, names)]
        playbook = tmp_path / "play.yml"
        playbook.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": [*registered, keep]}]))
        done = subprocess.run(
            [str(ANSIBLE_PLAYBOOK), "-i", "localhost,", "-c", "local", *arguments, str(playbook)],
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                "LC_ALL": "C.UTF-8",
                "ANSIBLE_CONFIG": str(tmp_path / "empty.cfg"),
                "ANSIBLE_COLLECTIONS_PATH": str(Path(next(iter(ansible_collections.__path__))).parent),
                "ANSIBLE_LIBRARY": str(LIBRARY),
                "ANSIBLE_REMOTE_TMP": str(target / "tmp"),
                "ANSIBLE_ASYNC_DIR": str(target / "async"),
                "ANSIBLE_PIPELINING": str(pipelining),
                "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
                "ANSIBLE_NOCOLOR": "1",
            },
            text=True,
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return Played(json.loads((tmp_path / "results").read_text()), done.stdout, done.stderr)

    return run


def left_on(target: Path) -> list[str]:
    """Return what is left in the target's directories, once async_wrapper has had the time to remove its own."""
    for _turn in range(80):
        left = [str(path.relative_to(target)) for path in target.rglob("*") if path.parent != target]
        if not left:
            break
        time.sleep(0.1)
    return left


def test_shows_progress_and_returns_the_result(play: Play, target: Path) -> None:
    # Long enough that a machine under load polls twice meanwhile
    options = {"steps": 5, "pause": 1.0, "password": CANARY}
    done = play(watch(args=options, limit=30), arguments=("--diff", "-vvv"))
    result = done.result
    assert (result["counted"], result["changed"], result["failed"]) == (5, True, False)
    assert result["diff"] == {"before": "a\n", "after": "b\n"}
    assert result["ansible_facts"]["probed"] is True
    assert not {"ansible_job_id", "finished", "started", "results_file"} & set(result)
    assert "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER" in done.stdout

    assert len(set(done.progress)) == len(done.progress) >= 2
    assert all(" of 5 steps" in line for line in done.progress)
    assert " of 5 steps" not in done.stdout
    assert "+b" in done.stdout
    assert CANARY not in done.everything
    assert left_on(target) == []


def test_failure_of_the_module_is_the_failure_of_the_task(play: Play, tmp_path: Path, target: Path) -> None:
    status_file = tmp_path / "status"
    done = play(
        watch(args={"steps": 2, "pause": 0.2, "end": "failed"}, status_file=str(status_file)),
        watch(args={"steps": 1, "end": "crash"}),
        # The progress is hidden as well, since it tells of the work
        watch({"no_log": True}, args={"steps": 4, "pause": 0.1, "password": CANARY}),
        arguments=("-vvv",),
        # More is left behind without it, when it is not cleaned up
        pipelining=False,
    )
    failed, crashed, hidden = done.results
    assert (failed["failed"], failed["msg"]) == (True, "found no more steps, expected one")
    assert bool(crashed["failed"]) is True
    assert (hidden["failed"], hidden["counted"]) == (False, 4)
    assert " of 4 steps" not in done.stdout + done.stderr
    assert CANARY not in done.everything
    assert not status_file.exists()
    assert left_on(target) == []


def test_exceeded_limit_tells_the_last_progress_and_ends_what_runs(
    play: Play, tmp_path: Path, target: Path, ends_soon: Callable[[int], bool]
) -> None:
    pid_file = tmp_path / "pid"
    result = play(watch(args={"steps": 3, "end": "never", "pid_file": str(pid_file)}, limit=2)).result
    assert result["failed"] is True
    assert result["msg"].startswith(
        "watched_probe did not end within its limit of 2 s and was stopped. Last progress: 3 of 3 steps"
    )
    assert result["progress"].startswith("3 of 3 steps")
    assert left_on(target) == []
    assert ends_soon(int(pid_file.read_text()))


def test_check_mode_runs_the_module_at_once(play: Play, target: Path) -> None:
    done = play(watch(args={"steps": 5, "pause": 60}), arguments=("--check",))
    assert (done.result["changed"], done.result["counted"], done.result["watched_by"]) == (True, 0, None)
    assert done.progress == []
    assert not (target / "async").exists()


def test_bad_input_is_refused(play: Play, target: Path) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        (watch(limit=0), "limit is 0: expected seconds, more than 0"),
        (watch(interval=-1), "interval is -1.0: expected seconds"),
        (watch(args={"status_file": "/x", "password": CANARY}), "args has status_file: give the path as status_file"),
        (watch(args=[CANARY]), "argument 'args' is of type"),
        (watch(args={"password": CANARY}), "missing required arguments: steps"),
        (watch(module="ansible.builtin.copy"), "module ansible.builtin.copy has an action plugin"),
        (watch(module="no.such.module"), "no.such.module"),
        (watch(modules="x"), "modules"),
        (watch({"async": 10, "poll": 1}), "async"),
    ]
    done = play(*(task for task, _message in cases))
    for (_task, message), result in zip(cases, done.results):
        assert result["failed"] is True
        assert message in result["msg"]
    assert CANARY not in done.everything
    assert left_on(target) == []
