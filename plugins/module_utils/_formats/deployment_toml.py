# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`deployment.toml` of products on a Carbon kernel from 4.5 on, which write their axis2.xml from it at each start."""

from __future__ import annotations

from typing import Any, ClassVar, Mapping

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._formats.carbon import (
    AWS_NAMES,
    aws_names,
    kernel_warnings,
)
from ansible_collections.clusterkit.middleware.plugins.module_utils._formats.format import Format, Surroundings, number
from ansible_collections.clusterkit.middleware.plugins.module_utils._formats.toml_text import Path, TomlText
from ansible_collections.clusterkit.middleware.plugins.module_utils._hazelcast.membership import (
    ABSENT,
    PRESENT,
    TERMS,
    Membership,
)

_TABLE: Path = ("clustering",)
_PROPERTIES: Path = ("clustering", "properties")
_SCHEME: Path = ("clustering", "membership_scheme")
#: Keys of the table itself.
_KEYS = {
    "scheme": "membership_scheme",
    "domain": "domain",
    "local_host": "local_member_host",
    "local_port": "local_member_port",
    "members": "members",
}
#: What the product hands on to the agent, by the names that this has for them.
_HANDED_ON = {
    "scheme_class": "membershipSchemeClassName",
    "password": "groupPassword",
    "management_center.url": "mgtCenterURL",
    "multicast.address": "mcastAddress",
    "multicast.port": "mcastPort",
    "multicast.timeout_seconds": "mcastTimeout",
    "multicast.ttl": "mcastTTL",
}


class DeploymentToml(Format):
    """The table `clustering`. Its scheme is what enables it."""

    name = "deployment_toml"
    file_names: ClassVar[list[str]] = ["deployment.toml"]
    names: ClassVar[dict[str, str]] = {**_KEYS, **_HANDED_ON, **AWS_NAMES}
    has_parameters = True
    hints: ClassVar[dict[str, str]] = {
        "interfaces": "give local_host, one address",
        "port_auto_increment": "the agent takes local_port as it is; leave it out",
    }

    def __init__(self, content: bytes, around: Surroundings | None = None) -> None:
        """Read the content. Raises ClusterkitError for what is no TOML, or a table that cannot be edited."""
        super().__init__(content, around)
        self._toml = TomlText(content)
        self._toml.find(_SCHEME)
        self._toml.find((*_PROPERTIES, "any"))

    def read(self) -> dict[str, Any]:
        """Return what the file says."""
        words = {path: name for name, path in self._paths().items()}
        found: dict[str, Any] = {"state": ABSENT, "scheme": None}
        for entry in self._toml.entries:
            if entry.path[:1] != _TABLE:
                continue
            name = words.get(entry.path)
            if name is None:
                if entry.path[:-1] != _PROPERTIES:
                    continue
                name = f"parameters.{entry.path[-1]}"
            if name == "scheme":
                found["state"] = PRESENT
            found[name] = _value(name, entry.value)
        return found

    def rest(self) -> Any:
        """Return what the file says beside the table, with the comments of all of it."""
        ours = {*self._paths().values()}
        kept = [
            (one.path, one.value) for one in self._toml.entries if one.path not in ours and one.path[:-1] != _PROPERTIES
        ]
        tables = [one.path for one in self._toml.tables if one.path not in (_TABLE, _PROPERTIES)]
        return sorted(map(repr, kept)), tables

    def judge(self, declared: Membership, present: Mapping[str, Any]) -> list[str]:
        """Return warnings. Raises ClusterkitError."""
        if not (declared.get("scheme") or present.get("scheme")):
            raise ClusterkitError("scheme is missing, and it is what enables clustering in this file: give it")
        if declared.get("management_center.enabled") is not None:
            raise ClusterkitError("management_center.enabled cannot be expressed in deployment_toml: its url decides")
        for name in declared.parameters:
            for word, path in self._paths().items():
                if path == (*_PROPERTIES, name):
                    raise ClusterkitError(f"parameters has {name}: give it as {word}")
        return kernel_warnings(declared, self.around)

    def write(self, changes: Mapping[str, Any], declared: Membership) -> bytes:
        """Return the content with these values."""
        if changes.get("state") == ABSENT:
            self._toml.remove(_SCHEME)
            return self._toml.applied()
        paths = self._paths()
        # The keys of the table before those of the one below it
        ordered = sorted(changes, key=lambda name: len(paths.get(name, (*_PROPERTIES, ""))))
        for name in ordered:
            if name == "state":
                continue
            path = paths.get(name) or (*_PROPERTIES, name.partition(".")[2])
            value = changes[name]
            if name == "members":
                entry = self._toml.find(path)
                before = [str(one) for one in entry.value] if entry and isinstance(entry.value, list) else []
                value = [one for one in before if one in value] + [one for one in value if one not in before]
            self._toml.set(path, value)
        return self._toml.applied()

    def wanted(self, declared: Membership) -> dict[str, Any]:
        """Return what the file has to say. Raises ClusterkitError."""
        wanted = super().wanted(declared)
        if declared.state == ABSENT and wanted:
            wanted["scheme"] = None
        return wanted

    def _paths(self) -> dict[str, Path]:
        try:
            aws = aws_names(self.around.kernel)
        except ClusterkitError:
            aws = {}  # `judge` refuses what needs them
        return {
            **{name: (*_TABLE, key) for name, key in _KEYS.items()},
            **{name: (*_PROPERTIES, key) for name, key in {**_HANDED_ON, **aws}.items()},
        }


def _value(name: str, value: Any) -> Any:
    term = TERMS.get(name)
    if name == "members":
        return sorted(str(one) for one in value) if isinstance(value, list) else value
    if term and term.kind == "int":
        return number(value) if isinstance(value, str) else value
    return str(value).lower() if isinstance(value, bool) else str(value)
