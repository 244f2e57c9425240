#!/usr/bin/python
# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin clock_info."""

from __future__ import annotations

DOCUMENTATION = r"""
module: clock_info
short_description: How much the clock of a host is ahead, within which bounds
version_added: 0.1.0
description:
  - Asks the host for its time by the connection, several times, and compares with the clock of the control node. The
    answer that came soonest counts. Neither Python on the host nor a time server is asked.
  - The filter P(clusterkit.middleware.clock_problems#filter) compares the answers of several hosts. What the clock of
    the control node shows cancels out there.
author:
  - clusterkit contributors (@clusterkit)
extends_documentation_fragment:
  - clusterkit.middleware.attributes.info
  - clusterkit.middleware.attributes.action
attributes:
  async:
    support: none
    details:
      - It takes no time to speak of.
options:
  times:
    description: How often to ask. The first time may have to connect, which takes longer.
    type: int
    default: 3
"""

EXAMPLES = r"""
- name: Ask for the time
  clusterkit.middleware.clock_info:
  register: clock

- name: Check that the clocks of all are one
  ansible.builtin.assert:
    that: problems | length == 0
    fail_msg: "{{ problems | join(' ') }}"
  vars:
    problems: >-
      {{ hostvars | clusterkit.middleware.cluster_results(members, 'clock')
         | clusterkit.middleware.clock_problems(most=1) }}
"""

RETURN = r"""
clock_ahead:
  description: Seconds that the clock of the host showed more than that of the control node when it was asked.
  type: float
  returned: success
  sample: 0.21
clock_within:
  description: Seconds from the question to the answer. By so much less, at most, the clock is ahead.
  type: float
  returned: success
  sample: 0.19
"""
