# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups are whole or not there, and what is no backup is not restored."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj import backup_files

LDIF = b"dn: o=Site\no: site\n\ndn:: dWlkPcO8LG89c2l0ZQ==\nuid: x\ndescription: dn: is no entry\n"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    path = tmp_path / "backups"
    backup_files.make_directory(str(path), "root", "root")
    return path


def write(directory: Path, name: str, content: bytes = LDIF) -> Path:
    """Write a backup as the server and the module do."""
    file = backup_files.BackupFile(directory / name)
    file.incoming.write_bytes(content)
    file.finish()
    return file.path


def test_a_backup_has_its_place_its_checksum_and_its_mode(directory: Path) -> None:
    file = backup_files.path_for(str(directory), "o = Site")
    assert file.path.name.startswith("o=site-") and file.path.name.endswith("Z.ldif")
    file.incoming.write_bytes(LDIF)
    told = file.finish()
    assert told == {"file": str(file.path), "entries": 2, "sha256": hashlib.sha256(LDIF).hexdigest()}
    assert backup_files.verify(told["file"], "O=site") == told
    assert [path.name for path in (directory / ".incoming").iterdir()] == []
    assert stat.S_IMODE(directory.stat().st_mode) == 0o750
    assert stat.S_IMODE((directory / ".incoming").stat().st_mode) == 0o700
    assert stat.S_IMODE(Path(f"{file.path}.sha256").stat().st_mode) == 0o600


def test_what_a_killed_run_left_goes(directory: Path) -> None:
    (directory / ".incoming" / "o=site-20260101T000000Z.ldif").write_bytes(b"half")
    backup_files.make_directory(str(directory), "root", "root")
    assert list((directory / ".incoming").iterdir()) == []


def test_an_empty_one_is_none(directory: Path) -> None:
    with pytest.raises(ClusterkitError, match="the server wrote no entry"):
        write(directory, "o=site-20260101T000000Z.ldif", b"# nothing\n")
    assert [path.name for path in directory.rglob("*") if path.is_file()] == []


def test_the_newest_stay(directory: Path) -> None:
    for day in range(1, 5):
        write(directory, f"o=site-2026010{day}T000000Z.ldif")
    write(directory, "o=site,o=org-20260101T000000Z.ldif")
    (directory / "o=site-note.txt").write_text("not a backup", encoding="utf-8")
    removed = backup_files.prune(str(directory), "o=site", 2)
    assert [Path(path).name for path in removed] == [
        *("o=site-20260101T000000Z.ldif.sha256", "o=site-20260101T000000Z.ldif"),
        *("o=site-20260102T000000Z.ldif.sha256", "o=site-20260102T000000Z.ldif"),
    ]
    assert backup_files.prune(str(directory), "o=site", 2) == []
    assert len(backup_files.prune(str(directory), "o=site", 0)) == 2
    assert (directory / "o=site,o=org-20260101T000000Z.ldif").exists() and (directory / "o=site-note.txt").exists()


def test_what_is_no_backup_is_refused(directory: Path) -> None:
    path = write(directory, "o=site-20260101T000000Z.ldif")
    with pytest.raises(ClusterkitError, match="begins with o=Site: it is no backup of o=other"):
        backup_files.verify(str(path), "o=other")
    path.write_bytes(LDIF + b"\n")
    with pytest.raises(ClusterkitError, match="another one: it was changed"):
        backup_files.verify(str(path), "o=site")
    Path(f"{path}.sha256").unlink()
    with pytest.raises(ClusterkitError, match=r"there is no checksum beside .* it is no whole backup"):
        backup_files.verify(str(path), "o=site")
    link = backup_files.BackupFile(directory / "o=site-20260102T000000Z.ldif")
    link.incoming.symlink_to("/etc/passwd")
    with pytest.raises(ClusterkitError, match=r"cannot read .*: Too many levels of symbolic links"):
        link.finish()
