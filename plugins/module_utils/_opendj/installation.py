# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An OpenDJ installation on this host: what its files tell, and making one from an archive.

An installation is unpacked beside its place and moved there as a whole, with a mark in it that goes only when set-up
has ended well: whatever a killed run leaves is either no installation, or one with the mark, which is begun anew. What
has no mark was made by somebody else, or is in use, and is never touched.
"""

from __future__ import annotations

import base64
import hashlib
import os
import pathlib
import re
import shutil
import tempfile
import time
import zipfile
from dataclasses import dataclass
from typing import Any, Iterator, Mapping, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.files import (
    group_id,
    read_if_exists,
    remove,
    user_id,
    write_atomically,
)
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.locks import exclusive
from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj.directory import (
    LDAPS,
    Address,
    Directory,
    Entry,
    normal,
)
from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj.keystore import (
    name_of,
    to_der,
    trusted_certificates,
)

LOCK = "/run/lock/clusterkit-opendj.lock"
#: In an installation: its set-up has not ended yet.
MARK = ".clusterkit-incomplete"
#: In an installation: it was set up by this collection, which so may remove it again.
MADE = ".clusterkit-made"
#: In an installation: the server's name, where its certificate is that of several servers and does not tell it.
NAME = ".clusterkit-name"
#: The certificate of the administration connector, which the server makes at its first start.
ADMIN_ALIAS = "admin-cert"
#: Half the time and a third of the memory of Java's own settings, for programs that run for seconds.
TOOL_JAVA_ARGUMENTS = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xmx256m"
DEFAULT_ADMIN_PORT = 4444

_CONNECTOR = "cn=Administration Connector,cn=config"
_HANDLERS = {
    "ldap_port": "cn=LDAP Connection Handler,cn=Connection Handlers,cn=config",
    "ldaps_port": "cn=LDAPS Connection Handler,cn=Connection Handlers,cn=config",
}
_BACKEND_CLASS = "ds-cfg-pluggable-backend"
_BLOCK = 1024 * 1024
#: How long programs of a killed run are given to end.
_ORPHAN_SECONDS = 60.0


@dataclass(frozen=True)
class Setup:
    """What a server is set up with. `ldif` is a file to import, `base_entry` makes the base entries instead."""

    host: str
    base_dns: Sequence[str]
    root_dn: str
    ldap_port: int
    admin_port: int
    ldaps_port: int = 0
    ldif: str = ""
    base_entry: bool = True
    java_home: str = ""


#: The options of a module that speaks with the server of this host; the documentation fragment `opendj` tells of them.
CONNECTION: dict[str, Any] = {
    "path": {"type": "path", "default": "/opt/opendj"},
    "bind_dn": {"type": "str", "default": "cn=directory manager"},
    "password": {"type": "str", "required": True, "no_log": True},
    "limit": {"type": "float", "default": 5.0},
}


class Installation:
    """The server in a directory. Every method raises ClusterkitError."""

    def __init__(self, path: str, runner: Runner, lock: str = LOCK) -> None:
        self._path = pathlib.Path(path)
        self._runner = runner
        self._lock = lock

    @property
    def installed(self) -> bool:
        """Whether there is a server that has been set up, by whomever."""
        return self._config.exists() and not self.incomplete

    @property
    def incomplete(self) -> bool:
        """Whether this is what a run left that was killed."""
        return (self._path / MARK).exists()

    @property
    def made(self) -> bool:
        """Whether this collection has set it up, and nobody else."""
        return (self._path / MADE).exists()

    @property
    def name(self) -> str:
        """The server's name, where it is noted since its certificate does not tell it; else empty."""
        return (read_if_exists(str(self._path / NAME)) or b"").decode("utf-8", "replace").strip()

    @property
    def _config(self) -> pathlib.Path:
        return self._path / "config" / "config.ldif"

    def told(self) -> dict[str, Any]:
        """Return what the files of the installation tell, without asking the server."""
        found: dict[str, Any] = {
            "installed": self.installed,
            "incomplete": self.incomplete,
            "made": self.made,
            "build": "",
            "hostname": "",
            "ldap_port": 0,
            "ldaps_port": 0,
            "admin_port": DEFAULT_ADMIN_PORT,
            "config_base_dns": [],
            "certificate": "",
            "owner": "",
        }
        if not self.installed:
            return found
        found.update(configured(read_ldif((read_if_exists(str(self._config)) or b"").decode("utf-8", "replace"))))
        found["build"] = self._word("buildinfo")
        certificate = trusted_certificates(str(self._path / "config" / "admin-truststore"), ADMIN_ALIAS)
        found["certificate"] = certificate
        # Before the first start there is no certificate, after it not that file
        found["hostname"] = self.name or (name_of(to_der(certificate)) if certificate else self._word("hostname"))
        found["owner"] = self._config.owner()
        return found

    def ownership(self) -> tuple[str, str]:
        """Return the user and the group whose files the server's are."""
        try:
            return self._config.owner(), self._config.group()
        except (OSError, KeyError) as error:
            raise ClusterkitError(f"cannot tell whose {self._config} is: {error}") from None

    def address(
        self,
        host: str | None = "",
        port: int | None = 0,
        certificate: str | None = "",
        tls: str = LDAPS,
        limit: float = 5.0,
    ) -> Address:
        """Return where the server answers: what is given, else what its files tell."""
        told = self.told()
        address = Address(
            host or told["hostname"], port or told["admin_port"], certificate or told["certificate"], tls, limit
        )
        if not address.host:
            raise ClusterkitError(f"{self._path} does not tell the server's name: give it as host")
        if not address.certificate:
            raise ClusterkitError(
                f"{self._path} has no certificate of its administration connector yet, which the server makes at its "
                "first start: start it, or give its certificate"
            )
        return address

    def check_archive(self, archive: str, checksum: str) -> None:
        """Raise ClusterkitError unless the archive is the one with this SHA-256."""
        digest = hashlib.sha256()
        try:
            with pathlib.Path(archive).open("rb") as file:
                for block in iter(lambda: file.read(_BLOCK), b""):
                    digest.update(block)
        except OSError as error:
            raise ClusterkitError(f"cannot read the archive {archive}: {error.strerror}") from None
        if digest.hexdigest() != checksum:
            raise ClusterkitError(f"{archive} has the SHA-256 {digest.hexdigest()}, expected {checksum}")

    def install(self, archive: str, checksum: str, owner: str, group: str, setup: Setup, password: str) -> None:
        """Unpack and set up, in place of what a killed run left."""
        with exclusive(self._lock, limit=60, what=f"setting up {self._path}"):
            self.check_archive(archive, checksum)
            if self.incomplete:
                _wait_for_orphans(str(self._path))
                self._discard()
            if self._path.exists() and any(self._path.iterdir()):
                raise ClusterkitError(
                    f"{self._path} is neither empty nor a server that has been set up: move it out of the way, or give "
                    "another path"
                )
            self._unpack(archive, owner, group)
            self._set_up(owner, group, setup, password)
            write_atomically(str(self._path / MADE), b"")
            remove(str(self._path / MARK))

    def remove(self) -> None:
        """Remove what this collection has set up, with its data, and what a killed run left of doing so."""
        with exclusive(self._lock, limit=60, what=f"removing {self._path}"):
            _wait_for_orphans(str(self._path))
            if self.made or self.incomplete:
                self._discard()
            _remove_tree(self._discarded)

    @property
    def leftovers(self) -> bool:
        """Whether there is anything to remove: nothing that somebody else has set up."""
        return self.made or self.incomplete or self._discarded.exists()

    @property
    def _discarded(self) -> pathlib.Path:
        return self._path.with_name(f".{self._path.name}.clusterkit-discarded")

    def _discard(self) -> None:
        """Move the directory away in one step, so that a half of it is never taken for a server; then delete it."""
        _remove_tree(self._discarded)
        if self._path.exists():
            self._path.rename(self._discarded)
            _remove_tree(self._discarded)

    def _unpack(self, archive: str, owner: str, group: str) -> None:
        staging = self._path.with_name(f".{self._path.name}.clusterkit-staging")
        _remove_tree(staging)
        try:
            staging.mkdir(mode=0o700, parents=True)
            with zipfile.ZipFile(archive) as opened:
                for member in opened.infolist():
                    unpacked = opened.extract(member, str(staging))  # it refuses what leads outside
                    mode = member.external_attr >> 16 & 0o777
                    # Owners write: what is read-only in the archive is copied by set-up, and then edited
                    pathlib.Path(unpacked).chmod(mode | 0o200 if mode else 0o755 if member.is_dir() else 0o644)
            tops = [one for one in staging.iterdir() if (one / "setup").is_file()]
            if len(tops) != 1:
                raise ClusterkitError(f"{archive} is no archive of OpenDJ: it has no directory with a program setup")
            write_atomically(str(tops[0] / MARK), b"")
            uid, gid = user_id(owner), group_id(group)
            for directory, _names, files in os.walk(tops[0]):
                for name in ["", *files]:
                    os.chown(pathlib.Path(directory) / name, uid or 0, gid or 0)
            if self._path.exists():
                self._path.rmdir()
            tops[0].rename(self._path)
        except (OSError, zipfile.BadZipFile) as error:
            raise ClusterkitError(f"cannot unpack {archive} to {self._path}: {error}") from None
        finally:
            _remove_tree(staging)

    def _set_up(self, owner: str, group: str, setup: Setup, password: str) -> None:
        uid, gid = user_id(owner), group_id(group)
        with tempfile.TemporaryDirectory(prefix="clusterkit-opendj-") as work, self._runner.secret_files(password) as (
            secret,
        ):
            os.chown(work, uid or 0, gid or 0)
            rejects = pathlib.Path(work) / "rejects"
            argv = [str(self._path / "setup"), "--cli", "--no-prompt", "--quiet", *_options(setup, secret)]
            if setup.ldif:
                argv += ["--ldifFile", setup.ldif, "--rejectFile", str(rejects)]
            elif setup.base_entry:
                argv.append("--addBaseEntry")
            self._runner.run([*as_user(owner, group), *argv], env=tool_environment(work, setup.java_home), cwd=work)
            refused = (read_if_exists(str(rejects)) or b"").decode("utf-8", "replace")
        if refused.strip():
            # OpenDJ itself counts this as a success
            count = len(re.findall(r"(?m)^dn:", refused))
            reason = next((line.lstrip("# ") for line in refused.splitlines() if line.startswith("#")), "no reason")
            raise ClusterkitError(f"{setup.ldif}: {count} entries cannot be imported, the first since: {reason}")
        if not self._config.exists():
            raise ClusterkitError(f"set-up ended without an error, and without {self._config}")

    def _word(self, name: str) -> str:
        return (read_if_exists(str(self._path / "config" / name)) or b"").decode("utf-8", "replace").strip()


def as_user(owner: str, group: str) -> list[str]:
    """Return how a command line begins that is to run as another user, and to end with its parent nevertheless."""
    return ["setpriv", f"--reuid={owner}", f"--regid={group}", "--init-groups", "--pdeathsig=TERM", "--"]


def tool_environment(directory: str, java_home: str = "") -> dict[str, str]:
    """Return the environment of OpenDJ's programs: what they leave in a temporary directory goes into `directory`."""
    # Before Java 18 passwords in files were read in the locale's encoding, and the locale here is C
    arguments = f"{TOOL_JAVA_ARGUMENTS} -Dfile.encoding=UTF-8 -Djava.io.tmpdir={directory}"
    environment = {"OPENDJ_JAVA_ARGS": arguments, "HOME": directory}
    if java_home:
        environment["OPENDJ_JAVA_HOME"] = java_home
    return environment


def configured(entries: Sequence[Entry]) -> dict[str, Any]:
    """Return ports and base DNs from the entries of a configuration; a port is 0 where nothing listens."""
    by_name = {normal(dn): values for dn, values in entries}

    def one(dn: str, name: str) -> str:
        return next(iter(by_name.get(normal(dn), {}).get(name, [])), "")

    ports = {
        name: int(one(dn, "ds-cfg-listen-port") or 0) if one(dn, "ds-cfg-enabled") == "true" else 0
        for name, dn in _HANDLERS.items()
    }
    bases = [
        base
        for values in by_name.values()
        if _BACKEND_CLASS in (name.lower() for name in values.get("objectclass", []))
        for base in values.get("ds-cfg-base-dn", [])
    ]
    admin = int(one(_CONNECTOR, "ds-cfg-listen-port") or DEFAULT_ADMIN_PORT)
    return {**ports, "admin_port": admin, "config_base_dns": sorted(bases)}


def read_ldif(text: str) -> list[Entry]:
    """Return the entries of an LDIF text; what is no entry (comments, a version) is passed over."""
    return [entry for block in re.split(r"\n\s*\n", text) for entry in _entry(block)]


def _entry(block: str) -> Iterator[Entry]:
    lines = [line for line in re.sub(r"\n ", "", block).splitlines() if line and not line.startswith("#")]
    dn, values = "", {}  # type: str, dict[str, list[str]]
    for line in lines:
        name, colon, rest = line.partition(":")
        if not colon:
            continue
        encoded = rest.startswith(":")
        value = rest[1:].strip() if encoded else rest.lstrip(" ")
        if encoded:
            value = base64.b64decode(value).decode("utf-8", "backslashreplace")
        if name.lower() == "dn":
            dn = value
        else:
            values.setdefault(name.lower(), []).append(value)
    if values and (dn or any(line.lower().startswith("dn:") for line in lines)):
        yield dn, values


def _options(setup: Setup, password_file: str) -> list[str]:
    options = ["--hostname", setup.host]
    for base in setup.base_dns:
        options += ["--baseDN", base]
    options += ["--ldapPort", str(setup.ldap_port), "--adminConnectorPort", str(setup.admin_port)]
    options += ["--rootUserDN", setup.root_dn, "--rootUserPasswordFile", password_file]
    if setup.ldaps_port:
        options += ["--ldapsPort", str(setup.ldaps_port)]
    return [*options, "--generateSelfSignedCertificate", "--enableStartTLS", "--doNotStart"]


def _wait_for_orphans(path: str) -> None:
    """Wait until no program of the installation runs: the end of a run need not be that of what it had started.

    Raises ClusterkitError with what is still there when the limit passes.
    """
    end = time.monotonic() + _ORPHAN_SECONDS
    while True:
        running = list(_programs(path))
        if not running:
            return
        if time.monotonic() > end:
            raise ClusterkitError(
                f"programs of {path} still run ({', '.join(running[:3])}): stop them, then run this again"
            )
        time.sleep(0.2)


def _programs(path: str) -> Iterator[str]:
    for entry in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = os.fsdecode(entry.read_bytes()).split("\0")
        except OSError:
            continue  # it ended meanwhile
        own = int(entry.parent.name) == os.getpid()
        if not own and pathlib.Path(words[0]).name in ("java", "sh") and any(path + "/" in word for word in words):
            yield f"process {entry.parent.name}"


def _remove_tree(path: pathlib.Path) -> None:
    try:
        shutil.rmtree(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise ClusterkitError(f"cannot remove {path}: {error}") from None


def own_directory(params: Mapping[str, Any]) -> Directory:
    """Return a connection to the server of this host, by the options in `CONNECTION`. Raises ClusterkitError."""
    address = Installation(params["path"], Runner()).address(limit=params["limit"])
    return Directory(address, params["bind_dn"], params["password"])
