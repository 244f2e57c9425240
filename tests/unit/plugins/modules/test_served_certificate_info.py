# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module served_certificate_info asks a real server."""

from __future__ import annotations

import hashlib
import socket
import ssl
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from ansible_collections.clusterkit.middleware.plugins.modules import served_certificate_info

if TYPE_CHECKING:
    from tests.unit.conftest import RunModule


def test_a_server_and_its_file(run_module: RunModule, tmp_path: Path) -> None:
    certificate, key = tmp_path / "c.pem", tmp_path / "k.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-subj", "/CN=s", "-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def serve(listening: socket.socket) -> None:
        with listening.accept()[0] as plain, context.wrap_socket(plain, server_side=True):
            pass

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, args=(listening,), daemon=True)
        thread.start()
        port = listening.getsockname()[1]
        told = run_module(served_certificate_info.main, port=port, path=str(certificate))
        thread.join(10)
    der = ssl.PEM_cert_to_DER_cert(certificate.read_text(encoding="ascii"))
    assert told["fingerprint"] == hashlib.sha256(der).hexdigest()
    assert told["file"] == hashlib.sha256(certificate.read_bytes()).hexdigest()
    assert (told["changed"], told["error"]) == (False, "")
    told = run_module(served_certificate_info.main, port=port)
    assert (told["fingerprint"], told["file"]) == ("", "")
    assert told["error"] == f"no connection to 127.0.0.1:{port}: Connection refused"
    assert run_module(served_certificate_info.main, path=str(tmp_path / "none"))["file"] == ""
