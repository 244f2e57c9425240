#!/usr/bin/python
# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: deployment_sync_release
short_description: Keeps releases of artifacts on a server, and brings one into its directories
version_added: 0.1.0
author:
  - clusterkit contributors (@clusterkit)
description:
  - Keeps what a release of artifacts consists of, each content once, whichever releases have it, and brings a release
    into directories, which have its files and no others then.
  - A file comes into a directory by a rename, so that nobody sees a part of it. Only what differs is touched. Of what
    is replaced or removed and is in no release that is kept here a copy is kept.
  - An action plugin of the same name sends contents that are not here from the control node, O(sources), packed as one
    archive.
extends_documentation_fragment:
  - clusterkit.middleware.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    description: Names the files with the beginnings of their hashes.
  idempotent:
    support: full
    description: All but V(probed), which leaves nothing behind.
options:
  state:
    description:
      - V(stored) keeps O(release) here, without bringing it anywhere.
      - V(current) brings it into O(directories), and notes that it is in use and not settled.
      - V(settled) notes that all that belongs to it, such as a restart, is done, and removes what is kept of earlier
        releases beyond O(keep). It never tells of a change.
      - V(probed) brings a file that holds O(token) into each of O(directories), reads it there, and takes it away.
      - V(absent) removes all that is kept here, and what a killed run left beside O(directories). What they have stays.
    type: str
    choices: [stored, current, settled, probed, absent]
    required: true
  store:
    description: Where releases are kept.
    type: path
    required: true
  release:
    description: >-
      The release, its C(name) and its C(files), as the lookup P(clusterkit.middleware.deployment_release#lookup)
      returns it.
    type: dict
    default: {}
  sources:
    description: Paths on the control node of contents, by their hashes.
    type: dict
    default: {}
  archive:
    description: Path on this server of an archive with contents. The action plugin gives it.
    type: path
  directories:
    description: The directories.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the directory, the same on all servers.
        type: str
        required: true
      path:
        description: Its path on this server.
        type: path
        required: true
  exclude:
    description: Patterns of files that are left as they are.
    type: list
    elements: str
    default: []
  owner:
    description: Whose files are. Where it is not given, whose the directory is.
    type: str
    default: ""
  group:
    description: The group that files have. Where it is not given, that of the directory.
    type: str
    default: ""
  backup_directory:
    description: Where copies are kept.
    type: path
    default: /var/backups/clusterkit/deployment_sync
  lock:
    description: The lock that keeps two runs apart.
    type: path
    default: /run/lock/clusterkit-deployment-sync.lock
  keep:
    description: So many releases are kept, the latest, besides the one in use and the one before it.
    type: int
    default: 5
  token:
    description: What the file of V(probed) holds.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Keep a release on the server
  clusterkit.middleware.deployment_sync_release:
    state: stored
    store: /var/lib/clusterkit/deployment_sync/servers
    release: "{{ made.release }}"
    sources: "{{ made.sources }}"
  vars:
    made: "{{ lookup('clusterkit.middleware.deployment_release', artifacts, directories=directories) }}"

- name: Bring it into a directory
  clusterkit.middleware.deployment_sync_release:
    state: current
    store: /var/lib/clusterkit/deployment_sync/servers
    release: "{{ made.release }}"
    directories:
      - {name: srv_artifacts, path: /srv/artifacts}
  vars:
    made: "{{ lookup('clusterkit.middleware.deployment_release', artifacts, directories=directories) }}"
"""

RETURN = r"""
missing:
  description: The hashes of contents that are not here yet.
  type: list
  elements: str
  returned: when O(state=stored)
  sample: []
directories:
  description: What was done in each directory.
  type: list
  elements: dict
  returned: when O(state=current)
  contains:
    path:
      description: Path of the directory.
      type: str
    count:
      description: How many files it had before.
      type: int
    placed:
      description: Files that came.
      type: list
      elements: str
    removed:
      description: Files that went.
      type: list
      elements: str
    backup:
      description: Where a copy of what no release has is kept, empty where there was none.
      type: str
differs:
  description: Whether anything has to be done. As RV(ignore:changed), which a task may override.
  type: bool
  returned: when O(state=current)
held:
  description: What the file held, by directory.
  type: dict
  returned: when O(state=probed)
"""

import pathlib
import shutil
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.locks import exclusive
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.module import finish
from ansible_collections.clusterkit.middleware.plugins.module_utils._deployment import release
from ansible_collections.clusterkit.middleware.plugins.module_utils._deployment.receive import staging_places

#: Seconds that another run is waited for.
_WAIT = 60.0
#: So much of a hash is shown.
_SHOWN = 12


def stored(module: AnsibleModule) -> dict[str, Any]:
    """Keep a release. Raises ClusterkitError."""
    store, wanted = _store(module), release.from_mapping(module.params["release"])
    missing, there = store.missing(wanted), store.release(wanted.name)
    changed = bool(missing) or there != wanted
    diff = {"before": "", "after": f"release {wanted.name}, {len(missing)} contents to be sent\n"} if changed else {}
    if not module.check_mode:
        if missing and module.params["archive"]:
            with _locked(module):
                store.take(module.params["archive"], missing)
            missing = store.missing(wanted)
        if not missing and there != wanted:
            store.describe(wanted)
    return {"changed": changed, "missing": missing, "diff": diff}


def current(module: AnsibleModule) -> dict[str, Any]:
    """Bring a release into the directories. Raises ClusterkitError."""
    if module.check_mode:
        return _current(module)
    with _locked(module):
        return _current(module)


def _current(module: AnsibleModule) -> dict[str, Any]:
    wanted, store = module.params, _store(module)
    brought = release.from_mapping(wanted["release"])
    owner = release.Owner(wanted["owner"], wanted["group"])
    files = {one["path"]: brought.files.get(one["name"], {}) for one in wanted["directories"]}
    plans = {path: release.compare(path, some, wanted["exclude"], owner) for path, some in files.items()}
    there = store.current()
    changed = there["release"] != brought.name or not there["settled"]
    changed = changed or any(plan.place or plan.remove for plan in plans.values())
    before: dict[str, Any] = {"release": there["release"]} if changed else {}
    after: dict[str, Any] = {"release": brought.name} if changed else {}
    told = []
    if changed and not module.check_mode:
        if missing := store.missing(brought):
            raise ClusterkitError(
                f"{len(missing)} contents of the release {brought.name} are not in {store.path}, so nothing was "
                "changed: bring them there with state=stored"
            )
        store.note(brought.name, settled=False)
    for one in wanted["directories"]:
        path, backup = one["path"], ""
        plan = plans[path]
        before[path] = {name: plan.here[name][:_SHOWN] for name in sorted(plan.lost())}
        after[path] = {name: files[path][name]["sha256"][:_SHOWN] for name in plan.place}
        if not module.check_mode and (plan.place or plan.remove):
            backup = release.keep_copies(path, plan, store, wanted["backup_directory"], one["name"])
            release.bring(path, files[path], plan, store, owner)
        told.append(
            {
                **{"path": path, "count": len(plan.here), "backup": backup},
                **{"placed": list(plan.place), "removed": list(plan.remove)},
            }
        )
    return {"changed": changed, "differs": changed, "directories": told, "diff": {"before": before, "after": after}}


def settled(module: AnsibleModule) -> dict[str, Any]:
    """Note that all is done. Raises ClusterkitError."""
    if not module.check_mode:
        with _locked(module):
            store = _store(module)
            there = store.current()
            if not there["settled"]:
                store.note(there["release"], settled=True)
            store.prune(module.params["keep"])
    return {"changed": False}


def probed(module: AnsibleModule) -> dict[str, Any]:
    """Bring a file and take it away. Raises ClusterkitError."""
    if module.check_mode:
        return {"changed": False, "held": {}}
    with _locked(module):
        held = {one["path"]: release.probe(one["path"], module.params["token"]) for one in module.params["directories"]}
    return {"changed": False, "held": held}


def absent(module: AnsibleModule) -> dict[str, Any]:
    """Remove what is kept. Raises ClusterkitError."""
    paths = [one["path"] for one in module.params["directories"]]
    left = [module.params["store"], *(place for path in paths for place in staging_places(path))]
    there = [path for path in left if pathlib.Path(path).exists()]
    try:
        for path in there if not module.check_mode else []:
            shutil.rmtree(path)
    except OSError as error:
        raise ClusterkitError(f"cannot remove {error.filename}: {error.strerror}") from None
    return {"changed": bool(there)}


def _store(module: AnsibleModule) -> release.Store:
    return release.Store(module.params["store"])


def _locked(module: AnsibleModule) -> Any:
    return exclusive(module.params["lock"], _WAIT, "a release of artifacts")


STATES = {"stored": stored, "current": current, "settled": settled, "probed": probed, "absent": absent}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": list(STATES), "required": True},
            "store": {"type": "path", "required": True},
            "release": {"type": "dict", "default": {}},
            "sources": {"type": "dict", "default": {}},
            "archive": {"type": "path"},
            "directories": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {"name": {"type": "str", "required": True}, "path": {"type": "path", "required": True}},
            },
            "exclude": {"type": "list", "elements": "str", "default": []},
            "owner": {"type": "str", "default": ""},
            "group": {"type": "str", "default": ""},
            "backup_directory": {"type": "path", "default": "/var/backups/clusterkit/deployment_sync"},
            "lock": {"type": "path", "default": "/run/lock/clusterkit-deployment-sync.lock"},
            "keep": {"type": "int", "default": 5},
            "token": {"type": "str", "default": "", "no_log": False},
        },
        supports_check_mode=True,
    )
    finish(module, STATES[module.params["state"]])


if __name__ == "__main__":
    main()
