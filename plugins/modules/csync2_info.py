#!/usr/bin/python
# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: csync2_info
short_description: What a csync2 member is and knows
version_added: 0.1.0
author:
  - clusterkit contributors (@clusterkit)
description:
  - Reads a member's configuration, database, key and certificates, and asks whether its peers answer.
  - Nothing is changed and no synchronisation is started. It also works where csync2 is not installed.
extends_documentation_fragment:
  - clusterkit.middleware.attributes.info
options:
  name:
    description: The member's name in the configuration.
    type: str
    required: true
  binary:
    description: Path of the binary, or its name where it is on the search path.
    type: str
    default: csync2
  commands:
    description: Further commands of which to tell whether they are there.
    type: list
    elements: str
    default: []
  config_path:
    description: Path of the configuration file.
    type: path
    default: /etc/csync2.cfg
  key_path:
    description: Path of the key that the groups share.
    type: path
    default: /etc/csync2.key
  certificate_path:
    description: Path of this member's own certificate.
    type: path
    default: /etc/csync2_ssl_cert.pem
  certificate_key_path:
    description: Path of the private key of this member's own certificate.
    type: path
    default: /etc/csync2_ssl_key.pem
  certificate_subject:
    description: The subject that the certificate should have. If not given, the certificate is not judged.
    type: str
    default: ""
  certificate_bits:
    description: Bits that the certificate's key should have at least.
    type: int
    default: 3072
  certificate_renew_days:
    description: Days that the certificate should still be valid.
    type: int
    default: 0
  database_directory:
    description: Directory of the database.
    type: path
    default: /var/lib/csync2
  reachability:
    description: Whether to connect to the port of every peer.
    type: bool
    default: true
  connect_seconds:
    description: Seconds to wait for each peer.
    type: float
    default: 3.0
  manifest:
    description: Whether to read all included files and return one digest over content, mode and owner of each group.
    type: bool
    default: false
  manifest_entries:
    description: Whether to return the digest's entries as well, one for each file.
    type: bool
    default: false
  settle:
    description:
      - Seconds to wait, at most, until nothing is left to send, before the member is looked at.
      - On a member in use there may always be a file that was changed just now.
    type: float
    default: 0.0
  resolve:
    description: Names to resolve on this host.
    type: list
    elements: str
    default: []
  symbolic_links:
    description: Paths of which to tell whether they lead through a symbolic link.
    type: list
    elements: str
    default: []
  units:
    description: Systemd units whose state to return.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Ask a member what it knows
  clusterkit.middleware.csync2_info:
    name: idp1.example.org
    manifest: true
  register: idp1
"""

RETURN = r"""
installed:
  description: Whether the binary was found.
  type: bool
  returned: always
  sample: true
missing:
  description: The binary and those of O(commands) that were not found.
  type: list
  elements: str
  returned: always
  sample: []
sysconfdir:
  description: The directory in which the binary looks for its files, empty where it does not tell.
  type: str
  returned: always
  sample: /etc
paths:
  description: Where this member's files are.
  type: dict
  returned: always
  sample: {"config": "/etc/csync2.cfg", "key": "/etc/csync2.key", "database": "/var/lib/csync2/n1.db3"}
version:
  description: The version that the binary tells of itself.
  type: str
  returned: always
  sample: 2.1-0rc1
config:
  description: The configuration as the variables of the role C(csync2), empty where there is none.
  type: dict
  returned: always
  sample: {"csync2_groups": [{"name": "web", "hosts": ["n1", "n2"], "include": ["/srv/web"], "key": "/etc/csync2.key"}]}
config_sha256:
  description: SHA-256 of the configuration file as it is, empty where there is none or it could not be read.
  type: str
  returned: always
  sample: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
config_error:
  description: Why the configuration could not be read.
  type: str
  returned: always
  sample: ""
peers:
  description: The member's peers, from the configuration.
  type: list
  elements: str
  returned: always
  sample: [n2]
key:
  description: Fingerprint of the key, mode of its file, and what is wrong with it.
  type: dict
  returned: always
  sample: {"fingerprint": "9f86d081884c7d65", "mode": "0600", "error": ""}
certificate:
  description: SHA-256 fingerprint of this member's own certificate, empty where there is none.
  type: str
  returned: always
  sample: 3f0b4c2d6a8e1f7092b5c4d3e6f7a8b90c1d2e3f405162738495a6b7c8d9e0f1
certificate_due:
  description: Why something has to be done about the certificate or its key, empty where nothing has.
  type: str
  returned: when O(certificate_subject) is given, and the binary and openssl are there
  sample: ""
files:
  description: Number of files that csync2 knows.
  type: int
  returned: always
  sample: 317
dirty:
  description: Files that have still to be sent.
  type: list
  elements: dict
  returned: always
  sample: [{"peer": "n2", "file": "/srv/web/index.html", "forced": false, "slave": false}]
conflicts:
  description: Files that were changed here and on a peer, and of which nobody has decided yet.
  type: list
  elements: dict
  returned: always
  sample: [{"peer": "n2", "file": "/srv/web/index.html"}]
probes:
  description: What each member, this one included, last wrote to show that files travel, as far as it has arrived here.
  type: dict
  returned: always
  sample: {"n2": "1795248000123456789"}
recorded:
  description: Whether csync2 has noted all files that were here when this became a member.
  type: bool
  returned: always
  sample: true
newcomers:
  description: Peers with which this member has never been compared.
  type: list
  elements: str
  returned: always
  sample: []
strangers:
  description: Those for whom the database holds something although they are no peers.
  type: list
  elements: str
  returned: always
  sample: []
pins:
  description: SHA-256 fingerprints of the certificates that peers are pinned to.
  type: dict
  returned: always
  sample: {"n2": "3f0b4c2d6a8e1f7092b5c4d3e6f7a8b90c1d2e3f405162738495a6b7c8d9e0f1"}
reachability:
  description: For each peer the error of connecting to it, empty when it answers.
  type: dict
  returned: when O(reachability=true)
  sample: {"n2": ""}
manifest:
  description: For each group the number of included files, and one digest over them.
  type: dict
  returned: when O(manifest=true)
  sample: {"web": {"count": 317, "digest": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}}
resolved:
  description: The addresses of each name of O(resolve).
  type: dict
  returned: always
  sample: {"n2": ["10.0.0.2"]}
firewalls:
  description: The firewalls that run on this host.
  type: list
  elements: str
  returned: always
  sample: [firewalld]
port_holder:
  description: The program other than csync2 or systemd that holds the listener's port, empty when there is none.
  type: str
  returned: always
  sample: ""
symbolic_links:
  description: For each path of O(symbolic_links) that leads through a symbolic link, where it leads.
  type: dict
  returned: always
  sample: {"/opt/tomcat/conf": "/opt/apache-tomcat-7.0.65/conf"}
units:
  description: State of each of O(units).
  type: dict
  returned: always
  sample: {"csync2.socket": "active"}
"""

import hashlib
import pathlib
from dataclasses import asdict
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterkit.middleware.plugins.module_utils._common import firewall, host
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.files import read_if_exists
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.module import finish
from ansible_collections.clusterkit.middleware.plugins.module_utils._csync2 import state
from ansible_collections.clusterkit.middleware.plugins.module_utils._csync2.certificate import Certificates
from ansible_collections.clusterkit.middleware.plugins.module_utils._csync2.config import (
    PROBE_DIRECTORY,
    PROBE_GROUP,
    Config,
    parse,
    to_variables,
)
from ansible_collections.clusterkit.middleware.plugins.module_utils._csync2.conflicts import Conflicts
from ansible_collections.clusterkit.middleware.plugins.module_utils._csync2.sync import Csync2

LISTENERS = ("csync2", "systemd", "xinetd")


def look(module: AnsibleModule) -> dict[str, Any]:
    """Return what the member is and knows. Raises ClusterkitError."""
    wanted = module.params
    binary = module.get_bin_path(wanted["binary"]) or ""
    missing = [one for one in (wanted["binary"], *wanted["commands"]) if not module.get_bin_path(one)]
    config, error, digest = read_config(wanted["config_path"])
    path = state.database_path(wanted["name"], wanted["database_directory"])
    database = state.settled(path, wanted["settle"])
    peers = config.peers_of(wanted["name"]) if config else []
    csync2 = Csync2(wanted["name"], Runner(), binary, wanted["database_directory"])
    found: dict[str, Any] = {
        "changed": False,
        "installed": bool(binary),
        "paths": {
            "binary": binary,
            "config": wanted["config_path"],
            "key": wanted["key_path"],
            "certificate": wanted["certificate_path"],
            "database": path,
        },
        "missing": missing,
        "sysconfdir": state.sysconfdir(binary) if binary else "",
        "version": csync2.version() if binary else "",
        "config": to_variables(config) if config else {},
        "config_sha256": digest,
        "config_error": error,
        "peers": peers,
        "key": state.key_state(wanted["key_path"]),
        "certificate": state.certificate_fingerprint(wanted["certificate_path"]),
        "files": database.files if database else 0,
        "dirty": unsent(config, wanted["name"], database),
        "conflicts": conflicts(path, database),
        "probes": probes(),
        "recorded": csync2.recorded(),
        "newcomers": csync2.newcomers(peers),
        "strangers": csync2.strangers(peers),
        "pins": database.pins if database else {},
        "resolved": {name: host.addresses(name) for name in wanted["resolve"]},
        "firewalls": firewall.names(Runner()),
        "port_holder": host.port_holder(state.PORT, LISTENERS),
        "symbolic_links": host.symbolic_links(wanted["symbolic_links"]),
        "units": host.unit_states(wanted["units"], Runner()),
    }
    if wanted["certificate_subject"] and binary and module.get_bin_path("openssl"):
        pair = Certificates(wanted["certificate_key_path"], wanted["certificate_path"], Runner())
        judged = (wanted["certificate_subject"], wanted["certificate_bits"], wanted["certificate_renew_days"])
        found["certificate_due"] = pair.due(*judged)
    if wanted["reachability"]:
        limit = wanted["connect_seconds"]
        found["reachability"] = {peer: host.reach(peer, state.PORT, limit) for peer in peers}
    if wanted["manifest"]:
        found["manifest"] = manifests(config, wanted["name"], wanted["manifest_entries"])
    return found


def read_config(path: str) -> tuple[Config | None, str, str]:
    """Return the configuration, None where there is none, what is wrong with it, and the file's SHA-256."""
    digest = ""
    try:
        content = pathlib.Path(path).read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        config = parse(content.decode(errors="surrogateescape"))
    except FileNotFoundError:
        return None, "", digest
    except (ClusterkitError, OSError) as error:
        return None, f"{path}: {error}", digest
    # The packaged file is all comments: csync2 is installed, and not configured
    return config if config.groups else None, "", digest


def unsent(config: Config | None, name: str, database: state.Database | None) -> list[dict[str, Any]]:
    """Return what has still to be sent, each with whether the member is a slave for it, and so will never send it."""
    rows = database.dirty if database else ()
    return [{**asdict(one), "slave": bool(config and config.slave_for(name, one.file))} for one in rows]


def conflicts(path: str, database: state.Database | None) -> list[dict[str, str]]:
    """Return the conflicts that the member has met and that nobody has decided: what was sent since is none."""
    unsent = {(one.peer, one.file) for one in database.dirty} if database else set()
    known = sorted((one.peer, one.file) for one in Conflicts(path).present())
    return [{"peer": peer, "file": file} for peer, file in known if (peer, file) in unsent]


def probes() -> dict[str, str]:
    """Return what members wrote for a verification, by name. Raises ClusterkitError."""
    directory = pathlib.Path(PROBE_DIRECTORY)
    found = {path.name: read_if_exists(str(path)) for path in directory.iterdir()} if directory.is_dir() else {}
    return {name: content.decode(errors="replace") for name, content in found.items() if content is not None}


def manifests(config: Config | None, name: str, with_entries: bool) -> dict[str, Any]:
    """Return the manifest of each group that the member is in."""
    out: dict[str, Any] = {}
    for group in config.groups_of(name) if config else []:
        if group.name == PROBE_GROUP:
            continue
        alone = Config(groups=[group], prefixes=config.prefixes, ignore=config.ignore) if config else Config()
        entries = dict(state.manifest(alone, name))
        out[group.name] = {"count": len(entries), "digest": state.digest_of(entries)}
        if with_entries:
            out[group.name]["entries"] = entries
    return out


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "binary": {"type": "str", "default": "csync2"},
            "commands": {"type": "list", "elements": "str", "default": []},
            "config_path": {"type": "path", "default": "/etc/csync2.cfg"},
            "key_path": {"type": "path", "default": "/etc/csync2.key", "no_log": False},
            "certificate_path": {"type": "path", "default": "/etc/csync2_ssl_cert.pem"},
            "certificate_key_path": {"type": "path", "default": "/etc/csync2_ssl_key.pem", "no_log": False},
            "certificate_subject": {"type": "str", "default": ""},
            "certificate_bits": {"type": "int", "default": 3072},
            "certificate_renew_days": {"type": "int", "default": 0},
            "database_directory": {"type": "path", "default": state.DATABASE_DIRECTORY},
            "reachability": {"type": "bool", "default": True},
            "connect_seconds": {"type": "float", "default": 3.0},
            "manifest": {"type": "bool", "default": False},
            "manifest_entries": {"type": "bool", "default": False},
            "settle": {"type": "float", "default": 0.0},
            "resolve": {"type": "list", "elements": "str", "default": []},
            "symbolic_links": {"type": "list", "elements": "str", "default": []},
            "units": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    finish(module, look)


if __name__ == "__main__":
    main()
