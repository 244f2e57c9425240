# SPDX-License-Identifier: GPL-3.0-or-later
"""The demonstration: bare nodes become a cluster by `playbooks/site.yml`, before the reader's eyes."""

from __future__ import annotations

import os
import pathlib
import subprocess
import time
from collections.abc import Callable

from lab import sources
from lab.machine import COLLECTIONS
from lab.nodes import Laboratory
from lab.steps import LAB, ROOT, VENV, LabError, Record, run, say, write_atomically

DEFAULT = "gluu"
DIRECTORY = pathlib.Path(__file__).parent / "demonstrations"
#: Seconds in which a change has to arrive.
ARRIVAL_LIMIT = 150.0


class Demonstration:
    """One demonstration: its nodes, its inventory, and what to show on them."""

    def __init__(self, product: str, nodes: list[str]) -> None:
        self.product = product
        self.nodes = nodes
        self.laboratory = Laboratory(f"demo-{product}")
        self.directory = DIRECTORY / product
        self.secrets = LAB / "secrets" / product
        self.connection = self.laboratory.directory / "connection.yml"
        self.seconds = 0.0

    def start(self, record: Record) -> None:
        """Start the nodes afresh and run the playbook on them. Raises LabError."""
        began = time.monotonic()
        self.laboratory.down(record)
        say(f"starting the nodes {', '.join(self.nodes)}")
        instances = self.laboratory.up([{"name": name} for name in self.nodes], record)
        write_atomically(self.connection, self.laboratory.connection_inventory(instances))
        preparation = self.directory / "prepare.yml"
        if preparation.exists():
            say("doing what an operator has done before")
            self._play(preparation)
        self._play(ROOT / "playbooks" / "site.yml")
        self.seconds = time.monotonic() - began

    def _play(self, playbook: pathlib.Path) -> None:
        argv = self.playbook(playbook)
        say(f"$ {' '.join(argv)}")
        environment = {
            **os.environ,
            "PATH": f"{VENV / 'bin'}:{os.environ['PATH']}",
            "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
            # What the stand-ins are laid out by finds them as in molecule's scenarios
            "MOLECULE_PROJECT_DIRECTORY": str(ROOT),
        }
        done = subprocess.run(argv, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, check=False)
        if done.returncode:
            raise LabError("the playbook failed; what it said stands above. Run `make demo` again after mending it")

    def playbook(self, path: pathlib.Path) -> list[str]:
        """Return the command line that runs a playbook on the nodes, as a reader can type it."""
        inventories = [str(one.relative_to(ROOT)) for one in (self.directory / "hosts.yml", self.connection)]
        return ["ansible-playbook", "-i", inventories[0], "-i", inventories[1], str(path.relative_to(ROOT))]

    def on(self, node: str, *argv: str, stdin: str | None = None) -> str:
        """Run a command as root on a node and return what it printed, whatever became of it."""
        interactive = ["-i"] if stdin is not None else []
        return run(["docker", "exec", *interactive, self.laboratory.container(node), *argv], stdin=stdin, check=False)

    def write(self, node: str, path: str, text: str) -> None:
        """Write a file on a node, in place."""
        self.on(node, "sh", "-c", 'mkdir -p "${1%/*}" && cat > "$1"', "sh", path, stdin=text)

    def seconds_for_file(self, path: str, source: str, target: str, text: str) -> float:
        """Write a file on one node and return the seconds until it is on another. Raises LabError."""
        say(f"writing {path} on {source}, and waiting for it on {target}")
        self.write(source, path, text)
        return seconds_until(lambda: self.on(target, "cat", path) == text)

    def lines_on_what_next(self) -> list[str]:
        """Return the end of the summary."""
        return [
            "next         look around:     docker exec -it " + self.laboratory.container(self.nodes[0]) + " bash",
            "             run it again (0 changed), from an environment with `. build/venv/bin/activate`:",
            "                              " + " ".join(self.playbook(ROOT / "playbooks" / "site.yml")),
            "             remove it all:   make demo-down",
        ]


def seconds_until(arrived: Callable[[], bool]) -> float:
    """Return the seconds until something arrived. Raises LabError past ARRIVAL_LIMIT."""
    began = time.monotonic()
    while not arrived():
        if time.monotonic() - began > ARRIVAL_LIMIT:
            raise LabError(f"the change did not arrive within {ARRIVAL_LIMIT:.0f} s")
        time.sleep(0.1)
    return time.monotonic() - began


def csync2(record: Record) -> list[str]:
    """Two web servers keep /srv/web identical. Return the lines of the summary."""
    one, other = "web1.example.org", "web2.example.org"
    demonstration = Demonstration("csync2", [one, other])
    demonstration.start(record)
    text = f"written on {one} at {time.strftime('%H:%M:%S')}\n"
    first = demonstration.seconds_for_file("/srv/web/hello.html", one, other, text)
    second = demonstration.seconds_for_file("/srv/web/hello.html", other, one, f"{text}changed on {other}\n")
    sums = {name: demonstration.on(name, "sh", "-c", "cd /srv/web && sha256sum *").strip() for name in (one, other)}
    waiting = {name: demonstration.on(name, "csync2", "-N", name, "-M").strip() for name in (one, other)}
    if sums[one] != sums[other] or any(waiting.values()):
        raise LabError(f"the nodes differ after the change: {sums}, still to send: {waiting}")
    return [
        f"members      {one}, {other}: one csync2 cluster, made and verified in {demonstration.seconds:.0f} s",
        f"state        /srv/web on both: {sums[other]}; nothing left to send",
        f"propagation  {first:.1f} s for the first file, whose directory was new, {second:.1f} s for a change back",
        *demonstration.lines_on_what_next(),
    ]


ADD_ENTRY = """
import sys, ldap
connection = ldap.initialize("ldap://localhost:1389")
connection.simple_bind_s("cn=directory manager", sys.stdin.read())
connection.add_s(f"ou={sys.argv[1]},o=gluu", [("objectClass", [b"organizationalUnit"]), ("ou", sys.argv[1].encode())])
"""
COUNT_ENTRIES = """
import sys, ldap
connection = ldap.initialize("ldap://localhost:1389")
connection.simple_bind_s("cn=directory manager", sys.stdin.read())
print(len(connection.search_s("o=gluu", ldap.SCOPE_SUBTREE, sys.argv[1], ["1.1"])))
"""


def seconds_for_entry(demonstration: Demonstration, name: str, source: str, target: str, password: str) -> float:
    """Add an entry on one node and return the seconds until it is on another. Raises LabError."""
    say(f"adding the entry ou={name},o=gluu on {source}, and waiting for it on {target}")
    demonstration.on(source, "python3", "-c", ADD_ENTRY, name, stdin=password)
    asked = ("python3", "-c", COUNT_ENTRIES, f"(ou={name})")
    return seconds_until(lambda: demonstration.on(target, *asked, stdin=password) == "1\n")


def gluu(record: Record) -> list[str]:
    """Two servers of Gluu share directory, files and certificates. Return the lines of the summary."""
    one, other = "idp1.example.org", "idp2.example.org"
    demonstration = Demonstration("gluu", [one, other])
    sources.fetch("opendj")
    demonstration.start(record)
    password = (demonstration.secrets / "manager").read_text(encoding="utf-8").strip()
    entries: list[float] = []
    files: list[float] = []
    for source, target in ((one, other), (other, one)):
        name = f"from-{source.partition('.')[0]}"
        entries.append(seconds_for_entry(demonstration, name, source, target, password))
        files.append(demonstration.seconds_for_file(f"/opt/idp/metadata/{name}.xml", source, target, f"<{name}/>\n"))
    everything = ("python3", "-c", COUNT_ENTRIES, "(objectClass=*)")
    counts = {name: demonstration.on(name, *everything, stdin=password).strip() for name in (one, other)}
    keys = {name: demonstration.on(name, "sha256sum", "/etc/certs/httpd.key") for name in (one, other)}
    if len({*counts.values()}) != 1 or len({*keys.values()}) != 1:
        raise LabError(f"the nodes differ: entries {counts}, keys {keys}")
    return [
        f"members      {one}, {other}: one Gluu cluster, made and verified in {demonstration.seconds:.0f} s",
        f"state        {counts[one]} entries below o=gluu, the same files, certificates and truststores on both",
        f"propagation  entries {entries[0]:.1f} s and {entries[1]:.1f} s, files {files[0]:.1f} s and {files[1]:.1f} s,"
        " there and back",
        "not real     the product itself: tests/fixtures/gluu/README.md; OpenDJ, csync2, Tomcat and Java are",
        *demonstration.lines_on_what_next(),
    ]


ASK = """
import json, sys, urllib.request
with urllib.request.urlopen(sys.argv[1], data=sys.argv[2].encode() if sys.argv[2:] else None, timeout=10) as answer:
    print(json.dumps(json.load(answer)))
"""
USERS = """
import json, sys, urllib.request
for number in range(20):
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    seen = [json.load(browser.open(sys.argv[1], timeout=10)) for _request in range(3)]
    print(seen[0]["node"], len({one["node"] for one in seen}), seen[-1]["count"])
"""


def deploy(record: Record) -> list[str]:
    """A Deploy server with data and a bare one become a cluster. Return the lines of the summary."""
    one, other, database, balancer = "ucd1.example.org", "ucd2.example.org", "db1.example.org", "lb1.example.org"
    demonstration = Demonstration("deploy", [one, other, database, balancer])
    demonstration.start(record)
    site = f"http://{balancer}"
    users = [
        line.split() for line in demonstration.on(database, "python3", "-c", USERS, f"{site}/session").splitlines()
    ]
    counts = {node: sum(line[0] == node for line in users) for node in (one, other)}
    if sum(counts.values()) != len(users) or any(line[1:] != ["1", "3"] for line in users) or not all(counts.values()):
        raise LabError(f"users did not stay with their servers: {users}")
    say(f"killing {one}, and waiting for {other} to serve alone")
    began = time.monotonic()
    run(["docker", "kill", demonstration.laboratory.container(one)])

    def alone() -> bool:
        return f'"node": "{other}"' in demonstration.on(database, "python3", "-c", ASK, f"{site}/health")

    seconds = seconds_until(lambda: alone() and alone() and alone())
    say(f"nobody is sent to {one} any more after {time.monotonic() - began:.1f} s; starting it again")
    rows = demonstration.on(database, "python3", "-c", ASK, f"{site}/rows")
    run(["docker", "start", demonstration.laboratory.container(one)])
    if "from before the cluster" not in rows:
        raise LabError(f"what the first server had is not there: {rows}")
    return [
        f"members      {one}, {other}: one Deploy cluster with database, storage and balancer, made and verified in "
        f"{demonstration.seconds:.0f} s",
        f"state        what {one} had as a single server is read through both",
        f"traffic      20 users, each with a session on one server: {counts[one]} and {counts[other]}",
        f"failure      {one} killed: all users on {other} after {seconds:.1f} s",
        "not real     the product itself: tests/fixtures/deploy_server/README.md; all that it stands on is",
        *demonstration.lines_on_what_next(),
    ]


PRODUCTS: dict[str, Callable[[Record], list[str]]] = {"csync2": csync2, "deploy": deploy, "gluu": gluu}


def show(product: str, record: Record) -> None:
    """Bring up a demonstration and print its summary. Raises LabError."""
    lines = PRODUCTS[product](record)
    print("\n" + "─" * 100)
    print("\n".join(lines))
    print("─" * 100)
