# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An entry that shows that writes work: a server that binds may still be read-only, as after a start without peers."""

from __future__ import annotations

from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj.directory import (
    BASE,
    Directory,
    escaped,
)
from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj.state import PROBE


def dn_of(base: str, member: str) -> str:
    """Return the DN of a member's probe below a base DN."""
    return f"cn={escaped(PROBE + member)},{base}"


def write(directory: Directory, base: str, member: str, token: str) -> bool:
    """Write a member's probe; tell whether there is an entry to write it below. Raises ClusterkitError."""
    if not directory.search(base, BASE, attributes=["1.1"]):
        return False
    dn = dn_of(base, member)
    if not directory.modify(dn, {"description": [token]}):
        # A class of the standard's schema (RFC 4519) that stands for nothing in particular
        directory.add(dn, {"objectClass": ["top", "device"], "cn": [PROBE + member], "description": [token]})
    return True


def remove(directory: Directory, base: str, member: str) -> bool:
    """Remove a member's probe; tell whether there was one. Raises ClusterkitError."""
    return directory.delete(dn_of(base, member))
