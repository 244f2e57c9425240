# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a member knows of the synchronisation: whether it is the source, its directories, and who gets them.

The role writes it as JSON. It holds no secret, so that the user who receives can read it.
"""

from __future__ import annotations

import json
import os
import pwd
import re
from dataclasses import asdict, dataclass
from typing import Any, Mapping, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.files import read_if_exists

PATH = "/etc/clusterkit/deployment_sync.json"
PROGRAM = "/usr/local/sbin/clusterkit-deployment-sync"
#: Comment of the line by which a receiver lets the source in.
MARK = "clusterkit-deployment-sync"
SOURCE, RECEIVER = "source", "receiver"
#: Where files lie until they are whole, within or beside a directory; and the file that a verification sends.
STAGING = ".clusterkit-staging"
PROBE = ".clusterkit-probe"
_LINE = re.compile(r"(?:(?P<user>[^@\s:]+)@)?(?P<host>\[[^\]\s]+\]|[^:\s\[\]]+):(?P<path>[~/]\S.*|[~/])$")


@dataclass(frozen=True)
class Directory:
    """A directory that is the same on all members; its name is the same everywhere, its path need not be.

    `mount_point` is where its file system was mounted when the role looked.
    """

    name: str
    path: str
    mount_point: str = "/"


@dataclass(frozen=True)
class Node:
    """A member that gets the source's files."""

    name: str
    address: str
    port: int = 22
    user: str = "root"


@dataclass(frozen=True)
class Settings:
    """All of it. `limit` and `io_limit` are seconds: for a node's run, and for a connection that moves nothing."""

    role: str
    name: str
    source: str
    directories: tuple[Directory, ...]
    nodes: tuple[Node, ...] = ()
    address: str = ""
    exclude: tuple[str, ...] = ()
    key: str = "/etc/clusterkit/deployment_sync.key"
    known_hosts: str = "/etc/clusterkit/deployment_sync.known_hosts"
    lock: str = "/run/lock/clusterkit-deployment-sync.lock"
    log: str = ""
    checksum: bool = False
    allow_empty: bool = False
    delete_share: float = 0.5
    delete_minimum: int = 10
    limit: float = 600.0
    io_limit: int = 60

    def text(self) -> str:
        """Return them as the file that `read` reads."""
        return json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"


def from_mapping(given: Mapping[str, Any]) -> Settings:
    """Return settings from what JSON holds. Raises ClusterkitError."""
    try:
        lists = {
            "directories": tuple(Directory(**one) for one in given["directories"]),
            "nodes": tuple(Node(**one) for one in given.get("nodes", ())),
            "exclude": tuple(given.get("exclude", ())),
        }
        return Settings(**{**given, **lists})
    except (KeyError, TypeError, ValueError) as error:
        raise ClusterkitError(f"these are no settings of the synchronisation: {error}") from None


def read(path: str = PATH) -> Settings | None:
    """Return the settings of this host, None where there are none. Raises ClusterkitError for a damaged file."""
    content = read_if_exists(path)
    if content is None:
        return None
    try:
        return from_mapping(json.loads(content))
    except (ValueError, AttributeError):
        raise ClusterkitError(f"{path} holds no JSON object: let the role write it anew") from None
    except ClusterkitError as error:
        raise ClusterkitError(f"{path}: {error}: let the role write it anew") from None


def mount_point(path: str) -> str:
    """Return the mount point of the file system that a path is in, or would be in."""
    here = os.path.realpath(path)
    while not os.path.ismount(here):
        here = os.path.dirname(here)
    return here


def expand(path: str, user: str) -> str:
    """Return a path whose `~` is a user's home, without a slash at its end. Raises ClusterkitError."""
    if path == "~" or path.startswith("~/"):
        try:
            path = pwd.getpwnam(user).pw_dir + path[1:]
        except KeyError:
            raise ClusterkitError(f"user {user!r} does not exist on this machine: create it first") from None
    return os.path.normpath(path)


def nodes_list(text: str, path: str) -> list[dict[str, str]]:
    """Return the lines `user@host:path` of a list of nodes, each with `user` (may be empty), `host` and `path`.

    Raises ClusterkitError that names the line which is none. Empty lines and comments are passed over.
    """
    out = []
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.partition("#")[0].strip()
        if not line:
            continue
        found = _LINE.match(line)
        if not found:
            raise ClusterkitError(
                f"line {number} of {path} is {line!r}: expected user@host:path, as ops@10.0.0.2:~/setup/"
            )
        out.append({"user": found["user"] or "", "host": found["host"].strip("[]"), "path": found["path"].strip()})
    return out


def directory_name(path: str) -> str:
    """Return the name under which a directory of the variables is known on all members."""
    # Not its place in the list: between two members that were told at different times the list may differ
    return re.sub(r"[^A-Za-z0-9._-]", "_", path.strip("/~")) or "_"


def excluded(patterns: Sequence[str]) -> Any:
    """Return a function that tells whether a path relative to a directory is left out.

    A pattern with a slash at its beginning is the path itself, one without slashes a name at any depth; both may have
    `*` and `?`, which match no slash: so rsync reads them as well.
    """
    parts = []
    for pattern in (*patterns, f"/{STAGING}"):
        text = re.escape(pattern.lstrip("/")).replace(r"\*", "[^/]*").replace(r"\?", "[^/]")
        parts.append(text if pattern.startswith("/") else rf"(?:.*/)?{text}")
    matcher = re.compile("|".join(f"(?:{part})" for part in parts), re.DOTALL)
    return lambda path: matcher.fullmatch(path) is not None
