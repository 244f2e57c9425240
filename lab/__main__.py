# SPDX-License-Identifier: GPL-3.0-or-later
"""`python3 -m lab`: set up the machine, start and remove nodes, run the demonstration, undo all of it."""

from __future__ import annotations

import argparse
import json
import pathlib
import shutil
import subprocess
import sys
from typing import Any

from lab import demo, image, machine, nodes
from lab.steps import ROOT, LabError, Record, fail, say


def set_up(record: Record) -> None:
    """Say what is about to be installed or started, then do it. Raises LabError."""
    machine.check_prerequisites()
    lines = machine.plan()
    if not machine.engine_answers() or not image.exists():
        lines.append(f"build the node image {image.tag()}")
    if lines:
        say("this machine needs, and will now get (`make demo-down` undoes exactly this):")
        for line in lines:
            say(f"  - {line}")
    machine.set_up(record)
    image.build(record)


def tear_down(record: Record) -> None:
    """Undo what the record says, newest first. Raises LabError; what is undone is forgotten at once."""
    undo: dict[str, Any] = {
        "container": lambda one: nodes.remove_container(one["name"]),
        "network": lambda one: nodes.remove_network(one["name"]),
        "image": lambda one: machine.engine_answers() and nodes.run(["docker", "image", "rm", one["tag"]], check=False),
        "engine": lambda one: machine.stop_engine(ROOT / one["pidfile"], ROOT / one["data"], pathlib.Path(one["run"])),
        "directory": lambda one: shutil.rmtree(ROOT / one["path"], ignore_errors=True),
        "packages": lambda one: machine.remove_packages(one["names"]),
    }
    entries = record.entries()
    if not entries:
        say("nothing to undo: the record is empty")
    # Whatever came to the machine while the engine ran goes before the engine, whenever it was recorded
    order = {"container": 0, "network": 1, "image": 2, "engine": 3, "directory": 4, "packages": 5}
    newest_first = list(reversed(entries))
    for entry in sorted(newest_first, key=lambda one: order[one["kind"]]):
        subject = entry.get("name") or entry.get("tag") or entry.get("path") or entry.get("data") or entry.get("names")
        say(f"removing {entry['kind']} {subject if isinstance(subject, str) else ', '.join(subject)}")
        undo[entry["kind"]](entry)
        record.drop(entry)


def main() -> int:
    """Read the command line and act on it; return the exit code."""
    parser = argparse.ArgumentParser(prog="python3 -m lab", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("setup", help="install and start what scenarios need")
    commands.add_parser("down", help="undo what setup, nodes and demo did")
    up = commands.add_parser("up", help="start nodes; reads a JSON list of them from standard input")
    up.add_argument("laboratory")
    up.add_argument("--instances", type=pathlib.Path, required=True, help="where to write how they are reached")
    gone = commands.add_parser("remove", help="remove the nodes of one laboratory")
    gone.add_argument("laboratory")
    shown = commands.add_parser("demo", help="bring up a demonstration")
    shown.add_argument("product", nargs="?", default=demo.DEFAULT, choices=sorted(demo.PRODUCTS))
    arguments = parser.parse_args()
    record = Record()
    try:
        if arguments.command == "setup":
            set_up(record)
        elif arguments.command == "down":
            tear_down(record)
        elif arguments.command == "up":
            laboratory = nodes.Laboratory(arguments.laboratory)
            instances = laboratory.up(json.load(sys.stdin), record)
            nodes.write_instances(arguments.instances, laboratory, instances)
        elif arguments.command == "remove":
            nodes.Laboratory(arguments.laboratory).down(record)
        else:
            set_up(record)
            demo.show(arguments.product, record)
    except LabError as error:
        return fail(error)
    except (subprocess.TimeoutExpired, OSError) as error:
        return fail(LabError(f"{error}".replace("\n", " ")))
    except KeyboardInterrupt:
        return fail(LabError("interrupted; run it again to go on, or `make demo-down` to undo"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
