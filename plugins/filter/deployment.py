# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The judgement over servers that shall have the same artifacts, and what each of them is to know."""

from __future__ import annotations

from typing import Any, Callable

from ansible_collections.clusterkit.middleware.plugins.filter.cluster_members import lazily


class FilterModule:
    """Filters of the role deployment_sync."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {
            "deployment_sync_artifacts": lazily("_deployment.release", "artifacts"),
            "deployment_sync_directories": lazily("_deployment.cluster", "directories"),
            "deployment_sync_is_first": lazily("_deployment.merge", "is_first"),
            "deployment_sync_known_hosts": lazily("_deployment.cluster", "known_hosts"),
            "deployment_sync_merge_problems": lazily("_deployment.merge", "problems"),
            "deployment_sync_nodes": lazily("_deployment.cluster", "nodes"),
            "deployment_sync_problems": lazily("_deployment.cluster", "problems"),
            "deployment_sync_release_problems": lazily("_deployment.release", "problems"),
            "deployment_sync_rolled_back": lazily("_deployment.release", "rolled_back"),
            "deployment_sync_settings": lazily("_deployment.cluster", "settings"),
            "deployment_sync_too_many": lazily("_deployment.release", "too_many"),
            "deployment_sync_verification": lazily("_deployment.cluster", "verification"),
        }
