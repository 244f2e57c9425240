# SPDX-License-Identifier: GPL-3.0-or-later
"""Benchmark of the csync2 role: how long a change takes to arrive, and what a run costs that has nothing to do.

    make bench NAME=csync2

Propagation: a file is written on one node, and another node is asked for it until it is there: with the watch of the
role, and with the cron job of the manual it replaces, corrected to run (`csync2 -x` every two minutes; the moment
within the interval is drawn with a fixed seed and added, so that the benchmark ends). All on the same two nodes, one
after the other. Converged run: the whole play on two hosts, five times, in turn with a play that only gathers facts.
"""

from __future__ import annotations

import datetime
import importlib.util
import json
import os
import pathlib
import platform
import random
import statistics
import subprocess
import sys
import time
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from lab import image  # noqa: E402  # the project's root has to be on the path first
from lab.nodes import Laboratory  # noqa: E402  # the root comes first
from lab.steps import BUILD, Record, write_atomically  # noqa: E402  # the root comes first

# By its path: the installed molecule has the name of the directory
_SPEC = importlib.util.spec_from_file_location("scenario", ROOT / "molecule" / "shared" / "scenario.py")
assert _SPEC and _SPEC.loader
scenario = sys.modules["scenario"] = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(scenario)
Node = scenario.Node

CHANGES, RUNS, CRON_SECONDS = 60, 5, 120.0
GROUPS = [{"name": "web", "include": ["/srv/web"]}]
RESULTS = ROOT / "docs" / "results" / "bench-csync2.md"


def play(inventory: pathlib.Path, playbook: pathlib.Path) -> float:
    """Run a playbook and return its seconds."""
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(BUILD / "collections"), "ANSIBLE_PIPELINING": "1"}
    program = pathlib.Path(sys.executable).with_name("ansible-playbook")
    began = time.monotonic()
    done = subprocess.run(
        [str(program), "-i", str(inventory), str(playbook)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=ROOT,
    )
    if done.returncode:
        raise SystemExit(done.stdout[-3000:] + done.stderr)
    return time.monotonic() - began


def arrival(source: Any, target: Any, name: str, limit: float) -> float:
    """Write a file on one node and return the seconds until another one has it.

    The receiver looks itself, every few milliseconds: a look from outside would cost more than what is measured.
    """
    path = f"/srv/web/{name}"
    script = (
        "import os,sys,time\nend=time.time()+float(sys.argv[2])\n"
        "while not os.path.exists(sys.argv[1]):\n"
        "    if time.time()>end: sys.exit('it did not arrive')\n"
        "    time.sleep(0.002)\nprint(time.time())"
    )
    waiter = subprocess.Popen(
        ["docker", "exec", target.container, "python3", "-c", script, path, str(limit)],
        stdout=subprocess.PIPE,
        text=True,
    )
    # Both nodes have this machine's clock
    written = float(source.out("python3", "-c", f"import time; open({path!r}, 'w').write('x'); print(time.time())"))
    arrived, _error = waiter.communicate(timeout=limit + 10)
    return float(arrived) - written


def by_watch(one: Any, other: Any) -> list[float]:
    """Return the seconds of changes that the watch sends."""
    arrival(one, other, "warm-up", 30)
    return [arrival(one, other, f"watch-{number}", 30) for number in range(CHANGES)]


def by_cron(one: Any, other: Any) -> list[float]:
    """Return the seconds of changes that a job every two minutes sends: the wait for it, and the job itself."""
    for node in (one, other):
        node.out("systemctl", "stop", "csync2-watch.service", "csync2-sync.timer")
    draw = random.Random(20)  # noqa: S311  # repeatable, no secret
    seconds = []
    for number in range(CHANGES):
        one.out("sh", "-c", f"echo x > /srv/web/cron-{number}")
        began = time.monotonic()
        one.out("csync2", "-N", one.name, "-x")
        took = time.monotonic() - began
        assert other.read(f"/srv/web/cron-{number}") == "x\n"
        seconds.append(draw.uniform(0, CRON_SECONDS) + took)
    return seconds


def percentile(values: list[float], share: float) -> float:
    """Return the value below which a share of the values lies."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def main() -> int:
    """Run the benchmark, print it, and write it to docs/results/."""
    record = Record()
    laboratory = Laboratory("bench-csync2")
    laboratory.down(record)
    try:
        instances = laboratory.up([{"name": "n1"}, {"name": "n2"}], record)
        inventory = json.loads(laboratory.connection_inventory(instances))
        inventory["csync2_servers"] = {"hosts": {"n1": {}, "n2": {}}, "vars": {"csync2_groups": GROUPS}}
        hosts = laboratory.directory / "hosts.json"
        write_atomically(hosts, json.dumps(inventory))
        nodes = [Node(name, laboratory.container(name)) for name in ("n1", "n2")]
        for node in nodes:
            node.out("mkdir", "-p", "/srv/web")
        facts = laboratory.directory / "facts.yml"
        gather = {"ansible.builtin.setup": {"gather_subset": ["!all", "!min", "distribution", "network"]}}
        write_atomically(
            facts, json.dumps([{"hosts": "all", "become": True, "gather_facts": False, "tasks": [gather]}])
        )
        first = play(hosts, ROOT / "playbooks" / "site.yml")
        converged, bare = [], []
        for _number in range(RUNS):
            converged.append(play(hosts, ROOT / "playbooks" / "site.yml"))
            bare.append(play(hosts, facts))
        watch = by_watch(*nodes)
        cron = by_cron(*nodes)
    finally:
        laboratory.down(record)
    ours = (statistics.median(converged) - statistics.median(bare)) / len(nodes)
    ratio = statistics.median(cron) / statistics.median(watch)
    lines = [
        f"# csync2, {datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}",
        "",
        f"{os.cpu_count()} cores, kernel {platform.release()}; two nodes ({image.SUITE}) on one machine; "
        f"{CHANGES} changes each.",
        "",
        "| measured | median | p95 | max |",
        "| --- | ---: | ---: | ---: |",
        *(
            f"| {name} | {statistics.median(values):.3f} s | {percentile(values, 0.95):.3f} s | {max(values):.3f} s |"
            for name, values in (
                ("one change arrives, by the watch", watch),
                ("one change arrives, by the manual's cron job each two minutes (moment drawn, job measured)", cron),
                ("a run with nothing to change, two hosts", converged),
                ("a play that only gathers the facts, two hosts", bare),
            )
        ),
        "",
        f"- watch against cron: {ratio:.0f} × (goal for the watch: median ≤ 0.2 s, p95 ≤ 0.5 s)",
        f"- a run with nothing to change: {ours:.2f} s a host more than gathering facts (goal: ≤ 2 s a host)",
        f"- first run, two bare nodes to a verified cluster: {first:.1f} s",
    ]
    print("\n".join(lines))
    write_atomically(RESULTS, "\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
