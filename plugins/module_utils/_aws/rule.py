# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rule of EventBridge with the one target that its events go to."""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.clusterkit.middleware.plugins.module_utils._aws.client import ClientError, code_of, told
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.differences import DifferenceTracker
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError

TARGET = "clusterkit"


class Rule:
    """One rule of the account's default bus, by its name."""

    def __init__(self, client: Any, name: str) -> None:
        self._client = client
        self.name = name

    def read(self) -> dict[str, Any]:
        """Return the rule with keys description, enabled, pattern, targets (id: ARN); empty where there is none."""
        with told(f"rule {self.name}"):
            try:
                rule = self._client.describe_rule(Name=self.name)
            except ClientError as error:
                if code_of(error) == "ResourceNotFoundException":
                    return {}
                raise
            targets = {
                one["Id"]: one["Arn"]
                for page in self._client.get_paginator("list_targets_by_rule").paginate(Rule=self.name)
                for one in page["Targets"]
            }
        return {
            "description": rule.get("Description") or "",
            "enabled": rule.get("State") == "ENABLED",
            "pattern": json.loads(rule.get("EventPattern") or "{}"),
            "targets": targets,
        }

    def write(self, description: str, pattern: Any, target: str, check: bool) -> DifferenceTracker:
        """Bring the rule to what is given, and return what differed. Raises ClusterkitError."""
        present = self.read()
        changes = DifferenceTracker()
        wanted = {"description": description, "enabled": True, "pattern": pattern, "targets": {TARGET: target}}
        for key, value in wanted.items():
            changes.add(key, value, present.get(key))
        if check or not changes.changed:
            return changes
        with told(f"rule {self.name}"):
            if {"description", "enabled", "pattern"} & set(changes.names):
                self._client.put_rule(
                    Name=self.name,
                    Description=description,
                    EventPattern=json.dumps(pattern, sort_keys=True),
                    State="ENABLED",
                )
            if "targets" in changes.names:
                failed = self._client.put_targets(Rule=self.name, Targets=[{"Id": TARGET, "Arn": target}])
                if failed.get("FailedEntryCount"):
                    raise ClusterkitError(f"rule {self.name} did not take its target: {failed['FailedEntries']}")
                self._remove_targets([one for one in present.get("targets", {}) if one != TARGET])
        return changes

    def remove(self, check: bool) -> DifferenceTracker:
        """Remove the rule with its targets, and return what differed. Raises ClusterkitError."""
        present = self.read()
        changes = DifferenceTracker()
        for key, value in present.items():
            changes.add(key, None, value)
        if present and not check:
            with told(f"rule {self.name}"):
                self._remove_targets(list(present["targets"]))
                self._client.delete_rule(Name=self.name)
        return changes

    def _remove_targets(self, names: list[str]) -> None:
        if names:
            self._client.remove_targets(Rule=self.name, Ids=names)
