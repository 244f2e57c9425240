# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many hands do what one does, tell what went wrong, and leave nobody behind."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import threading
import time
from pathlib import Path
from typing import Iterator

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.crew import Crew
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError

MIXES = [(1, 1), (1, 3), (2, 1), (3, 2)]
LARGE = 2 * 1024 * 1024


@pytest.fixture(autouse=True)
def _nobody_is_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Look whether each process that a test has forked is gone; children of other tests are not the crew's."""
    forked: list[int] = []
    fork = os.fork

    def recording() -> int:
        forked.append(fork())
        return forked[-1]

    monkeypatch.setattr(os, "fork", recording)
    yield
    assert not {str(pid) for pid in forked} & set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


@pytest.mark.parametrize(("processes", "threads"), MIXES)
@pytest.mark.parametrize("number", [0, 1, 2, 100])
def test_does_each_once(processes: int, threads: int, number: int) -> None:
    with Crew(lambda one: one * one, processes, threads) as crew:
        found = list(crew.do(range(number)))
    assert sorted(found) == [(one, one * one) for one in range(number)]


def test_works_in_processes_with_threads_and_no_more_than_there_is_to_do() -> None:
    def whose(_one: int) -> tuple[int, int]:
        time.sleep(0.02)
        return os.getpid(), threading.get_ident()

    with Crew(whose, 3, 2) as crew:
        hands = {outcome for _one, outcome in crew.do(range(60))}
    assert len(hands) == 6
    assert len({process for process, _thread in hands}) == 3
    with Crew(whose, 3, 2) as crew:
        assert len({outcome for _one, outcome in crew.do(range(2))}) == 2
    with Crew(whose, 3, 2) as crew:
        assert {outcome for _one, outcome in crew.do([1])} == {(os.getpid(), threading.get_ident())}


def test_large_inputs_and_outcomes_pass_at_once() -> None:
    with Crew(lambda one: one[::-1], 2, 2) as crew:
        found = [outcome for _one, outcome in crew.do(bytes([number]) * LARGE for number in range(12))]
    assert sorted(found) == [bytes([number]) * LARGE for number in range(12)]


def test_inputs_are_taken_as_they_are_needed() -> None:
    taken = []

    def inputs() -> object:
        for number in range(100):
            taken.append(number)
            yield number

    with Crew(str, 2) as crew:
        for done, _outcome in enumerate(crew.do(inputs())):  # type: ignore[arg-type,var-annotated]  # any iterable will do
            assert len(taken) <= done + 4


class OddError(Exception):
    def __init__(self, one: str, other: str) -> None:
        super().__init__(one + other)


@pytest.mark.parametrize("mix", MIXES)
def test_errors_come_back_as_what_they_are(mix: tuple[int, int]) -> None:
    errors = {
        3: OSError(errno.ENOSPC, "No space left", b"/full\xff"),
        4: ClusterkitError("said", {"rc": 4}),
        5: OddError("cannot be", " unpacked"),
    }

    def fail(one: int) -> int:
        if one in errors:
            raise errors[one]
        return one

    with pytest.raises(OSError, match="No space left") as full, Crew(fail, *mix) as crew:
        list(crew.do([1, 2, 3]))
    assert (full.value.errno, full.value.filename) == (errno.ENOSPC, b"/full\xff")
    with pytest.raises(ClusterkitError, match="said") as said, Crew(fail, *mix) as crew:
        list(crew.do([1, 2, 4]))
    assert said.value.details == {"rc": 4}
    with pytest.raises(Exception, match="cannot be unpacked"), Crew(fail, *mix) as crew:
        list(crew.do([1, 2, 5]))


def test_an_error_does_not_wait_for_what_hangs() -> None:
    def hang(one: int) -> int:
        if one:
            time.sleep(60)
        raise ClusterkitError("the first")

    began = time.monotonic()
    with pytest.raises(ClusterkitError, match="the first"), Crew(hang, 3, 2) as crew:
        list(crew.do(range(6)))
    assert time.monotonic() - began < 30


def test_a_worker_that_is_killed_is_noticed() -> None:
    parent = os.getpid()

    def die(one: int) -> int:
        if one == 7:
            assert os.getpid() != parent
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.01)
        return one

    killed = r"a worker \(process \d+\) was ended from outside, with signal 9"
    with pytest.raises(ClusterkitError, match=killed), Crew(die, 2, 2) as crew:
        list(crew.do(range(100)))


def test_nothing_that_was_open_is_held(tmp_path: Path) -> None:
    """A lock of this process, and an end of a pipe, are not the workers' as well."""
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        reading, writing = os.pipe()
        with Crew(lambda _one: len(os.listdir("/proc/self/fd")), 2, 2) as crew:  # noqa: PTH208  # how many there are
            counts = [count for _one, count in crew.do(range(8))]
        # The first three, two connections, and the one that lists them, once for each thread at most
        assert max(counts) <= 3 + 2 + 2
        os.close(reading)
        os.close(writing)


def test_no_orphan_survives(tmp_path: Path) -> None:
    """The parent is killed while its workers work: they end with it."""
    told = tmp_path / "workers"

    def work(_one: int) -> None:
        with told.open("a") as file:
            file.write(f"{os.getpid()}\n")
        time.sleep(60)

    parent = os.fork()
    if not parent:
        try:
            with Crew(work, 3, 2) as crew:
                list(crew.do(range(6)))
        finally:
            os._exit(0)
    end = time.monotonic() + 30
    while not told.exists() or len(told.read_text().split()) < 6:
        assert time.monotonic() < end
        time.sleep(0.01)
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    workers = set(told.read_text().split())
    assert len(workers) == 3
    while any(Path(f"/proc/{worker}").exists() for worker in workers):
        assert time.monotonic() < end, "a worker goes on"
        time.sleep(0.01)
