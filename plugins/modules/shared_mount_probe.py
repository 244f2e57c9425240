#!/usr/bin/python
# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: shared_mount_probe
short_description: Tries shares from all members
version_added: 0.1.0
author:
  - clusterkit contributors (@clusterkit)
description:
  - Each member writes a file of its own below C(.clusterkit-probe) on each share, one member locks, and then each reads
    the files of all and tries the locks. At the end all is removed.
  - A share that fails is told of and is no failure of the module.
extends_documentation_fragment:
  - clusterkit.middleware.shared_mount
attributes:
  check_mode:
    support: full
    description: Tries nothing, and leaves nothing.
  diff_mode:
    support: none
    description: What it writes is there for a moment.
  idempotent:
    support: none
    description: Tries anew each time.
options:
  state:
    description:
      - C(written) writes this member's file; C(held) locks, until it is C(released), or for two minutes; C(read) reads
        the files of all O(members) and tries the locks; C(cleared) removes all files.
    type: str
    choices: [written, held, read, released, cleared]
    required: true
  member:
    description: Name of this member.
    type: str
    required: true
  members:
    description: Names of all members.
    type: list
    elements: str
    default: []
  token:
    description: A word that is the same for all members, and another one each time.
    type: str
    required: true
  limit:
    description: Seconds that a share has to answer in, and that a file may take to be seen.
    type: float
    default: 20.0
"""

EXAMPLES = r"""
- name: Write a file
  clusterkit.middleware.shared_mount_probe:
    state: written
    member: app1
    token: "20261129T0600"
    shares:
      - {name: artifacts, path: /srv/artifacts, source: nas.example.org:/artifacts, fstype: nfs}
"""

RETURN = r"""
shares:
  description: For each share what was found, with RV(ignore:error) where it failed.
  type: dict
  returned: always
  sample: {"artifacts": {"error": "", "files": {"app2": {"error": "", "owner": 0, "group": 0, "mode": "0640"}},
    "locks": {"flock": "kept out", "posix": "kept out"}}}
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.module import finish
from ansible_collections.clusterkit.middleware.plugins.module_utils._mount.probe import Probe
from ansible_collections.clusterkit.middleware.plugins.module_utils._mount.settings import Share, from_mapping


def tried(share: Share, wanted: dict[str, Any]) -> dict[str, Any]:
    """Do what is asked with one share. Raises ClusterkitError."""
    probe = Probe(share, wanted["member"], wanted["token"], wanted["limit"])
    state = wanted["state"]
    if state == "written":
        return probe.write()
    if state == "read":
        locks = probe.try_locks() if share.locks else {}
        return {"files": probe.read(wanted["members"]), "locks": locks}
    if state == "held":
        if share.locks:
            probe.hold()
    elif state == "released":
        probe.release()
    else:
        probe.clear()
    return {}


def run(module: AnsibleModule) -> dict[str, Any]:
    """Try all shares."""
    out: dict[str, dict[str, Any]] = {}
    for one in module.params["shares"]:
        share = from_mapping(one)
        if share.is_bind:  # it shares what its origin shares, and nothing is written among what it holds
            continue
        try:
            out[share.name] = {"error": "", **({} if module.check_mode else tried(share, module.params))}
        except ClusterkitError as error:
            out[share.name] = {"error": str(error)}
    return {"changed": False, "shares": out}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "shares": {"type": "list", "elements": "dict", "required": True},
            "state": {
                "type": "str",
                "choices": ["written", "held", "read", "released", "cleared"],
                "required": True,
            },
            "member": {"type": "str", "required": True},
            "members": {"type": "list", "elements": "str", "default": []},
            "token": {"type": "str", "required": True, "no_log": False},
            "limit": {"type": "float", "default": 20.0},
        },
        supports_check_mode=True,
    )
    finish(module, run)


if __name__ == "__main__":
    main()
