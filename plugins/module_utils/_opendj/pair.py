# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One key and certificate for the administration connectors of all servers of a cluster.

A server takes its pair from three files that belong together: `config/admin-keystore`, its pin, and
`config/admin-truststore`, by which its own programs know it (recorded with 4.9.2: it does not start with only some of
them, and makes its own pair where it finds none).
"""

from __future__ import annotations

import pathlib
import re
import secrets
import time
from dataclasses import dataclass

from ansible_collections.clusterkit.middleware.plugins.module_utils._common import host
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.files import (
    read_if_exists,
    write_atomically,
)
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.locks import exclusive
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.service import RESTART, Systemd
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.tls import fingerprint, public_key
from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj.directory import Address, shown_certificate
from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj.installation import (
    ADMIN_ALIAS,
    LOCK,
    NAME,
    Installation,
)
from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj.keystore import (
    certificates,
    to_der,
    truststore,
)

#: The certificate before, which a server shows until it has been restarted.
FORMER_ALIAS = "clusterkit-former"
_PIN_BYTES = 24
_LOOK_SECONDS = 0.2


@dataclass(frozen=True)
class Pair:
    """A private key and its certificate, both PEM, that belong together; `public_key` is PEM too."""

    certificate: str
    key: str
    public_key: str

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate, in hexadecimal digits."""
        return fingerprint(to_der(self.certificate))


def examine(runner: Runner, certificate: str, key: str, names: list[str]) -> Pair:
    """Return the pair, if every one of `names` is a name in its certificate. Raises ClusterkitError."""
    if certificate.count("-----BEGIN CERTIFICATE-----") != 1:
        raise ClusterkitError(
            "certificate has to hold one certificate as PEM, that of the key: servers and clients know it by itself"
        )
    to_der(certificate)
    argv = ["openssl", "x509", "-noout", "-pubkey", "-enddate", "-checkend", "0"]
    shown = runner.run(argv, limit=30, stdin=certificate, accept=None)
    public = re.search(r"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----", shown.stdout, re.S)
    if not public:
        raise ClusterkitError("certificate is none that openssl can read")
    if shown.rc:
        until = next((line for line in shown.stdout.splitlines() if line.startswith("notAfter=")), "notAfter=")
        raise ClusterkitError(f"the certificate has expired: it was valid until {until.partition('=')[2]}")
    with runner.secret_files(key) as (path,):
        own = public_key(runner, path)
    if not own:
        raise ClusterkitError("key is no private key as PEM, or is encrypted (it is not shown here)")
    if own != public.group():
        raise ClusterkitError("key and certificate are not a pair: the certificate is of another key")
    missing = [name for name in names if not _is_for(runner, certificate, name)]
    if missing:
        raise ClusterkitError(
            f"the certificate is not made for {', '.join(missing)}: one for all servers has the name of each among its "
            "alternative names"
        )
    return Pair(certificate, key, public.group())


def _is_for(runner: Runner, certificate: str, name: str) -> bool:
    """Tell whether a certificate is for a name, by its alternative names or else its common name, as RFC 6125 says."""
    said = runner.run(["openssl", "x509", "-noout", "-checkhost", name], limit=30, stdin=certificate).stdout
    return "does match" in said


class AdminConnector:
    """The administration connector of the server of this host. Methods raise ClusterkitError."""

    def __init__(self, path: str, name: str, runner: Runner, lock: str = LOCK) -> None:
        self._path = pathlib.Path(path)
        self._name = name
        self._runner = runner
        self._lock = lock
        self._installation = Installation(path, runner)

    @property
    def _keystore(self) -> pathlib.Path:
        return self._path / "config" / "admin-keystore"

    @property
    def _pin(self) -> pathlib.Path:
        return self._path / "config" / "admin-keystore.pin"

    @property
    def _truststore(self) -> pathlib.Path:
        return self._path / "config" / "admin-truststore"

    @property
    def installed(self) -> bool:
        """Whether there is a server."""
        return self._installation.installed

    def shown(self, limit: float) -> str:
        """Return the fingerprint of the certificate that the server shows now, empty where nothing listens.

        Raises ClusterkitError for one that takes the connection and does not answer within `limit` seconds: what it
        will show is not known.
        """
        port = self._installation.told()["admin_port"]
        if host.reach(self._name, port, limit):
            return ""
        return fingerprint(shown_certificate(Address(self._name, port, "", limit=limit)))

    def trusted(self) -> dict[str, bytes]:
        """Return the certificates in the truststore, by alias."""
        content = read_if_exists(str(self._truststore))
        return {} if content is None else certificates(content)

    def has(self, pair: Pair) -> bool:
        """Tell whether all three files are of this pair, and of nothing else."""
        return (
            self._installation.name == self._name
            and self.trusted() == {ADMIN_ALIAS: to_der(pair.certificate)}
            and self._keystore_has(pair)
        )

    def _keystore_has(self, pair: Pair) -> bool:
        if read_if_exists(str(self._keystore)) is None or read_if_exists(str(self._pin)) is None:
            return False
        argv = ["openssl", "pkcs12", "-in", str(self._keystore), "-passin", f"file:{self._pin}", "-nodes"]
        # One that the server has made is in Java's own format, which openssl cannot read
        held = self._runner.run(argv, limit=30, accept=None)
        if held.rc or "-----BEGIN CERTIFICATE-----" not in held.stdout:
            return False
        with self._runner.secret_files(held.stdout) as (opened,):
            public = public_key(self._runner, opened)
        return public == pair.public_key and to_der(held.stdout) == to_der(pair.certificate)

    def give(self, pair: Pair, unit: str, limit: float) -> None:
        """Write the pair and let the server show it, by a restart of `unit` where it runs, within `limit` seconds.

        Until it does, its own programs and all modules accept what it showed before as well: a run that is killed in
        between goes on where it was.
        """
        with exclusive(self._lock, limit=60, what=f"giving {self._path} a certificate"):
            shown = self.shown(limit)
            wanted = {ADMIN_ALIAS: to_der(pair.certificate)}
            former = {} if shown in ("", pair.fingerprint) else self._former(shown)
            # The certificate tells all servers' names from now on, and this one's no longer
            self._write(self._path / NAME, f"{self._name}\n".encode(), mode=0o644)
            if read_if_exists(str(self._pin)) is None:
                self._write(self._pin, secrets.token_hex(_PIN_BYTES).encode())
            pin = (read_if_exists(str(self._pin)) or b"").decode().strip()
            self._write(self._truststore, truststore({**wanted, **former}, pin))
            if not self._keystore_has(pair):
                self._write(self._keystore, self._made_keystore(pair))
            if former:
                Systemd(self._runner, limit).run_up(RESTART, unit)
                self._wait_for(pair, limit)
                self._write(self._truststore, truststore(wanted, pin))

    def _former(self, shown: str) -> dict[str, bytes]:
        known = {alias: der for alias, der in self.trusted().items() if fingerprint(der) == shown}
        if not known:
            raise ClusterkitError(
                f"the server on {self._name} shows a certificate (SHA-256 {shown[:16]}…) that {self._truststore} has "
                "not: it is another server, or was not restarted since somebody changed its files"
            )
        return {FORMER_ALIAS: next(iter(known.values()))}

    def _wait_for(self, pair: Pair, limit: float) -> None:
        end = time.monotonic() + limit
        while self.shown(limit) != pair.fingerprint:
            if time.monotonic() > end:
                raise ClusterkitError(
                    f"the server on {self._name} does not show its new certificate {limit:g} s after its restart: see "
                    f"{self._path}/logs/errors"
                )
            time.sleep(_LOOK_SECONDS)

    def _made_keystore(self, pair: Pair) -> bytes:
        """Return a keystore (PKCS#12, which Java's keystores of either kind may be) with the key."""
        with self._runner.secret_files(pair.key, pair.certificate) as (key, certificate):
            argv = ["openssl", "pkcs12", "-export", "-inkey", key, "-in", certificate, "-name", ADMIN_ALIAS]
            said = self._runner.run([*argv, "-passout", f"file:{self._pin}"], limit=30).stdout
        return said.encode("utf-8", "surrogateescape")

    def _write(self, path: pathlib.Path, content: bytes, mode: int = 0o600) -> None:
        owner, group = self._installation.ownership()
        write_atomically(str(path), content, mode=mode, owner=owner, group=group)
