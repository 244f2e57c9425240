# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engines by name."""

from __future__ import annotations

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._database.engine import Access, Engine
from ansible_collections.clusterkit.middleware.plugins.module_utils._database.mariadb import MariaDB
from ansible_collections.clusterkit.middleware.plugins.module_utils._database.postgresql import PostgreSQL

#: MySQL is asked with the same words as MariaDB; it is not installed.
ENGINES = {"mariadb": MariaDB, "mysql": MariaDB, "postgresql": PostgreSQL}


def engine_for(access: Access, runner: Runner) -> Engine:
    """Return the engine that an access names."""
    return ENGINES[access.engine](access, runner)
