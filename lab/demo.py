# SPDX-License-Identifier: GPL-3.0-or-later
"""The demonstration: bare nodes become a cluster by `playbooks/site.yml`, before the reader's eyes."""

from __future__ import annotations

import os
import pathlib
import subprocess
import time
from collections.abc import Callable

from lab.machine import COLLECTIONS
from lab.nodes import Laboratory
from lab.steps import ROOT, VENV, LabError, Record, run, say, write_atomically

DEFAULT = "csync2"
DIRECTORY = pathlib.Path(__file__).parent / "demonstrations"


class Demonstration:
    """One demonstration: its nodes, its inventory, and what to show on them."""

    def __init__(self, product: str, nodes: list[str]) -> None:
        self.product = product
        self.nodes = nodes
        self.laboratory = Laboratory(f"demo-{product}")
        self.inventory = DIRECTORY / product / "hosts.yml"
        self.connection = self.laboratory.directory / "connection.yml"

    def start(self, record: Record) -> None:
        """Start the nodes and run the playbook on them. Raises LabError."""
        say(f"starting the nodes {', '.join(self.nodes)}")
        instances = self.laboratory.up([{"name": name} for name in self.nodes], record)
        write_atomically(self.connection, self.laboratory.connection_inventory(instances))
        say(f"$ {' '.join(self.playbook('site.yml'))}")
        environment = {
            **os.environ,
            "PATH": f"{VENV / 'bin'}:{os.environ['PATH']}",
            "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
        }
        done = subprocess.run(
            self.playbook("site.yml"), cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, check=False
        )
        if done.returncode:
            raise LabError("the playbook failed; what it said stands above. Run `make demo` again after mending it")

    def playbook(self, name: str) -> list[str]:
        """Return the command line that runs a playbook on the nodes, as a reader can type it."""
        inventories = [str(path.relative_to(ROOT)) for path in (self.inventory, self.connection)]
        return ["ansible-playbook", "-i", inventories[0], "-i", inventories[1], f"playbooks/{name}"]

    def on(self, node: str, *argv: str, stdin: str | None = None) -> str:
        """Run a command as root on a node and return what it printed."""
        interactive = ["-i"] if stdin is not None else []
        return run(["docker", "exec", *interactive, self.laboratory.container(node), *argv], stdin=stdin, check=False)


def seconds_until(arrived: Callable[[], bool], limit: float) -> float:
    """Return the seconds until something arrived. Raises LabError past `limit` seconds."""
    began = time.monotonic()
    while not arrived():
        if time.monotonic() - began > limit:
            raise LabError(f"the change did not arrive within {limit:.0f} s")
        time.sleep(0.1)
    return time.monotonic() - began


def csync2(record: Record) -> list[str]:
    """Two web servers keep /srv/web identical. Return the lines of the summary."""
    one, other = "web1.example.org", "web2.example.org"
    demonstration = Demonstration("csync2", [one, other])
    began = time.monotonic()
    demonstration.laboratory.down(record)
    demonstration.start(record)
    took = time.monotonic() - began
    text = f"written on {one} at {time.strftime('%H:%M:%S')}\n"
    say(f"writing /srv/web/hello.html on {one}, and waiting for it on {other}")
    demonstration.on(one, "sh", "-c", "mkdir -p /srv/web && cat > /srv/web/hello.html", stdin=text)
    first = seconds_until(lambda: demonstration.on(other, "cat", "/srv/web/hello.html") == text, limit=150)
    demonstration.on(one, "sh", "-c", "cat > /srv/web/hello.html", stdin=text + "changed\n")
    second = seconds_until(lambda: "changed" in demonstration.on(other, "cat", "/srv/web/hello.html"), limit=150)
    sums = {name: demonstration.on(name, "sh", "-c", "cd /srv/web && sha256sum *").strip() for name in (one, other)}
    waiting = {name: demonstration.on(name, "csync2", "-N", name, "-M").strip() for name in (one, other)}
    if sums[one] != sums[other] or any(waiting.values()):
        raise LabError(f"the nodes differ after the change: {sums}, still to send: {waiting}")
    again = " ".join(demonstration.playbook("site.yml"))
    return [
        f"members      {one}, {other}: one csync2 cluster, made and verified in {took:.0f} s",
        f"state        /srv/web on both: {sums[other]}; nothing left to send",
        f"propagation  {first:.1f} s for the first file, whose directory was new, {second:.1f} s for its next change",
        "next         look around:     docker exec -it " + demonstration.laboratory.container(one) + " bash",
        "             run it again (0 changed), from an environment with `. build/venv/bin/activate`:",
        f"                              {again}",
        "             remove it all:   make demo-down",
    ]


PRODUCTS: dict[str, Callable[[Record], list[str]]] = {"csync2": csync2}


def show(product: str, record: Record) -> None:
    """Bring up a demonstration and print its summary. Raises LabError."""
    lines = PRODUCTS[product](record)
    print("\n" + "─" * 100)
    print("\n".join(lines))
    print("─" * 100)
