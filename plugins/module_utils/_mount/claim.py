# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Making a share a cluster's own: its owner, and the sentinel by which every member knows it again."""

from __future__ import annotations

import errno
import os
import stat
from typing import Any

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.differences import DifferenceTracker
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.files import write_atomically
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.mounts import table
from ansible_collections.clusterkit.middleware.plugins.module_utils._mount import guard, settings
from ansible_collections.clusterkit.middleware.plugins.module_utils._mount.asking import within
from ansible_collections.clusterkit.middleware.plugins.module_utils._mount.settings import Share


class Claim:
    """A share that is mounted here. `new` allows to mark one that no member has noted yet."""

    def __init__(self, share: Share, cluster: str, new: bool, limit: float = guard.LIMIT) -> None:
        self._share = share
        self._cluster = cluster
        self._new = new
        self._limit = limit
        self._uid, self._gid = guard.user_of(share)
        self._mode = int(share.mode, 8) if share.mode else None

    def compare(self, differences: DifferenceTracker) -> None:
        """Note what differs. Raises ClusterkitError for a share that is another one, or does not answer."""
        share = self._share
        seen = guard.look(share, self._cluster, table(), self._limit)
        if seen.problem and seen.sentinel is None and seen.answers and not self._new:
            raise ClusterkitError(
                f"{seen.problem} Members have noted that they had it with one. Mount the right share; if it is new and "
                f"to be used from now on, run once with shared_mount_new={share.name}"
            )
        if seen.problem and not (seen.answers and seen.sentinel is None):
            raise ClusterkitError(seen.problem)
        present = self._ask(self._attributes)
        wanted = {"owner": self._uid, "group": self._gid, "mode": self._mode}
        for name, value in wanted.items():
            if value is not None:
                shown = f"{value:04o}" if name == "mode" else value
                differences.add(f"{name} of {share.path}", shown, present[name])
        if share.is_bind:
            return
        content = settings.sentinel(self._cluster, share.name)
        differences.add(f"{share.path}/{settings.SENTINEL}", content, seen.sentinel)

    def apply(self) -> None:
        """Set owner and mode, and write the sentinel. Raises ClusterkitError."""
        try:
            # First: the sentinel's directory has to be its writer's, and some file systems show it so only then
            self._ask(self._own)
        except ClusterkitError as error:
            if error.details.get("errno") not in (errno.EPERM, errno.EACCES):
                raise
            raise ClusterkitError(
                f"the server of {self._share.path} lets root change neither owner nor mode ({error}): set them there, "
                "or export it without root squash"
            ) from None
        if not self._share.is_bind:
            within(self._limit, self._share.path, self._mark, self._uid, self._gid)

    def _ask(self, question: Any) -> Any:
        return within(self._limit, self._share.path, question)

    def _attributes(self) -> dict[str, Any]:
        found = os.stat(self._share.path)
        return {"owner": found.st_uid, "group": found.st_gid, "mode": f"{stat.S_IMODE(found.st_mode):04o}"}

    def _own(self) -> None:
        found = os.stat(self._share.path)
        uid = found.st_uid if self._uid is None else self._uid
        gid = found.st_gid if self._gid is None else self._gid
        if (uid, gid) != (found.st_uid, found.st_gid):
            os.chown(self._share.path, uid, gid)
        if self._mode is not None and stat.S_IMODE(os.stat(self._share.path).st_mode) != self._mode:
            os.chmod(self._share.path, self._mode)

    def _mark(self) -> None:
        path = os.path.join(self._share.path, settings.SENTINEL)
        content = settings.sentinel(self._cluster, self._share.name).encode()
        try:
            with open(path, "rb") as file:
                if file.read() == content:
                    return
        except FileNotFoundError:
            pass
        write_atomically(path, content, mode=0o444)
