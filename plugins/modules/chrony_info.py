#!/usr/bin/python
# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: chrony_info
short_description: What chrony of a host is and follows
version_added: 0.1.0
author:
  - clusterkit contributors (@clusterkit)
description:
  - Asks chrony for the source that it follows and for all that it knows, and the host whether its clock may be set.
  - Nothing is changed. It also works where chrony is not installed or does not run.
extends_documentation_fragment:
  - clusterkit.middleware.attributes.info
options:
  config_path:
    description: Path of the configuration.
    type: path
    default: /etc/chrony/chrony.conf
  catalogue_path:
    description: Path of what the role has configured, in its variables.
    type: path
    default: /etc/chrony/clusterkit.json
  settle:
    description: Seconds to wait, at most, until chrony follows a source.
    type: float
    default: 0.0
"""

EXAMPLES = r"""
- name: Ask chrony what it follows
  clusterkit.middleware.chrony_info:
    settle: 30
  register: member
"""

RETURN = r"""
installed:
  description: Whether chrony was found.
  type: bool
  returned: always
  sample: true
version:
  description: Its version, empty where none is installed.
  type: str
  returned: always
  sample: "4.3"
error:
  description: Why chrony does not answer, empty when it does.
  type: str
  returned: always
  sample: ""
tracking:
  description: What it follows, with its own word on the offset in seconds.
  type: dict
  returned: always
  sample: {"source": "192.0.2.1", "stratum": 3, "offset": 0.00001, "synchronised": true}
sources:
  description: Its sources.
  type: list
  elements: dict
  returned: always
  sample: [{"name": "192.0.2.1", "selected": true, "usable": true, "reached": true}]
may_set_time:
  description: Whether processes of this host may set its clock, which those of most containers may not.
  type: bool
  returned: always
  sample: true
foreign:
  description: Lines of O(config_path) by which somebody else chose sources.
  type: list
  elements: str
  returned: always
  sample: ["server time.example.org iburst"]
config_path:
  description: As it was given.
  type: str
  returned: always
  sample: /etc/chrony/chrony.conf
configured:
  description: What the role has configured, in its variables, empty where it has not.
  type: dict
  returned: always
  sample: {}
"""

import json
import pathlib
import re
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterkit.middleware.plugins.module_utils._chrony import time_source
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.files import read_if_exists
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.module import finish

_CAP_SYS_TIME = 1 << 25


def look(module: AnsibleModule) -> dict[str, Any]:
    """Return what the host is and chrony says. Raises ClusterkitError."""
    wanted = module.params
    runner = Runner()
    binary = module.get_bin_path("chronyd", opt_dirs=["/usr/sbin"])
    tracking: dict[str, Any] = {}
    sources: list[dict[str, Any]] = []
    error = version = ""
    if binary:
        version = (re.findall(r"version ([0-9.]+)", runner.run([binary, "--version"], limit=10).stdout) or ["unknown"])[
            0
        ]
    try:
        tracking, sources = settled(runner, wanted["settle"])
    except ClusterkitError as silent:
        error = str(silent)
    text = (read_if_exists(wanted["config_path"]) or b"").decode(errors="replace")
    return {
        "changed": False,
        "installed": bool(binary),
        "version": version,
        "error": error,
        "tracking": tracking,
        "sources": sources,
        "may_set_time": may_set_time(pathlib.Path("/proc/self/status").read_text(encoding="ascii", errors="replace")),
        "foreign": time_source.chosen_by_others(text),
        "config_path": wanted["config_path"],
        "configured": configured(wanted["catalogue_path"]),
    }


def may_set_time(status: str) -> bool:
    """Return whether a process with this /proc/PID/status, or one that it starts, may set the clock."""
    found = re.search(r"^CapBnd:\s*([0-9a-f]+)", status, re.M)
    return bool(found and int(found[1], 16) & _CAP_SYS_TIME)


def configured(path: str) -> dict[str, Any]:
    """Return what the role has configured. Raises ClusterkitError."""
    try:
        found: dict[str, Any] = json.loads(read_if_exists(path) or b"{}")
    except ValueError as error:
        raise ClusterkitError(f"cannot read {path}: {error} - the role chrony writes it") from None
    return found


def settled(runner: Runner, limit: float) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return what chrony follows, once it does or the limit has passed, and its sources. Raises ClusterkitError."""
    end = time.monotonic() + limit
    while True:
        try:
            tracking = time_source.parse_tracking(runner.run(["chronyc", "-c", "tracking"], limit=10).stdout)
            sources = time_source.parse_sources(runner.run(["chronyc", "-c", "sources"], limit=10).stdout)
            if tracking.get("synchronised") or time.monotonic() >= end:
                return tracking, sources
        except ClusterkitError:
            if time.monotonic() >= end:
                raise
        time.sleep(0.2)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "config_path": {"type": "path", "default": "/etc/chrony/chrony.conf"},
            "catalogue_path": {"type": "path", "default": "/etc/chrony/clusterkit.json"},
            "settle": {"type": "float", "default": 0.0},
        },
        supports_check_mode=True,
    )
    finish(module, look)


if __name__ == "__main__":
    main()
