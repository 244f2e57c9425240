# SPDX-License-Identifier: GPL-3.0-or-later
"""OpenDJ servers from an archive or as they are found; what is wrong is refused before anything changes."""

from __future__ import annotations

import subprocess
import time
from typing import Any

import pytest

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
    """One server imported a file, the others have the entry of their base DN; a verification leaves nothing."""
    certificate = said(scenario.play("ask.yml", variables={"asked_host": "n1"}))
    assert certificate["server"]["base_dns"]["o=site"]["entries"] == 3
    assert certificate["server"]["base_dns"]["o=site"]["probes"] == {}
    run = scenario.play("entries.yml").check()
    assert {host: facts["entries"] for host, facts in run.facts.items()} == {"n1": 3, "n2": 1, "n3": 1}


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
    run = scenario.play().check()
    assert ("n2", "Set it up from the archive") in {(host, name.rpartition(" : ")[2]) for host, name in run.changed}
    assert node.run("test", "-e", "/opt/opendj/.clusterkit-incomplete").returncode == 1
    left = node.out("sh", "-c", "ls -A /opt /var/cache /tmp | grep -i clusterkit || true")
    assert left == ""
    assert scenario.play().check().changed == set()


def test_a_server_that_was_there_before_is_not_removed(scenario: Scenario, nodes: Nodes) -> None:
    """The entry point remove takes away what the role has brought, and nothing else."""
    before = java_of(nodes["n3"])
    assert scenario.play("remove.yml", variables={"leaving": "n3"}).check().changed == set()
    assert java_of(nodes["n3"]) == before != "0"
