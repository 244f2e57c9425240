# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Install a program that is bundled from this collection's module_utils."""

from __future__ import annotations

import os
import pathlib
import tempfile
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.bundle import bundle
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError

_OPTIONS: dict[str, Any] = {
    "module": {"type": "str", "required": True},
    # No path here: that would expand ~ and variables as they are on the control node
    "dest": {"type": "str", "required": True},
    "mode": {"type": "str", "default": "0755"},
    "owner": {"type": "str", "default": "root"},
    "group": {"type": "str", "default": "root"},
}
_MODULE_UTILS = pathlib.Path(__file__).resolve().parents[1] / "module_utils"


class ActionModule(ActionBase):
    """Bundles the program on the control node and hands it to Ansible's own copy."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the result of copying."""
        super().run(tmp, task_vars)
        _result, options = self.validate_argument_spec(argument_spec=_OPTIONS)
        try:
            program = bundle(_MODULE_UTILS, options["module"])
        except ClusterkitError as error:
            raise AnsibleActionFail(str(error)) from error
        handle, name = tempfile.mkstemp(prefix="clusterkit-program-", suffix=".pyz")
        try:
            with os.fdopen(handle, "wb") as out:
                out.write(program)
            task = self._task.copy()
            task.args = {"src": name, **{key: options[key] for key in ("dest", "mode", "owner", "group")}}
            copy = self._shared_loader_obj.action_loader.get(
                "ansible.legacy.copy",
                task=task,
                connection=self._connection,
                play_context=self._play_context,
                loader=self._loader,
                templar=self._templar,
                shared_loader_obj=self._shared_loader_obj,
            )
            copied: dict[str, Any] = copy.run(task_vars=task_vars)
        finally:
            pathlib.Path(name).unlink()
        # Two archives side by side tell nobody anything
        copied.pop("diff", None)
        return copied
