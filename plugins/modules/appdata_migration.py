#!/usr/bin/python
# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: appdata_migration
short_description: Moves the data of a program to shared storage
version_added: 0.1.0
author:
  - clusterkit contributors (@clusterkit)
description:
  - Copies files and directories into a staging directory below the target, compares the content of each with what the
    storage holds, renames them into place, and switches the program over by a property in its configuration or by
    links in the old places. The originals are removed by a phase of their own.
  - Interrupted anywhere it can be run again and ends right. At every moment the old or the new location is complete,
    and the switch points to a complete one. Only one migration runs on a host at a time.
  - Hard links, also across entries, symbolic links, sparse files, all names, owners, permissions, times, extended
    attributes and access control lists are kept. Whatever the target cannot hold of them is found by trying before
    anything is copied, and refused unless O(accept) names it.
  - Where a target answers slowly, as over a network, many workers copy at once; where it does not, one.
  - A second member whose target another member has filled merges nothing. The files in O(identity) are compared, and
    then it is switched over; its own copies stay.
extends_documentation_fragment:
  - clusterkit.middleware.attributes
attributes:
  check_mode:
    support: full
    details:
      - Returns the plan. What the target can hold is not tried then, since that writes to it, and whether the program
        runs is not asked, since a run would have stopped it before.
  diff_mode:
    support: full
    details:
      - Shows the switch, and for each entry how much is to be moved.
  idempotent:
    support: full
options:
  phase:
    description:
      - V(precopy) copies while the program runs; it can be repeated, and copies what has changed since.
      - V(migrate) copies the difference, puts it in place, and switches over. Nothing may use the data meanwhile.
      - V(remove_source) removes the originals after a successful V(migrate), once they have been compared again with
        what is in use as far as that has not changed since. Files that were changed at the old location stop it.
      - V(rollback) switches back as long as the originals are there. What was in use is kept in a directory below
        the target, see RV(kept).
    type: str
    choices: [precopy, migrate, remove_source, rollback]
    required: true
  entries:
    description:
      - What is moved. Those whose source is not there are left out, and returned as RV(absent).
    type: list
    elements: dict
    required: true
    suboptions:
      source:
        description: Absolute path of a file or directory. A symbolic link is refused.
        type: path
        required: true
      name:
        description: Path below the target that it becomes. Empty stands for the target itself.
        type: str
        required: true
      keep:
        description: Whether the original stays for ever, in its place and without a link.
        type: bool
        default: false
  target:
    description:
      - The new directory, on a mount other than that of the sources. It has to be empty or absent; the directory it
        lies in has to exist.
    type: path
    required: true
  property:
    description:
      - The key in a Java properties file that tells the program where its data are. Its value becomes O(target).
      - Not given, a symbolic link takes the place of each entry that is not to be kept.
    type: dict
    suboptions:
      path:
        description: The properties file.
        type: path
        required: true
      key:
        description: The key.
        type: str
        required: true
  join_only:
    description:
      - Whether this member brings nothing. V(migrate) then fails as long as no other member has moved its data there.
    type: bool
    default: false
  identity:
    description:
      - Files, as paths below O(target), that have to be the same on a member and at the target when the member joins.
        A member that has none of its own takes those at the target.
    type: list
    elements: str
    default: []
  units:
    description:
      - systemd units that have to be stopped for V(migrate) and V(rollback). Besides, no process may have anything
        open in the data.
    type: list
    elements: str
    default: []
  accept:
    description:
      - What may be lost, see RV(lost). V(times) stands for fractions of seconds that the target does not hold. V(links)
        stands for symbolic links that lead elsewhere from the new place, V(hard_links_out) for files with names outside
        of the entries, V(flags) for C(chattr +i) and C(+a).
    type: list
    elements: str
    choices:
      - acls
      - flags
      - hard_links
      - hard_links_out
      - link_attributes
      - links
      - modes
      - owners
      - special_files
      - times
      - xattrs
    default: []
  allow_same_file_system:
    description:
      - Whether the target may be on the file system of a source. Usually that means that the storage is not mounted.
    type: bool
    default: false
  member:
    description:
      - Name of this member, by which it knows its own data at the target. The host name where it is not given.
    type: str
  workers:
    description:
      - How many files are worked on at once. V(0) decides by how fast the target answers.
    type: int
    default: 0
  state_directory:
    description:
      - Where the journal lies, on this host. It has to last as long as the migration with all its phases.
    type: path
    default: /var/lib/clusterkit/appdata
  status_file:
    description:
      - Where the progress is written, for the action M(clusterkit.middleware.watched).
    type: path
requirements:
  - Linux with glibc 2.28 or newer, and root
seealso:
  - module: clusterkit.middleware.java_properties
  - module: clusterkit.middleware.watched
"""

EXAMPLES = r"""
- name: Copy while the server runs, showing how far it has come
  clusterkit.middleware.watched:
    module: clusterkit.middleware.appdata_migration
    args: "{{ migration | combine({'phase': 'precopy'}) }}"
    limit: 86400
  vars:
    migration: &migration
      entries:
        - source: /opt/server/appdata
          name: ""
      target: /media/share/appdata
      property:
        path: /opt/server/conf/server/installed.properties
        key: server.appdata.dir
      units: [server.service]

- name: Copy what has changed since, and switch over
  clusterkit.middleware.appdata_migration:
    phase: migrate
    entries:
      - source: /opt/server/appdata
        name: ""
    target: /media/share/appdata
    property:
      path: /opt/server/conf/server/installed.properties
      key: server.appdata.dir
    units: [server.service]
"""

RETURN = r"""
phase:
  description: How far the migration is now.
  type: str
  returned: success
  sample: switched
entries:
  description: What is moved, with the number of files and other things, and their bytes.
  type: list
  elements: dict
  returned: success
  sample: [{"source": "/opt/server/logs", "name": "logs", "files": 12, "bytes": 34567, "keep": false}]
absent:
  description: Sources that are not there.
  type: list
  elements: str
  returned: success
  sample: [/opt/server/patches]
files:
  description: How many files and other things the entries hold.
  type: int
  returned: success
  sample: 1200
bytes:
  description: Their size.
  type: int
  returned: success
  sample: 34567890
to_copy:
  description: How many of them were not at the target yet, or had changed.
  type: int
  returned: success
  sample: 12
to_copy_bytes:
  description: Their size.
  type: int
  returned: success
  sample: 345678
free_bytes:
  description: Free space at the target before the run.
  type: int
  returned: success
  sample: 10737418240
free_inodes:
  description: Free inodes at the target before the run; 0 where its file system does not count them.
  type: int
  returned: success
  sample: 655360
copied:
  description: How many were copied and compared.
  type: int
  returned: success
  sample: 12
removed:
  description: How many were removed from the staging directory because the source no longer has them.
  type: int
  returned: success
  sample: 0
lost:
  description: What was lost because O(accept) names it, with examples.
  type: dict
  returned: success
  sample: {"times": ""}
changed_since:
  description: With V(remove_source), files that use has changed or removed at the new location.
  type: int
  returned: success
  sample: 3
kept:
  description: With V(rollback), the directory that holds what was in use until then.
  type: str
  returned: success
  sample: /media/share/appdata/.clusterkit-appdata/rolled-back-20260131T120000
"""

import dataclasses
import socket
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterkit.middleware.plugins.module_utils._appdata.migration import Migration, Report, Request
from ansible_collections.clusterkit.middleware.plugins.module_utils._appdata.switch import ON, switch_of
from ansible_collections.clusterkit.middleware.plugins.module_utils._appdata.target import LOSSES
from ansible_collections.clusterkit.middleware.plugins.module_utils._appdata.tree import Entry
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.module import finish


def request_of(params: dict[str, Any]) -> Request:
    """Return what the options ask for."""
    entries = tuple(Entry(**entry) for entry in params["entries"])
    return Request(
        entries=entries,
        target=params["target"],
        switch=switch_of(entries, params["target"], params["property"]),
        member=params["member"] or socket.gethostname(),
        state_directory=params["state_directory"],
        identity=tuple(params["identity"]),
        join_only=params["join_only"],
        units=tuple(params["units"]),
        accept=frozenset(params["accept"]),
        allow_same_file_system=params["allow_same_file_system"],
        workers=params["workers"],
    )


def difference(request: Request, report: Report, phase: str, before: str) -> dict[str, Any]:
    """Return what changes: which location is in use, and what is moved or removed."""
    old = {"in use": "the new location" if before == ON else "the old location"}
    new = dict(old)
    if not report.changed:
        return {"before": old, "after": new}
    if phase in ("migrate", "rollback"):
        new["in use"] = "the new location" if phase == "migrate" else "the old location"
    if phase == "remove_source":
        for entry in request.entries:
            if not entry.keep:
                old[entry.source], new[entry.source] = "kept", "removed"
    if phase in ("precopy", "migrate"):
        new["to copy"] = f"{report.to_copy} files, {report.to_copy_bytes} bytes"
        new["free at the target"] = f"{report.free_bytes} bytes, {report.free_inodes} inodes"
        for one in report.entries:
            new[one["source"]] = f"{request.target}/{one['name']}: {one['files']} files, {one['bytes']} bytes"
    return {"before": old, "after": new}


def run(module: AnsibleModule) -> dict[str, Any]:
    """Do the phase, or plan it. Raises ClusterkitError."""
    request, phase = request_of(module.params), module.params["phase"]
    migration = Migration(request, Runner(), module.params["status_file"])
    before = request.switch.state()
    report = migration.plan(phase) if module.check_mode else migration.run(phase)
    return {**dataclasses.asdict(report), "diff": difference(request, report, phase, before)}


def main() -> None:
    """Run the module."""
    entry = {
        "source": {"type": "path", "required": True},
        "name": {"type": "str", "required": True},
        "keep": {"type": "bool", "default": False},
    }
    switch = {"path": {"type": "path", "required": True}, "key": {"type": "str", "required": True, "no_log": False}}
    module = AnsibleModule(
        argument_spec={
            "phase": {
                "type": "str",
                "choices": ["precopy", "migrate", "remove_source", "rollback"],
                "required": True,
            },
            "entries": {"type": "list", "elements": "dict", "options": entry, "required": True},
            "target": {"type": "path", "required": True},
            "property": {"type": "dict", "options": switch},
            "join_only": {"type": "bool", "default": False},
            "identity": {"type": "list", "elements": "str", "default": []},
            "units": {"type": "list", "elements": "str", "default": []},
            "accept": {"type": "list", "elements": "str", "choices": sorted(LOSSES), "default": []},
            "allow_same_file_system": {"type": "bool", "default": False},
            "member": {"type": "str"},
            "workers": {"type": "int", "default": 0},
            "state_directory": {"type": "path", "default": "/var/lib/clusterkit/appdata"},
            "status_file": {"type": "path"},
        },
        supports_check_mode=True,
    )
    finish(module, run)


if __name__ == "__main__":
    main()
