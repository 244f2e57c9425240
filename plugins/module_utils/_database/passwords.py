# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What database servers keep of passwords: so that a password is compared, and set, without being told to anybody.

A statement with the password itself could end in a server's log; one with what the server would keep tells nothing new.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import stringprep
import unicodedata

_ITERATIONS = 4096
_VERIFIER = re.compile(r"SCRAM-SHA-256\$(\d+):([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+):([A-Za-z0-9+/=]+)")


def native(password: str) -> str:
    """Return what MariaDB keeps of a password with mysql_native_password."""
    inner = hashlib.sha1(password.encode()).digest()  # noqa: S324  # the server's protocol asks for it
    return "*" + hashlib.sha1(inner).hexdigest().upper()  # noqa: S324  # the protocol, as before


def scram(password: str) -> str:
    """Return a new verifier for PostgreSQL (RFC 5803)."""
    return _verifier(password, secrets.token_bytes(16), _ITERATIONS)


def is_scram_of(verifier: str, password: str) -> bool:
    """Tell whether what PostgreSQL keeps was made of this password, by SCRAM."""
    found = _VERIFIER.fullmatch(verifier)
    if not found:
        return False
    again = _verifier(password, base64.b64decode(found.group(2)), int(found.group(1)))
    return hmac.compare_digest(verifier, again)


def _verifier(password: str, salt: bytes, iterations: int) -> str:
    salted = hashlib.pbkdf2_hmac("sha256", _prepared(password), salt, iterations)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    told = [base64.b64encode(one).decode() for one in (salt, stored, server)]
    return f"SCRAM-SHA-256${iterations}:{told[0]}${told[1]}:{told[2]}"


def _prepared(password: str) -> bytes:
    """Return the password as SASLprep (RFC 4013) has it; servers and drivers take it as it is where that refuses it."""
    mapped = "".join(
        " " if stringprep.in_table_c12(letter) else letter for letter in password if not stringprep.in_table_b1(letter)
    )
    prepared = unicodedata.normalize("NFKC", mapped)
    prohibited = (
        *(stringprep.in_table_c12, stringprep.in_table_c21_c22, stringprep.in_table_c3, stringprep.in_table_c4),
        *(stringprep.in_table_c5, stringprep.in_table_c6, stringprep.in_table_c7, stringprep.in_table_c8),
        *(stringprep.in_table_c9, stringprep.in_table_a1),
    )
    if not prepared or any(refused(letter) for letter in prepared for refused in prohibited):
        return password.encode()
    right_to_left = [stringprep.in_table_d1(letter) for letter in prepared]
    if any(right_to_left):
        mixed = any(stringprep.in_table_d2(letter) for letter in prepared)
        if mixed or not (right_to_left[0] and right_to_left[-1]):
            return password.encode()
    return prepared.encode()
