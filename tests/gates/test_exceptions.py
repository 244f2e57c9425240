# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of exceptions is itself under review: a reason for each, and none that excuses nothing."""

from __future__ import annotations

from tests.gates import rules_contract, rules_layers, rules_patterns, tree

RULES = (*rules_contract.RULES, *rules_layers.RULES, *rules_patterns.RULES)


def test_every_exception_is_of_a_known_rule() -> None:
    """An exception of an unknown rule would never be looked at."""
    unknown = [entry for entry in tree.load(tree.EXCEPTIONS) or [] if entry.get("rule") not in RULES]
    assert not unknown, f"no gate has this rule: {unknown}"


def test_exceptions_are_judged() -> None:
    """An exception takes its finding away; one without a reason or without a finding is a finding itself."""
    found = [tree.Finding("a.yml", 1, "product-named", "x")]
    good = {"rule": "product-named", "path": "a.yml", "reason": "the format has this name"}
    assert tree.without_exceptions(found, [good], RULES) == []
    assert "no reason" in tree.report(tree.without_exceptions(found, [{**good, "reason": ""}], RULES))
    assert "excuses nothing" in tree.report(tree.without_exceptions([], [good], RULES))
