# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A connection says what goes wrong in sentences, without the password, and verifies whom it talks to."""

from __future__ import annotations

import base64
import socket
import ssl
import sys
import threading
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj import directory as under_test
from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj.directory import (
    BASE,
    LDAPS,
    STARTTLS,
    SUBTREE,
    Address,
    Directory,
    escaped,
    normal,
    why_not,
)
from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj.keystore import certificates
from tests.unit.plugins.module_utils._opendj import fake_ldap
from tests.unit.plugins.module_utils._opendj.recorded_directory import recorded

STORE = Path(__file__).parent / "recorded" / "admin-truststore.base64"
PEM = ssl.DER_cert_to_PEM_cert(certificates(base64.b64decode(STORE.read_text(encoding="ascii")))["admin-cert"])
ADDRESS = Address("n1", 4444, PEM, limit=2)
MANAGER = "cn=directory manager"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> fake_ldap.Server:
    """Play a server with the recorded entries."""
    server = fake_ldap.Server(recorded("n1.ldif", "conflicts.ldif"))
    monkeypatch.setitem(sys.modules, "ldap", fake_ldap.make(server))
    monkeypatch.setattr(under_test, "why_not", lambda address: f"why {address}")
    monkeypatch.setattr(under_test, "shown_certificate", lambda _address: b"")
    return server


def failing(name: str, **details: Any) -> Callable[[Any], Exception]:
    def make(module: Any) -> Exception:
        error: Exception = getattr(module, name)(details)
        return error

    return make


def test_entries_and_their_values(server: fake_ldap.Server) -> None:
    with Directory(ADDRESS, MANAGER, "right") as directory:
        ((dn, values),) = directory.search("cn=Crypto Manager,cn=config", BASE)
        assert (dn, values["ds-cfg-ssl-encryption"]) == ("cn=Crypto Manager,cn=config", ["true"])
        assert directory.search("cn=nowhere", BASE) == []
        assert len(directory.search("o=gluu", SUBTREE, "(ds-sync-conflict=*)", ["cn"])) == 2
        # One that ends since it has found enough keeps what it has found
        assert len(directory.search("o=gluu", SUBTREE, "(ds-sync-conflict=*)", ["cn"], most=1)) == 1
    assert server.calls[0] == ("initialize", "ldaps://n1:4444")
    assert server.calls[-1] == ("unbind",)
    assert server.certificate.decode() == PEM
    assert server.options["OPT_X_TLS_REQUIRE_CERT"] == "OPT_X_TLS_DEMAND"
    assert all(0 < call[1] <= 2 for call in server.calls if call[0] == "result")


def test_changes(server: fake_ldap.Server) -> None:
    with Directory(ADDRESS, MANAGER, "right") as directory:
        directory.modify("cn=config", {"a": ["1", "ü"], "b": None})
        directory.add("cn=x", {"cn": ["x"]})
        assert directory.delete("cn=x")
        server.fails["result"] = failing("NO_SUCH_OBJECT")
        assert not directory.delete("cn=x") and not directory.modify("cn=config", {"a": ["2"]})
        with pytest.raises(ClusterkitError, match="cannot add cn=x: there is no entry to add it below"):
            directory.add("cn=x", {"cn": ["x"]})
    assert [call for call in server.calls if call[0] in ("modify", "add", "delete")] == [
        ("modify", "cn=config", [(2, "a", [b"1", "ü".encode()]), (2, "b", None)]),
        ("add", "cn=x", [("cn", [b"x"])]),
        ("delete", "cn=x"),
        ("delete", "cn=x"),
        ("modify", "cn=config", [(2, "a", [b"2"])]),
        ("add", "cn=x", [("cn", [b"x"])]),
    ]


def test_start_tls_comes_before_the_password(server: fake_ldap.Server) -> None:
    with Directory(Address("::1", 1389, PEM, STARTTLS), MANAGER, "right"):
        pass
    assert [call[0] for call in server.calls] == ["initialize", "start_tls", "bind", "unbind"]
    assert server.calls[0] == ("initialize", "ldap://[::1]:1389")


def test_wrong_password(server: fake_ldap.Server) -> None:
    with pytest.raises(ClusterkitError) as raised, Directory(ADDRESS, MANAGER, "CANARY"):
        pass
    assert str(raised.value) == "n1:4444 does not accept the password of cn=directory manager"
    assert raised.value.details == {"result": 49}
    assert server.calls[-1] == ("unbind",)


@pytest.mark.parametrize(
    ("call", "failure", "said"),
    [
        ("bind", failing("SERVER_DOWN"), "why n1:4444"),
        ("start_tls", failing("CONNECT_ERROR"), "why n1:4444"),
        ("bind", failing("TIMEOUT"), "n1:4444 did not answer within 2 s: bind as cn=directory manager"),
        ("search", failing("TIMELIMIT_EXCEEDED"), "n1:4444 did not answer within 2 s: search below o=gluu"),
        (
            "search",
            failing("UNWILLING_TO_PERFORM", result=53, desc="Server is unwilling", info="right is read-only"),
            "n1:4444 refuses to search below o=gluu: Server is unwilling: ******** is read-only",
        ),
        ("result", failing("LDAPError"), "n1:4444 refuses to search below o=gluu: LDAPError"),
    ],
)
def test_failures_are_sentences(
    server: fake_ldap.Server, call: str, failure: Callable[[Any], Exception], said: str
) -> None:
    server.fails[call] = failure
    tls = STARTTLS if call == "start_tls" else "ldaps"
    with pytest.raises(ClusterkitError) as raised, Directory(Address("n1", 4444, PEM, tls, 2), MANAGER, "right") as one:
        one.search("o=gluu", SUBTREE)
    assert str(raised.value) == said


def test_nothing_is_asked_without_password_or_certificate(server: fake_ldap.Server) -> None:
    with pytest.raises(ClusterkitError, match="password of cn=directory manager on n1:4444 is empty"), Directory(
        ADDRESS, MANAGER, ""
    ):
        pass
    with pytest.raises(ClusterkitError, match="certificate is no PEM text"), Directory(
        Address("n1", 4444, "nonsense"), MANAGER, "right"
    ):
        pass
    damaged = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    server.readable = False
    with pytest.raises(ClusterkitError, match="n1:4444 has to show is none that can be read"), Directory(
        Address("n1", 4444, damaged), MANAGER, "right"
    ):
        pass
    assert "bind" not in [call[0] for call in server.calls]


def test_library_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ldap", None)
    assert not under_test.has_library()
    with pytest.raises(ClusterkitError, match=r"python-ldap.*package python3-ldap"):
        Directory(ADDRESS, MANAGER, "right")


def test_why_no_connection_came_about(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        address = Address("127.0.0.1", port, PEM, limit=0.1)
        # It takes the connection and says nothing
        assert why_not(address) == f"127.0.0.1:{port} did not answer within 0.1 s"
        assert why_not(Address("127.0.0.1", port, PEM, STARTTLS, 0.1)) == why_not(address)
    assert why_not(address) == f"no connection to 127.0.0.1:{port}: Connection refused"
    assert why_not(Address("nowhere.invalid", 1, PEM)).startswith("nowhere.invalid does not resolve on this host: ")


def test_another_certificate_or_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = [ssl.PEM_cert_to_DER_cert(PEM)]
    monkeypatch.setattr(under_test, "shown_certificate", lambda _address: shown[0])
    assert why_not(ADDRESS) == (
        "the certificate of n1:4444 is not made for the name n1: connect by the name that is in it"
    )
    shown[0] = b"x"
    assert why_not(ADDRESS) == (
        "n1:4444 shows another certificate (SHA-256 2d711642b726b044…) than the one expected (28edf9c78226d8ce…): it "
        "is another server, or its certificate was renewed"
    )


def test_a_server_that_does_not_answer_is_not_given_to_the_library(
    server: fake_ldap.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "ldap", fake_ldap.make(server))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = Address("127.0.0.1", listener.getsockname()[1], PEM, limit=0.1)
        with pytest.raises(ClusterkitError, match="did not answer within"), Directory(address, MANAGER, "right"):
            pass
    assert server.calls == []


class Plain(threading.Thread):
    """A server that answers once, with a few bytes, and reads what it was sent."""

    def __init__(self, answer: bytes) -> None:
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.answer = answer
        self.read = b""

    def run(self) -> None:
        with self.listener, self.listener.accept()[0] as connection:
            self.read = connection.recv(4096)
            connection.sendall(self.answer)


@pytest.mark.parametrize(
    ("tls", "answer", "error"),
    [
        (LDAPS, b"no TLS at all, whatever else it is", "does not speak TLS"),
        (STARTTLS, b"", "closed the connection when it was asked for StartTLS"),
    ],
)
def test_a_server_that_speaks_something_else(tls: str, answer: bytes, error: str) -> None:
    plain = Plain(answer)
    plain.start()
    assert error in why_not(Address("127.0.0.1", plain.port, PEM, tls, 2))
    plain.join(2)
    assert (plain.read[-22:] == b"1.3.6.1.4.1.1466.20037") == (tls == STARTTLS)


@pytest.mark.parametrize(
    ("one", "other"), [("O=Gluu", "o=gluu"), ("uid=a , ou = People,O=x", "uid=a,ou=people,o=x"), ("", "")]
)
def test_spellings_of_one_dn(one: str, other: str) -> None:
    assert normal(one) == normal(other)


def test_escaped_commas_part_nothing() -> None:
    assert normal(f"cn={escaped('a, b')},o=x") == "cn=a\\, b,o=x"
    assert escaped("x ") == "x\\ " and escaped(" ") == "\\ "
