#!/usr/bin/python
# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: member_ports
short_description: Opens a service's ports to the members of its cluster
version_added: 0.1.0
author:
  - clusterkit contributors (@clusterkit)
description:
  - Opens ports in the firewall that runs on this host, firewalld or ufw, to some addresses and to nobody else.
  - Where neither runs nothing is done.
  - What was opened for a service and is not wanted any more is closed. Rules of others stay.
attributes:
  check_mode:
    support: full
    description: Tells what would be opened and closed.
  diff_mode:
    support: full
    description: Lists what is opened and closed.
  idempotent:
    support: full
    description: Nothing is opened twice.
options:
  service:
    description: Name of the service, under which what was opened is kept.
    type: str
    required: true
  ports:
    description: Ports, each with its protocol, such as V(30865/tcp); V(vrrp) for that protocol, which has no ports.
    type: list
    elements: str
    default: []
  addresses:
    description: Addresses that may connect. With none, all that was opened for the service is closed.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Let the other members connect
  clusterkit.middleware.member_ports:
    service: csync2
    ports: [30865/tcp]
    addresses: [192.0.2.11, 192.0.2.12]
"""

RETURN = r"""
firewalls:
  description: The firewalls that run.
  type: list
  elements: str
  returned: success
  sample: [firewalld]
opened:
  description: What was opened.
  type: list
  elements: str
  returned: success
  sample: [30865/tcp from 192.0.2.11]
closed:
  description: What was closed.
  type: list
  elements: str
  returned: success
  sample: []
"""

from typing import Any, Iterable

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterkit.middleware.plugins.module_utils._common import firewall
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.differences import DifferenceTracker
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.module import finish


def told(openings: Iterable[firewall.Opening]) -> list[str]:
    """Return openings as people read them."""
    return [f"{'/'.join(filter(None, (one.port, one.protocol)))} from {one.address}" for one in openings]


def run(module: AnsibleModule) -> dict[str, Any]:
    """Compare, open, close, report. Raises ClusterkitError."""
    wanted = firewall.openings(module.params["addresses"], module.params["ports"])
    if not module.params["service"].replace("-", "").replace("_", "").isalnum():
        raise ClusterkitError(f"service is {module.params['service']!r}: write letters, digits, '-' and '_'")
    firewalls = firewall.running(Runner())
    openings = firewall.Openings(module.params["service"], firewalls)
    missing, surplus = openings.plan(wanted) if firewalls else ([], [])
    if not firewalls and openings.noted() - set(wanted):
        module.warn(f"what was opened for {module.params['service']} stays: no firewall runs that could close it")
    differences = DifferenceTracker()
    for one in told(missing):
        differences.add(one, "open", "closed")
    for one in told(surplus):
        differences.add(one, "closed", "open")
    if not module.check_mode:
        openings.apply(missing, surplus)
    return {
        "changed": differences.changed,
        "firewalls": [one.name for one in firewalls],
        "opened": told(missing),
        "closed": told(surplus),
        "diff": differences.diff("firewall"),
    }


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "service": {"type": "str", "required": True},
            "ports": {"type": "list", "elements": "str", "default": []},
            "addresses": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    finish(module, run)


if __name__ == "__main__":
    main()
