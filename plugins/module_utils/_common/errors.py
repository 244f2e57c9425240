# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one exception that the collection's own code raises for what it expects to go wrong."""

from __future__ import annotations

from typing import Any, Mapping


class ClusterkitError(Exception):
    """Says what was found, where, and what would be right; `main()` of a module turns it into `fail_json`.

    `details` holds values for the module's result (such as cmd, rc, stderr). Neither holds a secret.
    """

    def __init__(self, message: str, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.details: dict[str, Any] = dict(details or {})
