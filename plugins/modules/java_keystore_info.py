#!/usr/bin/python
# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: java_keystore_info
short_description: Proves a keystore on the host of the server that shall have it
version_added: 0.1.0
author:
  - clusterkit contributors (@clusterkit)
description:
  - Opens a keystore with this host's own C(keytool) and lets it sign something with the key, so that the store's
    password, the alias and the key's password are known to be right. What is not fails.
  - Nothing is written, not even for a moment.
extends_documentation_fragment:
  - clusterkit.middleware.attributes.info
  - clusterkit.middleware.java_keystore
seealso:
  - module: clusterkit.middleware.java_keystore
"""

EXAMPLES = r"""
- name: See that the server could use the cluster's keystore
  clusterkit.middleware.java_keystore_info:
    path: /opt/server/opt/tomcat/conf/tomcat.keystore
    content_base64: "{{ keystore.content }}"
    alias: deploy.example.org
    password: "{{ vault_keystore_password }}"
"""

RETURN = r"""
fingerprint:
  description: SHA-256 of the certificate of the alias.
  type: str
  returned: success
  sample: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
file:
  description: SHA-256 of the keystore as a file.
  type: str
  returned: success
  sample: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.module import finish
from ansible_collections.clusterkit.middleware.plugins.module_utils._java import keystore


def run(module: AnsibleModule) -> dict[str, Any]:
    """Prove. Raises ClusterkitError."""
    home = module.params["java_home"]
    keytool = f"{home}/bin/keytool" if home else module.get_bin_path("keytool", required=True)
    proved = keystore.examine(module.params, keytool)
    return {"changed": False, "fingerprint": proved.fingerprint, "file": keystore.digest(proved.content)}


def main() -> None:
    """Run the module."""
    finish(AnsibleModule(argument_spec=keystore.ARGUMENTS, supports_check_mode=True), run)


if __name__ == "__main__":
    main()
