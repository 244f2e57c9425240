# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The judgement over servers on a Carbon kernel, before anything is changed."""

from __future__ import annotations

from typing import Any, Callable

from ansible_collections.clusterkit.middleware.plugins.filter.cluster_members import lazily


class FilterModule:
    """Filters about such servers."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {
            "carbon_due": lazily("_hazelcast.servers", "due"),
            "carbon_problems": lazily("_hazelcast.servers", "problems"),
        }
