# SPDX-License-Identifier: GPL-3.0-or-later
"""Each change that users see has a changelog fragment, and each module and role is named in the changelog once.

A commit that changes what is installed is covered by a fragment that it, or a later commit on top of it, adds or
changes. A change that nobody notices says so: in a fragment's section `trivial`, which the changelog leaves out, or in
the commit message by the trailer `Changelog: none - REASON`.
"""

from __future__ import annotations

import pathlib
import re

from tests.gates import tree

FRAGMENTS = "changelogs/fragments"
#: What is installed and acts, as git names paths.
USER_VISIBLE = ("plugins", "roles", "playbooks", "meta", ":(exclude)*.md")
EXEMPT = re.compile(r"none\W+\w.{7,}")


def fragments(root: pathlib.Path) -> list[pathlib.Path]:
    """Return the changelog fragments."""
    return tree.files_below(root, FRAGMENTS, suffixes=(".yml", ".yaml"))


def git(root: pathlib.Path, *argv: str) -> list[str]:
    """Return the lines that git prints."""
    done = tree.run(["git", *argv], cwd=root)
    tree.require(done, "The history cannot be read.")
    return done.stdout.splitlines()


def untold(root: pathlib.Path) -> list[str]:
    """Return the commits that change what users see and that no fragment covers; none where there is no history.

    A release takes the fragments away, and so covers all before it.
    """
    if not (root / ".git").exists() or git(root, "status", "--porcelain", "--", FRAGMENTS):
        return []  # without history, or with a fragment about to be committed
    told = git(root, "log", "--no-merges", "--full-history", "--format=%H", "--", FRAGMENTS)
    form = "--format=%h %s%x00%(trailers:key=Changelog,valueonly,separator=%x20)"
    commits = git(root, "log", "--no-merges", form, "HEAD", "--not", *told, "--", *USER_VISIBLE)
    return [line.partition("\0")[0] for line in commits if not EXEMPT.match(line.partition("\0")[2])]


def unnamed(root: pathlib.Path) -> list[str]:
    """Return the modules and roles that neither a fragment nor the changelog names."""
    told = "\n".join(
        tree.text_of(path) for path in [*fragments(root), root / "changelogs" / "changelog.yaml"] if path.exists()
    )
    names = [*tree.plugin_names(root, "modules"), *(path.name for path in tree.role_directories(root))]
    return [name for name in names if not re.search(rf"(?<!\w){re.escape(name)}(?!\w)", told)]


def test_changelog_lint() -> None:
    """The fragments are well-formed."""
    tree.require(tree.run(["antsibull-changelog", "lint"]), "Mend the fragment below changelogs/fragments/.")


def test_a_fragment_tells_of_every_change() -> None:
    """No commit since the last change of the fragments changes what users see, but for those that say why not."""
    commits = untold(tree.ROOT)
    assert not commits, (
        f"write a fragment below {FRAGMENTS}/ (section `trivial` for what nobody notices), or end the message of each "
        "commit with `Changelog: none - REASON`:\n" + "\n".join(commits)
    )


def test_every_module_and_role_is_named() -> None:
    """Each module and role is named in a fragment or in the changelog of a release."""
    assert not unnamed(tree.ROOT), f"name in a fragment below changelogs/fragments/: {', '.join(unnamed(tree.ROOT))}"


def test_names_bite(tmp_path: pathlib.Path) -> None:
    """A role that is only part of another word is not named."""
    role = tmp_path / "roles" / "relay" / "tasks" / "main.yml"
    role.parent.mkdir(parents=True)
    role.write_text("---\n", encoding="utf-8")
    fragment = tmp_path / FRAGMENTS / "1-relays.yml"
    fragment.parent.mkdir(parents=True)
    fragment.write_text("major_changes:\n  - relays - are mentioned.\n", encoding="utf-8")
    assert unnamed(tmp_path) == ["relay"]
    fragment.write_text("major_changes:\n  - relay - role that relays.\n", encoding="utf-8")
    assert unnamed(tmp_path) == []


def commit(root: pathlib.Path, message: str, *paths: str) -> None:
    """Change files in a git tree and commit that."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        with (root / path).open("a", encoding="utf-8") as file:
            file.write(f"# {message}\n")
    author = ("-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false")
    for argv in (["add", "--all"], [*author, "commit", "--quiet", f"--message={message}"]):
        git(root, *argv)


def test_history_bites(tmp_path: pathlib.Path) -> None:
    """Of changes that users see, those without a fragment are found, and no other commit."""
    assert untold(tmp_path) == []
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    commit(tmp_path, "Begin", "roles/relay/tasks/main.yml")
    commit(tmp_path, "Tests and documents", "tests/test_relay.py", "roles/relay/README.md")
    assert [line.partition(" ")[2] for line in untold(tmp_path)] == ["Begin"]
    commit(tmp_path, "Tell", f"{FRAGMENTS}/1.yml")
    commit(tmp_path, "Both", "plugins/modules/relay.py", f"{FRAGMENTS}/2.yml")
    assert untold(tmp_path) == []
    commit(tmp_path, "Rename\n\nChangelog: none - nobody sees private names", "plugins/modules/relay.py")
    commit(tmp_path, "Hide\n\nChangelog: none", "plugins/modules/relay.py")
    assert [line.partition(" ")[2] for line in untold(tmp_path)] == ["Hide"]
    (tmp_path / FRAGMENTS / "3.yml").touch()
    assert untold(tmp_path) == []


def test_history_of_branches(tmp_path: pathlib.Path) -> None:
    """A fragment covers what it stands on: not what another branch changed meanwhile."""
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    commit(tmp_path, "Begin", "README.md")
    git(tmp_path, "switch", "--quiet", "--create", "other")
    commit(tmp_path, "Other", "roles/other/tasks/main.yml")
    git(tmp_path, "switch", "--quiet", "main")
    commit(tmp_path, "Told", "roles/relay/tasks/main.yml", f"{FRAGMENTS}/1.yml")
    git(tmp_path, "-c", "user.name=x", "-c", "user.email=x@example.org", "merge", "--quiet", "--no-edit", "other")
    assert [line.partition(" ")[2] for line in untold(tmp_path)] == ["Other"]
