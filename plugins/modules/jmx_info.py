#!/usr/bin/python
# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: jmx_info
short_description: What Java processes tell through JMX
version_added: 0.1.0
author:
  - clusterkit contributors (@clusterkit)
description:
  - Asks Java processes for attributes of their objects, and for the results of operations that only look.
  - All processes are asked at once, by one Java machine. Processes answer where they are bound to, so this may have to
    run on a host of their network.
extends_documentation_fragment:
  - clusterkit.middleware.attributes.info
  - clusterkit.middleware.jmx
options:
  addresses:
    description: Addresses of the processes.
    type: list
    elements: str
    required: true
  questions:
    description:
      - What is asked, by names for the answers. Each has C(bean), the name of an object, and C(attribute) or
        C(operation), one without arguments. Whoever asks vouches that an operation changes nothing.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Ask the members how many they see
  clusterkit.middleware.jmx_info:
    addresses: [10.3.10.1, 10.3.10.2]
    port: 50800
    questions:
      size: {bean: "site:type=Cluster", attribute: NumberOfMembers}
      whole: {bean: "site:type=Cluster", operation: checkCluster}
"""

RETURN = r"""
answers:
  description:
    - For each address C(error) (empty where the process answered), C(values) and C(errors), both by the names of the
      questions. Lists are lists of texts.
  type: dict
  returned: success
  sample: {"10.3.10.1": {"error": "", "values": {"size": 2, "whole": true}, "errors": {}}}
"""

import re
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.module import finish
from ansible_collections.clusterkit.middleware.plugins.module_utils._java import jmx


def question(name: str, asked: Any) -> jmx.Question:
    """Return a question. Raises ClusterkitError for what is none."""
    keys = set(asked) if isinstance(asked, dict) else set()
    if not re.match(r"\w+$", name) or keys not in ({"bean", "attribute"}, {"bean", "operation"}):
        raise ClusterkitError(
            f"questions has {name}: {asked!r}: name it by letters and digits, and give bean, and either attribute or "
            "operation"
        )
    return jmx.Question(name, **asked)


def run(module: AnsibleModule) -> dict[str, Any]:
    """Ask. Raises ClusterkitError."""
    wanted = module.params
    if not wanted["addresses"]:
        return {"answers": {}}
    questions = [question(name, asked) for name, asked in wanted["questions"].items()]
    return {"answers": jmx.ask(wanted["addresses"], jmx.access_of(wanted), questions, Runner())}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **jmx.argument_spec(),
            "addresses": {"type": "list", "elements": "str", "required": True},
            "questions": {"type": "dict", "required": True},
        },
        supports_check_mode=True,
    )
    finish(module, run)


if __name__ == "__main__":
    main()
