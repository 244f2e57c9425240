# SPDX-License-Identifier: GPL-3.0-or-later
"""Benchmark of deployment_sync by rsync: how soon a change is on all servers, and what a run without one costs.

    make bench NAME=deployment

Three servers. A change on the source, at a moment that nobody chose, until the last of the others has it: by the role
on every change, by its timer alone, and by the shell script that manuals give for cron, corrected so that it runs (one
server after the other, plain rsync, each minute). Then runs with nothing to do over 10,000 artifacts, the role's
program and bare rsync in turn, over pinned host keys both. All in one run, on the same nodes.
`--small` is for trying the benchmark itself.
"""

from __future__ import annotations

import datetime
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

from shared import ROOT, of_scenarios, percentile, play

from lab import image
from lab.nodes import Laboratory
from lab.steps import Record, write_atomically

Node = of_scenarios("scenario").Node

SMALL = "--small" in sys.argv[1:]
#: Changes that are timed on change, and by timer and cron each; artifacts; rounds over those.
CHANGES, TIMED, FILES, ROUNDS = (3, 1, 200, 2) if SMALL else (30, 6, 10_000, 9)
DIRECTORY = "/srv/artifacts"
PROGRAM = "/usr/local/sbin/clusterkit-deployment-sync"
RESULTS = ROOT / "docs" / "results" / "bench-deployment.md"
#: Says when a file holds something. All nodes have one clock: they are containers of one machine.
LOOK = """
import sys, time
path, wanted, end = sys.argv[1], sys.argv[2], time.monotonic() + 200
while time.monotonic() < end:
    try:
        if open(path).read() == wanted:
            print(time.time())
            break
    except OSError:
        pass
    time.sleep(0.005)
"""
CHANGE = """
import os, sys, time
path, content = sys.argv[1:]
with open(path + ".new", "w") as file:
    file.write(content)
print(time.time())
os.rename(path + ".new", path)
"""
FILL = """
import os, sys
directory, count = sys.argv[1], int(sys.argv[2])
for number in range(count):
    place = f"{directory}/{number // 100}"
    os.makedirs(place, exist_ok=True)
    with open(f"{place}/{number}.car", "w") as file:
        file.write(f"artifact {number}" * 20)
"""
#: What runs something and says how many seconds it took, without the engine's own.
TIME = """
import subprocess, sys, time
began = time.monotonic()
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(time.monotonic() - began)
"""
#: The source document's script with its lost lines back, a lock that a refused run leaves alone, and known hosts.
SCRIPT = """#!/bin/bash
pem_file=/root/cron.pem
ei_server_dir={directory}/
exec 9> /run/lock/depsync.lock
flock -n 9 || exit 1
for x in $(cat /root/nodes-list.txt); do
    rsync --delete -are "ssh -i $pem_file -o UserKnownHostsFile=/root/known_hosts -o StrictHostKeyChecking=yes" \\
        $ei_server_dir $x >> /root/logs.txt 2>&1
done
"""


def visible(source: Any, others: list[Any], number: int) -> float:
    """Change an artifact and return the seconds until the last of the others has it."""
    path, content = f"{DIRECTORY}/changing.car", f"version {number} of {time.time()}"
    looking = [
        subprocess.Popen(
            ["docker", "exec", node.container, "python3", "-c", LOOK, path, content], stdout=subprocess.PIPE, text=True
        )
        for node in others
    ]
    began = float(source.out("python3", "-c", CHANGE, path, content))
    seen = [process.communicate(timeout=240)[0].strip() for process in looking]
    if not all(seen):
        raise SystemExit("a change did not arrive within 200 s")
    return max(map(float, seen)) - began


def timed(source: Any, *argv: str) -> float:
    """Return the seconds that a command takes on the source."""
    return float(source.out("python3", "-c", TIME, *argv, limit=600).strip().splitlines()[-1])


def by_cron(source: Any, others: list[Any]) -> None:
    """Let the script run each minute, by a key of its own."""
    source.out("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "/root/cron.pem")
    public = source.read("/root/cron.pem.pub")
    known = ""
    for node in others:
        node.out("sh", "-c", "cat >> /root/.ssh/authorized_keys", stdin=public)
        known += f"{node.name} {node.read('/etc/ssh/ssh_host_ed25519_key.pub')}"
    source.write("/root/known_hosts", known)
    source.write("/root/nodes-list.txt", "".join(f"root@{node.name}:{DIRECTORY}/\n" for node in others))
    source.write("/root/depsync.sh", SCRIPT.format(directory=DIRECTORY))
    source.out("chmod", "700", "/root/depsync.sh")
    source.out("/root/depsync.sh")
    install = "apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -yqq --no-install-recommends cron"
    source.out("sh", "-c", install, limit=300)
    source.write("/etc/cron.d/depsync", "* * * * * root /root/depsync.sh\n")
    source.out("chmod", "644", "/etc/cron.d/depsync")
    source.out("systemctl", "restart", "cron.service")


def row(name: str, values: list[float]) -> str:
    """Return a row of the table of times."""
    middle, most = statistics.median(values), max(values)
    return f"| {name} | {len(values)} | {middle:.2f} s | {percentile(values, 0.95):.2f} s | {most:.2f} s |"


def changes(source: Any, others: list[Any], count: int, spread: float) -> list[float]:
    """Return how soon changes were visible, each made at a moment within `spread` seconds."""
    chosen = random.Random(1)  # noqa: S311  # no secret: moments that are spread evenly
    found = []
    for number in range(count):
        time.sleep((number + chosen.random()) * spread / count % spread)
        found.append(visible(source, others, number))
    return found


def main() -> int:
    """Run the benchmark, print it, and write it to docs/results/ unless it was a small one."""
    record = Record()
    laboratory = Laboratory("bench-deployment")
    laboratory.down(record)
    busy = os.getloadavg()[0]
    site = ROOT / "playbooks" / "deployment_sync.yml"
    try:
        names = ["n1", "n2", "n3"]
        instances = laboratory.up([{"name": name} for name in names], record)
        nodes = [Node(name, laboratory.container(name)) for name in names]
        source, others = nodes[0], nodes[1:]
        for node in nodes:
            node.out("mkdir", "-p", DIRECTORY)
        source.write(f"{DIRECTORY}/changing.car", "none")
        inventory = json.loads(laboratory.connection_inventory(instances))
        variables: dict[str, Any] = {"deployment_sync_directories": [DIRECTORY], "deployment_sync_delete_percent": 100}
        inventory["deployment_sync_servers"] = {"hosts": {name: {} for name in names}, "vars": variables}
        hosts: pathlib.Path = laboratory.directory / "hosts.json"
        write_atomically(hosts, json.dumps(inventory))

        play(hosts, site)
        at_once = changes(source, others, CHANGES, 5.0)
        play(hosts, site, "-e", json.dumps({"deployment_sync_on_change": False}))
        by_timer = changes(source, others, TIMED, 60.0)

        source.out("systemctl", "stop", "clusterkit-deployment-sync.timer")
        by_cron(source, others)
        by_script = changes(source, others, TIMED, 60.0)

        source.out("rm", "/etc/cron.d/depsync")
        source.out("python3", "-c", FILL, DIRECTORY, str(FILES), limit=300)
        commands = {"program": (PROGRAM, "run", "--wait", "120"), "bare": ("/root/depsync.sh",)}
        costs: dict[str, list[float]] = {name: [] for name in commands}
        for argv in commands.values():
            timed(source, *argv)  # all is sent, and read once
        for _number in range(ROUNDS):
            for name, argv in commands.items():
                costs[name].append(timed(source, *argv))
    finally:
        laboratory.down(record)
    ratios = [one / other for one, other in zip(costs["program"], costs["bare"], strict=True)]
    faster = statistics.median(by_script) / statistics.median(at_once)
    lines = [
        f"# Deployment synchronisation by rsync, {datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}",
        "",
        f"{os.cpu_count()} cores, kernel {platform.release()}; three nodes ({image.SUITE}) on one machine,",
        f"load average before it began {busy:.1f}, at its end {os.getloadavg()[0]:.1f} (its own with it).",
        "",
        "| from a change until both others have it | changes | median | p95 | max |",
        "| --- | ---: | ---: | ---: | ---: |",
        row("on change (default)", at_once),
        row("by timer alone, each minute", by_timer),
        row("the manual's cron script, corrected, each minute", by_script),
        "",
        f"- goals: median ≤ 1 s; ≥ 30 × as soon as the script: {faster:.0f} ×",
        f"- nothing to do, {FILES:,} artifacts, two servers, {ROUNDS} rounds in turn: the program "
        f"{statistics.median(costs['program']):.2f} s,",
        f"  the script with bare rsync {statistics.median(costs['bare']):.2f} s;",
        f"  ratio {statistics.median(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f} (goal: ≤ 1.2)",
    ]
    print("\n".join(lines))
    if not SMALL:
        write_atomically(RESULTS, "\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
