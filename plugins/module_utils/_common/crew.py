# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many hands for one task: forked processes, with some threads each.

Threads alone would wait for one another: Python lets one of them run at a time. Threads in a process share its memory
and wait together for a slow answer; processes work at once.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import pickle
import selectors
import signal
import socket
import threading
import traceback
from types import TracebackType
from typing import Callable, Generic, Iterable, Iterator, TypeVar

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.process import end_with_parent

_LENGTH_BYTES = 8
_FIRST_DESCRIPTOR = 3

_In = TypeVar("_In")
_Out = TypeVar("_Out")


class Crew(Generic[_In, _Out]):
    """Does one task for many inputs at once; a context manager, whose end leaves no process behind.

    The processes are forked when the first inputs come, no more than there are: they know what this process knew then,
    and what they change stays theirs. Inputs and outcomes are pickled. With one hand, or for one input, it is this
    process that does the task. Nothing else may run in threads of this process.

    The processes end with this one, however it ends.
    """

    def __init__(self, task: Callable[[_In], _Out], processes: int, threads: int = 1) -> None:
        self._task = task
        self._processes = processes
        self._threads = threads
        #: The hands, and the process of each.
        self._hands: dict[socket.socket, int] = {}

    def __enter__(self) -> Crew[_In, _Out]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for hand in self._hands:
            hand.close()
        for child in set(self._hands.values()):
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                if kind is not None:
                    # Nobody waits for what it still does, which on storage that is gone may take for ever
                    os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)

    def do(self, inputs: Iterable[_In]) -> Iterator[tuple[_In, _Out]]:
        """Walk over the inputs with what came of each, in the order in which they get done.

        What the task raises is raised here. Raises ClusterkitError when a process was ended from outside.
        """
        waiting = iter(inputs)
        hands = self._processes * self._threads
        first = list(itertools.islice(waiting, hands)) if hands > 1 else []
        waiting = itertools.chain(first, waiting)
        if len(first) <= 1:
            for one in waiting:
                yield one, self._task(one)
            return
        crews = [self._fork() for _process in range(min(self._processes, len(first)))]
        with selectors.DefaultSelector() as ready:
            # One input a hand, so that nothing is sent to who may be sending himself: both would wait for ever.
            # First one hand of each process, then the next
            doing = dict(zip((hand for row in zip(*crews) for hand in row), waiting))
            for hand, one in doing.items():
                ready.register(hand, selectors.EVENT_READ, hand)
                _give(hand, one)
            while doing:
                for key, _events in ready.select():
                    hand = key.data
                    outcome = self._take(hand)
                    done = doing.pop(hand)
                    for one in itertools.islice(waiting, 1):
                        doing[hand] = one
                        _give(hand, one)
                    yield done, outcome

    def _take(self, hand: socket.socket) -> _Out:
        said = _receive(hand)
        if said is None:
            child = self._hands[hand]
            ended = os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
            how = "exit code" if ended is None or ended.si_code == os.CLD_EXITED else "signal"
            status = ended.si_status if ended else "unknown"
            raise ClusterkitError(f"a worker (process {child}) was ended from outside, with {how} {status}: run again")
        failed, outcome = pickle.loads(said)  # noqa: S301  # it comes from our own fork
        if failed:
            raise outcome
        return outcome  # type: ignore[no-any-return]  # it is what the task returned

    # --- in the processes --------------------------------------------------------------------------------------------

    def _fork(self) -> list[socket.socket]:
        """Return a process's hands."""
        pairs = [socket.socketpair() for _thread in range(self._threads)]
        parent = os.getpid()
        child = os.fork()
        if child:
            for ours, theirs in pairs:
                theirs.close()
                self._hands[ours] = child
            return [ours for ours, _theirs in pairs]
        code = 1
        try:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)
            end_with_parent()
            if os.getppid() == parent:
                self._work([theirs for _ours, theirs in pairs])
                code = 0
        finally:
            # Neither what the caller has to do in the end, nor what Python has, is this process's
            os._exit(code)

    def _work(self, sockets: list[socket.socket]) -> None:
        _close_all_but([one.fileno() for one in sockets])
        threads = [threading.Thread(target=self._serve, args=(one,)) for one in sockets[1:]]
        for thread in threads:
            thread.start()
        self._serve(sockets[0])
        for thread in threads:
            thread.join()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while True:
                said = _receive(connection)
                if said is None:
                    return
                try:
                    outcome = pickle.dumps((False, self._task(pickle.loads(said))), pickle.HIGHEST_PROTOCOL)  # noqa: S301  # it comes from our parent
                except BaseException as error:  # pylint: disable=broad-exception-caught  # it is raised there
                    outcome = _packed(error)
                _send(connection, outcome)


def _packed(error: BaseException) -> bytes:
    try:
        packed = pickle.dumps((True, error), pickle.HIGHEST_PROTOCOL)
        pickle.loads(packed)  # noqa: S301  # our own: some exceptions can be packed, and not be unpacked
    except Exception:  # pylint: disable=broad-exception-caught  # any of them: then its words are sent
        packed = pickle.dumps((True, RuntimeError("".join(traceback.format_exception(None, error, None)))))
    return packed


def _close_all_but(kept: list[int]) -> None:
    """Close what was open at the fork: a lock or a pipe that is held here as well would outlive its holder."""
    for descriptor in [int(number) for number in os.listdir("/proc/self/fd")]:  # noqa: PTH208  # numbers are wanted, no paths
        if descriptor >= _FIRST_DESCRIPTOR and descriptor not in kept:
            with contextlib.suppress(OSError):  # the one that read the list is closed by now
                os.close(descriptor)


def _give(hand: socket.socket, one: object) -> None:
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # its end is met when its outcome is taken
        _send(hand, pickle.dumps(one, pickle.HIGHEST_PROTOCOL))


def _send(connection: socket.socket, data: bytes) -> None:
    connection.sendall(len(data).to_bytes(_LENGTH_BYTES, "little") + data)


def _receive(connection: socket.socket) -> bytes | None:
    """Return what the other end sends next, None when it has ended."""
    header = _exactly(connection, _LENGTH_BYTES)
    return None if header is None else _exactly(connection, int.from_bytes(header, "little"))


def _exactly(connection: socket.socket, size: int) -> bytes | None:
    got = bytearray()
    while len(got) < size:
        try:
            more = connection.recv(size - len(got))
        except ConnectionResetError:
            return None
        if not more:
            return None
        got += more
    return bytes(got)
