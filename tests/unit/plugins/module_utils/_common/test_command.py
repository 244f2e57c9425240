# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands end in time, whatever they do, and errors tell everything but secrets."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ansible_collections
from ansible_collections.clusterkit.middleware.plugins.module_utils._common import command
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import MASK, Outcome, Runner, mask
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError

#: With what a password needs quoting for in a shell, in a regular expression, and in JSON.
CANARY = "ca'n\"a r$y\\*(é"
#: Makes the collection importable in a process of its own.
LOADER = (
    "from ansible.utils.collection_loader._collection_finder import _AnsibleCollectionFinder as Finder; "
    f"Finder(paths={[str(Path(next(iter(ansible_collections.__path__))).parent)]})._install(); "
    f"from {command.__name__} import Runner"
)


def test_returns_what_the_command_said() -> None:
    result = Runner().run(["sh", "-c", "echo out; echo err >&2; cat"], stdin="in")
    assert (result.rc, result.stdout, result.stderr) == (0, "out\nin", "err\n")
    assert 0 <= result.seconds < 10


def test_speaks_english_and_takes_additions_to_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    runner = Runner(env={"ONE": "1", "TWO": "2"})
    assert runner.run(["sh", "-c", "echo $LC_ALL $ONE $TWO"], env={"TWO": "3"}).stdout == "C 1 3\n"


def test_takes_no_shell(tmp_path: Path) -> None:
    assert Runner().run(["echo", f"; touch {tmp_path}/made", "$HOME"]).stdout == f"; touch {tmp_path}/made $HOME\n"
    assert list(tmp_path.iterdir()) == []


def test_large_input_and_output_do_not_block_each_other() -> None:
    data = b"x" * 3_000_000
    assert Runner(limit=20).run(["cat"], stdin=data).stdout == data.decode()


def test_input_that_nobody_reads_is_no_failure() -> None:
    assert Runner().run(["true"], stdin=b"x" * 1_000_000).rc == 0


def test_keeps_file_names_that_are_no_utf8() -> None:
    assert os.fsencode(Runner().run(["printf", r"\377"]).stdout) == b"\xff"


@pytest.mark.parametrize(("accept", "fails"), [((0,), True), ((0, 3), False), (None, False), ({2}, True)])
def test_exit_codes(accept: tuple[int, ...] | None, fails: bool) -> None:
    with pytest.raises(ClusterkitError, match="exit code 3, expected") if fails else contextlib.nullcontext():
        assert Runner().run(["sh", "-c", "exit 3"], accept=accept).rc == 3


def test_error_has_command_code_and_last_lines() -> None:
    with pytest.raises(ClusterkitError) as caught:
        Runner().run(["sh", "-c", "seq 20 >&2; exit 4"])
    assert (
        caught.value.message
        == "`sh -c 'seq 20 >&2; exit 4'` ended with exit code 4, expected exit code 0: 16; 17; 18; 19; 20"
    )
    assert caught.value.details["rc"] == 4
    assert caught.value.details["stderr"].startswith("1\n2\n")
    assert caught.value.details["timed_out"] is False


def test_error_names_the_signal() -> None:
    with pytest.raises(ClusterkitError, match=r"ended with signal 9 \(SIGKILL\)"):
        Runner().run(["sh", "-c", "kill -9 $$"])


def test_error_quotes_standard_output_if_there_is_no_other() -> None:
    with pytest.raises(ClusterkitError, match=r"expected exit code 0: only here"):
        Runner().run(["sh", "-c", "echo only here; exit 1"])


def test_error_hides_secrets() -> None:
    with pytest.raises(ClusterkitError) as caught:
        Runner(secrets=[CANARY]).run(
            ["sh", "-c", 'echo "$0" "$1" >&2; echo "$0"; exit 1', CANARY, "other"], secrets=["other"]
        )
    text = f"{caught.value.message} {caught.value.details}"
    assert "ca'n" not in text
    assert "other" not in text
    assert MASK in caught.value.details["cmd"]
    assert caught.value.details["stderr"] == f"{MASK} {MASK}\n"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["no-such-command"], "command no-such-command not found on the PATH /usr/bin"),
        (["/no/such/command"], "command /no/such/command not found: is its package installed"),
        (["/etc/passwd"], "cannot run /etc/passwd: Permission denied"),
    ],
)
def test_missing_command_is_named(argv: list[str], message: str) -> None:
    with pytest.raises(ClusterkitError, match=message):
        Runner().run(argv, env={"PATH": "/usr/bin"})


def test_missing_interpreter_and_directory_are_named(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/no/such/shell\n")
    script.chmod(0o700)
    with pytest.raises(ClusterkitError, match=r"the interpreter that its first line names does not exist"):
        Runner().run([str(script)])
    with pytest.raises(ClusterkitError, match="cannot run true: its working directory /no/such does not exist"):
        Runner().run(["true"], cwd="/no/such")


def test_limit_ends_the_whole_group(tmp_path: Path, ends_soon: Callable[[int], bool]) -> None:
    pids = tmp_path / "pids"
    started = time.monotonic()
    with pytest.raises(ClusterkitError, match=r"did not end within 0.3 s and was stopped: begun") as caught:
        Runner().run(["sh", "-c", f"sleep 60 & echo $$ $! > {pids}; echo begun >&2; wait"], limit=0.3)
    assert time.monotonic() - started < 2
    assert caught.value.details["timed_out"] is True
    assert all(ends_soon(int(pid)) for pid in pids.read_text().split())


def test_limit_ends_what_ignores_term(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends_soon: Callable[[int], bool]
) -> None:
    monkeypatch.setattr(command, "_GRACE_SECONDS", 0.2)
    pids = tmp_path / "pids"
    with pytest.raises(ClusterkitError, match=r"did not end within 0.3 s"):
        # The child ignores it too, and outlives its parent: the group has to be ended, not the command
        Runner().run(["sh", "-c", f"trap '' TERM; sleep 60 & echo $$ $! > {pids}; sleep 60"], limit=0.3)
    assert all(ends_soon(int(pid)) for pid in pids.read_text().split())


def test_limit_holds_for_a_command_that_has_closed_its_outputs() -> None:
    started = time.monotonic()
    with pytest.raises(ClusterkitError, match="did not end within"):
        Runner().run(["sh", "-c", "exec sleep 60 >&- 2>&-"], limit=0.2)
    assert time.monotonic() - started < 2


def test_background_process_that_holds_the_pipes_is_neither_waited_for_nor_ended(tmp_path: Path) -> None:
    started = time.monotonic()
    result = Runner().run(["sh", "-c", "sleep 60 & echo $!"], limit=30)
    pid = int(result.stdout)
    try:
        assert time.monotonic() - started < 5
        os.kill(pid, 0)
    finally:
        os.kill(pid, signal.SIGKILL)


def test_background_process_that_floods_the_pipes_is_not_waited_for() -> None:
    started = time.monotonic()
    # It ends by itself: by a broken pipe
    assert Runner().run(["sh", "-c", "yes & exit 0"], limit=30).rc == 0
    assert time.monotonic() - started < 5


def test_command_ends_with_a_module_that_is_killed(tmp_path: Path, ends_soon: Callable[[int], bool]) -> None:
    pid_file = tmp_path / "pid"
    code = f"{LOADER}; Runner().run(['sh', '-c', 'echo $$ > {pid_file}; exec sleep 60'])"
    process = subprocess.Popen([sys.executable, "-c", code])
    try:
        for _turn in range(500):
            if pid_file.exists() and pid_file.read_text().strip():
                break
            time.sleep(0.01)
        pid = int(pid_file.read_text())
    finally:
        process.kill()
        process.wait()
    assert ends_soon(pid)


def test_unit_tests_replace_one_method() -> None:
    class Recorded(Runner):
        def execute(self, argv: list[str], stdin: bytes, env: dict[str, str], cwd: str | None, limit: float) -> Outcome:
            return Outcome(2, b"in sync\n")

    assert Recorded().run(["csync2", "-T"], accept={0, 2}).rc == 2


@given(st.text(), st.lists(st.text(st.characters(exclude_characters="*")), max_size=4))
def test_mask_leaves_no_secret(around: str, secrets: list[str]) -> None:
    text = around + around.join(secrets) + around
    masked = mask(text, secrets)
    assert not any(secret in masked for secret in secrets if secret)


def test_mask_hides_every_line_of_a_secret_with_several() -> None:
    pem = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkq\nhkiG9w0BAQ\n-----END PRIVATE KEY-----\n"
    assert mask("line 2: MIIEvQIBADANBgkq", [pem]) == f"line 2: {MASK}"
    assert mask("password entered", ["entered\n"]) == f"password {MASK}"
    assert mask("nothing to hide", ["", "\n"]) == "nothing to hide"


def test_secret_files_are_read_by_the_command_and_by_nobody_else() -> None:
    runner = Runner()
    with runner.secret_files("CANARY one\n", b"\xfftwo") as (one, two):
        # The command may be another user's, and open the file more than once
        result = runner.run(["cat", one, one, two])
        assert result.stdout == "CANARY one\nCANARY one\n\udcfftwo"
        assert "CANARY" not in " ".join(result.argv)
        with pytest.raises(ClusterkitError, match=r"it said: \*{8}") as raised:
            runner.run(["sh", "-c", 'echo "it said: $(cat "$1")" >&2; exit 3', "sh", one])
        assert "CANARY" not in str(raised.value.details)
    assert not Path(one).exists()
    # Those that come later inherit nothing
    assert runner.run(["sh", "-c", "ls /proc/self/fd"]).stdout.split() == ["0", "1", "2", "3"]


@pytest.mark.parametrize("mode", [0o644, 0o600])
def test_secret_files_have_the_mode_that_programs_judge(mode: int) -> None:
    """Who becomes another user opens them by the wider one; libpq passes over a file that others could read."""
    runner = Runner()
    with runner.secret_files("secret", mode=mode) as (path,):
        assert runner.run(["stat", "-L", "-c", "%a", path]).stdout.strip() == f"{mode:o}"
