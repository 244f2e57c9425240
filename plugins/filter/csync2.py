# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""csync2's configuration from variables, and the judgement over what the members say."""

from __future__ import annotations

from typing import Any, Callable

from ansible_collections.clusterkit.middleware.plugins.filter.cluster_members import lazily


class FilterModule:
    """Filters of the csync2 role."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {
            "csync2_certificates": lazily("_csync2.cluster", "certificates"),
            "csync2_config": lazily("_csync2.config", "text"),
            "csync2_problems": lazily("_csync2.cluster", "problems"),
            "csync2_seedings": lazily("_csync2.seed", "plan"),
            "csync2_verification": lazily("_csync2.cluster", "verification"),
        }
