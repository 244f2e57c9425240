# SPDX-License-Identifier: GPL-3.0-or-later
"""Benchmark of appdata_migration: copy and honest comparison against what operators use for it.

    make bench NAME=appdata                                   # (a) local disk and (b) network, three times each
    build/venv/bin/python tests/benchmarks/appdata.py --part local --scale 0.05 --times 1      # a quick look

(a) 20,000 small files and 200 of 5 MiB from one local disk to the same; (b) 5,000 small and 40 of 5 MiB to sshfs
behind a TCP proxy that adds 0.5 ms each way. Every tool is followed by a comparison of every byte with what the storage
holds: caches are dropped, and the network file system is mounted anew, before it. All tools run in turn, in one run.
The stop window is the time of `migrate` after a `precopy`, with 1 % of the files changed in between.
Needs root, and the machine for itself. fpsync takes part where it is installed.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import pathlib
import platform
import queue
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator

ROOT = pathlib.Path(__file__).resolve().parents[2]
DRIVER = ROOT / "tests" / "faults" / "run_migration.py"
RESULTS = ROOT / "docs" / "results" / "bench-appdata.md"
SERVER = "/usr/lib/openssh/sftp-server"
WEAK = ["acls", "hard_links", "link_attributes", "times", "xattrs"]
MIB = 1024 * 1024
DELAY_SECONDS = 0.0005
LIMIT = 3600.0
OURS = "appdata_migration"


def run(*argv: str, check: bool = True) -> None:
    """Run a command to its end."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=LIMIT, check=False)
    if check and done.returncode:
        raise SystemExit(f"{argv}: {done.stderr[-2000:]}")


def make_tree(root: pathlib.Path, small: int, large: int) -> None:
    """Write the files: 100 a directory, small ones from 0 to 8 KiB; repeatable."""
    draw = random.Random(20)  # noqa: S311  # repeatable, no secret
    for number in range(small):
        directory = root / f"small/{number // 100:04d}"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"file-{number:06d}.xml").write_bytes(draw.randbytes(draw.randrange(8192)))
    (root / "large").mkdir()
    for number in range(large):
        (root / f"large/artifact-{number:03d}.jar").write_bytes(draw.randbytes(5 * MIB))
    # Whole seconds: the network file system holds no others, and all tools are to have the same work
    run("find", str(root), "-exec", "touch", "-h", "-d", "2026-01-01", "{}", "+")


# --- the storage -----------------------------------------------------------------------------------------------------


class Storage:
    """A directory to copy to, whose caches can be dropped."""

    accept: tuple[str, ...] = ()

    def __init__(self, root: pathlib.Path) -> None:
        self.path = root / "storage"
        self.path.mkdir()

    def forget(self) -> None:
        """Have nothing of it in memory."""
        os.sync()
        pathlib.Path("/proc/sys/vm/drop_caches").write_text("3", encoding="ascii")

    def close(self) -> None:
        """Take it away."""


class NetworkStorage(Storage):
    """sshfs to this machine, through a proxy that delays what passes."""

    accept = tuple(WEAK)

    def __init__(self, root: pathlib.Path) -> None:
        super().__init__(root)
        self._exported = root / "exported"
        self._exported.mkdir()
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()
        self._mount()

    def forget(self) -> None:
        """Mount it anew, and have nothing of what lies behind it in memory either."""
        run("umount", str(self.path))
        super().forget()
        self._mount()

    def close(self) -> None:
        """Unmount it."""
        run("umount", "--lazy", str(self.path), check=False)
        self._listener.close()

    def _mount(self) -> None:
        port = self._listener.getsockname()[1]
        run("sshfs", "-o", f"directport={port}", f"127.0.0.1:{self._exported}", str(self.path))

    def _serve(self) -> None:
        with contextlib.suppress(OSError):  # closed at the end
            while True:
                connection, _address = self._listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                server = subprocess.Popen([SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
                assert server.stdin and server.stdout
                to, back = server.stdin.fileno(), server.stdout.fileno()
                relay(lambda c=connection: c.recv(MIB), lambda data, to=to: write(to, data), server.stdin.close)
                relay(lambda back=back: os.read(back, MIB), connection.sendall, connection.close)


def write(descriptor: int, data: bytes) -> None:
    """Write all of it."""
    while data:
        data = data[os.write(descriptor, data) :]


def relay(read: Callable[[], bytes], send: Callable[[bytes], None], close: Callable[[], None]) -> None:
    """Pass on what is read, each piece a fixed time after it came: bandwidth stays, latency grows."""
    waiting: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()

    def receive() -> None:
        data = b"-"
        while data:
            try:
                data = read()
            except OSError:
                data = b""
            waiting.put((time.monotonic() + DELAY_SECONDS, data))

    def deliver() -> None:
        with contextlib.suppress(OSError):
            while True:
                due, data = waiting.get()
                if not data:
                    break
                time.sleep(max(0.0, due - time.monotonic()))
                send(data)
        with contextlib.suppress(OSError):
            close()

    threading.Thread(target=receive, daemon=True).start()
    threading.Thread(target=deliver, daemon=True).start()


# --- the tools -------------------------------------------------------------------------------------------------------


def copy_with(script: str) -> Callable[[pathlib.Path, Storage], None]:
    """Return a tool that is a line of shell: $1 is the source, $2 the place; then everything is compared."""

    def copy(source: pathlib.Path, storage: Storage) -> None:
        target = storage.path / "copy"
        target.mkdir()
        # Exit codes count only for the content: some storage holds no attributes, and the comparison is of bytes
        run("bash", "-o", "pipefail", "-c", script, "bash", str(source), str(target), check=False)
        storage.forget()
        run("diff", "-r", "--no-dereference", str(source), str(target))

    return copy


def ours(source: pathlib.Path, storage: Storage) -> None:
    """Copy and compare with the migration, which reads back by itself."""
    phase(source, storage, "precopy")
    phase(source, storage, "migrate")


def phase(source: pathlib.Path, storage: Storage, name: str) -> None:
    """Run a phase of the migration."""
    state = source.parent / "state"
    state.mkdir(exist_ok=True)
    properties = state / "properties"
    if name == "precopy":
        properties.write_text("where=..\n", encoding="utf-8")
    request = {
        "entries": [{"source": str(source), "name": ""}],
        "target": str(storage.path / "copy"),
        "member": "n1",
        "state_directory": str(state),
        "property": [str(properties), "where"],
        "accept": list(storage.accept),
        "allow_same_file_system": True,
    }
    (state / "request.json").write_text(json.dumps(request), encoding="utf-8")
    run(sys.executable, str(DRIVER), name, str(state / "request.json"))


TOOLS: dict[str, Callable[[pathlib.Path, Storage], None]] = {
    "cp -a": copy_with('cp -a "$1/." "$2"'),
    "tar | tar": copy_with('tar -C "$1" -c . | tar -C "$2" -xp'),
    "rsync -aHAX": copy_with('rsync -aHAX "$1/" "$2/"'),
    "16 × rsync": copy_with(
        'rsync -a -f"+ */" -f"- *" "$1/" "$2/"; cd "$1"; find . -type d -print0 | '
        'xargs -0 -P 16 -I{} rsync -a --no-recursive --dirs "{}/" "$2/{}/"'
    ),
    OURS: ours,
}
if shutil.which("fpsync"):
    TOOLS["fpsync -n 16"] = copy_with('fpsync -n 16 -o "-lptgoD --numeric-ids" "$1/" "$2/"')


@contextlib.contextmanager
def clean(storage: Storage, source: pathlib.Path) -> Iterator[None]:
    """Have an empty storage before, and nothing in memory that an earlier tool has read."""
    run("rm", "-rf", str(storage.path / "copy"), str(source.parent / "state"))
    storage.forget()
    run("grep", "-rq", "never there", str(source), check=False)  # every tool finds the source in memory
    yield


def measure(part: str, small: int, large: int, times: int) -> tuple[dict[str, list[float]], float, float]:
    """Return the seconds of each tool, of the stop window, and of a full copy beside it."""
    kind = {"local": Storage, "network": NetworkStorage}[part]
    with tempfile.TemporaryDirectory(dir=ROOT / "build") as where:
        root = pathlib.Path(where)
        source = root / "source"
        make_tree(source, small, large)
        storage = kind(root)
        try:
            seconds: dict[str, list[float]] = {name: [] for name in TOOLS}
            for turn in range(times):
                for name, tool in TOOLS.items():
                    with clean(storage, source):
                        began = time.monotonic()
                        tool(source, storage)
                        seconds[name].append(time.monotonic() - began)
                        print(f"{part}, {turn + 1}: {name} {seconds[name][-1]:.1f} s", flush=True)
            with clean(storage, source):
                began = time.monotonic()
                phase(source, storage, "precopy")
                full = time.monotonic() - began
                files = sorted(path for path in source.rglob("*") if path.is_file())
                for path in files[::100]:
                    path.write_bytes(path.read_bytes()[::-1])
                began = time.monotonic()
                phase(source, storage, "migrate")
                window = time.monotonic() - began
            run("diff", "-r", "--exclude=.clusterkit-appdata", str(source), str(storage.path / "copy"))
        finally:
            storage.close()
    return seconds, window, full


def table(part: str, seconds: dict[str, list[float]], window: float, full: float) -> list[str]:
    """Return the figures as lines of Markdown."""
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    best = medians[OURS]
    serial = min(value for name, value in medians.items() if name in ("cp -a", "tar | tar", "rsync -aHAX"))
    parallel = [value for name, value in medians.items() if "16" in name]
    width = max(medians.values())
    goal = "≥ 1 × `cp -a`" if part == "local" else "≥ 6 × the best serial tool, ≥ 1.5 × the best parallel one"
    return [
        f"## {part}",
        "",
        "| tool, with its comparison | median | all | |",
        "| --- | ---: | --- | --- |",
        *(
            f"| {name} | {medians[name]:.1f} s | {', '.join(f'{one:.1f}' for one in values)} "
            f"| {'█' * max(1, round(30 * medians[name] / width))} |"
            for name, values in seconds.items()
        ),
        "",
        f"- against `cp -a`: {medians['cp -a'] / best:.2f} ×; the best serial tool: {serial / best:.2f} ×; "
        f"the best parallel one: {min(parallel) / best:.2f} × (goal: {goal})",
        f"- stop window with 1 % changed: {window:.1f} s, {100 * window / full:.0f} % of a full copy of {full:.1f} s "
        "(goal: ≤ 10 %)",
        "",
    ]


def main() -> int:
    """Run the benchmark, print it, and write it down when it was a whole one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=["local", "network", "all"], default="all")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the files to take")
    parser.add_argument("--times", type=int, default=3)
    arguments = parser.parse_args()
    sizes = {"local": (20_000, 200), "network": (5_000, 40)}
    parts = list(sizes) if arguments.part == "all" else [arguments.part]
    lines = [
        f"# Moving application data, {datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}",
        "",
        f"{os.cpu_count()} cores, kernel {platform.release()}; load before: {os.getloadavg()[0]:.1f}.",
        "",
    ]
    for part in parts:
        small, large = (max(1, int(number * arguments.scale)) for number in sizes[part])
        lines += table(part, *measure(part, small, large, arguments.times))
    print("\n".join(lines))
    if arguments.scale == 1 and arguments.part == "all":
        RESULTS.write_text("\n".join(lines), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
