# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How every module of the collection ends: with what it returns, or with the one error that the utils raise."""

from __future__ import annotations

import os
from typing import Any, Callable

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError


def finish(module: AnsibleModule, result: Callable[[AnsibleModule], dict[str, Any]]) -> None:
    """Exit with the result, or fail with the error's text and details."""
    try:
        returned = result(module)
    except ClusterkitError as error:
        module.fail_json(**_told({"msg": str(error), **error.details}))
    module.exit_json(**_told(returned))


def _told(value: Any) -> Any:
    """Return a value in which bytes that are no UTF-8 are spelled out: Ansible refuses a result that has any."""
    if isinstance(value, str):
        return os.fsencode(value).decode(errors="backslashreplace")
    if isinstance(value, dict):
        return {_told(key): _told(one) for key, one in value.items()}
    return [_told(one) for one in value] if isinstance(value, (list, tuple)) else value
