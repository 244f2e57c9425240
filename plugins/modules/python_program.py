#!/usr/bin/python
# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin python_program."""

from __future__ import annotations

DOCUMENTATION = r"""
module: python_program
short_description: Install a program that comes with this collection
version_added: 0.1.0
description:
  - Bundles a Python module of this collection and all that it imports into one executable file, and copies that to the
    target. It needs Python 3.8 there, and nothing else.
  - What runs on the target by itself, such as a service or a timer, thereby uses the same code as the modules.
  - It is for the roles of this collection.
author:
  - clusterkit contributors (@clusterkit)
extends_documentation_fragment:
  - clusterkit.middleware.attributes
  - clusterkit.middleware.attributes.action
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details:
      - The file is a compressed archive.
  idempotent:
    support: full
  async:
    support: none
options:
  module:
    description:
      - The module whose C(main) is the program, below C(module_utils).
    type: str
    required: true
  dest:
    description:
      - Path of the program on the target.
    type: str
    required: true
  mode:
    description:
      - Mode of the file.
    type: str
    default: "0755"
  owner:
    description:
      - Owner of the file.
    type: str
    default: root
  group:
    description:
      - Group of the file.
    type: str
    default: root
"""

EXAMPLES = r"""
- name: Install the program that synchronises by itself
  clusterkit.middleware.python_program:
    module: _csync2.agent
    dest: /usr/local/sbin/clusterkit-csync2
"""

RETURN = r"""
dest:
  description: Path of the program.
  type: str
  returned: success
  sample: /usr/local/sbin/clusterkit-csync2
checksum:
  description: SHA-1 checksum of the program.
  type: str
  returned: success
  sample: 6e642bb8dd5c2e027bf21dd923337cbb4214f827
"""
