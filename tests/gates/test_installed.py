# SPDX-License-Identifier: GPL-3.0-or-later
"""The installed archive: its documentation is shown, and its playbooks run by name.

Only ansible-core is needed, so that other versions of it can be asked as well (`core-…` in tests/run.py).
"""

from __future__ import annotations

import json
import pathlib
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.gates import tree
from tests.gates.installation import Installed

PLAYBOOKS = sorted(path.stem for path in (tree.ROOT / "playbooks").glob("*.yml"))
MEMBERS = ("one.example.org", "other.example.org")
#: What playbooks ask for on the command line.
ASKED = ("-e", f"node={MEMBERS[1]}")
#: Those that act on the node alone.
FOR_ONE = {"deploy_failback", "deploy_failover", "drain", "ready"}
#: Those that include the roles that act on each host, which no listing shows (tests/gates/test_day_2.py).
FOR_ALL_ROLES = {"preflight", "verify"}


def play(installed: Installed, playbook: str, inventory: Any, *more: str) -> subprocess.CompletedProcess[str]:
    """Run a playbook of the collection by its name, as a user does."""
    path = installed.home / "inventory.json"
    path.write_text(json.dumps(inventory), encoding="utf-8")
    argv = ["ansible-playbook", f"{tree.COLLECTION}.{playbook}", "-i", str(path), *more]
    return tree.run(argv, env=installed.environment(), cwd=installed.home)


def this_machine() -> dict[str, Any]:
    """Return the variables of a host that is reached without a connection, as the user that runs the gates."""
    return {
        "ansible_connection": "local",
        "ansible_become": False,
        "ansible_python_interpreter": tree.tool("python"),
    }


def members_groups(installed: Installed) -> list[str]:
    """Return the groups that the roles take their members from."""
    groups = []
    for role in tree.role_directories(installed.collection):
        specs = tree.load(role / "meta" / "argument_specs.yml")["argument_specs"]
        groups += [
            option["default"]
            for entry_point in specs.values()
            for name, option in (entry_point.get("options") or {}).items()
            if name == f"{role.name}_members_group"
        ]
    return sorted(set(groups))


def tasks_directory(installed: Installed, role: str) -> pathlib.Path:
    """Return where an installed role has its tasks."""
    return installed.collection / "roles" / role.rpartition(".")[2] / "tasks"


def listed_tasks(installed: Installed, path: pathlib.Path, role: str = "") -> Iterator[str]:
    """Walk over the tasks that `--list-tasks` has to show for a playbook or task file: imports are followed."""
    for task in tree.tasks_of(path):
        action, arguments = task.action
        if action in ("ansible.builtin.import_playbook", "ansible.builtin.import_tasks"):
            if arguments.startswith("{{ role_path }}/"):
                # From a directory below tasks/: a relative path could be found beside the playbook
                yield from listed_tasks(installed, tasks_directory(installed, role).parent / arguments[16:], role)
            else:
                yield from listed_tasks(installed, path.parent / arguments, role)
        elif action == "ansible.builtin.import_role":
            name = arguments["name"]
            entry_point = f"{arguments.get('tasks_from', 'main')}.yml"
            yield from listed_tasks(installed, tasks_directory(installed, name) / entry_point, name)
        elif not task.is_block:
            # Of a role that is included Ansible shows the task without the role that it stands in
            alone = not role or action == "ansible.builtin.include_role"
            yield task.name if alone else f"{role} : {task.name}"


@pytest.mark.parametrize("kind", ["module", "filter", "role"])
def test_documentation_is_shown(installed: Installed, kind: str) -> None:
    """ansible-doc shows each module (and so each action plugin), filter and role with all its entry points."""
    if kind == "role":
        names = [path.name for path in tree.role_directories(tree.ROOT)]
    elif kind == "filter":
        names = tree.filter_names(tree.ROOT)
    else:
        names = sorted({*tree.plugin_names(tree.ROOT, "modules"), *tree.plugin_names(tree.ROOT, "action")})
    if not names:
        return
    full = [f"{tree.COLLECTION}.{name}" for name in names]
    done = tree.run(["ansible-doc", "--json", "-t", kind, *full], env=installed.environment(), cwd=installed.home)
    tree.require(done, "Mend the documentation.")
    shown = json.loads(done.stdout)
    assert sorted(shown) == sorted(full), (
        f"ansible-doc knows no {kind} {', '.join(set(full) - set(shown))}: {done.stderr}"
    )
    for name in full if kind == "role" else []:
        specs = tree.load(tree.ROOT / "roles" / name.rpartition(".")[2] / "meta" / "argument_specs.yml")
        assert set(shown[name]["entry_points"]) == set(specs["argument_specs"]), f"ansible-doc shows not all of {name}"


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_playbook_is_whole(installed: Installed, playbook: str) -> None:
    """Each playbook is found by name, is well-formed, and has all tasks of its roles for the members it acts on."""
    hosts: dict[str, Any] = {name: {} for name in MEMBERS}
    inventory = {group: {"hosts": hosts} for group in members_groups(installed)}
    assert inventory, "no role has a group of members"
    checked = play(installed, playbook, inventory, "--syntax-check", *ASKED)
    tree.require(checked, "Mend the playbook.")
    assert "WARNING" not in checked.stderr, f"every user will see these warnings: {checked.stderr}"
    shown = play(installed, playbook, inventory, "--list-tasks", "--list-hosts", *ASKED)
    tree.require(shown, "Mend the playbook.")
    lines = {line.partition("\tTAGS:")[0].strip() for line in shown.stdout.splitlines()}
    members = MEMBERS[1:] if playbook in FOR_ONE else MEMBERS
    wanted = {*members, *listed_tasks(installed, installed.collection / "playbooks" / f"{playbook}.yml")}
    calls = any(f"{tree.COLLECTION}." in name for name in wanted)
    assert calls or playbook in FOR_ALL_ROLES, f"{playbook} calls no role of the collection"
    assert wanted <= lines, f"ansible-playbook does not list {', '.join(sorted(wanted - lines))}:\n{shown.stdout}"


def test_site_runs_where_there_is_nothing_to_do(installed: Installed) -> None:
    """The playbook `site` ends well with an inventory that has none of the groups."""
    done = play(installed, "site", {"all": {"hosts": {"bystander": this_machine()}}})
    tree.require(done, "An inventory without the collection's groups must be left alone.")
    warnings = re.findall(r"\[(?:DEPRECATION )?WARNING\]: (?!Could not match supplied host pattern)(.*)", done.stderr)
    assert not warnings, f"every user will see these warnings: {done.stderr}"
    recap = re.search(r"^bystander +: (.*)", done.stdout, re.M)
    assert not recap or re.search(r"changed=0 .*failed=0", recap[1]), f"a host of no group was acted on: {done.stdout}"


def test_preflight_and_verify_judge_what_there_is(installed: Installed) -> None:
    """What a role refuses is told with host, role and task; with nothing to ask only `verify` complains."""
    nothing = {"all": {"hosts": {"bystander": this_machine()}}}
    tree.require(play(installed, "preflight", nothing), "Nothing stands against a run that does nothing.")
    asked = play(installed, "verify", nothing)
    assert asked.returncode == 2 and "is it the right inventory?" in asked.stdout, asked.stdout
    group = {"hosts": {MEMBERS[0]: this_machine()}, "vars": {"csync2_groups": [{"name": "web", "include": ["/srv"]}]}}
    judged = play(installed, "preflight", {"csync2_servers": group})
    assert judged.returncode == 2, judged.stdout
    assert f"{MEMBERS[0]}, csync2, task " in judged.stdout, judged.stdout
    assert "csync2_members_group is csync2_servers, which has 1 hosts" in judged.stdout, judged.stdout


def test_site_refuses_early(installed: Installed) -> None:
    """`site` really runs a role from the archive: a cluster of one is refused by its variable, and nothing changes.

    In check mode, so that this machine would stay as it is even if the role did not refuse.
    """
    group = {"hosts": {MEMBERS[0]: this_machine()}, "vars": {"csync2_groups": [{"name": "web", "include": ["/srv"]}]}}
    done = play(installed, "site", {"csync2_servers": group}, "--check")
    assert done.returncode == 2, f"a cluster of one host was not refused:\n{done.stdout}\n{done.stderr}"
    assert "csync2_members_group is csync2_servers, which has 1 hosts" in done.stdout, done.stdout
    recap = re.search(rf"^{re.escape(MEMBERS[0])} +: (.*)", done.stdout, re.M)
    assert recap and re.search(r"changed=0 .*failed=1 ", recap[1]), f"it was to refuse and to change nothing: {recap}"
