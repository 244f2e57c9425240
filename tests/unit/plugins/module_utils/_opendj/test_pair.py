# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One pair for several servers: judged before anything is written, and a run that is killed goes on where it was.

A program that shows the certificate of its keystore at its start stands for a server. Real ones take the pair in
scenario deep_opendj_faults.
"""

from __future__ import annotations

import base64
import contextlib
import shutil
import socket
import ssl
import subprocess
import threading
from pathlib import Path
from typing import Any, Iterator

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj import pair as under_test
from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj.installation import (
    ADMIN_ALIAS,
    NAME,
    Installation,
)
from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj.keystore import (
    certificates,
    to_der,
    truststore,
)
from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj.pair import AdminConnector, Pair, examine

SERVER = "localhost"
NAMES = [SERVER, "idp2.example.org"]


def made(directory: Path, name: str, *options: str) -> tuple[str, str]:
    """Return a certificate and its key that openssl makes."""
    key, certificate = directory / f"{name}.key", directory / f"{name}.pem"
    argv = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*argv, "-subj", f"/CN={name}", *(options or ("-days", "2"))], check=True, capture_output=True)
    return certificate.read_text(encoding="ascii"), key.read_text(encoding="ascii")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, str]]:
    """Return pairs by what they are: for all servers, of one server alone, by addresses, expired."""
    directory = tmp_path_factory.mktemp("pairs")
    names = ",".join(f"DNS:{name}" for name in NAMES)
    shared = made(directory, "directory", "-days", "2", "-addext", f"subjectAltName={names}")
    # The same, once more, valid until yesterday: `openssl req` makes none such
    argv = ["openssl", "x509", "-in", str(directory / "directory.pem"), "-signkey", str(directory / "directory.key")]
    expired = subprocess.run([*argv, "-days", "-1"], check=True, capture_output=True, text=True).stdout
    return {"shared": shared, "own": made(directory, SERVER), "expired": (expired, shared[1])}


class Server:
    """Shows the certificate that its keystore had when it was started."""

    def __init__(self, path: Path, pairs: dict[str, tuple[str, str]]) -> None:
        self.path = path
        self._config = path / "config"
        self._config.mkdir(parents=True)
        self._listener = socket.create_server((SERVER, 0))
        self.port = self._listener.getsockname()[1]
        entry = f"dn: cn=Administration Connector,cn=config\nds-cfg-listen-port: {self.port}\n"
        (self._config / "config.ldif").write_text(entry, encoding="utf-8")
        certificate, key = pairs["own"]
        (self._config / "admin-keystore.pin").write_text("the pin", encoding="utf-8")
        (self._config / "admin-truststore").write_bytes(truststore({ADMIN_ALIAS: to_der(certificate)}, "the pin"))
        # Java's own format, which openssl cannot read
        (self._config / "admin-keystore").write_bytes(truststore({ADMIN_ALIAS: to_der(certificate)}, "the pin"))
        self.restarts: list[str] = []
        self._pem = key + certificate
        self.start()

    def start(self) -> None:
        """Read the pair that is to be shown."""
        keystore = str(self._config / "admin-keystore")
        argv = ["openssl", "pkcs12", "-in", keystore, "-passin", f"file:{self._config}/admin-keystore.pin", "-nodes"]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        pem = self.path / "shown.pem"
        pem.write_text(done.stdout if done.returncode == 0 else self._pem, encoding="utf-8")
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(str(pem))

    def run(self) -> None:
        """Show it to whoever asks."""
        while True:
            try:
                connection, _address = self._listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError), self._context.wrap_socket(
                connection, server_side=True
            ) as one:
                one.recv(1)

    def stop(self) -> None:
        """Listen no more."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def trusted(self) -> set[bytes]:
        """Return what its programs trust."""
        return set(certificates((self._config / "admin-truststore").read_bytes()).values())


@pytest.fixture
def server(tmp_path: Path, pairs: dict[str, tuple[str, str]], monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Run a server that restarts when its unit is."""
    running = Server(tmp_path / "opendj", pairs)
    thread = threading.Thread(target=running.run)
    thread.start()

    def run_up(_self: Any, verb: str, name: str) -> None:
        running.restarts.append(f"{verb} {name}")
        running.start()

    monkeypatch.setattr(under_test.Systemd, "run_up", run_up)
    yield running
    running.stop()
    thread.join(30)


def connector(server: Server) -> AdminConnector:
    return AdminConnector(str(server.path), SERVER, Runner(), lock=str(server.path / "lock"))


def shared(pairs: dict[str, tuple[str, str]]) -> Pair:
    return examine(Runner(), *pairs["shared"], NAMES)


def test_what_cannot_be_the_pair_of_all_is_refused_by_name(pairs: dict[str, tuple[str, str]]) -> None:
    certificate, key = pairs["shared"]
    assert examine(Runner(), certificate, key, NAMES).fingerprint
    refused = [
        ("no text", key, NAMES, "one certificate as PEM"),
        (certificate * 2, key, NAMES, "one certificate as PEM"),
        (certificate, "no key", NAMES, "key is no private key"),
        (certificate, pairs["own"][1], NAMES, "not a pair"),
        (*pairs["expired"], NAMES, "has expired: it was valid until"),
        (certificate, key, [*NAMES, "idp3.example.org"], r"not made for idp3\.example\.org:"),
        (*pairs["own"], NAMES, r"not made for idp2\.example\.org:"),
    ]
    for given, of, names, complaint in refused:
        with pytest.raises(ClusterkitError, match=complaint) as error:
            examine(Runner(), given, of, names)
        assert key.splitlines()[1] not in str(error.value)


def test_a_running_server_shows_it_and_a_second_time_there_is_nothing_to_do(
    server: Server, pairs: dict[str, tuple[str, str]]
) -> None:
    wanted = shared(pairs)
    assert not connector(server).has(wanted)
    connector(server).give(wanted, "directory.service", 20)
    assert connector(server).shown(5) == wanted.fingerprint and connector(server).has(wanted)
    assert server.restarts == ["restart directory.service"]
    assert server.trusted() == {to_der(wanted.certificate)}
    assert (server.path / "config" / "admin-keystore").stat().st_mode & 0o777 == 0o600
    # The certificate is that of all: the server's own name comes from elsewhere
    told = Installation(str(server.path), Runner()).told()
    assert told["hostname"] == SERVER and to_der(told["certificate"]) == to_der(wanted.certificate)
    connector(server).give(wanted, "directory.service", 20)
    assert len(server.restarts) == 1


@pytest.mark.parametrize("writes", range(1, 5))
def test_a_run_that_is_killed_goes_on_and_is_never_locked_out(
    server: Server, pairs: dict[str, tuple[str, str]], monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    """After each write: what the server shows now, and what it would show after a restart, is trusted."""
    wanted, left = shared(pairs), [writes]
    write = under_test.write_atomically

    def killed(*arguments: Any, **more: Any) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        write(*arguments, **more)

    with monkeypatch.context() as patched, contextlib.suppress(KeyboardInterrupt):
        patched.setattr(under_test, "write_atomically", killed)
        connector(server).give(wanted, "directory.service", 20)
    assert ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate((SERVER, server.port))) in server.trusted()
    server.start()
    assert ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate((SERVER, server.port))) in server.trusted()
    assert Installation(str(server.path), Runner()).told()["hostname"] == SERVER
    connector(server).give(wanted, "directory.service", 20)
    assert connector(server).has(wanted) and connector(server).shown(5) == wanted.fingerprint


def test_a_server_that_does_not_run_is_not_started(server: Server, pairs: dict[str, tuple[str, str]]) -> None:
    """Also one that never ran: it has a name and neither keystore nor pin."""
    server.stop()
    for name in ("admin-keystore", "admin-keystore.pin", "admin-truststore"):
        (server.path / "config" / name).unlink()
    (server.path / "config" / "hostname").write_text("before\n", encoding="ascii")
    wanted = shared(pairs)
    connector(server).give(wanted, "directory.service", 5)
    assert connector(server).has(wanted) and not server.restarts
    assert (server.path / NAME).read_text(encoding="ascii") == f"{SERVER}\n"


def test_a_server_that_nobody_restarted_is_not_guessed_at(server: Server, pairs: dict[str, tuple[str, str]]) -> None:
    (server.path / "config" / "admin-truststore").write_bytes(truststore({ADMIN_ALIAS: b"another"}, "the pin"))
    with pytest.raises(ClusterkitError, match=r"shows a certificate .* has not"):
        connector(server).give(shared(pairs), "directory.service", 5)
    assert not server.restarts


def test_java_reads_it_as_the_format_that_servers_name(
    server: Server, pairs: dict[str, tuple[str, str]], tmp_path: Path
) -> None:
    """OpenDJ asks Java for a keystore of the type JKS, which takes either format."""
    keytool = shutil.which("keytool")
    assert keytool, "no keytool: `make setup` installs a Java"
    connector(server).give(shared(pairs), "directory.service", 20)
    store = ["-keystore", str(server.path / "config" / "admin-keystore"), "-storetype", "JKS"]
    argv = [keytool, "-exportcert", "-rfc", *store, "-alias", ADMIN_ALIAS, "-storepass", "the pin"]
    said = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout + said.stderr
    body = "".join(line for line in said.stdout.splitlines() if not line.startswith("-"))
    assert base64.b64decode(body) == to_der(pairs["shared"][0])
