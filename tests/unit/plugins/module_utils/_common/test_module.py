# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a module ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.module import finish

if TYPE_CHECKING:
    from tests.unit.conftest import RunModule

ODD = "/srv/no utf-8 \udcff"
SHOWN = "/srv/no utf-8 \\xff"


def test_names_that_are_no_utf_8_are_spelled_out(run_module: RunModule) -> None:
    """Ansible refuses a result that has one, wherever it stands."""

    def returns(_module: AnsibleModule) -> dict[str, Any]:
        return {"changed": True, "sent": [{"file": ODD}], "by_name": {ODD: (1, None)}}

    def fails(_module: AnsibleModule) -> dict[str, Any]:
        raise ClusterkitError(f"{ODD} is odd", {"left": [ODD]})

    done = run_module(lambda: finish(AnsibleModule(argument_spec={}), returns))
    assert (done["changed"], done["sent"], done["by_name"]) == (True, [{"file": SHOWN}], {SHOWN: [1, None]})
    failed = run_module(lambda: finish(AnsibleModule(argument_spec={}), fails))
    assert (failed["msg"], failed["left"]) == (f"{SHOWN} is odd", [SHOWN])
