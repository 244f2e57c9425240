# SPDX-License-Identifier: GPL-3.0-or-later
"""`python3 -m lab`: set up the machine, start and remove nodes, run the demonstration, undo all of it."""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from lab import demo, environment, guests, image, machine, nodes, packages, sources
from lab.steps import BUILD, ROOT, LabError, Record, fail, locked, remove_tree, say

#: The kinds of what is recorded, in the order it is undone: whatever lives in the engine goes before the engine.
IN_THE_ENGINE = ("container", "network", "image")
KINDS = ("guest", *IN_THE_ENGINE, "service", "engine", "packages", "traces", "limit", "directory")


def set_up(record: Record, environments: Sequence[environment.Environment], *, deep: bool = False) -> None:
    """Say what is about to be installed or started, then do it. Raises LabError."""
    machine.check_prerequisites(environments)
    with locked("machine"):
        plan = machine.plan(environments, deep=deep)
        if lines := plan.lines():
            say("this machine needs, and will now get (`make demo-down` undoes exactly this):")
            for line in lines:
                say(f"  - {line}")
        machine.carry_out(plan, record)


def tear_down(record: Record) -> None:
    """Undo what the record says, newest first. Raises LabError; what is undone is forgotten at once."""
    undo: dict[str, Any] = {
        "guest": lambda one: guests.from_record(one).remove(),
        "container": lambda one: nodes.remove_container(one["name"]),
        "network": lambda one: nodes.remove_network(one["name"]),
        "image": lambda one: image.remove(one["tag"]),
        "service": lambda one: machine.stop_service(one["data"]),
        "engine": lambda one: machine.stop_engine(ROOT / one["pidfile"], ROOT / one["data"], pathlib.Path(one["run"])),
        "packages": lambda one: packages.remove(one["names"]),
        "traces": lambda one: machine.remove_traces(one["paths"]),
        "limit": lambda one: machine.restore_kernel_limit(one["name"], one["before"], one["raised"]),
        # Of records written before build/ went as a whole: it lies there
        "directory": lambda _one: None,
    }
    newest_first = record.entries()[::-1]
    entries = sorted(newest_first, key=lambda one: KINDS.index(one["kind"]))
    if not entries:
        say("nothing to undo: the record is empty")
    if machine.engine_data() is None:
        held = [one for one in entries if one["kind"] in IN_THE_ENGINE]
        if held and shutil.which("docker") and not any(one["kind"] == "engine" for one in entries):
            raise LabError(
                "the container engine does not answer, which has what is to be removed: start it, then again"
            )
        # Nothing is asked of an engine that is gone: what it held goes with its data
        undo.update(dict.fromkeys(IN_THE_ENGINE, lambda _one: None))
    for entry in entries:
        subject = next(entry[key] for key in ("name", "tag", "names", "paths", "path", "data") if key in entry)
        say(f"removing {entry['kind']} {subject if isinstance(subject, str) else ', '.join(subject)}")
        undo[entry["kind"]](entry)
        record.drop(entry)


def remove_generated() -> None:
    """Remove build/, where everything is that the project generates."""
    if BUILD.exists():
        content = ", ".join(sorted(path.name for path in BUILD.iterdir()))
        say(f"removing {BUILD.relative_to(ROOT)}/, all of it generated: {content}")
        remove_tree(BUILD)


def main() -> int:
    """Read the command line and act on it; return the exit code."""
    parser = argparse.ArgumentParser(prog="python3 -m lab", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    made = commands.add_parser("setup", help="install and start what the tests need")
    made.add_argument("--deep", action="store_true", help="what the deep tests need as well")
    commands.add_parser("down", help="undo what setup, nodes and demo did, and remove all that was generated")
    up = commands.add_parser("up", help="start nodes; reads a JSON list of them from standard input")
    up.add_argument("laboratory")
    up.add_argument("--instances", type=pathlib.Path, required=True, help="where to write how they are reached")
    gone = commands.add_parser("remove", help="remove the nodes of one laboratory")
    gone.add_argument("laboratory")
    shown = commands.add_parser("demo", help="bring up a demonstration")
    shown.add_argument("product", nargs="?", default=demo.DEFAULT, choices=sorted(demo.PRODUCTS))
    source = commands.add_parser("source", help="download the original archive of a program")
    source.add_argument("program", choices=sorted([*sources.ARCHIVES, *sources.FILES]))
    arguments = parser.parse_args()
    # Root by a plain `su` lacks the directories in which debootstrap and dockerd lie
    os.environ["PATH"] += f"{os.pathsep}/usr/sbin{os.pathsep}/sbin"
    record = Record()
    environments = [environment.MAIN]
    try:
        if arguments.command == "setup":
            more = [environment.OLDEST_CORE] if arguments.deep else []
            set_up(record, [*environments, *more], deep=arguments.deep)
        elif arguments.command == "down":
            tear_down(record)
            remove_generated()
        elif arguments.command == "up":
            laboratory = nodes.Laboratory(arguments.laboratory)
            instances = laboratory.up(json.load(sys.stdin), record)
            nodes.write_instances(arguments.instances, laboratory, instances)
        elif arguments.command == "remove":
            nodes.Laboratory(arguments.laboratory).down(record)
        elif arguments.command == "source":
            if arguments.program in sources.FILES:
                say(f"{len(sources.fetch_files(arguments.program))} files of {arguments.program} are there")
            else:
                say(f"{sources.fetch(arguments.program).relative_to(ROOT)} is there")
        else:
            set_up(record, environments)
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
