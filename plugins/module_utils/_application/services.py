# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which services the service manager has, and how they are."""

from __future__ import annotations

import time
from typing import Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common import host
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner

#: States of files that are no service of their own: another name of one, or one that cannot be started.
_NONE_OF_ITS_OWN = ("alias", "masked", "masked-runtime")
#: States that last while a unit is started, stopped or read again.
_ON_THE_WAY = ("activating", "deactivating", "reloading")
_LOOK_SECONDS = 0.5


def names(patterns: Sequence[str], runner: Runner) -> list[str]:
    """Return the services that match a pattern, those that come from init scripts too. Raises ClusterkitError."""
    if not patterns:
        return []
    wanted = [f"{pattern}.service" for pattern in patterns]
    argv = ["systemctl", "list-unit-files", "--type=service", "--no-legend", "--no-pager", "--full", *wanted]
    # 1 says that there is none
    rows = [line.split() for line in runner.run(argv, limit=20, accept={0, 1}).stdout.splitlines()]
    return [row[0] for row in rows if len(row) > 1 and row[1] not in _NONE_OF_ITS_OWN and "@" not in row[0]]


def settled(units: Sequence[str], seconds: float, runner: Runner) -> dict[str, str]:
    """Return the state of each unit, when none is on its way to another one or `seconds` have passed."""
    end = time.monotonic() + seconds
    while True:
        states = host.unit_states(units, runner)
        if time.monotonic() >= end or not set(states.values()) & set(_ON_THE_WAY):
            return states
        time.sleep(_LOOK_SECONDS)
