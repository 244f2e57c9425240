#!/usr/bin/python
# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: application_info
short_description: What there is of an application on a host
version_added: 0.1.0
author:
  - clusterkit contributors (@clusterkit)
description:
  - Looks at files by masks, and asks the service manager which services there are by patterns. Nothing is changed.
extends_documentation_fragment:
  - clusterkit.middleware.attributes.info
options:
  files:
    description:
      - Absolute paths, or masks with C(*), of files. Names that end in C(~) are backups and passed over, and so is what
        is no regular file.
    type: list
    elements: str
    default: []
  content:
    description:
      - Whether to return RV(carried). Use C(no_log) on the task then,
        where files may hold secrets.
    type: bool
    default: false
  numeric_owners:
    description: Whether to return owners as numbers, for files below another root, where names mean other users.
    type: bool
    default: false
  services:
    description: Patterns, such as C(httpd*), of the services to look for. They are not asked for where it is empty.
    type: list
    elements: str
    default: []
  units:
    description: Units whose state to return, besides those of O(services).
    type: list
    elements: str
    default: []
  settle:
    description: Seconds to wait, at most, for units that are just being started or stopped.
    type: float
    default: 0.0
"""

EXAMPLES = r"""
- name: Look at certificates, and find the unit of the web server
  clusterkit.middleware.application_info:
    files: [/etc/certs/httpd.*]
    services: [httpd*]
  register: found
"""

RETURN = r"""
files:
  description: What is known of each file, by path.
  type: dict
  returned: success
  sample:
    /etc/certs/httpd.crt:
      fingerprint: 0a1b2c3d4e5f6071
      mode: "0440"
      owner: root
      group: tomcat
      certificate: "-----BEGIN CERTIFICATE-----\n…\n-----END CERTIFICATE-----\n"
carried:
  description: The files with their content, for M(clusterkit.middleware.file_set).
  type: list
  elements: dict
  returned: with O(content=true)
services:
  description: Names of the services that the service manager has, in its order.
  type: list
  elements: str
  returned: success
  sample: [httpd.service]
units:
  description: State of each unit.
  type: dict
  returned: success
  sample: {"httpd.service": "active"}
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterkit.middleware.plugins.module_utils._application import file_set, services
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.module import finish


def look(module: AnsibleModule) -> dict[str, Any]:
    """Return what there is. Raises ClusterkitError."""
    wanted = module.params
    runner = Runner()
    files = file_set.look(wanted["files"], wanted["numeric_owners"])
    names = services.names(wanted["services"], runner)
    return {
        "changed": False,
        "files": files,
        **({"carried": file_set.carried(files)} if wanted["content"] else {}),
        "services": names,
        "units": services.settled([*names, *wanted["units"]], wanted["settle"], runner),
    }


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "files": {"type": "list", "elements": "str", "default": []},
            "content": {"type": "bool", "default": False},
            "numeric_owners": {"type": "bool", "default": False},
            "services": {"type": "list", "elements": "str", "default": []},
            "units": {"type": "list", "elements": "str", "default": []},
            "settle": {"type": "float", "default": 0.0},
        },
        supports_check_mode=True,
    )
    finish(module, look)


if __name__ == "__main__":
    main()
