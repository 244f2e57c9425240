#!/usr/bin/python
# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: csync2_peer_certificate
short_description: Forgets certificates that a csync2 member has pinned and its peers no longer have
version_added: 0.1.0
author:
  - clusterkit contributors (@clusterkit)
description:
  - csync2 pins a peer's certificate at the first contact, and refuses the peer for ever when its certificate changes.
    This module forgets a pin that is not the certificate which the peer has now; the next contact pins that one.
  - Give the fingerprints from a source that is trusted, such as the peers' own files read over Ansible's connection.
attributes:
  check_mode:
    support: full
    description: Can run in check mode and tell what it would change.
  diff_mode:
    support: full
    description: Returns the pinned and the wanted fingerprints.
  idempotent:
    support: full
    description: A second run with the same options changes nothing.
options:
  name:
    description: The member's own name in the configuration.
    type: str
    required: true
  certificates:
    description:
      - For each peer the SHA-256 fingerprint (hexadecimal, lower case) of the certificate that it has.
      - An empty fingerprint forgets whatever is pinned for the peer.
      - Peers that are not named are left as they are.
    type: dict
    required: true
  database_directory:
    description: Directory of the database.
    type: path
    default: /var/lib/csync2
"""

EXAMPLES = r"""
- name: Forget what is pinned of a peer that got a new certificate
  clusterkit.middleware.csync2_peer_certificate:
    name: idp1.example.org
    certificates:
      idp2.example.org: ""
"""

RETURN = r"""
forgotten:
  description: Peers whose pin was forgotten, or would be.
  type: list
  elements: str
  returned: always
  sample: [idp2.example.org]
pins:
  description: The fingerprints that were pinned before.
  type: dict
  returned: always
  sample: {"idp2.example.org": "3f0b4c2d6a8e1f7092b5c4d3e6f7a8b90c1d2e3f405162738495a6b7c8d9e0f1"}
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.differences import DifferenceTracker
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.module import finish
from ansible_collections.clusterkit.middleware.plugins.module_utils._csync2.state import DATABASE_DIRECTORY
from ansible_collections.clusterkit.middleware.plugins.module_utils._csync2.sync import Csync2


def run(module: AnsibleModule) -> dict[str, Any]:
    """Compare the pins with the certificates, forget those that differ, report. Raises ClusterkitError."""
    csync2 = Csync2(module.params["name"], Runner(), database_directory=module.params["database_directory"])
    database = csync2.database()
    pins = database.pins if database else {}
    forgotten = csync2.outdated_pins(module.params["certificates"])
    differences = DifferenceTracker()
    for peer in forgotten:
        differences.add(peer, "to be pinned at the next contact", pins[peer])
    if forgotten and not module.check_mode:
        csync2.forget(forgotten)
    return {"changed": differences.changed, "diff": differences.diff(), "forgotten": forgotten, "pins": pins}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "certificates": {"type": "dict", "required": True},
            "database_directory": {"type": "path", "default": DATABASE_DIRECTORY},
        },
        supports_check_mode=True,
    )
    finish(module, run)


if __name__ == "__main__":
    main()
