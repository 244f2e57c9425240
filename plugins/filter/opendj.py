# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The judgement over what OpenDJ servers say."""

from __future__ import annotations

from typing import Any, Callable

from ansible_collections.clusterkit.middleware.plugins.filter.cluster_members import lazily


class FilterModule:
    """Filters of the roles about OpenDJ."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {
            "opendj_replication_due": lazily("_opendj.cluster", "replication_due"),
            "opendj_replication_problems": lazily("_opendj.cluster", "replication_problems"),
            "opendj_replication_source": lazily("_opendj.cluster", "replication_source"),
            "opendj_replication_verification": lazily("_opendj.cluster", "replication_verification"),
            "opendj_server_problems": lazily("_opendj.cluster", "server_problems"),
            "opendj_server_verification": lazily("_opendj.cluster", "server_verification"),
        }
