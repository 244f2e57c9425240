# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What several servers say together: why hosts cannot have the servers that are wanted, and whether all are well."""

from __future__ import annotations

import copy
import ssl
from typing import Any, Callable

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj.cluster import (
    replication_due,
    replication_problems,
    replication_source,
    replication_verification,
    server_problems,
    server_verification,
)
from tests.verify_document import load_and_validate

Info = dict[str, Any]
MEMBERS = [
    {"host": "h1", "name": "idp1", "address": "10.0.0.1"},
    {"host": "h2", "name": "idp2", "address": "10.0.0.2"},
]
BASES = ["o=site", "dc=example, dc=org"]


def server(name: str) -> Info:
    """Return what a server says that is as it should be."""
    return {
        "resolved": {"idp1": ["10.0.0.1"], "idp2": ["10.0.0.2"]},
        "port_holders": {},
        "installed": True,
        "hostname": name,
        "config_base_dns": ["o=Site", "dc=example,dc=org"],
        "refused": False,
        "units": {"opendj.service": "active"},
        "answers": True,
        "error": "",
        "server": {
            "version": "4.9.2",
            "base_dns": {
                "o=Site": {"entries": 3, "probes": {name: "17"}},
                "dc=example,dc=org": {"entries": 0, "probes": {}},
            },
        },
    }


@pytest.fixture
def found() -> dict[str, Info]:
    return {"h1": server("idp1"), "h2": server("idp2")}


def problems(found: dict[str, Info]) -> list[str]:
    return server_problems(found, MEMBERS, BASES, "/opt/opendj")


def test_nothing_is_in_the_way(found: dict[str, Info]) -> None:
    assert problems(found) == []
    # A server may know itself by a loopback address
    found["h1"]["resolved"]["idp1"] = ["127.0.1.1"]
    found["h2"].update(installed=False, hostname="", config_base_dns=[])
    assert problems(found) == []


BREACHES: dict[str, tuple[Callable[[Info], object], str]] = {
    "peer resolves to another address": (
        lambda info: info["resolved"].update(idp2=["10.0.0.9"]),
        "On h1 the name idp2 resolves to 10.0.0.9, not to 10.0.0.2: mend the name service, or set "
        "opendj_server_address.",
    ),
    "does not know itself": (
        lambda info: info["resolved"].update(idp1=[]),
        "On h1 the name idp1 resolves to nothing, not to 10.0.0.1: mend the name service, or set "
        "opendj_server_address.",
    ),
    "port is taken": (
        lambda info: info["port_holders"].update({"1389": "slapd (process 7)"}),
        "On h1 port 1389 is taken by slapd (process 7): choose another port, or stop it.",
    ),
    "another name": (
        lambda info: info.update(hostname="10.0.0.1"),
        "The server in /opt/opendj on h1 was set up as 10.0.0.1, not as idp1: set opendj_server_name to 10.0.0.1 for "
        "this host.",
    ),
    "other base DNs": (
        lambda info: info.update(config_base_dns=["o=Site"]),
        "The server in /opt/opendj on h1 has the base DNs o=Site, and not dc=example, dc=org: add them to it, or leave "
        "them out of opendj_server_base_dns. A server that is there is used as it is.",
    ),
    "another password": (
        lambda info: info.update(refused=True, error="idp1:4444 does not accept the password of cn=m"),
        "idp1:4444 does not accept the password of cn=m: give the password of the server in /opt/opendj on h1 "
        "(opendj_server_password).",
    ),
    "could not be asked": (
        lambda info: info.clear(),
        "h1 could not be asked: it has to be reachable, also when --limit leaves it out.",
    ),
}


@pytest.mark.parametrize("breach", BREACHES)
def test_what_is_in_the_way_is_one_sentence(found: dict[str, Info], breach: str) -> None:
    change, sentence = BREACHES[breach]
    change(found["h1"])
    assert problems(found) == [sentence]


def verification(found: dict[str, Info], probes: dict[str, Info] | None = None) -> dict[str, Any]:
    written = {"written": ["o=site"], "read": ["o=site"], "error": ""}
    probes = {"h1": written, "h2": written} if probes is None else probes
    return load_and_validate(server_verification(found, MEMBERS, "site", BASES, probes))


def test_all_are_well(found: dict[str, Info]) -> None:
    document = verification(found)
    assert document["ok"] and document["members_seen"] == ["idp1", "idp2"]
    assert [check["evidence"] for check in document["checks"] if check["member"] == "idp1"] == [
        "opendj.service on idp1 is active",
        "idp1 lets the directory manager in, and is 4.9.2",
        "o=site on idp1: an entry was written",
        "dc=example, dc=org on idp1 is empty, so that no entry was written",
    ]


def test_all_show_one_certificate_or_are_named(found: dict[str, Info]) -> None:
    """Only where one was asked for: else each has its own."""
    pems = [ssl.DER_cert_to_PEM_cert(der) for der in (b"one", b"two")]
    found["h1"]["certificate"], found["h2"]["certificate"] = pems
    written = {"written": ["o=site"], "read": ["o=site"], "error": ""}
    document = server_verification(found, MEMBERS, "site", BASES, {"h1": written, "h2": written}, pems[0])
    assert [(check["ok"], check["evidence"]) for check in document["checks"] if check["name"] == "certificate"] == [
        (True, "idp1 shows the certificate of all servers"),
        (False, "idp2 shows another certificate"),
    ]


REFUSED = {"written": [], "error": "idp1:4444 refuses to add x: Server is unwilling"}
FAULTS: dict[str, tuple[Callable[[Info], object], Info, str]] = {
    "no unit": (
        lambda info: info["units"].update({"opendj.service": "failed"}),
        {"written": ["o=site"], "read": ["o=site"]},
        "opendj.service on idp1 is failed",
    ),
    "no answer": (lambda info: info.update(answers=False, error="no connection"), {}, "no connection"),
    "not there": (lambda info: info.update(answers=False), {}, "there is no server in its place"),
    "not asked": (lambda info: info.clear(), {}, "idp1 could not be asked"),
    "no base DN": (
        lambda info: info["server"]["base_dns"].pop("dc=example,dc=org"),
        {"written": ["o=site"], "read": ["o=site"]},
        "idp1 has no base DN dc=example, dc=org",
    ),
    "taken and lost": (
        lambda info: None,
        {"written": ["o=site"], "read": []},
        "o=site on idp1: an entry was taken and is not there",
    ),
    "not written": (
        lambda info: None,
        {"written": [], "error": ""},
        "o=site on idp1: no entry was written, although it has some",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_not_well_is_told(found: dict[str, Info], fault: str) -> None:
    change, probe, evidence = FAULTS[fault]
    change(found["h1"])
    document = verification(found, {"h1": probe, "h2": {"written": ["o=site"], "read": ["o=site"]}})
    assert not document["ok"]
    assert [check["evidence"] for check in document["checks"] if not check["ok"]] == [evidence]


def test_a_server_that_takes_no_writes(found: dict[str, Info]) -> None:
    before = copy.deepcopy(found)
    document = verification(found, {"h1": REFUSED, "h2": {"written": ["o=site"], "read": ["o=site"]}})
    assert [check["evidence"] for check in document["checks"] if not check["ok"]] == [
        f"{base} on idp1: idp1:4444 refuses to add x: Server is unwilling" for base in BASES
    ]
    assert found == before


# --- replication ---

PEERS = ["idp1:8989", "idp2:8989"]


def member(name: str, entries: int = 3) -> Info:
    """Return what a member says that replicates as it should."""
    domain = {"replicated": True, "peers": PEERS, "status": "Normal", "generation_id": "42"}
    base = {**domain, "entries": entries, "conflicts": [], "probes": {"idp1": "17", "idp2": "17"}}
    server = {
        "version": "4.9.2",
        "schema": "abc",
        "encryption": True,
        "replication_server": {"id": 1, "port": 8989, "peers": PEERS, "connected": []},
        "base_dns": {"o=Site": base},
        "own_domains": {"cn=schema": domain, "cn=admin data": domain},
        "servers": [{"name": f"{one}:4444", "host": one} for one in ("idp1", "idp2")],
        "duplicates": [],
        "stale_keys": [],
    }
    told = {"installed": True, "answers": True, "error": "", "hostname": name, "administrator_refused": False}
    seen = {"resolved": {"idp1": ["10.0.0.1"], "idp2": ["10.0.0.2"]}, "port_holders": {}, "admin_port": 4444}
    return copy.deepcopy({**told, **seen, "server": server})


@pytest.fixture
def topology() -> dict[str, Info]:
    return {"h1": member("idp1"), "h2": member("idp2")}


def base_of(info: Info) -> Info:
    """Return what a member says of its base DN."""
    base: Info = info["server"]["base_dns"]["o=Site"]
    return base


def test_members_may_replicate(topology: dict[str, Info]) -> None:
    assert replication_problems(topology, MEMBERS, ["o=site"]) == []
    # New ones, of which one has entries
    for info in topology.values():
        info["server"].update(servers=[], replication_server={})
        base_of(info).update(replicated=False, generation_id="")
    base_of(topology["h2"])["entries"] = 1
    assert replication_problems(topology, MEMBERS, ["o=site"], "idp1") == []
    assert replication_problems(topology, MEMBERS, ["o=site"]) == []


def test_ports_that_the_run_opens_or_that_nobody_serves_yet_are_no_obstacle(topology: dict[str, Info]) -> None:
    """New members replicate at no port yet; their firewalls are opened by the run itself."""
    topology["h1"]["server"]["replication_server"] = {}
    topology["h2"]["reach"] = {"idp1:4444": "", "idp1:8989": "refused"}
    assert replication_problems(topology, MEMBERS, ["o=site"]) == []
    topology["h1"]["firewalls"] = ["ufw"]
    topology["h2"]["reach"] = {"idp1:4444": "timed out", "idp1:8989": "timed out"}
    assert replication_problems(topology, MEMBERS, ["o=site"], opens=True) == []
    assert len(replication_problems(topology, MEMBERS, ["o=site"])) == 2


DUE: dict[str, tuple[Callable[[Info], object], bool]] = {
    "nothing differs": (lambda info: None, False),
    "does not replicate": (lambda info: base_of(info).update(replicated=False), True),
    "other entries": (lambda info: base_of(info).update(generation_id="43"), True),
    "does not know a peer": (lambda info: base_of(info).update(peers=PEERS[:1]), True),
    "is not registered": (lambda info: info["server"]["servers"].pop(), True),
    "does not answer": (lambda info: info.update(server={}), True),
    "was not asked": (lambda info: info.clear(), True),
}


@pytest.mark.parametrize("state", DUE)
def test_there_is_something_to_do_where_anything_differs(topology: dict[str, Info], state: str) -> None:
    """On whichever of both it is."""
    change, due = DUE[state]
    for host in ("h1", "h2"):
        changed = copy.deepcopy(topology)
        change(changed[host])
        assert replication_due(changed, MEMBERS, ["o=site"], "h1", 4444, 8989) is due, host


def test_a_source_without_entries_is_left_to_the_step_that_refuses_it(topology: dict[str, Info]) -> None:
    for info, generation in ((topology["h1"], "42"), (topology["h2"], "43")):
        base_of(info).update(entries=0, generation_id=generation)
    assert replication_due(topology, MEMBERS, ["o=site"], "h1", 4444, 8989)


OBSTACLES: dict[str, tuple[Callable[[Info], object], str]] = {
    "not asked": (lambda info: info.clear(), "h2 could not be asked: it has to be reachable"),
    "no answer": (
        lambda info: info.update(answers=False, error="no connection to idp2:4444"),
        "The server on h2 cannot be asked (no connection to idp2:4444): let it run first.",
    ),
    "no server": (
        lambda info: info.update(answers=False),
        "The server on h2 cannot be asked (there is no server that has been set up): let it run first.",
    ),
    "no base DN": (lambda info: info["server"]["base_dns"].clear(), "idp2 has no base DN o=site: add it first."),
    "another name": (
        lambda info: info.update(hostname="10.0.0.2"),
        "The server of idp2 was set up as 10.0.0.2: set opendj_replication_name to that",
    ),
    "another password": (
        lambda info: info.update(administrator_refused=True),
        "idp2 has the global administrator already, and another password for it",
    ),
    "port is taken": (
        lambda info: info["port_holders"].update({"8989": "nginx"}),
        "On idp2 port 8989 is taken by nginx",
    ),
    "another address": (
        lambda info: info["resolved"].update(idp1=["10.9.0.1"]),
        "On h2 the name idp1 resolves to 10.9.0.1, not to 10.0.0.1: mend the name service, or set",
    ),
    "a firewall": (
        lambda info: info.update(reach={"idp1:4444": "", "idp1:8989": "timed out"}),
        "idp2 does not reach idp1:8989 (timed out): let it through the firewalls between them.",
    ),
    "nothing replicates there": (
        lambda info: info.update(reach={"idp1:8989": "refused"}),
        "Nothing answers idp2 at idp1:8989: start what listens there.",
    ),
    "twice": (
        lambda info: info["server"]["duplicates"].append(["10.0.0.2:4444", "idp2:4444"]),
        "idp2 has one server registered as 10.0.0.2:4444 and as idp2:4444: take the wrong name out",
    ),
    "a stranger": (
        lambda info: info["server"]["servers"].append({"name": "idp9:4444", "host": "idp9"}),
        "idp2 has idp9 registered, which the inventory has not: put it back, or let it leave",
    ),
    "another version": (
        lambda info: info["server"].update(version="4.8.0"),
        "The members have different versions of OpenDJ (4.9.2 on idp1, 4.8.0 on idp2): bring them to one first.",
    ),
    "another schema": (
        lambda info: info["server"].update(schema="def"),
        "The members have different schemas (abc on idp1, def on idp2)",
    ),
    "entries of another origin": (
        lambda info: base_of(info).update(generation_id="43"),
        "More than one member has entries below o=site that are not of one origin (3 on idp1, 3 on idp2): name the one",
    ),
}


@pytest.mark.parametrize("obstacle", OBSTACLES)
def test_why_members_cannot_replicate(topology: dict[str, Info], obstacle: str) -> None:
    change, sentence = OBSTACLES[obstacle]
    change(topology["h2"])
    (problem,) = replication_problems(topology, MEMBERS, ["o=site"])
    assert problem.startswith(sentence)


def test_nothing_to_begin_with(topology: dict[str, Info]) -> None:
    for info in topology.values():
        base_of(info).update(entries=0, replicated=False)
    assert replication_problems(topology, MEMBERS, ["o=site"]) == [
        "No member has entries below o=site: import them on one first, replication begins with what is there."
    ]


def test_who_leaves_may_still_be_registered(topology: dict[str, Info]) -> None:
    topology["h2"]["server"]["servers"].append({"name": "idp9:4444", "host": "idp9"})
    assert replication_problems(topology, MEMBERS, ["o=site"], leaving=["idp9"]) == []


def test_the_source_that_was_named(topology: dict[str, Info]) -> None:
    base_of(topology["h2"])["generation_id"] = "43"
    assert replication_problems(topology, MEMBERS, ["o=site"], source="idp2") == []
    assert replication_source(topology, MEMBERS, ["o=site"], source="idp2") == "h2"
    base_of(topology["h2"])["entries"] = 0
    (empty,) = replication_problems(topology, MEMBERS, ["o=site"], source="idp2")
    assert empty == "opendj_replication_source is idp2, which has no entries below o=site: it is no source."
    (stranger,) = replication_problems(topology, MEMBERS, ["o=site"], source="idp9")
    assert stranger == "opendj_replication_source is idp9, which is no member: the members are idp1, idp2."


@pytest.mark.parametrize(
    ("entries", "replicated", "host"),
    [
        ((3, 3), (True, True), "h1"),
        # Whoever has entries gives them
        ((1, 3), (False, False), "h2"),
        # Whoever replicates already comes first
        ((3, 3), (False, True), "h2"),
        ((1, 1), (False, True), "h2"),
        ((1, 1), (False, False), "h1"),
        ((0, 0), (False, False), "h1"),
    ],
)
def test_whom_the_others_join(
    topology: dict[str, Info], entries: tuple[int, int], replicated: tuple[bool, bool], host: str
) -> None:
    for info, count, one in zip(topology.values(), entries, replicated):
        base_of(info).update(entries=count, replicated=one)
    assert replication_source(topology, MEMBERS, ["o=site"]) == host


def replicates(topology: dict[str, Info]) -> dict[str, Any]:
    probes = {"idp1": "17", "idp2": "17"}
    return load_and_validate(replication_verification(topology, MEMBERS, "site", ["o=site"], probes))


def test_members_replicate(topology: dict[str, Info]) -> None:
    document = replicates(topology)
    assert document["ok"] and document["members_seen"] == ["idp1", "idp2"]
    evidence = [check["evidence"] for check in document["checks"]]
    assert "o=site: what 2 members wrote is on idp2" in evidence
    assert "o=site: the number of entries is 3 on all" in evidence


TROUBLES: dict[str, tuple[Callable[[Info], object], str]] = {
    "not asked": (lambda info: info.clear(), "idp2 could not be asked"),
    "no answer": (lambda info: info.update(answers=False, error="no connection"), "no connection"),
    "plain text": (lambda info: info["server"].update(encryption=False), "replication of idp2 is not encrypted"),
    "twice": (
        lambda info: info["server"]["duplicates"].append(["a:4444", "b:4444"]),
        "idp2 has one server as a:4444 and as b:4444",
    ),
    "not registered": (lambda info: info["server"]["servers"].pop(0), "idp2 has registered idp2"),
    "not replicated": (lambda info: base_of(info).update(replicated=False), "idp2 does not replicate o=site"),
    "not initialised": (
        lambda info: base_of(info).update(status="Bad generation id"),
        "o=site on idp2: Bad generation id",
    ),
    "another generation": (
        lambda info: base_of(info).update(generation_id="43"),
        "o=site: the generation of the data differs: 42 on idp1; 43 on idp2",
    ),
    "fewer entries": (
        lambda info: base_of(info).update(entries=2),
        "o=site: the number of entries differs: 3 on idp1; 2 on idp2",
    ),
    "fewer peers": (
        lambda info: base_of(info).update(peers=PEERS[:1]),
        "o=site: the list of peers differs: idp1:8989, idp2:8989 on idp1; idp1:8989 on idp2",
    ),
    "conflict": (
        lambda info: base_of(info)["conflicts"].append({"dn": "entryuuid=1+uid=a", "of": "uid=a"}),
        "idp2 has two entries uid=a: decide, and delete one",
    ),
    "nothing arrives": (
        lambda info: base_of(info)["probes"].update(idp1="16"),
        "o=site: what idp1 wrote has not arrived on idp2",
    ),
    "another schema": (lambda info: info["server"].update(schema="x"), "the schema differs: abc on idp1; x on idp2"),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_why_members_do_not_replicate(topology: dict[str, Info], trouble: str) -> None:
    change, evidence = TROUBLES[trouble]
    change(topology["h2"])
    document = replicates(topology)
    assert not document["ok"]
    assert [check["evidence"] for check in document["checks"] if not check["ok"]] == [evidence]


def test_a_member_that_nobody_knows_is_not_seen(topology: dict[str, Info]) -> None:
    topology["h1"]["server"]["replication_server"]["peers"] = PEERS[:1]
    assert replicates(topology)["members_seen"] == ["idp1"]
