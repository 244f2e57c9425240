#!/usr/bin/python
# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lifecycle_info
short_description: What makes an Auto Scaling group end its instances gracefully
version_added: 0.1.0
author:
  - clusterkit contributors (@clusterkit)
description:
  - Looks at an Auto Scaling group and at all that takes part when one of its instances is terminated. Nothing is
    changed.
extends_documentation_fragment:
  - clusterkit.middleware.attributes.info
  - clusterkit.middleware.aws
options:
  group:
    description: Name of the Auto Scaling group.
    type: str
    required: true
  hook:
    description: Name of its lifecycle hook.
    type: str
    required: true
  name:
    description: Name of the document, function, rule, and alarm.
    type: str
    required: true
  role:
    description: Name of the function's IAM role.
    type: str
    required: true
  wait_seconds:
    description:
      - Seconds that the function may take to become ready, and the instances in service until they can be reached.
        What is seen then is returned in any case.
    type: float
    default: 0.0
"""

EXAMPLES = r"""
- name: Look at the group
  clusterkit.middleware.lifecycle_info:
    group: web
    hook: graceful-termination
    name: graceful-termination-web
    role: graceful-termination-web-eu-central-1
    region: eu-central-1
"""

RETURN = r"""
account:
  description: The account, with C(id), C(partition) and C(region).
  type: dict
  returned: success
group:
  description:
    - The group, with C(arn), C(minimum), C(maximum), C(desired), C(subnets), C(launch_template), C(tags) and
      C(instances), a state for each. Empty where there is none.
  type: dict
  returned: success
hook:
  description: The hook, with C(transition), C(heartbeat) and C(result). Empty where there is none.
  type: dict
  returned: success
other_hooks:
  description: Names of the group's other hooks for instances that are terminated.
  type: list
  returned: success
document:
  description: Content of the document's default version, empty where there is none.
  type: dict
  returned: success
function:
  description:
    - The function, with C(arn), C(state), C(sha256), C(environment), C(permission) (what EventBridge may invoke it
      for) and C(timeout). Empty where there is none.
  type: dict
  returned: success
rule:
  description: The rule, with C(description), C(enabled), C(pattern) and C(targets). Empty where there is none.
  type: dict
  returned: success
role:
  description: The IAM role, with C(arn) and C(policies). Empty where there is none.
  type: dict
  returned: success
retention:
  description: Days that the function's log is kept. Null where there is no log group, 0 where it is kept for ever.
  type: int
  returned: success
alarm:
  description: The alarm, with C(actions). Empty where there is none.
  type: dict
  returned: success
agents:
  description: What Systems Manager says of the agent on each of the group's instances that it knows, such as C(Online).
  type: dict
  returned: success
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterkit.middleware.plugins.module_utils._aws.client import CONNECTION, Account
from ansible_collections.clusterkit.middleware.plugins.module_utils._aws.lifecycle import look, look_until_ready
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.module import finish


def run(module: AnsibleModule) -> dict[str, Any]:
    """Look. Raises ClusterkitError."""
    wanted = module.params
    account = Account(wanted)
    return look_until_ready(
        lambda: look(account, wanted["group"], wanted["hook"], wanted["name"], wanted["role"]), wanted["wait_seconds"]
    )


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **CONNECTION,
            "group": {"type": "str", "required": True},
            "hook": {"type": "str", "required": True},
            "name": {"type": "str", "required": True},
            "role": {"type": "str", "required": True},
            "wait_seconds": {"type": "float", "default": 0.0},
        },
        supports_check_mode=True,
    )
    finish(module, run)


if __name__ == "__main__":
    main()
