# SPDX-License-Identifier: GPL-3.0-or-later
"""The archive that users install: what is in it, and what Galaxy says of it (test_installed.py: whether it works)."""

from __future__ import annotations

import re
import tarfile

from tests.gates import tree
from tests.gates.installation import Installed

#: What users need from the archive.
NEEDED = ("README.md", "COPYING", "MANIFEST.json", "FILES.json", "meta/runtime.yml", "playbooks/site.yml")
#: First parts of a path, and endings, that never belong into it.
FORBIDDEN = (".git", ".ci", ".ansible", ".venv", "build", "tests/output", ".mypy_cache", ".ruff_cache", ".pytest_cache")
FORBIDDEN_ENDINGS = (".pyc", ".tar.gz", ".retry", ".log", "~", ".swp")


def test_content(installed: Installed) -> None:
    """The archive holds what git knows, nothing that was generated, and what users need."""
    with tarfile.open(installed.archive) as archive:
        names = {member.name for member in archive.getmembers() if member.isfile()}
    listed = {tree.relative(tree.ROOT, path) for path in tree.listed_files(tree.ROOT)} | {"MANIFEST.json", "FILES.json"}
    unknown = sorted(names - listed)
    assert not unknown, f"in the archive but not in git, add to build_ignore of galaxy.yml: {', '.join(unknown[:20])}"
    bad = [name for name in names if name.endswith(FORBIDDEN_ENDINGS) or any(_is_below(name, top) for top in FORBIDDEN)]
    assert not bad, f"add to build_ignore of galaxy.yml: {', '.join(sorted(bad)[:20])}"
    missing = [name for name in NEEDED if name not in names]
    missing += [name for name in listed - names if name.startswith(("plugins/", "roles/", "playbooks/", "meta/"))]
    assert not missing, f"users need these, but the archive has not got them: {', '.join(sorted(missing)[:20])}"


def _is_below(name: str, top: str) -> bool:
    return name == top or name.startswith(f"{top}/")


def test_galaxy_importer(installed: Installed) -> None:
    """Galaxy's own importer accepts the archive without a warning."""
    # ansible-lint has run over the checkout, with more rules than the importer gives it
    environment = {**installed.environment(), "GALAXY_IMPORTER_RUN_ANSIBLE_LINT": "false"}
    done = tree.run(
        ["python", "-m", "galaxy_importer.main", str(installed.archive)], env=environment, cwd=installed.home
    )
    tree.require(done, "Galaxy would refuse the archive.")
    warnings = re.findall(r"^(?:WARNING|ERROR): (.*)", done.stdout + done.stderr, re.M)
    assert not warnings, "galaxy-importer warns:\n" + "\n".join(warnings)
