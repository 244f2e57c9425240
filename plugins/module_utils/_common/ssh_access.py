# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How one member reaches another by ssh without anybody's help: a key of its own, for one command, host keys pinned.

The private key is made where it is used and never leaves it. Host keys are read from each host's own files, over
Ansible's connection: whoever answers at an address proves nothing by that.
"""

from __future__ import annotations

import glob
import os
import pathlib
import pwd
import re
import shlex
import shutil
import time
from typing import Mapping, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.files import (
    read_if_exists,
    remove,
    write_atomically,
)

_HOST_KEYS = "/etc/ssh/ssh_host_*_key.pub"
#: PermitRootLogin with which root may run one command by key.
_PERMITTED = ("yes", "prohibit-password", "without-password", "forced-commands-only")


def make_key(runner: Runner, path: str) -> str:
    """Make a key and return its public half. Raises ClusterkitError."""
    runner.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", path], limit=30)
    return " ".join((read_if_exists(f"{path}.pub") or b"").decode().split()[:2])


def public_key(runner: Runner, path: str) -> str:
    """Return the public half of a private key. Raises ClusterkitError for a key with a passphrase, and for none."""
    said = runner.run(["ssh-keygen", "-y", "-P", "", "-f", path], limit=30).stdout
    return " ".join(said.split()[:2])


def client(key: str, known_hosts: str, user: str, address: str, port: int, alias: str, source: str = "") -> list[str]:
    """Return the ssh command that reaches a host by a key, whatever ssh's configuration says.

    Its host keys are those that `known_hosts` has under `alias`; `source` is the address to come from.
    """
    options = {
        "BatchMode": "yes",
        "IdentitiesOnly": "yes",
        "PreferredAuthentications": "publickey",
        "HostName": address,
        "HostKeyAlias": alias,
        "UserKnownHostsFile": known_hosts,
        "GlobalKnownHostsFile": "none",
        "StrictHostKeyChecking": "yes",
        "ConnectTimeout": "10",
        "ServerAliveInterval": "15",
    }
    words = ["ssh", "-F", "none", "-l", user, "-p", str(port), "-i", key, *(("-b", source) if source else ())]
    return words + [word for name, value in options.items() for word in ("-o", f"{name}={value}")]


def host_keys(pattern: str = _HOST_KEYS) -> list[str]:
    """Return the public keys by which this host shows itself, each as its type and its text."""
    contents = (read_if_exists(path) or b"" for path in sorted(glob.glob(pattern)))  # noqa: PTH207  # an absolute pattern
    return [" ".join(content.decode().split()[:2]) for content in contents if content]


def settings(runner: Runner, address: str = "", user: str = "root") -> dict[str, str]:
    """Return what sshd has set for a user from an address, or from none in particular. Raises ClusterkitError."""
    program = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if not program:
        raise ClusterkitError("sshd is not installed")
    who = ["-C", f"user={user},host={address},addr={address}"] if address else []
    found: dict[str, str] = {}
    for line in runner.run([program, "-T", *who], limit=15).stdout.splitlines():
        name, _space, value = line.partition(" ")
        # Of what is said several times, such as ports, the first
        found.setdefault(name, value)
    return found


class Door:
    """A user's way into this host by key, as sshd's configuration has it, for those whose lines have a mark."""

    def __init__(self, settings: Mapping[str, str], mark: str, user: str = "root", home: str | None = None) -> None:
        self._settings = settings
        self._mark = mark
        self._user = user
        try:
            entry = pwd.getpwnam(user)
        except KeyError:
            raise ClusterkitError(f"user {user!r} does not exist on this machine: create it first") from None
        self._ids = (entry.pw_uid, entry.pw_gid)
        # The environment's may be that of whoever became root
        self._home = home or entry.pw_dir

    @property
    def port(self) -> int:
        """The port on which sshd listens."""
        return int(self._settings.get("port", "22"))

    @property
    def path(self) -> str:
        """The file that holds the user's authorized keys, empty where there is none."""
        first = (self._settings.get("authorizedkeysfile", "").split() or ["none"])[0]
        if first == "none":
            return ""
        tokens = {"%%": "%", "%h": self._home, "%u": self._user, "%U": str(self._ids[0])}
        path = re.sub(r"%[%huU]", lambda found: tokens[found.group()], first)
        return os.path.join(self._home, path)  # noqa: PTH118  # as sshd does: an absolute one stays

    def line(self, name: str, public_key: str, address: str, command: Sequence[str], seconds: int | None = None) -> str:
        """Return the line that lets a name's key run one command from its address, for ever or for some seconds."""
        until = ""
        if seconds is not None:
            until = f'expiry-time="{time.strftime("%Y%m%d%H%M%S", time.localtime(time.time() + seconds))}",'
        quoted = shlex.join(command).replace("\\", "\\\\").replace('"', '\\"')
        return f'restrict,from="{address}",{until}command="{quoted}" {public_key} {self._mark} {name}\n'

    def why_closed(self) -> str:
        """Say why sshd lets nobody in by key as this user, empty where it does."""
        wanted: list[tuple[str, tuple[str, ...]]] = [("pubkeyauthentication", ("yes",))]
        if self._user == "root":
            wanted.append(("permitrootlogin", _PERMITTED))
        for name, fine in wanted:
            found = self._settings.get(name, "")
            if found not in fine:
                return f"{self._user} may not log in by key: sshd has {name} {found or 'not set'}"
        return "" if self.path else f"{self._user} may not log in by key: sshd has no authorizedkeysfile"

    def open(
        self, name: str, public_key: str, address: str, command: Sequence[str], seconds: int | None = None
    ) -> None:
        """Let a name's key run one command from its address. Raises ClusterkitError where the user cannot log in so."""
        reason = self.why_closed()
        if reason:
            raise ClusterkitError(reason)
        line = self.line(name, public_key, address, command, seconds)
        self._make_directory()
        lines = self._without(self._lines(), name)
        if lines and not lines[-1].endswith("\n"):
            lines[-1] += "\n"
        self._write([*lines, line])

    def lines(self, name: str = "") -> list[str]:
        """Return the lines of a name, or all that have the mark. Raises ClusterkitError."""
        lines = self._lines()
        return [line for line in lines if line not in self._without(lines, name)]

    def admits(self, name: str = "") -> bool:
        """Tell whether a name, or any with the mark, is let in. Raises ClusterkitError."""
        return bool(self.lines(name))

    def close(self, name: str = "") -> None:
        """Take a name's line away, or all that have the mark. Raises ClusterkitError."""
        left = self._without(self._lines(), name)
        if left:
            self._write(left)
        else:
            remove(self.path)

    def _lines(self) -> list[str]:
        content = read_if_exists(self.path) if self.path else None
        return (content or b"").decode("utf-8", "surrogateescape").splitlines(keepends=True)

    def _write(self, lines: list[str]) -> None:
        # The file has to be the user's, or sshd takes no notice of it; one that is there keeps its owner
        new = None if os.path.exists(self.path) else self._ids[0]  # noqa: PTH110  # a path with surrogates, maybe
        group = None if new is None else self._ids[1]
        write_atomically(self.path, "".join(lines).encode("utf-8", "surrogateescape"), owner=new, group=group)

    def _make_directory(self) -> None:
        directory = pathlib.Path(self.path).parent
        if not directory.exists():
            directory.mkdir(mode=0o700)
            os.chown(directory, *self._ids)

    def _without(self, lines: list[str], name: str) -> list[str]:
        end = re.compile(rf" {self._mark} {re.escape(name) if name else '.*'}\s*$")
        return [line for line in lines if not end.search(line)]
