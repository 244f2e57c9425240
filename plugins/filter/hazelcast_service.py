# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The judgement over members of a service that cluster with Hazelcast and find each other through a database."""

from __future__ import annotations

from typing import Any, Callable

from ansible_collections.clusterkit.middleware.plugins.filter.cluster_members import lazily


class FilterModule:
    """Filters of roles that make such a service a cluster."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {
            "hazelcast_member_exported": lazily("_hazelcast.service", "exported"),
            "hazelcast_member_plan": lazily("_hazelcast.service", "plan"),
            "hazelcast_password_changes": lazily("_hazelcast.service", "password_changes"),
            "hazelcast_registered": lazily("_hazelcast.service", "ends"),
            "hazelcast_registry": lazily("_hazelcast.service", "registry"),
            "hazelcast_service_problems": lazily("_hazelcast.service", "problems"),
            "hazelcast_service_verification": lazily("_hazelcast.service", "verification"),
        }
