# SPDX-License-Identifier: GPL-3.0-or-later
"""ansible-test sanity, in a work copy that lies where ansible-test wants a collection to lie.

A copy rather than a link: ansible-test asks git for the files and writes its output into the tree. Its environments
are kept below build/ between runs (HOME is set there), so that nobody's home directory is touched.
"""

from __future__ import annotations

import re
import shutil
import sys

from tests.gates import tree

SANITY = tree.BUILD / "sanity"
HOME = SANITY / "home"
COPY = SANITY / "ansible_collections" / tree.NAMESPACE / tree.NAME


def test_ansible_test_sanity() -> None:
    """Every sanity test passes for the Python that runs Ansible here."""
    tree.copy_checkout(COPY)
    bootstrap = HOME / ".ansible" / "test" / "cache" / "get_pip_24_2.py"
    bootstrap.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(tree.ROOT / "tests" / "sanity" / "get_pip.py", bootstrap)
    # Its own version by number: "default" would try every python3.x on PATH, stubs of version managers included.
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    argv = ["ansible-test", "sanity", "--local", "--python", python, "--color", "no", "--truncate", "0"]
    done = tree.run(argv, cwd=COPY, env=tree.environment(HOME=str(HOME)), limit=1500)
    tree.require(done, "Mend what it names; an ignore entry is the last resort and needs a reason.")
    ran = re.findall(r"^Running sanity test \"([\w-]+)\"", done.stdout + done.stderr, re.M)
    assert {"validate-modules", "pylint", "import", "compile"} <= set(ran), f"sanity tests that ran: {ran}"


def test_ignore_entries_have_reasons() -> None:
    """Each entry of a sanity ignore file says why beside it."""
    for path in (tree.ROOT / "tests" / "sanity").glob("ignore-*.txt"):
        for number, line in enumerate(tree.text_of(path).splitlines(), 1):
            entry, reason = (*line.split("#", 1), "")[:2]
            assert not entry.strip() or reason.strip(), f"{path.name}:{number}: write the reason behind a # on the line"
