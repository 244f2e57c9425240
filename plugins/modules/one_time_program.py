#!/usr/bin/python
# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: one_time_program
short_description: A program that is run once, such as an application's set-up
version_added: 0.1.0
author:
  - clusterkit contributors (@clusterkit)
description:
  - Runs a program within a time limit and notes that it has ended well. One that has is never run again, and one that
    was cut off or failed is.
  - What the program says may hold passwords. It is not returned, but written to O(log).
  - To see how far it is, run it by M(clusterkit.middleware.watched).
extends_documentation_fragment:
  - clusterkit.middleware.attributes
attributes:
  check_mode:
    support: full
    details:
      - Tells whether the program would be run.
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  argv:
    description: The program and its arguments. They are seen by every user of the host, so they must be no secrets.
    type: list
    elements: str
    required: true
  chdir:
    description: Directory to run it in.
    type: path
    required: true
  chroot:
    description: Directory that is the root for the program and O(chdir). The other paths are those of the host.
    type: path
    default: ""
  note:
    description:
      - File that says that it has run to its end. Its directory is made.
      - A file of this name with C(.lock) behind it is there as soon as it was ever begun.
    type: path
    required: true
  log:
    description: File, for root only, that gets what the program says.
    type: path
    required: true
  limit:
    description: Seconds after which the program is ended, with all that it has started.
    type: float
    required: true
  talks_to:
    description: File into which the program itself writes a line for each step; the lines are shown as its progress.
    type: path
    default: ""
  status_file:
    description: Where to write how far it is, for M(clusterkit.middleware.watched).
    type: path
"""

EXAMPLES = r"""
- name: Set the application up
  clusterkit.middleware.watched:
    module: clusterkit.middleware.one_time_program
    args:
      argv: [./setup.py, -n]
      chdir: /install/application
      note: /var/lib/application-setup
      log: /var/log/application-setup.log
      limit: 1800
    limit: 1830
"""

RETURN = r"""
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterkit.middleware.plugins.module_utils._application.one_time import OneTimeProgram
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.module import finish
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.progress import Progress


def run(module: AnsibleModule) -> dict[str, Any]:
    """Run the program where it is due. Raises ClusterkitError."""
    wanted = module.params
    program = OneTimeProgram(wanted["note"], wanted["log"], Runner())
    if module.check_mode:
        return {"changed": program.is_due}
    progress = Progress(wanted["status_file"], unit="lines")
    was_due = program.run(
        wanted["argv"], wanted["chdir"], wanted["limit"], progress, wanted["talks_to"], wanted["chroot"]
    )
    return {"changed": was_due}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "argv": {"type": "list", "elements": "str", "required": True},
            "chdir": {"type": "path", "required": True},
            "chroot": {"type": "path", "default": ""},
            "note": {"type": "path", "required": True},
            "log": {"type": "path", "required": True},
            "limit": {"type": "float", "required": True},
            "talks_to": {"type": "path", "default": ""},
            "status_file": {"type": "path"},
        },
        supports_check_mode=True,
    )
    finish(module, run)


if __name__ == "__main__":
    main()
