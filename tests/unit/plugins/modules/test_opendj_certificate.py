# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module opendj_certificate: what it tells, when it writes, what it refuses. How it writes: see `pair`."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj import installation, pair
from ansible_collections.clusterkit.middleware.plugins.modules.opendj_certificate import main

if TYPE_CHECKING:
    from tests.unit.conftest import RunModule

NAMES = ["localhost", "idp2.example.org"]


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return options for a server that has been set up, and never ran."""
    monkeypatch.setattr(pair.AdminConnector.__init__, "__defaults__", (str(tmp_path / "lock"),))
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    argv = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-out", str(certificate)]
    names = ",".join(f"DNS:{name}" for name in NAMES)
    subprocess.run([*argv, "-subj", "/CN=directory", "-addext", f"subjectAltName={names}"], check=True)
    config = tmp_path / "opendj" / "config"
    config.mkdir(parents=True)
    # Nothing listens on that port
    entry = "dn: cn=Administration Connector,cn=config\nds-cfg-listen-port: 1\n"
    (config / "config.ldif").write_text(entry, encoding="utf-8")
    return {
        "path": str(tmp_path / "opendj"),
        "name": NAMES[0],
        "names": NAMES,
        "certificate": certificate.read_text(encoding="ascii"),
        "key": key.read_text(encoding="ascii"),
    }


def test_gives_it_once_and_check_mode_tells_it(run_module: RunModule, given: dict[str, Any]) -> None:
    predicted = run_module(main, check=True, **given)
    assert predicted["changed"] and not Path(given["path"], installation.NAME).exists()
    done = run_module(main, **given)
    assert done["changed"] and done["diff"] == predicted["diff"]
    assert done["diff"]["after"] == {"files": done["fingerprint"]}
    for check in (False, True):
        assert not run_module(main, check=check, **given)["changed"]
    assert given["key"].splitlines()[1] not in json.dumps([predicted["diff"], done])


def test_where_there_is_no_server_it_is_judged_and_not_given(run_module: RunModule, given: dict[str, Any]) -> None:
    given["path"] += "-not-yet"
    assert run_module(main, check=True, **given)["changed"]
    assert "there is no server in" in run_module(main, **given)["msg"]
    refused = run_module(main, check=True, **{**given, "names": ["idp3.example.org"]})
    assert "not made for idp3.example.org" in refused["msg"]
