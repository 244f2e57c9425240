# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Send a server the contents of a release that it has not, all at once, and no others."""

from __future__ import annotations

import pathlib
import tarfile
import tempfile
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

_MODULE = "clusterkit.middleware.deployment_sync_release"


class ActionModule(ActionBase):
    """Asks the module what is missing, packs that, and calls the module again with the archive."""

    _supports_async = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the module's own result. Raises AnsibleActionFail for a content that is not here."""
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        sources = arguments.pop("sources", None) or {}
        asked = self._on_target(arguments, task_vars)
        if asked.get("failed") or self._task.check_mode or not asked.get("missing"):
            return asked
        unknown = [one for one in asked["missing"] if one not in sources]
        if unknown:
            raise AnsibleActionFail(f"{len(unknown)} contents are neither on the server nor here: {unknown[0]} is one")
        remote = self._join(self._make_tmp_path(), "contents.tar")
        try:
            with tempfile.TemporaryDirectory(prefix="clusterkit-") as directory:
                archive = pathlib.Path(directory) / "contents.tar"
                with tarfile.open(archive, "w") as packed:
                    for one in asked["missing"]:
                        packed.add(sources[one], arcname=one)
                self._transfer_file(str(archive), remote)
            self._fixup_perms2([self._connection._shell.tmpdir, remote])
            sent = self._on_target({**arguments, "archive": remote}, task_vars)
        except OSError as error:
            raise AnsibleActionFail(f"cannot pack {error.filename}: {error.strerror}") from None
        finally:
            self._remove_tmp_path(self._connection._shell.tmpdir)
        return sent if sent.get("failed") else {**sent, "changed": True, "diff": asked.get("diff", {})}

    def _join(self, directory: str, name: str) -> str:
        joined: str = self._connection._shell.join_path(directory, name)
        return joined

    def _on_target(self, arguments: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        result: dict[str, Any] = self._execute_module(
            module_name=_MODULE, module_args=arguments, task_vars=task_vars or {}
        )
        # What a module was called with has no place in what the task returns: a release may have thousands of files
        result.pop("invocation", None)
        return result
