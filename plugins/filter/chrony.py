# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""chrony's configuration from variables, and the judgement over what the members say."""

from __future__ import annotations

from typing import Any, Callable

from ansible_collections.clusterkit.middleware.plugins.filter.cluster_members import lazily


class FilterModule:
    """Filters of the chrony role."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {
            "chrony_config": lazily("_chrony.time_source", "render"),
            "chrony_mistakes": lazily("_chrony.time_source", "mistakes"),
            "chrony_problems": lazily("_chrony.time_source", "problems"),
            "chrony_verification": lazily("_chrony.time_source", "verification"),
        }
