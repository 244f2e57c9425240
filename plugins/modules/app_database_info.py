#!/usr/bin/python
# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: app_database_info
short_description: What a host finds of a database
version_added: 0.1.0
author:
  - clusterkit contributors (@clusterkit)
description:
  - Asks this host's own database server by its socket, or the one at O(host) over the network as an application would,
    and looks at the backups that lie on this host. Nothing is changed.
extends_documentation_fragment:
  - clusterkit.middleware.attributes.info
options:
  engine:
    description: What kind of server it is.
    type: str
    choices: [mariadb, mysql, postgresql]
    required: true
  database:
    description: Name of the database.
    type: str
    required: true
  local:
    description: Whether to ask this host's own server as well.
    type: bool
    default: false
  host:
    description: Name or address of the server to connect to. Nothing is connected to where it is empty.
    type: str
    default: ""
  port:
    description: The server's port. The engine's own where it is 0.
    type: int
    default: 0
  user:
    description: Whom to connect as.
    type: str
    default: ""
  password:
    description: The user's password.
    type: str
  authority:
    description: Certificates, in PEM, of which the server's has to be. Without them no TLS is asked for.
    type: str
    default: ""
  rights:
    description: Rights that the user should have on the database.
    type: list
    elements: str
    default: []
  backup_directory:
    description: Where backups lie on this host. Not looked at where it is empty.
    type: path
    default: ""
  wait:
    description: Seconds to wait, at most, until the server can be used.
    type: float
    default: 0
"""

EXAMPLES = r"""
- name: Ask as the application does
  clusterkit.middleware.app_database_info:
    engine: mariadb
    database: shop
    host: db.example.org
    user: shop
    password: "{{ shop_database_password }}"
    rights: [SELECT, INSERT, UPDATE, DELETE]
"""

RETURN = r"""
client:
  description: Whether the engine's client is installed.
  type: bool
  returned: always
server:
  description: >-
    This host's own server, with installed, version, error, database, clusters, hba, hba_path, port_holder and listens.
    Empty where O(local) is false.
  type: dict
  returned: always
connection:
  description: >-
    What connecting to O(host) gave, with asked, error, version, charset, missing and surplus rights, and tls. Empty
    where no host is given.
  type: dict
  returned: always
backups:
  description: >-
    The backups on this host, with count, newest, age_seconds, drill and restoring. Empty where O(backup_directory) is.
  type: dict
  returned: always
firewalls:
  description: The firewalls that run on this host.
  type: list
  elements: str
  returned: always
  sample: [ufw]
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterkit.middleware.plugins.module_utils._common import firewall
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.module import finish
from ansible_collections.clusterkit.middleware.plugins.module_utils._database import look
from ansible_collections.clusterkit.middleware.plugins.module_utils._database.backup import Backups
from ansible_collections.clusterkit.middleware.plugins.module_utils._database.engine import Access
from ansible_collections.clusterkit.middleware.plugins.module_utils._database.engines import engine_for


def run(module: AnsibleModule) -> dict[str, Any]:
    """Look, and report. Raises ClusterkitError."""
    given = module.params
    runner = Runner()
    own = engine_for(Access(given["engine"], port=given["port"]), runner)
    found: dict[str, Any] = {
        "changed": False,
        "client": own.installed(),
        "server": look.server(own, given["database"]) if given["local"] else {},
        "connection": {},
        "backups": {},
        "firewalls": firewall.names(runner),
    }
    if given["host"]:
        access = Access(
            given["engine"],
            given["host"],
            given["port"],
            given["user"],
            given["password"] or "",
            given["authority"],
            given["database"],
        )
        found["connection"] = connected(access, given, runner)
    if given["backup_directory"]:
        found["backups"] = Backups(own, given["database"], given["backup_directory"]).status()
    return found


def connected(access: Access, given: dict[str, Any], runner: Runner) -> dict[str, Any]:
    """Return what connecting gives, once it gives no error or the time is over."""
    end = time.monotonic() + given["wait"]
    while True:
        found = look.connection(engine_for(access, runner), given["database"], given["rights"])
        if not found["error"] or time.monotonic() >= end:
            return found
        time.sleep(0.5)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "engine": {"type": "str", "choices": ["mariadb", "mysql", "postgresql"], "required": True},
            "database": {"type": "str", "required": True},
            "local": {"type": "bool", "default": False},
            "host": {"type": "str", "default": ""},
            "port": {"type": "int", "default": 0},
            "user": {"type": "str", "default": ""},
            "password": {"type": "str", "no_log": True},
            "authority": {"type": "str", "default": ""},
            "rights": {"type": "list", "elements": "str", "default": []},
            "backup_directory": {"type": "path", "default": ""},
            "wait": {"type": "float", "default": 0},
        },
        supports_check_mode=True,
    )
    finish(module, run)


if __name__ == "__main__":
    main()
