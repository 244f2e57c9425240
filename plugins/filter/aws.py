# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judgements over what is in an account of AWS."""

from __future__ import annotations

from typing import Any, Callable

from ansible_collections.clusterkit.middleware.plugins.filter.cluster_members import lazily


class FilterModule:
    """Filters of roles that act on an account of AWS."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {
            "instance_discovery_plan": lazily("_aws.discovery", "plan"),
            "instance_discovery_problems": lazily("_aws.discovery", "problems"),
            "instance_discovery_verification": lazily("_aws.discovery", "verification"),
            "lifecycle_document": lazily("_aws.lifecycle", "document"),
            "lifecycle_exported": lazily("_aws.lifecycle", "exported"),
            "lifecycle_verification": lazily("_aws.lifecycle", "verification"),
            "lifecycle_without_agent": lazily("_aws.lifecycle", "without_agent"),
        }
