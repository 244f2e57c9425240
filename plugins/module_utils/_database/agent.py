# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program on the host that backs a database up: by timer, and for whoever is woken up at night.

Each run tells in one line of JSON what it did, and by its exit code whether it went well.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.files import read_if_exists
from ansible_collections.clusterkit.middleware.plugins.module_utils._database.backup import Backups
from ansible_collections.clusterkit.middleware.plugins.module_utils._database.engine import Access
from ansible_collections.clusterkit.middleware.plugins.module_utils._database.engines import engine_for

DIRECTORY = "/etc/clusterkit"


def settings_of(database: str, directory: str = DIRECTORY) -> dict[str, Any]:
    """Return what the role wrote of a database. Raises ClusterkitError."""
    path = f"{directory}/database-{database}.json"
    text = read_if_exists(path)
    if text is None:
        raise ClusterkitError(f"{path} is not there: let the role write it")
    try:
        settings: dict[str, Any] = json.loads(text)
    except ValueError as error:
        raise ClusterkitError(f"{path} is not what the role writes: {error}") from None
    return settings


def backups_of(settings: dict[str, Any]) -> Backups:
    """Return the backups that settings speak of."""
    engine = engine_for(Access(**settings["access"]), Runner())
    return Backups(
        engine,
        settings["database"],
        settings["directory"],
        passphrase=settings["passphrase"],
        limit=settings["limit"],
    )


def act(given: argparse.Namespace, settings: dict[str, Any]) -> dict[str, Any]:
    """Do what is asked, and return what is told. Raises ClusterkitError."""
    backups = backups_of(settings)
    if given.command == "backup":
        manifest = backups.write(idle=given.idle)
        return {"file": manifest["file"], "tables": manifest["tables"], "removed": backups.prune(settings["keep"])}
    if given.command == "drill":
        manifest = backups.drill(given.file)
        return {"file": manifest["file"], "tables": manifest["tables"], "compared": "equal"}
    if given.command == "restore":
        manifest = backups.restore(given.file)
        return {"file": manifest["file"], "tables": manifest["tables"], "before": manifest["before"]}
    if given.command == "check":
        return {"file": backups.check(given.file)["file"]}
    return {"backups": [one["file"] for one in backups.listed()], **backups.status()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line and act on it; return the exit code."""
    parser = argparse.ArgumentParser(prog="clusterkit-database", description="Backs databases up and restores them.")
    parser.add_argument("--settings", default=DIRECTORY, help="directory of the files that the role wrote")
    parser.add_argument("database", help="name of the database")
    commands = parser.add_subparsers(dest="command", required=True)
    backup = commands.add_parser("backup", help="write a backup, and remove old ones")
    backup.add_argument("--idle", action="store_true", help="refuse while somebody is connected")
    drill = commands.add_parser("drill", help="restore a backup into a scratch database, and compare")
    drill.add_argument("file", nargs="?", default="", help="the newest one by default")
    for name, what in (("restore", "let the database be what a backup has"), ("check", "read a backup to its end")):
        commands.add_parser(name, help=what).add_argument("file")
    commands.add_parser("status", help="list the backups")
    given = parser.parse_args(arguments)
    try:
        told = {"ok": True, "database": given.database, **act(given, settings_of(given.database, given.settings))}
    except ClusterkitError as error:
        told = {"ok": False, "database": given.database, "error": str(error)}
    sys.stdout.write(json.dumps(told) + "\n")
    return 0 if told["ok"] else 1
