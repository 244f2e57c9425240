# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a long module and show its progress."""

from __future__ import annotations

import base64
import binascii
import json
import secrets
import time
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.clusterkit.middleware.plugins.module_utils._common import progress
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError

display = Display()

#: async_wrapper looks every 5 s whether the limit is over, from 5 s after the start in ansible-core 2.16.
_VERDICT_SECONDS = 15
#: What async_wrapper and async_status add to a module's result.
_ASYNC_KEYS = ("ansible_job_id", "finished", "started", "results_file")

_OPTIONS: dict[str, Any] = {
    "module": {"type": "str", "required": True},
    "args": {"type": "dict", "default": {}},
    "limit": {"type": "int", "required": True},
    "interval": {"type": "float", "default": 2},
    # No path here: that would expand ~ and variables as they are on the control node
    "status_file": {"type": "str"},
    "status_argument": {"type": "str", "default": "status_file"},
}


class ActionModule(ActionBase):
    """Starts the module as Ansible starts a task with `async`, then looks at its job and at its status file."""

    _supports_async = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the module's own result."""
        super().run(tmp, task_vars)
        _result, options = self.validate_argument_spec(argument_spec=_OPTIONS)
        self._refuse_early(options)
        self._vars = task_vars or {}
        self._shown = ""
        if self._task.check_mode:
            return self._on_target(options["module"], options["args"])

        self._async_directory = self._remote_expand_user(self.get_shell_option("async_dir", default="~/.ansible_async"))
        own_directory = ""
        if not options["status_file"]:
            own_directory = self._join(self._async_directory, f"clusterkit-{secrets.token_hex(8)}")
            made = self._on_target("ansible.legacy.file", {"path": own_directory, "state": "directory", "mode": "0700"})
            if made.get("failed"):
                return made
        status_file = options["status_file"] or self._join(own_directory, "status")
        try:
            return self._watch(options, status_file)
        finally:
            self._remove(own_directory or status_file)

    def _refuse_early(self, options: dict[str, Any]) -> None:
        module, argument = options["module"], options["status_argument"]
        if self._shared_loader_obj.action_loader.has_plugin(module, collection_list=self._task.collections):
            raise AnsibleActionFail(f"module {module} has an action plugin, which cannot be watched: run it by itself")
        if argument in options["args"]:
            raise AnsibleActionFail(f"args has {argument}: give the path as status_file of this task instead")
        for name in ("limit", "interval"):
            if options[name] <= 0:
                raise AnsibleActionFail(f"{name} is {options[name]}: expected seconds, more than 0")

    def _watch(self, options: dict[str, Any], status_file: str) -> dict[str, Any]:
        arguments = {**options["args"], options["status_argument"]: status_file}
        started = self._start(options["module"], arguments, options["limit"])
        job = started.get("ansible_job_id")
        if started.get("failed") or job is None:
            return started
        try:
            result = self._poll(job, status_file, options)
        finally:
            self._quietly("ansible.legacy.async_status", self._job(job, "cleanup"))
        if result.get("msg") == "Timeout exceeded" and "child_pid" in result:
            limit = options["limit"]
            return self._failure(f"{options['module']} did not end within its limit of {limit} s and was stopped")
        return {key: value for key, value in result.items() if key not in _ASYNC_KEYS}

    def _start(self, module: str, arguments: dict[str, Any], limit: int) -> dict[str, Any]:
        # _execute_module takes the limit from the task; left there, the executor would poll the job as well
        before = self._task.async_val
        self._task.async_val = limit
        try:
            return self._on_target(module, arguments, wrap_async=True)
        finally:
            self._task.async_val = before
            # The wrapper removes the temporary directory of the job; those of the calls that follow are ours to remove
            self._cleanup_remote_tmp = True

    def _poll(self, job: str, status_file: str, options: dict[str, Any]) -> dict[str, Any]:
        """Show progress until the job has a result, and return that."""
        deadline = time.monotonic() + options["limit"] + _VERDICT_SECONDS
        while True:
            try:
                status = self._on_target("ansible.legacy.async_status", self._job(job, "status"))
                if status.get("finished"):
                    return status
                if not status.get("failed"):
                    self._show(options["module"], status_file)
            except AnsibleConnectionFailure as error:
                # The job does not need the connection, so a network that comes back is no failure
                if time.monotonic() >= deadline:
                    raise
                display.vvv(f"{self._host()}: no connection to look at {job}, trying again: {error}")
                self._connection.reset()
            if time.monotonic() >= deadline:
                return self._failure(
                    f"{options['module']} has no result {_VERDICT_SECONDS} s after its limit of {options['limit']} s: "
                    "was the target restarted?"
                )
            time.sleep(options["interval"])

    def _show(self, module: str, status_file: str) -> None:
        # The task's no_log covers what the module says of its work, too
        if self._task.no_log:
            return
        line = self._progress(status_file)
        if line and line != self._shown:
            self._shown = line
            display.display(f"{self._host()}: {module}: {line}", stderr=True)

    def _progress(self, status_file: str) -> str:
        read = self._on_target("ansible.legacy.slurp", {"src": status_file})
        try:
            return progress.render(json.loads(base64.b64decode(read["content"])))
        except (KeyError, ValueError, binascii.Error, ClusterkitError):
            return ""  # not written yet, or by a module that writes something else

    def _failure(self, message: str) -> dict[str, Any]:
        seen = self._shown or "none was seen"
        return {"failed": True, "msg": f"{message}. Last progress: {seen}", "progress": self._shown}

    def _remove(self, path: str) -> None:
        self._quietly("ansible.legacy.file", {"path": path, "state": "absent"})

    def _quietly(self, module: str, arguments: dict[str, Any]) -> None:
        """Clean up: what went wrong before matters more than a failure here."""
        try:
            result = self._on_target(module, arguments)
            problem = result.get("msg", "failed") if result.get("failed") else ""
        except AnsibleConnectionFailure as error:
            problem = str(error)
        if problem:
            display.warning(f"{self._host()}: could not clean up {arguments.get('path', 'the job file')}: {problem}")

    def _on_target(self, module: str, arguments: dict[str, Any], wrap_async: bool = False) -> dict[str, Any]:
        # A copy, since _execute_module adds its own keys
        result: dict[str, Any] = self._execute_module(
            module_name=module, module_args=dict(arguments), task_vars=self._vars, wrap_async=wrap_async
        )
        return result

    def _job(self, job: str, mode: str) -> dict[str, Any]:
        return {"jid": job, "mode": mode, "_async_dir": self._async_directory}

    def _join(self, *parts: str) -> str:
        path: str = self._connection._shell.join_path(*parts)
        return path

    def _host(self) -> str:
        return str(self._vars.get("inventory_hostname", "localhost"))
