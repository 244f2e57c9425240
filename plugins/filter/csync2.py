# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""csync2's configuration from variables, and the judgement over what the members say."""

from __future__ import annotations

from typing import Any, Callable, Sequence

from ansible_collections.clusterkit.middleware.plugins.filter.cluster_members import told
from ansible_collections.clusterkit.middleware.plugins.module_utils._csync2 import cluster, config, seed


def csync2_config(groups: Sequence[dict[str, Any]], **options: Any) -> str:
    """Return the text of csync2.cfg for the role's variables. Raises ClusterkitError."""
    wanted = config.from_variables(groups, **options)
    return config.render(config.with_probe(wanted, options["members"], options["key"]))


class FilterModule:
    """Filters of the csync2 role."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {
            "csync2_certificates": told(cluster.certificates),
            "csync2_config": told(csync2_config),
            "csync2_problems": told(cluster.problems),
            "csync2_seedings": told(seed.plan),
            "csync2_verification": told(cluster.verification),
        }
