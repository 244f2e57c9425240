# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A build of csync2 is installed whole or not at all. configure and make are played; tar is the real one."""

from __future__ import annotations

import hashlib
import json
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._common import files
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Outcome, Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.progress import Progress
from ansible_collections.clusterkit.middleware.plugins.module_utils._csync2 import build as module
from ansible_collections.clusterkit.middleware.plugins.module_utils._csync2.build import Build, Source


class Compiler(Runner):
    """Plays configure, make and the binary that they build; `fails` is the program that fails."""

    def __init__(self, version: str = "2.1-0rc1", fails: str = "", more: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.version = version
        self.fails = fails
        self.more = more
        self.ran: list[str] = []
        self._options: dict[str, str] = {}

    def execute(self, argv: list[str], stdin: bytes, env: dict[str, str], cwd: str | None, limit: float) -> Outcome:
        """Play one command."""
        if argv[0] == "tar":
            return super().execute(argv, stdin, env, cwd, limit)
        if argv[1:] == ["--version"]:
            return Outcome(1, stderr=f"\ncsync2 {Path(argv[0]).read_text().split()[0]} - tool\n".encode())
        self.ran.append(" ".join(argv))
        if argv[0] == self.fails:
            return Outcome(2, stderr=b"librsync is required\n")
        assert cwd and (Path(cwd) / "csync2.c").exists()
        if argv[0] == "./configure":
            self._options = dict(word.split("=", 1) for word in argv[1:])
        if argv[:2] == ["make", "install"]:
            self._stage(argv[2].partition("=")[2])
        return Outcome(0)

    def _stage(self, staging: str) -> None:
        prefix, etc = staging + self._options["--prefix"], staging + self._options["--sysconfdir"]
        # The binary comes first in every order of names
        binary = f"{self.version} \0{self._options['--sysconfdir']}/csync2.cfg\0"
        for path, content in [
            (f"{prefix}/sbin/csync2", binary),
            (f"{prefix}/share/man/csync2.1", "manual"),
            (f"{etc}/csync2.cfg", "example"),
            *((f"{prefix}/share/{name}", name) for name in self.more),
        ]:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).write_text(content)
        Path(f"{prefix}/sbin/csync2").chmod(0o755)


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """Make an archive, and say where it is to be installed."""
    (tmp_path / "csync2-2.0").mkdir()
    (tmp_path / "csync2-2.0" / "csync2.c").touch()
    with tarfile.open(tmp_path / "archive", "w:gz") as archive:
        archive.add(tmp_path / "csync2-2.0", "csync2-2.0")
    (tmp_path / "usr").mkdir()
    digest = hashlib.sha256((tmp_path / "archive").read_bytes()).hexdigest()
    return Source(str(tmp_path / "archive"), digest, "2.1-0rc1", f"{tmp_path}/usr", f"{tmp_path}/etc")


def build(tmp_path: Path, compiler: Compiler) -> Build:
    """Return what builds below a directory of the test's own."""
    paths = (tmp_path / name for name in ("work", "state/manifest", "lock"))
    return Build(compiler, *(str(path) for path in paths))


def installed(tmp_path: Path) -> dict[str, str]:
    """Return what is below the prefix and the directory of the configuration."""
    found = [path for name in ("usr", "etc") for path in (tmp_path / name).rglob("*") if path.is_file()]
    return {str(path.relative_to(tmp_path)): path.read_text() for path in found}


def test_installs_all_but_the_example_and_clears_up(tmp_path: Path, source: Source) -> None:
    compiler = Compiler()
    with Progress(str(tmp_path / "status"), pause=0) as progress:
        assert build(tmp_path, compiler).install(source, progress) == [
            f"{tmp_path}/usr/sbin/csync2",
            f"{tmp_path}/usr/share/man/csync2.1",
        ]
    assert json.loads((tmp_path / "status").read_text())["done"] == 4
    assert sorted(installed(tmp_path)) == ["usr/sbin/csync2", "usr/share/man/csync2.1"]
    assert (tmp_path / "etc").is_dir()
    assert (tmp_path / "usr/sbin/csync2").stat().st_mode & 0o7777 == 0o755
    assert not (tmp_path / "work").exists()
    assert [line.split()[0] for line in compiler.ran] == ["autoreconf", "./configure", "make", "make"]
    assert f"--prefix={tmp_path}/usr --sysconfdir={tmp_path}/etc --localstatedir=/var" in compiler.ran[1]
    assert build(tmp_path, compiler).told(source.binary) == ("2.1-0rc1", f"{tmp_path}/etc")


def test_configure_that_comes_with_the_archive_is_used(tmp_path: Path, source: Source) -> None:
    (tmp_path / "csync2-2.0" / "configure").touch()
    with tarfile.open(source.archive, "w:xz") as archive:
        archive.add(tmp_path / "csync2-2.0", "csync2-2.0")
    digest = hashlib.sha256(Path(source.archive).read_bytes()).hexdigest()
    compiler = Compiler()
    build(tmp_path, compiler).install(replace(source, checksum=digest), Progress(None))
    assert compiler.ran[0].startswith("./configure")


@pytest.mark.parametrize(
    ("compiler", "change", "complaint"),
    [
        (Compiler(), {"checksum": "0" * 64}, f"expected {'0' * 64}"),
        (Compiler(), {"archive": "/no/such"}, "there is no archive /no/such"),
        (Compiler(fails="./configure"), {}, "librsync is required"),
        (Compiler(fails="make"), {}, "ended with exit code 2"),
        (Compiler(version="1.34"), {}, "builds csync2 1.34 with its files in PATH/etc: expected 2.1-0rc1 and PATH/etc"),
    ],
)
def test_what_fails_leaves_the_old_one(
    tmp_path: Path, source: Source, compiler: Compiler, change: dict[str, str], complaint: str
) -> None:
    build(tmp_path, Compiler(version="2.0")).install(replace(source, version="2.0"), Progress(None))
    before = installed(tmp_path), (tmp_path / "state/manifest").read_bytes()
    with pytest.raises(ClusterkitError) as caught:
        build(tmp_path, compiler).install(replace(source, **change), Progress(None))
    assert complaint.replace("PATH", str(tmp_path)) in str(caught.value)
    assert (installed(tmp_path), (tmp_path / "state/manifest").read_bytes()) == before
    assert not (tmp_path / "work").exists()


def test_newer_version_takes_away_what_it_has_no_more(tmp_path: Path, source: Source) -> None:
    build(tmp_path, Compiler(more=("old",))).install(source, Progress(None))
    assert "usr/share/old" in installed(tmp_path)
    build(tmp_path, Compiler(version="2.2")).install(replace(source, version="2.2"), Progress(None))
    assert sorted(installed(tmp_path)) == ["usr/sbin/csync2", "usr/share/man/csync2.1"]
    assert installed(tmp_path)["usr/sbin/csync2"].startswith("2.2")


def test_killed_at_any_file_has_no_binary_and_leaves_nothing_behind(
    tmp_path: Path, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(BaseException):
        """What no clearing up is told of."""

    def write(path: str, content: bytes, **options: Any) -> None:
        if path == source.binary:
            raise KilledError
        files.write_atomically(path, content, **options)

    with monkeypatch.context() as patch:
        patch.setattr(module, "write_atomically", write)
        patch.setattr(module.shutil, "rmtree", lambda *_arguments, **_options: None)
        with pytest.raises(KilledError):
            build(tmp_path, Compiler()).install(source, Progress(None))
    assert list(installed(tmp_path)) == ["usr/share/man/csync2.1"]
    assert (tmp_path / "work" / "source").exists()
    # Both ways on from there: it is removed, or built after all
    again = build(tmp_path, Compiler())
    again.install(source, Progress(None))
    assert not (tmp_path / "work").exists()
    again.remove()
    assert installed(tmp_path) == {}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["archive", "csync2-2.0", "lock", "state", "usr"]
    assert list((tmp_path / "usr").iterdir()) == []


def test_removal_keeps_what_others_put_there(tmp_path: Path, source: Source) -> None:
    one = build(tmp_path, Compiler())
    one.install(source, Progress(None))
    (tmp_path / "etc" / "csync2.cfg").write_text("of another cluster")
    assert one.leftovers() == [f"{tmp_path}/usr/sbin/csync2", f"{tmp_path}/usr/share/man/csync2.1"]
    one.remove()
    assert installed(tmp_path) == {"etc/csync2.cfg": "of another cluster"}
    assert one.leftovers() == []
    one.remove()


def test_note_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "manifest").write_text("[]")
    with pytest.raises(ClusterkitError, match="is no note of a build"):
        build(tmp_path, Compiler()).leftovers()


def test_nothing_is_built_where_it_cannot_be(tmp_path: Path, source: Source) -> None:
    (tmp_path / "work").write_text("a file")
    with pytest.raises(ClusterkitError, match=r"cannot build in .*/work: File exists"):
        build(tmp_path, Compiler()).install(source, Progress(None))
    (tmp_path / "work").unlink()
    (tmp_path / "etc").write_text("a file")
    with pytest.raises(ClusterkitError, match=r"cannot make the directory .*/etc: File exists"):
        build(tmp_path, Compiler()).install(source, Progress(None))
