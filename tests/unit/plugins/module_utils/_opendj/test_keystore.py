# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates out of and into Java's keystores; one of them is an OpenDJ 4.9.2's own."""

from __future__ import annotations

import base64
import hashlib
import struct
from pathlib import Path
from typing import Callable

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.tls import fingerprint
from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj.keystore import (
    certificates,
    name_of,
    to_der,
    trusted_certificates,
    truststore,
)

RECORDED = Path(__file__).parent / "recorded" / "admin-truststore.base64"
#: As the server showed it on its administration port.
SHOWN = "28edf9c78226d8cecaac534f030cd689020d33c0e1b4ea6f9af1532f6814a791"


@pytest.fixture
def own() -> bytes:
    """Return the truststore that OpenDJ made at its first start."""
    return base64.b64decode(RECORDED.read_text(encoding="ascii"))


def test_the_server_s_own_truststore(own: bytes, tmp_path: Path) -> None:
    found = certificates(own)
    assert {alias: fingerprint(der) for alias, der in found.items()} == {"admin-cert": SHOWN}
    assert name_of(found["admin-cert"]) == "n1"
    path = tmp_path / "admin-truststore"
    path.write_bytes(own)
    assert to_der(trusted_certificates(str(path), "admin-cert")) == found["admin-cert"]
    with pytest.raises(ClusterkitError, match="admin-truststore has no certificate other: it has admin-cert"):
        trusted_certificates(str(path), "other")
    assert trusted_certificates(str(tmp_path / "none"), "admin-cert") == ""


def test_what_is_written_is_what_java_reads(own: bytes) -> None:
    der = certificates(own)["admin-cert"]
    made = truststore({"idp1": der, "ä": b"x"}, "pass")
    assert certificates(made) == {"idp1": der, "ä": b"x"}
    # Java verifies the digest at the end where it is given the password (keytool -list accepts this one)
    body = made[:-20]
    keyed = "pass".encode("utf-16-be") + b"Mighty Aphrodite" + body
    assert made[-20:] == hashlib.sha1(keyed).digest()  # noqa: S324  # the format knows no other
    # Byte for byte what OpenDJ wrote, but for the time of the entry
    again = truststore({"admin-cert": der}, "")
    assert len(again) == len(own)
    assert again[: 12 + 4 + 12] == own[: 12 + 4 + 12] and again[36:-20] == own[36:-20]


def test_a_private_key_s_own_certificate() -> None:
    def text(word: str) -> bytes:
        return struct.pack(">H", len(word)) + word.encode()

    chain = b"".join(text("X.509") + struct.pack(">I", 3) + der for der in (b"own", b"ca!"))
    key = struct.pack(">I", 4) + b"key!"
    entry = struct.pack(">I", 1) + text("server-cert") + bytes(8) + key + struct.pack(">I", 2) + chain
    assert certificates(struct.pack(">III", 0xFEEDFEED, 2, 1) + entry + bytes(20)) == {"server-cert": b"own"}


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda own: own[:200], "or damaged"),
        (lambda own: b"", "or damaged"),
        (lambda own: b"0\x82\x0a\x00" + own, r"no JKS keystore of version 2 \(a PKCS#12 one\?\)"),
        (lambda own: own[:15] + b"\x07" + own[16:], "an entry of the unknown kind 7"),
    ],
)
def test_what_is_no_keystore(own: bytes, change: Callable[[bytes], bytes], error: str, tmp_path: Path) -> None:
    path = tmp_path / "store"
    path.write_bytes(change(own))
    with pytest.raises(ClusterkitError, match=f"store cannot be read: it (has|is) .*{error}"):
        trusted_certificates(str(path), "admin-cert")


def test_what_is_no_pem() -> None:
    with pytest.raises(ClusterkitError, match="no PEM text: it begins with -----BEGIN CERTIFICATE-----"):
        to_der("MIID")


def test_a_certificate_without_a_name() -> None:
    assert name_of(b"0\x82") == ""
