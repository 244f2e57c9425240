# SPDX-License-Identifier: GPL-3.0-or-later
"""What the scenarios of Gluu share: its installer's names, and entries of its directory."""

from __future__ import annotations

from lab.demo import ADD_ENTRY
from molecule.shared.scenario import Node

#: Of the certificates that the first server gives to the others.
NAMES = ("httpd", "asimba", "asimbaIDP", "shibIDP")
PASSWORD = "Canary #!0^(' \"%\\`;& Grüße"
FIND = """
import sys, ldap
connection = ldap.initialize("ldap://localhost:1389")
connection.simple_bind_s("cn=directory manager", sys.stdin.read())
print(connection.search_s("o=gluu", ldap.SCOPE_SUBTREE, f"(|(ou={sys.argv[1]})(uid={sys.argv[1]}))", ["1.1"]))
"""


def add_unit(node: Node, name: str) -> None:
    """Add an organizational unit on a node's server."""
    node.out("python3", "-c", ADD_ENTRY, name, stdin=PASSWORD)
