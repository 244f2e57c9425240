# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups with real compression and encryption, of a database that is a directory of this test."""

from __future__ import annotations

import contextlib
import hashlib
import json
import pathlib
import time
from typing import Any, Iterator, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._database import backup
from ansible_collections.clusterkit.middleware.plugins.module_utils._database.backup import Backups, Digest
from ansible_collections.clusterkit.middleware.plugins.module_utils._database.engine import Access
from ansible_collections.clusterkit.middleware.plugins.module_utils._database.mariadb import MariaDB

PASSPHRASE = "Canary #!0^(' \"$%\\`;& ü"


class Directory(MariaDB):
    """A database server whose databases are files: it shows what is done, and when."""

    noise = (b"-- noise ",)

    def __init__(self, root: pathlib.Path) -> None:
        super().__init__(Access("mariadb"), Runner())
        self.root = root
        self.used_by: list[str] = []
        self.done: list[str] = []
        self.loader = 'cat > "$1"'

    @contextlib.contextmanager
    def connection(self, program: str) -> Iterator[tuple[list[str], dict[str, str]]]:
        yield ["sh", "-c", self.loader if program == "mariadb" else 'echo "-- noise $$"; grep -v noise "$1"', "sh"], {}

    def program(self, names: Any) -> str:
        return str(names[0])

    def version(self) -> str:
        return "1"

    def look(self, database: str) -> dict[str, Any] | None:
        path = self.root / database
        if not path.exists():
            return None
        return {"tables": path.read_bytes().count(b"TABLE"), "unsafe": [], "charset": "utf8mb4", "collation": "x"}

    def sessions(self, database: str) -> list[str]:
        return self.used_by

    def create_like(self, name: str, model: Mapping[str, Any]) -> None:
        self.done.append(f"create {name}")
        (self.root / name).write_text("", encoding="utf-8")

    def drop(self, name: str) -> None:
        self.done.append(f"drop {name}")
        (self.root / name).unlink(missing_ok=True)

    def dump(self, database: str, locked: bool) -> list[str]:
        return [str(self.root / database)]

    def load(self, database: str) -> list[str]:
        return [str(self.root / database)]


@pytest.fixture
def server(tmp_path: pathlib.Path) -> Directory:
    (tmp_path / "shop").write_text("TABLE one\nTABLE two\n", encoding="utf-8")
    return Directory(tmp_path)


@pytest.fixture
def backups(server: Directory, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Backups:
    monkeypatch.setattr(backup, "_ITERATIONS", 1000)  # what makes a passphrase hard to guess makes tests slow
    return Backups(server, "shop", str(tmp_path / "backups"), passphrase=PASSPHRASE, wait=0)


def later(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    now = time.time() + seconds
    monkeypatch.setattr(time, "time", lambda: now)


def test_a_backup_is_whole_and_closed(backups: Backups, server: Directory) -> None:
    manifest = backups.write()
    path = pathlib.Path(manifest["file"])
    assert hashlib.sha256(path.read_bytes()).hexdigest() == manifest["sha256"]
    assert b"TABLE" not in path.read_bytes()
    assert (path.stat().st_mode & 0o777, backups.directory.stat().st_mode & 0o777) == (0o600, 0o700)
    assert PASSPHRASE not in pathlib.Path(f"{path}.json").read_text(encoding="utf-8")
    assert backups.check(str(path))["tables"] == 2
    assert sorted(one.name for one in backups.directory.iterdir()) == [".shop.lock", path.name, f"{path.name}.json"]


def test_a_drill_restores_and_compares(backups: Backups, server: Directory) -> None:
    with pytest.raises(ClusterkitError, match="no backup of shop"):
        backups.drill()
    backups.write()
    server.done.clear()
    assert backups.drill()["drilled"]
    assert server.done == ["drop shop_clusterkit_drill", "create shop_clusterkit_drill", "drop shop_clusterkit_drill"]
    status = backups.status()
    assert (status["count"], status["drill"]["ok"]) == (1, True)


def test_a_drill_notices_what_does_not_come_back(backups: Backups, server: Directory) -> None:
    backups.write()
    server.loader = 'grep -v two > "$1"'
    with pytest.raises(ClusterkitError, match="is not what was backed up"):
        backups.drill()
    drill = backups.status()["drill"]
    assert not drill["ok"] and "is not what was backed up" in drill["error"]
    assert server.done[-1] == "drop shop_clusterkit_drill"
    server.loader = "echo broken >&2; exit 3"
    with pytest.raises(ClusterkitError, match="ended with exit code 3: broken"):
        backups.drill()


@pytest.mark.parametrize("at", [10, -1])
def test_a_changed_byte_is_found(backups: Backups, at: int) -> None:
    path = pathlib.Path(backups.write()["file"])
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    with pytest.raises(ClusterkitError, match="it was changed"):
        backups.check(str(path))
    # A manifest that was made to fit does not help who has no passphrase
    manifest = json.loads(pathlib.Path(f"{path}.json").read_text(encoding="utf-8"))
    manifest["sha256"] = hashlib.sha256(data).hexdigest()
    pathlib.Path(f"{path}.json").write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(ClusterkitError, match="another passphrase"):
        backups.check(str(path))


def test_without_its_passphrase_or_manifest_it_is_none(backups: Backups, server: Directory) -> None:
    path = backups.write()["file"]
    with pytest.raises(ClusterkitError, match="no passphrase is given"):
        Backups(server, "shop", str(backups.directory)).check(path)
    with pytest.raises(ClusterkitError, match="is a backup of shop, not of other"):
        Backups(server, "other", str(backups.directory), passphrase=PASSPHRASE).check(path)
    pathlib.Path(f"{path}.json").unlink()
    with pytest.raises(ClusterkitError, match="no whole backup"):
        backups.check(path)
    assert backups.listed() == []


def test_a_restore_keeps_what_was_there(
    backups: Backups, server: Directory, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    first = backups.write()["file"]
    (tmp_path / "shop").write_text("TABLE other\n", encoding="utf-8")
    later(monkeypatch, 2)
    before = backups.restore(first)["before"]
    assert (tmp_path / "shop").read_text(encoding="utf-8").endswith("TABLE one\nTABLE two\n")
    assert not backups.note.exists()
    later(monkeypatch, 2)
    backups.restore(before)
    assert (tmp_path / "shop").read_text(encoding="utf-8").endswith("TABLE other\n")


def test_a_restore_refuses_before_it_changes_anything(
    backups: Backups, server: Directory, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = backups.write()["file"]
    server.used_by = ["app@192.0.2.1:1"]
    with pytest.raises(ClusterkitError, match=r"used by app@192\.0\.2\.1:1: stop its servers first"):
        backups.restore(first)
    with pytest.raises(ClusterkitError, match="used by"):
        backups.write(idle=True)
    server.used_by = []
    server.loader = "exit 1"
    later(monkeypatch, 2)
    with pytest.raises(ClusterkitError, match="exit code 1"):
        backups.restore(first)
    assert (tmp_path / "shop").read_text(encoding="utf-8") == "TABLE one\nTABLE two\n"
    assert "drop shop" not in server.done and not backups.note.exists()


def test_an_interrupted_restore_is_told_and_made_up_for(
    backups: Backups, server: Directory, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = backups.write()["file"]
    backups.note.write_text(first, encoding="utf-8")
    (tmp_path / "shop").unlink()
    assert backups.status()["restoring"] == first
    later(monkeypatch, 2)
    assert backups.restore(first)["before"] == ""
    assert server.look("shop") is not None and not backups.status()["restoring"]


def test_old_ones_go_but_for_the_one_that_holds(backups: Backups, monkeypatch: pytest.MonkeyPatch) -> None:
    names = []
    for number in range(4):
        names.append(backups.write()["file"])
        if number == 0:
            backups.drill()
        later(monkeypatch, 2)
    assert backups.prune(2) == [f"{names[1]}.json", names[1]]
    assert [one["file"] for one in backups.listed()] == [names[0], names[2], names[3]]
    assert [one["file"] for one in backups.listed() if one["drilled"]] == [names[0]]


def test_one_at_a_time(backups: Backups) -> None:
    with backups._locked("test"), pytest.raises(ClusterkitError, match="is locked by process"):
        backups.write()


def test_a_dump_that_fails_is_no_backup(backups: Backups, server: Directory) -> None:
    (server.root / "shop").unlink()
    with pytest.raises(ClusterkitError, match="no database shop"):
        backups.write()
    (server.root / "shop").mkdir()
    server.look = lambda _database: {"tables": 0, "unsafe": []}  # type: ignore[assignment,method-assign]
    with pytest.raises(ClusterkitError, match="mysqldump ended with exit code 2"):
        backups.write()
    assert backups.listed() == []


@given(st.lists(st.sampled_from([b"data\n", b"-- noise 1\n", b"x" * 70, b"\r", b"-- no", b"ise\n", b"\n"])), st.data())
def test_a_digest_does_not_depend_on_parts(pieces: list[bytes], data: st.DataObject) -> None:
    """However a dump arrives, what is noise is not counted, and all else is."""
    text = b"".join(pieces)
    lines = text.split(b"\n")
    kept = [line for line in lines if not line.startswith(b"-- noise ")]
    whole = Digest([b"-- noise "])
    whole(text)
    parts = Digest([b"-- noise "])
    rest = text
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        parts(rest[:size])
        rest = rest[size:]
    plain = b"\n".join(kept)
    if lines[-1:] and lines[-1].startswith(b"-- noise "):
        plain += b"\n" if kept else b""
    assert whole.result() == parts.result() == hashlib.sha256(plain).hexdigest()


def test_a_digest_notes_what_names_the_database() -> None:
    for text, seen in ((b"a\nALTER DATABASE `x`\n", True), (b"a ALTER DATABASE `x`\n", False)):
        digest = Digest((), b"ALTER DATABASE ")
        digest(text[:5])
        digest(text[5:])
        digest.result()
        assert digest.seen is seen


@given(st.integers(1, 200))
def test_a_digest_takes_both_ways_to_write_a_view(size: int) -> None:
    long = b"select `a`.`t`.`c` AS `c`," * 5 + b" from `a`.`t` */;\n"
    short = b"select `t`.`c` AS `c`," * 5 + b" from `t` */;\n"
    results = set()
    for view in (long, short):
        digest = Digest((), b"", b"/*!50001 VIEW ", [b"`a`."])
        text = b"INSERT INTO `t` VALUES ('`a`.x');\n/*!50001 VIEW `v` AS " + view + b"/*!50001 SET x */;\n"
        for start in range(0, len(text), size):
            digest(text[start : start + size])
        results.add(digest.result())
    assert len(results) == 1
    other = Digest((), b"", b"/*!50001 VIEW ", [b"`a`."])
    other(text.replace(b"'`a`.x'", b"'x'"))
    assert other.result() not in results
