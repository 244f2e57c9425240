#!/usr/bin/python
# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin watched."""

from __future__ import annotations

DOCUMENTATION = r"""
module: watched
short_description: Run a long module and show its progress
version_added: 0.1.0
description:
  - Runs a module asynchronously on the target, and shows on the control node meanwhile how far it has come, such as
    C(1,234 of 5,000 files, 410 files/s, 9 s left). The lines go to standard error.
  - It is for modules that write a status file, as those of this collection do that have the option C(status_file).
author:
  - clusterkit contributors (@clusterkit)
extends_documentation_fragment:
  - clusterkit.middleware.attributes
  - clusterkit.middleware.attributes.action
attributes:
  check_mode:
    support: full
    details:
      - Check mode and asynchronous running exclude each other, so the module then runs synchronously, without a limit
        and without a status file. As far as O(module) supports check mode.
  diff_mode:
    support: full
    details:
      - As far as O(module) supports it.
  idempotent:
    support: full
    details:
      - As far as O(module) is idempotent.
  async:
    support: none
    details:
      - It brings its own limit, O(limit).
options:
  module:
    description:
      - Name of the module to run, with its collection. Modules that have an action plugin cannot be run this way.
      - Defaults given by the keyword C(module_defaults) do not apply to it.
    type: str
    required: true
  args:
    description:
      - The module's options.
    type: dict
    default: {}
  limit:
    description:
      - Time limit in seconds. At its end the module is stopped on the target and the task fails with the last progress
        seen. It may take up to 10 seconds longer, since the target looks every 5 seconds.
    type: int
    required: true
  interval:
    description:
      - Seconds between two looks at the progress.
    type: float
    default: 2
  status_file:
    description:
      - Where on the target the module writes its progress. The file is removed afterwards.
      - If not given, it lies in a directory of its own that only the user of the task can read, below Ansible's
        directory for asynchronous jobs.
    type: path
  status_argument:
    description:
      - The option of the module that takes the status file's path. It must not be required, since it is not given
        in check mode.
    type: str
    default: status_file
notes:
  - With C(no_log) on the task, no progress is shown.
  - When the control node is interrupted, the module goes on until it ends or O(limit) is over.
"""

EXAMPLES = r"""
- name: Send the changed files, showing how far it has come
  clusterkit.middleware.watched:
    module: clusterkit.middleware.csync2_sync
    args:
      name: "{{ csync2_name }}"
    limit: 3600

- name: Look every 10 seconds
  clusterkit.middleware.watched:
    module: clusterkit.middleware.csync2_sync
    args:
      name: "{{ csync2_name }}"
    limit: 3600
    interval: 10
"""

RETURN = r"""
progress:
  description: The last progress that was seen, as it was shown.
  returned: when O(limit) was exceeded or the target did not answer any more
  type: str
  sample: 1,234 of 5,000 files, 410 files/s, 9 s left
"""
