# SPDX-License-Identifier: GPL-3.0-or-later
"""Three OpenDJ servers, one of them set up by hand before, and what happens to them: cut off, lost, back again."""

from __future__ import annotations

import pathlib
import subprocess
import time

from lab.nodes import Laboratory
from molecule.shared.opendj import (
    PASSWORD,
    PLAYS,
    RESOLVE,
    SET_WRITABILITY,
    Nodes,
    add,
    find,
    java_of,
    registered,
    said,
)
from molecule.shared.scenario import Scenario, kill_with_descendants, wait_for

SECONDS_TO_SET_UP = 240


def test_what_was_there_before_is_as_it_was(nodes: Nodes) -> None:
    """The role wrote no unit, no user and no mark where a server was set up by hand, and so would not remove it."""
    node = nodes["n3"]
    for path in (
        "/etc/systemd/system/opendj.service",
        "/opt/opendj/.clusterkit-made",
        "/var/cache/clusterkit-opendj.zip",
    ):
        assert node.run("test", "-e", path).returncode == 1, path
    assert node.run("id", "ldap").returncode == 1
    command = node.out("ps", "-o", "user:32=,args=", "-p", java_of(node))
    assert command.split()[0] == "directory" and "-Xmx384m" in command
    assert node.out("stat", "-c", "%U", "/opt/opendj/config/config.ldif").strip() == "directory"


def test_all_have_the_entries_of_the_first(nodes: Nodes) -> None:
    """One server imported a file; what each of them writes is on all."""
    for node in nodes.values():
        add(node, f"from-{node.name}-")
    for node in nodes.values():
        wait_for(lambda node=node: find(node, "(uid=from-*)") == 3, f"three entries on {node.name}", 20)
        assert find(node, "(uid=first)") == 1


def test_a_server_that_hangs_is_told_in_time(scenario: Scenario, nodes: Nodes) -> None:
    """A server that takes connections and says nothing does not hold a run up."""
    nodes["n1"].out("kill", "-STOP", java_of(nodes["n1"]))
    try:
        began = time.monotonic()
        answer = said(scenario.play(PLAYS / "ask.yml", variables={"asked_host": "n1"}))
        assert "n1:4444 did not answer within 2 s" in answer["error"]
        assert time.monotonic() - began < 30
    finally:
        nodes["n1"].out("kill", "-CONT", java_of(nodes["n1"]))


def test_a_server_that_lets_in_and_takes_no_writes_is_not_well(scenario: Scenario, nodes: Nodes) -> None:
    """A bind is no proof: what a verification asks for is a write."""
    node = nodes["n2"]
    node.out("python3", "-c", SET_WRITABILITY, "internal-only", stdin=PASSWORD)
    try:
        complaint = scenario.play().complaint()
        assert "The OpenDJ servers opendj_servers are not all well: o=site on n2: n2:4444 refuses to add" in complaint
    finally:
        node.out("python3", "-c", SET_WRITABILITY, "enabled", stdin=PASSWORD)
    scenario.play().check()


def test_a_set_up_that_is_cut_off_is_begun_anew(scenario: Scenario, nodes: Nodes) -> None:
    """The host loses its power while the server is set up: the next run ends right, and nothing is left behind."""
    node = nodes["n2"]
    scenario.play(PLAYS / "remove.yml").check()
    for path in ("/opt/opendj", "/opt/.opendj.clusterkit-discarded", "/etc/systemd/system/opendj.service"):
        assert node.run("test", "-e", path).returncode == 1, path
    assert node.run("id", "ldap").returncode == 1
    process = scenario.start()
    try:
        wait_for(
            lambda: node.run("test", "-e", "/opt/opendj/config").returncode == 0, "set-up to begin", SECONDS_TO_SET_UP
        )
        node.engine("kill")
    finally:
        kill_with_descendants(process)
    node.engine("start")
    wait_for(lambda: node.run("systemctl", "is-active", "ssh.service").returncode == 0, "ssh", 60)
    assert node.run("test", "-e", "/opt/opendj/.clusterkit-incomplete").returncode == 0
    # Next the run itself is killed, when the server has joined and has not got the entries yet
    process = scenario.start()
    try:
        wait_for(lambda: registered(nodes["n1"], "n2"), "n2 to join", SECONDS_TO_SET_UP)
    finally:
        kill_with_descendants(process)
    wait_for(lambda: node.run("pgrep", "--full", "DsReplication").returncode != 0, "the end of dsreplication", 120)
    assert find(node, "(uid=first)") == 0
    run = scenario.play().check()
    assert ("n2", "Get the entries") in {(host, name.rpartition(" : ")[2]) for host, name in run.changed}
    assert find(node, "(uid=first)") == 1
    assert node.run("test", "-e", "/opt/opendj/.clusterkit-incomplete").returncode == 1
    left = node.out("sh", "-c", "ls -A /opt /var/cache /tmp | grep -i clusterkit || true")
    assert left == ""
    assert scenario.play().check().changed == set()


def test_the_same_entry_added_on_two_is_reported(nodes: Nodes, scenario: Scenario) -> None:
    """Two members that do not reach each other take an entry of one name: the run names it and decides nothing."""
    network = Laboratory(scenario.name).prefix
    container = nodes["n3"].container
    inspected = subprocess.run(
        ["docker", "inspect", "-f", f'{{{{(index .NetworkSettings.Networks "{network}").IPAddress}}}}', container],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    address = inspected.stdout.strip()
    subprocess.run(["docker", "network", "disconnect", network, container], check=True, timeout=60)
    try:
        add(nodes["n1"], "conflict-")
        add(nodes["n3"], "conflict-")
    finally:
        argv = ["docker", "network", "connect", f"--ip={address}", "--alias=n3", network, container]
        subprocess.run(argv, check=True, timeout=60)
    for node in nodes.values():
        wait_for(lambda node=node: find(node, "(ds-sync-conflict=*)") > 0, f"the conflict on {node.name}", 120)
    complaint = scenario.play().complaint()
    assert "has two entries uid=conflict-0,ou=people,o=site: decide, and delete one" in complaint
    nodes["n1"].out("python3", "-c", RESOLVE, stdin=PASSWORD)
    for node in nodes.values():
        wait_for(lambda node=node: find(node, "(ds-sync-conflict=*)") == 0, f"no conflict on {node.name}", 60)
    scenario.play().check()


def test_a_member_that_is_gone_is_forgotten_and_comes_back(nodes: Nodes, scenario: Scenario) -> None:
    """One that does not answer any more is taken out over LDAP; when it is there again it joins again."""
    nodes["n3"].out("systemctl", "stop", "directory.service")
    try:
        forgotten = scenario.play(PLAYS / "forget.yml", variables={"gone": "n3"}).check()
        assert {host for host, _task in forgotten.changed} == {"n1", "n2"}
        facts = forgotten.facts["n1"]["opendj_replication_verification"]
        assert facts["ok"] and facts["members_seen"] == ["n1", "n2"]
        assert scenario.play(PLAYS / "forget.yml", variables={"gone": "n3"}).check().changed == set()
    finally:
        nodes["n3"].out("systemctl", "start", "directory.service")
    wait_for(lambda: find(nodes["n3"], "(uid=first)") == 1, "n3 to answer", 120)
    back = scenario.play().check()
    assert ("n3", "Join") in {(host, name.rpartition(" : ")[2]) for host, name in back.changed}
    assert scenario.play().check().changed == set()


def test_all_servers_have_one_certificate(scenario: Scenario, nodes: Nodes, tmp_path: pathlib.Path) -> None:
    """Refused where it is not for each; then shown by all, each of which was restarted once, and still replicating."""
    shared = {"opendj_server_shared_pair": pair(tmp_path, "n1", "n2")}
    refused = scenario.play(variables=shared)
    assert "the certificate is not made for n3" in refused.complaint() and refused.changed == set()
    shared = {"opendj_server_shared_pair": pair(tmp_path, "n1", "n2", "n3")}
    before = {name: java_of(node) for name, node in nodes.items()}
    predicted = scenario.play("converge.yml", "--check", variables=shared).check()
    run = scenario.play(variables=shared).check()
    task = "clusterkit.middleware.opendj_server : Let the server have the certificate of all servers"
    assert run.changed == predicted.changed == {(name, task) for name in nodes}
    checks = run.facts["n1"]["opendj_server_verification"]["checks"]
    assert [one["ok"] for one in checks if one["name"] == "certificate"] == [True] * 3
    after = {name: java_of(node) for name, node in nodes.items()}
    assert all(after[name] not in ("0", before[name]) for name in nodes)
    assert scenario.play(variables=shared).check().changed == set()
    key = shared["opendj_server_shared_pair"]["key"].splitlines()[1]
    assert key not in run.output
    add(nodes["n1"], "with-one-certificate-")
    wait_for(lambda: find(nodes["n3"], "(uid=with-one-certificate-0)") == 1, "an entry on n3", 60)
    # One certificate after the other, as when it is renewed; who no longer asks for one keeps what there is
    renewed = {"opendj_server_shared_pair": pair(tmp_path, "n1", "n2", "n3")}
    assert scenario.play(variables=renewed).check().changed == {(name, task) for name in nodes}
    assert scenario.play().check().changed == set()


def pair(directory: pathlib.Path, *names: str) -> dict[str, str]:
    """Return a certificate for some names, with its key."""
    key, certificate = directory / "key.pem", directory / "certificate.pem"
    argv = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-out", str(certificate)]
    alternatives = ",".join(f"DNS:{name}" for name in names)
    argv += ["-subj", "/CN=directory", "-days", "30", "-addext", f"subjectAltName={alternatives}"]
    subprocess.run(argv, check=True, capture_output=True)
    return {"certificate": certificate.read_text(encoding="ascii"), "key": key.read_text(encoding="ascii")}


def test_a_server_that_was_there_before_is_not_removed(scenario: Scenario, nodes: Nodes) -> None:
    """It leaves the topology with its entries and runs on; the others are whole without it, and it joins again."""
    before = java_of(nodes["n3"])
    scenario.play(PLAYS / "remove.yml", variables={"leaving": "n3"}).check()
    assert java_of(nodes["n3"]) == before != "0"
    assert find(nodes["n3"], "(uid=first)") == find(nodes["n1"], "(uid=first)") == 1
    name = f"after-leaving-{time.time_ns()}-"
    add(nodes["n1"], name)
    assert scenario.play(PLAYS / "remove.yml", variables={"leaving": "n3"}).check().changed == set()
    scenario.play().check()
    assert find(nodes["n3"], f"(uid={name}0)") == 1


def test_a_node_is_taken_out_by_one_playbook(scenario: Scenario, nodes: Nodes) -> None:
    """It leaves with its entries, the others forget it and are whole; repeated, nothing is left to do."""
    remove = ("clusterkit.middleware.remove_node", "-e", "node=n3")
    assert scenario.play(*remove).check().changed
    again = scenario.play(*remove).check()
    assert again.changed == set()
    assert again.facts["n1"]["opendj_replication_verification"]["members_seen"] == ["n1", "n2"]
    assert find(nodes["n3"], "(uid=first)") == 1
    scenario.play().check()


def test_a_port_that_is_not_reached_is_named(scenario: Scenario, nodes: Nodes) -> None:
    """Something that no role manages lies between two members."""
    address = nodes["n2"].out("getent", "ahosts", "n1").split()[0]
    nodes["n2"].out("ip", "route", "add", "unreachable", address)
    try:
        complaint = scenario.play().complaint()
        assert "n2 does not reach n1:4444 (No route to host): let it through the firewalls between them." in complaint
        assert "n2 does not reach n1:8989 (No route to host)" in complaint
    finally:
        nodes["n2"].out("ip", "route", "delete", "unreachable", address)
    scenario.play().check()
