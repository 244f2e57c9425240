# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that a csync2 member runs by itself: by timer or cron, on every change, and around its actions.

`run` synchronises once. A conflict is reported and from then on left alone until somebody touches the file: csync2
itself would run the peer's action at every attempt. `watch` synchronises whenever an included file changes. `act` runs
an action's command once after a burst of changes. Each run says in one line of JSON what it did. `serve-seed` sends
files to a new member; sshd runs it for a key that may do nothing else.
"""

from __future__ import annotations

import argparse
import errno
import fcntl
import hashlib
import json
import os
import pathlib
import sys
import time
from typing import Any, Mapping, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common import changes
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._csync2 import seed
from ansible_collections.clusterkit.middleware.plugins.module_utils._csync2.config import (
    Config,
    Matcher,
    fixed_parts,
    parse,
)
from ansible_collections.clusterkit.middleware.plugins.module_utils._csync2.conflicts import Conflicts
from ansible_collections.clusterkit.middleware.plugins.module_utils._csync2.state import database_path
from ansible_collections.clusterkit.middleware.plugins.module_utils._csync2.sync import Csync2, Exchange, summary

#: Exit codes, from sysexits.h: a conflict that somebody has to decide; a peer that could not be served this time.
CONFLICT_LEFT, UNSENT_LEFT = 65, 75
#: More changed paths than this are looked for together.
MANY = 100


class Agent:
    """One member's own synchronisation."""

    def __init__(self, csync2: Csync2, conflicts: Conflicts) -> None:
        self._csync2 = csync2
        self._conflicts = conflicts

    def synchronise(self, paths: Sequence[str] = ("/",)) -> Exchange:
        """Send what has changed at or below the paths, but for known conflicts. Raises ClusterkitError."""
        result = self._csync2.exchange(paths=paths, without=self._conflicts.present())
        self._conflicts.keep(result.conflicts())
        return result


def _tell(what: Mapping[str, Any]) -> None:
    """Write one line of JSON, at once: it is for the journal or for cron's mail."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def report(result: Exchange, seconds: float) -> int:
    """Print what a run did, and return its exit code."""
    told: dict[str, Any] = summary(result)
    sent = told.pop("sent")
    _tell({"sent": len(sent), **told, "seconds": round(seconds, 3)})
    if result.conflicts():
        return CONFLICT_LEFT
    return UNSENT_LEFT if result.failures() else 0


def run(agent: Agent) -> int:
    """Synchronise once. Raises ClusterkitError."""
    began = time.monotonic()
    return report(agent.synchronise(), time.monotonic() - began)


class Watch(changes.Watch):
    """The changes of included files, gathered into bursts."""

    def __init__(self, config: Config, name: str) -> None:
        self._matcher = Matcher(config, name)
        super().__init__([path for _name, path in fixed_parts(config, name)], self._included)

    def _included(self, path: bytes) -> bool:
        names = [path]
        for name, directory in self._matcher.starts[1:]:
            if path.startswith(directory + b"/"):
                names.append(name + path[len(directory) :])
        return any(self._matcher.includes(name) for name in names)


def watch(agent: Agent, watched: Watch) -> int:
    """Synchronise at the start, then on every change, and again what could not be sent. Runs until it is ended."""
    failures = report(agent.synchronise(), 0.0) == UNSENT_LEFT
    for paths in watched.bursts():
        if not paths and not failures:
            continue
        began = time.monotonic()
        try:
            result = agent.synchronise(paths if 0 < len(paths) <= MANY else ("/",))
        except ClusterkitError as error:
            _tell({"error": str(error)})
            failures = True
            continue
        # A change that came from a peer is known here already: nothing was sent, and nothing is told
        if result.sent or result.failures():
            report(result, time.monotonic() - began)
        failures = bool(result.failures())
    return 0


def act(command: str, settle: float, limit: float, directory: str = "/run") -> int:
    """Run a command once, `settle` seconds after the first change of a burst; what comes later is run after it.

    The caller, csync2, is not kept waiting: under systemd the work goes to a transient unit, since the unit of csync2
    itself lasts no longer than a peer's connection.
    """
    if pathlib.Path("/run/systemd/system").is_dir() and not os.environ.get("CLUSTERKIT_DETACHED"):
        again = [sys.executable, os.path.abspath(sys.argv[0]), *sys.argv[1:]]  # noqa: PTH100  # argv of this program
        argv = ["systemd-run", "--quiet", "--collect", "--no-block", "--setenv=CLUSTERKIT_DETACHED=1"]
        # A daemon that the command starts outlives it, as it does where somebody types the command
        argv += ["--property=KillMode=process", "--", *again]
        Runner().run(argv, limit=30)
        return 0
    name = hashlib.sha256(command.encode()).hexdigest()[:16]
    locks = pathlib.Path(directory)
    with (locks / f"clusterkit-action-{name}.waiting").open("w", encoding="utf-8") as waiting:
        try:
            fcntl.flock(waiting, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            return 0  # another one waits already, and will run after this change
        time.sleep(settle)
        with (locks / f"clusterkit-action-{name}.running").open("w", encoding="utf-8") as running:
            fcntl.flock(running, fcntl.LOCK_EX)
            # From here on a change needs another run
            fcntl.flock(waiting, fcntl.LOCK_UN)
            began = time.monotonic()
            done = Runner().run(["/bin/sh", "-c", command], limit=limit, accept=None)
    _tell({"action": command, "rc": done.rc, "seconds": round(time.monotonic() - began, 3)})
    sys.stdout.write(done.stdout)
    sys.stderr.write(done.stderr)
    return done.rc


def read(path: str) -> Config:
    """Read a configuration file. Raises ClusterkitError and OSError."""
    return parse(pathlib.Path(path).read_text(encoding="utf-8", errors="surrogateescape"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line and act on it; return the exit code."""
    parser = argparse.ArgumentParser(prog="clusterkit-csync2", description="Keeps a csync2 member synchronised.")
    commands = parser.add_subparsers(dest="command", required=True)
    for verb, text in (("run", "synchronise once"), ("watch", "synchronise on every change")):
        command = commands.add_parser(verb, help=text)
        command.add_argument("--name", required=True, help="this member's name in the configuration")
        command.add_argument("--binary", default="csync2")
        command.add_argument("--config", default="/etc/csync2.cfg")
        command.add_argument("--database-directory", default="/var/lib/csync2")
        command.add_argument("--limit", type=float, default=300.0, help="seconds that each run of csync2 may take")
    giver = commands.add_parser("serve-seed", help="send the rsync of a new member the files it shares with this one")
    giver.add_argument("--name", required=True, help="this member's name in the configuration")
    giver.add_argument("--newcomer", required=True, help="the new member's name")
    giver.add_argument("--config", default="/etc/csync2.cfg")
    action = commands.add_parser("act", help="run a command once after a burst of changes")
    action.add_argument("--settle", type=float, default=2.0, help="seconds to wait for further changes")
    action.add_argument("--limit", type=float, default=300.0, help="seconds that the command may take")
    action.add_argument("shell_command")
    given = parser.parse_args(arguments)
    try:
        if given.command == "act":
            return act(given.shell_command, given.settle, given.limit)
        if given.command == "serve-seed":
            return seed.serve(
                read(given.config), given.name, given.newcomer, os.environ.get("SSH_ORIGINAL_COMMAND", "")
            )
        database = database_path(given.name, given.database_directory)
        csync2 = Csync2(given.name, Runner(), given.binary, given.database_directory, given.limit)
        agent = Agent(csync2, Conflicts(database))
        if given.command == "run":
            return run(agent)
        watched = Watch(read(given.config), given.name)
        try:
            return watch(agent, watched)
        finally:
            watched.close()
    except (ClusterkitError, OSError) as error:
        if given.command == "serve-seed":
            # What is written to standard output goes into rsync's protocol
            sys.stderr.write(f"{error}\n")
        else:
            _tell({"error": str(error)})
        return 1
    except KeyboardInterrupt:
        return 0
