# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host knows of the shares that it mounts: the role writes it as JSON, its program and modules read it.

There is a file for each cluster: a host may have shares of several.
"""

from __future__ import annotations

import glob
import json
import os
from dataclasses import asdict, dataclass, replace
from typing import Any, Mapping, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.files import read_if_exists

DIRECTORY = "/etc/clusterkit/shared_mount.d"
PROGRAM = "/usr/local/sbin/clusterkit-shared-mount"
#: The unit that a service needs, by the share's path; and the drop-in by which it does.
GUARD = "clusterkit-shared-mount"
DROP_IN = "clusterkit-shared-mount-{}.conf"
#: On each share: says which one it is.
SENTINEL = ".clusterkit-share"
#: On each share while it is verified: files of the members.
PROBES = ".clusterkit-probe"
FSTAB, UNIT, EXISTING = "fstab", "unit", "existing"


@dataclass(frozen=True)
class Share:
    """A share and where it is mounted. `owner` and `group` are names or numbers, as every member knows them."""

    name: str
    path: str
    source: str = ""
    fstype: str = ""
    options: tuple[str, ...] = ()
    entry: str = FSTAB
    owner: str = ""
    group: str = ""
    mode: str = ""
    services: tuple[str, ...] = ()
    locks: bool = True
    immutable: bool = True
    cover: bool = False

    @property
    def is_bind(self) -> bool:
        """Whether it is a directory of this host that is mounted at a second place."""
        return bool({"bind", "rbind"} & set(self.options))


def from_mapping(given: Mapping[str, Any]) -> Share:
    """Return a share from what JSON holds. Raises ClusterkitError."""
    try:
        lists = {key: tuple(given.get(key) or ()) for key in ("options", "services")}
        return Share(**{**given, **lists})
    except TypeError as error:
        raise ClusterkitError(f"this is no share: {error}") from None


def text(cluster: str, shares: Sequence[Mapping[str, Any]]) -> str:
    """Return the file that `read` reads; `cluster` says whose shares they are."""
    # `cover` is about the moment of mounting
    whole = {"cluster": cluster, "shares": [asdict(replace(from_mapping(one), cover=False)) for one in shares]}
    return json.dumps(whole, indent=2, sort_keys=True) + "\n"


def path_of(cluster: str) -> str:
    """Return where the shares of a cluster are noted."""
    return os.path.join(DIRECTORY, f"{cluster}.json")


def read(cluster: str) -> list[Share]:
    """Return the shares of a cluster, none where nothing is noted. Raises ClusterkitError for a damaged file."""
    path = path_of(cluster)
    content = read_if_exists(path)
    if content is None:
        return []
    try:
        return [from_mapping(one) for one in json.loads(content)["shares"]]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ClusterkitError(f"{path} is damaged: let the role shared_mount write it anew") from None


def read_all() -> dict[str, list[Share]]:
    """Return the shares of all clusters by the cluster. Raises ClusterkitError."""
    names = [os.path.basename(path)[: -len(".json")] for path in sorted(glob.glob(f"{DIRECTORY}/*.json"))]
    return {name: read(name) for name in names}


def sentinel(cluster: str, name: str) -> str:
    """Return what the sentinel of a share holds."""
    return json.dumps({"cluster": cluster, "share": name}, sort_keys=True) + "\n"


def told(content: str) -> str:
    """Return in words what a sentinel says."""
    try:
        said = json.loads(content)
        return f"share {said['share']} of {said['cluster']}"
    except (ValueError, KeyError, TypeError):
        return "a share that the role did not write"
