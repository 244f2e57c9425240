# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules of the role deployment_sync: what each finds, makes, and leaves alone in check mode."""

from __future__ import annotations

import pathlib
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._common import ssh_access
from ansible_collections.clusterkit.middleware.plugins.module_utils._deployment.settings import (
    RECEIVER,
    SOURCE,
    Directory,
    Settings,
)
from ansible_collections.clusterkit.middleware.plugins.modules import (
    deployment_sync,
    deployment_sync_info,
    deployment_sync_member,
)

if TYPE_CHECKING:
    from tests.unit.conftest import RunModule

#: As `sshd -T` of OpenSSH 9.2 tells it.
SSHD = {"port": "2222", "pubkeyauthentication": "yes", "permitrootlogin": "yes"}


@pytest.fixture
def place(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """Return a directory in which sshd has its keys."""
    found = {**SSHD, "authorizedkeysfile": str(tmp_path / "ssh" / "authorized_keys")}
    monkeypatch.setattr(ssh_access, "settings", lambda *_arguments: found)
    (tmp_path / "artifacts").mkdir()
    return tmp_path


def admit(run_module: RunModule, key: str, check: bool = False, name: str = "n1") -> dict[str, Any]:
    options = {"state": "admitted", "name": name, "address": "10.0.0.1", "public_key": key}
    return run_module(deployment_sync_member.main, check=check, **options)


def test_one_source_is_let_in_and_no_other(place: pathlib.Path, run_module: RunModule) -> None:
    """The line is written once; that of another source goes, those of the administrators stay."""
    path = place / "ssh" / "authorized_keys"
    path.parent.mkdir()
    path.write_text("ssh-rsa AAAA mine\n", encoding="utf-8")
    assert admit(run_module, "ssh-ed25519 A", check=True)["changed"]
    assert path.read_text(encoding="utf-8") == "ssh-rsa AAAA mine\n"
    assert admit(run_module, "")["failed"]
    assert admit(run_module, "ssh-ed25519 A")["changed"] and not admit(run_module, "ssh-ed25519 A")["changed"]
    assert admit(run_module, "ssh-ed25519 B", name="n3")["changed"]
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "ssh-rsa AAAA mine" and len(lines) == 2
    assert lines[1].startswith('restrict,from="10.0.0.1",command="/usr/local/sbin/clusterkit-deployment-sync')
    assert lines[1].endswith('receive" ssh-ed25519 B clusterkit-deployment-sync n3')
    assert run_module(deployment_sync_member.main, check=True, state="closed")["changed"]
    assert run_module(deployment_sync_member.main, state="closed")["changed"]
    assert not run_module(deployment_sync_member.main, state="closed")["changed"]
    assert path.read_text(encoding="utf-8") == "ssh-rsa AAAA mine\n"


def test_key_is_made_once(place: pathlib.Path, run_module: RunModule) -> None:
    """What a run left that was killed is no key, and does not keep one from being made."""
    if not shutil.which("ssh-keygen"):
        pytest.skip("ssh-keygen is not installed")
    path = place / "etc" / "key"
    options = {"state": "keyed", "key_path": str(path)}
    assert run_module(deployment_sync_member.main, check=True, **options)["changed"] and not path.exists()
    path.parent.mkdir()
    (path.parent / ".key.new").write_text("half", encoding="utf-8")
    made = run_module(deployment_sync_member.main, **options)
    assert made["changed"] and made["public_key"].startswith("ssh-ed25519 ")
    again = run_module(deployment_sync_member.main, **options)
    assert (again["changed"], again["public_key"]) == (False, made["public_key"])
    assert [one.name for one in path.parent.iterdir()] == ["key"]


def test_copy_is_kept_once_and_only_of_what_there_is(place: pathlib.Path, run_module: RunModule) -> None:
    """Before a server receives for the first time; not of nothing, and not again."""
    options = {"state": "saved", "directories": [str(place / "artifacts"), str(place / "missing")]}
    options |= {"backup_directory": str(place / "kept"), "settings_path": str(place / "settings.json")}
    assert not run_module(deployment_sync_member.main, **options)["changed"]
    (place / "artifacts" / "own.car").write_text("own", encoding="utf-8")
    assert run_module(deployment_sync_member.main, check=True, **options)["changed"] and not (place / "kept").exists()
    (kept,) = run_module(deployment_sync_member.main, **options)["backups"].values()
    assert (pathlib.Path(kept) / "own.car").read_text(encoding="utf-8") == "own"
    own = Settings(RECEIVER, "n2", "n1", (Directory("artifacts", str(place / "artifacts")),))
    (place / "settings.json").write_text(own.text(), encoding="utf-8")
    assert not run_module(deployment_sync_member.main, **options)["changed"]
    # One that was the source and comes back may have what it did not send
    (place / "settings.json").write_text(replace(own, role=SOURCE).text(), encoding="utf-8")
    assert run_module(deployment_sync_member.main, check=True, **options)["changed"]


def look(run_module: RunModule, place: pathlib.Path, **options: Any) -> dict[str, Any]:
    paths = {name: str(place / name) for name in ("settings_path", "key_path", "known_hosts_path")}
    given = [{"name": "artifacts", "path": str(place / "artifacts")}]
    return run_module(deployment_sync_info.main, directories=given, **{**paths, **options})


def test_info_tells_what_is_here(place: pathlib.Path, run_module: RunModule) -> None:
    """A bare server, one that knows of the others, and one with a damaged key."""
    bare = look(run_module, place)
    assert (bare["role"], bare["directories"][0]["filled"], bare["closed"], bare["port"]) == ("", False, "", 2222)
    (place / "artifacts" / "a.car").write_text("a", encoding="utf-8")
    (place / "known_hosts_path").write_text("n2 ssh-ed25519 A\n# mine\n", encoding="utf-8")
    own = Settings(RECEIVER, "n2", "n1", (Directory("artifacts", str(place / "artifacts")),))
    (place / "settings_path").write_text(own.text(), encoding="utf-8")
    (place / "artifacts" / ".clusterkit-probe").write_text("now", encoding="utf-8")
    found = look(run_module, place, manifest=True, entries=True, probe="now")
    assert (found["role"], found["pins"]["n2"], found["probe"], found["probe_left"]) == (
        *("receiver", ["ssh-ed25519 A"]),
        *(True, True),
    )
    assert list(found["directories"][0]["entries"]) == ["a.car"] and found["directories"][0]["count"] == 1
    assert not look(run_module, place, probe="earlier")["probe"]
    assert "is not there" in look(run_module, place, needs_key=True)["key_problem"]


def test_synchronising_tells_of_the_servers_that_failed(place: pathlib.Path, run_module: RunModule) -> None:
    """A source without files is refused; without settings the module says what to do."""
    path = str(place / "settings.json")
    assert "let the role write it" in run_module(deployment_sync.main, settings_path=path)["msg"]
    directory = Directory("artifacts", str(place / "artifacts"), "/nowhere")
    own = Settings(SOURCE, "n1", "n1", (directory,), lock=str(place / "lock"))
    (place / "settings.json").write_text(own.text(), encoding="utf-8")
    assert "is it not mounted" in run_module(deployment_sync.main, settings_path=path)["msg"]
