# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that feed one another: what passes, who is blamed, and that none stays."""

from __future__ import annotations

import hashlib
import os
import pathlib
import subprocess
import time

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.pipeline import Stage, flow


def sh(script: str, name: str = "") -> Stage:
    """Return a stage that is a script."""
    return Stage(["sh", "-c", script], name=name)


def test_all_passes_and_is_seen(tmp_path: pathlib.Path) -> None:
    data = os.urandom(3 << 20)
    (tmp_path / "in").write_bytes(data)
    seen = hashlib.sha256()
    with (tmp_path / "in").open("rb") as source, (tmp_path / "out").open("wb") as sink:
        passed = flow([Stage(["cat"]), Stage(["gzip", "-c"])], [Stage(["gzip", "-dc"])], stdin=source, stdout=sink)
    assert (tmp_path / "out").read_bytes() == data and passed > len(data) // 2
    with (tmp_path / "in").open("rb") as source:
        assert flow([Stage(["cat"])], [], stdin=source, watch=seen.update) == len(data)
    assert seen.hexdigest() == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(
    ("source", "target", "said"),
    [
        ("echo half; echo no table >&2; exit 2", "cat > /dev/null", "dump ended with exit code 2: no table"),
        ("yes", "head -c 10 > /dev/null; echo full >&2; exit 3", "load ended with exit code 3: full"),
        ("kill -9 $$", "cat > /dev/null", "dump was ended by signal 9"),
        ("echo secret >&2; exit 1", "cat > /dev/null", r"dump ended with exit code 1: \*\*\*\*\*\*\*\*$"),
    ],
)
def test_who_failed_is_named(source: str, target: str, said: str) -> None:
    with pytest.raises(ClusterkitError, match=said):
        flow([sh(source, "dump")], [sh(target, "load")], secrets=["secret"])


def test_what_hangs_is_ended() -> None:
    began = time.monotonic()
    with pytest.raises(ClusterkitError, match=r"dump \| load did not end within 0.3 s"):
        flow([sh("sleep 977", "dump")], [sh("cat >/dev/null; sleep 977", "load")], limit=0.3)
    assert time.monotonic() - began < 10
    assert subprocess.run(["pgrep", "-f", "sleep 977"], capture_output=True, check=False).returncode == 1


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(ClusterkitError, match="cannot run no-such-program: is its package"):
        flow([sh("yes")], [Stage(["no-such-program"])])


def test_a_secret_is_read_from_memory() -> None:
    runner = Runner()
    seen = bytearray()
    with runner.secret_files("hidden") as (path,):
        flow([sh(f"stat -L -c %a {path}; cat {path}")], [], watch=seen.extend, inherited=runner.inherited)
    # Clients of databases read no file with a password that others could write
    assert bytes(seen) == b"644\nhidden"
