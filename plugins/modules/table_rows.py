#!/usr/bin/python
# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: table_rows
short_description: Removes rows of a small table of a database, after a backup
version_added: 0.1.0
author:
  - clusterkit contributors (@clusterkit)
description:
  - Removes the rows of a table that have given values, in one transaction. Before that all rows of the table are
    written to a file; where that fails nothing is removed.
  - A table with more than 1000 rows is refused.
extends_documentation_fragment:
  - clusterkit.middleware.database
  - clusterkit.middleware.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details:
      - Shows the rows that are removed, by the columns that were given.
  idempotent:
    support: full
options:
  absent:
    description: The rows that shall not be there, each by column. A row with all the given values is one of them.
    type: list
    elements: dict
    required: true
  backup_directory:
    description: Directory for the backup. It is made, with mode 0700, where it is missing.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: Take out members that are gone
  clusterkit.middleware.table_rows:
    engine: postgresql
    host: db.example.org
    database: site
    user: site
    password: "{{ site_password }}"
    table: members
    absent:
      - {host: 192.0.2.99, port: 5701}
    backup_directory: /var/lib/clusterkit/members
"""

RETURN = r"""
removed:
  description: The rows that were removed, by the columns that were given.
  type: list
  elements: dict
  returned: success
  sample: [{"host": "192.0.2.99", "port": 5701}]
backup:
  description: Path of the backup.
  type: str
  returned: when rows were removed
"""

import pathlib
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.differences import DifferenceTracker
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.files import write_atomically
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.module import finish
from ansible_collections.clusterkit.middleware.plugins.module_utils._database import rows


def there(absent: list[dict[str, Any]], present: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return those that are there. Values are compared as texts: from a variable a number may come as one."""
    found: list[dict[str, Any]] = []
    for row in present:
        for one in absent:
            if all(name in row and str(row[name]) == str(value) for name, value in one.items()):
                own = {name: row[name] for name in one}
                found += [own] if own not in found else []
    return found


def run(module: AnsibleModule) -> dict[str, Any]:
    """Remove what is there and shall not be. Raises ClusterkitError."""
    wanted = module.params
    if not all(wanted["absent"]):
        raise ClusterkitError("absent has an entry without columns, which would be every row: name its values")
    directory = pathlib.Path(wanted["backup_directory"])
    path = directory / f"{wanted['table']}-{time.strftime('%Y%m%dT%H%M%S')}.json"

    def keep(content: bytes) -> None:
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ClusterkitError(f"cannot make {directory}: {error.strerror}") from None
        write_atomically(str(path), content, mode=0o600)

    differences = DifferenceTracker()
    with rows.opened(wanted) as table:
        columns = sorted({name for one in wanted["absent"] for name in one})
        doomed = there(wanted["absent"], table.rows(columns) if columns else [])
        for row in doomed:
            differences.add(", ".join(f"{name}={value}" for name, value in row.items()), None, "a row")
        if doomed and not module.check_mode:
            table.remove(doomed, keep)
    result = {"changed": differences.changed, "removed": doomed, "diff": differences.diff(wanted["table"])}
    if doomed and not module.check_mode:
        result["backup"] = str(path)
    return result


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **rows.argument_spec(),
            "absent": {"type": "list", "elements": "dict", "required": True},
            "backup_directory": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    finish(module, run)


if __name__ == "__main__":
    main()
