#!/usr/bin/python
# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: appdata_migration_info
short_description: Tells where a program's data are, and how far their migration is
version_added: 0.1.0
author:
  - clusterkit contributors (@clusterkit)
description:
  - Reads the properties that tell a program where its data are, what is at the shared storage, and what earlier
    migrations of this host have noted.
  - Changes nothing. Storage that does not answer is told of within seconds.
extends_documentation_fragment:
  - clusterkit.middleware.attributes.info
options:
  target:
    description: The shared directory, as in M(clusterkit.middleware.appdata_migration).
    type: path
    required: true
  properties_path:
    description: A Java properties file.
    type: path
  properties_keys:
    description: Keys whose values are returned.
    type: list
    elements: str
    default: []
  base:
    description: Directory from which a relative value of the first of the keys, and relative paths below, start.
    type: path
    default: /
  paths:
    description: Paths of which is told what is there, relative to O(base).
    type: list
    elements: str
    default: []
  digests:
    description:
      - Files of which the content's digest is returned, as paths below the directory of data. That is the one that the
        first of O(properties_keys) names, or O(base) where that is not set or names the directory above, V(..).
    type: list
    elements: str
    default: []
  text:
    description:
      - A small text file, such as one that holds a version, looked for below O(base), else in the directory of data;
        and below O(target).
    type: str
  units:
    description: systemd units of which the state is returned.
    type: list
    elements: str
    default: []
  state_directory:
    description: Where the journals lie.
    type: path
    default: /var/lib/clusterkit/appdata
seealso:
  - module: clusterkit.middleware.appdata_migration
"""

EXAMPLES = r"""
- name: Look where the data are
  clusterkit.middleware.appdata_migration_info:
    target: /media/share/appdata
    properties_path: /opt/server/conf/server/installed.properties
    properties_keys: [server.appdata.dir]
    base: /opt/server
    digests: [conf/encryption.keystore]
    text: conf/installed.version
"""

RETURN = r"""
properties:
  description: The values of the keys, null for one that is not set; null when there is no such file.
  type: dict
  returned: success
  sample: {"server.appdata.dir": "/opt/server/appdata"}
data:
  description: The directory of data that is in use.
  type: str
  returned: success
  sample: /opt/server/appdata
data_exists:
  description: Whether it is there.
  type: bool
  returned: success
  sample: true
paths:
  description: What is at each path - V(directory), V(file), V(link), V(other) or V(absent).
  type: dict
  returned: success
  sample: {"var/plugins": "directory"}
digests:
  description: SHA-256 of each file's content, empty where there is no file.
  type: dict
  returned: success
  sample: {"conf/encryption.keystore": "9f86d081884c7d65"}
text:
  description: What the text file below O(base) says, else the one below the directory of data.
  type: str
  returned: success
  sample: 7.1.2.0
storage:
  description: What is at the target, and whose it is; its C(error) says why nothing can be told.
  type: dict
  returned: success
  sample: {"error": "", "exists": true, "mount": "/media/share", "type": "nfs4", "read_only": false,
    "migration": "0123456789abcdef", "member": "s1", "published": true, "strangers": [], "text": "7.1.2.0"}
migrations:
  description: What earlier migrations of this host have moved, how far each is, and whether it is in use.
  type: list
  elements: dict
  returned: success
  sample: [{"target": "/media/share/appdata", "phase": "removed", "in_use": true, "property": null,
    "entries": [{"source": "/opt/server/logs", "name": "logs", "keep": false}]}]
units:
  description: State of each unit.
  type: dict
  returned: success
  sample: {"server.service": "active"}
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterkit.middleware.plugins.module_utils._appdata import look
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.module import finish


def run(module: AnsibleModule) -> dict[str, Any]:
    """Look. Raises ClusterkitError."""
    return look.look(look.Question(**module.params), Runner())


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "target": {"type": "path", "required": True},
            "properties_path": {"type": "path"},
            "properties_keys": {"type": "list", "elements": "str", "default": [], "no_log": False},
            "base": {"type": "path", "default": "/"},
            "paths": {"type": "list", "elements": "str", "default": []},
            "digests": {"type": "list", "elements": "str", "default": []},
            "text": {"type": "str"},
            "units": {"type": "list", "elements": "str", "default": []},
            "state_directory": {"type": "path", "default": "/var/lib/clusterkit/appdata"},
        },
        supports_check_mode=True,
    )
    finish(module, run)


if __name__ == "__main__":
    main()
