#!/usr/bin/python
# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: hazelcast_cluster_info
short_description: What a member says of its Hazelcast cluster
version_added: 0.1.0
author:
  - clusterkit contributors (@clusterkit)
description:
  - Reads the log that a running process has written since it started, files that it has moved away included, and tells
    what it says of its cluster and of the others in it.
  - A member that joins others does not log these, and each of them logs that it joined. Whether members are one cluster
    is judged of all their accounts together, by P(clusterkit.middleware.hazelcast_verification#filter).
  - Nothing is changed. It also works where the process does not run.
extends_documentation_fragment:
  - clusterkit.middleware.attributes.info
options:
  argument:
    description: A whole argument by which the process is known, such as C(-Dcarbon.home=/opt/server).
    type: str
    required: true
  log:
    description: The log. Its times are in the time zone of the process.
    type: path
    required: true
  allowed_errors:
    description: Regular expressions; lines of the log that one of them is found in are no errors.
    type: list
    elements: str
    default: []
  paths:
    description: Patterns of paths on this host of which to tell those that are there, with the time of their last
      change.
    type: list
    elements: str
    default: []
  unit:
    description: A unit of systemd whose state is asked for.
    type: str
    default: ""
  port:
    description: A port of which to tell which program listens on it, where that is not the process.
    type: int
    default: 0
  settle:
    description: Seconds to wait, at most, until what O(until) and O(about) say holds.
    type: float
    default: 0.0
  until:
    description:
      - What to wait for. V(initialized), that the process runs and has ended the start of its cluster, or cannot;
        V(joined) or V(left), that it has said so of O(about) after O(after).
    type: str
    choices: [initialized, joined, left]
    default: initialized
  about:
    description: Another member, as C(address:port).
    type: str
    default: ""
  after:
    description: A time of this member, as RV(now) was before.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Ask a member of its cluster
  clusterkit.middleware.hazelcast_cluster_info:
    argument: -Dcarbon.home=/opt/server
    log: /opt/server/repository/logs/wso2carbon.log
  register: member
"""

RETURN = r"""
running:
  description: Whether the process was found.
  type: bool
  returned: always
started:
  description: When it started, on its own clock, empty where it does not run.
  type: str
  returned: always
  sample: "2026-11-29 08:58:32"
started_seconds:
  description: The same in seconds since 1970.
  type: float
  returned: always
now:
  description: The time, on the clock of its log.
  type: str
  returned: always
  sample: "2026-11-29 09:58:32"
whole:
  description: Whether the log begins with this process.
  type: bool
  returned: always
scheme:
  description: How it finds others, empty where it does not cluster.
  type: str
  returned: always
  sample: wka
domain:
  description: Name of its cluster.
  type: str
  returned: always
  sample: shop
local:
  description: Itself, C(uuid), C(address) and C(port).
  type: dict
  returned: always
  sample: {"uuid": "466f1a02-bd04-4568-a3b8-0d8cfde2dabb", "address": "10.77.0.1", "port": 4000}
founded:
  description: Whether it found no other member when it started.
  type: bool
  returned: always
initialized:
  description: Whether it has ended the start of its cluster.
  type: bool
  returned: always
others:
  description: The last word that it said about each other member.
  type: list
  elements: dict
  returned: always
  sample: [{"address": "10.77.0.3:4000", "state": "joined", "uuid": "0585debd-7bba-4c81-af75-fe440616326d",
    "at": "2026-11-29 08:59:40,268"}]
errors:
  description: The first lines with errors since it started.
  type: list
  elements: str
  returned: always
errors_counted:
  description: How many there are.
  type: int
  returned: always
causes:
  description: What lines tell of why it is not in the cluster of the others.
  type: list
  elements: str
  returned: always
paths:
  description: Paths that match O(paths), each with the time of its last change in seconds since 1970, and its owner.
  type: dict
  returned: always
  sample: {"/opt/server/repository/conf/axis2/axis2.xml": {"changed": 1795942712.5, "owner": "server"}}
user:
  description: The user that the process runs as, empty where it does not run.
  type: str
  returned: always
  sample: server
unit_state:
  description: What systemd says of O(unit), C(not-found) where there is none.
  type: str
  returned: always
  sample: active
port_holder:
  description: Which other program listens on O(port), empty for none.
  type: str
  returned: always
addresses:
  description: The addresses of this host, those of loopback left out.
  type: list
  elements: str
  returned: always
  sample: [10.77.0.1]
firewalls:
  description: The firewalls that run on this host.
  type: list
  elements: str
  returned: always
  sample: [ufw]
"""

import glob
import re
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterkit.middleware.plugins.module_utils._common import files, firewall, host
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.module import finish
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.service import Systemd
from ansible_collections.clusterkit.middleware.plugins.module_utils._hazelcast import running
from ansible_collections.clusterkit.middleware.plugins.module_utils._hazelcast.logs import Account, account


def look(module: AnsibleModule) -> dict[str, Any]:
    """Return what the member says, once it has said what is waited for. Raises ClusterkitError."""
    wanted = module.params
    for one in wanted["allowed_errors"]:
        try:
            re.compile(one)
        except re.error as error:
            raise ClusterkitError(f"allowed_errors has {one!r}, which is no regular expression: {error}") from None
    end = time.monotonic() + wanted["settle"]
    while True:
        process = running.find(wanted["argument"])
        said = _said(process, wanted)
        if time.monotonic() >= end or _settled(process, said, wanted):
            break
        time.sleep(0.5)
    clock = process or running.Process(0, 0.0)
    return {
        "changed": False,
        "running": process is not None,
        "started": process.moment(process.started) if process else "",
        "started_seconds": process.started if process else 0.0,
        "now": clock.moment(time.time()),
        **said.told(),
        "paths": {
            path: {"changed": status.st_mtime, "owner": running.user_name(status.st_uid)}
            for pattern in wanted["paths"]
            for path in sorted(glob.glob(pattern))  # noqa: PTH207  # patterns of absolute paths
            if (status := files.status_if_exists(path))
        },
        "user": process.user if process else "",
        "unit_state": _unit_state(wanted["unit"]),
        "port_holder": _other_holder(wanted["port"], process),
        "addresses": host.own_addresses(),
        "firewalls": firewall.names(Runner()),
    }


def _said(process: running.Process | None, wanted: dict[str, Any]) -> Account:
    if process is None:
        return Account()
    return account(running.lines(wanted["log"], process), running.since(process), wanted["allowed_errors"])


def _settled(process: running.Process | None, said: Account, wanted: dict[str, Any]) -> bool:
    if wanted["until"] == "initialized":
        return process is not None and (said.initialized or bool(said.causes and said.errors_counted))
    word = said.others.get(wanted["about"], {})
    # The log's times are finer than what is given: the very second counts as after it
    return bool(word) and word["state"] == wanted["until"] and word["at"] >= wanted["after"]


def _other_holder(port: int, process: running.Process | None) -> str:
    holder = host.port_holder(port, []) if port else ""
    return "" if process and holder.endswith(f"(process {process.pid})") else holder


def _unit_state(unit: str) -> str:
    if not unit:
        return ""
    state = Systemd(Runner()).states([unit])[unit]
    return state.load if state.load != "loaded" else state.active


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "argument": {"type": "str", "required": True},
            "log": {"type": "path", "required": True},
            "allowed_errors": {"type": "list", "elements": "str", "default": []},
            "paths": {"type": "list", "elements": "str", "default": []},
            "unit": {"type": "str", "default": ""},
            "port": {"type": "int", "default": 0},
            "settle": {"type": "float", "default": 0.0},
            "until": {"type": "str", "choices": ["initialized", "joined", "left"], "default": "initialized"},
            "about": {"type": "str", "default": ""},
            "after": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    finish(module, look)


if __name__ == "__main__":
    main()
