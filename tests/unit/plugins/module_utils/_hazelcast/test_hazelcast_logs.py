# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read from logs that real members have written, and how it is judged; see recorded/README.md."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import time
from typing import Any

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._hazelcast import cluster, running
from ansible_collections.clusterkit.middleware.plugins.module_utils._hazelcast.logs import account

RECORDED = pathlib.Path(__file__).with_name("recorded")
MEMBERS = [{"host": f"h{i}", "name": f"m{i}", "address": f"10.77.0.{i}", "port": 4000} for i in (1, 2, 3)]
#: When each member's process started.
STARTED = {
    "isolated": ("08:57:07", "08:57:24", "08:57:36"),
    "joined": ("08:59:25", "08:58:44", "08:58:56"),
    "back_at_once": ("08:59:25", "09:00:43", "08:59:38"),
    "split": ("08:59:25", "09:00:43", "09:01:08"),
    "merged": ("08:59:25", "09:00:43", "09:01:08"),
    "password": ("08:59:25", "09:00:43", "09:03:30"),
}


def said(story: str, number: int, allowed: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return what a member of a recorded story says, as the module returns it."""
    lines = (RECORDED / story / f"m{number}.log").read_text(encoding="utf-8").splitlines()
    since = f"2026-11-29 {STARTED[story][number - 1]}"
    return {"running": True, "started": since, **account(lines, since, allowed).told()}


def found(story: str) -> dict[str, dict[str, Any]]:
    """Return what all members of a recorded story say, by host."""
    return {f"h{number}": said(story, number) for number in (1, 2, 3)}


def failed(document: dict[str, Any]) -> dict[tuple[str, str], str]:
    """Return the evidence of the checks that failed, by name and member."""
    return {(one["name"], one.get("member", "")): one["evidence"] for one in document["checks"] if not one["ok"]}


def test_an_account() -> None:
    one = said("joined", 2)
    assert one["whole"] and one["initialized"] and one["founded"] and not one["errors_counted"]
    assert (one["scheme"], one["domain"]) == ("wka", "wso2.carbon.domain")
    assert one["local"] == {"uuid": "590bee1b-869b-4b8e-88e3-f35aa6cab81b", "address": "10.77.0.2", "port": 4000}
    assert {word["address"]: (word["state"], word["uuid"][:4], word["at"]) for word in one["others"]} == {
        "10.77.0.1:4000": ("joined", "466f", "2026-11-29 08:59:26,912"),
        "10.77.0.3:4000": ("joined", "ecf1", "2026-11-29 08:58:57,868"),
    }


def test_a_member_that_joins_logs_none_of_those_that_it_finds() -> None:
    one = said("joined", 1)
    assert one["initialized"] and not one["founded"] and one["others"] == []


def test_only_the_last_start_counts() -> None:
    """The log of 3 holds two processes before that; what they said of others says nothing of now."""
    one = said("split", 3)
    assert one["others"] == [] and one["founded"] and one["local"]["uuid"].startswith("3bcc")
    # Also where the clock tells nothing: the process says itself when it starts
    lines = (RECORDED / "split" / "m3.log").read_text(encoding="utf-8").splitlines()
    assert account(lines, "2026-11-29 00:00:00").told() == account(lines, "2026-11-29 09:01:08").told()


def test_a_log_that_was_moved_away() -> None:
    lines = (RECORDED / "joined" / "m2.log").read_text(encoding="utf-8").splitlines()
    one = account(lines[-2:], "2026-11-29 08:58:44")
    assert not one.whole and not one.initialized and len(one.others) == 2


def test_one_cluster() -> None:
    document = cluster.verification(found("joined"), MEMBERS, "servers", scheme="wka", domain="wso2.carbon.domain")
    assert document["ok"] and document["members_seen"] == ["m1", "m2", "m3"], failed(document)


def test_members_that_merged_have_other_identifiers() -> None:
    document = cluster.verification(found("merged"), MEMBERS, "servers")
    assert document["ok"], failed(document)


@pytest.mark.parametrize(
    ("story", "parts", "alone"),
    [
        ("isolated", [["m1"], ["m2"], ["m3"]], ["m1", "m2", "m3"]),
        ("back_at_once", [["m1", "m3"], ["m2"]], ["m2"]),
        ("split", [["m1"], ["m2"], ["m3"]], ["m2", "m3"]),
        ("password", [["m1", "m2"], ["m3"]], ["m3"]),
    ],
)
def test_what_is_no_cluster_is_told(story: str, parts: list[list[str]], alone: list[str]) -> None:
    document = cluster.verification(found(story), MEMBERS, "servers")
    assert not document["ok"]
    assert cluster.parts(found(story), MEMBERS) == parts
    told = failed(document)
    assert "one cluster" in {name for name, _member in told}
    for name in alone:
        assert ("counts", name) in told
    assert sorted(document["members_seen"]) == (sorted(parts[0]) if len(parts[0]) > 1 else [])


def test_likely_causes() -> None:
    told = failed(cluster.verification(found("back_at_once"), MEMBERS, "servers"))
    assert "m2 started alone: it came back before the others had noticed" in told["counts", "m2"]
    assert told["one cluster", ""] == "the cluster is split: m1+m3 and m2"
    told = failed(cluster.verification(found("isolated"), MEMBERS, "servers"))
    assert "m1 started alone: it did not reach the others" in told["counts", "m1"]
    told = failed(cluster.verification(found("password"), MEMBERS, "servers"))
    assert told["counts", "m3"] == "m3 is in no cluster: its group password is not that of the others"
    assert told["errors", "m3"].startswith("m3 has logged 7 errors since its start: 2026-11-29 09:03:33,014")


@pytest.mark.parametrize(
    ("kernel", "before", "since"), [("4.6.0", "09:52:52", "09:53:28"), ("4.9.0", "09:51:39", "09:52:27")]
)
def test_later_kernels(kernel: str, before: str, since: str) -> None:
    """They log as the first ones do; the oldest member that is back at once is in the cluster again."""
    accounts = {}
    for number in (1, 2, 3):
        lines = (RECORDED / f"kernel_{kernel}" / f"m{number}.log").read_text(encoding="utf-8").splitlines()
        start = f"2026-11-29 {since if number == 1 else before}"
        accounts[f"h{number}"] = {"running": True, "started": start, **account(lines, start).told()}
    assert not accounts["h1"]["founded"] and accounts["h1"]["others"] == []
    document = cluster.verification(accounts, MEMBERS, "servers", scheme="wka", domain="shop")
    assert document["ok"], failed(document)


def at_amazon(name: str, since: str = "2026-11-29 09:40:30") -> dict[str, Any]:
    """Return what a member with scheme aws says."""
    lines = (RECORDED / "aws" / f"{name}.log").read_text(encoding="utf-8").splitlines()
    return {"running": True, "started": since, **account(lines, since).told()}


def test_members_that_amazon_names() -> None:
    members = [{"host": f"h{i}", "name": f"m{i}", "address": f"10.77.0.1{i}", "port": 5701} for i in (1, 2)]
    both = {"h1": at_amazon("m1"), "h2": at_amazon("m2")}
    assert cluster.verification(both, members, "servers", scheme="aws", domain="shop")["ok"]
    told = failed(cluster.verification({**both, "h2": at_amazon("no_certificate")}, members, "servers"))
    assert "m2 is in no cluster: its truststore does not have the certificate of Amazon" in told["counts", "m2"]
    one = at_amazon("wrong_secret", "2026-11-29 09:41:20")
    told = failed(cluster.verification({**both, "h2": one}, members, "servers"))
    assert told["counts", "m2"] == "m2 is in no cluster: Amazon does not accept its access key and secret key"
    assert "https://ec2.us-east-1.amazonaws.com/?…" in one["errors"][0] and "Signature" not in str(one["errors"])


def test_errors_that_are_allowed() -> None:
    assert said("password", 3, ("Incompatible group password", "not active!", "Could not join"))["errors_counted"] == 1


def test_what_is_not_there_is_told() -> None:
    some = found("joined")
    del some["h1"]
    some["h3"] = {**some["h3"], "running": False, **account([], "").told()}
    told = failed(cluster.verification(some, MEMBERS, "servers", domain="other"))
    assert told["answers", "m1"] == "m1 could not be asked"
    assert told["runs", "m3"] == "m3 does not run"
    assert told["clusters", "m2"] == "m2 has the domain wso2.carbon.domain, expected other"


def test_strangers_are_named() -> None:
    document = cluster.verification(found("joined"), MEMBERS[1:], "servers")
    assert failed(document)["strangers", "m2"].startswith("m2 has 10.77.0.1:4000 in its cluster")


def shown(process: subprocess.Popen[bytes], word: str) -> None:
    """Wait until the kernel shows a process's arguments: it starts to run a little before that."""
    end = time.monotonic() + 10
    while word.encode() not in pathlib.Path(f"/proc/{process.pid}/cmdline").read_bytes():
        assert time.monotonic() < end, "the process shows no arguments"
        time.sleep(0.005)


def test_a_process_is_found_by_its_argument(tmp_path: pathlib.Path) -> None:
    word = f"-Dcarbon.home={tmp_path}"
    assert running.find(word) is None
    argv = [sys.executable, "-c", "import time; time.sleep(60)", word, "-Duser.timezone=Asia/Colombo"]
    before = time.time()
    with subprocess.Popen(argv) as child:
        try:
            shown(child, word)
            process = running.find(word)
            assert process and process.pid == child.pid
            assert abs(process.started - before) < 5
            assert process.moment(0) == "1970-01-01 05:30:00"
            assert os.environ.get("TZ") != "Asia/Colombo"
            with subprocess.Popen(argv) as other:
                try:
                    shown(other, word)
                    with pytest.raises(ClusterkitError, match="2 processes run with the argument"):
                        running.find(word)
                finally:
                    other.kill()
        finally:
            child.kill()


def test_logs_that_were_moved_away_are_read_first(tmp_path: pathlib.Path) -> None:
    process = running.Process(1, time.time() - 1000)
    for name, age in (("server.log", 0), ("server.log.1", 500), ("server-old.log", 2000), ("other.log", 0)):
        (tmp_path / name).write_text(f"{name}\n", encoding="utf-8")
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    assert list(running.lines(str(tmp_path / "server.log"), process)) == ["server.log.1\n", "server.log\n"]
    assert list(running.lines(str(tmp_path / "none.log"), process)) == []
