# SPDX-License-Identifier: GPL-3.0-or-later
"""The forbidden patterns in the checkout, and each of them in a small tree."""

from __future__ import annotations

import pathlib

import pytest

from tests.gates import rules_patterns, tree


def test_nothing_forbidden() -> None:
    """No role or playbook holds a forbidden pattern."""
    found = tree.without_exceptions(
        rules_patterns.findings(tree.ROOT), tree.load(tree.EXCEPTIONS), rules_patterns.RULES
    )
    assert not found, tree.report(found)


def rules_found(root: pathlib.Path, text: str, path: str = "roles/relay/tasks/main.yml") -> list[str]:
    """Return the rules that a file with this text breaks."""
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return [one.rule for one in rules_patterns.findings(root)]


BROKEN = {
    "ignore-errors": "- block:\n    - stat: {path: /x}\n      ignore_errors: true\n",
    "ignored-unreachable": "- stat: {path: /x}\n  ignore_unreachable: true\n",
    "validate-certs": "- get_url: {url: x, dest: y, validate_certs: false}\n",
    "host-key-checking": "- command: {argv: [ssh, -o, StrictHostKeyChecking=no, host]}\n",
    "pause": "- name: Wait\n  ansible.builtin.pause:\n    seconds: 5\n",
    "sleep": "- command:\n    argv: [sh, -c, sleep 30]\n",
    "secret-in-environment": "- command: {argv: [x]}\n  environment: {ADMIN_PASSWORD: '{{ y }}'}\n",
    "shell-without-reason": "# why\n- name: Do it\n  shell: a | b\n",
    "command-string": "- block:\n    - name: Do it\n      ansible.builtin.command: ls -l\n",
    "private-key-fetched": "- fetch: {src: /etc/csync2_ssl_key.pem, dest: /tmp}\n",
    "members-from-play": "- set_fact:\n    members: '{{ ansible_play_hosts }}'\n",
}


@pytest.mark.parametrize("rule", BROKEN)
def test_the_rule_bites(tmp_path: pathlib.Path, rule: str) -> None:
    """Each rule finds its own pattern."""
    assert rules_found(tmp_path, BROKEN[rule]) == [rule]


def test_every_rule_is_tried() -> None:
    """No rule is without a tree that breaks it."""
    assert set(BROKEN) == set(rules_patterns.RULES)


@pytest.mark.parametrize(
    ("path", "text", "rule"),
    [
        ("playbooks/site.yml", "- hosts: all\n  environment: {TOKEN: x}\n", "secret-in-environment"),
        ("playbooks/site.yml", "- hosts: all\n  tasks:\n    - pause:\n", "pause"),
        ("roles/relay/defaults/main.yml", "relay_validate_certs: false\n", "validate-certs"),
        ("roles/relay/templates/x.conf.j2", "{% for host in ansible_play_batch %}", "members-from-play"),
        ("roles/relay/templates/x.sh.j2", "sleep 5\n", "sleep"),
        ("roles/relay/handlers/main.yml", "- command:\n    cmd: x y\n", "command-string"),
        ("roles/relay/tasks/main.yml", "- wait_for: {timeout: 30}\n", "sleep"),
    ],
)
def test_everywhere(tmp_path: pathlib.Path, path: str, text: str, rule: str) -> None:
    """Playbooks, defaults, templates and handlers are looked at as well."""
    assert rules_found(tmp_path, text, path) == [rule]


def test_what_is_allowed(tmp_path: pathlib.Path) -> None:
    """Comments, reasons, harmless environments and public files are no findings."""
    allowed = """
    # sleep 30 would be wrong here, and so would ansible_play_hosts
    - name: Join the streams
      # The pipe needs a shell, since the tool reads standard input only
      ansible.builtin.command:
        argv: [ls]
      environment: {LC_ALL: C, PASSWORD_FILE: /run/x}
    # The program writes to standard output only, hence a shell to redirect it
    - name: Write it
      ansible.builtin.shell: a > b
    - name: Fetch the report
      ansible.builtin.fetch: {src: /var/log/report.json, dest: x}
    - name: Wait for the port
      ansible.builtin.wait_for: {port: 30865}
    """
    assert rules_found(tmp_path, "\n".join(line[4:] for line in allowed.splitlines())) == []
