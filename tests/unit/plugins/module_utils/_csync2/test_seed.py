# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Seeding by the real rsync, the two hosts being two directories: what comes, what stays, what is refused."""

from __future__ import annotations

import multiprocessing
import os
import pathlib
import signal
import sys
import tempfile
import time
from typing import Any, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.bundle import bundle
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.progress import Progress
from ansible_collections.clusterkit.middleware.plugins.module_utils._csync2 import seed
from ansible_collections.clusterkit.middleware.plugins.module_utils._csync2.config import (
    PROBE_GROUP,
    Config,
    Group,
    Host,
    render,
    with_probe,
)

ASKED = "rsync --server --sender -lHogDtpAXRe.LsfxCIvu --timeout=60 --numeric-ids --files-from list --from0 . {}"
Tree = dict[str, Any]


def two_hosts(directory: pathlib.Path, exclude: str = "*~") -> Config:
    """Return a configuration in which what is below /one on n1 is the same as what is below /two on n2."""
    prefix = ("data", [("n1", f"{directory}/one"), ("n2", f"{directory}/two")])
    patterns = [("include", "%data%/web"), ("exclude", exclude), ("exclude", "%data%/web/private")]
    return Config(groups=[Group("web", [Host("n1"), Host("n2")], key="/k", patterns=patterns)], prefixes=[prefix])


class Seeding:
    """A seeding from one directory to another."""

    def __init__(self, directory: pathlib.Path, program: pathlib.Path) -> None:
        self.directory = directory
        self.source, self.target = directory / "one" / "web", directory / "two" / "web"
        self.source.mkdir(parents=True)
        self.target.parent.mkdir()
        self.config = two_hosts(directory)
        (directory / "csync2.cfg").write_text(render(self.config), encoding="utf-8")
        serve = f"{sys.executable} {program} serve-seed --name n1 --newcomer n2 --config {directory}/csync2.cfg"
        #: What sshd would run on the source, with what the words after the host's name ask for.
        self.shell = ["sh", "-c", f'shift; SSH_ORIGINAL_COMMAND="$*" exec {serve}', "sh"]

    def __call__(self, status: str | None = None) -> int:
        return seed.seed(self.config, "n2", "n1", self.shell, Progress(status))

    def left(self) -> list[str]:
        """Return what is between the places."""
        return [str(path) for path in self.directory.rglob(seed.STAGING)]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Return the program that the role installs."""
    path = tmp_path_factory.mktemp("program") / "clusterkit-csync2"
    path.write_bytes(bundle(pathlib.Path(seed.__file__).parents[1], "_csync2.agent"))
    return path


@pytest.fixture
def seeding(tmp_path: pathlib.Path, program: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Seeding:
    """Return a seeding between two empty directories."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return Seeding(tmp_path, program)


def grow(root: pathlib.Path, tree: Tree) -> None:
    """Make files (bytes), links (text) and directories (of these) below a directory."""
    for name, what in tree.items():
        path = root / name
        if isinstance(what, dict):
            path.mkdir(parents=True, exist_ok=True)
            grow(path, what)
        elif isinstance(what, bytes):
            path.write_bytes(what)
        else:
            path.symlink_to(what)


def seen(root: pathlib.Path) -> dict[str, Any]:
    """Return what is below a directory, with content and attributes."""
    out: dict[str, Any] = {}
    for path in root.rglob("*"):
        status = path.lstat()
        content: Any = os.readlink(path) if path.is_symlink() else None
        if path.is_file() and not path.is_symlink():
            content = (path.read_bytes(), status.st_mtime_ns)
        out[str(path)[len(str(root)) :]] = (content, oct(status.st_mode), status.st_uid, status.st_gid)
    return out


# --- what comes ------------------------------------------------------------------------------------------------------


def test_a_bare_newcomer_gets_all_that_is_included(seeding: Seeding) -> None:
    """Files, links, hard links, attributes and odd names come; what is excluded does not; nothing is left over."""
    odd = {
        "-rf": b"dash",
        "#no comment": b"#",
        "; none": b";",
        "line\nend": b"2",
        "no utf-8 \udcff": b"\xff",
        " ": b"space",
        "*": b"star",
    }
    grow(seeding.source, {**odd, "link": "/nowhere", "a": {"b": {"c": b"deep"}, "draft~": b"x"}})
    grow(seeding.source, {"private": {"k": b"secret"}, "a~": {"in": b"x"}, "empty": {}, "v": b"x"})
    (seeding.source / "a" / "same").hardlink_to(seeding.source / "v")
    os.setxattr(seeding.source / "v", "user.note", b"kept")
    (seeding.source / "v").chmod(0o4755)
    (seeding.source / "empty").chmod(0o2710)
    os.mkfifo(seeding.source / "fifo")
    assert seeding() == 16
    there = seen(seeding.source)
    for gone in ("/a/draft~", "/private", "/private/k", "/a~", "/a~/in"):
        del there[gone]
    assert seen(seeding.target) == there
    assert (seeding.target / "a" / "same").samefile(seeding.target / "v")
    assert os.getxattr(seeding.target / "v", "user.note") == b"kept"
    assert seeding.left() == []
    assert seeding() == 0
    assert seen(seeding.target) == there


def test_nothing_that_is_there_is_replaced(seeding: Seeding) -> None:
    """Neither a file nor a link nor a directory's mode; what is beside them comes all the same."""
    grow(
        seeding.source,
        {"file": b"theirs", "d": {"x": b"theirs", "new": b"new"}, "kind": {"x": b""}, "l": b"x"},
    )
    grow(
        seeding.target.parent,
        {"web": {"file": b"mine", "d": {"x": b"mine"}, "kind": b"a file", "l": "/nowhere"}},
    )
    (seeding.target / "d").chmod(0o700)
    before = seen(seeding.target)
    assert seeding() == 1
    after = seen(seeding.target)
    assert after.pop("/d/new")[0][0] == b"new"
    assert after == before


def test_a_directory_takes_no_files_of_another_users_link(seeding: Seeding, tmp_path: pathlib.Path) -> None:
    """Where the newcomer has a link in place of a directory nothing comes through it."""
    (tmp_path / "elsewhere").mkdir()
    grow(seeding.source, {"d": {"x": b"theirs"}})
    grow(seeding.target.parent, {"web": {"d": str(tmp_path / "elsewhere")}})
    assert seeding() == 0
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_what_this_host_does_not_include_is_not_taken(seeding: Seeding) -> None:
    """A source with another configuration decides nothing here."""
    grow(seeding.source, {"a": {"keep": b"x", "core": b"x", "core.d": {"x": b"x"}}, "core": b"x"})
    seeding.config = two_hosts(seeding.directory, exclude="core*")
    assert seeding() == 3
    assert sorted(seen(seeding.target)) == ["/a", "/a/keep"]


NAMES = (
    st.binary(min_size=1, max_size=4)
    .filter(lambda name: not {b"/", b"\0"} & {name[i : i + 1] for i in range(len(name))} and name not in (b".", b".."))
    .map(os.fsdecode)
)
TREES = st.recursive(st.binary(max_size=3), lambda below: st.dictionaries(NAMES, below, max_size=4), max_leaves=12)


@settings(max_examples=15, deadline=None)
@given(here=st.dictionaries(NAMES, TREES, max_size=4), there=st.dictionaries(NAMES, TREES, max_size=4))
def test_every_tree_is_completed_and_kept(
    tmp_path_factory: pytest.TempPathFactory, program: pathlib.Path, here: Tree, there: Tree
) -> None:
    """Afterwards the newcomer has what it had, byte for byte, and all of the source's that was missing."""
    seeding = Seeding(tmp_path_factory.mktemp("any"), program)
    grow(seeding.source, there)
    grow(seeding.target.parent, {"web": here})
    before, source = seen(seeding.target), seen(seeding.source)
    seeding()
    after = seen(seeding.target)
    assert {path: after.get(path) for path in before} == before
    # Below a file of the newcomer nothing can be
    blocked = [path + "/" for path, (content, *_rest) in before.items() if content is not None]
    wanted = {
        path: what
        for path, what in source.items()
        if path not in before
        and "~/" not in path + "/"
        and not path.startswith(tuple(blocked))
        and "/private" not in path
    }
    assert {path: what for path, what in after.items() if path not in before} == wanted
    assert seeding.left() == []


def test_progress_is_told(seeding: Seeding) -> None:
    """It is counted in bytes: rsync's own count of files is another in each version."""
    grow(seeding.source, {str(number): b"x" for number in range(50)})
    progress = Progress(None)
    seed.seed(seeding.config, "n2", "n1", seeding.shell, progress)
    status = progress.status()
    assert (status["done"], status["note"]) == (50, f"100 % of {seeding.target}")


# --- what goes wrong -------------------------------------------------------------------------------------------------


def test_a_source_that_cannot_be_reached(seeding: Seeding) -> None:
    """What the remote shell said is in the error; nothing is left, and nothing came."""
    grow(seeding.source, {"a": b"x"})
    seeding.shell = ["sh", "-c", "echo 'Permission denied (publickey).' >&2; exit 255"]
    with pytest.raises(ClusterkitError, match=r"rsync ended with \d+: .*Permission denied \(publickey\)"):
        seeding()
    assert not seeding.target.exists() and seeding.left() == []


def test_leftovers_of_a_killed_seeding_are_found_and_removed(seeding: Seeding) -> None:
    """In the included directory or above it; a link that somebody put there is removed and not followed."""
    grow(seeding.source, {"a": b"x"})
    (seeding.target.parent / seed.STAGING / "files").mkdir(parents=True)
    assert seed.remains(seeding.config, "n2") == [str(seeding.target.parent / seed.STAGING)]
    assert seeding() == 2 and seeding.left() == []
    (seeding.target / seed.STAGING).symlink_to(seeding.source)
    (found,) = seed.remains(seeding.config, "n2")
    seed.remove(found)
    assert (seeding.source / "a").exists() and seed.remains(seeding.config, "n2") == []


@pytest.mark.parametrize("victim", ["process", "rsync"])
def test_killed_in_the_middle(seeding: Seeding, victim: str, ends_soon: Callable[[int], bool]) -> None:
    """No file is half there, nothing goes on alone, and the next seeding ends right."""
    grow(seeding.source, {"d": {str(number): os.urandom(30000) for number in range(300)}})
    # The connection stands still after a third, until somebody opens the pipe
    os.mkfifo(seeding.directory / "on")
    plain = seeding.shell[2]
    seeding.shell[2] = (
        plain.replace("exec ", "") + f" | {{ stdbuf -o0 head -c 3000000; read on < {seeding.directory}/on; }}"
    )
    process = multiprocessing.get_context("fork").Process(target=seeding)
    process.start()
    staged = seeding.target.parent / seed.STAGING / "files" / "web" / "d"
    end = time.monotonic() + 30
    while not (staged.is_dir() and len(list(staged.iterdir())) > 3):
        assert time.monotonic() < end and process.is_alive()
        time.sleep(0.01)
    children = [
        int(pid) for pid in pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    ]
    os.kill(children[0] if victim == "rsync" else process.pid or 0, signal.SIGKILL)
    process.join(timeout=30)
    assert process.exitcode
    assert all(ends_soon(pid) for pid in children)
    assert not seeding.target.exists()
    os.close(os.open(seeding.directory / "on", os.O_RDWR))
    seeding.shell[2] = plain
    assert bool(seeding.left()) == (victim == "process")
    assert seeding() == 302
    assert seen(seeding.target) == seen(seeding.source) and seeding.left() == []


# --- what is asked for -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "asked",
    [
        "",
        "sh",
        "rsync --server -lHogDtpAXRe.LsfxCIvu . {id}",
        "rsync --server --sender -lHogDtpAXRe.LsfxCIvu --files-from list --from0 . /etc",
        "rsync --server --sender -lHogDtpAXRe.LsfxCIvu --files-from list --from0 . {id}/../../etc",
        "rsync --server --sender -lHogDtpAXRe.LsfxCIvu --files-from list --from0 . {id} /etc",
        "rsync --server --sender -lHogDtpAXRe.LsfxCIvu --files-from list --from0 . 0123456789abcdef",
        "rsync --server --sender -lHogDtpAXRe.LsfxCIvu --files-from list --from0 . {id}; id",
        "{id}",
        "rsync --daemon --server --sender -e.L . {id}",
        "sh -c rsync --server --sender -e.L . {id}",
        "rsync --server --sender -e.L . {id}\nsh",
    ],
)
def test_the_key_opens_nothing_else(seeding: Seeding, asked: str) -> None:
    """Whatever is no request for the files of a root is refused, in one sentence."""
    (root,) = seed.roots(seeding.config, "n1")
    with pytest.raises(ClusterkitError, match="refused: this key is for the files that n1 shares with n2 alone"):
        seed.served(seeding.config, "n1", "n2", asked.format(id=root.id))


def test_options_that_are_asked_for_count_for_nothing(seeding: Seeding) -> None:
    """rsync runs with the role's own options and list, whatever the other end would like."""
    grow(seeding.source, {"a": b"x", "private": {"k": b"secret"}})
    (root,) = seed.roots(seeding.config, "n1")
    plain = seed.served(seeding.config, "n1", "n2", ASKED.format(root.id))
    asked = ASKED.replace(
        "--timeout=60", "--remove-source-files --copy-links --log-file=/etc/x --files-from=/etc/shadow"
    )
    assert seed.served(seeding.config, "n1", "n2", asked.format(root.id)) == plain
    argv, names = plain
    assert argv == [
        *(
            b"rsync",
            b"--server",
            b"--sender",
            b"-logDtpRHAXe.LsfxCIvu",
            b"--numeric-ids",
            b"--no-implied-dirs",
            b"--timeout=60",
            b"--from0",
        ),
        *(b"--files-from=LIST", b".", os.fsencode(seeding.source.parent) + b"/"),
    ]
    assert sorted(names.split(b"\0")) == [b"", b"web", b"web/a"]


def test_a_root_that_the_source_has_not(seeding: Seeding) -> None:
    """Nothing is sent, and that is no error: a newcomer need not know."""
    seeding.source.rmdir()
    (root,) = seed.roots(seeding.config, "n1")
    assert seed.served(seeding.config, "n1", "n2", ASKED.format(root.id))[1] == b""
    assert seeding() == 0 and seeding.left() == []


# --- who gets files from whom ----------------------------------------------------------------------------------------


def members(*names: str) -> list[dict[str, str]]:
    return [{"host": f"host-{name}", "name": name, "address": "192.0.2.1"} for name in names]


def groups(**files: int) -> dict[str, Any]:
    """Return what is counted on a host; a group whose name begins with `slave` is not given to others."""
    return {"groups": {name: {"files": count, "gives": not name.startswith("slave")} for name, count in files.items()}}


PLANS: list[tuple[dict[str, Any], dict[str, Any], dict[str, str]]] = [
    ({"n1": groups(web=5000), "n2": groups(web=3)}, {}, {"host-n2": "host-n1"}),
    ({"n1": groups(web=501), "n2": groups(web=2)}, {}, {}),
    ({"n1": groups(web=502), "n2": groups(web=2)}, {}, {"host-n2": "host-n1"}),
    (
        {"n1": groups(web=0), "n2": groups(web=900), "n3": groups(web=0)},
        {},
        {"host-n1": "host-n2", "host-n3": "host-n2"},
    ),
    ({"n1": groups(web=5000), "n2": groups(web=0)}, {"source": "n2"}, {}),
    ({"n1": groups(web=700), "n2": groups(web=900), "n3": groups(web=0)}, {"source": "n1"}, {"host-n3": "host-n1"}),
    ({"n1": groups(other=5000), "n2": groups(web=0)}, {}, {}),
    ({"n1": groups(slave_web=5000), "n2": groups(slave_web=0)}, {}, {}),
    ({"n1": groups(web=5000), "n2": groups(web=0)}, {"new": []}, {}),
    ({"n1": groups(web=5000)}, {}, {}),
    ({}, {}, {}),
]


@pytest.mark.parametrize(("counted", "options", "wanted"), PLANS)
def test_plan(counted: dict[str, Any], options: dict[str, Any], wanted: dict[str, str]) -> None:
    """The named member gives, else the one that has most to give; nobody gets what is not worth it."""
    hosts = {f"host-{name}": what for name, what in counted.items()}
    new = options.pop("new", list(hosts))
    assert seed.plan(hosts, members("n1", "n2", "n3"), new, minimum=500, **options) == wanted


def test_census_counts_by_csync2s_rules(seeding: Seeding) -> None:
    """Directories count, what is excluded does not; a slave has nothing to give."""
    grow(seeding.source, {"a": {"b": b"", "c~": b""}, "private": {"k": b""}})
    assert seed.census(seeding.config, "n1") == {"web": {"files": 3, "gives": True}}
    seeding.config.groups[0].hosts[0] = Host("n1", slave=True)
    assert seed.census(seeding.config, "n1") == {"web": {"files": 3, "gives": False}}
    assert seed.shared(seeding.config, "n1", "n2").groups == []


def test_what_verifications_send_is_not_seeded(seeding: Seeding) -> None:
    """A probe that came by rsync would show that csync2 sends files where it does not."""
    config = with_probe(seeding.config, ["n1", "n2"], "/k")
    assert [group.name for group in config.groups_of("n1")] == ["web", PROBE_GROUP]
    assert seed.shared(config, "n1", "n2") == seed.shared(seeding.config, "n1", "n2")
    assert list(seed.census(config, "n1")) == ["web"]


def test_roots_are_directories_above_wildcards_each_once() -> None:
    """A root below another one is part of it."""
    patterns = [
        ("include", text) for text in ("/srv/a/*/conf", "/srv/a/b", "/etc/x.cfg", "/srv/ab", "%none%/x", "/*/y")
    ]
    config = Config(groups=[Group("g", [Host("n1"), Host("n2")], patterns=patterns[:-1])])
    assert [root.path for root in seed.roots(config, "n1")] == [b"/etc/x.cfg", b"/srv/a", b"/srv/ab"]
    config.groups[0].patterns = patterns
    assert [root.path for root in seed.roots(config, "n1")] == [b"/"]
