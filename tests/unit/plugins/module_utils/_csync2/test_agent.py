# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program of a csync2 member: conflicts are tried once, bursts become one run, actions one command."""

from __future__ import annotations

import json
import pathlib
import shutil
import threading
import time
from typing import Any, Collection, Iterator, Sequence

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Outcome, Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._csync2 import agent
from ansible_collections.clusterkit.middleware.plugins.module_utils._csync2.config import Config, Group, Host
from ansible_collections.clusterkit.middleware.plugins.module_utils._csync2.conflicts import Conflicts
from ansible_collections.clusterkit.middleware.plugins.module_utils._csync2.state import Dirty
from ansible_collections.clusterkit.middleware.plugins.module_utils._csync2.sync import CONFLICT, WAITING, Exchange


class Csync2:
    """Stands for the exchange alone: every file it is asked for ends as the test says."""

    def __init__(self, left: Sequence[tuple[Dirty, str]] = ()) -> None:
        self.left = list(left)
        self.asked: list[tuple[tuple[str, ...], set[Dirty]]] = []

    def exchange(self, paths: Sequence[str], without: Collection[Dirty]) -> Exchange:
        self.asked.append((tuple(paths), set(without)))
        return Exchange(left=list(self.left))


def test_known_conflict_is_not_tried_until_the_file_is_touched(tmp_path: pathlib.Path) -> None:
    """The conflict is handed over as known while the file stays as it is, and tried again after it was changed."""
    file = tmp_path / "contested"
    file.write_text("mine", encoding="utf-8")
    dirty = Dirty("n2", str(file), False)
    csync2 = Csync2([(dirty, CONFLICT)])
    one = agent.Agent(csync2, Conflicts(str(tmp_path / "db3")))  # type: ignore[arg-type]  # stands for it
    one.synchronise()
    one.synchronise()
    file.write_text("mine, edited", encoding="utf-8")
    one.synchronise()
    assert [without for _paths, without in csync2.asked] == [set(), {dirty}, set()]
    csync2.left = []
    one.synchronise()
    assert json.loads((tmp_path / "db3.conflicts").read_text(encoding="utf-8")) == []


def test_conflicts_survive_odd_names_and_broken_files(tmp_path: pathlib.Path) -> None:
    """Names that are no UTF-8 come back as they were; a file cut short is no conflict and no error."""
    name = str(tmp_path / "odd\nname \udcff")
    kept = Conflicts(str(tmp_path / "db3"))
    kept.keep([Dirty("n2", name, False)])
    assert kept.present() == {Dirty("n2", name, False)}
    (tmp_path / "db3.conflicts").write_text("[{", encoding="utf-8")
    assert kept.present() == set()


@pytest.mark.parametrize(
    ("left", "code"),
    [
        ([], 0),
        ([(Dirty("n2", "/f", False), WAITING)], 0),
        ([(Dirty("n2", "/f", False), "n2 could not be reached")], agent.UNSENT_LEFT),
        ([(Dirty("n2", "/f", False), CONFLICT), (Dirty("n3", "/g", False), "gone")], agent.CONFLICT_LEFT),
    ],
)
def test_exit_code_tells(left: list[tuple[Dirty, str]], code: int, capsys: pytest.CaptureFixture[str]) -> None:
    """An older file that a peer's version beats is no failure; a conflict is told before an unreachable peer."""
    assert agent.report(Exchange(left=left), 0.5) == code
    assert len(json.loads(capsys.readouterr().out)["left"]) == len(left)


@pytest.fixture
def watched(tmp_path: pathlib.Path) -> Iterator[agent.Watch]:
    """Watch a directory and a single file of the test's own."""
    if not shutil.which("inotifywait"):
        pytest.skip("inotifywait is not installed")
    (tmp_path / "tree").mkdir()
    (tmp_path / "single").write_text("old", encoding="utf-8")
    patterns = [("include", str(tmp_path / "tree")), ("include", str(tmp_path / "single")), ("exclude", "*~")]
    watch = agent.Watch(Config([Group("g", [Host("n1"), Host("n2")], "/key", patterns)]), "n1")
    try:
        yield watch
    finally:
        watch.close()


def collect(watch: agent.Watch, wanted: set[str]) -> list[list[str]]:
    """Return the bursts until all wanted paths were told, at most ten."""
    seen: list[list[str]] = []
    for burst in watch.bursts():
        seen.append(burst)
        if wanted <= {path for one in seen for path in one} or len(seen) == 10:
            return seen
    return seen


def test_bursts_hold_included_paths_alone(watched: agent.Watch, tmp_path: pathlib.Path) -> None:
    """New directories are followed, odd names come whole, excluded names do not wake anybody, replaced files do."""
    odd = tmp_path / "tree" / 'odd\n"name'
    odd.write_text("x", encoding="utf-8")
    (tmp_path / "tree" / "draft~").write_text("x", encoding="utf-8")
    (tmp_path / "new").write_text("new", encoding="utf-8")
    (tmp_path / "new").replace(tmp_path / "single")
    seen = collect(watched, {str(odd), str(tmp_path / "single")})
    paths = {path for burst in seen for path in burst}
    assert {str(odd), str(tmp_path / "single")} <= paths
    assert not any(path.endswith(("~", "/new")) for path in paths)


def test_ended_watcher_is_an_error(watched: agent.Watch) -> None:
    """When inotifywait is gone the program ends, so that its unit starts it anew: it does not sleep for ever."""
    for process in watched._processes:  # what the test breaks
        process.kill()
        process.wait(timeout=10)
    with pytest.raises(ClusterkitError, match="inotifywait ended"):
        collect(watched, {"/never"})


def test_paths_may_come_later_and_be_replaced(tmp_path: pathlib.Path) -> None:
    """What is included may come after the start, and a directory that takes another's place is watched as well."""
    if not shutil.which("inotifywait"):
        pytest.skip("inotifywait is not installed")
    later = tmp_path / "srv" / "later"
    config = Config([Group("g", [Host("n1"), Host("n2")], "/key", [("include", str(later))])])
    watch = agent.Watch(config, "n1")
    try:
        later.mkdir(parents=True)
        assert collect(watch, {"/"})[-1] == ["/"]
        (later / "file").write_text("x", encoding="utf-8")
        collect(watch, {str(later / "file")})
        (tmp_path / "next").mkdir()
        later.rename(tmp_path / "old")
        (tmp_path / "next").rename(later)
        assert ["/"] in collect(watch, {"/"})
        (later / "second").write_text("x", encoding="utf-8")
        assert any(str(later / "second") in burst for burst in collect(watch, {str(later / "second")}))
    finally:
        watch.close()


def act(command: str, directory: pathlib.Path, settle: float = 0.3) -> threading.Thread:
    """Start an action as csync2 would, in the background."""
    arguments: dict[str, Any] = {"settle": settle, "limit": 10, "directory": str(directory)}
    thread = threading.Thread(target=agent.act, args=(command,), kwargs=arguments)
    thread.start()
    return thread


def test_action_runs_once_for_a_burst_and_again_after_it(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes while one waits is covered by it; what comes while the command runs gets a run of its own."""
    monkeypatch.setenv("CLUSTERKIT_DETACHED", "1")
    log = tmp_path / "log"
    command = f"echo ran >> {log}; sleep 0.3"
    burst = [act(command, tmp_path) for _number in range(5)]
    end = time.monotonic() + 10
    while not log.exists():
        assert time.monotonic() < end
        time.sleep(0.02)
    late = act(command, tmp_path, settle=0.01)
    for thread in (*burst, late):
        thread.join(timeout=10)
    assert log.read_text(encoding="utf-8").count("ran") == 2


def test_under_systemd_an_action_has_a_unit_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """What csync2 calls hands the work on at once; a daemon that the command starts is not ended with that unit."""
    asked: list[list[str]] = []

    def execute(_self: Runner, argv: list[str], *_others: object) -> Outcome:
        asked.append(argv)
        return Outcome(0)

    monkeypatch.delenv("CLUSTERKIT_DETACHED", raising=False)
    monkeypatch.setattr(pathlib.Path, "is_dir", lambda path: str(path) == "/run/systemd/system")
    monkeypatch.setattr(Runner, "execute", execute)
    assert agent.act("exit 7", 0, 10) == 0
    (argv,) = asked
    options = argv[1 : argv.index("--")]
    assert argv[0] == "systemd-run"
    assert {"--no-block", "--setenv=CLUSTERKIT_DETACHED=1", "--property=KillMode=process"} <= set(options)


def test_action_failure_is_its_exit_code(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that fails fails its unit."""
    monkeypatch.setenv("CLUSTERKIT_DETACHED", "1")
    assert agent.act("exit 7", 0, 10, str(tmp_path)) == 7


def test_command_line_errors_are_one_json_line(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever stops it is told in the form that its log has."""
    code = agent.main(["watch", "--name", "n1", "--config", str(tmp_path / "absent"), "--binary", "/bin/false"])
    assert code == 1 and "absent" in json.loads(capsys.readouterr().out)["error"]
