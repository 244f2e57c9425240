# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is a member of a csync2 cluster, and what becomes of those who join, leave, die, or come with another key."""

from __future__ import annotations

import json
import pathlib
import time
from collections.abc import Iterator

import pytest

from molecule.shared.csync2 import KEY, Nodes, quiet, synchronise
from molecule.shared.scenario import Scenario, kill_with_descendants, wait_for


@pytest.fixture
def nodes(servers: Nodes) -> Nodes:
    """Return the two servers that are members from the beginning."""
    return {name: servers[name] for name in ("n1", "n2")}


@pytest.fixture
def servers(scenario: Scenario) -> Nodes:
    """Return all servers."""
    return scenario.nodes()


@pytest.fixture
def by_hand(nodes: Nodes) -> Iterator[None]:
    """Let nothing run by itself during a test."""
    with quiet(nodes):
        yield


def test_check_mode_on_bare_members_says_what_it_cannot_tell(scenario: Scenario) -> None:
    """Behind a package that is not there nothing can be predicted: that is said, once for each, and nothing fails."""
    run = scenario.play("converge.yml", "--check", "-i", str(scenario.directory / "two" / "hosts.yml")).check()
    assert run.output.count("Not predictable before csync2 is installed") == 2
    assert {host for host, _task in run.changed} == {"n3", "n4"}


def test_third_member_joins_and_leaves(scenario: Scenario, servers: Nodes) -> None:
    """A newcomer gets what was there before it and gives what it has; when it leaves nothing of it stays anywhere."""
    joined = ("-i", str(scenario.directory / "joined" / "hosts.yml"))
    scenario.play("converge.yml", *joined).check()
    for name in ("n1", "n2", "n3", "both"):
        contents = {servers[member].read(f"/srv/web/{name}") for member in ("n1", "n2", "n3")}
        assert len(contents) == 1 and None not in contents, name
    servers["n3"].write("/srv/web/from-the-third", "three")
    for name in ("n1", "n2"):
        wait_for(lambda name=name: servers[name].read("/srv/web/from-the-third") == "three", name, limit=10)
    assert scenario.play("converge.yml", *joined).check().changed == set()

    run = scenario.play("converge.yml")
    assert "the running configuration has the member n3, which the inventory has not" in run.complaint()
    assert run.changed == set()

    remove = ("-e", "node=n3", *joined)
    scenario.play("clusterkit.middleware.remove_node", *remove).check()
    for name in ("n1", "n2"):
        assert "n3" not in str(servers[name].read("/etc/csync2.cfg"))
        tables = "select peername from dirty union select peername from x509_cert"
        database = (
            f"import sqlite3; print(sqlite3.connect('/var/lib/csync2/{name}.db3').execute({tables!r}).fetchall())"
        )
        assert "n3" not in servers[name].out("python3", "-c", database)
    assert servers["n3"].read("/etc/csync2.cfg") is None
    assert servers["n3"].read("/srv/web/from-the-third") == "three"
    assert scenario.play().check().changed == set()


@pytest.mark.deep
def test_a_dead_member_is_taken_out_by_the_others(scenario: Scenario, servers: Nodes) -> None:
    """A member that is gone for good is removed without being asked; should it come back, it is taken out itself."""
    joined = ("-i", str(scenario.directory / "joined" / "hosts.yml"))
    scenario.play("converge.yml", *joined).check()
    servers["n3"].engine("kill")
    try:
        assert "n3" in {host for host, _task in scenario.play("converge.yml", *joined).failed}
        dead = ("-e", "node=n3", "-e", "node_is_dead=true", *joined)
        scenario.play("clusterkit.middleware.remove_node", *dead).check()
        for name in ("n1", "n2"):
            assert "n3" not in str(servers[name].read("/etc/csync2.cfg"))
        assert scenario.play().check().changed == set()
    finally:
        servers["n3"].engine("start")
    up = ("systemctl", "is-active", "multi-user.target")
    wait_for(lambda: servers["n3"].run(*up).stdout.strip() == "active", "n3 to be up", limit=60)
    scenario.play("clusterkit.middleware.remove_node", "-e", "node=n3", *joined).check()
    assert servers["n3"].read("/etc/csync2.cfg") is None


@pytest.mark.deep
def test_check_mode_on_a_half_made_member(scenario: Scenario, servers: Nodes) -> None:
    """Where only the package is there, as after a run that was killed early, check mode still does not fail."""
    servers["n3"].out("sh", "-c", "DEBIAN_FRONTEND=noninteractive apt-get install -yqq --no-install-recommends csync2")
    joined = ("-i", str(scenario.directory / "joined" / "hosts.yml"))
    assert scenario.play("converge.yml", "--check", *joined).check().changed


def test_killed_member_comes_back(scenario: Scenario, nodes: Nodes, by_hand: None) -> None:
    """While a member is dead the run says which; changes reach it when it is back, without any help."""
    nodes["n2"].engine("kill")
    try:
        nodes["n1"].write("/srv/web/meanwhile", "written while n2 was dead")
        assert synchronise(nodes["n1"]).returncode != 0
        assert {host for host, _task in scenario.play().failed} == {"n2"}
    finally:
        nodes["n2"].engine("start")
    wait_for(lambda: nodes["n2"].run("systemctl", "is-active", "csync2.socket").stdout.strip() == "active", "n2", 60)
    assert synchronise(nodes["n1"]).returncode == 0
    assert nodes["n2"].read("/srv/web/meanwhile") == "written while n2 was dead"


def test_limited_run_keeps_the_cluster_whole(scenario: Scenario, nodes: Nodes) -> None:
    """A run that is limited to one member still writes the configuration of all, and asks all."""
    nodes["n2"].write("/etc/csync2.cfg", "# lost\n")
    run = scenario.play("converge.yml", "--limit", "n2").check()
    tasks = ("Write the configuration and listen for the other members", "Synchronise from now on")
    assert run.changed == {("n2", f"clusterkit.middleware.csync2 : {task}") for task in tasks}
    config = str(nodes["n2"].read("/etc/csync2.cfg"))
    assert "host n1;" in config and "host n2;" in config
    assert run.facts["n2"]["csync2_verification"]["members_seen"] == ["n1", "n2"]


def test_a_member_that_is_off_is_named(scenario: Scenario, nodes: Nodes) -> None:
    """A run that is limited to another one does not go on without it."""
    nodes["n2"].engine("pause")
    try:
        run = scenario.play("converge.yml", "--limit", "n1", "--ssh-common-args=-o ConnectTimeout=3")
        assert "no address is known of n2: it has to be reachable" in run.complaint() and run.changed == set()
    finally:
        nodes["n2"].engine("unpause")


def test_two_keys_are_refused_until_one_is_named(scenario: Scenario, nodes: Nodes) -> None:
    """Different keys stop the run before a change, without being shown; the authority's key then goes to all."""
    other = "k" * 64
    right = nodes["n1"].read(KEY)
    nodes["n2"].write(KEY, other + "\n")
    run = scenario.play("converge.yml", "-vvv")
    assert "csync2_key_authority" in run.complaint() and run.changed == set()
    assert other not in run.output and str(right).strip() not in run.output
    scenario.play(variables={"csync2_key_authority": "n1"}).check()
    assert nodes["n2"].read(KEY) == right


def test_malformed_key_is_refused(scenario: Scenario, nodes: Nodes) -> None:
    """A key that csync2 could not use stops the run before a change, without being shown."""
    right = str(nodes["n1"].read(KEY))
    nodes["n2"].write(KEY, "too short but secret\n")
    try:
        run = scenario.play("converge.yml", "-vvv")
        assert "The key on n2 is malformed" in run.complaint() and run.changed == set()
        assert "too short but secret" not in run.output
    finally:
        nodes["n2"].write(KEY, right)


def test_taken_port_is_refused(scenario: Scenario, nodes: Nodes, by_hand: None) -> None:
    """Another program on csync2's port stops the run before a change, and is named."""
    nodes["n2"].out("systemctl", "stop", "csync2.socket")
    listener = "import socket, time; s = socket.create_server(('', 30865)); time.sleep(120)"
    nodes["n2"].out("systemd-run", "--quiet", "--unit=squatter", "python3", "-c", listener)
    try:
        taken = ("python3", "-c", "import socket; socket.create_connection(('127.0.0.1', 30865), 1)")
        wait_for(lambda: nodes["n2"].run(*taken).returncode == 0, "the other program", limit=10)
        run = scenario.play()
        assert "On n2 port 30865 is taken by python3" in run.complaint() and run.changed == set()
    finally:
        nodes["n2"].out("systemctl", "stop", "squatter.service")
    scenario.play().check()


@pytest.mark.deep
def test_run_killed_anywhere_ends_right_when_repeated(scenario: Scenario, nodes: Nodes) -> None:
    """A run from nothing is killed at three moments; the last, undisturbed one ends in a verified cluster."""
    for node in nodes.values():
        node.out("systemctl", "disable", "--now", "csync2-watch.service", "csync2-sync.timer", "csync2.socket")
        node.out("sh", "-c", "rm -rf /etc/csync2* /var/lib/csync2/* /etc/systemd/system/csync2*")
    for seconds in (3.5, 5.5, 7.5):
        process = scenario.start()
        end = time.monotonic() + seconds
        while process.poll() is None and time.monotonic() < end:
            time.sleep(0.05)
        if process.poll() is None:
            # All of it: what runs on the node loses its connection, as with a lost control node
            kill_with_descendants(process)
    scenario.play().check()
    assert scenario.play().check().changed == set()
    assert len({node.read(KEY) for node in nodes.values()}) == 1


def test_removed_member_keeps_its_files_only(scenario: Scenario, nodes: Nodes) -> None:
    """After leaving, no unit, key, configuration, database or package is left, and the files are."""
    node = nodes["n2"]
    secrets = [str(node.read(KEY)).strip(), *str(node.read("/etc/csync2_ssl_key.pem")).splitlines()[1:-1]]
    removed = scenario.play("remove.yml", "--diff", "-vvv").check()
    assert removed.changed and not any(line in removed.output for line in secrets)
    for path in (KEY, "/etc/csync2.cfg", "/etc/csync2_ssl_key.pem", "/var/lib/csync2/n2.db3"):
        assert node.run("test", "-e", path).returncode != 0, path
    assert "csync2" not in node.run("systemctl", "list-unit-files", "csync2*", "--no-legend").stdout
    assert node.read("/srv/web/both") == "both\n"
    assert scenario.play("remove.yml").check().changed == set()
    scenario.play().check()


def test_rotated_certificates_are_known_to_the_others_in_the_same_run(scenario: Scenario, nodes: Nodes) -> None:
    """New certificates, of all members or of one alone, break nothing: changes travel both ways at once after it."""
    shown = ("sha256sum", "/etc/csync2_ssl_cert.pem")
    before = {name: node.out(*shown) for name, node in nodes.items()}
    scenario.play(variables={"csync2_rotate_certificates": True}).check()
    rotated = {name: node.out(*shown) for name, node in nodes.items()}
    assert all(rotated[name] != before[name] for name in nodes)
    scenario.play("converge.yml", "--limit", "n2", variables={"csync2_rotate_certificates": True}).check()
    assert nodes["n2"].out(*shown) != rotated["n2"] and nodes["n1"].out(*shown) == rotated["n1"]
    # One that ends soon is renewed by itself, once
    soon = {"csync2_certificate_days": 601, "csync2_certificate_renew_days": 600}
    rotated = {name: node.out(*shown) for name, node in nodes.items()}
    scenario.play(variables=soon).check()
    assert all(node.out(*shown) != rotated[name] for name, node in nodes.items())
    assert scenario.play(variables=soon).check().changed == set()
    nodes["n1"].write("/srv/web/after-rotation-1", "x")
    wait_for(lambda: nodes["n2"].read("/srv/web/after-rotation-1"), "the change from n1", limit=10)
    nodes["n2"].write("/srv/web/after-rotation-2", "x")
    wait_for(lambda: nodes["n1"].read("/srv/web/after-rotation-2"), "the change from n2", limit=10)
    assert scenario.play().check().changed == set()


def test_two_clusters_in_one_inventory_stay_apart(scenario: Scenario, servers: Nodes) -> None:
    """One play makes both: each with its own key, its own members and its own verification."""
    two = ("-i", str(scenario.directory / "two" / "hosts.yml"))
    run = scenario.play("converge.yml", *two).check()
    keys = {name: servers[name].read(KEY) for name in ("n1", "n2", "n3", "n4")}
    assert keys["n1"] == keys["n2"] and keys["n3"] == keys["n4"] and keys["n1"] != keys["n3"]
    for name, members in (("n1", ["n1", "n2"]), ("n2", ["n1", "n2"]), ("n3", ["n3", "n4"]), ("n4", ["n3", "n4"])):
        document = run.facts[name]["csync2_verification"]
        assert document["ok"] and document["members_seen"] == members
        assert document["cluster"] == ("cluster_a" if name in ("n1", "n2") else "cluster_b")
    assert scenario.play("converge.yml", *two).check().changed == set()


def test_all_clusters_are_asked_by_one_playbook(scenario: Scenario, servers: Nodes, tmp_path: pathlib.Path) -> None:
    """One that is not whole keeps none from being asked; what is wrong is told, and stands in the report."""
    two = ("-i", str(scenario.directory / "two" / "hosts.yml"))
    report = tmp_path / "report.json"
    verify = ("clusterkit.middleware.verify", "-e", f"verify_report={report}", *two)
    assert scenario.play("clusterkit.middleware.preflight", *two).check().changed == set()
    assert scenario.play(*verify).check().changed == set()
    assert [(one["cluster"], one["ok"]) for one in json.loads(report.read_text())] == [
        ("cluster_a", True),
        ("cluster_b", True),
    ]
    servers["n1"].out("systemctl", "stop", "csync2-sync.timer")
    try:
        run = scenario.play(*verify)
    finally:
        servers["n1"].out("systemctl", "start", "csync2-sync.timer")
    assert "csync2-sync.timer" in run.complaint() and "n1, csync2, task " in run.complaint()
    assert {one["cluster"]: one["ok"] for one in json.loads(report.read_text())} == {
        "cluster_a": False,
        "cluster_b": True,
    }


@pytest.mark.deep
def test_values_from_the_command_line_and_single_tags(scenario: Scenario) -> None:
    """Values that come as text mean the same, and each tag runs by itself."""
    as_text = ("-e", "csync2_interval_minutes=1 csync2_on_change=true csync2_run_limit_seconds=300 csync2_winner=n1")
    assert scenario.play("converge.yml", *as_text).check().changed == set()
    off = scenario.play("converge.yml", "--check", "-e", "csync2_on_change=false").check()
    assert {task for _host, task in off.changed} == {"clusterkit.middleware.csync2 : Synchronise from now on"}
    for tag in ("csync2", "csync2_preflight", "csync2_verify"):
        assert scenario.play("converge.yml", "--tags", tag).check().changed == set(), tag


@pytest.mark.deep
def test_batches_one_by_one(scenario: Scenario, nodes: Nodes) -> None:
    """With `serial: 1` each batch still knows the whole cluster, and a certificate that changes is known to all."""
    before = nodes["n2"].out("sha256sum", "/etc/csync2_ssl_cert.pem")
    scenario.play("serial.yml", variables={"csync2_rotate_certificates": True}).check()
    assert nodes["n2"].out("sha256sum", "/etc/csync2_ssl_cert.pem") != before
    assert scenario.play().check().changed == set()
