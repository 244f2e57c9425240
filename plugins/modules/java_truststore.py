#!/usr/bin/python
# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: java_truststore
short_description: Certificates that a Java trusts
version_added: 0.1.0
author:
  - clusterkit contributors (@clusterkit)
description:
  - Has certificates in a Java truststore, each under an alias of its own. One that is there as another certificate is
    replaced; aliases that are not named stay as they are.
  - All are compared by one call of C(keytool). What has to change changes in a copy, which then takes the truststore's
    place in one step, so that no program ever finds half of it.
extends_documentation_fragment:
  - clusterkit.middleware.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details:
      - Shows certificates by their SHA-256.
  idempotent:
    support: full
options:
  path:
    description: The truststore, which has to exist. Without it F(cacerts) of the Java.
    type: path
  password:
    description: Password of the truststore.
    type: str
    default: changeit
  java_home:
    description: Directory of the Java. Without it that of the C(keytool) on the search path.
    type: path
  chroot:
    description: Directory that is the root for C(keytool), O(path) and O(java_home), which is needed then.
    type: path
    default: ""
  certificates:
    description: Certificates to trust, as PEM, by alias in small letters.
    type: dict
    default: {}
  absent:
    description: Aliases not to trust.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Trust the certificate of the web server
  clusterkit.middleware.java_truststore:
    certificates:
      httpd: "{{ lookup('ansible.builtin.file', 'httpd.crt') }}"
"""

RETURN = r"""
path:
  description: The truststore.
  type: str
  returned: success
  sample: /etc/ssl/certs/java/cacerts
changed_aliases:
  description: The aliases that were changed, or would be.
  type: list
  elements: str
  returned: success
  sample: [httpd]
"""

import hashlib
import ssl
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.differences import DifferenceTracker
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.module import finish
from ansible_collections.clusterkit.middleware.plugins.module_utils._java import truststore
from ansible_collections.clusterkit.middleware.plugins.module_utils._java.keytool import java_home_of


def der(alias: str, pem: Any) -> bytes:
    """Return a certificate that was given. Raises ClusterkitError."""
    try:
        return ssl.PEM_cert_to_DER_cert(str(pem).strip())
    except ValueError:
        raise ClusterkitError(f"certificates: {alias} is no certificate in PEM: give BEGIN, base64 and END") from None


def shown(certificate: bytes | None) -> str | None:
    """Return what tells a certificate from another one."""
    return hashlib.sha256(certificate).hexdigest() if certificate else None


def run(module: AnsibleModule) -> dict[str, Any]:
    """Compare, change what differs. Raises ClusterkitError."""
    given = module.params
    wanted = {alias.lower(): der(alias, pem) for alias, pem in given["certificates"].items()}
    chroot = given["chroot"].rstrip("/")
    if chroot and not given["java_home"]:
        raise ClusterkitError(f"chroot is {chroot}: give java_home, the directory of the Java in there")
    java_home = given["java_home"] or java_home_of(module.get_bin_path("keytool", required=True))
    path = given["path"] or truststore.default_path(java_home, chroot)
    store = truststore.Truststore(path, given["password"], f"{java_home}/bin/keytool", Runner(limit=120), chroot)

    present = store.certificates()
    differences = DifferenceTracker()
    for alias in given["absent"]:
        differences.add(alias.lower(), None, shown(present.get(alias.lower())))
    for alias, certificate in wanted.items():
        differences.add(alias, shown(certificate), shown(present.get(alias)))
    due = differences.names
    if due and not module.check_mode:
        store.change(
            {alias: certificate for alias, certificate in wanted.items() if alias in due},
            [alias for alias in due if alias in present],
        )
    return {"changed": differences.changed, "diff": differences.diff(path), "path": path, "changed_aliases": due}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path"},
            "password": {"type": "str", "default": "changeit", "no_log": True},
            "java_home": {"type": "path"},
            "chroot": {"type": "path", "default": ""},
            "certificates": {"type": "dict", "default": {}},
            "absent": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    finish(module, run)


if __name__ == "__main__":
    main()
