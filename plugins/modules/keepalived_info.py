#!/usr/bin/python
# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: keepalived_info
short_description: Who holds virtual addresses, as the kernel and keepalived of a host say
version_added: 0.1.0
author:
  - clusterkit contributors (@clusterkit)
description:
  - Asks the kernel for the addresses of the host, and keepalived for the states of its instances and checks.
  - Before addresses are shared it can listen for other clusters with the same router ids, and ask the network whether
    somebody has the addresses already.
  - Nothing is changed. It also works where keepalived is not installed or does not run.
extends_documentation_fragment:
  - clusterkit.middleware.attributes.info
options:
  router_ids:
    description: Router ids of VRRP. Advertisements are listened for of those that are not configured here yet.
    type: list
    elements: int
    default: []
  addresses:
    description: Addresses. The network is asked for those that are not configured here yet.
    type: list
    elements: str
    default: []
  listen:
    description: Seconds to listen.
    type: float
    default: 2.5
  commands:
    description: Commands of which to tell whether they are there. Only their first words count.
    type: list
    elements: str
    default: []
  config_path:
    description: Path of the configuration.
    type: path
    default: /etc/keepalived/keepalived.conf
  settle:
    description:
      - Seconds to wait, at most, until every instance holds its addresses or stands by, and has done so for some
        advertisements.
    type: float
    default: 0.0
"""

EXAMPLES = r"""
- name: Ask who holds the virtual addresses
  clusterkit.middleware.keepalived_info:
    settle: 30
  register: member
"""

RETURN = r"""
installed:
  description: Whether keepalived was found.
  type: bool
  returned: always
  sample: true
version:
  description: Its version, empty where none is installed.
  type: str
  returned: always
  sample: 2.2.7
error:
  description: Why keepalived does not answer, empty when it does.
  type: str
  returned: always
  sample: ""
instances:
  description: What keepalived says of its instances.
  type: list
  elements: dict
  returned: always
  sample: [{"name": "web", "state": "MASTER", "interface": "eth0", "router_id": 51, "priority": 250,
    "since": 1795943140.5}]
checks:
  description: What keepalived says of its checks.
  type: list
  elements: dict
  returned: always
  sample: [{"name": "haproxy", "ok": true}]
addresses:
  description: Addresses of IPv4 that the kernel has, virtual ones among them.
  type: list
  elements: dict
  returned: always
  sample: [{"interface": "eth0", "address": "192.0.2.10", "prefix": 32}]
heard:
  description: Who advertises one of O(router_ids).
  type: list
  elements: dict
  returned: always
  sample: [{"interface": "eth0", "source": "192.0.2.99", "router_id": 51}]
answering:
  description: Those of O(addresses) that another host of the network has, with its MAC address.
  type: dict
  returned: always
  sample: {"192.0.2.10": "02:42:0a:d5:fa:0b"}
missing_commands:
  description: Those of O(commands) that are not there.
  type: list
  elements: str
  returned: always
  sample: []
nonlocal_bind:
  description: Whether programs may listen on addresses that the host does not have (C(net.ipv4.ip_nonlocal_bind)).
  type: bool
  returned: always
  sample: false
foreign:
  description: Sections of O(config_path) that the role did not write.
  type: list
  elements: str
  returned: always
  sample: ["vrrp_instance VI_1"]
config_path:
  description: As it was given.
  type: str
  returned: always
  sample: /etc/keepalived/keepalived.conf
configured:
  description: Instances and checks as the role has configured them, empty where it has not.
  type: dict
  returned: always
  sample: {}
firewalls:
  description: The firewalls that run on this host.
  type: list
  elements: str
  returned: always
  sample: [ufw]
"""

import os
import re
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterkit.middleware.plugins.module_utils._common import firewall
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.files import read_if_exists
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.module import finish
from ansible_collections.clusterkit.middleware.plugins.module_utils._keepalived import config, network, state

#: A state that has lasted for so many advertisements, and a second, is no passing one: who misses them takes over.
_SETTLED_ADVERTS = 4
_SETTLED_SECONDS = 1.0


def look(module: AnsibleModule) -> dict[str, Any]:
    """Return what the host is and says. Raises ClusterkitError."""
    wanted = module.params
    runner = Runner()
    configured = state.read_catalogue()
    said, error = settled(runner, configured, wanted["settle"])
    binary = module.get_bin_path("keepalived", opt_dirs=["/usr/sbin"])
    addresses = network.addresses(runner)
    known = configured.get("instances", [])
    known_addresses = {text.partition("/")[0] for one in known for text in one["addresses"]}
    new = set(wanted["router_ids"]) - {one["router_id"] for one in known}
    interfaces = sorted({one["interface"] for one in addresses} - {"lo"})
    text = (read_if_exists(wanted["config_path"]) or b"").decode(errors="replace")
    return {
        "changed": False,
        "installed": bool(binary),
        "version": version(runner, binary) if binary else "",
        "error": error,
        "instances": said.instances,
        "checks": said.checks,
        "addresses": addresses,
        "heard": network.hear(new, interfaces, wanted["listen"]),
        "answering": network.answering(
            runner,
            [one for one in wanted["addresses"] if one not in known_addresses],
            [one["address"] for one in addresses],
        ),
        "missing_commands": [
            one for one in wanted["commands"] if one.strip() and not os.access(one.split()[0], os.X_OK)
        ],
        "nonlocal_bind": (read_if_exists("/proc/sys/net/ipv4/ip_nonlocal_bind") or b"").strip() == b"1",
        "foreign": config.foreign(text),
        "config_path": wanted["config_path"],
        "configured": configured,
        "firewalls": firewall.names(runner),
    }


def version(runner: Runner, binary: str) -> str:
    """Return the version of keepalived, which it tells with much else. Raises ClusterkitError."""
    said = runner.run([binary, "--version"], limit=10)
    found = re.search(r"Keepalived v([0-9.]+)", said.stdout + said.stderr)
    return found[1] if found else "unknown"


def settled(runner: Runner, configured: dict[str, Any], limit: float) -> tuple[state.Said, str]:
    """Return what keepalived says once it has settled, or the limit has passed, and why it says nothing."""
    end = time.monotonic() + limit
    least = _SETTLED_ADVERTS * float(configured.get("advert_seconds", 1)) + _SETTLED_SECONDS
    while True:
        said, error = state.Said(), ""
        try:
            said = state.ask(runner)
        except ClusterkitError as silent:
            error = str(silent)
        names = {one["name"] for one in said.instances}
        calm = all(
            one["state"] in ("MASTER", "BACKUP") and time.time() - one["since"] > least for one in said.instances
        )
        whole = names == {one["name"] for one in configured.get("instances", [])}
        if (calm and whole and not error) or time.monotonic() >= end:
            return said, error
        time.sleep(0.2)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "router_ids": {"type": "list", "elements": "int", "default": []},
            "addresses": {"type": "list", "elements": "str", "default": []},
            "listen": {"type": "float", "default": 2.5},
            "commands": {"type": "list", "elements": "str", "default": []},
            "config_path": {"type": "path", "default": "/etc/keepalived/keepalived.conf"},
            "settle": {"type": "float", "default": 0.0},
        },
        supports_check_mode=True,
    )
    finish(module, look)


if __name__ == "__main__":
    main()
