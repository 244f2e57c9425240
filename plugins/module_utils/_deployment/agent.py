# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that the members run: the source by timer and on every change, receivers for the source's key.

Each run tells in one line of JSON for each node what it did, and by its exit code whether all went well.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import sys
from typing import Any, Mapping, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.changes import Watch
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.locks import exclusive
from ansible_collections.clusterkit.middleware.plugins.module_utils._deployment.receive import receive
from ansible_collections.clusterkit.middleware.plugins.module_utils._deployment.settings import PATH, Settings, read
from ansible_collections.clusterkit.middleware.plugins.module_utils._deployment.source import (
    RefusedError,
    Report,
    Source,
)

#: Exit codes, from sysexits.h: the source is not as it should be; a node was not served, or another run goes on.
REFUSED, FAILED = 66, 75


class Teller:
    """Tells what runs did: to standard output, which is the journal or cron's mail, and to a log file where wanted."""

    def __init__(self, log: str = "") -> None:
        self._log = log

    def __call__(self, what: Mapping[str, Any]) -> None:
        """Tell one line. A log that cannot be written is told of, and is no reason to stop."""
        now = datetime.datetime.now(tz=datetime.timezone.utc)
        line = json.dumps({"time": now.isoformat(timespec="milliseconds"), **what})
        line = line.encode("utf-8", "backslashreplace").decode() + "\n"
        sys.stdout.write(line)
        sys.stdout.flush()
        if self._log:
            try:
                # One call for one line: two runs do not write into each other's
                descriptor = os.open(self._log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
                try:
                    os.write(descriptor, line.encode())
                finally:
                    os.close(descriptor)
            except OSError as error:
                sys.stderr.write(f"cannot write {self._log}: {error.strerror}\n")


def run(
    settings: Settings, source: Source, tell: Teller, wait: float, nodes: Sequence[str] | None = None, dry: bool = False
) -> tuple[int, list[Report]]:
    """Synchronise once; return the exit code and what each node got. `wait` is seconds for another run to end."""
    try:
        with exclusive(settings.lock, wait, "deployment synchronisation"):
            reports = source.synchronise(nodes, dry)
    except RefusedError as error:
        tell({"ok": False, "error": str(error)})
        return REFUSED, []
    except ClusterkitError as error:
        tell({"ok": False, "error": str(error)})
        return FAILED, []
    for report in reports:
        tell(report.line())
    return (0 if all(report.ok for report in reports) else FAILED), reports


def watch(settings: Settings, source: Source, tell: Teller) -> None:
    """Synchronise at the start, then on every change, and again the nodes that failed. Runs until it is ended."""
    paths = [os.fsencode(directory.path) for directory in settings.directories]
    watched = Watch(paths, lambda path: any(path == one or path.startswith(one + b"/") for one in paths))
    try:
        code, reports = run(settings, source, tell, settings.limit)
        for burst in watched.bursts():
            failed = [report.node for report in reports if not report.ok]
            if burst or (code and not failed):
                code, reports = run(settings, source, tell, settings.limit)
            elif failed:
                code, again = run(settings, source, tell, settings.limit, failed)
                reports = again or reports
    finally:
        watched.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line and act on it; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="clusterkit-deployment-sync", description="Gives the same artifacts to every server."
    )
    parser.add_argument("--settings", default=PATH, help="the file that the role wrote")
    commands = parser.add_subparsers(dest="command", required=True)
    once = commands.add_parser("run", help="synchronise once")
    once.add_argument("--wait", type=float, default=0.0, help="seconds to wait for another run to end")
    once.add_argument("--dry-run", action="store_true", help="only tell what would be sent")
    once.add_argument("--node", action="append", help="only this node; may be given again")
    commands.add_parser("watch", help="synchronise on every change")
    commands.add_parser("receive", help="for sshd: take what the source sends")
    given = parser.parse_args(arguments)
    tell = Teller()
    try:
        settings = read(given.settings)
        if settings is None:
            raise ClusterkitError(f"{given.settings} is not there: let the role write it")
        if given.command == "receive":
            receive(settings, os.environ.get("SSH_ORIGINAL_COMMAND", ""))
            return 1
        tell = Teller(settings.log)
        source = Source(settings, Runner())
        if given.command == "run":
            return run(settings, source, tell, given.wait, given.node, given.dry_run)[0]
        watch(settings, source, tell)
    except (ClusterkitError, OSError) as error:
        if given.command == "receive":
            # What is written to standard output goes into rsync's protocol
            sys.stderr.write(f"{error}\n")
        else:
            tell({"ok": False, "error": str(error)})
        return 1
    except KeyboardInterrupt:
        pass
    return 0
