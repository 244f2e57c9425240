#!/usr/bin/python
# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: deployment_sync_merge_info
short_description: Which artifacts a server has of its own, beside those of a share
version_added: 0.1.0
author:
  - clusterkit contributors (@clusterkit)
description:
  - Looks at the directories of artifacts, whether the share is mounted there already, and else which files they hold,
    and which of them the share has with another content.
extends_documentation_fragment:
  - clusterkit.middleware.deployment_share
  - clusterkit.middleware.attributes.info
options:
  settings_path:
    description: The file of the method rsync, where that has been in use.
    type: path
    default: /etc/clusterkit/deployment_sync.json
"""

EXAMPLES = r"""
- name: Look which artifacts a server has
  clusterkit.middleware.deployment_sync_merge_info:
    share: /srv/share
    directories:
      - {name: artifacts, path: /srv/artifacts}
  register: present
"""

RETURN = r"""
share_problem:
  description: Why the share cannot be used, empty where it can.
  type: str
  returned: success
  sample: nothing is mounted at /srv/share
role:
  description: What the server is in the method rsync, empty where that is not in use.
  type: str
  returned: success
  sample: ""
directories:
  description: The directories, with what they are.
  type: list
  elements: dict
  returned: success
  contains:
    path:
      description: Path of the directory.
      type: str
    mounted:
      description: Whether something is mounted there.
      type: bool
    problem:
      description: Why it cannot be used, empty where it can.
      type: str
    own:
      description: The hash of each file that the server has there itself.
      type: dict
    different:
      description: Files that the share has with another content.
      type: list
      elements: str
"""

import os
import pathlib
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.module import finish
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.mounts import Mounted, at, table
from ansible_collections.clusterkit.middleware.plugins.module_utils._deployment import merge, settings
from ansible_collections.clusterkit.middleware.plugins.module_utils._mount import guard
from ansible_collections.clusterkit.middleware.plugins.module_utils._mount import settings as shares


def look(module: AnsibleModule) -> dict[str, Any]:
    """Return what is here. Raises ClusterkitError."""
    wanted = module.params
    mounts = table()
    problem = share_problem(wanted["share"], mounts)
    recorded = settings.read(wanted["settings_path"])
    return {
        "changed": False,
        "share_problem": problem,
        "role": recorded.role if recorded else "",
        "directories": [] if problem else [directory(one, wanted["share"], mounts) for one in wanted["directories"]],
    }


def share_problem(path: str, mounts: list[Mounted]) -> str:
    """Say why a share cannot be used, empty where it can. It is one that the role shared_mount has mounted."""
    for cluster, some in shares.read_all().items():
        for share in some:
            if share.path == path:
                return guard.look(share, cluster, mounts).problem
    return f"there is no share at {path}"


def directory(one: dict[str, str], share: str, mounts: list[Mounted]) -> dict[str, Any]:
    """Return what one directory is."""
    path = one["path"]
    out: dict[str, Any] = {"path": path, "mounted": bool(at(path, mounts)), "problem": "", "own": {}, "different": []}
    if out["mounted"]:
        return out
    if os.path.realpath(path) != path:
        out["problem"] = f"{path} leads through a symbolic link to {os.path.realpath(path)}: give that path"
    elif os.path.lexists(path) and not pathlib.Path(path).is_dir():
        out["problem"] = f"{path} is no directory"
    elif not pathlib.Path(path).parent.is_dir():
        out["problem"] = (
            f"{pathlib.Path(path).parent} is not there: install the product there first, or give another path"
        )
    else:
        try:
            plan = merge.compare(path, f"{share}/{one['name']}")
            out.update(own=plan.own, different=plan.different)
        except ClusterkitError as error:
            out["problem"] = str(error)
    return out


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
            "settings_path": {"type": "path", "default": settings.PATH},
        },
        supports_check_mode=True,
    )
    finish(module, look)


if __name__ == "__main__":
    main()
