# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A receiver's end: what sshd runs for the source's key, whatever that asks for, and nothing else.

Only rsync as a receiver is run, only into a directory of the settings, which the source names and this host knows the
path of. Files are written into a staging directory of the same file system and renamed when they are whole.
"""

from __future__ import annotations

import fcntl
import os
import re
import shlex
import shutil
import stat

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._deployment.settings import (
    SOURCE,
    STAGING,
    Directory,
    Settings,
    mount_point,
)

#: What the source's own rsync asks of its other end; whatever else is asked for is refused.
_ALLOWED = re.compile(
    r"-[vlogtprcnz]+(?:e[\d.]*[A-Za-z]*)?|--delete-delay|--max-delete=-?\d+|--timeout=\d+|--modify-window=-1|-@-1|--log-format=%i"
    r"|--stats|--no-implied-dirs|--numeric-ids"
)


def request(command: str, settings: Settings) -> tuple[list[str], Directory]:
    """Return the options that the source asks for and the directory. Raises ClusterkitError for what is not allowed."""
    try:
        words = shlex.split(command)
    except ValueError:
        words = []
    if words[:2] != ["rsync", "--server"] or len(words) < 5 or words[-2] != ".":
        raise ClusterkitError(f"this key lets rsync send files and nothing else; it was asked for: {command!r}")
    options, name = words[2:-2], words[-1]
    for option in options:
        if not _ALLOWED.fullmatch(option):
            raise ClusterkitError(f"this key lets rsync send files; the option {option} is none that it needs for that")
    for directory in settings.directories:
        if directory.name == name:
            return options, directory
    known = ", ".join(one.name for one in settings.directories)
    raise ClusterkitError(f"{settings.name} has no directory {name!r} to receive; it has {known}: run the role again")


def staging_places(path: str) -> tuple[str, str]:
    """Return where files of a directory may lie until they are whole: beside it, or within."""
    parent, base = os.path.split(path)
    return os.path.join(parent, f"{STAGING}-{base}"), os.path.join(path, STAGING)


def staging(directory: Directory) -> str:
    """Make and return the staging directory: beside the directory, or within it where only that is its file system.

    Raises ClusterkitError.
    """
    beside, within = staging_places(directory.path)
    own = os.stat(directory.path).st_dev
    for place in (beside, within) if os.stat(os.path.dirname(directory.path)).st_dev == own else (within,):
        try:
            os.makedirs(place, mode=0o700, exist_ok=True)
        except PermissionError:
            continue
        status = os.lstat(place)
        if stat.S_ISDIR(status.st_mode) and status.st_dev == own and status.st_uid == os.geteuid():
            return place
    raise ClusterkitError(
        f"no place for files that are not whole yet beside or in {directory.path}: may it be written?"
    )


def prepare(settings: Settings, command: str) -> tuple[list[str], int]:
    """Return the command to run, and the lock that it has to keep open. Raises ClusterkitError."""
    if settings.role == SOURCE:
        raise ClusterkitError(f"{settings.name} is the source itself: two would overwrite each other's files")
    options, directory = request(command, settings)
    if not os.path.isdir(directory.path):
        raise ClusterkitError(f"{directory.path} is no directory on {settings.name}")
    here = mount_point(directory.path)
    if here != directory.mount_point:
        raise ClusterkitError(
            f"{directory.path} on {settings.name} is in the file system of {here} and was in that of "
            f"{directory.mount_point}: is it not mounted?"
        )
    place = staging(directory)
    lock = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise ClusterkitError(f"{settings.name} is receiving files of {directory.path} already") from None
    # What a run left that was killed; nobody else writes here while the lock is held
    for name in os.listdir(place):
        path = os.path.join(place, name)
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)
    return ["rsync", "--server", *options, f"--temp-dir={place}", ".", f"{directory.path}/"], lock


def receive(settings: Settings, command: str) -> None:
    """Become the rsync that the source asked for. Raises ClusterkitError."""
    argv, lock = prepare(settings, command)
    # The lock goes with the process that this becomes, and with what that starts
    os.set_inheritable(lock, True)
    os.execvp(argv[0], argv)  # noqa: S606  # no shell is meant
