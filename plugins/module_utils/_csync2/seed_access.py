# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a newcomer reaches the source of its files: by a key of its own, for one command, for a limited time.

The private key is made on the newcomer and never leaves it. The source lets it in by one line of root's authorized
keys, and shows its host keys beforehand, over Ansible's connection.
"""

from __future__ import annotations

import pathlib
import shutil
from typing import Mapping, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common import ssh_access
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.files import write_atomically

host_keys = ssh_access.host_keys

#: Where the newcomer keeps the key; it does not outlive a restart.
DIRECTORY = "/run/clusterkit/csync2-seed"
#: Begins the comment of a line in authorized_keys, followed by the newcomer's name.
MARK = "clusterkit-csync2-seed"


def make_key(runner: Runner, directory: str = DIRECTORY) -> str:
    """Make a key anew and return its public half. Raises ClusterkitError."""
    remove_key(directory)
    pathlib.Path(directory).mkdir(mode=0o700, parents=True)
    return ssh_access.make_key(runner, f"{directory}/key")


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
    return ssh_access.client(f"{directory}/key", known, "root", address, port, "source")


class Door(ssh_access.Door):
    """Root's way into this host, for newcomers."""

    def __init__(self, settings: Mapping[str, str], home: str | None = None) -> None:
        super().__init__(settings, MARK, "root", home)

    @classmethod
    def found(cls, runner: Runner, address: str = "") -> Door:
        """Return the door as sshd has it for an address, or for none in particular. Raises ClusterkitError."""
        return cls(ssh_access.settings(runner, address))
