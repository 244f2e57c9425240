# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running commands: argument lists, a time limit on each, errors without secrets."""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import shlex
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Collection, Iterable, Iterator, Mapping, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.process import end_with_parent

MASK = "********"

#: Between the request to end (TERM) and the end (KILL).
_GRACE_SECONDS = 2.0
#: How long output is still read once the command has ended. What it started in the background may keep the pipes
#: open for ever; that is no reason to wait, nor to end it (a start script leaves its server running).
_DRAIN_SECONDS = 0.5
#: More than its two pipes can hold (1 MiB each) was not written by the command itself.
_DRAIN_BYTES = 2 * 1024 * 1024
#: What is kept of each stream at least, its end: a command that talks without end fills no memory.
_KEPT_BYTES = 64 * 1024 * 1024
#: How often to look whether the command has ended while its pipes are open and silent.
_LOOK_SECONDS = 0.05
#: The same at first where they are closed: most commands end right behind that.
_FIRST_LOOK_SECONDS = 0.001
#: What an error carries of each output at most, and how many of the last lines its message quotes.
_DETAIL_CHARACTERS = 65536
_QUOTED_LINES = 5
#: Shorter lines of a secret of several lines (such as a PEM file's) say nothing, and would mask half of any text.
_SHORTEST_SECRET_LINE = 8


@dataclass(frozen=True)
class Result:
    """What a command did. `argv` is masked; the outputs are not, since callers parse them.

    Bytes that are no UTF-8 are kept as surrogates: `os.fsencode` gives the file name back that was printed.
    """

    argv: tuple[str, ...]
    rc: int
    stdout: str
    stderr: str
    seconds: float


@dataclass(frozen=True)
class Outcome:
    """What `Runner.execute` saw: a negative `rc` is the signal that ended the command, as in subprocess."""

    rc: int
    stdout: bytes = b""
    stderr: bytes = b""
    timed_out: bool = False


class Runner:
    """Runs commands, never by a shell. Unit tests replace `execute`.

    `limit` is in seconds and applies where a call gives none; `env` is added to the environment of every call and
    `secrets` are masked in every error.
    """

    def __init__(self, limit: float = 60.0, env: Mapping[str, str] | None = None, secrets: Iterable[str] = ()) -> None:
        self._limit = limit
        self._env = dict(env or {})
        self._secrets = tuple(secrets)
        self._inherited: tuple[int, ...] = ()

    @property
    def inherited(self) -> tuple[int, ...]:
        """The descriptors of the files that `secret_files` gives now, for processes that are started otherwise."""
        return self._inherited

    @contextlib.contextmanager
    def secret_files(self, *contents: str | bytes, mode: int = 0o644) -> Iterator[list[str]]:
        """Let the commands that are run meanwhile read each of `contents` as a file; yield the paths to give them.

        The files are in memory and have no name: no other process finds them, no disk ever has them, and nothing stays
        behind, however this process ends. Their texts are masked in every error. `mode` is for programs that judge it:
        a command that becomes another user still has to be able to open them.
        """
        before = self._inherited, self._secrets
        files: list[IO[bytes]] = []
        try:
            for content in contents:
                files.append(_in_memory(content.encode() if isinstance(content, str) else content, mode))
            self._inherited += tuple(file.fileno() for file in files)
            self._secrets += tuple(content for content in contents if isinstance(content, str))
            yield [f"/dev/fd/{file.fileno()}" for file in files]
        finally:
            self._inherited, self._secrets = before
            for file in files:
                file.close()

    def run(
        self,
        argv: Sequence[str],
        *,
        limit: float | None = None,
        stdin: str | bytes = b"",
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        accept: Collection[int] | None = (0,),
        secrets: Iterable[str] = (),
    ) -> Result:
        """Run `argv` to its end and return what it said.

        `limit` is in seconds: past it the whole process group is ended (TERM, then KILL). `accept` holds the exit
        codes that are no error; None accepts all. Messages are in English (LC_ALL=C) unless `env` says otherwise.

        Raises ClusterkitError for a missing command, a time limit exceeded (`details['timed_out']`) and an exit code
        not accepted; its details hold cmd, rc, stdout, stderr and timed_out, with `secrets` masked.
        """
        limit = self._limit if limit is None else limit
        secrets = (*self._secrets, *secrets)
        environment = {**os.environ, "LC_ALL": "C", **self._env, **(env or {})}
        started = time.monotonic()
        try:
            outcome = self.execute(
                list(argv), stdin.encode() if isinstance(stdin, str) else stdin, environment, cwd, limit
            )
        except OSError as error:
            raise ClusterkitError(mask(_why_not_started(argv, environment, cwd, error), secrets)) from None
        result = Result(
            argv=tuple(mask(word, secrets) for word in argv),
            rc=outcome.rc,
            stdout=outcome.stdout.decode(errors="surrogateescape"),
            stderr=outcome.stderr.decode(errors="surrogateescape"),
            seconds=time.monotonic() - started,
        )
        if outcome.timed_out:
            raise _failure(result, f"did not end within {limit:g} s and was stopped", secrets, timed_out=True)
        if accept is not None and result.rc not in accept:
            expected = " or ".join(str(code) for code in sorted(accept))
            raise _failure(result, f"ended with {_end(result.rc)}, expected exit code {expected}", secrets)
        return result

    def execute(self, argv: list[str], stdin: bytes, env: dict[str, str], cwd: str | None, limit: float) -> Outcome:
        """Start `argv`, feed it, collect its output; `env` is its whole environment, `limit` is in seconds.

        Returns at the latest some three seconds after the limit. Raises OSError when it cannot be started.
        """
        with _in_memory(stdin) as source:
            process = subprocess.Popen(  # what runs there takes no lock: a system call, loaded before
                argv,
                stdin=source,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=env,
                cwd=cwd,
                pass_fds=self._inherited,
                start_new_session=True,
                # The session of its own that makes the limit work also hides it from whoever kills the module: it would
                # go on unseen, and meet the next run's. (What runs here takes no lock.)
                preexec_fn=end_with_parent,  # noqa: PLW1509  # pylint: disable=subprocess-popen-preexec-fn
            )
        output = _Output(process)
        try:
            timed_out = not output.collect(limit)
            if timed_out:
                _signal_group(process, signal.SIGTERM)
                output.collect(_GRACE_SECONDS)
        except BaseException:
            timed_out = True
            raise
        finally:
            if timed_out:
                # The whole group, even when its leader has ended by now: a child may have ignored TERM
                _signal_group(process, signal.SIGKILL)
                output.collect(_GRACE_SECONDS)
            output.close()
        return Outcome(process.wait(), output.stdout, output.stderr, timed_out)


def mask(text: str, secrets: Iterable[str]) -> str:
    """Return `text` with every one of `secrets` replaced, and each longer line of those that have several."""
    wanted = {part for secret in secrets for part in _parts(secret)}
    if not wanted:
        return text
    # One pass, the longest first: a secret that is part of another leaves nothing of the other
    pattern = "|".join(re.escape(part) for part in sorted(wanted, key=len, reverse=True))
    return re.sub(pattern, MASK, text)


def _parts(secret: str) -> Iterable[str]:
    whole = secret.strip()
    if whole:
        yield whole
        yield from (line.strip() for line in whole.splitlines() if len(line.strip()) >= _SHORTEST_SECRET_LINE)
    if secret and secret != whole:
        yield secret


class _Output:
    """The two pipes of a process, read until it has ended."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._pause = _FIRST_LOOK_SECONDS
        self._selector = selectors.DefaultSelector()
        self._read: dict[str, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
        for name, pipe in (("stdout", process.stdout), ("stderr", process.stderr)):
            self._selector.register(_present(pipe), selectors.EVENT_READ, name)

    @property
    def stdout(self) -> bytes:
        return bytes(self._read["stdout"])

    @property
    def stderr(self) -> bytes:
        return bytes(self._read["stderr"])

    def collect(self, seconds: float) -> bool:
        """Read for `seconds` at most; tell whether the process has ended."""
        deadline = time.monotonic() + seconds
        while not self._has_ended():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self._read_once(min(left, _LOOK_SECONDS))
        drained, enough = time.monotonic() + _DRAIN_SECONDS, self._size() + _DRAIN_BYTES
        while self._selector.get_map() and time.monotonic() < drained and self._size() < enough:
            self._read_once(drained - time.monotonic())
        return True

    def _size(self) -> int:
        return sum(map(len, self._read.values()))

    def close(self) -> None:
        self._selector.close()
        _present(self._process.stdout).close()
        _present(self._process.stderr).close()

    def _has_ended(self) -> bool:
        # The process is not reaped here: until it is, its number, which is its group's, cannot go to another one
        return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def _read_once(self, seconds: float) -> None:
        if not self._selector.get_map():
            # Both pipes are closed, the process goes on: nothing to wake us
            time.sleep(min(seconds, self._pause))
            self._pause = min(2 * self._pause, _LOOK_SECONDS)
            return
        for key, _events in self._selector.select(max(seconds, 0)):
            data = os.read(key.fd, 65536)
            if data:
                kept = self._read[key.data]
                kept.extend(data)
                if len(kept) > 2 * _KEPT_BYTES:
                    del kept[:-_KEPT_BYTES]
            else:
                self._selector.unregister(key.fileobj)


def _present(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise AssertionError("Popen was asked for this pipe")
    return pipe


def _in_memory(data: bytes, mode: int = 0o644) -> IO[bytes]:
    """Return `data` as a file without a name: it cannot block as a pipe does, and a secret in it reaches no disk."""
    file = os.fdopen(os.memfd_create("stdin"), "w+b")
    # Clients of databases pass over a file with a password that others could write, as this one's mode says at first
    os.fchmod(file.fileno(), mode)
    file.write(data)
    file.seek(0)
    return file


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    # Ended in between, or become another user's (setuid): what could be reached has been
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _end(rc: int) -> str:
    if rc >= 0:
        return f"exit code {rc}"
    try:
        return f"signal {-rc} ({signal.Signals(-rc).name})"
    except ValueError:
        return f"signal {-rc}"


def _why_not_started(argv: Sequence[str], env: Mapping[str, str], cwd: str | None, error: OSError) -> str:
    name = argv[0]
    if cwd is not None and not Path(cwd).is_dir():
        return f"cannot run {name}: its working directory {cwd} does not exist"
    if isinstance(error, FileNotFoundError):
        found = shutil.which(name, path=env.get("PATH"))
        if found is None:
            places = "" if "/" in name else f" on the PATH {env.get('PATH', '')}"
            return f"command {name} not found{places}: is its package installed?"
        return f"cannot run {found}: the interpreter that its first line names does not exist"
    return f"cannot run {name}: {error.strerror or error}"


def _failure(result: Result, what: str, secrets: Iterable[str], timed_out: bool = False) -> ClusterkitError:
    secrets = tuple(secrets)
    cmd = " ".join(shlex.quote(word) for word in result.argv)

    def shown(text: str) -> str:
        return _printable(mask(text, secrets))[-_DETAIL_CHARACTERS:]

    details: dict[str, Any] = {
        "cmd": cmd,
        "rc": result.rc,
        "stdout": shown(result.stdout),
        "stderr": shown(result.stderr),
        "timed_out": timed_out,
    }
    # Some tools complain on standard output only
    said = [line for line in (details["stderr"].strip() or details["stdout"].strip()).splitlines() if line.strip()]
    words = "; ".join(line.strip() for line in said[-_QUOTED_LINES:]) or "it said nothing"
    return ClusterkitError(f"`{cmd}` {what}: {words}", details)


def _printable(text: str) -> str:
    return text.encode(errors="surrogateescape").decode(errors="replace")
