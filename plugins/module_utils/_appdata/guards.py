# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to hold before data are moved: nobody uses them, and source and target are two places."""

from __future__ import annotations

import contextlib
import os
from typing import Iterator, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._appdata.target import existing
from ansible_collections.clusterkit.middleware.plugins.module_utils._appdata.tree import Entry
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.host import unit_states

#: So many processes are named.
_NAMED = 5
_IDLE = ("inactive", "failed", "unknown")


def check_entries(entries: Sequence[Entry], target: str) -> None:
    """Raise ClusterkitError for entries that cannot be moved to the target, whatever they hold."""
    if not entries:
        raise ClusterkitError("entries is empty: give what is to be moved")
    if not os.path.isabs(target) or os.path.normpath(target) in ("/", "//"):
        raise ClusterkitError(f"target is {target}: give the absolute path of a directory below a mount")
    for entry in entries:
        name = os.path.normpath(entry.name) if entry.name else ""
        if os.path.isabs(entry.name) or name != entry.name or name.split("/")[0] in ("..", "."):
            raise ClusterkitError(f"name is {entry.name!r}: give a path below the target, '' for the target itself")
        if not os.path.isabs(entry.source) or os.path.normpath(entry.source) != entry.source or entry.source == "/":
            raise ClusterkitError(f"source is {entry.source}: give an absolute path without '..' or a slash at its end")
        _check_place(entry, target)
    for what in ("source", "name"):
        paths = sorted(getattr(entry, what) for entry in entries)
        for one, other in zip(paths, paths[1:]):
            if one == other or _is_inside(other, one) or (what == "name" and not one):
                raise ClusterkitError(f"entries overlap: {other or 'the target'} is inside of {one or 'the target'}")


def _check_place(entry: Entry, target: str) -> None:
    leads = os.readlink(entry.source) if os.path.islink(entry.source) else None
    if leads is not None and leads != os.path.join(target, entry.name):
        raise ClusterkitError(f"{entry.source} is a symbolic link to {leads}: give the place itself as the source")
    source = os.path.join(os.path.realpath(os.path.dirname(entry.source)), os.path.basename(entry.source))
    real = os.path.join(os.path.realpath(existing(target)), os.path.relpath(target, existing(target)))
    real = os.path.normpath(real)
    if real == source or _is_inside(real, source):
        raise ClusterkitError(f"the target {target} lies inside of {entry.source}: it cannot be moved into itself")
    if _is_inside(source, real) and leads is None:
        raise ClusterkitError(f"{entry.source} lies inside of the target {target}: it is there already")


def check_unused(places: Sequence[str], units: Sequence[str], runner: Runner) -> None:
    """Raise ClusterkitError when a unit runs, or a process has something open below one of the places."""
    running = [f"{unit} is {state}" for unit, state in unit_states(units, runner).items() if state not in _IDLE]
    if running:
        raise ClusterkitError(f"{', '.join(running)}: stop what uses the data first")
    users = sorted(set(_users([os.path.realpath(place) for place in places])))
    if users:
        more = f", and {len(users) - _NAMED} more" if len(users) > _NAMED else ""
        raise ClusterkitError(f"in use by {', '.join(users[:_NAMED])}{more}: stop what uses the data first")


def _users(places: Sequence[str]) -> Iterator[str]:
    """Walk over the processes, this one apart, that have something open, mapped or as a directory of theirs."""
    for pid in os.listdir("/proc"):
        if not pid.isdecimal() or int(pid) == os.getpid():
            continue
        for path in _open_paths(f"/proc/{pid}", places):
            if any(path == place or _is_inside(path, place) for place in places):
                with contextlib.suppress(OSError), open(
                    f"/proc/{pid}/comm", encoding="utf-8", errors="replace"
                ) as name:
                    yield f"{name.read().strip()} (process {pid}, {path})"
                break


def _open_paths(process: str, places: Sequence[str]) -> Iterator[str]:
    """Walk over what a process has open; of what it has mapped only what may be one of the places."""
    # What ends meanwhile uses nothing any more
    with contextlib.suppress(OSError):
        for link in ["cwd", "root", "exe", *(f"fd/{number}" for number in os.listdir(f"{process}/fd"))]:
            with contextlib.suppress(OSError):
                yield os.readlink(f"{process}/{link}")
    with contextlib.suppress(OSError), open(f"{process}/maps", encoding="utf-8", errors="surrogateescape") as maps:
        text = maps.read()
        # Programs map hundreds of files; looking into each line costs more than the rest of it
        if any(place in text for place in places):
            for line in text.splitlines():
                fields = line.split(None, 5)
                if len(fields) == 6 and fields[5].startswith("/"):
                    yield fields[5]


def _is_inside(path: str, directory: str) -> bool:
    return path.startswith(directory.rstrip("/") + "/")
