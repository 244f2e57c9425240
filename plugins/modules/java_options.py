#!/usr/bin/python
# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: java_options
short_description: System properties of Java in a start script
version_added: 0.1.0
author:
  - clusterkit contributors (@clusterkit)
description:
  - Sets or removes options C(-Dname=value) in the block of lines that end in a backslash, in which a start script
    has the options of Java. All other lines stay as they are.
  - The file is replaced in one step; owner, mode, access control lists and SELinux context stay.
extends_documentation_fragment:
  - clusterkit.middleware.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details:
      - Shows the properties that change.
  idempotent:
    support: full
options:
  path:
    description: The start script, which has to exist where anything is to be set.
    type: path
    required: true
  properties:
    description: The properties and their values.
    type: dict
    default: {}
  absent:
    description: Names of properties to remove.
    type: list
    elements: str
    default: []
  no_proxy_hosts:
    description:
      - Hosts that Java reaches without a proxy, which become the property C(http.nonProxyHosts); Java looks at that for
        HTTPS as well.
      - C(*) may stand at the beginning and at the end of each alone, which is what Java understands.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Reach the internet through a proxy
  clusterkit.middleware.java_options:
    path: /opt/server/bin/server.sh
    properties:
      https.proxyHost: proxy.example.org
      https.proxyPort: 3128
    no_proxy_hosts: [localhost, 127.0.0.1, "*.local"]

- name: Reach it without one
  clusterkit.middleware.java_options:
    path: /opt/server/bin/server.sh
    absent: [https.proxyHost, https.proxyPort, http.nonProxyHosts]
"""

RETURN = r"""
changed_properties:
  description: The properties that were changed, added or removed.
  type: list
  elements: str
  returned: success
  sample: [https.proxyHost]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.differences import DifferenceTracker
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.files import (
    read_if_exists,
    write_atomically,
)
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.module import finish
from ansible_collections.clusterkit.middleware.plugins.module_utils._java.options import StartScript, no_proxy


def run(module: AnsibleModule) -> dict[str, Any]:
    """Change the file. Raises ClusterkitError."""
    path, given = module.params["path"], module.params
    wanted = {str(name): str(value) for name, value in given["properties"].items()}
    if given["no_proxy_hosts"]:
        wanted["http.nonProxyHosts"] = no_proxy(given["no_proxy_hosts"])
    if both := sorted(set(wanted) & set(given["absent"])):
        raise ClusterkitError(f"{', '.join(both)} stands in properties and in absent: give each once")
    content = read_if_exists(path)
    if content is None:
        if wanted:
            raise ClusterkitError(f"no file {path}: expected the start script of an installed program")
        return {"changed": False, "changed_properties": []}
    differences = DifferenceTracker()
    try:
        script = StartScript(content)
        new = script.changed(wanted, given["absent"])
    except ClusterkitError as error:
        raise ClusterkitError(f"{path}: {error}") from None
    values = script.values
    for name in [*wanted, *given["absent"]]:
        differences.add(name, wanted.get(name), values.get(name))
    if new != content and not module.check_mode:
        write_atomically(path, new)
    return {
        "changed": new != content,
        "changed_properties": differences.names,
        "diff": differences.diff(path),
    }


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "properties": {"type": "dict", "default": {}},
            "absent": {"type": "list", "elements": "str", "default": []},
            "no_proxy_hosts": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    finish(module, run)


if __name__ == "__main__":
    main()
