#!/usr/bin/python
# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ssm_agent_info
short_description: Whether AWS Systems Manager reaches the agents of instances
version_added: 0.1.0
author:
  - clusterkit contributors (@clusterkit)
description:
  - Asks Systems Manager what it knows of the agents. An instance that has none, or whose profile does not let it
    register, is not known.
extends_documentation_fragment:
  - clusterkit.middleware.attributes.info
  - clusterkit.middleware.aws
options:
  instances:
    description: Ids of the instances.
    type: list
    elements: str
    required: true
  wait_seconds:
    description: Seconds that all may take to be reached. What is known then is returned in any case.
    type: float
    default: 0.0
"""

EXAMPLES = r"""
- name: Ask for an instance
  clusterkit.middleware.ssm_agent_info:
    instances: [i-0123456789abcdef0]
    region: eu-central-1
    wait_seconds: 60
"""

RETURN = r"""
agents:
  description: What Systems Manager says of each instance that it knows, such as C(Online).
  type: dict
  returned: success
  sample: {"i-0123456789abcdef0": "Online"}
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterkit.middleware.plugins.module_utils._aws.client import CONNECTION, Account
from ansible_collections.clusterkit.middleware.plugins.module_utils._aws.lifecycle import agents, until
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.module import finish


def run(module: AnsibleModule) -> dict[str, Any]:
    """Ask. Raises ClusterkitError."""
    wanted = sorted(module.params["instances"])
    client = Account(module.params)("ssm")
    found = until(
        lambda: agents(client, wanted),
        lambda known: all(known.get(one) == "Online" for one in wanted),
        module.params["wait_seconds"],
    )
    return {"agents": found}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **CONNECTION,
            "instances": {"type": "list", "elements": "str", "required": True},
            "wait_seconds": {"type": "float", "default": 0.0},
        },
        supports_check_mode=True,
    )
    finish(module, run)


if __name__ == "__main__":
    main()
