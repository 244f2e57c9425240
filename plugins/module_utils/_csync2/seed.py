# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Seeding: a new member gets the files that it lacks from one other by rsync, before csync2 notes what is there.

csync2 takes milliseconds for each file of a first exchange, rsync a fraction of one. The source makes the list of
files, by csync2's own rules, and sends nothing else. The newcomer takes them into a staging directory on the same file
system and from there into their places, each in one step and only where nothing is: so whatever is killed, a place
holds what it held before or a whole file.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import os
import pathlib
import re
import select
import shlex
import shutil
import signal
import stat
import subprocess
import tempfile
from dataclasses import dataclass, replace
from typing import Any, Iterator, Mapping, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.process import end_with_parent
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.progress import Progress
from ansible_collections.clusterkit.middleware.plugins.module_utils._csync2.config import (
    PROBE_GROUP,
    Config,
    Group,
    Matcher,
    fixed_parts,
)
from ansible_collections.clusterkit.middleware.plugins.module_utils._csync2.state import walk

#: The staging directory, in an included directory or, where that is missing, in the one above it.
STAGING = ".clusterkit-seed"
#: Where in it rsync writes.
_FILES = "files"
#: How the names of the lists of files begin that a source gives its rsync.
_LISTS = "clusterkit-csync2-seed-"
#: Seconds without a byte after which rsync gives up.
_SILENCE = 60
#: What is kept of each file, as the two ends of rsync tell it each other: no recursion, since the files are listed.
_KEPT, _KEPT_THERE = "-lptgoDHAX", "-logDtpRHAX"
#: What rsync's client asks the other end to run: what its version understands, and which root.
_ASKED = re.compile(r"rsync --server --sender -[A-Za-z]*e([0-9]*\.[A-Za-z]*) (?:.* )?\. ([0-9a-f]{16})/?")
#: Files that vanish while they are sent are no failure of rsync's.
_VANISHED = 24
_PROGRESS = re.compile(rb" *([0-9,]+) +([0-9]+)%")
#: Seconds between two looks whether rsync has ended: one of its processes may keep its output open.
_LOOK = 0.2
#: What keeps a file from its place, and is left to csync2: it is taken, another file system, or one without hard links.
_TAKEN = (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR, errno.EXDEV, errno.EPERM)
_LIBC = ctypes.CDLL(None)


@dataclass(frozen=True)
class Root:
    """A directory below which files are included: csync2's name for it, the same on all hosts, and its path here."""

    name: bytes
    path: bytes

    @property
    def id(self) -> str:
        """Return how it is asked for: needs no quoting, and means nothing to a host that does not know the name."""
        return hashlib.sha256(self.name).hexdigest()[:16]

    @property
    def above(self) -> bytes:
        """Return the directory that it is in: what is sent begins with its own name, so that its attributes come."""
        return os.path.dirname(self.path)  # noqa: PTH120  # bytes: a name need not be text


# --- who gets files from whom ----------------------------------------------------------------------------------------


def census(config: Config, name: str) -> dict[str, dict[str, Any]]:
    """Return for each group of a host how many `files` are included here, and whether the host `gives` them to others.

    Raises ClusterkitError for a directory that cannot be read.
    """
    out = {}
    for group in _groups_of(config, name):
        matcher = Matcher(replace(config, groups=[group]), name)
        files = sum(1 for start in matcher.starts for _entry in walk(start, matcher))
        slave = any(host.slave and host.name.lower() == name.lower() for host in group.hosts)
        out[group.name] = {"files": files, "gives": not slave}
    return out


def plan(
    counted: Mapping[str, Mapping[str, Any]],
    members: Sequence[Mapping[str, str]],
    new: Sequence[str],
    source: str = "",
    minimum: int = 1,
) -> dict[str, str]:
    """Return for each new host that is to be seeded the host it gets its files from.

    `counted` has the `groups` of each host, as `census` returns them. `source` is a member's name; the member that has
    most to give is taken where it is empty. One that would get fewer than `minimum` files is left to csync2.
    """
    hosts = [member["host"] for member in members if source in ("", member["name"])]
    groups = {host: counted[host]["groups"] for host in hosts if host in counted}
    given = {host: sum(one["files"] for one in mine.values() if one["gives"]) for host, mine in groups.items()}
    if not given:
        return {}
    chosen = max(given, key=lambda host: given[host])
    return {
        host: chosen
        for host in new
        if host != chosen and host in counted and _gain(groups[chosen], counted[host]["groups"]) >= minimum
    }


def _gain(source: Mapping[str, Any], newcomer: Mapping[str, Any]) -> int:
    return sum(
        max(0, one["files"] - newcomer[group]["files"])
        for group, one in source.items()
        if one["gives"] and group in newcomer
    )


def shared(config: Config, source: str, newcomer: str) -> Config:
    """Return the part of a configuration by which a host has files to give to another one."""
    theirs = config.groups_of(newcomer)
    groups = [
        group
        for group in _groups_of(config, source)
        if group in theirs and not any(host.slave and host.name.lower() == source.lower() for host in group.hosts)
    ]
    return replace(config, groups=groups)


def _groups_of(config: Config, name: str) -> list[Group]:
    """Return a host's groups but for that of verifications: in there each member's file has to come from itself."""
    return [group for group in config.groups_of(name) if group.name != PROBE_GROUP]


def roots(config: Config, name: str) -> list[Root]:
    """Return the directories of a host below which all is that its groups include, none of them below another."""
    out: list[Root] = []
    for name_there, path in sorted(set(fixed_parts(config, name)), key=lambda pair: pair[1]):
        if not any(path.startswith(one.path.rstrip(b"/") + b"/") for one in out):
            out.append(Root(name_there, path))
    return out


# --- the source ------------------------------------------------------------------------------------------------------


def served(config: Config, source: str, newcomer: str, asked: str) -> tuple[list[bytes], bytes]:
    """Return rsync's arguments and the list of files by which the source answers what a newcomer's rsync asked.

    Nothing is taken from what is asked but the root and what the other rsync understands. The list goes where the
    arguments have LIST. Raises ClusterkitError for anything else than rsync that wants to have files of a root.
    """
    found = _ASKED.fullmatch(asked)
    ours = shared(config, source, newcomer)
    root = next((one for one in roots(ours, source) if found and one.id == found.group(2)), None)
    if not found or not root:
        raise ClusterkitError(f"refused: this key is for the files that {source} shares with {newcomer} alone")
    names, path = b"", b"/"
    if _is_directory(root.path):
        matcher = Matcher(ours, source)
        path = root.above
        rows = (file[len(path) :].lstrip(b"/") for _name, file in walk((root.name, root.path), matcher))
        # A comment would begin with these; and what is in a directory of no name would be sent, included or not
        names = b"".join((b"./" if row[:1] in (b"#", b";") else b"") + row + b"\0" for row in rows if row)
    options = [
        f"{_KEPT_THERE}e{found.group(1)}",
        "--numeric-ids",
        "--no-implied-dirs",
        f"--timeout={_SILENCE}",
        "--from0",
        "--files-from=LIST",
    ]
    argv = [b"rsync", b"--server", b"--sender", *map(os.fsencode, options), b".", path.rstrip(b"/") + b"/"]
    return argv, names


def serve(config: Config, source: str, newcomer: str, asked: str) -> int:
    """Run the rsync that sends what the source shares with a newcomer; return its exit code. Raises ClusterkitError."""
    argv, names = served(config, source, newcomer, asked)
    # A file with a name: rsync follows no link to one without
    with tempfile.NamedTemporaryFile(prefix=_LISTS) as listed:
        listed.write(names)
        listed.flush()
        words = [one.replace(b"LIST", os.fsencode(listed.name)) for one in argv]
        return subprocess.run(words, check=False).returncode


def _is_directory(path: bytes) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


# --- the newcomer ----------------------------------------------------------------------------------------------------


def seed(config: Config, newcomer: str, source: str, shell: Sequence[str], progress: Progress) -> int:
    """Get the files that a newcomer lacks from a source; return how many files and directories came.

    `shell` is the command, as rsync's `--rsh`, that reaches the source. Raises ClusterkitError.
    """
    ours = shared(config, source, newcomer)
    matcher = Matcher(ours, newcomer)
    came = 0
    for root in roots(ours, newcomer):
        place = _place_of(root)
        if place is None:
            continue
        with _staging(place) as staging:
            _fetch(root, staging, shell, progress)
            # What has a place has to be on the disk: the place may outlive a crash that the content does not
            _LIBC.syncfs(staging)
            came += _take_in(root, staging, place, matcher)
    return came


def remains(config: Config, name: str) -> list[str]:
    """Return what a killed seeding left: staging directories of a newcomer, lists of files of a source."""
    places = {place for root in roots(config, name) for place in (root.path, root.above)}
    paths = [os.fsdecode(place.rstrip(b"/")) + f"/{STAGING}" for place in sorted(places)]
    lists = pathlib.Path(tempfile.gettempdir()).glob(f"{_LISTS}*")
    return [path for path in paths if os.path.lexists(path)] + sorted(map(str, lists))


def remove(path: str) -> None:
    """Remove a staging directory or a list, or whatever has its name."""
    if os.path.islink(path) or not os.path.isdir(path):  # noqa: PTH114, PTH112  # beside lexists, as text
        pathlib.Path(path).unlink()
    else:
        shutil.rmtree(path)


def _place_of(root: Root) -> bytes | None:
    """Return the directory for the staging: on the file system on which the files are to be; None where none can be."""
    if _is_directory(root.path):
        return root.path
    return root.above if _is_directory(root.above) and not os.path.lexists(root.path) else None


@contextlib.contextmanager
def _staging(place: bytes) -> Iterator[int]:
    """Make a staging directory, closed to all others; remove it at the end."""
    path = os.fsdecode(place.rstrip(b"/")) + f"/{STAGING}"
    if os.path.lexists(path):
        remove(path)
    try:
        pathlib.Path(path).mkdir(mode=0o700)
        with _opened(path) as staging:
            yield staging
    except OSError as error:
        raise ClusterkitError(f"{path}: {error.strerror}") from error
    finally:
        if os.path.lexists(path):
            remove(path)


@contextlib.contextmanager
def _opened(path: str | bytes, directory: int | None = None) -> Iterator[int]:
    """Open a directory, no link. What is done by its number is done there, whatever others rename meanwhile."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _fetch(root: Root, staging: int, shell: Sequence[str], progress: Progress) -> None:
    """Let rsync write what a root has at the source into the staging directory. Raises ClusterkitError."""
    argv = [
        "rsync",
        _KEPT,
        "--numeric-ids",
        "--no-implied-dirs",
        "--from0",
        "--files-from=:list",
        f"--timeout={_SILENCE}",
    ]
    argv += ["--info=flist0,progress2", "--outbuf=L", f"--rsh={shlex.join(shell)}"]
    if _is_directory(root.path):
        # What is here already and equal need not come
        argv.append(f"--compare-dest={os.fsdecode(root.above)}")
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(
            [*argv, f"source:{root.id}", f"{_FILES}/"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=complaints,
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
            cwd=f"/proc/{os.getpid()}/fd/{staging}",
            start_new_session=True,
            preexec_fn=end_with_parent,  # noqa: PLW1509  # pylint: disable=subprocess-popen-preexec-fn  # a system call
        )
        with process:
            for size, percent in _told(process):
                progress.update(size, note=f"{percent} % of {os.fsdecode(root.path)}")
            with contextlib.suppress(ProcessLookupError):
                # rsync is several processes: where one was killed the others would go on writing
                os.killpg(process.pid, signal.SIGKILL)
        if process.returncode not in (0, _VANISHED):
            complaints.seek(0)
            said = [line.strip() for line in complaints.read().decode(errors="replace").splitlines() if line.strip()]
            raise ClusterkitError(f"rsync ended with {process.returncode}: {'; '.join(said[-3:]) or 'no output'}")


def _told(process: subprocess.Popen[bytes]) -> Iterator[tuple[int, int]]:
    """Yield how many bytes have come, and how many percent that is, whenever rsync tells it, until it ends."""
    rest = b""
    while process.poll() is None and process.stdout:
        if not select.select([process.stdout], [], [], _LOOK)[0]:
            continue
        # A line ends where the next one is written over it
        *lines, rest = re.split(rb"[\r\n]", rest + os.read(process.stdout.fileno(), 1 << 16))
        told = [_PROGRESS.match(line) for line in lines]
        yield from [(int(one.group(1).replace(b",", b"")), int(one.group(2))) for one in told[-1:] if one]


def _take_in(root: Root, staging: int, place: bytes, matcher: Matcher) -> int:
    """Move what rsync wrote into its places; return how many files and directories that were."""
    if not _is_directory_in(staging, _FILES):
        return 0  # the source has nothing there
    with _opened(_FILES, staging) as files, _opened(place) as target:
        if root.path == b"/":
            return _adopt(files, target, root.name, matcher)
        for name in os.listdir(files):  # noqa: PTH208  # by its number; one at most, which may have another name there
            if place == root.path:
                with _opened(name, files) as below:
                    return _adopt(below, target, root.name, matcher)
            if matcher.includes(root.name):
                wanted = os.path.basename(root.path)  # noqa: PTH119  # bytes, as above
                return _place(name, files, wanted, target, root.name, matcher)
    return 0


def _adopt(files: int, target: int, name: bytes, matcher: Matcher) -> int:
    """Move what is included and missing from one directory into another; return how many files that were."""
    came = 0
    for entry in os.listdir(files):  # by its number
        inside = name.rstrip(b"/") + b"/" + os.fsencode(entry)
        if _is_directory_in(files, entry) and _is_directory_in(target, entry):
            with _opened(entry, files) as below, _opened(entry, target) as there:
                came += _adopt(below, there, inside, matcher)
        elif matcher.includes(inside):
            came += _place(entry, files, entry, target, inside, matcher)
    return came


def _place(entry: str, files: int, wanted: str | bytes, target: int, name: bytes, matcher: Matcher) -> int:
    """Give a file, or a directory with all that is in it, the place `wanted`, if that is free; return their number."""
    try:
        if not _is_directory_in(files, entry):
            # A link is made where nothing is, or not at all; a rename would replace
            os.link(entry, wanted, src_dir_fd=files, dst_dir_fd=target, follow_symlinks=False)
            return 1
        with _opened(entry, files) as below:
            number = 1 + _prune(below, name, matcher)
        # A directory replaces an empty one at most
        if not _exists_in(target, wanted):
            os.rename(entry, wanted, src_dir_fd=files, dst_dir_fd=target)  # by their numbers
            return number
    except OSError as error:
        if error.errno not in _TAKEN:
            raise
    return 0


def _prune(directory: int, name: bytes, matcher: Matcher) -> int:
    """Remove what is not included on this host; return how many files and directories are left."""
    left = 0
    for entry in os.listdir(directory):  # by its number
        inside = name + b"/" + os.fsencode(entry)
        is_directory = _is_directory_in(directory, entry)
        if not matcher.includes(inside):
            if is_directory:
                shutil.rmtree(f"/proc/self/fd/{directory}/{entry}")
            else:
                os.unlink(entry, dir_fd=directory)  # by its number
            continue
        left += 1
        if is_directory:
            with _opened(entry, directory) as below:
                left += _prune(below, inside, matcher)
    return left


def _exists_in(directory: int, entry: str | bytes) -> bool:
    try:
        os.stat(entry, dir_fd=directory, follow_symlinks=False)  # by its number
    except FileNotFoundError:
        return False
    return True


def _is_directory_in(directory: int, entry: str) -> bool:
    try:
        return stat.S_ISDIR(os.stat(entry, dir_fd=directory, follow_symlinks=False).st_mode)  # by its number
    except FileNotFoundError:
        return False
