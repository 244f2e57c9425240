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


def test_archive_of_a_role_is_what_its_defaults_say(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Place, version and checksum are pinned once: in the role. It is kept in the layout of a repository."""
    monkeypatch.setattr(steps, "LAB", tmp_path)
    monkeypatch.setattr(sources, "ROOT", tmp_path)
    monkeypatch.setattr(sources, "MAVEN", tmp_path / "sources" / "maven")
    defaults = tmp_path / "roles" / "opendj_server" / "defaults" / "main.yml"
    defaults.parent.mkdir(parents=True)
    digest = hashlib.sha256(b"zip").hexdigest()
    defaults.write_text(
        "opendj_server_version: 1.2\nopendj_server_artifact: org.example:server\n"
        f"opendj_server_checksum: sha256:{digest}\n"
    )
    collection = "build/venv/lib/python3.11/site-packages/ansible_collections/community/general"
    module = tmp_path / collection / "plugins" / "modules" / "maven_artifact.py"
    module.parent.mkdir(parents=True)
    module.write_text("repository_url=dict(type='str', default='https://repository.example/maven2'),\n")
    asked: list[list[str]] = []

    def run(argv: Sequence[str], **_options: object) -> str:
        asked.append(list(argv[2:]))
        pathlib.Path(argv[3]).write_bytes(b"zip")
        return ""

    monkeypatch.setattr(sources, "run", run)
    kept = tmp_path / "sources" / "maven" / "org/example/server/1.2/server-1.2.zip"
    assert sources.fetch("opendj") == kept
    address = "https://repository.example/maven2/org/example/server/1.2/server-1.2.zip"
    assert asked == [[address, str(kept), f"SHA256:{digest}"]]
    assert sources.fetch("opendj").read_bytes() == b"zip" and len(asked) == 1
    defaults.write_text("opendj_server_version: 1.2\n")
    with pytest.raises(steps.LabError, match="opendj_server have no opendj_server_artifact"):
        sources.fetch("opendj")


def test_set_of_files_is_downloaded_in_one_go(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing or another is asked for; what another purpose needs is not."""
    monkeypatch.setattr(steps, "LAB", tmp_path)
    monkeypatch.setattr(sources, "ROOT", tmp_path)
    monkeypatch.setattr(sources, "MAVEN", tmp_path / "maven")
    monkeypatch.setattr(sources, "_repository", lambda: "https://repository.example")
    monkeypatch.setattr(sources, "FILES", {"set-1": sources.MavenFiles("list", "1")})
    digest = hashlib.sha256(b"jar").hexdigest()
    (tmp_path / "list").write_text(f"# comment\n{digest} o/a.jar *\n{digest} o/b.jar 1,2\n{digest} o/c.jar 2\n")
    (tmp_path / "maven/o").mkdir(parents=True)
    (tmp_path / "maven/o/a.jar").write_bytes(b"jar")
    asked: list[list[str]] = []
    monkeypatch.setattr(sources, "run", lambda argv, **_options: asked.append(argv[2:]))
    kept = [tmp_path / "maven/o/a.jar", tmp_path / "maven/o/b.jar"]
    assert sources.fetch_files("set-1") == kept
    assert asked == [["https://repository.example/o/b.jar", str(kept[1]), f"SHA256:{digest}"]]
