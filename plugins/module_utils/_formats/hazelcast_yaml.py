# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`hazelcast.yaml` of Hazelcast 4 and 5: what is below `network.join` decides how members find each other."""

from __future__ import annotations

from typing import Any, ClassVar, Mapping

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._formats.format import Format, Surroundings
from ansible_collections.clusterkit.middleware.plugins.module_utils._formats.yaml_text import YamlText, flattened
from ansible_collections.clusterkit.middleware.plugins.module_utils._hazelcast.membership import (
    ABSENT,
    PRESENT,
    TERMS,
    Membership,
    spelled,
)

_JOIN = "hazelcast.network.join"
_INTERFACES = "hazelcast.network.interfaces"
#: The schemes by what each is called below `join`; Hazelcast looks by multicast where nothing is said.
SCHEMES = {"wka": "tcp-ip", "multicast": "multicast", "aws": "aws"}
#: Further ways to find others, which must not be enabled beside one of ours.
OTHERS = ("gcp", "azure", "kubernetes", "eureka", "auto-detection")
_ENABLED = [f"{_JOIN}.{one}.enabled" for one in (*SCHEMES.values(), *OTHERS)]


class HazelcastYaml(Format):
    """The keys of one member."""

    name = "hazelcast_yaml"
    file_names: ClassVar[list[str]] = ["hazelcast.yaml", "hazelcast.yml"]
    names: ClassVar[dict[str, str]] = {
        "domain": "hazelcast.cluster-name",
        "local_port": "hazelcast.network.port.port",
        "port_auto_increment": "hazelcast.network.port.auto-increment",
        "public_address": "hazelcast.network.public-address",
        "members": f"{_JOIN}.tcp-ip.member-list",
        "interfaces": f"{_INTERFACES}.interfaces",
        "multicast.address": f"{_JOIN}.multicast.multicast-group",
        "multicast.port": f"{_JOIN}.multicast.multicast-port",
        "multicast.timeout_seconds": f"{_JOIN}.multicast.multicast-timeout-seconds",
        "multicast.ttl": f"{_JOIN}.multicast.multicast-time-to-live",
        "aws.access_key": f"{_JOIN}.aws.access-key",
        "aws.secret_key": f"{_JOIN}.aws.secret-key",
        "aws.iam_role": f"{_JOIN}.aws.iam-role",
        "aws.region": f"{_JOIN}.aws.region",
        "aws.host_header": f"{_JOIN}.aws.host-header",
        "aws.security_group": f"{_JOIN}.aws.security-group-name",
        "aws.tag_key": f"{_JOIN}.aws.tag-key",
        "aws.tag_value": f"{_JOIN}.aws.tag-value",
        "aws.connection_timeout_seconds": f"{_JOIN}.aws.connection-timeout-seconds",
        "scheme": _JOIN,
    }
    hints: ClassVar[dict[str, str]] = {
        "password": "Hazelcast from 4 on has no password without a licence; let the firewall do that",
        "local_host": "give interfaces, with the address in it",
        **{
            f"timings.{name}_seconds": "write it below hazelcast.properties"
            for name in ("max_no_heartbeat", "merge_first_run", "merge_next_run")
        },
    }

    def __init__(self, content: bytes, around: Surroundings | None = None) -> None:
        """Read the content. Raises ClusterkitError."""
        super().__init__(content, around)
        self._yaml = YamlText(content)

    def read(self) -> dict[str, Any]:
        """Return what the file says; of several schemes that are enabled none is known."""
        enabled = [name for name, key in SCHEMES.items() if self._is_on(f"{_JOIN}.{key}.enabled")]
        others = [one for one in OTHERS if self._is_on(f"{_JOIN}.{one}.enabled")]
        found: dict[str, Any] = {"state": PRESENT if enabled or others else ABSENT}
        found["scheme"] = enabled[0] if len(enabled) == 1 and not others else None
        for name, path in self.names.items():
            node = None if name == "scheme" else self._yaml.only(path)
            if node is None:
                continue
            term = TERMS[name]
            # A name of digits is a number for YAML, and a text for who declares it
            value = node.text if term.kind == "str" and node.kind == "scalar" else self._yaml.loaded(node)
            if term.kind == "list":
                value = [str(one) for one in (value if isinstance(value, list) else [value])]
            found[name] = sorted(member(one) for one in value) if name == "members" else value
        if found.get("interfaces") and not self._is_on(f"{_INTERFACES}.enabled"):
            # A list that is not enabled has no effect
            del found["interfaces"]
        return found

    def rest(self) -> Any:
        """Return all other values of the file."""
        own = {path for name, path in self.names.items() if name != "scheme"}
        own |= {*_ENABLED, f"{_INTERFACES}.enabled"}
        below = tuple(f"{one}{mark}" for one in own for mark in ".[")
        return {
            path: text
            for path, text in flattened(self._yaml.root).items()
            if text and path not in own and not path.startswith(below)
        }

    def judge(self, declared: Membership, present: Mapping[str, Any]) -> list[str]:
        """Return warnings. Raises ClusterkitError."""
        scheme = declared.get("scheme")
        if scheme is None and not present.get("scheme"):
            raise ClusterkitError("scheme is missing, and the file enables no one of them: give wka, multicast or aws")
        if scheme is not None and scheme not in SCHEMES:
            raise ClusterkitError(f"scheme is {scheme}: give wka, multicast or aws")
        if declared.get("management_center.enabled") is not None or declared.get("management_center.url"):
            raise ClusterkitError("management_center cannot be expressed in hazelcast_yaml: it connects by itself")
        return []

    def wanted(self, declared: Membership) -> dict[str, Any]:
        """Return what the file has to say. Raises ClusterkitError."""
        wanted = super().wanted(declared)
        if declared.state == ABSENT and wanted:
            wanted["scheme"] = None
        return wanted

    def write(self, changes: Mapping[str, Any], declared: Membership) -> bytes:
        """Return the content with these values."""
        scheme = None if changes.get("state") == ABSENT else declared.get("scheme") or self.read().get("scheme")
        if "scheme" in changes or "state" in changes:
            for name, key in SCHEMES.items():
                self._switch(f"{_JOIN}.{key}.enabled", name == scheme, always=name in (scheme, "multicast"))
            for one in OTHERS:
                self._switch(f"{_JOIN}.{one}.enabled", False, always=scheme is None and one == "auto-detection")
        for name, value in changes.items():
            if name in ("state", "scheme"):
                continue
            if name == "interfaces":
                self._switch(f"{_INTERFACES}.enabled", True, always=True)
            if self._yaml.only(self.names[name]) is None or self._differs(self.names[name], value):
                self._yaml.set(self.names[name], list(value) if isinstance(value, list) else value)
        return self._yaml.encoded()

    def _differs(self, path: str, value: Any) -> bool:
        return bool(self._yaml.value(path) != value)

    def _is_on(self, path: str) -> bool:
        return self._yaml.value(path) is True

    def _switch(self, path: str, on: bool, always: bool) -> None:
        present = self._yaml.value(path)
        if present is not on and (always or present is not None):
            self._yaml.set(path, on)


def member(text: str) -> str:
    """Return a member as one text: with port where it has one."""
    host, _colon, port = text.rpartition(":")
    return spelled(host.strip("[]"), port) if port.isdigit() and host else text
