# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking a share without ever waiting for it longer than was said: its server may hang, and whoever asks then hangs.

What is asked runs in a process of its own, which is left alone where it cannot be ended.
"""

from __future__ import annotations

import json
import os
import select
import signal
import time
from contextlib import suppress
from typing import Any, Callable

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError


def within(limit: float, what: str, question: Callable[[], Any], uid: int | None = None, gid: int | None = None) -> Any:
    """Return the answer to a question, asked as a user; it is something that JSON can hold.

    Raises ClusterkitError for one that takes longer than `limit` seconds, with `what` in its text, and for one that
    fails: a server may not let root do what the user may.
    """
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(reading)
        _answer(writing, question, uid, gid)
    os.close(writing)
    try:
        text = _read(reading, time.monotonic() + limit)
    finally:
        os.close(reading)
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
        _reap(process)
    if text is None:
        raise ClusterkitError(f"{what} did not answer within {limit:g} s: is its server there?", {"timed_out": True})
    try:
        answer = json.loads(text)
    except ValueError:
        raise ClusterkitError(f"{what}: the process that asked ended without an answer") from None
    if "error" in answer:
        raise ClusterkitError(answer["error"], {"errno": answer["errno"]})
    return answer["value"]


def _answer(writing: int, question: Callable[[], Any], uid: int | None, gid: int | None) -> None:
    """Answer and end; never returns. It may be left behind, so it holds nothing that others wait for."""
    code = 1
    try:
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nowhere, descriptor)
        answer: dict[str, Any]
        try:
            if gid is not None and os.getuid() == 0:
                os.setgroups([])
                os.setresgid(gid, gid, gid)
            if uid is not None and os.getuid() == 0:
                os.setresuid(uid, uid, uid)
            answer = {"value": question()}
        except ClusterkitError as error:
            answer = {"error": str(error), "errno": 0}
        except OSError as error:
            answer = {"error": f"{error.filename or ''}: {error.strerror}".lstrip(": "), "errno": error.errno}
        with os.fdopen(writing, "w", encoding="utf-8") as file:
            json.dump(answer, file)
        code = 0
    finally:
        os._exit(code)


def _read(reading: int, end: float) -> str | None:
    """Return all that is written, None when it took too long."""
    pieces: list[bytes] = []
    while True:
        left = end - time.monotonic()
        if left <= 0 or not select.select([reading], [], [], left)[0]:
            return None
        piece = os.read(reading, 65536)
        if not piece:
            return b"".join(pieces).decode("utf-8", "replace")
        pieces.append(piece)


def _reap(process: int) -> None:
    """Collect the process where it ends at once; one that the kernel holds is left to init."""
    end = time.monotonic() + 1.0
    while time.monotonic() < end:
        with suppress(ChildProcessError):
            if os.waitpid(process, os.WNOHANG)[0] == 0:
                time.sleep(0.005)
                continue
        return
