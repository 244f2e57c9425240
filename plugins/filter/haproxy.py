# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HAProxy's services and configuration from variables, and the judgement over what the balancers say."""

from __future__ import annotations

from typing import Any, Callable

from ansible_collections.clusterkit.middleware.plugins.filter.cluster_members import lazily


class FilterModule:
    """Filters of the haproxy role."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {
            "haproxy_catalogue": lazily("_haproxy.services", "catalogue"),
            "haproxy_certificate_files": lazily("_haproxy.config", "certificate_files"),
            "haproxy_config": lazily("_haproxy.config", "render"),
            "haproxy_hosts_without_address": lazily("_haproxy.services", "hosts_without_address"),
            "haproxy_mistakes": lazily("_haproxy.services", "mistakes"),
            "haproxy_problems": lazily("_haproxy.cluster", "problems"),
            "haproxy_said": lazily("_haproxy.services", "said"),
            "haproxy_users": lazily("_haproxy.config", "users"),
            "haproxy_verification": lazily("_haproxy.cluster", "verification"),
        }
