# SPDX-License-Identifier: GPL-3.0-or-later
"""One server gives its artifacts to two others, at once and whole, and what breaks harms no artifact."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator

import pytest

from molecule.shared.scenario import Node, Scenario, wait_for

Nodes = dict[str, Node]
REPOSITORY = "/opt/mi/repository"
SERVER = f"{REPOSITORY}/deployment/server"
PROGRAM = "/usr/local/sbin/clusterkit-deployment-sync"
KNOWN_HOSTS = "/etc/clusterkit/deployment_sync.known_hosts"
UNITS = ("clusterkit-deployment-sync-watch.service", "clusterkit-deployment-sync.timer")
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
#: Writes a file slowly, as a copy over a network does.
WRITE = """
import sys, time
with open(sys.argv[1], "wb") as file:
    for _piece in range(50):
        file.write(b"x" * (1 << 20))
        file.flush()
        time.sleep(0.02)
"""


@contextlib.contextmanager
def quiet(node: Node) -> Iterator[None]:
    """Let nothing run by itself meanwhile on the source."""
    node.out("systemctl", "stop", *UNITS)
    try:
        yield
    finally:
        node.out("systemctl", "reset-failed", *UNITS)
        node.out("systemctl", "start", *UNITS)


def run(node: Node) -> subprocess.CompletedProcess[str]:
    """Let the source synchronise once."""
    return node.run(PROGRAM, "run", "--wait", "60", limit=120)


def test_all_have_what_the_source_had_and_nothing_is_lost(nodes: Nodes) -> None:
    """The source's artifacts are everywhere, with their modes; what receivers had alone is kept in a copy."""
    for node in nodes.values():
        assert node.read(f"{SERVER}/carbonapps/n1.car") == "n1\n"
        assert node.out("stat", "-c", "%a", f"{SERVER}/carbonapps/n1.car").strip() == "640"
    for name in ("n2", "n3"):
        assert nodes[name].read(f"{SERVER}/carbonapps/{name}.car") is None
        kept = nodes[name].out("sh", "-c", f"cat /var/backups/clusterkit/deployment_sync/*/carbonapps/{name}.car")
        assert kept == f"{name}\n"


def test_the_key_of_the_source_is_good_for_nothing_else(nodes: Nodes) -> None:
    """Neither a command nor a file of a receiver can be had with it; the line is restricted to the source's address."""
    ssh = ["ssh", "-F", "none", "-i", "/etc/clusterkit/deployment_sync.key", "-o", "BatchMode=yes"]
    ssh += ["-o", f"UserKnownHostsFile={KNOWN_HOSTS}", "-o", "HostKeyAlias=n2", "root@n2"]
    for command in (["id"], ["rsync", "--server", "--sender", "-logDtpre.iLsfxCIvu", ".", "/etc/"]):
        done = nodes["n1"].run(*ssh, *command)
        assert done.returncode != 0 and "uid=" not in done.stdout and "this key lets rsync send files" in done.stderr
    (line,) = str(nodes["n2"].read("/root/.ssh/authorized_keys")).splitlines()
    assert line.startswith('restrict,from="') and " receive" in line
    assert nodes["n1"].read("/root/.ssh/authorized_keys") is None


def test_changes_arrive_at_once_and_do_not_echo(nodes: Nodes) -> None:
    """An artifact is added, replaced and deleted everywhere, by itself; receivers have nothing that would send."""
    odd = f"{SERVER}/carbonapps/odd 'name' \"ü\n.car"
    nodes["n1"].write(odd, "first")
    nodes["n1"].write(f"{REPOSITORY}/tenants/1/new.xml", "tenant")
    for name in ("n2", "n3"):
        wait_for(lambda name=name: nodes[name].read(odd) == "first", "the artifact", limit=60)
        wait_for(lambda name=name: nodes[name].read(f"{REPOSITORY}/tenants/1/new.xml"), "the tenant's", limit=60)
    nodes["n1"].write(odd, "other")
    for name in ("n2", "n3"):
        wait_for(lambda name=name: nodes[name].read(odd) == "other", "the replacement", limit=60)
    nodes["n1"].out("rm", odd)
    for name in ("n2", "n3"):
        wait_for(lambda name=name: nodes[name].read(odd) is None, "the deletion", limit=60)
        for unit in UNITS:
            assert nodes[name].run("systemctl", "is-active", unit).returncode != 0
    # A line of JSON for each node and run
    lines = [json.loads(line) for line in str(nodes["n1"].read("/var/log/clusterkit/deployment_sync.log")).splitlines()]
    assert {line["node"] for line in lines} >= {"n2", "n3"} and {"ok", "sent", "deleted", "seconds"} <= set(lines[-1])


def test_an_archive_is_never_seen_incomplete(nodes: Nodes) -> None:
    """50 MB that are written slowly on the source are on a receiver not at all, and then whole, while others go on."""
    path, size = f"{SERVER}/carbonapps/large.car", 50 << 20
    looking = subprocess.Popen(
        ["docker", "exec", nodes["n2"].container, "python3", "-c", LOOK, path, str(size)],
        stdout=subprocess.PIPE,
        text=True,
    )
    nodes["n1"].out("systemctl", "stop", "clusterkit-deployment-sync.timer")
    nodes["n1"].out("python3", "-c", WRITE, path, limit=120)
    seen, _error = looking.communicate(timeout=180)
    nodes["n1"].out("systemctl", "start", "clusterkit-deployment-sync.timer")
    assert json.loads(seen) == [size]
    nodes["n1"].out("rm", path)


def test_a_node_that_is_down_stops_no_other_and_catches_up(nodes: Nodes) -> None:
    """The exit code and its line tell of it; when it is back it gets what it missed."""
    with quiet(nodes["n1"]):
        nodes["n3"].engine("kill")
        nodes["n1"].write(f"{SERVER}/missed.xml", "missed")
        done = run(nodes["n1"])
        assert done.returncode == 75, done
        told = {line["node"]: line for line in map(json.loads, done.stdout.splitlines())}
        assert told["n2"]["ok"] and not told["n3"]["ok"] and told["n3"]["error"]
        assert nodes["n2"].read(f"{SERVER}/missed.xml") == "missed"
        nodes["n3"].engine("start")
        wait_for(lambda: run(nodes["n1"]).returncode == 0, "the node that was down", limit=90)
        assert nodes["n3"].read(f"{SERVER}/missed.xml") == "missed"


def test_an_unmounted_or_empty_source_deletes_nothing(nodes: Nodes) -> None:
    """Another file system in the directory's place is refused, whatever it holds; so is an empty directory."""
    with quiet(nodes["n1"]):
        nodes["n1"].out("mount", "-t", "tmpfs", "tmpfs", SERVER)
        try:
            nodes["n1"].write(f"{SERVER}/other.xml", "other")
            done = run(nodes["n1"])
        finally:
            nodes["n1"].out("umount", SERVER)
        assert done.returncode == 66 and "is it not mounted?" in done.stdout, done
        nodes["n1"].out("sh", "-c", f"mv {SERVER} {SERVER}.away && mkdir {SERVER}")
        try:
            done = run(nodes["n1"])
        finally:
            nodes["n1"].out("sh", "-c", f"rmdir {SERVER} && mv {SERVER}.away {SERVER}")
        assert done.returncode == 66 and "has no file at all" in done.stdout, done
        for name in ("n2", "n3"):
            assert nodes[name].read(f"{SERVER}/carbonapps/n1.car") == "n1\n"
            assert nodes[name].read(f"{SERVER}/other.xml") is None
        assert run(nodes["n1"]).returncode == 0


def test_another_host_key_is_refused_until_it_is_asked_for(scenario: Scenario, nodes: Nodes) -> None:
    """A server that shows another key than it has been pinned with gets nothing, and the role says how to go on."""
    pinned = str(nodes["n1"].read(KNOWN_HOSTS))
    others = "".join(line + "\n" for line in pinned.splitlines() if line.startswith("n2 "))
    with quiet(nodes["n1"]):
        nodes["n1"].write(KNOWN_HOSTS, others + others.replace("n2 ", "n3 "))
        nodes["n1"].write(f"{SERVER}/careful.xml", "careful")
        done = run(nodes["n1"])
        assert done.returncode == 75 and "Host key verification failed" in done.stdout, done
        assert nodes["n2"].read(f"{SERVER}/careful.xml") == "careful"
        assert nodes["n3"].read(f"{SERVER}/careful.xml") is None
        refused = scenario.play()
        assert "deployment_sync_rotate_host_keys=true" in refused.complaint() and refused.changed == set()
    scenario.play(variables={"deployment_sync_rotate_host_keys": True}).check()
    assert nodes["n1"].read(KNOWN_HOSTS) == pinned
    assert nodes["n3"].read(f"{SERVER}/careful.xml") == "careful"


def test_the_source_is_handed_over(scenario: Scenario, nodes: Nodes) -> None:
    """Another server becomes the source by the playbook alone, with the last changes of the one before, and back."""
    refused = scenario.play(variables={"deployment_sync_source": "n2"})
    assert "n1 is the source now" in refused.complaint() and refused.changed == set()
    nodes["n1"].out("systemctl", "stop", *UNITS)
    nodes["n1"].write(f"{SERVER}/last.xml", "last")
    scenario.play("clusterkit.middleware.deployment_failover", variables={"deployment_sync_source": "n2"}).check()
    for node in nodes.values():
        assert node.read(f"{SERVER}/last.xml") == "last"
    assert nodes["n1"].run("systemctl", "is-active", UNITS[0]).returncode != 0
    assert nodes["n1"].read("/etc/clusterkit/deployment_sync.key") is None
    assert "is not the source, n2 is" in run(nodes["n1"]).stdout
    nodes["n2"].write(f"{SERVER}/after.xml", "after")
    for name in ("n1", "n3"):
        wait_for(lambda name=name: nodes[name].read(f"{SERVER}/after.xml") == "after", "the new source's", limit=60)
    scenario.play("clusterkit.middleware.deployment_failover", variables={"deployment_sync_source": "n1"}).check()
    assert scenario.play().check().changed == set()


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"deployment_sync_directories": ["/srv/missing"]}, "/srv/missing on n1 is not there"),
        ({"deployment_sync_exclude": ["a/b/**"]}, "deployment_sync_exclude"),
    ],
)
def test_bad_input_is_refused_before_a_change(scenario: Scenario, variables: dict[str, object], said: str) -> None:
    """One clear error that names the variable and the value, and nothing changed."""
    refused = scenario.play(variables={"deployment_sync_tenants": False, **variables})
    assert said in refused.complaint()
    assert refused.changed == set()
