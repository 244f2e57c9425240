# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases come to servers whole, also when a run ends anywhere; what no release has is kept; going back works."""

from __future__ import annotations

import hashlib
import os
import pathlib
import shutil
import tarfile
import tempfile
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ansible_collections.clusterkit.middleware.plugins.lookup.deployment_release import LookupModule
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._deployment import cluster, release
from ansible_collections.clusterkit.middleware.plugins.module_utils._deployment.manifest import manifest
from ansible_collections.clusterkit.middleware.plugins.modules import deployment_sync_info, deployment_sync_release

if TYPE_CHECKING:
    from tests.unit.conftest import RunModule

MEMBERS = [{"host": "h1", "name": "n1", "address": ""}, {"host": "h2", "name": "n2", "address": ""}]
#: Names among which a directory and a file of one name are.
NAMES = ("a", "a/b", "a/b/c", "d/e", "d", "f")


def sha256(content: str) -> str:
    """Return the hash of a text."""
    return hashlib.sha256(content.encode()).hexdigest()


def described(files: dict[str, str], name: str = "one") -> dict[str, Any]:
    """Return a release of one directory whose files hold what is given."""
    some = {path: {"sha256": sha256(text), "size": len(text.encode()), "mode": "0644"} for path, text in files.items()}
    return {"name": name, "files": {"app": some}}


def fill(directory: pathlib.Path, files: dict[str, str]) -> None:
    """Write files."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(content)


def put(store: release.Store, texts: set[str]) -> None:
    """Let contents be in a store."""
    pathlib.Path(store.object("x")).parent.mkdir(parents=True, exist_ok=True)
    for text in texts:
        pathlib.Path(store.object(sha256(text))).write_text(text)


def packed(place: pathlib.Path, texts: dict[str, str]) -> str:
    """Return an archive with contents under names."""
    path = place / "contents.tar"
    with tarfile.open(path, "w") as archive:
        for name, text in texts.items():
            (place / "content").write_text(text)
            archive.add(place / "content", arcname=name)
    return str(path)


class Server:
    """A server on which the module is called."""

    def __init__(self, run_module: RunModule, place: pathlib.Path) -> None:
        self._run_module = run_module
        self._place = place
        self.app = place / "app"
        self.app.mkdir(parents=True)
        self.store = release.Store(str(place / "store"))

    def call(self, state: str, check: bool = False, **more: Any) -> dict[str, Any]:
        """Call the module."""
        options: dict[str, Any] = {
            "store": self.store.path,
            "directories": [{"name": "app", "path": str(self.app)}],
            "backup_directory": str(self._place / "backup"),
            "lock": str(self._place / "lock"),
        }
        return self._run_module(deployment_sync_release.main, check=check, state=state, **{**options, **more})

    def deploy(self, files: dict[str, str], name: str = "one", **more: Any) -> dict[str, Any]:
        """Store a release, bring it, and settle it."""
        archive = packed(self._place, {sha256(text): text for text in files.values()})
        self.call("stored", release=described(files, name), archive=archive)
        done = self.call("current", release=described(files, name), **more)
        self.call("settled")
        return done

    def look(self, **more: Any) -> dict[str, Any]:
        """Ask what is here."""
        given = [{"name": "app", "path": str(self.app)}]
        return self._run_module(deployment_sync_info.main, directories=given, store=self.store.path, **more)

    def texts(self) -> dict[str, str]:
        """Return what the files of the directory hold."""
        return {str(one.relative_to(self.app)): one.read_text() for one in self.app.rglob("*") if one.is_file()}


@pytest.fixture
def server(run_module: RunModule, tmp_path: pathlib.Path) -> Server:
    """Return a server that has no release yet."""
    return Server(run_module, tmp_path / "server")


def test_only_what_differs_is_touched(server: Server) -> None:
    """Check mode tells what a run does; a second run does nothing; what stays the same is the same file."""
    fill(server.app, {"own": "mine", "same": "1"})
    files = {"same": "1", "sub/new": "2"}
    same = (server.app / "same").stat().st_ino
    predicted = server.call("current", check=True, release=described(files))
    assert server.call("current", release=described(files))["failed"] and server.texts() == {"own": "mine", "same": "1"}
    done = server.deploy(files)
    assert predicted["changed"] and predicted["diff"] == done["diff"]
    (told,) = done["directories"]
    assert (told["placed"], told["removed"], told["count"]) == (["sub/new"], ["own"], 2)
    assert server.texts() == files and (server.app / "same").stat().st_ino == same
    assert (pathlib.Path(told["backup"]) / "own").read_text() == "mine"
    again = server.call("current", release=described(files))
    assert (
        not again["changed"] and not again["differs"] and not server.call("stored", release=described(files))["changed"]
    )
    (server.app / "same").chmod(0o600)
    assert server.deploy(files)["changed"] and (server.app / "same").stat().st_mode & 0o777 == 0o644


def test_going_back_needs_nobody_else(server: Server) -> None:
    """The release before is here still, whole; of what no release has there are copies; older ones go."""
    server.deploy({"a": "1", "b": "1"}, "one")
    server.deploy({"a": "2"}, "two")
    assert server.look()["store"]["current"] == {"release": "two", "previous": "one", "settled": True}
    back = server.look(release="one", release_files=True)["store"]
    assert server.call("current", release={"name": "one", "files": back["files"]})["changed"]
    assert server.texts() == {"a": "1", "b": "1"} and not (server.app.parent / "backup").exists()
    assert server.call("settled", keep=1)["changed"] is False
    assert sorted(server.look()["store"]["releases"]) == ["one", "two"]
    server.deploy({"a": "3"}, "three")
    server.call("settled", keep=1)
    assert sorted(server.look()["store"]["releases"]) == ["one", "three"]
    held = {path.name for path in pathlib.Path(server.store.object("x")).parent.iterdir()}
    assert held == {sha256("1"), sha256("3")}
    assert server.call("absent")["changed"] and not server.call("absent")["changed"]
    assert server.texts() == {"a": "3"}


def test_what_is_not_settled_is_done_again(server: Server) -> None:
    """A run that ended between the artifacts and a restart: the next one has something to do."""
    server.deploy({"a": "1"})
    server.store.note("one", settled=False)
    again = server.call("current", release=described({"a": "1"}))
    assert again["changed"] and again["directories"][0]["placed"] == []
    server.call("settled")
    assert not server.call("current", release=described({"a": "1"}))["changed"]


def test_damage_is_noticed(server: Server) -> None:
    """A content that was sent wrong, or was damaged in the store, comes into no directory, and is sent anew."""
    wrong = server.call("stored", release=described({"a": "1"}), archive=packed(server.app.parent, {sha256("1"): "x"}))
    assert (
        wrong["failed"]
        and "run this again" in wrong["msg"]
        and server.store.missing(release.from_mapping(described({"a": "1"}))) == [sha256("1")]
    )
    server.deploy({"a": "1"})
    pathlib.Path(server.store.object(sha256("1"))).write_text("2")
    (server.app / "a").unlink()
    damaged = server.call("current", release=described({"a": "1"}))
    assert damaged["failed"] and "damaged" in damaged["msg"] and server.texts() == {}
    assert server.call("stored", release=described({"a": "1"}))["missing"] == [sha256("1")]
    assert list(server.app.parent.glob(".clusterkit-staging*")) == []
    for path in ("current.json", "releases/one.json"):
        (pathlib.Path(server.store.path) / path).write_text("{")
        assert "is damaged" in server.look(release="one")["msg"]
        (pathlib.Path(server.store.path) / path).unlink()


def test_a_probe_comes_and_goes(server: Server) -> None:
    """It is brought as artifacts are, and read where they are."""
    assert server.call("probed", token="now")["held"] == {str(server.app): "now"}
    assert server.call("probed", check=True, token="now")["held"] == {}
    assert list(server.app.iterdir()) == [] and list(server.app.parent.glob(".clusterkit-staging*")) == []


def test_excluded_files_stay(server: Server) -> None:
    """What is excluded is neither counted nor removed."""
    fill(server.app, {"x.tmp": "1", "own/scratch": "2", "gone": "3"})
    server.deploy({"a": "1"}, exclude=["*.tmp", "/own"])
    assert server.texts() == {"a": "1", "x.tmp": "1", "own/scratch": "2"}


class Ended(BaseException):
    """A process is killed."""


@given(
    here=st.dictionaries(st.sampled_from(NAMES), st.sampled_from("123"), max_size=4),
    wanted=st.dictionaries(st.sampled_from(NAMES), st.sampled_from("345"), max_size=4),
    after=st.integers(1, 30),
)
@settings(max_examples=150)
@example(here={"a/b/c": "1"}, wanted={"a": "3"}, after=9)  # ended when a directory was empty that becomes a file
def test_a_run_that_ends_anywhere_goes_on(here: dict[str, str], wanted: dict[str, str], after: int) -> None:
    """Whatever call a run ended at: no part of a file was ever there, nothing is lost, and the next one ends right."""

    def possible(files: dict[str, str]) -> dict[str, str]:
        return {name: text for name, text in files.items() if not any(one.startswith(f"{name}/") for one in files)}

    here, wanted = possible(here), possible(wanted)
    base = pathlib.Path(tempfile.mkdtemp(prefix="clusterkit-release-"))
    try:
        path, store, backup = base / "app", release.Store(str(base / "store")), base / "backup"
        fill(path, here)
        put(store, set(wanted.values()))
        before = manifest(str(path))
        files = described(wanted)["files"]["app"]
        names = ("rename", "unlink", "mkdir", "chown", "fchown", "fsync", "rmdir")
        real = {name: getattr(os, name) for name in names}
        calls = {"left": after}

        def ending(name: str) -> Any:
            def call(*words: Any, **more: Any) -> Any:
                # Whatever is in the directory is one of the whole contents
                assert set(manifest(str(path)).values()) <= {sha256(text) for text in "12345"}
                calls["left"] -= 1
                if calls["left"] == 0:
                    raise Ended
                return real[name](*words, **more)

            return call

        def all_of_it() -> None:
            plan = release.compare(str(path), files)
            release.keep_copies(str(path), plan, store, str(backup), "app")
            release.bring(str(path), files, plan, store)

        with pytest.MonkeyPatch.context() as patch:
            for name in real:
                patch.setattr(os, name, ending(name))
            try:
                all_of_it()
            except Ended:
                patch.undo()
                all_of_it()
        assert manifest(str(path)) == {name: sha256(text) for name, text in wanted.items()}
        kept = set(manifest(str(backup)).values()) if backup.exists() else set()
        objects = {one.name for one in pathlib.Path(store.object("x")).parent.iterdir()}
        assert set(before.values()) <= kept | objects
        assert [one.name for one in base.iterdir() if one.name.startswith(".")] == []
        plan = release.compare(str(path), files)
        assert (plan.place, plan.remove) == ([], [])
    finally:
        shutil.rmtree(base, ignore_errors=True)


# --- on the control node ---------------------------------------------------------------------------------------------


def made(terms: list[dict[str, Any]], **options: Any) -> dict[str, Any]:
    """Return what the lookup makes of artifacts."""

    class Here(LookupModule):
        def find_file_in_search_path(self, _variables: Any, _below: str, path: str, **_more: Any) -> str | None:
            return path if pathlib.Path(path).exists() else None

        def set_options(self, task_keys: Any = None, var_options: Any = None, direct: Any = None) -> None:
            self.given = {"name": "", **direct}

        def get_option(self, option: str, hostvars: Any = None) -> Any:
            return self.given[option]

    (out,) = Here().run([terms], **options)
    return out


def test_a_release_is_made_of_files_and_directories(tmp_path: pathlib.Path) -> None:
    """Each under its name in its directory; the same contents give the same name."""
    fill(tmp_path / "tree", {"one.xml": "1", "sub/two.xml": "2"})
    (tmp_path / "a.car").write_text("car")
    directories = [{"name": "app", "path": "/srv/app"}, {"name": "t", "path": "/srv/t"}]
    terms = [
        {"path": str(tmp_path / "a.car"), "name": "", "mode": ""},
        {"path": str(tmp_path / "a.car"), "name": "other/b.car", "mode": "0640"},
        {"path": str(tmp_path / "tree"), "directory": "/srv/t/"},
        {"path": str(tmp_path / "tree"), "name": "below"},
    ]
    out = made(terms, directories=directories)
    assert out["error"] == ""
    files = out["release"]["files"]
    assert set(files["app"]) == {"a.car", "other/b.car", "below/one.xml", "below/sub/two.xml"}
    assert set(files["t"]) == {"one.xml", "sub/two.xml"}
    assert files["app"]["other/b.car"] == {"sha256": sha256("car"), "size": 3, "mode": "0640"}
    assert out["sources"][sha256("2")] == str(tmp_path / "tree/sub/two.xml")
    assert made(terms, directories=directories)["release"]["name"] == out["release"]["name"]
    assert out["release"]["name"].startswith("r-")
    (tmp_path / "a.car").write_text("new")
    assert made(terms, directories=directories)["release"]["name"] != out["release"]["name"]
    assert made(terms, directories=directories, name="v2")["release"]["name"] == "v2"


def test_what_cannot_be_a_release_is_told(tmp_path: pathlib.Path) -> None:
    """Each mistake in one sentence that says what would be right."""
    (tmp_path / "a").write_text("1")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "link").symlink_to(tmp_path)
    there = str(tmp_path / "a")
    directories = [{"name": "app", "path": "/srv/app"}]
    for terms, said in (
        ([{"path": "/missing"}], "'/missing' is not on the control node"),
        ([{"path": there}, {"path": there}], "two artifacts would be a"),
        ([{"path": there, "directory": "/srv/other"}], "none of the directories /srv/app"),
        ([{"path": there, "name": "../out"}], "a path within the directory"),
        ([{"path": there}, {"path": there, "name": "a/b"}], "a file where its directory would be"),
        ([{"path": str(tmp_path / "tree")}], "link to a directory"),
    ):
        assert said in made(terms, directories=directories)["error"]
    assert "no name of a release" in made([{"path": there}], directories=directories, name="../x")["error"]


def test_artifacts_of_the_variables() -> None:
    """Where what is fetched is put, and every mistake."""
    checksum = f"sha256:{'0' * 64}"
    good = [
        {"path": "x/a.car"},
        {"url": "https://h/p/b.car?x=1", "checksum": checksum},
        {"maven": "org.example:app:1.0"},
        {"maven": "org.example:app:car:all:1.1-SNAPSHOT", "name": "app.car"},
    ]
    plain, fetched, maven, snapshot = release.artifacts(good, "/cache")
    assert (plain["path"], plain["fetched"], plain["problem"]) == ("x/a.car", False, "")
    assert (fetched["path"], fetched["name"]) == (f"/cache/{'0' * 64}", "b.car")
    assert (maven["path"], maven["name"], maven["checked"]) == (
        *("/cache/org.example/app-1.0.jar", "app-1.0.jar"),
        False,
    )
    assert snapshot["maven"] == {
        **{"group": "org.example", "artifact": "app", "version": "1.1-SNAPSHOT"},
        **{"extension": "car", "classifier": "all"},
    }
    assert (snapshot["name"], snapshot["checked"]) == ("app.car", True)
    for one, said in (
        ({}, "neither path nor url nor maven"),
        ({"path": "a", "maven": "b:c:1"}, "path and maven"),
        ({"path": "a", "src": "b"}, "an artifact has src"),
        ({"url": "https://h/a"}, "give sha256:"),
        ({"maven": "b:c"}, "is none of Maven"),
        ({"maven": "b:c:LATEST"}, "give its version"),
        ({"path": "a", "mode": "rw"}, "has the mode rw"),
    ):
        assert said in release.artifacts([one], "/cache")[0]["problem"]


# --- together --------------------------------------------------------------------------------------------------------


def found(name: str = "one", **more: Any) -> dict[str, Any]:
    """Return what a member says of itself."""
    current = {"release": name, "previous": "before", "settled": True}
    directory = {"name": "app", "path": "/srv/app", "exists": True, "is_directory": True, "shared": False}
    return {
        "directories": [{**directory, **more.pop("directory", {})}],
        "store": {"current": current, "releases": [name, "before"], "digest": "", **more},
    }


def test_judgement_before_a_change() -> None:
    """Every reason for which a release cannot be brought."""
    wanted = {**described({"a": "1"}, "new"), "digest": "d", "error": ""}
    batch = ["h1", "h2"]
    both = {"h1": found(), "h2": found()}
    assert release.problems(both, MEMBERS, wanted, batch=batch) == []
    assert release.problems({"h1": found()}, MEMBERS, wanted, batch=batch) == [
        "h2 could not be asked: it has to be reachable, also when --limit leaves it out."
    ]
    cases: tuple[tuple[dict[str, Any], dict[str, Any], dict[str, Any], str], ...] = (
        (both, {**wanted, "error": "no such file"}, {}, "no such file"),
        (both, {**wanted, **described({})}, {}, "deployment_sync_allow_empty"),
        (both, wanted, {"batch": ["h1"]}, "h2 is not in this run and would keep the release one"),
        ({**both, "h2": found(digest="other")}, wanted, {}, "h2 has a release new with other artifacts"),
        (both, {**wanted, "name": "gone"}, {"back": True}, "h1 has no release gone to go back to; it has one, before"),
        (both, {**wanted, "name": ""}, {"back": True}, "no release before the one in use"),
        ({**both, "h1": found(directory={"shared": True})}, wanted, {}, "is a directory of a share"),
        ({**both, "h2": found(directory={"name": "other"})}, wanted, {}, "other deployment_sync_directories than h1"),
        ({**both, "h1": found(directory={"is_directory": False})}, wanted, {}, "/srv/app on h1 is no directory"),
    )
    for members, judged, options, said in cases:
        assert said in " ".join(release.problems(members, MEMBERS, judged, **{"batch": batch, **options}))
    assert release.rolled_back(both, MEMBERS) == "before" and release.rolled_back(both, MEMBERS, "x") == "x"
    foreseen = {"h2": {"directories": [{"path": "/srv/app", "removed": list("abcdef"), "count": 10}]}}
    assert release.too_many(foreseen, MEMBERS, 60, 0) == [] and release.too_many(foreseen, MEMBERS, 0, 6) == []
    assert "6 of 10 files in /srv/app on h2" in release.too_many(foreseen, MEMBERS, 50, 5)[0]


def test_verification() -> None:
    """All have to have the release, nothing else, and the file that was sent."""
    wanted = described({"a": "1"})
    entries = {"a": sha256("1")}

    def judge(directory: dict[str, Any], current: dict[str, Any] | None = None, held: str = "now") -> dict[str, Any]:
        some = {"h1": found(directory={"entries": entries, "digest": "x", "count": 1})}
        some["h2"] = found(directory={"count": 1, **directory})
        some["h2"]["store"]["current"] = current or some["h2"]["store"]["current"]
        for one in some.values():
            one["probe_left"] = False
        read = {"h1": {"held": {"/srv/app": "now"}}, "h2": {"held": {"/srv/app": held}}}
        return cluster.verification(some, MEMBERS, "apps", wanted=wanted, held=read, token="now")

    assert judge({"entries": entries, "digest": "x"})["ok"]
    for document, said in (
        (judge({"entries": {**entries, "b": "2"}, "digest": "y"}), "n2 has /srv/app not as released: b"),
        (
            judge({"entries": entries, "digest": "x"}, {"release": "old", "settled": True}),
            "n2 has the release old, not",
        ),
        (judge({"entries": entries, "digest": "x"}, {"release": "one", "settled": False}), "one, not settled, not one"),
        (judge({"entries": entries, "digest": "x"}, held="then"), "n2 had not the file"),
    ):
        assert not document["ok"]
        assert said in " ".join(one["evidence"] for one in document["checks"] if not one["ok"])


def test_what_is_none_is_refused() -> None:
    """A description that leads out of the directory, or does not say what it is about."""
    good = described({"a": "1"})["files"]["app"]["a"]
    for path, one in (
        ("/etc/passwd", good),
        ("../x", good),
        ("a", {**good, "sha256": "x"}),
        ("a", {**good, "mode": "9"}),
    ):
        with pytest.raises(ClusterkitError, match="the release x"):
            release.from_mapping({"name": "x", "files": {"app": {path: one}}})
    with pytest.raises(ClusterkitError, match="no files"):
        release.from_mapping({"name": "x", "files": []})
