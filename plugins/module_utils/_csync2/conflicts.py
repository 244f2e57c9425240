# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The conflicts that a member has met: csync2 itself keeps no account of them."""

from __future__ import annotations

import json
import os
from typing import Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.files import (
    read_if_exists,
    write_atomically,
)
from ansible_collections.clusterkit.middleware.plugins.module_utils._csync2.state import Dirty


class Conflicts:
    """The conflicts that a member has met, kept across runs. One is over when the file here is touched or sent."""

    def __init__(self, database: str) -> None:
        self._path = f"{database}.conflicts"

    def present(self) -> set[Dirty]:
        """Return the conflicts of which the file is still as it was when they were met."""
        try:
            rows = json.loads(read_if_exists(self._path) or b"[]")
        except ValueError:
            return set()
        return {Dirty(row["peer"], row["file"], False) for row in rows if _signature(row["file"]) == row["signature"]}

    def keep(self, conflicts: Sequence[Dirty]) -> None:
        """Remember these and forget all others."""
        rows = [{"peer": one.peer, "file": one.file, "signature": _signature(one.file)} for one in conflicts]
        content = json.dumps(rows, indent=1).encode("utf-8", "surrogateescape") + b"\n"
        if content != (read_if_exists(self._path) or b"[]\n"):
            write_atomically(self._path, content, mode=0o600)


def _signature(path: str) -> str:
    try:
        status = os.lstat(path)
    except OSError:
        return "absent"
    return f"{status.st_mtime_ns} {status.st_size} {status.st_mode} {status.st_uid} {status.st_gid}"
