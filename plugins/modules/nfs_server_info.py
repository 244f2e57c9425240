#!/usr/bin/python
# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: nfs_server_info
short_description: What a host exports by NFS
version_added: 0.1.0
author:
  - clusterkit contributors (@clusterkit)
description:
  - Asks the kernel which versions it serves, and reads what is exported to whom.
  - Nothing is changed. It also works where no NFS server is installed or runs.
extends_documentation_fragment:
  - clusterkit.middleware.attributes.info
options:
  paths:
    description: Directories to look at.
    type: list
    elements: path
    default: []
  own_path:
    description: The file that the role writes. What other files export is told in RV(foreign).
    type: path
    default: /etc/exports.d/clusterkit.exports
"""

EXAMPLES = r"""
- name: Ask what is exported
  clusterkit.middleware.nfs_server_info:
    paths: [/srv/share]
  register: server
"""

RETURN = r"""
installed:
  description: Whether the programs are there.
  type: bool
  returned: success
kernel:
  description: Whether the kernel has an NFS server, loaded or as a module.
  type: bool
  returned: success
threads:
  description: How many threads serve.
  type: int
  returned: success
  sample: 8
listening:
  description: Whether port 2049 is open.
  type: bool
  returned: success
versions:
  description: Versions that are served.
  type: list
  elements: str
  returned: success
  sample: ["4.2"]
grace:
  description: Seconds after a start in which clients of version 4 get back what they had locked, 0 where none serves.
  type: int
  returned: success
  sample: 90
lease:
  description: Seconds after which a client of version 4 that is silent loses its locks, 0 where none serves.
  type: int
  returned: success
  sample: 90
in_grace:
  description: >-
    Whether clients still get back what they had locked before the server started, so that others have to wait.
  type: bool
  returned: success
exported:
  description: The options of what is exported, by path and client.
  type: dict
  returned: success
  sample: {"/srv/share": {"192.0.2.1": ["rw", "sync"]}}
foreign:
  description: Paths that other files export, with those files.
  type: dict
  returned: success
  sample: {"/srv/share": "/etc/exports"}
directories:
  description: For each of O(paths) whether it C(exists), C(is_directory), C(is_mount_point).
  type: dict
  returned: success
firewalls:
  description: The firewalls that run on this host.
  type: list
  elements: str
  returned: success
"""

import os
import pathlib
import shutil
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterkit.middleware.plugins.module_utils._common import connections, firewall
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.files import read_if_exists
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.module import finish
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.mounts import at, table
from ansible_collections.clusterkit.middleware.plugins.module_utils._nfs import exports

PORT = 2049
TABLE = "/var/lib/nfs/etab"
#: The kernel's own files, which are there once its server was started.
VERSIONS = "/proc/fs/nfsd/versions"
THREADS = "/proc/fs/nfsd/threads"
GRACE = "/proc/fs/nfsd/nfsv4gracetime"
LEASE = "/proc/fs/nfsd/nfsv4leasetime"
#: They say N while clients of version 4, or of version 3, get back what they had locked.
GRACE_ENDED = "/proc/fs/nfsd/v4_end_grace"
GRACE_ENDED_OF_3 = "/proc/fs/lockd/nlm_end_grace"
FILE = "/etc/exports"
DIRECTORY = "/etc/exports.d"
FILESYSTEMS = "/proc/filesystems"
MODULES = "/lib/modules"


def look(module: AnsibleModule) -> dict[str, Any]:
    """Return what the host is and exports. Raises ClusterkitError."""
    wanted = module.params
    mounted = table()
    threads, versions = _number(THREADS), exports.parse_versions(_text(VERSIONS))
    waited_for = ([GRACE_ENDED] if set(versions) - {"3"} else []) + ([GRACE_ENDED_OF_3] if "3" in versions else [])
    return {
        "changed": False,
        "installed": bool(shutil.which("exportfs", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")),
        "kernel": _kernel(),
        "threads": threads,
        "listening": bool(connections.listening(PORT)),
        "versions": versions,
        "grace": _number(GRACE),
        "lease": _number(LEASE),
        "in_grace": threads > 0 and any(_text(path).startswith("N") for path in waited_for),
        "exported": exports.parse_table(_text(TABLE)),
        "foreign": _foreign(wanted["own_path"]),
        "directories": {
            path: {
                "exists": pathlib.Path(path).exists(),
                "is_directory": pathlib.Path(path).is_dir(),
                "is_mount_point": bool(at(path, mounted)),
            }
            for path in wanted["paths"]
        },
        "firewalls": firewall.names(Runner()),
    }


def _text(path: str) -> str:
    return (read_if_exists(path) or b"").decode(errors="replace")


def _number(path: str) -> int:
    # Some of the kernel's files end in a zero byte
    text = _text(path).strip("\0\n ")
    return int(text) if text.isdigit() else 0


def _kernel() -> bool:
    """Tell whether the running kernel has an NFS server."""
    if any(line.split()[-1:] == ["nfsd"] for line in _text(FILESYSTEMS).splitlines()):
        return True
    modules = pathlib.Path(MODULES) / os.uname().release
    return any("/nfsd/nfsd.ko" in _text(str(modules / name)) for name in ("modules.dep", "modules.builtin"))


def _foreign(own: str) -> dict[str, str]:
    """Return what other files export. Raises ClusterkitError for one that cannot be read."""
    found = {}
    for path in (FILE, *sorted(map(str, pathlib.Path(DIRECTORY).glob("*.exports")))):
        if path != own:
            found.update(dict.fromkeys(exports.foreign(_text(path)), path))
    return found


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "paths": {"type": "list", "elements": "path", "default": []},
            "own_path": {"type": "path", "default": "/etc/exports.d/clusterkit.exports"},
        },
        supports_check_mode=True,
    )
    finish(module, look)


if __name__ == "__main__":
    main()
