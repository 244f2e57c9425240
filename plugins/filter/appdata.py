# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the members of a cluster have their data, what has to be done about it, and whether they share them."""

from __future__ import annotations

from typing import Any, Callable, Mapping

from ansible_collections.clusterkit.middleware.plugins.filter.cluster_members import told
from ansible_collections.clusterkit.middleware.plugins.module_utils._appdata import cluster


def appdata_uses(
    found: Mapping[str, Mapping[str, Any]],
    target: str,
    layouts: Mapping[str, Mapping[str, Any]],
    base: str,
    layout: str = "auto",
    since: str = "",
) -> dict[str, dict[str, Any]]:
    """Return for each host how it uses the target: see `cluster.use`."""
    return {host: cluster.use(info, target, layouts, base, layout, since) for host, info in found.items()}


class FilterModule:
    """Filters of the deploy_appdata role."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {
            "appdata_uses": told(appdata_uses),
            "appdata_source": told(cluster.source),
            "appdata_problems": told(cluster.problems),
            "appdata_verification": told(cluster.verification),
        }
