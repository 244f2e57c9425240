# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options by which modules are told what of a server's artifacts is on a share."""

from __future__ import annotations


class ModuleDocFragment:
    """Fragment `clusterkit.middleware.deployment_share`."""

    DOCUMENTATION = r"""
options:
  directories:
    description: The directories.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the directory on the share.
        type: str
        required: true
      path:
        description: Path of the directory.
        type: path
        required: true
  share:
    description: Path of the share.
    type: path
    required: true
"""
