#!/usr/bin/python
# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: haproxy_server
short_description: Takes a server out of HAProxy's traffic, and gives it back
version_added: 0.1.0
author:
  - clusterkit contributors (@clusterkit)
description:
  - Acts at the runtime socket, and writes down what HAProxy would forget at its next reload.
  - A server goes back into traffic once it answers its health check as seen from the balancer. HAProxy itself would
    take it for well until a check fails.
attributes:
  check_mode:
    support: full
    description: Says whether the server would be taken out or given back. A server that may not leave is refused.
    details:
      - Nothing is waited for.
  diff_mode:
    support: full
    description: Shows the status in each service.
  idempotent:
    support: full
    description: Nothing is done to a server that is as it shall be.
options:
  name:
    description: Name of the server in the services.
    type: str
    required: true
  state:
    description:
      - V(drained) gives it no more requests and waits until it serves nobody.
      - V(ready) gives it requests again, once it is well.
    type: str
    choices: [drained, ready]
    required: true
  services:
    description: Services in which to do that. All that have the server, where none is given.
    type: list
    elements: str
    default: []
  minimum_left:
    description: Number of other servers that have to serve each of the services. The server is not taken out otherwise.
    type: int
    default: 1
  grace:
    description: Seconds in which sessions that are bound to the server may go on there, before they go to others.
    type: float
    default: 0.0
  limit:
    description: Seconds to wait at most until the server serves nobody, or is well.
    type: float
    default: 120.0
  remaining:
    description:
      - What to do with what the server still serves then, such as long tunnels. V(fail) leaves it, and fails.
      - V(shutdown) ends it. V(keep) leaves it, and RV(sessions) tells how much.
    type: str
    choices: [fail, shutdown, keep]
    default: fail
"""

EXAMPLES = r"""
- name: Take this host out of the traffic of a balancer
  clusterkit.middleware.haproxy_server:
    name: "{{ inventory_hostname }}"
    state: drained
  delegate_to: lb1.example.org

- name: Give it back
  clusterkit.middleware.haproxy_server:
    name: "{{ inventory_hostname }}"
    state: ready
  delegate_to: lb1.example.org
"""

RETURN = r"""
servers:
  description: The server as each service has it.
  type: list
  elements: dict
  returned: success
  sample: [{"service": "web", "name": "app1", "status": "MAINT", "sessions": 0, "check": "L7OK", "redispatched": 0}]
sessions:
  description: What the server serves, in all services together.
  type: int
  returned: success
  sample: 0
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.differences import DifferenceTracker
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.locks import exclusive
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.module import finish
from ansible_collections.clusterkit.middleware.plugins.module_utils._haproxy import runtime, state
from ansible_collections.clusterkit.middleware.plugins.module_utils._haproxy.traffic import Traffic

#: So that two that leave at once are not each the other's last one.
LOCK = "/run/clusterkit-haproxy.lock"


def run(module: AnsibleModule) -> dict[str, Any]:
    """Look, act, wait, report. Raises ClusterkitError."""
    wanted = module.params
    balancer = runtime.Runtime()
    catalogue = state.read_catalogue()
    traffic = Traffic(balancer, wanted["name"], wanted["services"], lambda: state.save(balancer, catalogue))
    before = traffic.servers()
    differences = DifferenceTracker()
    for one in before:
        if wanted["state"] == "drained" and not one.status.startswith("MAINT"):
            differences.add(one.backend, "MAINT", one.status)
        elif wanted["state"] == "ready" and one.withdrawn:
            differences.add(one.backend, "UP", one.status)
    if module.check_mode:
        if wanted["state"] == "drained":
            traffic.may_leave(wanted["minimum_left"])
    elif wanted["state"] == "drained":
        drain(traffic, wanted, differences.changed)
    elif differences.changed:
        traffic.well_within(catalogue, wanted["limit"])
        traffic.give_back()
        traffic.serves_within(wanted["limit"])
    after = traffic.servers()
    return {
        "changed": differences.changed,
        "diff": differences.diff(wanted["name"]),
        "servers": [runtime.summary(one) for one in after],
        "sessions": sum(one.sessions for one in after),
    }


def drain(traffic: Traffic, wanted: dict[str, Any], due: bool) -> None:
    """Take the server out and wait until it serves nobody. Raises ClusterkitError."""
    if due:
        with exclusive(LOCK, 30.0, "taking a server out of traffic"):
            traffic.may_leave(wanted["minimum_left"])
            traffic.withdraw("drain" if wanted["grace"] else "maint")
        if wanted["grace"]:
            traffic.idle_within(wanted["grace"])
            traffic.withdraw("maint")
    if traffic.idle_within(wanted["limit"]) or wanted["remaining"] == "keep":
        return
    if wanted["remaining"] == "shutdown":
        traffic.end_sessions()
        if traffic.idle_within(10.0):
            return
    left = sum(one.sessions for one in traffic.servers())
    raise ClusterkitError(
        f"{wanted['name']} still serves {left} sessions after {wanted['limit']:g} s: wait longer, or let them be ended "
        "(remaining: shutdown)"
    )


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["drained", "ready"], "required": True},
            "services": {"type": "list", "elements": "str", "default": []},
            "minimum_left": {"type": "int", "default": 1},
            "grace": {"type": "float", "default": 0.0},
            "limit": {"type": "float", "default": 120.0},
            "remaining": {"type": "str", "choices": ["fail", "shutdown", "keep"], "default": "fail"},
        },
        supports_check_mode=True,
    )
    finish(module, run)


if __name__ == "__main__":
    main()
