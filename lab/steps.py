# SPDX-License-Identifier: GPL-3.0-or-later
"""What every step of the laboratory shares: paths, progress on the screen, commands, the record of what was done."""

from __future__ import annotations

import fcntl
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
LAB = BUILD / "lab"
LOGS = LAB / "log"
VENV = BUILD / "venv"

#: Seconds between two signs of life of a long command.
HEARTBEAT = 10.0

_began = time.monotonic()


class LabError(Exception):
    """Something the laboratory cannot do; its text is one line that says what to do about it."""


def say(text: str) -> None:
    """Print one line of progress with the seconds since the start."""
    print(f"[{time.monotonic() - _began:4.0f} s] {text}", flush=True)


def run(argv: Sequence[str], *, limit: float = 60, stdin: str | None = None, check: bool = True) -> str:
    """Run a short command and return what it printed on standard output.

    Raises LabError when it cannot start, exits other than 0 (with `check`) or takes longer than `limit` seconds.
    """
    command = textwrap.shorten(" ".join(argv), 60, placeholder=" …")
    try:
        done = subprocess.run(list(argv), input=stdin, capture_output=True, text=True, timeout=limit, check=False)
    except FileNotFoundError as error:
        raise LabError(f"{argv[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"`{command}` did not end within {limit:.0f} s") from error
    if check and done.returncode:
        # docker ends with advice to read its manual
        lines = re.sub(r"(?m)^(Run|See) 'docker .*", "", done.stderr).strip() or done.stdout.strip() or "no output"
        raise LabError(f"`{command}` ended with {done.returncode}: {lines.splitlines()[-1]}")
    return done.stdout


def run_logged(name: str, argv: Sequence[str], *, limit: float, env: dict[str, str] | None = None) -> None:
    """Run a long command with its output in a log file, showing a sign of life every HEARTBEAT seconds.

    Raises LabError, naming the log, when it fails or takes longer than `limit` seconds.
    """
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / f"{name}.log"
    started = time.monotonic()
    with log.open("w", encoding="utf-8") as out:
        try:
            process = subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
            )
        except FileNotFoundError as error:
            raise LabError(f"{argv[0]} is not installed") from error
        while True:
            try:
                code = process.wait(timeout=HEARTBEAT)
                break
            except subprocess.TimeoutExpired:
                elapsed = time.monotonic() - started
                if elapsed > limit:
                    process.kill()
                    process.wait()
                    raise LabError(f"{name} did not end within {limit:.0f} s; see {log.relative_to(ROOT)}") from None
                say(f"  … {name}: {elapsed:.0f} s, {_last_line(log)[:90]}")
    if code:
        raise LabError(f"{name} ended with {code}: {_last_line(log)} (all of it in {log.relative_to(ROOT)})")


def _last_line(log: pathlib.Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else "no output yet"


def write_atomically(path: pathlib.Path, text: str, mode: int = 0o644) -> None:
    """Write a file so that a reader sees the old or the new content, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "w", encoding="utf-8") as out:
        out.write(text)
        os.fchmod(out.fileno(), mode)
    pathlib.Path(name).replace(path)


def remove_tree(path: pathlib.Path) -> None:
    """Remove a directory; what is mounted below it is unmounted first, so that nothing outside of it is touched."""
    lines = pathlib.Path("/proc/mounts").read_text(encoding="utf-8").splitlines()
    # A blank in a path is written as \040
    for mount in reversed([line.split()[1].replace("\\040", " ") for line in lines]):
        if path in pathlib.Path(mount).parents:
            run(["umount", "--lazy", mount])
    if path.exists():
        shutil.rmtree(path)


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold a lock of the laboratory; a crash leaves none behind, since the kernel drops it with the process."""
    LAB.mkdir(parents=True, exist_ok=True)
    with (LAB / f"{name}.lock").open("w", encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another run that holds {name} …")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


class Record:
    """What the laboratory has installed, started or made on this machine, oldest first, so that it can be undone.

    An entry is written *before* the step is taken: after a kill in the middle, undoing covers that step as well.
    """

    def __init__(self, path: pathlib.Path = LAB / "record.json") -> None:
        self.path = path

    def entries(self) -> list[dict[str, Any]]:
        """Return the entries, oldest first."""
        if not self.path.exists():
            return []
        loaded: list[dict[str, Any]] = json.loads(self.path.read_text(encoding="utf-8"))
        return loaded

    def add(self, kind: str, **detail: Any) -> None:
        """Record a step that is about to be taken; an equal entry is not repeated."""
        with locked("record"):
            entries = self.entries()
            entry = {"kind": kind, **detail}
            if entry not in entries:
                self._write([*entries, entry])

    def drop(self, entry: dict[str, Any]) -> None:
        """Forget a step that has been undone."""
        with locked("record"):
            self._write([one for one in self.entries() if one != entry])

    def _write(self, entries: list[dict[str, Any]]) -> None:
        write_atomically(self.path, json.dumps(entries, indent=2) + "\n")


def fail(error: LabError) -> int:
    """Print the one clear line of an error and return the exit code for it."""
    print(f"ERROR: {error}", file=sys.stderr, flush=True)
    return 1
