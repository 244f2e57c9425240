# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read of a member is what csync2 wrote and what is on the disk, odd names included."""

from __future__ import annotations

import hashlib
import os
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._csync2 import state
from ansible_collections.clusterkit.middleware.plugins.module_utils._csync2.config import Config, parse
from ansible_collections.clusterkit.middleware.plugins.module_utils._csync2.key import fingerprint
from ansible_collections.clusterkit.middleware.plugins.module_utils._csync2.state import (
    Database,
    Dirty,
    certificate_fingerprint,
    database_path,
    digest_of,
    forget_pins,
    key_state,
    manifest,
    read_database,
)

SCHEMA = (Path(__file__).with_name("recorded") / "schema.sql").read_text()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "n1.db3"


def fill(path: Path, *statements: tuple[str, tuple[Any, ...]]) -> None:
    connection = sqlite3.connect(path)
    connection.executescript(SCHEMA)
    for statement, values in statements:
        connection.execute(statement, values)
    connection.commit()
    connection.close()


def url_encode(name: bytes) -> bytes:
    """Encode as upstream's url_encode() does."""
    bad = bytes(range(1, 33)) + b"\x7f\"'%$:|\\"
    return b"".join(b"%%%02X" % byte if byte in bad else bytes([byte]) for byte in name)


def dirty_row(name: bytes, forced: Any = 0, peer: str = "n2") -> tuple[str, tuple[Any, ...]]:
    # As text, which csync2 writes whether or not it is UTF-8
    return "INSERT INTO dirty VALUES (CAST(? AS TEXT), ?, 'n1', ?)", (url_encode(name), forced, peer)


# --- the database ----------------------------------------------------------------------------------------------------


def test_database_of_a_member(path: Path) -> None:
    assert database_path("N1.Example.org") == "/var/lib/csync2/n1.example.org.db3"
    assert read_database(str(path)) is None
    fill(
        path,
        ("INSERT INTO file VALUES ('/srv/a', 'v1%3Amode=1')", ()),
        ("INSERT INTO file VALUES ('/srv/b', 'v1%3Amode=1')", ()),
        dirty_row(b"/srv/b"),
        dirty_row(b"/srv/a", forced=1),
        dirty_row(b"/srv/a", forced="1", peer="n3"),
        ("INSERT INTO x509_cert VALUES ('n2', ?)", (b"certificate".hex().upper(),)),
    )
    assert read_database(str(path)) == Database(
        files=2,
        dirty=(Dirty("n2", "/srv/a", True), Dirty("n2", "/srv/b", False), Dirty("n3", "/srv/a", True)),
        pins={"n2": hashlib.sha256(b"certificate").hexdigest()},
    )


@given(st.binary(min_size=1, max_size=20).filter(lambda name: b"\0" not in name))
def test_names_in_the_database(tmp_path_factory: pytest.TempPathFactory, name: bytes) -> None:
    path = tmp_path_factory.mktemp("database") / "n1.db3"
    fill(path, dirty_row(b"/" + name))
    found = read_database(str(path))
    assert found
    assert os.fsencode(found.dirty[0].file) == b"/" + name


@pytest.mark.parametrize("tables", [0, 1, 4])
def test_database_that_csync2_is_still_making(path: Path, tables: int) -> None:
    connection = sqlite3.connect(path)
    connection.executescript("\n".join(SCHEMA.splitlines()[:tables]))
    connection.close()
    assert read_database(str(path)) == Database(0, (), {})


def test_what_is_no_database(path: Path, tmp_path: Path) -> None:
    path.write_bytes(b"no database at all, but some text that is longer than a header" * 20)
    with pytest.raises(ClusterkitError, match="cannot be read as csync2's database: file is not a database"):
        read_database(str(path))
    with pytest.raises(ClusterkitError, match="cannot be read as csync2's database"):
        read_database(str(tmp_path))
    with pytest.raises(ClusterkitError, match="the pinned certificates could not be forgotten"):
        forget_pins(str(path), ["n2"])


@pytest.mark.parametrize("data", ["no hexadecimal digits", None, 7])
def test_damaged_certificates(path: Path, data: Any) -> None:
    fill(path, ("INSERT INTO x509_cert VALUES ('n2', ?)", (data,)))
    with pytest.raises(ClusterkitError, match="cannot be read as csync2's database"):
        read_database(str(path))


def test_damaged_database(path: Path) -> None:
    fill(path, *(dirty_row(b"/srv/%d" % number) for number in range(500)))
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 8192)
    with pytest.raises(ClusterkitError, match="cannot be read as csync2's database"):
        read_database(str(path))


def test_locked_database(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "_BUSY_SECONDS", 0.1)
    fill(path, ("INSERT INTO x509_cert VALUES ('n2', '00')", ()))
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("BEGIN EXCLUSIVE")
    with pytest.raises(ClusterkitError, match="cannot be read as csync2's database: database is locked"):
        read_database(str(path))
    with pytest.raises(ClusterkitError, match="could not be forgotten: database is locked"):
        forget_pins(str(path), ["n2"])
    threading.Timer(0.2, writer.rollback).run()
    assert (read_database(str(path)) or Database(0, (), {})).pins
    writer.close()


def test_what_a_killed_csync2_left_is_undone(path: Path) -> None:
    fill(path, *(dirty_row(b"/srv/%0200d" % number) for number in range(300)))
    code = (
        "import os, sqlite3, sys\n"
        "connection = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "connection.execute('PRAGMA cache_size = 1')\n"
        "connection.execute('BEGIN')\n"
        "connection.execute('UPDATE dirty SET forced = 1')\n"
        "os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert Path(f"{path}-journal").stat().st_size
    found = read_database(str(path))
    assert found
    assert [one.forced for one in found.dirty] == [False] * 300


def test_pins_are_forgotten_one_by_one(path: Path) -> None:
    peers = ["n2", "n3.example.org", "fe80%3A%3A1", "n%20x"]
    fill(path, *(("INSERT INTO x509_cert VALUES (?, '00')", (peer,)) for peer in peers))
    forget_pins(str(path), ["N2", "fe80::1", "n x", "unknown"])
    assert list((read_database(str(path)) or Database(0, (), {})).pins) == ["n3.example.org"]


# --- keys and certificates -------------------------------------------------------------------------------------------


def test_key_state(tmp_path: Path) -> None:
    path = tmp_path / "key"
    assert key_state(str(path)) == {"fingerprint": "", "mode": "", "error": ""}
    path.write_text("k" * 64 + "\n")
    path.chmod(0o640)
    assert key_state(str(path)) == {"fingerprint": fingerprint("k" * 64), "mode": "0640", "error": ""}
    path.write_text("CANARY")
    assert key_state(str(path)) == {
        "fingerprint": "",
        "mode": "0640",
        "error": "its first line has 6 characters: csync2 takes 32 at least",
    }
    assert "is no regular file" in key_state(str(tmp_path))["error"]


def test_certificate_fingerprint(tmp_path: Path) -> None:
    path = tmp_path / "certificate"
    assert certificate_fingerprint(str(path)) == ""
    for text in ("", "no certificate", "-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----"):
        path.write_text(text)
        assert certificate_fingerprint(str(path)) == ""
    argv = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x", "-keyout", f"{path}.key"]
    subprocess.run([*argv, "-out", str(path)], check=True, capture_output=True)
    shown = subprocess.run(
        ["openssl", "x509", "-in", str(path), "-noout", "-fingerprint", "-sha256"], check=True, capture_output=True
    )
    assert (
        certificate_fingerprint(str(path)) == shown.stdout.decode().partition("=")[2].strip().replace(":", "").lower()
    )


# --- manifests -------------------------------------------------------------------------------------------------------


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Make a tree with a file in it."""
    root = tmp_path / "tree"
    (root / "sub").mkdir(parents=True)
    (root / "sub" / "file").write_text("content")
    for entry in (root, root / "sub"):
        entry.chmod(0o750)
    (root / "sub" / "file").chmod(0o640)
    return root


def including(*patterns: str) -> Config:
    return parse("group g { host n1 n2; key /key; " + " ".join(f'{text}";' for text in patterns) + " }")


def entries(*patterns: str) -> dict[str, dict[str, Any]]:
    return dict(manifest(including(*patterns), "n1"))


def test_manifest(tree: Path) -> None:
    owner = {"uid": os.getuid(), "gid": tree.stat().st_gid}
    assert list(entries(f'include "{tree}').items()) == [
        (str(tree), {"type": "directory", "mode": "0750", **owner}),
        (f"{tree}/sub", {"type": "directory", "mode": "0750", **owner}),
        (
            f"{tree}/sub/file",
            {"type": "file", "mode": "0640", **owner, "sha256": hashlib.sha256(b"content").hexdigest()},
        ),
    ]


def test_manifest_of_odd_names(tree: Path) -> None:
    for name in (b"\xff", b"new\nline", b"tab\t", b'quote"', b"%25", b"back\\slash", b"[a]*", "ü".encode()):
        (tree / os.fsdecode(name)).write_bytes(name)
    found = entries(f'include "{tree}')
    names = {os.fsencode(path).rpartition(b"/")[2]: row for path, row in found.items()}
    assert len(found) == 3 + 8
    assert names[b"\xff"]["sha256"] == hashlib.sha256(b"\xff").hexdigest()
    assert names[b"new\nline"]["sha256"] == hashlib.sha256(b"new\nline").hexdigest()
    assert len(digest_of(found)) == 64


def test_manifest_of_what_is_no_file(tree: Path) -> None:
    (tree / "link").symlink_to("../elsewhere")
    (tree / "to-a-directory").symlink_to("sub")
    os.mkfifo(tree / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tree / "socket"))
    found = {path[len(str(tree)) :]: row for path, row in entries(f'include "{tree}').items()}
    assert {name: row["type"] for name, row in found.items()} == {
        "": "directory",
        "/fifo": "fifo",
        "/link": "link",
        "/socket": "socket",
        "/sub": "directory",
        "/sub/file": "file",
        "/to-a-directory": "link",
    }
    assert found["/link"]["sha256"] == hashlib.sha256(b"../elsewhere").hexdigest()
    assert "mode" not in found["/link"]


@pytest.mark.parametrize("mode", [stat.S_IFCHR, stat.S_IFBLK])
def test_devices(monkeypatch: pytest.MonkeyPatch, tree: Path, mode: int) -> None:
    """Nobody but root can make one, so it is told of the file."""
    file = os.fsencode(tree / "sub" / "file")
    lstat = os.lstat
    fields = [mode | 0o600, 0, 0, 1, 0, 0, 0, 0, 0, 0]
    device = os.stat_result(fields, {"st_rdev": os.makedev(8, 1)})
    monkeypatch.setattr(os, "lstat", lambda path: device if path == file else lstat(path))
    row = entries(f'include "{tree}')[os.fsdecode(file)]
    kind = "character device" if mode == stat.S_IFCHR else "block device"
    assert row == {"type": kind, "mode": "0600", "uid": 0, "gid": 0, "device": "8:1"}


def test_what_is_ignored_is_left_out(tree: Path) -> None:
    config = including(f'include "{tree}')
    config.ignore = ["uid", "gid", "mod"]
    assert dict(manifest(config, "n1"))[str(tree)] == {"type": "directory"}


def test_wildcards_excludes_and_files_below_what_is_not_included(tree: Path) -> None:
    for name in (".hidden", "file~", "a/conf/x", "b/conf/y", "b/other", "b/conf/.git/config"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).touch()
    found = [path[len(str(tree)) :] for path in entries(f'include "{tree}/*/conf', 'exclude ".*" "*~')]
    assert found == ["/a/conf", "/a/conf/x", "/b/conf", "/b/conf/y"]
    found = [path[len(str(tree)) :] for path in entries(f'include "{tree}', f'exclude "{tree}/b', 'exclude ".*')]
    assert found == ["", "/a", "/a/conf", "/a/conf/x", "/file~", "/sub", "/sub/file"]
    # csync2 steps into what leads to an include pattern
    kept = f"{tree}/b/conf/y"
    assert list(entries(f'include "{tree}', f'exclude "{tree}/*', f'include "{kept}')) == [str(tree), kept]


def test_no_link_is_followed_on_the_way(tree: Path) -> None:
    (tree.parent / "link").symlink_to(tree)
    assert entries(f'include "{tree.parent}/link/sub') == {}
    assert list(entries(f'include "{tree.parent}/link')) == [f"{tree.parent}/link"]


def test_a_prefix_makes_names_equal(tree: Path) -> None:
    text = 'prefix p {{ on *: "{}"; }} group g {{ host n1 n2; key /k; include %p%/sub; exclude %p%/sub/x; }}'
    (tree / "sub" / "x").touch()
    found = dict(manifest(parse(text.format(f"{tree}/")), "n1"))
    assert list(found) == ["%p%/sub", "%p%/sub/file"]
    elsewhere = tree.parent / "elsewhere"
    tree.rename(elsewhere)
    assert dict(manifest(parse(text.format(elsewhere)), "n1")) == found


def test_what_vanishes_is_left_out(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listdir = os.listdir

    def racing(path: bytes) -> list[bytes]:
        names = listdir(path)
        if path == os.fsencode(tree / "sub"):
            (tree / "sub" / "file").unlink()
        return names

    monkeypatch.setattr(os, "listdir", racing)
    assert list(entries(f'include "{tree}')) == [str(tree), f"{tree}/sub"]


@pytest.mark.parametrize("name", ["sub", "sub/file"])
def test_what_cannot_be_read_is_an_error(tree: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Two members would look equal whose files nobody has compared."""
    closed = os.fsencode(tree / name)
    listdir, sha256 = os.listdir, hashlib.sha256

    def refused(path: bytes) -> list[bytes]:
        if path == closed:
            raise PermissionError(13, "Permission denied")
        return listdir(path)

    def failing(*data: bytes) -> Any:
        if name == "sub/file":
            raise OSError(5, "Input/output error")
        return sha256(*data)

    monkeypatch.setattr(os, "listdir", refused)
    monkeypatch.setattr(hashlib, "sha256", failing)
    with pytest.raises(ClusterkitError, match=rf"{tree}/{name} cannot be read: (Permission denied|Input/output error)"):
        entries(f'include "{tree}')


ROWS = st.dictionaries(
    st.sampled_from(["type", "mode", "sha256"]), st.text("ab=\0", max_size=2).map(lambda text: text.replace("\0", ""))
)
MANIFESTS = st.dictionaries(st.text("/a\n=", min_size=1, max_size=4), ROWS.map(lambda row: {"type": "file", **row}))


@given(MANIFESTS, MANIFESTS)
def test_digests_are_equal_exactly_when_manifests_are(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert (digest_of(one) == digest_of(other)) == (one == other)
    assert digest_of(one) == digest_of(dict(reversed(list(one.items()))))


def test_settled_waits_for_what_is_being_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It returns as soon as nothing is left, and after its limit whatever is left then."""
    dirty = Database(1, (Dirty("n2", "/f", False),), {})
    answers = [dirty, dirty, Database(1, (), {})]
    monkeypatch.setattr(state, "read_database", lambda _path: answers.pop(0) if answers else dirty)
    found = state.settled("n1.db3", 10)
    assert found is not None and found.dirty == () and answers == []
    assert state.settled("n1.db3", 0.15) == dirty
    monkeypatch.setattr(state, "read_database", lambda _path: None)
    assert state.settled("n1.db3", 10) is None
