#!/usr/bin/python
# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: opendj_certificate
short_description: One key and certificate for the administration connectors of several OpenDJ servers
version_added: 0.1.0
author:
  - clusterkit contributors (@clusterkit)
description:
  - Gives the administration connector of the server on this host a key and a certificate that others have as well,
    instead of those that the server makes for itself. A running server is restarted, and has to show the certificate.
  - Nothing is written unless key and certificate are a pair, the certificate is valid now, and it is made for every
    one of O(names).
  - Until the server shows the new certificate, its programs and the modules of this collection accept the former one
    as well, so that a run that is killed goes on where it was.
  - The key reaches C(openssl) as a file in memory, which nobody else can open.
requirements:
  - openssl on the target
attributes:
  check_mode:
    support: full
    description: Judges key and certificate as well, and tells what would change.
  diff_mode:
    support: full
    description: Shows certificates by their SHA-256.
  idempotent:
    support: full
    description: A server that has and shows the certificate is left as it is.
options:
  path:
    description: Directory of the installation.
    type: path
    default: /opt/opendj
  name:
    description: Name of this server, under which others reach it.
    type: str
    required: true
  names:
    description: Names that the certificate has to be made for, usually those of all servers.
    type: list
    elements: str
    required: true
  certificate:
    description: The certificate, one, as PEM.
    type: str
    required: true
  key:
    description: Its private key as PEM, not encrypted.
    type: str
    required: true
  unit:
    description: Unit of systemd that runs the server, to be restarted where the server runs.
    type: str
    default: opendj.service
  limit:
    description: Seconds that the server may take to show its certificate after its restart, and each look at it.
    type: float
    default: 120.0
"""

EXAMPLES = r"""
- name: Let the server have the cluster's certificate
  clusterkit.middleware.opendj_certificate:
    name: idp1.example.org
    names: [idp1.example.org, idp2.example.org]
    certificate: "{{ lookup('ansible.builtin.file', 'directory.pem') }}"
    key: "{{ vault_directory_key }}"
"""

RETURN = r"""
fingerprint:
  description: SHA-256 of the certificate that is wanted.
  type: str
  returned: success
  sample: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.differences import DifferenceTracker
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.module import finish
from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj import pair


def run(module: AnsibleModule) -> dict[str, Any]:
    """Judge the pair, compare, write what differs. Raises ClusterkitError."""
    wanted = module.params
    runner = Runner(limit=wanted["limit"])
    names = list(dict.fromkeys([wanted["name"], *wanted["names"]]))
    proved = pair.examine(runner, wanted["certificate"], wanted["key"], names)
    differences = DifferenceTracker()
    connector = pair.AdminConnector(wanted["path"], wanted["name"], runner)
    shown, has = "", False
    if connector.installed:
        shown, has = connector.shown(wanted["limit"]), connector.has(proved)
    elif not module.check_mode:
        raise ClusterkitError(f"there is no server in {wanted['path']}: set it up first")
    differences.add("files", proved.fingerprint, proved.fingerprint if has else "of another pair, or not whole")
    differences.add("shown", proved.fingerprint if shown else "", shown)
    if differences.changed and not module.check_mode:
        connector.give(proved, wanted["unit"], wanted["limit"])
    return {
        "changed": differences.changed,
        "diff": differences.diff(wanted["path"]),
        "fingerprint": proved.fingerprint,
    }


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "default": "/opt/opendj"},
            "name": {"type": "str", "required": True},
            "names": {"type": "list", "elements": "str", "required": True},
            "certificate": {"type": "str", "required": True},
            "key": {"type": "str", "required": True, "no_log": True},
            "unit": {"type": "str", "default": "opendj.service"},
            "limit": {"type": "float", "default": 120.0},
        },
        supports_check_mode=True,
    )
    finish(module, run)


if __name__ == "__main__":
    main()
