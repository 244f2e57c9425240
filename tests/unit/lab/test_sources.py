# SPDX-License-Identifier: GPL-3.0-or-later
"""An original archive comes from the machine's package sources, with the checksum that is pinned, and once."""

from __future__ import annotations

import hashlib
import pathlib
from collections.abc import Callable, Sequence

import pytest

from lab import image, sources, steps

ROW = "'http://mirror.example/pool/c/{0}' {0} 4 SHA256:x\n"
NAMES = ("csync2_2.0-2.dsc", "csync2_2.0.orig.tar.gz", "csync2_2.0-2.debian.tar.xz")


@pytest.fixture
def fetch(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[list[str]]]:
    """Return what fetches an archive whose content is `tar`, and returns the downloads that it asked for."""
    monkeypatch.setattr(steps, "LAB", tmp_path)
    monkeypatch.setattr(sources, "DIRECTORY", tmp_path / "sources")
    monkeypatch.setattr(sources, "ARCHIVES", {"csync2": sources.Archive("csync2", hashlib.sha256(b"tar").hexdigest())})
    monkeypatch.setattr(sources, "run_logged", lambda *_arguments, **_options: None)
    monkeypatch.setattr(image, "package_sources", lambda: "deb http://mirror.example bookworm main\n")
    asked: list[list[str]] = []

    def run(argv: Sequence[str], **_options: object) -> str:
        if "download-file" not in argv:
            return "".join(ROW.format(name) for name in NAMES)
        asked.append(list(argv[2:]))
        pathlib.Path(argv[3]).write_bytes(b"tar")
        return ""

    monkeypatch.setattr(sources, "run", run)

    def call() -> list[list[str]]:
        assert sources.fetch("csync2").read_bytes() == b"tar"
        return asked

    return call


def test_original_archive_is_downloaded_once(fetch: Callable[[], list[list[str]]], tmp_path: pathlib.Path) -> None:
    """The original part is asked for with its checksum; one that is there is used, unless it is another."""
    kept = tmp_path / "sources" / "csync2.orig.tar.gz"
    checksum = f"SHA256:{hashlib.sha256(b'tar').hexdigest()}"
    wanted = ["http://mirror.example/pool/c/csync2_2.0.orig.tar.gz", str(kept), checksum]
    assert fetch() == [wanted]
    assert (tmp_path / "sources" / "sources.list").read_text() == "deb-src http://mirror.example bookworm main\n"
    assert fetch() == [wanted]
    kept.write_bytes(b"half")
    assert fetch() == [wanted, wanted]


def test_mirror_without_the_source(fetch: Callable[[], list[list[str]]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the package sources have none, it says so."""
    monkeypatch.setattr(sources, "run", lambda *_arguments, **_options: "")
    with pytest.raises(steps.LabError, match="have no original archive of csync2"):
        fetch()
