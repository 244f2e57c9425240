# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A long module to watch: counts to `steps`, and fails or goes on for ever when told so."""

from __future__ import annotations

import subprocess
import time

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.progress import Progress


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "steps": {"type": "int", "required": True},
            "pause": {"type": "float", "default": 0.0},
            "end": {"type": "str", "choices": ["well", "failed", "crash", "never"], "default": "well"},
            "password": {"type": "str", "no_log": True},
            "pid_file": {"type": "path"},
            "status_file": {"type": "path"},
        },
        supports_check_mode=True,
    )
    steps, end = module.params["steps"], module.params["end"]
    if module.check_mode:
        module.exit_json(changed=True, counted=0, watched_by=module.params["status_file"])
    with Progress(module.params["status_file"], steps, unit="steps", pause=0) as progress:
        for step in range(1, steps + 1):
            time.sleep(module.params["pause"])
            progress.update(step, f"step {step}")
        if end == "failed":
            module.fail_json(msg="found no more steps, expected one", counted=steps)
        if end == "crash":
            raise ZeroDivisionError
        if end == "never":
            try:
                # In a process group of its own, where nobody who ends the module's group reaches it
                Runner(limit=300).run(["sh", "-c", f"echo $$ > {module.params['pid_file']}; exec sleep 300"])
            except (ClusterkitError, subprocess.SubprocessError) as error:
                module.fail_json(msg=str(error))
    module.exit_json(
        changed=True, counted=steps, diff={"before": "a\n", "after": "b\n"}, ansible_facts={"probed": True}
    )


if __name__ == "__main__":
    main()
