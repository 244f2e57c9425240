# SPDX-License-Identifier: GPL-3.0-or-later
"""OpenDJ servers, from an archive or as they are found, that replicate; what is wrong is refused before it changes."""

from __future__ import annotations

import subprocess
import time
from typing import Any

import pytest

from lab.nodes import Laboratory
from molecule.shared.scenario import ROOT, Node, Run, Scenario, kill_with_descendants, wait_for

Nodes = dict[str, Node]
SECONDS_TO_SET_UP = 240
PASSWORD = "Canary #!0^(' \"%\\`;& Grüße"
SET_WRITABILITY = """
import sys, ldap
connection = ldap.initialize("ldap://localhost:1389")
connection.simple_bind_s("cn=directory manager", sys.stdin.read())
connection.modify_s("cn=config", [(ldap.MOD_REPLACE, "ds-cfg-writability-mode", sys.argv[1].encode())])
"""
REGISTERED = """
import sys, ldap
connection = ldap.initialize("ldap://localhost:1389")
connection.simple_bind_s("cn=directory manager", sys.stdin.read())
connection.search_s(sys.argv[1], ldap.SCOPE_BASE)
"""


def said(run: Run, host: str = "n1") -> dict[str, Any]:
    """Return what the playbook ask.yml was told."""
    answer: dict[str, Any] = run.check().facts[host]["said"]
    return answer


def unit_of(node: Node) -> str:
    """Return the unit that runs a node's server."""
    return "directory.service" if node.name == "n3" else "opendj.service"


def java_of(node: Node) -> str:
    """Return the number of the process that is a node's server."""
    return node.out("systemctl", "show", "-P", "MainPID", unit_of(node)).strip()


def test_servers_run_as_they_should(nodes: Nodes) -> None:
    """Each has its own user and unit, and survives a restart of the host; Java got its arguments."""
    for node in nodes.values():
        assert node.out("systemctl", "is-enabled", unit_of(node)).strip() == "enabled"
        command = node.out("ps", "-o", "user:32=,args=", "-p", java_of(node))
        assert command.split()[0] == ("directory" if node.name == "n3" else "ldap"), command
        assert ("-Xmx384m" if node.name == "n3" else "-Xmx512m") in command
        # A server that is ended is no failure
        assert "143" in node.out("systemctl", "show", "-P", "SuccessExitStatus", unit_of(node))


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
    assert node.out("stat", "-c", "%U", "/opt/opendj/config/config.ldif").strip() == "directory"


def test_entries_are_what_was_asked_for(scenario: Scenario) -> None:
    """One server imported a file, and the others got its entries; a verification leaves nothing."""
    certificate = said(scenario.play("ask.yml", variables={"asked_host": "n1"}))
    assert certificate["server"]["base_dns"]["o=site"]["entries"] == 3
    assert certificate["server"]["base_dns"]["o=site"]["probes"] == {}
    run = scenario.play("entries.yml").check()
    assert {host: facts["entries"] for host, facts in run.facts.items()} == {"n1": 3, "n2": 3, "n3": 3}


def test_exported_is_what_was_asked_for(scenario: Scenario) -> None:
    """What a server set up by hand is can be written down in the role's variables."""
    variables = {"entry_role": "clusterkit.middleware.opendj_server", "entry_hosts": "n3", "entry_points": ["export"]}
    run = scenario.play(ROOT / "molecule" / "shared" / "entry_points.yml", variables=variables).check()
    assert run.facts["n3"]["opendj_server_exported"] == {
        "opendj_server_path": "/opt/opendj",
        "opendj_server_name": "n3",
        "opendj_server_version": "4.9.2",
        "opendj_server_user": "directory",
        "opendj_server_base_dns": ["o=site"],
        "opendj_server_ldap_port": 1389,
        "opendj_server_ldaps_port": 0,
        "opendj_server_admin_port": 4444,
    }


@pytest.mark.parametrize(
    ("variables", "complaint"),
    [
        (
            {"opendj_replication_administrator_password": "wrong"},
            "n1 has the global administrator already, and another password for it: give that one "
            "(opendj_replication_administrator_password).",
        ),
        (
            {"opendj_replication_shortage": "refuse", "opendj_replication_minimum_cpus": 999},
            "of 999 processors. n2 has",
        ),
        ({"opendj_replication_source": "n9"}, "opendj_replication_source is n9, which is no member"),
        ({"opendj_replication_base_dns": ["o=site", "o=other"]}, "n1 has no base DN o=other: add it first."),
        (
            {"opendj_server_password": "wrong"},
            "n2:4444 does not accept the password of cn=directory manager: give the password of the server in "
            "/opt/opendj on n2 (opendj_server_password).",
        ),
        (
            {"opendj_server_base_dns": ["o=site", "o=other"]},
            "has the base DNs o=site, and not o=other: add them to it, or leave them out of opendj_server_base_dns.",
        ),
        ({"opendj_server_base_dns": []}, "opendj_server_base_dns is empty"),
        ({"opendj_server_admin_port": 1389}, "each needs its own"),
        ({"opendj_server_ldap_port": 22}, "On n1 port 22 is taken by sshd"),
        (
            {"opendj_server_path": "/opt/other", "opendj_server_checksum": f"sha256:{'0' * 64}"},
            f"c136824a - expected sha256:{'0' * 64} (opendj_server_checksum)",
        ),
        ({"opendj_server_java_arguments": '-Xmx1g" "-Dx'}, "opendj_server_java_arguments has a quote"),
    ],
)
def test_refused_before_anything_changes(scenario: Scenario, variables: dict[str, Any], complaint: str) -> None:
    """What cannot be right is named with its variable, and no host is touched."""
    run = scenario.play(variables=variables)
    assert complaint in run.complaint()
    assert run.changed == set()


def test_only_the_right_server_is_given_the_password(scenario: Scenario) -> None:
    """A server is believed by its certificate and its name, with TLS from the beginning as with StartTLS."""
    other = said(scenario.play("ask.yml", variables={"asked_host": "n2"}))
    assert not other["answers"] and "n2:4444 shows another certificate (SHA-256 " in other["error"]
    address = scenario.play("ask.yml", variables={"asked_host": "127.0.0.1"})
    assert "is not made for the name 127.0.0.1: connect by the name that is in it" in said(address)["error"]
    # The handler for LDAP has another certificate than the administration connector
    plain = said(scenario.play("ask.yml", variables={"asked_host": "n1", "asked_port": 1389, "asked_tls": "starttls"}))
    assert not plain["answers"] and "n1:1389" in plain["error"]
    nonsense = said(scenario.play("ask.yml", variables={"asked_host": "n1", "asked_certificate": "nonsense"}))
    assert nonsense["error"].startswith("the certificate is no PEM text")


def test_a_server_that_hangs_is_told_in_time(scenario: Scenario, nodes: Nodes) -> None:
    """A server that takes connections and says nothing does not hold a run up."""
    nodes["n1"].out("kill", "-STOP", java_of(nodes["n1"]))
    try:
        began = time.monotonic()
        answer = said(scenario.play("ask.yml", variables={"asked_host": "n1"}))
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


def registered(node: Node, member: str) -> bool:
    """Tell whether a node's server has a member registered."""
    done = node.run("python3", "-c", REGISTERED, f"cn={member}:4444,cn=Servers,cn=admin data", stdin=PASSWORD)
    return done.returncode == 0


def test_a_set_up_that_is_cut_off_is_begun_anew(scenario: Scenario, nodes: Nodes) -> None:
    """The host loses its power while the server is set up: the next run ends right, and nothing is left behind."""
    node = nodes["n2"]
    scenario.play("remove.yml").check()
    for path in ("/opt/opendj", "/opt/.opendj.clusterkit-discarded", "/etc/systemd/system/opendj.service"):
        assert node.run("test", "-e", path).returncode == 1, path
    assert node.run("id", "ldap").returncode == 1
    process = subprocess.Popen(
        scenario.argv("converge.yml"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
        cwd=ROOT,
    )
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
    process = subprocess.Popen(
        scenario.argv("converge.yml"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
        cwd=ROOT,
    )
    try:
        wait_for(lambda: registered(nodes["n1"], "n2"), "n2 to join", SECONDS_TO_SET_UP)
    finally:
        kill_with_descendants(process)
    wait_for(lambda: node.run("pgrep", "--full", "DsReplication").returncode != 0, "the end of dsreplication", 120)
    assert find(node, "(uid=first)") == 0
    run = scenario.play(limit=400).check()
    assert ("n2", "Get the entries") in {(host, name.rpartition(" : ")[2]) for host, name in run.changed}
    assert find(node, "(uid=first)") == 1
    assert node.run("test", "-e", "/opt/opendj/.clusterkit-incomplete").returncode == 1
    left = node.out("sh", "-c", "ls -A /opt /var/cache /tmp | grep -i clusterkit || true")
    assert left == ""
    assert scenario.play().check().changed == set()


ADD = """
import sys, ldap
connection = ldap.initialize("ldap://localhost:1389")
connection.simple_bind_s("cn=directory manager", sys.stdin.read())
for number in range(int(sys.argv[2])):
    name = f"{sys.argv[1]}{number}"
    values = {"objectClass": "inetOrgPerson", "uid": name, "cn": name, "sn": name}
    connection.add_s(f"uid={name},ou=people,o=site", [(key, value.encode()) for key, value in values.items()])
"""
FIND = """
import sys, ldap
connection = ldap.initialize("ldap://localhost:1389")
connection.simple_bind_s("cn=directory manager", sys.stdin.read())
print(len(connection.search_s("o=site", ldap.SCOPE_SUBTREE, sys.argv[1], ["1.1"])))
"""
RESOLVE = """
import sys, ldap
connection = ldap.initialize("ldap://localhost:1389")
connection.simple_bind_s("cn=directory manager", sys.stdin.read())
for dn, _values in connection.search_s("o=site", ldap.SCOPE_SUBTREE, "(ds-sync-conflict=*)", ["1.1"]):
    connection.delete_s(dn)
"""


def add(node: Node, prefix: str, count: int = 1) -> None:
    """Add entries on a node's server."""
    node.out("python3", "-c", ADD, prefix, str(count), stdin=PASSWORD)


def find(node: Node, wanted: str) -> int:
    """Return how many entries a node's server has."""
    done = node.run("python3", "-c", FIND, wanted, stdin=PASSWORD)
    return int(done.stdout) if done.returncode == 0 else -1


def test_what_is_written_on_one_is_on_all(nodes: Nodes) -> None:
    """An entry travels from each to each."""
    for name, node in nodes.items():
        add(node, f"from-{name}-")
    for node in nodes.values():
        wait_for(lambda node=node: find(node, "(uid=from-*)") == 3, f"three entries on {node.name}", 20)


def test_a_member_that_was_down_catches_up(nodes: Nodes, scenario: Scenario) -> None:
    """What is written while a member is down it has soon after its start."""
    nodes["n3"].out("systemctl", "stop", "directory.service")
    try:
        complaint = scenario.play().complaint()
        assert "The server on n3 cannot be asked (no connection to n3:4444" in complaint or "n3" in complaint
        add(nodes["n1"], "while-down-", 1000)
    finally:
        nodes["n3"].out("systemctl", "start", "directory.service")
    wait_for(lambda: find(nodes["n3"], "(uid=while-down-*)") == 1000, "1,000 entries on n3", 120)
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
    complaint = scenario.play(limit=400).complaint()
    assert "has two entries uid=conflict-0,ou=people,o=site: decide, and delete one" in complaint
    nodes["n1"].out("python3", "-c", RESOLVE, stdin=PASSWORD)
    for node in nodes.values():
        wait_for(lambda node=node: find(node, "(ds-sync-conflict=*)") == 0, f"no conflict on {node.name}", 60)
    scenario.play().check()


DELETE = """
import sys, ldap
connection = ldap.initialize("ldap://localhost:1389")
connection.simple_bind_s("cn=directory manager", sys.stdin.read())
connection.delete_s(sys.argv[1])
"""


def test_a_backup_brings_back_what_was_deleted_on_all(nodes: Nodes, scenario: Scenario) -> None:
    """What was written since is gone on all members too, and they replicate on; a damaged file is refused before."""
    backups = scenario.play("clusterkit.middleware.backup").check().facts
    (written,) = backups["n1"]["opendj_replication_backups"]
    assert {len(facts["opendj_replication_backups"]) for facts in backups.values()} == {1}
    name = f"since-{time.time_ns()}-"
    add(nodes["n2"], name)
    nodes["n3"].out("python3", "-c", DELETE, "uid=first,ou=people,o=site", stdin=PASSWORD)
    wait_for(lambda: find(nodes["n1"], "(uid=first)") == 0, "the deletion on n1", 20)
    chosen = {"opendj_replication_source": "n1", "opendj_replication_restore": {"o=site": written["file"]}}
    nothing = scenario.play("clusterkit.middleware.restore")
    assert "give the file of each base DN" in nothing.complaint() and nothing.changed == set()
    nodes["n1"].out("cp", "-a", written["file"], "/root/kept")
    nodes["n1"].out("sh", "-c", 'echo >> "$1"', "sh", written["file"])
    damaged = scenario.play("clusterkit.middleware.restore", variables=chosen)
    assert "another one: it was changed" in damaged.complaint() and damaged.changed == set()
    nodes["n1"].out("cp", "-a", "/root/kept", written["file"])
    restored = scenario.play("clusterkit.middleware.restore", variables=chosen).check()
    assert {(host, task.rpartition(" : ")[2]) for host, task in restored.changed} == {
        ("n1", "Restore"),
        ("n1", "Give the entries to the other members"),
    }
    for node in nodes.values():
        assert (find(node, "(uid=first)"), find(node, f"(uid={name}0)")) == (1, 0), node.name
        assert find(node, "(objectClass=*)") == written["entries"]
    assert scenario.play().check().changed == set()


def test_a_member_that_is_gone_is_forgotten_and_comes_back(nodes: Nodes, scenario: Scenario) -> None:
    """One that does not answer any more is taken out over LDAP; when it is there again it joins again."""
    nodes["n3"].out("systemctl", "stop", "directory.service")
    try:
        forgotten = scenario.play("forget.yml", variables={"gone": "n3"}).check()
        assert {host for host, _task in forgotten.changed} == {"n1", "n2"}
        facts = forgotten.facts["n1"]["opendj_replication_verification"]
        assert facts["ok"] and facts["members_seen"] == ["n1", "n2"]
        assert scenario.play("forget.yml", variables={"gone": "n3"}).check().changed == set()
    finally:
        nodes["n3"].out("systemctl", "start", "directory.service")
    wait_for(lambda: find(nodes["n3"], "(uid=first)") == 1, "n3 to answer", 120)
    back = scenario.play(limit=400).check()
    assert ("n3", "Join") in {(host, name.rpartition(" : ")[2]) for host, name in back.changed}
    assert scenario.play().check().changed == set()


def test_a_server_that_was_there_before_is_not_removed(scenario: Scenario, nodes: Nodes) -> None:
    """It leaves the topology with its entries and runs on; the others are whole without it, and it joins again."""
    before = java_of(nodes["n3"])
    scenario.play("remove.yml", variables={"leaving": "n3"}).check()
    assert java_of(nodes["n3"]) == before != "0"
    assert find(nodes["n3"], "(uid=first)") == find(nodes["n1"], "(uid=first)") == 1
    name = f"after-leaving-{time.time_ns()}-"
    add(nodes["n1"], name)
    assert scenario.play("remove.yml", variables={"leaving": "n3"}).check().changed == set()
    scenario.play(limit=400).check()
    assert find(nodes["n3"], f"(uid={name}0)") == 1


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
