# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`config.yml` of Alfresco's Sync Service: keys below `sync`, nested, dotted or partly each."""

from __future__ import annotations

from typing import Any, ClassVar, Mapping

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._formats.format import Format, Surroundings
from ansible_collections.clusterkit.middleware.plugins.module_utils._formats.yaml_text import YamlText, flattened
from ansible_collections.clusterkit.middleware.plugins.module_utils._hazelcast.membership import (
    ABSENT,
    PRESENT,
    Membership,
)

_ENABLED = "sync.cluster.enabled"


class SyncService(Format):
    """The ten properties of its cluster."""

    name = "sync_service"
    file_names: ClassVar[list[str]] = ["config.yml"]
    names: ClassVar[dict[str, str]] = {
        "interfaces": "sync.cluster.interface",
        "timings.check_timeout_ms": "sync.clusterCheck.timeout",
        "password": "sync.hazelcast.password",
        "local_port": "sync.hazelcast.port",
        "port_auto_increment": "sync.hazelcast.autoinc.port",
        "timings.max_no_heartbeat_seconds": "sync.hazelcast.max.no.heartbeat.seconds",
        "bind_any": "sync.hazelcast.bind.any",
        "management_center.enabled": "sync.hazelcast.mancenter.enabled",
        "management_center.url": "sync.hazelcast.mancenter.url",
    }
    hints: ClassVar[dict[str, str]] = {
        "members": "its members find each other through their database; leave it out",
        "scheme": "its members find each other through their database; leave it out",
        "local_host": "give interfaces, with the address in it",
    }

    def __init__(self, content: bytes, around: Surroundings | None = None) -> None:
        """Read the content. Raises ClusterkitError."""
        super().__init__(content, around)
        self._yaml = YamlText(content)

    def read(self) -> dict[str, Any]:
        """Return what the file says."""
        found: dict[str, Any] = {"state": PRESENT if self._yaml.value(_ENABLED) is True else ABSENT}
        for name, path in self.names.items():
            value = self._yaml.value(path)
            if value is not None:
                # A password of digits is a number for YAML, and a text for who declares it
                if name in ("password", "management_center.url"):
                    value = self._as_text(path)
                found[name] = [value] if name == "interfaces" else value
        return found

    def rest(self) -> Any:
        """Return all other values of the file."""
        own = {_ENABLED, *self.names.values()}
        # What had no value may have been made a mapping
        return {path: text for path, text in flattened(self._yaml.root).items() if path not in own and text}

    def judge(self, declared: Membership, present: Mapping[str, Any]) -> list[str]:
        """Return warnings. Raises ClusterkitError."""
        after = {**present, **declared.values}
        if len(after.get("interfaces") or []) > 1:
            raise ClusterkitError(
                f"interfaces has {len(after['interfaces'])} patterns: sync.cluster.interface takes one"
            )
        if after.get("interfaces") and after.get("bind_any"):
            raise ClusterkitError(
                "bind_any is true, so that interfaces would have no effect: set bind_any to false, or leave out "
                "interfaces"
            )
        if after.get("management_center.enabled") and not after.get("management_center.url"):
            raise ClusterkitError("management_center.enabled is true and management_center.url is missing: give it")
        for name, least in (("timings.check_timeout_ms", 100), ("timings.max_no_heartbeat_seconds", 1)):
            value = declared.get(name)
            if value is not None and value < least:
                raise ClusterkitError(
                    f"{name} is {value}: members would be taken for dead at once; give {least} or more"
                )
        warnings = []
        if after.get("port_auto_increment"):
            warnings.append(
                "port_auto_increment is true: a member may take another port than the firewall lets through; its "
                "manual recommends false"
            )
        if self._yaml.find("alfresco.hazelcast.port"):
            warnings.append("alfresco.hazelcast.port stands in the file and has no effect: it is sync.hazelcast.port")
        return warnings

    def write(self, changes: Mapping[str, Any], declared: Membership) -> bytes:
        """Return the content with these values."""
        for name, value in changes.items():
            if name == "state":
                self._yaml.set(_ENABLED, value == PRESENT, self.around.dotted)
            else:
                self._yaml.set(self.names[name], value[0] if name == "interfaces" else value, self.around.dotted)
        return self._yaml.encoded()

    def _as_text(self, path: str) -> str:
        node = self._yaml.only(path)
        return node.text if node else ""
