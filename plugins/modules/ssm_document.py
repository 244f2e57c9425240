#!/usr/bin/python
# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ssm_document
short_description: A document of AWS Systems Manager that runs commands on instances
version_added: 0.1.0
author:
  - clusterkit contributors (@clusterkit)
description:
  - Makes a content that of the default version of a document, which is the one that Run Command uses.
  - A content that an earlier version has already becomes that of the default version again, since Systems Manager takes
    no content twice.
extends_documentation_fragment:
  - clusterkit.middleware.attributes
  - clusterkit.middleware.aws
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  name:
    description: Name of the document.
    type: str
    required: true
  content:
    description:
      - What the document says, in schema 1.2 or 2.2. Needed where O(state=present).
    type: dict
  state:
    description: Whether the document is there. V(absent) removes all of its versions.
    type: str
    choices: [present, absent]
    default: present
"""

EXAMPLES = r"""
- name: Have a document that stops a service
  clusterkit.middleware.ssm_document:
    name: stop-service
    region: eu-central-1
    content:
      schemaVersion: "2.2"
      description: Stops the service
      mainSteps:
        - action: aws:runShellScript
          name: stop
          inputs:
            timeoutSeconds: "240"
            runCommand: [/opt/service/bin/service.sh stop]
"""

RETURN = r"""
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterkit.middleware.plugins.module_utils._aws.client import CONNECTION, Account
from ansible_collections.clusterkit.middleware.plugins.module_utils._aws.document import Document
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.module import finish


def run(module: AnsibleModule) -> dict[str, Any]:
    """Bring the document to what is wanted. Raises ClusterkitError."""
    wanted = module.params
    document = Document(Account(wanted)("ssm"), wanted["name"])
    if wanted["state"] == "absent":
        changes = document.remove(module.check_mode)
    else:
        changes = document.write(wanted["content"], module.check_mode)
    return {"changed": changes.changed, "diff": changes.diff(f"document {wanted['name']}")}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **CONNECTION,
            "name": {"type": "str", "required": True},
            "content": {"type": "dict"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        required_if=[("state", "present", ["content"])],
        supports_check_mode=True,
    )
    finish(module, run)


if __name__ == "__main__":
    main()
