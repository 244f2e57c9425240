#!/usr/bin/python
# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: app_database
short_description: A database and its user on this host's server
version_added: 0.1.0
author:
  - clusterkit contributors (@clusterkit)
description:
  - Makes a database and the user of an application, with the rights that it needs and no others, on the MariaDB or
    PostgreSQL server of this host, which is asked by its socket as its administrator.
  - The password reaches the server in the form in which the server keeps it, so that no log of statements shows it.
  - A database whose character set is another one is refused, never converted.
attributes:
  check_mode:
    support: full
    description: Tells what would be made and changed.
  diff_mode:
    support: full
    description: Shows what differs; of a password only that it does.
  idempotent:
    support: full
    description: Nothing is made or changed twice.
options:
  state:
    description: Whether the database and its user shall be there.
    type: str
    choices: [present, absent]
    default: present
  engine:
    description: What kind of server it is.
    type: str
    choices: [mariadb, postgresql]
    required: true
  port:
    description: Its port. The engine's own where it is 0.
    type: int
    default: 0
  database:
    description: Name of the database.
    type: str
    required: true
  user:
    description: Name of the user.
    type: str
    required: true
  password:
    description: Its password. Needed where O(state=present).
    type: str
  clients:
    description:
      - Addresses that the user may come from. In MariaDB the user is an account for each, and accounts of that name for
        other addresses are removed. PostgreSQL knows that from its C(pg_hba.conf).
    type: list
    elements: str
    default: []
  rights:
    description: Rights that the user has on the database, in MariaDB. In PostgreSQL it owns the database.
    type: list
    elements: str
    default: []
  charset:
    description: Character set of the database.
    type: str
    default: ""
  collation:
    description: Collation of the database. The server's own for the character set where it is empty.
    type: str
    default: ""
  tls:
    description: Whether the user has to come by TLS, in MariaDB. PostgreSQL knows that from its C(pg_hba.conf).
    type: bool
    default: false
  drop:
    description: Whether O(state=absent) removes the database as well, with all that is in it.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Have a database
  clusterkit.middleware.app_database:
    engine: mariadb
    database: shop
    user: shop
    password: "{{ shop_database_password }}"
    clients: [192.0.2.11, 192.0.2.12]
    rights: [SELECT, INSERT, UPDATE, DELETE]
    charset: utf8mb4
"""

RETURN = r"""
changes:
  description: Names of what differs.
  type: list
  elements: str
  returned: success
  sample: [database shop]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.module import finish
from ansible_collections.clusterkit.middleware.plugins.module_utils._database.engine import Access, Wanted
from ansible_collections.clusterkit.middleware.plugins.module_utils._database.engines import engine_for


def run(module: AnsibleModule) -> dict[str, Any]:
    """Compare, change, report. Raises ClusterkitError."""
    given = module.params
    engine = engine_for(Access(given["engine"], port=given["port"]), Runner())
    wanted = Wanted(
        given["database"],
        given["user"],
        given["password"] or "",
        given["clients"],
        given["rights"],
        given["charset"],
        given["collation"],
        given["tls"],
    )
    if given["state"] == "present":
        if not wanted.password:
            raise ClusterkitError("state=present needs password")
        plan = engine.plan(wanted)
    else:
        plan = engine.removal(wanted, given["drop"])
    if not module.check_mode:
        engine.execute(plan)
    return {
        "changed": plan.differences.changed,
        "changes": plan.differences.names,
        "diff": plan.differences.diff(f"database {wanted.database}"),
    }


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "engine": {"type": "str", "choices": ["mariadb", "postgresql"], "required": True},
            "port": {"type": "int", "default": 0},
            "database": {"type": "str", "required": True},
            "user": {"type": "str", "required": True},
            "password": {"type": "str", "no_log": True},
            "clients": {"type": "list", "elements": "str", "default": []},
            "rights": {"type": "list", "elements": "str", "default": []},
            "charset": {"type": "str", "default": ""},
            "collation": {"type": "str", "default": ""},
            "tls": {"type": "bool", "default": False},
            "drop": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    finish(module, run)


if __name__ == "__main__":
    main()
