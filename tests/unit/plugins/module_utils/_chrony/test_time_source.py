# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What chrony is told, what it says, and how members are judged together."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest

from ansible_collections.clusterkit.middleware.plugins.action import clock_info
from ansible_collections.clusterkit.middleware.plugins.module_utils._chrony import time_source
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.modules import chrony_info

MEMBERS = [
    {"name": "n1", "host": "h1", "address": "10.0.0.1"},
    {"name": "n2", "host": "h2", "address": "10.0.0.2"},
]
# As chronyc 4.3 of Debian 12 prints them
TRACKING = (
    "0AD5FA0D,10.213.250.13,4,1795945025.764751312,0.000012500,-0.000003000,0.000020000,-1.500,0.010,0.100,0.000200000,"
    "0.000100000,64.2,Normal\n"
)
UNFOLLOWED = (
    "00000000,,0,0.000000000,0.000000000,0.000000000,0.000000000,0.000,0.000,0.000,1.000000000,1.000000000,0.0,"
    "Not synchronised\n"
)
SOURCES = (
    "^,*,10.213.250.13,3,6,377,22,0.000001000,0.000002000,0.000300000\n"
    "=,-,10.213.250.12,4,6,177,20,0.000001000,0.000002000,0.000300000\n"
    "^,?,192.0.2.1,0,6,0,4294967295,0.000000000,0.000000000,0.000000000\n"
)


def info(**more: Any) -> dict[str, Any]:
    """Return what is found on a member that is well."""
    return {
        "error": "",
        "version": "4.3",
        "tracking": time_source.parse_tracking(TRACKING),
        "sources": time_source.parse_sources(SOURCES),
        "may_set_time": True,
        "foreign": [],
        "config_path": "/etc/chrony/chrony.conf",
        **more,
    }


def clock(ahead: float) -> dict[str, float]:
    """Return how a member answered that was asked for its time."""
    return {"clock_ahead": ahead, "clock_within": 0.2}


def test_what_chrony_says() -> None:
    """What it follows, and of each source whether it ever answered."""
    assert time_source.parse_tracking(TRACKING) == {
        "source": "10.213.250.13",
        "stratum": 4,
        "offset": 0.0000125,
        "synchronised": True,
    }
    assert time_source.parse_tracking(UNFOLLOWED)["synchronised"] is False
    assert time_source.parse_tracking("506 Cannot talk to daemon\n") == {}
    assert [(one["name"], one["selected"], one["reached"]) for one in time_source.parse_sources(SOURCES)] == [
        ("10.213.250.13", True, True),
        ("10.213.250.12", False, True),
        ("192.0.2.1", False, False),
    ]


def test_configuration() -> None:
    """Servers with their options, the others where members hold together."""
    options: dict[str, Any] = {
        "source_options": "iburst nts",
        "allow": ["10.0.0.0/8"],
        "lines": ["leapsecmode slew"],
        "drift_file": "/d",
    }
    text = time_source.render(["a"], ["b"], others=["10.0.0.2"], **options)
    lines = text.splitlines()
    assert lines[1:6] == ["server a iburst nts", "pool b iburst nts", "peer 10.0.0.2", "allow 10.0.0.2", lines[5]]
    assert lines[5] == "local stratum 10 orphan" and "allow 10.0.0.0/8" in lines and lines[-1] == "leapsecmode slew"
    assert "local" not in time_source.render(["a"], [], others=[], **options)
    assert time_source.chosen_by_others(text) == []


def test_what_somebody_chose() -> None:
    """Is told from what a distribution ships."""
    text = "# server x\npool 2.debian.pool.ntp.org iburst\npool 0.rhel.pool.ntp.org\n server a\nallow 10.0.0.0/8\n"
    assert time_source.chosen_by_others(text) == ["server a", "allow 10.0.0.0/8"]


@pytest.mark.parametrize(
    ("servers", "options", "complaint"),
    [
        ([], {}, "are empty"),
        (["a iburst"], {}, "chrony_time_servers has 'a iburst'"),
        (["a"], {"source_options": "iburst\nallow"}, "chrony_source_options is"),
        (["n2"], {}, "n2 is h2, a member itself"),
        (["10.0.0.1"], {"local_peers": True}, "10.0.0.1 is h1, a member itself"),
    ],
)
def test_what_cannot_be_right_is_named(servers: list[str], options: dict[str, Any], complaint: str) -> None:
    """With what would be right."""
    wanted = {"local_peers": False, "source_options": "iburst", "members": MEMBERS}
    assert complaint in " ".join(time_source.mistakes(servers, [], **{**wanted, **options}))
    assert time_source.mistakes(["time.example.org"], ["2001:db8::1"], **wanted) == []


def problems(*infos: dict[str, Any], steer: bool = True, replace: bool = False) -> str:
    """Return why chrony cannot keep the time of members."""
    found = {member["host"]: one for member, one in zip(MEMBERS, infos)}
    return " ".join(time_source.problems(found, MEMBERS, steer=steer, replace=replace))


def test_where_chrony_cannot_keep_the_time() -> None:
    """What was found on which host, and what would be right."""
    assert problems(info(), info()) == ""
    assert "h2 could not be asked" in problems(info())
    assert "On h2 nobody may set the clock" in problems(info(), info(may_set_time=False))
    assert "h1 may set its own clock" in problems(info(), info(may_set_time=False), steer=False)
    assert "On h1 /etc/chrony/chrony.conf has 'server a'" in problems(info(foreign=["server a"]), info())
    assert problems(info(foreign=["server a"]), info(), replace=True) == ""


def verified(clocks: dict[str, Any], *infos: dict[str, Any]) -> dict[str, Any]:
    """Return the verification."""
    found = {member["host"]: one for member, one in zip(MEMBERS, infos)}
    return time_source.verification(found, clocks, MEMBERS, cluster="c", most=1.0)


def test_whether_members_have_one_time() -> None:
    """By their clocks, whatever chrony says, and by what it follows."""
    together = {"h1": clock(0.2), "h2": clock(1.1)}
    assert verified(together, info(), info())["ok"]
    apart = verified({"h1": clock(0.2), "h2": clock(2.0)}, info(), info())
    assert not apart["ok"] and "The clock of n2" not in apart["checks"][-1]["evidence"]
    assert "The clock of h2 is at least 1.6 s ahead of that of h1" in apart["checks"][-1]["evidence"]
    alone = verified(together, info(), info(tracking=time_source.parse_tracking(UNFOLLOWED)))
    told = [one["evidence"] for one in alone["checks"] if not one["ok"]]
    assert told == [
        "n2 follows no source; it reaches 10.213.250.13, 10.213.250.12 of 10.213.250.13, 10.213.250.12, 192.0.2.1"
    ]
    silent = verified({"h1": clock(0.2)}, info(), info())
    assert not silent["ok"] and silent["members_seen"] == ["n1"]
    assert not verified(together, info(), info(error="506 Cannot talk to daemon"))["ok"]


def test_who_may_set_the_clock() -> None:
    """By the capabilities that a process can have at all: Docker's, and those of a host."""
    assert not chrony_info.may_set_time("Name:\tx\nCapBnd:\t00000000a82435fb\n")
    assert chrony_info.may_set_time("CapBnd:\t000001ffffffffff\n")


def test_what_the_role_has_configured(tmp_path: pathlib.Path) -> None:
    """Nothing where it has not; a broken file is an error."""
    path = tmp_path / "clusterkit.json"
    assert chrony_info.configured(str(path)) == {}
    path.write_text(json.dumps({"chrony_time_servers": ["a"]}), encoding="utf-8")
    assert chrony_info.configured(str(path)) == {"chrony_time_servers": ["a"]}
    path.write_text("{", encoding="utf-8")
    with pytest.raises(ClusterkitError, match="cannot read"):
        chrony_info.configured(str(path))


class Asked(clock_info.ActionModule):
    """The action with a host that answers as it is told to."""

    def __init__(self, *answers: tuple[float, str]) -> None:
        self._answers = list(answers)

    def validate_argument_spec(self, argument_spec: Any) -> Any:
        """Return the options."""
        return None, {"times": len(self._answers)}

    def _low_level_execute_command(self, _command: str, **_options: Any) -> dict[str, Any]:
        took, answer = self._answers.pop(0)
        self.now += took
        return {"rc": 0, "stdout": answer, "stderr": ""}

    now = 100.0


def asked(monkeypatch: pytest.MonkeyPatch, *answers: tuple[float, str]) -> dict[str, Any]:
    """Return what the action finds."""
    action = Asked(*answers)
    monkeypatch.setattr(clock_info.ActionBase, "run", lambda *_arguments: {})
    monkeypatch.setattr(clock_info.time, "time", lambda: action.now)
    monkeypatch.setattr(clock_info.time, "monotonic", lambda: action.now)
    return action.run()


def test_the_answer_that_came_soonest_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one had to connect; what a login says is passed over."""
    found = asked(monkeypatch, (2.0, "102.5"), (0.25, "Welcome\n102.75\n"), (0.5, "109"))
    assert (found["clock_ahead"], found["clock_within"], found["changed"]) == (0.75, 0.25, False)


def test_a_host_that_says_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Is an error that quotes it."""
    with pytest.raises(clock_info.AnsibleActionFail, match="said no time: Welcome"):
        asked(monkeypatch, (0.1, "Welcome"))
