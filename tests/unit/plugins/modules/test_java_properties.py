# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module java_properties: check equals run, a second run changes nothing, and no secret shows."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ansible_collections.clusterkit.middleware.plugins.modules.java_properties import main

if TYPE_CHECKING:
    from tests.unit.conftest import RunModule

CONTENT = b"# kept\r\nserver.appdata.dir=..\r\npw : s3cr3t-old\r\npath=C\\:\\\\x\r\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "installed.properties"
    path.write_bytes(CONTENT)
    path.chmod(0o640)
    return path


def test_check_run_again(run_module: RunModule, file: Path) -> None:
    wanted = {"server.appdata.dir": "/media/share", "path": "C:\\x", "multiserver": True, "port": 8080}
    predicted = run_module(main, check=True, path=str(file), properties=wanted)
    assert file.read_bytes() == CONTENT
    done = run_module(main, path=str(file), properties=wanted)
    predicted.pop("invocation"), done.pop("invocation")
    assert predicted == done
    assert done["changed_keys"] == ["server.appdata.dir", "multiserver", "port"]
    assert (done["diff"]["before"]["server.appdata.dir"], done["diff"]["after"]["port"]) == ("..", "8080")
    assert file.read_bytes() == CONTENT.replace(b"..", b"/media/share") + b"multiserver=true\r\nport=8080\r\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    for check in (False, True):
        assert not run_module(main, check=check, path=str(file), properties=wanted)["changed"]


def test_secrets_show_nowhere(run_module: RunModule, file: Path) -> None:
    done = run_module(main, path=str(file), secret_properties={"pw": "s3cr3t-new", "pw2": "s3cr3t-more"})
    assert done["changed_keys"] == ["pw", "pw2"]
    assert "s3cr3t" not in str(done)
    assert b"pw : s3cr3t-new\r\n" in file.read_bytes()
    gone = run_module(main, path=str(file), state="absent", keys=["pw", "pw2", "never.there"])
    assert gone["changed_keys"] == ["pw", "pw2"]
    assert "s3cr3t" not in str(gone)
    assert file.read_bytes() == CONTENT.replace(b"pw : s3cr3t-old\r\n", b"")
    assert not run_module(main, path=str(file), state="absent", keys=["pw"])["changed"]


def test_refusals(run_module: RunModule, file: Path) -> None:
    absent = str(file.with_name("absent"))
    assert run_module(main, path=absent, properties={"a": "b"})["msg"].startswith(f"no file {absent}: expected")
    assert not run_module(main, path=absent, state="absent", keys=["a"])["changed"]
    for value in (None, [], {}):
        assert "a is " in run_module(main, path=str(file), properties={"a": value})["msg"]
    twice = run_module(main, path=str(file), properties={"a": "b"}, secret_properties={"a": "other"})
    assert "give each key once" in twice["msg"]
    file.write_bytes(b"a=1\nb=\\u12\n")
    assert run_module(main, path=str(file), properties={"a": "2"})["msg"].startswith(f"{file}: line 2: malformed")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a=1\n### S ###\n#k=0\nb=2\n", b"a=1\n### S ###\nk=v\nl=w\n#k=0\nb=2\n"),
        (b"a=1\r\n### S ###", b"a=1\r\n### S ###\r\nk=v\r\nl=w\r\n"),
        (b"a=1", b"a=1\n### S ###\nk=v\nl=w\n"),
        (b"", b"### S ###\nk=v\nl=w\n"),
        (b"k=v\n### S ###\n", b"k=v\n### S ###\nl=w\n"),
    ],
)
def test_a_heading(run_module: RunModule, file: Path, content: bytes, expected: bytes) -> None:
    wanted = {"heading": "### S ###", "properties": {"k": "v", "l": "w"}}
    file.write_bytes(content)
    assert run_module(main, path=str(file), **wanted)["changed"]
    assert file.read_bytes() == expected
    assert not run_module(main, path=str(file), **wanted)["changed"]


def test_a_heading_is_a_comment(run_module: RunModule, file: Path) -> None:
    failed = run_module(main, path=str(file), heading="S", properties={"k": "v"})
    assert failed["failed"] and "begins with # or !" in failed["msg"]
