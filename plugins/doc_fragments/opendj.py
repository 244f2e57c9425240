# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of modules that speak with this host's OpenDJ server: see `installation.CONNECTION`."""

from __future__ import annotations


class ModuleDocFragment:
    """Fragment `clusterkit.middleware.opendj`."""

    DOCUMENTATION = r"""
requirements:
  - python-ldap on the target
options:
  path:
    description: Directory of the installation, which has the server's name, port and certificate.
    type: path
    default: /opt/opendj
  bind_dn:
    description: DN to bind as.
    type: str
    default: cn=directory manager
  password:
    description: Password of O(bind_dn).
    type: str
    required: true
  limit:
    description: Seconds that each question to the server may take.
    type: float
    default: 5.0
"""
