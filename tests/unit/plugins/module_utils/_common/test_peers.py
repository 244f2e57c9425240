# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether hosts can be peers, judged from what each saw."""

from __future__ import annotations

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._common import peers

MEMBERS = [{"host": f"h{n}", "name": f"n{n}", "address": f"10.0.0.{n}"} for n in (1, 2)]


@pytest.mark.parametrize(
    ("answers", "complaint"),
    [
        ({"n1": ["127.0.1.1"], "n2": ["10.0.0.2", "fd00::2"]}, ""),
        ({"n1": ["10.0.0.1"], "n2": ["127.0.1.1"]}, "On h1 the name n2 resolves to 127.0.1.1, not to 10.0.0.2: mend."),
        ({"n2": ["10.0.0.2"]}, "On h1 the name n1 resolves to nothing, not to 10.0.0.1: mend."),
    ],
)
def test_names(answers: dict[str, list[str]], complaint: str) -> None:
    assert peers.names("h1", answers, MEMBERS, "mend") == ([complaint] if complaint else [])


@pytest.mark.parametrize(
    ("failure", "idle", "opened", "complaint"),
    [
        ("", (), (), ""),
        ("refused", ("n2:8989",), (), ""),
        ("refused", (), (), "Nothing answers h1 at n2:8989: start what listens there."),
        ("timed out", ("n2:8989",), (), "h1 does not reach n2:8989 (timed out): let it through the firewalls"),
        ("timed out", (), ("n2:8989",), ""),
    ],
)
def test_ports(failure: str, idle: tuple[str, ...], opened: tuple[str, ...], complaint: str) -> None:
    said = peers.ports("h1", {"n2:8989": failure}, idle, opened)
    assert " ".join(said).startswith(complaint) and len(said) == bool(complaint)


def test_clocks_differ_only_where_that_is_certain() -> None:
    found = {"h1": {"clock_ahead": 0.5}, "h2": {"clock_ahead": 9.0}, "h3": {}}
    assert peers.clocks(found, now=103.0, asked_at=100.0, most=6) == []
    assert peers.clocks(found, now=103.0, asked_at=100.0, most=5) == [
        "The clock of h2 is at least 5.5 s ahead of that of h1, and 5 s are let pass: synchronise them, for instance "
        "by chrony."
    ]
    assert peers.clocks({"h3": {}}, 1.0, 0.0, 5) == []


def test_clocks_that_were_asked_each_by_itself() -> None:
    """Each answer has its own bounds; the wider one that shows most need not be the one that is ahead for certain."""
    found = {
        "h1": {"clock_ahead": 0.2, "clock_within": 0.2},
        "h2": {"clock_ahead": 2.0, "clock_within": 0.2},
        "h3": {"clock_ahead": 9.0, "clock_within": 8.9},
    }
    assert peers.clocks(found, most=2) == []
    (told,) = peers.clocks(found, most=1)
    assert told.startswith("The clock of h2 is at least 1.6 s ahead of that of h1, and 1 s are let pass")


def test_shortages() -> None:
    found = {
        "h1": {"resources": {"cpus": 2, "memory": 8_000_000_000, "disk": 40_000_000_000}},
        "h2": {"resources": {"cpus": 1, "memory": 7_300_000_000, "disk": 35_000_000_000}},
        "h3": {},
    }
    assert peers.shortages(found, 2, 8, 40) == ["h2 has 1 of 2 processors.", "h2 has 35.0 of 40 GB of disk."]
    assert peers.shortages(found, 1, 8.5, 1) == ["h2 has 7.3 of 8.5 GB of memory."]
