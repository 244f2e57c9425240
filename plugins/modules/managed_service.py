#!/usr/bin/python
# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: managed_service
short_description: The files of a service and its units, as one
version_added: 0.1.0
author:
  - clusterkit contributors (@clusterkit)
description:
  - Writes the files that make up a service, lets systemd read its units again where they changed, and has them run.
  - A unit is restarted or reloaded when a file changed that names it. Where a run is killed between the two, the next
    one makes up for it.
  - Every file with O(files[].validate) is judged before the first one is replaced.
attributes:
  check_mode:
    support: full
    description: Tells what would be written, started, stopped, restarted and enabled.
    details:
      - A command of O(files[].validate) that is not there is passed over.
  diff_mode:
    support: full
    description: Shows each file and each unit that differs.
  idempotent:
    support: full
    description: Nothing is written, restarted or enabled twice.
options:
  files:
    description: Files that shall be there, or not.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Path of the file. Its directory has to exist, or to be one of O(directories).
        type: path
        required: true
      state:
        description: Whether the file shall be there.
        type: str
        choices: [present, absent]
        default: present
      content:
        description: What the file holds.
        type: str
      content_base64:
        description: What the file holds, encoded in base64; for what is no text.
        type: str
      secret_content:
        description: What the file holds, never shown.
        type: str
      mode:
        description: Mode of the file, in octal digits.
        type: str
        default: "0644"
      owner:
        description: Owner of the file.
        type: str
        default: root
      group:
        description: Group of the file.
        type: str
        default: root
      validate:
        description:
          - Command, as a list of arguments, that judges the file before it is replaced. C(%s) is the path of what would
            be written.
          - The path of another file of this call, as an argument or within the file, stands there for what that one
            would be, so that files which belong together are judged together.
        type: list
        elements: str
        default: []
      restarts:
        description:
          - Units that are restarted when the file changes.
          - For one that is not in O(units) a note is left, and the call that has it there restarts it.
        type: list
        elements: str
        default: []
      reloads:
        description: Units that are reloaded when the file changes. See O(files[].restarts).
        type: list
        elements: str
        default: []
  directories:
    description: Directories that shall be there, and those above them.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Path of the directory.
        type: path
        required: true
      mode:
        description: Mode of the directory, in octal digits.
        type: str
        default: "0755"
      owner:
        description: Owner of the directory.
        type: str
        default: root
      group:
        description: Group of the directory.
        type: str
        default: root
  units:
    description: Units of systemd, in the order in which they are started.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the unit with its suffix.
        type: str
        required: true
      state:
        description:
          - Whether it shall run. A unit that is to be V(stopped) need not be there.
          - One that is V(unchanged) is neither started nor stopped, enabled nor disabled; where it runs it is restarted
            or reloaded as its files ask for.
        type: str
        choices: [running, stopped, unchanged]
        default: running
      enabled:
        description: Whether it shall start with the host. As O(units[].state) where it is not given.
        type: bool
      restart:
        description: Whether to restart it for a reason that this call does not see, such as RV(due) of another one.
        type: bool
        default: false
  limit:
    description: Seconds that each unit may take to start or stop.
    type: float
    default: 90.0
"""

EXAMPLES = r"""
- name: Run a job every hour
  clusterkit.middleware.managed_service:
    files:
      - path: /etc/systemd/system/report.service
        content: |
          [Service]
          Type=oneshot
          ExecStart=/usr/local/bin/report
      - path: /etc/systemd/system/report.timer
        content: |
          [Timer]
          OnCalendar=hourly
          [Install]
          WantedBy=timers.target
        restarts: [report.timer]
    units:
      - name: report.timer

- name: Run it no more
  clusterkit.middleware.managed_service:
    files:
      - {path: /etc/systemd/system/report.timer, state: absent}
      - {path: /etc/systemd/system/report.service, state: absent}
    units:
      - {name: report.timer, state: stopped}
"""

RETURN = r"""
files:
  description: Paths of the files that were written or removed, or whose attributes were set.
  type: list
  elements: str
  returned: success
  sample: [/etc/systemd/system/report.timer]
restarted:
  description: Units that were started, restarted or reloaded, each with what was done.
  type: dict
  returned: success
  sample: {"report.timer": "restart"}
due:
  description: Units that are not in O(units) and that have to be restarted or reloaded since a file changed.
  type: list
  elements: str
  returned: success
  sample: []
"""

import base64
import binascii
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.module import finish
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.service import (
    Directory,
    File,
    Service,
    Systemd,
    Unit,
)

_CONTENTS = ("content", "content_base64", "secret_content")


_RUNNING = {"running": True, "stopped": False, "unchanged": None}


def unit_of(given: dict[str, Any]) -> Unit:
    """Return a unit as it was asked for."""
    running = _RUNNING[given["state"]]
    enabled = running if given["enabled"] is None else given["enabled"]
    return Unit(given["name"], running, enabled, given["restart"])


def mode_of(text: str, path: str) -> int:
    """Return the mode that octal digits name. Raises ClusterkitError."""
    try:
        return int(text, 8)
    except ValueError:
        raise ClusterkitError(f"mode of {path} is {text!r}: give octal digits in quotes, such as '0644'") from None


def content_of(given: dict[str, Any]) -> bytes | None:
    """Return what a file shall hold, None where it shall not be there. Raises ClusterkitError."""
    named = [name for name in _CONTENTS if given[name] is not None]
    if given["state"] == "absent":
        return None
    if len(named) != 1:
        raise ClusterkitError(f"{given['path']} has {len(named)} of {', '.join(_CONTENTS)}: give one")
    content: str = given[named[0]]
    if named[0] != "content_base64":
        return content.encode("utf-8", "surrogateescape")
    try:
        return base64.b64decode(content, validate=True)
    except binascii.Error as error:
        raise ClusterkitError(f"content_base64 of {given['path']} is no base64: {error}") from None


def file_of(given: dict[str, Any]) -> File:
    """Return a file as it was asked for. Raises ClusterkitError."""
    return File(
        given["path"],
        content_of(given),
        mode_of(given["mode"], given["path"]),
        given["owner"],
        given["group"],
        secret=given["secret_content"] is not None,
        validate=tuple(given["validate"]),
        restarts=tuple(given["restarts"]),
        reloads=tuple(given["reloads"]),
    )


def run(module: AnsibleModule) -> dict[str, Any]:
    """Plan, judge, apply, report. Raises ClusterkitError."""
    wanted = module.params
    runner = Runner()
    service = Service(
        [file_of(one) for one in wanted["files"]],
        [
            Directory(one["path"], mode_of(one["mode"], one["path"]), one["owner"], one["group"])
            for one in wanted["directories"]
        ],
        [unit_of(one) for one in wanted["units"]],
        Systemd(runner, wanted["limit"]),
        runner,
    )
    plan = service.plan()
    service.validate(plan, tolerate_missing=module.check_mode)
    diffs = plan.diffs()
    if not module.check_mode:
        service.apply(plan)
    return {
        "changed": plan.changed,
        "diff": diffs,
        "files": [change.file.path for change in plan.changes],
        "restarted": {step.unit.name: step.needs for step in plan.steps if step.needs},
        "due": [name for name, _verb in plan.later],
    }


def main() -> None:
    """Run the module."""
    ownership = {
        "owner": {"type": "str", "default": "root"},
        "group": {"type": "str", "default": "root"},
    }
    module = AnsibleModule(
        argument_spec={
            "files": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "path": {"type": "path", "required": True},
                    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
                    "content": {"type": "str"},
                    # No secret, but much of it: nobody wants it in a log
                    "content_base64": {"type": "str", "no_log": True},
                    "secret_content": {"type": "str", "no_log": True},
                    "mode": {"type": "str", "default": "0644"},
                    "validate": {"type": "list", "elements": "str", "default": []},
                    "restarts": {"type": "list", "elements": "str", "default": []},
                    "reloads": {"type": "list", "elements": "str", "default": []},
                    **ownership,
                },
            },
            "directories": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "path": {"type": "path", "required": True},
                    "mode": {"type": "str", "default": "0755"},
                    **ownership,
                },
            },
            "units": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "name": {"type": "str", "required": True},
                    "state": {"type": "str", "choices": list(_RUNNING), "default": "running"},
                    "enabled": {"type": "bool"},
                    "restart": {"type": "bool", "default": False},
                },
            },
            "limit": {"type": "float", "default": 90.0},
        },
        supports_check_mode=True,
    )
    finish(module, run)


if __name__ == "__main__":
    main()
