# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask a host for its time, and know within which bounds."""

from __future__ import annotations

import time
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

#: The last line counts: a login may greet.
_COMMAND = "date +%s.%N"


class ActionModule(ActionBase):
    """Asks several times by the connection alone, and keeps the answer that came soonest."""

    _supports_async = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return how much the host's clock is ahead, and within how many seconds that is certain."""
        result = super().run(tmp, task_vars)
        _result, options = self.validate_argument_spec(argument_spec={"times": {"type": "int", "default": 3}})
        ahead, within = 0.0, float("inf")
        for _number in range(max(1, options["times"])):
            asked_at, began = time.time(), time.monotonic()
            said = self._low_level_execute_command(_COMMAND, sudoable=False)
            took = time.monotonic() - began
            try:
                shown = float(str(said.get("stdout", "")).split()[-1])
            except (ValueError, IndexError):
                raise AnsibleActionFail(
                    f"`{_COMMAND}` ended with {said.get('rc')} and said no time: "
                    f"{said.get('stderr') or said.get('stdout') or 'nothing'}"
                ) from None
            if took < within:
                ahead, within = shown - asked_at, took
        return {**result, "changed": False, "clock_ahead": ahead, "clock_within": within}
