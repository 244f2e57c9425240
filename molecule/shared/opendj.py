# SPDX-License-Identifier: GPL-3.0-or-later
"""What the OpenDJ scenarios share: their playbooks, and servers asked and changed from their own hosts."""

from __future__ import annotations

from typing import Any

from molecule.shared.scenario import ROOT, Node, Run

Nodes = dict[str, Node]
PLAYS = ROOT / "molecule" / "opendj_replication"
PASSWORD = "Canary #!0^(' \"%\\`;& Grüße"
SET_WRITABILITY = """
import sys, ldap
connection = ldap.initialize("ldap://localhost:1389")
connection.simple_bind_s("cn=directory manager", sys.stdin.read())
connection.modify_s("cn=config", [(ldap.MOD_REPLACE, "ds-cfg-writability-mode", sys.argv[1].encode())])
"""
REGISTERED = """
import sys, ldap
connection = ldap.initialize("ldap://localhost:1389")
connection.simple_bind_s("cn=directory manager", sys.stdin.read())
connection.search_s(sys.argv[1], ldap.SCOPE_BASE)
"""


def said(run: Run, host: str = "n1") -> dict[str, Any]:
    """Return what the playbook ask.yml was told."""
    answer: dict[str, Any] = run.check().facts[host]["said"]
    return answer


def unit_of(node: Node) -> str:
    """Return the unit that runs a node's server: the role's, or that of one which was set up by hand."""
    by_hand = node.run("systemctl", "cat", "directory.service").returncode == 0
    return "directory.service" if by_hand else "opendj.service"


def java_of(node: Node) -> str:
    """Return the number of the process that is a node's server."""
    return node.out("systemctl", "show", "-P", "MainPID", unit_of(node)).strip()


def registered(node: Node, member: str) -> bool:
    """Tell whether a node's server has a member registered."""
    done = node.run("python3", "-c", REGISTERED, f"cn={member}:4444,cn=Servers,cn=admin data", stdin=PASSWORD)
    return done.returncode == 0


ADD = """
import sys, ldap
connection = ldap.initialize("ldap://localhost:1389")
connection.simple_bind_s("cn=directory manager", sys.stdin.read())
for number in range(int(sys.argv[2])):
    name = f"{sys.argv[1]}{number}"
    values = {"objectClass": "inetOrgPerson", "uid": name, "cn": name, "sn": name}
    connection.add_s(f"uid={name},ou=people,o=site", [(key, value.encode()) for key, value in values.items()])
"""
FIND = """
import sys, ldap
connection = ldap.initialize("ldap://localhost:1389")
connection.simple_bind_s("cn=directory manager", sys.stdin.read())
print(len(connection.search_s("o=site", ldap.SCOPE_SUBTREE, sys.argv[1], ["1.1"])))
"""
RESOLVE = """
import sys, ldap
connection = ldap.initialize("ldap://localhost:1389")
connection.simple_bind_s("cn=directory manager", sys.stdin.read())
for dn, _values in connection.search_s("o=site", ldap.SCOPE_SUBTREE, "(ds-sync-conflict=*)", ["1.1"]):
    connection.delete_s(dn)
"""


def add(node: Node, prefix: str, count: int = 1) -> None:
    """Add entries on a node's server."""
    node.out("python3", "-c", ADD, prefix, str(count), stdin=PASSWORD)


def find(node: Node, wanted: str) -> int:
    """Return how many entries a node's server has."""
    done = node.run("python3", "-c", FIND, wanted, stdin=PASSWORD)
    return int(done.stdout) if done.returncode == 0 else -1


DELETE = """
import sys, ldap
connection = ldap.initialize("ldap://localhost:1389")
connection.simple_bind_s("cn=directory manager", sys.stdin.read())
connection.delete_s(sys.argv[1])
"""
