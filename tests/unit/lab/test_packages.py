# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian packages: what apt would bring is announced and recorded, and exactly that is taken away again."""

from __future__ import annotations

import pathlib
import shutil
import sys
from collections.abc import Sequence

import pytest

from lab import packages, steps

#: What each package depends on.
DEPENDENCIES = {
    "docker.io": {"containerd", "iptables", "libc6"},
    "containerd": {"runc", "libc6"},
    "runc": {"libseccomp2"},
    "iptables": {"libc6"},
    "strace": {"libc6"},
    "nerdctl": {"containerd"},
    "firewall": {"iptables"},
}


class Apt:
    """Stands for apt and dpkg on a machine: answers in their words, and does what it is told to the packages."""

    def __init__(self, *installed: str) -> None:
        self.installed = set(installed)
        self.older: set[str] = set()
        self.conflicts: dict[str, str] = {}

    def run(self, argv: Sequence[str], *, check: bool = True) -> str:
        """Answer a question: `--simulate`, or the status of a package."""
        names = [word for word in argv[2:] if not word.startswith("-")]
        if argv[0] == "dpkg-query":
            return "installed" if argv[-1] in self.installed else ""
        assert "--simulate" in argv
        return "\n".join(self._steps(argv[1], names)) + "\n"

    def run_logged(self, name: str, argv: Sequence[str], **_options: object) -> None:
        """Do what it is told."""
        if name == "apt-update":
            return
        for step in self._steps(argv[1], [word for word in argv[2:] if not word.startswith("-")]):
            kind, package = step.split()[:2]
            {"Inst": self.installed.add, "Purg": self.installed.remove}[kind](package)

    def _steps(self, action: str, names: Sequence[str]) -> list[str]:
        touched = set(names)
        while (
            more := {
                other
                for name in touched
                for other in (DEPENDENCIES.get(name, set()) if action == "install" else self._needing(name))
            }
            - touched
        ):
            touched |= more
        if action == "purge":
            return [f"Purg {name} [1.0]" for name in sorted(touched & self.installed)]
        lost = [f"Remv {other} [1.0]" for name, other in self.conflicts.items() if name in touched]
        upgrades = [f"Inst {name} [1.0] (1.1 Debian:12 [amd64])" for name in sorted(touched & self.older)]
        return lost + upgrades + [f"Inst {name} (1.0 Debian:12 [amd64])" for name in sorted(touched - self.installed)]

    def _needing(self, name: str) -> set[str]:
        return {other for other in self.installed if name in DEPENDENCIES.get(other, set())}


@pytest.fixture
def apt(monkeypatch: pytest.MonkeyPatch) -> Apt:
    """Let the laboratory talk to a machine that has no more than libc6."""
    machine = Apt("libc6")
    monkeypatch.setattr(packages, "run", machine.run)
    monkeypatch.setattr(packages, "run_logged", machine.run_logged)
    return machine


@pytest.fixture
def record(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> steps.Record:
    """Return a record below a directory of the test's own."""
    monkeypatch.setattr(steps, "LAB", tmp_path)
    return steps.Record(tmp_path / "record.json")


def test_missing_commands_name_their_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that is not there stands for its package; the engine is asked for only where none answers."""
    monkeypatch.setattr(shutil, "which", lambda name: None if name in {"debootstrap", "dockerd"} else name)
    assert packages.missing(engine=True) == ["debootstrap", "docker.io"]
    assert packages.missing(engine=False) == ["debootstrap"]


def test_python_without_venv(monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian's bare Python lacks what environments are made with."""
    monkeypatch.setattr(shutil, "which", lambda name: name)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    assert packages.missing(engine=True) == ["python3-venv"]


def test_dependencies_are_announced_and_recorded(apt: Apt, record: steps.Record) -> None:
    """What apt brings along is said before, and is in the record; what is there already is in neither."""
    installation = packages.simulate(["docker.io", "strace"])
    assert installation.lines() == [
        "install the Debian package docker.io",
        "install the Debian package strace",
        "install what those depend on: containerd, iptables, libseccomp2, runc",
    ]
    packages.install(installation, record)
    names = ["containerd", "docker.io", "iptables", "libseccomp2", "runc", "strace"]
    assert record.entries() == [{"kind": "packages", "names": names}]
    assert apt.installed == {"libc6", *names}


def test_an_upgrade_is_announced_as_such(apt: Apt, record: steps.Record) -> None:
    """What apt would make newer is said, and not recorded: there is no way back."""
    apt.older = {"libc6"}
    installation = packages.simulate(["strace"])
    assert installation.lines() == [
        "install the Debian package strace",
        "upgrade, which cannot be undone: libc6",
    ]
    packages.install(installation, record)
    assert record.entries() == [{"kind": "packages", "names": ["strace"]}]


def test_nothing_of_the_machine_is_removed_by_installing(apt: Apt) -> None:
    """A package that would push another one out is refused in one line."""
    apt.conflicts = {"containerd": "containerd.io"}
    with pytest.raises(steps.LabError, match=r"^installing docker\.io would remove containerd\.io: [^\n]+$"):
        packages.simulate(["docker.io"])


def test_nothing_missing_asks_nothing(apt: Apt, record: steps.Record, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that has everything sees no apt at all."""
    monkeypatch.setattr(packages, "run_logged", lambda *_what, **_how: pytest.fail("apt was run"))
    packages.install(packages.simulate([]), record)
    assert not packages.simulate([]).lines()
    assert not record.entries()


def test_exactly_what_came_goes(apt: Apt, record: steps.Record) -> None:
    """Afterwards the machine has what it had before; a package that somebody has removed already is no error."""
    packages.install(packages.simulate(["docker.io"]), record)
    apt.installed -= {"docker.io"}
    packages.remove(record.entries()[0]["names"])
    assert apt.installed == {"libc6"}


def test_what_later_packages_need_stays(apt: Apt, record: steps.Record, capsys: pytest.CaptureFixture[str]) -> None:
    """A package that came later keeps what it depends on, down to the last library, and one line says so."""
    packages.install(packages.simulate(["docker.io"]), record)
    apt.installed.add("nerdctl")
    packages.remove(record.entries()[0]["names"])
    assert apt.installed == {"libc6", "nerdctl", "containerd", "runc", "libseccomp2"}
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "stay" in line]
    assert line.endswith("containerd, libseccomp2, runc stay: nerdctl came later and would go with them")


def test_of_two_alternatives_both_stay(apt: Apt, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where either of two could go alone but not both, none goes."""
    apt.installed |= {"iptables", "strace", "firewall"}
    takes = {("iptables", "strace"): {"firewall"}}
    monkeypatch.setattr(packages, "_taken_along", lambda names: takes.get(tuple(names), set()))
    packages.remove(["iptables", "strace"])
    assert apt.installed == {"libc6", "iptables", "strace", "firewall"}
