# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are either the old or the new one, whatever happens in between.

A path that is a symbolic link stands for what it points to: the link stays, its target is replaced. So never use
this in a directory that other users can write to.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import grp
import os
import pwd
import re
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterator

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError

#: What a new file gets when nothing is asked for.
DEFAULT_MODE = 0o600

_MARK = ".clusterkit-"
#: A file name holds 255 bytes on all usual file systems; this leaves room for the dot, the mark and the random part.
_LONGEST_STEM = 200
#: Names on the way to a file after which links are taken to lead in a circle; the kernel follows forty.
_LONGEST_WAY = 4096
#: Signatures of the old content: wrong on the new one.
_XATTRS_OF_CONTENT = ("security.ima", "security.evm")
#: What a file system has not, or does not let this user set, cannot be kept: shutil.copystat sees it the same way.
_XATTR_ERRORS = (errno.ENOTSUP, errno.ENODATA, errno.EINVAL, errno.EPERM, errno.EACCES)


def read_if_exists(path: str) -> bytes | None:
    """Return the content of the file `path`, None where there is none.

    Raises ClusterkitError when something is there that cannot be read.
    """
    if status_if_exists(path) is None:
        return None
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise _failed("read", path, error) from None


def status_if_exists(path: str) -> os.stat_result | None:
    """Return the status of the regular file `path` (links followed), None where there is none.

    Raises ClusterkitError when something else than a regular file is there, or a directory on the way is closed.
    """
    try:
        status = Path(path).stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _failed("look at", path, error) from None
    if not stat.S_ISREG(status.st_mode):
        raise ClusterkitError(f"{path} is no regular file: expected a file, or nothing there")
    return status


def in_chroot(root: str, path: str) -> str:
    """Return the path by which this process reaches what a process with the root directory `root` calls `path`.

    Links are followed as that process follows them: an absolute one begins at `root`, and `..` leads no further up.
    What of the path is not there is taken as it is written. Raises ClusterkitError.
    """
    below = Path("/")
    left = list(reversed(Path(path).parts))
    for _turn in range(_LONGEST_WAY):
        if not left:
            return str(Path(root, *below.parts[1:]))
        name = left.pop()
        if name in ("/", ".."):
            below = below.parent if name == ".." else Path("/")
            continue
        try:
            leads_to = os.readlink(Path(root, *below.parts[1:], name))
        except FileNotFoundError:
            leads_to = ""
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTDIR):
                raise _failed("look at", f"{path} in {root}", error) from None
            leads_to = ""  # no link, or below something that is no directory
        if leads_to:
            left += reversed(Path(leads_to).parts)
        else:
            below /= name
    raise ClusterkitError(f"{path} in {root} leads through symbolic links without end: look at them")


def write_atomically(
    path: str,
    content: bytes,
    *,
    mode: int | None = None,
    owner: str | int | None = None,
    group: str | int | None = None,
    allow_in_place: bool = False,
    durable: bool = True,
) -> None:
    """Make `content` what the file `path` holds, in one step: a crash leaves the old file or the new one.

    What is not given of `mode`, `owner` and `group` stays as it is; a new file is the caller's, with mode 0600.
    Extended attributes (SELinux context, access control lists) stay too, as far as the file system has them. Other
    hard links to the old file keep the old content.

    `allow_in_place` is for a file that cannot be replaced since it is a mount of its own (/etc/hosts in a container):
    only then it is overwritten, after its space has been reserved; a crash in that moment leaves a mixture.
    `durable` False leaves out waiting for the disk, for files that are worth nothing after a restart.

    Raises ClusterkitError; the old file is untouched then and nothing is left behind. What an earlier process left
    that was killed meanwhile is removed.
    """
    present = status_if_exists(path)
    target = Path(os.path.realpath(path))
    wanted = _Attributes(mode, user_id(owner), group_id(group)).completed_by(present)
    try:
        _remove_stale(target)
        with _temporary(target) as (descriptor, temporary):
            _write(descriptor, content)
            # Opening the mode comes last, so that nobody reads meanwhile who shall not
            wanted.give_owner(descriptor)
            if present is not None:
                _copy_xattrs(target, descriptor)
            wanted.give_mode(descriptor)
            if durable:
                os.fsync(descriptor)
            try:
                temporary.replace(target)
            except OSError as error:
                if error.errno != errno.EBUSY or not allow_in_place:
                    raise
                _write_in_place(target, content, wanted)
        if durable:
            sync_directory(target.parent)
    except OSError as error:
        hint = " (it is a mount point of its own, as /etc/hosts in a container)" if error.errno == errno.EBUSY else ""
        raise _failed("write", path, error, hint) from None


def set_attributes(
    path: str, *, mode: int | None = None, owner: str | int | None = None, group: str | int | None = None
) -> None:
    """Change mode, owner and group of the file or directory `path` to what is given. Raises ClusterkitError."""
    try:
        wanted = _Attributes(mode, user_id(owner), group_id(group)).completed_by(Path(path).stat())
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            wanted.give_owner(descriptor)
            wanted.give_mode(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _failed("change the attributes of", path, error) from None


def remove(path: str) -> bool:
    """Remove the file `path`, and what killed processes left of writing it; tell whether it was there.

    A symbolic link is removed, not what it points to. Raises ClusterkitError.
    """
    try:
        _remove_stale(Path(os.path.realpath(path)))
        try:
            Path(path).unlink()
        except (FileNotFoundError, NotADirectoryError):
            return False
        sync_directory(Path(path).parent)
    except OSError as error:
        raise _failed("remove", path, error) from None
    return True


def user_id(user: str | int | None) -> int | None:
    """Return the number of a user given by name or number, None for None. Raises ClusterkitError if unknown."""
    return _id(user, "user", lambda name: pwd.getpwnam(name).pw_uid)


def group_id(group: str | int | None) -> int | None:
    """Return the number of a group given by name or number, None for None. Raises ClusterkitError if unknown."""
    return _id(group, "group", lambda name: grp.getgrnam(name).gr_gid)


def _id(name: str | int | None, kind: str, look_up: Callable[[str], int]) -> int | None:
    if name is None or isinstance(name, int):
        return name
    try:
        return look_up(name)
    except KeyError:
        if re.fullmatch(r"[0-9]+", name):
            return int(name)
        raise ClusterkitError(f"{kind} {name!r} does not exist on this machine: create it first") from None


@dataclass(frozen=True)
class _Attributes:
    mode: int | None
    uid: int | None
    gid: int | None

    def completed_by(self, present: os.stat_result | None) -> _Attributes:
        """Return these with what is not given taken from a file that is there."""
        if present is None:
            return _Attributes(DEFAULT_MODE if self.mode is None else self.mode, self.uid, self.gid)
        return _Attributes(
            stat.S_IMODE(present.st_mode) if self.mode is None else self.mode,
            present.st_uid if self.uid is None else self.uid,
            present.st_gid if self.gid is None else self.gid,
        )

    def give_owner(self, descriptor: int) -> None:
        now = os.fstat(descriptor)
        uid = now.st_uid if self.uid is None else self.uid
        gid = now.st_gid if self.gid is None else self.gid
        # Asking for what is so already may be refused to anybody but root
        if (uid, gid) != (now.st_uid, now.st_gid):
            os.fchown(descriptor, uid, gid)

    def give_mode(self, descriptor: int) -> None:
        if self.mode is not None:
            os.fchmod(descriptor, self.mode)


@contextlib.contextmanager
def _temporary(target: Path) -> Iterator[tuple[int, Path]]:
    """Create a file (0600) beside `target`; remove it at the end unless it has become the target.

    Its lock says that its writer lives: the kernel drops it with the process, and the next writer may clean up.
    """
    path = target.with_name(_stem(target) + secrets.token_hex(8))
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        if _lock(descriptor) and os.fstat(descriptor).st_nlink:
            yield descriptor, path
            return
    finally:
        # After the rename the name is gone, and nobody else makes one like it
        with contextlib.suppress(OSError):
            path.unlink()
        os.close(descriptor)
    # Another writer's cleaning up came between creation and lock
    with _temporary(target) as another:
        yield another


def _stem(target: Path) -> str:
    short = os.fsdecode(os.fsencode(target.name)[:_LONGEST_STEM])
    return f".{short}{_MARK}"


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass  # a file system without locks: nobody can clean up there either
    return True


def _remove_stale(target: Path) -> None:
    """Remove the temporary files of `target` whose writers are gone. Those of a living one are locked."""
    ours = re.compile(re.escape(_stem(target)) + r"[0-9a-f]{16}")
    try:
        stale = [path for path in target.parent.iterdir() if ours.fullmatch(path.name)]
    except OSError:
        return  # a directory that may be written but not listed; the write itself tells of worse
    for path in stale:
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
            finally:
                os.close(descriptor)


def _write(descriptor: int, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[os.write(descriptor, left) :]


def _copy_xattrs(source: Path, descriptor: int) -> None:
    with _tolerated():
        for name in os.listxattr(source):
            if name not in _XATTRS_OF_CONTENT:
                with _tolerated():
                    os.setxattr(descriptor, name, os.getxattr(source, name))


@contextlib.contextmanager
def _tolerated() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _XATTR_ERRORS:
            raise


def _write_in_place(target: Path, content: bytes, wanted: _Attributes) -> None:
    descriptor = os.open(target, os.O_RDWR | os.O_CLOEXEC)
    try:
        size = os.fstat(descriptor).st_size
        if len(content) > size:
            try:
                # A full disk has to be noticed while the old content is still there
                os.posix_fallocate(descriptor, size, len(content) - size)
            except OSError:
                os.ftruncate(descriptor, size)
                raise
        _write(descriptor, content)
        os.ftruncate(descriptor, len(content))
        wanted.give_owner(descriptor)
        wanted.give_mode(descriptor)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_directory(directory: str | Path) -> None:
    """Wait until the names in a directory have reached the disk, as far as its file system can tell. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network and FUSE file systems have no such thing
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def _failed(what: str, path: str, error: OSError, hint: str = "") -> ClusterkitError:
    if isinstance(error, FileNotFoundError) and not Path(path).parent.is_dir():
        return ClusterkitError(f"cannot {what} {path}: its directory does not exist; create it first")
    return ClusterkitError(f"cannot {what} {path}: {error.strerror or error}{hint}")
