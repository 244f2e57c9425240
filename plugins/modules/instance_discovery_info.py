#!/usr/bin/python
# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: instance_discovery_info
short_description: What lets members of a cluster find each other by the instances that AWS names
version_added: 0.1.0
author:
  - clusterkit contributors (@clusterkit)
description:
  - Looks at the instances of members, at their security group, and at the user whose key they ask AWS with. Nothing is
    changed.
extends_documentation_fragment:
  - clusterkit.middleware.attributes.info
  - clusterkit.middleware.aws
options:
  user:
    description: Name of the user, and of the policy that has its rights.
    type: str
    required: true
  group:
    description: Name of the security group.
    type: str
    required: true
  vpc:
    description: Network of the instances. Needed where several of the region have the same addresses.
    type: str
    default: ""
  addresses:
    description: Private addresses of the members.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Look at the account
  clusterkit.middleware.instance_discovery_info:
    user: site-members
    group: site
    addresses: [10.3.10.1, 10.3.10.2]
    region: eu-central-1
"""

RETURN = r"""
account:
  description: The account, with C(id), C(partition) and C(region).
  type: dict
  returned: success
user:
  description:
    - The user, with C(arn), C(tags), C(attached) and C(inline) policies, and C(keys), a state for each id. Empty
      where there is none.
  type: dict
  returned: success
policy:
  description: The policy of the user's name, with C(arn), C(tags) and C(document). Empty where there is none.
  type: dict
  returned: success
groups:
  description:
    - The security groups of that name in the networks of the instances, each with C(id), C(vpc), C(tags) and C(rules).
  type: list
  elements: dict
  returned: success
vpcs:
  description: The networks of the instances.
  type: list
  elements: str
  returned: success
instances:
  description:
    - For each address the instances that have it, with C(id), C(vpc), C(tags), C(groups) (ids), and C(tokens), whether
      it demands them of who asks for its metadata, C(required) or C(optional).
  type: dict
  returned: success
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterkit.middleware.plugins.module_utils._aws.client import CONNECTION, Account
from ansible_collections.clusterkit.middleware.plugins.module_utils._aws.discovery import look
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.module import finish


def run(module: AnsibleModule) -> dict[str, Any]:
    """Look. Raises ClusterkitError."""
    wanted = module.params
    return look(Account(wanted), wanted["user"], wanted["group"], wanted["vpc"], wanted["addresses"])


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **CONNECTION,
            "user": {"type": "str", "required": True},
            "group": {"type": "str", "required": True},
            "vpc": {"type": "str", "default": ""},
            "addresses": {"type": "list", "elements": "str", "required": True},
        },
        supports_check_mode=True,
    )
    finish(module, run)


if __name__ == "__main__":
    main()
