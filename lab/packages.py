# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian packages: which are missing, what apt would do to bring them, and taking exactly those away again."""

from __future__ import annotations

import dataclasses
import pathlib
import re
import shutil
import subprocess
import sys

from lab.steps import LabError, Record, run, run_logged, say

#: command that must be there -> Debian package that brings it
COMMANDS = {
    "debootstrap": "debootstrap",
    "iptables": "iptables",
    "ssh": "openssh-client",
    "rsync": "rsync",
    "strace": "strace",
    "git": "git",
    "inotifywait": "inotify-tools",
    "javac": "default-jdk-headless",
    "sshfs": "sshfs",
    "/usr/lib/openssh/sftp-server": "openssh-sftp-server",
    "setfacl": "acl",
    "mke2fs": "e2fsprogs",
}
#: Files that the deep tests need besides -> Debian package that brings it: guests, and what builds a library for them
DEEP_FILES = {
    "/usr/bin/linux.uml": "user-mode-linux",
    "/usr/bin/gcc": "gcc",
    "/usr/include/stdlib.h": "libc6-dev",
}
ENGINE = "docker.io"
_INSTALL = ("apt-get", "install", "--no-install-recommends", "-y")
# What is no longer needed without them was on the machine before them: it is not ours to remove
_PURGE = ("apt-get", "purge", "--no-auto-remove", "-y")
_QUIET = {"DEBIAN_FRONTEND": "noninteractive"}


@dataclasses.dataclass(frozen=True)
class Installation:
    """What apt would do to the machine."""

    #: The packages that are asked for.
    wanted: tuple[str, ...] = ()
    #: Those of them and of what they depend on that are new to the machine.
    coming: tuple[str, ...] = ()
    #: Those that are there and would become newer.
    upgraded: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """Return what to announce."""
        lines = [f"install the Debian package {name}" for name in self.coming if name in self.wanted]
        if needed := [name for name in self.coming if name not in self.wanted]:
            lines.append(f"install what those depend on: {', '.join(needed)}")
        if self.upgraded:
            lines.append(f"upgrade, which cannot be undone: {', '.join(self.upgraded)}")
        return lines


def missing(*, engine: bool, deep: bool = False) -> list[str]:
    """Return the packages that the laboratory lacks; with `engine`, those for a container engine as well.

    With `deep` those that the deep tests need are among them.
    """
    wanted = [package for command, package in COMMANDS.items() if not shutil.which(command)]
    if deep:
        wanted += [package for path, package in DEEP_FILES.items() if not pathlib.Path(path).exists()]
    if engine and not shutil.which("dockerd"):
        wanted.append(ENGINE)
    probe = subprocess.run([sys.executable, "-c", "import ensurepip, venv"], capture_output=True, check=False)
    if probe.returncode:
        wanted.append("python3-venv")
    return wanted


def simulate(wanted: list[str]) -> Installation:
    """Ask apt what installing would do. Raises LabError when it cannot be done, or would take something away."""
    if not wanted:
        return Installation()
    say("refreshing apt's package lists, to tell what this machine needs")
    run_logged("apt-update", ["apt-get", "update"], limit=300, env=_QUIET)
    printed = run([*_INSTALL, "--simulate", *wanted])
    if lost := re.findall(r"^Remv (\S+)", printed, re.M):
        raise LabError(
            f"installing {', '.join(wanted)} would remove {', '.join(lost)}: start the container engine that is there, "
            "or install by hand what does not conflict"
        )
    # "Inst NAME (NEW …)", with the version that is there between the two when there is one: "Inst NAME [OLD] (NEW …)"
    steps = re.findall(r"^Inst (\S+) (\[?)", printed, re.M)
    coming = sorted(name for name, present in steps if not present)
    return Installation(tuple(wanted), tuple(coming), tuple(sorted(name for name, present in steps if present)))


def install(installation: Installation, record: Record) -> None:
    """Install what was announced, and record what is new by it. Raises LabError."""
    if not installation.wanted:
        return
    if installation.coming:
        record.add("packages", names=list(installation.coming))
    say(f"installing {', '.join(installation.wanted)}")
    run_logged("apt-install", [*_INSTALL, "--no-remove", *installation.wanted], limit=900, env=_QUIET)


def remove(names: list[str]) -> None:
    """Remove packages that `install` brought, but for those that something installed since depends on."""
    present = [name for name in names if _is_there(name)]
    kept: list[str] = []
    if strangers := _taken_along(present):
        kept = [name for name in present if _taken_along([name]) - set(present)]
        leaving = [name for name in present if name not in kept]
        # Of two that can stand in for each other either may leave, but not both
        if _taken_along(leaving) - set(present):
            kept = present
        say(f"  {', '.join(kept)} stay: {', '.join(sorted(strangers))} came later and would go with them")
    leaving = [name for name in present if name not in kept]
    if leaving:
        run_logged("apt-purge", [*_PURGE, *leaving], limit=600, env=_QUIET)


def _is_there(name: str) -> bool:
    """Tell whether the machine has anything of a package, be it half installed or configuration alone."""
    status = run(["dpkg-query", "--show", "--showformat=${db:Status-Status}", name], check=False)
    return status not in ("", "not-installed")


def _taken_along(names: list[str]) -> set[str]:
    """Return the packages not among the names that removing them would remove, or bring in their place."""
    if not names:
        return set()
    printed = run([*_PURGE, "--simulate", *names])
    return set(re.findall(r"^(?:Purg|Remv|Inst) (\S+)", printed, re.M)) - set(names)
