# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Artifacts of several servers become those of a share: by a choice that was made, interrupted anywhere, none lost."""

from __future__ import annotations

import os
import pathlib
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.clusterkit.middleware.plugins.module_utils._common import mounts
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._deployment import merge
from ansible_collections.clusterkit.middleware.plugins.module_utils._deployment.manifest import manifest
from ansible_collections.clusterkit.middleware.plugins.module_utils._mount import settings as shares
from ansible_collections.clusterkit.middleware.plugins.modules import (
    deployment_sync_merge,
    deployment_sync_merge_info,
)

if TYPE_CHECKING:
    from tests.unit.conftest import RunModule

MEMBERS = [{"host": "h1", "name": "n1", "address": ""}, {"host": "h2", "name": "n2", "address": ""}]


def fill(directory: pathlib.Path, files: dict[str, str]) -> None:
    """Write files."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(content)


def texts(directory: pathlib.Path) -> dict[str, str]:
    """Return what files hold."""
    return {str(path.relative_to(directory)): path.read_text() for path in directory.rglob("*") if path.is_file()}


def bring(
    run_module: RunModule, path: pathlib.Path, tmp_path: pathlib.Path, check: bool = False, **more: Any
) -> dict[str, Any]:
    """Bring a server's artifacts to the share."""
    options: dict[str, Any] = {
        "directories": [{"name": "app/artifacts", "path": str(path)}],
        "share": str(tmp_path / "share"),
        "backup_directory": str(tmp_path / "backup"),
        "add": True,
        **more,
    }
    return run_module(deployment_sync_merge.main, check=check, **options)


def test_the_winner_wins_and_nothing_is_lost(run_module: RunModule, tmp_path: pathlib.Path) -> None:
    """The winner's files replace what is on the share, others only add; what loses is kept with all that each had."""
    target = tmp_path / "share" / "app" / "artifacts"
    fill(target, {"same": "1", "sub/old": "of the share"})
    fill(tmp_path / "n1", {"same": "1", "sub/old": "n1", "n1": "n1"})
    (tmp_path / "n1" / "n1").chmod(0o640)
    os.utime(tmp_path / "n1" / "n1", ns=(1, 1_000_000_001))
    (tmp_path / "n1" / "link").symlink_to("sub/old")
    fill(tmp_path / "n2", {"same": "1", "sub/old": "n2", "sub/deep/n2": "n2"})
    predicted = bring(run_module, tmp_path / "n1", tmp_path, check=True, wins=True)
    done = bring(run_module, tmp_path / "n1", tmp_path, wins=True)
    assert predicted["changed"] and predicted["diff"] == done["diff"]
    assert done["diff"]["after"] == {str(target): ["link", "n1", "sub/old"]}
    assert bring(run_module, tmp_path / "n2", tmp_path)["changed"]
    merged = {name: text for name, text in texts(target).items() if name != "link"}
    assert merged == {"same": "1", "sub/old": "n1", "n1": "n1", "sub/deep/n2": "n2"}
    assert (target / "link").is_symlink() and (target / "n1").stat().st_mode & 0o777 == 0o640
    assert (target / "n1").stat().st_mtime_ns == 1_000_000_001
    for name in ("n1", "n2"):
        assert list((tmp_path / name).iterdir()) == []
        assert not bring(run_module, tmp_path / name, tmp_path)["changed"]
    kept = list(texts(tmp_path / "backup").values())
    assert kept.count("of the share") == 1 and "n2" in kept and "n1" in kept


def test_a_server_that_joins_adds_nothing(run_module: RunModule, tmp_path: pathlib.Path) -> None:
    """What was deleted long ago does not come back with a server that still has it; it is kept in its copy."""
    fill(tmp_path / "share" / "app" / "artifacts", {"a": "1"})
    fill(tmp_path / "n3", {"a": "1", "deleted": "x"})
    done = bring(run_module, tmp_path / "n3", tmp_path, add=False)
    assert texts(tmp_path / "share" / "app" / "artifacts") == {"a": "1"}
    (backup,) = done["backups"].values()
    assert texts(pathlib.Path(backup)) == {"a": "1", "deleted": "x"}


def test_what_is_mounted_is_left_alone(
    run_module: RunModule, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory that is the share's already has nothing to be brought."""
    fill(tmp_path / "n1", {"a": "1"})
    there = [mounts.Mounted(str(tmp_path / "n1"), "/", "nfs4", "nas:/a", ())]
    monkeypatch.setattr(deployment_sync_merge, "table", lambda: there)
    assert not bring(run_module, tmp_path / "n1", tmp_path)["changed"]
    assert texts(tmp_path / "n1") == {"a": "1"}


NAMES = st.sampled_from(["a", "b", "d/a", "d/e/b", "x y", "ü"])
FILES = st.dictionaries(NAMES, st.sampled_from(["", "1", "two"]), max_size=5)


@given(own=FILES, there=FILES, wins=st.booleans(), steps=st.integers(0, 12))
@settings(max_examples=60)
def test_interrupted_anywhere_nothing_is_lost(
    own: dict[str, str], there: dict[str, str], wins: bool, steps: int
) -> None:
    """Ended at any of its steps and done again, each content is on the share or in a copy."""
    base = pathlib.Path(os.environ.get("TMPDIR", "/tmp")) / f"clusterkit-merge-{os.getpid()}"  # noqa: S108  # a name of its own
    shutil.rmtree(base, ignore_errors=True)
    path, target, backup = base / "own", base / "share", base / "backup"
    try:
        fill(path, own)
        fill(target, there)
        calls = {"left": steps}

        class Ended(BaseException):
            """Stands for a process that is killed."""

        real = {name: getattr(os, name) for name in ("rename", "unlink", "mkdir")}

        def ending(name: str) -> Any:
            def call(*words: Any, **more: Any) -> Any:
                calls["left"] -= 1
                if calls["left"] == 0:
                    raise Ended
                return real[name](*words, **more)

            return call

        def all_of_it(number: int) -> None:
            merge.merge(str(path), str(target), True, str(backup / f"replaced-{number}") if wins else "")
            merge.put_away(str(path), str(backup / f"own-{number}"))

        with pytest.MonkeyPatch.context() as patch:
            for name in real:
                patch.setattr(os, name, ending(name))
            try:
                all_of_it(1)
            except Ended:
                patch.undo()
                all_of_it(2)
        held = manifest(str(target))
        everywhere = set(held.values()) | set(manifest(str(backup)).values() if backup.exists() else ())
        fill(base / "wanted", own)
        wanted = manifest(str(base / "wanted"))
        fill(base / "before", there)
        before = manifest(str(base / "before"))
        assert set(wanted.values()) | set(before.values()) <= everywhere
        assert not any(path.iterdir())
        for name, content in {**before, **wanted}.items() if wins else {**wanted, **before}.items():
            assert held[name] == content
        assert not [name for name in held if ".clusterkit-merge" in name]
    finally:
        shutil.rmtree(base, ignore_errors=True)


def test_a_copy_that_fails_leaves_all(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be kept is not emptied."""
    fill(tmp_path / "own", {"a": "1"})
    monkeypatch.setattr(merge, "manifest", lambda path: {"a": path})
    with pytest.raises(ClusterkitError, match="changes while it is copied"):
        merge.put_away(str(tmp_path / "own"), str(tmp_path / "backup" / "own"))
    assert texts(tmp_path / "own") == {"a": "1"} and list((tmp_path / "backup").iterdir()) == []


# --- together --------------------------------------------------------------------------------------------------------


def server(own: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    """Return what a server says."""
    directory = {"path": "/srv/a", "mounted": False, "problem": "", "own": own or {}, "different": [], **more}
    return {"share_problem": "", "role": "", "directories": [directory]}


def judged(one: dict[str, Any], other: dict[str, Any], **options: Any) -> list[str]:
    """Return what is said of two servers that are both in the run."""
    return merge.problems({"h1": one, "h2": other}, MEMBERS, "/srv/share", batch=["h1", "h2"], **options)


def test_differences_need_a_choice() -> None:
    """Between servers a winner, against the share that it wins; files that only one has need none."""
    assert judged(server({"a": "1", "b": "2"}), server({"a": "1", "c": "3"})) == []
    (sentence,) = judged(server({"a": "1"}), server({"a": "2"}))
    assert "a in /srv/a differ between the servers" in sentence and "deployment_sync_source" in sentence
    assert judged(server({"a": "1"}), server({"a": "2"}), winner="h1") == []
    (sentence,) = judged(server({"a": "1"}, different=["a"]), server())
    assert "h1 has a in /srv/a with another content than /srv/share has" in sentence
    assert judged(server({"a": "1"}, different=["a"]), server(), share_wins=True) == []
    assert judged(server({"a": "1"}, different=["a"]), server(), winner="h1") == []
    # The winner wins the first time only
    assert len(judged(server({"a": "1"}, different=["a"]), server(mounted=True), winner="h1")) == 1


def test_what_is_in_the_way_is_told() -> None:
    """A share that is not there, a server that is silent or left out, a directory that is none."""
    assert "h2 could not be asked" in merge.problems({"h1": server()}, MEMBERS, "/srv/share")[0]
    (sentence,) = judged({"share_problem": "nothing is mounted at /srv/share", "role": "", "directories": []}, server())
    assert "On h1 nothing is mounted at /srv/share" in sentence
    (sentence,) = judged(server(problem="/srv/a is no directory"), server())
    assert "On h1 /srv/a is no directory." in sentence
    found = {"h1": server(), "h2": server({"a": "1"})}
    (sentence,) = merge.problems(found, MEMBERS, "/srv/share", batch=["h1"])
    assert "h2 has artifacts of its own and is not in this run" in sentence
    assert merge.problems({**found, "h1": server(mounted=True)}, MEMBERS, "/srv/share", batch=["h1"]) == []


def test_what_is_found_is_told(run_module: RunModule, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A share that nobody has mounted, one that is well, and what a directory holds beside it."""
    monkeypatch.setattr(shares, "DIRECTORY", str(tmp_path / "noted"))
    share = tmp_path / "share"
    options = {
        "directories": [{"name": "app/a", "path": str(tmp_path / "own")}],
        "share": str(share),
        "settings_path": str(tmp_path / "none"),
    }
    told = run_module(deployment_sync_merge_info.main, **options)
    assert told["share_problem"] == f"there is no share at {share}" and told["directories"] == []
    noted = {"name": "s", "path": str(share), "source": "x", "fstype": "tmpfs"}
    fill(tmp_path / "noted", {"storage.json": shares.text("storage", [noted])})
    fill(share, {shares.SENTINEL: shares.sentinel("storage", "s"), "app/a/x": "1"})
    fill(tmp_path / "own", {"x": "2", "y": "3"})
    there = [mounts.Mounted("/", "/", "ext4", "", ()), mounts.Mounted(str(share), "/", "tmpfs", "tmpfs", ())]
    monkeypatch.setattr(deployment_sync_merge_info, "table", lambda: there)
    told = run_module(deployment_sync_merge_info.main, **options)
    assert told["share_problem"] == "" and told["role"] == ""
    assert told["directories"][0]["different"] == ["x"] and sorted(told["directories"][0]["own"]) == ["x", "y"]
    options["directories"] = [{"name": "app/b", "path": str(tmp_path / "none" / "b")}]
    told = run_module(deployment_sync_merge_info.main, **options)
    assert "is not there: install the product there first" in told["directories"][0]["problem"]
