# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module appdata_migration: its plan, its phases, what it refuses. Kills and broken storage: tests/faults/."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

import pytest

from ansible_collections.clusterkit.middleware.plugins.modules.appdata_migration import main

if TYPE_CHECKING:
    from tests.unit.conftest import RunModule

KEY = "server.appdata.dir"
OWN = ".clusterkit-appdata"
Run = Callable[..., "dict[str, Any]"]


class Server:
    """An installed program with a data folder, and a place to move it to."""

    def __init__(self, root: Path, name: str = "n1") -> None:
        self.name = name
        self.data = root / name / "appdata"
        self.properties = root / name / "conf" / "installed.properties"
        self.target = root / "share" / "appdata"
        self.state = root / name / "state"
        (self.data / "conf").mkdir(parents=True)
        self.properties.parent.mkdir()
        self.target.parent.mkdir(exist_ok=True)
        self.properties.write_text(f"{KEY}=..\n")
        (self.data / "conf" / "keystore").write_bytes(b"\xce\xce key")
        (self.data / "log").write_text("line\n")

    def options(self, **more: Any) -> dict[str, Any]:
        return {
            "entries": [{"source": str(self.data), "name": ""}],
            "target": str(self.target),
            "property": {"path": str(self.properties), "key": KEY},
            "member": self.name,
            "state_directory": str(self.state),
            "identity": ["conf/keystore"],
            "allow_same_file_system": True,
            **more,
        }


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path)


@pytest.fixture
def run(run_module: RunModule, server: Server) -> Run:
    def call(phase: str, check: bool = False, on: Server = server, **more: Any) -> dict[str, Any]:
        return run_module(main, check=check, phase=phase, **on.options(**more))

    return call


def equal(one: Path, other: Path) -> bool:
    argv = ["diff", "-r", "--no-dereference", f"--exclude={OWN}", str(one), str(other)]
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0


def test_check_run_again(run: Run, server: Server) -> None:
    plan = run("migrate", check=True)
    assert (plan["changed"], plan["files"], plan["bytes"]) == (True, 4, 11)
    assert plan["diff"]["after"]["in use"] == "the new location"
    assert plan["diff"]["after"][str(server.data)].endswith("4 files, 11 bytes")
    assert not server.target.exists() and not server.state.exists()
    done = run("migrate")
    assert (done["changed"], done["phase"], done["copied"]) == (True, "switched", 2)
    for told in (done, plan):  # other programs use the disk as well
        told["diff"]["after"].pop("free at the target")
    assert done["diff"] == plan["diff"]
    assert server.properties.read_text() == f"{KEY}={server.target}\n"
    assert equal(server.data, server.target)
    for check in (False, True):
        assert not run("migrate", check=check)["changed"]
        assert not run("precopy", check=check)["changed"]


def test_precopy_leaves_only_the_difference(run: Run, server: Server) -> None:
    assert run("precopy", check=True)["changed"]
    assert run("precopy")["copied"] == 2
    for check in (False, True):
        assert not run("precopy", check=check)["changed"]
    (server.data / "log").write_text("another\n")
    (server.data / "new").write_text("new")
    (server.data / "conf" / "keystore").rename(server.data / "keystore")
    done = run("migrate", identity=[])
    assert (done["copied"], done["removed"]) == (3, 1)
    assert equal(server.data, server.target)


def test_originals_are_removed_later(run: Run, server: Server) -> None:
    assert not run("remove_source", check=True)["changed"]
    run("migrate")
    (server.target / "log").write_text("the program goes on\n")
    assert run("remove_source", check=True)["diff"]["after"][str(server.data)] == "removed"
    done = run("remove_source")
    assert (done["changed"], done["phase"], done["changed_since"]) == (True, "removed", 1)
    assert not server.data.exists() and not list(server.data.parent.glob("*original*"))
    for check in (False, True):
        assert not run("remove_source", check=check)["changed"]
    assert "restore a backup" in run("rollback")["msg"]


def test_originals_that_were_written_to_stay(run: Run, server: Server) -> None:
    run("migrate")
    (server.data / "log").write_text("somebody still writes here\n")
    assert run("remove_source")["msg"].startswith("log was changed at the old location")
    assert (server.data / "log").exists()


def test_a_damaged_copy_keeps_the_originals(run: Run, server: Server) -> None:
    run("migrate")
    damaged = server.target / "log"
    before = damaged.stat()
    damaged.write_text("lime\n")
    os.utime(damaged, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert "the storage has damaged it" in run("remove_source")["msg"]
    assert (server.data / "log").read_text() == "line\n"


def test_way_back(run: Run, server: Server) -> None:
    for check in (False, True):
        assert not run("rollback", check=check)["changed"]
    run("migrate")
    (server.target / "log").write_text("written at the new location\n")
    assert run("rollback", check=True)["changed"]
    done = run("rollback")
    assert server.properties.read_text() == f"{KEY}=..\n"
    assert (Path(done["kept"]) / "log").read_text() == "written at the new location\n"
    assert (server.data / "log").read_text() == "line\n"
    for check in (False, True):
        assert not run("rollback", check=check)["changed"]
    assert run("migrate")["copied"] == 2
    assert equal(server.data, server.target)


def test_links_take_the_places(run: Run, server: Server) -> None:
    names = [str(server.data / "log"), str(server.data / "conf")]
    entries = [{"source": name, "name": Path(name).name} for name in names]
    entries.append({"source": str(server.data / "absent"), "name": "absent"})
    links = {"entries": entries, "property": None}
    done = run("migrate", **links)
    assert done["absent"] == [str(server.data / "absent")]
    assert (server.data / "log").readlink() == server.target / "log"
    assert not run("migrate", **links)["changed"]
    run("rollback", **links)
    assert (server.data / "conf" / "keystore").read_bytes() == b"\xce\xce key"
    assert not (server.data / "log").is_symlink()
    run("migrate", **links)
    run("remove_source", **links)
    assert (server.data / "conf" / "keystore").read_bytes() == b"\xce\xce key"
    assert sorted(path.name for path in server.data.iterdir()) == ["conf", "log"]


def test_a_second_member_merges_nothing(run: Run, server: Server, tmp_path: Path) -> None:
    run("migrate")
    second = Server(tmp_path, "n2")
    (second.data / "log").write_text("of n2\n")
    assert run("migrate", check=True, on=second)["changed"]
    (second.data / "conf" / "keystore").write_bytes(b"another key")
    for check in (False, True):
        assert "conf/keystore differs" in run("migrate", check=check, on=second)["msg"]
    assert second.properties.read_text() == f"{KEY}=..\n"
    (second.data / "conf" / "keystore").write_bytes(b"\xce\xce key")
    assert not run("precopy", on=second)["changed"]
    joined = run("migrate", on=second)
    assert (joined["changed"], joined["phase"]) == (True, "joined")
    assert equal(server.data, server.target)
    assert not run("migrate", on=second)["changed"]
    assert not run("remove_source", on=second)["changed"]
    assert (second.data / "log").read_text() == "of n2\n"
    run("rollback", on=second)
    assert second.properties.read_text() == f"{KEY}=..\n"
    assert equal(server.data, server.target)


def test_a_member_without_data_takes_those_that_are_there(run: Run, server: Server, tmp_path: Path) -> None:
    second = Server(tmp_path, "n2")
    for check in (False, True):
        assert "no other member has brought" in run("migrate", check=check, on=second, join_only=True)["msg"]
    run("migrate")
    shutil.rmtree(second.data)
    for check in (True, False):
        assert run("migrate", check=check, on=second, join_only=True)["changed"]
    assert second.properties.read_text() == f"{KEY}={server.target}\n"
    assert equal(server.data, server.target)
    assert run("rollback", on=second)["changed"]
    assert second.properties.read_text() == f"{KEY}=..\n"


def test_who_switched_back_by_hand_loses_nothing(run: Run, server: Server) -> None:
    run("migrate")
    (server.target / "log").write_text("written at the new location\n")
    server.properties.write_text(f"{KEY}=..\n")
    for phase in ("precopy", "migrate"):
        for check in (False, True):
            assert "somebody has switched back by hand" in run(phase, check=check)["msg"]
    kept = Path(run("rollback")["kept"])
    assert (kept / "log").read_text() == "written at the new location\n"
    assert run("migrate")["changed"]
    assert equal(server.data, server.target)


def test_where_the_originals_are_gone_it_switches_again(run: Run, server: Server) -> None:
    run("migrate")
    run("remove_source")
    (server.target / "log").write_text("written at the new location\n")
    server.properties.write_text(f"{KEY}=..\n")
    assert not run("precopy")["changed"]
    (server.target / OWN).rename(server.target / "elsewhere")
    for check in (False, True):
        assert "is the shared storage mounted?" in run("migrate", check=check)["msg"]
    (server.target / "elsewhere").rename(server.target / OWN)
    for check in (True, False):
        assert run("migrate", check=check)["changed"]
    assert server.properties.read_text() == f"{KEY}={server.target}\n"
    assert (server.target / "log").read_text() == "written at the new location\n"


def test_a_member_waits_for_the_first_one(run: Run, server: Server, tmp_path: Path) -> None:
    run("precopy")
    assert "n1 is moving its data" in run("precopy", on=Server(tmp_path, "n2"))["msg"]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"allow_same_file_system": False}, "is the shared storage mounted at all?"),
        ({"target": "{data}/below"}, "it cannot be moved into itself"),
        ({"target": "{data}/.."}, "it is there already"),
        ({"target": "/"}, "target is /"),
        ({"target": "{root}/no/such"}, "no does not exist"),
        ({"entries": []}, "entries is empty"),
        ({"entries": [{"source": "{data}/absent", "name": ""}]}, "nothing to be moved"),
        ({"entries": [{"source": "{data}", "name": "../x"}]}, "name is '../x'"),
        ({"entries": [{"source": "{data}", "name": "a"}, {"source": "{data}/conf", "name": "b"}]}, "entries overlap"),
        ({"entries": [{"source": "{data}", "name": ""}, {"source": "{root}/x", "name": "b"}]}, "entries overlap"),
        ({"property": {"path": "{root}/absent", "key": KEY}}, "no file"),
    ],
)
def test_refusals(run: Run, server: Server, tmp_path: Path, change: dict[str, Any], complaint: str) -> None:
    def filled(value: Any) -> Any:
        if isinstance(value, str):
            return value.format(data=server.data, root=tmp_path)
        if isinstance(value, list):
            return [filled(one) for one in value]
        return {key: filled(one) for key, one in value.items()} if isinstance(value, dict) else value

    before = server.properties.read_text()
    said = run("migrate", **filled(change))
    assert said["failed"] and complaint in said["msg"]
    assert server.properties.read_text() == before
    assert (server.data / "log").exists()
