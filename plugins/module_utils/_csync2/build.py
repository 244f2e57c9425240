# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""csync2 from its source: built in a directory of its own, then installed file by file, the binary last.

So the binary is either the old or the new one, whole, and what belongs to it is there before it. What was installed is
noted before the first file is: a run that is killed in the middle is begun anew by the next, and nothing is left behind
by a removal.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import stat
from dataclasses import dataclass, field

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.files import (
    read_if_exists,
    remove,
    write_atomically,
)
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.locks import exclusive
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.progress import Progress
from ansible_collections.clusterkit.middleware.plugins.module_utils._csync2.state import DATABASE_DIRECTORY, sysconfdir
from ansible_collections.clusterkit.middleware.plugins.module_utils._csync2.sync import Csync2

#: Where it is built: not below a directory that other users can write to.
WORK_DIRECTORY = "/var/cache/clusterkit-csync2"
#: Notes what a build installed, so that it can be removed again.
MANIFEST = f"{DATABASE_DIRECTORY}/clusterkit-build.json"
LOCK = "/run/lock/clusterkit-csync2-build.lock"


@dataclass(frozen=True)
class Source:
    """What is to be built and where it goes. `checksum` is the archive's SHA-256, `version` what the binary tells."""

    archive: str
    checksum: str
    version: str
    prefix: str
    sysconfdir: str

    @property
    def binary(self) -> str:
        """Where the binary goes."""
        return f"{self.prefix.rstrip('/')}/sbin/csync2"


@dataclass
class Manifest:
    """The files that builds installed, and the directories that they made for them."""

    files: set[str] = field(default_factory=set)
    directories: set[str] = field(default_factory=set)


class Build:
    """The builds of csync2 on this host. Every method raises ClusterkitError."""

    def __init__(self, runner: Runner, work: str = WORK_DIRECTORY, manifest: str = MANIFEST, lock: str = LOCK) -> None:
        self._runner = runner
        self._work = pathlib.Path(work)
        self._manifest = manifest
        self._lock = lock

    def told(self, binary: str) -> tuple[str, str]:
        """Return the version and the sysconfdir that a binary tells of itself, both empty where there is none."""
        if not os.access(binary, os.X_OK):
            return "", ""
        return Csync2("", self._runner, binary).version(), sysconfdir(binary)

    def install(self, source: Source, progress: Progress) -> list[str]:
        """Build and install; return the files. Until all is built nothing is installed."""
        with exclusive(self._lock, limit=0, what="building csync2"):
            _verify(source)
            try:
                staging = self._built(source, progress)
                return self._copied(source, staging)
            finally:
                shutil.rmtree(self._work, ignore_errors=True)

    def _built(self, source: Source, progress: Progress) -> pathlib.Path:
        """Build, and return the directory that holds what is to be installed."""
        tree, staging = self._work / "source", self._work / "staging"
        # Whatever a killed build left
        shutil.rmtree(self._work, ignore_errors=True)
        try:
            self._work.mkdir(mode=0o700)
            tree.mkdir()
        except OSError as error:
            raise ClusterkitError(f"cannot build in {self._work}: {error.strerror}") from None
        unpack = ["tar", "--extract", "--file", source.archive, "--directory", str(tree), "--strip-components=1"]
        self._runner.run([*unpack, "--no-same-owner"])
        options = [f"--prefix={source.prefix}", f"--sysconfdir={source.sysconfdir}", "--localstatedir=/var"]
        steps = [
            ["./configure", *options],
            ["make", f"--jobs={os.cpu_count() or 1}"],
            ["make", "install", f"DESTDIR={staging}"],
        ]
        if not (tree / "configure").exists():
            # The original archives bring it, an export of the repository does not. What autogen.sh does besides is a
            # run of configure with options of its own
            steps.insert(0, ["autoreconf", "--install"])
        progress.total = len(steps)
        for number, argv in enumerate(steps):
            progress.update(number, " ".join(argv[:2]))
            self._runner.run(argv, cwd=str(tree))
        progress.update(len(steps), "install")
        return staging

    def _copied(self, source: Source, staging: pathlib.Path) -> list[str]:
        """Install what was built: the binary last, and only when it is what was asked for."""
        found = self.told(f"{staging}{source.binary}")
        if found != (source.version, source.sysconfdir):
            raise ClusterkitError(
                f"{source.archive} builds csync2 {found[0] or 'of an unknown version'} with its files in "
                f"{found[1] or 'an unknown directory'}: expected {source.version} and {source.sysconfdir}"
            )
        directories, files = _listed(staging)
        # The configuration is its user's, and not an example's
        files = [path for path in files if not path.startswith(f"{source.sysconfdir}/")]
        files.sort(key=lambda path: path == source.binary)
        before = self._read()
        made = before.directories | {path for path in directories if not pathlib.Path(path).is_dir()}
        self._note(Manifest(before.files | set(files), made))
        try:
            for path in directories:
                pathlib.Path(path).mkdir(mode=0o755, exist_ok=True)
        except OSError as error:
            raise ClusterkitError(f"cannot make the directory {error.filename}: {error.strerror}") from None
        for path in files:
            built = pathlib.Path(f"{staging}{path}")
            write_atomically(path, built.read_bytes(), mode=stat.S_IMODE(built.stat().st_mode))
        for path in before.files - set(files):
            remove(path)
        self._note(Manifest(set(files), made))
        return sorted(files)

    def leftovers(self) -> list[str]:
        """Return the files that builds installed and that are still to be removed."""
        return sorted(self._read().files)

    def remove(self) -> None:
        """Remove what builds installed, with the directories made for it as far as they are empty."""
        manifest = self._read()
        for path in manifest.files:
            remove(path)
        remove(self._manifest)
        for path in sorted(manifest.directories, reverse=True):
            # Whoever put something else there keeps it
            with contextlib.suppress(OSError):
                pathlib.Path(path).rmdir()

    def _read(self) -> Manifest:
        content = read_if_exists(self._manifest)
        if content is None:
            return Manifest()
        try:
            said = json.loads(content)
            return Manifest(set(said["files"]), set(said["directories"]))
        except (ValueError, KeyError, TypeError) as error:
            raise ClusterkitError(
                f"{self._manifest} is no note of a build ({error}): remove it, and what was built, by hand"
            ) from None

    def _note(self, manifest: Manifest) -> None:
        pathlib.Path(self._manifest).parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        said = {"files": sorted(manifest.files), "directories": sorted(manifest.directories)}
        write_atomically(self._manifest, json.dumps(said, indent=1).encode() + b"\n", mode=0o644)


def _verify(source: Source) -> None:
    content = read_if_exists(source.archive)
    if content is None:
        raise ClusterkitError(f"there is no archive {source.archive}")
    found = hashlib.sha256(content).hexdigest()
    if found != source.checksum:
        raise ClusterkitError(f"{source.archive} has the SHA-256 {found}, expected {source.checksum}")


def _listed(staging: pathlib.Path) -> tuple[list[str], list[str]]:
    """Return the directories, those above before those within, and the files below `staging`, as absolute paths."""
    entries = sorted(staging.rglob("*"))
    return (
        [f"/{path.relative_to(staging)}" for path in entries if path.is_dir()],
        [f"/{path.relative_to(staging)}" for path in entries if not path.is_dir()],
    )
