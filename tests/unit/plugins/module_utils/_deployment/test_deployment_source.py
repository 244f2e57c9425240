# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The source and its receivers, with real rsync; where ssh would be, the receiver's program is run for its request."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import stat
import sys
import threading
import time
from typing import Any

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._common import ssh_access
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.bundle import bundle
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.locks import exclusive
from ansible_collections.clusterkit.middleware.plugins.module_utils._deployment import agent
from ansible_collections.clusterkit.middleware.plugins.module_utils._deployment.manifest import manifest
from ansible_collections.clusterkit.middleware.plugins.module_utils._deployment.settings import (
    RECEIVER,
    SOURCE,
    STAGING,
    Directory,
    Node,
    Settings,
    mount_point,
)
from ansible_collections.clusterkit.middleware.plugins.module_utils._deployment.source import RefusedError, Source

MODULE_UTILS = pathlib.Path(ssh_access.__file__).resolve().parents[1]
NODES = ("n2", "n3")


class Ground:
    """A source and two receivers, each below a directory of its own."""

    def __init__(self, root: pathlib.Path) -> None:
        self.root = root
        self.program = root / "program"
        self.program.write_bytes(bundle(MODULE_UTILS, "_deployment.agent"))
        for name in ("n1", *NODES):
            (root / name / "artifacts").mkdir(parents=True)
        for name in NODES:
            self.settings(name, RECEIVER)
            self._write_shell(name)

    def tree(self, name: str) -> pathlib.Path:
        return self.root / name / "artifacts"

    def settings(self, name: str, role: str, **changes: Any) -> Settings:
        path = str(self.tree(name))
        made = Settings(
            role=role,
            name=name,
            source="n1",
            directories=(Directory("artifacts", path, mount_point(path)),),
            nodes=tuple(Node(one, "192.0.2.1") for one in NODES),
            lock=str(self.root / "lock"),
            log=str(self.root / "log"),
            exclude=("*.part", "/scratch"),
        )
        made = dataclasses.replace(made, **changes)
        (self.root / f"{name}.json").write_text(made.text(), encoding="utf-8")
        return made

    def shell(self, node: str) -> list[str]:
        """Return what stands for ssh: it gets the host and the command that rsync wants to run there."""
        return [str(self.root / f"shell-{node}"), node]

    def _write_shell(self, node: str) -> None:
        """Write a node's program that stands for ssh.

        Before any thread serves a node: a process that another thread starts would hold the file open for writing
        until it runs its own program, and a file that is open for writing cannot be run (ETXTBSY, execve(2)).
        """
        script = self.root / f"shell-{node}"
        script.write_text(
            f'#!/bin/sh\nnode="$1"; shift 2; export SSH_ORIGINAL_COMMAND="$*"\n'
            f'[ ! -e "{self.root}/$node.off" ] || exit 255\n'
            f'exec {sys.executable} {self.program} --settings "{self.root}/$node.json" receive\n',
            encoding="utf-8",
        )
        script.chmod(0o755)

    def source(self, **changes: Any) -> Source:
        return Source(self.settings("n1", SOURCE, **changes), Runner())

    def write(self, name: str, content: str = "x", node: str = "n1") -> pathlib.Path:
        path = self.tree(node) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
        return path

    def same(self, node: str = "n2") -> bool:
        exclude = ("*.part", "/scratch")
        return manifest(str(self.tree("n1")), exclude) == manifest(str(self.tree(node)), exclude)


@pytest.fixture
def ground(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Ground:
    """Return the ground."""
    made = Ground(tmp_path)
    monkeypatch.setattr(ssh_access, "client", lambda *_arguments: made.shell(_arguments[5]))
    return made


def test_files_reach_all_nodes_and_deletions_too(ground: Ground) -> None:
    """Odd names, directories, links and modes arrive; what goes here goes there; what is left out stays as it is."""
    ground.write('a "b"\n*[x]?').chmod(0o640)
    ground.write("deep/er/file", "y")
    (ground.tree("n1") / "link").symlink_to("deep/er/file")
    ground.write("draft.part")
    ground.write("scratch/mine", node="n2")
    ground.write("theirs.part", node="n2")
    source = ground.source()
    reports = source.synchronise()
    assert [(one.node, one.ok, one.error) for one in reports] == [("n2", True, ""), ("n3", True, "")]
    assert ground.same("n2") and ground.same("n3")
    assert stat.S_IMODE((ground.tree("n2") / 'a "b"\n*[x]?').stat().st_mode) == 0o640
    assert not (ground.tree("n2") / "draft.part").exists()
    assert [one.sent for one in source.synchronise()] == [0, 0]
    (ground.tree("n1") / "deep" / "er" / "file").unlink()
    (ground.tree("n1") / "deep" / "er").rmdir()
    told = source.synchronise(dry_run=True)
    assert told[0].changes == ["*deleting   deep/er/file", "*deleting   deep/er/"] or told[0].deleted >= 1
    assert (ground.tree("n2") / "deep" / "er" / "file").exists()
    assert [one.deleted for one in source.synchronise()] == [2, 2]
    assert ground.same("n2") and ground.same("n3")
    assert (ground.tree("n2") / "scratch" / "mine").exists() and (ground.tree("n2") / "theirs.part").exists()


def test_failed_node_does_not_stop_the_others_and_is_served_later(ground: Ground) -> None:
    """A node that is off gets what it missed by the next run."""
    ground.write("one")
    (ground.root / "n2.off").touch()
    source = ground.source()
    reports = {one.node: one for one in source.synchronise()}
    assert not reports["n2"].ok and reports["n2"].error and reports["n3"].ok
    assert ground.same("n3") and not ground.same("n2")
    (ground.root / "n2.off").unlink()
    assert [one.node for one in source.synchronise(["n2"])] == ["n2"]
    assert ground.same("n2")


@pytest.mark.parametrize("what", ["empty", "missing", "elsewhere", "receiver"])
def test_source_that_is_not_as_it_should_be_sends_nothing(ground: Ground, what: str) -> None:
    """An empty, missing or unmounted directory would wipe all others; so would a second source."""
    ground.write("precious", node="n2")
    settings = ground.settings("n1", SOURCE)
    if what == "missing":
        ground.tree("n1").rmdir()
    elif what == "elsewhere":
        ground.write("file")
        settings = ground.settings("n1", SOURCE, directories=(Directory("artifacts", str(ground.tree("n1")), "/mnt"),))
    elif what == "receiver":
        ground.write("file")
        settings = ground.settings("n1", RECEIVER, source="n2")
    said = {"empty": "has no file", "missing": "cannot read", "elsewhere": "not mounted", "receiver": "is not the sour"}
    with pytest.raises(RefusedError, match=said[what]):
        Source(settings, Runner()).synchronise()
    assert (ground.tree("n2") / "precious").exists()


@pytest.mark.parametrize("what", ["replaced", "emptied"])
def test_source_that_changes_after_the_check_deletes_nothing(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """What takes the directory's place between look and reading was not checked, and is not what the nodes get."""
    ground.write("precious")
    source = ground.source()
    source.synchronise()
    tree = ground.tree("n1")

    def meanwhile(_directory: str) -> set[str]:
        if what == "replaced":
            tree.rename(ground.root / "away")
            tree.mkdir()
            (tree / "other").write_text("other", encoding="utf-8")
        else:
            (tree / "precious").unlink()
        return set()

    # Called between the two
    monkeypatch.setattr(source, "open_for_writing", meanwhile)
    reports = source.synchronise()
    for node in NODES:
        assert [one.name for one in ground.tree(node).iterdir()] == ["precious"]
    assert all(one.ok for one in reports) is (what == "replaced")


def test_too_many_deletions_are_refused_whole(ground: Ground) -> None:
    """Beyond the share nothing is deleted, and what is new arrives all the same; below it all goes."""
    for number in range(40):
        ground.write(f"sub/{number}")
    source = ground.source(delete_share=0.5, delete_minimum=10)
    source.synchronise()
    for number in range(30):
        (ground.tree("n1") / "sub" / str(number)).unlink()
    ground.write("new")
    (report, _other) = source.synchronise()
    assert "30 files that are gone here would be deleted on n2" in report.error and "75%" not in report.error
    assert len(list((ground.tree("n2") / "sub").iterdir())) == 40 and (ground.tree("n2") / "new").exists()
    assert not source.synchronise(dry_run=True)[0].ok
    assert ground.source(delete_share=0.8).synchronise()[0].deleted == 30
    assert ground.same()


def test_file_that_is_being_written_waits(ground: Ground) -> None:
    """What a process has open for writing is sent when it is closed, and the old one stays until then."""
    ground.write("old", "whole")
    source = ground.source()
    source.synchronise()
    with (ground.tree("n1") / "old").open("w") as one, (ground.tree("n1") / "odd [*]?").open("w") as two:
        one.write("half")
        two.write("half")
        one.flush()
        two.flush()
        ground.write("other")
        assert source.open_for_writing(str(ground.tree("n1"))) == {"old", "odd [*]?"}
        report = source.synchronise()[0]
        assert (report.waiting, report.ok) == (2, True)
        assert (ground.tree("n2") / "old").read_text() == "whole" and (ground.tree("n2") / "other").exists()
        assert not (ground.tree("n2") / "odd [*]?").exists()
    source.synchronise()
    assert ground.same()


def test_no_file_is_ever_seen_incomplete(ground: Ground) -> None:
    """While a large archive is replaced again and again, a reader on a receiver sees one of its versions, whole."""
    size = 2 << 20
    archive = ground.tree("n1") / "large.car"
    archive.write_bytes(b"0" * size)
    source = ground.source()
    source.synchronise()
    seen: set[bytes] = set()
    odd: list[int] = []
    names: set[str] = set()
    ended = threading.Event()

    def read() -> None:
        while not ended.is_set():
            content = (ground.tree("n2") / "large.car").read_bytes()
            if len(content) != size or content.count(content[:1]) != size:
                odd.append(len(content))
            seen.add(content[:1])
            names.update(path.name for path in ground.tree("n2").iterdir())

    reader = threading.Thread(target=read)
    reader.start()
    for version in (b"1", b"2"):
        (ground.root / "new").write_bytes(version * size)
        (ground.root / "new").replace(archive)
        source.synchronise()
        for _turn in range(500):
            if version in seen:
                break
            time.sleep(0.02)
    ended.set()
    reader.join()
    assert odd == [] and {b"1", b"2"} <= seen and names == {"large.car"}


def test_receiver_takes_away_what_a_killed_run_left(ground: Ground) -> None:
    """Files that never became whole are no artifacts, and do not stay."""
    left = ground.tree("n2").parent / f"{STAGING}-artifacts"
    (left / "sub").mkdir(parents=True)
    (left / ".half.car.AbCdEf").write_text("half", encoding="utf-8")
    ground.write("one")
    ground.source().synchronise()
    assert list(left.iterdir()) == [] and ground.same()


def test_run_tells_a_line_for_each_node_and_its_exit_code(ground: Ground, capsys: pytest.CaptureFixture[str]) -> None:
    """The same lines are printed and logged; a failed node is told of by the exit code."""
    ground.write("one")
    (ground.root / "n3.off").touch()
    arguments = ["--settings", str(ground.root / "n1.json"), "run"]
    ground.settings("n1", SOURCE)
    assert agent.main(arguments) == agent.FAILED
    printed = capsys.readouterr().out
    lines = [json.loads(line) for line in printed.splitlines()]
    assert [(one["node"], one["ok"], one["sent"]) for one in lines] == [("n2", True, 1), ("n3", False, 0)]
    assert (ground.root / "log").read_text(encoding="utf-8") == printed
    (ground.root / "n3.off").unlink()
    assert agent.main(arguments) == 0
    (ground.tree("n1") / "one").unlink()
    assert agent.main(arguments) == agent.REFUSED
    assert "has no file at all" in capsys.readouterr().out


def test_second_run_is_refused_and_leaves_the_lock_alone(ground: Ground, capsys: pytest.CaptureFixture[str]) -> None:
    """The first run's lock stays, and with it the refusal of a third."""
    ground.write("one")
    settings = ground.settings("n1", SOURCE)
    with exclusive(settings.lock, 0, "the first"):
        for _turn in range(2):
            assert agent.main(["--settings", str(ground.root / "n1.json"), "run"]) == agent.FAILED
            assert "is locked by process" in capsys.readouterr().out
        assert "the first" in pathlib.Path(settings.lock).read_text(encoding="utf-8")
    assert agent.main(["--settings", str(ground.root / "n1.json"), "run"]) == 0


def test_settings_that_are_damaged_or_missing_are_told(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The program says what to do, whatever the file holds."""
    for content in (None, "{", "[]", "{}", '{"role": "source"}'):
        if content is not None:
            (tmp_path / "s.json").write_text(content, encoding="utf-8")
        assert agent.main(["--settings", str(tmp_path / "s.json"), "run"]) == 1
        assert "let the role write it" in capsys.readouterr().out


def test_log_that_cannot_be_written_is_no_reason_to_stop(ground: Ground, capsys: pytest.CaptureFixture[str]) -> None:
    """A full or missing log directory keeps nothing from being synchronised."""
    ground.write("one")
    ground.settings("n1", SOURCE, log=str(ground.root / "nowhere" / "log"))
    assert agent.main(["--settings", str(ground.root / "n1.json"), "run"]) == 0
    assert "cannot write" in capsys.readouterr().err and ground.same()
