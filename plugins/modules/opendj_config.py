#!/usr/bin/python
# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: opendj_config
short_description: Settings of an OpenDJ server
version_added: 0.1.0
author:
  - clusterkit contributors (@clusterkit)
description:
  - Gives entries of C(cn=config) the values that are wanted, over LDAP, where they differ. C(dsconfig) takes seconds
    for each, and shows nothing for some.
  - C(cn=config) is not replicated, so that each member needs its own call.
  - Values are shown in differences, so that this is no place for secrets.
extends_documentation_fragment:
  - clusterkit.middleware.opendj
attributes:
  check_mode:
    support: full
    description: Reports what would be set.
  diff_mode:
    support: full
    description: Shows the values that differ.
  idempotent:
    support: full
    description: Values that are as they should be are not written.
options:
  settings:
    description: The entries, each with the values of some of its attributes. Others stay as they are.
    type: list
    elements: dict
    required: true
    suboptions:
      dn:
        description: DN of the entry, which has to be there.
        type: str
        required: true
      attributes:
        description:
          - Values by attribute, one or a list of them; V(null) or an empty list takes the attribute away, so that its
            default holds.
        type: dict
        required: true
"""

EXAMPLES = r"""
- name: Let passwords come hashed, and LDAP listen on one address only
  clusterkit.middleware.opendj_config:
    password: "{{ directory_manager_password }}"
    settings:
      - dn: cn=Default Password Policy,cn=Password Policies,cn=config
        attributes:
          ds-cfg-allow-pre-encoded-passwords: true
      - dn: cn=LDAP Connection Handler,cn=Connection Handlers,cn=config
        attributes:
          ds-cfg-listen-address: 127.0.0.1
"""

RETURN = r"""
entries:
  description: The entries that were changed, or would be.
  type: list
  elements: str
  returned: success
  sample: ["cn=Default Password Policy,cn=Password Policies,cn=config"]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.differences import DifferenceTracker
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.module import finish
from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj import settings
from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj.installation import (
    CONNECTION,
    own_directory,
)


def run(module: AnsibleModule) -> dict[str, Any]:
    """Compare, write what differs. Raises ClusterkitError."""
    wanted = module.params
    differences = DifferenceTracker()
    with own_directory(wanted) as directory:
        changes = settings.compare(directory, wanted["settings"], differences)
        if not module.check_mode:
            for dn, replaced in changes:
                directory.modify(dn, replaced)
    return {
        "changed": differences.changed,
        "diff": differences.diff(wanted["path"]),
        "entries": [dn for dn, _replaced in changes],
    }


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "settings": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "dn": {"type": "str", "required": True},
                    "attributes": {"type": "dict", "required": True},
                },
            },
            **CONNECTION,
        },
        supports_check_mode=True,
    )
    finish(module, run)


if __name__ == "__main__":
    main()
