# SPDX-License-Identifier: GPL-3.0-or-later
"""What the machine itself needs: packages, the Python environment, the container engine."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

from lab.steps import BUILD, LAB, LOGS, ROOT, VENV, LabError, Record, locked, run, run_logged, say, write_atomically

LOCK_FILE = ROOT / "requirements" / "dev.txt"
COLLECTIONS = BUILD / "collections"
#: Bytes that the environment, the image and the nodes of one scenario need together (measured: 3.4 GB).
DISK_NEEDED = 6 * 1024**3
#: Bits in /proc/self/status: what starting a container engine takes.
CAPABILITIES = {"CAP_NET_ADMIN": 12, "CAP_SYS_CHROOT": 18, "CAP_SYS_ADMIN": 21, "CAP_MKNOD": 27}
ENGINE_DIRECTORY = LAB / "engine"
#: Short, since a socket's path is limited to 107 bytes; one for each checkout.
ENGINE_RUN = pathlib.Path("/run") / f"clusterkit-{hashlib.sha256(str(ROOT).encode()).hexdigest()[:8]}"

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


def check_prerequisites() -> None:
    """Refuse a machine on which the rest would fail later. Raises LabError with what to do."""
    if os.geteuid() != 0:
        raise LabError("not root: the laboratory starts containers and builds a root file system; run it with sudo")
    if sys.version_info < (3, 11):
        raise LabError(f"Python {sys.version.split()[0]} is too old: put Python 3.11 or newer on PATH as python3")
    if not shutil.which("apt-get"):
        raise LabError("no apt-get: the laboratory builds its nodes from Debian packages; use a Debian machine")
    BUILD.mkdir(exist_ok=True)
    free = shutil.disk_usage(BUILD).free
    if free < DISK_NEEDED and not engine_answers():
        raise LabError(
            f"{free / 1024**3:.1f} GiB free below {BUILD.name}/: free at least {DISK_NEEDED / 1024**3:.0f} GiB"
        )
    if not engine_answers():
        status = pathlib.Path("/proc/self/status").read_text(encoding="ascii")
        effective = int(re.search(r"^CapEff:\s*([0-9a-f]+)", status, re.M).group(1), 16)  # type: ignore[union-attr]
        missing = [name for name, bit in CAPABILITIES.items() if not effective >> bit & 1]
        if missing:
            raise LabError(
                f"{', '.join(missing)} missing: a container engine cannot start here; give them, or provide Docker"
            )


def missing_packages() -> list[str]:
    """Return the Debian packages that have to be installed."""
    wanted = [package for command, package in COMMANDS.items() if not shutil.which(command)]
    if not shutil.which("dockerd") and not engine_answers():
        wanted.append("docker.io")
    probe = subprocess.run([sys.executable, "-c", "import ensurepip, venv"], capture_output=True, check=False)
    if probe.returncode:
        wanted.append("python3-venv")
    return wanted


def plan() -> list[str]:
    """Return a line for each thing that `set_up` would install or start."""
    lines = [f"install the Debian package {name}" for name in missing_packages()]
    if not environment_is_current():
        lines.append(
            f"make the Python environment {VENV.relative_to(ROOT)}/ from {LOCK_FILE.relative_to(ROOT)} (hashes checked)"
        )
    if not engine_answers():
        lines.append(f"start a container engine with its data below {ENGINE_DIRECTORY.relative_to(ROOT)}/")
    return lines


def set_up(record: Record) -> None:
    """Bring the machine to where scenarios can run. Raises LabError."""
    with locked("machine"):
        install_packages(record)
        make_environment(record)
        start_engine(record)


def install_packages(record: Record) -> None:
    """Install the Debian packages that are missing."""
    packages = missing_packages()
    if not packages:
        return
    before = _installed_packages()
    environment = {"DEBIAN_FRONTEND": "noninteractive"}
    say(f"installing {', '.join(packages)}")
    run_logged("apt-update", ["apt-get", "update"], limit=300, env=environment)
    simulated = run(["apt-get", "install", "--simulate", "--no-install-recommends", "-y", *packages], limit=60)
    coming = set(re.findall(r"^Inst (\S+)", simulated, re.M)) - before
    record.add("packages", names=sorted(coming))
    run_logged(
        "apt-install", ["apt-get", "install", "-y", "--no-install-recommends", *packages], limit=900, env=environment
    )


def _installed_packages() -> set[str]:
    listed = run(["dpkg-query", "-W", "-f", "${db:Status-Abbrev}${Package}\n"], check=False)
    return {line[3:].strip() for line in listed.splitlines() if line.startswith("ii")}


def environment_is_current() -> bool:
    """Tell whether the Python environment was completely made from the present lock file."""
    stamp = VENV / "made-from"
    return stamp.exists() and stamp.read_text(encoding="ascii") == _lock_digest()


def _lock_digest() -> str:
    return hashlib.sha256(LOCK_FILE.read_bytes()).hexdigest()


def make_environment(record: Record) -> None:
    """Make the Python environment from the lock file, and the tree that Ansible imports the collection from."""
    link = COLLECTIONS / "ansible_collections" / "clusterkit" / "middleware"
    if link.resolve() != ROOT:
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(ROOT, target_is_directory=True)
    if environment_is_current():
        return
    say(f"making the Python environment {VENV.relative_to(ROOT)}/")
    record.add("directory", path=str(VENV.relative_to(ROOT)))
    if not (VENV / "bin" / "python").exists():
        run_logged("venv", [sys.executable, "-m", "venv", str(VENV)], limit=120)
    # uv installs some 200 packages in seconds. Its own pin, with hashes, is taken from the same lock file.
    uv_only = BUILD / "uv.txt"
    pinned = re.search(r"^uv==.*?(?=^\S)", LOCK_FILE.read_text(encoding="utf-8") + "\nend", re.M | re.S)
    if not pinned:
        raise LabError(f"{LOCK_FILE.relative_to(ROOT)} pins no uv: run `make lock`")
    write_atomically(uv_only, pinned.group(0))
    pip = [str(VENV / "bin" / "python"), "-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(uv_only)]
    run_logged("pip-uv", pip, limit=300)
    sync = [str(VENV / "bin" / "uv"), "pip", "sync", "--require-hashes", "--python", str(VENV / "bin" / "python")]
    run_logged("uv-sync", [*sync, str(LOCK_FILE)], limit=900, env={"UV_LINK_MODE": "copy"})
    write_atomically(VENV / "made-from", _lock_digest())


def engine_answers() -> bool:
    """Tell whether a container engine can be used."""
    if not shutil.which("docker"):
        return False
    asked = subprocess.run(
        ["docker", "info", "--format", "{{json .}}"], capture_output=True, text=True, timeout=30, check=False
    )
    if asked.returncode:
        return False
    try:
        return bool(json.loads(asked.stdout).get("ServerVersion"))
    except json.JSONDecodeError:
        return False


def start_engine(record: Record) -> None:
    """Start a container engine where none answers."""
    if engine_answers():
        return
    say("starting the container engine")
    ENGINE_DIRECTORY.mkdir(parents=True, exist_ok=True)
    LOGS.mkdir(parents=True, exist_ok=True)
    pidfile = ENGINE_DIRECTORY / "dockerd.pid"
    record.add(
        "engine",
        pidfile=str(pidfile.relative_to(ROOT)),
        data=str(ENGINE_DIRECTORY.relative_to(ROOT)),
        run=str(ENGINE_RUN),
    )
    log = (LOGS / "dockerd.log").open("w", encoding="utf-8")
    argv = [
        "dockerd",
        "--data-root",
        str(ENGINE_DIRECTORY / "data"),
        "--exec-root",
        str(ENGINE_RUN),
        "--pidfile",
        str(pidfile),
    ]
    # Its own session: the engine outlives this program, and a Ctrl-C here is none there.
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    end = time.monotonic() + 60
    while not engine_answers():
        if process.poll() is not None:
            last = (LOGS / "dockerd.log").read_text(encoding="utf-8").strip().splitlines()[-1:]
            raise LabError(
                f"dockerd ended with {process.returncode}: {' '.join(last)} (log: build/lab/log/dockerd.log)"
            )
        if time.monotonic() > end:
            raise LabError("dockerd did not answer within 60 s; see build/lab/log/dockerd.log")
        time.sleep(0.2)


def stop_engine(pidfile: pathlib.Path, data: pathlib.Path, run_directory: pathlib.Path) -> None:
    """Stop the engine that `start_engine` started, and remove its data. Raises LabError when it does not end."""
    pid = int(pidfile.read_text(encoding="ascii")) if pidfile.exists() else 0
    if pid and _is_our_engine(pid, pidfile):
        os.kill(pid, signal.SIGTERM)
        end = time.monotonic() + 60
        while _is_our_engine(pid, pidfile):
            if time.monotonic() > end:
                raise LabError(f"the container engine (process {pid}) did not end within 60 s after SIGTERM")
            time.sleep(0.2)
    for directory in (data, run_directory):
        for line in pathlib.Path("/proc/mounts").read_text(encoding="utf-8").splitlines()[::-1]:
            if line.split()[1].startswith(f"{directory}/"):
                run(["umount", "-l", line.split()[1]], check=False)
        shutil.rmtree(directory, ignore_errors=True)


def _is_our_engine(pid: int, pidfile: pathlib.Path) -> bool:
    """Tell whether the process is the engine that was started with this pid file: a number alone may be reused."""
    try:
        arguments = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        state = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return str(pidfile).encode() in arguments and state != "Z"


def remove_packages(names: list[str]) -> None:
    """Remove the Debian packages that `install_packages` brought."""
    present = sorted(_installed_packages() & set(names))
    if present:
        environment = {"DEBIAN_FRONTEND": "noninteractive"}
        run_logged("apt-purge", ["apt-get", "purge", "-y", *present], limit=600, env=environment)
