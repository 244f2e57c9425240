# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The members of a cluster, from the inventory."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Callable

from ansible.errors import AnsibleFilterError

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError

_MODULE_UTILS = "ansible_collections.clusterkit.middleware.plugins.module_utils"


def lazily(module: str, function: str) -> Callable[..., Any]:
    """Return a filter that is a function of a module below module_utils, imported when it is first called.

    Every process that Ansible forks for a task loads all filters of the collection, and most call none of them.
    The function's error reaches the user as a filter's error, with its text and nothing around it.
    """

    def call(*arguments: Any, **options: Any) -> Any:
        implementation = getattr(import_module(f"{_MODULE_UTILS}.{module}"), function)
        try:
            return implementation(*arguments, **options)
        except ClusterkitError as error:
            raise AnsibleFilterError(str(error)) from error

    return call


class FilterModule:
    """Filters about who the members are and what was found on them."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {
            "cluster_members": lazily("_common.members", "cluster_members"),
            "cluster_results": lazily("_common.members", "cluster_results"),
            "cluster_verifications": lazily("_common.verification", "gathered"),
            "members_without_address": lazily("_common.members", "members_without_address"),
        }
