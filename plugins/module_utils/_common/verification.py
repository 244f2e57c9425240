# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one document in which every role says whether its cluster is one; its schema is docs/verify.schema.json."""

from __future__ import annotations

from typing import Any, Mapping, Sequence


class Verification:
    """Collects members seen and checks made, and judges them together."""

    def __init__(self, role: str, cluster: str, expected: Sequence[str]) -> None:
        self._role = role
        self._cluster = cluster
        self._expected = list(expected)
        self._seen: list[str] = []
        self._checks: list[dict[str, Any]] = []

    def seen(self, member: str) -> None:
        """Note a member that was found in the cluster."""
        if member not in self._seen:
            self._seen.append(member)

    def silent(self, member: str) -> None:
        """Note a member that could not be asked."""
        self.check("answers", False, f"{member} could not be asked", member)

    def check(self, name: str, ok: bool, evidence: str, member: str = "") -> None:
        """Note a check, its result, and what was seen that says so."""
        entry: dict[str, Any] = {"name": name, "ok": bool(ok), "evidence": evidence}
        if member:
            entry["member"] = member
        self._checks.append(entry)

    def result(self) -> dict[str, Any]:
        """Return the document; it is `ok` when all expected members were seen and every check passed."""
        complete = sorted(self._seen) == sorted(self._expected)
        return {
            "role": self._role,
            "cluster": self._cluster,
            "members_expected": list(self._expected),
            "members_seen": list(self._seen),
            "ok": complete and bool(self._checks) and all(check["ok"] for check in self._checks),
            "checks": list(self._checks),
        }


def gathered(hostvars: Mapping[str, Any], hosts: Sequence[str], roles: Sequence[str]) -> list[dict[str, Any]]:
    """Return the documents that verifications have left in the variables of hosts, one for each cluster of a role.

    All members of a cluster hold the document of their batch; with several, one that is not `ok` is the one returned.
    """
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for role in roles:
        for host in hosts:
            document = hostvars[host].get(f"{role}_verification")
            if not document:
                continue
            key = (role, str(document["cluster"]))
            if key not in found or found[key]["ok"]:
                found[key] = dict(document)
    return list(found.values())
