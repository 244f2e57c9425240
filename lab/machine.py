# SPDX-License-Identifier: GPL-3.0-or-later
"""What the machine itself needs: room, capabilities, packages, Python environments, the container engine."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
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
from collections.abc import Sequence

from lab import image, packages
from lab.environment import Environment
from lab.steps import BUILD, LAB, LOGS, ROOT, LabError, Record, remove_tree, run, say

COLLECTIONS = BUILD / "collections"
GIB = 1024**3
#: Room, with a margin over what was measured: an environment (0.6 GB) and the image's root file system while it is
#: built (0.5 GB) below build/; the image (0.5 GB) and the nodes of a scenario (2 GB) where the engine has its data.
ENVIRONMENT_BYTES, ROOT_BYTES, IMAGE_BYTES, NODES_BYTES = GIB, GIB, GIB, 3 * GIB
#: Bits in /proc/self/status: what starting a container engine takes.
CAPABILITIES = {"CAP_NET_ADMIN": 12, "CAP_SYS_CHROOT": 18, "CAP_SYS_ADMIN": 21, "CAP_MKNOD": 27}
ENGINE_DIRECTORY = LAB / "engine"
#: Short, since a socket's path is limited to 107 bytes; one for each checkout.
ENGINE_RUN = pathlib.Path("/run") / f"clusterkit-{hashlib.sha256(str(ROOT).encode()).hexdigest()[:8]}"
#: Where the engine has its data when systemd starts it, as it does when Debian's package is installed.
SERVICE_DATA = ("/var/lib/docker", "/var/lib/containerd")
#: What an engine leaves elsewhere even when its package is purged; inner ones first.
ENGINE_TRACES = (
    "/etc/docker/key.json",
    "/etc/docker",
    "/opt/containerd/bin",
    "/opt/containerd/lib",
    "/opt/containerd",
)
SYSTEMD = pathlib.Path("/run/systemd/system")
#: What the kernel allows by default is too little for a dozen systemd nodes beside each other: each takes some fifteen
#: inotify instances, and all nodes' root is one user.
KERNEL_LIMITS = {"fs/inotify/max_user_instances": 1024}
KERNEL = pathlib.Path("/proc/sys")
#: Said when an engine has been stopped.
STAYS = "its bridge docker0, its firewall rules and net.ipv4.ip_forward stay until the machine starts anew"


# --- what is missing -------------------------------------------------------------------------------------------------


def check_prerequisites(environments: Sequence[Environment]) -> None:
    """Refuse a machine on which the rest would fail later. Raises LabError with what to do."""
    if os.geteuid() != 0:
        raise LabError("not root: the laboratory starts containers and builds a root file system; run it with sudo")
    if sys.version_info < (3, 11):
        raise LabError(f"Python {sys.version.split()[0]} is too old: put Python 3.11 or newer on PATH as python3")
    if not shutil.which("apt-get"):
        raise LabError("no apt-get: the laboratory builds its nodes from Debian packages; use a Debian machine")
    data = engine_data()
    _check_room(environments, data)
    if data is None:
        status = pathlib.Path("/proc/self/status").read_text(encoding="ascii")
        effective = int(re.search(r"^CapEff:\s*([0-9a-f]+)", status, re.M).group(1), 16)  # type: ignore[union-attr]
        missing = [name for name, bit in CAPABILITIES.items() if not effective >> bit & 1]
        if missing:
            raise LabError(
                f"{', '.join(missing)} missing: a container engine cannot start here; give them, or provide Docker"
            )


def _check_room(environments: Sequence[Environment], data: pathlib.Path | None) -> None:
    """Refuse a machine on which what is still to come has no room. Raises LabError."""
    built = data is not None and image.exists()
    below_build = ENVIRONMENT_BYTES * sum(not one.is_current() for one in environments) + (0 if built else ROOT_BYTES)
    # Where systemd is, a package that is still to come starts the engine
    service = SYSTEMD.exists() and not shutil.which("dockerd")
    data = data or (pathlib.Path(SERVICE_DATA[0]) if service else ENGINE_DIRECTORY)
    wanted = [(BUILD, below_build), (data, NODES_BYTES + (0 if built else IMAGE_BYTES))]
    # What lies on one file system shares what is free there
    needed: collections.Counter[int] = collections.Counter()
    for path, size in wanted:
        place = next(one for one in (path, *path.parents) if one.exists())
        needed[place.stat().st_dev] += size
        free = shutil.disk_usage(place).free
        if free < needed[place.stat().st_dev]:
            least = needed[place.stat().st_dev] / GIB
            raise LabError(f"{free / GIB:.1f} GiB free at {place}: free at least {least:.0f} GiB")


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a machine lacks, and `carry_out` brings."""

    installation: packages.Installation
    environments: tuple[Environment, ...]
    engine: bool
    image: bool
    #: Names below /proc/sys whose values are too small.
    limits: tuple[str, ...] = ()

    @property
    def service(self) -> bool:
        """Whether the engine will be started by its package, as a service of systemd."""
        return self.engine and packages.ENGINE in self.installation.coming and SYSTEMD.exists()

    def lines(self) -> list[str]:
        """Return a line for each thing that would be installed, made or started."""
        lines = [*self.installation.lines(), *(f"make {one}" for one in self.environments)]
        if self.engine:
            directory = f"{SERVICE_DATA[0]} (docker.service)" if self.service else ENGINE_DIRECTORY.relative_to(ROOT)
            lines.append(f"start a container engine with its data below {directory}")
        if self.image:
            lines.append(f"build the node image {image.tag()}")
        for name in self.limits:
            lines.append(f"raise {name.replace('/', '.')} from {kernel_limit(name)} to {KERNEL_LIMITS[name]}")
        return lines


def plan(environments: Sequence[Environment], *, deep: bool = False) -> Plan:
    """Return what the machine lacks for the laboratory and these environments. Raises LabError."""
    engine = engine_data() is None
    return Plan(
        packages.simulate(packages.missing(engine=engine, deep=deep)),
        tuple(one for one in environments if not one.is_current()),
        engine,
        image=engine or not image.exists(),
        limits=tuple(name for name, least in KERNEL_LIMITS.items() if kernel_limit(name) < least),
    )


def carry_out(wanted: Plan, record: Record) -> None:
    """Bring the machine what it lacks. Raises LabError."""
    if wanted.engine:
        _record_engine(wanted, record)
    packages.install(wanted.installation, record)
    _link_collection()
    for one in wanted.environments:
        one.make()
    if wanted.engine:
        start_engine(record)
    if wanted.image:
        image.build(record)
    for name in wanted.limits:
        record.add("limit", name=name, before=kernel_limit(name), raised=KERNEL_LIMITS[name])
        set_kernel_limit(name, KERNEL_LIMITS[name])


def _link_collection() -> None:
    """Make the tree that Ansible imports the collection from."""
    link = COLLECTIONS / "ansible_collections" / "clusterkit" / "middleware"
    if link.resolve() != ROOT:
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(ROOT, target_is_directory=True)


def kernel_limit(name: str) -> int:
    """Return a number that the kernel is set to, by its name below /proc/sys."""
    return int((KERNEL / name).read_text(encoding="ascii"))


def set_kernel_limit(name: str, value: int) -> None:
    """Set it. Where /proc/sys cannot be written, as in a container, that is said: fewer nodes run at a time there."""
    try:
        (KERNEL / name).write_text(f"{value}\n", encoding="ascii")
    except OSError as error:
        say(f"  {name.replace('/', '.')} stays {kernel_limit(name)}: {error.strerror}")


def restore_kernel_limit(name: str, before: int, raised: int) -> None:
    """Set it back, unless somebody has set it to something else since."""
    if kernel_limit(name) == raised:
        set_kernel_limit(name, before)


# --- the container engine --------------------------------------------------------------------------------------------


def engine_data() -> pathlib.Path | None:
    """Return where the container engine keeps its data; nothing when none answers."""
    if not shutil.which("docker"):
        return None
    asked = subprocess.run(
        ["docker", "info", "--format", "{{json .}}"], capture_output=True, text=True, timeout=30, check=False
    )
    try:
        told = json.loads(asked.stdout)
    except json.JSONDecodeError:
        return None
    # Without an engine the program still tells of itself
    return pathlib.Path(told["DockerRootDir"]) if told.get("ServerVersion") else None


def _record_engine(wanted: Plan, record: Record) -> None:
    """Record what an engine leaves on the machine besides what is below build/, as far as it is not there yet."""
    if traces := [path for path in ENGINE_TRACES if not pathlib.Path(path).exists()]:
        record.add("traces", paths=traces)
    data = [path for path in SERVICE_DATA if not pathlib.Path(path).exists()]
    if wanted.service and data:
        record.add("service", data=data)


def start_engine(record: Record) -> None:
    """Start a container engine, unless its package has just done so. Raises LabError."""
    if engine_data() is not None:
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
    while engine_data() is None:
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
        remove_tree(directory)
    say(f"  {STAYS}")


def stop_service(data: Sequence[str]) -> None:
    """Stop the engine that its package started, and remove its data unless others have put something there."""
    questions = (["ps", "--all", "--quiet"], ["image", "ls", "--all", "--quiet"], ["volume", "ls", "--quiet"])
    if engine_data() is None or any(run(["docker", *question]).strip() for question in questions):
        say(f"  left as it is: {', '.join(data)} may hold images, containers or volumes of others")
        return
    run(["systemctl", "stop", "docker.socket", "docker.service", "containerd.service"], limit=120)
    for path in data:
        remove_tree(pathlib.Path(path))
    say(f"  {STAYS}")


def remove_traces(paths: Sequence[str]) -> None:
    """Remove what engines leave; a directory that holds anything else stays."""
    for path in map(pathlib.Path, paths):
        with contextlib.suppress(OSError):
            path.rmdir() if path.is_dir() else path.unlink()


def _is_our_engine(pid: int, pidfile: pathlib.Path) -> bool:
    """Tell whether the process is the engine that was started with this pid file: a number alone may be reused."""
    try:
        arguments = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        state = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return str(pidfile).encode() in arguments and state != "Z"
