# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shares from variables, and the judgement over what members say of them."""

from __future__ import annotations

from typing import Any, Callable

from ansible_collections.clusterkit.middleware.plugins.filter.cluster_members import lazily


class FilterModule:
    """Filters of the shared_mount role."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {
            "shared_mount_drop_ins": lazily("_mount.cluster", "drop_ins"),
            "shared_mount_mistakes": lazily("_mount.cluster", "mistakes"),
            "shared_mount_problems": lazily("_mount.cluster", "problems"),
            "shared_mount_settings": lazily("_mount.cluster", "settings_text"),
            "shared_mount_shares": lazily("_mount.cluster", "shares"),
            "shared_mount_verification": lazily("_mount.cluster", "verification"),
        }
