# SPDX-License-Identifier: GPL-3.0-or-later
"""The role contract on every role of the checkout, and on a small role that keeps it until a test breaks it."""

from __future__ import annotations

import pathlib
from collections.abc import Callable

import pytest

from tests.gates import rules_contract, tree


@pytest.fixture(scope="module")
def all_findings() -> list[tree.Finding]:
    """Look at the checkout once."""
    found = rules_contract.findings(tree.ROOT)
    return tree.without_exceptions(found, tree.load(tree.EXCEPTIONS), rules_contract.RULES)


@pytest.mark.parametrize("rule", [*rules_contract.RULES, "exception"])
def test_contract(all_findings: list[tree.Finding], rule: str) -> None:
    """Every role keeps this part of the contract."""
    found = [one for one in all_findings if one.rule == rule]
    assert not found, tree.report(found)


SPEC = """
argument_specs:
  main:
    short_description: Relay
    options:
      relay_port: {type: int, default: 30865, description: [The port.]}
      relay_names: {type: list, elements: str, default: [], description: The names.}
      relay_password: {type: str, no_log: true, description: Unset means that one is made.}
"""
MAIN = """
- name: Check
  ansible.builtin.import_tasks: preflight.yml
  tags: [relay, relay_preflight]
- name: Install
  ansible.builtin.include_tasks:
    file: install.yml
    apply: {tags: [relay, relay_install]}
  tags: [relay, relay_install]
"""


@pytest.fixture
def role(tmp_path: pathlib.Path) -> pathlib.Path:
    """Make a role that keeps the whole contract."""
    directory = tmp_path / "roles" / "relay"
    for name in rules_contract.REQUIRED_FILES:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(
            "- name: Show it\n  debug: {}\n" if name.startswith("tasks/") else "---\n", encoding="utf-8"
        )
    entries = "".join(f"  {entry}: {{short_description: Do it}}\n" for entry in rules_contract.REQUIRED_ENTRIES[1:])
    write(directory, "meta/argument_specs.yml", SPEC + entries)
    write(directory, "defaults/main.yml", "relay_port: 30865\nrelay_names: []\n")
    write(directory, "vars/main.yml", "__relay_unit: x\n")
    write(directory, "tasks/install.yml", "- name: Show it\n  debug: {var: __relay_unit}\n")
    write(directory, "tasks/main.yml", MAIN)
    write(tmp_path, "molecule/relay/molecule.yml", "---\n")
    return directory


def write(directory: pathlib.Path, name: str, text: str) -> None:
    """Write a file of a small tree."""
    (directory / name).parent.mkdir(parents=True, exist_ok=True)
    (directory / name).write_text(text, encoding="utf-8")


def replace(name: str, old: str, new: str) -> Callable[[pathlib.Path], None]:
    """Return what changes a text in one of the role's files."""

    def change(directory: pathlib.Path) -> None:
        text = tree.text_of(directory / name)
        assert old in text, f"the test is out of date: {old!r} is not in {name}"
        write(directory, name, text.replace(old, new))

    return change


def add(name: str, text: str) -> Callable[[pathlib.Path], None]:
    """Return what adds a text to one of the role's files, or makes it."""

    def change(directory: pathlib.Path) -> None:
        write(directory, name, (tree.text_of(directory / name) if (directory / name).exists() else "") + text)

    return change


def test_a_good_role(role: pathlib.Path) -> None:
    """The small role breaks no rule."""
    assert rules_contract.findings(role.parents[1]) == []


CALL = "- name: Include it\n  import_tasks: call.yml\n  vars: {{__relay_entry: {}}}\n"
CALLED = "- name: Call it\n  include_role: {name: other, tasks_from: '{{ __relay_entry }}'}\n"


def test_preflight_may_call_another_ones(role: pathlib.Path) -> None:
    """A role that is made of others checks what they check."""
    add("tasks/preflight.yml", CALL.format("preflight"))(role)
    add("tasks/call.yml", CALLED)(role)
    assert rules_contract.findings(role.parents[1]) == []


def test_preflight_may_let_a_module_judge_in_check_mode(role: pathlib.Path) -> None:
    """Where it says so itself, not where the run decides."""
    judging = "- name: Judge it\n  copy: {{}}\n  check_mode: {}\n"
    add("tasks/preflight.yml", judging.format("true"))(role)
    assert not [one for one in rules_contract.findings(role.parents[1]) if one.rule == "preflight"]
    add("tasks/preflight.yml", judging.format('"{{ ansible_check_mode }}"'))(role)
    assert [one for one in rules_contract.findings(role.parents[1]) if one.rule == "preflight"]


SPECS = "meta/argument_specs.yml"
BREACHES = {
    "no README": ("missing-file", lambda role: (role / "README.md").unlink()),
    "no vars for what is internal": ("variable-name", lambda role: (role / "vars/main.yml").unlink()),
    "no meta": ("missing-file", lambda role: (role / "meta/main.yml").unlink()),
    "optional entry point without description": ("entry-point", add("tasks/drain.yml", "---\n")),
    "entry point without file": ("entry-point", add(SPECS, "  drain: {short_description: Drain}\n")),
    "empty short_description": ("entry-point", replace(SPECS, "short_description: Relay", "short_description: ''")),
    "another value": ("option", replace("defaults/main.yml", "30865", "30866")),
    "another type of the same value": ("option", replace("defaults/main.yml", "30865", "30865.0")),
    "undocumented default": ("option", add("defaults/main.yml", "relay_more: 1\n")),
    "default not set": ("option", replace("defaults/main.yml", "relay_names: []\n", "")),
    "wrong type": ("option", replace(SPECS, "type: int", "type: bool")),
    "list of what": ("option", replace(SPECS, "elements: str, ", "")),
    "unset without a word": ("option", replace(SPECS, "Unset means that one is made.", "It.")),
    "unset but with a default": ("option", add("defaults/main.yml", "relay_password: ''\n")),
    "foreign name": ("variable-name", replace(SPECS, "relay_password", "other_password")),
    "public name in vars": ("variable-name", add("vars/main.yml", "relay_x: 1\n")),
    "internal name from nowhere": ("variable-name", add("tasks/install.yml", "  when: __relay_gone\n")),
    "secret by name": ("no-log", replace(SPECS, "no_log: true, ", "")),
    "secret by description": ("no-log", replace(SPECS, "The names.", "The password of each.")),
    "preflight changes something": ("preflight", add("tasks/preflight.yml", "- name: Copy it\n  copy: {}\n")),
    "preflight includes a change": (
        "preflight",
        lambda role: (
            add("tasks/preflight.yml", "- name: Include it\n  import_tasks: more.yml\n")(role),
            add("tasks/more.yml", "- name: Run it\n  command: {argv: [x]}\n")(role),
        ),
    ),
    "preflight calls a whole role": (
        "preflight",
        add("tasks/preflight.yml", "- name: Call it\n  include_role: {name: other}\n"),
    ),
    "preflight calls an entry point that it names otherwise": (
        "preflight",
        lambda role: (
            add("tasks/preflight.yml", CALL.format("configure"))(role),
            add("tasks/call.yml", CALLED)(role),
        ),
    ),
    "work in main": ("table-of-contents", add("tasks/main.yml", "- name: Copy it\n  copy: {}\n")),
    "preflight not first": (
        "table-of-contents",
        replace("tasks/main.yml", "import_tasks: preflight.yml", "import_tasks: x.yml"),
    ),
    "no tag of its own": ("tags", replace("tasks/main.yml", "tags: [relay, relay_preflight]", "tags: [relay]")),
    "tags not handed on": ("tags", replace("tasks/main.yml", "apply: {tags: [relay, relay_install]}", "apply: {}")),
    "no name": ("task-name", add("tasks/install.yml", "- debug: {}\n")),
    "small letter": ("task-name", add("tasks/install.yml", "- name: show it\n  debug: {}\n")),
    "not imperative": ("task-name", add("tasks/install.yml", "- name: Installing it\n  debug: {}\n")),
    "no scenario": ("not-exercised", lambda role: (role.parents[1] / "molecule/relay/molecule.yml").unlink()),
    "module without test": ("not-exercised", lambda role: write(role.parents[1], "plugins/modules/relay_key.py", "")),
}


@pytest.mark.parametrize("breach", BREACHES)
def test_the_rule_bites(role: pathlib.Path, breach: str) -> None:
    """Each breach is found, and only as what it is."""
    rule, change = BREACHES[breach]
    change(role)
    assert {one.rule for one in rules_contract.findings(role.parents[1])} == {rule}


def test_every_rule_is_tried() -> None:
    """No rule is without a breach."""
    assert {rule for rule, _change in BREACHES.values()} == set(rules_contract.RULES)
