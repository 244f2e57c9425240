# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shares: their entries, the question that never hangs, what members say together, and what is refused."""

from __future__ import annotations

import json
import os
import pathlib
import time
from typing import Any

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._common import mounts
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._mount import (
    asking,
    below,
    cluster,
    entry,
    guard,
    helpers,
    probe,
    settings,
)
from ansible_collections.clusterkit.middleware.plugins.module_utils._mount.settings import Share

SHARE = Share("artifacts", "/srv/artifacts", "nas:/artifacts", "nfs", ("_netdev", "hard", "vers=4.2"))
GIVEN: dict[str, Any] = {"name": "artifacts", "path": "/srv/artifacts", "source": "nas:/artifacts", "fstype": "nfs"}
FSTAB = (
    "# a comment\nUUID=1 / ext4 defaults 0 1\nold:/x\t/srv/artifacts/  nfs  soft 0 0 # theirs\n\nlast /last xfs ro 0 2"
)
MEMBERS = [{"host": "h1", "name": "n1", "address": ""}, {"host": "h2", "name": "n2", "address": ""}]


# --- entries ---------------------------------------------------------------------------------------------------------


def test_a_line_takes_the_place_of_the_one_that_is_there() -> None:
    """All else stays byte for byte, also a last line without its end; the second time nothing changes."""
    text = entry.with_line(FSTAB, SHARE)
    assert text == FSTAB.replace(
        "old:/x\t/srv/artifacts/  nfs  soft 0 0 # theirs",
        "nas:/artifacts /srv/artifacts nfs _netdev,hard,vers=4.2 0 0",
    )
    assert entry.with_line(text, SHARE) == text
    other = Share("other", "/srv/other", "//nas/a b", "cifs")
    assert entry.with_line(text, other) == text + "\n//nas/a\\040b /srv/other cifs defaults 0 0\n"
    assert entry.without_line(entry.with_line(text + "\n", other), "/srv/other") == text + "\n"


def test_two_lines_for_a_mount_point_are_refused() -> None:
    """Nobody knows which one counts."""
    with pytest.raises(ClusterkitError, match="has 2 lines for /srv/artifacts: leave one"):
        entry.with_line(FSTAB + "\nx /srv/artifacts nfs ro 0 0\n", SHARE)


@pytest.mark.parametrize(
    ("kind", "given", "wanted"),
    [
        ("nfs", [], ["_netdev", "hard", "vers=4.2"]),
        ("nfs4", ["_netdev", "soft", "nfsvers=3"], ["_netdev", "soft", "nfsvers=3"]),
        ("nfs", ["v4.1", "hard"], ["_netdev", "v4.1", "hard"]),
        ("glusterfs", ["defaults"], ["_netdev"]),
        ("none", ["bind"], ["_netdev", "bind"]),
        ("xfs", ["noatime"], ["noatime"]),
        ("efs", ["tls"], ["_netdev", "tls"]),
    ],
)
def test_options_are_completed(kind: str, given: list[str], wanted: list[str]) -> None:
    """Over a network with `_netdev`; NFS hard and with a version, unless others were given."""
    assert entry.full_options(kind, given) == wanted


# --- asking ----------------------------------------------------------------------------------------------------------


def test_a_question_is_given_up() -> None:
    """One that takes too long is an error at its time, and its process does not stay."""
    began = time.monotonic()
    with pytest.raises(ClusterkitError, match=r"the share did not answer within 0.3 s") as error:
        asking.within(0.3, "the share", lambda: time.sleep(30))
    assert time.monotonic() - began < 5 and error.value.details == {"timed_out": True}
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_a_question_is_answered_or_fails_with_its_reason(tmp_path: pathlib.Path) -> None:
    """What it returns comes back; what it raises too, with its number."""
    assert asking.within(10, "it", lambda: {"a": ["ü", 1]}) == {"a": ["ü", 1]}
    assert len(asking.within(10, "it", lambda: "x" * 300_000)) == 300_000
    with pytest.raises(ClusterkitError, match="No such file") as error:
        asking.within(10, "it", lambda: (tmp_path / "missing").stat().st_size)
    assert error.value.details == {"errno": 2}
    with pytest.raises(ClusterkitError, match="ended without an answer"):
        asking.within(10, "it", lambda: os._exit(3))


@pytest.mark.skipif(os.getuid() != 0, reason="only root becomes another user")
def test_a_question_is_asked_as_its_user() -> None:
    """With the user's group and no others."""
    said = asking.within(10, "it", lambda: [os.getuid(), os.getgid(), os.getgroups()], 65534, 65534)
    assert said == [65534, 65534, []]


# --- the guard -------------------------------------------------------------------------------------------------------


def table(kind: str = "nfs4", source: str = "nas:/artifacts", point: str = "/srv/artifacts") -> list[mounts.Mounted]:
    """Return a table of mounts with one share."""
    root = mounts.Mounted("/", "/", "ext4", "/dev/vda1", ("rw",))
    return [root, mounts.Mounted(point, "/", kind, source, ("rw", "hard"))]


def test_another_share_is_noticed() -> None:
    """By its source and kind where the kernel shows them as they were given."""
    assert guard.look(SHARE, "app", table(point="/srv/x")).problem == "nothing is mounted at /srv/artifacts"
    assert guard.look(SHARE, "app", table("autofs", "systemd-1")).problem == "nothing is mounted at /srv/artifacts"
    assert (
        "old:/x is mounted at /srv/artifacts, not nas:/artifacts"
        in guard.look(SHARE, "app", table("nfs", "old:/x")).problem
    )
    assert "a tmpfs (tmpfs) is mounted" in guard.look(SHARE, "app", table("tmpfs", "tmpfs")).problem
    bind = Share("b", "/srv/bind", "/srv/artifacts/sub", "none", ("bind",))
    mounted = mounts.Mounted("/srv/bind", "/sub", "nfs4", "nas:/artifacts", ())
    assert guard.unlike(bind, mounted, table()) == ""
    assert "not /srv/artifacts/sub" in guard.unlike(
        bind, mounts.Mounted("/srv/bind", "/", "nfs4", "nas:/artifacts", ()), table()
    )


def test_the_sentinel_decides(tmp_path: pathlib.Path) -> None:
    """None, another cluster's and the right one."""
    share = Share("artifacts", str(tmp_path), "x", "tmpfs")
    there = table("tmpfs", "tmpfs", str(tmp_path))
    seen = guard.look(share, "app", there)
    assert seen.answers and "has no .clusterkit-share: is it the right share?" in seen.problem
    (tmp_path / settings.SENTINEL).write_text(settings.sentinel("other", "artifacts"))
    assert "is share artifacts of other, not share artifacts of app" in guard.look(share, "app", there).problem
    (tmp_path / settings.SENTINEL).write_text(settings.sentinel("app", "artifacts"))
    assert guard.look(share, "app", there).problem == ""


def test_the_program_says_why(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """A share that is not mounted ends with 1 and the reason; one that it does not know too."""
    monkeypatch.setattr(settings, "read_all", lambda: {"app": [Share("a", str(tmp_path), "x", "nfs")]})
    assert guard.main(["check", str(tmp_path)]) == 1
    assert f"nothing is mounted at {tmp_path}" in capsys.readouterr().err
    assert guard.main(["check", "/elsewhere"]) == 1
    assert "knows no share at /elsewhere" in capsys.readouterr().err
    assert guard.main(["status"]) == 1
    assert json.loads(capsys.readouterr().out) == {str(tmp_path): f"nothing is mounted at {tmp_path}"}
    assert guard.main([]) == 64


def test_settings_are_read_again(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written is what is read, for each cluster; a damaged file is told of."""
    monkeypatch.setattr(settings, "DIRECTORY", str(tmp_path))
    path = tmp_path / "app.json"
    path.write_text(settings.text("app", cluster.shares([{**GIVEN, "services": ["a.service"]}])))
    (tmp_path / "other.json").write_text(settings.text("other", []))
    assert settings.read_all() == {"app": [Share(**{**vars(SHARE), "services": ("a.service",)})], "other": []}
    path.write_text("{}")
    with pytest.raises(ClusterkitError, match="is damaged"):
        settings.read_all()
    assert settings.read("none") == []


def test_below_is_seen_where_nothing_is_mounted(tmp_path: pathlib.Path) -> None:
    """What a mount would hide; a file in its place is refused."""
    (tmp_path / "x").touch()
    assert below.look(str(tmp_path), []).names == ("x",)
    assert not below.look(str(tmp_path / "none"), []).exists
    with pytest.raises(ClusterkitError, match="is no directory"):
        below.look(str(tmp_path / "x"), [])


def test_locks_keep_others_out(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one member holds the others do not get, until it is released; files are read with owner and mode."""
    monkeypatch.setattr(probe, "HELD", str(tmp_path / "held-{}"))
    monkeypatch.setattr(probe.Probe, "_require_mounted", lambda self: None)
    share = Share("a", str(tmp_path), "x", "tmpfs")
    one, other = (probe.Probe(share, name, "t", limit=5) for name in ("n1", "n2"))
    written = {name: tried.write() for name, tried in (("n1", one), ("n2", other))}
    one.hold()
    try:
        assert other.try_locks() == {"flock": "kept out", "posix": "kept out"}
        seen = other.read(["n1", "n2"])
        assert seen == {name: {"error": "", **said} for name, said in written.items()}
        assert written["n1"]["mode"] == "0640"
    finally:
        one.release()
    end = time.monotonic() + 10
    while other.try_locks() != {"flock": "taken", "posix": "taken"}:
        assert time.monotonic() < end
    quick = probe.Probe(share, "n1", "t", limit=0.2)
    assert quick.read(["n3"])["n3"]["error"] == "No such file or directory"
    one.clear()
    assert [path.name for path in tmp_path.iterdir()] == []


def test_a_directory_that_is_only_remembered_is_waited_for(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As sshfs shows it for 20 s after another member has removed it: there to mkdir, and not there to open."""
    monkeypatch.setattr(probe.Probe, "_require_mounted", lambda self: None)
    monkeypatch.setattr(probe.Probe, "_ask", lambda _self, question: question())
    make, stale = os.mkdir, [True] * 3

    def remembering(path: str, mode: int) -> None:
        if stale:
            stale.pop()
            raise FileExistsError(17, "File exists", path)
        make(path, mode)

    monkeypatch.setattr(os, "mkdir", remembering)
    share = Share("a", str(tmp_path), "x", "fuse.sshfs")
    assert probe.Probe(share, "n1", "t", limit=30).write()["mode"] == "0640" and not stale
    stale.extend([True] * 1000)
    with pytest.raises(FileNotFoundError):
        probe.Probe(Share("a", str(tmp_path / "none"), "x", "fuse.sshfs"), "n1", "t", limit=0.2).write()


# --- together --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"name": "a b"}, "has the name 'a b'"),
        ({"path": "srv"}, "has the path 'srv'"),
        ({"path": "/srv/a b"}, "has the path '/srv/a b'"),
        ({"path": "/srv/../etc"}, "has the path '/srv/../etc'"),
        ({"path": "/var/"}, "a directory of the system itself"),
        ({"source": ""}, "has source '' and fstype 'nfs'"),
        ({"fstype": ""}, "fstype ''"),
        ({"source": "nas:/a b"}, "white space"),
        ({"entry": "mtab"}, "has entry mtab"),
        ({"state": "gone"}, "has state gone"),
        ({"options": ["ro,soft"]}, "has options ro,soft"),
        ({"options": ["soft"]}, "a slow server damages files"),
        ({"options": ["pass=x"]}, "a password among its options"),
        ({"mode": "999"}, "has mode 999"),
        ({"services": ["app"]}, "has services app"),
    ],
)
def test_mistakes_are_one_sentence_each(changed: dict[str, Any], said: str) -> None:
    """With the share, what was found, and what would be right."""
    (sentence,) = cluster.mistakes([{**GIVEN, **changed}])
    assert said in sentence and "shared_mount_mounts share" in sentence


def test_what_is_right_is_no_mistake() -> None:
    """Also soft where it was said, and one that is mounted by others."""
    assert cluster.mistakes([GIVEN]) == []
    assert cluster.mistakes([{**GIVEN, "options": ["soft"], "allow_soft": True}]) == []
    assert cluster.mistakes([{"name": "a", "path": "/srv/a", "entry": "existing"}]) == []
    assert cluster.mistakes([]) == ["shared_mount_mounts is empty - give the shares to mount"]
    assert len(cluster.mistakes([GIVEN, GIVEN])) == 2


def found(**changed: Any) -> dict[str, Any]:
    """Return what a member says that is well."""
    share = {
        "error": "",
        "uid": 7,
        "gid": 7,
        "below": [],
        "immutable": "set",
        "link": "",
        "mounted": {"source": "nas:/artifacts", "type": "nfs4", "options": ["rw", "hard"]},
        "problem": "",
        "sentinel": "x",
        "answers": True,
        "recorded": True,
        "others": [],
        "services": {"app.service": {"known": True, "active": True, "guarded": True}},
    }
    return {"shares": {"artifacts": {**share, **changed}}, "recorded": ["artifacts"], "leaving": []}


WANTED = cluster.shares([{**GIVEN, "owner": "app", "services": ["app.service"]}])
NOTHING = {"mounted": None, "problem": "nothing is mounted", "sentinel": None, "answers": False}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"error": "user 'app' does not exist"}, "On h2: user 'app' does not exist."),
        ({"link": "/mnt/x"}, "leads through a symbolic link to /mnt/x"),
        ({"problem": "old:/x is mounted", "sentinel": None, "answers": False}, "On h2 old:/x is mounted."),
        ({"problem": "it has none.", "sentinel": None}, "run once with shared_mount_new=artifacts"),
        (NOTHING, "app.service runs without its share"),
        ({**NOTHING, "services": {}, "below": ["a", "b"]}, "holds a, b, which a mount would hide"),
        ({"services": {"app.service": {"known": False, "active": False, "guarded": False}}}, "no unit app.service"),
        ({"others": ["db"]}, "is a share of db already"),
        ({"immutable": "unset"}, ""),
        ({"immutable": "none"}, "has no flag immutable: say immutable: false"),
        ({"uid": 8}, "owner app of share artifacts is 7 on h1, 8 on h2"),
    ],
)
def test_what_is_in_the_way_is_told(changed: dict[str, Any], said: str) -> None:
    """With the host, what was found there, and what would be right."""
    sentences = cluster.problems({"h1": found(), "h2": found(**changed)}, MEMBERS, WANTED)
    assert len(sentences) == (1 if said else 0) and said in "".join(sentences)


def test_a_share_that_is_named_no_more_is_told() -> None:
    """It would stay mounted for ever."""
    (sentence,) = cluster.problems({"h1": found()}, MEMBERS[:1], [])
    assert "h1 has the share artifacts, which shared_mount_mounts does not name any more" in sentence
    assert cluster.problems({"h1": {**found(), "leaving": ["artifacts"]}}, MEMBERS[:1], []) == []
    (sentence,) = cluster.problems({}, MEMBERS[:1], [])
    assert "h1 could not be asked" in sentence


def test_members_that_an_nfs_server_takes_for_one_are_told() -> None:
    """Of one host name and without identifiers of their own; a server of version 3 keeps no such clients."""
    alike = {host: {**found(), "nfs_client": "app"} for host in ("h1", "h2")}
    (sentence,) = cluster.problems(alike, MEMBERS, WANTED)
    assert "h1, h2 are one client to the server of artifacts" in sentence and "nfs4_unique_id" in sentence
    apart = {host: {**found(), "nfs_client": f"{host}/app"} for host in ("h1", "h2")}
    assert cluster.problems(apart, MEMBERS, WANTED) == []
    assert cluster.problems(alike, MEMBERS, cluster.shares([{**GIVEN, "options": ["vers=3"]}])) == []


def test_by_what_an_nfs_server_knows_this_host(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel's setting is asked first, then that of its module, then what the module will be told."""
    places = [tmp_path / "net", tmp_path / "module"]
    monkeypatch.setattr(helpers, "NFS_IDENTIFIERS", [str(path) for path in places])
    monkeypatch.setattr(helpers, "MODPROBE", str(tmp_path / "*.conf"))
    name = os.uname().nodename
    assert helpers.nfs_client() == name
    (tmp_path / "nfs.conf").write_text("options lockd x=1\noptions nfs callback_tcpport=1 nfs4_unique_id=later\n")
    assert helpers.nfs_client() == f"later/{name}"
    places[0].write_text("(null)\n")
    places[1].write_bytes(b"loaded\n\0")
    assert helpers.nfs_client() == f"loaded/{name}"
    places[0].write_text("set\n")
    assert helpers.nfs_client() == f"set/{name}"


def tried(**changed: Any) -> dict[str, Any]:
    """Return what a member read that is well."""
    file = {"error": "", "owner": 7, "group": 7, "mode": "0640"}
    said = {"error": "", "files": {"n1": file, "n2": file}, "locks": {"flock": "kept out", "posix": "kept out"}}
    return {"shares": {"artifacts": {**said, **changed}}}


WRITTEN = {
    host: {"shares": {"artifacts": {"error": "", "owner": 7, "group": 7, "mode": "0640"}}} for host in ("h1", "h2")
}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, ""),
        ({"locks": {"flock": "taken", "posix": "kept out"}}, "n2 flock: taken, while another member had the lock"),
        ({"locks": {"flock": "kept out", "posix": "No locks available"}}, "posix: No locks available"),
        ({"error": "it hangs", "files": {}, "locks": {}}, "n2 it hangs"),
        ({"files": {}}, "the file of n1: it was not asked"),
        (
            {"files": {name: {"error": "", "owner": 65534, "group": 7, "mode": "0640"} for name in ("n1", "n2")}},
            "the file of n1 has owner 65534, not 7",
        ),
    ],
)
def test_sharing_is_verified(changed: dict[str, Any], said: str) -> None:
    """Each member reads what all wrote and is kept out by the lock of one; what does not arrive is named."""
    both = {"h1": found(), "h2": found()}
    document = cluster.verification(
        both, MEMBERS, WANTED, "app", WRITTEN, {"h1": tried(), "h2": tried(**changed)}, holder="h1"
    )
    assert document["ok"] is (not said)
    assert said in "; ".join(check["evidence"] for check in document["checks"] if not check["ok"])


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"problem": "n2 hangs"}, "n2 hangs"),
        ({"mounted": {"source": "s", "type": "nfs4", "options": ["soft"]}}, "soft: mount it anew"),
        ({"immutable": "unset"}, "is open while the share is missing"),
        ({"services": {"app.service": {"guarded": False}}}, "app.service starts without it"),
    ],
)
def test_a_member_that_is_not_closed_is_named(changed: dict[str, Any], said: str) -> None:
    """Mounted, hard, closed below and guarded, each by itself."""
    both = {"h1": found(), "h2": found(**changed)}
    document = cluster.verification(both, MEMBERS, WANTED, "app", WRITTEN, {"h1": tried(), "h2": tried()}, holder="h1")
    bad = [check for check in document["checks"] if not check["ok"]]
    assert len(bad) == 1 and said in bad[0]["evidence"] and bad[0]["member"] == "n2"
    assert not document["ok"]


def test_services_are_bound_to_their_shares() -> None:
    """One drop-in a service with all its shares; one that is named no more goes."""
    other = {**GIVEN, "name": "two", "path": "/srv/a-b", "services": ["app.service"]}
    files = cluster.drop_ins(cluster.shares([{**GIVEN, "services": ["app.service"]}, other]), "app", ["gone.service"])
    assert files[0] == {
        "path": "/etc/systemd/system/gone.service.d/clusterkit-shared-mount-app.conf",
        "state": "absent",
    }
    text = files[1]["content"]
    assert "RequiresMountsFor=/srv/artifacts\nBindsTo=srv-artifacts.mount\n" in text
    assert "Requires=clusterkit-shared-mount@srv-a\\x2db.service\n" in text
    unit = {"LoadState": "loaded", "ActiveState": "active", "Requires": "x.service", "After": "x.service"}
    assert helpers.guarded(unit, "/srv/a-b") == {"known": True, "active": True, "guarded": False}
    # As systemctl 252 printed it
    guards = 'basic.target "clusterkit-shared-mount@srv-a\\\\x2db.service" system.slice'
    assert helpers.guarded({**unit, "Requires": guards, "After": guards}, "/srv/a-b")["guarded"]


def test_a_unit_is_one_that_systemd_takes(tmp_path: pathlib.Path) -> None:
    """With all that a mount needs, for a network or without one."""
    text = entry.unit(SHARE)
    assert "What=nas:/artifacts\nWhere=/srv/artifacts\nType=nfs\nOptions=_netdev,hard,vers=4.2\n" in text
    assert "WantedBy=remote-fs.target" in text
    assert "WantedBy=local-fs.target" in entry.unit(Share("b", "/srv/b", "/dev/vdb1", "xfs"))


def test_missing_programs_are_told() -> None:
    """By the kind of the file system; a kind that the kernel mounts alone needs none."""
    assert helpers.missing(["fuse.surely-not-there", "ext4", ""]) == {"fuse.surely-not-there"}
