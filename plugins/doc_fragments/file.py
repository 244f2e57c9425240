# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options by which modules are told how a file is kept."""

from __future__ import annotations


class ModuleDocFragment:
    """Fragment `clusterkit.middleware.file`."""

    DOCUMENTATION = r"""
options:
  mode:
    description: Mode of the file, in octal digits. It stays as it is where this is not given.
    type: str
  owner:
    description: Owner of the file, a name or a number. It stays as it is where this is not given.
    type: str
  group:
    description: Group of the file, a name or a number. It stays as it is where this is not given.
    type: str
  backup:
    description: Whether to keep what is replaced, beside it, under a name that ends in C(~).
    type: bool
    default: false
"""
