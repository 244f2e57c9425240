# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HAProxy's services and configuration from variables, and the judgement over what the balancers say."""

from __future__ import annotations

from typing import Any, Callable, Mapping, Sequence

from ansible_collections.clusterkit.middleware.plugins.filter.cluster_members import told
from ansible_collections.clusterkit.middleware.plugins.module_utils._haproxy import cluster, config, services


def haproxy_config(
    catalogue: Sequence[Mapping[str, Any]], name: str, members: Sequence[Mapping[str, str]], **options: Any
) -> str:
    """Return the text of haproxy.cfg of one balancer."""
    return config.render(catalogue, name, members, options)


class FilterModule:
    """Filters of the haproxy role."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {
            "haproxy_catalogue": told(services.catalogue),
            "haproxy_certificate_files": told(config.certificate_files),
            "haproxy_config": told(haproxy_config),
            "haproxy_hosts_without_address": told(services.hosts_without_address),
            "haproxy_mistakes": told(services.mistakes),
            "haproxy_problems": told(cluster.problems),
            "haproxy_said": told(services.said),
            "haproxy_users": told(config.users),
            "haproxy_verification": told(cluster.verification),
        }
