# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The place that data move to: whose it is, what its file system can hold, and how fast it answers.

What it can hold is found by trying, before anything is copied: file systems and servers say little about themselves
that holds.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import stat
import statistics
import time
from dataclasses import dataclass
from typing import Any, Callable, Collection, Iterator

from ansible_collections.clusterkit.middleware.plugins.module_utils._appdata.scan import Needs
from ansible_collections.clusterkit.middleware.plugins.module_utils._appdata.tree import (
    ACLS,
    directory,
    set_xattrs,
    shown,
    xattrs,
)
from ansible_collections.clusterkit.middleware.plugins.module_utils._common import mounts
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.files import (
    read_if_exists,
    sync_directory,
    write_atomically,
)

#: What may be lost on the way if it is accepted by name; what else a target cannot hold is refused.
LOSSES = {
    "acls": "access control lists",
    "flags": "the flags immutable and append-only",
    "hard_links": "that names are hard links of one another",
    "hard_links_out": "that files have further names outside of what is moved",
    "link_attributes": "owners and times of symbolic links themselves",
    "links": "where symbolic links lead to that would lead elsewhere",
    "modes": "permissions",
    "owners": "owners and groups",
    "special_files": "pipes, sockets and devices",
    "times": "fractions of modification times",
    "xattrs": "extended attributes",
}

#: Below the target; holds what is not in place yet, and says whose the target is.
OWN = ".clusterkit-appdata"
_OURS = re.compile(re.escape(OWN) + r"(-[0-9a-f]+)?")
#: What a file system itself puts into its root.
_OF_THE_FILE_SYSTEM = {"lost+found", ".snapshot", ".trashcan", ".glusterfs"}

#: File systems whose syncfs() reaches the disk. Over a network or FUSE each file has to be waited for.
_LOCAL = {"ext2", "ext3", "ext4", "xfs", "btrfs", "tmpfs", "f2fs", "zfs", "overlay", "jfs", "bcachefs", "ramfs"}
#: Seconds that a file system may take to answer at all: one whose server is gone answers never.
_ANSWER_SECONDS = 10.0
_PROBES = 5
#: From this on an answer costs more than what the processor does for a file: then workers wait for it together.
_SLOW_SECONDS = 0.0003
MANY, FEW = 24, 1


@dataclass(frozen=True)
class Mount:
    """The mount that a path lies on."""

    point: str
    type: str
    device: int
    read_only: bool

    @property
    def is_local(self) -> bool:
        """Whether one call writes all of it to its disk."""
        return self.type in _LOCAL


@dataclass(frozen=True)
class Abilities:
    """What a target was found to hold: `lost` names what it does not; `granularity` of times in nanoseconds.

    `native` names the extended attributes that it gives to every file by itself.
    """

    lost: frozenset[str] = frozenset()
    native: frozenset[str] = frozenset()
    granularity: int = 1
    workers: int = FEW
    seconds: float = 0.0

    def time(self, nanoseconds: int) -> int:
        """Return a time as the target can hold it."""
        return nanoseconds // self.granularity * self.granularity


def existing(path: str) -> str:
    """Return the path itself, or the nearest directory above it that is there. Raises OSError for a broken mount."""
    while True:
        try:
            os.lstat(path)
            return path
        except (FileNotFoundError, NotADirectoryError):
            path = os.path.dirname(path)


def require_answer(path: str, runner: Runner) -> None:
    """Raise ClusterkitError when the mount that a path is on does not answer, or only with an error."""
    try:
        # In a process of its own: nothing else can be ended while a server that is gone is asked
        runner.run(["stat", "--file-system", "--", path], limit=_ANSWER_SECONDS, accept=None)
        os.statvfs(existing(path))
    except ClusterkitError as error:
        raise ClusterkitError(f"{path} does not answer: is its server there? ({error})") from None
    except OSError as error:
        raise ClusterkitError(
            f"{path} is on a mount that is stale or broken: {error.strerror}. Mount it anew"
        ) from None


def mount_of(path: str) -> Mount:
    """Return the mount that a path is or will be on. Raises OSError."""
    here = existing(path)
    device = os.stat(here).st_dev
    flags = os.statvfs(here).f_flag
    point = os.path.realpath(here)
    while not os.path.ismount(point):
        point = os.path.dirname(point)
    found = mounts.at(point, mounts.table())
    kind = found.type if found else ""
    return Mount(point, kind, device, bool(flags & os.ST_RDONLY))


def strangers(target: str, known: Collection[str]) -> list[str]:
    """Return what lies in the target and is not ours."""
    if not os.path.isdir(target):
        return []
    return sorted(
        shown(os.fsencode(name))
        for name in os.listdir(target)
        if name not in known and name not in _OF_THE_FILE_SYSTEM and not _OURS.fullmatch(name)
    )


# --- whose it is -----------------------------------------------------------------------------------------------------


def read_marker(target: str) -> dict[str, Any]:
    """Return what the target says of itself: migration, member, published, names; empty where it says nothing.

    Raises ClusterkitError when it cannot be read.
    """
    path = os.path.join(target, OWN, "marker.json")
    content = read_if_exists(path)
    if content is None:
        return {}
    try:
        found = json.loads(content)
        return {name: found[name] for name in ("migration", "member", "published", "names")}
    except (ValueError, KeyError, TypeError):
        raise ClusterkitError(f"{path} is damaged: find out whose data these are, and mend or remove it") from None


def write_marker(target: str, marker: dict[str, Any], claim: bool) -> None:
    """Say whose the target is; `claim` is for one that is nobody's yet. Raises ClusterkitError when it is another's."""
    own = os.path.join(target, OWN)
    content = (json.dumps(marker, indent=1, sort_keys=True) + "\n").encode()
    if not claim:
        write_atomically(os.path.join(own, "marker.json"), content, mode=0o600)
        return
    mine = f"{own}-{marker['migration']}"
    os.makedirs(mine, mode=0o700, exist_ok=True)
    write_atomically(os.path.join(mine, "marker.json"), content, mode=0o600)
    try:
        # In one step and with its content: of two members that begin at once, one finds it taken
        os.rename(mine, own)
        sync_directory(target)
    except OSError as error:
        shutil.rmtree(mine, ignore_errors=True)
        raise ClusterkitError(f"{target} was taken by another member at this very moment: {error.strerror}") from None


# --- what it can hold ------------------------------------------------------------------------------------------------


def probe(directory_path: str, needs: Needs) -> Abilities:
    """Try in an empty directory whether everything can be held there that a source needs; it is left empty.

    Raises ClusterkitError for what cannot be done without, and OSError when the target fails.
    """
    lost = set()
    with directory(directory_path, b"") as opened:
        seconds = _seconds_to_answer(opened)
        _probe_names(opened, needs)
        with _file(opened, b"probe") as name:
            native = frozenset(xattrs(opened, name).keys() - set(ACLS))
            _probe_size(opened, name, needs)
            granularity = _granularity(opened, name)
            if granularity > 1 and needs.fractions:
                lost.add("times")
            if not all(_holds(_owned, opened, name, uid, gid) for uid, gid in sorted(needs.owners)):
                lost.add("owners")
            if not all(_holds(_moded, opened, name, mode) for mode in sorted(needs.modes)):
                lost.add("modes")
            os.chmod(name, 0o600, dir_fd=opened)
            for namespace, (attribute, value) in needs.xattrs.items():
                if not _holds(_attributed, opened, name, attribute, value):
                    lost.add("acls" if namespace.startswith("system.posix") else "xattrs")
            if needs.counts.get("hard_links") and not _holds(_linked, opened, name):
                lost.add("hard_links")
        for link in needs.links.values():
            if not _holds(_symlinked, opened, link):
                raise ClusterkitError(
                    f"the target does not give back a symbolic link to {shown(link)!r}, and there are such to be moved"
                )
        if needs.links and not _holds(_link_owned, opened):
            lost.add("link_attributes")
        if not all(_holds(_special, opened, kind) for kind in needs.kinds & set("psct")):
            lost.add("special_files")
    return Abilities(frozenset(lost), native, granularity, MANY if seconds > _SLOW_SECONDS else FEW, seconds)


@contextlib.contextmanager
def _file(opened: int, name: bytes) -> Iterator[bytes]:
    os.close(os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=opened))
    try:
        yield name
    finally:
        os.unlink(name, dir_fd=opened)


def _holds(attempt: Callable[..., bool], *arguments: Any) -> bool:
    try:
        return attempt(*arguments)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.ENOTCONN, errno.EIO, errno.ESTALE, errno.EROFS):
            raise
        return False


def _seconds_to_answer(opened: int) -> float:
    """Return how long it takes to make a file and remove it, by two: the median of some attempts."""
    taken = []
    for _turn in range(_PROBES):
        began = time.perf_counter()
        with _file(opened, b"probe"):
            pass
        taken.append((time.perf_counter() - began) / 2)
    return statistics.median(taken)


def _probe_names(opened: int, needs: Needs) -> None:
    samples = [b"n" * needs.longest_name] if needs.longest_name else []
    samples += [b"probe%cname" % byte for byte in sorted(needs.odd_bytes) if byte < 0x80]
    samples += [b"probe " for byte in needs.odd_bytes if byte == 0x20]
    samples += [needs.not_utf8] if needs.not_utf8 else []
    for sample in samples:
        try:
            with _file(opened, sample):
                held = os.fsdecode(sample) in os.listdir(f"/proc/self/fd/{opened}")
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.ENOTCONN, errno.EIO, errno.ESTALE, errno.EROFS):
                raise
            held = False
        if not held:
            raise ClusterkitError(
                f"the target holds no names such as {shown(sample)!r}, and there are some to be moved"
            )
    with _file(opened, b"probe"), contextlib.suppress(FileNotFoundError):
        os.lstat(b"PROBE", dir_fd=opened)
        raise ClusterkitError("the target takes Probe and probe for the same name: what is moved may need both")


def _probe_size(opened: int, name: bytes, needs: Needs) -> None:
    try:
        os.truncate(f"/proc/self/fd/{opened}/{os.fsdecode(name)}", needs.largest)
        os.truncate(f"/proc/self/fd/{opened}/{os.fsdecode(name)}", 0)
    except OSError as error:
        if error.errno not in (errno.EFBIG, errno.EINVAL):
            raise
        raise ClusterkitError(f"the target holds no file of {needs.largest} bytes, the largest to be moved") from None


def _granularity(opened: int, name: bytes) -> int:
    wanted = 1_234_567_891_123_456_789
    os.utime(name, ns=(wanted, wanted), dir_fd=opened)
    held = os.lstat(name, dir_fd=opened).st_mtime_ns
    for granularity in (1, 100, 1000, 1_000_000, 1_000_000_000, 2_000_000_000):
        if held == wanted // granularity * granularity:
            return granularity
    raise ClusterkitError("the target does not hold the modification times of files")


def _owned(opened: int, name: bytes, uid: int, gid: int) -> bool:
    os.chown(name, uid, gid, dir_fd=opened, follow_symlinks=False)
    status = os.lstat(name, dir_fd=opened)
    return (status.st_uid, status.st_gid) == (uid, gid)


def _moded(opened: int, name: bytes, mode: int) -> bool:
    os.chmod(name, mode, dir_fd=opened)
    return stat.S_IMODE(os.lstat(name, dir_fd=opened).st_mode) == mode


def _attributed(opened: int, name: bytes, attribute: str, value: bytes) -> bool:
    if attribute == "system.posix_acl_default":  # only a directory has one
        os.mkdir(b"probe-directory", dir_fd=opened)
        try:
            set_xattrs(opened, b"probe-directory", {attribute: value}, {})
            return attribute in xattrs(opened, b"probe-directory")
        finally:
            os.rmdir(b"probe-directory", dir_fd=opened)
    set_xattrs(opened, name, {attribute: value}, {})
    return xattrs(opened, name).get(attribute) == value


def _linked(opened: int, name: bytes) -> bool:
    os.link(name, b"probe-link", src_dir_fd=opened, dst_dir_fd=opened)
    try:
        return os.lstat(name, dir_fd=opened).st_nlink == 2
    finally:
        os.unlink(b"probe-link", dir_fd=opened)


def _symlinked(opened: int, where: bytes) -> bool:
    os.symlink(where, b"probe-link", dir_fd=opened)
    try:
        return os.readlink(b"probe-link", dir_fd=opened) == where
    finally:
        os.unlink(b"probe-link", dir_fd=opened)


def _link_owned(opened: int) -> bool:
    """Tell whether a link can be given a time of its own; some change what it leads to instead."""
    with _file(opened, b"probe") as name:
        before = os.lstat(name, dir_fd=opened).st_mtime_ns
        os.symlink(name, b"probe-link", dir_fd=opened)
        try:
            os.utime(b"probe-link", ns=(10**18, 10**18), dir_fd=opened, follow_symlinks=False)
            held = os.lstat(b"probe-link", dir_fd=opened).st_mtime_ns == 10**18
            return held and os.lstat(name, dir_fd=opened).st_mtime_ns == before
        finally:
            os.unlink(b"probe-link", dir_fd=opened)


def _special(opened: int, kind: str) -> bool:
    make_special(opened, b"probe-special", kind, 0)
    os.unlink(b"probe-special", dir_fd=opened)
    return True


def make_special(opened: int, name: bytes, kind: str, device: int) -> None:
    """Make a pipe, a socket or a device."""
    mode = {"p": stat.S_IFIFO, "s": stat.S_IFSOCK, "c": stat.S_IFCHR, "t": stat.S_IFBLK}[kind]
    os.mknod(name, mode | 0o600, device, dir_fd=opened)
