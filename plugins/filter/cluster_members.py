# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The members of a cluster, from the inventory."""

from __future__ import annotations

from typing import Any, Callable

from ansible.errors import AnsibleFilterError

from ansible_collections.clusterkit.middleware.plugins.module_utils._common import members
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError


def told(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a function's error reach the user as a filter's error, with its text and nothing around it."""

    def call(*arguments: Any, **options: Any) -> Any:
        try:
            return function(*arguments, **options)
        except ClusterkitError as error:
            raise AnsibleFilterError(str(error)) from error

    return call


class FilterModule:
    """Filters about who the members are and what was found on them."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {
            "cluster_members": told(members.cluster_members),
            "cluster_results": told(members.cluster_results),
            "members_without_address": told(members.members_without_address),
        }
