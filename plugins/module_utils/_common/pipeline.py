# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that feed one another more than memory holds: each is watched, none outlives its caller."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
from dataclasses import dataclass, field
from typing import IO, Any, Callable, Iterator, Mapping, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import mask
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.process import end_with_parent

_CHUNK = 1 << 18
_GRACE_SECONDS = 5.0
_QUOTED_LINES = 5


@dataclass(frozen=True)
class Stage:
    """A program of a pipeline; `name` is for errors, where the first word of `argv` says too little."""

    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    name: str = ""

    @property
    def called(self) -> str:
        """What errors call it."""
        return self.name or self.argv[0]


def flow(
    source: Sequence[Stage],
    target: Sequence[Stage],
    *,
    stdin: IO[bytes] | int | None = None,
    stdout: IO[bytes] | int | None = None,
    watch: Callable[[bytes], Any] = len,
    limit: float = 3600.0,
    inherited: Sequence[int] = (),
    secrets: Sequence[str] = (),
) -> int:
    """Let `source` feed `target`, each a chain of programs; return how many bytes passed from one to the other.

    `watch` sees all that passes. Every program has to end with 0 within `limit` seconds. Raises ClusterkitError, which
    names the last one in the order of the data that failed: those before it only lost their reader.
    """
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(_chain(source, subprocess.DEVNULL if stdin is None else stdin, None, inherited))
        last = stack.enter_context(_chain(target, subprocess.PIPE, stdout, inherited)) if target else None
        everything = first + (last or [])
        timed_out = threading.Event()

        def end() -> None:
            timed_out.set()
            for one in everything:
                one.end()

        timer = threading.Timer(limit, end)
        timer.daemon = True
        timer.start()
        try:
            passed = _pump(first[-1].output(), last[0].input() if last else None, watch)
            for one in everything:
                one.process.wait()
        finally:
            timer.cancel()
        _judge(everything, timed_out.is_set(), limit, secrets)
    return passed


def _pump(reader: IO[bytes], writer: IO[bytes] | None, watch: Callable[[bytes], Any]) -> int:
    passed = 0
    with contextlib.suppress(BrokenPipeError):  # whoever reads no more tells why by its exit code
        while True:
            data = os.read(reader.fileno(), _CHUNK)
            if not data:
                break
            watch(data)
            if writer is not None:
                writer.write(data)
            passed += len(data)
    reader.close()
    if writer is not None:
        with contextlib.suppress(BrokenPipeError):
            writer.close()
    return passed


class _Process:
    def __init__(self, stage: Stage, stdin: Any, stdout: Any, inherited: Sequence[int]) -> None:
        self.stage = stage
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115  # pylint: disable=consider-using-with
        try:
            self.process = subprocess.Popen(
                list(stage.argv),
                stdin=stdin,
                stdout=stdout,
                stderr=self.errors,
                env={**os.environ, "LC_ALL": "C", **stage.env},
                cwd="/",
                pass_fds=tuple(inherited),
                start_new_session=True,
                preexec_fn=end_with_parent,  # noqa: PLW1509  # pylint: disable=subprocess-popen-preexec-fn
            )
        except OSError as error:
            self.errors.close()
            what = "is its package installed?" if isinstance(error, FileNotFoundError) else error.strerror
            raise ClusterkitError(f"cannot run {stage.argv[0]}: {what}") from None

    def input(self) -> IO[bytes]:
        """Return the pipe that it reads."""
        if self.process.stdin is None:
            raise AssertionError("Popen was asked for this pipe")
        return self.process.stdin

    def output(self) -> IO[bytes]:
        """Return the pipe that it writes."""
        if self.process.stdout is None:
            raise AssertionError("Popen was asked for this pipe")
        return self.process.stdout

    def end(self) -> None:
        """End it, where it has not ended."""
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)

    def said(self) -> str:
        """Return the last lines of its complaints."""
        self.errors.seek(0)
        lines = [line.strip() for line in self.errors.read().decode(errors="replace").splitlines() if line.strip()]
        return "; ".join(lines[-_QUOTED_LINES:]) or "it said nothing"


@contextlib.contextmanager
def _chain(stages: Sequence[Stage], stdin: Any, stdout: Any, inherited: Sequence[int]) -> Iterator[list[_Process]]:
    """Start programs that feed one another; the last one's output is a pipe where `stdout` is None."""
    started: list[_Process] = []
    try:
        for number, stage in enumerate(stages):
            last = number == len(stages) - 1
            reads = started[-1].process.stdout if started else stdin
            one = _Process(stage, reads, subprocess.PIPE if not last or stdout is None else stdout, inherited)
            if started:
                # Only the next one holds the reading end, or a writer would never learn that it has ended
                started[-1].output().close()
            started.append(one)
        yield started
    finally:
        for one in started:
            one.end()
            with contextlib.suppress(subprocess.TimeoutExpired):
                one.process.wait(_GRACE_SECONDS)
            for pipe in (one.process.stdin, one.process.stdout):
                if pipe is not None and not pipe.closed:
                    with contextlib.suppress(OSError):
                        pipe.close()
            one.errors.close()


def _judge(processes: Sequence[_Process], timed_out: bool, limit: float, secrets: Sequence[str]) -> None:
    if timed_out:
        names = " | ".join(one.stage.called for one in processes)
        raise ClusterkitError(f"{names} did not end within {limit:g} s and was stopped")
    failed = [one for one in processes if one.process.returncode]
    # A program whose reader went away is no cause
    causes = [one for one in failed if one.process.returncode != -signal.SIGPIPE]
    for one in causes[-1:] or failed[:1]:
        code = one.process.returncode
        how = f"ended with exit code {code}" if code >= 0 else f"was ended by signal {-code}"
        raise ClusterkitError(mask(f"{one.stage.called} {how}: {one.said()}", secrets))
