# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one vocabulary in which a host's membership in a Hazelcast cluster is declared, whatever file it goes to."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Any, Mapping

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._hazelcast.interfaces import read_pattern

PRESENT, ABSENT = "present", "absent"
#: Hazelcast scans these ports of the instances that Amazon names, at most.
_AWS_PORTS = range(5701, 5801)


@dataclass(frozen=True)
class Term:
    """A word of the vocabulary: of what type its values are, and whether they are secret."""

    kind: str = "str"
    secret: bool = False


#: All words. Before a dot stands the option that holds those behind it.
TERMS: dict[str, Term] = {
    "scheme": Term(),
    "scheme_class": Term(),
    "domain": Term(),
    "local_host": Term(),
    "local_port": Term("int"),
    "members": Term("list"),
    "password": Term(secret=True),
    "interfaces": Term("list"),
    "bind_any": Term("bool"),
    "port_auto_increment": Term("bool"),
    "public_address": Term(),
    "timings.max_no_heartbeat_seconds": Term("int"),
    "timings.merge_first_run_seconds": Term("int"),
    "timings.merge_next_run_seconds": Term("int"),
    "timings.check_timeout_ms": Term("int"),
    "management_center.enabled": Term("bool"),
    "management_center.url": Term(),
    "multicast.address": Term(),
    "multicast.port": Term("int"),
    "multicast.timeout_seconds": Term("int"),
    "multicast.ttl": Term("int"),
    "aws.access_key": Term(secret=True),
    "aws.secret_key": Term(secret=True),
    "aws.iam_role": Term(),
    "aws.region": Term(),
    "aws.host_header": Term(),
    "aws.security_group": Term(),
    "aws.tag_key": Term(),
    "aws.tag_value": Term(),
    "aws.connection_timeout_seconds": Term("int"),
}


@dataclass(frozen=True)
class Membership:
    """What is declared of a host's membership; of what is not in `values` the file stays as it is.

    `values` is by the words of the vocabulary. `parameters` are others that the product reads, by the names that it
    has for them.
    """

    state: str
    values: Mapping[str, Any]
    parameters: Mapping[str, str]
    allow_untagged: bool = False

    @classmethod
    def read(cls, options: Mapping[str, Any]) -> Membership:
        """Read the options of a task. Raises ClusterkitError for what contradicts itself."""
        values: dict[str, Any] = {}
        for name, term in TERMS.items():
            outer, _dot, inner = name.rpartition(".")
            value = ((options.get(outer) or {}) if outer else options).get(inner)
            if value is not None:
                values[name] = _checked(name, term, value)
        if "members" in values:
            values["members"] = sorted({spelled(*host_and_port(one, None)) for one in values["members"]})
        parameters = {str(key): _text(key, value) for key, value in (options.get("parameters") or {}).items()}
        new = cls(options["state"], values, parameters, bool(options.get("allow_untagged")))
        if new.state == PRESENT:
            new._check()
        return new

    def get(self, name: str) -> Any:
        """Return what is declared for a word, None for nothing."""
        return self.values.get(name)

    def _check(self) -> None:
        for pattern in self.get("interfaces") or []:
            try:
                read_pattern(pattern)
            except ClusterkitError as error:
                raise ClusterkitError(f"interfaces: {error}") from None
        self._check_host()
        self._check_scheme()
        if self.get("management_center.enabled") and not self.get("management_center.url"):
            raise ClusterkitError("management_center.enabled is true and management_center.url is missing: give both")

    def _check_host(self) -> None:
        others = len(self.get("members") or []) > 1
        host = self.get("local_host")
        if host is None or not others:
            return
        try:
            loopback = ipaddress.ip_address(host).is_loopback
        except ValueError:
            loopback = host.lower().partition(".")[0] == "localhost"
        if loopback:
            raise ClusterkitError(
                f"local_host is {host}, which is loopback, and there are {len(self.get('members'))} members: give the "
                "address under which the others reach this one"
            )

    def _check_scheme(self) -> None:
        scheme = self.get("scheme")
        if scheme == "wka" and "members" in self.values and not self.get("members"):
            raise ClusterkitError("scheme is wka and members is empty: list all members, this one among them")
        if scheme == "aws":
            self._check_aws()

    def _check_aws(self) -> None:
        region = self.get("aws.region")
        if region and (zone := re.match(r"(\w+-(?:\w+-)+\d+)[a-z]$", region)):
            raise ClusterkitError(f"aws.region is {region}, which is a zone: the region is {zone[1]}")
        if not self.get("aws.security_group"):
            raise ClusterkitError("scheme is aws and aws.security_group is missing: name the group of the members")
        tags = [name for name in ("aws.tag_key", "aws.tag_value") if self.get(name)]
        if len(tags) == 1:
            raise ClusterkitError(f"{tags[0]} is given alone: give both aws.tag_key and aws.tag_value")
        if not tags and not self.allow_untagged:
            raise ClusterkitError(
                "scheme is aws, and aws.tag_key and aws.tag_value are missing: without them every instance of the "
                "security group is taken for a member; give both, or allow_untagged: true where that is meant"
            )
        keys = [name for name in ("aws.access_key", "aws.secret_key") if self.get(name)]
        if len(keys) == 1:
            raise ClusterkitError(f"{keys[0]} is given alone: give both aws.access_key and aws.secret_key")
        if keys and self.get("aws.iam_role"):
            raise ClusterkitError("aws.access_key and aws.iam_role are both given: give one way to sign in")
        port = self.get("local_port")
        if port is not None and port not in _AWS_PORTS:
            raise ClusterkitError(f"local_port is {port}: with scheme aws a port from 5701 to 5800 is found by others")


def host_and_port(text: str, default_port: int | None) -> tuple[str, int]:
    """Return the two parts of `host:port` or `[address]:port`. Raises ClusterkitError."""
    found = re.match(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s:\[\]]+))(?::(\d{1,5}))?$", text)
    port = int(found[3]) if found and found[3] else default_port
    if not found or port is None or not 0 < port < 65536:
        raise ClusterkitError(f"{text!r} is no member: write host:port, and an address of IPv6 in brackets")
    return found[1] or found[2], port


def spelled(host: str, port: int | str) -> str:
    """Return a member as one text."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _checked(name: str, term: Term, value: Any) -> Any:
    if name.endswith("port") and not 0 < value < 65536:
        raise ClusterkitError(f"{name} is {value}: give a number from 1 to 65535")
    if term.kind == "int" and value < 0:
        raise ClusterkitError(f"{name} is {value}: give a number that is not negative")
    if term.kind == "list":
        return [_text(name, one) for one in value]
    return _text(name, value, term.secret) if term.kind == "str" else value


def _text(name: str, value: Any, secret: bool = False) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if re.search(r"[\x00-\x1f\x7f]", text):
        shown = "" if secret else f" {text!r}"
        raise ClusterkitError(f"{name} is{shown or ' of several lines'}: give one line without control characters")
    if text != text.strip():
        raise ClusterkitError(f"{name} begins or ends with a blank, which the product would not see: leave it out")
    return text


def argument_spec() -> dict[str, Any]:
    """Return the options of a task that declares a membership."""
    spec: dict[str, Any] = {
        "state": {"type": "str", "choices": [PRESENT, ABSENT], "default": PRESENT},
        "parameters": {"type": "dict"},
        "allow_untagged": {"type": "bool", "default": False},
    }
    for name, term in TERMS.items():
        outer, _dot, inner = name.rpartition(".")
        option: dict[str, Any] = {"type": term.kind}
        if term.kind == "list":
            option["elements"] = "str"
        if term.secret or inner == "tag_key":
            option["no_log"] = term.secret
        if outer:
            spec.setdefault(outer, {"type": "dict", "options": {}})["options"][inner] = option
        else:
            spec[inner] = option
    return spec
