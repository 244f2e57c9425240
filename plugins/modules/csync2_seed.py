#!/usr/bin/python
# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: csync2_seed
short_description: Gives a new csync2 member the files that it lacks by rsync
version_added: 0.1.0
author:
  - clusterkit contributors (@clusterkit)
description:
  - csync2 takes milliseconds for each file of a first exchange. Where a new member lacks thousands of files it gets
    them from another member by rsync before, and csync2 then finds them equal.
  - The steps are taken in the order V(clean), V(keyed) on the new member, V(open) on the member it gets the files from,
    V(seeded) on the new member, V(clean) on both.
  - Nothing that is there is ever replaced, and only files come that the source's configuration includes for both.
attributes:
  check_mode:
    support: partial
    description: Tells that files would come.
    details:
      - Which ones the source alone could tell.
  diff_mode:
    support: none
    description: Not the files, but their number is returned.
  idempotent:
    support: partial
    description: V(clean) and V(seeded) change nothing a second time; each V(keyed) makes another key.
options:
  name:
    description: The name in the configuration of the member that this runs on.
    type: str
    required: true
  state:
    description:
      - V(clean) means that nothing of a seeding is left here - no file in between, no key, and nobody let in by one.
      - V(keyed) means that a key for one seeding was made here.
      - V(open) means that the new member O(peer) is let in to fetch files of the groups that both are in.
      - V(seeded) means that the files which were missing here came from O(peer).
    type: str
    choices: [clean, keyed, open, seeded]
    required: true
  count:
    description: With O(state=clean), whether to count the included files.
    type: bool
    default: false
  peer:
    description:
      - Name of the other member.
      - With O(state=clean), of the new member that is let in no more. All are where none is given.
    type: str
  address:
    description: Address of O(peer).
    type: str
  public_key:
    description: With O(state=open), the public half of the key that O(state=keyed) made on O(peer).
    type: str
  port:
    description: With O(state=seeded), the port that O(state=open) returned on O(peer).
    type: int
    default: 22
  host_keys:
    description: With O(state=seeded), the keys that O(state=open) returned on O(peer).
    type: list
    elements: str
  limit:
    description:
      - With O(state=open), seconds after which the key is worth nothing.
      - Otherwise seconds to wait for a synchronisation or a seeding that runs.
    type: int
    default: 300
  config_path:
    description: Path of the configuration file.
    type: path
    default: /etc/csync2.cfg
  agent:
    description: With O(state=open), path of the program that sends the files.
    type: path
    default: /usr/local/sbin/clusterkit-csync2
  status_file:
    description: File into which O(state=seeded) writes how far it has come, for M(clusterkit.middleware.watched).
    type: path
"""

EXAMPLES = r"""
- name: Make a key for one seeding
  clusterkit.middleware.csync2_seed:
    name: idp2.example.org
    state: keyed
  register: key

- name: Let the new member in
  clusterkit.middleware.csync2_seed:
    name: idp1.example.org
    state: open
    peer: idp2.example.org
    address: 10.0.0.2
    public_key: "{{ key.public_key }}"
  delegate_to: idp1.example.org
  register: source

- name: Get the files
  clusterkit.middleware.watched:
    module: clusterkit.middleware.csync2_seed
    args:
      name: idp2.example.org
      state: seeded
      peer: idp1.example.org
      address: 10.0.0.1
      port: "{{ source.port }}"
      host_keys: "{{ source.host_keys }}"
    limit: 3600
"""

RETURN = r"""
groups:
  description: For each group of this member the number of included files, and whether it gives them to others.
  type: dict
  returned: when O(state=clean)
  sample: {"web": {"files": 5053, "gives": true}}
missing:
  description: Programs that a seeding needs and that are not here.
  type: list
  elements: str
  returned: when O(state=clean)
  sample: [rsync]
public_key:
  description: The public half of the key.
  type: str
  returned: when O(state=keyed)
  sample: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA9cV0
port:
  description: The port on which sshd listens.
  type: int
  returned: when O(state=open)
  sample: 22
host_keys:
  description: The keys by which this host shows itself.
  type: list
  elements: str
  returned: when O(state=open)
  sample: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGm7zZ]
files:
  description: How many files and directories came.
  type: int
  returned: when O(state=seeded) and not in check mode
  sample: 5053
"""

import shutil
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.files import read_if_exists
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.locks import exclusive
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.module import finish
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.progress import BYTES, Progress
from ansible_collections.clusterkit.middleware.plugins.module_utils._csync2 import seed, seed_access
from ansible_collections.clusterkit.middleware.plugins.module_utils._csync2.config import AGENT, Config, parse
from ansible_collections.clusterkit.middleware.plugins.module_utils._csync2.sync import LOCK

NEEDED = ("rsync", "ssh")


def clean(module: AnsibleModule) -> dict[str, Any]:
    """Remove what a seeding leaves, and count the files if asked to. Raises ClusterkitError."""
    wanted, config = module.params, configuration(module)
    try:
        door: seed_access.Door | None = seed_access.Door.found(Runner(), wanted["address"] or "")
    except ClusterkitError:
        door = None  # where sshd does not work nobody was let in
    left = seed.remains(config, wanted["name"])
    keyed = seed_access.has_key()
    admitted = door is not None and door.admits(wanted["peer"] or "")
    if not module.check_mode:
        if left or keyed:
            # A seeding whose run was killed goes on by itself, and cleans up
            with exclusive(LOCK, limit=wanted["limit"], what="cleaning up after a seeding"):
                for path in seed.remains(config, wanted["name"]):
                    seed.remove(path)
                seed_access.remove_key()
        if door is not None and admitted:
            door.close(wanted["peer"] or "")
    groups = seed.census(config, wanted["name"]) if wanted["count"] else {}
    missing = [name for name in NEEDED if not shutil.which(name)]
    return {"changed": bool(left or keyed or admitted), "groups": groups, "missing": missing}


def key(module: AnsibleModule) -> dict[str, Any]:
    """Make a key. Raises ClusterkitError."""
    return {"changed": True, "public_key": "" if module.check_mode else seed_access.make_key(Runner())}


def admit(module: AnsibleModule) -> dict[str, Any]:
    """Let the peer in. Raises ClusterkitError where root cannot log in by key."""
    wanted = module.params
    door = seed_access.Door.found(Runner(), wanted["address"])
    command = [wanted["agent"], "serve-seed", "--name", wanted["name"], "--newcomer", wanted["peer"]]
    command += ["--config", wanted["config_path"]]
    if not module.check_mode:
        door.open(wanted["peer"], wanted["public_key"], wanted["address"], command, wanted["limit"])
    return {"changed": True, "port": door.port, "host_keys": seed_access.host_keys()}


def get(module: AnsibleModule) -> dict[str, Any]:
    """Get the files. Raises ClusterkitError."""
    wanted, config = module.params, configuration(module)
    if module.check_mode:
        return {"changed": True}
    with Progress(wanted["status_file"], unit=BYTES) as progress, exclusive(
        LOCK, limit=wanted["limit"], what="seeding"
    ):
        shell = seed_access.shell(wanted["address"], wanted["port"], wanted["host_keys"])
        files = seed.seed(config, wanted["name"], wanted["peer"], shell, progress)
    return {"changed": files > 0, "files": files}


def configuration(module: AnsibleModule) -> Config:
    """Return the configuration, an empty one where there is none. Raises ClusterkitError."""
    content = read_if_exists(module.params["config_path"]) or b""
    return parse(content.decode("utf-8", "surrogateescape"))


STATES = {"clean": clean, "keyed": key, "open": admit, "seeded": get}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": list(STATES), "required": True},
            "count": {"type": "bool", "default": False},
            "peer": {"type": "str"},
            "address": {"type": "str"},
            "public_key": {"type": "str", "no_log": False},
            "port": {"type": "int", "default": 22},
            "host_keys": {"type": "list", "elements": "str", "no_log": False},
            "limit": {"type": "int", "default": 300},
            "config_path": {"type": "path", "default": "/etc/csync2.cfg"},
            "agent": {"type": "path", "default": AGENT},
            "status_file": {"type": "path"},
        },
        required_if=[
            ("state", "open", ("peer", "address", "public_key")),
            ("state", "seeded", ("peer", "address", "host_keys")),
        ],
        supports_check_mode=True,
    )
    finish(module, STATES[module.params["state"]])


if __name__ == "__main__":
    main()
