# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks that call one entry point of every role know all roles, and the hosts that each acts on."""

from __future__ import annotations

from tests.gates import tree

ROLES = tree.load(tree.ROOT / "playbooks" / "vars" / "roles.yml")["clusterkit_roles"]


def test_every_role_is_known_with_its_hosts() -> None:
    """A row for each role that a playbook calls whole, with that playbook's hosts; none acts where Ansible runs."""
    called = set()
    for path in sorted((tree.ROOT / "playbooks").glob("*.yml")):
        for play in tree.load(path):
            if play.get("connection") == "local":
                continue
            for task in play.get("tasks", []):
                arguments = task.get("ansible.builtin.import_role", {})
                if arguments and "tasks_from" not in arguments and "node" not in play["hosts"]:
                    called.add((arguments["name"].rpartition(".")[2], play["hosts"]))
    rows = {(row["role"], row["hosts"]) for row in ROLES}
    hosts_of = dict(rows)
    # A failover acts on more hosts than the role does in `site`
    assert rows <= called and {role for role, _hosts in called} == set(hosts_of), (
        f"playbooks/vars/roles.yml has {sorted(rows - called)} too many, and lacks "
        f"{sorted({role for role, _hosts in called} - set(hosts_of))}"
    )
    assert len(rows) == len(ROLES)
