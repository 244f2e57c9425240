# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases from the control node: brought to one server after the other, whole, without a lost request, and back."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import http.server
import json
import pathlib
import subprocess
import threading
from collections.abc import Iterator

import pytest

from molecule.shared.load import getting, load
from molecule.shared.scenario import ROOT, Node, Scenario, kill_with_descendants, wait_for

Nodes = dict[str, Node]
LABORATORY = ROOT / "build" / "lab" / "deployment_push"
SERVER = "/opt/mi/repository/deployment/server"
APPS, CONFIGS = f"{SERVER}/carbonapps", f"{SERVER}/synapse-configs"
STORE = "/var/lib/clusterkit/deployment_sync/deployment_sync_servers"
BACKUPS = "/var/backups/clusterkit/deployment_sync"
ROLLBACK = "clusterkit.middleware.deployment_rollback"
SYNC = "clusterkit.middleware.deployment_sync"
MEMBERS = ("s1", "s2")
BRING = "clusterkit.middleware.deployment_sync : Bring the release into its directories"
#: Looks at a file again and again until it has a size, and prints the sizes that it saw.
LOOK = """
import os, sys, time
path, wanted, end = sys.argv[1], int(sys.argv[2]), time.monotonic() + 120
seen = set()
while wanted not in seen and time.monotonic() < end:
    if os.path.exists(path):
        seen.add(os.path.getsize(path))
print(sorted(seen))
"""


def current(node: Node) -> str:
    """Return the name of the release that a server has."""
    return str(json.loads(str(node.read(f"{STORE}/current.json")))["release"])


def files(node: Node) -> str:
    """Return the names and hashes of all artifacts of a server."""
    return node.out("sh", "-c", f"cd {SERVER} && find . -type f ! -name '*.part' | sort | xargs sha256sum")


@pytest.fixture
def orders() -> Iterator[pathlib.Path]:
    """Return an artifact on the control node that is as it was afterwards."""
    path = LABORATORY / "orders.car"
    before = path.read_bytes()
    yield path
    path.write_bytes(before)


def test_all_have_the_release_and_nothing_is_lost(nodes: Nodes) -> None:
    """The same files, whose owner is the directory's; what a server had alone is kept; what is excluded stays."""
    assert files(nodes["s1"]) == files(nodes["s2"])
    for name in MEMBERS:
        node = nodes[name]
        assert node.read(f"{APPS}/orders.car") == "orders.car\n"
        assert node.read(f"{CONFIGS}/sub/two.xml") == "sequences/sub/two.xml\n"
        assert node.out("stat", "-c", "%a %U", f"{CONFIGS}/sub/two.xml", f"{APPS}/orders.car").split("\n")[:2] == [
            "640 games",
            "644 games",
        ]
        assert node.read(f"{APPS}/{name}.car") is None and node.read(f"{APPS}/unfinished.part") == f"{name}\n"
        assert node.out("sh", "-c", f"cat {BACKUPS}/*carbonapps-*/{name}.car") == f"{name}\n"
    assert nodes["s2"].out("sh", "-c", f"cat {BACKUPS}/*synapse-configs-*/own.xml") == "by hand\n"


def test_a_release_rolls_without_a_lost_request(scenario: Scenario, nodes: Nodes, orders: pathlib.Path) -> None:
    """30 MB come to one server after the other, drained and restarted, while clients try nothing twice; then back."""
    before, size = current(nodes["s1"]), 30 << 20
    orders.write_bytes(b"x" * size)
    looking = subprocess.Popen(
        ["docker", "exec", nodes["s2"].container, "python3", "-c", LOOK, f"{APPS}/orders.car", str(size)],
        stdout=subprocess.PIPE,
        text=True,
    )
    started = {name: nodes[name].out("systemctl", "show", "-P", "MainPID", "backend.service") for name in MEMBERS}
    address = nodes["lb1"].out("hostname", "-i").split()[0]
    kept = nodes["s1"].out("stat", "-c", "%i", f"{CONFIGS}/one.xml")
    with load({f"client {number}": getting(address, 80, keep=number % 2 == 0) for number in range(6)}) as outcome:
        done = scenario.play(SYNC).check()
        forward = current(nodes["s1"])
        assert forward != before and current(nodes["s2"]) == forward
        assert {host for host, task in done.changed if task == BRING} == set(MEMBERS)
        assert nodes["s1"].out("stat", "-c", "%i", f"{CONFIGS}/one.xml") == kept
        back = scenario.play(ROLLBACK).check()
        assert {host for host, task in back.changed if task == BRING} == set(MEMBERS)
    assert outcome.failures == [] and set(outcome.answers) == set(MEMBERS) and outcome.requests > 100
    seen, _error = looking.communicate(timeout=180)
    assert json.loads(seen) == [len("orders.car\n"), size]
    for name in MEMBERS:
        assert current(nodes[name]) == before
        assert nodes[name].out("systemctl", "show", "-P", "MainPID", "backend.service") != started[name]
    # By name, as long as it is kept; and nothing when that is in use
    scenario.play(ROLLBACK, variables={"deployment_sync_release": forward}).check()
    assert current(nodes["s2"]) == forward
    assert scenario.play(ROLLBACK, variables={"deployment_sync_release": forward}).check().changed == set()
    refused = scenario.play(ROLLBACK, variables={"deployment_sync_release": "none"})
    assert "s1 has no release none to go back to" in refused.complaint() and refused.changed == set()


def test_a_server_that_is_not_well_stops_the_others(scenario: Scenario, nodes: Nodes, orders: pathlib.Path) -> None:
    """The first one stays out of traffic, the second keeps the release before; mended, the next run goes on."""
    scenario.play(SYNC).check()
    before = current(nodes["s2"])
    orders.write_text("bad")
    nodes["s1"].out("touch", "/run/backend-unwell")
    failed = scenario.play(SYNC)
    assert "s1 is not well with the release" in failed.complaint() and "answers 503" in failed.complaint()
    assert nodes["s1"].read(f"{APPS}/orders.car") == "bad" and current(nodes["s2"]) == before
    nodes["s1"].out("rm", "/run/backend-unwell")
    done = scenario.play(SYNC).check()
    assert {host for host, task in done.changed if task == BRING} == set(MEMBERS)
    assert nodes["s2"].read(f"{APPS}/orders.car") == "bad"
    assert scenario.play(SYNC).check().changed == set()


def test_a_run_that_is_killed_goes_on(scenario: Scenario, nodes: Nodes, orders: pathlib.Path) -> None:
    """Ended while the first server changes: run again, all have the release and nothing is left on its way."""
    orders.write_bytes(b"y" * (30 << 20))
    before = current(nodes["s1"])
    run = scenario.start()
    wait_for(lambda: run.poll() is not None or current(nodes["s1"]) != before, "the first server", limit=120)
    kill_with_descendants(run)
    scenario.play(SYNC).check()
    assert current(nodes["s1"]) == current(nodes["s2"]) != before
    assert files(nodes["s1"]) == files(nodes["s2"])
    for name in MEMBERS:
        assert "clusterkit-staging" not in nodes[name].out("ls", "-A", SERVER)


@contextlib.contextmanager
def repository(directory: pathlib.Path) -> Iterator[str]:
    """Serve a directory to this machine alone."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # the base class has this name
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(directory)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def test_artifacts_by_address_and_from_a_maven_repository(
    scenario: Scenario, nodes: Nodes, tmp_path: pathlib.Path
) -> None:
    """Fetched by the control node, once; a wrong checksum is refused before a change."""
    (tmp_path / "p.car").write_text("by address")
    folder = tmp_path / "org" / "example" / "app" / "1.0"
    folder.mkdir(parents=True)
    (folder / "app-1.0.car").write_text("from Maven")
    for kind in ("md5", "sha1"):
        digest = getattr(hashlib, kind)(b"from Maven").hexdigest()
        (folder / f"app-1.0.car.{kind}").write_text(digest)
    checksum = f"sha256:{hashlib.sha256(b'by address').hexdigest()}"
    with repository(tmp_path) as address:
        fetched = {"url": f"{address}/p.car", "checksum": checksum}
        variables = {
            "deployment_sync_artifacts": [fetched, {"maven": "org.example:app:car:1.0"}],
            "deployment_sync_maven_repository": address,
            "deployment_sync_release": "fetched-1.0",
        }
        wrong = {**fetched, "checksum": f"sha256:{'0' * 64}"}
        refused = scenario.play(SYNC, variables={**variables, "deployment_sync_artifacts": [wrong]})
        assert "checksum" in refused.complaint() and refused.changed == set()
        predicted = scenario.play(SYNC, "--check", "--diff", variables=variables).check()
        done = scenario.play(SYNC, "--diff", variables=variables).check()
        assert predicted.changed == done.changed and predicted.diffs == done.diffs
    for name in MEMBERS:
        assert nodes[name].read(f"{APPS}/p.car") == "by address"
        assert nodes[name].read(f"{APPS}/app-1.0.car") == "from Maven" and current(nodes[name]) == "fetched-1.0"
    # What was fetched is at hand: the repository is gone
    assert scenario.play(SYNC, variables=variables).check().changed == set()
    other = {"deployment_sync_release": "fetched-1.0"}
    assert "has a release fetched-1.0 with other artifacts" in scenario.play(SYNC, variables=other).complaint()
    scenario.play(SYNC).check()


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"deployment_sync_artifacts": []}, "deployment_sync_artifacts is empty"),
        ({"deployment_sync_artifacts": [{"path": "/none"}]}, "'/none' is not on the control node"),
        ({"deployment_sync_artifacts": [{"url": "http://h/a"}]}, "give sha256:"),
        ({"deployment_sync_directories": ["/srv/missing"]}, "/srv/missing on s1 is not there"),
        ({"haproxy_members_group": "nobody"}, "no balancers in the group nobody"),
    ],
)
def test_bad_input_is_refused_before_a_change(scenario: Scenario, variables: dict[str, object], said: str) -> None:
    """One clear error that names the variable and the value, and nothing changed."""
    refused = scenario.play(SYNC, variables={"deployment_sync_artifacts": [{"path": "orders.car"}], **variables})
    assert said in refused.complaint() and refused.changed == set()


def test_a_part_of_the_servers_is_refused(scenario: Scenario, nodes: Nodes, orders: pathlib.Path) -> None:
    """A limit would leave servers with different artifacts; so would one that loses too many of its own."""
    orders.write_text("limited")
    refused = scenario.play(SYNC, "--limit", "s1")
    assert "s2 is not in this run and would keep" in refused.complaint() and refused.changed == set()
    nodes["s2"].out(
        "sh", "-c", f"cd {APPS} && touch own-1 own-2 own-3 own-4 own-5 own-6 own-7 own-8 own-9 own-10 own-11"
    )
    refused = scenario.play(SYNC)
    assert "11 of 12 files" in refused.complaint() and refused.changed == set()
    scenario.play(SYNC, variables={"deployment_sync_delete_percent": 100}).check()
    assert nodes["s2"].read(f"{APPS}/own-1") is None


def test_a_server_leaves_and_takes_nothing_along(scenario: Scenario, nodes: Nodes) -> None:
    """Its artifacts stay, the releases go; it comes back."""
    points = {"entry_role": "clusterkit.middleware.deployment_sync", "entry_hosts": "s2", "entry_points": ["remove"]}
    before = files(nodes["s2"])
    scenario.play(ROOT / "molecule" / "shared" / "entry_points.yml", variables=points).check()
    assert files(nodes["s2"]) == before and nodes["s2"].run("test", "-e", STORE).returncode != 0
    scenario.play(SYNC).check()
    assert files(nodes["s2"]) == files(nodes["s1"])
