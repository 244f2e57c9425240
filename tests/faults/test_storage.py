# SPDX-License-Identifier: GPL-3.0-or-later
"""Storage that is full, gone, read-only or weak, files that change meanwhile, and runs that meet."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.faults.ground import LIMIT, LINKS, PROPERTY, Ground, command, differences, environment, mounted
from tests.faults.remote import Remote, remote

MIB = 1024 * 1024
#: What sshfs does not hold of what the data have.
WEAK = ("acls", "hard_links", "link_attributes", "times", "xattrs")


@pytest.fixture(params=[PROPERTY, LINKS])
def ground(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Iterator[Ground]:
    """Return data at home, and a share that is mounted."""
    for one in mounted(Ground(tmp_path, request.param)):
        one.make_data()
        one.write_request()
        yield one


@pytest.fixture
def network(tmp_path: pathlib.Path) -> Iterator[tuple[Ground, Remote]]:
    """Return data at home, and a share on a network file system."""
    ground = Ground(tmp_path, PROPERTY, WEAK)
    ground.make_data()
    ground.write_request()
    with remote(tmp_path / "exported", ground.share) as one:
        yield ground, one


def add_large(ground: Ground, mebibytes: int) -> None:
    """Add a file of random bytes to the data."""
    (ground.install / "logs/large").write_bytes(os.urandom(mebibytes * MIB))
    ground.make_reference()


def start(ground: Ground, phases: str) -> subprocess.Popen[str]:
    """Start phases and return at once."""
    pipe = subprocess.PIPE
    return subprocess.Popen(ground.argv(phases), stdout=pipe, stderr=pipe, text=True, env=environment())


def wait_until_written(ground: Ground, size: int, name: str = "large") -> None:
    """Wait until so many bytes of a file have come to the target."""
    end = time.monotonic() + LIMIT
    written = 0
    while written < size:
        assert time.monotonic() < end, "nothing comes to the target"
        time.sleep(0.005)
        with contextlib.suppress(OSError):  # what is only there for a moment may go while it is looked at
            written = sum(path.lstat().st_size for path in ground.target.rglob(name))


def test_too_little_space_is_found_before_anything_is_copied(ground: Ground) -> None:
    """Bytes, and inodes."""
    command("mount", "-o", "remount,size=256k", ground.share)
    add_large(ground, 1)
    assert "make room" in ground.refusal("migrate")
    assert "make room" in ground.refusal("plan:migrate")
    command("mount", "-o", "remount,size=64m,nr_inodes=15", ground.share)
    assert "inodes free" in ground.refusal("migrate")
    ground.assert_at_home()
    command("mount", "-o", "remount,nr_inodes=0", ground.share)
    ground.report("migrate")
    ground.assert_moved()


def test_disk_that_fills_up_meanwhile(ground: Ground) -> None:
    """Somebody else takes the space; there is room again, and the run goes on."""
    add_large(ground, 20)
    ground.report("precopy")
    (ground.install / "logs/more").write_bytes(os.urandom(20 * MIB))
    ground.make_reference()
    process = start(ground, "migrate")
    with (ground.share / "somebody else's").open("wb") as other:
        try:
            while process.poll() is None:
                other.write(bytes(MIB))
                other.flush()
        except OSError:
            pass  # it is full now
    _said, complaint = process.communicate(timeout=LIMIT)
    (ground.share / "somebody else's").unlink()
    if process.returncode:
        assert "full" in complaint or "make room" in complaint
        ground.assert_at_home()
        ground.report("migrate")
    ground.assert_moved()


def test_full_disk_in_each_write(ground: Ground, tmp_path: pathlib.Path) -> None:
    """The kernel says "no space" at the 1st, 2nd, … write, also at those to the journal, and to the properties file."""
    failed = 0
    for call in ("write", "pwrite64", "copy_file_range", "mkdirat", "openat", "rename"):
        for number in (1, 3, 5):
            strace = ["strace", "-o", "/dev/null", "-e", f"trace={call}"]
            # Of openat only what creates something fails for want of space
            path = ["-P", str(ground.target / ".clusterkit-appdata")] if call == "openat" else []
            inject = ["-e", f"inject={call}:error=ENOSPC:when={number}+"]
            done = subprocess.run(
                [*strace, *path, *inject, *ground.argv("migrate")],
                capture_output=True,
                text=True,
                timeout=LIMIT,
                check=False,
                env=environment(),
            )
            failed += done.returncode != 0
            ground.assert_usable()
            ground.report("migrate")
            ground.assert_moved()
            ground.report("rollback")
            ground.assert_at_home()
            shutil.rmtree(ground.target)
            shutil.rmtree(tmp_path / "state")
    assert failed >= 10


def test_what_a_network_file_system_does_not_hold_is_refused(network: tuple[Ground, Remote]) -> None:
    """sshfs holds neither hard links nor attributes nor parts of seconds: each is named, and taken when accepted."""
    ground, _remote = network
    ground.write_request(accept=[])
    complaint = ground.refusal("precopy")
    assert f"accept: [{', '.join(WEAK)}]" in complaint
    assert not [path for path in ground.target.rglob("*") if path.name in ("one", "two")], "something was copied"
    ground.write_request(accept=list(WEAK))
    report = ground.report("precopy,migrate,remove_source")
    assert report["phase"] == "removed"
    options = [
        "-rptgoDc",
        "--links",
        "--omit-link-times",
        "--omit-dir-times",
        "--modify-window=1",
        "--dry-run",
        "--itemize-changes",
        "--exclude=/.clusterkit-appdata",
    ]
    assert command("rsync", *options, f"{ground.reference}/", f"{ground.target}/") == ""


def test_many_workers_at_once(network: tuple[Ground, Remote]) -> None:
    """Workers meet in the same directories, and each brings what is its own."""
    ground, _remote = network
    for number in range(300):
        file = ground.install / f"logs/{number % 7}/{number % 5}/{number}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(os.urandom(number))
    ground.make_reference()
    ground.write_request(workers=24)
    ground.report("precopy,migrate")
    assert command("diff", "-r", "--exclude=.clusterkit-appdata", ground.reference, ground.target) == ""


def test_target_that_vanishes_meanwhile(network: tuple[Ground, Remote]) -> None:
    """The server is gone in the middle of a file: the old location is in use, and later the run goes on."""
    ground, storage = network
    add_large(ground, 200)
    process = start(ground, "migrate")
    wait_until_written(ground, 10 * MIB)
    storage.vanish()
    _said, complaint = process.communicate(timeout=LIMIT)
    assert process.returncode == 1
    assert "the target is gone" in complaint
    ground.assert_at_home()
    assert "stale or broken" in ground.refusal("migrate")
    command("umount", "--lazy", ground.share)
    assert "is the shared storage mounted at all?" in ground.refusal("migrate")
    storage.mount()
    ground.report("migrate")
    assert ground.in_use() == ground.target
    assert command("diff", "-r", "--exclude=.clusterkit-appdata", ground.reference, ground.target) == ""


def test_target_that_hangs_is_noticed(network: tuple[Ground, Remote]) -> None:
    """A server that is stopped answers never: the run says so instead of hanging."""
    ground, storage = network
    for process in storage._processes:
        process.send_signal(signal.SIGSTOP)
    try:
        assert "does not answer" in ground.refusal("migrate")
    finally:
        for process in storage._processes:
            process.send_signal(signal.SIGCONT)


def test_read_only_target(ground: Ground) -> None:
    """A mount without writing is refused."""
    command("mount", "-o", "remount,ro", ground.share)
    assert "mounted read-only" in ground.refusal("migrate")


def test_somebody_elses_data(ground: Ground) -> None:
    """Data that nobody of us brought there are refused, and stay."""
    ground.target.mkdir()
    (ground.target / "theirs").write_text("x", encoding="utf-8")
    assert "holds what is not ours: theirs" in ground.refusal("migrate")
    ground.assert_at_home()


def test_files_that_change_while_they_are_copied(ground: Ground) -> None:
    """Precopy takes what it gets while a program writes, and migrate what there is in the end."""
    log, odd = ground.install / "logs/server.log", ground.install / "var/plugins"
    script = (
        f"i=0; while :; do i=$((i+1)); echo line $i >> '{log}'; echo $i > '{odd}/changing'; rm -f '{odd}/'gone*;"
        f" echo > '{odd}/gone'$i; done"
    )
    writer = subprocess.Popen(["sh", "-c", script], start_new_session=True)
    try:
        for _turn in range(3):
            ground.report("precopy")
        done = ground.run("migrate")
        assert done.returncode == 1 and ("in use by" in done.stderr or "keeps changing" in done.stderr), done.stderr
        assert ground.in_use() == ground.install
    finally:
        os.killpg(writer.pid, signal.SIGKILL)
        writer.wait(timeout=LIMIT)
        # What it had started ends by itself, a moment later
        time.sleep(0.2)
    ground.make_reference()
    ground.report("migrate")
    ground.assert_moved()


def test_a_file_that_is_changed_behind_the_back_of_a_migration(ground: Ground) -> None:
    """Somebody writes for a moment, after the file was looked at and before the switch: it is copied once more."""
    # As the run waits for the disk, for a second, all files have been looked at and copied
    strace = ["strace", "-o", "/dev/null", "-e", "trace=syncfs", "-e", "inject=syncfs:delay_enter=1000000:when=1"]
    pipe = subprocess.PIPE
    process = subprocess.Popen([*strace, *ground.argv("migrate")], stdout=pipe, stderr=pipe, env=environment())
    wait_until_written(ground, 7, "set")
    time.sleep(0.3)
    (ground.install / "var/plugins/one").write_text("written by hand", encoding="utf-8")
    (ground.install / "var/plugins/set").unlink()
    (ground.install / "logs/new").mkdir()
    ground.make_reference()
    _said, complaint = process.communicate(timeout=LIMIT)
    assert process.returncode == 0, complaint
    ground.assert_moved()


def test_a_program_that_has_the_data_open(ground: Ground) -> None:
    """An open file, a working directory, and a mapped file are found, with who has them."""
    with (ground.install / "logs/open").open("w", encoding="utf-8"):
        assert "in use by" in ground.refusal("migrate")
    waiting = subprocess.Popen(["sleep", "60"], cwd=ground.install / "var/plugins")
    try:
        assert "in use by sleep" in ground.refusal("migrate")
    finally:
        waiting.kill()
        waiting.wait(timeout=LIMIT)


def test_two_runs_at_once(ground: Ground) -> None:
    """The second one refuses and says who holds it; the first one killed leaves no lock behind."""
    add_large(ground, 40)
    first = start(ground, "migrate")
    try:
        wait_until_written(ground, 1)
        first.send_signal(signal.SIGSTOP)
        complaint = ground.refusal("migrate")
        assert f"process {first.pid}" in complaint
    finally:
        first.kill()
        first.wait(timeout=LIMIT)
    ground.report("migrate")
    ground.assert_moved()


def test_journal_that_is_lost(ground: Ground) -> None:
    """Without it what lies at the target is not trusted, and a target in use is left alone."""
    ground.report("precopy")
    shutil.rmtree(ground.root / "state")
    damaged = next(ground.target.rglob("one"))
    damaged.write_bytes(b"X" * damaged.stat().st_size)
    assert ground.report("migrate")["copied"] > 0
    ground.assert_moved()


def test_staging_directory_that_somebody_changed(ground: Ground) -> None:
    """What was taken away or changed there is brought again."""
    ground.report("precopy")
    staging = ground.target / ".clusterkit-appdata/staging"
    (staging / "logs/same as one").unlink()
    (staging / "var/plugins/two").write_text("changed", encoding="utf-8")
    (staging / "var/plugins/set").chmod(0o755)
    ground.report("migrate")
    ground.assert_moved()


def test_storage_that_damages_what_it_is_given(ground: Ground) -> None:
    """A storage that takes everything and gives back something else is found out before the switch."""
    strace = ["strace", "-o", "/dev/null", "-e", "trace=copy_file_range,pwrite64,pread64"]
    # What is read back is the first byte's fault: the kernel pretends to have read, and the buffer stays empty
    inject = ["-e", "inject=copy_file_range:retval=300"]
    argv = [*strace, *inject, *ground.argv("migrate")]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=LIMIT, check=False, env=environment())
    assert done.returncode == 1
    assert "comes back from the target otherwise" in done.stderr
    ground.assert_at_home()
    ground.report("migrate")
    ground.assert_moved()


def test_interrupted_switch_of_links_that_was_used(tmp_path: pathlib.Path) -> None:
    """Between two links a run is killed and the program started: nothing it wrote is thrown away."""
    for ground in mounted(Ground(tmp_path, LINKS)):
        ground.make_data()
        ground.write_request()
        isolated = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
        strace = ["strace", "-o", "/dev/null", "-e", "trace=renameat2", "-e", "inject=renameat2:signal=KILL:when=2"]
        killed = subprocess.run([*isolated, *strace, *ground.argv("migrate")], timeout=LIMIT, check=False)
        assert killed.returncode
        links = [name for name in ("var/plugins", "logs") if (ground.install / name).is_symlink()]
        assert links == ["var/plugins"]
        ground.assert_usable()
        (ground.install / "var/plugins/new").write_text("written at the new location", encoding="utf-8")
        assert "has been started since" in ground.refusal("migrate")
        kept = pathlib.Path(ground.report("rollback")["kept"])
        assert (kept / "var/plugins/new").read_text(encoding="utf-8") == "written at the new location"
        ground.assert_at_home()
        ground.report("migrate")
        ground.assert_moved()
        assert not differences(ground.reference, ground.target)
