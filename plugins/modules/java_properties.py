#!/usr/bin/python
# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: java_properties
short_description: Changes keys in a Java properties file
version_added: 0.1.0
author:
  - clusterkit contributors (@clusterkit)
description:
  - Sets or removes keys of a file that C(java.util.Properties) reads. Only the values concerned change; comments,
    order, line ends, spelling and every other byte stay.
  - What is there is read as Java reads it, with escapes, continued lines, all separators, ISO 8859-1, and the last one
    of a key that stands there several times. So a value that is only written in another way is not touched.
  - The file is replaced in one step; owner, mode, access control lists and SELinux context stay.
extends_documentation_fragment:
  - clusterkit.middleware.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details:
      - Shows the keys that change. Values of O(secret_properties) and values that are removed are not shown.
  idempotent:
    support: full
options:
  path:
    description:
      - The file. It has to exist for O(state=present).
      - If it is a symbolic link, what it points to is changed.
    type: path
    required: true
  state:
    description:
      - V(present) sets the keys in O(properties) and O(secret_properties).
      - V(absent) removes O(keys), wherever they stand.
    type: str
    choices: [present, absent]
    default: present
  properties:
    description:
      - The keys and their values. C(true) and C(false) are written as Java writes them, numbers as they are.
      - A key that is not there yet comes at the end of the file, or where O(heading) says.
    type: dict
    default: {}
  secret_properties:
    description:
      - As O(properties), with values that are shown nowhere.
    type: dict
    default: {}
  heading:
    description:
      - A comment, with its C(#) or C(!), below which keys come that are not there yet. It is added at the end of the
        file where no line is the same. Keys that are there stay where they stand.
    type: str
  keys:
    description:
      - The keys to remove.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Point the server to the shared folder
  clusterkit.middleware.java_properties:
    path: /opt/server/conf/server/installed.properties
    properties:
      server.appdata.dir: /media/share/appdata
    secret_properties:
      database.password: "{{ database_password }}"

- name: Remove a key that has no effect any more
  clusterkit.middleware.java_properties:
    path: /opt/server/conf/server/installed.properties
    state: absent
    keys: [server.unused]
"""

RETURN = r"""
changed_keys:
  description: The keys that were changed, added or removed.
  type: list
  elements: str
  returned: success
  sample: [server.appdata.dir]
"""

from typing import Any, Mapping

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.differences import DifferenceTracker
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.files import (
    read_if_exists,
    write_atomically,
)
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.module import finish
from ansible_collections.clusterkit.middleware.plugins.module_utils._java.properties import PropertiesFile


def texts(name: str, values: Mapping[str, Any]) -> dict[str, str]:
    """Return values as Java writes them. Raises ClusterkitError for what is no single value."""
    found = {}
    for key, value in values.items():
        if value is None or isinstance(value, (dict, list)):
            kind = {type(None): "nothing", dict: "a mapping", list: "a list"}[type(value)]
            raise ClusterkitError(
                f"{name}: {key} is {kind}: give a text, a number, true or false ('' for an empty value)"
            )
        found[str(key)] = str(value).lower() if isinstance(value, bool) else str(value)
    return found


def run(module: AnsibleModule) -> dict[str, Any]:
    """Change the file. Raises ClusterkitError."""
    path, absent = module.params["path"], module.params["state"] == "absent"
    shown = texts("properties", module.params["properties"])
    secret = texts("secret_properties", module.params["secret_properties"])
    if both := sorted(set(shown) & set(secret)):
        raise ClusterkitError(f"{', '.join(both)} stands in properties and in secret_properties: give each key once")
    content = read_if_exists(path)
    if content is None:
        if absent:
            return {"changed": False, "changed_keys": []}
        raise ClusterkitError(f"no file {path}: expected the properties file of an installed program")
    differences = DifferenceTracker()
    try:
        present = PropertiesFile(content)
        values = present.values
        if absent:
            for key in module.params["keys"]:
                differences.add(key, None, values.get(key), secret=True)
            new = present.without(module.params["keys"])
        else:
            for key, value in {**shown, **secret}.items():
                differences.add(key, value, values.get(key), secret=key in secret)
            new = present.with_values({**shown, **secret}, module.params["heading"] or "")
    except ClusterkitError as error:
        raise ClusterkitError(f"{path}: {error}") from None
    if differences.changed and not module.check_mode:
        write_atomically(path, new.content)
    return {"changed": differences.changed, "changed_keys": differences.names, "diff": differences.diff(path)}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "properties": {"type": "dict", "default": {}},
            "secret_properties": {"type": "dict", "default": {}, "no_log": True},
            "heading": {"type": "str"},
            "keys": {"type": "list", "elements": "str", "default": [], "no_log": False},
        },
        supports_check_mode=True,
    )
    finish(module, run)


if __name__ == "__main__":
    main()
