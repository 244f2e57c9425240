# SPDX-License-Identifier: GPL-3.0-or-later
"""How long `hazelcast_member` takes with a file of 1 MB, format by format.

    make bench NAME=hazelcast_member
    build/venv/bin/python tests/benchmarks/hazelcast_member.py --profile axis2    # where the time of one goes

A file as its product brings it, made a megabyte long by what the module has nothing to do with: comments, elements and
tables of others. Measured are the edit on the control node, with the comparison of old and new, the same where there is
nothing to change, and a whole task on this machine, beside one that does nothing. The goal is 1 s for a task.
"""

from __future__ import annotations

import argparse
import cProfile
import dataclasses
import importlib
import json
import pathlib
import pstats
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from lab.steps import BUILD  # noqa: E402  # the project's root has to be on the path first

SIZE = 1_000_000
TIMES = 3
#: The best of so many, for a whole task: what else the machine does is not what is measured.
TASKS = 3
PACKAGE = "ansible_collections.clusterkit.middleware.plugins.module_utils"
WKA: dict[str, Any] = {
    **{"scheme": "wka", "domain": "site", "local_host": "10.0.0.1", "local_port": 4100},
    "members": ["10.0.0.1:4100", "10.0.0.2:4100", "10.0.0.3:4100"],
}
HAZELCAST: dict[str, Any] = {
    **{"scheme": "wka", "domain": "site", "interfaces": ["10.3.10.*"], "local_port": 5702},
    "members": ["10.3.10.1:5702", "10.3.10.2:5702"],
}


@dataclasses.dataclass
class Case:
    """One format: what it begins and ends with, what is repeated in between, and what is declared."""

    file: str
    begin: str
    between: Callable[[int], str]
    end: str
    declared: dict[str, Any]
    kernel: str = ""

    def content(self) -> str:
        """Return a file of SIZE bytes."""
        parts, length, number = [self.begin], len(self.begin), 0
        while length < SIZE:
            parts.append(self.between(number))
            length += len(parts[-1])
            number += 1
        return "".join([*parts, self.end])


CASES = {
    "axis2": Case(
        "axis2.xml",
        "<?xml version='1.0'?>\n<axisconfig name='AxisJava2.0'>\n",
        lambda n: (
            f"    <!-- transport {n} -->\n    <transportReceiver name='t{n}' class='org.example.Listener'>\n"
            f"        <parameter name='port'>{8000 + n}</parameter>\n    </transportReceiver>\n"
        ),
        "    <clustering class='org.wso2.carbon.core.clustering.hazelcast.HazelcastClusteringAgent' enable='false'>\n"
        "        <parameter name='membershipScheme'>multicast</parameter>\n    </clustering>\n</axisconfig>\n",
        WKA,
        "4.4.35",
    ),
    "deployment_toml": Case(
        "deployment.toml",
        "[server]\nhostname = 'localhost' # ours\n",
        lambda n: f"\n[[resource]]\ncontext = '(.*)/api{n}/(.*)' # {n}\nsecure = true\nhttp_method = 'all'\n",
        "\n[clustering]\nmembership_scheme = 'multicast'\n",
        WKA,
        "4.6.0",
    ),
    "hazelcast_xml": Case(
        "hazelcast.xml",
        "<?xml version='1.0' encoding='UTF-8'?>\n<hazelcast xmlns='http://www.hazelcast.com/schema/config'>\n"
        "    <cluster-name>dev</cluster-name>\n    <network><port>5701</port></network>\n",
        lambda n: f"    <!-- map {n} -->\n    <map name='m{n}'>\n        <backup-count>1</backup-count>\n    </map>\n",
        "</hazelcast>\n",
        HAZELCAST,
    ),
    "hazelcast_yaml": Case(
        "hazelcast.yaml",
        "hazelcast:\n  cluster-name: dev\n  network:\n    port:\n      port: 5701\n  map:\n",
        lambda n: f"    # map {n}\n    m{n}:\n      backup-count: 1\n      in-memory-format: BINARY\n",
        "",
        HAZELCAST,
    ),
    "sync_service": Case(
        "config.yml",
        "sync:\n  cluster:\n    enabled: false\n  hazelcast:\n    port: 5701\n  more:\n",
        lambda n: f"    # {n}\n    key{n}:\n      url: http://host{n}/x\n      limit: {n}\n",
        "",
        {"interfaces": ["10.3.10.*"], "bind_any": False, "local_port": 5702, "password": "synccluster"},
    ),
}


def editor(case: Case, form: str) -> Callable[[bytes], bytes]:
    """Return what the action plugin does with a file's content."""
    importlib.import_module("tests.unit.conftest")  # lets the collection be imported from the checkout
    formats = importlib.import_module(f"{PACKAGE}._formats.formats").FORMATS
    surroundings = importlib.import_module(f"{PACKAGE}._formats.format").Surroundings
    declared = importlib.import_module(f"{PACKAGE}._hazelcast.membership").Membership.read(
        {"state": "present", **case.declared}
    )

    def edit(content: bytes) -> bytes:
        new: bytes = formats[form](content, surroundings(case.kernel)).declare(declared).content
        return new

    return edit


def seconds(edit: Callable[[bytes], bytes], content: bytes) -> float:
    """Return the median of some edits, in seconds of the processor: what else the machine does is not measured."""
    taken = []
    for _turn in range(TIMES):
        began = time.process_time()
        edit(content)
        taken.append(time.process_time() - began)
    return statistics.median(taken)


def play(directory: pathlib.Path, task: dict[str, Any]) -> float:
    """Run a playbook of one task on this machine, and return its seconds."""
    playbook = directory / "play.json"
    playbook.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": [task]}]), encoding="utf-8")
    began = time.perf_counter()
    subprocess.run(
        [str(pathlib.Path(sys.executable).with_name("ansible-playbook")), "-i", "localhost,", "-c", "local",
         "-e", f"ansible_python_interpreter={sys.executable}", str(playbook)],
        env={"PATH": "/usr/bin:/bin", "HOME": str(directory), "ANSIBLE_COLLECTIONS_PATH": str(BUILD / "collections")},
        check=True, capture_output=True, timeout=300,
    )  # fmt: skip
    return time.perf_counter() - began


def task_seconds(case: Case, form: str, content: bytes) -> float:
    """Return how much longer a play with the task takes than one with a task that asks as much of the target."""
    with tempfile.TemporaryDirectory() as name:
        path = pathlib.Path(name) / case.file
        small = pathlib.Path(name) / "small"
        small.write_text("x", encoding="ascii")
        options = {
            "path": str(path),
            "format": form,
            **case.declared,
            **({"kernel": case.kernel} if case.kernel else {}),
        }
        nothing, whole = [], []
        for _turn in range(TASKS):
            path.write_bytes(content)
            nothing.append(play(pathlib.Path(name), {"ansible.builtin.stat": {"path": str(small)}}))
            whole.append(play(pathlib.Path(name), {"clusterkit.middleware.hazelcast_member": options}))
    return min(whole) - min(nothing)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", choices=CASES, help="show where the time of one edit goes")
    parser.add_argument("--no-tasks", action="store_true", help="the edits alone")
    options = parser.parse_args()
    if options.profile:
        edit, content = editor(CASES[options.profile], options.profile), CASES[options.profile].content().encode()
        with cProfile.Profile() as profile:
            edit(content)
        pstats.Stats(profile).sort_stats("cumulative").print_stats(25)
        return
    print(f"{'format':16} {'bytes':>9} {'edit':>8} {'nothing':>8} {'task':>8}")
    for form, case in CASES.items():
        edit, content = editor(case, form), case.content().encode()
        changed = edit(content)
        if edit(changed) != changed:
            raise SystemExit(f"{form}: a second edit changes the file again")
        print(f"{form:16} {len(content):9} {seconds(edit, content):7.2f}s {seconds(edit, changed):7.2f}s", end=" ")
        print("" if options.no_tasks else f"{task_seconds(case, form, content):7.2f}s", flush=True)


if __name__ == "__main__":
    main()
