# SPDX-License-Identifier: GPL-3.0-or-later
"""A server's data, a share of its own to move them to, and an independent judge of what became of them."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

DRIVER = pathlib.Path(__file__).with_name("run_migration.py")
KEY = "server.appdata.dir"
#: What the two stand for: a property that names the new location, and links in the old places.
PROPERTY, LINKS = "property", "links"
#: The directories that are only there for what is in them: their times are nobody's data.
PARENTS = ("./", "conf/", "var/")
NAMES = ("var/plugins", "logs", "conf/installed.version")
LIMIT = 60.0


def command(*argv: str | pathlib.Path) -> str:
    """Run a command that has to succeed; return what it printed."""
    done = subprocess.run([str(one) for one in argv], capture_output=True, text=True, timeout=LIMIT, check=False)
    assert done.returncode == 0, f"{argv}: {done.stderr}"
    return done.stdout


@dataclasses.dataclass
class Ground:
    """The places of one migration."""

    root: pathlib.Path
    how: str
    accept: tuple[str, ...] = ()

    @property
    def install(self) -> pathlib.Path:
        """Where the data are at first."""
        return self.root / "install"

    @property
    def reference(self) -> pathlib.Path:
        """An independent copy of what is to arrive."""
        return self.root / "reference"

    @property
    def share(self) -> pathlib.Path:
        """The mount point of the shared storage."""
        return self.root / "share"

    @property
    def target(self) -> pathlib.Path:
        """Where the data are to be."""
        return self.share / "appdata"

    @property
    def properties(self) -> pathlib.Path:
        """The file that says where the data are."""
        return self.install / "conf/server/installed.properties"

    def write_request(self, **more: Any) -> pathlib.Path:
        """Write what the driver is to be given; return where."""
        request: dict[str, Any] = {
            "entries": [
                {"source": str(self.install / name), "name": name, "keep": name == "conf/installed.version"}
                for name in NAMES
            ],
            "target": str(self.target),
            "member": "n1",
            "state_directory": str(self.root / "state"),
            "accept": list(self.accept),
        }
        if self.how == PROPERTY:
            request["property"] = [str(self.properties), KEY]
        path = self.root / "request.json"
        path.write_text(json.dumps({**request, **more}), encoding="utf-8")
        return path

    def argv(self, phases: str) -> list[str]:
        """Return the command line of the driver."""
        return [sys.executable, "-B", str(DRIVER), phases, str(self.root / "request.json")]

    def run(self, phases: str) -> subprocess.CompletedProcess[str]:
        """Run phases to their end."""
        return subprocess.run(
            self.argv(phases), capture_output=True, text=True, timeout=LIMIT, check=False, env=environment()
        )

    def report(self, phases: str) -> dict[str, Any]:
        """Run phases that have to succeed, and return the last report."""
        done = self.run(phases)
        assert done.returncode == 0, done.stderr
        report: dict[str, Any] = json.loads(done.stdout)
        return report

    def refusal(self, phases: str) -> str:
        """Run phases that have to refuse, and return the reason."""
        done = self.run(phases)
        assert done.returncode == 1, done.stdout + done.stderr
        return done.stderr

    def make_data(self) -> None:
        """Make a small tree that has one of everything, and its reference."""
        plugins, logs = self.install / "var/plugins", self.install / "logs"
        for directory in (plugins / "a b\nc", logs, self.install / "conf/server"):
            directory.mkdir(parents=True)
        self.properties.write_text(f"a=1\n{KEY}=..\n", encoding="utf-8")
        (self.install / "conf/installed.version").write_text("7.3\n", encoding="utf-8")
        for name in ("one", "two", "set"):
            (plugins / name).write_text(name * 100, encoding="utf-8")
        (plugins / "set").chmod(0o4755)
        os.chown(plugins / "two", 1234, 4321)
        (plugins / "a b\nc" / os.fsdecode(b"\xff\xfe")).write_bytes(b"odd" * 1000)
        with (plugins / "sparse").open("wb") as sparse:
            sparse.seek(300_000)
            sparse.write(b"x")
            sparse.truncate(1_000_000)
        (plugins / "closed").write_text("secret", encoding="utf-8")
        (plugins / "closed").chmod(0)
        (plugins / "link").symlink_to("two")
        os.link(plugins / "one", logs / "same as one")
        os.setxattr(logs, "trusted.note", b"kept")
        command("setfacl", "-m", "u:1234:r", plugins / "two")
        os.utime(plugins / "a b\nc", ns=(1, 1_000_000_000_123_456_789))
        self.make_reference()

    def make_reference(self) -> None:
        """Copy the data as they are now, by another tool."""
        if self.reference.exists():
            shutil.rmtree(self.reference)
        command("cp", "-a", self.install, self.reference)
        shutil.rmtree(self.reference / "conf/server")

    # --- the judge ---------------------------------------------------------------------------------------------------

    def in_use(self) -> pathlib.Path:
        """Return the location that the program would use now, as the property says; for links see `is_complete`."""
        for line in self.properties.read_text(encoding="utf-8").splitlines():
            key, _equals, value = line.partition("=")
            if key == KEY and value != "..":
                return pathlib.Path(value)
        return self.install

    def assert_usable(self) -> None:
        """Assert that what the program would use now is complete, whichever location that is."""
        for name in NAMES:
            place = (self.in_use() / name).resolve()
            assert not differences(self.reference / name, place), f"{place} is in use and not complete"

    def assert_moved(self) -> None:
        """Assert that the new location is in use and complete."""
        if self.how == PROPERTY:
            assert self.in_use() == self.target
        else:
            for name in NAMES[:2]:
                assert (self.install / name).readlink() == self.target / name
        assert not differences(self.reference, self.target)

    def assert_at_home(self) -> None:
        """Assert that the old location is in use and complete, and nothing of ours is left in it."""
        assert self.in_use() == self.install
        for name in NAMES:
            assert not (self.install / name).is_symlink()
        assert not list(self.install.rglob("*clusterkit*"))
        assert not differences(self.reference, self.install, "--exclude=/conf/server")


def differences(one: pathlib.Path, other: pathlib.Path, *options: str) -> list[str]:
    """Return what rsync would change to make the other like the one: contents, attributes, links."""
    slash = "/" if one.is_dir() else ""
    argv = ["rsync", "-aHAXc", "--dry-run", "--itemize-changes", "--delete", "--exclude=/.clusterkit-appdata"]
    said = command(*argv, *options, f"{one}{slash}", f"{other}{slash}").splitlines()
    return [line for line in said if not (line.startswith(".d..t...... ") and line[12:] in PARENTS)]


def environment() -> dict[str, str]:
    """Return an environment in which two runs make the same system calls."""
    return {**os.environ, "PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8"}


def mounted(ground: Ground, options: str = "size=64m") -> Iterator[Ground]:
    """Mount the share while a test lasts."""
    ground.share.mkdir(parents=True, exist_ok=True)
    command("mount", "-t", "tmpfs", "-o", options, "tmpfs", ground.share)
    try:
        yield ground
    finally:
        command("umount", "--lazy", ground.share)


def calls(trace: str, wanted: Sequence[str]) -> list[tuple[str, int]]:
    """Return the mutating calls of a trace, in order: the name of each, and the how manieth of its name it is."""
    counted: dict[str, int] = {}
    found = []
    for line in trace.splitlines():
        name = line.split("(", 1)[0].split()[-1] if "(" in line else ""
        if name not in wanted or "resumed>" in line:
            continue
        counted[name] = counted.get(name, 0) + 1
        if name != "openat" or "O_CREAT" in line or "O_TRUNC" in line:
            found.append((name, counted[name]))
    return found
