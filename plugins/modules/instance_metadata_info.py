#!/usr/bin/python
# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: instance_metadata_info
short_description: Whether an instance of AWS tells its metadata to who asks without a token
version_added: 0.1.0
author:
  - clusterkit contributors (@clusterkit)
description:
  - Asks the metadata service of the instance that it runs on, as a program does that knows no tokens (IMDSv1).
  - Neither credentials nor tokens are asked for. A host that is no instance is none that answers.
extends_documentation_fragment:
  - clusterkit.middleware.attributes.info
options:
  url:
    description: Address of the metadata service.
    type: str
    default: http://169.254.169.254
  limit:
    description: Seconds to wait for an answer.
    type: float
    default: 2.0
"""

EXAMPLES = r"""
- name: Ask the instance
  clusterkit.middleware.instance_metadata_info:
  register: metadata
"""

RETURN = r"""
answers:
  description: Whether there is a metadata service.
  type: bool
  returned: success
tokens:
  description: Whether it demands a token, V(required) or V(optional), empty where it does not answer.
  type: str
  returned: success
  sample: required
roles:
  description: The role of the instance's profile. None where there is no profile, and where a token is demanded.
  type: list
  elements: str
  returned: success
"""

import urllib.error
import urllib.request
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.module import finish

#: Ends in a slash, and so lists names; what is behind a name are credentials.
ROLES = "/latest/meta-data/iam/security-credentials/"
#: A profile has one role; nobody needs more of an answer that comes from elsewhere.
MOST = 4096


def run(module: AnsibleModule) -> dict[str, Any]:
    """Ask. Raises ClusterkitError for an address that is none."""
    url = module.params["url"].rstrip("/")
    if not url.startswith("http://"):
        raise ClusterkitError(f"url is {url}: the metadata service is asked by http://")
    # Never through a proxy: that one would answer of its own instance
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url + ROLES, timeout=module.params["limit"]) as answer:
            names = answer.read(MOST).decode("utf-8", "replace").split()
    except urllib.error.HTTPError as error:
        # 404 is the answer of an instance without a profile
        return {"answers": True, "tokens": "required" if error.code == 401 else "optional", "roles": []}
    except (OSError, ValueError):
        return {"answers": False, "tokens": "", "roles": []}
    return {"answers": True, "tokens": "optional", "roles": names}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str", "default": "http://169.254.169.254"},
            "limit": {"type": "float", "default": 2.0},
        },
        supports_check_mode=True,
    )
    finish(module, run)


if __name__ == "__main__":
    main()
