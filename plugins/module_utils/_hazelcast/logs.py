# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a member with Hazelcast below it writes to its log about the cluster, since its process started.

Of two members only the one that was there first logs that the other joined; the one that joins logs nothing of those
that it finds. A member whose part of a split cluster merges into another gets a new identifier and does not say which.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Iterable, Sequence

#: Time, level and the rest of a line, in the layouts that Carbon's generations have.
_LINE = re.compile(
    r"\[(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)[,.](?P<fraction>\d{3})\](?:\s*\[[^\]]*\])*"
    r"\s+(?P<level>TRACE|DEBUG|INFO|WARN|ERROR|FATAL)\s(?P<said>.*)"
)
_UUID = r"\[(?P<uuid>[0-9A-Fa-f-]{36})\]"
_STARTING = re.compile(r"Starting (?:\w+ )?Carbon\b")
_DOMAIN = re.compile(r"Cluster domain: (?P<domain>\S+)")
_SCHEME = re.compile(r"Using (?P<scheme>\S+) based membership management scheme")
_LOCAL = re.compile(rf"Local member: {_UUID} - Host: ?(?P<host>[^,\s]+), Port: ?(?P<port>\d+)")
_MOVED = re.compile(
    rf"Member (?P<what>joined|left) {_UUID}: (?:[^/\s]*/)?\[?(?P<host>[0-9A-Fa-f.:]+?)\]?:(?P<port>\d+)(?!\S)"
)
_ELECTED = re.compile(rf"Elected this member {_UUID} as the Coordinator")
_INITIALIZED = "Cluster initialization completed"
_ERRORS = ("ERROR", "FATAL")
#: So many errors are told.
_TOLD = 20
_LONGEST = 300
#: What a line that holds this means for the cluster.
_CAUSES = (
    ("Incompatible group password", "its group password is not that of the others"),
    ("Incompatible group name", "its domain is not that of the others"),
    ("No EC2 instances found", "Amazon named no instance with the region, security group and tag that it was given"),
    ("Invalid membership scheme", "the scheme is none that it knows"),
    # Amazon's reason stands in the answer, which Hazelcast does not log
    ("HTTP response code: 401 for URL: https://ec2.", "Amazon does not accept its access key and secret key"),
    (
        "HTTP response code: 403 for URL: https://ec2.",
        "Amazon does not allow its access key, or role, what it asks for",
    ),
    ("PKIX path building failed", "its truststore does not have the certificate of Amazon's endpoint"),
    ("Address already in use", "another program has its port"),
    ("Cannot assign requested address", "its local_host is no address of this host"),
)


@dataclass
class Account:
    """What one process says of its cluster."""

    #: Whether the log begins with this process: what came before may have been moved away.
    whole: bool = False
    domain: str = ""
    scheme: str = ""
    uuid: str = ""
    host: str = ""
    port: int = 0
    #: Whether it found no other member when it started, and so began a cluster.
    founded: bool = False
    #: Whether it has ended its start, so that it is in a cluster, be it of its own.
    initialized: bool = False
    #: The last word about each other member, by `address:port`: `state` joined or left, `uuid`, `at`.
    others: dict[str, dict[str, str]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    errors_counted: int = 0
    #: What its lines tell of why it is not in the cluster of the others.
    causes: list[str] = field(default_factory=list)

    def told(self) -> dict[str, Any]:
        """Return it as a module returns it."""
        return {
            "whole": self.whole,
            "domain": self.domain,
            "scheme": self.scheme,
            "local": {"uuid": self.uuid, "address": self.host, "port": self.port},
            "founded": self.founded,
            "initialized": self.initialized,
            "others": [{"address": name, **word} for name, word in sorted(self.others.items())],
            "errors": list(self.errors),
            "errors_counted": self.errors_counted,
            "causes": list(self.causes),
        }


def account(lines: Iterable[str], since: str, allowed: Sequence[str] = ()) -> Account:
    """Return what the process that started at `since` (`2026-11-29 08:58:32`, in the log's own time) has said.

    `allowed` are patterns of errors that do not count.
    """
    passed = [re.compile(one) for one in allowed]
    found = Account()
    for line in lines:
        match = _LINE.search(line)
        if not match or match["time"] < since:
            continue
        said = match["said"]
        if _STARTING.search(said):
            found = Account(whole=True)
            continue
        at = f"{match['time']},{match['fraction']}"
        _read(found, said, at)
        if match["level"] in _ERRORS and not any(one.search(line) for one in passed):
            found.errors_counted += 1
            if len(found.errors) < _TOLD:
                found.errors.append(f"{at} {_short(said)}")
        for text, cause in _CAUSES:
            if text in said and cause not in found.causes:
                found.causes.append(cause)
    return found


def _short(said: str) -> str:
    """Return what was said without what stands in addresses: a query may hold how it was signed."""
    text = re.sub(r"(\bhttps?://[^\s?]+)\?\S*", r"\1?…", said.strip())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _read(found: Account, said: str, at: str) -> None:
    if moved := _MOVED.search(said):
        found.others[f"{moved['host']}:{moved['port']}"] = {"state": moved["what"], "uuid": moved["uuid"], "at": at}
    elif local := _LOCAL.search(said):
        found.uuid, found.host, found.port = local["uuid"], local["host"], int(local["port"])
    elif scheme := _SCHEME.search(said):
        found.scheme = scheme["scheme"]
    elif domain := _DOMAIN.search(said):
        found.domain = domain["domain"]
    elif _ELECTED.search(said):
        # Later it only tells that all that were there before it have left
        found.founded = found.founded or not found.initialized
    elif _INITIALIZED in said:
        found.initialized = True
