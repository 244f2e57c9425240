#!/usr/bin/python
# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: deployment_sync
short_description: Gives the source's artifacts to the other servers now
version_added: 0.1.0
author:
  - clusterkit contributors (@clusterkit)
description:
  - Runs on the source what its timer and its watch run, and tells what each server got.
  - A server that could not be served keeps no other one from it; the module fails after all were tried.
extends_documentation_fragment:
  - clusterkit.middleware.attributes
attributes:
  check_mode:
    support: full
    details:
      - A server that cannot be asked is passed over, since an earlier task may be the one to let the source in.
  diff_mode:
    support: full
    details:
      - Shows for each server what would be sent, in the short form of rsync.
  idempotent:
    support: full
options:
  state:
    description:
      - V(synchronised) gives the others what they lack.
      - V(probed) does so with a file more, which O(token) is in; it tells what happened and does not fail.
      - V(cleared) takes that file away everywhere.
    type: str
    choices: [synchronised, probed, cleared]
    default: synchronised
  token:
    description: What the file holds.
    type: str
    default: ""
  settings_path:
    description: The file with the settings.
    type: path
    default: /etc/clusterkit/deployment_sync.json
  wait:
    description: Seconds to wait for another run to end.
    type: float
    default: 300.0
"""

EXAMPLES = r"""
- name: Give the others what they lack
  clusterkit.middleware.deployment_sync:
"""

RETURN = r"""
nodes:
  description: What each server got.
  type: list
  elements: dict
  returned: success
  sample: [{"node": "mi2.example.org", "ok": true, "sent": 3, "deleted": 0, "seconds": 0.31}]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.files import remove, write_atomically
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.locks import exclusive
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.module import finish
from ansible_collections.clusterkit.middleware.plugins.module_utils._deployment.settings import PATH, PROBE, read
from ansible_collections.clusterkit.middleware.plugins.module_utils._deployment.source import Source

SYNCHRONISED = "synchronised"
PROBED = "probed"
CLEARED = "cleared"


def synchronise(module: AnsibleModule) -> dict[str, Any]:
    """Synchronise, with or without the probe. Raises ClusterkitError."""
    wanted = module.params
    settings = read(wanted["settings_path"])
    if settings is None:
        raise ClusterkitError(f"{wanted['settings_path']} is not there: let the role write it")
    source = Source(settings, Runner())
    probe = f"{settings.directories[0].path}/{PROBE}"
    asked = wanted["state"] != SYNCHRONISED
    if asked and module.check_mode:
        return {"changed": False, "nodes": []}
    with exclusive(settings.lock, wanted["wait"], "deployment synchronisation"):
        source.check()
        if wanted["state"] == PROBED:
            write_atomically(probe, wanted["token"].encode(), mode=0o644)
        elif wanted["state"] == CLEARED:
            remove(probe)
        reports = source.synchronise(dry_run=module.check_mode)
    failures = [f"{one.node}: {one.error}" for one in reports if not one.ok]
    if failures and not asked and not module.check_mode:
        raise ClusterkitError(
            f"{len(failures)} of {len(reports)} servers could not be served: {'; '.join(failures)}",
            {"nodes": [one.line() for one in reports]},
        )
    changes = {one.node: one.changes for one in reports if one.changes}
    return {
        "changed": bool(changes) and not asked,
        "nodes": [one.line() for one in reports],
        "diff": {"before": {name: [] for name in changes}, "after": changes},
    }


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": [SYNCHRONISED, PROBED, CLEARED], "default": SYNCHRONISED},
            "token": {"type": "str", "default": "", "no_log": False},
            "settings_path": {"type": "path", "default": PATH},
            "wait": {"type": "float", "default": 300.0},
        },
        supports_check_mode=True,
    )
    finish(module, synchronise)


if __name__ == "__main__":
    main()
