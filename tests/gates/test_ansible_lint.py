# SPDX-License-Identifier: GPL-3.0-or-later
"""ansible-lint over the checkout, and a reason beside everything that silences a linter.

galaxy-importer could run ansible-lint as well, but leaves rules out and turns findings into warnings: it is told not to
(test_archive.py), and the run here is the one that counts.
"""

from __future__ import annotations

import pathlib
import re

from tests.gates import tree

YAML = (".yml", ".yaml")
SILENCERS = re.compile(r"#\s*(?:noqa|yamllint disable|pylint: ?disable)\b(?P<rest>.*)")
#: What a silencer names (rules, separated by commas or blanks), then what is left: the reason.
REASON = re.compile(r"^[:=]?\s*(?:rule:)?[\w\[\].-]+(?:[,\s]+[\w\[\].-]+)*?\s+(?:#|-|–)\s+\S.{8,}")


def test_profile_production() -> None:
    """The profile `production` passes, and every YAML file of the checkout was seen.

    Without path arguments: with a directory, ansible-lint may look at one file only.
    """
    done = tree.run(["ansible-lint", "--offline", "--profile", "production", "-vv"], limit=1800)
    shown = [line for line in (done.stdout + done.stderr).splitlines() if not re.match(r"(DEBUG|INFO)\b", line)]
    assert done.returncode == 0, "ansible-lint found:\n" + "\n".join(shown)
    seen = set(re.findall(r"Examining (\S+) of type", done.stdout + done.stderr))
    wanted = {tree.relative(tree.ROOT, path) for path in tree.listed_files(tree.ROOT) if path.suffix in YAML}
    assert wanted, "no YAML file is there"
    assert wanted <= seen, f"ansible-lint did not look at: {', '.join(sorted(wanted - seen))}"


def unexplained(path: pathlib.Path) -> list[str]:
    """Return the places in a file where a linter is silenced without a reason on the line or in a comment above it."""
    found = []
    lines = tree.text_of(path).splitlines()
    for number, line in enumerate(lines):
        silencer = SILENCERS.search(line)
        if silencer and not REASON.match(silencer["rest"]) and not _comment(lines, number - 1):
            found.append(f"{path.name}:{number + 1}: {line.strip()}")
    return found


def unexplained_entries(path: pathlib.Path) -> list[str]:
    """Return the entries of ansible-lint's configuration that leave something out without a reason beside them."""
    found = []
    section = ""
    lines = tree.text_of(path).splitlines()
    for number, line in enumerate(lines):
        if key := re.match(r"(\w+):", line):
            section = key[1]
        entry = re.match(r"\s*-\s*[^#]+$", line)
        if section in ("skip_list", "warn_list", "exclude_paths") and entry and not _comment(lines, number - 1):
            found.append(f"{path.name}:{number + 1}: {line.strip()}")
    return found


def _comment(lines: list[str], number: int) -> bool:
    return (
        number >= 0 and bool(re.match(r"\s*#\s*(?!noqa)\w{3,}", lines[number])) and not SILENCERS.search(lines[number])
    )


def test_each_silenced_rule_has_a_reason() -> None:
    """Every skip of a linter says why, beside it or in a comment on the line above."""
    found = unexplained_entries(tree.ROOT / ".ansible-lint")
    for path in tree.listed_files(tree.ROOT):
        if path.suffix in (".py", ".j2", *YAML):
            found += unexplained(path)
    ignores = tree.ROOT / ".ansible-lint-ignore"
    if ignores.exists():
        found += [
            line for line in tree.text_of(ignores).splitlines() if line.strip() and not re.search(r"#\s*\w{3,}", line)
        ]
    assert not found, "no reason beside:\n" + "\n".join(found)


def test_the_rule_bites(tmp_path: pathlib.Path) -> None:
    """A silencer without a reason is found, one with a reason is not."""
    mark = "# no" + "qa"
    path = tmp_path / "sample.yml"
    path.write_text(
        f"a: 1  {mark}: yaml[line-length]\nb: 1  {mark}: S101 - asserts are the point here\n", encoding="utf-8"
    )
    assert [line.split(":")[1] for line in unexplained(path)] == ["1"]
    path.write_text("skip_list:\n  - yaml\n  - name  # said by another gate\nprofile: production\n", encoding="utf-8")
    assert [line.split(":")[1] for line in unexplained_entries(path)] == ["2"]
