#!/usr/bin/python
# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: csync2_build
short_description: Builds csync2 from its source and installs it
version_added: 0.1.0
author:
  - clusterkit contributors (@clusterkit)
description:
  - Builds csync2 from an archive of its source, unless the binary that is there is of that version and reads its files
    from that directory.
  - The binary is installed last, so that it is whole whenever it is there. A build that was killed is begun anew.
  - The example of a configuration that csync2 brings is not installed.
requirements:
  - gcc, make, bison, flex, pkg-config, and the headers of librsync, GnuTLS and SQLite 3
  - autoconf and automake, for a source without C(configure)
  - GNU tar
attributes:
  check_mode:
    support: full
    description: Tells whether it would build. The archive need not be there yet.
  diff_mode:
    support: full
    description: Shows version and directory, or the files to be removed.
  idempotent:
    support: full
    description: A version that is there is not built again.
options:
  state:
    description:
      - V(present) builds and installs.
      - V(absent) removes what earlier builds installed, and the directories that they made as far as they are empty.
        What was installed otherwise stays.
    type: str
    choices: [present, absent]
    default: present
  archive:
    description: Path of the archive on the target. It has one directory at its top. Needed with O(state=present).
    type: path
  checksum:
    description: SHA-256 of the archive as V(sha256:) and 64 digits. Needed with O(state=present).
    type: str
  version:
    description:
      - The version that the binary tells in the first line of C(csync2 --version). Needed with O(state=present).
      - It need not be the archive's; one that builds another version is not installed.
    type: str
  prefix:
    description: Where it is installed. The binary goes into C(sbin) below it.
    type: path
    default: /usr/local
  sysconfdir:
    description: Directory in which the binary looks for its configuration, key and certificate.
    type: path
    default: /etc/csync2
  limit:
    description: Seconds that each step of the build may take.
    type: float
    default: 900.0
  status_file:
    description: File into which it writes how far it has come, for M(clusterkit.middleware.watched).
    type: path
seealso:
  - module: clusterkit.middleware.watched
"""

EXAMPLES = r"""
- name: Build csync2, showing how far it has come
  clusterkit.middleware.watched:
    module: clusterkit.middleware.csync2_build
    args:
      archive: /root/csync2-2.0.tar.gz
      checksum: sha256:89319ae251d7152818ec65886685098da686dfbe6dc2f069c1f816079b2a920c
      version: 2.1-0rc1
    limit: 1800

- name: Remove it again
  clusterkit.middleware.csync2_build:
    state: absent
"""

RETURN = r"""
files:
  description: The files that were installed or removed. In check mode those that would be removed.
  type: list
  elements: str
  returned: always
  sample: [/usr/local/sbin/csync2]
"""

import os
import re
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.differences import DifferenceTracker
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.module import finish
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.progress import Progress
from ansible_collections.clusterkit.middleware.plugins.module_utils._csync2.build import Build, Source


def source_of(wanted: dict[str, Any]) -> Source:
    """Return what the options ask for. Raises ClusterkitError."""
    for name in ("archive", "checksum", "version"):
        if not wanted[name]:
            raise ClusterkitError(f"{name} is missing: state=present needs it")
    checksum = re.fullmatch(r"sha256:([0-9a-f]{64})", wanted["checksum"])
    if not checksum:
        raise ClusterkitError(f"checksum is {wanted['checksum']!r}: write sha256: and 64 digits in lower case")
    for name in ("prefix", "sysconfdir"):
        # They go through the shell of configure and make
        if not re.fullmatch(r"/[A-Za-z0-9._/+-]+", wanted[name]):
            raise ClusterkitError(f"{name} is {wanted[name]!r}: give an absolute path of letters, digits, '.+-_'")
    prefix, sysconfdir = (os.path.normpath(wanted[name]) for name in ("prefix", "sysconfdir"))
    return Source(wanted["archive"], checksum.group(1), wanted["version"], prefix, sysconfdir)


def present(module: AnsibleModule, build: Build) -> dict[str, Any]:
    """Build unless it is there. Raises ClusterkitError."""
    source = source_of(module.params)
    version, sysconfdir = build.told(source.binary)
    differences = DifferenceTracker()
    differences.add("version", source.version, version or None)
    differences.add("sysconfdir", source.sysconfdir, sysconfdir or None)
    files: list[str] = []
    if differences.changed and not module.check_mode:
        # A step is long, and there are few: each is worth writing down
        with Progress(module.params["status_file"], unit="steps", pause=0) as progress:
            files = build.install(source, progress)
    return {"changed": differences.changed, "diff": differences.diff(source.binary), "files": files}


def absent(module: AnsibleModule, build: Build) -> dict[str, Any]:
    """Remove what builds installed. Raises ClusterkitError."""
    files = build.leftovers()
    differences = DifferenceTracker()
    for path in files:
        differences.add(path, None, "present")
    if files and not module.check_mode:
        build.remove()
    return {"changed": differences.changed, "diff": differences.diff(), "files": files}


def run(module: AnsibleModule) -> dict[str, Any]:
    """Do what the state asks for. Raises ClusterkitError."""
    build = Build(Runner(limit=module.params["limit"]))
    return present(module, build) if module.params["state"] == "present" else absent(module, build)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "archive": {"type": "path"},
            "checksum": {"type": "str"},
            "version": {"type": "str"},
            "prefix": {"type": "path", "default": "/usr/local"},
            "sysconfdir": {"type": "path", "default": "/etc/csync2"},
            "limit": {"type": "float", "default": 900.0},
            "status_file": {"type": "path"},
        },
        supports_check_mode=True,
    )
    finish(module, run)


if __name__ == "__main__":
    main()
