# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules opendj_replication_info and opendj_probe, against recorded entries."""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._common import firewall, host
from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj import directory
from ansible_collections.clusterkit.middleware.plugins.modules import opendj_probe, opendj_replication_info
from ansible_collections.clusterkit.middleware.plugins.modules.opendj_replication_info import main
from tests.unit.plugins.module_utils._opendj import fake_ldap
from tests.unit.plugins.module_utils._opendj.recorded_directory import RECORDED, recorded

if TYPE_CHECKING:
    from tests.unit.conftest import RunModule

PASSWORD = "CANARY of the directory manager"
ADMINISTRATOR = "cn=admin,cn=Administrators,cn=admin data"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> fake_ldap.Server:
    """Play a server with the recorded entries, and a host around it."""
    server = fake_ldap.Server(recorded("n2.ldif"), {"cn=directory manager": PASSWORD, ADMINISTRATOR: "CANARY"})
    monkeypatch.setitem(sys.modules, "ldap", fake_ldap.make(server))
    monkeypatch.setattr(directory, "shown_certificate", lambda _address: b"")
    monkeypatch.setattr(host, "port_holder", lambda port, expected: "slapd" if port == 1389 else "")
    monkeypatch.setattr(firewall, "names", lambda _runner: ["ufw"])
    return server


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Make the files of a server."""
    config = tmp_path / "opendj" / "config"
    config.mkdir(parents=True)
    (config / "config.ldif").write_text("dn: cn=config\nobjectClass: top\n", encoding="utf-8")
    (config / "buildinfo").write_text("4.9.2.abc", encoding="utf-8")
    store = (RECORDED / "admin-truststore.base64").read_text(encoding="ascii")
    (config / "admin-truststore").write_bytes(base64.b64decode(store))
    return str(tmp_path / "opendj")


def test_what_a_server_is_and_knows(run_module: RunModule, server: fake_ldap.Server, path: str) -> None:
    options = {"path": path, "password": PASSWORD, "administrator_password": "CANARY", "ports": [1389, 4444]}
    found = run_module(main, **options, commands=["nothing-like-it"], resolve=["127.0.0.1"])
    assert {name: found[name] for name in ("failed", "changed", "installed", "answers", "error", "hostname")} == {
        "failed": False,
        "changed": False,
        "installed": True,
        "answers": True,
        "error": "",
        "hostname": "n1",
    }
    assert found["server"]["base_dns"]["o=gluu"]["status"] == "Bad generation id"
    assert not found["administrator_refused"]
    assert found["missing"] == ["nothing-like-it"]
    assert found["port_holders"] == {"1389": "slapd"}
    assert found["resolved"] == {"127.0.0.1": ["127.0.0.1"]}
    assert found["firewalls"] == ["ufw"]
    assert ("initialize", "ldaps://n1:4444") in server.calls
    assert not [call for call in server.calls if call[0] in ("modify", "add", "delete")]
    assert "CANARY" not in json.dumps({name: value for name, value in found.items() if name != "invocation"})
    again = [run_module(main, check=check, **options)["server"] for check in (True, False)]
    assert again == [found["server"]] * 2


@pytest.mark.parametrize(
    ("password", "there", "refused"), [("CANARY", True, False), ("True", True, True), ("CANARY", False, False)]
)
def test_administrator(
    run_module: RunModule, server: fake_ldap.Server, path: str, password: str, there: bool, refused: bool
) -> None:
    if not there:
        del server.directory.entries[ADMINISTRATOR.lower()]
    assert (
        run_module(main, path=path, password=PASSWORD, administrator_password=password)["administrator_refused"]
        == refused
    )


def test_wrong_password_is_told_and_not_shown(run_module: RunModule, server: fake_ldap.Server, path: str) -> None:
    found = run_module(main, path=path, password="CANARY wrong")
    assert not found["failed"] and not found["answers"] and found["refused"] and found["server"] == {}
    assert found["error"] == "n1:4444 does not accept the password of cn=directory manager"


def test_bare_host(run_module: RunModule, server: fake_ldap.Server, tmp_path: Path) -> None:
    found = run_module(main, path=str(tmp_path / "none"), password=PASSWORD)
    assert (found["failed"], found["installed"], found["answers"], found["error"]) == (False, False, False, "")
    assert server.calls == []


def test_another_host_s_server(run_module: RunModule, server: fake_ldap.Server, tmp_path: Path, path: str) -> None:
    certificate = run_module(main, path=path)["certificate"]
    found = run_module(
        main, path=str(tmp_path / "none"), password=PASSWORD, host="n2", certificate=certificate, schema=False
    )
    assert found["answers"] and not found["installed"] and found["server"]["schema"] == ""
    assert server.calls[0] == ("initialize", "ldaps://n2:4444")


def test_without_password_only_files_are_read(run_module: RunModule, server: fake_ldap.Server, path: str) -> None:
    found = run_module(main, path=path)
    assert found["installed"] and not found["answers"] and server.calls == []


def test_library_is_missing(run_module: RunModule, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.setitem(sys.modules, "ldap", None)
    found = run_module(main, path=path, password=PASSWORD)
    assert found["missing"] == ["python-ldap"] and "python3-ldap" in found["error"]


def test_waits_for_what_members_wrote(
    run_module: RunModule, server: fake_ldap.Server, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dn = "cn=clusterkit-probe-idp1,o=gluu"
    monkeypatch.setattr(opendj_replication_info, "LOOK_SECONDS", 0.01)
    options = {"path": path, "password": PASSWORD, "wait_probes": {"idp1": "17"}}
    late = run_module(main, **options, wait_seconds=0.05)
    assert late["answers"] and late["server"]["base_dns"]["o=gluu"]["probes"] == {}
    assert len([call for call in server.calls if call[0] == "search" and "clusterkit-probe" in call[2]]) > 2
    server.directory.entries[dn] = (dn, {"cn": ["clusterkit-probe-idp1"], "description": ["17"]})
    assert run_module(main, **options, wait_seconds=60)["server"]["base_dns"]["o=gluu"]["probes"] == {"idp1": "17"}


PROBE = {"name": "n1", "token": "17", "base_dns": ["o=gluu", "o=empty"], "password": PASSWORD}


def test_probe_is_written_and_removed(run_module: RunModule, server: fake_ldap.Server, path: str) -> None:
    predicted = run_module(opendj_probe.main, check=True, path=path, **PROBE)
    assert predicted["changed"] and not [call for call in server.calls if call[0] == "add"]
    done = run_module(opendj_probe.main, path=path, **PROBE)
    # The base DN without its entry is left out
    assert (done["changed"], done["written"], done["error"]) == (True, ["o=gluu"], "")
    ((_call, dn, values),) = [call for call in server.calls if call[0] == "add"]
    assert dn == "cn=clusterkit-probe-n1,o=gluu" and ("description", [b"17"]) in values
    server.directory.entries[dn] = (dn, {"cn": ["clusterkit-probe-n1"], "description": ["17"]})
    assert not run_module(opendj_probe.main, path=path, **{**PROBE, "base_dns": ["o=gluu"]})["changed"]
    assert run_module(opendj_probe.main, path=path, **{**PROBE, "token": "18"})["changed"]
    assert ("modify", dn, [(2, "description", [b"18"])]) in server.calls
    assert run_module(opendj_probe.main, path=path, state="absent", **PROBE)["changed"]
    assert [call for call in server.calls if call[0] == "delete"] == [("delete", dn)]


def test_a_probe_that_is_tried_is_gone_again(run_module: RunModule, server: fake_ldap.Server, path: str) -> None:
    """A server that takes it and does not have it is told from one that does; check mode writes nothing."""
    assert run_module(opendj_probe.main, check=True, path=path, state="tried", **PROBE)["written"] == []
    lost = run_module(opendj_probe.main, path=path, state="tried", **PROBE)
    assert (lost["changed"], lost["written"], lost["read"]) == (False, ["o=gluu"], [])
    dn = "cn=clusterkit-probe-n1,o=gluu"
    server.directory.entries[dn] = (dn, {"cn": ["clusterkit-probe-n1"], "description": ["17"]})
    done = run_module(opendj_probe.main, path=path, state="tried", **PROBE)
    assert (done["changed"], done["written"], done["read"], done["error"]) == (False, ["o=gluu"], ["o=gluu"], "")
    assert [call for call in server.calls if call[0] == "delete"] == [("delete", dn)] * 2


def test_a_server_that_takes_no_writes(run_module: RunModule, server: fake_ldap.Server, path: str) -> None:
    server.fails["add"] = lambda module: module.UNWILLING_TO_PERFORM({"desc": "Server is unwilling to perform"})
    done = run_module(opendj_probe.main, path=path, **PROBE)
    assert (done["failed"], done["written"]) == (False, [])
    assert done["error"] == ("n1:4444 refuses to add cn=clusterkit-probe-n1,o=gluu: Server is unwilling to perform")


def test_probe_needs_a_token(run_module: RunModule, server: fake_ldap.Server, path: str) -> None:
    assert run_module(opendj_probe.main, path=path, **{**PROBE, "token": ""})["msg"].startswith("token missing")
