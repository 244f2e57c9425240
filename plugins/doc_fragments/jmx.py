# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How modules reach Java processes through JMX."""

from __future__ import annotations


class ModuleDocFragment:
    """Fragment `clusterkit.middleware.jmx`."""

    DOCUMENTATION = r"""
options:
  port:
    description: Port of JMX, that of its registry.
    type: int
    required: true
  user:
    description: Name to sign in with. None where it is empty.
    type: str
    default: ""
  password:
    description: Password that belongs to it. It is handed over by standard input.
    type: str
  limit:
    description: Seconds that a process has for all its answers.
    type: float
    default: 10.0
  java:
    description: The C(java) of a JDK from 11 on. A JRE does not do, since it has no compiler.
    type: str
    default: java
requirements:
  - a JDK from 11 on, where the module runs
"""
