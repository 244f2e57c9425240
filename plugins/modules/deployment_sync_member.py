#!/usr/bin/python
# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: deployment_sync_member
short_description: Makes a server ready to give or to receive artifacts
version_added: 0.1.0
author:
  - clusterkit contributors (@clusterkit)
description:
  - Makes the key of the source, lets the source in on the others for one command, and keeps a copy of what a server has
    before it receives for the first time.
extends_documentation_fragment:
  - clusterkit.middleware.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  state:
    description:
      - V(keyed) makes a key where there is none.
      - V(admitted) has the one line in the authorized keys of O(user) that lets O(name) come with O(public_key), from
        O(address), for one command that only receives. Other lines with the same mark go.
      - V(closed) takes such lines away.
      - V(saved) copies each of O(directories) into O(backup_directory), unless it is empty or the settings say that it
        has received before. One that was the source may have what it did not send any more.
    type: str
    choices: [keyed, admitted, closed, saved]
    required: true
  key_path:
    description: The private key.
    type: path
    default: /etc/clusterkit/deployment_sync.key
  user:
    description: The user by whom the source comes here.
    type: str
    default: root
  name:
    description: Name of the source.
    type: str
    default: ""
  public_key:
    description: The public half of the source's key. In check mode it may be empty, since the key may be made later.
    type: str
    default: ""
  address:
    description: The address that the source comes from.
    type: str
    default: ""
  program:
    description: The program that receives.
    type: path
    default: /usr/local/sbin/clusterkit-deployment-sync
  settings_path:
    description: The file with the settings.
    type: path
    default: /etc/clusterkit/deployment_sync.json
  directories:
    description: Directories to keep a copy of.
    type: list
    elements: path
    default: []
  backup_directory:
    description: Where copies are kept.
    type: path
    default: /var/backups/clusterkit/deployment_sync
"""

EXAMPLES = r"""
- name: Make the key
  clusterkit.middleware.deployment_sync_member:
    state: keyed
  register: key

- name: Let the source in
  clusterkit.middleware.deployment_sync_member:
    state: admitted
    name: mi1.example.org
    address: 10.0.0.1
    public_key: "{{ key.public_key }}"
  delegate_to: mi2.example.org
"""

RETURN = r"""
public_key:
  description: The public half of the key.
  type: str
  returned: when O(state=keyed)
  sample: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA9cV0
backups:
  description: Where copies are kept, by directory.
  type: dict
  returned: when O(state=saved)
  sample: {"/srv/artifacts": "/var/backups/clusterkit/deployment_sync/artifacts-20261129T060000Z"}
"""

import pathlib
import shutil
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterkit.middleware.plugins.module_utils._common import ssh_access
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.module import finish
from ansible_collections.clusterkit.middleware.plugins.module_utils._deployment import settings
from ansible_collections.clusterkit.middleware.plugins.module_utils._deployment.manifest import holds_files


def keyed(module: AnsibleModule) -> dict[str, Any]:
    """Make a key where there is none. Raises ClusterkitError."""
    path = pathlib.Path(module.params["key_path"])
    if path.exists():
        public = ssh_access.public_key(Runner(), str(path)) if shutil.which("ssh-keygen") else ""
        return {"changed": False, "public_key": public}
    if module.check_mode:
        return {"changed": True, "public_key": ""}
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    for left in (new, new.with_name(f"{new.name}.pub")):
        # What a run left that was killed
        left.unlink(missing_ok=True)
    public = ssh_access.make_key(Runner(), str(new))
    new.with_name(f"{new.name}.pub").unlink()
    new.replace(path)
    return {"changed": True, "public_key": public}


def admitted(module: AnsibleModule) -> dict[str, Any]:
    """Have the one line. Raises ClusterkitError where the user cannot log in by key."""
    wanted = module.params
    door = _door(wanted)
    command = [wanted["program"], "--settings", wanted["settings_path"], "receive"]
    line = door.line(wanted["name"], wanted["public_key"], wanted["address"], command)
    if [one.rstrip("\n") for one in door.lines()] == [line.rstrip("\n")]:
        return {"changed": False}
    if not module.check_mode:
        if not wanted["public_key"]:
            raise ClusterkitError(f"the public key of {wanted['name']} is not known: let the run have it as well")
        if [one for one in door.lines() if one not in door.lines(wanted["name"])]:
            # Another source's: none may come any more
            door.close()
        door.open(wanted["name"], wanted["public_key"], wanted["address"], command)
    return {"changed": True}


def closed(module: AnsibleModule) -> dict[str, Any]:
    """Let nobody in any more. Raises ClusterkitError."""
    try:
        door = _door(module.params)
    except ClusterkitError:
        return {"changed": False}  # where sshd does not work, or the user is not there, nobody was let in
    there = door.admits()
    if there and not module.check_mode:
        door.close()
    return {"changed": there}


def saved(module: AnsibleModule) -> dict[str, Any]:
    """Keep copies. Raises ClusterkitError; nothing half is left under a copy's name then."""
    wanted = module.params
    backups: dict[str, str] = {}
    recorded = settings.read(wanted["settings_path"])
    if recorded and recorded.role == settings.RECEIVER:
        return {"changed": False, "backups": backups}
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    for path in wanted["directories"]:
        try:
            if not pathlib.Path(path).is_dir() or not holds_files(path):
                continue
            place = pathlib.Path(wanted["backup_directory"]) / f"{settings.directory_name(path)}-{moment}"
            backups[path] = str(place)
            if not module.check_mode:
                place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                unfinished = place.with_name(f".{place.name}")
                shutil.copytree(path, unfinished, symlinks=True)
                unfinished.replace(place)
        except (OSError, shutil.Error) as error:
            raise ClusterkitError(f"cannot keep a copy of {path}, so nothing was changed: {error}") from None
    # The moment is in the path: what check mode tells is not what a run returns
    return {"changed": bool(backups), "backups": backups}


def _door(wanted: dict[str, Any]) -> ssh_access.Door:
    found = ssh_access.settings(Runner(), wanted["address"], wanted["user"])
    return ssh_access.Door(found, settings.MARK, wanted["user"])


STATES = {"keyed": keyed, "admitted": admitted, "closed": closed, "saved": saved}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": list(STATES), "required": True},
            "key_path": {"type": "path", "default": "/etc/clusterkit/deployment_sync.key", "no_log": False},
            "user": {"type": "str", "default": "root"},
            "name": {"type": "str", "default": ""},
            "public_key": {"type": "str", "default": "", "no_log": False},
            "address": {"type": "str", "default": ""},
            "program": {"type": "path", "default": settings.PROGRAM},
            "settings_path": {"type": "path", "default": settings.PATH},
            "directories": {"type": "list", "elements": "path", "default": []},
            "backup_directory": {"type": "path", "default": "/var/backups/clusterkit/deployment_sync"},
        },
        supports_check_mode=True,
    )
    finish(module, STATES[module.params["state"]])


if __name__ == "__main__":
    main()
