# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What several members say together: why they cannot become a cluster, and whether they are one."""

from __future__ import annotations

import copy
from typing import Any, Callable

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._csync2.cluster import (
    certificates,
    problems,
    verification,
)
from tests.verify_document import load_and_validate

Info = dict[str, Any]
MEMBERS = [
    {"host": "h1", "name": "n1", "address": "10.0.0.1"},
    {"host": "h2", "name": "n2", "address": "10.0.0.2"},
    {"host": "h3", "name": "n3", "address": "10.0.0.3"},
]
ADDRESSES = {member["name"]: [member["address"]] for member in MEMBERS}
GROUP: dict[str, Any] = {"name": "web", "hosts": ["n1", "n2", "n3"], "include": ["/srv"], "key": "/etc/csync2.key"}


def info(name: str) -> Info:
    """Return what csync2_info says of a member of a whole cluster."""
    peers = [member["name"] for member in MEMBERS if member["name"] != name]
    return {
        "installed": True,
        "version": "2.1-0rc1",
        "config": {"csync2_groups": [copy.deepcopy(GROUP)]},
        "config_error": "",
        "peers": peers,
        "key": {"fingerprint": "k1", "error": ""},
        "certificate": f"certificate of {name}",
        "dirty": [],
        "resolved": {**ADDRESSES, name: ["127.0.1.1"]},
        "port_holder": "",
        "symbolic_links": {},
        "units": {"csync2.socket": "active"},
        "reachability": dict.fromkeys(peers, ""),
        "manifest": {"web": {"count": 3, "digest": "d1", "entries": {"/srv": {"mode": "0755"}, "/srv/a": {}}}},
    }


@pytest.fixture
def found() -> dict[str, Info]:
    return {member["host"]: info(member["name"]) for member in MEMBERS}


# --- before anything is changed --------------------------------------------------------------------------------------


def test_members_that_fit_together(found: dict[str, Info]) -> None:
    assert problems(found, MEMBERS) == []
    for one in found.values():
        one.update(installed=False, version="", key={"fingerprint": "", "error": ""})
    assert problems(found, MEMBERS) == []


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (
            lambda found: found.pop("h2"),
            {},
            "h2 could not be asked: it has to be reachable, also when --limit leaves it out.",
        ),
        (
            lambda found: found["h1"]["resolved"].update(n2=[]),
            {},
            "On h1 the name n2 resolves to nothing, not to 10.0.0.2: mend the name service, set csync2_address, or let "
            "the role write the hosts file (csync2_manage_hosts: true).",
        ),
        (
            lambda found: found["h1"]["resolved"].update(n2=["10.9.9.9", "::1"]),
            {"manage_hosts": False},
            "On h1 the name n2 resolves to 10.9.9.9, ::1, not to 10.0.0.2: mend the name service, set csync2_address, "
            "or let the role write the hosts file (csync2_manage_hosts: true).",
        ),
        (
            lambda found: found["h3"].update(port_holder="nc (process 7)"),
            {},
            "On h3 port 30865 is taken by nc (process 7): it is the port of csync2's listener.",
        ),
        (
            lambda found: found["h1"].update(symbolic_links={"/opt/tomcat/conf": "/opt/tomcat-7/conf"}),
            {},
            "On h1 /opt/tomcat/conf leads through a symbolic link, which csync2 does not follow: "
            "write /opt/tomcat-7/conf.",
        ),
        (
            lambda found: found["h1"].update(key={"fingerprint": "", "error": "it is short"}),
            {},
            "The key on h1 is malformed (it is short): mend or remove it, or give csync2_key.",
        ),
        (
            lambda found: found["h2"].update(key={"fingerprint": "k2", "error": ""}),
            {},
            "The members have different keys (k1 on h1, h3; k2 on h2): name the host whose key is right in "
            "csync2_key_authority, or give csync2_key.",
        ),
        (
            lambda found: found["h2"].update(key={"fingerprint": "", "error": ""}),
            {"key_authority": "h2"},
            "csync2_key_authority is h2, which has no key: name a member that has one.",
        ),
        (
            lambda found: found["h2"].update(version="2.0"),
            {},
            "The members have different versions of csync2 (2.0 on h2, 2.1-0rc1 on h3): bring them to one version "
            "first.",
        ),
        (
            lambda found: found["h2"].update(version="2.0"),
            {"source_version": "2.2", "outside": ["h2"]},
            "The members have different versions of csync2 (2.0 on h2, 2.2 on h3): bring them to one version first.",
        ),
        (
            lambda found: [one.update(version="1.34") for one in found.values()],
            {"backups": True},
            "csync2 1.34 on h3 may not keep backups, which are broken before 2.0: leave backup_directory out of "
            "csync2_groups, or name 1.34 in csync2_allowed_versions.",
        ),
        (
            lambda found: None,
            {"backups": True, "source_version": "1.34", "allowed_versions": ["1.33"]},
            "csync2 1.34 on h3 may not keep backups, which are broken before 2.0: leave backup_directory out of "
            "csync2_groups, or name 1.34 in csync2_allowed_versions.",
        ),
        (
            lambda found: found["h1"].update(sysconfdir="/etc"),
            {"sysconfdir": "/etc/csync2", "binary": "/usr/local/sbin/csync2"},
            "On h1 /usr/local/sbin/csync2 reads its files from /etc, not from /etc/csync2: set csync2_sysconfdir to "
            "/etc, or remove that binary.",
        ),
        (
            lambda found: found["h1"].update(installed=False, version=""),
            {"binary": "/usr/local/sbin/csync2"},
            "On h1 there is no /usr/local/sbin/csync2, and the package brings /usr/sbin/csync2: leave csync2_prefix "
            "out, or give csync2_source to build it.",
        ),
    ],
)
def test_problems(
    found: dict[str, Info], change: Callable[[dict[str, Info]], Any], options: dict[str, Any], message: str
) -> None:
    change(found)
    assert problems(found, MEMBERS, **options) == [message]


def test_what_settles_a_problem(found: dict[str, Info]) -> None:
    found["h1"]["resolved"] = {}
    assert problems(found, MEMBERS, manage_hosts=True) == []
    found["h1"]["resolved"] = ADDRESSES
    found["h1"]["key"] = {"fingerprint": "", "error": "it is short"}
    found["h2"]["key"] = {"fingerprint": "k2", "error": ""}
    assert problems(found, MEMBERS, key="k" * 64) == []
    found["h1"]["key"] = {"fingerprint": "k1", "error": ""}
    assert problems(found, MEMBERS, key_authority="h2") == []


def test_versions_and_programs_that_will_do(found: dict[str, Info]) -> None:
    for one in found.values():
        one.update(version="1.34", sysconfdir="/etc")
    assert problems(found, MEMBERS, sysconfdir="/etc") == []
    assert problems(found, MEMBERS, backups=True, allowed_versions=["1.34"]) == []
    # What is built replaces what is there; a member outside that has none will be built when its turn comes
    found["h1"]["version"] = "2.0"
    found["h2"].update(installed=False, version="", sysconfdir="")
    building: dict[str, Any] = {"source_version": "2.1", "binary": "/opt/sbin/csync2", "sysconfdir": "/etc"}
    assert problems(found, MEMBERS, backups=True, outside=["h2"], **building) == []


def test_all_problems_are_told_at_once(found: dict[str, Info]) -> None:
    del found["h3"]
    found["h1"]["port_holder"] = "nc (process 7)"
    found["h2"]["version"] = "2.0"
    assert len(problems(found, MEMBERS)) == 3
    assert len(problems({}, MEMBERS, key_authority="h1")) == 4


def test_certificates(found: dict[str, Info]) -> None:
    made = {"h1": {"fingerprint": "new"}, "h2": {"fingerprint": ""}}
    assert certificates(made, found, MEMBERS) == {"n1": "new", "n2": "", "n3": "certificate of n3"}
    found["h3"]["certificate"] = ""
    assert certificates({}, {"h3": found["h3"]}, MEMBERS) == {}


# --- afterwards ------------------------------------------------------------------------------------------------------


def verified(found: dict[str, Info], members: list[dict[str, str]] | None = None) -> dict[str, Any]:
    return load_and_validate(verification(found, members or MEMBERS, "web"))


def failed(found: dict[str, Info]) -> list[tuple[str, str, str]]:
    document = verified(found)
    assert document["ok"] is False
    return [(one["name"], one["member"], one["evidence"]) for one in document["checks"] if not one["ok"]]


def test_whole_cluster(found: dict[str, Info]) -> None:
    document = verified(found)
    assert document["ok"] is True
    assert (document["role"], document["cluster"]) == ("csync2", "web")
    assert document["members_expected"] == document["members_seen"] == ["n1", "n2", "n3"]
    evidence = [one["evidence"] for one in document["checks"]]
    assert "n1 has the peers n2, n3" in evidence
    assert "csync2.socket on n2 is active" in evidence
    assert "n3 → n1 port 30865: answers" in evidence
    assert "key k1 on n1, k1 on n3" in evidence
    assert "web: 3 files with equal content, mode and owner on n1 and n2" in evidence


@pytest.mark.parametrize(
    ("change", "check"),
    [
        (lambda found: found.pop("h2"), ("answers", "n2", "n2 could not be asked")),
        (
            lambda found: found["h2"].update(config={}),
            ("configuration", "n2", "there is none"),
        ),
        (
            lambda found: found["h2"].update(config_error="line 3: found 'x'"),
            ("configuration", "n2", "line 3: found 'x'"),
        ),
        (lambda found: found["h2"].update(peers=[]), ("peers", "n2", "n2 has the peers none")),
        (
            lambda found: found["h3"]["units"].update({"csync2.socket": "failed"}),
            ("unit", "n3", "csync2.socket on n3 is failed"),
        ),
        (
            lambda found: found["h1"]["reachability"].update(n2="refused"),
            ("reachability", "n1", "n1 → n2 port 30865: refused"),
        ),
        (
            lambda found: found["h1"].update(dirty=[{"peer": "n2", "file": f"/srv/{i}"} for i in range(7)]),
            (
                "sent",
                "n1",
                "n1 has still to send /srv/0 for n2, /srv/1 for n2, /srv/2 for n2, /srv/3 for n2, /srv/4 for n2 "
                "and 2 more",
            ),
        ),
        (
            lambda found: found["h3"].update(key={"fingerprint": "k2", "error": ""}),
            ("key", "n3", "key k1 on n1, k2 on n3"),
        ),
        (
            lambda found: found["h3"].update(key={"fingerprint": "", "error": "short"}),
            ("key", "n3", "key k1 on n1, missing on n3"),
        ),
        (
            lambda found: found["h2"]["config"]["csync2_groups"][0].update(auto="younger"),
            ("same configuration", "n2", "different on n1 and n2"),
        ),
        (
            lambda found: found["h2"]["manifest"]["web"].update(
                digest="d2", count=4, entries={"/srv": {}, "/srv/b": {}}
            ),
            ("files", "n2", "web: n1 and n2 differ in 3 files: /srv, /srv/a, /srv/b"),
        ),
        (
            lambda found: found["h2"]["manifest"].update(web={"digest": "d2", "count": 4}),
            ("files", "n2", "web: n1 and n2 differ in their files (3 against 4)"),
        ),
        (
            lambda found: found["h2"]["manifest"]["web"].update(
                digest="d2", entries={"/srv": {"mode": "0755"}, **{f"/srv/{i}": {} for i in range(9)}}
            ),
            ("files", "n2", "web: n1 and n2 differ in 10 files: /srv/0, /srv/1, /srv/2, /srv/3, /srv/4, …"),
        ),
    ],
)
def test_what_is_wrong_is_told(
    found: dict[str, Info], change: Callable[[dict[str, Info]], Any], check: tuple[str, str, str]
) -> None:
    change(found)
    assert check in failed(found)


def test_nobody_answers() -> None:
    document = verified({})
    assert (document["ok"], document["members_seen"], len(document["checks"])) == (False, [], 3)


def test_a_group_is_compared_on_all_that_have_it(found: dict[str, Info]) -> None:
    """Also on two of which neither is the first member."""
    for host in ("h2", "h3"):
        found[host]["manifest"]["db"] = {"count": 1, "digest": host}
    assert failed(found) == [("files", "n3", "db: n2 and n3 differ in their files (1 against 1)")]


def test_a_slave_keeps_what_it_has(found: dict[str, Info]) -> None:
    """What a member never sends is no sign of a broken cluster; what it would send is."""
    found["h3"]["dirty"] = [{"peer": "n1", "file": "/srv/own", "slave": True}]
    assert verified(found)["ok"] is True
    found["h3"]["dirty"].append({"peer": "n1", "file": "/srv/other", "slave": False})
    assert failed(found) == [("sent", "n3", "n3 has still to send /srv/other for n1")]


def test_a_conflict_is_named(found: dict[str, Info]) -> None:
    found["h1"]["conflicts"] = [{"peer": "n2", "file": "/srv/a"}]
    assert failed(found) == [("conflict", "n1", "n1 and n2 both changed /srv/a: name a winner")]


def test_files_travel_from_each_to_all_others(found: dict[str, Info]) -> None:
    """What each member sent has to be on every other; where it is not, the sender's reason is told."""
    probes: dict[str, Info] = {member["host"]: {"probe": f"of {member['name']}", "left": []} for member in MEMBERS}
    for info_of_one in found.values():
        info_of_one["probes"] = {member["name"]: f"of {member['name']}" for member in MEMBERS}
    document = verification(found, MEMBERS, "web", probes)
    assert document["ok"]
    assert len([one for one in document["checks"] if one["name"] == "travels"]) == len(MEMBERS) * (len(MEMBERS) - 1)
    found["h2"]["probes"]["n1"] = "an older one"
    probes["h1"]["left"] = [{"peer": "n2", "file": "/x", "reason": "refused by the peer"}]
    checks = verification(found, MEMBERS, "web", probes)["checks"]
    assert [(one["member"], one["evidence"]) for one in checks if not one["ok"]] == [
        ("n2", "n1 → n2: a file does not arrive: refused by the peer")
    ]
    # Nothing was sent, as in check mode: nothing is said of it
    assert verification(found, MEMBERS, "web", {"h1": {"probe": ""}})["ok"]


def test_peers_by_interface_are_named(found: dict[str, Info]) -> None:
    found["h1"]["peers"] = ["n2-eth1.example.org", "n3"]
    evidence = [one["evidence"] for one in verified(found)["checks"]]
    assert "n1 has the peers n2-eth1.example.org, n3" in evidence


def test_nobody_leaves_by_being_forgotten(found: dict[str, Info]) -> None:
    """A member of the running configuration that the inventory lacks stops the run, unless it is said to leave."""
    running = {"csync2_groups": [{"hosts": [*(member["name"] for member in MEMBERS), "gone@10.0.0.9"], "slaves": []}]}
    found["h1"]["config"] = running
    (message,) = problems(found, MEMBERS)
    assert "On h1 the running configuration has the member gone, which the inventory has not" in message
    assert problems(found, MEMBERS, leaving=["gone"]) == []
    # The packaged example, or what another cluster left, is no membership
    found["h1"]["config"] = {"csync2_groups": [{"hosts": ["host1", "host2"]}]}
    assert problems(found, MEMBERS) == []


def test_members_outside_of_the_run_would_keep_another_key(found: dict[str, Info]) -> None:
    """A run that is limited may not leave the others with another key."""
    (message,) = problems(found, MEMBERS, key="k" * 64, outside=["h2"])
    assert message == "h2 is outside of this run and has another key than the one it installs: run on all members."
    assert problems(found, MEMBERS, outside=["h2"]) == []
