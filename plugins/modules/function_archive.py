#!/usr/bin/python
# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: function_archive
short_description: The archive of a Lambda function of one file
version_added: 0.1.0
author:
  - clusterkit contributors (@clusterkit)
description:
  - Writes a zip file with one source file in it. The same source gives the same bytes, everywhere and at any time, so
    that a function whose source is as before is seen to be unchanged.
extends_documentation_fragment:
  - clusterkit.middleware.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  path:
    description: The archive to write.
    type: path
    required: true
  name:
    description: Name of the file in it.
    type: str
    required: true
  source:
    description: What the file holds.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Pack the function
  clusterkit.middleware.function_archive:
    path: /tmp/function.zip
    name: function.py
    source: "{{ lookup('ansible.builtin.file', 'function.py', rstrip=false) }}"
"""

RETURN = r"""
"""

import pathlib
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterkit.middleware.plugins.module_utils._aws.archive import archive
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.files import write_atomically
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.module import finish


def run(module: AnsibleModule) -> dict[str, Any]:
    """Write the archive where it differs. Raises ClusterkitError."""
    wanted = module.params
    content = archive(wanted["name"], wanted["source"])
    path = pathlib.Path(wanted["path"])
    changed = not path.exists() or path.read_bytes() != content
    if changed and not module.check_mode:
        write_atomically(str(path), content)
    return {"changed": changed}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "name": {"type": "str", "required": True},
            "source": {"type": "str", "required": True},
        },
        supports_check_mode=True,
    )
    finish(module, run)


if __name__ == "__main__":
    main()
