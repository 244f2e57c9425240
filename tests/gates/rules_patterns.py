# SPDX-License-Identifier: GPL-3.0-or-later
"""What never stands in a role or playbook: it hides failures, waits blindly, or gives a secret away."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Iterator
from typing import Any

from tests.gates import tree

RULES = (
    "ignore-errors",
    "ignored-unreachable",
    "validate-certs",
    "host-key-checking",
    "pause",
    "sleep",
    "secret-in-environment",
    "shell-without-reason",
    "command-string",
    "private-key-fetched",
    "members-from-play",
)
#: Found in the text of any file: pattern, rule, advice. Comments and documentation are not looked at.
TEXT = (
    (
        r"(?i)StrictHostKeyChecking[\s=\"':]+(no|off|accept-new)|UserKnownHostsFile=/dev/null"
        r"|host_key_checking\s*[=:]\s*(false|no|0)",
        "host-key-checking",
        "pin the host keys in a known_hosts file of their own",
    ),
    (r"(?<![\w.-])sleep\s+[\d.$({]|time\.sleep\(", "sleep", "wait for a condition with a limit (until, wait_for)"),
    (
        r"\b(ansible_play_hosts(_all)?|ansible_play_batch|play_hosts)\b",
        "members-from-play",
        "take members from the inventory (groups[<role>_members_group]): --limit and serial must not shrink a cluster",
    ),
)
SECRET_NAME = re.compile(r"(?i)(pass(word|wd|phrase)?|secret|token|credential|(?<![a-z])key)(?!.*_(file|path)$)")
KEY_FILE = re.compile(r"(?i)(\bkey\b|_key\b|\.key\b|-key|\.pem|\.p12|\.pfx|\.jks|\.keystore|keystore|secret|passw)")


def findings(root: pathlib.Path) -> list[tree.Finding]:
    """Return every forbidden pattern in roles/ and playbooks/."""
    found: list[tree.Finding] = []
    for path in tree.files_below(root, "roles", "playbooks"):
        if path.suffix != ".md":
            found += _text(root, path)
        if path.suffix in (".yml", ".yaml") and not {"templates", "files"} & set(path.parts):
            found += _mappings(root, path)
    for path in tree.task_files(root, "roles", "playbooks"):
        lines = tree.text_of(path).splitlines()
        for task in tree.tasks_of(path):
            found += _task(tree.relative(root, path), lines, task)
    return found


def _text(root: pathlib.Path, path: pathlib.Path) -> Iterator[tree.Finding]:
    for number, line in enumerate(tree.text_of(path).splitlines(), 1):
        code = re.sub(r"(^|\s)#.*", "", line)
        for pattern, rule, advice in TEXT:
            if re.search(pattern, code):
                yield tree.Finding(tree.relative(root, path), number, rule, advice)


def _mappings(root: pathlib.Path, path: pathlib.Path) -> Iterator[tree.Finding]:
    """Look at plays, blocks, tasks, their arguments and variables alike."""
    for mapping in tree.mappings(tree.load_with_lines(path)):
        where = tree.relative(root, path), mapping[tree.LINE]
        if "ignore_errors" in mapping:
            yield tree.Finding(
                *where, "ignore-errors", "say which failure is none (failed_when), or handle it (rescue)"
            )
        for key, value in mapping.items():
            if str(key).endswith("validate_certs") and str(value).lower() in ("false", "no"):
                yield tree.Finding(*where, "validate-certs", "give the authority's certificate (ca_path) instead")
        names = mapping.get("environment")
        for environment in names if isinstance(names, list) else [names]:
            for name in environment if isinstance(environment, dict) else ():
                if name != tree.LINE and SECRET_NAME.search(str(name)):
                    advice = (
                        f"Ansible prints {name} at -vvv even under no_log: use standard input or a file with mode 0600"
                    )
                    yield tree.Finding(*where, "secret-in-environment", advice)


def _task(path: str, lines: list[str], task: tree.Task) -> Iterator[tree.Finding]:
    action, arguments = task.action
    where = path, task.line
    given: dict[str, Any] = {**(arguments if isinstance(arguments, dict) else {}), **(task.data.get("args") or {})}
    if task.data.get("ignore_unreachable") and task.data.get("any_errors_fatal") is not False:
        advice = "any_errors_fatal of a play ends it for a host that is ignored, too: add any_errors_fatal: false"
        yield tree.Finding(*where, "ignored-unreachable", advice)
    if action == "ansible.builtin.pause":
        yield tree.Finding(*where, "pause", "wait for a condition with a limit (until, wait_for), and ask no questions")
    if action == "ansible.builtin.wait_for" and not {"port", "path", "host"} & set(given):
        yield tree.Finding(*where, "sleep", "wait_for without a port or path is a sleep: wait for a condition")
    if action in ("ansible.builtin.shell", "ansible.builtin.raw") and not _has_reason(lines, task, action):
        yield tree.Finding(
            *where, "shell-without-reason", "use command with argv, or give the reason in a comment above it"
        )
    if action == "ansible.builtin.command" and (isinstance(arguments, str) or "cmd" in given):
        yield tree.Finding(*where, "command-string", "give argv, a list: nothing is split or quoted then")
    if action == "ansible.builtin.fetch" and KEY_FILE.search(str(given.get("src", ""))):
        yield tree.Finding(
            *where, "private-key-fetched", "secrets go from host to host in memory (slurp, copy, no_log)"
        )


def _has_reason(lines: list[str], task: tree.Task, action: str) -> bool:
    """Tell whether a comment of some words stands above the task, or on the line of the module."""
    word = action.rpartition(".")[2]
    end = next((n for n in range(task.line, len(lines)) if re.match(r"\s*- ", lines[n])), len(lines))
    beside = [line for line in lines[task.line - 1 : end] if re.match(rf"\s*(- )?(ansible\.builtin\.)?{word}:", line)]
    above = lines[task.line - 2 : task.line - 1] if task.line > 1 else []
    return any(re.search(r"#\s*(?!noqa)\w+.*\s\w+.*\s\w+", line) for line in above + beside)
