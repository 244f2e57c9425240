# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A connection to a directory server: encrypted, to the server whose certificate is known, each step with a limit."""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import socket
import time
from dataclasses import dataclass
from typing import Any, Iterator, Mapping, Sequence, Tuple, Union

from ansible.module_utils.basic import missing_required_lib

from ansible_collections.clusterkit.middleware.plugins.module_utils._common import tls
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import mask
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.tls import fingerprint
from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj.keystore import to_der

#: An entry: its DN, and its values by the attribute's name in small letters.
Entry = Tuple[str, Mapping[str, Sequence[str]]]
#: What a change gives an attribute: its new values, none to take it away.
Change = Mapping[str, Union[Sequence[str], None]]

BASE, ONE, SUBTREE = "base", "one", "subtree"
LDAPS, STARTTLS = "ldaps", "starttls"
#: Result of a bind with a wrong password (RFC 4511).
INVALID_CREDENTIALS = 49
_SHOWN_DIGITS = 16
#: A change of cn=config makes a server stop and start listeners, and write its configuration: on a busy host that takes
#: longer than any question.
_CHANGE_SECONDS = 30.0
#: A request for StartTLS (RFC 4511, 4.14) as it is sent, and more than its answer has.
_START_TLS = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x16" + b"1.3.6.1.4.1.1466.20037"
_ANSWER_BYTES = 4096


@dataclass(frozen=True)
class Address:
    """Where a server answers, and the certificate (PEM) that it has to show, or that of the authority behind it.

    `host` has to be the name in the certificate: the name is verified.
    """

    host: str
    port: int
    certificate: str
    tls: str = LDAPS
    limit: float = 5.0

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Directory:
    """A bound connection, used as a context. Every method raises ClusterkitError, never with the password in it."""

    def __init__(self, address: Address, bind_dn: str, password: str) -> None:
        self._address = address
        self._bind_dn = bind_dn
        self._password = password
        self._ldap = library()
        self._certificate = -1
        self._connection: Any = None

    def __enter__(self) -> Directory:
        # An empty password is an anonymous bind, which servers accept: nothing would be verified
        if not self._password:
            raise ClusterkitError(f"the password of {self._bind_dn} on {self._address} is empty")
        try:
            self._connect()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self._close()

    def search(
        self, base: str, scope: str, wanted: str = "(objectClass=*)", attributes: Sequence[str] = (), most: int = 0
    ) -> list[Entry]:
        """Return the entries found, none where `base` does not exist; `most` ends a search that finds more."""
        ldap = self._ldap
        scopes = {BASE: ldap.SCOPE_BASE, ONE: ldap.SCOPE_ONELEVEL, SUBTREE: ldap.SCOPE_SUBTREE}
        limit = self._address.limit
        entries: list[Any] = []
        try:
            # Not the synchronous call: it drops what has come when a limit of the number ends the search
            number = self._connection.search_ext(
                base, scopes[scope], wanted, list(attributes) or None, timeout=limit, sizelimit=most
            )
            end = time.monotonic() + limit
            while True:
                kind, rows = self._connection.result(number, all=0, timeout=max(end - time.monotonic(), 0.001))
                if kind == ldap.RES_SEARCH_RESULT:
                    break
                entries += rows
        except ldap.NO_SUCH_OBJECT:
            return []
        except ldap.SIZELIMIT_EXCEEDED:
            pass
        except ldap.LDAPError as error:
            raise self._failure(error, f"search below {base or 'the root'}") from None
        return [(dn, _texts(values)) for dn, values in entries if dn is not None]

    def binary(self, dn: str, name: str) -> bytes:
        """Return the first value of an attribute as it is, empty where there is none."""
        ldap = self._ldap
        try:
            number = self._connection.search_ext(dn, ldap.SCOPE_BASE, "(objectClass=*)", [name])
            _kind, rows = self._connection.result(number, timeout=self._address.limit)
        except ldap.NO_SUCH_OBJECT:
            return b""
        except ldap.LDAPError as error:
            raise self._failure(error, f"search below {dn}") from None
        return next((bytes(value) for _dn, values in rows for given in values.values() for value in given), b"")

    def modify(self, dn: str, replaced: Change) -> bool:
        """Give attributes of an entry new values; tell whether the entry was there."""
        changes = [
            (self._ldap.MOD_REPLACE, name, None if values is None else [one.encode() for one in values])
            for name, values in replaced.items()
        ]
        return self._do(f"change {dn}", self._connection.modify_ext, dn, changes)

    def add(self, dn: str, values: Mapping[str, Sequence[str]]) -> None:
        """Make an entry. The one above it has to be there."""
        content = [(name, [one.encode() for one in given]) for name, given in values.items()]
        if not self._do(f"add {dn}", self._connection.add_ext, dn, content):
            raise ClusterkitError(f"{self._address} cannot add {dn}: there is no entry to add it below")

    def delete(self, dn: str) -> bool:
        """Delete an entry; tell whether it was there."""
        return self._do(f"delete {dn}", self._connection.delete_ext, dn)

    def _connect(self) -> None:
        ldap, address = self._ldap, self._address
        to_der(address.certificate)
        shown_certificate(address)
        # A file without a name: the library takes certificates from files only, and this one is nobody else's business
        self._certificate = os.memfd_create("certificate")
        os.write(self._certificate, address.certificate.encode())
        scheme = "ldaps" if address.tls == LDAPS else "ldap"
        host = f"[{address.host}]" if ":" in address.host else address.host
        connection = self._connection = ldap.initialize(f"{scheme}://{host}:{address.port}")
        connection.set_option(ldap.OPT_PROTOCOL_VERSION, 3)
        connection.set_option(ldap.OPT_REFERRALS, 0)
        connection.set_option(ldap.OPT_NETWORK_TIMEOUT, address.limit)
        connection.set_option(ldap.OPT_TIMEOUT, address.limit)
        connection.timeout = address.limit
        try:
            connection.set_option(ldap.OPT_X_TLS_REQUIRE_CERT, ldap.OPT_X_TLS_DEMAND)
            connection.set_option(ldap.OPT_X_TLS_CACERTFILE, f"/proc/self/fd/{self._certificate}")
            connection.set_option(ldap.OPT_X_TLS_NEWCTX, 0)
        except ValueError:
            raise ClusterkitError(f"the certificate that {address} has to show is none that can be read") from None
        try:
            if address.tls == STARTTLS:
                connection.start_tls_s()
            connection.simple_bind_s(self._bind_dn, self._password)
        except ldap.LDAPError as error:
            raise self._failure(error, f"bind as {self._bind_dn}") from None

    def _close(self) -> None:
        if self._connection is not None:
            # Where it is gone already, that is what was wanted
            with contextlib.suppress(self._ldap.LDAPError):
                self._connection.unbind_s()
            self._connection = None
        if self._certificate >= 0:
            os.close(self._certificate)
            self._certificate = -1

    def _do(self, what: str, operation: Any, *arguments: Any) -> bool:
        """Change something; tell whether the entry was there."""
        ldap = self._ldap
        try:
            number = operation(*arguments)
            self._connection.result(number, timeout=max(self._address.limit, _CHANGE_SECONDS))
        except ldap.NO_SUCH_OBJECT:
            return False
        except ldap.LDAPError as error:
            raise self._failure(error, what) from None
        return True

    def _failure(self, error: Any, what: str) -> ClusterkitError:
        ldap, address = self._ldap, self._address
        details = error.args[0] if error.args and isinstance(error.args[0], dict) else {}
        said = ": ".join(str(details[key]) for key in ("desc", "info") if details.get(key)) or type(error).__name__
        if isinstance(error, ldap.INVALID_CREDENTIALS):
            text = f"{address} does not accept the password of {self._bind_dn}"
        elif isinstance(error, (ldap.TIMEOUT, ldap.TIMELIMIT_EXCEEDED)):
            text = f"{address} did not answer within {address.limit:g} s: {what}"
        elif isinstance(error, (ldap.SERVER_DOWN, ldap.CONNECT_ERROR)):
            text = why_not(address) or f"{address} closed the connection: {what}"
        else:
            text = f"{address} refuses to {what}: {said}"
        return ClusterkitError(mask(text, [self._password]), {"result": details.get("result")})


def library() -> Any:
    """Return the module ldap. Raises ClusterkitError where it is not installed."""
    try:
        return importlib.import_module("ldap")
    except ImportError:
        raise ClusterkitError(
            missing_required_lib("python-ldap", reason="(package python3-ldap)", url="https://www.python-ldap.org")
        ) from None


def has_library() -> bool:
    """Tell whether directories can be asked from this host."""
    try:
        library()
    except ClusterkitError:
        return False
    return True


def why_not(address: Address) -> str:
    """Return why no connection came about, empty where none is found: the library's own words are none."""
    try:
        shown = shown_certificate(address)
    except ClusterkitError as error:
        return str(error)
    expected = fingerprint(to_der(address.certificate))
    if shown and fingerprint(shown) != expected:
        return (
            f"{address} shows another certificate (SHA-256 {fingerprint(shown)[:_SHOWN_DIGITS]}…) than the one expected"
            f" ({expected[:_SHOWN_DIGITS]}…): it is another server, or its certificate was renewed"
        )
    return f"the certificate of {address} is not made for the name {address.host}: connect by the name that is in it"


def shown_certificate(address: Address) -> bytes:
    """Return the certificate that a server shows: nothing is verified by that, and nothing is sent to it.

    Raises ClusterkitError where it does not answer in time. The library itself waits without end for a server that
    takes a connection and then says nothing.
    """

    def start_tls(plain: socket.socket) -> None:
        plain.sendall(_START_TLS)
        if not plain.recv(_ANSWER_BYTES):
            raise ClusterkitError(f"{address} closed the connection when it was asked for StartTLS")

    return tls.shown_certificate(
        address.host,
        address.port,
        limit=address.limit,
        name=str(address),
        begin=start_tls if address.tls == STARTTLS else None,
    )


def _texts(values: Mapping[str, Sequence[bytes]]) -> dict[str, list[str]]:
    return {name.lower(): [one.decode("utf-8", "backslashreplace") for one in given] for name, given in values.items()}


def entries_below(entries: Sequence[Entry], parent: str) -> Iterator[Entry]:
    """Walk over those entries that are below another one."""
    for dn, values in entries:
        if normal(dn).endswith("," + normal(parent)):
            yield dn, values


def normal(dn: str) -> str:
    """Return a DN in the spelling in which two of the same entry are equal: small letters, no blanks around parts."""
    parts, part, escaped = [], "", False
    for letter in dn:
        if letter == "," and not escaped:
            parts.append(part)
            part = ""
        else:
            part += letter
        escaped = letter == "\\" and not escaped
    return ",".join("=".join(word.strip() for word in one.split("=", 1)) for one in [*parts, part]).lower()


def escaped(value: str) -> str:
    """Return a value as it is written within a DN (RFC 4514)."""
    out = re.sub(r'([\\,+"<>;=])', r"\\\1", value)
    return re.sub(r"^(?=[ #])|(?<!\\)(?= $)", lambda _found: "\\", out)
