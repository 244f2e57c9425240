#!/usr/bin/python
# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: served_certificate_info
short_description: The certificate that a server shows, and the file that it takes it from
version_added: 0.1.0
author:
  - clusterkit contributors (@clusterkit)
description:
  - Begins TLS with a server and returns the fingerprint of the certificate that it shows. Nothing is verified, and
    nothing is sent to it.
  - Changes nothing. A server that does not answer is told of, and is no failure.
extends_documentation_fragment:
  - clusterkit.middleware.attributes.info
options:
  host:
    description: Name or address of the server.
    type: str
    default: 127.0.0.1
  port:
    description: Its port. Nothing is asked where it is V(0).
    type: int
    default: 0
  path:
    description: The file in which the server keeps its certificate.
    type: path
    default: ""
  limit:
    description: Seconds in which it has to answer.
    type: float
    default: 10.0
"""

EXAMPLES = r"""
- name: See what the server shows
  clusterkit.middleware.served_certificate_info:
    port: 8443
"""

RETURN = r"""
fingerprint:
  description: SHA-256 of the certificate that it shows; empty where it shows none.
  type: str
  returned: success
  sample: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
error:
  description: Why it shows none.
  type: str
  returned: success
  sample: "no connection to 127.0.0.1:8443: Connection refused"
file:
  description: SHA-256 of the file; empty where there is none.
  type: str
  returned: success
  sample: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
"""

import hashlib
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.files import read_if_exists
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.module import finish
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.tls import fingerprint, shown_certificate


def run(module: AnsibleModule) -> dict[str, Any]:
    """Ask. Raises ClusterkitError where the file cannot be read."""
    given = module.params
    content = read_if_exists(given["path"]) if given["path"] else None
    result = {
        "changed": False,
        "fingerprint": "",
        "error": "",
        "file": hashlib.sha256(content).hexdigest() if content is not None else "",
    }
    if given["port"]:
        try:
            result["fingerprint"] = fingerprint(shown_certificate(given["host"], given["port"], limit=given["limit"]))
        except ClusterkitError as error:
            result["error"] = str(error)
    return result


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "host": {"type": "str", "default": "127.0.0.1"},
            "port": {"type": "int", "default": 0},
            "path": {"type": "path", "default": ""},
            "limit": {"type": "float", "default": 10.0},
        },
        supports_check_mode=True,
    )
    finish(module, run)


if __name__ == "__main__":
    main()
