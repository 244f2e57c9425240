# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How modules reach a table of a database."""

from __future__ import annotations


class ModuleDocFragment:
    """Fragment `clusterkit.middleware.database`."""

    DOCUMENTATION = r"""
options:
  engine:
    description: Kind of the database. V(mysql) is MariaDB as well.
    type: str
    choices: [postgresql, mysql]
    required: true
  host:
    description: Name or address of its host.
    type: str
    required: true
  port:
    description: Its port; 0 for that which the engine has by itself.
    type: int
    default: 0
  database:
    description: Name of the database.
    type: str
    required: true
  user:
    description: User to connect as.
    type: str
    required: true
  password:
    description: Password of O(user).
    type: str
    default: ""
  authority:
    description:
      - File with the certificate of the authority, by which the database's certificate is verified. Without it the
        connection is as the library makes it by itself, and nothing is verified.
    type: path
  table:
    description: Name of the table, with its schema before a dot where it is needed.
    type: str
    required: true
  limit:
    description: Seconds to wait for the database.
    type: int
    default: 10
requirements:
  - psycopg2 for PostgreSQL, PyMySQL for MySQL, where the module runs
"""
