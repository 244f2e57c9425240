# SPDX-License-Identifier: GPL-3.0-or-later
"""A directory that answers from recorded entries."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj.directory import (
    BASE,
    SUBTREE,
    Entry,
    normal,
)
from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj.installation import read_ldif

RECORDED = Path(__file__).parent / "recorded"
#: Attributes that servers tell only when they are asked for by name.
OPERATIONAL = ("ds-sync-generation-id",)


def recorded(*names: str) -> Recorded:
    """Return a directory with the entries of recordings."""
    return Recorded([entry for name in names for entry in read_ldif((RECORDED / name).read_text(encoding="utf-8"))])


class Recorded:
    """Entries, asked as a Directory is. Filters: presence, equality, a beginning, and alternatives of those."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        # Of an entry that was recorded twice the attributes are put together
        self.entries: dict[str, tuple[str, dict[str, list[str]]]] = {}
        for dn, values in entries:
            kept = self.entries.setdefault(normal(dn), (dn, {}))[1]
            kept.update({name: list(given) for name, given in values.items()})

    def search(
        self, base: str, scope: str, wanted: str = "(objectClass=*)", attributes: Sequence[str] = (), most: int = 0
    ) -> list[Entry]:
        out: list[Entry] = []
        for key, (dn, values) in self.entries.items():
            parent = re.split(r"(?<!\\),", key, maxsplit=1)[1:]
            within = {BASE: key == normal(base), SUBTREE: key == normal(base) or key.endswith("," + normal(base))}
            if not within.get(scope, parent == [normal(base)]) or not matches(wanted, values):
                continue
            names = [name.lower() for name in attributes]
            out.append((dn, {k: v for k, v in values.items() if k in names or not (names or k in OPERATIONAL)}))
        return out[: most or None]


def matches(wanted: str, values: dict[str, list[str]]) -> bool:
    """Tell whether an entry is one of those that a filter means."""
    for name, value in re.findall(r"\(([\w-]+)=([^()]*)\)", wanted):
        pattern = ".*".join(re.escape(part) for part in value.split("*"))
        if name == "objectClass" and value == "*":
            return True
        if any(re.fullmatch(pattern, one, re.I) for one in values.get(name.lower(), [])):
            return True
    return False
