#!/usr/bin/python
# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: opendj_probe
short_description: An entry that shows whether an OpenDJ server takes writes
version_added: 0.1.0
author:
  - clusterkit contributors (@clusterkit)
description:
  - Writes an entry C(cn=clusterkit-probe-NAME) directly below each base DN, or removes it. A server that lets one bind
    may still refuse to write, and members may answer without replicating.
  - M(clusterkit.middleware.opendj_replication_info) tells which probes have arrived at a server.
extends_documentation_fragment:
  - clusterkit.middleware.opendj
attributes:
  check_mode:
    support: full
    description: Reports the change and makes none.
  diff_mode:
    support: none
    description: What is written says nothing.
  idempotent:
    support: partial
    description: A probe with the same O(token) is no change.
options:
  name:
    description: Name of the member that the probe is of.
    type: str
    required: true
  state:
    description:
      - Whether the probe is written or removed.
      - V(tried) writes it, reads it again and removes it, for a server that stands for itself. Nothing is changed by
        that.
    type: str
    choices: [present, absent, tried]
    default: present
  token:
    description: What the probe holds. Needed for V(present) and V(tried).
    type: str
  base_dns:
    description: Base DNs to write below. One without its entry is left out, since nothing can be below it.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Show that the server takes writes
  clusterkit.middleware.opendj_probe:
    name: idp1.example.org
    token: "1795248000"
    base_dns: ["o=site"]
    password: "{{ directory_manager_password }}"
"""

RETURN = r"""
written:
  description: The base DNs below which there is now a probe with this token, or has been.
  type: list
  elements: str
  returned: always
  sample: ["o=site"]
read:
  description: Those of them below which the probe was read again.
  type: list
  elements: str
  returned: with O(state=tried)
  sample: ["o=site"]
error:
  description: Why the server did not take the write, empty where it did.
  type: str
  returned: always
  sample: "idp1.example.org:4444 refuses to add cn=clusterkit-probe-idp1,o=site: Server is unwilling to perform"
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.module import finish
from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj import probe, state
from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj.directory import ONE, Directory
from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj.installation import (
    CONNECTION,
    own_directory,
)


def run(module: AnsibleModule) -> dict[str, Any]:
    """Write or remove. What the server refuses is told, and no failure: a verification judges it."""
    wanted = module.params
    if wanted["state"] != "absent" and not wanted["token"]:
        raise ClusterkitError(f"token missing: state={wanted['state']} needs it")
    result: dict[str, Any] = {"changed": False, "written": [], "error": ""}
    act = change
    if wanted["state"] == "tried":
        act = attempt
        result["read"] = []
    try:
        with own_directory(wanted) as directory:
            for base in wanted["base_dns"]:
                act(module, directory, base, result)
    except ClusterkitError as error:
        result["error"] = str(error)
    return result


def attempt(module: AnsibleModule, directory: Directory, base: str, result: dict[str, Any]) -> None:
    """Write one, read it, remove it, and note how far that came. Raises ClusterkitError."""
    name, token = module.params["name"], module.params["token"]
    if module.check_mode or not probe.write(directory, base, name, token):
        return
    result["written"].append(base)
    if present_below(directory, base).get(name) == token:
        result["read"].append(base)
    probe.remove(directory, base, name)


def present_below(directory: Directory, base: str) -> dict[str, str]:
    """Return what probes below a base DN hold, by member. Raises ClusterkitError."""
    return state.probes(directory.search(base, ONE, f"(cn={state.PROBE}*)", ["cn", "description"]))


def change(module: AnsibleModule, directory: Directory, base: str, result: dict[str, Any]) -> None:
    """Write or remove one, and note what was done. Raises ClusterkitError."""
    name, token = module.params["name"], module.params["token"]
    present = present_below(directory, base)
    wanted = token if module.params["state"] == "present" else None
    differs = present.get(name) != wanted
    if differs and not module.check_mode:
        if wanted is None:
            probe.remove(directory, base, name)
        elif not probe.write(directory, base, name, wanted):
            return
    result["changed"] = result["changed"] or differs
    if wanted is not None:
        result["written"].append(base)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent", "tried"], "default": "present"},
            "token": {"type": "str", "no_log": False},
            "base_dns": {"type": "list", "elements": "str", "required": True},
            **CONNECTION,
        },
        supports_check_mode=True,
    )
    finish(module, run)


if __name__ == "__main__":
    main()
