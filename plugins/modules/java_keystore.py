#!/usr/bin/python
# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: java_keystore
short_description: The keystore of a server that terminates TLS
version_added: 0.1.0
author:
  - clusterkit contributors (@clusterkit)
description:
  - Lets a server have a keystore, byte by byte. Before anything changes the store's password, the alias and the key's
    password are proved with this host's own C(keytool), which signs something with the key.
  - The keystore that was there is kept beside it, as I(path).kept-I(the first digits of its checksum).
extends_documentation_fragment:
  - clusterkit.middleware.attributes
  - clusterkit.middleware.java_keystore
attributes:
  check_mode:
    support: full
    details:
      - The keystore that is wanted is proved in check mode as well.
  diff_mode:
    support: full
    details:
      - Shows keystores by their SHA-256.
  idempotent:
    support: full
"""

EXAMPLES = r"""
- name: Have the cluster's keystore
  clusterkit.middleware.java_keystore:
    path: /opt/server/opt/tomcat/conf/tomcat.keystore
    content_base64: "{{ keystore.content }}"
    alias: deploy.example.org
    password: "{{ vault_keystore_password }}"
"""

RETURN = r"""
fingerprint:
  description: SHA-256 of the certificate of the alias in the keystore that is wanted.
  type: str
  returned: success
  sample: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
kept:
  description: Where the keystore that was there is, or would be; empty where there was none or it stays.
  type: str
  returned: success
  sample: /opt/server/opt/tomcat/conf/tomcat.keystore.kept-9f86d081884c7d65
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.differences import DifferenceTracker
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.module import finish
from ansible_collections.clusterkit.middleware.plugins.module_utils._java import keystore


def run(module: AnsibleModule) -> dict[str, Any]:
    """Prove, compare, replace what differs. Raises ClusterkitError."""
    home, path = module.params["java_home"], module.params["path"]
    keytool = f"{home}/bin/keytool" if home else module.get_bin_path("keytool", required=True)
    proved = keystore.examine(module.params, keytool)
    differences = DifferenceTracker()
    differences.add("keystore", keystore.digest(proved.content), keystore.digest(proved.present))
    kept = keystore.kept_path(path, proved.present) if proved.differs and proved.present is not None else ""
    if differences.changed and not module.check_mode:
        keystore.replace(path, proved.content)
    return {
        "changed": differences.changed,
        "diff": differences.diff(path),
        "fingerprint": proved.fingerprint,
        "kept": kept,
    }


def main() -> None:
    """Run the module."""
    finish(AnsibleModule(argument_spec=keystore.ARGUMENTS, supports_check_mode=True), run)


if __name__ == "__main__":
    main()
