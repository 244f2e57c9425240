# SPDX-License-Identifier: GPL-3.0-or-later
"""OpenDJ servers from an archive that replicate; what is wrong is refused before anything changes."""

from __future__ import annotations

import time
from typing import Any

import pytest

from molecule.shared.opendj import DELETE, PASSWORD, Nodes, add, find, java_of, said, unit_of
from molecule.shared.scenario import ROOT, Scenario, wait_for


def test_servers_run_as_they_should(nodes: Nodes) -> None:
    """Each has its own user and unit, and survives a restart of the host; Java got its arguments."""
    for node in nodes.values():
        assert node.out("systemctl", "is-enabled", unit_of(node)).strip() == "enabled"
        command = node.out("ps", "-o", "user:32=,args=", "-p", java_of(node))
        assert command.split()[0] == "ldap" and "-Xmx512m" in command, command
        # A server that is ended is no failure
        assert "143" in node.out("systemctl", "show", "-P", "SuccessExitStatus", unit_of(node))


def test_entries_are_what_was_asked_for(scenario: Scenario) -> None:
    """One server imported a file, and the others got its entries; a verification leaves nothing."""
    certificate = said(scenario.play("ask.yml", variables={"asked_host": "n1"}))
    assert certificate["server"]["base_dns"]["o=site"]["entries"] == 3
    assert certificate["server"]["base_dns"]["o=site"]["probes"] == {}
    run = scenario.play("entries.yml").check()
    assert {host: facts["entries"] for host, facts in run.facts.items()} == {"n1": 3, "n2": 3}


def test_exported_is_what_was_asked_for(scenario: Scenario) -> None:
    """What a server is can be written down in the role's variables."""
    variables = {"entry_role": "clusterkit.middleware.opendj_server", "entry_hosts": "n2", "entry_points": ["export"]}
    run = scenario.play(ROOT / "molecule" / "shared" / "entry_points.yml", variables=variables).check()
    assert run.facts["n2"]["opendj_server_exported"] == {
        "opendj_server_path": "/opt/opendj",
        "opendj_server_name": "n2",
        "opendj_server_version": "4.9.2",
        "opendj_server_user": "ldap",
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


def test_what_is_written_on_one_is_on_all(nodes: Nodes) -> None:
    """An entry travels from each to each."""
    for name, node in nodes.items():
        add(node, f"from-{name}-")
    for node in nodes.values():
        wait_for(lambda node=node: find(node, "(uid=from-*)") == len(nodes), f"all entries on {node.name}", 20)


def test_a_member_that_was_down_catches_up(nodes: Nodes, scenario: Scenario) -> None:
    """What is written while a member is down it has soon after its start."""
    nodes["n2"].out("systemctl", "stop", "opendj.service")
    try:
        add(nodes["n1"], "while-down-", 1000)
    finally:
        nodes["n2"].out("systemctl", "start", "opendj.service")
    wait_for(lambda: find(nodes["n2"], "(uid=while-down-*)") == 1000, "1,000 entries on n2", 120)
    assert scenario.play().check().changed == set()


def test_a_backup_brings_back_what_was_deleted_on_all(nodes: Nodes, scenario: Scenario) -> None:
    """What was written since is gone on all members too, and they replicate on; a damaged file is refused before."""
    backups = scenario.play("clusterkit.middleware.backup").check().facts
    (written,) = backups["n1"]["opendj_replication_backups"]
    assert {len(facts["opendj_replication_backups"]) for facts in backups.values()} == {1}
    name = f"since-{time.time_ns()}-"
    add(nodes["n2"], name)
    nodes["n1"].out("python3", "-c", DELETE, "uid=first,ou=people,o=site", stdin=PASSWORD)
    wait_for(lambda: find(nodes["n2"], "(uid=first)") == 0, "the deletion on n2", 20)
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
