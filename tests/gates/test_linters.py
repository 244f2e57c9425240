# SPDX-License-Identifier: GPL-3.0-or-later
"""The linters that need no more than a command line."""

from __future__ import annotations

import pytest

from tests.gates import tree

#: The plugins by the path that Ansible imports them from, so that mypy knows them by that name and no second one.
PLUGINS = f"build/collections/ansible_collections/{tree.NAMESPACE}/{tree.NAME}/plugins"

LINTERS = {
    "yamllint": (["yamllint", "--strict", "."], "Mend the YAML."),
    "ruff": (["ruff", "check", "--output-format=concise", "."], "`build/venv/bin/ruff check --fix` mends most of it."),
    "ruff-format": (["ruff", "format", "--check", "--output-format=concise", "."], "`make format` mends it."),
    "mypy": (["mypy", PLUGINS, "lab", "tests/run.py", "tests/verify_document.py", "tests/gates"], "Mend the types."),
    "codespell": (["codespell"], "Mend the word, or add it to ignore-words-list in pyproject.toml."),
    "collection-docs": (["antsibull-docs", "lint-collection-docs", "--plugin-docs", "."], "Mend the documentation."),
}


@pytest.mark.parametrize("name", LINTERS)
def test_linter(name: str) -> None:
    """The linter has nothing to say."""
    argv, advice = LINTERS[name]
    tree.require(tree.run(argv), advice)
