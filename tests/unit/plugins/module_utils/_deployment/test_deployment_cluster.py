# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may synchronise with whom, lists of nodes, and what a receiver lets itself be asked for."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._deployment import cluster, receive, settings
from ansible_collections.clusterkit.middleware.plugins.module_utils._deployment.settings import (
    RECEIVER,
    SOURCE,
    Directory,
    Settings,
)

MEMBERS = [{"host": f"h{i}", "name": f"n{i}", "address": f"10.0.0.{i}"} for i in (1, 2, 3)]
FROM_RSYNC_3_2 = "rsync --server -logtprce.iLsfxCIvu --delete-delay --max-delete=-1 --timeout=60 . artifacts"


def found(**changes: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what was found on three servers, with changes by host."""
    out = {}
    for host in ("h1", "h2", "h3"):
        directory = {"name": "artifacts", "path": "/srv/artifacts", "exists": True, "is_directory": True}
        directory |= {"filled": True, "mount_point": "/", "digest": "d", "count": 2}
        one = {"role": RECEIVER, "recorded": {}, "directories": [directory], "user": "root", "port": 22, "closed": ""}
        one |= {"host_keys": [f"key {host}"], "public_key": "", "key_problem": "", "pins": {}, "probe_left": False}
        out[host] = {**one, "units": {}, **changes.get(host, {})}
    return out


def directory(**changes: Any) -> dict[str, Any]:
    return {"directories": [{**found()["h1"]["directories"][0], **changes}]}


@pytest.mark.parametrize(
    ("changes", "options", "said"),
    [
        ({}, {}, []),
        ({"h2": directory(is_directory=False, exists=False)}, {"create": True}, []),
        ({"h2": directory(is_directory=False, exists=False)}, {}, ["/srv/artifacts on h2 is not there", "_create"]),
        ({"h2": directory(is_directory=False)}, {"create": True}, ["/srv/artifacts on h2 is no directory"]),
        ({"h1": directory(filled=False)}, {}, ["on h1 has no file, and all others would lose theirs"]),
        ({"h1": directory(filled=False)}, {"allow_empty": True}, []),
        ({"h2": {"closed": "root may not log in by key: x"}}, {}, ["h1 cannot reach h2: root may not", "_sync_user"]),
        ({"h3": {"role": SOURCE}}, {}, ["h3 is the source now, and deployment_sync_source names h1"]),
        ({"h3": {"role": SOURCE}}, {"failover": True}, []),
        ({"h3": {"role": SOURCE}, "h1": {"role": SOURCE}}, {}, []),
        ({"h1": {"pins": {"n2": ["key old"]}}}, {}, ["h2 shows other host keys than h1 has pinned"]),
        ({"h1": {"pins": {"n2": ["key old"]}}}, {"rotate": True}, []),
        ({"h1": {"key_problem": "/k is not there"}}, {}, ["h1 cannot use the key: /k is not there"]),
        (
            {"h2": {**directory(), "recorded": {"directories": [{"name": "artifacts", "mount_point": "/srv"}]}}},
            {},
            ["/srv/artifacts on h2 is in the file system of / and was in that of /srv: mount it"],
        ),
    ],
)
def test_problems_are_named(changes: Any, options: Any, said: list[str]) -> None:
    """Each with what was found, where, and what would be right; none where all is well."""
    told = cluster.problems(found(**changes), MEMBERS, "h1", **options)
    assert bool(told) == bool(said)
    assert all(any(one in sentence for sentence in told) for one in said), told


def test_servers_that_do_not_answer_are_named_unless_they_are_dead() -> None:
    """One that is gone for good is not asked, and neither served nor pinned anew."""
    those = found()
    del those["h3"]
    assert "h3 could not be asked" in cluster.problems(those, MEMBERS, "h1")[0]
    living = [one for one in MEMBERS if one["host"] != "h3"]  # as the role takes members
    assert cluster.problems(those, living, "h1") == []
    text = cluster.settings(those, living, "h1", "h1", {})
    assert [one["name"] for one in json.loads(text)["nodes"]] == ["n2"]
    assert cluster.known_hosts(those, living, "h1") == "n2 key h2\n"


def test_settings_are_read_as_they_were_drawn_up(tmp_path: pathlib.Path) -> None:
    """What the role writes is what the program reads; a receiver knows of no node."""
    options = {"exclude": ["*.part"], "limit": "30", "delete_share": "0.25", "delete_minimum": "3", "io_limit": 7}
    for host, role in (("h1", SOURCE), ("h2", RECEIVER)):
        text = cluster.settings(found(), MEMBERS, host, "h1", options)
        (tmp_path / "s.json").write_text(text, encoding="utf-8")
        read = settings.read(str(tmp_path / "s.json"))
        assert read and (read.role, read.source, read.exclude) == (role, "n1", ("*.part",)) and read.text() == text
        assert (len(read.nodes), read.limit, read.delete_share) == (2 if host == "h1" else 0, 30.0, 0.25)


def test_list_of_nodes_is_read_as_manuals_write_it() -> None:
    """Users, addresses and names, paths with `~`; the source may be in it, comments and empty lines too."""
    text = "# all\nubuntu@10.0.0.1:~/setup/\n\n  root@n2:/srv/artifacts  \nh3:~\n"
    assert cluster.nodes(text, MEMBERS, "nodes-list.txt") == {
        "h1": {"user": "ubuntu", "path": "~/setup/"},
        "h2": {"user": "root", "path": "/srv/artifacts"},
        "h3": {"user": "", "path": "~"},
    }
    assert settings.nodes_list("a@[fe80::1]:/x", "f") == [{"user": "a", "host": "fe80::1", "path": "/x"}]
    with pytest.raises(ClusterkitError, match=r"line 2 of f is 'n2:setup': expected user@host:path"):
        cluster.nodes("n1:/a\nn2:setup\n", MEMBERS, "f")
    with pytest.raises(ClusterkitError, match=r"f has the node 10\.9\.9\.9, which is no member"):
        cluster.nodes("x@10.9.9.9:~/setup/", MEMBERS, "f")
    assert settings.expand("~/setup/", "root") == "/root/setup" and settings.expand("/a//b/", "root") == "/a/b"


def test_directories_have_one_name_wherever_they_are() -> None:
    """A server that has the first one elsewhere has it under the same name; the tenants' comes last."""
    plain = cluster.directories(["/opt/mi/server", "/srv/x"], "/opt/mi/tenants")
    moved = cluster.directories(["/opt/mi/server", "/srv/x"], "/opt/mi/tenants", "~/setup/")
    assert [one["name"] for one in plain] == [one["name"] for one in moved]
    assert [one["path"] for one in moved] == ["~/setup/", "/srv/x", "/opt/mi/tenants"]


@pytest.mark.parametrize(
    ("path", "patterns", "left_out"),
    [
        ("a/b.part", ["*.part"], True),
        ("b.part/c", ["*.part"], False),
        ("scratch", ["/scratch"], True),
        ("a/scratch", ["/scratch"], False),
        ("a/scratch", ["scratch"], True),
        ("a/x/c", ["/a/?/c"], True),
        ("a/x/y/c", ["/a/*/c"], False),
        (".clusterkit-staging", [], True),
        ("line\nend.part", ["*.part"], True),
    ],
)
def test_patterns_are_read_as_rsync_reads_them(path: str, patterns: list[str], left_out: bool) -> None:
    """Both have to leave out the same files, or verifications would complain of what was never sent."""
    assert settings.excluded(patterns)(path) is left_out


@pytest.fixture
def receiver(tmp_path: pathlib.Path) -> Settings:
    """Return the settings of a receiver."""
    (tmp_path / "artifacts").mkdir()
    path = str(tmp_path / "artifacts")
    return Settings(RECEIVER, "n2", "n1", (Directory("artifacts", path, settings.mount_point(path)),))


def test_what_rsync_asks_for_is_run_in_the_receivers_own_directory(receiver: Settings) -> None:
    """The name becomes this host's path, and files that are not whole lie outside of it."""
    argv, _lock = receive.prepare(receiver, FROM_RSYNC_3_2)
    path = receiver.directories[0].path
    assert argv[-2:] == [".", f"{path}/"]
    (staging,) = [word.partition("=")[2] for word in argv if word.startswith("--temp-dir=")]
    assert staging == str(pathlib.Path(path).parent / ".clusterkit-staging-artifacts")
    with pytest.raises(ClusterkitError, match=r"receiving files of .* already"):
        receive.prepare(receiver, FROM_RSYNC_3_2)


@pytest.mark.parametrize(
    "command",
    [
        "",
        "id",
        "rsync --server --sender -logtpre.iLsfxCIvu . artifacts",
        "rsync --server -logtpre.iLsfxCIvu . /etc",
        "rsync --server -logtpre.iLsfxCIvu . ../artifacts",
        "rsync --server -logtpre.iLsfxCIvu --remove-source-files . artifacts",
        "rsync --server -logtpKe.iLsfxCIvu . artifacts",
        "rsync --server -logtpre.iLsfxCIvu --temp-dir=/etc . artifacts",
        "rsync --server -logtpre.iLsfxCIvu . artifacts; id",
        "rsync --server -logtpre.iLsfxCIvu . artifacts artifacts",
        "rsync --server 'unbalanced",
        "sh -c 'rsync --server -e.x . artifacts'",
    ],
)
def test_nothing_else_is_run_for_the_source(receiver: Settings, command: str) -> None:
    """Neither other programs, nor reading, nor other places, nor options that reach beyond the directory."""
    with pytest.raises(ClusterkitError):
        receive.prepare(receiver, command)


def test_receiver_that_is_a_source_or_not_mounted_takes_nothing(receiver: Settings) -> None:
    """A second source would be overwritten; below a missing mount files would be written where nobody looks."""
    own = Settings(SOURCE, "n2", "n2", receiver.directories)
    with pytest.raises(ClusterkitError, match="n2 is the source itself"):
        receive.prepare(own, FROM_RSYNC_3_2)
    elsewhere = Directory("artifacts", receiver.directories[0].path, "/nowhere")
    with pytest.raises(ClusterkitError, match="is it not mounted"):
        receive.prepare(Settings(RECEIVER, "n2", "n1", (elsewhere,)), FROM_RSYNC_3_2)


def test_verification_names_what_differs() -> None:
    """The file, the server, and whether the file that was sent arrived and went."""
    those = found(h1={"role": SOURCE, "units": {"w": "active"}})
    those["h1"]["directories"][0]["entries"] = {"a": "1", "b": "1"}
    those["h3"]["directories"][0] |= {"digest": "e", "entries": {"a": "1", "b": "2"}}
    there = {"h1": {"probe": True}, "h2": {"probe": True}, "h3": {"probe": False}}
    reports = [{"node": "n2", "ok": True}, {"node": "n3", "ok": False, "error": "n3 is off"}]
    made = cluster.verification(those, MEMBERS, "c", "h1", there, ["w"], reports)
    wrong = [one["evidence"] for one in made["checks"] if not one["ok"]]
    assert wrong == ["n3 and h1 differ in /srv/artifacts: b", "n3 has not the file that was sent", "n3 is off"]
    del those["h2"]
    assert cluster.verification(those, MEMBERS, "c", "h1")["members_seen"] == ["n1", "n3"]
