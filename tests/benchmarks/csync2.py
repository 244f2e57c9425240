# SPDX-License-Identifier: GPL-3.0-or-later
"""Benchmark of the csync2 role: how long a change takes to arrive, and what a run costs that has nothing to do.

    make bench NAME=csync2

Propagation: a file is written on one node, and another node is asked for it until it is there: with the watch of the
role, and with the cron job of the manual it replaces, corrected to run (`csync2 -x` every two minutes; the moment
within the interval is drawn with a fixed seed and added, so that the benchmark ends). All on the same two nodes, one
after the other. Converged run: the whole play on two hosts, five times, in turn with a play that only gathers facts.
First synchronisation: one node has 5,000 files (3 MB) and the other none; by bare csync2 (`-cr /` on both, then `-x`),
and by what the role does on the nodes (key, rsync, recording, comparison, exchange), without Ansible's own time.
"""

from __future__ import annotations

import datetime
import io
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tarfile
import time
from typing import Any

from shared import ROOT, of_scenarios, percentile, play

from lab import image
from lab.nodes import Laboratory
from lab.steps import Record, write_atomically

Node = of_scenarios("scenario").Node

CHANGES, RUNS, CRON_SECONDS, FILES = 60, 5, 120.0, 5000
PACKAGE = "ansible_collections.clusterkit.middleware.plugins.module_utils"
GROUPS = [{"name": "web", "include": ["/srv/web"]}]
#: What a program on a node begins with, so that it runs what the role's modules run.
ON_THE_NODE = f"""import json, sys
sys.path.insert(0, "/root/role")
from {PACKAGE}._common.command import Runner
from {PACKAGE}._csync2 import seed_access as access"""
RESULTS = ROOT / "docs" / "results" / "bench-csync2.md"


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


def begin_anew(one: Any, other: Any) -> None:
    """Leave many files on one node, none on the other, and nothing that csync2 knows on either."""
    for node in (one, other):
        node.out("systemctl", "stop", "csync2-watch.service", "csync2-sync.timer")
        node.out("sh", "-c", "rm -rf /var/lib/csync2/* /srv/web; mkdir /srv/web")
    make = "import pathlib\nfor n in range({}): pathlib.Path(f'/srv/web/{{n}}').write_bytes(b'x' * 600)"
    one.out("python3", "-c", make.format(FILES))


def first_by_csync2(one: Any, other: Any) -> float:
    """Return the seconds of a first synchronisation by csync2 alone."""
    begin_anew(one, other)
    began = time.monotonic()
    for node in (other, one):
        node.out("csync2", "-N", node.name, "-cr", "/")
    one.out("csync2", "-N", one.name, "-x", limit=300)
    return time.monotonic() - began


def first_by_role(one: Any, other: Any) -> float:
    """Return the seconds of a first synchronisation by what the role does on the nodes."""
    begin_anew(one, other)
    for node in (one, other):
        if node.run("sh", "-c", "command -v rsync && command -v ssh").returncode:
            node.out("apt-get", "install", "-yqq", "--no-install-recommends", "rsync", "openssh-client", limit=120)
        copy = ["docker", "cp", "-", f"{node.container}:/root"]
        subprocess.run(copy, input=_code(), check=True, capture_output=True, timeout=30)

    def on(node: Any, what: str) -> Any:
        return json.loads(node.out("python3", "-c", f"{ON_THE_NODE}\n{what}", limit=300))

    began = time.monotonic()
    key = on(other, "print(json.dumps(access.make_key(Runner())))")
    serve = [*("/usr/local/sbin/clusterkit-csync2", "serve-seed"), *("--name", one.name, "--newcomer", other.name)]
    # The addresses as the nodes themselves have them
    addresses = {node.name: node.out("hostname", "-i").split()[0] for node in (one, other)}
    port, host_keys = on(
        one,
        f"door = access.Door.found(Runner(), {addresses[other.name]!r})\n"
        f"door.open({other.name!r}, {key!r}, {addresses[other.name]!r}, {serve!r}, 600)\n"
        "print(json.dumps([door.port, access.host_keys()]))",
    )
    came = on(
        other,
        "from CK._csync2 import config, seed; from CK._common.progress import Progress\n".replace("CK", PACKAGE)
        + f"shell = access.shell({addresses[one.name]!r}, {port}, {host_keys!r})\n"
        "settings = config.parse(open('/etc/csync2.cfg').read())\n"
        f"print(json.dumps(seed.seed(settings, {other.name!r}, {one.name!r}, shell, Progress(None))))",
    )
    assert came >= FILES, came
    for verb in ("record_if_new()", "introduce('{}')", "exchange().left"):
        for node, peer in ((other, one), (one, other)):
            call = f"Csync2({node.name!r}, Runner()).{verb.format(peer.name)}"
            on(node, f"from {PACKAGE}._csync2.sync import Csync2\nprint(json.dumps(bool({call})))")
    took = time.monotonic() - began
    one.out("rm", "-r", "/root/.ssh/authorized_keys")
    assert other.out("sh", "-c", "ls /srv/web | wc -l").strip() == str(FILES)
    return took


def _code() -> bytes:
    """Return a tar archive with the code that the role's modules run, for a node's /root."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        tar.add(ROOT / "plugins" / "module_utils", f"role/{PACKAGE.replace('.', '/')}")
    return made.getvalue()


def main() -> int:
    """Run the benchmark, print it, and write it to docs/results/."""
    record = Record()
    laboratory = Laboratory("bench-csync2")
    laboratory.down(record)
    try:
        instances = laboratory.up([{"name": "n1"}, {"name": "n2"}], record)
        inventory = json.loads(laboratory.connection_inventory(instances))
        inventory["csync2_servers"] = {
            "hosts": {"n1": {}, "n2": {}},
            "vars": {"csync2_groups": GROUPS, "csync2_seed": "auto"},
        }
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
        first = play(hosts, ROOT / "playbooks" / "csync2.yml")
        converged, bare = [], []
        for _number in range(RUNS):
            converged.append(play(hosts, ROOT / "playbooks" / "csync2.yml"))
            bare.append(play(hosts, facts))
        watch = by_watch(*nodes)
        cron = by_cron(*nodes)
        alone, seeded = first_by_csync2(*nodes), first_by_role(*nodes)
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
        f"- first synchronisation of {FILES:,} files (3 MB): csync2 alone {alone:.1f} s, seeded {seeded:.1f} s: "
        f"{alone / seeded:.1f} × (goal: ≥ 10 ×)",
        f"- first run, two bare nodes to a verified cluster: {first:.1f} s",
    ]
    print("\n".join(lines))
    write_atomically(RESULTS, "\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
