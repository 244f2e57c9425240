# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module opendj_config writes what differs, and nothing else."""

from __future__ import annotations

import base64
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj import directory
from ansible_collections.clusterkit.middleware.plugins.modules.opendj_config import main
from tests.unit.plugins.module_utils._opendj import fake_ldap
from tests.unit.plugins.module_utils._opendj.recorded_directory import RECORDED, Recorded

if TYPE_CHECKING:
    from tests.unit.conftest import RunModule

POLICY = "cn=Default Password Policy,cn=Password Policies,cn=config"
HANDLER = "cn=LDAP Connection Handler,cn=Connection Handlers,cn=config"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> fake_ldap.Server:
    """Play a server with two settings."""
    entries: Any = [
        (POLICY, {"ds-cfg-allow-pre-encoded-passwords": ["false"], "ds-cfg-max-password-age": ["0 seconds"]}),
        (HANDLER, {"ds-cfg-listen-address": ["10.0.0.1", "127.0.0.1"], "ds-cfg-listen-port": ["1389"]}),
    ]
    server = fake_ldap.Server(Recorded([(dn, {**values, "objectclass": ["top"]}) for dn, values in entries]))
    monkeypatch.setitem(sys.modules, "ldap", fake_ldap.make(server))
    monkeypatch.setattr(directory, "shown_certificate", lambda _address: b"")
    return server


@pytest.fixture
def run(run_module: RunModule, server: fake_ldap.Server, tmp_path: Path) -> Any:
    config = tmp_path / "config"
    config.mkdir()
    (config / "config.ldif").write_text("dn: cn=config\nobjectClass: top\n", encoding="utf-8")
    store = (RECORDED / "admin-truststore.base64").read_text(encoding="ascii")
    (config / "admin-truststore").write_bytes(base64.b64decode(store))

    def call(*settings: tuple[str, dict[str, Any]], check: bool = False) -> dict[str, Any]:
        given = [{"dn": dn, "attributes": attributes} for dn, attributes in settings]
        return run_module(main, check=check, path=str(tmp_path), password="right", settings=given)

    return call


def written(server: fake_ldap.Server) -> list[Any]:
    """Return what was written."""
    return [call[1:] for call in server.calls if call[0] == "modify"]


def test_what_differs_is_written(run: Any, server: fake_ldap.Server) -> None:
    wanted = (
        (POLICY, {"ds-cfg-allow-pre-encoded-passwords": True, "DS-cfg-max-password-age": "0 seconds"}),
        (HANDLER, {"ds-cfg-listen-port": 1636, "ds-cfg-listen-address": None}),
    )
    predicted = run(*wanted, check=True)
    assert predicted["changed"] and written(server) == []
    done = run(*wanted)
    assert done["entries"] == predicted["entries"] == [POLICY, HANDLER] and done["diff"] == predicted["diff"]
    assert done["diff"]["before"][f"{POLICY} ds-cfg-allow-pre-encoded-passwords"] == ["false"]
    assert done["diff"]["after"][f"{HANDLER} ds-cfg-listen-address"] is None
    assert written(server) == [
        (POLICY, [(2, "ds-cfg-allow-pre-encoded-passwords", [b"true"])]),
        (HANDLER, [(2, "ds-cfg-listen-port", [b"1636"]), (2, "ds-cfg-listen-address", None)]),
    ]


def test_what_is_so_already_is_not(run: Any, server: fake_ldap.Server) -> None:
    done = run(
        (POLICY.lower(), {"ds-cfg-allow-pre-encoded-passwords": False, "ds-cfg-unset": []}),
        (HANDLER, {"ds-cfg-listen-address": ["127.0.0.1", "10.0.0.1"], "ds-cfg-listen-port": 1389}),
    )
    assert (done["changed"], done["entries"], written(server)) == (False, [], [])


@pytest.mark.parametrize(
    ("dn", "error"),
    [
        ("o=site", "o=site is not below cn=config: settings of a server are"),
        ("cn=none,cn=config", "there is no entry cn=none,cn=config: see `dsconfig list-…` for those that there are"),
    ],
)
def test_refused(run: Any, server: fake_ldap.Server, dn: str, error: str) -> None:
    done = run((POLICY, {"ds-cfg-allow-pre-encoded-passwords": True}), (dn, {"a": 1}))
    assert done["failed"] and done["msg"] == error and written(server) == []
