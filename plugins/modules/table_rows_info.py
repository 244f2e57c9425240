#!/usr/bin/python
# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: table_rows_info
short_description: Reads the rows of a small table of a database
version_added: 0.1.0
author:
  - clusterkit contributors (@clusterkit)
description:
  - Reads all rows of a table in which a program keeps a list, such as that of its members. A table with more than 1000
    rows is refused.
extends_documentation_fragment:
  - clusterkit.middleware.database
  - clusterkit.middleware.attributes.info
options:
  columns:
    description: Names of the columns to read. All of them where it is empty.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Read which members are registered
  clusterkit.middleware.table_rows_info:
    engine: postgresql
    host: db.example.org
    database: site
    user: site
    password: "{{ site_password }}"
    table: members
    columns: [host, port]
  register: registered
"""

RETURN = r"""
rows:
  description: The rows, each by column. What JSON does not know is a text.
  type: list
  elements: dict
  returned: success
  sample: [{"host": "192.0.2.10", "port": 5701}]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.module import finish
from ansible_collections.clusterkit.middleware.plugins.module_utils._database import rows


def plain(value: Any) -> Any:
    """Return a value that JSON knows."""
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def look(module: AnsibleModule) -> dict[str, Any]:
    """Return the rows. Raises ClusterkitError."""
    with rows.opened(module.params) as table:
        found = table.rows(module.params["columns"])
    return {"changed": False, "rows": [{name: plain(value) for name, value in row.items()} for row in found]}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={**rows.argument_spec(), "columns": {"type": "list", "elements": "str", "default": []}},
        supports_check_mode=True,
    )
    finish(module, look)


if __name__ == "__main__":
    main()
