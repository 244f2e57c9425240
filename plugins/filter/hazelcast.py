# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The judgement over members that shall be one Hazelcast cluster, and the addresses that they bind to."""

from __future__ import annotations

from typing import Any, Callable

from ansible_collections.clusterkit.middleware.plugins.filter.cluster_members import lazily


class FilterModule:
    """Filters about clusters with Hazelcast."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {
            "hazelcast_interface": lazily("_hazelcast.interfaces", "matching"),
            "hazelcast_verification": lazily("_hazelcast.cluster", "verification"),
        }
