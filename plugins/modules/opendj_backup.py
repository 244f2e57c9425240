#!/usr/bin/python
# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: opendj_backup
short_description: The entries of an OpenDJ server to files and back
version_added: 0.1.0
author:
  - clusterkit contributors (@clusterkit)
description:
  - Lets the running server of this host write the entries of base DNs to LDIF files, with a checksum beside each, or
    replaces the entries by those of a file.
  - What replication notes in entries is left out, so that restored entries are data of a new origin. Otherwise the
    other members would at once send all that was to be undone. Until V(spread) has given them to the others this
    server replicates with nobody.
extends_documentation_fragment:
  - clusterkit.middleware.opendj
attributes:
  check_mode:
    support: full
    description: Looks at the file that is to be restored, and changes nothing.
  diff_mode:
    support: none
    description: Entries are not shown.
  idempotent:
    support: none
    description: Each call writes a backup, or restores one. V(spread) does nothing where all have one origin already.
options:
  state:
    description:
      - V(present) writes one file for each base DN.
      - V(restored) replaces the entries of O(base_dns), exactly one, by those in O(file). Meanwhile the server answers
        no question about them.
      - V(spread) replaces the entries of all other members by those of this server.
    type: str
    choices: [present, restored, spread]
    default: present
  base_dns:
    description: The base DNs.
    type: list
    elements: str
    required: true
  directory:
    description:
      - Where to write. Where it is missing it is made so that root writes there, and the server's group may read.
      - The server itself writes into C(.incoming) in it.
    type: path
    default: /var/backups/opendj
  keep:
    description: How many backups of a base DN stay in O(directory), the new one among them. Older ones are removed.
    type: int
    default: 7
  file:
    description: The file to restore. Its checksum stands beside it, in a file with C(.sha256) at the end of its name.
    type: path
  task_seconds:
    description: Seconds that the server may take for all entries.
    type: float
    default: 600
seealso:
  - module: clusterkit.middleware.opendj_replication
"""

EXAMPLES = r"""
- name: Write a backup
  clusterkit.middleware.opendj_backup:
    base_dns: ["o=site"]
    password: "{{ directory_manager_password }}"

- name: Go back to it
  clusterkit.middleware.opendj_backup:
    state: restored
    base_dns: ["o=site"]
    file: /var/backups/opendj/o=site-20261121T060000Z.ldif
    password: "{{ directory_manager_password }}"

- name: Give all members what this one has
  clusterkit.middleware.opendj_backup:
    state: spread
    base_dns: ["o=site"]
    password: "{{ directory_manager_password }}"
"""

RETURN = r"""
backups:
  description: The files that were written, or the one that was restored.
  type: list
  elements: dict
  returned: always
  contains:
    base_dn:
      description: Whose entries it has.
      type: str
    file:
      description: Its path on the target.
      type: str
    entries:
      description: How many entries it has.
      type: int
    sha256:
      description: Its checksum.
      type: str
removed:
  description: Older files that were removed.
  type: list
  elements: str
  returned: always
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.module import finish
from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj import backup, backup_files, state
from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj.directory import Directory, normal
from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj.installation import (
    CONNECTION,
    Installation,
    own_directory,
)
from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj.replication import domain_of


def run(module: AnsibleModule) -> dict[str, Any]:
    """Do what the state asks for. Raises ClusterkitError."""
    wanted = module.params
    with own_directory(wanted) as directory:
        present = state.base_dns(directory)
        for base in wanted["base_dns"]:
            if normal(base) not in (normal(one) for one in present):
                raise ClusterkitError(f"there is no base DN {base}: the server has {', '.join(present) or 'none'}")
        act = {"present": write, "restored": restore, "spread": spread}[wanted["state"]]
        return act(module, directory)


def write(module: AnsibleModule, directory: Directory) -> dict[str, Any]:
    """Write a file for each base DN. Raises ClusterkitError."""
    wanted = module.params
    result: dict[str, Any] = {"changed": True, "backups": [], "removed": []}
    if module.check_mode:
        return result
    owner, group = Installation(wanted["path"], Runner()).ownership()
    backup_files.make_directory(wanted["directory"], owner, group)
    for base in wanted["base_dns"]:
        file = backup_files.path_for(wanted["directory"], base)
        backup.export(directory, base, str(file.incoming), wanted["task_seconds"])
        result["backups"].append({"base_dn": base, **file.finish()})
        result["removed"] += backup_files.prune(wanted["directory"], base, wanted["keep"])
    return result


def restore(module: AnsibleModule, directory: Directory) -> dict[str, Any]:
    """Replace the entries by those of the file, and see that they are all there. Raises ClusterkitError."""
    wanted = module.params
    if len(wanted["base_dns"]) != 1 or not wanted["file"]:
        raise ClusterkitError("state=restored needs file, and exactly one base DN in base_dns")
    base = wanted["base_dns"][0]
    found = backup_files.verify(wanted["file"], base)
    result = {"changed": True, "backups": [{"base_dn": base, **found}], "removed": []}
    if module.check_mode:
        return result
    backup.restore(directory, base, wanted["file"], wanted["task_seconds"])
    entries = domain_of(state.read(directory, schema=False, conflicts=False), base)["entries"]
    if entries != found["entries"]:
        raise ClusterkitError(f"{wanted['file']} has {found['entries']} entries, and now the server has {entries}")
    return result


def spread(module: AnsibleModule, directory: Directory) -> dict[str, Any]:
    """Give the others the entries of this server, where they are of another origin. Raises ClusterkitError."""
    result: dict[str, Any] = {"changed": False, "backups": [], "removed": []}
    seen = state.read(directory, schema=False, conflicts=False)
    for base in module.params["base_dns"]:
        domain = domain_of(seen, base)
        if not domain["replicated"] or domain["server_generation_id"] == domain["generation_id"]:
            continue
        if not domain["entries"]:
            raise ClusterkitError(f"there are no entries below {base}: an empty server is no source")
        result["changed"] = True
        if not module.check_mode:
            backup.spread(directory, base, module.params["task_seconds"])
    return result


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "restored", "spread"], "default": "present"},
            "base_dns": {"type": "list", "elements": "str", "required": True},
            "directory": {"type": "path", "default": "/var/backups/opendj"},
            "keep": {"type": "int", "default": 7},
            "file": {"type": "path"},
            "task_seconds": {"type": "float", "default": 600},
            **CONNECTION,
        },
        supports_check_mode=True,
    )
    finish(module, run)


if __name__ == "__main__":
    main()
