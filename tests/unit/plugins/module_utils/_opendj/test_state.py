# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What entries say of a server, from entries that were recorded."""

from __future__ import annotations

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj import state
from tests.unit.plugins.module_utils._opendj.recorded_directory import Recorded, recorded

BOTH = ["idp1.gluu.org:8989", "idp2.gluu.org:8989"]


def test_a_member_that_was_enabled_and_not_initialised() -> None:
    found = state.read(recorded("n2.ldif"))
    assert found["version"] == "4.9.2.a29601218766eeeaee1c2bdc894706c5e3faf8f5"
    assert found["encryption"] is True
    assert found["replication_server"] == {"id": 445, "port": 8989, "peers": BOTH, "connected": BOTH[:1]}
    assert found["base_dns"] == {
        "o=gluu": {
            "replicated": True,
            "server_id": 18097,
            "peers": BOTH,
            "status": state.BAD_GENERATION_ID,
            "pending_updates": 0,
            "unresolved_conflicts": 0,
            "generation_id": "3676534",
            "server_generation_id": "3676558",
            "replicas": [
                {"server_id": 5820, "server": BOTH[0], "missing_changes": 0, "delay": 0},
                {"server_id": 18097, "server": BOTH[1], "missing_changes": 0, "delay": 0},
            ],
            "entries": 203,
            "writability": "enabled",
            "probes": {},
            "conflicts": [],
        }
    }
    assert {base: one["generation_id"] for base, one in found["own_domains"].items()} == {
        "cn=admin data": "155512",
        "cn=schema": "8408",
    }
    assert all(one["status"] == state.NORMAL for one in found["own_domains"].values())


def test_the_member_that_has_the_data_looks_well() -> None:
    base = state.read(recorded("n1.ldif"))["base_dns"]["o=gluu"]
    assert (base["status"], base["generation_id"], base["server_generation_id"]) == ("Normal", "3676558", "3676558")


@pytest.mark.parametrize(("name", "status"), [("n1.ldif", state.NORMAL), ("n2.ldif", state.BAD_GENERATION_ID)])
def test_status_when_its_own_entry_is_gone(name: str, status: str) -> None:
    """As on a server whose peers have changed since it was started: only its connection is left to tell."""
    directory = recorded(name)
    for key in [key for key in directory.entries if key.startswith("cn=directory server ds(")]:
        del directory.entries[key]
    found = state.read(directory)
    assert found["base_dns"]["o=gluu"]["status"] == status
    assert found["own_domains"]["cn=schema"]["status"] == state.NORMAL
    for key in [key for key in directory.entries if key.startswith("cn=connected directory server ds(")]:
        del directory.entries[key]
    assert state.read(directory)["base_dns"]["o=gluu"]["status"] == ""


def test_registrations() -> None:
    found = state.read(recorded("n1.ldif"))
    assert [(one["name"], one["host"], one["port"], one["ldap_port"]) for one in found["servers"]] == [
        ("idp1.gluu.org:4444", "idp1.gluu.org", 4444, 1389),
        ("idp2.gluu.org:4444", "idp2.gluu.org", 4444, 1389),
    ]
    assert (found["duplicates"], found["stale_keys"]) == ([], [])


def test_one_server_registered_by_name_and_by_address() -> None:
    directory = recorded("n1.ldif")
    dn, first = directory.entries["cn=idp1.gluu.org:4444,cn=servers,cn=admin data"]
    again = {**first, "cn": ["172.19.0.2:4444"], "hostname": ["172.19.0.2"], "id": ["172.19.0.2:4444"]}
    directory.entries["cn=172.19.0.2:4444,cn=servers,cn=admin data"] = (dn, again)
    found = state.read(directory)
    assert found["duplicates"] == [["172.19.0.2:4444", "idp1.gluu.org:4444"]]
    assert len(found["servers"]) == 3


def test_key_of_a_server_that_is_gone() -> None:
    directory = recorded("n1.ldif")
    del directory.entries["cn=idp2.gluu.org:4444,cn=servers,cn=admin data"]
    assert state.read(directory)["stale_keys"] == ["6DB3CA6349EB8A7E0DA8DEE52C50AA95"]


def test_naming_conflicts() -> None:
    found = state.read(recorded("n1.ldif", "conflicts.ldif"))["base_dns"]["o=gluu"]["conflicts"]
    assert [(one["dn"][:18], one["of"]) for one in found] == [
        ("entryuuid=2915938e", "uid=conf1,ou=People,o=gluu"),
        ("entryuuid=9cc928e2", "uid=conf2,ou=People,o=gluu"),
    ]
    assert state.read(recorded("n1.ldif", "conflicts.ldif"), conflicts=False)["base_dns"]["o=gluu"]["conflicts"] == []


def test_probes_by_member() -> None:
    directory = recorded("n1.ldif")
    directory.entries["cn=clusterkit-probe-n2,o=gluu"] = (
        "cn=clusterkit-probe-n2,o=gluu",
        {"cn": ["clusterkit-probe-n2"], "description": ["17"], "objectclass": ["device"]},
    )
    assert state.read(directory)["base_dns"]["o=gluu"]["probes"] == {"n2": "17"}


def test_a_server_without_replication() -> None:
    directory = recorded("n1.ldif")
    for key in list(directory.entries):
        if "multimaster" in key or "cn=replication,cn=monitor" in key or key.endswith("cn=admin data"):
            del directory.entries[key]
    found = state.read(directory)
    assert found["replication_server"] == {}
    assert found["servers"] == []
    base = found["base_dns"]["o=gluu"]
    assert (base["replicated"], base["server_id"], base["status"], base["replicas"]) == (False, 0, "", [])
    assert base["entries"] == 203


def test_schema_is_compared_by_what_it_defines() -> None:
    one, other = recorded("n1.ldif"), recorded("n2.ldif")
    values = other.entries["cn=schema"][1]
    values["attributetypes"] = [
        text.replace("00-core.ldif", "99-user.ldif") for text in reversed(values["attributetypes"])
    ]
    checksum = state.read(one)["schema"]
    assert len(checksum) == 64 and state.read(other)["schema"] == checksum
    values["attributetypes"][0] += " "
    assert state.read(other)["schema"] not in (checksum, "")
    assert state.read(one, schema=False)["schema"] == ""


def test_a_server_that_tells_nothing() -> None:
    found = state.read(Recorded([]))
    assert (found["version"], found["base_dns"], found["encryption"], found["schema"]) == ("", {}, False, "")


@pytest.mark.parametrize(("name", "dn"), [("admin", "cn=admin"), ('a,b "c"', 'cn=a\\,b \\"c\\"'), (" #", "cn=\\ #")])
def test_name_of_the_administrator(name: str, dn: str) -> None:
    assert state.administrator(name) == f"{dn},cn=Administrators,cn=admin data"
