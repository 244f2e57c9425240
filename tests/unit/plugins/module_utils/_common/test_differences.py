# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`changed` and `diff` come from one list and cannot contradict each other."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.differences import (
    MASK_PRESENT,
    MASK_WANTED,
    DifferenceTracker,
)

VALUES = st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.integers())


def test_only_what_differs_is_shown() -> None:
    tracker = DifferenceTracker()
    assert tracker.add("port", 30865, 30864)
    assert not tracker.add("host", "a", "a")
    assert tracker.diff("/etc/x") == {
        "before": {"port": 30864},
        "after": {"port": 30865},
        "before_header": "/etc/x",
        "after_header": "/etc/x",
    }
    assert tracker.names == ["port"]


def test_true_is_not_one() -> None:
    tracker = DifferenceTracker()
    assert tracker.add("enabled", True, 1)
    assert not tracker.add("count", 1, 1.0)


@given(st.dictionaries(st.text(), st.tuples(VALUES, VALUES, st.booleans())))
def test_changed_and_diff_agree(things: dict[str, tuple[Any, Any, bool]]) -> None:
    tracker = DifferenceTracker()
    for name, (wanted, present, secret) in things.items():
        tracker.add(name, wanted, present, secret)
    diff = tracker.diff()
    assert tracker.changed == (diff["before"] != diff["after"])
    assert set(diff["before"]) == set(diff["after"]) == set(tracker.names)


@given(VALUES, VALUES)
def test_of_a_secret_only_the_change_is_kept(wanted: Any, present: Any) -> None:
    tracker = DifferenceTracker()
    differs = tracker.add("password", wanted, present, secret=True)
    assert set(tracker.diff()["before"].values()) <= {None, MASK_PRESENT}
    assert set(tracker.diff()["after"].values()) <= {None, MASK_WANTED}
    assert differs == tracker.changed == (tracker.diff()["before"] != tracker.diff()["after"])
