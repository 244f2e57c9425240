#!/usr/bin/python
# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: opendj_replication_info
short_description: What an OpenDJ server is, and how replication looks from it
version_added: 0.1.0
author:
  - clusterkit contributors (@clusterkit)
description:
  - Reads the files of an OpenDJ installation on this host and, with a password, asks the server over LDAP for its base
    DNs, its replication and what it knows of other servers. C(dsreplication status) is not used.
  - Nothing is changed. It also works where no OpenDJ is installed, or where the server does not answer.
  - The server has to show the certificate that is expected of it; there is no way to trust any.
requirements:
  - python-ldap on the target, to ask the server
extends_documentation_fragment:
  - clusterkit.middleware.attributes.info
options:
  path:
    description: Directory of the installation.
    type: path
    default: /opt/opendj
  host:
    description:
      - Name under which to connect. The server's certificate has to be made for it.
      - Without it the name that the server was set up with, which its installation tells.
    type: str
  port:
    description: Port to connect to. Without it that of the administration connector in the server's configuration.
    type: int
  tls:
    description: Whether the port speaks TLS from the beginning, or StartTLS within LDAP.
    type: str
    choices: [ldaps, starttls]
    default: ldaps
  certificate:
    description:
      - The certificate that the server has to show, or that of the authority that signed it, as PEM.
      - Without it that of the administration connector, from the installation's F(config/admin-truststore).
    type: str
  bind_dn:
    description: DN to bind as.
    type: str
    default: cn=directory manager
  password:
    description: Password of O(bind_dn). Without it only files are read.
    type: str
  administrator:
    description: Name of the global administrator of replication.
    type: str
    default: admin
  administrator_password:
    description: Password of the global administrator, to be told whether it is right.
    type: str
  schema:
    description: Whether to return a checksum of the schema.
    type: bool
    default: true
  conflicts:
    description: Whether to look for naming conflicts in all entries.
    type: bool
    default: true
  wait_probes:
    description:
      - What M(clusterkit.middleware.opendj_probe) wrote on each member, by the member's name. The server is looked at
        when all of it has arrived, or O(wait_seconds) have passed.
    type: dict
    default: {}
  wait_seconds:
    description: Seconds to wait for O(wait_probes), at most.
    type: float
    default: 10.0
  limit:
    description: Seconds that each question to the server may take.
    type: float
    default: 5.0
  commands:
    description: Commands of which to tell whether they are there.
    type: list
    elements: str
    default: []
  ports:
    description: Ports of which to tell whether a program other than Java holds them.
    type: list
    elements: int
    default: []
  resolve:
    description: Names to resolve on this host.
    type: list
    elements: str
    default: []
  reach:
    description: Names with their ports, as C(name:port), that this host is to reach.
    type: list
    elements: str
    default: []
  asked_at:
    description: Seconds since the epoch by the clock of who asks, to be told how much the clock of this host is ahead.
    type: float
    default: 0
  units:
    description: Systemd units whose state to return.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Ask a server how replication looks from it
  clusterkit.middleware.opendj_replication_info:
    password: "{{ directory_manager_password }}"
  register: idp1
"""

RETURN = r"""
installed:
  description: Whether there is a server in O(path) that has been set up.
  type: bool
  returned: always
  sample: true
incomplete:
  description: Whether there is one in O(path) whose set-up was killed.
  type: bool
  returned: always
  sample: false
made:
  description: Whether M(clusterkit.middleware.opendj_setup) has set it up.
  type: bool
  returned: always
  sample: true
build:
  description: Version and revision of the installation, empty where it does not tell.
  type: str
  returned: always
  sample: 4.9.2.a29601218766eeeaee1c2bdc894706c5e3faf8f5
hostname:
  description: The name that the server was set up with.
  type: str
  returned: always
  sample: idp1.example.org
owner:
  description: The user whose files the server's are.
  type: str
  returned: always
  sample: ldap
ldap_port:
  description: Port for LDAP, 0 where it is off.
  type: int
  returned: always
  sample: 1389
ldaps_port:
  description: Port for LDAPS, 0 where it is off.
  type: int
  returned: always
  sample: 0
admin_port:
  description: Port of the administration connector.
  type: int
  returned: always
  sample: 4444
config_base_dns:
  description: The base DNs of the server's configuration.
  type: list
  elements: str
  returned: always
  sample: ["o=site"]
certificate:
  description: Certificate of the administration connector as PEM. The server makes it at its first start.
  type: str
  returned: always
  sample: "-----BEGIN CERTIFICATE-----\n…\n-----END CERTIFICATE-----\n"
missing:
  description: Those of O(commands) that were not found, and C(python-ldap) where it is not installed.
  type: list
  elements: str
  returned: always
  sample: []
port_holders:
  description: For each of O(ports) that a program other than Java holds, the program.
  type: dict
  returned: always
  sample: {"1389": "slapd (process 712)"}
resolved:
  description: The addresses of each name of O(resolve).
  type: dict
  returned: always
  sample: {"idp2.example.org": ["10.0.0.2"]}
firewalls:
  description: The firewalls that run on this host.
  type: list
  elements: str
  returned: always
  sample: [firewalld]
units:
  description: State of each of O(units).
  type: dict
  returned: always
  sample: {"opendj.service": "active"}
answers:
  description: Whether the server could be asked.
  type: bool
  returned: always
  sample: true
error:
  description: Why the server could not be asked, empty where it was not to be.
  type: str
  returned: always
  sample: idp1.example.org:4444 does not accept the password of cn=directory manager
refused:
  description: Whether it could not be asked since it does not accept the password.
  type: bool
  returned: always
  sample: false
server:
  description: What the server says of itself. Empty where it does not answer.
  type: dict
  returned: always
  sample: {"version": "4.9.2", "schema": "9b2f…", "encryption": true}
  contains:
    version:
      description: Version of the server.
      type: str
    schema:
      description: SHA-256 over the schema's definitions, empty with O(schema=false).
      type: str
    encryption:
      description: Whether replication is encrypted.
      type: bool
    replication_server:
      description: C(id) and C(port) of this server's replication server, its C(peers), and those C(connected).
      type: dict
    base_dns:
      description:
        - For each base DN C(entries), C(writability), C(replicated), C(server_id), C(peers), C(status),
          C(generation_id) of the data, C(server_generation_id) of the replication server, C(pending_updates),
          C(unresolved_conflicts), C(replicas) with their C(missing_changes) and C(delay), C(conflicts) and C(probes).
      type: dict
    own_domains:
      description: The same of C(cn=schema) and C(cn=admin data).
      type: dict
    servers:
      description: The servers that are registered in C(cn=admin data).
      type: list
      elements: dict
    duplicates:
      description: Names under which one server is registered more than once.
      type: list
      elements: list
    stale_keys:
      description: Keys of servers that are no longer registered.
      type: list
      elements: str
reach:
  description: By the name and port that were to be reached, V(refused), a sentence, or nothing where it answers.
  type: dict
  returned: always
  sample: {"idp2.example.org:4444": "", "idp2.example.org:8989": refused}
clock_ahead:
  description: >-
    Seconds that the clock of this host shows more than O(asked_at), with what passed until it was looked at.
  type: float
  returned: always
  sample: 0.4
resources:
  description: Processors of this host, its memory and the size of the file system that the server is on, in bytes.
  type: dict
  returned: always
  sample: {"cpus": 2, "memory": 8589934592, "disk": 42949672960}
administrator_refused:
  description: Whether there is such an administrator, and O(administrator_password) is another password than its own.
  type: bool
  returned: always
  sample: false
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterkit.middleware.plugins.module_utils._common import firewall, host
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.module import finish
from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj import state
from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj.directory import (
    BASE,
    INVALID_CREDENTIALS,
    LDAPS,
    ONE,
    STARTTLS,
    Address,
    Directory,
    has_library,
)
from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj.installation import Installation

#: What may hold a server's ports.
HOLDERS = ("java",)
LIBRARY = "python-ldap"
#: Between two looks for what is to arrive.
LOOK_SECONDS = 0.1


def look(module: AnsibleModule) -> dict[str, Any]:
    """Return what the server is and knows. Raises ClusterkitError."""
    wanted = module.params
    installation = Installation(wanted["path"], Runner())
    told = installation.told()
    missing = [one for one in wanted["commands"] if not module.get_bin_path(one)]
    library = has_library()
    found: dict[str, Any] = {
        "changed": False,
        **told,
        "missing": missing if library else [*missing, LIBRARY],
        "port_holders": {str(port): holder for port in wanted["ports"] if (holder := host.port_holder(port, HOLDERS))},
        "resolved": {name: host.addresses(name) for name in wanted["resolve"]},
        "clock_ahead": time.time() - wanted["asked_at"],
        "resources": host.resources(wanted["path"]),
        "reach": {one: reach(one, wanted["limit"]) for one in wanted["reach"]},
        "firewalls": firewall.names(Runner()),
        "units": host.unit_states(wanted["units"], Runner()),
        "answers": False,
        "error": "",
        "refused": False,
        "server": {},
        # No word: one that is the password would not leave this module
        "administrator_refused": False,
    }
    elsewhere = bool(wanted["certificate"] and wanted["host"])
    if wanted["password"] and (told["installed"] or elsewhere):
        try:
            found.update(ask(wanted, installation))
        except ClusterkitError as error:
            found["error"] = str(error)
            found["refused"] = error.details.get("result") == INVALID_CREDENTIALS
    return found


def reach(where: str, limit: float) -> str:
    """Return why a port is not reached, empty when it is. Raises ClusterkitError for what is none."""
    name, _colon, port = where.rpartition(":")
    if not (name and port.isdigit()):
        raise ClusterkitError(f"reach has {where}, which is no name with a port: write name:port")
    return host.reach(name, int(port), limit)


def ask(wanted: dict[str, Any], installation: Installation) -> dict[str, Any]:
    """Return what the server says. Raises ClusterkitError."""
    address = installation.address(
        wanted["host"], wanted["port"], wanted["certificate"], wanted["tls"], wanted["limit"]
    )
    with Directory(address, wanted["bind_dn"], wanted["password"]) as directory:
        wait_for_probes(directory, wanted["wait_probes"], wanted["wait_seconds"])
        server = state.read(directory, wanted["schema"], wanted["conflicts"])
        refused = bool(wanted["administrator_password"]) and is_refused(directory, address, wanted)
    return {"answers": True, "server": server, "administrator_refused": refused}


def wait_for_probes(directory: Directory, probes: dict[str, str], seconds: float) -> None:
    """Wait until what members wrote is there, below every base DN that has entries. Raises ClusterkitError."""
    end = time.monotonic() + seconds
    while probes and time.monotonic() < end:
        arrived = [
            state.probes(directory.search(base, ONE, f"(cn={state.PROBE}*)", ["cn", "description"]))
            for base in state.base_dns(directory)
            if directory.search(base, BASE, attributes=["1.1"])
        ]
        if all(found.get(member) == token for found in arrived for member, token in probes.items()):
            return
        time.sleep(LOOK_SECONDS)


def is_refused(directory: Directory, address: Address, wanted: dict[str, Any]) -> bool:
    """Tell whether the administrator has another password, which dsreplication does not. Raises ClusterkitError."""
    dn = state.administrator(wanted["administrator"])
    # There is none before the first two servers replicate
    if not directory.search(dn, BASE, attributes=["cn"]):
        return False
    try:
        with Directory(address, dn, wanted["administrator_password"]):
            return False
    except ClusterkitError as error:
        if error.details.get("result") == INVALID_CREDENTIALS:
            return True
        raise


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "default": "/opt/opendj"},
            "host": {"type": "str"},
            "port": {"type": "int"},
            "tls": {"type": "str", "choices": [LDAPS, STARTTLS], "default": LDAPS},
            "certificate": {"type": "str"},
            "bind_dn": {"type": "str", "default": "cn=directory manager"},
            "password": {"type": "str", "no_log": True},
            "administrator": {"type": "str", "default": "admin"},
            "administrator_password": {"type": "str", "no_log": True},
            "schema": {"type": "bool", "default": True},
            "conflicts": {"type": "bool", "default": True},
            "wait_probes": {"type": "dict", "default": {}},
            "wait_seconds": {"type": "float", "default": 10.0},
            "limit": {"type": "float", "default": 5.0},
            "commands": {"type": "list", "elements": "str", "default": []},
            "ports": {"type": "list", "elements": "int", "default": []},
            "resolve": {"type": "list", "elements": "str", "default": []},
            "reach": {"type": "list", "elements": "str", "default": []},
            "asked_at": {"type": "float", "default": 0},
            "units": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    finish(module, look)


if __name__ == "__main__":
    main()
