# SPDX-License-Identifier: GPL-3.0-or-later
"""The laboratory refuses what cannot work with one clear line, says what it will do, and undoes exactly that."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import sys
import time
from collections import namedtuple

import pytest

from lab import __main__ as program
from lab import image, machine, nodes, steps

ROOT = pathlib.Path(__file__).resolve().parents[3]
Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def record(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> steps.Record:
    """Return a record below a directory of the test's own."""
    monkeypatch.setattr(steps, "LAB", tmp_path)
    return steps.Record(tmp_path / "record.json")


def refusal(monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the one line in which the machine is refused."""
    monkeypatch.setattr(machine, "engine_answers", lambda: False)
    with pytest.raises(steps.LabError) as caught:
        machine.check_prerequisites()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_not_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without root it says so, and what to do."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert refusal(monkeypatch).startswith("not root") and "sudo" in refusal(monkeypatch)


def test_no_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says how much is free and how much is needed."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage(10, 9, 1 * 1024**3))
    assert "1.0 GiB free" in refusal(monkeypatch) and "at least 6 GiB" in refusal(monkeypatch)


def test_no_capability(monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the capability that is missing."""
    read = pathlib.Path.read_text

    def without_sys_admin(path: pathlib.Path, **options: str) -> str:
        return "CapEff:\t00000000a80425fb\n" if str(path) == "/proc/self/status" else read(path, **options)

    monkeypatch.setattr(pathlib.Path, "read_text", without_sys_admin)
    assert refusal(monkeypatch).startswith("CAP_NET_ADMIN, CAP_SYS_ADMIN missing")


def test_an_engine_that_is_there_needs_no_capability(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that has Docker uses it as it is, whatever this process may do itself."""
    monkeypatch.setattr(machine, "engine_answers", lambda: True)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage(10, 9, 0))
    machine.check_prerequisites()


def test_unprivileged_user_sees_one_line() -> None:
    """From the command line the refusal is one line on standard error, and the exit code 1."""
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable, "-m", "lab", "setup"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"},
    )
    if "Permission denied" in done.stderr:
        pytest.fail(f"the interpreter is closed to other users: {done.stderr}")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert done.stderr.startswith("ERROR: not root")


def test_plan_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each package, the environment and the engine are announced before they come."""
    monkeypatch.setattr(shutil, "which", lambda command: None if command in {"debootstrap", "dockerd"} else command)
    monkeypatch.setattr(machine, "engine_answers", lambda: False)
    monkeypatch.setattr(machine, "environment_is_current", lambda: False)
    assert machine.plan() == [
        "install the Debian package debootstrap",
        "install the Debian package docker.io",
        "make the Python environment build/venv/ from requirements/dev.txt (hashes checked)",
        "start a container engine with its data below build/lab/engine/",
    ]


def test_record_keeps_each_step_once_and_in_order(record: steps.Record) -> None:
    """An entry is there before its step; equal ones are not repeated; what is undone is forgotten."""
    record.add("network", name="a")
    record.add("container", name="b")
    record.add("network", name="a")
    assert record.entries() == [{"kind": "network", "name": "a"}, {"kind": "container", "name": "b"}]
    record.drop({"kind": "network", "name": "a"})
    assert record.entries() == [{"kind": "container", "name": "b"}]


def test_tear_down_undoes_the_record_alone(record: steps.Record, monkeypatch: pytest.MonkeyPatch) -> None:
    """Containers go before networks, the image and the engine; packages last; nothing else is touched."""
    undone: list[tuple[str, object]] = []
    monkeypatch.setattr(nodes, "remove_container", lambda name: undone.append(("container", name)))
    monkeypatch.setattr(nodes, "remove_network", lambda name: undone.append(("network", name)))
    monkeypatch.setattr(machine, "stop_engine", lambda *_paths: undone.append(("engine", "")))
    monkeypatch.setattr(machine, "remove_packages", lambda names: undone.append(("packages", tuple(names))))
    record.add("packages", names=["docker.io", "runc"])
    record.add("engine", pidfile="build/no/pid", data="build/no/data", run="/run/clusterkit-no")
    record.add("network", name="net")
    record.add("container", name="one")
    record.add("container", name="two")
    program.tear_down(record)
    assert undone == [
        ("container", "two"),
        ("container", "one"),
        ("network", "net"),
        ("engine", ""),
        ("packages", ("docker.io", "runc")),
    ]
    assert record.entries() == []


def test_tear_down_interrupted_goes_on(record: steps.Record, monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be undone stays recorded."""

    def refuse(_name: str) -> None:
        raise steps.LabError("still in use")

    monkeypatch.setattr(nodes, "remove_network", refuse)
    monkeypatch.setattr(nodes, "remove_container", lambda _name: None)
    record.add("network", name="net")
    record.add("container", name="one")
    with pytest.raises(steps.LabError):
        program.tear_down(record)
    assert record.entries() == [{"kind": "network", "name": "net"}]


def test_engine_of_somebody_else_is_left_alone(tmp_path: pathlib.Path) -> None:
    """A number in a pid file may since belong to another process: that one is not ended."""
    other = subprocess.Popen(["sleep", "30"])
    try:
        pidfile = tmp_path / "dockerd.pid"
        pidfile.write_text(str(other.pid), encoding="ascii")
        machine.stop_engine(pidfile, tmp_path / "data", tmp_path / "run")
        assert other.poll() is None
    finally:
        other.terminate()
        other.wait(timeout=10)


def test_long_command_shows_signs_of_life_and_its_log(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """While it runs its last line shows; when it fails the error has its last line; past its limit it is ended."""
    monkeypatch.setattr(steps, "LOGS", tmp_path)
    monkeypatch.setattr(steps, "ROOT", tmp_path)
    monkeypatch.setattr(steps, "HEARTBEAT", 0.1)
    with pytest.raises(steps.LabError, match=r"probe ended with 3: unpacking \(all of it in probe\.log\)"):
        steps.run_logged("probe", ["sh", "-c", "echo unpacking; sleep 0.3; exit 3"], limit=10)
    assert "unpacking" in capsys.readouterr().out
    began = time.monotonic()
    with pytest.raises(steps.LabError, match="did not end within"):
        steps.run_logged("probe", ["sleep", "30"], limit=0.2)
    assert time.monotonic() - began < 5


def test_image_name_follows_what_is_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another package in it is another image."""
    before = image.tag()
    monkeypatch.setattr(image, "ARCHIVES", (*image.ARCHIVES, "hello"))
    assert image.tag() != before


def test_connection_inventory_pins_host_keys() -> None:
    """Nodes are reached with the host keys that were read from them, never with unchecked ones."""
    laboratory = nodes.Laboratory("probe")
    instance = {"instance": "n1", "address": "10.0.0.1", "user": "ops", "port": 22, "identity_file": "/key"}
    host = json.loads(laboratory.connection_inventory([instance]))["all"]["hosts"]["n1"]
    assert host["ansible_host"] == "10.0.0.1"
    assert "StrictHostKeyChecking=yes" in host["ansible_ssh_common_args"]
