# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Java processes are asked through JMX, and told to end."""

from __future__ import annotations

import pathlib
import shutil
import socket
import subprocess
from typing import TYPE_CHECKING, Any, Iterator

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Outcome, Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._java import jmx
from ansible_collections.clusterkit.middleware.plugins.modules import jmx_info, jmx_operation

if TYPE_CHECKING:
    from tests.unit.conftest import RunModule

SOURCE = pathlib.Path(__file__).with_name("Managed.java")
BEAN = "test:type=Thing"
PASSWORD = "Canary#!^(%"

needs_java = pytest.mark.skipif(shutil.which("javac") is None, reason="needs a JDK")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Yield the port of JMX of a process that wants a password."""
    directory = tmp_path_factory.mktemp("jmx")
    for name, line in (("passwords", f"admin {PASSWORD}"), ("rights", "admin readwrite")):
        (directory / name).touch(mode=0o600)
        (directory / name).write_text(line + "\n", encoding="ascii")
    number = free_port()
    prefix = "-Dcom.sun.management.jmxremote"
    process = subprocess.Popen(
        [
            *("java", "-XX:TieredStopAtLevel=1", "-Djava.rmi.server.hostname=127.0.0.1"),
            *(f"{prefix}.port={number}", f"{prefix}.rmi.port={number}", f"{prefix}.ssl=false"),
            *(f"{prefix}.password.file={directory / 'passwords'}", f"{prefix}.access.file={directory / 'rights'}"),
            str(SOURCE),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout and process.stdout.readline() == b"ready\n"
    yield number
    process.kill()
    process.wait()


@needs_java
def test_attributes_and_operations(run_module: RunModule, port: int) -> None:
    """Numbers, lists and texts come as they are, and a question that fails keeps no other one from its answer."""
    questions: dict[str, Any] = {
        "size": {"bean": BEAN, "attribute": "Size"},
        "names": {"bean": BEAN, "attribute": "Names"},
        "title": {"bean": BEAN, "attribute": "Title"},
        "whole": {"bean": BEAN, "operation": "check"},
        "fails": {"bean": BEAN, "operation": "fail"},
        "nothing": {"bean": "test:type=Other", "attribute": "Size"},
    }
    said = run_module(
        jmx_info.main, addresses=["127.0.0.1", "127.0.0.9"], port=port, user="admin", password=PASSWORD,
        questions=questions,
    )  # fmt: skip
    assert not said["failed"] and not said["changed"]
    one = said["answers"]["127.0.0.1"]
    assert one["error"] == ""
    assert one["values"] == {"size": 3, "names": ["a b", "c"], "title": '\u00fc \n "x"', "whole": True}
    assert "on purpose" in one["errors"]["fails"] and "InstanceNotFound" in one["errors"]["nothing"]


@needs_java
def test_a_wrong_password_and_nobody(run_module: RunModule, port: int) -> None:
    question = {"size": {"bean": BEAN, "attribute": "Size"}}
    said = run_module(
        jmx_info.main, addresses=["127.0.0.1"], port=port, user="admin", password="Canary", questions=question
    )
    assert "SecurityException" in said["answers"]["127.0.0.1"]["error"]
    said = run_module(jmx_info.main, addresses=["127.0.0.1"], port=free_port(), questions=question)
    assert "Connection refused" in said["answers"]["127.0.0.1"]["error"]


@needs_java
def test_told_to_end(run_module: RunModule, port: int) -> None:
    """Check mode asks nothing; then the operation is called, once."""
    wanted = {"address": "127.0.0.1", "port": port, "user": "admin", "password": PASSWORD, "bean": BEAN}
    assert run_module(jmx_operation.main, check=True, operation="nothing", **wanted)["changed"]
    failed = run_module(jmx_operation.main, operation="fail", **wanted)
    assert failed["failed"] and "127.0.0.1 did not do fail" in failed["msg"] and "on purpose" in failed["msg"]
    assert run_module(jmx_operation.main, operation="check", **wanted)["value"] is True


def test_a_java_without_a_compiler() -> None:
    class Lacking(Runner):
        def execute(self, argv: Any, stdin: Any, env: Any, cwd: Any, limit: Any) -> Outcome:
            assert PASSWORD not in " ".join(argv) and PASSWORD.encode() not in stdin
            return Outcome(1, b"", b"error: Could not find or load main class --source\n")

    with pytest.raises(ClusterkitError, match="It has to be a JDK from 11 on"):
        jmx.ask(["127.0.0.1"], jmx.Access(1, "admin", PASSWORD), [], Lacking())


def test_what_was_not_said() -> None:
    assert jmx.read("", ["a"]) == {"a": {"error": "it was not asked to the end", "values": {}, "errors": {}}}
