# SPDX-License-Identifier: GPL-3.0-or-later
"""A million files need no more memory than a small server can spare, all processes of a run together."""

from __future__ import annotations

import contextlib
import pathlib
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.faults.ground import PROPERTY, Ground, environment, mounted

FILES = 1_000_000
#: In one directory; one more of them holds so many that no listing of it is kept.
TOGETHER, CROWDED = 500, 50_000
MOST_MIB = 200
HOURS = 2.0


@pytest.fixture
def ground(tmp_path: pathlib.Path) -> Iterator[Ground]:
    """Return data at home, and a share that holds them."""
    for one in mounted(Ground(tmp_path, PROPERTY), "size=8g,nr_inodes=4m"):
        one.make_data()
        one.write_request(workers=24)
        yield one


def tree(process: int) -> list[int]:
    """Return a process and all below it."""
    with contextlib.suppress(OSError):
        below = pathlib.Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii").split()
        return [process, *(one for child in below for one in tree(int(child)))]
    return []


def memory(process: int) -> float:
    """Return the MiB that a process has, with its part of what it shares with others."""
    with contextlib.suppress(OSError):
        for line in pathlib.Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0


@pytest.mark.deep
def test_a_million_files(ground: Ground) -> None:
    """Copied by many workers, and moved."""
    logs = ground.install / "logs"
    for number in range(FILES):
        parent = logs / ("crowded" if number < CROWDED else f"{number // TOGETHER // 50}/{number // TOGETHER}")
        if number < CROWDED or number % TOGETHER == 0:
            parent.mkdir(parents=True, exist_ok=True)
        (parent / f"{number}").touch()
    most: dict[str, float] = {}
    for phase in ("precopy", "migrate"):
        pipe = subprocess.PIPE
        began = time.monotonic()
        process = subprocess.Popen(ground.argv(phase), stdout=pipe, stderr=pipe, text=True, env=environment())
        most[phase] = 0.0
        while process.poll() is None:
            assert time.monotonic() - began < HOURS * 3600
            most[phase] = max(most[phase], sum(map(memory, tree(process.pid))))
            time.sleep(0.2)
        assert process.returncode == 0, process.communicate()[1]
        print(f"{phase} of {FILES} files: {most[phase]:.0f} MiB, {time.monotonic() - began:.0f} s")
    assert max(most.values()) <= MOST_MIB, most
