# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files and units as one: what a plan says is what applying it does, and what was interrupted is made up for."""

from __future__ import annotations

import os
import pathlib
import pwd
from typing import Any, ClassVar

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.service import (
    Directory,
    File,
    Service,
    Systemd,
    Unit,
    UnitState,
)

ME = pwd.getpwuid(os.getuid()).pw_name
GROUP = str(os.getgid())


class Host:
    """A systemd that only keeps account: of what it was told, and of what runs."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.directory = directory
        self.units: dict[str, UnitState] = {}
        self.calls: list[tuple[str, ...]] = []
        self.fails_at: str | None = None

    def states(self, names: list[str]) -> dict[str, UnitState]:
        return {name: self.units.get(name, UnitState("not-found", "inactive", "", False)) for name in names}

    def call(self, verb: str, *names: str) -> None:
        self.calls.append((verb, *names))
        if verb == self.fails_at:
            raise ClusterkitError("killed here")
        for name in names:
            load, active, file, _outdated = vars(self.units[name]).values()
            active = {"stop": "inactive"}.get(verb, active)
            file = {"enable": "enabled", "disable": "disabled"}.get(verb, file)
            self.units[name] = UnitState(load, active, file, False)
        if verb == "daemon-reload":
            for path in (self.directory / "system").glob("*"):
                old = self.units.get(path.name, UnitState("", "inactive", "disabled", False))
                self.units[path.name] = UnitState("loaded", old.active, old.file, False)

    def run_up(self, verb: str, name: str) -> None:
        self.call(verb, name)
        self.units[name] = UnitState("loaded", "active", self.units[name].file, False)


@pytest.fixture
def host(tmp_path: pathlib.Path) -> Host:
    (tmp_path / "system").mkdir()
    return Host(tmp_path)


def service(host: Host, files: list[File], units: list[Unit], directories: list[Directory] | None = None) -> Service:
    return Service(
        files,
        directories or [],
        units,
        host,  # type: ignore[arg-type]  # the same methods, no systemd
        Runner(),
        notes=str(host.directory / "notes"),
        unit_directory=f"{host.directory}/system/",
    )


def file(path: pathlib.Path, content: str | None, **more: Any) -> File:
    return File(str(path), None if content is None else content.encode(), owner=ME, group=GROUP, **more)


def job(host: Host, text: str = "one") -> list[File]:
    return [
        file(host.directory / "system" / "job.service", f"unit {text}\n", restarts=("job.service",)),
        file(host.directory / "job.conf", f"conf {text}\n", reloads=("job.service",)),
    ]


def test_new_service_is_written_read_enabled_and_started_once(host: Host) -> None:
    wanted = service(host, job(host), [Unit("job.service")])
    plan = wanted.plan()
    assert plan.changed
    assert not (host.directory / "job.conf").exists()
    wanted.apply(plan)
    assert host.calls == [("daemon-reload",), ("enable", "job.service"), ("start", "job.service")]
    assert (host.directory / "job.conf").read_text() == "conf one\n"
    assert not wanted.plan().changed
    assert wanted.plan().diffs() == []


def test_a_changed_file_reloads_or_restarts_what_it_names(host: Host) -> None:
    first = service(host, job(host), [Unit("job.service")])
    first.apply(first.plan())
    host.calls.clear()
    only_conf = service(host, [job(host)[0], job(host, "two")[1]], [Unit("job.service")])
    only_conf.apply(only_conf.plan())
    assert host.calls == [("reload", "job.service")]
    host.calls.clear()
    both = service(host, job(host, "three"), [Unit("job.service")])
    diffs = both.plan().diffs()
    both.apply(both.plan())
    # A restart reads all that a reload would
    assert host.calls == [("daemon-reload",), ("restart", "job.service")]
    assert diffs[0]["before"] == "unit one\n"
    assert diffs[0]["after"] == "unit three\n"
    assert diffs[-1]["after"]["job.service"] == "running, enabled, restarted"
    assert not both.plan().changed


def test_interrupted_before_the_restart_is_restarted_by_the_next_run(host: Host) -> None:
    first = service(host, job(host), [Unit("job.service")])
    first.apply(first.plan())
    host.calls.clear()
    host.fails_at = "restart"
    changed = service(host, job(host, "two"), [Unit("job.service")])
    with pytest.raises(ClusterkitError, match="killed here"):
        changed.apply(changed.plan())
    host.fails_at = None
    plan = changed.plan()
    assert [change.file.path for change in plan.changes] == []
    assert plan.steps[0].needs == "restart"
    changed.apply(plan)
    assert not changed.plan().changed


def test_what_another_call_brings_up_is_noted_for_it(host: Host) -> None:
    host.units["watch.service"] = UnitState("loaded", "active", "enabled", False)
    first = service(host, [file(host.directory / "conf", "x", restarts=("watch.service",))], [])
    plan = first.plan()
    assert plan.later == [("watch.service", "restart")]
    # In check mode nothing is noted, so the other call is told
    assert service(host, [], [Unit("watch.service", restart=True)]).plan().steps[0].needs == "restart"
    first.apply(plan)
    assert host.calls == []
    second = service(host, [], [Unit("watch.service")])
    second.apply(second.plan())
    assert host.calls == [("restart", "watch.service")]
    assert not second.plan().changed


def test_what_goes_is_stopped_and_disabled_before_its_file_is_removed(host: Host) -> None:
    first = service(host, job(host), [Unit("job.service")])
    first.apply(first.plan())
    host.calls.clear()
    gone = [file(pathlib.Path(one.path), None) for one in job(host)]
    last = service(host, gone, [Unit("job.service", running=False, enabled=False)])
    last.apply(last.plan())
    assert host.calls == [("stop", "job.service"), ("disable", "job.service"), ("daemon-reload",)]
    del host.units["job.service"]
    assert not last.plan().changed


def test_a_unit_that_is_left_as_it_is_is_only_restarted_where_it_runs(host: Host) -> None:
    unit = Unit("xinetd.service", running=None, enabled=None)
    wanted = [file(host.directory / "csync2", "x", restarts=("xinetd.service",))]
    assert service(host, wanted, [unit]).plan().steps[0].needs == ""
    host.units["xinetd.service"] = UnitState("loaded", "active", "enabled", False)
    assert service(host, wanted, [unit]).plan().steps[0].needs == "restart"


@pytest.mark.parametrize(
    ("state", "complaint"),
    [
        (UnitState("not-found", "inactive", "", False), "x.service does not exist on this host"),
        (UnitState("masked", "inactive", "masked", False), "x.service is masked on this host"),
    ],
)
def test_a_unit_that_cannot_run_is_refused_before_anything_is_written(
    host: Host, state: UnitState, complaint: str
) -> None:
    host.units["x.service"] = state
    with pytest.raises(ClusterkitError, match=complaint):
        service(host, [file(host.directory / "conf", "x")], [Unit("x.service")]).plan()
    # What shall not run may be masked or missing
    assert not service(host, [], [Unit("x.service", running=False, enabled=False)]).plan().changed


def test_a_file_that_its_command_refuses_replaces_nothing(host: Host) -> None:
    conf = host.directory / "conf"
    conf.write_text("good\n")
    other = host.directory / "other"
    wanted = [
        file(other, "x"),
        file(
            conf, "bad\n", validate=("sh", "-c", "grep -q good \"$1\" || { echo 'no good' >&2; exit 1; }", "sh", "%s")
        ),
    ]
    judged = service(host, wanted, [])
    with pytest.raises(ClusterkitError, match=r"what would be .*/conf is not valid: .*no good"):
        judged.validate(judged.plan())
    assert not other.exists()
    missing = service(host, [file(conf, "x", validate=("no-such-command-here", "%s"))], [])
    missing.validate(missing.plan(), tolerate_missing=True)
    with pytest.raises(ClusterkitError, match="no-such-command-here"):
        missing.validate(missing.plan())


def test_files_that_belong_together_are_judged_together(host: Host) -> None:
    """The path of another file, as a word or in the text, stands for what that one would be."""
    main, more, certificate = (host.directory / name for name in ("main", "more", "certificate"))
    command = ("sh", "-c", 'cat "$1" "$2" && grep -q good "$(sed s/use.// "$1")"', "sh", "%s", str(more))
    wanted = [file(main, f"use {certificate}", validate=command), file(more, "x"), file(certificate, "good")]
    judged = service(host, wanted, [])
    judged.validate(judged.plan())
    assert not any(one.exists() for one in (main, more, certificate))
    wanted[2] = file(certificate, "bad")
    judged = service(host, wanted, [])
    with pytest.raises(ClusterkitError, match=r"what would be .*/main is not valid"):
        judged.validate(judged.plan())


def test_a_file_that_stays_may_name_one_that_is_lost(host: Host) -> None:
    """A password and a certificate are lost together: the configuration that names both is as it should be."""
    main, users, certificate = (host.directory / name for name in ("main", "users", "certificate"))
    main.write_text(f"use {certificate}")
    main.chmod(0o644)
    command = ("sh", "-c", 'cat "$2" && grep -q good "$(sed s/use.// "$1")"', "sh", str(main), "%s")
    wanted = [file(main, f"use {certificate}"), file(users, "x", validate=command), file(certificate, "good")]
    judged = service(host, wanted, [])
    assert {change.file.path for change in judged.plan().changes} == {str(users), str(certificate)}
    judged.validate(judged.plan())


def test_attributes_alone_are_set_and_shown(host: Host) -> None:
    conf = host.directory / "conf"
    conf.write_text("x")
    conf.chmod(0o666)
    wanted = service(host, [file(conf, "x", mode=0o640)], [])
    diff = wanted.plan().diffs()[0]
    assert diff["before"].startswith("mode 0666")
    assert diff["after"].startswith("mode 0640")
    wanted.apply(wanted.plan())
    assert conf.stat().st_mode & 0o7777 == 0o640
    assert not wanted.plan().changed


def test_directories_are_made_with_those_above_them(host: Host) -> None:
    path = host.directory / "a" / "b"
    wanted = service(host, [], [], [Directory(str(path), 0o700, ME, GROUP)])
    wanted.apply(wanted.plan())
    assert path.stat().st_mode & 0o7777 == 0o700
    assert path.parent.stat().st_mode & 0o7777 == 0o755
    assert not wanted.plan().changed
    path.rmdir()
    path.write_text("")
    with pytest.raises(ClusterkitError, match="is no directory"):
        wanted.plan()


def test_a_secret_and_what_is_no_text_are_not_shown(host: Host) -> None:
    conf = host.directory / "conf"
    conf.write_text("old canary")
    program = File(str(host.directory / "program"), b"\xff\x00", owner=ME, group=GROUP)
    diffs = service(host, [file(conf, "new canary", secret=True), program], []).plan().diffs()
    assert "canary" not in str(diffs)
    assert diffs[0]["before"] != diffs[0]["after"]
    assert diffs[1]["after"].startswith("SHA-256 ")


def test_systemctl_is_asked_once_and_understood() -> None:
    said = "NeedDaemonReload=no\nLoadState=loaded\nActiveState=active\nUnitFileState=enabled\n\n"
    said += "NeedDaemonReload=yes\nLoadState=not-found\nActiveState=inactive\nUnitFileState=\n"

    class Told:
        stdout = said

    class Fake:
        asked: ClassVar[list[list[str]]] = []

        def run(self, argv: list[str], limit: float) -> Told:
            self.asked.append(argv)
            return Told()

    states = Systemd(Fake()).states(["a.service", "b.timer"])  # type: ignore[arg-type]  # only what is used of it
    assert len(Fake.asked) == 1
    assert states["a.service"] == UnitState("loaded", "active", "enabled", False)
    assert states["a.service"].running
    assert states["b.timer"] == UnitState("not-found", "inactive", "", True)
    assert not states["b.timer"].enabled
    with pytest.raises(ClusterkitError, match="told of 2 units and was asked for 1"):
        Systemd(Fake()).states(["a.service"])  # type: ignore[arg-type]  # as above


def test_what_goes_is_not_shown_and_leaves_nothing(host: Host) -> None:
    """Nobody said whether a file that is removed held a secret; what a killed process left of writing it goes too."""
    key = host.directory / "key"
    key.write_text("canary")
    half = host.directory / ".key.clusterkit-0123456789abcdef"
    half.write_text("canary")
    gone = service(host, [file(key, None)], [])
    assert "canary" not in str(gone.plan().diffs())
    gone.apply(gone.plan())
    assert not key.exists()
    assert not half.exists()
    half.write_text("canary")
    gone.apply(gone.plan())
    assert not half.exists()


def test_units_that_were_written_are_read_even_after_a_kill(host: Host) -> None:
    """The service of a timer is in no list of units: that systemd has to read it again is not forgotten."""
    wanted = service(host, [file(host.directory / "system" / "job.service", "one")], [])
    host.fails_at = "daemon-reload"
    with pytest.raises(ClusterkitError, match="killed here"):
        wanted.apply(wanted.plan())
    host.fails_at = None
    assert wanted.plan().changed
    wanted.apply(wanted.plan())
    assert host.calls[-1] == ("daemon-reload",)
    assert not wanted.plan().changed


def test_a_masked_unit_is_named_where_it_is_wanted_and_left_where_it_is_not(host: Host) -> None:
    unit = host.directory / "system" / "job.socket"
    unit.symlink_to(os.devnull)
    with pytest.raises(ClusterkitError, match=r"job\.socket is masked on this host: `systemctl unmask job\.socket`"):
        service(host, [file(unit, "x")], []).plan()
    absent = service(host, [file(unit, None)], [])
    assert not absent.plan().changed
    absent.apply(absent.plan())
    assert unit.is_symlink()


def test_a_unit_that_is_just_starting_is_started_anew_for_a_changed_file(host: Host) -> None:
    host.units["slow.service"] = UnitState("loaded", "activating", "enabled", False)
    changed = service(host, [file(host.directory / "conf", "x", restarts=("slow.service",))], [Unit("slow.service")])
    assert changed.plan().steps[0].needs == "restart"
    assert service(host, [], [Unit("slow.service")]).plan().steps[0].needs == "start"
