#!/usr/bin/python
# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: csync2_certificate
short_description: The key and self-signed certificate of a csync2 host
version_added: 0.1.0
author:
  - clusterkit contributors (@clusterkit)
description:
  - Makes the private key and the self-signed certificate with which a csync2 host answers its peers, and makes them
    anew when they are missing, do not belong together, or do not fit the options.
  - All hosts of a cluster need the same O(subject), each with its own key. csync2 asks a peer for a certificate that
    was issued by its own subject.
  - Peers pin a host's certificate at the first contact. After RV(certificate_changed) is V(true) on a host that they
    know, they refuse it until they have forgotten the old one.
requirements:
  - openssl
attributes:
  check_mode:
    support: full
    description: Can run in check mode and tell what it would change.
  diff_mode:
    support: full
    description: Returns subject, end of validity and problem, never the key.
  idempotent:
    support: partial
    description: A second run with the same options changes nothing.
    details: With O(regenerate=true) every run makes the pair anew.
options:
  key_path:
    description: Path of the private key. It is written with mode V(0600).
    type: path
    required: true
  certificate_path:
    description: Path of the certificate. It is written with mode V(0644).
    type: path
    required: true
  subject:
    description:
      - Subject of the certificate, the same on all hosts.
      - Attributes are separated by commas. A comma within a value is written V(\\,).
    type: str
    default: CN=csync2
  days:
    description: Days that a new certificate is valid.
    type: int
    default: 600
  bits:
    description: Size of a new RSA key. A present key that is shorter is replaced.
    type: int
    default: 3072
  renew_days:
    description: Makes the pair anew when its certificate is valid for less than this many days.
    type: int
    default: 0
  regenerate:
    description: Makes the pair anew even if it fits.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Make the certificate of this csync2 host
  clusterkit.middleware.csync2_certificate:
    key_path: /etc/csync2_ssl_key.pem
    certificate_path: /etc/csync2_ssl_cert.pem
"""

RETURN = r"""
certificate_changed:
  description: Whether key and certificate were made anew.
  type: bool
  returned: always
  sample: false
reason:
  description: Why they were made anew.
  type: str
  returned: always
  sample: no key at /etc/csync2_ssl_key.pem
subject:
  description: Subject of the certificate that is in place.
  type: str
  returned: always
  sample: CN=csync2
not_after:
  description: End of its validity.
  type: str
  returned: always
  sample: Jul 14 08:23:35 2028 GMT
fingerprint:
  description: Its SHA-256 fingerprint, empty in check mode when it would be made anew.
  type: str
  returned: always
  sample: 3f0b4c2d6a8e1f7092b5c4d3e6f7a8b90c1d2e3f405162738495a6b7c8d9e0f1
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.differences import DifferenceTracker
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.module import finish
from ansible_collections.clusterkit.middleware.plugins.module_utils._csync2.certificate import Certificates


def run(module: AnsibleModule) -> dict[str, Any]:
    """Inspect, decide, act, report. Raises ClusterkitError."""
    wanted = module.params
    files = Certificates(wanted["key_path"], wanted["certificate_path"], Runner())
    present = files.inspect(wanted["subject"], wanted["bits"], wanted["renew_days"])
    reason = present.problem or ("asked to make it anew" if wanted["regenerate"] else "")
    loose = [] if reason else files.wrong_modes()

    differences = DifferenceTracker()
    differences.add("certificate", "new" if reason else present.fingerprint, present.fingerprint or "none")
    differences.add("modes", [], [str(path) for path in loose])
    if not module.check_mode:
        if reason:
            files.make(wanted["subject"], wanted["bits"], wanted["days"], wanted["renew_days"])
            present = files.inspect(wanted["subject"], wanted["bits"])
        elif loose:
            files.set_modes()
    return {
        "changed": differences.changed,
        "diff": differences.diff(),
        "certificate_changed": bool(reason),
        "reason": reason,
        "subject": present.subject,
        "not_after": present.not_after,
        "fingerprint": "" if reason and module.check_mode else present.fingerprint,
    }


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "key_path": {"type": "path", "required": True, "no_log": False},
            "certificate_path": {"type": "path", "required": True},
            "subject": {"type": "str", "default": "CN=csync2"},
            "days": {"type": "int", "default": 600},
            "bits": {"type": "int", "default": 3072},
            "renew_days": {"type": "int", "default": 0},
            "regenerate": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    finish(module, run)


if __name__ == "__main__":
    main()
