#!/usr/bin/python
# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: shared_mount_claim
short_description: Makes shares a cluster's own
version_added: 0.1.0
author:
  - clusterkit contributors (@clusterkit)
description:
  - Sets owner, group and mode of the top directory of each share, and writes a sentinel there, the file
    C(.clusterkit-share), by which every member knows the share again.
  - It is called on one member, on which the shares are mounted. One that is not mounted is passed over in check mode.
extends_documentation_fragment:
  - clusterkit.middleware.shared_mount
attributes:
  check_mode:
    support: full
    description: Tells what would be set and written.
  diff_mode:
    support: full
    description: Shows owner, mode and sentinel where they differ.
  idempotent:
    support: full
    description: Nothing is set or written twice.
options:
  cluster:
    description: Whose shares they are.
    type: str
    required: true
  new:
    description: Names of shares that may be marked where they have no sentinel. Others are refused then.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Mark a new share
  clusterkit.middleware.shared_mount_claim:
    cluster: app_servers
    new: [artifacts]
    shares:
      - {name: artifacts, path: /srv/artifacts, source: nas.example.org:/artifacts, fstype: nfs, owner: app}
"""

RETURN = r"""
unmounted:
  description: Shares that are not mounted, in check mode.
  type: list
  elements: str
  returned: success
  sample: []
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.differences import DifferenceTracker
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.module import finish
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.mounts import table
from ansible_collections.clusterkit.middleware.plugins.module_utils._mount.claim import Claim
from ansible_collections.clusterkit.middleware.plugins.module_utils._mount.guard import mounted_at
from ansible_collections.clusterkit.middleware.plugins.module_utils._mount.settings import from_mapping


def run(module: AnsibleModule) -> dict[str, Any]:
    """Compare all, then set what differs. Raises ClusterkitError."""
    wanted = module.params
    differences, due, unmounted = DifferenceTracker(), [], []
    for one in wanted["shares"]:
        share = from_mapping(one)
        if module.check_mode and not mounted_at(share.path, table()):
            unmounted.append(share.name)
            continue
        claim = Claim(share, wanted["cluster"], share.name in wanted["new"])
        known = len(differences.names)
        claim.compare(differences)
        if len(differences.names) > known:
            due.append(claim)
    if not module.check_mode:
        for claim in due:
            claim.apply()
    return {"changed": differences.changed, "diff": differences.diff(), "unmounted": unmounted}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "shares": {"type": "list", "elements": "dict", "required": True},
            "cluster": {"type": "str", "required": True},
            "new": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    finish(module, run)


if __name__ == "__main__":
    main()
