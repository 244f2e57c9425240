# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the host is told to mount a share: a line of /etc/fstab, or a mount unit. Text in, text out."""

from __future__ import annotations

import re
from typing import Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.mounts import unescaped, unit_name
from ansible_collections.clusterkit.middleware.plugins.module_utils._mount.settings import Share

TABLE = "/etc/fstab"
UNITS = "/etc/systemd/system/"
#: File systems that no server is needed for. A directory at a second place may be one of a share that needs one.
LOCAL = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "tmpfs", "f2fs", "zfs", "overlay", "jfs", "vfat", "iso9660"})
#: What stands in a field of fstab instead of white space and backslashes (fstab(5)).
_ESCAPES = {" ": "\\040", "\t": "\\011", "\n": "\\012", "\\": "\\134"}


def lines_of(text: str, path: str) -> list[str]:
    """Return the lines of a table for a mount point."""
    return [line for line in text.splitlines() if _point(line) == path]


def line(share: Share) -> str:
    """Return the line for a share."""
    options = ",".join(share.options) or "defaults"
    return " ".join(_field(word) for word in (share.source, share.path, share.fstype, options)) + " 0 0"


def with_line(text: str, share: Share) -> str:
    """Return the table with a share's line, in the place of one that is there; all else stays as it is.

    Raises ClusterkitError for a mount point with several lines.
    """
    present = lines_of(text, share.path)
    if len(present) > 1:
        raise ClusterkitError(f"{TABLE} has {len(present)} lines for {share.path}: leave one")
    if present == [line(share)]:
        return text
    if not present:
        return text + ("" if text.endswith("\n") or not text else "\n") + line(share) + "\n"
    return "".join(line(share) + "\n" if _point(one) == share.path else one for one in text.splitlines(keepends=True))


def without_line(text: str, path: str) -> str:
    """Return the table without what it says of a mount point."""
    return "".join(one for one in text.splitlines(keepends=True) if _point(one) != path)


def unit_path(path: str) -> str:
    """Return where the mount unit of a mount point is."""
    return UNITS + unit_name(path)


def unit(share: Share) -> str:
    """Return the mount unit of a share."""
    local = share.fstype in LOCAL
    return f"""# Written by Ansible, role shared_mount
[Unit]
Description=Share {share.name}

[Mount]
What={share.source}
Where={share.path}
Type={share.fstype}
Options={",".join(share.options) or "defaults"}

[Install]
WantedBy={"local-fs.target" if local else "remote-fs.target"}
"""


def full_options(fstype: str, options: Sequence[str]) -> list[str]:
    """Return the options with what a share of this kind always has.

    Over a network: `_netdev`, so that it is mounted when the network is there. NFS: `hard`, since a soft mount turns a
    slow server into damaged files, and version 4.2 unless another one is given.
    """
    out = [option for option in options if option != "defaults"]
    if fstype not in LOCAL and "_netdev" not in out:
        out.insert(0, "_netdev")
    if fstype in ("nfs", "nfs4"):
        if not {"hard", "soft", "softerr"} & set(out):
            out.append("hard")
        if not any(re.match(r"(nfs)?vers=|v[234]", option) for option in out):
            out.append("vers=4.2")
    return out


def _point(text: str) -> str:
    words = text.split()
    if len(words) < 2 or words[0].startswith("#"):
        return ""
    return unescaped(words[1]).rstrip("/") or "/"


def _field(text: str) -> str:
    return "".join(_ESCAPES.get(letter, letter) for letter in text)
