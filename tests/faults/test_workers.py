# SPDX-License-Identifier: GPL-3.0-or-later
"""A run whose workers are processes of their own: one of them is killed, or the one that started them is."""

from __future__ import annotations

import contextlib
import pathlib
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.faults.ground import LIMIT, PROPERTY, Ground, environment, mounted

#: On a local file system fewer files are copied without workers.
FILES = 600
#: Calls of a run of which each worker makes many; the kill meets the first process that makes so many.
POINTS = [
    *(("copy_file_range", number) for number in (1, 30, 90)),
    *(("pread64", number) for number in (50, 250)),
    *(("utimensat", number) for number in (20, 100)),
    *(("sendto", number) for number in (1, 3, 5)),
    *(("openat", number) for number in (150, 400)),
    *(("fadvise64", number) for number in (10, 200)),
]


@pytest.fixture
def ground(tmp_path: pathlib.Path) -> Iterator[Ground]:
    """Return data at home that are worth some workers, and a share that is mounted."""
    for one in mounted(Ground(tmp_path, PROPERTY)):
        one.make_data()
        for number in range(FILES):
            path = one.install / f"logs/{number // 50}/{number}"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"%d" % number * 100)
        one.make_reference()
        one.write_request(workers=3)
        yield one


def children(process: int) -> list[int]:
    """Return the processes that a process has started."""
    with contextlib.suppress(OSError):
        return [int(one) for one in pathlib.Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    return []


@pytest.mark.parametrize(("call", "number"), POINTS)
def test_one_killed_anywhere(ground: Ground, call: str, number: int) -> None:
    """The run says so and ends, or was killed itself; nothing is lost, and the next run goes on."""
    strace = ["strace", "-f", "-o", "/dev/null", "-e", f"trace={call}"]
    inject = ["-e", f"inject={call}:signal=KILL:when={number}"]
    # A namespace of its own, so that nothing of it is there any more when strace has ended
    isolated = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    argv = [*isolated, *strace, *inject, *ground.argv("migrate")]
    for _attempt in range(3):
        done = subprocess.run(argv, capture_output=True, text=True, timeout=LIMIT, check=False, env=environment())
        # strace itself crashes now and then when a process whose threads it follows is killed; a run cut off by that is
        # one more that has to go on
        if done.returncode not in (-signal.SIGSEGV, 128 + signal.SIGSEGV):
            break
    assert done.returncode, "nothing was killed"
    if done.returncode == 1:
        assert "was ended from outside, with signal 9" in done.stderr
    else:
        assert done.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL), done.stderr
    ground.assert_usable()
    ground.report("migrate")
    ground.assert_moved()


def test_no_orphan_survives(ground: Ground) -> None:
    """The run is killed while its workers work: they end, hold no lock, and the next run goes on."""
    pipe = subprocess.PIPE
    process = subprocess.Popen(ground.argv("migrate"), stdout=pipe, stderr=pipe, env=environment())
    end = time.monotonic() + LIMIT
    workers: list[int] = []
    # Before it has workers it asks the target by a command, alone
    while len(workers) < 2:
        assert process.poll() is None and time.monotonic() < end, "no workers were seen"
        workers = children(process.pid)
    process.kill()
    process.wait(timeout=LIMIT)
    while [one for one in workers if pathlib.Path(f"/proc/{one}").exists()]:
        assert time.monotonic() < end, "a worker goes on"
        time.sleep(0.01)
    ground.assert_usable()
    ground.report("migrate")
    ground.assert_moved()


def test_what_workers_do_is_what_one_does(ground: Ground) -> None:
    """Copied, again after changes, and removed: by three processes with threads."""
    ground.write_request(workers=8)
    assert ground.report("precopy")["copied"] > FILES
    for number in range(0, FILES, 7):
        path = ground.install / f"logs/{number // 50}/{number}"
        path.write_bytes(b"changed")
    (ground.install / "logs/0/1").unlink()
    (ground.install / "logs/0/1").mkdir()
    ground.make_reference()
    ground.report("migrate")
    ground.assert_moved()
    assert ground.report("remove_source")["phase"] == "removed"
