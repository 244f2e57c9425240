# SPDX-License-Identifier: GPL-3.0-or-later
"""Load by clients that try nothing twice: whatever a balancer loses is seen."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import itertools
import json
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

LIMIT = 30.0


@dataclass
class Outcome:
    """What clients saw: answers by server, and every failure with its client."""

    answers: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def requests(self) -> int:
        """How many requests were answered."""
        return sum(self.answers.values())


class Client:
    """One client with one connection, kept alive, or a new one for each request; it keeps cookies, as browsers do."""

    def __init__(
        self,
        address: str,
        port: int,
        tls: ssl.SSLContext | None = None,
        name: str = "site",
        limit: float = LIMIT,
    ) -> None:
        self._place = (address, port)
        self._limit = limit
        self._tls = tls
        self._name = name
        self._connection: http.client.HTTPConnection | None = None
        self.cookie = ""
        self.cookie_attributes = ""

    def request(self, path: str = "/", body: bytes | None = None, keep: bool = True) -> tuple[int, dict[str, str]]:
        """Send one request and return status and answer. Raises OSError or HTTPException: nothing is tried again."""
        if self._connection is None:
            self._connection = self._connect()
        headers = {"Cookie": self.cookie} if self.cookie else {}
        if not keep:
            headers["Connection"] = "close"
        self._connection.request("POST" if body is not None else "GET", path, body=body, headers=headers)
        answer = self._connection.getresponse()
        text = answer.read()
        if cookie := answer.headers.get("Set-Cookie"):
            self.cookie, _semicolon, self.cookie_attributes = cookie.partition(";")
        if answer.will_close or not keep:
            self.close()
        return answer.status, json.loads(text) if text.startswith(b"{") else {}

    def close(self) -> None:
        """Close the connection."""
        if self._connection:
            self._connection.close()
            self._connection = None

    def _connect(self) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(*self._place, timeout=self._limit)
        connection.auto_open = 0  # a connection that was lost is a failure, not a reason to make another one
        connection.connect()
        if self._tls:
            connection.sock = self._tls.wrap_socket(connection.sock, server_hostname=self._name)
        return connection


class WebSocket:
    """A tunnel (RFC 6455) of short texts."""

    def __init__(self, address: str, port: int, tls: ssl.SSLContext | None = None, name: str = "site") -> None:
        plain = socket.create_connection((address, port), timeout=LIMIT)
        self._socket = tls.wrap_socket(plain, server_hostname=name) if tls else plain
        key = base64.b64encode(b"0123456789abcdef").decode()
        self._socket.sendall(
            f"GET /ws HTTP/1.1\r\nHost: {name}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        self._file = self._socket.makefile("rb")
        status = self._file.readline()
        if b" 101 " not in status:
            raise OSError(f"no WebSocket: {status!r}")
        while self._file.readline().strip():
            pass
        self.server = self._read()

    def echo(self, text: str) -> str:
        """Send a text and return what comes back. Raises OSError."""
        mask = b"\x11\x22\x33\x44"
        body = bytes(byte ^ mask[place % 4] for place, byte in enumerate(text.encode()))
        self._socket.sendall(bytes((0x81, 0x80 | len(body))) + mask + body)
        return self._read()

    def close(self) -> None:
        """Close the tunnel."""
        self._file.close()
        self._socket.close()

    def _read(self) -> str:
        head = self._file.read(2)
        if len(head) < 2:
            raise OSError("the WebSocket was closed")
        return self._file.read(head[1] & 0x7F).decode()


class Watcher:
    """A client that asks for a page all the time, each time anew, and knows how long nobody answered at most.

    It gives a connection up soon (`limit` seconds): one that nobody answers would hide when somebody else begins to.
    """

    def __init__(self, address: str, port: int = 80, limit: float = 0.25) -> None:
        self._client = Client(address, port, limit=limit)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.answered: list[float] = []

    def gap(self, since: float) -> float:
        """Return the longest time without an answer that ended after a moment."""
        pairs = zip(self.answered, self.answered[1:], strict=False)
        return max((later - sooner for sooner, later in pairs if later > since), default=0.0)

    def _run(self) -> None:
        while not self._stop.wait(0.02):
            with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
                if self._client.request(keep=False)[0] == 200:
                    self.answered.append(time.monotonic())
            self._client.close()

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join(60)


Visit = Callable[[], str]


@contextlib.contextmanager
def load(clients: dict[str, Visit], pause: float = 0.05) -> Iterator[Outcome]:
    """Let each client visit again and again meanwhile, `pause` seconds apart; what they saw is whole at the end."""
    outcome = Outcome()
    lock, stop, began = threading.Lock(), threading.Event(), time.monotonic()

    def run(name: str, visit: Visit) -> None:
        while not stop.wait(pause):
            try:
                server, failure = visit(), ""
            except (OSError, http.client.HTTPException, AssertionError, ValueError) as error:
                server, failure = "", f"{name} after {time.monotonic() - began:.2f} s: {error!r}"
            with lock:
                if failure:
                    outcome.failures.append(failure)
                else:
                    outcome.answers[server] += 1

    threads = [threading.Thread(target=run, args=one, daemon=True) for one in clients.items()]
    for thread in threads:
        thread.start()
    try:
        yield outcome
    finally:
        stop.set()
        for thread in threads:
            thread.join(2 * LIMIT)
        outcome.seconds = time.monotonic() - began


def getting(address: str, port: int, tls: ssl.SSLContext | None = None, keep: bool = True) -> Visit:
    """Return a client that gets a page."""
    client = Client(address, port, tls)

    def visit() -> str:
        try:
            status, answer = client.request(keep=keep)
            assert status == 200, f"status {status}"
        except BaseException:
            client.close()
            raise
        return answer["server"]

    return visit


def posting(address: str, port: int, tls: ssl.SSLContext | None = None, keep: bool = True) -> Visit:
    """Return a client that posts, each time something else, and looks whether it arrived whole."""
    client = Client(address, port, tls)
    numbers = itertools.count()

    def visit() -> str:
        body = f"{next(numbers)} ".encode() * 500
        try:
            status, answer = client.request("/post", body, keep)
            assert status == 200, f"status {status}"
            assert answer["digest"] == hashlib.sha256(body).hexdigest(), "the body did not arrive whole"
        except BaseException:
            client.close()
            raise
        return answer["server"]

    return visit


def talking(address: str, port: int, tls: ssl.SSLContext | None = None, texts: int = 5) -> Visit:
    """Return a client that opens a WebSocket, sends some texts, and closes it."""

    def visit() -> str:
        tunnel = WebSocket(address, port, tls)
        try:
            for number in range(texts):
                assert tunnel.echo(f"text {number}") == f"text {number}"
        finally:
            tunnel.close()
        return tunnel.server

    return visit
