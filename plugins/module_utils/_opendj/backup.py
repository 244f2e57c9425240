# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Entries of a base DN to a file and back, by tasks that a running server carries out.

A task is an entry below `cn=Scheduled Tasks,cn=Tasks`: what `export-ldif` and `import-ldif` add as well, without the
start of a Java machine. The server writes and reads the file, as its own user.
"""

from __future__ import annotations

import re
import time
from typing import Any, Mapping, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj.directory import (
    BASE,
    ONE,
    Directory,
    normal,
)
from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj.state import BACKENDS

_TASKS = "cn=Scheduled Tasks,cn=Tasks"
_LOOK_SECONDS = 0.1
_DONE = "COMPLETED_SUCCESSFULLY"
_UNDER_WAY = ("", "UNSCHEDULED", "WAITING_ON_START_TIME", "WAITING_ON_DEPENDENCY", "RUNNING")
#: What replication notes in entries. Imported again it would tell the others to send what was undone by the restore;
#: without it the data are of a new origin, and replicate with nobody until the others are initialised from them.
_OF_REPLICATION = ["ds-sync-state", "ds-sync-generation-id", "ds-sync-hist", "ds-sync-conflict"]
_MESSAGE = re.compile(r'message="(.*)"\s*$')
_REJECTED = re.compile(r"(?i)processed (\d+), imported (\d+), skipped (\d+), rejected (\d+)")


def export(directory: Directory, base: str, file: str, limit: float) -> None:
    """Let the server write the entries of a base DN to a file, within `limit` seconds. Raises ClusterkitError."""
    what = {
        "ds-task-export-ldif-file": [file],
        "ds-task-export-backend-id": [backend_of(directory, base)],
        "ds-task-export-include-branch": [base],
        "ds-task-export-exclude-attribute": _OF_REPLICATION,
        "ds-task-export-wrap-column": ["0"],
    }
    run(directory, "export", "ExportTask", what, limit)


def restore(directory: Directory, base: str, file: str, limit: float) -> None:
    """Let the server replace the entries of a base DN by those of a file. Raises ClusterkitError.

    Meanwhile the backend answers nobody. Entries that the server rejects make it fail.
    """
    what = {
        "ds-task-import-ldif-file": [file],
        "ds-task-import-backend-id": [backend_of(directory, base)],
        "ds-task-import-include-branch": [base],
        "ds-task-import-exclude-attribute": _OF_REPLICATION,
    }
    log = run(directory, "import", "ImportTask", what, limit)
    for line in log:
        found = _REJECTED.search(line)
        if found and int(found.group(4)):
            raise ClusterkitError(f"of the entries in {file} the server rejected {found.group(4)}: {line}")


def spread(directory: Directory, base: str, limit: float) -> None:
    """Replace the entries of all other members by those of this server. Raises ClusterkitError.

    After a restore the members' data are of this server's origin then, and replication servers take it for theirs:
    until that is done none of them replicates, so that nothing which was undone comes back.
    """
    what = {"ds-task-initialize-domain-dn": [base], "ds-task-initialize-replica-server-id": ["all"]}
    run(directory, "initialize-remote-replica", "InitializeTargetTask", what, limit)
    origin = {"ds-task-reset-generation-id-domain-base-dn": [base]}
    run(directory, "reset-generation-id", "SetGenerationIdTask", origin, limit)


def backend_of(directory: Directory, base: str) -> str:
    """Return the id of the backend that holds a base DN. Raises ClusterkitError."""
    wanted = ["ds-cfg-backend-id", "ds-cfg-base-dn"]
    for _dn, values in directory.search(BACKENDS, ONE, "(objectClass=ds-cfg-pluggable-backend)", wanted):
        if normal(base) in (normal(one) for one in values.get("ds-cfg-base-dn", [])):
            return values["ds-cfg-backend-id"][0]
    raise ClusterkitError(f"there is no backend with the base DN {base}")


def run(directory: Directory, kind: str, class_name: str, what: Mapping[str, Sequence[str]], limit: float) -> list[str]:
    """Give the server a task and wait until it ends; return what it logged.

    Raises ClusterkitError with its last words where it failed.
    """
    name = f"clusterkit-{kind}-{time.time_ns()}"
    dn = f"ds-task-id={name},{_TASKS}"
    entry: dict[str, Any] = {
        "objectClass": ["top", "ds-task", f"ds-task-{kind}"],
        "ds-task-id": [name],
        "ds-task-class-name": [f"org.opends.server.tasks.{class_name}"],
        **what,
    }
    directory.add(dn, entry)
    end = time.monotonic() + limit
    while True:
        found = directory.search(dn, BASE, attributes=["ds-task-state", "ds-task-log-message"])
        values = found[0][1] if found else {}
        state = (values.get("ds-task-state") or [""])[0]
        said = [_text(line) for line in values.get("ds-task-log-message", [])]
        if state == _DONE:
            return said
        if state not in _UNDER_WAY:
            raise ClusterkitError(f"the server's {kind} ended as {state}: {' '.join(said[-3:])}", {"log": said})
        if time.monotonic() > end:
            raise ClusterkitError(f"the server's {kind} did not end within {limit:g} s; it goes on as {dn}")
        time.sleep(_LOOK_SECONDS)


def _text(line: str) -> str:
    """Return the message of a line of a task's log."""
    found = _MESSAGE.search(line)
    return found.group(1) if found else line
