# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module member_ports: check tells what the run does, the second run does nothing, bad input is named."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._common import firewall
from ansible_collections.clusterkit.middleware.plugins.modules.member_ports import main

if TYPE_CHECKING:
    from tests.unit.conftest import RunModule


class Kept:
    """A firewall that only keeps account."""

    name = "kept"

    def __init__(self) -> None:
        self.rules: set[firewall.Opening] = set()

    def has(self, opening: firewall.Opening) -> bool:
        return opening in self.rules

    def open(self, opening: firewall.Opening) -> None:
        self.rules.add(opening)

    def close(self, opening: firewall.Opening) -> None:
        self.rules.discard(opening)


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Kept:
    one = Kept()
    monkeypatch.setattr(firewall, "running", lambda _runner: [one])
    monkeypatch.setattr(firewall, "Openings", functools.partial(firewall.Openings, directory=str(tmp_path)))
    return one


def test_opens_once_and_closes_to_whom_is_no_member(run_module: RunModule, kept: Kept) -> None:
    options: dict[str, Any] = {"service": "csync2", "ports": ["30865/tcp"], "addresses": ["192.0.2.1", "192.0.2.2"]}
    predicted = run_module(main, check=True, **options)
    assert kept.rules == set()
    done = run_module(main, **options)
    assert (predicted["changed"], predicted["diff"]) == (True, done["diff"])
    assert done["opened"] == ["30865/tcp from 192.0.2.1", "30865/tcp from 192.0.2.2"]
    assert not run_module(main, **options)["changed"]
    left = run_module(main, **{**options, "addresses": ["192.0.2.2"]})
    assert (left["closed"], left["opened"]) == (["30865/tcp from 192.0.2.1"], [])
    assert {one.address for one in kept.rules} == {"192.0.2.2"}


def test_without_a_firewall_nothing_is_done(run_module: RunModule, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firewall, "running", lambda _runner: [])
    result = run_module(main, service="csync2", ports=["30865/tcp"], addresses=["192.0.2.1"])
    assert (result["changed"], result["firewalls"]) == (False, [])


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"addresses": ["idp1"]}, "'idp1' is no address"),
        ({"ports": ["http"]}, "port is 'http': write it as"),
        ({"service": "../x"}, "service is '../x'"),
    ],
)
def test_bad_input_is_named(run_module: RunModule, given: dict[str, Any], complaint: str) -> None:
    options: dict[str, Any] = {"service": "web", "ports": ["80/tcp"], "addresses": ["192.0.2.1"], **given}
    result = run_module(main, **options)
    assert result["failed"]
    assert complaint in result["msg"]
