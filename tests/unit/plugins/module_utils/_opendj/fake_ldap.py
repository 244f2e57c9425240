# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands for the module ldap: one server whose entries, passwords and failures a test sets.

What the real library does with certificates and time limits is shown by the scenario, with a real server.
"""

from __future__ import annotations

import types
from typing import Any, Callable

from tests.unit.plugins.module_utils._opendj.recorded_directory import Recorded


def make(server: Server) -> Any:
    """Return a module that connects to the server."""
    module = types.ModuleType("ldap")
    module.LDAPError = type("LDAPError", (Exception,), {})  # type: ignore[attr-defined]
    for name in (
        *("NO_SUCH_OBJECT", "SIZELIMIT_EXCEEDED", "INVALID_CREDENTIALS", "TIMEOUT", "TIMELIMIT_EXCEEDED"),
        *("SERVER_DOWN", "CONNECT_ERROR", "UNWILLING_TO_PERFORM"),
    ):
        setattr(module, name, type(name, (module.LDAPError,), {}))  # type: ignore[attr-defined]
    for number, name in enumerate(("BASE", "ONELEVEL", "SUBTREE")):
        setattr(module, f"SCOPE_{name}", number)
    for name in (
        *("OPT_PROTOCOL_VERSION", "OPT_REFERRALS", "OPT_NETWORK_TIMEOUT", "OPT_TIMEOUT", "OPT_X_TLS_REQUIRE_CERT"),
        *("OPT_X_TLS_DEMAND", "OPT_X_TLS_CACERTFILE", "OPT_X_TLS_NEWCTX"),
    ):
        setattr(module, name, name)
    module.MOD_REPLACE, module.RES_SEARCH_RESULT, module.RES_SEARCH_ENTRY = 2, 101, 100  # type: ignore[attr-defined]
    module.initialize = lambda uri: Connection(module, server, uri)  # type: ignore[attr-defined]
    return module


class Server:
    """What is on the other end."""

    def __init__(self, directory: Recorded | None = None, passwords: dict[str, str] | None = None) -> None:
        self.directory = directory or Recorded([])
        self.passwords = {"cn=directory manager": "right"} if passwords is None else passwords
        #: The failure of a call, by its name.
        self.fails: dict[str, Callable[[Any], Exception]] = {}
        self.calls: list[tuple[Any, ...]] = []
        self.options: dict[str, Any] = {}
        self.certificate = b""
        self.readable = True


class Connection:
    """One connection, with those calls that the collection uses."""

    def __init__(self, module: Any, server: Server, uri: str) -> None:
        self.module = module
        self.server = server
        self.timeout = -1.0
        self.waiting: list[Any] = []
        self.most = self.given = 0
        server.calls.append(("initialize", uri))

    def _call(self, name: str, *arguments: Any) -> None:
        self.server.calls.append((name, *arguments))
        if name in self.server.fails:
            raise self.server.fails[name](self.module)

    def set_option(self, name: str, value: Any) -> None:
        self.server.options[name] = value
        if name == "OPT_X_TLS_NEWCTX":
            with open(self.server.options["OPT_X_TLS_CACERTFILE"], "rb") as file:  # noqa: PTH123  # no path: a descriptor
                file.seek(0)
                self.server.certificate = file.read()
            if not self.server.readable:
                raise ValueError("option error")

    def start_tls_s(self) -> None:
        self._call("start_tls")

    def simple_bind_s(self, dn: str, password: str) -> None:
        self._call("bind", dn)
        if self.server.passwords.get(dn) != password:
            raise self.module.INVALID_CREDENTIALS({"result": 49, "desc": "Invalid credentials"})

    def unbind_s(self) -> None:
        self._call("unbind")

    def search_ext(self, base: str, scope: int, wanted: str, attributes: Any, timeout: float, sizelimit: int) -> int:
        self._call("search", base, wanted, timeout)
        found = self.server.directory.search(base, ("base", "one", "subtree")[scope], wanted, attributes or ())
        self.waiting = [
            [(dn, {name: [one.encode() for one in given] for name, given in values.items()})] for dn, values in found
        ]
        self.most, self.given = sizelimit, 0
        return 1

    def result(self, _number: int, all: int = 1, timeout: float = -1) -> tuple[int, Any]:
        self._call("result", timeout)
        if all:
            return self.module.RES_SEARCH_RESULT, []
        if self.waiting:
            self.given += 1
            if self.most and self.given > self.most:
                raise self.module.SIZELIMIT_EXCEEDED({"result": 4})
            return self.module.RES_SEARCH_ENTRY, self.waiting.pop(0)
        return self.module.RES_SEARCH_RESULT, []

    def modify_ext(self, dn: str, changes: Any) -> int:
        self._call("modify", dn, changes)
        if not self.server.directory.search(dn, "base"):
            raise self.module.NO_SUCH_OBJECT({"result": 32})
        return 1

    def add_ext(self, dn: str, values: Any) -> int:
        self._call("add", dn, values)
        return 1

    def delete_ext(self, dn: str) -> int:
        self._call("delete", dn)
        return 1
