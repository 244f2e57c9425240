# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host needs for shares: the programs that mount them, and services that do not start without them."""

from __future__ import annotations

import glob
import os
import re
import shlex
from typing import Any, Iterable, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.files import read_if_exists
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.mounts import escaped
from ansible_collections.clusterkit.middleware.plugins.module_utils._mount.settings import GUARD

#: The program without which a kind of file system is not mounted; of FUSE it is the word behind the dot.
_PROGRAMS = {
    "nfs": "mount.nfs",
    "nfs4": "mount.nfs4",
    "glusterfs": "mount.glusterfs",
    "fuse.glusterfs": "glusterfs",
    "ceph": "mount.ceph",
    "cifs": "mount.cifs",
    "efs": "mount.efs",
    "sshfs": "mount.sshfs",
}
#: By what a client of NFS 4 is known to servers, besides its host name: the kernel's setting, that of its module, and
#: what the module is told when it is loaded.
NFS_IDENTIFIERS = ("/sys/fs/nfs/net/nfs_client/identifier", "/sys/module/nfs/parameters/nfs4_unique_id")
MODPROBE = "/etc/modprobe.d/*.conf"
_PLACES = ("/sbin", "/usr/sbin", "/bin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin")
_PROPERTIES = ("Id", "LoadState", "ActiveState", "Requires", "After")


def missing(kinds: Iterable[str]) -> set[str]:
    """Return the kinds of file systems whose program is not on this host."""
    out = set()
    for kind in kinds:
        program = _PROGRAMS.get(kind, kind[len("fuse.") :] if kind.startswith("fuse.") else "")
        if program and not any(os.access(f"{place}/{program}", os.X_OK) for place in _PLACES):
            out.add(kind)
    return out


def nfs_client() -> str:
    """Return by what servers of NFS 4 know this host: two clients that have it in common are one to them."""
    name = os.uname().nodename
    for path in NFS_IDENTIFIERS:
        told = (read_if_exists(path) or b"").decode("utf-8", "replace").strip("\0\n ")
        if told and told != "(null)":
            return f"{told}/{name}"
    for path in sorted(glob.glob(MODPROBE)):
        text = (read_if_exists(path) or b"").decode("utf-8", "replace")
        told = "".join(re.findall(r"(?m)^\s*options\s+nfs\s.*?\bnfs4_unique_id=\"?([^\s\"]+)", text)[-1:])
        if told:
            return f"{told}/{name}"
    return name


def units(names: Sequence[str], runner: Runner) -> dict[str, dict[str, str]]:
    """Return what systemd knows of services. Raises ClusterkitError."""
    out = {}
    for name in dict.fromkeys(names):
        said = runner.run(["systemctl", "show", f"--property={','.join(_PROPERTIES)}", "--", name], limit=30).stdout
        out[name] = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    return out


def guarded(unit: dict[str, str], path: str) -> dict[str, Any]:
    """Return whether a service is known, runs, and needs the guard of the share at a path."""
    guard = f"{GUARD}@{escaped(path)}.service"
    return {
        "known": unit.get("LoadState") not in ("not-found", None),
        "active": unit.get("ActiveState") in ("active", "activating", "reloading"),
        # systemctl puts a name with a backslash in quotes
        "guarded": all(guard in shlex.split(unit.get(word, "")) for word in ("Requires", "After")),
    }
