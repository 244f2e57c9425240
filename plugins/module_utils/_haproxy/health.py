# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server's health, asked as HAProxy's own checks do: before it gets traffic again.

HAProxy takes a server that comes out of maintenance for well until a check has failed as often as it may.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from typing import Any, Mapping

_LIMIT = 5.0


def ailment(service: Mapping[str, Any], member: Mapping[str, Any], limit: float = _LIMIT) -> str:
    """Return why a server of a service is not well as seen from here, empty when it is. `limit` is in seconds."""
    check = service["check"]
    address, port = str(member["address"]), int(check["port"] or member["port"])
    context = _context() if check["tls"] else None
    try:
        if not check["path"]:
            with socket.create_connection((address, port), timeout=limit) as plain:
                if context:
                    context.wrap_socket(plain, server_hostname=member["name"]).close()
            return ""
        status = _status(address, port, check, member["name"], context, limit)
    except (OSError, http.client.HTTPException) as error:
        return f"{address}:{port}: {error}"
    if not expected(status, str(check["status"])):
        return f"{address}:{port}{check['path']} answers {status}, expected {check['status']}"
    return ""


def expected(status: int, wanted: str) -> bool:
    """Tell whether a status is one of those wanted, such as '200-399,401'."""
    for part in wanted.split(","):
        lowest, _dash, highest = part.partition("-")
        if int(lowest) <= status <= int(highest or lowest):
            return True
    return False


def _context() -> ssl.SSLContext:
    # Only whether it answers is asked. Whom HAProxy gives requests to, it verifies itself.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _status(
    address: str, port: int, check: Mapping[str, Any], name: str, context: ssl.SSLContext | None, limit: float
) -> int:
    connection = http.client.HTTPConnection(address, port, timeout=limit)
    connection.connect()
    try:
        if context:
            connection.sock = context.wrap_socket(connection.sock, server_hostname=name)
        connection.putrequest(check["method"], check["path"], skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", check["host"] or address)
        connection.putheader("Connection", "close")
        connection.endheaders()
        return connection.getresponse().status
    finally:
        connection.close()
