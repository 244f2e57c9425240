# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster of servers whose product has a root of its own: all of it happens in there, nothing outside."""

from __future__ import annotations

import json
from typing import Any

import pytest

from molecule.shared.gluu import FIND, NAMES, PASSWORD, add_unit
from molecule.shared.scenario import Node, Scenario, wait_for

Nodes = dict[str, Node]
ROOT = "/opt/gluu-server"
INSTALLER = f"{ROOT}/install/community-edition-setup"


def tomcat(node: Node) -> str:
    """Return the number of the process that is Tomcat, by the file of its init script; empty where it does not run."""
    number = str(node.read(f"{ROOT}/run/tomcat.pid") or "").strip()
    runs = number and "catalina" in str(node.read(f"/proc/{number}/cmdline"))
    return number if runs else ""


def trusted(node: Node, *more: str) -> str:
    """Return what the Java in there trusts."""
    keytool = ("/opt/jdk/bin/keytool", "-list", "-rfc", "-storepass", "changeit", "-cacerts")
    return node.out("chroot", ROOT, *keytool, *more)


def call(node: Node) -> dict[str, Any]:
    """Return how the set-up was called; it has run once."""
    (line,) = str(node.read(f"{INSTALLER}/calls.jsonl")).splitlines()
    called: dict[str, Any] = json.loads(line)
    return called


def test_set_up_in_there_with_the_properties_of_the_first(nodes: Nodes) -> None:
    """The set-up has run once on each, below the product's root, and left what it makes there."""
    called = call(nodes["n2"])
    assert called == {**call(nodes["n1"]), "ip": "10.0.0.2", "mode": "0o600", "argv": ["-a", "-s"]}
    for node in nodes.values():
        assert node.read(f"{INSTALLER}/setup.properties") is None or node.name == "n1"
        for path in ("/install", "/etc/certs", "/opt/idp", "/opt/tomcat"):
            assert node.run("test", "-e", path).returncode != 0, path
        assert tomcat(node)


def test_certificates_are_those_of_the_first(nodes: Nodes) -> None:
    """Certificates, keys and keystores are the same, with mode and owner, who is one of that root alone."""
    for name in NAMES:
        for suffix in ("crt", "key", "p12"):
            path = f"{ROOT}/etc/certs/{name}.{suffix}"
            assert len({node.out("sha256sum", path) for node in nodes.values()}) == 1, path
            owners = {node.out("chroot", ROOT, "stat", "-c", "%a %U %G", path[len(ROOT) :]) for node in nodes.values()}
            assert owners == {"440 root tomcat\n"}
            # What was overwritten is kept, each time
            assert nodes["n2"].out("sh", "-c", f"ls {path}.*~").split()


def test_the_java_in_there_trusts_them_and_no_other(nodes: Nodes) -> None:
    """The truststore is a link to the system's in there; the node's own, which has the same path, is as it was."""
    aliases = sorted([*(f"gluu-{name.lower()}.crt" for name in NAMES), "gluu-opendj-n1", "gluu-opendj-n2"])
    for node in nodes.values():
        found = [line.removeprefix("Alias name: ") for line in trusted(node).splitlines() if line.startswith("Alias")]
        assert sorted(alias for alias in found if alias.startswith("gluu-")) == aliases
        own = "/etc/ssl/certs/java/cacerts"
        assert node.out("readlink", f"{ROOT}/opt/jdk/lib/security/cacerts").strip() == own
        node.out("cmp", own, f"{own}.as-it-was")
        assert node.out("find", ROOT, "-maxdepth", "2", "-name", "clusterkit-*") == ""


def test_first_one_wins(nodes: Nodes) -> None:
    """What the set-up of the other one had made is younger, and was replaced nevertheless; it is kept."""
    for path in ("/opt/idp/conf/conf.xml", "/opt/idp/ssl/ssl.xml", "/opt/tomcat/conf/gluu.properties"):
        assert "n1" in str(nodes["n1"].read(ROOT + path)), path
        assert nodes["n2"].read(ROOT + path) == nodes["n1"].read(ROOT + path)
    assert "n2" in str(nodes["n2"].read(f"/var/backups/csync2{ROOT}/opt/tomcat/conf/gluu.properties"))


@pytest.mark.parametrize(("writer", "reader"), [("n1", "n2"), ("n2", "n1")])
def test_changes_travel_both_ways(nodes: Nodes, writer: str, reader: str) -> None:
    """An entry and a file that are made on one are on the other."""
    add_unit(nodes[writer], f"from-{writer}")
    path = f"{ROOT}/opt/idp/metadata/{writer}.xml"
    nodes[writer].write(path, f"<from {writer}/>\n")

    def arrived() -> bool:
        found = nodes[reader].out("python3", "-c", FIND, f"from-{writer}", stdin=PASSWORD)
        return f"ou=from-{writer},o=gluu" in found and bool(nodes[reader].read(path))

    wait_for(arrived, "entry and file", 60)
    assert "uid=anna" in nodes[reader].out("python3", "-c", FIND, "anna", stdin=PASSWORD)


def test_tomcat_takes_what_arrives_and_goes_on(nodes: Nodes) -> None:
    """Its init script restarts it where its configuration arrives; it is not ended with what called the script."""
    node = nodes["n2"]
    before = tomcat(node)
    nodes["n1"].write(f"{ROOT}/opt/tomcat/conf/loud.properties", "loud\n")
    wait_for(lambda: node.read(f"{ROOT}/opt/tomcat/conf/loud.properties"), "the file", 60)
    number = wait_for(lambda: tomcat(node) if tomcat(node) != before else "", "a restart of Tomcat", 60)
    unit = node.out("cat", f"/proc/{number}/cgroup").strip().rpartition("/")[2]
    assert unit.endswith(".service")
    asked = ("systemctl", "show", "-P", "ActiveState", unit)
    wait_for(lambda: node.out(*asked).strip() in {"inactive", "failed"}, f"the end of {unit}", 60)
    assert tomcat(node) == number


def test_what_is_below_the_root_is_exported_as_in_there(scenario: Scenario) -> None:
    """What runs can be written down in the role's variables, which have paths in there."""
    entry_points = scenario.directory.parent / "shared" / "entry_points.yml"
    variables = {
        "entry_role": "clusterkit.middleware.gluu_cluster",
        "entry_hosts": "gluu_servers",
        "entry_points": ["export"],
    }
    exported = scenario.play(entry_points, variables=variables).check().facts["n2"]["gluu_cluster_exported"]
    assert exported["gluu_cluster_synchronised"] == ["/opt/idp/conf", "/opt/idp/metadata", "/opt/idp/ssl"]
    assert exported["gluu_cluster_tomcat_conf"] == "/opt/tomcat/conf"
    assert exported["gluu_cluster_opendj_path"] == "/opt/opendj"


def test_changed_certificate_arrives_and_is_taken(scenario: Scenario, nodes: Nodes) -> None:
    """A new certificate on the first is that of all; Tomcat is restarted in there, and check mode says so before."""
    before = {name: tomcat(node) for name, node in nodes.items()}
    argv = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=renewed"]
    certs = f"{ROOT}/etc/certs"
    nodes["n1"].out(*argv, "-keyout", f"{certs}/httpd.key", "-out", f"{certs}/httpd.crt")
    predicted = scenario.play("converge.yml", "--check").check()
    run = scenario.play().check()
    assert run.changed == predicted.changed
    restarted = {
        host for host, task in run.changed if task.endswith("Let Tomcat take them where systemd does not run it")
    }
    assert restarted == set(nodes)
    for name, node in nodes.items():
        assert tomcat(node) not in ("", before[name])
        said = trusted(node, "-alias", "gluu-httpd.crt")
        assert "".join(str(nodes["n1"].read(f"{certs}/httpd.crt")).split()) in "".join(said.split())
    assert scenario.play().check().changed == set()


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"gluu_cluster_tomcat_restart": ""}, "give gluu_cluster_tomcat_restart"),
        ({"gluu_cluster_chroot": "opt/gluu-server"}, "give an absolute path"),
        ({"gluu_cluster_certificate_masks": ["absent.*"]}, f"n1 has no certificate among {ROOT}/etc/certs/absent.*"),
    ],
)
def test_refused_before_anything_changes(scenario: Scenario, variables: dict[str, Any], said: str) -> None:
    """Bad input stops the run before its first change, with what would be right."""
    run = scenario.play(variables=variables)
    assert said in run.complaint()
    assert run.changed == set()
