# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module opendj_replication: which steps it takes and when, with two servers that are played from recordings."""

from __future__ import annotations

import base64
import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj import membership
from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj.keystore import trusted_certificates
from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj.replication import Dsreplication, Server
from ansible_collections.clusterkit.middleware.plugins.modules import opendj_replication
from tests.unit.plugins.module_utils._opendj.recorded_directory import RECORDED, Recorded, recorded

if TYPE_CHECKING:
    from tests.unit.conftest import RunModule

PASSWORD, ADMINISTRATOR = "CANARY of the directory manager", "CANARY of the administrator"
ADMINISTRATOR_DN = "cn=admin,cn=administrators,cn=admin data"
OWN = "idp1.gluu.org"


class Played(Recorded):
    """The directory of a server, with what a Directory does besides searching."""

    def __enter__(self) -> Played:
        return self

    def __exit__(self, *_error: object) -> None:
        pass

    def binary(self, dn: str, _name: str) -> bytes:
        return str(id(self)).encode() if dn.startswith("ds-cfg-key-id=ads-certificate") else b""

    def modify(self, dn: str, replaced: dict[str, Any]) -> bool:
        self.entries[dn.lower()][1].update({name.lower(): list(given or []) for name, given in replaced.items()})
        return True

    def delete(self, dn: str) -> bool:
        return self.entries.pop(dn.lower(), None) is not None


class Topology:
    """The reference and this server, by their names; what commands were run; what each command does."""

    def __init__(self) -> None:
        self.after = {"n1": Played(list(recorded("n1.ldif").entries.values()))}
        self.after[OWN] = Played(list(recorded("n2.ldif").entries.values()))
        # n1 is the name that the recorded certificate, and so this host's server, has
        self.now = {"reference": copy.deepcopy(self.after["n1"]), "n1": copy.deepcopy(self.after[OWN])}
        for directory in self.now.values():
            _rename(directory)
        self.commands: list[str] = []
        self.effect: dict[str, Callable[[], Any]] = {}
        self.passwords = {"cn=directory manager": PASSWORD, ADMINISTRATOR_DN: ADMINISTRATOR}

    def connect(self, server: Server, bind_dn: str = "", password: str = "") -> Played:
        dn = (bind_dn or server.bind_dn).lower()
        if self.passwords[dn] != (password or server.password):
            raise ClusterkitError("wrong", {"result": 49})
        return self.now[server.host]

    def run(self, command: str) -> str:
        self.commands.append(command)
        return str(self.effect.get(command, lambda: "")() or "")

    def alone(self, name: str) -> None:
        """Let a server replicate with nobody."""
        directory = self.now[name]
        for key in list(directory.entries):
            if "cn=multimaster" in key or key.endswith(",cn=servers,cn=admin data"):
                del directory.entries[key]

    def generation(self, name: str, number: str) -> None:
        directory = self.now[name]
        directory.entries["o=gluu"][1]["ds-sync-generation-id"] = [number]
        for dn, values in directory.entries.values():
            if dn.startswith("cn=Directory server") and values["domain-name"] == ["o=gluu"]:
                values["status"] = ["Normal"]


def _rename(directory: Played) -> None:
    """Give the recorded servers the names that this test has."""
    names = (("idp1.gluu.org", "reference"), ("idp2.gluu.org", "n1"))
    for key, (dn, values) in list(directory.entries.items()):
        text = json.dumps([key, dn, values])
        for old, new in names:
            text = text.replace(old, new)
        del directory.entries[key]
        new_key, new_dn, new_values = json.loads(text)
        directory.entries[new_key] = (new_dn, new_values)


@pytest.fixture
def topology(monkeypatch: pytest.MonkeyPatch) -> Topology:
    topology = Topology()
    monkeypatch.setattr(opendj_replication, "connect", topology.connect)
    for command in ("enable", "initialize", "disable"):
        monkeypatch.setattr(Dsreplication, command, lambda _self, *_rest, command=command: topology.run(command))
    monkeypatch.setattr(membership, "_LOOK_SECONDS", 0.01)
    return topology


@pytest.fixture
def options(tmp_path: Path) -> dict[str, Any]:
    """Make the files of this server; return the options that every call has."""
    config = tmp_path / "opendj" / "config"
    config.mkdir(parents=True)
    (config / "config.ldif").write_text("dn: cn=config\nobjectClass: top\n", encoding="utf-8")
    store = base64.b64decode((RECORDED / "admin-truststore.base64").read_text(encoding="ascii"))
    (config / "admin-truststore").write_bytes(store)
    return {
        "path": str(tmp_path / "opendj"),
        "base_dns": ["o=gluu"],
        "password": PASSWORD,
        "administrator_password": ADMINISTRATOR,
        "reference_host": "reference",
        "reference_certificate": trusted_certificates(str(config / "admin-truststore"), "admin-cert"),
        "settle": 0.05,
    }


@pytest.fixture
def run(run_module: RunModule, topology: Topology, options: dict[str, Any]) -> Any:
    def call(check: bool = False, **more: Any) -> dict[str, Any]:
        done = run_module(opendj_replication.main, check=check, **{**options, **more})
        assert "CANARY" not in json.dumps({name: one for name, one in done.items() if name != "invocation"})
        return done

    return call


def test_a_member_is_left_alone(run: Any, topology: Topology) -> None:
    done = run()
    assert (done["failed"], done["changed"], done["steps"], done["missing"]) == (False, False, [], [])
    assert topology.commands == []


def test_a_newcomer_joins(run: Any, topology: Topology) -> None:
    joined = topology.now["n1"].entries
    joined = copy.deepcopy(joined)
    topology.alone("n1")
    predicted = run(check=True)
    assert (predicted["changed"], predicted["steps"], topology.commands) == (True, ["enable"], [])
    assert "n1:4444 does not replicate o=gluu" in predicted["missing"]
    topology.effect["enable"] = lambda: topology.now["n1"].entries.update(joined)
    done = run()
    assert (done["changed"], done["steps"], topology.commands) == (True, ["enable"], ["enable"])
    assert done["diff"] == predicted["diff"] and "does not replicate" in done["diff"]["before"]
    assert not run()["changed"]


def test_checked_says_and_does_nothing(run: Any, topology: Topology) -> None:
    topology.alone("n1")
    done = run(state="checked")
    assert not done["changed"] and done["missing"] and topology.commands == []


def domain(base: str) -> str:
    return f"cn=cn\\={base},cn=domains,cn=multimaster synchronization,cn=synchronization providers,cn=config"


def test_what_enabling_again_does_not_heal_is_mended(run: Any, topology: Topology) -> None:
    """As recorded: `cn=admin data` of a member that was down stays without the newcomer."""
    for directory in topology.now.values():
        for dn, values in directory.entries.values():
            if "ds-cfg-replication-server" in values and not (directory is topology.now["n1"] and "admin data" in dn):
                values["ds-cfg-replication-server"].append("third:8989")
    assert run(check=True)["steps"] == ["heal"]
    done = run()
    assert done["missing"] == ["n1:4444 does not know third:8989 for cn=admin data"]
    assert done["steps"] == ["heal", "mend"] and topology.commands == ["enable"]
    mended = topology.now["n1"].entries[domain("admin data")][1]["ds-cfg-replication-server"]
    assert sorted(mended) == ["n1:8989", "reference:8989", "third:8989"]


def test_one_that_was_forgotten_and_does_not_know_leaves_first(run: Any, topology: Topology) -> None:
    """As on a member that was taken out while it was down: enabling it again would not register it."""
    joined = {name: copy.deepcopy(directory.entries) for name, directory in topology.now.items()}
    for directory in topology.now.values():
        del directory.entries["cn=n1:4444,cn=servers,cn=admin data"]
    assert run(check=True)["steps"] == ["rejoin"]
    topology.effect["disable"] = lambda: topology.alone("n1")

    def join() -> None:
        for name, entries in joined.items():
            topology.now[name].entries.update(entries)

    topology.effect["enable"] = join
    done = run()
    assert (done["failed"], done["steps"], topology.commands) == (False, ["rejoin"], ["disable", "enable"])


def test_one_that_learns_only_now_that_it_was_forgotten_joins_again(run: Any, topology: Topology) -> None:
    """It was down when the others forgot it; their removal arrives while it is made up for."""
    joined = {name: copy.deepcopy(directory.entries) for name, directory in topology.now.items()}
    registration = "cn=n1:4444,cn=servers,cn=admin data"
    del topology.now["reference"].entries[registration]

    def arrive() -> None:
        topology.now["n1"].entries.pop(registration, None)
        topology.effect["enable"] = lambda: [topology.now[name].entries.update(one) for name, one in joined.items()]

    topology.effect.update(enable=arrive, disable=lambda: topology.alone("n1"))
    done = run()
    assert (done["failed"], done["steps"]) == (False, ["heal", "rejoin"])
    assert topology.commands == ["enable", "disable", "enable"]


def test_the_state_decides_what_came_of_a_command_that_hangs(run: Any, topology: Topology) -> None:
    joined = copy.deepcopy(topology.now["n1"].entries)
    topology.alone("n1")

    def hang() -> None:
        topology.now["n1"].entries.update(joined)
        raise ClusterkitError("dsreplication enable: did not end", {"timed_out": True})

    topology.effect["enable"] = hang
    assert run()["steps"] == ["enable"]


def test_a_command_that_did_nothing_is_a_failure(run: Any, topology: Topology) -> None:
    topology.alone("n1")
    done = run()
    assert done["failed"] and "n1:4444 has not joined: " in done["msg"]

    def refuse() -> None:
        raise ClusterkitError("dsreplication enable: no", {"timed_out": False})

    topology.effect["enable"] = refuse
    assert run()["msg"] == "dsreplication enable: no"


def test_refused_before_a_command(run: Any, topology: Topology) -> None:
    topology.alone("n1")
    assert run(base_dns=["o=none"])["msg"] == "n1:4444 has no base DN o=none; reference:4444 has no base DN o=none"
    topology.passwords[ADMINISTRATOR_DN] = "another"
    assert run()["msg"] == (
        "n1:4444 has the administrator admin, and another password for it: give that one (administrator_password)"
    )
    assert run(administrator_password="")["msg"] == "administrator_password missing: a command has to be run"
    missing = run(reference_certificate="", base_dns=[])["msg"]
    assert missing == "reference_certificate, base_dns missing: state=present needs it"
    assert run(path="/nonexistent")["msg"] == "there is no server in /nonexistent that has been set up"
    assert topology.commands == []


def test_entries_are_taken_once(run: Any, topology: Topology) -> None:
    predicted = run(check=True, state="initialized")
    assert (predicted["changed"], predicted["steps"], topology.commands) == (True, ["initialize"], [])
    topology.effect["initialize"] = lambda: topology.generation("n1", "3676558")
    done = run(state="initialized")
    assert done["missing"] == ["n1:4444 has not the entries of reference:4444 below o=gluu"]
    assert not run(state="initialized")["changed"]
    assert run(state="initialized", force=True)["changed"]
    assert topology.commands == ["initialize", "initialize"]


def test_check_mode_does_not_expect_what_it_did_not_do(run: Any, topology: Topology) -> None:
    topology.alone("n1")
    assert run(check=True, state="initialized")["steps"] == ["initialize"]
    assert run(state="initialized")["msg"] == "n1:4444 does not replicate o=gluu: let it join first"


def test_entries_that_did_not_come_are_a_failure(run: Any, topology: Topology) -> None:
    assert run(state="initialized")["msg"] == ("after initialising o=gluu: the generations of the data still differ")


def test_an_empty_server_is_no_source(run: Any, topology: Topology) -> None:
    topology.now["reference"].entries["cn=userroot backend,cn=monitor"][1]["ds-base-dn-entry-count"] = ["0 o=gluu"]
    done = run(state="initialized", force=True)
    assert done["failed"] and "an empty server is no source" in done["msg"] and topology.commands == []


def test_leaves(run: Any, topology: Topology) -> None:
    predicted = run(check=True, state="absent")
    assert (predicted["steps"], predicted["missing"], topology.commands) == (
        ["disable"],
        ["n1:4444 replicates o=gluu"],
        [],
    )
    done = run(state="absent")
    assert done["msg"] == "n1:4444 still replicates o=gluu"
    topology.effect["disable"] = lambda: topology.alone("n1")
    assert run(state="absent")["steps"] == ["disable"]
    assert not run(state="absent")["changed"]


def test_one_that_is_gone_is_forgotten(run: Any, topology: Topology) -> None:
    gone = {"state": "absent", "leaving_host": "reference", "base_dns": []}
    predicted = run(check=True, **gone)
    done = run(**gone)
    assert done["steps"] == predicted["steps"] == ["forget"] and done["missing"] == predicted["missing"]
    assert not run(**gone)["changed"] and topology.commands == []
    assert "leave it out to let it leave" in run(state="absent", leaving_host="n1")["msg"]
