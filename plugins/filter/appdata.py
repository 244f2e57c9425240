# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the members of a cluster have their data, what has to be done about it, and whether they share them."""

from __future__ import annotations

from typing import Any, Callable

from ansible_collections.clusterkit.middleware.plugins.filter.cluster_members import lazily


class FilterModule:
    """Filters of the deploy_appdata role."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {
            "appdata_uses": lazily("_appdata.cluster", "uses"),
            "appdata_source": lazily("_appdata.cluster", "source"),
            "appdata_problems": lazily("_appdata.cluster", "problems"),
            "appdata_verification": lazily("_appdata.cluster", "verification"),
        }
