# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file is the old or the new one, nothing else is left, and its attributes stay."""

from __future__ import annotations

import errno
import os
import resource
import signal
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._common import files
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.files import (
    read_if_exists,
    remove,
    set_attributes,
    write_atomically,
)

ROOT = os.geteuid() == 0
OLD, NEW = b"old content", b"new content"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file.cfg"
    path.write_bytes(OLD)
    path.chmod(0o640)
    return path


def names(directory: Path) -> list[str]:
    return sorted(entry.name for entry in directory.iterdir())


def in_child(action: Callable[[], Any]) -> int:
    """Run `action` in a process of its own; return how that ended, as os.waitpid says it."""
    pid = os.fork()
    if not pid:
        try:
            action()
        except ClusterkitError:
            os._exit(7)
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitpid(pid, 0)[1]


@pytest.mark.parametrize(
    ("path", "reached"),
    [
        ("/", ""),
        ("/plain/file", "plain/file"),
        ("/plain/../../../plain/./file", "plain/file"),
        ("/absolute/file", "plain/file"),
        ("/relative/file", "plain/file"),
        ("/up/file", "plain/file"),
        ("/chain/file", "plain/file"),
        ("/to-root/plain", "plain"),
        ("/dangling/file", "nowhere/file"),
        ("/absent/../plain/file", "plain/file"),
        ("/plain/file/below", "plain/file/below"),
    ],
)
def test_paths_in_a_chroot(tmp_path: Path, path: str, reached: str) -> None:
    """Links are followed as in there: the file that has the same path outside is another one."""
    root = tmp_path / "root"
    (root / "plain").mkdir(parents=True)
    (root / "plain" / "file").write_bytes(OLD)
    links = {"absolute": "/plain", "relative": "plain", "up": "../../../plain", "chain": "/absolute", "to-root": "/"}
    for name, leads_to in {**links, "dangling": "/nowhere", "circle": "/circle"}.items():
        (root / name).symlink_to(leads_to)
    assert files.in_chroot(str(root), path) == str(root / reached)
    assert files.in_chroot(f"{root}/", path.lstrip("/")) == str(root / reached)
    with pytest.raises(ClusterkitError, match="leads through symbolic links without end"):
        files.in_chroot(str(root), "/circle/file")


def test_new_file_is_private(tmp_path: Path) -> None:
    path = tmp_path / "new"
    write_atomically(str(path), NEW)
    assert (path.read_bytes(), path.stat().st_mode & 0o7777) == (NEW, 0o600)
    assert names(tmp_path) == ["new"]


def test_umask_does_not_count(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write_atomically(str(tmp_path / "new"), NEW, mode=0o644)
    finally:
        os.umask(before)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o644


def test_attributes_of_the_present_file_stay(path: Path) -> None:
    path.chmod(0o2750)
    if ROOT:
        os.chown(path, 1234, 2345)
    before = path.stat()
    write_atomically(str(path), NEW)
    after = path.stat()
    assert path.read_bytes() == NEW
    assert (after.st_mode & 0o777, after.st_uid, after.st_gid) == (0o750, before.st_uid, before.st_gid)
    assert before.st_ino != after.st_ino


def test_attributes_can_be_given(path: Path) -> None:
    write_atomically(str(path), NEW, mode=0o400, owner=os.geteuid(), group=str(os.getegid()))
    assert path.stat().st_mode & 0o777 == 0o400


@pytest.mark.skipif(not ROOT, reason="only root gives files away")
def test_owner_and_group_can_be_names(path: Path) -> None:
    write_atomically(str(path), NEW, owner="daemon", group="daemon")
    assert (path.stat().st_uid, path.stat().st_gid) == (files.user_id("daemon"), files.group_id("daemon"))


def test_extended_attributes_stay(path: Path) -> None:
    try:
        os.setxattr(path, "user.clusterkit", b"kept")
    except OSError as error:
        pytest.skip(f"the file system of {path.parent} has no extended attributes: {error.strerror}")
    write_atomically(str(path), NEW)
    assert os.getxattr(path, "user.clusterkit") == b"kept"


def test_only_signatures_of_the_content_are_left_out(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copied = {}
    present = {"security.selinux": b"etc_t", "security.ima": b"of the old content", "user.one": b"1"}

    def setxattr(_descriptor: int, name: str, value: bytes) -> None:
        if name == "user.one":
            raise OSError(errno.ENOTSUP, "not supported")
        copied[name] = value

    monkeypatch.setattr(os, "listxattr", lambda _path: list(present))
    monkeypatch.setattr(os, "getxattr", lambda _path, name: present[name])
    monkeypatch.setattr(os, "setxattr", setxattr)
    write_atomically(str(path), NEW)
    assert copied == {"security.selinux": b"etc_t"}


def test_unknown_user_is_named_and_nothing_is_written(path: Path) -> None:
    with pytest.raises(ClusterkitError, match="user 'nobody-has-it' does not exist on this machine"):
        write_atomically(str(path), NEW, owner="nobody-has-it")
    with pytest.raises(ClusterkitError, match="group 'nobody-has-it' does not exist"):
        write_atomically(str(path), NEW, group="nobody-has-it")
    assert path.read_bytes() == OLD


def test_link_stays_and_its_target_is_replaced(path: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    link = elsewhere / "link"
    link.symlink_to("../file.cfg")
    write_atomically(str(link), NEW)
    assert link.is_symlink()
    assert path.read_bytes() == NEW
    assert (names(elsewhere), names(tmp_path)) == (["link"], ["elsewhere", "file.cfg"])


def test_dangling_link_gets_its_target_and_a_loop_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("target")
    write_atomically(str(tmp_path / "link"), NEW)
    assert (tmp_path / "target").read_bytes() == NEW
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(ClusterkitError, match="Too many levels of symbolic links"):
        write_atomically(str(tmp_path / "loop"), NEW)


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_what_is_no_file_is_refused(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "thing")
    for action in (lambda path: write_atomically(path, NEW), read_if_exists):
        with pytest.raises(ClusterkitError, match="thing is no regular file"):
            action(str(tmp_path / "thing"))


def test_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(ClusterkitError, match=r"cannot write .*: its directory does not exist; create it first"):
        write_atomically(str(tmp_path / "none" / "file"), NEW)
    assert read_if_exists(str(tmp_path / "none" / "file")) is None


def test_directory_closed_to_this_user(path: Path, tmp_path: Path) -> None:
    def try_both() -> None:
        if ROOT:
            os.setgid(65534)
            os.setuid(65534)
        for action in (read_if_exists, lambda path: write_atomically(path, NEW)):
            with pytest.raises(ClusterkitError, match="Permission denied"):
                action(str(path))

    tmp_path.chmod(0o000)
    try:
        assert in_child(try_both) == 0
    finally:
        tmp_path.chmod(0o700)
    assert path.read_bytes() == OLD


def test_long_names(tmp_path: Path) -> None:
    path = tmp_path / ("é" * 127)
    write_atomically(str(path), NEW)
    assert path.read_bytes() == NEW


@pytest.mark.parametrize("step", ["fsync", "fchmod", "fstat"])
def test_failure_at_any_step_leaves_the_old_file_alone(path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    def fail(*_arguments: Any) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(ClusterkitError, match=r"cannot write .*: Input/output error"):
        write_atomically(str(path), NEW)
    monkeypatch.undo()
    assert (path.read_bytes(), names(path.parent)) == (OLD, ["file.cfg"])


@pytest.mark.parametrize("step", ["fsync", "fchmod", "replace"])
def test_kill_at_any_step_leaves_the_old_file_and_the_next_write_cleans_up(path: Path, step: str) -> None:
    def write_and_die() -> None:
        where: Any = Path if step == "replace" else os
        setattr(where, step, lambda *_arguments: os.kill(os.getpid(), signal.SIGKILL))
        write_atomically(str(path), NEW)

    assert in_child(write_and_die) == signal.SIGKILL
    assert path.read_bytes() == OLD
    left = [name for name in names(path.parent) if name != "file.cfg"]
    assert [name[: len(".file.cfg.clusterkit-")] for name in left] == [".file.cfg.clusterkit-"]

    write_atomically(str(path), NEW)
    assert (path.read_bytes(), names(path.parent)) == (NEW, ["file.cfg"])


def test_cleaning_up_spares_living_writers_and_other_files(path: Path) -> None:
    other = path.with_name(".file.cfg.clusterkit-notes")
    of_other_target = path.with_name(".file.cfg.clusterkit-a.clusterkit-0123456789abcdef")
    stale = path.with_name(".file.cfg.clusterkit-0123456789abcdef")
    for file in (other, of_other_target, stale):
        file.touch()
    with files._temporary(path) as (_descriptor, living):
        write_atomically(str(path), NEW)
        assert names(path.parent) == sorted([other.name, of_other_target.name, living.name, "file.cfg"])


def test_writer_whose_file_was_cleaned_up_in_between_makes_another(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = files._lock
    locked: list[int] = []

    def clean_up_first(descriptor: int) -> bool:
        if not locked:
            files._remove_stale(path)
        locked.append(descriptor)
        return lock(descriptor)

    monkeypatch.setattr(files, "_lock", clean_up_first)
    write_atomically(str(path), NEW)
    assert (len(locked), path.read_bytes(), names(path.parent)) == (2, NEW, ["file.cfg"])


def limit_file_size(size: int) -> None:
    # The kernel's own "no more": a write fails part of the way, as on a full disk
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_disk_that_is_full_half_way_leaves_the_old_file(path: Path) -> None:
    def write() -> None:
        limit_file_size(4096)
        write_atomically(str(path), b"x" * 100_000)

    assert os.WEXITSTATUS(in_child(write)) == 7
    assert (path.read_bytes(), names(path.parent)) == (OLD, ["file.cfg"])


@pytest.fixture
def mounted(path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that cannot be replaced, as one that is bind-mounted."""

    def replace(*_arguments: Any) -> None:
        raise OSError(errno.EBUSY, "Device or resource busy")

    monkeypatch.setattr(Path, "replace", replace)
    return path


def test_mounted_file_is_refused_unless_allowed(mounted: Path) -> None:
    with pytest.raises(ClusterkitError, match="it is a mount point of its own"):
        write_atomically(str(mounted), NEW)
    assert (mounted.read_bytes(), names(mounted.parent)) == (OLD, ["file.cfg"])


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 100_000])
def test_mounted_file_is_overwritten_if_allowed(mounted: Path, content: bytes) -> None:
    before = mounted.stat()
    write_atomically(str(mounted), content, mode=0o644, allow_in_place=True)
    assert (mounted.read_bytes(), names(mounted.parent)) == (content, ["file.cfg"])
    assert mounted.stat().st_mode & 0o777 == 0o644
    assert mounted.stat().st_ino == before.st_ino


def test_mounted_file_survives_a_full_disk(mounted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, offset: int, size: int) -> None:
        os.ftruncate(descriptor, offset + size // 2)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(ClusterkitError, match="No space left on device"):
        write_atomically(str(mounted), b"x" * 100_000, allow_in_place=True)
    assert (mounted.read_bytes(), names(mounted.parent)) == (OLD, ["file.cfg"])


def test_status_files_do_not_wait_for_the_disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "fsync")
    write_atomically(str(path), NEW, durable=False)
    assert path.read_bytes() == NEW


def test_set_attributes(path: Path) -> None:
    set_attributes(str(path), mode=0o600)
    assert path.stat().st_mode & 0o777 == 0o600
    set_attributes(str(path), owner=os.geteuid())
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(ClusterkitError, match=r"cannot change the attributes of .*: No such file"):
        set_attributes(str(path.with_name("none")), mode=0o600)


def test_remove(path: Path) -> None:
    path.with_name(".file.cfg.clusterkit-0123456789abcdef").touch()
    assert remove(str(path))
    assert names(path.parent) == []
    assert not remove(str(path))
    assert not remove(str(path.parent / "none" / "file"))
    with pytest.raises(ClusterkitError, match="cannot remove"):
        remove(str(path.parent))
