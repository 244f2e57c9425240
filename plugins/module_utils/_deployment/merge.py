# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bringing the artifacts that servers have of their own onto a share, from which all have them then: none is lost.

The artifacts of the server that was named as the winner come first, and replace what is on the share, which is kept;
those of the others replace nothing. Of a file that is there with another content the server's own one stays in a copy,
as all that it had.
"""

from __future__ import annotations

import os
import shutil
import stat
import time
from dataclasses import dataclass
from typing import Any, Mapping, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.files import sync_directory
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.members import unasked
from ansible_collections.clusterkit.middleware.plugins.module_utils._deployment.manifest import manifest

Found = Mapping[str, Mapping[str, Any]]
Members = Sequence[Mapping[str, str]]
#: So many names of files stand in a sentence.
_NAMED = 5
#: Under such a name a file lies on the share until it is whole.
_UNFINISHED = ".clusterkit-merge"


@dataclass(frozen=True)
class Plan:
    """What of a directory the share lacks, what it has with another content, and all that the server has itself."""

    own: dict[str, str]
    missing: list[str]
    different: list[str]


def compare(path: str, target: str) -> Plan:
    """Return what becomes of the files of a directory. Raises ClusterkitError for what cannot be read."""
    own = manifest(path) if os.path.isdir(path) else {}
    there = manifest(target) if os.path.isdir(target) else {}
    return Plan(
        own,
        sorted(name for name in own if name not in there),
        sorted(name for name in own if name in there and there[name] != own[name]),
    )


def merge(path: str, target: str, add: bool, replaced: str = "") -> None:
    """Copy onto the share what it lacks, where `add` says so, and check it there. Raises ClusterkitError.

    With `replaced` what the share has with another content is replaced, and kept below that path.

    It may be interrupted anywhere: done again, it goes on from there.
    """
    try:
        _make_like(path, target)
        if add:
            if replaced:
                _make_room(target, compare(path, target).different, replaced)
            _copy(path, target, "")
            plan = compare(path, target)
            left = plan.missing + (plan.different if replaced else [])
            if left:
                raise ClusterkitError(f"{', '.join(left[:_NAMED])} of {path} did not arrive at {target}")
    except OSError as error:
        raise ClusterkitError(f"cannot copy {path} to {target}: {error.filename}: {error.strerror}") from None


def put_away(path: str, backup: str) -> None:
    """Keep a copy of all that is in a directory, check it, and empty the directory. Raises ClusterkitError."""
    if not os.path.isdir(path) or not os.listdir(path):
        return
    unfinished = os.path.join(os.path.dirname(backup), f".{os.path.basename(backup)}")
    try:
        os.makedirs(os.path.dirname(backup), mode=0o700, exist_ok=True)
        shutil.copytree(path, unfinished, symlinks=True)
        if manifest(unfinished) != manifest(path):
            raise ClusterkitError(f"{path} changes while it is copied: stop who writes there, and run this again")
        os.rename(unfinished, backup)
        sync_directory(os.path.dirname(backup))
        for name in os.listdir(path):
            inner = os.path.join(path, name)
            if os.path.isdir(inner) and not os.path.islink(inner):
                shutil.rmtree(inner)
            else:
                os.unlink(inner)
    except (OSError, shutil.Error) as error:
        raise ClusterkitError(f"cannot keep a copy of {path} at {backup}: {error}") from None
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def backup_path(directory: str, name: str) -> str:
    """Return where a copy of a directory is kept, a path at which nothing is."""
    path = os.path.join(directory, f"{name}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}")
    number = 1
    while any(os.path.lexists(f"{path}{end}") for end in ("", "-of-the-share")):
        number += 1
        path = f"{path.partition('+')[0]}+{number}"
    return path


def _make_like(path: str, target: str) -> None:
    if os.path.isdir(target):
        return
    os.makedirs(target, mode=0o755, exist_ok=True)
    if os.path.isdir(path):
        _like(os.stat(path), target)


def _make_room(target: str, names: Sequence[str], replaced: str) -> None:
    """Keep a copy of files of the share, and remove them there."""
    for name in names:
        there, kept = os.path.join(target, name), os.path.join(replaced, name)
        os.makedirs(os.path.dirname(kept), mode=0o700, exist_ok=True)
        shutil.copy2(there, kept, follow_symlinks=False)
        os.unlink(there)


def _copy(path: str, target: str, relative: str) -> None:
    with os.scandir(os.path.join(path, relative)) as entries:
        for entry in sorted(entries, key=lambda one: one.name):
            name = os.path.join(relative, entry.name)
            there = os.path.join(target, name)
            status = entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                if not os.path.lexists(there):
                    os.mkdir(there, 0o700)
                    _like(status, there)
                if os.path.isdir(there) and not os.path.islink(there):
                    _copy(path, target, name)
            elif not os.path.lexists(there):
                _copy_file(entry.path, there, status)


def _copy_file(source: str, there: str, status: os.stat_result) -> None:
    if stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink(source), there)
        os.chown(there, status.st_uid, status.st_gid, follow_symlinks=False)
        return
    if not stat.S_ISREG(status.st_mode):
        return  # sockets and pipes are no artifacts
    unfinished = os.path.join(os.path.dirname(there), f"{_UNFINISHED}-{os.path.basename(there)[:180]}")
    with open(source, "rb") as reading, open(unfinished, "wb") as writing:
        shutil.copyfileobj(reading, writing, 1 << 20)
        writing.flush()
        os.fsync(writing.fileno())
    _like(status, unfinished)
    os.utime(unfinished, ns=(status.st_atime_ns, status.st_mtime_ns))
    os.rename(unfinished, there)


def _like(status: os.stat_result, path: str) -> None:
    found = os.stat(path)
    if (found.st_uid, found.st_gid) != (status.st_uid, status.st_gid):
        os.chown(path, status.st_uid, status.st_gid)
    os.chmod(path, stat.S_IMODE(status.st_mode))


# --- together --------------------------------------------------------------------------------------------------------


def is_first(found: Found) -> bool:
    """Tell whether no member has its artifacts from the share yet."""
    return not any(one["mounted"] for info in found.values() for one in info["directories"])


def problems(
    found: Found, members: Members, share: str, winner: str = "", share_wins: bool = False, batch: Sequence[str] = ()
) -> list[str]:
    """Return, before anything is changed, why the members' artifacts cannot become those of the share.

    `winner` is the host whose artifacts win where members have different ones under one name; `batch` are the hosts
    that are in this run.
    """
    silent = [unasked(member["host"]) for member in members if member["host"] not in found]
    if silent:
        return silent
    out = []
    for member in members:
        host, info = member["host"], found[member["host"]]
        if info["share_problem"]:
            out.append(f"On {host} {info['share_problem']}. deployment_sync_share has to name a share of shared_mount.")
            continue
        for one in info["directories"]:
            if one["problem"]:
                out.append(f"On {host} {one['problem']}.")
            if one["different"] and not share_wins and not (winner and is_first(found)):
                out.append(
                    f"{host} has {_names(one['different'])} in {one['path']} with another content than {share} has: "
                    "look which are right. Those of the share stay and those of the server are kept in a copy with "
                    "deployment_sync_share_wins=true."
                )
    if out or not is_first(found):
        return out
    outside = [member["host"] for member in members if member["host"] not in batch]
    if outside and any(one["own"] for host in outside for one in found[host]["directories"]):
        out.append(
            f"{', '.join(outside)} has artifacts of its own and is not in this run: the first time all servers have to "
            "be, or what it has alone would not reach the others."
        )
    return out + (_conflicts(found, members) if not winner else [])


def _conflicts(found: Found, members: Members) -> list[str]:
    """Say which files members have with different contents."""
    out = []
    first = found[members[0]["host"]]["directories"]
    for number, directory in enumerate(first):
        held: dict[str, dict[str, list[str]]] = {}
        for member in members:
            for name, content in found[member["host"]]["directories"][number]["own"].items():
                held.setdefault(name, {}).setdefault(content, []).append(member["name"])
        different = sorted(name for name, contents in held.items() if len(contents) > 1)
        if different:
            out.append(
                f"{_names(different)} in {directory['path']} differ between the servers: name the one whose artifacts "
                "win with deployment_sync_source. Those of the others are kept in a copy."
            )
    return out


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
