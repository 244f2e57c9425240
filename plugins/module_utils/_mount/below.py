# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The directory that a share is mounted on, as it is below the mount: empty, and closed to everybody.

What is written there while the share is missing would be hidden by it later. A directory with the flag immutable takes
nothing, not even from root.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Iterator, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.mounts import Mounted, at

_FS_IOC_GETFLAGS, _FS_IOC_SETFLAGS = 0x80086601, 0x40086602
_IMMUTABLE = 0x10
#: open_tree(2), the same number on all architectures: a copy of one mount, without those on top of it.
_OPEN_TREE, _AT_FDCWD, _OPEN_TREE_CLONE = 428, -100, 1
_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Below:
    """What is there. `immutable` is None where there is no such flag; `unknown` says why nothing is known."""

    exists: bool
    names: tuple[str, ...] = ()
    immutable: bool | None = None
    unknown: str = ""


def look(path: str, mounts: Sequence[Mounted]) -> Below:
    """Return what is below a mount point, whether something is mounted there or not. Raises ClusterkitError."""
    try:
        with _opened(path, mounts) as descriptor:
            return Below(True, tuple(sorted(os.listdir(descriptor))), _immutable(descriptor))
    except (FileNotFoundError, NotADirectoryError) as error:
        if isinstance(error, NotADirectoryError):
            raise ClusterkitError(f"{path} is no directory: give another path, or move away what is there") from None
        return Below(False)
    except OSError as error:
        if at(path, mounts) and error.errno in (errno.ENOSYS, errno.EPERM, errno.EINVAL):
            return Below(True, unknown=f"the kernel does not let anybody look below {path} while it is mounted")
        raise ClusterkitError(f"cannot look at {path}: {error.strerror}") from None


def set_immutable(path: str, mounts: Sequence[Mounted], wanted: bool) -> None:
    """Set the flag, or take it away. Raises ClusterkitError."""
    try:
        with _opened(path, mounts) as descriptor:
            flags = _flags(descriptor)
            new = flags | _IMMUTABLE if wanted else flags & ~_IMMUTABLE
            if new != flags:
                fcntl.ioctl(descriptor, _FS_IOC_SETFLAGS, ctypes.c_long(new))
    except OSError as error:
        raise ClusterkitError(
            f"cannot {'set' if wanted else 'take'} the flag immutable {'on' if wanted else 'from'} {path}: "
            f"{error.strerror}. Where its file system has none say immutable: false"
        ) from None


@contextmanager
def _opened(path: str, mounts: Sequence[Mounted]) -> Iterator[int]:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    if not at(path, mounts):
        descriptor = os.open(path, flags)
    else:
        parent = _copy_of_mount(os.path.dirname(path))
        try:
            descriptor = os.open(os.path.basename(path), flags, dir_fd=parent)
        finally:
            os.close(parent)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _copy_of_mount(path: str) -> int:
    descriptor = int(_LIBC.syscall(_OPEN_TREE, _AT_FDCWD, os.fsencode(path), _OPEN_TREE_CLONE | os.O_CLOEXEC))
    if descriptor < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
    return descriptor


def _immutable(descriptor: int) -> bool | None:
    with suppress(OSError):
        return bool(_flags(descriptor) & _IMMUTABLE)
    return None


def _flags(descriptor: int) -> int:
    flags = ctypes.c_long()
    fcntl.ioctl(descriptor, _FS_IOC_GETFLAGS, flags)
    return flags.value
