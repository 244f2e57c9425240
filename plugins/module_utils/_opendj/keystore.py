# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates in Java's own keystore format (JKS), read and written without starting a Java machine.

The format: magic, version, number of entries; each with tag (1 private key, 2 certificate), alias and time; then a
digest that is keyed with the password. Certificates are not encrypted in it, so reading them needs no password.
"""

from __future__ import annotations

import hashlib
import ssl
import struct
from typing import Mapping

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.files import read_if_exists

_MAGIC = 0xFEEDFEED
_VERSION = 2
_KEY, _CERTIFICATE = 1, 2
_DIGEST_BYTES = 20
#: The object identifier 2.5.4.3 as it is encoded.
_COMMON_NAME = b"\x06\x03\x55\x04\x03"


def certificates(content: bytes) -> dict[str, bytes]:
    """Return the certificate (DER) of each alias; of a private key's chain the first. Raises ClusterkitError."""
    reader = _Reader(content)
    try:
        magic, version, count = reader.numbers(">III")
        if (magic, version) != (_MAGIC, _VERSION):
            raise ClusterkitError("it is no JKS keystore of version 2 (a PKCS#12 one?)")
        found = {}
        for _entry in range(count):
            tag = reader.numbers(">I")[0]
            alias = reader.text()
            reader.numbers(">Q")
            if tag == _KEY:
                reader.block()
                chain = [reader.certificate() for _one in range(reader.numbers(">I")[0])]
            elif tag == _CERTIFICATE:
                chain = [reader.certificate()]
            else:
                raise ClusterkitError(f"it has an entry of the unknown kind {tag}")
            if chain:
                found[alias] = chain[0]
    except (struct.error, UnicodeDecodeError):
        raise ClusterkitError("it is cut off or damaged") from None
    return found


def truststore(trusted: Mapping[str, bytes], password: str) -> bytes:
    """Return a keystore that holds only certificates (DER), by alias."""
    out = struct.pack(">III", _MAGIC, _VERSION, len(trusted))
    for alias, der in trusted.items():
        out += struct.pack(">I", _CERTIFICATE) + _text(alias) + struct.pack(">Q", 0)
        out += _text("X.509") + struct.pack(">I", len(der)) + der
    # The digest tells whether the file was damaged; certificates are no secret. The words are part of the format
    keyed = password.encode("utf-16-be") + b"Mighty Aphrodite" + out
    return out + hashlib.sha1(keyed).digest()  # noqa: S324  # the format knows no other


def trusted_certificates(path: str, alias: str) -> str:
    """Return the certificates in the keystore `path` as PEM, that of an alias first; empty where there is no file.

    Raises ClusterkitError where there is none of the alias.
    """
    content = read_if_exists(path)
    if content is None:
        return ""
    try:
        found = certificates(content)
    except ClusterkitError as error:
        raise ClusterkitError(f"{path} cannot be read: {error}") from None
    if alias not in found:
        raise ClusterkitError(f"{path} has no certificate {alias}: it has {', '.join(sorted(found)) or 'none'}")
    others = [der for name, der in found.items() if name != alias]
    return "".join(map(ssl.DER_cert_to_PEM_cert, [found[alias], *others]))


def to_der(pem: str) -> bytes:
    """Return the first certificate of a PEM text as DER. Raises ClusterkitError."""
    try:
        begin = pem.index("-----BEGIN CERTIFICATE-----")
        end = pem.index("-----END CERTIFICATE-----", begin)
        return ssl.PEM_cert_to_DER_cert(pem[begin:end] + "-----END CERTIFICATE-----\n")
    except ValueError:
        raise ClusterkitError("the certificate is no PEM text: it begins with -----BEGIN CERTIFICATE-----") from None


def name_of(der: bytes) -> str:
    """Return the common name of a certificate's subject, empty where it has none."""
    # The subject follows the issuer: of the common names the last one is the subject's
    at = der.rfind(_COMMON_NAME)
    if at < 0:
        return ""
    begin = at + len(_COMMON_NAME) + 2
    # The length of a name is one byte: it has 64 characters at most (RFC 5280)
    return der[begin : begin + der[begin - 1]].decode("utf-8", "replace")


def _text(text: str) -> bytes:
    encoded = text.encode("utf-8")
    return struct.pack(">H", len(encoded)) + encoded


class _Reader:
    """Reads a keystore from its beginning."""

    def __init__(self, content: bytes) -> None:
        self._content = content[:-_DIGEST_BYTES]
        self._at = 0

    def numbers(self, form: str) -> tuple[int, ...]:
        """Return numbers of a form as of the module struct."""
        return struct.unpack(form, self._take(struct.calcsize(form)))

    def text(self) -> str:
        """Return a text that is preceded by its length in two bytes."""
        return self._take(self.numbers(">H")[0]).decode("utf-8")

    def block(self) -> bytes:
        """Return bytes that are preceded by their number in four bytes."""
        return self._take(self.numbers(">I")[0])

    def certificate(self) -> bytes:
        """Return a certificate, which is preceded by its kind."""
        self.text()
        return self.block()

    def _take(self, count: int) -> bytes:
        if self._at + count > len(self._content):
            raise struct.error("cut off")
        taken = self._content[self._at : self._at + count]
        self._at += count
        return taken
