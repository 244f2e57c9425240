#!/usr/bin/python
# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: opendj_setup
short_description: An OpenDJ server set up from its archive
version_added: 0.1.0
author:
  - clusterkit contributors (@clusterkit)
description:
  - Unpacks the archive, moves it to its place as a whole and sets the server up. The server is not started.
  - A server that is there already is left as it is, whatever its version and settings.
  - What a killed run left is noticed, and begun anew.
  - The password reaches the set-up program as a file in memory, which nobody else can open.
attributes:
  check_mode:
    support: full
    description: Tells whether a server would be set up or removed.
  diff_mode:
    support: full
    description: Shows whether there is a server, and its base DNs.
  idempotent:
    support: full
    description: A server that is there is left as it is.
options:
  state:
    description:
      - V(present) sets a server up where there is none.
      - V(absent) removes the whole directory, the data included, where this module has set the server up, and nothing
        otherwise. It refuses while a program of it runs.
    type: str
    choices: [present, absent]
    default: present
  path:
    description: Directory of the installation. It has to be missing or empty.
    type: path
    default: /opt/opendj
  archive:
    description: The archive, a zip file on this host. Needed for V(present), where there is no server.
    type: path
  checksum:
    description: SHA-256 of the archive, as C(sha256:) and 64 digits. Needed with O(archive).
    type: str
  owner:
    description: User whose the server is, and as whom it is set up.
    type: str
    default: ldap
  group:
    description: Group whose the server is.
    type: str
    default: ldap
  host:
    description:
      - Name of this host, under which others reach the server. Its certificates are made for it.
      - Needed for V(present), where there is no server.
    type: str
  java_home:
    description: Directory of the Java to use. The one on the search path where it is empty.
    type: str
    default: ""
  base_dns:
    description: Base DNs, all in one backend.
    type: list
    elements: str
    default: []
  base_entry:
    description: Whether to make the entry of each base DN. Otherwise the server is empty until something is imported.
    type: bool
    default: true
  ldif:
    description: An LDIF file on this host to import in place of O(base_entry). Every entry has to be accepted.
    type: path
  ldap_port:
    description: Port for LDAP.
    type: int
    default: 1389
  ldaps_port:
    description: Port for LDAPS, 0 for none.
    type: int
    default: 0
  admin_port:
    description: Port of the administration connector.
    type: int
    default: 4444
  bind_dn:
    description: DN of the directory manager.
    type: str
    default: cn=directory manager
  password:
    description: Password of the directory manager. Needed for V(present), where there is no server.
    type: str
  limit:
    description: Seconds that set-up may take, with the import of O(ldif).
    type: float
    default: 600.0
"""

EXAMPLES = r"""
- name: Set a server up
  clusterkit.middleware.opendj_setup:
    archive: /root/opendj-server-legacy-4.9.2.zip
    checksum: sha256:e01ade7f93e8d3f5b453d93361254f8b40f3de73b538ae34cc79ce98c136824a
    host: idp1.example.org
    base_dns: ["o=site"]
    password: "{{ directory_manager_password }}"
"""

RETURN = r"""
build:
  description: Version and revision of what is installed. In check mode it is empty where nothing is yet.
  type: str
  returned: always
  sample: 4.9.2.a29601218766eeeaee1c2bdc894706c5e3faf8f5
"""

import re
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.differences import DifferenceTracker
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.module import finish
from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj.installation import Installation, Setup

NEEDED = ("archive", "checksum", "host", "base_dns", "password")


def checksum_of(wanted: dict[str, Any]) -> str:
    """Return the digits of the checksum, all that is needed being there. Raises ClusterkitError."""
    missing = [name for name in NEEDED if not wanted[name]]
    if missing:
        raise ClusterkitError(f"{', '.join(missing)} missing: state=present needs it where there is no server")
    checksum = re.fullmatch(r"sha256:([0-9a-f]{64})", wanted["checksum"])
    if not checksum:
        raise ClusterkitError(f"checksum is {wanted['checksum']!r}: write sha256: and 64 digits in lower case")
    return checksum.group(1)


def present(module: AnsibleModule, installation: Installation) -> DifferenceTracker:
    """Set up where there is none; return what differs. Raises ClusterkitError."""
    wanted = module.params
    differences = DifferenceTracker()
    if installation.installed:
        return differences
    checksum = checksum_of(wanted)
    differences.add("server", "set up", "left by a killed run" if installation.incomplete else None)
    differences.add("base_dns", wanted["base_dns"], None)
    if not module.check_mode:
        setup = Setup(
            wanted["host"],
            wanted["base_dns"],
            wanted["bind_dn"],
            wanted["ldap_port"],
            wanted["admin_port"],
            wanted["ldaps_port"],
            wanted["ldif"] or "",
            wanted["base_entry"],
            wanted["java_home"],
        )
        installation.install(wanted["archive"], checksum, wanted["owner"], wanted["group"], setup, wanted["password"])
    return differences


def absent(module: AnsibleModule, installation: Installation) -> DifferenceTracker:
    """Remove it; return what differs. Raises ClusterkitError."""
    differences = DifferenceTracker()
    differences.add("server", None, "present" if installation.leftovers else None)
    if differences.changed and not module.check_mode:
        installation.remove()
    return differences


def run(module: AnsibleModule) -> dict[str, Any]:
    """Do what the state asks for. Raises ClusterkitError."""
    wanted = module.params
    installation = Installation(wanted["path"], Runner(limit=wanted["limit"]))
    differences = (present if wanted["state"] == "present" else absent)(module, installation)
    return {
        "changed": differences.changed,
        "diff": differences.diff(wanted["path"]),
        "build": installation.told()["build"],
    }


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "path": {"type": "path", "default": "/opt/opendj"},
            "archive": {"type": "path"},
            "checksum": {"type": "str"},
            "owner": {"type": "str", "default": "ldap"},
            "group": {"type": "str", "default": "ldap"},
            "host": {"type": "str"},
            "java_home": {"type": "str", "default": ""},
            "base_dns": {"type": "list", "elements": "str", "default": []},
            "base_entry": {"type": "bool", "default": True},
            "ldif": {"type": "path"},
            "ldap_port": {"type": "int", "default": 1389},
            "ldaps_port": {"type": "int", "default": 0},
            "admin_port": {"type": "int", "default": 4444},
            "bind_dn": {"type": "str", "default": "cn=directory manager"},
            "password": {"type": "str", "no_log": True},
            "limit": {"type": "float", "default": 600.0},
        },
        supports_check_mode=True,
    )
    finish(module, run)


if __name__ == "__main__":
    main()
