# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pairs of key and certificate, made and judged by openssl itself."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Outcome, Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._csync2.certificate import Certificates, Pair
from ansible_collections.clusterkit.middleware.plugins.module_utils._csync2.state import certificate_fingerprint

BITS = 2048


def make_with_openssl(directory: Path, *options: str) -> None:
    argv = ["openssl", "req", "-x509", "-nodes", "-keyout", str(directory / "key"), "-out", str(directory / "cert")]
    subprocess.run([*argv, *options], check=True, capture_output=True)


@pytest.fixture
def pair(tmp_path: Path) -> Certificates:
    return Certificates(str(tmp_path / "key"), str(tmp_path / "cert"), Runner())


def test_made_pair_fits(pair: Certificates, tmp_path: Path) -> None:
    assert pair.inspect("CN=csync2", BITS) == Pair(problem=f"no key at {tmp_path}/key")
    before = os.umask(0)
    try:
        pair.make("CN=csync2", BITS, days=30)
    finally:
        os.umask(before)
    found = pair.inspect("CN=csync2", BITS, renew_days=20)
    assert (found.subject, found.problem) == ("CN=csync2", "")
    assert re.fullmatch(r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4} GMT", found.not_after)
    assert found.fingerprint == certificate_fingerprint(str(tmp_path / "cert"))
    assert [(path.name, path.stat().st_mode & 0o777) for path in sorted(tmp_path.iterdir())] == [
        ("cert", 0o644),
        ("key", 0o600),
    ]
    assert pair.wrong_modes() == []


@pytest.mark.parametrize(
    "subject",
    [
        "O=Example,CN=csync2",
        "O = Example , CN = csync2 ",
        r"O=Example\, Inc.,CN=csync2",
        "O=Müller & Söhne,CN=同步",
        "CN=a/b",
        "CN=a+b",
        "CN=a=b",
        r"CN=a\\b",
        'CN="quoted" <x>;#',
        "C=DE,ST=x,L=y,O=#1,OU=z,CN=w",
    ],
)
def test_subjects_that_are_made_are_found_again(pair: Certificates, subject: str) -> None:
    pair.make(subject, BITS, days=30)
    assert pair.inspect(subject, BITS).problem == ""


@pytest.mark.parametrize("subject", ["", "csync2", "CN=", "CN=a,", "CN=a,,O=b", "=a", "/CN=a", "CN=a\\"])
def test_malformed_subjects(pair: Certificates, tmp_path: Path, subject: str) -> None:
    for call in (lambda: pair.inspect(subject, BITS), lambda: pair.make(subject, BITS, days=30)):
        with pytest.raises(ClusterkitError) as caught:
            call()
        assert str(caught.value) == (
            f"subject is {subject!r}: write attributes as in 'CN=csync2' or 'O=Example,CN=csync2'"
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["-newkey", "rsa:1024", "-subj", "/CN=csync2"], "1024 bits instead of 2048"),
        (["-newkey", "rsa:2048", "-subj", "/CN=other"], "subject CN=other instead of CN=csync2"),
        (["-newkey", "rsa:2048", "-subj", "/"], "subject empty instead of CN=csync2"),
        (["-newkey", "rsa:2048", "-subj", "/O=x/CN=csync2"], "subject O=x,CN=csync2 instead of CN=csync2"),
        (["-newkey", "rsa:2048", "-subj", "/CN=csync2", "-days", "5"], r"valid until .* GMT only"),
        (["-newkey", "ed25519", "-subj", "/CN=csync2"], ""),
    ],
)
def test_pairs_of_others(pair: Certificates, tmp_path: Path, options: list[str], problem: str) -> None:
    """The source document's 1024 bits among them, which csync2 itself would take."""
    make_with_openssl(tmp_path, *options)
    assert re.fullmatch(problem, pair.inspect("CN=csync2", BITS, renew_days=10).problem)


def test_expired_certificate(pair: Certificates, tmp_path: Path) -> None:
    request = tmp_path / "request"
    argv = ["openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=csync2", "-out", str(request)]
    subprocess.run([*argv, "-keyout", str(tmp_path / "key")], check=True, capture_output=True)
    argv = ["openssl", "x509", "-req", "-in", str(request), "-signkey", str(tmp_path / "key"), "-days", "-1"]
    subprocess.run([*argv, "-out", str(tmp_path / "cert")], check=True, capture_output=True)
    assert re.fullmatch(r"valid until .* GMT only", pair.inspect("CN=csync2", BITS).problem)


def test_what_is_no_pair(pair: Certificates, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key", tmp_path / "cert"
    pair.make("CN=csync2", BITS, days=30)
    mine = key.read_bytes()
    assert mine
    certificate.unlink()
    assert pair.inspect("CN=csync2", BITS).problem == f"no certificate at {certificate}"
    certificate.write_text("-----BEGIN CERTIFICATE-----\nnonsense\n")
    assert pair.inspect("CN=csync2", BITS).problem == f"{certificate} is no certificate"
    pair.make("CN=csync2", BITS, days=30)
    key.write_bytes(mine)
    assert pair.inspect("CN=csync2", BITS).problem == "key and certificate are not a pair"
    key.write_text("nonsense")
    assert pair.inspect("CN=csync2", BITS).problem == f"{key} is no private key"


def test_key_with_a_passphrase_is_none_that_csync2_could_use(pair: Certificates, tmp_path: Path) -> None:
    pair.make("CN=csync2", BITS, days=30)
    argv = ["openssl", "pkey", "-in", str(tmp_path / "key"), "-aes256", "-passout", "pass:CANARY", "-out"]
    subprocess.run([*argv, str(tmp_path / "locked")], check=True, capture_output=True)
    (tmp_path / "locked").replace(tmp_path / "key")
    assert pair.inspect("CN=csync2", BITS).problem == f"{tmp_path}/key is no private key"


@pytest.mark.parametrize(
    ("subject", "days", "renew_days", "message"),
    [
        ("CN=csync2", 30, 40, r"a certificate made with these options does not fit them: valid until .* GMT only"),
        ("commonName=csync2", 30, 0, ".*does not fit them: subject CN=csync2 instead of commonName=csync2"),
        ("nonsense=csync2", 30, 0, "(?s).*nonsense"),
    ],
)
def test_what_would_be_made_anew_each_time_is_not_put_in_place(
    pair: Certificates, tmp_path: Path, subject: str, days: int, renew_days: int, message: str
) -> None:
    try:
        pair.make(subject, BITS, days, renew_days)
    except ClusterkitError as error:
        assert re.match(message, str(error))
    else:
        # openssl 1.1.1 leaves an unknown attribute out with a warning only
        pytest.fail("made")
    assert list(tmp_path.iterdir()) == []


def test_a_new_key_is_in_no_file_until_it_is_put_in_place(
    pair: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whenever a program runs, neither the directory nor that of temporary files has what a kill could leave."""
    seen: list[tuple[list[str], list[str]]] = []
    execute = Runner.execute
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr("tempfile.tempdir", None)

    def watched(self: Runner, argv: list[str], *others: Any) -> Outcome:
        done = execute(self, argv, *others)
        seen.append((argv, sorted(str(path) for path in tmp_path.rglob("*"))))
        return done

    monkeypatch.setattr(Runner, "execute", watched)
    pair.make("CN=csync2", BITS, days=30)
    assert [argv[1] for argv, _files in seen] == ["req", "x509", "pkey", "pkey"]
    assert all(files == [str(temporary)] for _argv, files in seen), seen
    assert (tmp_path / "key").read_text().startswith("-----BEGIN PRIVATE KEY-----")
    assert pair.inspect("CN=csync2", BITS).problem == ""


def test_missing_directory(tmp_path: Path) -> None:
    pair = Certificates(str(tmp_path / "none" / "key"), str(tmp_path / "none" / "cert"), Runner())
    with pytest.raises(ClusterkitError, match=r"cannot write .*/none/key: there is no directory .*/none"):
        pair.make("CN=csync2", BITS, days=30)


def test_modes(pair: Certificates, tmp_path: Path) -> None:
    pair.make("CN=csync2", BITS, days=30)
    (tmp_path / "key").chmod(0o644)
    (tmp_path / "cert").chmod(0o600)
    assert pair.wrong_modes() == [tmp_path / "key", tmp_path / "cert"]
    pair.set_modes()
    assert pair.wrong_modes() == []
