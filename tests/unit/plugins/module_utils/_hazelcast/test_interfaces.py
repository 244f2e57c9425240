# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Interface patterns, compared with what netaddr takes the same text for."""

from __future__ import annotations

import netaddr
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._hazelcast.interfaces import (
    interface_problems,
    matching,
)

OCTET = st.integers(0, 255)
PART = st.one_of(
    OCTET.map(str),
    st.just("*"),
    st.tuples(OCTET, OCTET).map(lambda two: f"{min(two)}-{max(two)}"),
)


@given(st.lists(PART, min_size=4, max_size=4), st.lists(OCTET, min_size=4, max_size=4))
def test_each_octet_as_netaddr_has_it(parts: list[str], octets: list[int]) -> None:
    """netaddr's ranges of nmap know the same parts of an octet, with `0-255` for `*`."""
    address = ".".join(map(str, octets))
    # One octet at a time: netaddr would walk through all addresses of a pattern
    meant = all(
        netaddr.IPAddress(f"10.0.0.{octet}") in set(netaddr.iter_nmap_range(f"10.0.0.{part.replace('*', '0-255')}"))
        for part, octet in zip(parts, octets)
    )
    assert (matching([address], ".".join(parts)) == [address]) is meant


@given(OCTET, OCTET, st.lists(OCTET, min_size=4, max_size=4))
def test_globs_as_netaddr_has_them(low: int, high: int, octets: list[int]) -> None:
    assume(low != high)  # which netaddr takes for none
    pattern = f"10.3.{min(low, high)}-{max(low, high)}.*"
    address = ".".join(map(str, [10, 3, *octets[2:]]))
    assert bool(matching([address], pattern)) is (netaddr.IPAddress(address) in netaddr.IPGlob(pattern))


@pytest.mark.parametrize(
    ("pattern", "complaint"),
    [
        ("10.256.*.*", "can match no address (256 is no octet)"),
        ("10.3.5-4.*", "(5-4 runs backwards)"),
        ("10.3.10", "is no interface pattern"),
        ("10.3.1*.7", "('1*' is no octet)"),
        ("fe80::*", "IPv6"),
        ("", "is no interface pattern"),
    ],
)
def test_what_is_no_pattern(pattern: str, complaint: str) -> None:
    with pytest.raises(ClusterkitError, match="write four octets") as caught:
        matching(["10.3.10.7"], pattern)
    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    ("pattern", "complaint"),
    [
        ("10.3.10.*", ""),
        ("10.3.10-11.7", ""),
        ("10.3.*.*", "matches 10.3.10.7, 10.3.20.7 (it has 10.3.10.7, 10.3.20.7, fe80::1): give a pattern"),
        ("10.4.*.*", "matches no address"),
        ("10.3.20.*", "means 10.3.20.7, and x_address is 10.3.10.7: the two have to be the same."),
        ("10.256.*.*", "On h the interface of the cluster: '10.256.*.*' can match no address"),
    ],
)
def test_exactly_one_address_of_a_member(pattern: str, complaint: str) -> None:
    found = interface_problems("h", "10.3.10.7", ["10.3.10.7", "10.3.20.7", "fe80::1"], [pattern], "x")
    assert (complaint in found[0] and len(found) == 1) if complaint else found == []
