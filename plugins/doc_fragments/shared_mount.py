# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The option by which modules are told of shares."""

from __future__ import annotations


class ModuleDocFragment:
    """Fragment `clusterkit.middleware.shared_mount`."""

    DOCUMENTATION = r"""
options:
  shares:
    description:
      - The shares, as P(clusterkit.middleware.shared_mount_shares#filter) returns them.
    type: list
    elements: dict
    required: true
"""
