# SPDX-License-Identifier: GPL-3.0-or-later
"""Benchmark of haproxy and keepalived: what clients miss, and what the configuration costs.

    make bench NAME=traffic

Takeover: the balancer that holds the virtual address is killed, again and again; a client that asks for a page every
20 ms knows how long nobody answered. With an advertisement each second, and each 0.2 s. Roll: clients that try nothing
twice ask both balancers without a pause, for 100,000 requests at least, while servers are drained, stopped, started and
made ready one after the other. Throughput: wrk against the role's HAProxy and against one with the least that works, on
the same balancer, before the same server (an HAProxy that answers by itself), in turn.
"""

from __future__ import annotations

import datetime
import json
import os
import pathlib
import platform
import re
import statistics
import sys
import time
from typing import Any

from shared import ROOT, of_scenarios, percentile, play

from lab import image
from lab.nodes import Laboratory
from lab.steps import Record, write_atomically

Node, wait_for = of_scenarios("scenario").Node, of_scenarios("scenario").wait_for
traffic = of_scenarios("load")

KILLS, REQUESTS, ROUNDS, SECONDS = 8, 100_000, 7, 6
#: The roll ends for certain, however slow the machine is.
LONGEST_ROLL = 900.0
RESULTS = ROOT / "docs" / "results" / "bench-traffic.md"
FAST = """defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend fast
    bind :9090
    http-request return status 200 content-type text/plain string "hello"
"""
LEAST = """defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend least
    bind :8090
    default_backend least
backend least
    server s1 {0}:9090
    server s2 {1}:9090
"""
BACKEND = """[Service]
ExecStart=/usr/bin/python3 /usr/local/lib/backend.py {0} 8080
"""


def unit(node: Any, name: str, text: str) -> None:
    """Run a service on a node."""
    node.write(f"/etc/systemd/system/{name}.service", text)
    node.out("systemctl", "daemon-reload")
    node.out("systemctl", "restart", f"{name}.service")


def haproxy_beside(node: Any, name: str, text: str) -> None:
    """Run one more HAProxy on a node."""
    node.write(f"/etc/{name}.cfg", text)
    unit(node, name, f"[Service]\nExecStart=/usr/sbin/haproxy -W -f /etc/{name}.cfg\nLimitNOFILE=65536\n")


def install(node: Any, *packages: str) -> None:
    """Install packages on a node."""
    node.out(
        "sh", "-c", f"apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -yqq {' '.join(packages)}"
    )


def holder(balancers: list[Any], address: str) -> Any:
    """Return who alone holds the address, waiting for it."""

    def one() -> list[Any]:
        found = [node for node in balancers if f" {address}/" in node.run("ip", "-4", "address", "show").stdout]
        return found if len(found) == 1 else []

    return wait_for(one, "one holder", 60)[0]


def takeovers(balancers: list[Any], address: str) -> list[float]:
    """Return how long clients waited when the holder was killed."""
    waits = []
    for _number in range(KILLS):
        lost = holder(balancers, address)
        with traffic.Watcher(address) as watcher:
            wait_for(lambda: watcher.answered, "answers", 30)  # called at once
            time.sleep(1)  # so that the moment is not that of the last change
            began = time.monotonic()
            lost.engine("kill")
            wait_for(lambda: watcher.answered[-1] > began + 1, "answers again", 60)  # noqa: B023  # called at once
        waits.append(watcher.gap(began))
        lost.engine("start")
        asked = ("systemctl", "is-active", "haproxy.service", "keepalived.service")
        wait_for(lambda: lost.run(*asked).returncode == 0, "it is back", 90)  # noqa: B023  # called at once
        time.sleep(3)  # its checks have to pass, or nobody could take over next time
    return waits


def roll(inventory: pathlib.Path, servers: list[Any], places: list[str]) -> tuple[Any, int]:
    """Roll servers under load until there were enough requests; return what clients saw, and the number of servers."""
    clients: dict[str, Any] = {}
    for place in places:
        for number in range(3):
            clients[f"{place} kept {number}"] = traffic.getting(place, 80)
            clients[f"{place} new {number}"] = traffic.getting(place, 80, keep=False)
        clients[f"{place} post"] = traffic.posting(place, 80)
        clients[f"{place} post new"] = traffic.posting(place, 80, keep=False)
    rolled, began = 0, time.monotonic()
    with traffic.load(clients, pause=0.001) as outcome:
        while (outcome.requests < REQUESTS or rolled < len(servers)) and time.monotonic() < began + LONGEST_ROLL:
            node = servers[rolled % len(servers)]
            play(inventory, ROOT / "playbooks" / "drain.yml", "-e", f"node={node.name}")
            node.out("systemctl", "restart", "backend.service")
            play(inventory, ROOT / "playbooks" / "ready.yml", "-e", f"node={node.name}")
            rolled += 1
    return outcome, rolled


def rate(client: Any, place: str, port: int) -> float:
    """Return the requests a second that wrk gets through."""
    said = client.out("wrk", "-t1", "-c32", f"-d{SECONDS}s", f"http://{place}:{port}/", limit=60)
    bad = re.search(r"Socket errors.*|Non-2xx.*", said)
    found = re.search(r"Requests/sec:\s+([0-9.]+)", said)
    if bad or not found:
        raise SystemExit(f"wrk at port {port}: {said}")
    return float(found[1])


def row(name: str, values: list[float]) -> str:
    """Return a row of the table of times."""
    return f"| {name} | {statistics.median(values):.2f} s | {percentile(values, 0.95):.2f} s | {max(values):.2f} s |"


def main() -> int:
    """Run the benchmark, print it, and write it to docs/results/."""
    record = Record()
    laboratory = Laboratory("bench-traffic")
    laboratory.down(record)
    busy = os.getloadavg()[0]
    try:
        names = ["lb1", "lb2", "s1", "s2", "c1"]
        instances = laboratory.up([{"name": name} for name in names], record)
        addresses = {one["instance"]: one["address"] for one in instances}
        nodes = {name: Node(name, laboratory.container(name)) for name in names}
        address = addresses["lb1"].rpartition(".")[0] + ".200"
        for name in ("s1", "s2"):
            nodes[name].write(
                "/usr/local/lib/backend.py",
                (ROOT / "tests" / "fixtures" / "backend" / "server.py").read_text(encoding="utf-8"),
            )
            unit(nodes[name], "backend", BACKEND.format(name))
            install(nodes[name], "--no-install-recommends", "haproxy")
            nodes[name].out("systemctl", "disable", "--now", "haproxy.service")
            haproxy_beside(nodes[name], "fast", FAST)
        install(nodes["c1"], "--no-install-recommends", "wrk")

        inventory = json.loads(laboratory.connection_inventory(instances))
        web = {"name": "web", "port": 80, "members_group": "servers", "member_port": 8080, "check": {"path": "/health"}}
        fast = {**web, "name": "fast", "port": 8089, "member_port": 9090, "check": {"path": "/"}}
        balancers = {
            "haproxy_services": [web, fast],
            "keepalived_instances": [{"name": "web", "router_id": 51, "addresses": [address]}],
            "keepalived_checks": [{"name": "haproxy", "port": 8405, "path": "/health"}],
        }
        inventory["load_balancers"] = {"hosts": {"lb1": {}, "lb2": {}}, "vars": balancers}
        inventory["keepalived_servers"] = {"hosts": {"lb1": {}, "lb2": {}}}
        inventory["servers"] = {"hosts": {"s1": {}, "s2": {}}}
        hosts = laboratory.directory / "hosts.json"
        write_atomically(hosts, json.dumps(inventory))
        site = ROOT / "playbooks" / "site.yml"
        pair = [nodes["lb1"], nodes["lb2"]]

        play(hosts, site)
        haproxy_beside(nodes["lb1"], "least", LEAST.format(addresses["s1"], addresses["s2"]))
        ours, least = [], []
        for port in (8089, 8090):
            rate(nodes["c1"], addresses["lb1"], port)  # to warm up
        for _number in range(ROUNDS):
            ours.append(rate(nodes["c1"], addresses["lb1"], 8089))
            least.append(rate(nodes["c1"], addresses["lb1"], 8090))
        nodes["lb1"].out("systemctl", "stop", "least.service")

        outcome, rolled = roll(hosts, [nodes["s1"], nodes["s2"]], [addresses["lb1"], addresses["lb2"]])
        slow = takeovers(pair, address)
        play(hosts, site, "-e", json.dumps({"keepalived_advert_seconds": 0.2}))
        quick = takeovers(pair, address)
    finally:
        laboratory.down(record)
    ratios = [one / other for one, other in zip(ours, least, strict=True)]
    rolls = f"{rolled} times: {outcome.requests:,} requests, {outcome.requests / outcome.seconds:.0f}/s"
    spread = f"{statistics.median(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f}"
    lines = [
        f"# Traffic, {datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}",
        "",
        f"{os.cpu_count()} cores, kernel {platform.release()}; five nodes ({image.SUITE}) on one machine,",
        f"load average before it began {busy:.1f}, at its end {os.getloadavg()[0]:.1f} (its own with it).",
        "",
        f"| nobody answers after the holder was killed ({KILLS} times each) | median | p95 | max |",
        "| --- | ---: | ---: | ---: |",
        row("an advertisement each second (default)", slow),
        row("an advertisement each 0.2 s", quick),
        "",
        "- goals: median ≤ 3 s, and ≤ 1 s with the second; a client's own patience, 0.25 s a connection, is among it",
        f"- servers rolled under load {rolls}, **{len(outcome.failures)} lost** (goal: 0 of 100,000)",
        f"- requests a second by wrk, 32 connections, {ROUNDS} rounds in turn: {statistics.median(ours):,.0f} with",
        "  the role's configuration (a cookie in each answer, headers, health checks, statistics), "
        f"{statistics.median(least):,.0f} with the least;",
        f"  ratio {spread} (goal: ≥ 0.95)",
    ]
    lines += [f"  - lost: {failure}" for failure in outcome.failures[:10]]
    print("\n".join(lines))
    write_atomically(RESULTS, "\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
