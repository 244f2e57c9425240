# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What there is to know of a migration on one host, without changing anything."""

from __future__ import annotations

import contextlib
import hashlib
import os
from dataclasses import dataclass
from typing import Any, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._appdata import target as targets
from ansible_collections.clusterkit.middleware.plugins.module_utils._appdata.journal import Journal, journals
from ansible_collections.clusterkit.middleware.plugins.module_utils._appdata.phases import COPYING
from ansible_collections.clusterkit.middleware.plugins.module_utils._appdata.switch import NEITHER, switch_of
from ansible_collections.clusterkit.middleware.plugins.module_utils._appdata.tree import Entry
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.files import read_if_exists
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.host import unit_states
from ansible_collections.clusterkit.middleware.plugins.module_utils._java.properties import PropertiesFile

#: What is read of a file that holds a version.
_TEXT_BYTES = 4096


@dataclass(frozen=True)
class Question:
    """What is to be told: see the options of the module appdata_migration_info."""

    target: str
    state_directory: str
    properties_path: str | None
    properties_keys: Sequence[str]
    base: str
    paths: Sequence[str]
    digests: Sequence[str]
    text: str | None
    units: Sequence[str]


def look(question: Question, runner: Runner) -> dict[str, Any]:
    """Return all that is asked. Raises ClusterkitError."""
    base, keys = question.base, question.properties_keys
    values = properties(question.properties_path, keys) if question.properties_path else None
    data = data_directory(base, (values or {}).get(keys[0]) if keys else None)
    seen = storage(question.target, runner)
    # What is on storage that does not answer would be waited for for ever
    silent = bool(seen["error"]) and f"{data}/".startswith(f"{question.target}/")
    found = {
        "properties": values,
        "data": data,
        "data_exists": not silent and os.path.isdir(data),
        "paths": {path: _kind(os.path.join(base, path), question.target, seen["error"]) for path in question.paths},
        "digests": {path: "" if silent else digest(os.path.join(data, path)) for path in question.digests},
        "text": "",
        "storage": seen,
        "migrations": [] if seen["error"] else migrations(question.state_directory),
        "units": unit_states(question.units, runner),
    }
    if question.text:
        own = text(os.path.join(base, question.text))
        found["text"] = own or ("" if silent else text(os.path.join(data, question.text)))
        seen["text"] = "" if seen["error"] else text(os.path.join(question.target, question.text))
    return found


def data_directory(base: str, named: str | None) -> str:
    """Return the directory of data that a property names; not set, or '..', the program has its data in `base`."""
    return base if named in (None, "", "..") else os.path.normpath(os.path.join(base, named))


def properties(path: str, keys: Sequence[str]) -> dict[str, str | None] | None:
    """Return the values of keys in a properties file, None for the ones not set; None where there is no file."""
    content = read_if_exists(path)
    if content is None:
        return None
    values = PropertiesFile(content).values
    return {key: values.get(key) for key in keys}


def _kind(path: str, target: str, error: str) -> str:
    return "absent" if error and path.startswith(f"{target}/") else kind(path)


def kind(path: str) -> str:
    """Return what is at a path: 'directory', 'file', 'link', 'other' or 'absent'."""
    if os.path.islink(path):
        return "link"
    if os.path.isdir(path):
        return "directory"
    return "file" if os.path.isfile(path) else "other" if os.path.lexists(path) else "absent"


def digest(path: str) -> str:
    """Return the SHA-256 of a file's content, empty where there is no file. Raises OSError."""
    found = hashlib.sha256()
    try:
        with open(path, "rb") as opened:
            while chunk := opened.read(1024 * 1024):
                found.update(chunk)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    return found.hexdigest()


def text(path: str) -> str:
    """Return a small text file's content, empty where there is no file. Raises ClusterkitError."""
    return (read_if_exists(path) or b"")[:_TEXT_BYTES].decode("utf-8", "replace").strip()


def storage(target: str, runner: Runner) -> dict[str, Any]:
    """Return what is at the target; `error` says why nothing can be told of it, as when its server does not answer."""
    try:
        targets.require_answer(target, runner)
        marker = targets.read_marker(target) if os.path.isdir(target) else {}
    except ClusterkitError as error:
        return {"error": str(error)}
    mount = targets.mount_of(target)
    return {
        "error": "",
        "exists": os.path.isdir(target),
        "mount": mount.point,
        "type": mount.type,
        "read_only": mount.read_only,
        "migration": marker.get("migration", ""),
        "member": marker.get("member", ""),
        "published": bool(marker.get("published")),
        "strangers": targets.strangers(target, marker.get("names", ())),
    }


def migrations(state_directory: str) -> list[dict[str, Any]]:
    """Return what the journals on this host know, one for each target that a migration of this host led to.

    Left out are those that have moved nothing, and those that were rolled back.
    """
    found = []
    for path in journals(state_directory):
        known = Journal("")
        with contextlib.closing(known):
            known.copy_from(path)
            phase, moved = known.get("phase", ""), known.get("moved")
        if phase in ("", COPYING) or not moved:
            continue
        entries = [Entry(**entry) for entry in moved["entries"]]
        in_use = False
        with contextlib.suppress(ClusterkitError):  # the program itself is gone
            in_use = switch_of(entries, moved["target"], moved["property"]).state() != NEITHER
        found.append({**moved, "phase": phase, "in_use": in_use})
    return found
