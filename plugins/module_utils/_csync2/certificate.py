# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The key and self-signed certificate of a csync2 host, made with openssl.

csync2 asks a peer for a certificate issued by its own subject, so all hosts of a cluster need the same subject, each
with a key of its own (recorded with 2.0: with different subjects the first contact fails).
"""

from __future__ import annotations

import os
import pathlib
import re
import tempfile
from dataclasses import dataclass

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.files import write_atomically

KEY_MODE, CERTIFICATE_MODE = 0o600, 0o644


@dataclass(frozen=True)
class Pair:
    """What there is: the certificate's subject, end of validity and SHA-256 fingerprint, and what is wrong with it."""

    subject: str = ""
    not_after: str = ""
    fingerprint: str = ""
    problem: str = ""


class Certificates:
    """The pair of files of one host. Methods raise ClusterkitError when openssl fails for another reason than theirs."""

    def __init__(self, key_path: str, certificate_path: str, runner: Runner) -> None:
        self._key = pathlib.Path(key_path)
        self._certificate = pathlib.Path(certificate_path)
        self._runner = runner

    def inspect(self, subject: str, bits: int, renew_days: int = 0) -> Pair:
        """Return the present pair; `problem` says why it has to be made anew, empty when it need not."""
        for path, what in ((self._key, "key"), (self._certificate, "certificate")):
            if not path.exists():
                return Pair(problem=f"no {what} at {path}")
        shown = self._runner.run(
            ["openssl", "x509", "-in", str(self._certificate), "-noout", "-subject", "-nameopt", "sep_comma_plus,utf8"]
            + ["-enddate", "-fingerprint", "-sha256", "-pubkey", "-checkend", str(renew_days * 86400)],
            limit=30,
            accept=None,
        )
        public = self._runner.run(
            ["openssl", "pkey", "-in", str(self._key), "-pubout", "-passin", "pass:"], limit=30, accept=None
        )
        # -checkend makes openssl exit with 1, so unreadable is told by the subject that is missing
        if "subject=" not in shown.stdout:
            return Pair(problem=f"{self._certificate} is no certificate")
        pair = Pair(
            subject=_normal(_after("subject=", shown.stdout)),
            not_after=_after("notAfter=", shown.stdout),
            fingerprint=_after("Fingerprint=", shown.stdout).replace(":", "").lower(),
        )
        return Pair(pair.subject, pair.not_after, pair.fingerprint, self._problem(pair, shown, public, subject, bits))

    def _problem(self, pair: Pair, shown: object, public: object, subject: str, bits: int) -> str:
        out, rc = str(getattr(shown, "stdout", "")), int(getattr(shown, "rc", 1))
        public_key = str(getattr(public, "stdout", ""))
        if not public_key:
            return f"{self._key} is no private key"
        if public_key.strip() not in out:
            return "key and certificate are not a pair"
        if pair.subject != _normal(subject):
            return f"subject {pair.subject} instead of {_normal(subject)}"
        if rc == 1:
            return f"valid until {pair.not_after} only"
        described = self._runner.run(["openssl", "pkey", "-pubin", "-noout", "-text"], limit=30, stdin=public_key)
        size = re.search(r"\((\d+) bit", described.stdout)
        if size and int(size.group(1)) < bits:
            return f"{size.group(1)} bits instead of {bits}"
        return ""

    def make(self, subject: str, bits: int, days: int) -> None:
        """Make a key and a certificate and put both in place; killed in between, the next inspection tells."""
        previous = os.umask(0o077)
        try:
            with tempfile.TemporaryDirectory(prefix=".clusterkit-", dir=str(self._key.parent)) as directory:
                key, certificate = pathlib.Path(directory) / "key", pathlib.Path(directory) / "certificate"
                argv = ["openssl", "req", "-x509", "-newkey", f"rsa:{bits}", "-nodes", "-sha256", "-days", str(days)]
                argv += ["-keyout", str(key), "-out", str(certificate), "-subj", _for_openssl(subject)]
                self._runner.run(argv, limit=120)
                write_atomically(str(self._key), key.read_bytes(), mode=KEY_MODE)
                write_atomically(str(self._certificate), certificate.read_bytes(), mode=CERTIFICATE_MODE)
        finally:
            os.umask(previous)

    def wrong_modes(self) -> list[pathlib.Path]:
        """Return the files whose mode lets others in, or csync2 not."""
        wanted = ((self._key, KEY_MODE), (self._certificate, CERTIFICATE_MODE))
        return [path for path, mode in wanted if path.exists() and path.stat().st_mode & 0o7777 != mode]

    def set_modes(self) -> None:
        """Give both files their modes."""
        for path, mode in ((self._key, KEY_MODE), (self._certificate, CERTIFICATE_MODE)):
            path.chmod(mode)


def _after(mark: str, text: str) -> str:
    found = re.search(re.escape(mark) + r"(.*)", text)
    return found.group(1).strip() if found else ""


def _parts(subject: str) -> list[str]:
    """Split 'CN=csync2,O=Example' into its attributes; a comma in a value is written '\\,'."""
    parts = [part.strip() for part in re.split(r"(?<!\\),", subject)]
    for part in parts:
        if not re.match(r"[A-Za-z][A-Za-z0-9.]*\s*=\s*\S", part):
            raise ClusterkitError(f"subject is {subject!r}: write attributes as in 'CN=csync2' or 'O=Example,CN=csync2'")
    return [re.sub(r"\s*=\s*", "=", part, count=1) for part in parts]


def _normal(subject: str) -> str:
    return ",".join(_parts(subject)) if subject else ""


def _for_openssl(subject: str) -> str:
    return "".join("/" + part.replace("\\,", ",").replace("/", "\\/") for part in _parts(subject))
