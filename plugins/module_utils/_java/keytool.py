# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Java's own program for keystores, of whatever kind (JKS, PKCS#12, JCEKS): it reads them as the server will."""

from __future__ import annotations

import re
import ssl
from pathlib import Path
from typing import NamedTuple

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Result, Runner

#: A Java machine that lives for a second needs no compiler's best, and says what this program can read.
_JAVA = ("-J-XX:TieredStopAtLevel=1", "-J-XX:+UseSerialGC", "-J-Xmx96m", "-J-Duser.language=en")
_ENTRY = re.compile(
    r"^Alias name: (?P<alias>.+?)\n.*?^Entry type: (?P<kind>\w+).*?(?P<pem>-----BEGIN.+?-----END CERTIFICATE-----)",
    re.MULTILINE | re.DOTALL,
)


class Entry(NamedTuple):
    """One entry of a keystore: what kind Java says it is, and its certificate (DER), of a chain the first."""

    kind: str
    certificate: bytes


def java_home_of(keytool: str) -> str:
    """Return the directory of the Java that a keytool belongs to."""
    return str(Path(keytool).resolve().parent.parent)


class Keytool:
    """A keytool. With `chroot` it runs in there, and the paths that it is given are ones below it."""

    def __init__(self, keytool: str, runner: Runner, chroot: str = "") -> None:
        self._command = [*(["chroot", chroot] if chroot else []), keytool]
        self._runner = runner

    def entries(self, path: str, password: str) -> dict[str, Entry]:
        """Return the entries of a keystore by alias. Raises ClusterkitError."""
        return {
            found["alias"]: Entry(found["kind"], ssl.PEM_cert_to_DER_cert(found["pem"]))
            for found in _ENTRY.finditer(self.call("-list", path, password, "-rfc").stdout)
        }

    def call(
        self, verb: str, path: str, password: str, *more: str, alias: str = "", key_password: str = "", stdin: str = ""
    ) -> Result:
        """Let keytool do something with the keystore `path`. Raises ClusterkitError."""
        named = ["-alias", alias] if alias else []
        with self._runner.secret_files(password, *([key_password] if key_password else [])) as (store, *key):
            keyed = ["-keypass:file", key[0]] if key else []
            argv = [*self._command, verb, *more, *named, "-keystore", path, "-storepass:file", store, *keyed, *_JAVA]
            return self._runner.run(argv, stdin=stdin)
