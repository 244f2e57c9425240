# SPDX-License-Identifier: GPL-3.0-or-later
"""Each change that users see has a changelog fragment, and each module and role is named in the changelog once."""

from __future__ import annotations

import pathlib
import re

from tests.gates import tree

USER_VISIBLE = ("plugins", "roles", "playbooks")


def fragments(root: pathlib.Path) -> list[pathlib.Path]:
    """Return the changelog fragments."""
    return tree.files_below(root, "changelogs/fragments", suffixes=(".yml", ".yaml"))


def changed_since_release(root: pathlib.Path) -> list[pathlib.Path]:
    """Return the files that users see and that differ from the last release; all of them before the first."""
    visible = tree.files_below(root, *USER_VISIBLE)
    tag = tree.run(["git", "describe", "--tags", "--abbrev=0", "--match", "[0-9]*"], cwd=root)
    if tag.returncode:
        return visible
    released = tree.run(["git", "diff", "--name-only", tag.stdout.strip(), "--", *USER_VISIBLE], cwd=root)
    tracked = set(tree.run(["git", "ls-files", "--", *USER_VISIBLE], cwd=root).stdout.splitlines())
    changed = set(released.stdout.splitlines())
    return [
        path for path in visible if tree.relative(root, path) in changed or tree.relative(root, path) not in tracked
    ]


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


def test_a_fragment_tells_of_what_changed() -> None:
    """Something that users see has changed since the last release: at least one fragment says so."""
    changed = changed_since_release(tree.ROOT)
    assert not changed or fragments(tree.ROOT), (
        f"{len(changed)} files changed that users see ({tree.relative(tree.ROOT, changed[0])}, …): "
        "write a fragment below changelogs/fragments/"
    )


def test_every_module_and_role_is_named() -> None:
    """Each module and role is named in a fragment or in the changelog of a release."""
    assert not unnamed(tree.ROOT), f"name in a fragment below changelogs/fragments/: {', '.join(unnamed(tree.ROOT))}"


def test_the_rules_bite(tmp_path: pathlib.Path) -> None:
    """Files without a fragment are found, and a role that is only part of another word is not named."""
    role = tmp_path / "roles" / "relay" / "tasks" / "main.yml"
    role.parent.mkdir(parents=True)
    role.write_text("---\n", encoding="utf-8")
    assert changed_since_release(tmp_path) == [role]
    assert not fragments(tmp_path)
    fragment = tmp_path / "changelogs" / "fragments" / "1-relays.yml"
    fragment.parent.mkdir(parents=True)
    fragment.write_text("major_changes:\n  - relays - are mentioned.\n", encoding="utf-8")
    assert unnamed(tmp_path) == ["relay"]
    fragment.write_text("major_changes:\n  - relay - role that relays.\n", encoding="utf-8")
    assert unnamed(tmp_path) == []
