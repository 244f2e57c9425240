# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a newcomer reaches the source of its files: by a key of its own, for one command, for a limited time.

The private key is made on the newcomer and never leaves it. The source lets it in by one line of root's authorized
keys, and shows its host keys beforehand, over Ansible's connection.
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

#: Where the newcomer keeps the key; it does not outlive a restart.
DIRECTORY = "/run/clusterkit/csync2-seed"
#: Begins the comment of a line in authorized_keys, followed by the newcomer's name.
MARK = "clusterkit-csync2-seed"
_HOST_KEYS = "/etc/ssh/ssh_host_*_key.pub"
#: PermitRootLogin with which root may run one command by key.
_PERMITTED = ("yes", "prohibit-password", "without-password", "forced-commands-only")


def make_key(runner: Runner, directory: str = DIRECTORY) -> str:
    """Make a key anew and return its public half. Raises ClusterkitError."""
    remove_key(directory)
    pathlib.Path(directory).mkdir(mode=0o700, parents=True)
    key = f"{directory}/key"
    runner.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", key], limit=30)
    return " ".join((read_if_exists(f"{key}.pub") or b"").decode().split()[:2])


def has_key(directory: str = DIRECTORY) -> bool:
    """Tell whether there is a key."""
    return pathlib.Path(directory).exists()


def remove_key(directory: str = DIRECTORY) -> None:
    """Remove the key and what belongs to it."""
    if has_key(directory):
        shutil.rmtree(directory)


def shell(address: str, port: int, host_keys: Sequence[str], directory: str = DIRECTORY) -> list[str]:
    """Return the ssh command that reaches the source with the key, whatever its configuration says; pin host keys."""
    known = f"{directory}/known_hosts"
    write_atomically(known, "".join(f"source {key}\n" for key in host_keys).encode(), durable=False)
    options = {
        "BatchMode": "yes",
        "IdentitiesOnly": "yes",
        "PreferredAuthentications": "publickey",
        "HostName": address,
        "HostKeyAlias": "source",
        "UserKnownHostsFile": known,
        "GlobalKnownHostsFile": "none",
        "StrictHostKeyChecking": "yes",
        "ConnectTimeout": "10",
        "ServerAliveInterval": "15",
    }
    words = ["ssh", "-F", "none", "-l", "root", "-p", str(port), "-i", f"{directory}/key"]
    return words + [word for name, value in options.items() for word in ("-o", f"{name}={value}")]


def host_keys(pattern: str = _HOST_KEYS) -> list[str]:
    """Return the public keys by which this host shows itself, each as its type and its text."""
    contents = (read_if_exists(path) or b"" for path in sorted(glob.glob(pattern)))  # noqa: PTH207  # an absolute pattern
    return [" ".join(content.decode().split()[:2]) for content in contents if content]


class Door:
    """Root's way into this host by key, as sshd's configuration has it."""

    def __init__(self, settings: Mapping[str, str], home: str | None = None) -> None:
        self._settings = settings
        # The environment's may be that of whoever became root
        self._home = home or pwd.getpwuid(0).pw_dir

    @classmethod
    def found(cls, runner: Runner, address: str = "") -> Door:
        """Return the door as sshd has it for an address, or for none in particular. Raises ClusterkitError."""
        program = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
        if not program:
            raise ClusterkitError("sshd is not installed")
        who = ["-C", f"user=root,host={address},addr={address}"] if address else []
        settings: dict[str, str] = {}
        for line in runner.run([program, "-T", *who], limit=15).stdout.splitlines():
            name, _space, value = line.partition(" ")
            # Of what is said several times, such as ports, the first
            settings.setdefault(name, value)
        return cls(settings)

    @property
    def port(self) -> int:
        """The port on which sshd listens."""
        return int(self._settings.get("port", "22"))

    @property
    def path(self) -> str:
        """The file that holds root's authorized keys, empty where there is none."""
        first = (self._settings.get("authorizedkeysfile", "").split() or ["none"])[0]
        if first == "none":
            return ""
        tokens = {"%%": "%", "%h": self._home, "%u": "root", "%U": "0"}
        path = re.sub(r"%[%huU]", lambda found: tokens[found.group()], first)
        return os.path.join(self._home, path)  # noqa: PTH118  # as sshd does: an absolute one stays

    def open(self, newcomer: str, public_key: str, address: str, command: Sequence[str], seconds: int) -> None:
        """Let a newcomer run one command from its address. Raises ClusterkitError where root cannot log in by key."""
        for name, fine in (("pubkeyauthentication", ("yes",)), ("permitrootlogin", _PERMITTED)):
            found = self._settings.get(name, "")
            if found not in fine:
                raise ClusterkitError(f"root may not log in by key: sshd has {name} {found or 'not set'}")
        if not self.path:
            raise ClusterkitError("root may not log in by key: sshd has no authorizedkeysfile")
        until = time.strftime("%Y%m%d%H%M%S", time.localtime(time.time() + seconds))
        quoted = shlex.join(command).replace("\\", "\\\\").replace('"', '\\"')
        line = f'restrict,from="{address}",expiry-time="{until}",command="{quoted}" {public_key} {MARK} {newcomer}\n'
        pathlib.Path(self.path).parent.mkdir(mode=0o700, exist_ok=True)
        lines = _without(self._lines(), newcomer)
        if lines and not lines[-1].endswith("\n"):
            lines[-1] += "\n"
        self._write([*lines, line])

    def admits(self, newcomer: str = "") -> bool:
        """Tell whether a newcomer, or any, is let in. Raises ClusterkitError."""
        lines = self._lines()
        return lines != _without(lines, newcomer)

    def close(self, newcomer: str = "") -> None:
        """Take a newcomer's line away, or all such lines. Raises ClusterkitError."""
        left = _without(self._lines(), newcomer)
        if left:
            self._write(left)
        else:
            remove(self.path)

    def _lines(self) -> list[str]:
        content = read_if_exists(self.path) if self.path else None
        return (content or b"").decode("utf-8", "surrogateescape").splitlines(keepends=True)

    def _write(self, lines: list[str]) -> None:
        write_atomically(self.path, "".join(lines).encode("utf-8", "surrogateescape"))


def _without(lines: list[str], newcomer: str) -> list[str]:
    end = re.compile(rf" {MARK} {re.escape(newcomer) if newcomer else '.*'}\s*$")
    return [line for line in lines if not end.search(line)]
