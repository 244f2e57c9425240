# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a migration is; what each phase means stands in `migration`."""

from __future__ import annotations

COPYING, PUBLISHING, SWITCHING, SWITCHED = "copying", "publishing", "switching", "switched"
CLEARING, REMOVING, REMOVED, JOINED = "clearing", "removing", "removed", "joined"
#: From the first of these on the old location is not complete any more.
GONE = (CLEARING, REMOVING, REMOVED)
