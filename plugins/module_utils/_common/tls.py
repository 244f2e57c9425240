# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates and their keys: what a server shows of itself when it is asked for TLS, and what belongs together."""

from __future__ import annotations

import hashlib
import socket
import ssl
from typing import Callable

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError


def fingerprint(der: bytes) -> str:
    """Return the SHA-256 fingerprint of a certificate in hexadecimal digits."""
    return hashlib.sha256(der).hexdigest()


def public_key(runner: Runner, path: str) -> str:
    """Return the public key (PEM) of the private key in a file, empty where that has none or an encrypted one.

    The file may be one of `Runner.secret_files`. Raises ClusterkitError where openssl is missing.
    """
    argv = ["openssl", "pkey", "-in", path, "-pubout", "-passin", "pass:"]
    return runner.run(argv, limit=30, accept=None).stdout.strip()


def shown_certificate(
    host: str, port: int, *, limit: float, name: str = "", begin: Callable[[socket.socket], None] | None = None
) -> bytes:
    """Return the certificate (DER) that a server shows: nothing is verified by that, and nothing is sent to it.

    `limit` is in seconds, `name` what errors call the server, `begin` what has to be said before TLS begins. Raises
    ClusterkitError where it does not answer in time.
    """
    name = name or f"{host}:{port}"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with socket.create_connection((host, port), timeout=limit) as plain:
            if begin:
                begin(plain)
            with context.wrap_socket(plain) as encrypted:
                return encrypted.getpeercert(binary_form=True) or b""
    except socket.gaierror as error:
        raise ClusterkitError(f"{host} does not resolve on this host: {error.strerror}") from None
    except socket.timeout:
        raise ClusterkitError(f"{name} did not answer within {limit:g} s") from None
    except ssl.SSLError as error:
        raise ClusterkitError(f"{name} does not speak TLS: {error.reason or error}") from None
    except (OSError, UnicodeError) as error:
        raise ClusterkitError(f"no connection to {name}: {getattr(error, 'strerror', None) or error}") from None
