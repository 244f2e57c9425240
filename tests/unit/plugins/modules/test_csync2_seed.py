# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module csync2_seed: its steps, what they hand to each other, and what check mode leaves alone."""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._csync2 import seed, seed_access
from ansible_collections.clusterkit.middleware.plugins.modules import csync2_seed
from ansible_collections.clusterkit.middleware.plugins.modules.csync2_seed import main

if TYPE_CHECKING:
    from tests.unit.conftest import RunModule

HOST_KEY = "ssh-ed25519 AAAAHOST"


@pytest.fixture
def run(run_module: RunModule, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the module on a host whose root, sshd and files are below a directory."""
    (tmp_path / "csync2.cfg").write_text(
        f"group web {{ host n1 n2; key /k; include {tmp_path}/web; exclude *~; }}", encoding="utf-8"
    )
    settings = {"port": "2222", "pubkeyauthentication": "yes", "permitrootlogin": "yes", "authorizedkeysfile": "keys"}
    monkeypatch.setattr(csync2_seed, "LOCK", str(tmp_path / "lock"))
    monkeypatch.setattr(
        seed_access.Door, "found", lambda _runner, _address="": seed_access.Door(settings, str(tmp_path))
    )
    for name in ("has_key", "remove_key", "make_key", "shell"):
        # The directory is the last argument of each, and never given
        monkeypatch.setattr(getattr(seed_access, name), "__defaults__", (str(tmp_path / "seed"),))
    monkeypatch.setattr(seed_access, "host_keys", lambda: [HOST_KEY])
    monkeypatch.setattr(seed.tempfile, "tempdir", str(tmp_path))

    def call(state: str, check: bool = False, name: str = "n2", **options: Any) -> dict[str, Any]:
        config = str(tmp_path / "csync2.cfg")
        return run_module(main, check=check, name=name, state=state, **{"config_path": config, **options})

    return call


def test_steps_of_a_seeding(run: Any, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step has what the ones before returned; afterwards nothing is left."""
    given: list[Any] = []

    def seeding(config: Any, newcomer: str, source: str, shell: list[str], _progress: Any) -> int:
        given.append((config.groups[0].name, newcomer, source, shell[:7]))
        return 3

    monkeypatch.setattr(seed, "seed", seeding)
    assert run("clean")["changed"] is False
    key = run("keyed")["public_key"]
    source = run("open", name="n1", peer="n2", address="192.0.2.12", public_key=key)
    assert (source["port"], source["host_keys"]) == (2222, [HOST_KEY])
    assert key in (tmp_path / "keys").read_text(encoding="utf-8")
    found = run("seeded", peer="n1", address="192.0.2.11", port=source["port"], host_keys=source["host_keys"])
    assert (found["failed"], found["changed"], found["files"]) == (False, True, 3)
    assert given == [("web", "n2", "n1", ["ssh", "-F", "none", "-l", "root", "-p", "2222"])]
    assert (run("clean", check=True)["changed"], run("clean")["changed"], run("clean")["changed"]) == (
        True,
        True,
        False,
    )
    assert not (tmp_path / "keys").exists() and not (tmp_path / "seed").exists()


def test_leftovers_go_and_the_files_are_counted(run: Any, tmp_path: pathlib.Path) -> None:
    """A staging directory counts as no file; in check mode it stays."""
    (tmp_path / "web" / seed.STAGING / "files").mkdir(parents=True)
    for name in ("a", "b", "c~"):
        (tmp_path / "web" / name).touch()
    assert run("clean", check=True)["changed"] is True
    assert (tmp_path / "web" / seed.STAGING).exists()
    done = run("clean", count=True)
    assert (done["changed"], done["groups"], done["missing"]) == (True, {"web": {"files": 3, "gives": True}}, [])
    assert not (tmp_path / "web" / seed.STAGING).exists()


def test_check_mode_makes_no_key_and_lets_nobody_in(run: Any, tmp_path: pathlib.Path) -> None:
    """It only tells that there would be a change."""
    assert run("keyed", check=True)["changed"] is True
    assert run("open", check=True, peer="n3", address="192.0.2.13", public_key="k")["port"] == 2222
    assert run("seeded", check=True, peer="n1", address="192.0.2.11", host_keys=[])["changed"] is True
    assert sorted(path.name for path in tmp_path.iterdir()) == ["csync2.cfg"]


def test_where_sshd_does_not_work(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody can have been let in; and nobody is."""

    def fails(*_arguments: Any) -> None:
        raise ClusterkitError("sshd is not installed")

    monkeypatch.setattr(seed_access.Door, "found", fails)
    assert run("clean")["failed"] is False
    assert run("open", peer="n3", address="192.0.2.13", public_key="k")["msg"] == "sshd is not installed"


def test_no_configuration_yet(run: Any, tmp_path: pathlib.Path) -> None:
    """There is nothing to count."""
    assert run("clean", count=True, config_path=str(tmp_path / "none.cfg"))["groups"] == {}
