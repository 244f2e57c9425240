# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is mounted on this host, from the kernel's own table: reading it waits for no server."""

from __future__ import annotations

import os
import pathlib
import re
from dataclasses import dataclass
from typing import Sequence

TABLE = "/proc/self/mountinfo"


@dataclass(frozen=True)
class Mounted:
    """A mount: `root` is the part of its file system that is there, `source` what it was mounted from."""

    point: str
    root: str
    type: str
    source: str
    options: tuple[str, ...]


def table(path: str = TABLE) -> list[Mounted]:
    """Return all mounts; of several at one point the last one covers those before it. Raises OSError."""
    out = []
    with pathlib.Path(path).open(encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            left, _dash, right = line.rstrip("\n").partition(" - ")
            fields, (kind, source, superblock) = left.split(" "), right.split(" ", 2)
            options = dict.fromkeys([*fields[5].split(","), *superblock.split(",")])
            out.append(Mounted(unescaped(fields[4]), unescaped(fields[3]), kind, unescaped(source), tuple(options)))
    return out


def at(point: str, mounts: Sequence[Mounted]) -> Mounted | None:
    """Return what is mounted at a point, None where nothing is."""
    return next((one for one in reversed(mounts) if one.point == point), None)


def holding(path: str, mounts: Sequence[Mounted]) -> Mounted:
    """Return the mount that an absolute path without symbolic links is on. Raises LookupError where there is none."""
    while True:
        found = at(path, mounts)
        if found:
            return found
        if path == "/":
            raise LookupError("nothing is mounted at /")
        path = str(pathlib.PurePosixPath(path).parent)


def unit_name(path: str, kind: str = "mount") -> str:
    """Return the name of the systemd unit of a path, as `systemd-escape --path` spells it."""
    return f"{escaped(path)}.{kind}"


def escaped(path: str) -> str:
    """Return a path as systemd has it in the names of units (systemd.unit(5), string escaping)."""
    words = [word for word in path.split("/") if word]
    if not words:
        return "-"
    text = "-".join(re.sub(r"[^A-Za-z0-9:_.]", _hexadecimal, word) for word in words)
    return re.sub(r"^\.", _hexadecimal, text)


def _hexadecimal(found: re.Match[str]) -> str:
    return "".join(f"\\x{byte:02x}" for byte in os.fsencode(found[0]))


def unescaped(text: str) -> str:
    """Return a field of the table, or of /etc/fstab, in which spaces and the like are octal (fstab(5))."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)
