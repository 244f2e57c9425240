# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a database should be, from variables, and the judgement over what its clients find."""

from __future__ import annotations

from typing import Any, Callable

from ansible_collections.clusterkit.middleware.plugins.filter.cluster_members import lazily


class FilterModule:
    """Filters of the app_database role."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {
            "app_database_charset": lazily("_database.cluster", "charset"),
            "app_database_hba": lazily("_database.cluster", "hba"),
            "app_database_problems": lazily("_database.cluster", "problems"),
            "app_database_rights": lazily("_database.cluster", "rights"),
            "app_database_verification": lazily("_database.cluster", "verification"),
        }
