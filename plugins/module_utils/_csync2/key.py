# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The key that the members of a csync2 group share. No error of this file shows any of it."""

from __future__ import annotations

import hashlib
import re
import secrets
import string

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError

#: What `csync2 -k` draws from (create_keyfile() in upstream's csync2.c), and what csync2 takes (set_key() in
#: upstream's cfgfile_parser.y): anything else in the first line is "Unallowed character", a carriage return too.
ALPHABET = string.ascii_letters + string.digits + "._"
#: What `csync2 -k` writes, followed by a line end (create_keyfile()).
LENGTH = 64
#: set_key() refuses shorter keys: "Key in file … is too short."
SHORTEST = 32
#: set_key() reads the first line by fgets() into 1,024 bytes: what is beyond would be dropped without a word.
LONGEST = 1023

_UNALLOWED = re.compile(r"[^A-Za-z0-9._]")


def generate() -> str:
    """Return a new key, such as `csync2 -k` makes: 64 characters, 384 bits."""
    return "".join(secrets.choice(ALPHABET) for _position in range(LENGTH))


def parse(content: bytes) -> str:
    """Return the key that csync2 reads from a key file's content: its first line.

    Raises ClusterkitError saying why csync2 would not take it, or would take less than is there.
    """
    # ISO 8859-1 has a character for every byte, so that positions are those of the file
    key = content.partition(b"\n")[0].decode("latin-1")
    unallowed = _UNALLOWED.search(key)
    if unallowed:
        what = "carriage return" if unallowed.group() == "\r" else "character that csync2 does not allow"
        raise ClusterkitError(
            f"position {unallowed.start() + 1} holds a {what}: expected A-Z, a-z, 0-9, '.' and '_' only"
        )
    if len(key) < SHORTEST:
        raise ClusterkitError(f"its first line has {len(key)} characters: csync2 takes {SHORTEST} at least")
    if len(key) > LONGEST:
        raise ClusterkitError(f"its first line has {len(key)} characters: csync2 reads {LONGEST} at most")
    return key


def parse_given(content: str) -> str:
    """Return the key in text that somebody gave, with or without a line end. Raises ClusterkitError as `parse`."""
    key, _end, rest = content.partition("\n")
    if rest.strip():
        raise ClusterkitError("it has more than one line: csync2 would read the first one only")
    return parse(key.encode(errors="surrogateescape"))


def fingerprint(key: str) -> str:
    """Return the first 16 hexadecimal digits of the key's SHA-256: members can be compared by it.

    It does not give the key away: even the shortest valid one, when random, is far beyond guessing.
    """
    return hashlib.sha256(key.encode()).hexdigest()[:16]
