# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers that share a database and data: which are to be installed, why they are none, and whether they are one."""

from __future__ import annotations

from typing import Any, Callable

from ansible_collections.clusterkit.middleware.plugins.filter.cluster_members import lazily


class FilterModule:
    """Filters of the deploy_cluster role."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {
            "deploy_cluster_due": lazily("_deploy.cluster", "due"),
            "deploy_cluster_failover_problems": lazily("_deploy.cluster", "failover_problems"),
            "deploy_cluster_problems": lazily("_deploy.cluster", "problems"),
            "deploy_cluster_verification": lazily("_deploy.cluster", "verification"),
        }
