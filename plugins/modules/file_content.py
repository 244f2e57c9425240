#!/usr/bin/python
# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: file_content
short_description: Reads a file, and replaces its content if it is still what was read
version_added: 0.1.0
author:
  - clusterkit contributors (@clusterkit)
description:
  - The part of an action plugin that edits files which runs on the target, so that this needs nothing but Python. It is
    of little use by itself.
  - The content travels in memory, and the file is replaced in one step. Owner, mode, access control lists and SELinux
    context stay, where nothing else is asked for.
extends_documentation_fragment:
  - clusterkit.middleware.file
  - clusterkit.middleware.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details:
      - What a file holds may be secret. The action plugin shows what changes.
  idempotent:
    support: full
options:
  path:
    description:
      - The file. If it is a symbolic link, what it points to is meant.
    type: path
    required: true
  content:
    description:
      - What the file is to hold, in base64. The file is only read where this is not given.
    type: str
  replaces:
    description:
      - SHA-256 of what was read. The task fails, and nothing is changed, where the file holds something else by now.
      - Needed with O(content).
    type: str
  names:
    description: Patterns of paths, as the shell has them, for which to return what there is.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Read a file
  clusterkit.middleware.file_content:
    path: /opt/server/conf/server.xml
  no_log: true
"""

RETURN = r"""
exists:
  description: Whether there was such a file.
  type: bool
  returned: success
content:
  description: What the file held, in base64, where O(content) was not given.
  type: str
  returned: when the file was read
sha256:
  description: SHA-256 of what the file held.
  type: str
  returned: when there was such a file
paths:
  description: The paths that O(names) match, sorted.
  type: list
  elements: str
  returned: success
backup:
  description: Where what was replaced is kept.
  type: str
  returned: when O(backup) is true and the content was replaced
"""

import base64
import glob
import hashlib
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterkit.middleware.plugins.module_utils._common import files
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.module import finish


def run(module: AnsibleModule) -> dict[str, Any]:
    """Read the file, and replace it. Raises ClusterkitError."""
    path, given = module.params["path"], module.params["content"]
    present = files.read_if_exists(path)
    result: dict[str, Any] = {
        "changed": False,
        "exists": present is not None,
        # Names come from outside, so nothing in them is to be taken for a directory of this collection
        "paths": sorted(found for one in module.params["names"] for found in glob.glob(one)),  # noqa: PTH207  # patterns are absolute
    }
    if present is not None:
        result["sha256"] = hashlib.sha256(present).hexdigest()
    if given is None:
        if present is not None:
            result["content"] = base64.b64encode(present).decode()
    else:
        if module.params["replaces"] != result.get("sha256"):
            raise ClusterkitError(f"{path} has been changed since it was read: run again")
        wanted = base64.b64decode(given)
        if wanted != present:
            result["changed"] = True
            if not module.check_mode:
                if module.params["backup"]:
                    result["backup"] = module.backup_local(path)
                mode = module.params["mode"]
                files.write_atomically(
                    path,
                    wanted,
                    mode=None if mode is None else int(mode, 8),
                    owner=module.params["owner"],
                    group=module.params["group"],
                )
                return result
    return {**result, "changed": _attributes(module, present is not None) or result["changed"]}


def _attributes(module: AnsibleModule, there: bool) -> bool:
    """Give the file the attributes that are asked for; tell whether it had others."""
    status = files.status_if_exists(module.params["path"]) if there else None
    if status is None:
        return False
    mode = None if module.params["mode"] is None else int(module.params["mode"], 8)
    owner, group = module.params["owner"], module.params["group"]
    wanted = {"mode": mode, "owner": files.user_id(owner), "group": files.group_id(group)}
    found = {"mode": status.st_mode & 0o7777, "owner": status.st_uid, "group": status.st_gid}
    if all(value is None or value == found[name] for name, value in wanted.items()):
        return False
    if not module.check_mode:
        files.set_attributes(module.params["path"], mode=mode, owner=owner, group=group)
    return True


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "content": {"type": "str", "no_log": True},
            "replaces": {"type": "str"},
            "mode": {"type": "str"},
            "owner": {"type": "str"},
            "group": {"type": "str"},
            "backup": {"type": "bool", "default": False},
            "names": {"type": "list", "elements": "str", "default": []},
        },
        required_by={"content": ["replaces"]},
        supports_check_mode=True,
    )
    finish(module, run)


if __name__ == "__main__":
    main()
