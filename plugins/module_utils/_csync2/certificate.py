# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The key and self-signed certificate of a csync2 host, made with openssl.

csync2 asks a peer for a certificate issued by its own subject, so all hosts of a cluster need the same subject, each
with a key of its own (recorded with 2.0: with different subjects the first contact fails).
"""

from __future__ import annotations

import dataclasses
import pathlib
import re

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Result, Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.files import write_atomically
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.tls import public_key

KEY_MODE, CERTIFICATE_MODE = 0o600, 0o644
#: How openssl shows a subject: attributes separated by commas, commas in values escaped, UTF-8.
_NAMES = "sep_comma_plus,esc_2253,utf8"


@dataclasses.dataclass(frozen=True)
class Pair:
    """What there is: the certificate's subject, end of validity and SHA-256 fingerprint, and what is wrong with it."""

    subject: str = ""
    not_after: str = ""
    fingerprint: str = ""
    problem: str = ""


class Certificates:
    """The pair of files of one host. Methods raise ClusterkitError when openssl fails for a reason of its own."""

    def __init__(self, key_path: str, certificate_path: str, runner: Runner) -> None:
        self._key = pathlib.Path(key_path)
        self._certificate = pathlib.Path(certificate_path)
        self._runner = runner

    def inspect(self, subject: str, bits: int, renew_days: int = 0) -> Pair:
        """Return the present pair; `problem` says why it has to be made anew, empty when it need not."""
        wanted = _attributes_given(subject)
        for path, what in ((self._key, "key"), (self._certificate, "certificate")):
            if not path.exists():
                return Pair(problem=f"no {what} at {path}")
        argv = ["openssl", "x509", "-in", str(self._certificate), "-noout", "-enddate", "-fingerprint", "-sha256"]
        argv += ["-pubkey", "-checkend", str(renew_days * 86400), "-subject", "-nameopt", _NAMES]
        shown = self._runner.run(argv, limit=30, accept=None)
        # -checkend makes openssl exit with 1, so unreadable is told by the subject that is missing
        if "subject=" not in shown.stdout:
            return Pair(problem=f"{self._certificate} is no certificate")
        pair = Pair(
            subject=_after("subject=", shown.stdout),
            not_after=_after("notAfter=", shown.stdout),
            fingerprint=_after("Fingerprint=", shown.stdout).replace(":", "").lower(),
        )
        return dataclasses.replace(pair, problem=self._problem(pair, shown, wanted, subject, bits))

    def _problem(self, pair: Pair, shown: Result, wanted: list[tuple[str, str]], subject: str, bits: int) -> str:
        public = public_key(self._runner, str(self._key))
        if not public:
            return f"{self._key} is no private key"
        if public not in shown.stdout:
            return "key and certificate are not a pair"
        if _attributes(pair.subject) != wanted:
            return f"subject {pair.subject or 'empty'} instead of {subject}"
        if shown.rc == 1:
            return f"valid until {pair.not_after} only"
        described = self._runner.run(["openssl", "pkey", "-pubin", "-noout", "-text"], limit=30, stdin=public)
        size = re.search(r"\((\d+) bit", described.stdout)
        if size and int(size.group(1)) < bits:
            return f"{size.group(1)} bits instead of {bits}"
        return ""

    def make(self, subject: str, bits: int, days: int, renew_days: int = 0) -> None:
        """Make a key and a certificate and put both in place; killed in between, the next inspection tells.

        Nothing is put in place that would have to be made anew at once. Until then the key is in memory alone: no disk
        has it, and nothing of it stays behind when this process is killed.
        """
        wanted = _for_openssl(subject)
        for path in (self._key, self._certificate):
            if not path.parent.is_dir():
                raise ClusterkitError(f"cannot write {path}: there is no directory {path.parent}")
        with self._runner.secret_files("", "", mode=KEY_MODE) as (key, certificate):
            argv = ["openssl", "req", "-x509", "-newkey", f"rsa:{bits}", "-nodes", "-sha256", "-days", str(days)]
            argv += ["-keyout", key, "-out", certificate, "-utf8", "-subj", wanted]
            self._runner.run(argv, limit=120)
            made = Certificates(key, certificate, self._runner).inspect(subject, bits, renew_days)
            if made.problem:
                raise ClusterkitError(f"a certificate made with these options does not fit them: {made.problem}")
            write_atomically(str(self._key), pathlib.Path(key).read_bytes(), mode=KEY_MODE)
            write_atomically(str(self._certificate), pathlib.Path(certificate).read_bytes(), mode=CERTIFICATE_MODE)

    def due(self, subject: str, bits: int, renew_days: int = 0) -> str:
        """Return why something has to be done about the pair, empty when it fits and only those can read it who may."""
        loose = ", ".join(map(str, self.wrong_modes()))
        return self.inspect(subject, bits, renew_days).problem or (loose and f"wrong mode of {loose}")

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


def _attributes(subject: str) -> list[tuple[str, str]]:
    """Split a subject such as 'O=Example,CN=csync2' into its attributes; '\\' goes before a comma within a value."""
    found = re.findall(r"\s*([^=,\\]+?)\s*=\s*((?:\\.|[^\\,])*)(?:,|\Z)", subject, re.S)
    return [(name, re.sub(r"\\(.)", r"\1", value.strip(), flags=re.S)) for name, value in found]


def _attributes_given(subject: str) -> list[tuple[str, str]]:
    """Split a subject that was asked for. Raises ClusterkitError for one that is none."""
    if not re.match(r"(\s*[A-Za-z0-9.]+\s*=\s*(?=[^\s,])(\\.|[^\\,])+(,(?=.)|\Z))+\Z", subject, re.S):
        raise ClusterkitError(f"subject is {subject!r}: write attributes as in 'CN=csync2' or 'O=Example,CN=csync2'")
    return _attributes(subject)


def _for_openssl(subject: str) -> str:
    return "".join("/" + name + "=" + re.sub(r"([\\/+])", r"\\\1", value) for name, value in _attributes_given(subject))
