# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Interface patterns as Hazelcast understands them: `10.3.10.7`, `10.3.10.*`, `10.3.4-5.*`."""

from __future__ import annotations

import re
from typing import Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError

_PART = re.compile(r"(\*|\d{1,3}|(\d{1,3})-(\d{1,3}))$")


def read_pattern(pattern: str) -> list[tuple[int, int]]:
    """Return the ranges of the four octets of a pattern. Raises ClusterkitError for what is none."""
    right = "write four octets, each a number to 255, a range such as 4-5, or *: 10.3.10.7, 10.3.10.*, 10.3.4-5.*"
    parts = pattern.split(".")
    if len(parts) != 4:
        kind = "an address of IPv6, which is not supported here" if ":" in pattern else "no interface pattern"
        raise ClusterkitError(f"{pattern!r} is {kind}: {right}")
    ranges = []
    for part in parts:
        found = _PART.match(part)
        if not found:
            raise ClusterkitError(f"{pattern!r} is no interface pattern ({part!r} is no octet): {right}")
        low, high = (0, 255) if part == "*" else (int(found[2] or part.split("-")[0]), int(found[3] or part))
        if high > 255 or low > 255:
            raise ClusterkitError(f"{pattern!r} can match no address ({max(low, high)} is no octet): {right}")
        if low > high:
            raise ClusterkitError(f"{pattern!r} can match no address ({part} runs backwards): {right}")
        ranges.append((low, high))
    return ranges


def matching(addresses: Sequence[str], pattern: str) -> list[str]:
    """Return the addresses that a pattern means; none of IPv6 is. Raises ClusterkitError for what is no pattern."""
    ranges = read_pattern(pattern)
    return [one for one in addresses if "." in one and ":" not in one and _within(one, ranges)]


def _within(address: str, ranges: Sequence[tuple[int, int]]) -> bool:
    return all(low <= int(octet) <= high for octet, (low, high) in zip(address.split("."), ranges))


def interface_problems(host: str, address: str, has: Sequence[str], patterns: Sequence[str], role: str) -> list[str]:
    """Return, in sentences, why patterns do not mean the one address of a member, which `has` those addresses."""
    out = []
    for pattern in patterns:
        try:
            found = matching(has, pattern)
        except ClusterkitError as error:
            out.append(f"On {host} the interface of the cluster: {error}.")
            continue
        if len(found) != 1:
            what = f"matches {', '.join(found)}" if found else "matches no address"
            out.append(
                f"On {host} the interface {pattern} {what} (it has {', '.join(has) or 'none'}): give a pattern that "
                "one address of each member matches."
            )
        elif found[0] != address:
            out.append(
                f"On {host} the interface {pattern} means {found[0]}, and {role}_address is {address}: "
                "the two have to be the same."
            )
    return out
