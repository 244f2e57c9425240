# SPDX-License-Identifier: GPL-3.0-or-later
"""The laboratory refuses what cannot work with one clear line, says what it will do, and undoes exactly that."""

from __future__ import annotations

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
from collections import namedtuple

import pytest

from lab import __main__ as program
from lab import environment, image, machine, nodes, packages, steps

ROOT = pathlib.Path(__file__).resolve().parents[3]
Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def record(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> steps.Record:
    """Return a record below a directory of the test's own."""
    monkeypatch.setattr(steps, "LAB", tmp_path)
    return steps.Record(tmp_path / "record.json")


@pytest.fixture(autouse=True)
def kernel(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """Let the kernel's limits be files of the test's own, and high enough; return the first one."""
    directory = tmp_path_factory.mktemp("kernel")
    for name in machine.KERNEL_LIMITS:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text("4096\n", encoding="ascii")
    monkeypatch.setattr(machine, "KERNEL", directory)
    return directory / next(iter(machine.KERNEL_LIMITS))


def refusal(monkeypatch: pytest.MonkeyPatch, data: pathlib.Path | None = None) -> str:
    """Return the one line in which the machine is refused; `data` is where an engine that answers has its data."""
    monkeypatch.setattr(machine, "engine_data", lambda: data)
    with pytest.raises(steps.LabError) as caught:
        machine.check_prerequisites([environment.MAIN])
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_not_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without root it says so, and what to do."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert refusal(monkeypatch).startswith("not root") and "sudo" in refusal(monkeypatch)


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the machine lack the environment and the image."""
    monkeypatch.setattr(environment.Environment, "is_current", lambda _self: False)
    monkeypatch.setattr(image, "exists", lambda: False)


@pytest.mark.usefixtures("bare")
def test_no_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says where how much is free, and how much is needed for all that is still to come."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage(10, 9, 1 * 1024**3))
    assert re.match(r"1\.0 GiB free at /\S+: free at least 2 GiB", refusal(monkeypatch))
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage(10, 9, 5 * 1024**3))
    # Both on one file system
    assert re.match(r"5\.0 GiB free at /\S+: free at least 6 GiB", refusal(monkeypatch))


@pytest.mark.usefixtures("bare")
def test_no_disk_where_the_engine_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that answers needs room as well, on the file system of its data."""
    elsewhere = pathlib.Path("/dev/shm")  # noqa: S108 - a file system of its own; nothing is written there
    free = {elsewhere: 2 * 1024**3}
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10, 9, free.get(path, 99 * 1024**3)))
    assert refusal(monkeypatch, elsewhere) == "2.0 GiB free at /dev/shm: free at least 4 GiB"
    # So does one that systemd is going to start
    monkeypatch.setattr(machine, "SYSTEMD", elsewhere)
    monkeypatch.setattr(machine, "SERVICE_DATA", (str(elsewhere / "docker"),))
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "dockerd" else name)
    assert refusal(monkeypatch) == "2.0 GiB free at /dev/shm: free at least 4 GiB"


def test_what_is_there_needs_no_room(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    """Once environment and image are made, room for nodes is enough."""
    monkeypatch.setattr(environment.Environment, "is_current", lambda _self: True)
    monkeypatch.setattr(image, "exists", lambda: True)
    monkeypatch.setattr(machine, "engine_data", lambda: tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage(10, 9, 3 * 1024**3))
    machine.check_prerequisites([environment.MAIN])


def without_sys_admin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process lack a capability."""
    read = pathlib.Path.read_text

    def text(path: pathlib.Path, encoding: str) -> str:
        return "CapEff:\t00000000a80425fb\n" if str(path) == "/proc/self/status" else read(path, encoding)

    monkeypatch.setattr(pathlib.Path, "read_text", text)


def test_no_capability(monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the capability that is missing."""
    without_sys_admin(monkeypatch)
    assert refusal(monkeypatch).startswith("CAP_NET_ADMIN, CAP_SYS_ADMIN missing")


def test_an_engine_that_is_there_needs_no_capability(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    """A machine that has Docker uses it as it is, whatever this process may do itself."""
    without_sys_admin(monkeypatch)
    monkeypatch.setattr(machine, "engine_data", lambda: tmp_path)
    machine.check_prerequisites([environment.MAIN])


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


@pytest.mark.parametrize("systemd", [True, False])
@pytest.mark.usefixtures("bare")
def test_plan_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path, kernel: pathlib.Path, systemd: bool
) -> None:
    """Each package, environment, engine, image and limit is announced before it comes."""
    kernel.write_text("128\n", encoding="ascii")
    monkeypatch.setattr(machine, "SYSTEMD", tmp_path if systemd else tmp_path / "absent")
    monkeypatch.setattr(machine, "engine_data", lambda: None)
    coming = packages.Installation(("docker.io",), ("containerd", "docker.io"))
    monkeypatch.setattr(packages, "simulate", lambda _wanted: coming)
    assert machine.plan([environment.MAIN, environment.OLDEST_CORE]).lines() == [
        "install the Debian package docker.io",
        "install what those depend on: containerd",
        "make the Python environment build/venv/ from requirements/dev.txt (hashes checked)",
        "make the Python environment build/venv-core-2.16/ from requirements/core-2.16.txt (hashes checked)",
        "start a container engine with its data below "
        + ("/var/lib/docker (docker.service)" if systemd else "build/lab/engine"),
        f"build the node image {image.tag()}",
        "raise fs.inotify.max_user_instances from 128 to 1024",
    ]


def test_nothing_missing_nothing_announced(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    """The second time there is nothing to say, and nothing is recorded or done."""
    monkeypatch.setattr(machine, "engine_data", lambda: tmp_path)
    monkeypatch.setattr(packages, "missing", lambda *, engine, deep=False: ["docker.io"] if engine else [])
    monkeypatch.setattr(environment.Environment, "is_current", lambda _self: True)
    monkeypatch.setattr(image, "exists", lambda: True)
    assert machine.plan([environment.MAIN]).lines() == []


def test_engine_is_recorded_with_what_it_leaves(record: steps.Record, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before an engine comes, what it will leave elsewhere is recorded, but for what is there already."""
    there = "/etc/docker"
    exists = pathlib.Path.exists
    monkeypatch.setattr(
        pathlib.Path,
        "exists",
        lambda path: str(path) == there if str(path) in machine.ENGINE_TRACES else exists(path),
    )
    monkeypatch.setattr(packages, "install", lambda *_what: None)
    monkeypatch.setattr(machine, "start_engine", lambda _record: None)
    machine.carry_out(machine.Plan(packages.Installation(), (), engine=True, image=False), record)
    traces = [path for path in machine.ENGINE_TRACES if path != there]
    assert record.entries() == [{"kind": "traces", "paths": traces}]


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
    monkeypatch.setattr(machine, "engine_data", lambda: pathlib.Path("/nowhere"))
    monkeypatch.setattr(packages, "remove", lambda names: undone.append(("packages", tuple(names))))
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

    monkeypatch.setattr(machine, "engine_data", lambda: pathlib.Path("/nowhere"))
    monkeypatch.setattr(nodes, "remove_network", refuse)
    monkeypatch.setattr(nodes, "remove_container", lambda _name: None)
    record.add("network", name="net")
    record.add("container", name="one")
    with pytest.raises(steps.LabError):
        program.tear_down(record)
    assert record.entries() == [{"kind": "network", "name": "net"}]


def engine_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no engine answer; whoever asks it something notices."""
    monkeypatch.setattr(machine, "engine_data", lambda: None)
    monkeypatch.setattr(shutil, "which", lambda name: name)
    monkeypatch.setattr(nodes, "remove_container", lambda _name: pytest.fail("an engine was asked"))


def test_nodes_in_an_engine_that_is_down_are_not_forgotten(
    record: steps.Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine of the machine's own that does not answer still holds the nodes: one line says what to do."""
    engine_is_down(monkeypatch)
    record.add("container", name="one")
    with pytest.raises(steps.LabError, match=r"^the container engine does not answer[^\n]+start it"):
        program.tear_down(record)
    assert record.entries() == [{"kind": "container", "name": "one"}]


def test_nodes_go_with_the_data_of_our_engine(
    record: steps.Record, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    """An engine that the laboratory started and that is down, as after a reboot, takes its nodes along."""
    engine_is_down(monkeypatch)
    data = tmp_path / "engine"
    data.mkdir()
    record.add("engine", pidfile=str(data / "pid"), data=str(data), run=str(tmp_path / "run"))
    record.add("container", name="one")
    program.tear_down(record)
    assert record.entries() == []
    assert not data.exists()


@pytest.mark.parametrize("theirs", ["", "0123abcd\n"])
def test_data_of_the_service(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path, theirs: str) -> None:
    """What the engine of systemd has below /var/lib goes, unless others have put something there since."""
    data = tmp_path / "docker"
    data.mkdir()
    asked: list[str] = []

    def answer(argv: list[str], **_options: object) -> str:
        asked.append(" ".join(argv))
        return theirs if argv[:2] == ["docker", "volume"] else ""

    monkeypatch.setattr(machine, "engine_data", lambda: data)
    monkeypatch.setattr(machine, "run", answer)
    machine.stop_service([str(data)])
    assert data.exists() == bool(theirs)
    assert any(line.startswith("systemctl stop") for line in asked) != bool(theirs)


def test_traces_go_but_not_with_what_others_added(tmp_path: pathlib.Path) -> None:
    """A directory that holds something else stays, with it."""
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker" / "key.json").touch()
    (tmp_path / "docker" / "daemon.json").touch()
    (tmp_path / "containerd").mkdir()
    paths = [tmp_path / "docker" / "key.json", tmp_path / "docker", tmp_path / "containerd", tmp_path / "absent"]
    machine.remove_traces([str(path) for path in paths])
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["daemon.json", "docker"]


def test_what_is_generated_goes_as_a_whole(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All of build/ is removed, and what that was is said."""
    build = tmp_path / "build"
    for name in ("venv", "collections", "reports"):
        (build / name).mkdir(parents=True)
    monkeypatch.setattr(program, "BUILD", build)
    monkeypatch.setattr(program, "ROOT", tmp_path)
    program.remove_generated()
    assert not build.exists()
    assert "build/, all of it generated: collections, reports, venv" in capsys.readouterr().out
    program.remove_generated()


def test_what_is_mounted_is_not_removed_with_a_tree(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    """What a killed debootstrap left mounted is unmounted first, the innermost first, and nothing besides."""
    tree = tmp_path / "a root"
    (tree / "proc").mkdir(parents=True)
    read = pathlib.Path.read_text
    escaped = str(tree).replace(" ", "\\040")
    mounts = "".join(
        f"x {path} x rw 0 0\n" for path in ("/proc", f"{escaped}/proc", f"{escaped}/proc/sys", f"{escaped}-b/c")
    )
    monkeypatch.setattr(
        pathlib.Path, "read_text", lambda path, **how: mounts if str(path) == "/proc/mounts" else read(path, **how)
    )
    unmounted: list[str] = []
    monkeypatch.setattr(steps, "run", lambda argv: unmounted.append(argv[-1]))
    steps.remove_tree(tree)
    assert unmounted == [f"{tree}/proc/sys", f"{tree}/proc"]
    assert not tree.exists()


def test_removing_a_container_that_cannot_be_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is not there is no error; any other refusal of the engine is."""
    said = subprocess.CompletedProcess([], 1, "", "Error: No such container: one\n")
    monkeypatch.setattr(subprocess, "run", lambda *_argv, **_how: said)
    nodes.remove_container("one")
    said.stderr = "Error response from daemon: network two has active endpoints\n"
    with pytest.raises(steps.LabError, match="active endpoints"):
        nodes.remove_network("two")


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


def test_a_failed_command_is_one_short_line() -> None:
    """It names the command, not all of its arguments, and what was wrong, not where the manual is."""
    advice = "Run 'docker run --help' for more information"
    script = f"echo 'docker: no such device.' >&2; echo >&2; echo \"{advice}\" >&2; exit 125"
    with pytest.raises(steps.LabError, match=r"^`sh -c .{1,60} …` ended with 125: docker: no such device\.$"):
        steps.run(["sh", "-c", script])


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


def test_kernel_limits_are_raised_and_set_back(
    record: steps.Record, kernel: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit that is too small is recorded, raised and set back, unless somebody else changed it."""
    (name, least) = next(iter(machine.KERNEL_LIMITS.items()))
    monkeypatch.setattr(machine, "engine_data", lambda: tmp_path)
    monkeypatch.setattr(machine, "_link_collection", lambda: None)
    plan = machine.Plan(packages.Installation(), (), engine=False, image=False, limits=(name,))
    for meanwhile, afterwards in ((str(least), "128"), ("2048", "2048")):
        kernel.write_text("128\n", encoding="ascii")
        machine.carry_out(plan, record)
        assert machine.kernel_limit(name) == least
        kernel.write_text(meanwhile, encoding="ascii")
        program.tear_down(record)
        assert kernel.read_text(encoding="ascii").strip() == afterwards
        assert record.entries() == []
