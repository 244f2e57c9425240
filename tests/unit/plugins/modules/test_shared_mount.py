# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules shared_mount, shared_mount_claim, shared_mount_info and shared_mount_probe, with a table of mounts of
their own and a systemd that only notes what it is asked. What mounting does the scenario shows."""

from __future__ import annotations

import os
import pathlib
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._common import mounts, service
from ansible_collections.clusterkit.middleware.plugins.module_utils._mount import below, claim, entry, guard, settings
from ansible_collections.clusterkit.middleware.plugins.modules import (
    shared_mount,
    shared_mount_claim,
    shared_mount_info,
    shared_mount_probe,
)

if TYPE_CHECKING:
    from tests.unit.conftest import RunModule

ROOT = mounts.Mounted("/", "/", "ext4", "/dev/vda1", ("rw",))


class Ground:
    """A host: its table of mounts, its units, and what systemd was asked."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.fstab = directory / "fstab"
        self.units = f"{directory}/units/"
        self.point = str(directory / "share")
        self.mounts = [ROOT]
        self.asked: list[str] = []
        self.immutable = False
        pathlib.Path(self.units).mkdir()
        self.fstab.write_text("# theirs\n")

    def share(self, **more: Any) -> dict[str, Any]:
        """Return a share of this host."""
        return {"name": "a", "path": self.point, "source": "nas:/a", "fstype": "nfs", "options": ["hard"], **more}

    def states(self, _systemd: Any, names: list[str]) -> dict[str, service.UnitState]:
        """Answer as systemd does."""
        enabled = "enabled" if any(word.startswith("enable ") for word in self.asked) else "disabled"
        return {name: service.UnitState("loaded", "active", enabled, False) for name in names}

    def call(self, _systemd: Any, verb: str, *names: str) -> None:
        """Note what is asked, and unmount."""
        self.asked.append(" ".join((verb, *names)))
        if verb == "stop":
            self.mounts = [ROOT]

    def run_up(self, _systemd: Any, verb: str, name: str) -> None:
        """Note what is asked, and mount."""
        self.asked.append(f"{verb} {name}")
        self.mounts = [ROOT, mounts.Mounted(self.point, "/", "nfs4", "nas:/a", ("rw", "hard"))]


@pytest.fixture
def ground(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Ground:
    """Return a host on which nothing is mounted."""
    made = Ground(tmp_path)
    for name in ("states", "call", "run_up"):
        function = getattr(made, name)
        monkeypatch.setattr(service.Systemd, name, lambda *words, _function=function: _function(*words))
    for module in (mounts, guard, claim, shared_mount_claim):
        monkeypatch.setattr(module, "table", lambda: made.mounts)
    monkeypatch.setattr(entry, "TABLE", str(made.fstab))
    monkeypatch.setattr(entry, "UNITS", made.units)

    def look(path: str, _mounts: Any) -> below.Below:
        there = pathlib.Path(path)
        names = tuple(sorted(one.name for one in there.iterdir())) if there.exists() and len(made.mounts) == 1 else ()
        return below.Below(there.exists(), names, made.immutable)

    monkeypatch.setattr(below, "look", look)
    monkeypatch.setattr(below, "set_immutable", lambda _path, _mounts, wanted: setattr(made, "immutable", wanted))
    return made


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files to root")
@pytest.mark.parametrize("kind", ["fstab", "unit"])
def test_check_tells_what_the_run_does_and_the_second_run_does_nothing(
    run_module: RunModule, ground: Ground, kind: str
) -> None:
    """From nothing to mounted, and away again: with a line of fstab, or with a unit."""
    options: dict[str, Any] = {"shares": [ground.share(entry=kind)]}
    predicted = run_module(shared_mount.main, check=True, **options)
    assert ground.asked == [] and not pathlib.Path(ground.point).exists()
    done = run_module(shared_mount.main, **options)
    assert predicted["changed"] and predicted["diff"] == done["diff"]
    assert ground.immutable and len(ground.mounts) == 2
    line = f"nas:/a {ground.point} nfs hard 0 0\n"
    assert ground.fstab.read_text() == "# theirs\n" + (line if kind == "fstab" else "")
    assert [path.read_text() for path in pathlib.Path(ground.units).iterdir()] == (
        [] if kind == "fstab" else [entry.unit(settings.from_mapping(ground.share(entry=kind)))]
    )
    assert not run_module(shared_mount.main, **options)["changed"]
    changed = run_module(shared_mount.main, shares=[ground.share(entry=kind, options=["hard", "noatime"])])
    assert changed["changed"] and changed["remount_due"] == (["a"] if kind == "fstab" else [])
    gone: dict[str, Any] = {"shares": [], "absent": options["shares"]}
    assert run_module(shared_mount.main, **gone)["changed"]
    assert ground.mounts == [ROOT] and ground.fstab.read_text() == "# theirs\n" and not ground.immutable
    assert list(pathlib.Path(ground.units).iterdir()) == []
    assert not run_module(shared_mount.main, **gone)["changed"]


def test_what_a_mount_would_hide_is_refused(run_module: RunModule, ground: Ground) -> None:
    """Files in the mount point, unless it was said; and a share that others should have mounted."""
    there = pathlib.Path(ground.point)
    there.mkdir()
    (there / "kept").touch()
    refused = run_module(shared_mount.main, shares=[ground.share()])
    assert refused["failed"] and "holds kept, which a mount would hide" in refused["msg"]
    assert not run_module(shared_mount.main, check=True, shares=[ground.share(cover=True)])["failed"]
    refused = run_module(shared_mount.main, shares=[ground.share(entry="existing", cover=True)])
    assert "has entry: existing. Mount it" in refused["msg"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root changes owners")
def test_a_share_is_claimed_once(run_module: RunModule, ground: Ground) -> None:
    """Owner, mode and sentinel; without its sentinel it is another one, unless it is new."""
    there = pathlib.Path(ground.point)
    there.mkdir()
    share = ground.share(owner="65534", group="65534", mode="0750")
    unmounted = run_module(shared_mount_claim.main, check=True, shares=[share], cluster="app", new=["a"])
    assert unmounted["unmounted"] == ["a"] and not unmounted["changed"]
    ground.run_up(None, "start", "x")
    for parent in (there, *there.parents):
        if parent.stat().st_mode & 0o001 == 0 and parent != there:
            parent.chmod(parent.stat().st_mode | 0o011)
    refused = run_module(shared_mount_claim.main, shares=[share], cluster="app")
    assert refused["failed"] and "run once with shared_mount_new=a" in refused["msg"]
    options: dict[str, Any] = {"shares": [share], "cluster": "app", "new": ["a"]}
    predicted = run_module(shared_mount_claim.main, check=True, **options)
    done = run_module(shared_mount_claim.main, **options)
    assert done["changed"] and predicted["diff"] == done["diff"]
    status = there.stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (65534, 65534, 0o750)
    assert (there / settings.SENTINEL).read_text() == settings.sentinel("app", "a")
    assert (there / settings.SENTINEL).stat().st_uid == 65534
    assert not run_module(shared_mount_claim.main, shares=[share], cluster="app")["changed"]
    refused = run_module(shared_mount_claim.main, shares=[share], cluster="other", new=["a"])
    assert "is share a of app, not share a of other" in refused["msg"]


def test_what_is_found_is_told(run_module: RunModule, ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mounted or not, whose it is, and an owner that is not known here."""
    noted = settings.from_mapping(ground.share())
    monkeypatch.setattr(settings, "read_all", lambda: {"app": [noted], "other": [noted]})
    told = run_module(shared_mount_info.main, shares=[ground.share(owner="nobody-known")], cluster="app")
    assert "user 'nobody-known' does not exist" in told["shares"]["a"]["error"]
    told = run_module(shared_mount_info.main, shares=[ground.share()], cluster="app", leaving=["b"])
    assert told["shares"]["a"]["mounted"] is None and told["shares"]["a"]["recorded"]
    assert told["details"][0]["path"] == ground.point and told["leaving"] == ["b"]
    assert told["recorded"] == ["a"] and told["others"] == told["shares"]["a"]["others"] == ["other"]
    pathlib.Path(ground.point).mkdir()
    ground.run_up(None, "start", "x")
    found = run_module(shared_mount_info.main, shares=[ground.share()], cluster="app")["shares"]["a"]
    assert found["answers"] and "is it the right share?" in found["problem"] and found["immutable"] == "unset"


def test_a_share_that_fails_its_trial_is_told(run_module: RunModule, ground: Ground) -> None:
    """It is no failure of the module: the verification judges all members together. Check mode does nothing."""
    options = {"shares": [ground.share()], "member": "n1", "token": "t"}
    told = run_module(shared_mount_probe.main, state="written", **options)
    assert not told["failed"] and told["shares"]["a"]["error"] == f"nothing is mounted at {ground.point}"
    assert run_module(shared_mount_probe.main, check=True, state="written", **options)["shares"]["a"] == {"error": ""}
    pathlib.Path(ground.point).mkdir()
    ground.run_up(None, "start", "x")
    assert run_module(shared_mount_probe.main, state="written", **options)["shares"]["a"]["mode"] == "0640"
    read = run_module(shared_mount_probe.main, state="read", members=["n1"], **options)["shares"]["a"]
    assert read["files"]["n1"]["error"] == "" and read["locks"] == {"flock": "taken", "posix": "taken"}
    run_module(shared_mount_probe.main, state="cleared", **options)
    assert list(pathlib.Path(ground.point).iterdir()) == []
