#!/usr/bin/python
# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: haproxy_info
short_description: What a balancer with HAProxy is and finds
version_added: 0.1.0
author:
  - clusterkit contributors (@clusterkit)
description:
  - Asks the runtime socket for the servers of all services, and the host for listeners and for what is in the way.
  - Nothing is changed. It also works where HAProxy is not installed or does not run.
extends_documentation_fragment:
  - clusterkit.middleware.attributes.info
options:
  ports:
    description: Ports of which to tell which other program listens on them.
    type: list
    elements: int
    default: []
  config_path:
    description: Path of the configuration.
    type: path
    default: /etc/haproxy/haproxy.cfg
  settle:
    description: Seconds to wait, at most, until every server that nobody took out of traffic is up.
    type: float
    default: 0.0
"""

EXAMPLES = r"""
- name: Ask a balancer what it finds
  clusterkit.middleware.haproxy_info:
    settle: 30
  register: balancer
"""

RETURN = r"""
installed:
  description: Whether HAProxy was found.
  type: bool
  returned: always
  sample: true
version:
  description: The version that runs, empty where none does.
  type: str
  returned: always
  sample: 2.6.12-1+deb12u4
error:
  description: Why HAProxy does not answer at its socket, empty when it does.
  type: str
  returned: always
  sample: ""
servers:
  description: Every server of every service.
  type: list
  elements: dict
  returned: always
  sample: [{"service": "web", "name": "app1", "status": "UP", "sessions": 3, "check": "L7OK", "redispatched": 0,
    "up": true, "withdrawn": false}]
listening:
  description: Ports that HAProxy listens on.
  type: list
  elements: int
  returned: always
  sample: [443, 8405]
port_holders:
  description: For each of O(ports) that another program listens on, which one.
  type: dict
  returned: always
  sample: {"80": "nginx (process 411)"}
foreign:
  description: Sections of O(config_path) that the role did not write.
  type: list
  elements: str
  returned: always
  sample: ["frontend shop"]
config_path:
  description: As it was given.
  type: str
  returned: always
  sample: /etc/haproxy/haproxy.cfg
services:
  description: The services as the role has configured them.
  type: list
  elements: dict
  returned: always
  sample: []
firewalls:
  description: The firewalls that run on this host.
  type: list
  elements: str
  returned: always
  sample: [ufw]
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterkit.middleware.plugins.module_utils._common import firewall, host
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.files import read_if_exists
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.module import finish
from ansible_collections.clusterkit.middleware.plugins.module_utils._haproxy import config, runtime, state


def look(module: AnsibleModule) -> dict[str, Any]:
    """Return what the balancer is and finds. Raises ClusterkitError."""
    wanted = module.params
    servers, version, error = [], "", ""
    try:
        services = state.read_catalogue()
    except ClusterkitError:
        services = []
    try:
        balancer = runtime.Runtime()
        version = balancer.info().get("Version", "")
        servers = settled(balancer, services, wanted["settle"])
    except ClusterkitError as silent:
        error = str(silent)
    text = (read_if_exists(wanted["config_path"]) or b"").decode(errors="replace")
    holders = {port: host.port_holder(port, ["haproxy"]) for port in wanted["ports"] if port}
    return {
        "changed": False,
        "installed": bool(module.get_bin_path("haproxy", opt_dirs=["/usr/sbin"])),
        "version": version,
        "error": error,
        "servers": [{**runtime.summary(one), "up": one.serves, "withdrawn": one.withdrawn} for one in servers],
        "listening": host.listening("haproxy"),
        "port_holders": {str(port): holder for port, holder in holders.items() if holder},
        "foreign": config.foreign(text),
        "config_path": wanted["config_path"],
        "services": services,
        "firewalls": firewall.names(Runner()),
    }


def settled(balancer: runtime.Runtime, services: list[dict[str, Any]], limit: float) -> list[runtime.Server]:
    """Return the servers once all are there and up, or the limit has passed. Raises ClusterkitError.

    One that stands by is not waited for.
    """
    wanted = {(service["name"], member["name"]) for service in services for member in service["members"]}
    standby = {(service["name"], name) for service in services for name in service.get("standby", [])}
    end = time.monotonic() + limit
    while True:
        servers = balancer.servers()
        # Right after a reload the former process may still answer
        missing = wanted - {(one.backend, one.name) for one in servers}
        waited_for = [one for one in servers if (one.backend, one.name) not in standby]
        well = all(one.withdrawn or (one.serves and one.checked) for one in waited_for)
        if (well and not missing) or time.monotonic() >= end:
            return servers
        time.sleep(0.2)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "ports": {"type": "list", "elements": "int", "default": []},
            "config_path": {"type": "path", "default": "/etc/haproxy/haproxy.cfg"},
            "settle": {"type": "float", "default": 0.0},
        },
        supports_check_mode=True,
    )
    finish(module, look)


if __name__ == "__main__":
    main()
