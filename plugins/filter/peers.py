# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether hosts are fit to be each other's peers."""

from __future__ import annotations

from typing import Any, Callable

from ansible_collections.clusterkit.middleware.plugins.filter.cluster_members import lazily


class FilterModule:
    """Filters about hosts that are to work together, whatever the product."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {
            "clock_problems": lazily("_common.peers", "clocks"),
            "resource_shortages": lazily("_common.peers", "shortages"),
        }
