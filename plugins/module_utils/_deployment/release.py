# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases of artifacts: what each consists of, kept on every server, and brought into its directories.

A release says which files the directories have, all of them, by their hashes. A server keeps the contents by hash, so
that what two releases share is there once and is sent once, and so that going back needs nobody else. A file comes into
a directory by a rename of a whole one, and what would be lost, since no release has it, is kept in a copy first.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import stat
import tarfile
from dataclasses import dataclass
from typing import IO, Any, Iterator, Mapping, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.files import (
    group_id,
    read_if_exists,
    sync_directory,
    user_id,
    write_atomically,
)
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.members import unasked
from ansible_collections.clusterkit.middleware.plugins.module_utils._deployment.manifest import manifest
from ansible_collections.clusterkit.middleware.plugins.module_utils._deployment.merge import backup_path
from ansible_collections.clusterkit.middleware.plugins.module_utils._deployment.receive import staging
from ansible_collections.clusterkit.middleware.plugins.module_utils._deployment.settings import PROBE, Directory

Found = Mapping[str, Mapping[str, Any]]
Members = Sequence[Mapping[str, str]]
#: Of a directory of a release: the files by their paths in it, each with `sha256`, `size` and `mode`.
Files = Mapping[str, Mapping[str, Any]]

STORE = "/var/lib/clusterkit/deployment_sync"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")
_HASH = re.compile(r"[0-9a-f]{64}")
_MODE = re.compile(r"0?[0-7]{3}")
_BLOCK = 1 << 20
#: So many names of files or releases stand in a sentence.
_NAMED = 5


@dataclass(frozen=True)
class Release:
    """A release: its name, and the files of each directory, which is named as on all servers."""

    name: str
    files: Mapping[str, Files]

    def text(self) -> str:
        """Return it as the file that `read` reads."""
        return json.dumps({"name": self.name, "files": self.files}, indent=1, sort_keys=True) + "\n"

    def hashes(self) -> dict[str, int]:
        """Return the contents that it needs, each by its hash with its size in bytes."""
        return {one["sha256"]: one["size"] for files in self.files.values() for one in files.values()}

    def held(self, directory: str) -> dict[str, str]:
        """Return the hash of each file of a directory, as `manifest` does of one that is there."""
        return {path: one["sha256"] for path, one in self.files.get(directory, {}).items()}


def from_mapping(given: Mapping[str, Any]) -> Release:
    """Return a release from what JSON holds. Raises ClusterkitError for what is none, such as a path that leads out."""
    name, files = given.get("name"), given.get("files")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ClusterkitError(f"{name!r} is no name of a release: give letters, digits, dots, dashes, 100 at most")
    if not isinstance(files, Mapping) or not all(isinstance(one, Mapping) for one in files.values()):
        raise ClusterkitError(f"the release {name} has no files by directory")
    for some in files.values():
        for path, one in some.items():
            _check_file(name, path, one)
        for path in some:
            if any(above in some for above in _above(path)):
                raise ClusterkitError(f"the release {name} has {path!r}, and a file where its directory would be")
    return Release(name, files)


def _check_file(name: str, path: str, one: Any) -> None:
    """Raise ClusterkitError unless this is a file of a release."""
    if path != os.path.normpath(path) or path.startswith(("/", "..")) or path == "." or "\0" in path:
        raise ClusterkitError(f"the release {name} has the file {path!r}: a path within the directory was expected")
    good = (
        isinstance(one, Mapping)
        and isinstance(one.get("size"), int)
        and _HASH.fullmatch(str(one.get("sha256")))
        and _MODE.fullmatch(str(one.get("mode")))
    )
    if not good:
        raise ClusterkitError(f"the release {name} does not say what {path!r} is: size, sha256 and mode were expected")


def _above(path: str) -> Iterator[str]:
    """Walk over the directories above a path, the nearest first."""
    while path := os.path.dirname(path):
        yield path


def hash_of(file: IO[bytes], writing: IO[bytes] | None = None) -> tuple[str, int]:
    """Return the hash and the size in bytes of what is read, and write that elsewhere too. Raises OSError."""
    whole, size = hashlib.sha256(), 0
    for block in iter(lambda: file.read(_BLOCK), b""):
        whole.update(block)
        size += len(block)
        if writing is not None:
            writing.write(block)
    return whole.hexdigest(), size


class Store:
    """What a server keeps of releases: contents by hash, their descriptions, and which one is in use."""

    def __init__(self, path: str) -> None:
        self.path = path

    def object(self, sha256: str) -> str:
        """Return the path of a content."""
        return os.path.join(self.path, "objects", sha256)

    def missing(self, release: Release) -> list[str]:
        """Return the hashes of contents that are not here."""
        return sorted(sha256 for sha256, size in release.hashes().items() if _size(self.object(sha256)) != size)

    def take(self, archive: str, wanted: Sequence[str]) -> None:
        """Take contents from a tar archive in which each has its hash as its name. Raises ClusterkitError."""
        try:
            os.makedirs(os.path.dirname(self.object("x")), mode=0o700, exist_ok=True)
            with tarfile.open(archive) as packed:
                for member in packed:
                    file = packed.extractfile(member)
                    if member.name in wanted and file:
                        self._keep(member.name, file)
            sync_directory(os.path.dirname(self.object("x")))
        except (OSError, tarfile.TarError) as error:
            raise ClusterkitError(f"cannot take the artifacts that were sent into {self.path}: {error}") from None

    def _keep(self, sha256: str, file: IO[bytes]) -> None:
        new = self.object(f".{sha256}")
        with open(new, "wb") as writing:
            os.fchmod(writing.fileno(), 0o600)
            found, _size = hash_of(file, writing)
            writing.flush()
            os.fsync(writing.fileno())
        if found != sha256:
            os.unlink(new)
            raise ClusterkitError(f"what was sent as {sha256} is {found}: it has changed meanwhile; run this again")
        os.rename(new, self.object(sha256))

    def release(self, name: str) -> Release | None:
        """Return a release that is kept here, None where it is not. Raises ClusterkitError for a damaged one."""
        content = read_if_exists(self._described(name)) if NAME.fullmatch(name) else None
        if content is None:
            return None
        try:
            return from_mapping(json.loads(content))
        except (ValueError, AttributeError):
            raise ClusterkitError(f"{self._described(name)} is damaged: remove it, and run this again") from None

    def describe(self, release: Release) -> None:
        """Keep the description of a release. Raises ClusterkitError."""
        path = self._described(release.name)
        _make(os.path.dirname(path))
        write_atomically(path, release.text().encode(), mode=0o600)

    def releases(self) -> list[str]:
        """Return the names of the releases that are here, the latest first."""
        directory = os.path.dirname(self._described("x"))
        try:
            names = [name[: -len(".json")] for name in os.listdir(directory) if name.endswith(".json")]
        except FileNotFoundError:
            return []
        named = [name for name in names if NAME.fullmatch(name)]
        return sorted(named, key=lambda name: (os.stat(self._described(name)).st_mtime_ns, name), reverse=True)

    def current(self) -> dict[str, Any]:
        """Return `release`, the one in use, `previous`, the one before it, and `settled`, whether all of it is done.

        Names are empty where there is none. Raises ClusterkitError for a damaged file.
        """
        path = os.path.join(self.path, "current.json")
        content = read_if_exists(path)
        try:
            said = json.loads(content) if content else {}
            return {
                "release": str(said.get("release", "")),
                "previous": str(said.get("previous", "")),
                "settled": bool(said.get("settled", True)),
            }
        except (ValueError, AttributeError):
            raise ClusterkitError(f"{path} is damaged: remove it, and run this again") from None

    def note(self, release: str, settled: bool) -> None:
        """Note which release is in use. Raises ClusterkitError."""
        there = self.current()
        previous = there["previous"] if there["release"] == release else there["release"]
        said = {"release": release, "previous": previous, "settled": settled}
        _make(self.path)
        write_atomically(
            os.path.join(self.path, "current.json"), f"{json.dumps(said, sort_keys=True)}\n".encode(), mode=0o600
        )

    def prune(self, count: int) -> None:
        """Keep so many releases, the latest, the one in use and the one before it; and no other contents.

        Raises ClusterkitError.
        """
        there = self.current()
        kept = {*self.releases()[:count], there["release"], there["previous"]}
        needed: set[str] = set()
        try:
            for name in self.releases():
                found = self.release(name) if name in kept else None
                if found:
                    needed |= set(found.hashes())
                else:
                    os.unlink(self._described(name))
            directory = os.path.dirname(self.object("x"))
            for name in os.listdir(directory) if os.path.isdir(directory) else []:
                if name not in needed:
                    os.unlink(os.path.join(directory, name))
        except OSError as error:
            raise ClusterkitError(f"cannot clear {self.path} of earlier releases: {error}") from None

    def _described(self, name: str) -> str:
        return os.path.join(self.path, "releases", f"{name}.json")


def _make(directory: str) -> None:
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
    except OSError as error:
        raise ClusterkitError(f"cannot make {error.filename or directory}: {error.strerror}") from None


def _size(path: str) -> int:
    """Return the size of a file in bytes, -1 where there is none."""
    try:
        return os.stat(path).st_size
    except OSError:
        return -1


# --- into a directory ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plan:
    """What becomes of a directory: all that it has, the files to be placed there, and those that go."""

    here: Mapping[str, str]
    place: Sequence[str]
    remove: Sequence[str]

    def lost(self) -> list[str]:
        """Return the files whose content is no longer in the directory afterwards."""
        return [*(path for path in self.place if path in self.here), *self.remove]


@dataclass(frozen=True)
class Owner:
    """Whose the files are to be; None is whose the directory is."""

    user: str | None = None
    group: str | None = None

    def ids(self, directory: str) -> tuple[int, int]:
        """Return them as numbers. Raises ClusterkitError for a name that is not known here, and OSError."""
        status = os.stat(directory)
        user, group = user_id(self.user or None), group_id(self.group or None)
        return (status.st_uid if user is None else user, status.st_gid if group is None else group)


def compare(path: str, files: Files, exclude: Sequence[str] = (), owner: Owner | None = None) -> Plan:
    """Return what has to be done for a directory to have the files of a release and no others.

    Raises ClusterkitError for what cannot be read.
    """
    here = manifest(path, (*exclude, f"/{PROBE}"))
    try:
        ids = (owner or Owner()).ids(path)
        place = [
            name
            for name, one in files.items()
            if here.get(name) != one["sha256"] or not _is_like(os.lstat(os.path.join(path, name)), one["mode"], ids)
        ]
    except OSError as error:
        raise ClusterkitError(f"cannot look at {error.filename or path}: {error.strerror}") from None
    return Plan(here, sorted(place), sorted(set(here) - set(files)))


def _is_like(status: os.stat_result, mode: str, ids: tuple[int, int]) -> bool:
    return stat.S_IMODE(status.st_mode) == int(mode, 8) and (status.st_uid, status.st_gid) == ids


def keep_copies(path: str, plan: Plan, store: Store, backup_directory: str, name: str) -> str:
    """Keep a copy of files that the plan takes away and no release has; return where, empty for nowhere.

    Raises ClusterkitError; nothing half is left under the copy's name then.
    """
    lost = [one for one in plan.lost() if not os.path.exists(store.object(plan.here[one]))]
    if not lost:
        return ""
    backup = backup_path(backup_directory, name)
    unfinished = os.path.join(os.path.dirname(backup), f".{os.path.basename(backup)}")
    try:
        for one in lost:
            os.makedirs(os.path.dirname(os.path.join(unfinished, one)), mode=0o700, exist_ok=True)
            shutil.copy2(os.path.join(path, one), os.path.join(unfinished, one), follow_symlinks=False)
        os.rename(unfinished, backup)
        sync_directory(os.path.dirname(backup))
    except OSError as error:
        raise ClusterkitError(f"cannot keep a copy of files of {path}, so nothing was changed: {error}") from None
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return backup


def bring(path: str, files: Files, plan: Plan, store: Store, owner: Owner | None = None) -> None:
    """Do what a plan says. Nobody ever sees a part of a file. Raises ClusterkitError.

    It may be interrupted anywhere: planned and done again, it goes on from there.
    """
    # In whose place a directory comes, and the other way round, has to go first; all else goes when the new is there
    placed = set(plan.place)
    above = {one for name in plan.place for one in _above(name)}
    first = [name for name in plan.remove if name in above or placed.intersection(_above(name))]
    place = staging(Directory("", path))
    try:
        ids = (owner or Owner()).ids(path)
        _remove(path, first)
        for number, name in enumerate(plan.place):
            there = os.path.join(path, name)
            _make_directories(path, os.path.dirname(name), ids)
            new = os.path.join(place, str(number))
            _copy(store.object(files[name]["sha256"]), new, files[name], ids)
            _make_room(there)
            os.rename(new, there)
        for directory in sorted({os.path.dirname(name) for name in plan.place}):
            sync_directory(os.path.join(path, directory))
        _remove(path, [name for name in plan.remove if name not in set(first)])
    except OSError as error:
        raise ClusterkitError(f"cannot bring the release to {path}: {error.filename}: {error.strerror}") from None
    finally:
        shutil.rmtree(place, ignore_errors=True)


def probe(path: str, token: str) -> str:
    """Bring a file into a directory as artifacts come, read it there, take it away, and return what it held.

    Raises ClusterkitError.
    """
    place, there = staging(Directory("", path)), os.path.join(path, PROBE)
    try:
        new = os.path.join(place, PROBE)
        with open(new, "wb") as writing:
            writing.write(token.encode())
        os.rename(new, there)
        with open(there, "rb") as reading:
            return reading.read().decode()
    except OSError as error:
        raise ClusterkitError(f"cannot bring a file to {path}: {error.strerror}") from None
    finally:
        with contextlib.suppress(OSError):
            os.unlink(there)
        shutil.rmtree(place, ignore_errors=True)


def _copy(source: str, new: str, one: Mapping[str, Any], ids: tuple[int, int]) -> None:
    with open(source, "rb") as reading, open(new, "wb") as writing:
        found, _size = hash_of(reading, writing)
        writing.flush()
        os.fchown(writing.fileno(), *ids)
        os.fchmod(writing.fileno(), int(one["mode"], 8))
        os.fsync(writing.fileno())
    if found != one["sha256"]:
        # The next run gets it anew
        os.unlink(source)
        raise ClusterkitError(f"{source} was damaged, so it was removed and not used: run this again")


def _make_room(there: str) -> None:
    """Remove a directory in whose place a file comes. Its files went before; a run that ended then left it empty."""
    if os.path.isdir(there) and not os.path.islink(there):
        for directory, _directories, _files in os.walk(there, topdown=False):
            os.rmdir(directory)


def _make_directories(path: str, name: str, ids: tuple[int, int]) -> None:
    for one in reversed([name, *_above(name)] if name else []):
        there = os.path.join(path, one)
        if not os.path.isdir(there):
            os.mkdir(there, 0o755)
            os.chown(there, *ids)
            os.chmod(there, 0o755)  # noqa: S103  # whatever the umask is: a service reads what is below


def _remove(path: str, names: Sequence[str]) -> None:
    """Remove files, and directories that have nothing else."""
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(path, name))
    for one in sorted({above for name in names for above in _above(name)}, key=len, reverse=True):
        with contextlib.suppress(OSError):
            os.rmdir(os.path.join(path, one))


# --- together --------------------------------------------------------------------------------------------------------


def rolled_back(found: Found, members: Members, name: str = "") -> str:
    """Return the name of the release to go back to: the one named, else the one before that which is in use.

    It is empty where there is none. The first member that has one decides.
    """
    if name:
        return name
    stores = [found[member["host"]]["store"] for member in members if member["host"] in found]
    return next((one["current"]["previous"] for one in stores if one["current"]["previous"]), "")


def problems(
    found: Found,
    members: Members,
    release: Mapping[str, Any],
    back: bool = False,
    batch: Sequence[str] = (),
    allow_empty: bool = False,
) -> list[str]:
    """Return, before anything is changed, in sentences why a release cannot be brought to the members.

    `release` has the name, the files, and, in `error`, why there is none. `back` tells that it was in use before.
    """
    silent = [unasked(member["host"]) for member in members if member["host"] not in found]
    if silent:
        return silent
    if release.get("error"):
        return [str(release["error"])]
    name = str(release["name"])
    if not back and not allow_empty and not any(release["files"].values()):
        return [
            "deployment_sync_artifacts is empty, and all servers would lose theirs: give what is to be deployed, or "
            "set deployment_sync_allow_empty."
        ]
    out = []
    first = members[0]["host"]
    names = [one["name"] for one in found[first]["directories"]]
    for member in members:
        host, info = member["host"], found[member["host"]]
        if [one["name"] for one in info["directories"]] != names:
            out.append(f"{host} has other deployment_sync_directories than {first}: set them for the whole group.")
        for one in info["directories"]:
            if not one["is_directory"]:
                what = "is no directory" if one["exists"] else "is not there"
                out.append(f"{one['path']} on {host} {what}: install the product there first, or give the right one.")
            elif one["shared"]:
                out.append(
                    f"{one['path']} on {host} is a directory of a share, which all servers have at once: call this "
                    "role's entry point `remove` for all of them first."
                )
        out += _problems_of_stores(host, info["store"], name, release, back, host in batch)
    return out


def _problems_of_stores(
    host: str, store: Mapping[str, Any], name: str, release: Mapping[str, Any], back: bool, inside: bool
) -> list[str]:
    if back and name not in store["releases"]:
        has = ", ".join(store["releases"][:_NAMED]) or "none"
        which = name or "before the one in use"
        return [f"{host} has no release {which} to go back to; it has {has}. Name one with deployment_sync_release."]
    if not back and store["digest"] and store["digest"] != release["digest"]:
        return [
            f"{host} has a release {name} with other artifacts: give these another name with deployment_sync_release, "
            "or leave that out to have one made of their contents."
        ]
    if not inside and store["current"]["release"] != name:
        return [
            f"{host} is not in this run and would keep the release {store['current']['release'] or 'that it has'}: let "
            "all servers be in one run. They are brought to it one after the other."
        ]
    return []


def too_many(foreseen: Found, members: Members, percent: int, minimum: int) -> list[str]:
    """Return, in sentences, which members would lose more files than may be deleted in one run.

    `foreseen` is what check mode of the module said of each.
    """
    out = []
    for member in members:
        for one in foreseen.get(member["host"], {}).get("directories", []):
            gone, there = len(one["removed"]), one["count"]
            if gone > minimum and gone * 100 > there * percent:
                names = ", ".join(one["removed"][:_NAMED])
                out.append(
                    f"{gone} of {there} files in {one['path']} on {member['host']} are not in the release and would be "
                    f"deleted ({names} among them), which is more than deployment_sync_delete_percent={percent}: name "
                    "the artifacts' own folders in deployment_sync_directories, or let more be deleted in this run."
                )
    return out


def digest(files: Mapping[str, Files]) -> str:
    """Return one hash of what the directories of a release have."""
    said = json.dumps({key: one for key, one in files.items() if one}, sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()


def now_name(files: Mapping[str, Files]) -> str:
    """Return the name of a release that nobody has named: the same for the same contents."""
    return f"r-{digest(files)[:12]}"


# --- artifacts -------------------------------------------------------------------------------------------------------

_MAVEN = re.compile(r"[\w.-]+:[\w.-]+(:[\w.-]+){0,2}:[\w.-]+")
_CHECKSUM = re.compile(r"sha256:[0-9a-f]{64}")
_ARTIFACT = ("path", "url", "checksum", "maven", "name", "directory", "mode")


def artifacts(given: Sequence[Mapping[str, Any]], cache: str) -> list[dict[str, Any]]:
    """Return the artifacts of the variables, each with the path that it has on the control node, fetched or not.

    `cache` is where they are fetched to. One that is fetched from a Maven repository has its coordinates apart in
    `maven`, and in `checked` whether it is looked up there each time. What is wrong with one stands in its `problem`.
    """
    return [_artifact(one, cache) for one in given]


def _artifact(one: Mapping[str, Any], cache: str) -> dict[str, Any]:
    out: dict[str, Any] = {key: one.get(key) or "" for key in _ARTIFACT}
    out["problem"] = _mistake(one, out)
    out["fetched"] = bool(out["url"] or out["maven"])
    if out["problem"]:
        return out
    if out["url"]:
        out["path"] = os.path.join(cache, out["checksum"].partition(":")[2])
        out["name"] = out["name"] or os.path.basename(re.split("[?#]", out["url"])[0])
    elif out["maven"]:
        group, artifact, *more, version = out["maven"].split(":")
        extension, classifier = (*more, "", "")[:2]
        out["maven"] = {"group": group, "artifact": artifact, "version": version}
        out["maven"].update(extension=extension or "jar", classifier=classifier)
        name = f"{artifact}-{version}{f'-{classifier}' if classifier else ''}.{extension or 'jar'}"
        out["path"] = os.path.join(cache, group, name)
        out["name"] = out["name"] or name
        out["checked"] = version.endswith("-SNAPSHOT")
    return out


def _mistake(one: Mapping[str, Any], out: Mapping[str, Any]) -> str:
    """Say what is wrong with an artifact, nothing where it is one."""
    unknown = sorted(set(one) - set(_ARTIFACT))
    if unknown:
        return f"an artifact has {', '.join(unknown)}: it may have {', '.join(_ARTIFACT)}"
    sources = [key for key in ("path", "url", "maven") if out[key]]
    if len(sources) != 1:
        return f"an artifact has {' and '.join(sources) or 'neither path nor url nor maven'}: give one of the three"
    return _mistake_of(out, sources[0])


def _mistake_of(out: Mapping[str, Any], source: str) -> str:
    if out["url"] and not _CHECKSUM.fullmatch(str(out["checksum"])):
        return (
            f"the artifact {out['url']} has the checksum '{out['checksum']}': give sha256: and 64 digits, so that what "
            "is fetched is known to be what was meant"
        )
    if out["maven"] and not _MAVEN.fullmatch(str(out["maven"])):
        return f"the artifact {out['maven']} is none of Maven: give group:artifact[:extension[:classifier]]:version"
    if out["maven"] and str(out["maven"]).rpartition(":")[2].lower() in ("latest", "release"):
        return f"the artifact {out['maven']} is another one each time: give its version"
    if out["mode"] and not _MODE.fullmatch(str(out["mode"])):
        return f"the artifact {out[source]} has the mode {out['mode']}: give it as a text such as '0644'"
    return ""
