# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Declare a host's membership in a Hazelcast cluster in the file that its product reads."""

from __future__ import annotations

import base64
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._formats import carbon
from ansible_collections.clusterkit.middleware.plugins.module_utils._formats.format import Outcome
from ansible_collections.clusterkit.middleware.plugins.module_utils._formats.formats import FORMATS, of_file
from ansible_collections.clusterkit.middleware.plugins.module_utils._hazelcast.membership import (
    Membership,
    argument_spec,
)

display = Display()

_OPTIONS: dict[str, Any] = {
    # No path here: that would expand ~ and variables as they are on the control node
    "path": {"type": "str", "required": True},
    "format": {"type": "str", "choices": sorted(FORMATS)},
    "carbon_home": {"type": "str"},
    "kernel": {"type": "str"},
    "key_form": {"type": "str", "choices": ["nested", "dotted"], "default": "nested"},
    "mode": {"type": "str"},
    "owner": {"type": "str"},
    "group": {"type": "str"},
    "backup": {"type": "bool", "default": False},
    **argument_spec(),
}


class ActionModule(ActionBase):
    """Reads the file on the target, edits it here, and has it written there if it is still what was read."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return what differed."""
        super().run(tmp, task_vars)
        _result, options = self.validate_argument_spec(argument_spec=_OPTIONS)
        self._vars = task_vars or {}
        try:
            return self._declare(options)
        except ClusterkitError as error:
            raise AnsibleActionFail(f"{options['path']}: {error}") from None

    def _declare(self, options: dict[str, Any]) -> dict[str, Any]:
        path = options["path"]
        form = FORMATS[options["format"]] if options["format"] else of_file(path)
        declared = Membership.read(options)
        home = options["carbon_home"] or ""
        read = self._on_target({"path": path, "names": carbon.patterns(home)})
        if read.get("failed"):
            return read
        if not read["exists"]:
            if options["state"] == "absent":
                return {"changed": False, "changed_values": []}
            raise ClusterkitError("there is no such file: expected the one that the installed product reads")
        content = base64.b64decode(read["content"])
        around = carbon.installed(home, read["paths"], options["kernel"] or "", options["key_form"] == "dotted")
        outcome = form(content, around).declare(declared)
        for warning in outcome.warnings:
            display.warning(f"{self._vars.get('inventory_hostname', 'localhost')}: {path}: {warning}")
        wanted = {name: options[name] for name in ("mode", "owner", "group")}
        result: dict[str, Any] = {"changed": False}
        if outcome.differences.changed or any(value is not None for value in wanted.values()):
            encoded = base64.b64encode(outcome.content).decode()
            result = self._on_target(
                {"path": path, "content": encoded, "replaces": read["sha256"], "backup": options["backup"], **wanted}
            )
        return self._result(path, outcome, result)

    def _result(self, path: str, outcome: Outcome, written: dict[str, Any]) -> dict[str, Any]:
        if written.get("failed"):
            return written
        return {
            "changed": outcome.differences.changed or written["changed"],
            "changed_values": outcome.differences.names,
            "diff": outcome.differences.diff(path),
            "advice": outcome.warnings,
            **({"backup": written["backup"]} if "backup" in written else {}),
        }

    def _on_target(self, arguments: dict[str, Any]) -> dict[str, Any]:
        result: dict[str, Any] = self._execute_module(
            module_name="clusterkit.middleware.file_content", module_args=arguments, task_vars=self._vars
        )
        # What a module was called with has no place in what the task returns
        result.pop("invocation", None)
        return result
