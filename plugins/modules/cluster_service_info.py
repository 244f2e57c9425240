#!/usr/bin/python
# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_service_info
short_description: What a host tells of a service whose members are connected with each other
version_added: 0.1.0
author:
  - clusterkit contributors (@clusterkit)
description:
  - Looks at a service of which each member holds connections to all others, as those of Hazelcast do - its unit, the
    port of the cluster, and with whom there are connections at that port. The service itself is not asked.
  - Nothing is changed.
extends_documentation_fragment:
  - clusterkit.middleware.attributes.info
options:
  unit:
    description: The service's unit of systemd.
    type: str
    required: true
  port:
    description: The port of the cluster.
    type: int
    required: true
  files:
    description: Files that the service reads when it starts.
    type: list
    elements: path
    default: []
  peers:
    description: Addresses of other members, for whose connections to wait.
    type: list
    elements: str
    default: []
  settle:
    description: Seconds to wait, at most, until there are connections with all O(peers).
    type: float
    default: 0.0
  reach:
    description: Addresses with their ports, as C(address:port), to try to connect to.
    type: list
    elements: str
    default: []
  asked_at:
    description: Seconds since the epoch by the clock of the control node.
    type: float
    default: 0.0
"""

EXAMPLES = r"""
- name: Wait until this member is connected with the others
  clusterkit.middleware.cluster_service_info:
    unit: service.service
    port: 5701
    peers: [192.0.2.11, 192.0.2.12]
    settle: 30
  register: found
"""

RETURN = r"""
state:
  description: State of the unit, as C(systemctl is-active) tells it.
  type: str
  returned: success
  sample: active
addresses:
  description: Addresses of IPv4 that this host has, apart from loopback.
  type: list
  elements: str
  returned: success
  sample: [192.0.2.10]
listening:
  description: Addresses at which O(port) is listened on.
  type: list
  elements: str
  returned: success
  sample: [192.0.2.10]
connected:
  description: Addresses with which there are connections at O(port).
  type: list
  elements: str
  returned: success
  sample: [192.0.2.11, 192.0.2.12]
missing:
  description: Those of O(files) that are not there.
  type: list
  elements: str
  returned: success
  sample: []
newer:
  description: Those of O(files) that were changed after the unit was started.
  type: list
  elements: str
  returned: success
  sample: []
port_holder:
  description: What listens on O(port) while the unit does not run, empty when nothing does.
  type: str
  returned: success
  sample: ""
reach:
  description: Why each of O(reach) was not connected to, empty where it was.
  type: dict
  returned: success
  sample: {"192.0.2.11:5701": ""}
clock_ahead:
  description: Seconds by which this host's clock is ahead of O(asked_at).
  type: float
  returned: success
  sample: 0.4
firewalls:
  description: Names of the firewalls that run here.
  type: list
  elements: str
  returned: success
  sample: []
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterkit.middleware.plugins.module_utils._common import connections, firewall, host
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.files import status_if_exists
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.module import finish

#: Between two looks for connections.
LOOK_SECONDS = 0.2


def started(unit: str, runner: Runner) -> float:
    """Return when a unit began to start, in seconds since the epoch; 0 when it has not. Raises ClusterkitError."""
    said = runner.run(
        ["systemctl", "show", "--property=InactiveExitTimestampMonotonic", "--value", "--", unit], limit=10
    ).stdout.strip()
    if not said.isdigit() or said == "0":
        return 0.0
    # systemd counts microseconds by this clock; its own spelling of the time of day has no parts of a second
    return time.time() - (time.monotonic() - int(said) / 1e6)


def newer(paths: list[str], since: float) -> list[str]:
    """Return the files that were changed since. Raises ClusterkitError."""
    found = ((path, status_if_exists(path)) for path in paths)
    return [path for path, status in found if status and status.st_mtime > since]


def end_of(text: str) -> tuple[str, int]:
    """Return address and port. Raises ClusterkitError."""
    address, _colon, port = text.rpartition(":")
    if not address or not port.isdigit() or not 0 < int(port) < 65536:
        raise ClusterkitError(f"reach has {text!r}: write address:port")
    return address, int(port)


def connections_with(peers: list[str], port: int, limit: float) -> list[str]:
    """Return with whom there are connections, once all peers are among them, or the limit has passed."""
    end = time.monotonic() + limit
    while True:
        found = connections.connected(port)
        if set(peers) <= set(found) or time.monotonic() >= end:
            return found
        time.sleep(LOOK_SECONDS)


def look(module: AnsibleModule) -> dict[str, Any]:
    """Return what there is. Raises ClusterkitError."""
    wanted, runner = module.params, Runner()
    ahead = time.time() - wanted["asked_at"]
    ends = {one: end_of(one) for one in wanted["reach"]}
    state = host.unit_states([wanted["unit"]], runner)[wanted["unit"]]
    runs = state in ("active", "reloading")
    return {
        "changed": False,
        "state": state,
        "addresses": connections.addresses(runner),
        "connected": connections_with(wanted["peers"], wanted["port"], wanted["settle"]),
        "listening": connections.listening(wanted["port"]),
        "missing": [path for path in wanted["files"] if status_if_exists(path) is None],
        "newer": newer(wanted["files"], started(wanted["unit"], runner)) if runs else [],
        "port_holder": "" if runs else host.port_holder(wanted["port"], []),
        "reach": {one: host.reach(*end) for one, end in ends.items()},
        "clock_ahead": ahead,
        "firewalls": firewall.names(runner),
    }


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "unit": {"type": "str", "required": True},
            "port": {"type": "int", "required": True},
            "files": {"type": "list", "elements": "path", "default": []},
            "peers": {"type": "list", "elements": "str", "default": []},
            "settle": {"type": "float", "default": 0.0},
            "reach": {"type": "list", "elements": "str", "default": []},
            "asked_at": {"type": "float", "default": 0.0},
        },
        supports_check_mode=True,
    )
    finish(module, look)


if __name__ == "__main__":
    main()
