#!/usr/bin/python
# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: eventbridge_rule
short_description: A rule of Amazon EventBridge with one target
version_added: 0.1.0
author:
  - clusterkit contributors (@clusterkit)
description:
  - Hands the events of the account's default bus that match a pattern to one target. Targets that were added to the
    rule otherwise are removed from it.
  - Other than M(amazon.aws.cloudwatchevent_rule) it can tell in check mode what would change, and shows it.
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
    description: Name of the rule.
    type: str
    required: true
  description:
    description: What the rule is for.
    type: str
    default: ""
  pattern:
    description: Pattern that events have to match. Needed where O(state=present).
    type: dict
  target:
    description: ARN of what the events go to. Needed where O(state=present).
    type: str
  state:
    description: Whether the rule is there and enabled.
    type: str
    choices: [present, absent]
    default: present
"""

EXAMPLES = r"""
- name: Hand the events to the function
  clusterkit.middleware.eventbridge_rule:
    name: graceful-termination
    region: eu-central-1
    pattern:
      source: [aws.autoscaling]
      detail-type: [EC2 Instance-terminate Lifecycle Action]
    target: arn:aws:lambda:eu-central-1:123456789012:function:graceful-termination
"""

RETURN = r"""
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterkit.middleware.plugins.module_utils._aws.client import CONNECTION, Account
from ansible_collections.clusterkit.middleware.plugins.module_utils._aws.rule import Rule
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.module import finish


def run(module: AnsibleModule) -> dict[str, Any]:
    """Bring the rule to what is wanted. Raises ClusterkitError."""
    wanted = module.params
    rule = Rule(Account(wanted)("events"), wanted["name"])
    if wanted["state"] == "absent":
        changes = rule.remove(module.check_mode)
    else:
        changes = rule.write(wanted["description"], wanted["pattern"], wanted["target"], module.check_mode)
    return {"changed": changes.changed, "diff": changes.diff(f"rule {wanted['name']}")}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **CONNECTION,
            "name": {"type": "str", "required": True},
            "description": {"type": "str", "default": ""},
            "pattern": {"type": "dict"},
            "target": {"type": "str"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        required_if=[("state", "present", ["pattern", "target"])],
        supports_check_mode=True,
    )
    finish(module, run)


if __name__ == "__main__":
    main()
