# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files and directories of any name and depth: reading, copying and comparing them by the kernel's own means.

Paths below a root are bytes, so that every name is held; directories are opened name by name, so that a path may be
longer than the kernel takes at once, and no symbolic link on the way is followed.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import stat
from dataclasses import dataclass
from typing import Iterator

FILE, DIRECTORY, LINK = "f", "d", "l"
#: What else a directory can hold: pipes, sockets, character and block devices.
SPECIAL = "psct"
_KINDS = {
    stat.S_IFREG: FILE,
    stat.S_IFDIR: DIRECTORY,
    stat.S_IFLNK: LINK,
    stat.S_IFIFO: "p",
    stat.S_IFSOCK: "s",
    stat.S_IFCHR: "c",
    stat.S_IFBLK: "t",
}
#: Attributes that belong to the place or to the very inode, and are not carried to another one.
XATTRS_OF_PLACE = ("security.selinux", "security.ima", "security.evm")
ACLS = ("system.posix_acl_access", "system.posix_acl_default")

#: Bytes read at once: two of them fit into a processor's own cache, where comparing is quickest.
CHUNK = 256 * 1024
#: Bytes that the kernel is asked to read before they are needed.
_AHEAD = 8 * CHUNK
_PATH_ONLY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_WRITE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
#: What copy_file_range() says where the two files are none it can copy between.
_NOT_IN_THE_KERNEL = (errno.EXDEV, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EBADF, errno.EPERM)

_LIBC = ctypes.CDLL(None, use_errno=True)
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_FS_IOC_GETFLAGS, _FS_IOC_SETFLAGS = 0x80086601, 0x40086602
#: The inode flags "append only" and "immutable", in statx and in the ioctl alike.
_PROTECTED = 0x10 | 0x20
_STATX_SIZE, _STATX_ATTRIBUTES = 256, slice(8, 16)
_STATX_DONT_SYNC_NOFOLLOW = 0x4000 | 0x100


@dataclass(frozen=True)
class Entry:
    """What is moved: the file or directory `source` becomes `name` below the target; '' is the target itself.

    What is to be kept is copied, but never removed or replaced by a link.
    """

    source: str
    name: str
    keep: bool = False

    def at(self, path: bytes) -> bytes:
        """Return the path below the source of a path below the target."""
        return path[len(os.fsencode(self.name)) :].lstrip(b"/")


def kind_of(mode: int) -> str:
    """Return the letter of what a mode stands for."""
    return _KINDS[stat.S_IFMT(mode)]


def shown(path: bytes) -> str:
    """Return a path as text that can be shown on one line, whatever it holds."""
    return "".join(
        c
        if c.isprintable() and not 0xDC80 <= ord(c) <= 0xDCFF
        else c.encode("utf-8", "surrogateescape").hex(" ").join("<>")
        for c in os.fsdecode(path)
    )


def join(directory: bytes, name: bytes) -> bytes:
    """Join two paths of which the first may be the root, which is empty."""
    return directory + b"/" + name if directory else name


def split(path: bytes) -> tuple[bytes, bytes]:
    """Return the directory of a path, empty for the root, and the name in it."""
    directory, _slash, name = path.rpartition(b"/")
    return directory, name


@contextlib.contextmanager
def directory(root: str, path: bytes, make: bool = False) -> Iterator[int]:
    """Open the directory `path` below `root`, for use as dir_fd; `make` creates (0700) what is missing of it."""
    descriptor = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in path.split(b"/") if path else ():
            try:
                below = os.open(name, _PATH_ONLY, dir_fd=descriptor)
            except OSError as error:
                if not make or error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                    raise
                if error.errno != errno.ENOENT:
                    # In an earlier run it was no directory; by now another worker may have made it one
                    with contextlib.suppress(FileNotFoundError, IsADirectoryError):
                        os.unlink(name, dir_fd=descriptor)
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, 0o700, dir_fd=descriptor)
                below = os.open(name, _PATH_ONLY, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = below
        yield descriptor
    finally:
        os.close(descriptor)


def listing(parent: int, name: bytes) -> Iterator[os.DirEntry[str]]:
    """Walk over what a directory holds, in the order in which the file system tells it."""
    descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        with os.scandir(descriptor) as entries:
            yield from entries
    finally:
        os.close(descriptor)


def status(parent: int, name: bytes) -> os.stat_result | None:
    """Return the status of a name in a directory, None where there is none."""
    try:
        return os.lstat(name, dir_fd=parent)
    except FileNotFoundError:
        return None


def is_protected(parent: int, name: bytes) -> bool:
    """Tell whether a file or directory is immutable or append-only (chattr); False where that cannot be told."""
    buffer = ctypes.create_string_buffer(_STATX_SIZE)
    if _LIBC.statx(parent, name, _STATX_DONT_SYNC_NOFOLLOW, 0, buffer):
        return False
    return bool(int.from_bytes(buffer.raw[_STATX_ATTRIBUTES], "little") & _PROTECTED)


def unprotect(parent: int, name: bytes) -> None:
    """Take the flags "immutable" and "append only" from a file or directory."""
    descriptor = os.open(name, _READ, dir_fd=parent)
    try:
        flags = ctypes.c_long()
        fcntl.ioctl(descriptor, _FS_IOC_GETFLAGS, flags)
        fcntl.ioctl(descriptor, _FS_IOC_SETFLAGS, ctypes.c_long(flags.value & ~_PROTECTED))
    finally:
        os.close(descriptor)


def exchange(one: str, other: str) -> bool:
    """Let two names change places, in one step; False where the file system cannot. Raises OSError."""
    if not _LIBC.renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE):
        return True
    number = ctypes.get_errno()
    if number in (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP):
        return False
    raise OSError(number, os.strerror(number), one)


def sync_file_system(path: str) -> None:
    """Wait until everything written to a file system has reached its disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if _LIBC.syncfs(descriptor):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), path)
    finally:
        os.close(descriptor)


# --- content ---------------------------------------------------------------------------------------------------------


def open_to_read(parent: int, name: bytes) -> int:
    """Open a file for reading; never waits, whatever it has become."""
    return os.open(name, _READ, dir_fd=parent)


def create(parent: int, name: bytes, mode: int) -> int:
    """Create a file where no name is."""
    return os.open(name, _WRITE, mode, dir_fd=parent)


def copy_content(source: int, target: int, size: int) -> None:
    """Copy a file's first `size` bytes into an empty one; holes stay holes. In the kernel where it can."""
    in_kernel = hasattr(os, "copy_file_range")
    if not size:
        return
    for start, end in _data(source, size):
        at = start
        while at < end:
            if in_kernel:
                try:
                    copied = os.copy_file_range(source, target, end - at, at, at)
                except OSError as error:
                    if error.errno not in _NOT_IN_THE_KERNEL:
                        raise
                    in_kernel = False
                    continue
            else:
                copied = _write_at(target, os.pread(source, min(CHUNK, end - at), at), at)
            if not copied:
                break  # cut off meanwhile: the comparison tells
            at += copied
    if os.fstat(target).st_size < size:
        os.ftruncate(target, size)


def forget_cached(descriptor: int, size: int) -> None:
    """Have what is read of a file come from its storage, and have the kernel begin to read it.

    What is not written out yet stays in the cache.
    """
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.posix_fadvise(descriptor, 0, min(size, _AHEAD), os.POSIX_FADV_WILLNEED)


def same_content(source: int, target: int, size: int) -> bool:
    """Tell whether two files hold the same `size` bytes; see also `forget_cached`."""
    ours, theirs = os.fstat(source), os.fstat(target)
    if ours.st_size != size or theirs.st_size != size:
        return False
    sparse = any(one.st_blocks * 512 < size for one in (ours, theirs))
    at, ahead = 0, _AHEAD
    while at < size:
        if sparse:  # where neither has data both are zero
            at = min(_next_data(source, at, size), _next_data(target, at, size))
        if at + _AHEAD // 2 > ahead < size:
            os.posix_fadvise(target, ahead, _AHEAD, os.POSIX_FADV_WILLNEED)
            ahead += _AHEAD
        mine, read = os.pread(source, CHUNK, at), os.pread(target, CHUNK, at)
        if mine != read:
            return False
        if not mine:
            return at >= size
        at += len(mine)
    return True


def _data(descriptor: int, size: int) -> Iterator[tuple[int, int]]:
    """Walk over the ranges of a file that hold data."""
    if os.fstat(descriptor).st_blocks * 512 >= size:
        yield 0, size
        return
    start = _next_data(descriptor, 0, size)
    while start < size:
        end = min(os.lseek(descriptor, start, os.SEEK_HOLE), size)
        yield start, end
        start = _next_data(descriptor, end, size)


def _next_data(descriptor: int, at: int, size: int) -> int:
    try:
        return os.lseek(descriptor, at, os.SEEK_DATA)
    except OSError as error:
        if error.errno == errno.ENXIO:  # nothing but a hole up to the end
            return size
        if error.errno == errno.EINVAL:  # a file system without holes
            return at
        raise


def _write_at(descriptor: int, data: bytes, at: int) -> int:
    left = memoryview(data)
    while left:
        written = os.pwrite(descriptor, left, at + len(data) - len(left))
        left = left[written:]
    return len(data)


# --- attributes ------------------------------------------------------------------------------------------------------


def xattrs(parent: int, name: bytes) -> dict[str, bytes]:
    """Return the extended attributes that are carried along, access control lists among them."""
    return _xattrs(_by_descriptor(parent, name), follow=False)


def xattrs_of(descriptor: int) -> dict[str, bytes]:
    """Return the same of an open file."""
    return _xattrs(descriptor, follow=True)


def _xattrs(where: bytes | int, follow: bool) -> dict[str, bytes]:
    try:
        names = os.listxattr(where, follow_symlinks=follow)
    except OSError as error:
        if error.errno in (errno.ENOTSUP, errno.ENOSYS):
            return {}
        raise
    return {one: os.getxattr(where, one, follow_symlinks=follow) for one in names if one not in XATTRS_OF_PLACE}


def set_xattrs(parent: int, name: bytes, wanted: dict[str, bytes], present: dict[str, bytes]) -> None:
    """Bring the extended attributes from what is present to what is wanted."""
    path = _by_descriptor(parent, name)
    for one in present.keys() - wanted.keys():
        os.removexattr(path, one, follow_symlinks=False)
    for one, value in wanted.items():
        if present.get(one) != value:
            os.setxattr(path, one, value, follow_symlinks=False)


def _by_descriptor(parent: int, name: bytes) -> bytes:
    # The calls for extended attributes know no dir_fd; /proc leads them to the same place
    return b"/proc/self/fd/%d/%s" % (parent, name)


# --- removing --------------------------------------------------------------------------------------------------------


def remove(parent: int, name: bytes, protected: bool = False) -> None:
    """Remove whatever has this name, with all that is below it. Nothing there is fine.

    `protected` takes the flags "immutable" and "append only" away where they are.
    """
    if protected:
        # Its own and that of the directory it stands in: both forbid it
        for one in (b".", name):
            if is_protected(parent, one):
                unprotect(parent, one)
    try:
        os.unlink(name, dir_fd=parent)
        return
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno not in (errno.EISDIR, errno.EPERM):
            raise
        found = status(parent, name)
        if found is None or not stat.S_ISDIR(found.st_mode):
            raise
    _remove_directory(parent, name, protected)


def _remove_directory(parent: int, name: bytes, protected: bool) -> None:
    """Remove a directory with one descriptor open at a time and without recursion, which its depth could exceed."""
    here = os.open(name, _PATH_ONLY, dir_fd=parent)
    names = [name]
    try:
        while True:
            below = _first_directory_left(here, protected)
            if below is not None:
                names.append(below)
            following = os.open(b".." if below is None else below, _PATH_ONLY, dir_fd=here)
            os.close(here)
            here = following
            if below is None:
                os.rmdir(names.pop(), dir_fd=here)
                if not names:
                    return
    finally:
        os.close(here)


def _first_directory_left(here: int, protected: bool) -> bytes | None:
    """Remove the files in a directory up to the first directory in it, and return that; None when it is empty."""
    if protected and is_protected(here, b"."):
        unprotect(here, b".")
    empty = False
    while not empty:
        empty = True
        for entry in listing(here, b"."):
            empty = False
            name = os.fsencode(entry.name)
            if protected and not entry.is_symlink() and is_protected(here, name):
                unprotect(here, name)
            if entry.is_dir(follow_symlinks=False):
                return name
            os.unlink(name, dir_fd=here)
    return None
