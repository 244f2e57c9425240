# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server exports by NFS from variables, and the judgement over what servers say."""

from __future__ import annotations

from typing import Any, Callable

from ansible_collections.clusterkit.middleware.plugins.filter.cluster_members import lazily


class FilterModule:
    """Filters of the role nfs_server."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {
            "nfs_server_config": lazily("_nfs.exports", "config"),
            "nfs_server_exports": lazily("_nfs.exports", "render"),
            "nfs_server_mistakes": lazily("_nfs.exports", "mistakes"),
            "nfs_server_problems": lazily("_nfs.exports", "problems"),
            "nfs_server_verification": lazily("_nfs.exports", "verification"),
        }
