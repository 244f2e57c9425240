# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of an application that all members have alike: found by masks, carried in memory, replaced with a backup."""

from __future__ import annotations

import base64
import binascii
import glob
import grp
import hashlib
import pwd
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Iterable, Mapping

from ansible_collections.clusterkit.middleware.plugins.module_utils._common import files
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.differences import DifferenceTracker
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError

#: Backups lie beside the files and would match their masks.
_BACKUP = "~"
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----")
_PRIVATE_KEY = b"PRIVATE KEY-----"
#: As many digits as tell two files apart and give none away.
_FINGERPRINT_DIGITS = 16


def look(masks: Iterable[str], numeric: bool = False) -> dict[str, dict[str, Any]]:
    """Return what is known of each regular file that a mask matches, by path; backups are none. Raises ClusterkitError.

    `numeric` gives owners as numbers: below another root (chroot) the names of this system mean other ones.
    `certificate` is the first one of a file that holds no private key, as PEM, and empty otherwise.
    """
    found = {}
    for path in sorted({path for mask in masks for path in glob.glob(mask)}):  # noqa: PTH207  # masks are absolute
        if path.endswith(_BACKUP) or not Path(path).is_file():
            continue
        held = files.read_if_exists(path) or b""
        status = Path(path).stat()
        found[path] = {
            "fingerprint": fingerprint(held),
            "mode": f"{stat.S_IMODE(status.st_mode):04o}",
            "owner": _name(status.st_uid, numeric, lambda number: pwd.getpwuid(number).pw_name),
            "group": _name(status.st_gid, numeric, lambda number: grp.getgrgid(number).gr_name),
            "certificate": certificate_in(held),
        }
    return found


def carried(found: Mapping[str, Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return what `Wanted.read` takes of the files that `look` has found. Raises ClusterkitError."""
    return [
        {
            "path": path,
            "content": base64.b64encode(files.read_if_exists(path) or b"").decode(),
            **{name: str(one[name]) for name in ("mode", "owner", "group")},
        }
        for path, one in found.items()
    ]


def certificate_in(held: bytes) -> str:
    """Return the first certificate of a file that is there to be shown to others, empty where it is another one."""
    match = _CERTIFICATE.search(held)
    return match[0].decode() + "\n" if match and _PRIVATE_KEY not in held else ""


def fingerprint(held: bytes) -> str:
    """Return what tells a file's content from another one."""
    return hashlib.sha256(held).hexdigest()[:_FINGERPRINT_DIGITS]


@dataclass(frozen=True)
class Wanted:
    """A file as it shall be."""

    path: str
    content: bytes
    mode: int
    owner: str
    group: str

    @classmethod
    def read(cls, given: Mapping[str, str]) -> Wanted:
        """Read one that `carried` returned. Raises ClusterkitError."""
        try:
            content = base64.b64decode(given["content"], validate=True)
            return cls(given["path"], content, int(given["mode"], 8), given["owner"], given["group"])
        except (ValueError, binascii.Error):
            raise ClusterkitError(
                f"files: {given['path']} is malformed: content has to be in base64, and mode in octal digits"
            ) from None

    def differs(self, differences: DifferenceTracker) -> bool:
        """Note what is another one, and tell whether anything is. Raises ClusterkitError."""
        present = look([glob.escape(self.path)], numeric=self.owner.isdigit()).get(self.path, {})
        wanted = {
            "content": fingerprint(self.content),
            "mode": f"{self.mode:04o}",
            "owner": self.owner,
            "group": self.group,
        }
        seen = {**present, "content": present.get("fingerprint")}
        noted = [differences.add(f"{self.path}: {name}", value, seen.get(name)) for name, value in wanted.items()]
        return any(noted)

    def check_owners(self) -> None:
        """Raise ClusterkitError for a user or group that is not there."""
        files.user_id(self.owner)
        files.group_id(self.group)

    def write(self) -> None:
        """Write the file. Raises ClusterkitError."""
        files.write_atomically(self.path, self.content, mode=self.mode, owner=self.owner, group=self.group)


def _name(number: int, numeric: bool, look_up: Callable[[int], str]) -> str:
    try:
        return str(number) if numeric else look_up(number)
    except KeyError:
        return str(number)
