# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which members of an application's cluster are to be set up, why they cannot be one, and whether they are."""

from __future__ import annotations

from typing import Any, Callable

from ansible_collections.clusterkit.middleware.plugins.filter.cluster_members import lazily


class FilterModule:
    """Filters of roles that make a cluster of an application's servers."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {
            "application_due": lazily("_application.cluster", "to_set_up"),
            "application_problems": lazily("_application.cluster", "problems"),
            "application_unlike": lazily("_application.cluster", "unlike"),
            "application_verification": lazily("_application.cluster", "verification"),
        }
