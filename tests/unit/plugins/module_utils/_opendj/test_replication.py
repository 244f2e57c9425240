# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What differs between two members and which step mends it, from recorded states; dsreplication's recorded answers."""

from __future__ import annotations

import base64
import copy
import re
import ssl
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Outcome, Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj import replication, state
from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj.keystore import certificates
from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj.replication import Dsreplication, Server
from tests.unit.plugins.module_utils._opendj.recorded_directory import RECORDED, Recorded, recorded

PEM = ssl.DER_cert_to_PEM_cert(
    certificates(base64.b64decode((RECORDED / "admin-truststore.base64").read_text(encoding="ascii")))["admin-cert"]
)
ONE = Server("idp1.gluu.org", 4444, 8989, PEM, "cn=directory manager", "CANARY one")
TWO = Server("idp2.gluu.org", 4444, 8989, PEM, "cn=directory manager", "CANARY two")
THREE = Server("idp3.gluu.org", 4444, 8989, "")
KEYS = ("6DB3CA6349EB8A7E0DA8DEE52C50AA95", "2FC6DD3CE279157D9BF731A91F1CC7FE")
BASES = ["o=gluu"]
State = dict[str, Any]


@pytest.fixture
def first() -> State:
    """Return the state of the first server, which has the data."""
    return state.read(recorded("n1.ldif"))


@pytest.fixture
def second() -> State:
    """Return that of the second one, enabled and not initialised."""
    return state.read(recorded("n2.ldif"))


def alone(seen: State) -> State:
    """Return a state as it was before the server replicated."""
    out = copy.deepcopy(seen)
    for domain in (*out["base_dns"].values(), *out["own_domains"].values()):
        domain.update(replicated=False, peers=[], status="", server_id=0)
    out.update(servers=[], replication_server={})
    return out


def test_nothing_is_missing(first: State, second: State) -> None:
    assert replication.refusals(TWO, ONE, second, first, BASES, KEYS) == []
    assert replication.differences(TWO, ONE, second, first, BASES) == []
    assert replication.step_towards(TWO, second, []) == ""


def test_a_newcomer_is_enabled(first: State, second: State) -> None:
    new = alone(second)
    assert replication.refusals(TWO, ONE, new, first, BASES, KEYS) == []
    missing = replication.differences(TWO, ONE, new, first, BASES)
    assert "idp2.gluu.org:4444 does not replicate o=gluu" in missing
    assert "idp2.gluu.org:4444 does not have idp1.gluu.org:4444 registered" in missing
    assert replication.step_towards(TWO, new, missing) == replication.ENABLE
    both = replication.differences(TWO, ONE, new, alone(first), BASES)
    assert "idp1.gluu.org:4444 does not replicate cn=schema" in both


@pytest.mark.parametrize("where", ["o=gluu", "cn=admin data", "replication server"])
def test_a_member_that_missed_a_newcomer_is_healed(first: State, second: State, where: str) -> None:
    """As recorded when the third joined while the second was down."""
    third = "idp3.gluu.org:8989"
    for domain in (*first["base_dns"].values(), *first["own_domains"].values(), first["replication_server"]):
        domain["peers"].append(third)
    for base, domain in (*second["base_dns"].items(), *second["own_domains"].items()):
        if base != where:
            domain["peers"].append(third)
    if where != "replication server":
        second["replication_server"]["peers"].append(third)
    missing = replication.differences(TWO, ONE, second, first, BASES)
    subject = "the replication server of idp2.gluu.org:4444 does not know idp3.gluu.org:8989"
    if where != "replication server":
        subject = f"idp2.gluu.org:4444 does not know idp3.gluu.org:8989 for {where}"
    assert missing == [subject]
    assert replication.step_towards(TWO, second, missing) == replication.HEAL


REFUSALS: dict[str, tuple[Callable[[State, State], object], Server, str]] = {
    "itself": (lambda own, other: None, ONE, "idp1.gluu.org:4444 and idp1.gluu.org:4444 are one server"),
    "no base DN": (
        lambda own, other: own["base_dns"].clear(),
        TWO,
        "idp2.gluu.org:4444 has no base DN o=gluu",
    ),
    "another port": (
        lambda own, other: own["replication_server"].update(port=9989),
        TWO,
        "idp2.gluu.org:4444 replicates at port 9989, not at 8989",
    ),
    "registered by another name": (
        lambda own, other: other["servers"][1].update(name="172.19.0.3:4444"),
        TWO,
        "idp2.gluu.org:4444 is registered as 172.19.0.3:4444: use that spelling, another one would register the server "
        "twice",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refused(first: State, second: State, case: str) -> None:
    change, member, sentence = REFUSALS[case]
    change(second, first)
    (refusal,) = replication.refusals(member, ONE, second, first, BASES, KEYS)
    assert refusal.startswith(sentence)


def test_one_server_under_two_names(first: State) -> None:
    other = Server("172.19.0.2", 4444, 8989, PEM)
    assert replication.refusals(other, ONE, first, first, BASES, (KEYS[1], KEYS[1])) == [
        "172.19.0.2:4444 and idp1.gluu.org:4444 are one server: name another reference"
    ]


def test_who_gets_whose_entries(first: State, second: State) -> None:
    assert replication.initialisations(TWO, ONE, second, first, BASES) == ["o=gluu"]
    # Never into the one that has them, as long as both are the same
    second["base_dns"]["o=gluu"].update(generation_id="3676558", status="Normal")
    assert replication.initialisations(TWO, ONE, second, first, BASES) == []
    assert replication.initialisations(TWO, ONE, second, first, BASES, force=True) == ["o=gluu"]
    # The same number, and not taken part in yet
    second["base_dns"]["o=gluu"].update(status=state.BAD_GENERATION_ID)
    assert replication.initialisations(TWO, ONE, second, first, BASES) == ["o=gluu"]


@pytest.mark.parametrize("force", [False, True])
def test_no_source_without_entries(first: State, second: State, force: bool) -> None:
    first["base_dns"]["o=gluu"]["entries"] = 0
    with pytest.raises(ClusterkitError, match=r"idp1.*4444 has no entries below o=gluu, and idp2.*has 203: an empty"):
        replication.initialisations(TWO, ONE, second, first, BASES, force)


def test_no_source_that_does_not_replicate(first: State, second: State) -> None:
    with pytest.raises(ClusterkitError, match=r"idp2.*4444 does not replicate o=gluu: let it join first"):
        replication.initialisations(TWO, ONE, alone(second), first, BASES)


class Writable(Recorded):
    """Recorded entries that can be changed."""

    def modify(self, dn: str, replaced: dict[str, Any]) -> bool:
        if dn.lower() not in self.entries:
            return False
        values = self.entries[dn.lower()][1]
        for name, given in replaced.items():
            values.pop(name.lower(), None)
            if given:
                values[name.lower()] = list(given)
        return True

    def delete(self, dn: str) -> bool:
        return self.entries.pop(dn.lower(), None) is not None


class Overtaken(Writable):
    """What another member takes out of cn=admin data arrives after it was looked at."""

    def search(self, base: str, *arguments: Any, **options: Any) -> Any:
        found = super().search(base, *arguments, **options)
        if options.get("attributes") == ["1.1"]:
            self.entries = {dn: entry for dn, entry in self.entries.items() if dn != base.lower()}
        return found


def test_what_another_member_took_out_meanwhile_is_no_failure() -> None:
    directory: Any = Overtaken(list(recorded("n1.ldif").entries.values()))
    predicted = replication.forget(directory, TWO, check=True)
    directory = Overtaken(list(recorded("n1.ldif").entries.values()))
    changed = replication.forget(directory, TWO)
    overtaken = [dn for dn in predicted if dn not in changed]
    assert overtaken == [dn for dn in predicted if dn.endswith((state.SERVERS, state.INSTANCE_KEYS))] != []


def test_a_server_that_is_gone_is_forgotten() -> None:
    directory: Any = Writable(list(recorded("n1.ldif").entries.values()))
    predicted = replication.forget(directory, TWO, check=True)
    assert "idp2" in str(directory.entries["cn=cn\\=schema,cn=domains," + state.PROVIDER.lower()])
    assert replication.forget(directory, TWO) == predicted
    assert len(predicted) == 7
    left = state.read(directory)
    peers = [left["replication_server"]["peers"], *(one["peers"] for one in left["base_dns"].values())]
    peers += [one["peers"] for one in left["own_domains"].values()]
    assert peers == [["idp1.gluu.org:8989"]] * 4
    assert [one["name"] for one in left["servers"]] == ["idp1.gluu.org:4444"]
    assert left["stale_keys"] == []
    members = directory.entries[state.ALL_SERVERS.lower()][1]["uniquemember"]
    assert members == ["cn=idp1.gluu.org:4444"]
    assert replication.forget(directory, TWO) == []


def test_the_key_of_a_server_that_has_another_name_stays() -> None:
    directory: Any = Writable(list(recorded("n1.ldif").entries.values()))
    dn, values = directory.entries["cn=idp1.gluu.org:4444,cn=servers,cn=admin data"]
    again = {**values, "cn": ["172.19.0.2:4444"]}
    directory.entries["cn=172.19.0.2:4444,cn=servers,cn=admin data"] = (
        "cn=172.19.0.2:4444,cn=Servers,cn=admin data",
        again,
    )
    changed = replication.forget(directory, Server("172.19.0.2", 4444, 8989, ""))
    assert changed == ["cn=172.19.0.2:4444,cn=Servers,cn=admin data"]
    assert state.read(directory)["stale_keys"] == [] and dn


def test_domains_get_the_peers_that_they_lack() -> None:
    directory: Any = Writable(list(recorded("n1.ldif").entries.values()))
    third = "idp3.gluu.org:8989"
    peers = {base: ["IDP1.gluu.org:8989", third] for base in ("", "o=gluu", "cn=admin data")}
    assert len(replication.mend(directory, peers)) == 3
    found = state.read(directory)
    both = ["idp1.gluu.org:8989", "idp2.gluu.org:8989"]
    assert found["replication_server"]["peers"] == found["base_dns"]["o=gluu"]["peers"] == [*both, third]
    assert found["own_domains"]["cn=schema"]["peers"] == both
    assert replication.mend(directory, peers) == []


def answer(name: str) -> Outcome:
    """Return how a recorded call ended."""
    text = (RECORDED / f"{name}.txt").read_text(encoding="utf-8")
    rc = re.search(r"^--- rc=(\d+)", text, re.M)
    assert rc
    stdout, stderr = text.partition("--- stdout\n")[2].split("--- stderr\n")
    return Outcome(int(rc[1]), stdout.encode(), stderr.encode())


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Let dsreplication answer as it was recorded, and note how it was called."""
    asked: dict[str, Any] = {"answer": "enable-3rd", "argv": [], "files": {}, "env": {}}

    def execute(
        _runner: Runner, argv: list[str], _stdin: bytes, env: dict[str, str], cwd: str, limit: float
    ) -> Outcome:
        asked.update(argv=argv, env=env, limit=limit, mode=Path(cwd).stat().st_mode & 0o777)
        asked["files"] = {
            option: Path(argv[argv.index(option) + 1]).read_bytes()
            for option in ("--adminPasswordFile", "--bindPasswordFile1", "--bindPasswordFile2")
            if option in argv
        }
        asked["store"] = Path(argv[argv.index("--trustStorePath") + 1]).read_bytes()
        assert "CANARY" not in " ".join(argv) + str(env)
        return answer(asked["answer"]) if asked["answer"] else Outcome(-9, timed_out=True)

    monkeypatch.setattr(Runner, "execute", execute)
    return asked


@pytest.fixture
def program() -> Dsreplication:
    return Dsreplication(Runner(), "/opt/opendj", "0", "0", [PEM, PEM], "/opt/java")


def enable(program: Dsreplication) -> str:
    return program.enable(TWO, ONE, BASES, "admin", "CANARY admin", 300)


def test_enable_is_told_all_it_needs_and_nobody_else(asked: dict[str, Any], program: Dsreplication) -> None:
    assert enable(program) == ""
    argv = asked["argv"][asked["argv"].index("--") + 1 :]
    assert argv[:4] == ["/opt/opendj/bin/dsreplication", "enable", "--host1", "idp1.gluu.org"]
    words = " ".join(argv)
    assert "--host2 idp2.gluu.org --port2 4444 --bindDN2 cn=directory manager --replicationPort2 8989" in words
    for word in ("--secureReplication1", "--secureReplication2", "--no-prompt", "--baseDN", "o=gluu", "--adminUID"):
        assert word in argv
    assert "--trustAll" not in argv and "-X" not in argv
    assert asked["files"] == {
        "--adminPasswordFile": b"CANARY admin",
        "--bindPasswordFile1": b"CANARY one",
        "--bindPasswordFile2": b"CANARY two",
    }
    assert len(certificates(asked["store"])) == 2
    assert asked["limit"] == 300 and asked["mode"] == 0o700
    assert "-Djava.io.tmpdir=" in asked["env"]["OPENDJ_JAVA_ARGS"]
    assert asked["env"]["OPENDJ_JAVA_HOME"] == "/opt/java"


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("enable-again", ""),
        ("heal-enable-23", ""),
        ("enable-3rd-with-n2-down", "Error on idp2.gluu.org: An error occurred connecting to the server."),
    ],
)
def test_ends_that_are_no_failure(asked: dict[str, Any], program: Dsreplication, name: str, complaint: str) -> None:
    asked["answer"] = name
    said = enable(program)
    assert complaint in said and bool(complaint) == bool(said)


@pytest.mark.parametrize(
    ("name", "error"),
    [
        (
            "enable-wrongpw1",
            "dsreplication enable: The provided credentials are not valid in server idp1.gluu.org:4444. Details: "
            "Invalid Credentials",
        ),
        (
            "enable-connrefused",
            "dsreplication enable: Could not connect to idp3.gluu.org:4444. Check that the server is running and that "
            "it is accessible from the local machine. Details: Connect Error: Connection refused",
        ),
        (
            "enable-same-host",
            "dsreplication enable: You have to provide two different servers to enable replication. You have provided "
            "twice the server idp1.gluu.org:4444",
        ),
        (
            "enable-badbase",
            "enabling idp2.gluu.org:4444 left base DNs out: The following base DNs cannot be replicated between the "
            "two servers because they could not be found in at least one of the servers: o=nothere",
        ),
    ],
)
def test_failures_are_told(asked: dict[str, Any], program: Dsreplication, name: str, error: str) -> None:
    asked["answer"] = name
    with pytest.raises(ClusterkitError) as raised:
        enable(program)
    assert str(raised.value) == error


def test_one_that_hangs(asked: dict[str, Any], program: Dsreplication) -> None:
    asked["answer"] = ""
    with pytest.raises(ClusterkitError, match="did not end within 300 s") as raised:
        enable(program)
    assert raised.value.details["timed_out"]


def test_initialize_and_disable(asked: dict[str, Any], program: Dsreplication) -> None:
    asked["answer"] = "initialize-ok"
    program.initialize(TWO, ONE, BASES, "admin", "CANARY admin", 60)
    words = " ".join(asked["argv"])
    assert (
        "initialize --hostSource idp1.gluu.org --portSource 4444 --hostDestination idp2.gluu.org --portDestination 4444"
        in words
    )
    asked["answer"] = "initialize-badbase"
    with pytest.raises(ClusterkitError, match=r"initialize: The following base DNs cannot be initialized.*o=nothere"):
        program.initialize(TWO, ONE, BASES, "admin", "CANARY admin", 60)
    asked["answer"] = "disable-3rd"
    program.disable(TWO, "admin", "CANARY admin", 60)
    assert "disable --disableAll --hostname idp2.gluu.org --port 4444" in " ".join(asked["argv"])
    asked["answer"] = "disable-dead"
    with pytest.raises(ClusterkitError, match=r"disable: Could not connect to 172\.19\.0\.4:4444"):
        program.disable(TWO, "admin", "CANARY admin", 60)
