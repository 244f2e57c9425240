# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Members come from the inventory, whatever part of them a run is limited to."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.members import (
    cluster_members,
    cluster_results,
    members_without_address,
)

HOSTVARS: dict[str, dict[str, Any]] = {
    "h1": {"web_name": "n1", "web_address": "10.0.0.1", "ansible_facts": {"default_ipv4": {"address": "192.0.2.1"}}},
    "h2": {"ansible_facts": {"default_ipv4": {"address": "10.0.0.2"}, "default_ipv6": {"address": "2001:db8::2"}}},
    "h3": {"ansible_facts": {"default_ipv4": {}, "default_ipv6": {"address": "2001:db8::3"}}},
    "h4": {"ansible_default_ipv4": {"address": "10.0.0.4"}, "web_name": ""},
    "h5": {"ansible_facts": {}, "web_address": ""},
}
MEMBERS = [{"host": host, "name": host, "address": host} for host in ("h1", "h2", "h3")]


def test_names_and_addresses() -> None:
    assert cluster_members(HOSTVARS, ["h4", "h1", "h3", "h2"], "web") == [
        {"host": "h4", "name": "h4", "address": "10.0.0.4"},
        {"host": "h1", "name": "n1", "address": "10.0.0.1"},
        {"host": "h3", "name": "h3", "address": "2001:db8::3"},
        {"host": "h2", "name": "h2", "address": "10.0.0.2"},
    ]
    assert cluster_members(HOSTVARS, [], "web") == []
    # The variables of one role are not those of another
    assert cluster_members(HOSTVARS, ["h1"], "db") == [{"host": "h1", "name": "h1", "address": "192.0.2.1"}]


def test_members_without_address() -> None:
    assert members_without_address(HOSTVARS, ["h5", "h1", "h3"], "web") == ["h5"]
    assert cluster_members(HOSTVARS, ["h1", "h5"], "web", addresses=False) == [
        {"host": "h1", "name": "n1", "address": ""},
        {"host": "h5", "name": "h5", "address": ""},
    ]
    with pytest.raises(ClusterkitError) as caught:
        cluster_members(HOSTVARS, ["h1", "h5"], "web")
    assert (
        str(caught.value)
        == "no address is known of h5: it has to be reachable, so that its facts can be gathered, or set "
        "web_address for it in the inventory"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"web_name": "N1"}, "web_name is N1 for both h1 and h2: each needs its own"),
        ({"web_address": "10.0.0.1"}, "web_address is 10.0.0.1 for both h1 and h2: each needs its own"),
    ],
)
def test_two_of_one_name_or_address(change: dict[str, str], message: str) -> None:
    with pytest.raises(ClusterkitError) as caught:
        cluster_members({**HOSTVARS, "h2": {**HOSTVARS["h2"], **change}}, ["h1", "h2"], "web")
    assert str(caught.value) == message


@given(st.permutations(["h1", "h2", "h3", "h4"]))
def test_the_inventorys_order_is_kept(hosts: list[str]) -> None:
    assert [member["host"] for member in cluster_members(HOSTVARS, hosts, "web")] == hosts


def test_results_of_members_in_this_run_and_elsewhere() -> None:
    hostvars = {"h1": {"asked": {"version": "1"}}, "h2": {}, "h3": {}}
    elsewhere = {"results": [{"item": MEMBERS[1], "version": "2"}, {"version": "of nobody"}]}
    assert cluster_results(hostvars, MEMBERS, "asked", elsewhere) == {
        "h1": {"version": "1"},
        "h2": {"item": MEMBERS[1], "version": "2"},
    }
    for nothing in (None, {}, {"skipped": True}):
        assert cluster_results(hostvars, MEMBERS, "asked", nothing) == {"h1": {"version": "1"}}


@pytest.mark.parametrize("word", ["failed", "skipped", "unreachable"])
def test_a_task_that_did_not_run_told_nothing(word: str) -> None:
    hostvars = {"h1": {"asked": {word: True, "msg": "x"}}, "h2": {"asked": {word: False, "x": 1}}, "h3": {}}
    elsewhere = {"results": [{"item": MEMBERS[2], word: True}]}
    assert cluster_results(hostvars, MEMBERS, "asked", elsewhere) == {"h2": {word: False, "x": 1}}


def test_addresses_have_one_spelling_and_are_no_names() -> None:
    (member,) = cluster_members({"h1": {"web_address": "2001:DB8::0011"}}, ["h1"], "web")
    assert member["address"] == "2001:db8::11"
    with pytest.raises(ClusterkitError, match="web_address of h1 is 'idp1': give an address, not a name"):
        cluster_members({"h1": {"web_address": "idp1"}}, ["h1"], "web")
