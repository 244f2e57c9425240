# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of a server: entries of cn=config, which is not replicated, compared before anything is written."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.differences import DifferenceTracker
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj.directory import BASE, Directory, normal

_ROOT = "cn=config"


def compare(
    directory: Directory, settings: Sequence[Mapping[str, Any]], differences: DifferenceTracker
) -> list[tuple[str, dict[str, list[str] | None]]]:
    """Return the entries that differ with the values they need, and note what differs. Raises ClusterkitError."""
    out = []
    for setting in settings:
        dn = setting["dn"]
        if normal(dn) != _ROOT and not normal(dn).endswith(f",{_ROOT}"):
            raise ClusterkitError(f"{dn} is not below {_ROOT}: settings of a server are")
        found = directory.search(dn, BASE)
        if not found:
            raise ClusterkitError(f"there is no entry {dn}: see `dsconfig list-…` for those that there are")
        present = found[0][1]
        replaced: dict[str, list[str] | None] = {}
        for name, given in setting["attributes"].items():
            wanted, now = _values(given), sorted(present.get(name.lower(), []))
            if differences.add(f"{dn} {name}", sorted(wanted) or None, now or None):
                replaced[name] = wanted or None
        if replaced:
            out.append((dn, replaced))
    return out


def _values(given: Any) -> list[str]:
    """Return values as OpenDJ writes them."""
    if given is None:
        return []
    if isinstance(given, (list, tuple)):
        return [value for one in given for value in _values(one)]
    if isinstance(given, bool):
        return ["true" if given else "false"]
    return [str(given)]
