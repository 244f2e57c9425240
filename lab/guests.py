# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests: nodes with a kernel of their own, for what a container shares with the machine - an NFS server, the clock.

They are Debian's user-mode Linux, a kernel that runs as a process. A guest has the file system of the node image, and
is reached as the containers are, at an address of their network. It is slow: each of its system calls stops a process.
So there are few of them, and they are small.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import Any

from lab import image
from lab.steps import LAB, LabError, Record, locked, remove_tree, run, run_logged, say, write_atomically

PROGRAM = pathlib.Path("/usr/bin/linux.uml")
MODULES = pathlib.Path("/usr/lib/uml/modules")
DIRECTORY = LAB / "guests"
SOURCE = pathlib.Path(__file__).with_name("ptrace.c")
#: Seconds until systemd in a guest has reached its target (measured on a quiet machine: 15 to 25).
BOOT_LIMIT = 300.0
MEMORY = "256M"
SHARED_MEMORY = pathlib.Path("/dev/shm")  # noqa: S108  # its files are the kernel's own, without a name
#: Sparse: what is not written takes no room.
DISK = "3G"

_BEGIN = """[Unit]
Description=Take what this guest was given: its address, the names of the others, who may come in
DefaultDependencies=no
After=systemd-remount-fs.service systemd-tmpfiles-setup.service
Before=network-pre.target network.target ssh.service
Wants=network-pre.target network.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/sbin/guest-begin

[Install]
WantedBy=multi-user.target
"""
# The directory of the machine is there for a moment only: nothing that runs in a guest reaches it
_BEGIN_PROGRAM = """#!/bin/sh
set -e
directory=$(sed -n 's/.*clusterkit\\.given=\\([^ ]*\\).*/\\1/p' /proc/cmdline)
mount -t hostfs -o "$directory" none /mnt
trap 'umount /mnt' EXIT
. /mnt/begin
"""
_IN_THE_ROOT = f"""set -e
rm -f .dockerenv etc/hostname etc/resolv.conf
echo '/dev/root / ext4 defaults,noatime 0 0' > etc/fstab
: > etc/machine-id
ln -s /lib/systemd/system/ssh.service etc/systemd/system/multi-user.target.wants/ssh.service
ln -s /etc/systemd/system/guest-begin.service etc/systemd/system/multi-user.target.wants/guest-begin.service
cat > etc/systemd/system/guest-begin.service <<'END'
{_BEGIN}END
cat > usr/local/sbin/guest-begin <<'END'
{_BEGIN_PROGRAM}END
chmod 0755 usr/local/sbin/guest-begin
"""


# With a journal: tests take a guest's power, and what was on its disk has to be there. No mount, and so no loop device
_MAKE = ("mke2fs", "-q", "-t", "ext4", "-J", "size=16", "-m", "0", "-L", "root")


# --- what all guests share -------------------------------------------------------------------------------------------


def kernel_version() -> str:
    """Return the version of the guests' kernel. Raises LabError where the package is missing."""
    versions = sorted(path.name for path in MODULES.glob("*")) if PROGRAM.exists() else []
    if not versions:
        raise LabError("no user-mode Linux on this machine: run `python3 -m lab setup --deep`")
    return versions[-1]


def base_disk() -> pathlib.Path:
    """Return the disk that all guests begin with; its name changes with everything that goes into it."""
    recipe = "\n".join((image.tag(), kernel_version(), _IN_THE_ROOT, *_MAKE, DISK))
    return DIRECTORY / f"base-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}.ext4"


def build_base_disk() -> pathlib.Path:
    """Build that disk where it is missing, of the node image and the kernel's modules. Raises LabError."""
    disk = base_disk()
    with locked("guests"):
        if disk.exists():
            return disk
        say("building the disk that guests begin with (about a minute)")
        DIRECTORY.mkdir(parents=True, exist_ok=True)
        root = DIRECTORY / "root"
        part = disk.with_suffix(".part")
        remove_tree(root)
        root.mkdir()
        container = run(["docker", "create", image.tag(), "true"]).strip()
        try:
            _unpack(container, root)
            version = kernel_version()
            shutil.copytree(MODULES / version, root / "usr/lib/modules" / version, symlinks=True)
            run(["sh", "-c", f"cd '{root}' && {_IN_THE_ROOT}"])
            part.unlink(missing_ok=True)
            run_logged("guest-disk", [*_MAKE, "-d", str(root), str(part), DISK], limit=600)
            part.rename(disk)
        finally:
            run(["docker", "rm", "--force", container], check=False)
            remove_tree(root)
            part.unlink(missing_ok=True)
    return disk


def _unpack(container: str, root: pathlib.Path) -> None:
    packer = subprocess.Popen(["docker", "export", container], stdout=subprocess.PIPE)
    unpacked = subprocess.run(
        ["tar", "-x", "--numeric-owner", "-C", str(root)],
        stdin=packer.stdout,
        capture_output=True,
        text=True,
        check=False,
    )
    if packer.wait() or unpacked.returncode:
        raise LabError(f"the node image could not be unpacked: {unpacked.stderr.strip() or 'docker export failed'}")


def build_shim() -> pathlib.Path:
    """Build what lets the kernel start on processors with more registers than it knows. Raises LabError."""
    digest = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:12]
    library = DIRECTORY / f"ptrace-{digest}.so"
    with locked("guests"):
        if not library.exists():
            DIRECTORY.mkdir(parents=True, exist_ok=True)
            part = library.with_suffix(".part")
            run(["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", str(part), str(SOURCE)])
            part.rename(library)
    return library


# --- one guest -------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Guest:
    """A guest of a laboratory: its process, its disk and its network device, all of one name."""

    laboratory: str
    name: str

    @property
    def device(self) -> str:
        """Its network device on the machine; a device's name has 15 characters at most."""
        return f"ckg{hashlib.sha256(f'{self.laboratory}/{self.name}'.encode()).hexdigest()[:10]}"

    @property
    def directory(self) -> pathlib.Path:
        """Where its disk, its log and what it was given are."""
        return DIRECTORY / self.laboratory / self.name

    @property
    def _runtime(self) -> pathlib.Path:
        """Short, since a socket's path is limited to 107 bytes."""
        return pathlib.Path("/run") / self.device

    @property
    def _record(self) -> dict[str, str]:
        return {"kind": "guest", "name": self.name, "laboratory": self.laboratory}

    def make(self, bridge: str, given: Mapping[str, str], memory: str, record: Record) -> None:
        """Make disk and network device, and start it. Raises LabError.

        `given` are the files that it finds at its start, by name; `begin` is the program that takes them.
        """
        base, shim = build_base_disk(), build_shim()
        record.add(**self._record)
        self.kill()
        remove_tree(self.directory)
        for name, text in given.items():
            write_atomically(self.directory / "given" / name, text, mode=0o600)
        if not pathlib.Path("/sys/class/net", self.device).exists():
            run(["ip", "tuntap", "add", "dev", self.device, "mode", "tap"])
        run(["ip", "link", "set", self.device, "master", bridge, "up"])
        mac = "02:" + ":".join(hashlib.sha256(self.device.encode()).hexdigest()[at : at + 2] for at in range(0, 10, 2))
        argv = [
            *(str(PROGRAM), f"umid={self.device}", f"uml_dir={self._runtime}", f"mem={memory}"),
            *(f"ubd0={self.directory / 'disk'},{base}", "root=/dev/ubda", "rw"),
            f"vec0:transport=tap,ifname={self.device},depth=128,gro=1,mac={mac}",
            *(f"systemd.hostname={self.name}", f"clusterkit.given={self.directory / 'given'}"),
            *("con=null", "con0=null,fd:1", "ssl=null", "panic=-1"),
        ]
        write_atomically(self.directory / "start.json", json.dumps({"argv": argv, "shim": str(shim)}))
        self.start()

    def start(self) -> None:
        """Start it with the disk that it has."""
        how = json.loads((self.directory / "start.json").read_text(encoding="utf-8"))
        self._runtime.mkdir(exist_ok=True)
        # Its memory is a file: where it would lie on a disk, all of it would be written there
        environment = {"PATH": os.environ["PATH"], "LD_PRELOAD": how["shim"], "TMPDIR": str(SHARED_MEMORY)}
        environment["HOME"] = str(self._runtime)
        with (self.directory / "console.log").open("a", encoding="utf-8") as log:
            process = subprocess.Popen(
                how["argv"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                cwd=self.directory,
                # It outlives this program, and a Ctrl-C here is none there
                start_new_session=True,
            )
        write_atomically(self.directory / "pid", str(process.pid))
        # Its arguments, by which it is known, can be read a moment after it began
        while not self.pid():
            if process.poll() is not None:
                raise LabError(f"guest {self.name} ended with {process.returncode}; its console says: {self.said()}")
            time.sleep(0.01)

    def pid(self) -> int:
        """Return its process, 0 when it does not run: a number alone may be another's since."""
        with contextlib.suppress(OSError, ValueError):
            pid = int((self.directory / "pid").read_text(encoding="ascii"))
            if f"umid={self.device}".encode() in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                return pid
        return 0

    def processes(self) -> list[int]:
        """Return all processes of its kernel; those of its users are among them."""
        word, out = f"umid={self.device}".encode(), []
        for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                if word in path.read_bytes().split(b"\0"):
                    out.append(int(path.parent.name))
        return sorted(out)

    def kill(self) -> None:
        """End it as a loss of power does. Raises LabError when it does not end."""
        end = time.monotonic() + 30
        while left := self.processes():
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            # Of a child of this program a zombie stays, without arguments, until it is waited for
            with contextlib.suppress(ChildProcessError):
                os.waitpid(-1, os.WNOHANG)
            if time.monotonic() > end:
                raise LabError(f"guest {self.name} (processes {left}) did not end within 30 s")
            time.sleep(0.05)

    def pause(self) -> None:
        """Let no time pass in it: it answers nobody, and keeps all that it has. Raises LabError."""
        # Its users' processes are traced by this one, and stand as soon as they ask it anything
        pid = self.pid()
        os.kill(pid, signal.SIGSTOP)
        end = time.monotonic() + 30
        while pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] not in "Tt":
            if time.monotonic() > end:
                raise LabError(f"guest {self.name} (process {pid}) did not stand still within 30 s")
            time.sleep(0.01)

    def unpause(self) -> None:
        """Let it go on."""
        os.kill(self.pid(), signal.SIGCONT)

    def remove(self) -> None:
        """End it and remove its disk and its network device; what is not there is no error. Raises LabError."""
        self.kill()
        if pathlib.Path("/sys/class/net", self.device).exists():
            run(["ip", "link", "delete", self.device])
        remove_tree(self.directory)
        remove_tree(self._runtime)
        with contextlib.suppress(OSError):
            self.directory.parent.rmdir()  # another one may be there

    def said(self) -> str:
        """Return the last line of its console."""
        with contextlib.suppress(OSError):
            lines = (self.directory / "console.log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
            return lines[-1].strip() if lines else "nothing yet"
        return "nothing yet"


def given(
    name: str, address: str, gateway: str, others: Mapping[str, Sequence[str]], public_key: str, host_key: pathlib.Path
) -> dict[str, str]:
    """Return the files that a guest finds at its start; `address` has its length, as in 192.0.2.1/24."""
    home = f"/home/{image.USER}/.ssh"
    begin = [
        "ip link set lo up",
        f"ip address replace {address} dev vec0",
        "ip link set vec0 up",
        f"ip route replace default via {gateway}",
        # What is below is the guest's own from then on
        "[ -e /etc/hostname ] && return 0",
        "install -m 0644 /mnt/hosts /etc/hosts",
        "install -m 0644 /mnt/resolv.conf /etc/resolv.conf",
        "install -m 0600 /mnt/host_key /etc/ssh/ssh_host_ed25519_key",
        f"install -d -m 0700 -o {image.USER} -g {image.USER} {home}",
        f"install -m 0600 -o {image.USER} -g {image.USER} /mnt/authorized_keys {home}/authorized_keys",
        f"echo {name} > /etc/hostname",
    ]
    names = {"127.0.0.1": ["localhost"], **others}
    return {
        "begin": "".join(f"{line}\n" for line in begin),
        "hosts": "".join(f"{one} {' '.join(words)}\n" for one, words in names.items()),
        "resolv.conf": pathlib.Path("/etc/resolv.conf").read_text(encoding="utf-8"),
        "authorized_keys": public_key,
        "host_key": host_key.read_text(encoding="ascii"),
    }


def from_record(entry: Mapping[str, Any]) -> Guest:
    """Return the guest that an entry of the record names."""
    return Guest(entry["laboratory"], entry["name"])


def of(laboratory: str) -> list[Guest]:
    """Return the guests that a laboratory has."""
    return [Guest(laboratory, path.name) for path in sorted((DIRECTORY / laboratory).glob("*")) if path.is_dir()]
