# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One at a time; a holder that is killed holds nothing."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from pathlib import Path

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.locks import exclusive


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "lock"


def test_second_holder_is_refused_with_the_first_one_named(lock: Path) -> None:
    with exclusive(str(lock), 0, what="csync2 synchronisation"):
        assert lock.stat().st_mode & 0o777 == 0o600
        with pytest.raises(ClusterkitError) as caught, exclusive(str(lock), 0.1):
            pass
    assert f"{lock} is locked by process {os.getpid()} (csync2 synchronisation) since " in caught.value.message
    assert "waited 0.1 s" in caught.value.message


def test_file_stays_and_is_empty_afterwards(lock: Path) -> None:
    with exclusive(str(lock), 0):
        before = lock.stat().st_ino
    assert lock.read_bytes() == b""
    with exclusive(str(lock), 0):
        assert lock.stat().st_ino == before


def test_exception_releases(lock: Path) -> None:
    with pytest.raises(ZeroDivisionError), exclusive(str(lock), 0):
        raise ZeroDivisionError
    with exclusive(str(lock), 0) as waited:
        assert waited < 1


def test_waiting_ends_with_the_holder(lock: Path) -> None:
    released = threading.Event()

    def hold() -> None:
        with exclusive(str(lock), 0):
            taken.set()
            released.wait(5)

    taken = threading.Event()
    holder = threading.Thread(target=hold)
    holder.start()
    taken.wait(5)
    threading.Timer(0.1, released.set).start()
    with exclusive(str(lock), 5) as waited:
        assert 0.05 < waited < 3
    holder.join()


def test_flock_of_a_script_counts_and_dies_with_it(lock: Path) -> None:
    process = subprocess.Popen(["flock", str(lock), "sh", "-c", "echo taken; exec sleep 60"], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(ClusterkitError, match="is locked by another process"), exclusive(str(lock), 0):
            pass
    finally:
        subprocess.run(["pkill", "-9", "-P", str(process.pid)], check=True)
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()
    with exclusive(str(lock), 1):
        pass


def test_holder_that_is_killed_releases_and_is_not_named(lock: Path) -> None:
    pid = os.fork()
    if not pid:
        with exclusive(str(lock), 0, what="killed"):
            (lock.parent / "taken").touch()
            time.sleep(60)
        os._exit(0)
    while not (lock.parent / "taken").exists():
        time.sleep(0.01)
    with pytest.raises(ClusterkitError, match=rf"process {pid} \(killed\)"), exclusive(str(lock), 0):
        pass
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    assert b"killed" in lock.read_bytes()
    with subprocess.Popen(["flock", str(lock), "sh", "-c", "echo; read _"], stdin=-1, stdout=-1) as script:
        assert script.stdout is not None
        script.stdout.readline()
        with pytest.raises(ClusterkitError, match="is locked by another process"), exclusive(str(lock), 0):
            pass
    with exclusive(str(lock), 0):
        pass


def test_link_is_not_followed(lock: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    lock.symlink_to(victim)
    with pytest.raises(ClusterkitError, match="cannot open the lock file"), exclusive(str(lock), 0):
        pass
    assert victim.read_text() == "precious"


def test_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(ClusterkitError, match=r"cannot open the lock file .*/none/lock: No such file"):
        exclusive(str(tmp_path / "none" / "lock"), 0).__enter__()
