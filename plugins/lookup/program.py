# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A program that is bundled from this collection's module_utils."""

from __future__ import annotations

DOCUMENTATION = r"""
name: program
short_description: A program that comes with this collection
version_added: 0.1.0
author: clusterkit contributors (@clusterkit)
description:
  - Bundles a Python module of this collection and all that it imports into one executable file, and returns that
    encoded in base64. It needs Python 3.8 on the target, and nothing else.
  - What runs on the target by itself, such as a service or a timer, thereby uses the same code as the modules.
  - It is for the roles of this collection.
options:
  _terms:
    description: The modules whose C(main) is the program, below C(module_utils).
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Install the program that synchronises by itself
  clusterkit.middleware.managed_service:
    files:
      - path: /usr/local/sbin/clusterkit-csync2
        content_base64: "{{ lookup('clusterkit.middleware.program', '_csync2.agent') }}"
        mode: "0755"
"""

RETURN = r"""
_raw:
  description: The programs, each encoded in base64. The same code gives the same text.
  type: list
  elements: str
"""

import base64
import pathlib
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.bundle import bundle
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError

_MODULE_UTILS = pathlib.Path(__file__).resolve().parents[1] / "module_utils"


class LookupModule(LookupBase):
    """Bundles programs on the control node."""

    def run(self, terms: list[str], variables: Any = None, **options: Any) -> list[str]:
        """Return each program. Raises AnsibleLookupError for a module that is none."""
        try:
            return [base64.b64encode(bundle(_MODULE_UTILS, term)).decode() for term in terms]
        except ClusterkitError as error:
            raise AnsibleLookupError(str(error)) from error
