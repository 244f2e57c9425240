#!/usr/bin/python
# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: app_database_backup
short_description: Backups of a database, tried and restored
version_added: 0.1.0
author:
  - clusterkit contributors (@clusterkit)
description:
  - Writes a consistent backup of a database while it is used, restores one into a scratch database and compares, or
    lets the database be what a backup has.
  - What server, where backups go and how they are encrypted stands in the settings that the role C(app_database) wrote
    on this host; the program C(clusterkit-database), which it runs by timer, does the same.
attributes:
  check_mode:
    support: full
    description: Reads the backup that is to be restored to its end, and changes nothing.
  diff_mode:
    support: none
    description: Data are not shown.
  idempotent:
    support: none
    description: Each call writes a backup, tries one, or restores one.
options:
  state:
    description:
      - V(present) writes a backup, and removes those beyond the number that is kept.
      - V(drilled) restores O(file), or the newest one, into a scratch database and compares a dump of that with the
        backup, line by line.
      - V(restored) does that first, and then lets the database be what O(file) has. What was there before is backed up.
        Refused while somebody is connected.
    type: str
    choices: [present, drilled, restored]
    default: present
  database:
    description: Name of the database.
    type: str
    required: true
  file:
    description: The backup.
    type: path
    default: ""
  idle:
    description: Whether a backup is refused while somebody is connected, for one that other data have to match.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Write a backup
  clusterkit.middleware.app_database_backup:
    database: shop

- name: See that it can be restored
  clusterkit.middleware.app_database_backup:
    state: drilled
    database: shop
"""

RETURN = r"""
backup:
  description: The backup's manifest, with file, sha256, bytes, tables, began, ended and others.
  type: dict
  returned: success
before:
  description: The backup of what was there before a restore. Empty where nothing was, or for another state.
  type: str
  returned: success
removed:
  description: Older files that were removed.
  type: list
  elements: str
  returned: success
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.module import finish
from ansible_collections.clusterkit.middleware.plugins.module_utils._database.agent import backups_of, settings_of


def run(module: AnsibleModule) -> dict[str, Any]:
    """Do what the state asks for. Raises ClusterkitError."""
    given = module.params
    settings = settings_of(given["database"])
    backups = backups_of(settings)
    result: dict[str, Any] = {"changed": True, "backup": {}, "before": "", "removed": []}
    if given["state"] == "restored" and not given["file"]:
        raise ClusterkitError("state=restored needs file: say which backup")
    if module.check_mode:
        if given["file"]:
            result["backup"] = backups.check(given["file"])
    elif given["state"] == "present":
        result["backup"] = backups.write(idle=given["idle"])
        result["removed"] = backups.prune(settings["keep"])
    elif given["state"] == "drilled":
        result["backup"] = backups.drill(given["file"])
    else:
        restored = backups.restore(given["file"])
        result["before"] = restored.pop("before")
        result["backup"] = restored
    return result


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "drilled", "restored"], "default": "present"},
            "database": {"type": "str", "required": True},
            "file": {"type": "path", "default": ""},
            "idle": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    finish(module, run)


if __name__ == "__main__":
    main()
