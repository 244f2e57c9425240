# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module directory_backup writes, checks and restores, with the real tar; a restore that is killed goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._appdata import backup
from ansible_collections.clusterkit.middleware.plugins.modules import directory_backup

if TYPE_CHECKING:
    from tests.unit.conftest import RunModule

OTHER = {"file": "/b/deploy.sql.gz", "sha256": "f00"}
BEFORE = {"conf/key": "secret", "var/a": "one", "var/link": "-> a", "gone": "later"}


def fill(directory: Path, content: dict[str, str]) -> None:
    """Write files by their paths; those that begin with an arrow are links."""
    for name, text in content.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if text.startswith("-> "):
            path.symlink_to(text[3:])
        else:
            path.write_text(text, encoding="utf-8")


def content(directory: Path) -> dict[str, str]:
    """Return the files of a directory, without what the collection keeps there."""
    return {
        str(path.relative_to(directory)): f"-> {path.readlink()}" if path.is_symlink() else path.read_text("utf-8")
        for path in sorted(directory.rglob("*"))
        if (path.is_symlink() or path.is_file()) and backup.OWN not in path.parts
    }


class Pair:
    """A directory with data, and its backups."""

    def __init__(self, run_module: RunModule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.run_module = run_module
        self.source, self.directory = tmp_path / "appdata", tmp_path / "backups"
        self.stamps = (f"20261129T1200{number:02}Z" for number in range(60))
        monkeypatch.setattr(backup.time, "strftime", lambda *_more: next(self.stamps))
        fill(self.source, BEFORE)
        fill(self.source / backup.OWN, {"serving": "s1\n"})
        (self.source / "var").chmod(0o750)

    def __call__(self, state: str = "present", check: bool = False, **options: Any) -> dict[str, Any]:
        given = {"source": str(self.source), "directory": str(self.directory), "name": "deploy", "state": state}
        return self.run_module(directory_backup.main, check=check, **given, **options)


@pytest.fixture
def pair(run_module: RunModule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pair:
    return Pair(run_module, tmp_path, monkeypatch)


def written(pair: Pair) -> str:
    """Write a backup, change the data, and return the backup's path."""
    file = str(pair(belongs_to=OTHER)["backup"]["file"])
    (pair.source / "gone").unlink()
    fill(pair.source, {"var/a": "two", "new/b": "three"})
    return file


def test_there_and_back(pair: Pair) -> None:
    """All is as it was: content, links, modes; what was there is kept, and so is the collection's own."""
    assert pair(check=True, belongs_to=OTHER)["backup"] == {}
    file = written(pair)
    assert Path(file).stat().st_mode & 0o777 == 0o600
    assert pair("checked", file=file)["backup"]["belongs_to"] == OTHER
    assert not pair("checked", file=file)["changed"]
    changed = content(pair.source)
    assert pair("staged", file=file)["changed"]
    assert content(pair.source) == changed
    pair("begun", file=file)
    assert "has begun and not ended" in pair(belongs_to=OTHER)["msg"]
    done = pair("restored", file=file)
    assert content(pair.source) == BEFORE
    assert (pair.source / "var").stat().st_mode & 0o777 == 0o750
    assert (pair.source / backup.OWN / "serving").read_text(encoding="utf-8") == "s1\n"
    kept = Path(done["before"])
    assert (kept / "var/a").read_text(encoding="utf-8") == "two" and (kept / "new/b").exists()
    assert {path.name for path in (pair.source / backup.OWN).iterdir()} == {kept.name, "serving"}


def test_a_restore_that_is_killed_goes_on(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """At each of its renames; called again it ends as if nothing had been."""
    file = written(pair)
    rename, left = Path.rename, 0

    class Killed(BaseException):
        """The process is gone."""

    def killed_rename(self: Path, target: Path) -> Path:
        nonlocal left
        if left == 0:
            raise Killed
        left -= 1
        return rename(self, target)

    pair("staged", file=file)
    pair("begun", file=file)
    backups = backup.DirectoryBackups(str(pair.source), str(pair.directory), "deploy")
    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", killed_rename)
        for renames in (0, 1, 1, 1, 1):
            left = renames
            with pytest.raises(Killed):
                backups.restore(file)
    assert "has begun and not ended" in pair(belongs_to=OTHER)["msg"]
    kept = Path(backups.restore(file))
    assert content(pair.source) == BEFORE
    assert (kept / "new/b").read_text(encoding="utf-8") == "three"


def test_begun_anew_after_a_kill(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """A restore that was killed while it moved is ended first, and then made anew."""
    file = written(pair)
    pair("staged", file=file)
    pair("begun", file=file)
    with monkeypatch.context() as patched:
        patched.setattr(backup.DirectoryBackups, "_finish_switch", lambda _self: None)
        pair("restored", file=file)
    pair("staged", file=file)
    pair("begun", file=file)
    pair("restored", file=file)
    assert content(pair.source) == BEFORE


@pytest.mark.parametrize(
    ("state", "options", "said"),
    [
        ("present", {}, "belongs_to has no sha256"),
        ("checked", {}, "state=checked needs file"),
        ("restored", {"file": "/none.tar.gz"}, "has not been unpacked in"),
        ("staged", {"file": "/none.tar.gz"}, "there is no manifest beside /none.tar.gz"),
        ("present", {"belongs_to": OTHER, "source": "/none"}, "/none is no directory: is its storage mounted?"),
    ],
)
def test_what_is_refused(run_module: RunModule, pair: Pair, state: str, options: dict[str, Any], said: str) -> None:
    given = {"source": str(pair.source), "directory": str(pair.directory), "name": "deploy", "state": state}
    assert said in run_module(directory_backup.main, **{**given, **options})["msg"]


def test_a_damaged_backup_is_refused(pair: Pair) -> None:
    file = Path(written(pair))
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    changed = content(pair.source)
    for state in ("checked", "staged"):
        assert "it was changed" in pair(state, file=str(file))["msg"]
    Path(f"{file}.json").write_text("{}", encoding="utf-8")
    assert "is no manifest of a backup" in pair("checked", file=str(file))["msg"]
    assert content(pair.source) == changed


def test_older_ones_go(pair: Pair) -> None:
    """And what a killed run left; the manifest of each goes first."""
    first = pair(belongs_to=OTHER)["backup"]["file"]
    pair.directory.joinpath("deploy-20200101T000000Z.tar.gz").write_bytes(b"cut off")
    done = pair(belongs_to=OTHER, keep=1)
    assert done["removed"] == [str(pair.directory / "deploy-20200101T000000Z.tar.gz"), f"{first}.json", first]
    manifest = json.loads(Path(f"{done['backup']['file']}.json").read_text(encoding="utf-8"))
    assert manifest == done["backup"]
