# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files a directory holds, with their hashes: what members compare to be sure that they are the same."""

from __future__ import annotations

import hashlib
import os
import stat
from typing import Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._deployment.settings import excluded

_BLOCK = 1 << 20


def manifest(directory: str, exclude: Sequence[str] = ()) -> dict[str, str]:
    """Return what each file below a directory holds, by its path in it: SHA-256, or where a symbolic link leads.

    Files that vanish meanwhile are not there. Raises ClusterkitError for what cannot be read.
    """
    left_out = excluded(exclude)
    out: dict[str, str] = {}
    waiting = [""]
    while waiting:
        relative = waiting.pop()
        try:
            with os.scandir(os.path.join(directory, relative)) as entries:
                for entry in entries:
                    name = f"{relative}/{entry.name}" if relative else entry.name
                    if left_out(name):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(name)
                    else:
                        held = _held(entry)
                        if held:
                            out[name] = held
        except FileNotFoundError:
            continue
        except OSError as error:
            raise ClusterkitError(f"cannot read {error.filename or directory}: {error.strerror}") from None
    return out


def digest(files: dict[str, str]) -> str:
    """Return one hash of a manifest."""
    whole = hashlib.sha256()
    for name in sorted(files):
        whole.update(os.fsencode(f"{name}\0{files[name]}\0"))
    return whole.hexdigest()


def holds_files(directory: str, exclude: Sequence[str] = ()) -> bool:
    """Tell whether there is any file at all below a directory. Raises OSError."""
    left_out = excluded(exclude)
    for root, directories, files in os.walk(directory, onerror=_raise):
        relative = "" if root == directory else os.path.relpath(root, directory) + "/"
        if any(not left_out(relative + name) for name in files):
            return True
        directories[:] = [name for name in directories if not left_out(relative + name)]
        if any(os.path.islink(os.path.join(root, name)) for name in directories):
            return True
    return False


def _raise(error: OSError) -> None:
    raise error


def _held(entry: os.DirEntry[str]) -> str:
    try:
        status = entry.stat(follow_symlinks=False)
        if stat.S_ISLNK(status.st_mode):
            return f"-> {os.readlink(entry.path)}"
        if not stat.S_ISREG(status.st_mode):
            return ""  # sockets and pipes are no artifacts
        whole = hashlib.sha256()
        with open(entry.path, "rb") as file:
            for block in iter(lambda: file.read(_BLOCK), b""):
                whole.update(block)
        return whole.hexdigest()
    except FileNotFoundError:
        return ""
