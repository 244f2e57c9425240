#!/usr/bin/python
# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: file_set
short_description: Several files, secret ones among them, as another host has them
version_added: 0.1.0
author:
  - clusterkit contributors (@clusterkit)
description:
  - Writes files that M(clusterkit.middleware.application_info) has read on another host, with their owners and modes.
    They come in memory, so that no file of the control node ever has them.
  - All of them are compared, and their owners looked up, before the first one is replaced. Each is replaced in one
    step.
extends_documentation_fragment:
  - clusterkit.middleware.attributes
attributes:
  check_mode:
    support: full
    details:
      - A user or group that is not there is not complained of, since an earlier task may be the one to make it.
  diff_mode:
    support: full
    details:
      - Shows which files differ, by fingerprints.
  idempotent:
    support: full
options:
  files:
    description: The files, as RV(clusterkit.middleware.application_info#module:carried) has them.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Path of the file. Its directory has to exist.
        type: path
        required: true
      content:
        description: What the file holds, in base64.
        type: str
        required: true
      mode:
        description: Mode of the file, in octal digits.
        type: str
        required: true
      owner:
        description: Owner of the file, a name or a number.
        type: str
        required: true
      group:
        description: Group of the file, a name or a number.
        type: str
        required: true
  backup:
    description: Whether to keep what is overwritten, beside it, under a name that ends in C(~).
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: Read the keys of the first host
  clusterkit.middleware.application_info:
    files: [/etc/certs/httpd.*]
    content: true
  delegate_to: idp1.example.org
  no_log: true
  register: read

- name: Have the same ones here
  clusterkit.middleware.file_set:
    files: "{{ read.carried }}"
"""

RETURN = r"""
paths:
  description: The files that were written, or would be.
  type: list
  elements: str
  returned: success
  sample: [/etc/certs/httpd.crt]
backups:
  description: Where what was overwritten is kept, by path.
  type: dict
  returned: success
  sample: {/etc/certs/httpd.crt: /etc/certs/httpd.crt.2811.2026-11-21@10:00:00~}
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterkit.middleware.plugins.module_utils._application.file_set import Wanted
from ansible_collections.clusterkit.middleware.plugins.module_utils._common import files
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.differences import DifferenceTracker
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.module import finish


def run(module: AnsibleModule) -> dict[str, Any]:
    """Compare all, then write those that differ. Raises ClusterkitError."""
    differences = DifferenceTracker()
    wanted = [Wanted.read(given) for given in module.params["files"]]
    due = [one for one in wanted if one.differs(differences)]
    backups = {}
    if not module.check_mode:
        for one in due:
            one.check_owners()
        for one in due:
            if module.params["backup"] and files.status_if_exists(one.path):
                backups[one.path] = module.backup_local(one.path)
            one.write()
    return {
        "changed": differences.changed,
        "diff": differences.diff(),
        "paths": [one.path for one in due],
        "backups": backups,
    }


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "files": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "path": {"type": "path", "required": True},
                    "content": {"type": "str", "required": True, "no_log": True},
                    **{name: {"type": "str", "required": True} for name in ("mode", "owner", "group")},
                },
            },
            "backup": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    finish(module, run)


if __name__ == "__main__":
    main()
