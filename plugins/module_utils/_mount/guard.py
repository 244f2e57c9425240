# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program `clusterkit-shared-mount`: whether a share is there, is the right one, and answers.

`check PATH` ends with 0 when it is; services need a unit that runs it, and so do not start without their share.
systemd's own ConditionPathIsMountPoint= would be asked by process 1, which hangs with the whole host while the server
of a share hangs; this asks in a process of its own and gives up. `status` says it of all shares, as JSON.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from typing import Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.files import group_id, user_id
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.mounts import Mounted, holding, table
from ansible_collections.clusterkit.middleware.plugins.module_utils._mount import settings
from ansible_collections.clusterkit.middleware.plugins.module_utils._mount.asking import within
from ansible_collections.clusterkit.middleware.plugins.module_utils._mount.settings import Share

#: Seconds that a share has to answer in.
LIMIT = 20.0
#: Kinds of file systems that the kernel shows by the source that they were mounted with.
_SHOWN_AS_GIVEN = ("nfs", "nfs4", "glusterfs", "fuse.glusterfs", "fuse.sshfs", "sshfs", "cifs")
#: What a kind that is asked for is shown as.
_SHOWN_AS = {
    "nfs": ("nfs", "nfs4"),
    "efs": ("nfs4",),
    "glusterfs": ("fuse.glusterfs",),
    "sshfs": ("fuse.sshfs",),
}


@dataclass(frozen=True)
class Seen:
    """What was found at a share's mount point: `sentinel` is None where there is none, `problem` empty when well."""

    mounted: Mounted | None
    sentinel: str | None
    answers: bool
    problem: str


def mounted_at(path: str, mounts: Sequence[Mounted]) -> Mounted | None:
    """Return what is mounted at a path; something that would only mount it when asked is nothing yet."""
    return next((one for one in reversed(mounts) if one.point == path and one.type != "autofs"), None)


def unlike(share: Share, mounted: Mounted, mounts: Sequence[Mounted]) -> str:
    """Say what is mounted where another thing should be, empty where it is the right one as far as this shows."""
    if share.is_bind:
        origin = holding(os.path.normpath(share.source), mounts)
        root = os.path.normpath(os.path.join(origin.root, os.path.relpath(share.source, origin.point)))
        if (mounted.source, os.path.normpath(mounted.root)) == (origin.source, root):
            return ""
        return f"{mounted.source} ({mounted.root}) is mounted at {share.path}, not {share.source}"
    wanted = _SHOWN_AS.get(share.fstype, (share.fstype,))
    if share.fstype and mounted.type not in wanted:
        return f"a {mounted.type} ({mounted.source}) is mounted at {share.path}, not a {share.fstype}"
    if share.fstype in _SHOWN_AS_GIVEN and share.source.rstrip("/") != mounted.source.rstrip("/"):
        return f"{mounted.source} is mounted at {share.path}, not {share.source}"
    return ""


def user_of(share: Share) -> tuple[int | None, int | None]:
    """Return who asks a share, None for root: where its server trusts no root only its owner may read.

    Raises ClusterkitError for a user that this host does not know.
    """
    return user_id(share.owner or None), group_id(share.group or None)


def read_sentinel(share: Share, limit: float = LIMIT) -> str | None:
    """Return what a share says of itself, None where it says nothing. Raises ClusterkitError."""
    path = os.path.join(share.path, settings.SENTINEL)

    def question() -> str | None:
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                return file.read(4096)
        except FileNotFoundError:
            os.stat(share.path)  # one that is broken has no file either
            return None

    answer: str | None = within(limit, share.path, question, *user_of(share))
    return answer


def look(share: Share, cluster: str, mounts: Sequence[Mounted], limit: float = LIMIT) -> Seen:
    """Return what is at a share's mount point, within a time."""
    mounted = mounted_at(share.path, mounts)
    if not mounted:
        return Seen(None, None, False, f"nothing is mounted at {share.path}")
    other = unlike(share, mounted, mounts)
    if other:
        return Seen(mounted, None, False, other)
    if share.is_bind:
        return _look_at_bind(share, mounted, mounts, limit)
    try:
        found = read_sentinel(share, limit)
    except ClusterkitError as error:
        return Seen(mounted, None, False, str(error))
    problem = ""
    if found is None:
        problem = f"{share.path} has no {settings.SENTINEL}: is it the right share?"
    elif found != settings.sentinel(cluster, share.name):
        problem = f"{share.path} is {settings.told(found)}, not share {share.name} of {cluster}"
    return Seen(mounted, found, True, problem)


def _look_at_bind(share: Share, mounted: Mounted, mounts: Sequence[Mounted], limit: float) -> Seen:
    """Look at a directory at a second place. The kernel says which one it is; its share has the sentinel."""
    origin = holding(os.path.normpath(share.source), mounts)
    for cluster, some in settings.read_all().items():
        for other in some:
            if other.path == origin.point and not other.is_bind:
                problem = look(other, cluster, mounts, limit).problem
                return Seen(mounted, None, not problem, problem)
    try:
        within(limit, share.path, lambda: os.stat(share.path).st_mode, *user_of(share))
        return Seen(mounted, None, True, "")
    except ClusterkitError as error:
        return Seen(mounted, None, False, str(error))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        shares = [(share, cluster) for cluster, some in settings.read_all().items() for share in some]
        if words == ["status"]:
            mounts = table()
            said = {share.path: look(share, cluster, mounts).problem or "ok" for share, cluster in shares}
            sys.stdout.write(json.dumps(said, indent=2) + "\n")
            return 0 if all(one == "ok" for one in said.values()) else 1
        if len(words) == 2 and words[0] == "check":
            here = [(share, cluster) for share, cluster in shares if share.path == words[1]]
            if not here:
                raise ClusterkitError(f"{settings.DIRECTORY} knows no share at {words[1]}")
            problems = [seen.problem for seen in (look(*one, table()) for one in here) if seen.problem]
            if problems:
                raise ClusterkitError("; ".join(problems))
            return 0
        sys.stderr.write("usage: clusterkit-shared-mount check PATH|status\n")
        return 64
    except ClusterkitError as error:
        sys.stderr.write(f"{error}\n")
        return 1
