#!/usr/bin/python
# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: directory_backup
short_description: Backups of a directory that belong to something else
version_added: 0.1.0
author:
  - clusterkit contributors (@clusterkit)
description:
  - Writes a backup of a directory which is one half of a pair - the other is a backup of the database whose rows speak
    of the files. Its manifest says which that is.
  - A restore has two steps, so that the other half can be restored between them. Killed at any point, it goes on when
    it is called again.
attributes:
  check_mode:
    support: full
    description: Reads the backup that is to be restored to its end, and changes nothing.
  diff_mode:
    support: none
    description: Data are not shown.
  idempotent:
    support: none
    description: Each call writes a backup, or restores one.
options:
  state:
    description:
      - V(present) writes a backup, and removes those beyond the number that is kept.
      - V(checked) reads O(file) to its end and changes nothing.
      - V(staged) unpacks O(file) within the directory, beside its data, which may still be used.
      - V(begun) notes that from now on the data and what they belong to may not fit; nobody may use them any more.
      - V(restored) lets the directory have what was unpacked. What it had is kept within it.
    type: str
    choices: [present, checked, staged, begun, restored]
    default: present
  source:
    description: The directory whose backups they are.
    type: path
    required: true
  directory:
    description: Where the backups are written. It should be on another storage than O(source).
    type: path
    required: true
  name:
    description: With what the names of the backups begin.
    type: str
    required: true
  belongs_to:
    description: For V(present) - the other half of the pair, with its C(sha256) and what else tells of it.
    type: dict
    default: {}
  file:
    description: The backup, for all states but V(present).
    type: path
    default: ""
  keep:
    description: Number of backups that are kept.
    type: int
    default: 14
  limit:
    description: Seconds that reading or writing the archive may take.
    type: int
    default: 3600
"""

EXAMPLES = r"""
- name: Write the second half of a pair
  clusterkit.middleware.directory_backup:
    source: /media/share/appdata
    directory: /var/backups/deploy_cluster
    name: deploy
    belongs_to:
      file: "{{ dump.backup.file }}"
      sha256: "{{ dump.backup.sha256 }}"
"""

RETURN = r"""
backup:
  description: The backup's manifest, with file, sha256, bytes, began, ended and belongs_to.
  type: dict
  returned: success
before:
  description: For V(restored), where what the directory had is.
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

from ansible_collections.clusterkit.middleware.plugins.module_utils._appdata.backup import DirectoryBackups
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.module import finish


def run(module: AnsibleModule) -> dict[str, Any]:
    """Do what the state asks for. Raises ClusterkitError."""
    given = module.params
    state, file = given["state"], given["file"]
    backups = DirectoryBackups(given["source"], given["directory"], given["name"], given["limit"])
    result: dict[str, Any] = {"changed": state != "checked", "backup": {}, "before": "", "removed": []}
    if state == "present":
        if not given["belongs_to"].get("sha256"):
            raise ClusterkitError("belongs_to has no sha256: say of what other backup this one is the second half")
        if not module.check_mode:
            result["backup"] = backups.write(given["belongs_to"])
            result["removed"] = backups.prune(given["keep"])
        return result
    if not file:
        raise ClusterkitError(f"state={state} needs file: say which backup")
    if state == "checked" or module.check_mode:
        result["backup"] = backups.check(file)
    elif state == "staged":
        result["backup"] = backups.stage(file)
    elif state == "begun":
        backups.begin(file)
    else:
        result["before"] = backups.restore(file)
    return result


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "state": {
                "type": "str",
                "choices": ["present", "checked", "staged", "begun", "restored"],
                "default": "present",
            },
            "source": {"type": "path", "required": True},
            "directory": {"type": "path", "required": True},
            "name": {"type": "str", "required": True},
            "belongs_to": {"type": "dict", "default": {}},
            "file": {"type": "path", "default": ""},
            "keep": {"type": "int", "default": 14},
            "limit": {"type": "int", "default": 3600},
        },
        supports_check_mode=True,
    )
    finish(module, run)


if __name__ == "__main__":
    main()
