#!/usr/bin/python
# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: shared_mount
short_description: Mounts shares on this host, and closes what is below them
version_added: 0.1.0
author:
  - clusterkit contributors (@clusterkit)
description:
  - Writes a line of C(/etc/fstab) or a mount unit for each share, makes its mount point immutable, and mounts it.
  - Nothing else in C(/etc/fstab) is touched. What is mounted already stays mounted.
  - A mount point that holds files is refused, since the mount would hide them.
extends_documentation_fragment:
  - clusterkit.middleware.shared_mount
attributes:
  check_mode:
    support: full
    description: Tells what would be written and mounted.
  diff_mode:
    support: full
    description: Shows lines, units, flags and mounts.
  idempotent:
    support: full
    description: Nothing is mounted or written twice.
options:
  absent:
    description: Shares that shall be gone from this host. What is on them stays.
    type: list
    elements: dict
    default: []
  limit:
    description: Seconds that a mount may take.
    type: float
    default: 90.0
"""

EXAMPLES = r"""
- name: Mount a share
  clusterkit.middleware.shared_mount:
    shares:
      - {name: artifacts, path: /srv/artifacts, source: nas.example.org:/artifacts, fstype: nfs}
"""

RETURN = r"""
remount_due:
  description: Names of shares whose options have changed, and which are mounted with other ones until they are mounted
    anew.
  type: list
  elements: str
  returned: success
  sample: [artifacts]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.module import finish
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.service import Systemd
from ansible_collections.clusterkit.middleware.plugins.module_utils._mount.host import Host
from ansible_collections.clusterkit.middleware.plugins.module_utils._mount.settings import from_mapping


def run(module: AnsibleModule) -> dict[str, Any]:
    """Plan, apply, report. Raises ClusterkitError."""
    wanted = module.params
    present, absent = ([from_mapping(one) for one in wanted[key]] for key in ("shares", "absent"))
    plan = Host(present, absent, Systemd(Runner(), wanted["limit"])).plan()
    if not module.check_mode:
        for step in plan.steps:
            step()
    return {"changed": plan.differences.changed, "diff": plan.differences.diff(), "remount_due": plan.due}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "shares": {"type": "list", "elements": "dict", "required": True},
            "absent": {"type": "list", "elements": "dict", "default": []},
            "limit": {"type": "float", "default": 90.0},
        },
        supports_check_mode=True,
    )
    finish(module, run)


if __name__ == "__main__":
    main()
