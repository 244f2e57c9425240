# SPDX-License-Identifier: GPL-3.0-or-later
"""Benchmark of OpenDJ replication: what the role costs beside the bare commands, and how soon a write is visible.

    make bench NAME=opendj

Two servers, the first with 10,000 entries. Joining: by the play of `opendj_replication`, and by what the manual types
(`dsreplication enable`, then `initialize`, with the passwords in files and all certificates trusted), in turn on the
same servers, which leave each other again in between; each gets a second server that is empty. A run with nothing to
change: the whole play, in turn with one that only gathers facts. A write: an entry is added on one server, and another
connection asks the other server for it all the time.
`--small` is for trying the benchmark itself.
"""

from __future__ import annotations

import datetime
import json
import os
import pathlib
import platform
import statistics
import sys
import tempfile
import time
from typing import Any

from shared import ROOT, of_scenarios, percentile, play

from lab import image, sources
from lab.nodes import Laboratory
from lab.steps import Record, write_atomically

Node = of_scenarios("scenario").Node

SMALL = "--small" in sys.argv[1:]
#: Entries, rounds of joining, runs with nothing to change, and writes that are timed.
ENTRIES, ROUNDS, RUNS, WRITES = (200, 1, 1, 10) if SMALL else (10_000, 3, 5, 200)
PASSWORD = "of the benchmark alone"  # of servers that go with it
NAMES = ("n1", "n2")
RESULTS = ROOT / "docs" / "results" / "bench-opendj.md"
#: Adds entries on one server, and says how long each took to be on the other one. Both nodes have one clock.
WRITE = """
import ldap, sys, time
one, other = (ldap.initialize(f"ldap://{host}:1389") for host in sys.argv[1:3])
password = sys.stdin.read()
for connection in (one, other):
    connection.simple_bind_s("cn=directory manager", password)
for number in range(int(sys.argv[3])):
    dn, name = f"uid=timed-{number},o=site", f"timed-{number}"
    entry = {"objectClass": "inetOrgPerson", "uid": name, "cn": name, "sn": name}
    one.add_s(dn, [(key, value.encode()) for key, value in entry.items()])
    began = time.monotonic()
    while True:
        try:
            other.search_s(dn, ldap.SCOPE_BASE, "(objectClass=*)", ["1.1"])
            break
        except ldap.NO_SUCH_OBJECT:
            if time.monotonic() > began + 30:
                sys.exit("it did not arrive")
    print(time.monotonic() - began)
for number in range(int(sys.argv[3])):
    one.delete_s(f"uid=timed-{number},o=site")
"""
COUNT = """
import ldap, sys
connection = ldap.initialize("ldap://localhost:1389")
connection.simple_bind_s("cn=directory manager", sys.stdin.read())
print(len(connection.search_s("o=site", ldap.SCOPE_SUBTREE, "(objectClass=person)", ["1.1"])))
"""


def ldif() -> str:
    """Return the entries."""
    people = (
        f"dn: uid={number},o=site\nobjectClass: inetOrgPerson\nuid: {number}\ncn: person {number}\nsn: {number}\n"
        f"mail: {number}@example.org\n"
        for number in range(ENTRIES)
    )
    return "\n".join(["dn: o=site\nobjectClass: organization\no: site\n", *people])


def by_hand(one: Any, other: Any) -> float:
    """Join the second server to the first as the manual does, and return the seconds."""
    for node in (one, other):
        node.write("/opt/opendj/password", PASSWORD)
        node.out("chown", "ldap", "/opt/opendj/password")
    common = "--adminUID admin --adminPasswordFile /opt/opendj/password --trustAll --no-prompt"
    enable = (
        f"/opt/opendj/bin/dsreplication enable --host1 {one.name} --port1 4444 --bindDN1 'cn=directory manager' "
        f"--bindPasswordFile1 /opt/opendj/password --replicationPort1 8989 --host2 {other.name} --port2 4444 "
        "--bindDN2 'cn=directory manager' --bindPasswordFile2 /opt/opendj/password --replicationPort2 8989 "
        f"--secureReplication1 --secureReplication2 --baseDN o=site {common}"
    )
    initialize = (
        f"/opt/opendj/bin/dsreplication initialize --baseDN o=site --hostSource {one.name} --portSource 4444 "
        f"--hostDestination {other.name} --portDestination 4444 {common}"
    )
    began = time.monotonic()
    for command in (enable, initialize):
        other.out("runuser", "-u", "ldap", "--", "sh", "-c", command, limit=300)
    return time.monotonic() - began


def entries(node: Any) -> int:
    """Return how many people a server has."""
    return int(node.out("python3", "-c", COUNT, stdin=PASSWORD))


def main() -> int:
    """Run the benchmark, print it, and write it to docs/results/."""
    record = Record()
    archive = sources.fetch("opendj")
    laboratory = Laboratory("bench-opendj")
    laboratory.down(record)
    with tempfile.TemporaryDirectory(prefix="clusterkit-bench-") as directory:
        file = pathlib.Path(directory) / "site.ldif"
        file.write_text(ldif(), encoding="utf-8")
        try:
            instances = laboratory.up([{"name": name} for name in NAMES], record)
            inventory = json.loads(laboratory.connection_inventory(instances))
            inventory["opendj_servers"] = {
                "hosts": {"n1": {"opendj_server_ldif": str(file)}, "n2": {"opendj_server_base_entry": False}},
                "vars": {
                    "opendj_server_archive": str(archive),
                    "opendj_server_base_dns": ["o=site"],
                    "opendj_server_password": PASSWORD,
                    "opendj_replication_base_dns": ["o=site"],
                    "opendj_replication_password": PASSWORD,
                    "opendj_replication_administrator_password": PASSWORD,
                },
            }
            hosts = laboratory.directory / "hosts.json"
            write_atomically(hosts, json.dumps(inventory))
            nodes = [Node(name, laboratory.container(name)) for name in NAMES]
            measured = measure(laboratory, hosts, nodes)
        finally:
            laboratory.down(record)
    lines = report(measured)
    print("\n".join(lines))
    if not SMALL:
        write_atomically(RESULTS, "\n".join(lines) + "\n")
    return 0


def measure(laboratory: Laboratory, hosts: pathlib.Path, nodes: list[Any]) -> dict[str, list[float]]:
    """Return the seconds of all that is measured."""
    plays = playbooks(laboratory)
    measured: dict[str, list[float]] = {name: [] for name in ("role", "bare", "nothing", "facts", "write")}
    for number in range(ROUNDS):
        # An empty server each time: one that had the entries once has less to do
        for name in ("role", "bare"):
            play(hosts, plays["servers"])
            took = play(hosts, plays["join"]) if name == "role" else by_hand(*nodes)
            measured[name].append(took)
            assert entries(nodes[1]) == ENTRIES, f"{name}: {entries(nodes[1])} entries came"
            last = name == "bare" and number + 1 == ROUNDS
            if not last:
                play(hosts, plays["leave"])
    # The servers that were joined by hand are taken over, and then there is nothing to do
    play(hosts, ROOT / "playbooks" / "opendj.yml")
    for _number in range(RUNS):
        measured["nothing"].append(play(hosts, ROOT / "playbooks" / "opendj.yml"))
        measured["facts"].append(play(hosts, plays["facts"]))
    said = nodes[0].out("python3", "-c", WRITE, *NAMES, str(WRITES), stdin=PASSWORD, limit=300)
    measured["write"] = [float(line) for line in said.split()]
    return measured


def playbooks(laboratory: Laboratory) -> dict[str, pathlib.Path]:
    """Write the playbooks, and return them by name."""
    gather = {"ansible.builtin.setup": {"gather_subset": ["!all", "!min", "distribution", "network"]}}

    def role(name: str, entry: str = "main") -> dict[str, Any]:
        return {"ansible.builtin.include_role": {"name": f"clusterkit.middleware.{name}", "tasks_from": entry}}

    contents = {
        "facts": ("all", [gather]),
        "servers": ("all", [gather, role("opendj_server")]),
        "join": ("all", [gather, role("opendj_replication")]),
        "leave": ("n2", [gather, role("opendj_replication", "remove"), role("opendj_server", "remove")]),
    }
    found = {}
    for name, (hosts, tasks) in contents.items():
        found[name] = laboratory.directory / f"{name}.yml"
        write_atomically(
            found[name], json.dumps([{"hosts": hosts, "become": True, "gather_facts": False, "tasks": tasks}])
        )
    return found


def report(measured: dict[str, list[float]]) -> list[str]:
    """Return the lines of the result."""
    middle = {name: statistics.median(values) for name, values in measured.items()}
    rows = {
        f"join and initialise {ENTRIES:,} entries, by the role with its verification": "role",
        f"join and initialise {ENTRIES:,} entries, by the bare commands": "bare",
        "a run with nothing to change, two hosts": "nothing",
        "a play that only gathers the facts, two hosts": "facts",
        "a write is visible on the other server": "write",
    }
    nothing = (middle["nothing"] - middle["facts"]) / len(NAMES)
    return [
        f"# OpenDJ, {datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}",
        "",
        f"{os.cpu_count()} cores, kernel {platform.release()}; two nodes ({image.SUITE}) on one machine; "
        f"{ROUNDS} rounds, {RUNS} runs, {WRITES} writes.",
        "",
        "| measured | median | p95 | max |",
        "| --- | ---: | ---: | ---: |",
        *(
            f"| {text} | {middle[name]:.3f} s | {percentile(values, 0.95):.3f} s | {max(values):.3f} s |"
            for text, name, values in ((text, name, measured[name]) for text, name in rows.items())
        ),
        "",
        f"- by the role: {middle['role'] / middle['bare']:.2f} × the bare commands (goal: ≤ 1.1 ×)",
        f"- a run with nothing to change: {nothing:.2f} s a host more than gathering facts (goal: ≤ 2 s a host)",
    ]


if __name__ == "__main__":
    sys.exit(main())
