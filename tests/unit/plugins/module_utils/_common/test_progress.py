# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The status file is whole at any time, and one line tells it."""

from __future__ import annotations

import json
import os
import select
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.progress import Progress, render


class Clock:
    """A clock in seconds that the test moves."""

    seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "status"


def read(path: Path) -> dict[str, Any]:
    status: dict[str, Any] = json.loads(path.read_bytes())
    return status


def test_tells_rate_and_time_left(path: Path, clock: Clock) -> None:
    with Progress(str(path), 5000, now=clock) as progress:
        assert read(path)["done"] == 0
        assert path.stat().st_mode & 0o777 == 0o600
        clock.seconds += 3
        progress.update(1234, "images")
        assert render(read(path)) == "1,234 of 5,000 files, 411 files/s, 10 s left: images"
        clock.seconds += 9
        progress.update(5000)
    assert render(read(path)) == "5,000 of 5,000 files, 417 files/s, done"
    assert [entry.name for entry in path.parent.iterdir()] == ["status"]


def test_writes_twice_a_second_at_most(path: Path, clock: Clock) -> None:
    with Progress(str(path), 100, now=clock) as progress:
        for done in range(1, 100):
            clock.seconds += 0.01
            progress.update(done)
            assert read(path)["done"] == (0 if done < 50 else 50)
        progress.update(100)
    assert read(path)["done"] == 100


def test_what_was_done_before_does_not_count_for_the_rate(path: Path, clock: Clock) -> None:
    with Progress(str(path), 1000, already=900, now=clock) as progress:
        clock.seconds += 10
        progress.update(910)
        assert (read(path)["rate"], read(path)["seconds_left"]) == (1, 90)


def test_exception_is_told(path: Path) -> None:
    with pytest.raises(ZeroDivisionError), Progress(str(path)):
        raise ZeroDivisionError
    assert read(path)["state"] == "failed"


@pytest.mark.parametrize(("code", "state"), [(0, "done"), (None, "done"), (1, "failed")])
def test_module_that_exits_within_is_told_by_its_code(path: Path, code: int | None, state: str) -> None:
    with pytest.raises(SystemExit), Progress(str(path)):
        sys.exit(code)
    assert read(path)["state"] == state


def test_nobody_to_tell(clock: Clock) -> None:
    with Progress(None, now=clock) as progress:
        clock.seconds += 10
        progress.update(1)


def test_place_that_does_not_exist_is_refused_at_once() -> None:
    with pytest.raises(ClusterkitError, match="its directory does not exist"), Progress("/no/such/directory/status"):
        pass


def test_work_goes_on_when_its_progress_cannot_be_written(path: Path, clock: Clock) -> None:
    with Progress(str(path), now=clock) as progress:
        path.unlink()
        path.mkdir()
        clock.seconds += 10
        progress.update(1)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({}, "10 of 20 files, 2 files/s, 5 s left"),
        ({"rate": 1.25}, "10 of 20 files, 1.2 files/s, 5 s left"),
        ({"total": None, "seconds_left": None}, "10 files, 2 files/s"),
        ({"rate": None, "seconds_left": None}, "10 of 20 files"),
        ({"seconds_left": 200.5}, "10 of 20 files, 2 files/s, 3 min 21 s left"),
        ({"seconds_left": 7500}, "10 of 20 files, 2 files/s, 2 h 5 min left"),
        ({"state": "failed", "seconds_left": None}, "10 of 20 files, 2 files/s, failed"),
        (
            {"unit": "bytes", "done": 999, "total": 2_345_678_901_234_567, "rate": 1e6},
            "999 B of 2345.7 TB, 1.0 MB/s, 5 s left",
        ),
        ({"note": "a\x1b[2Jb\nc"}, "10 of 20 files, 2 files/s, 5 s left: a\ufffd[2Jb\ufffdc"),
    ],
)
def test_line(change: dict[str, Any], line: str) -> None:
    status = {
        "done": 10,
        "total": 20,
        "unit": "files",
        "rate": 2.0,
        "seconds_left": 5.0,
        "note": "",
        "state": "running",
    }
    assert render({**status, **change}) == line


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
NAMES = ("done", "total", "unit", "rate", "seconds_left", "note", "state")


@given(JSON | st.fixed_dictionaries({}, optional=dict.fromkeys(NAMES, JSON)))
def test_any_status_gives_one_printable_line_or_an_error(status: Any) -> None:
    try:
        line = render(status)
    except ClusterkitError:
        return
    assert line.isprintable()


def test_watched_process_ends_with_its_parent(path: Path) -> None:
    def watched() -> None:
        with Progress(str(path)):
            time.sleep(60)

    reader, writer = os.pipe()
    parent = os.fork()
    if not parent:
        child = os.fork()
        if not child:
            watched()
        while not path.exists():
            time.sleep(0.01)
        # The first status has been written just before
        time.sleep(0.1)
        os._exit(0)
    os.close(writer)
    os.waitpid(parent, 0)
    # The child has the other end as well: it closes with it
    assert select.select([reader], [], [], 5)[0]
    os.close(reader)
    assert read(path)["state"] == "running"
