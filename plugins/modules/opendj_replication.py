#!/usr/bin/python
# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: opendj_replication
short_description: One OpenDJ server as a member of a replication topology
version_added: 0.1.0
author:
  - clusterkit contributors (@clusterkit)
description:
  - Lets the server of this host replicate with a reference, gets its entries from a source, or lets it leave.
  - Each is a state of its own. Joining never replaces entries, so that a new member has to be V(initialized)
    afterwards.
  - What is there is read over LDAP, before and after each command. Passwords reach C(dsreplication) as files in memory,
    and it trusts the certificates that it is given and no others.
  - Let one member after the other join. The order is - import the entries on one server, let the others join, then
    initialise these once.
requirements:
  - python-ldap on the target
attributes:
  check_mode:
    support: full
    description: Names the steps that would be taken.
  diff_mode:
    support: full
    description: Shows what is missing.
  idempotent:
    support: partial
    description: Where nothing is missing no command is run. With O(force=true) entries are replaced each time.
options:
  state:
    description:
      - V(present) lets the server join, or makes up for a change of the topology that it missed while it was down.
      - V(initialized) replaces the entries of this server by those of O(reference_host), where the generations of their
        data differ. It refuses a source without entries.
      - V(absent) lets the server leave, or with O(leaving_host) takes one that is gone for good out of what this one
        knows. Each member that stays has to be told.
      - V(checked) only says what is missing.
    type: str
    choices: [present, initialized, absent, checked]
    default: present
  path:
    description: Directory of the installation.
    type: path
    default: /opt/opendj
  base_dns:
    description: The base DNs to replicate.
    type: list
    elements: str
    default: []
  bind_dn:
    description: DN of the directory manager.
    type: str
    default: cn=directory manager
  password:
    description: Password of the directory manager of this server.
    type: str
    required: true
  replication_port:
    description: Port of this server's replication server.
    type: int
    default: 8989
  reference_host:
    description:
      - Name of the server to replicate with, and for V(initialized) of the source, as it is or will be registered.
      - Needed but for V(absent).
    type: str
  reference_port:
    description: Port of the reference's administration connector.
    type: int
    default: 4444
  reference_replication_port:
    description: Port of the reference's replication server.
    type: int
    default: 8989
  reference_certificate:
    description: Certificate of the reference's administration connector, as PEM. Needed with O(reference_host).
    type: str
  reference_password:
    description: Password of the directory manager of the reference. O(password) where it is not given.
    type: str
  administrator:
    description: Name of the global administrator, who is made when the first two servers replicate.
    type: str
    default: admin
  administrator_password:
    description: Password of the global administrator. Needed where a command has to be run.
    type: str
  certificates:
    description:
      - Certificates of the administration connectors of all members, as PEM. C(dsreplication) speaks to all of them.
      - Those of this server and of the reference need not be among them.
    type: list
    elements: str
    default: []
  leaving_host:
    description: Name, as it is registered, of a server that is gone for good, for V(absent).
    type: str
  leaving_port:
    description: Port of its administration connector.
    type: int
    default: 4444
  leaving_replication_port:
    description: Port of its replication server.
    type: int
    default: 8989
  force:
    description: Whether V(initialized) replaces the entries also where the generations are the same.
    type: bool
    default: false
  java_home:
    description: Directory of the Java to use. The one on the search path where it is empty.
    type: str
    default: ""
  limit:
    description: Seconds that a command may take.
    type: float
    default: 300.0
  settle:
    description: Seconds to wait, at most, until the state is what a command has made it.
    type: float
    default: 30.0
seealso:
  - module: clusterkit.middleware.opendj_replication_info
"""

EXAMPLES = r"""
- name: Let this server join
  clusterkit.middleware.opendj_replication:
    base_dns: ["o=site"]
    password: "{{ directory_manager_password }}"
    reference_host: idp1.example.org
    reference_certificate: "{{ hostvars['idp1'].server.certificate }}"
    administrator_password: "{{ replication_password }}"

- name: Give it the entries of the reference
  clusterkit.middleware.opendj_replication:
    state: initialized
    base_dns: ["o=site"]
    password: "{{ directory_manager_password }}"
    reference_host: idp1.example.org
    reference_certificate: "{{ hostvars['idp1'].server.certificate }}"
    administrator_password: "{{ replication_password }}"
"""

RETURN = r"""
steps:
  description: What was done, or would be in check mode.
  type: list
  elements: str
  returned: always
  sample: [enable]
missing:
  description: What was missing before, or is to go.
  type: list
  elements: str
  returned: always
  sample: ["idp2.example.org:4444 does not replicate o=site"]
complaint:
  description: What C(dsreplication) complained of although it did what it could, such as members that did not answer.
  type: str
  returned: always
  sample: ""
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.module import finish
from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj.directory import Address, Directory
from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj.installation import Installation
from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj.membership import (
    Administrator,
    Membership,
    Outcome,
    Patience,
)
from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj.replication import Dsreplication, Server


def connect(server: Server, bind_dn: str = "", password: str = "") -> Directory:
    """Return a connection to a server, as its directory manager or as another one. Raises ClusterkitError."""
    address = Address(server.host, server.port, server.certificate)
    return Directory(address, bind_dn or server.bind_dn, password or server.password)


def reference_of(wanted: dict[str, Any]) -> Server:
    """Return the reference. Raises ClusterkitError."""
    missing = [name for name in ("reference_host", "reference_certificate", "base_dns") if not wanted[name]]
    if missing:
        raise ClusterkitError(f"{', '.join(missing)} missing: state={wanted['state']} needs it")
    return Server(
        wanted["reference_host"],
        wanted["reference_port"],
        wanted["reference_replication_port"],
        wanted["reference_certificate"],
        wanted["bind_dn"],
        wanted["reference_password"] or wanted["password"],
    )


def membership_of(wanted: dict[str, Any], installation: Installation, trusted: list[str]) -> Membership:
    """Return this server as a member. Raises ClusterkitError."""
    address = installation.address()
    member = Server(
        address.host,
        address.port,
        wanted["replication_port"],
        address.certificate,
        wanted["bind_dn"],
        wanted["password"],
    )

    def program() -> Dsreplication:
        owner, group = installation.ownership()
        certificates = [address.certificate, *trusted, *wanted["certificates"]]
        return Dsreplication(Runner(), wanted["path"], owner, group, certificates, wanted["java_home"])

    return Membership(
        member,
        wanted["base_dns"],
        connect,
        program,
        Administrator(wanted["administrator"], wanted["administrator_password"] or ""),
        Patience(wanted["limit"], wanted["settle"]),
    )


def act(module: AnsibleModule, installation: Installation) -> Outcome:
    """Do what the state asks for. Raises ClusterkitError."""
    wanted, check = module.params, module.check_mode
    if wanted["state"] == "absent":
        membership = membership_of(wanted, installation, [])
        if not wanted["leaving_host"]:
            return membership.absent(check)
        leaving = Server(
            wanted["leaving_host"], wanted["leaving_port"], wanted["leaving_replication_port"], certificate=""
        )
        return membership.forgotten(leaving, check)
    reference = reference_of(wanted)
    membership = membership_of(wanted, installation, [reference.certificate])
    if wanted["state"] == "checked":
        return Outcome(membership.differences(reference))
    if wanted["state"] == "initialized":
        return membership.initialized(reference, wanted["force"], check)
    return membership.present(reference, check)


def run(module: AnsibleModule) -> dict[str, Any]:
    """Act, and return what was done. Raises ClusterkitError."""
    installation = Installation(module.params["path"], Runner())
    if not installation.installed:
        raise ClusterkitError(f"there is no server in {module.params['path']} that has been set up")
    outcome = act(module, installation)
    lines = "".join(f"{line}\n" for line in outcome.missing)
    return {
        "changed": bool(outcome.steps),
        "steps": outcome.steps,
        "missing": outcome.missing,
        "complaint": outcome.complaint,
        "diff": {"before": lines, "after": ""} if outcome.steps else {},
    }


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "state": {
                "type": "str",
                "choices": ["present", "initialized", "absent", "checked"],
                "default": "present",
            },
            "path": {"type": "path", "default": "/opt/opendj"},
            "base_dns": {"type": "list", "elements": "str", "default": []},
            "bind_dn": {"type": "str", "default": "cn=directory manager"},
            "password": {"type": "str", "required": True, "no_log": True},
            "replication_port": {"type": "int", "default": 8989},
            "reference_host": {"type": "str"},
            "reference_port": {"type": "int", "default": 4444},
            "reference_replication_port": {"type": "int", "default": 8989},
            "reference_certificate": {"type": "str"},
            "reference_password": {"type": "str", "no_log": True},
            "administrator": {"type": "str", "default": "admin"},
            "administrator_password": {"type": "str", "no_log": True},
            "certificates": {"type": "list", "elements": "str", "default": []},
            "leaving_host": {"type": "str"},
            "leaving_port": {"type": "int", "default": 4444},
            "leaving_replication_port": {"type": "int", "default": 8989},
            "force": {"type": "bool", "default": False},
            "java_home": {"type": "str", "default": ""},
            "limit": {"type": "float", "default": 300.0},
            "settle": {"type": "float", "default": 30.0},
        },
        supports_check_mode=True,
    )
    finish(module, run)


if __name__ == "__main__":
    main()
