# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""keepalived's instances and configuration from variables, and the judgement over what the members say."""

from __future__ import annotations

from typing import Any, Callable

from ansible_collections.clusterkit.middleware.plugins.filter.cluster_members import lazily


class FilterModule:
    """Filters of the keepalived role."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {
            "keepalived_catalogue": lazily("_keepalived.instances", "catalogue"),
            "keepalived_config": lazily("_keepalived.config", "render"),
            "keepalived_mistakes": lazily("_keepalived.instances", "mistakes"),
            "keepalived_problems": lazily("_keepalived.cluster", "problems"),
            "keepalived_strangers": lazily("_keepalived.instances", "strangers"),
            "keepalived_verification": lazily("_keepalived.cluster", "verification"),
        }
