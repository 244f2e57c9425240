# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A database server, asked and told through its own client: as this host's administrator, or over the network."""

from __future__ import annotations

import abc
import contextlib
import shutil
from dataclasses import dataclass, field
from typing import Any, ClassVar, Iterator, Mapping, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.differences import DifferenceTracker
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.pipeline import Stage

#: What is added to a database's name for the one that backups are tried in.
SCRATCH_SUFFIX = "_clusterkit_drill"


@dataclass(frozen=True)
class Access:
    """Where a server is and as whom it is asked. Without `host`: this host's, as its administrator, by its socket.

    With `authority`, certificates as PEM has them, the connection is by TLS and the server's has to be of one of them.
    """

    engine: str
    host: str = ""
    port: int = 0
    user: str = ""
    password: str = field(default="", repr=False)
    authority: str = ""
    #: Where to be connected to for questions about the server itself, for a user who may not use the engine's own.
    database: str = ""
    connect_seconds: int = 10


@dataclass(frozen=True)
class Wanted:
    """A database and its user as they should be. `clients` are the addresses that the user may come from."""

    database: str
    user: str
    password: str = field(default="", repr=False)
    clients: Sequence[str] = ()
    rights: Sequence[str] = ()
    charset: str = ""
    collation: str = ""
    tls: bool = False


class Plan:
    """What has to change, and the statements that change it."""

    def __init__(self) -> None:
        self.differences = DifferenceTracker()
        self.statements: list[str] = []

    def add(self, name: str, wanted: Any, present: Any, statements: Sequence[str] = (), secret: bool = False) -> None:
        """Compare one thing, and note the statements that it takes where it differs."""
        if self.differences.add(name, wanted, present, secret):
            self.statements += statements


class Engine(abc.ABC):
    """What the two kinds of servers have in common. All methods raise ClusterkitError."""

    #: Programs of the client, the first that is there is taken.
    client: ClassVar[Sequence[str]]
    dumper: ClassVar[Sequence[str]]
    #: What a server of this engine listens with.
    server_processes: ClassVar[Sequence[str]]
    default_port: ClassVar[int]
    #: How lines of a dump begin that differ from one dump to the next though the data are the same.
    noise: ClassVar[Sequence[bytes]] = ()
    #: How a line begins that names the database itself: such a dump cannot be tried in another one.
    names_database: ClassVar[bytes] = b""
    #: How a line begins in which names may have the database's before them, or not: see `qualifier`.
    qualified: ClassVar[bytes] = b""

    def __init__(self, access: Access, runner: Runner) -> None:
        self.access = access
        self.runner = runner

    @property
    def port(self) -> int:
        """The server's port."""
        return self.access.port or self.default_port

    @contextlib.contextmanager
    @abc.abstractmethod
    def connection(self, program: str) -> Iterator[tuple[list[str], dict[str, str]]]:
        """Yield the words with which one of the client's programs begins to connect, and its environment."""
        yield [], {}  # pragma: no cover

    @abc.abstractmethod
    def query(self, statement: str, database: str = "") -> list[list[str]]:
        """Return the rows that a statement gives."""

    @abc.abstractmethod
    def version(self) -> str:
        """Return the server's version."""

    @abc.abstractmethod
    def look(self, database: str) -> dict[str, Any] | None:
        """Return what a database is: charset, collation, tables, unsafe (tables); None where there is none."""

    @abc.abstractmethod
    def sessions(self, database: str) -> list[str]:
        """Return who is connected to a database now."""

    @abc.abstractmethod
    def plan(self, wanted: Wanted) -> Plan:
        """Return what has to change."""

    @abc.abstractmethod
    def removal(self, wanted: Wanted, drop: bool) -> Plan:
        """Return what has to change for the user to be gone, and the database where `drop`."""

    @abc.abstractmethod
    def rights(self, database: str, wanted: Sequence[str]) -> dict[str, list[str]]:
        """Return which of the wanted rights this connection's user lacks (missing), and what is beyond (surplus)."""

    @abc.abstractmethod
    def encryption(self, database: str) -> str:
        """Return the version of TLS that this connection uses, empty for none."""

    @abc.abstractmethod
    def create_like(self, name: str, model: Mapping[str, Any]) -> None:
        """Make an empty database that is as another one was when `look` saw it."""

    @abc.abstractmethod
    def drop(self, name: str) -> None:
        """Remove a database, where it is there."""

    @abc.abstractmethod
    def replace(self, name: str, scratch: str, model: Mapping[str, Any]) -> bool:
        """Let a database take another one's place; False where the engine cannot and it has to be filled anew."""

    @abc.abstractmethod
    def dump(self, database: str, locked: bool) -> list[str]:
        """Return the arguments, after those of the connection, that write a database as statements."""

    @abc.abstractmethod
    def load(self, database: str) -> list[str]:
        """Return the arguments, after those of the connection, that take statements into a database."""

    def execute(self, plan: Plan) -> None:
        """Change what a plan says."""
        for statement in plan.statements:
            self.query(statement)

    def program(self, names: Sequence[str]) -> str:
        """Return the program to run."""
        for name in names:
            if shutil.which(name):
                return name
        raise ClusterkitError(f"there is no {' or '.join(names)} on this host: is the client's package installed?")

    def authorities(self) -> list[bytes]:
        """Return the authority's certificates as a file's content, none where they are not given."""
        return [self.access.authority.encode()] if self.access.authority else []

    def qualifier(self, database: str) -> bytes:  # an engine that has such lines needs it
        """Return what then stands before a name."""
        return b""

    @contextlib.contextmanager
    def dumping(self, database: str, locked: bool) -> Iterator[Stage]:
        """Yield the stage of a pipeline that writes a database."""
        with self.connection(self.program(self.dumper)) as (argv, env):
            yield Stage([*argv, *self.dump(database, locked)], env, self.dumper[-1])

    @contextlib.contextmanager
    def loading(self, database: str) -> Iterator[Stage]:
        """Yield the stage of a pipeline that fills a database."""
        with self.connection(self.program(self.client)) as (argv, env):
            yield Stage([*argv, *self.load(database)], env, self.client[-1])

    def installed(self) -> bool:
        """Tell whether the client is there."""
        return any(shutil.which(name) for name in self.client)
