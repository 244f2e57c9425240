# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests are nodes beside containers: named alike, recorded, ended for sure, and let in as the others are."""

from __future__ import annotations

import importlib.util
import json
import os
import pathlib
import shutil
import subprocess
import sys
import types
from typing import Any

import pytest

from lab import __main__ as program
from lab import guests, nodes, packages, steps

ROOT = pathlib.Path(__file__).resolve().parents[3]
#: Sets the extended registers of a child to what was read of them into a buffer that is too small for all.
SETS_PART = r"""
#define _GNU_SOURCE
#include <elf.h>
#include <signal.h>
#include <string.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
    static unsigned char all[65536], part[576], again[65536];
    struct iovec whole = {all, sizeof all}, some = {part, sizeof part}, after = {again, sizeof again};
    pid_t child = fork();
    int failed;

    if (!child) {
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        raise(SIGSTOP);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    if (ptrace(PTRACE_GETREGSET, child, 0x202, &whole) || whole.iov_len <= sizeof part) {
        puts("no more registers");
    } else {
        ptrace(PTRACE_GETREGSET, child, 0x202, &some);
        failed = ptrace(PTRACE_SETREGSET, child, 0x202, &some) != 0;
        ptrace(PTRACE_GETREGSET, child, 0x202, &after);
        puts(failed ? "refused" : memcmp(all, again, whole.iov_len) ? "changed" : "taken");
    }
    ptrace(PTRACE_KILL, child, 0, 0);
    return 0;
}
"""


@pytest.fixture
def place(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """Let guests and what is recorded lie below a directory of the test's own."""
    monkeypatch.setattr(steps, "LAB", tmp_path)
    monkeypatch.setattr(guests, "DIRECTORY", tmp_path / "guests")
    return tmp_path


@pytest.fixture
def scenarios(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """Return what the scenarios' tests share, from its file: outside of molecule its name is that of the program."""
    spec = importlib.util.spec_from_file_location("clusterkit_scenario", ROOT / "molecule/shared/scenario.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def kernel(place: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Let a kernel be a process that does nothing; return the other commands that are run."""
    commands: list[list[str]] = []

    def command(argv: list[str], **_how: Any) -> str:
        commands.append(list(argv))
        return "0123456789abcdef\n" if "inspect" in argv else ""

    stand_in = place / "linux.uml"
    stand_in.write_text(f"#!{sys.executable}\nimport time\ntime.sleep(60)\n", encoding="utf-8")
    stand_in.chmod(0o755)
    monkeypatch.setattr(guests, "PROGRAM", stand_in)
    monkeypatch.setattr(guests, "run", command)
    monkeypatch.setattr(guests, "build_base_disk", lambda: place / "base.ext4")
    monkeypatch.setattr(guests, "build_shim", lambda: "")
    monkeypatch.setattr(guests.Guest, "_runtime", place / "run")
    return commands


def test_a_guest_runs_is_paused_and_is_removed(place: pathlib.Path, kernel: list[list[str]]) -> None:
    """It is recorded before it is there, ended as a whole, and nothing of it stays."""
    record = steps.Record(place / "record.json")
    guest = guests.Guest("ck0-probe", "nas")
    try:
        guest.make("br-1", {"begin": "true\n"}, "128M", record)
        assert record.entries() == [{"kind": "guest", "name": "nas", "laboratory": "ck0-probe"}]
        assert guest.pid() in guest.processes()
        assert guests.of("ck0-probe") == [guest]
        guest.pause()
        assert ") T " in pathlib.Path(f"/proc/{guest.pid()}/stat").read_text(encoding="ascii")
        guest.unpause()
        argv = json.loads((guest.directory / "start.json").read_text(encoding="utf-8"))["argv"]
        assert f"ubd0={guest.directory}/disk,{place}/base.ext4" in argv and "mem=128M" in argv
        guest.kill()
        assert (guest.pid(), guest.processes()) == (0, [])
        guest.start()
        assert guest.pid()
    finally:
        program.tear_down(record)
    assert record.entries() == [] and not guest.processes() and not guest.directory.exists()
    assert ["ip", "tuntap", "add", "dev", guest.device, "mode", "tap"] in kernel


def test_a_number_of_somebody_else_is_no_guest(place: pathlib.Path) -> None:
    """A process that has the number of an ended guest is neither asked nor ended."""
    guest = guests.Guest("ck0-probe", "nas")
    guest.directory.mkdir(parents=True)
    (guest.directory / "pid").write_text(str(os.getpid()), encoding="ascii")
    assert guest.pid() == 0
    guest.kill()


def test_names_of_devices_are_short_and_differ() -> None:
    """A device's name has 15 characters at most, whatever the laboratory is called."""
    devices = {guests.Guest(f"ck0a77-{'long' * 20}", name).device for name in ("nas", "c1", "c2")}
    assert len(devices) == 3 and all(len(name) <= 15 for name in devices)


def test_what_a_guest_is_given(tmp_path: pathlib.Path) -> None:
    """Address, names of all, who may come in and its own host key; the second start takes the address only."""
    (tmp_path / "key").write_text("secret\n", encoding="ascii")
    files = guests.given("nas", "192.0.2.7/24", "192.0.2.1", {"192.0.2.7": ["nas", "nas.x"]}, "pub\n", tmp_path / "key")
    assert files["hosts"] == "127.0.0.1 localhost\n192.0.2.7 nas nas.x\n"
    assert (files["host_key"], files["authorized_keys"]) == ("secret\n", "pub\n")
    first, _once, rest = files["begin"].partition("[ -e /etc/hostname ] && return 0\n")
    assert "192.0.2.7/24" in first and "via 192.0.2.1" in first and "host_key" in rest


def test_a_machine_without_its_kernel(place: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line says what to do."""
    monkeypatch.setattr(guests, "PROGRAM", place / "absent")
    with pytest.raises(steps.LabError, match=r"setup --deep"):
        guests.base_disk()


def test_what_deep_tests_need_is_asked_for_with_them_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """The core tests need neither the guests' kernel nor a compiler."""
    monkeypatch.setattr(packages, "DEEP_FILES", {"/absent": "user-mode-linux"})
    monkeypatch.setattr(shutil, "which", lambda name: name)
    assert "user-mode-linux" in packages.missing(engine=False, deep=True)
    assert "user-mode-linux" not in packages.missing(engine=False)


@pytest.mark.skipif(
    not (shutil.which("gcc") and pathlib.Path("/usr/include/stdlib.h").exists()),
    reason="a compiler and its headers are there with `lab setup --deep`",
)
def test_registers_that_have_no_room_are_kept(place: pathlib.Path) -> None:
    """Setting a part of the registers, which the kernel refuses, sets that part and leaves the others."""
    (place / "part.c").write_text(SETS_PART, encoding="ascii")
    subprocess.run(["gcc", "-O1", "-o", str(place / "part"), str(place / "part.c")], check=True, timeout=60)
    shim = guests.build_shim()
    told = {}
    for loaded in ("", str(shim)):
        asked = subprocess.run(
            [place / "part"], env={"LD_PRELOAD": loaded}, capture_output=True, text=True, check=True, timeout=60
        )
        told[bool(loaded)] = asked.stdout.strip()
    if told[False] == "no more registers":
        pytest.skip("this processor has no extended registers")
    assert told == {False: "refused", True: "taken"}


def test_a_guest_is_asked_over_ssh(place: pathlib.Path) -> None:
    """Its arguments arrive as they are, and only its own host key is accepted."""
    argv = nodes.Laboratory("probe").ssh("192.0.2.7", "sh", "-c", "echo $1", "sh", "two words")
    assert argv[-2:] == ["ops@192.0.2.7", "sudo -n -- sh -c 'echo $1' sh 'two words'"]
    assert "StrictHostKeyChecking=yes" in argv


def test_guests_are_nodes_of_a_scenario(
    place: pathlib.Path, scenarios: types.ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tests have them under their names; a reboot ends the kernel and starts it anew."""
    platforms = [{"name": "nas", "guest": True}, {"name": "c1"}]
    (place / "molecule.yml").write_text(json.dumps({"platforms": platforms}), encoding="utf-8")
    rows = [{"instance": "nas", "address": "192.0.2.7"}]
    (place / "instances.yml").write_text(json.dumps(rows), encoding="utf-8")
    monkeypatch.setenv("MOLECULE_INSTANCE_CONFIG", str(place / "instances.yml"))
    found = scenarios.Scenario("probe", place, "inventory").nodes()
    nas = found["nas"]
    assert isinstance(nas, scenarios.GuestNode) and not isinstance(found["c1"], scenarios.GuestNode)
    assert nas.address == "192.0.2.7"
    done: list[str] = []
    monkeypatch.setattr(guests.Guest, "kill", lambda _guest: done.append("kill"))
    monkeypatch.setattr(guests.Guest, "start", lambda _guest: done.append("start"))
    monkeypatch.setattr(nodes.Laboratory, "wait_for_guest", lambda *_what: done.append("wait"))
    monkeypatch.setattr(scenarios.GuestNode, "run", lambda _node, *argv: done.append(" ".join(argv)))
    nas.reboot()
    assert done == ["sync", "kill", "start", "wait"]
