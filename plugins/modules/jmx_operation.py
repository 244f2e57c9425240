#!/usr/bin/python
# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: jmx_operation
short_description: Has a Java process do something through JMX
version_added: 0.1.0
author:
  - clusterkit contributors (@clusterkit)
description:
  - Calls an operation of an object, one without arguments, such as the one that shuts the process down.
extends_documentation_fragment:
  - clusterkit.middleware.attributes
  - clusterkit.middleware.jmx
attributes:
  check_mode:
    support: full
    details:
      - Nothing is asked, and it is told as a change.
  diff_mode:
    support: none
  idempotent:
    support: none
    details:
      - The operation is called each time. Whether it is to be is for the task's condition.
options:
  address:
    description: Address of the process.
    type: str
    required: true
  bean:
    description: Name of the object.
    type: str
    required: true
  operation:
    description: Name of the operation.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Shut a member down
  clusterkit.middleware.jmx_operation:
    address: 10.3.10.1
    port: 50800
    bean: site:type=Cluster
    operation: shutdown
"""

RETURN = r"""
value:
  description: What the operation returned, null for nothing.
  type: raw
  returned: when it was called
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.module import finish
from ansible_collections.clusterkit.middleware.plugins.module_utils._java import jmx


def run(module: AnsibleModule) -> dict[str, Any]:
    """Call it. Raises ClusterkitError."""
    wanted = module.params
    if module.check_mode:
        return {"changed": True}
    address, operation = wanted["address"], wanted["operation"]
    asked = jmx.Question("done", wanted["bean"], operation=operation)
    answer = jmx.ask([address], jmx.access_of(wanted), [asked], Runner())[address]
    error = answer["error"] or answer["errors"].get("done")
    if error:
        raise ClusterkitError(f"{address} did not do {operation} of {wanted['bean']}: {error}")
    return {"changed": True, "value": answer["values"]["done"]}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **jmx.argument_spec(),
            "address": {"type": "str", "required": True},
            "bean": {"type": "str", "required": True},
            "operation": {"type": "str", "required": True},
        },
        supports_check_mode=True,
    )
    finish(module, run)


if __name__ == "__main__":
    main()
