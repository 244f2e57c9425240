# SPDX-License-Identifier: GPL-3.0-or-later
"""However often the way from one server to a cluster is interrupted, the next run goes on, and nothing is lost.

Each run is killed soon after one of its next changes, drawn with a fixed seed: so the moments are spread over the whole
play, and none is repeated where an earlier run has come further.
"""

from __future__ import annotations

import os
import random
import subprocess
import time

from molecule.shared.deploy import has_what_the_first_had
from molecule.shared.scenario import ROOT, Node, Scenario, kill_with_descendants

MOMENTS = 20
#: A run is killed after one of its next changes, and so many seconds later at most: in the middle of what comes next.
NEXT, LATER = 4, 3.0
SILENCE = 900.0


def killed_after(scenario: Scenario, changes: int, later: float) -> str:
    """Start the play and kill it with all that came from it; return the task, empty when it came to its end."""
    environment = {**os.environ, "ANSIBLE_FORCE_COLOR": "0", "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "0"}
    process = subprocess.Popen(
        scenario.argv("converge.yml"),
        env={**environment, "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        cwd=ROOT,
    )
    task, seen, lines = "", 0, []
    assert process.stdout
    try:
        for line in process.stdout:
            lines.append(line)
            if line.startswith(("TASK [", "RUNNING HANDLER [")):
                task = line.split("[", 1)[1].split("]")[0]
            seen += line.startswith("changed: [")
            if seen == changes:
                time.sleep(later)  # the moment that was drawn
                return task if process.poll() is None else ""
        # It was killed without a failure of its own, or it ended well: what a kill left is nothing to refuse
        assert process.wait(SILENCE) == 0, "".join(lines[-60:])
        return ""
    finally:
        if process.poll() is None:
            kill_with_descendants(process)


def test_killed_at_many_moments_it_ends_in_a_cluster(scenario: Scenario, nodes: dict[str, Node]) -> None:
    """Verified, with the rows and files of before, and nothing left to change."""
    draw = random.Random(8)  # noqa: S311  # repeatable, no secret
    moments = [(draw.randint(1, NEXT), draw.uniform(0, LATER)) for _number in range(MOMENTS)]
    tasks = []
    for changes, later in moments:
        tasks.append(killed_after(scenario, changes, later))
        print(f"killed {later:.1f} s after: {tasks[-1] or 'nothing, it came to its end'}", flush=True)
    assert len([task for task in tasks if task]) >= MOMENTS // 2, tasks
    run = scenario.play().check()
    verification = run.facts["s1"]["deploy_cluster_verification"]
    assert verification["ok"] and sorted(verification["members_seen"]) == ["s1", "s2"]
    assert scenario.play().check().changed == set()
    for name in ("s1", "s2"):
        has_what_the_first_had(nodes[name])
