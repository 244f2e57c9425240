#!/usr/bin/python
# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: shared_mount_info
short_description: What shares this host has mounted, and how they are
version_added: 0.1.0
author:
  - clusterkit contributors (@clusterkit)
description:
  - Looks at mount points, at what is mounted there and below, at the services that use it, and asks each share for its
    sentinel. A share whose server hangs is given up after some time.
  - Nothing is changed.
extends_documentation_fragment:
  - clusterkit.middleware.shared_mount
  - clusterkit.middleware.attributes.info
options:
  cluster:
    description: Whose shares they are.
    type: str
    required: true
  leaving:
    description: Names of shares that shall be gone.
    type: list
    elements: str
    default: []
  limit:
    description: Seconds that a share has to answer in.
    type: float
    default: 20.0
"""

EXAMPLES = r"""
- name: Look at a share
  clusterkit.middleware.shared_mount_info:
    cluster: app_servers
    shares:
      - {name: artifacts, path: /srv/artifacts, source: nas.example.org:/artifacts, fstype: nfs}
  register: found
"""

RETURN = r"""
shares:
  description: What was found of each share, by name.
  type: dict
  returned: always
  sample: {"artifacts": {"mounted": null, "problem": "nothing is mounted at /srv/artifacts", "answers": false}}
recorded:
  description: Names of the shares that this host has noted of the cluster.
  type: list
  elements: str
  returned: always
  sample: [artifacts]
details:
  description: All that it has noted of them.
  type: list
  elements: dict
  returned: always
  sample: [{"name": "artifacts", "path": "/srv/artifacts"}]
others:
  description: Other clusters of which this host has shares.
  type: list
  elements: str
  returned: always
  sample: []
leaving:
  description: As it was given.
  type: list
  elements: str
  returned: always
  sample: []
missing:
  description: Kinds of file systems of O(shares) whose programs this host lacks.
  type: list
  elements: str
  returned: always
  sample: [nfs]
nfs_client:
  description: >-
    By what servers of NFS 4 know this host - its name and what C(nfs4_unique_id) of the kernel's module C(nfs) says.
    To a server two clients that have it in common are one.
  type: str
  returned: always
  sample: app1.example.org
drop_ins:
  description: Services that the role has bound to shares of the cluster.
  type: list
  elements: str
  returned: always
  sample: [app.service]
"""

import pathlib
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterkit.middleware.plugins.module_utils._common import host, mounts
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.module import finish
from ansible_collections.clusterkit.middleware.plugins.module_utils._mount import below, guard, helpers, settings


def look(module: AnsibleModule) -> dict[str, Any]:
    """Return what there is. Raises ClusterkitError."""
    wanted = module.params
    noted = settings.read_all()
    recorded = noted.pop(wanted["cluster"], [])
    table = mounts.table()
    shares = [settings.from_mapping(one) for one in wanted["shares"]]
    names = {one.name for one in recorded}
    units = helpers.units([service for share in shares for service in share.services], Runner())
    found = {}
    for share in shares:
        found[share.name] = {**share_state(share, wanted["cluster"], table, wanted["limit"]), "services": {}}
        found[share.name]["recorded"] = share.name in names
        found[share.name]["others"] = [name for name, some in noted.items() if share.path in {one.path for one in some}]
        for service in share.services:
            found[share.name]["services"][service] = helpers.guarded(units[service], share.path)
    drop_ins = pathlib.Path("/etc/systemd/system").glob(f"*.d/{settings.DROP_IN.format(wanted['cluster'])}")
    return {
        "changed": False,
        "shares": found,
        "recorded": sorted(names),
        "details": [{**vars(one), "options": list(one.options), "services": list(one.services)} for one in recorded],
        "others": sorted(noted),
        "leaving": wanted["leaving"],
        "missing": sorted(helpers.missing(share.fstype for share in shares)),
        "nfs_client": helpers.nfs_client(),
        "drop_ins": sorted(path.parent.name[: -len(".d")] for path in drop_ins),
    }


def share_state(share: settings.Share, cluster: str, table: list[mounts.Mounted], limit: float) -> dict[str, Any]:
    """Return what was found of one share."""
    out: dict[str, Any] = {"error": "", "uid": None, "gid": None, "below": [], "immutable": "", "link": ""}
    out.update(mounted=None, problem="", sentinel=None, answers=False)
    try:
        out["uid"], out["gid"] = guard.user_of(share)
        seen = guard.look(share, cluster, table, limit)
        mounted = seen.mounted
        out.update(problem=seen.problem, sentinel=seen.sentinel, answers=seen.answers)
        if mounted:
            out["mounted"] = {"source": mounted.source, "type": mounted.type, "options": list(mounted.options)}
        else:
            out["link"] = host.symbolic_links([share.path]).get(share.path, "")
        under = below.look(share.path, table)
        flag = "unknown" if under.unknown else {True: "set", False: "unset", None: "none"}[under.immutable]
        out.update(below=list(under.names), immutable=flag if under.exists else "")
    except ClusterkitError as error:
        out["error"] = str(error)
    return out


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "shares": {"type": "list", "elements": "dict", "required": True},
            "cluster": {"type": "str", "required": True},
            "leaving": {"type": "list", "elements": "str", "default": []},
            "limit": {"type": "float", "default": guard.LIMIT},
        },
        supports_check_mode=True,
    )
    finish(module, look)


if __name__ == "__main__":
    main()
