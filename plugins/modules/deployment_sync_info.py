#!/usr/bin/python
# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: deployment_sync_info
short_description: What a server knows of the synchronisation of its artifacts, and which ones it has
version_added: 0.1.0
author:
  - clusterkit contributors (@clusterkit)
description:
  - Looks at the directories that are the same on all servers, at the settings that the role has left, and at how this
    server is reached by ssh.
  - The keys by which it shows itself are read from its own files.
extends_documentation_fragment:
  - clusterkit.middleware.attributes.info
options:
  directories:
    description: The directories.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the directory, the same on all servers.
        type: str
        required: true
      path:
        description: Path of the directory. C(~) is the home of O(user).
        type: str
        required: true
  settings_path:
    description: The file with the settings.
    type: path
    default: /etc/clusterkit/deployment_sync.json
  user:
    description: The user by whom the source comes here.
    type: str
    default: root
  key_path:
    description: The private key with which this server goes to the others, where it is the source.
    type: path
    default: /etc/clusterkit/deployment_sync.key
  known_hosts_path:
    description: The file in which the others' keys are pinned.
    type: path
    default: /etc/clusterkit/deployment_sync.known_hosts
  needs_key:
    description: Whether O(key_path) has to be there already.
    type: bool
    default: false
  commands:
    description: Programs to look for.
    type: list
    elements: str
    default: []
  units:
    description: Units of systemd whose state is asked for.
    type: list
    elements: str
    default: []
  manifest:
    description: Whether to read all files and tell their common hash.
    type: bool
    default: false
  entries:
    description: Whether to tell the hash of each file as well.
    type: bool
    default: false
  exclude:
    description: Patterns of files that are left out.
    type: list
    elements: str
    default: []
  probe:
    description: What the file holds that a verification has sent.
    type: str
    default: ""
  store:
    description: Where releases are kept. Nothing is told of them where it is empty.
    type: path
  release:
    description: Name of a release of which is told what it has.
    type: str
    default: ""
  release_files:
    description: Whether to tell all files of O(release), besides their common hash.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Look which artifacts this server has
  clusterkit.middleware.deployment_sync_info:
    directories:
      - name: artifacts
        path: /srv/artifacts
    manifest: true
  register: present
"""

RETURN = r"""
role:
  description: V(source) or V(receiver), as the settings have it; empty where there are none.
  type: str
  returned: success
  sample: source
recorded:
  description: The settings, none where there are none.
  type: dict
  returned: success
directories:
  description: The directories, with what they are.
  type: list
  elements: dict
  returned: success
  contains:
    name:
      description: Name of the directory.
      type: str
    path:
      description: Its path on this server.
      type: str
    exists:
      description: Whether anything is there.
      type: bool
    is_directory:
      description: Whether it is a directory.
      type: bool
    filled:
      description: Whether there is any file in it.
      type: bool
    mount_point:
      description: Where its file system is mounted.
      type: str
    shared:
      description: Whether it is, or lies in, a share that the role shared_mount has mounted.
      type: bool
    count:
      description: How many files it has, with O(manifest).
      type: int
    digest:
      description: One hash of all its files, with O(manifest).
      type: str
    entries:
      description: The hash of each file, with O(entries).
      type: dict
user:
  description: As O(user).
  type: str
  returned: success
  sample: root
port:
  description: The port on which sshd listens.
  type: int
  returned: success
  sample: 22
closed:
  description: Why sshd does not let O(user) in by key, empty where it does.
  type: str
  returned: success
  sample: ""
host_keys:
  description: The keys by which this server shows itself.
  type: list
  elements: str
  returned: success
  sample: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGm7zZ]
public_key:
  description: The public half of O(key_path), empty where there is none.
  type: str
  returned: success
  sample: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA9cV0
key_problem:
  description: Why O(key_path) is of no use, empty where it is.
  type: str
  returned: success
  sample: ""
pins:
  description: The keys that are pinned, by the names of the servers.
  type: dict
  returned: success
admits:
  description: Whether there is a line that lets a source in.
  type: bool
  returned: success
missing:
  description: Those of O(commands) that are not there.
  type: list
  elements: str
  returned: success
  sample: [rsync]
units:
  description: The state of each of O(units).
  type: dict
  returned: success
probe:
  description: Whether the file that a verification has sent is here.
  type: bool
  returned: success
probe_left:
  description: Whether any such file is here.
  type: bool
  returned: success
store:
  description: The releases that are kept here.
  type: dict
  returned: when O(store) is given
  contains:
    current:
      description: Names of the C(release) in use and the C(previous) one, and whether it is C(settled).
      type: dict
    releases:
      description: Names of all, the latest first.
      type: list
      elements: str
    digest:
      description: One hash of what O(release) has, empty where that is not here.
      type: str
    files:
      description: What it has, with O(release_files).
      type: dict
"""

import pathlib
import shutil
from dataclasses import asdict
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterkit.middleware.plugins.module_utils._common import ssh_access
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.files import read_if_exists
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.host import unit_states
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.module import finish
from ansible_collections.clusterkit.middleware.plugins.module_utils._deployment import release, settings
from ansible_collections.clusterkit.middleware.plugins.module_utils._deployment.manifest import (
    digest,
    holds_files,
    manifest,
)
from ansible_collections.clusterkit.middleware.plugins.module_utils._mount import settings as shares


def look(module: AnsibleModule) -> dict[str, Any]:
    """Return what is here. Raises ClusterkitError."""
    wanted = module.params
    recorded = settings.read(wanted["settings_path"])
    directories = [_directory(module, one) for one in wanted["directories"]]
    runner = Runner()
    return {
        "role": recorded.role if recorded else "",
        "recorded": asdict(recorded) if recorded else {},
        "directories": directories,
        "user": wanted["user"],
        **_access(wanted, runner),
        "host_keys": ssh_access.host_keys(),
        **_key(wanted, runner),
        "pins": _pins(wanted["known_hosts_path"]),
        "missing": [name for name in wanted["commands"] if not shutil.which(name)],
        "units": unit_states(wanted["units"], runner),
        **_probe(wanted["probe"], directories),
        **({"store": _store(wanted)} if wanted["store"] else {}),
    }


def _store(wanted: dict[str, Any]) -> dict[str, Any]:
    """Look at the releases that are kept. Raises ClusterkitError."""
    store = release.Store(wanted["store"])
    found = store.release(wanted["release"]) if wanted["release"] else None
    out = {"current": store.current(), "releases": store.releases()}
    out["digest"] = release.digest(found.files) if found else ""
    if wanted["release_files"]:
        out["files"] = found.files if found else {}
    return out


def _directory(module: AnsibleModule, given: dict[str, str]) -> dict[str, Any]:
    """Look at one directory. Raises ClusterkitError."""
    wanted = module.params
    path = settings.expand(given["path"], wanted["user"])
    place = pathlib.Path(path)
    out: dict[str, Any] = {"name": given["name"], "path": path, "exists": place.exists(), "filled": False}
    out["is_directory"] = place.is_dir()
    out["mount_point"] = settings.mount_point(path)
    out["shared"] = any(f"{path}/".startswith(f"{one.path}/") for some in shares.read_all().values() for one in some)
    if out["is_directory"]:
        try:
            out["filled"] = holds_files(path, wanted["exclude"])
        except OSError as error:
            raise ClusterkitError(f"cannot read {error.filename or path}: {error.strerror}") from None
        if wanted["manifest"]:
            files = manifest(path, (*wanted["exclude"], f"/{settings.PROBE}"))
            out.update(count=len(files), digest=digest(files))
            if wanted["entries"]:
                out["entries"] = files
    return out


def _access(wanted: dict[str, Any], runner: Runner) -> dict[str, Any]:
    """Say how sshd lets the source in."""
    try:
        found = ssh_access.settings(runner)
        door = ssh_access.Door(found, settings.MARK, wanted["user"])
        return {"port": door.port, "closed": door.why_closed(), "admits": door.admits()}
    except ClusterkitError as error:
        return {"port": 22, "closed": str(error), "admits": False}


def _key(wanted: dict[str, Any], runner: Runner) -> dict[str, str]:
    if not pathlib.Path(wanted["key_path"]).exists():
        problem = f"{wanted['key_path']} is not there" if wanted["needs_key"] else ""
        return {"public_key": "", "key_problem": problem}
    if not shutil.which("ssh-keygen"):
        return {"public_key": "", "key_problem": ""}
    try:
        return {"public_key": ssh_access.public_key(runner, wanted["key_path"]), "key_problem": ""}
    except ClusterkitError as error:
        problem = f"{wanted['key_path']} is no private key without a passphrase: {error}"
        return {"public_key": "", "key_problem": problem}


def _pins(path: str) -> dict[str, list[str]]:
    pins: dict[str, list[str]] = {}
    for line in (read_if_exists(path) or b"").decode("utf-8", "replace").splitlines():
        name, _space, key = line.partition(" ")
        if key:
            pins.setdefault(name, []).append(key.strip())
    return pins


def _probe(token: str, directories: list[dict[str, Any]]) -> dict[str, bool]:
    if not directories:
        return {"probe": False, "probe_left": False}
    held = read_if_exists(f"{directories[0]['path']}/{settings.PROBE}")
    return {"probe": bool(token) and held == token.encode(), "probe_left": held is not None}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "directories": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {"name": {"type": "str", "required": True}, "path": {"type": "str", "required": True}},
            },
            "settings_path": {"type": "path", "default": settings.PATH},
            "user": {"type": "str", "default": "root"},
            "key_path": {"type": "path", "default": "/etc/clusterkit/deployment_sync.key", "no_log": False},
            "known_hosts_path": {"type": "path", "default": "/etc/clusterkit/deployment_sync.known_hosts"},
            "needs_key": {"type": "bool", "default": False, "no_log": False},
            "commands": {"type": "list", "elements": "str", "default": []},
            "units": {"type": "list", "elements": "str", "default": []},
            "manifest": {"type": "bool", "default": False},
            "entries": {"type": "bool", "default": False},
            "exclude": {"type": "list", "elements": "str", "default": []},
            "probe": {"type": "str", "default": ""},
            "store": {"type": "path"},
            "release": {"type": "str", "default": ""},
            "release_files": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    finish(module, look)


if __name__ == "__main__":
    main()
