# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Java truststore: compared by one call of keytool, changed in a copy that then takes its place in one step."""

from __future__ import annotations

import contextlib
import ssl
import tempfile
from pathlib import Path
from typing import Iterator, Mapping, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common import files
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._java.keytool import Keytool

_TRUSTED = "trustedCertEntry"
#: Below Java's directory: of Java 9 and later, of a JRE 8, and of a JDK 8.
_PLACES = ("lib/security/cacerts", "jre/lib/security/cacerts")


def default_path(java_home: str, chroot: str = "") -> str:
    """Return the truststore that a Java uses by itself, as a path in `chroot`. Raises ClusterkitError."""
    for place in _PLACES:
        path = f"{java_home}/{place}"
        if Path(_outside(chroot, path)).is_file():
            return path
    raise ClusterkitError(f"{java_home} has no truststore: neither of {', '.join(_PLACES)}")


def _outside(chroot: str, path: str) -> str:
    """Return where a path in `chroot` is: its links lead elsewhere in there, and the same ones here to the host's."""
    return files.in_chroot(chroot, path) if chroot else path


class Truststore:
    """The truststore `path`. With `chroot` keytool runs in there, and the path is one in there."""

    def __init__(self, path: str, password: str, keytool: str, runner: Runner, chroot: str = "") -> None:
        self._path = path
        self._password = password
        self._chroot = chroot
        self._keytool = Keytool(keytool, runner, chroot)

    def certificates(self) -> dict[str, bytes]:
        """Return the trusted certificates (DER) by alias. Raises ClusterkitError."""
        entries = self._keytool.entries(self._path, self._password)
        return {alias: entry.certificate for alias, entry in entries.items() if entry.kind == _TRUSTED}

    def change(self, wanted: Mapping[str, bytes], gone: Sequence[str]) -> None:
        """Remove the aliases `gone`, then add the certificates `wanted`. Raises ClusterkitError.

        A run that is killed leaves the truststore as it was: an application without one could reach nobody.
        """
        with self._copy() as copy:
            for alias in gone:
                self._keytool.call("-delete", copy, self._password, alias=alias)
            for alias, der in wanted.items():
                pem = ssl.DER_cert_to_PEM_cert(der)
                self._keytool.call("-importcert", copy, self._password, "-noprompt", alias=alias, stdin=pem)
            content = files.read_if_exists(f"{self._chroot}{copy}") or b""
            files.write_atomically(_outside(self._chroot, self._path), content)

    @contextlib.contextmanager
    def _copy(self) -> Iterator[str]:
        content = files.read_if_exists(_outside(self._chroot, self._path)) or b""
        place = _outside(self._chroot, "/tmp")  # noqa: S108  # in it a directory is made that is closed to others
        with tempfile.TemporaryDirectory(dir=place, prefix="clusterkit-") as directory:
            copy = f"{directory}/{Path(self._path).name}"
            files.write_atomically(copy, content, durable=False)
            yield f"/{Path(copy).relative_to(self._chroot)}" if self._chroot else copy
