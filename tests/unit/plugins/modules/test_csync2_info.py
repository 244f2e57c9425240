# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module csync2_info tells what is there, and changes nothing."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._common import host
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Outcome, Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._csync2.certificate import Certificates
from ansible_collections.clusterkit.middleware.plugins.module_utils._csync2.key import fingerprint
from ansible_collections.clusterkit.middleware.plugins.modules.csync2_info import main

if TYPE_CHECKING:
    from tests.unit.conftest import RunModule

RECORDED = Path(__file__).parents[1] / "module_utils" / "_csync2" / "recorded"
KEY = "CANARY." * 9 + "_"


@pytest.fixture
def member(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a member's files; csync2 and systemctl are played."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / os.fsdecode(b"\xff")).write_text("x")
    (tmp_path / "csync2.cfg").write_text(
        f"group web {{ host n1 n2 n3@n3-eth1; key {tmp_path}/key; include {tmp_path}/tree; exclude *~; }}\n"
        f"group mail {{ host n1 n2; key {tmp_path}/key; include {tmp_path}/none; }}\n"
        f"group others {{ host n2 n3; key {tmp_path}/key; include /etc; }}\n"
    )
    (tmp_path / "key").write_text(KEY)
    connection = sqlite3.connect(tmp_path / "n1.db3")
    connection.executescript((RECORDED / "schema.sql").read_text())
    connection.execute("INSERT INTO file VALUES ('/srv', 'v1')")
    connection.execute("INSERT INTO dirty VALUES (CAST(? AS TEXT), 1, 'n1', 'n2')", (b"/srv/\xff%20",))
    connection.execute("INSERT INTO x509_cert VALUES ('n2', 'AA')")
    connection.commit()
    connection.close()
    binary = tmp_path / "bin" / "csync2"
    binary.parent.mkdir()
    binary.touch(mode=0o755)
    monkeypatch.setenv("PATH", f"{binary.parent}:/usr/bin:/bin")

    def execute(_runner: Runner, argv: list[str], *_rest: Any) -> Outcome:
        if argv[0] == "systemctl":
            return Outcome(3, stdout=b"active\nfailed\n")
        assert argv == [str(binary), "--version"]
        return Outcome(1, stdout=b"csync2 2.1-0rc1 - cluster synchronization tool, 2nd generation\n")

    monkeypatch.setattr(Runner, "execute", execute)
    monkeypatch.setattr(
        host, "reach", lambda peer, _port, limit: "" if peer == "n2" else f"{peer}: refused in {limit:g} s"
    )
    monkeypatch.setattr(host, "port_holder", lambda port, expected: f"{port} {' '.join(expected)}")
    return tmp_path


@pytest.fixture
def run(run_module: RunModule, member: Path) -> Any:
    def call(check: bool = False, **options: Any) -> dict[str, Any]:
        paths = {
            "config_path": str(member / "csync2.cfg"),
            "key_path": str(member / "key"),
            "certificate_path": str(member / "cert"),
            "database_directory": str(member),
        }
        return run_module(main, check=check, **{"name": "N1", **paths, **options})

    return call


def snapshot(directory: Path) -> list[tuple[str, int, bytes]]:
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    return [(str(path), path.stat().st_mtime_ns, path.read_bytes()) for path in files]


def test_what_a_member_is_and_knows(run: Any, member: Path) -> None:
    before = snapshot(member)
    found = run(resolve=["127.0.0.1"], units=["csync2.socket", "csync2-sync.timer"], connect_seconds=2)
    assert {name: found[name] for name in ("changed", "failed", "installed", "version", "config_error", "files")} == {
        "changed": False,
        "failed": False,
        "installed": True,
        "version": "2.1-0rc1",
        "config_error": "",
        "files": 1,
    }
    assert [group["name"] for group in found["config"]["csync2_groups"]] == ["web", "mail", "others"]
    assert found["peers"] == ["n2", "n3-eth1"]
    assert found["reachability"] == {"n2": "", "n3-eth1": "n3-eth1: refused in 2 s"}
    assert found["key"] == {"fingerprint": fingerprint(KEY), "mode": "0644", "error": ""}
    assert found["certificate"] == ""
    assert found["config_sha256"] == hashlib.sha256((member / "csync2.cfg").read_bytes()).hexdigest()
    assert found["dirty"] == [{"peer": "n2", "file": "/srv/\\xff ", "forced": True, "slave": False}]
    assert list(found["pins"]) == ["n2"]
    assert found["resolved"] == {"127.0.0.1": ["127.0.0.1"]}
    assert found["port_holder"] == "30865 csync2 systemd xinetd"
    assert found["units"] == {"csync2.socket": "active", "csync2-sync.timer": "failed"}
    assert "manifest" not in found
    assert "CANARY" not in json.dumps(found)
    # The same in check mode, and again; nothing is touched
    options = {"resolve": ["127.0.0.1"], "units": ["csync2.socket", "csync2-sync.timer"], "connect_seconds": 2}
    assert [run(check=check, **options) for check in (True, False, True)] == [found] * 3
    assert snapshot(member) == before


def test_manifest_of_each_group_of_the_member(run: Any, member: Path) -> None:
    found = run(manifest=True, manifest_entries=True, reachability=False)
    assert "reachability" not in found
    assert {name: one["count"] for name, one in found["manifest"].items()} == {"web": 2, "mail": 0}
    assert list(found["manifest"]["web"]["entries"]) == [f"{member}/tree", f"{member}/tree/\\xff"]
    again = run(manifest=True)["manifest"]
    assert again == {name: {"count": one["count"], "digest": one["digest"]} for name, one in found["manifest"].items()}
    (member / "tree" / "new").touch()
    assert run(manifest=True)["manifest"]["web"]["digest"] != again["web"]["digest"]


def test_bare_host(run: Any, member: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    for name in ("csync2.cfg", "key", "n1.db3"):
        (member / name).unlink()
    found = run(manifest=True)
    assert {
        name: found[name] for name in ("failed", "installed", "version", "config", "config_sha256", "config_error")
    } == {
        "failed": False,
        "installed": False,
        "version": "",
        "config": {},
        "config_sha256": "",
        "config_error": "",
    }
    assert (found["key"], found["files"], found["dirty"]) == ({"fingerprint": "", "mode": "", "error": ""}, 0, [])
    assert (found["peers"], found["pins"], found["manifest"], found["reachability"]) == ([], {}, {}, {})


def test_the_packaged_configuration_is_none(run: Any, member: Path) -> None:
    (member / "csync2.cfg").write_text((RECORDED / "debian-example.cfg").read_text())
    found = run()
    assert (found["config"], found["config_error"]) == ({}, "")


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"group g { host n1 n2 }", "csync2.cfg: csync2's configuration, line 1: found '}', expected a host's name"),
        (b"group g {\n host n1 n2;\n}", "csync2.cfg: csync2's configuration, line 3: found no 'key', expected one"),
    ],
)
def test_configuration_that_csync2_would_refuse(run: Any, member: Path, content: bytes, error: str) -> None:
    (member / "csync2.cfg").write_bytes(content)
    found = run()
    assert (found["failed"], found["config"], found["peers"]) == (False, {}, [])
    assert error in found["config_error"]
    assert found["config_sha256"] == hashlib.sha256(content).hexdigest()


def test_configuration_that_is_no_text_or_no_file(run: Any, member: Path) -> None:
    path = member / "csync2.cfg"
    path.write_bytes(b'group g { host n1 n2; key /k; include "/srv/\xff\r"; }')
    assert run()["config"]["csync2_groups"][0]["include"] == ["/srv/\\xff\r"]
    path.unlink()
    path.mkdir()
    assert run()["config_error"] == f"{path}: [Errno 21] Is a directory: '{path}'"


def test_key_that_csync2_would_refuse(run: Any, member: Path) -> None:
    (member / "key").write_text("CANARY")
    found = run()
    error = "its first line has 6 characters: csync2 takes 32 at least"
    assert found["key"] == {"fingerprint": "", "mode": "0644", "error": error}


def test_whether_the_certificate_has_to_be_made_anew(run: Any, member: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the module that makes it would find, so that a run need not ask it."""
    monkeypatch.undo()
    monkeypatch.setenv("PATH", f"{member / 'bin'}:/usr/bin:/bin")
    (member / "bin" / "csync2").write_text("#!/bin/sh\necho csync2 2.0\n")
    wanted = {
        "certificate_subject": "CN=csync2",
        "certificate_key_path": str(member / "tls-key"),
        "reachability": False,
    }
    assert "certificate_due" not in run(reachability=False)
    assert run(**wanted)["certificate_due"] == f"no key at {member / 'tls-key'}"
    pair = Certificates(str(member / "tls-key"), str(member / "cert"), Runner())
    pair.make("CN=csync2", 3072, 30)
    assert run(**wanted)["certificate_due"] == ""
    assert run(**wanted, certificate_renew_days=31)["certificate_due"].startswith("valid until ")
    (member / "tls-key").chmod(0o644)
    assert run(**wanted)["certificate_due"] == f"wrong mode of {member / 'tls-key'}"


def test_what_is_no_database(run: Any, member: Path) -> None:
    (member / "n1.db3").write_text("nonsense" * 200)
    assert "n1.db3 cannot be read as csync2's database" in run()["msg"]
