# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups of one database: written whole or not there, tried by restoring them, and restored.

A backup is a file of statements, compressed and perhaps encrypted, and a manifest beside it, named as it and `.json`.
A dump of what was restored from it has to be the same, line by line: a drill compares that.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import pathlib
import re
import secrets
import time
from typing import IO, Any, Iterator, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.files import (
    read_if_exists,
    remove,
    sync_directory,
    write_atomically,
)
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.locks import exclusive
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.pipeline import Stage, flow
from ansible_collections.clusterkit.middleware.plugins.module_utils._database.engine import SCRATCH_SUFFIX, Engine

_CHUNK = 1 << 20
_STAMP = r"\d{8}T\d{6}Z"
_MANIFEST = ".json"
_ITERATIONS = 600000
#: No beginning of a line that is looked for is longer.
_LONGEST_BEGINNING = 64
_CIPHER = ("openssl", "enc", "-aes-256-ctr", "-pbkdf2", "-md", "sha256", "-iter")


class Digest:
    """A checksum over the lines of a dump, apart from those that differ each time."""

    def __init__(
        self, noise: Sequence[bytes] = (), noted: bytes = b"", qualified: bytes = b"", names: Sequence[bytes] = ()
    ) -> None:
        self._noise = tuple(noise)
        self._noted = noted
        # Lines in which these may stand or not, as for a view, which a server writes out in two ways
        self._qualified = qualified
        self._names = names
        self._hash = hashlib.sha256()
        self._carry = b""
        self._at_start = True
        #: Whether a line began with `noted`.
        self.seen = False

    def __call__(self, chunk: bytes) -> None:
        """Take the next part of the dump."""
        data = self._carry + chunk
        end = data.rfind(b"\n") + 1
        # Of a line that has only just begun it is not known yet what it is
        begun = end > 0 or self._at_start
        whole = bool(self._qualified) and data.startswith(self._qualified, end)
        waits = begun and (whole or len(data) - end < _LONGEST_BEGINNING)
        body, self._carry = (data[:end], data[end:]) if waits else (data, b"")
        self._take(body)

    def result(self) -> str:
        """Return the checksum of all that was taken."""
        rest, self._carry = self._carry, b""
        self._take(rest)
        return self._hash.hexdigest()

    def _take(self, body: bytes) -> None:
        if not body:
            return
        if any(beginning in body for beginning in (*self._noise, self._noted, self._qualified) if beginning):
            for number, line in enumerate(body.splitlines(keepends=True) if b"\r" not in body else _lines(body)):
                begins = number > 0 or self._at_start
                self.seen = self.seen or bool(begins and self._noted and line.startswith(self._noted))
                if begins and self._qualified and line.startswith(self._qualified):
                    for name in self._names:
                        line = line.replace(name, b"")  # noqa: PLW2901  # the same line, shorter
                if not (begins and line.startswith(self._noise)):
                    self._hash.update(line)
        else:
            self._hash.update(body)
        self._at_start = body.endswith(b"\n")


def _lines(body: bytes) -> list[bytes]:
    parts = body.split(b"\n")
    return [part + b"\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


class Backups:
    """The backups of a database in a directory. All methods raise ClusterkitError."""

    def __init__(
        self,
        engine: Engine,
        database: str,
        directory: str,
        *,
        passphrase: str = "",
        limit: float = 3600.0,
        wait: float = 60.0,
    ) -> None:
        self.engine = engine
        self.database = database
        self.directory = pathlib.Path(directory)
        self.passphrase = passphrase
        self.limit = limit
        self.wait = wait
        self.scratch = f"{database}{SCRATCH_SUFFIX}"

    @property
    def note(self) -> pathlib.Path:
        """The file that is there while a restore is under way, also one that was killed."""
        return self.directory / f"{self.database}.restoring"

    @property
    def drills(self) -> pathlib.Path:
        """The file that says how the last drill went."""
        return self.directory / f"{self.database}.drill"

    def listed(self) -> list[dict[str, Any]]:
        """Return the manifests, the oldest first."""
        name = re.compile(rf"{re.escape(self.database)}-{_STAMP}\.sql\.gz(\.enc)?")
        try:
            files = sorted(path for path in self.directory.iterdir() if name.fullmatch(path.name))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise ClusterkitError(f"cannot list {self.directory}: {error.strerror}") from None
        found = []
        for path in files:
            with contextlib.suppress(ClusterkitError):  # what has no manifest is no backup
                found.append(self._manifest(path))
        return found

    def status(self) -> dict[str, Any]:
        """Return how many backups there are, how old the newest is, how the last drill went, what was interrupted."""
        backups = self.listed()
        drill = read_if_exists(str(self.drills))
        note = read_if_exists(str(self.note))
        return {
            "count": len(backups),
            "newest": backups[-1]["file"] if backups else "",
            "age_seconds": max(int(time.time() - backups[-1]["ended"]), 0) if backups else None,
            "drill": json.loads(drill) if drill else None,
            "restoring": note.decode(errors="replace").strip() if note else "",
        }

    def write(self, idle: bool = False) -> dict[str, Any]:
        """Write a backup; `idle` refuses where somebody is connected. Return its manifest."""
        with self._locked("backup"):
            return self._write(idle)

    def prune(self, keep: int) -> list[str]:
        """Remove all but the newest `keep`; one at least stays, and the newest one that passed a drill."""
        with self._locked("backup"):
            return self._prune(keep)

    def check(self, file: str) -> dict[str, Any]:
        """Read a backup to its end and return its manifest; fail where a byte of it is another one."""
        manifest = self._manifest(pathlib.Path(file))
        checksum, tag = hashlib.sha256(), None
        if manifest["salt"]:
            if not self.passphrase:
                raise ClusterkitError(f"{file} is encrypted, and no passphrase is given")
            tag = hmac.new(self._key(manifest["salt"]), digestmod="sha256")
        with self._opened(file) as source:
            while chunk := source.read(_CHUNK):
                checksum.update(chunk)
                if tag:
                    tag.update(chunk)
        if checksum.hexdigest() != manifest["sha256"]:
            raise ClusterkitError(
                f"{file} has the checksum {checksum.hexdigest()}, its manifest {manifest['sha256']}: it was changed"
            )
        if tag and not hmac.compare_digest(tag.hexdigest(), manifest["tag"]):
            raise ClusterkitError(f"{file} was encrypted with another passphrase than the one that is given")
        return manifest

    def drill(self, file: str = "") -> dict[str, Any]:
        """Restore a backup, the newest one by default, into a scratch database, and compare; note how it went."""
        with self._locked("drill"):
            if not file:
                backups = self.listed()
                if not backups:
                    raise ClusterkitError(f"there is no backup of {self.database} in {self.directory} to try")
                file = backups[-1]["file"]
            began = time.time()
            try:
                manifest = self.check(file)
                try:
                    self._fill_scratch(manifest)
                finally:
                    self.engine.drop(self.scratch)
            except ClusterkitError as error:
                self._note_drill({"file": file, "ok": False, "time": int(began), "error": str(error)})
                raise
            seconds = round(time.time() - began, 1)
            manifest["drilled"] = int(began)
            self._write_manifest(manifest)
            self._note_drill({"file": file, "ok": True, "time": int(began), "error": "", "seconds": seconds})
            return manifest

    def restore(self, file: str) -> dict[str, Any]:
        """Let the database be what a backup has. Return the backup's manifest, and in `before` that of what was there.

        First the backup is restored into a scratch database and compared. Refuses while somebody is connected. Killed
        at any point, it is made up for by calling it again.
        """
        with self._locked("restore"):
            manifest = self.check(file)
            interrupted = self.note.exists()
            present = self.engine.look(self.database)
            self._refuse_sessions("restored")
            before = ""
            # What an interrupted restore left is nothing to go back to
            if present and not interrupted:
                before = self._write(idle=False)["file"]
            try:
                self._fill_scratch(manifest)
                self._refuse_sessions("restored")
                write_atomically(str(self.note), f"{file}\n".encode(), mode=0o600)
                if not self.engine.replace(self.database, self.scratch, manifest["model"]):
                    self.engine.drop(self.database)
                    self._fill(manifest, self.database)
            finally:
                self.engine.drop(self.scratch)
            remove(str(self.note))
            return {**manifest, "before": before}

    def _write(self, idle: bool) -> dict[str, Any]:
        self._make_directory()
        model = self.engine.look(self.database)
        if model is None:
            raise ClusterkitError(f"there is no database {self.database} to back up")
        if idle:
            self._refuse_sessions("backed up while nobody uses it")
        began = int(time.time())
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(began))
        path = self.directory / f"{self.database}-{stamp}.sql.gz{'.enc' if self.passphrase else ''}"
        if path.exists():
            raise ClusterkitError(f"{path} is there already: let a second pass between two backups")
        incoming = self._incoming()
        digest = self._digest()
        with contextlib.ExitStack() as stack:
            sink = stack.enter_context(self._created(incoming))
            cipher = stack.enter_context(self._cipher("-e", "-salt"))
            dump = stack.enter_context(self.engine.dumping(self.database, bool(model["unsafe"])))
            size = flow(
                [dump],
                [Stage(["gzip", "-c", "-n"]), *cipher],
                stdout=sink,
                watch=digest,
                limit=self.limit,
                inherited=self.engine.runner.inherited,
            )
            os.fsync(sink.fileno())
        if idle:
            self._refuse_sessions("backed up while nobody uses it")
        salt = secrets.token_hex(16) if self.passphrase else ""
        checksum, tag = hashlib.sha256(), hmac.new(self._key(salt) if salt else b"-", digestmod="sha256")
        with self._opened(str(incoming)) as written:
            while chunk := written.read(_CHUNK):
                checksum.update(chunk)
                tag.update(chunk)
        manifest = {
            "file": str(path),
            "database": self.database,
            "engine": self.engine.access.engine,
            "server_version": self.engine.version(),
            "began": began,
            "ended": int(time.time()),
            "bytes": incoming.stat().st_size,
            "sha256": checksum.hexdigest(),
            "salt": salt,
            "tag": tag.hexdigest() if salt else "",
            "dump_bytes": size,
            "dump_sha256": digest.result(),
            "names_database": digest.seen,
            "tables": model["tables"],
            "locked": bool(model["unsafe"]),
            "model": model,
            "drilled": None,
        }
        # The manifest first: a file without one is no backup
        self._write_manifest(manifest)
        try:
            incoming.rename(path)
            sync_directory(self.directory)
        except OSError as error:
            raise ClusterkitError(f"cannot finish {path}: {error.strerror}") from None
        return manifest

    def _prune(self, keep: int) -> list[str]:
        backups = self.listed()
        drilled = [one["file"] for one in backups if one["drilled"]]
        removed = []
        for one in backups[: -max(keep, 1)]:
            if one["file"] in drilled[-1:]:
                continue
            for path in (f"{one['file']}{_MANIFEST}", one["file"]):
                remove(path)
                removed.append(path)
        return removed

    def _fill_scratch(self, manifest: dict[str, Any]) -> None:
        if manifest["names_database"]:
            raise ClusterkitError(
                f"{manifest['file']} names its database in a statement, since the letters of a routine or trigger are "
                "others than the database's: it can only be restored by hand"
            )
        self.engine.drop(self.scratch)
        self._fill(manifest, self.scratch)

    def _fill(self, manifest: dict[str, Any], database: str) -> None:
        """Make a database of a backup, and see that a dump of it is the backup's."""
        file = manifest["file"]
        self.engine.create_like(database, manifest["model"])
        with contextlib.ExitStack() as stack:
            source = stack.enter_context(self._opened(file))
            cipher = stack.enter_context(self._cipher("-d")) if manifest["salt"] else []
            load = stack.enter_context(self.engine.loading(database))
            digest = self._digest()
            flow(
                [*cipher, Stage(["gzip", "-d", "-c"])],
                [load],
                stdin=source,
                watch=digest,
                limit=self.limit,
                inherited=self.engine.runner.inherited,
            )
        if digest.result() != manifest["dump_sha256"]:
            raise ClusterkitError(f"what {file} holds is not what its manifest says: it was changed")
        again = self._digest()
        with self.engine.dumping(database, manifest["locked"]) as dump:
            flow([dump], [], watch=again, limit=self.limit, inherited=self.engine.runner.inherited)
        found = self.engine.look(database)
        tables = found["tables"] if found else 0
        if again.result() != manifest["dump_sha256"] or tables != manifest["tables"]:
            raise ClusterkitError(
                f"what was restored from {file} into {database} is not what was backed up: {tables} "
                f"tables of {manifest['tables']}, and a dump of it is another one"
            )

    def _digest(self) -> Digest:
        names = [self.engine.qualifier(name) for name in (self.database, self.scratch)]
        return Digest(self.engine.noise, self.engine.names_database, self.engine.qualified, names)

    def _refuse_sessions(self, what: str) -> None:
        sessions = self.engine.sessions(self.database)
        if sessions:
            shown = ", ".join(sessions[:5]) + (f" and {len(sessions) - 5} more" if len(sessions) > 5 else "")
            raise ClusterkitError(
                f"database {self.database} is to be {what}, and is used by {shown}: stop its servers first"
            )

    @contextlib.contextmanager
    def _locked(self, what: str) -> Iterator[None]:
        self._make_directory()
        with exclusive(str(self.directory / f".{self.database}.lock"), self.wait, f"{what} of {self.database}"):
            yield

    def _make_directory(self) -> None:
        try:
            if not self.directory.is_dir():
                self.directory.mkdir(mode=0o700, parents=True)
        except OSError as error:
            raise ClusterkitError(f"cannot make the directory {self.directory}: {error.strerror}") from None

    def _incoming(self) -> pathlib.Path:
        """Return where a backup is written first; what a killed run left there goes."""
        path = self.directory / f".{self.database}.incoming"
        remove(str(path))
        return path

    @contextlib.contextmanager
    def _cipher(self, *more: str) -> Iterator[list[Stage]]:
        if not self.passphrase:
            yield []
            return
        with self.engine.runner.secret_files(f"{self.passphrase}\n") as (path,):
            yield [Stage([*_CIPHER, str(_ITERATIONS), *more, "-pass", f"file:{path}"])]

    def _key(self, salt: str) -> bytes:
        return hashlib.pbkdf2_hmac("sha256", self.passphrase.encode(), b"manifest" + bytes.fromhex(salt), _ITERATIONS)

    def _manifest(self, path: pathlib.Path) -> dict[str, Any]:
        text = read_if_exists(f"{path}{_MANIFEST}")
        if text is None:
            raise ClusterkitError(f"there is no manifest beside {path}: it is no whole backup")
        try:
            manifest: dict[str, Any] = json.loads(text)
            known = manifest["sha256"] and manifest["dump_sha256"] and manifest["model"] and manifest["database"]
        except (ValueError, KeyError, TypeError):
            known = ""
        if not known:
            raise ClusterkitError(f"{path}{_MANIFEST} is no manifest of a backup")
        if manifest["database"] != self.database:
            raise ClusterkitError(f"{path} is a backup of {manifest['database']}, not of {self.database}")
        # It may have been moved to another directory since
        return {**manifest, "file": str(path)}

    def _write_manifest(self, manifest: dict[str, Any]) -> None:
        text = json.dumps(manifest, indent=2, sort_keys=True) + "\n"
        write_atomically(f"{manifest['file']}{_MANIFEST}", text.encode(), mode=0o600)

    def _note_drill(self, what: dict[str, Any]) -> None:
        write_atomically(str(self.drills), (json.dumps(what) + "\n").encode(), mode=0o600)

    @staticmethod
    @contextlib.contextmanager
    def _opened(file: str) -> Iterator[IO[bytes]]:
        try:
            with open(file, "rb") as source:  # noqa: PTH123  # names come from manifests
                yield source
        except OSError as error:
            raise ClusterkitError(f"cannot read {file}: {error.strerror}") from None

    @staticmethod
    @contextlib.contextmanager
    def _created(path: pathlib.Path) -> Iterator[IO[bytes]]:
        try:
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as sink:
                yield sink
        except OSError as error:
            raise ClusterkitError(f"cannot write {path}: {error.strerror}") from None
