# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A process that runs and logs: what the module tells of it, and what it waits for."""

from __future__ import annotations

import pathlib
import subprocess
import sys
import time
from typing import Any, Iterator
from unittest import mock

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.modules import hazelcast_cluster_info

UUIDS = ("466f1a02-bd04-4568-a3b8-0d8cfde2dabb", "0585debd-7bba-4c81-af75-fe440616326d")
#: Writes each line that it is given, with the time, into its log; the time zone is its own.
LOGS = """
import os, sys, time
os.environ["TZ"] = "Asia/Colombo"
time.tzset()
for line in sys.stdin:
    with open(sys.argv[1], "a") as log:
        log.write(f"[{time.strftime('%Y-%m-%d %H:%M:%S')},000]  INFO {{Agent}} - {line}")
    print("written", flush=True)
"""


class Logging:
    """A process that logs what it is told to."""

    def __init__(self, log: pathlib.Path) -> None:
        self.log = log
        argv = [sys.executable, "-c", LOGS, str(log), f"-Dcarbon.home={log}", "-Duser.timezone=Asia/Colombo"]
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def write(self, *lines: str) -> None:
        """Have it write lines into its log."""
        assert self.process.stdin and self.process.stdout
        for line in lines:
            self.process.stdin.write(f"{line}\n")
            self.process.stdin.flush()
            assert self.process.stdout.readline() == "written\n"


@pytest.fixture
def logging(tmp_path: pathlib.Path) -> Iterator[Logging]:
    """Return a process, with what another one has logged an hour ago."""
    log = tmp_path / "server.log"
    hour_ago = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(time.time() + 5.5 * 3600 - 3600))
    log.write_text(f"[{hour_ago},000] ERROR {{Agent}} - Incompatible group password!\n", encoding="utf-8")
    one = Logging(log)
    yield one
    one.process.kill()
    one.process.communicate()


def look(log: pathlib.Path, **options: Any) -> dict[str, Any]:
    """Return what the module returns."""
    given = {
        "argument": f"-Dcarbon.home={log}",
        "log": str(log),
        "allowed_errors": [],
        "paths": [f"{log.parent}/*.log"],
        "unit": "",
        "port": 0,
        "settle": 0.0,
        "until": "initialized",
        "about": "",
        "after": "",
        **options,
    }
    return hazelcast_cluster_info.look(mock.Mock(params=given))


def test_it_tells_what_the_process_itself_has_logged(logging: Logging) -> None:
    """Not what another one has, in the log's own time, and which files there are."""
    logging.write(
        "Cluster domain: servers",
        "Using wka based membership management scheme",
        f"Local member: [{UUIDS[0]}] - Host:10.0.0.1, Port: 4000, Domain: servers",
        "Cluster initialization completed",
        f"Member joined [{UUIDS[1]}]: /10.0.0.2:4000",
    )
    told = look(logging.log)
    assert told["running"] and told["initialized"] and not told["founded"]
    assert told["errors"] == told["causes"] == []
    assert told["local"] == {"uuid": UUIDS[0], "address": "10.0.0.1", "port": 4000}
    assert [one["state"] for one in told["others"]] == ["joined"]
    assert list(told["paths"]) == [str(logging.log)]
    assert told["started"] <= told["others"][0]["at"] <= f"{told['now']},999"


def test_it_waits_for_what_was_asked_for(logging: Logging) -> None:
    """A word about another member counts when it comes after a moment; else the wait has an end."""
    logging.write(f"Member joined [{UUIDS[1]}]: /10.0.0.2:4000")
    told = look(logging.log, until="joined", about="10.0.0.2:4000", settle=30)
    before = time.monotonic()
    later = look(logging.log, until="left", about="10.0.0.2:4000", after=told["now"], settle=1)
    assert 0.9 < time.monotonic() - before < 5
    assert later["others"][0]["state"] == "joined"
    logging.write(f"Member left [{UUIDS[1]}]: /10.0.0.2:4000")
    assert look(logging.log, until="left", about="10.0.0.2:4000", settle=30)["others"][0]["state"] == "left"


def test_no_process(tmp_path: pathlib.Path) -> None:
    """Nothing is said, and who has the port is told."""
    told = look(tmp_path / "server.log", port=1)
    assert not told["running"] and told["started"] == "" and told["others"] == [] and told["port_holder"] == ""


def test_patterns_that_are_none(tmp_path: pathlib.Path) -> None:
    """They are named, before anything is asked."""
    with pytest.raises(ClusterkitError, match=r"allowed_errors has '\(', which is no regular expression"):
        look(tmp_path / "server.log", allowed_errors=["("])
