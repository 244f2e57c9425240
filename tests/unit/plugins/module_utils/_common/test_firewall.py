# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports opened to members: what is open, what is closed again, and what is nobody's business of ours."""

from __future__ import annotations

import pathlib

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Outcome, Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.firewall import (
    Firewalld,
    Opening,
    Openings,
    Ufw,
    names,
    openings,
)

ONE, TWO = Opening("192.0.2.11", "30865", "tcp"), Opening("2001:db8::2", "30865", "tcp")


class UfwThatIsPlayed(Runner):
    """ufw as it answers (0.36.2): its rules, with comments, in the order of its own output."""

    def __init__(self, *rules: str) -> None:
        super().__init__()
        self.rules = list(rules)

    def execute(self, argv: list[str], *_rest: object) -> Outcome:
        assert argv[0] == "ufw"
        if argv[1:] == ["show", "added"]:
            return Outcome(0, stdout="\n".join(["Added user rules (see 'ufw status'):", *self.rules]).encode())
        if argv[1] == "delete":
            rule = f"ufw {' '.join(argv[2:])} comment 'cluster member'"
            self.rules = [one for one in self.rules if one != rule]
        else:
            assert argv[-2:] == ["comment", "cluster member"]
            self.rules.append(f"ufw {' '.join(argv[1:-2])} comment 'cluster member'")
        return Outcome(0)


class FirewalldThatIsPlayed(Runner):
    """firewall-cmd as it answers (1.3): rules that run and rules that are kept, each a set."""

    def __init__(self) -> None:
        super().__init__()
        self.rules: dict[bool, set[str]] = {True: set(), False: set()}

    def execute(self, argv: list[str], *_rest: object) -> Outcome:
        kept = "--permanent" in argv
        verb, rule = argv[-1].split("=", 1)
        if verb == "--query-rich-rule":
            return Outcome(0 if rule in self.rules[kept] else 1)
        {"--add-rich-rule": self.rules[kept].add, "--remove-rich-rule": self.rules[kept].discard}[verb](rule)
        return Outcome(0)


def test_ufw_opens_once_and_closes_only_what_was_opened(tmp_path: pathlib.Path) -> None:
    foreign = "ufw allow from 192.0.2.99 to any port 30865 proto tcp"
    ufw = UfwThatIsPlayed(foreign)
    kept = Openings("csync2", [Ufw(ufw)], str(tmp_path / "ports"))
    kept.apply(*kept.plan([ONE, TWO]))
    assert ufw.rules[1] == "ufw allow from 192.0.2.11 to any port 30865 proto tcp comment 'cluster member'"
    assert kept.plan([ONE, TWO]) == ([], [])
    assert kept.plan([ONE]) == ([], [TWO])
    kept.apply(*kept.plan([]))
    assert ufw.rules == [foreign]
    assert list((tmp_path / "ports").iterdir()) == []


def test_what_was_opened_by_hand_is_not_opened_again() -> None:
    ufw = UfwThatIsPlayed("ufw allow from 192.0.2.11 to any port 30865 proto tcp comment 'by hand'")
    assert Ufw(ufw).has(ONE)
    assert not Ufw(ufw).has(TWO)


def test_firewalld_opens_now_and_for_later(tmp_path: pathlib.Path) -> None:
    firewalld = FirewalldThatIsPlayed()
    kept = Openings("csync2", [Firewalld(firewalld)], str(tmp_path / "ports"))
    kept.apply(*kept.plan([ONE, TWO]))
    rule = 'rule family="ipv4" source address="192.0.2.11" port port="30865" protocol="tcp" accept'
    assert all(rule in rules and len(rules) == 2 for rules in firewalld.rules.values())
    assert any('family="ipv6"' in one for one in firewalld.rules[True])
    # A reload of firewalld by somebody else lost nothing; a rule that only one of the two has is completed
    firewalld.rules[False].clear()
    assert kept.plan([ONE, TWO]) == ([ONE, TWO], [])
    kept.apply(*kept.plan([ONE, TWO]))
    kept.apply(*kept.plan([TWO]))
    assert rule not in firewalld.rules[True] | firewalld.rules[False]


def test_interrupted_it_still_knows_what_it_opened(tmp_path: pathlib.Path) -> None:
    class Fails(UfwThatIsPlayed):
        def execute(self, argv: list[str], *rest: object) -> Outcome:
            if TWO.address in argv:
                raise OSError(5, "killed here")
            return super().execute(argv, *rest)

    failing = Fails()
    kept = Openings("csync2", [Ufw(failing)], str(tmp_path / "ports"))
    with pytest.raises(ClusterkitError):
        kept.apply([ONE, TWO], [])
    again = UfwThatIsPlayed(*failing.rules)
    left = Openings("csync2", [Ufw(again)], str(tmp_path / "ports"))
    assert left.plan([]) == ([], [ONE, TWO])
    left.apply(*left.plan([]))
    assert again.rules == []


def test_bad_input_is_named() -> None:
    assert openings(["192.0.2.11"], ["30865/tcp"]) == [ONE]
    with pytest.raises(ClusterkitError, match="'idp1' is no address"):
        openings(["idp1"], ["30865/tcp"])
    with pytest.raises(ClusterkitError, match="port is '30865': write it as '30865/tcp', or vrrp"):
        openings(["192.0.2.11"], ["30865"])


def test_a_protocol_without_ports_is_opened_as_such(tmp_path: pathlib.Path) -> None:
    """As ufw 0.36.2 lists it: it leaves out the destination, where no port is given."""
    ufw, firewalld = UfwThatIsPlayed(), FirewalldThatIsPlayed()
    kept = Openings("keepalived", [Ufw(ufw), Firewalld(firewalld)], str(tmp_path))
    wanted = openings(["192.0.2.11"], ["vrrp"])
    kept.apply(*kept.plan(wanted))
    assert ufw.rules == ["ufw allow from 192.0.2.11 proto vrrp comment 'cluster member'"]
    assert firewalld.rules[True] == {
        'rule family="ipv4" source address="192.0.2.11" protocol value="vrrp" accept',
    }
    assert kept.plan(wanted) == ([], []) and kept.plan([]) == ([], wanted)
    kept.apply(*kept.plan([]))
    assert not ufw.rules and not firewalld.rules[True] | firewalld.rules[False]


def test_a_note_that_is_none_is_an_error(tmp_path: pathlib.Path) -> None:
    (tmp_path / "csync2.json").write_text("{")
    with pytest.raises(ClusterkitError, match="is not as it was written"):
        Openings("csync2", [], str(tmp_path)).plan([])


def test_ufw_runs_when_its_configuration_says_so(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_arguments, **_options: None)
    conf = tmp_path / "ufw.conf"
    assert names(Runner(), str(conf)) == []
    conf.write_text("# a comment\nENABLED=no\n")
    assert names(Runner(), str(conf)) == []
    conf.write_text("ENABLED=yes\nLOGLEVEL=low\n")
    assert names(Runner(), str(conf)) == ["ufw"]
