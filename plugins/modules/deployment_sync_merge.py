#!/usr/bin/python
# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: deployment_sync_merge
short_description: Brings a server's own artifacts onto a share
version_added: 0.1.0
author:
  - clusterkit contributors (@clusterkit)
description:
  - Copies what the share lacks, checks it there, keeps a copy of all that the server had, and empties the directory, so
    that the share can be mounted there.
  - What is on the share already is not replaced, unless O(wins). A directory that is a mount point already is left
    alone.
  - It is called for one server at a time, first for the one whose artifacts win.
extends_documentation_fragment:
  - clusterkit.middleware.deployment_share
attributes:
  check_mode:
    support: full
    description: Tells what would be copied and put away.
  diff_mode:
    support: full
    description: Names the files.
  idempotent:
    support: full
    description: A directory that was emptied has nothing to be brought.
options:
  add:
    description: Whether files that the share lacks are brought there, or only kept in the copy.
    type: bool
    required: true
  wins:
    description: Whether files replace those of the share that have another content. Those are kept in a copy, too.
    type: bool
    default: false
  backup_directory:
    description: Where copies are kept.
    type: path
    default: /var/backups/clusterkit/deployment_sync
"""

EXAMPLES = r"""
- name: Bring the artifacts of the first server
  clusterkit.middleware.deployment_sync_merge:
    share: /srv/share
    directories:
      - {name: artifacts, path: /srv/artifacts}
    add: true
"""

RETURN = r"""
backups:
  description: Where copies are kept, by directory.
  type: dict
  returned: success
  sample: {"/srv/artifacts": "/var/backups/clusterkit/deployment_sync/artifacts-20261129T060000Z"}
"""

import pathlib
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.module import finish
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.mounts import at, table
from ansible_collections.clusterkit.middleware.plugins.module_utils._deployment import merge


def run(module: AnsibleModule) -> dict[str, Any]:
    """Bring, check, put away. Raises ClusterkitError."""
    wanted = module.params
    backups, before, after, changed = {}, {}, {}, False
    mounts = table()
    for one in wanted["directories"]:
        path, target = one["path"], f"{wanted['share']}/{one['name']}"
        if at(path, mounts):
            continue
        plan = merge.compare(path, target)
        full = pathlib.Path(path).is_dir() and any(pathlib.Path(path).iterdir())
        if full or not pathlib.Path(target).is_dir():
            changed = True
            before[path] = sorted(plan.own)
            after[target] = plan.missing if wanted["add"] else []
            after[target] += plan.different if wanted["wins"] else []
        backup = merge.backup_path(wanted["backup_directory"], pathlib.PurePath(one["name"]).name)
        if not module.check_mode:
            merge.merge(path, target, wanted["add"], f"{backup}-of-the-share" if wanted["wins"] else "")
        if full:
            backups[path] = backup
            if not module.check_mode:
                merge.put_away(path, backups[path])
    return {"changed": changed, "backups": backups, "diff": {"before": before, "after": after}}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "directories": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {"name": {"type": "str", "required": True}, "path": {"type": "path", "required": True}},
            },
            "share": {"type": "path", "required": True},
            "add": {"type": "bool", "required": True},
            "wins": {"type": "bool", "default": False},
            "backup_directory": {"type": "path", "default": "/var/backups/clusterkit/deployment_sync"},
        },
        supports_check_mode=True,
    )
    finish(module, run)


if __name__ == "__main__":
    main()
