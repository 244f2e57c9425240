# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that is installed and one that has only the package become a cluster; what is wrong is refused before."""

from __future__ import annotations

import base64
import json
import pathlib
from typing import Any

import pytest

from molecule.shared import secrets
from molecule.shared.gluu import FIND, NAMES, PASSWORD, add_unit
from molecule.shared.scenario import Node, Scenario, wait_for

Nodes = dict[str, Node]
INSTALLER = "/install/community-edition-setup"
NOTES = "/var/lib/clusterkit/gluu_cluster"
TRAVELLED = "canary-of-the-directory #!0^('\"%;&"
SECONDS_TO_SET_UP = 600


def started(node: Node) -> str:
    """Return when Tomcat was started."""
    return node.out("systemctl", "show", "-P", "ExecMainStartTimestampMonotonic", "tomcat.service").strip()


def call(node: Node) -> dict[str, Any]:
    """Return how the set-up was called for the last time."""
    lines = str(node.read(f"{INSTALLER}/calls.jsonl")).splitlines()
    called: dict[str, Any] = json.loads(lines[-1])
    return called


def calls(node: Node) -> int:
    """Return how often the set-up has run to its end."""
    return len(str(node.read(f"{INSTALLER}/calls.jsonl")).splitlines())


def test_set_up_once_with_the_properties_of_the_first(nodes: Nodes) -> None:
    """The other one had all keys of the first, its own among them, in a closed file that is gone."""
    assert calls(nodes["n1"]) == calls(nodes["n2"]) == 1
    called = call(nodes["n2"])
    assert called == {**call(nodes["n1"]), "ip": "10.0.0.2", "mode": "0o600", "argv": ["-a", "-s"]}
    assert nodes["n2"].read(f"{INSTALLER}/setup.properties") is None


def test_certificates_are_those_of_the_first(nodes: Nodes) -> None:
    """Certificates, keys and keystores are the same, with owner and mode; what the set-up had made is kept."""
    for name in NAMES:
        for suffix in ("crt", "key", "p12"):
            path = f"/etc/certs/{name}.{suffix}"
            digests = {node.out("sha256sum", path) for node in nodes.values()}
            assert len(digests) == 1, path
            assert {node.out("stat", "-c", "%a %U %G", path) for node in nodes.values()} == {"440 root tomcat\n"}
            kept = nodes["n2"].out("sh", "-c", f"ls {path}.*~").split()
            assert len(kept) == 1
            assert nodes["n2"].out("stat", "-c", "%a", kept[0]) == "440\n"


def test_java_trusts_them(nodes: Nodes) -> None:
    """A Java program reads them from its own truststore, keys not among them, and the directory servers' as well."""
    aliases = sorted([*(f"gluu-{name.lower()}.crt" for name in NAMES), "gluu-opendj-n1", "gluu-opendj-n2"])
    for node in nodes.values():
        said = node.out("keytool", "-list", "-cacerts", "-storepass", "changeit")
        assert sorted(line.split(",")[0] for line in said.splitlines() if line.startswith("gluu-")) == aliases
        assert "trustedCertEntry" in said.split("gluu-httpd.crt,")[1].split("\n")[0]


def test_first_one_wins(nodes: Nodes) -> None:
    """What the set-up of the other one had made is younger, and was replaced nevertheless; it is kept."""
    for path in ("/opt/idp/conf/conf.xml", "/opt/idp/ssl/ssl.xml", "/opt/tomcat/conf/gluu.properties"):
        assert "n1" in str(nodes["n1"].read(path)), path
        assert nodes["n2"].read(path) == nodes["n1"].read(path)
    assert "n2" in str(nodes["n2"].read("/var/backups/csync2/opt/tomcat/conf/gluu.properties"))


@pytest.mark.parametrize(("writer", "reader"), [("n1", "n2"), ("n2", "n1")])
def test_changes_travel_both_ways(nodes: Nodes, writer: str, reader: str) -> None:
    """An entry and a file that are made on one are on the other."""
    add_unit(nodes[writer], f"from-{writer}")
    nodes[writer].write(f"/opt/idp/metadata/{writer}.xml", f"<from {writer}/>\n")

    def arrived() -> bool:
        found = nodes[reader].out("python3", "-c", FIND, f"from-{writer}", stdin=PASSWORD)
        return f"ou=from-{writer},o=gluu" in found and bool(nodes[reader].read(f"/opt/idp/metadata/{writer}.xml"))

    wait_for(arrived, "entry and file", 60)
    assert "uid=anna" in nodes[reader].out("python3", "-c", FIND, "anna", stdin=PASSWORD)


def test_tomcat_takes_what_arrives(nodes: Nodes) -> None:
    """A change of Tomcat's configuration restarts it on the other member, by the unit that is there; others do not."""
    before = {name: started(node) for name, node in nodes.items()}
    nodes["n1"].write("/opt/idp/conf/quiet.xml", "<quiet/>\n")
    wait_for(lambda: nodes["n2"].read("/opt/idp/conf/quiet.xml"), "the file", 60)
    assert started(nodes["n2"]) == before["n2"]
    nodes["n1"].write("/opt/tomcat/conf/loud.properties", "loud\n")
    wait_for(lambda: nodes["n2"].read("/opt/tomcat/conf/loud.properties"), "the file", 60)
    wait_for(lambda: started(nodes["n2"]) not in ("0", before["n2"]), "a restart of Tomcat", 60)


def test_hosts_and_locations(nodes: Nodes) -> None:
    """Names are in the hosts file, and csync2 has the five locations, the backups and what resolves conflicts."""
    for node in nodes.values():
        hosts = str(node.read("/etc/hosts"))
        assert " n1\n" in hosts and " n2\n" in hosts
        config = str(node.read("/etc/csync2.cfg"))
        for line in (
            *("include /opt/idp/conf;", "include /opt/idp/metadata;", "include /opt/idp/ssl;"),
            *("include /opt/tomcat/conf;", "include /etc/csync2.cfg;", "exclude *~;", "exclude .*;"),
            *("backup-directory /var/backups/csync2;", "backup-generations 3;", "auto younger;"),
        ):
            assert line in config, line


def test_exported_is_what_runs(scenario: Scenario) -> None:
    """What runs can be written down in the role's variables."""
    entry_points = pathlib.Path(__file__).parents[2] / "shared" / "entry_points.yml"
    variables = {
        "entry_role": "clusterkit.middleware.gluu_cluster",
        "entry_hosts": "gluu_servers",
        "entry_points": ["export"],
    }
    run = scenario.play(entry_points, variables=variables).check()
    assert run.facts["n2"]["gluu_cluster_exported"] == {
        "gluu_cluster_members_group": "gluu_servers",
        "gluu_cluster_source": "n1",
        "gluu_cluster_tomcat_conf": "/opt/tomcat/conf",
        "gluu_cluster_tomcat_unit": "tomcat.service",
        "gluu_cluster_synchronised": ["/opt/idp/conf", "/opt/idp/metadata", "/opt/idp/ssl"],
        "gluu_cluster_exclude": ["*~", ".*"],
        "gluu_cluster_auto": "younger",
        "gluu_cluster_opendj_path": "/opt/opendj",
        "gluu_cluster_opendj_base_dns": ["o=gluu"],
    }


def test_changed_certificate_arrives_and_is_taken(scenario: Scenario, nodes: Nodes) -> None:
    """A new certificate on the first is that of all, under the same alias, and Tomcat has taken it on each."""
    before = {name: started(node) for name, node in nodes.items()}
    argv = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=renewed"]
    nodes["n1"].out(*argv, "-keyout", "/etc/certs/httpd.key", "-out", "/etc/certs/httpd.crt")
    run = scenario.play().check()
    assert ("n2", "clusterkit.middleware.gluu_cluster : Have the same ones") in {
        (host, task if " : " in task else f"clusterkit.middleware.gluu_cluster : {task}") for host, task in run.changed
    }
    for name, node in nodes.items():
        assert started(node) != before[name]
        said = node.out("keytool", "-list", "-rfc", "-cacerts", "-storepass", "changeit", "-alias", "gluu-httpd.crt")
        assert "".join(str(nodes["n1"].read("/etc/certs/httpd.crt")).split()) in "".join(said.split())
    assert scenario.play().check().changed == set()


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"gluu_cluster_source": "elsewhere"}, "gluu_cluster_source is elsewhere, which is no member"),
        ({"gluu_cluster_certificate_masks": ["absent.*"]}, "n1 has no certificate among /etc/certs/absent.*"),
        ({"gluu_cluster_chroot": "/opt/gluu-server"}, "give gluu_cluster_tomcat_restart"),
        ({"gluu_cluster_members_group": "nobody"}, "which has 0 hosts in the inventory"),
        ({"gluu_cluster_certificates_path": "etc/certs"}, "give absolute paths"),
        ({"gluu_cluster_alias_prefix": "Gluu "}, "aliases know no others"),
        ({"gluu_cluster_opendj_path": "/srv", "gluu_cluster_opendj_archive": ""}, "has no OpenDJ server in /srv"),
    ],
)
def test_refused_before_anything_changes(scenario: Scenario, variables: dict[str, Any], said: str) -> None:
    """Bad input stops the run before its first change, with what would be right."""
    run = scenario.play(variables=variables)
    assert said in run.complaint()
    assert run.changed == set()


def test_symbolic_link_is_refused(scenario: Scenario, nodes: Nodes) -> None:
    """A location that leads through a symbolic link is refused with the one to write."""
    for node in nodes.values():
        node.out("ln", "-sfn", "/opt/tomcat", "/opt/tomcat-10")
    run = scenario.play(variables={"gluu_cluster_tomcat_conf": "/opt/tomcat-10/conf"})
    assert "which csync2 does not follow: write /opt/tomcat/conf" in run.complaint()
    assert run.changed == set()


def make_new(node: Node) -> None:
    """Let neither the role nor csync2 know a member, whose installation stays."""
    node.out("systemctl", "stop", "csync2-watch.service", "csync2-sync.timer", "csync2.socket")
    node.out("sh", "-c", f"rm -f /var/lib/csync2/* {NOTES}/*")


def test_set_up_separately(scenario: Scenario, nodes: Nodes) -> None:
    """A member set up by hand is refused, until it is said; then the first one's files win over younger ones."""
    node = nodes["n2"]
    make_new(node)
    refused = scenario.play()
    assert "On n2 set-up has already run" in refused.complaint()
    assert "gluu_cluster_joined=separately" in refused.complaint()
    assert refused.changed == set()
    wanted = nodes["n1"].read("/opt/idp/conf/conf.xml")
    node.write("/opt/idp/conf/conf.xml", "<made on='n2' with='other passwords'/>\n")
    before = calls(node)
    scenario.play(variables={"gluu_cluster_joined": "separately"}).check()
    assert node.read("/opt/idp/conf/conf.xml") == nodes["n1"].read("/opt/idp/conf/conf.xml") == wanted
    assert calls(node) == before
    assert scenario.play().check().changed == set()


def test_failed_set_up_leaves_no_properties_and_runs_again(scenario: Scenario, nodes: Nodes) -> None:
    """A set-up that fails says where to look, and nothing of what it read; the next run runs it again."""
    node = nodes["n2"]
    make_new(node)
    node.out("rm", f"{INSTALLER}/setup.properties.last")
    failed = scenario.play(variables={"gluu_cluster_setup_options": ["--fail"]})
    assert "/var/log/clusterkit-gluu-setup.log" in failed.complaint()
    assert "canary" not in failed.output
    assert node.read(f"{INSTALLER}/setup.properties") is None
    assert node.out("stat", "-c", "%a", "/var/log/clusterkit-gluu-setup.log") == "600\n"
    before = calls(node)
    scenario.play(limit=SECONDS_TO_SET_UP).check()
    assert calls(node) == before + 1
    assert scenario.play().check().changed == set()


def test_secrets_that_travel_show_nowhere(scenario: Scenario, nodes: Nodes, tmp_path: pathlib.Path) -> None:
    """Properties and keys come from the first one unseen: as loud as can be, and traced."""
    node = nodes["n2"]
    make_new(node)
    node.out("rm", f"{INSTALLER}/setup.properties.last", "/var/log/clusterkit-gluu-setup.log")
    key = str(nodes["n1"].read("/etc/certs/httpd.key")).splitlines()[5]
    store = base64.b64encode(nodes["n1"].out("base64", "-w0", "/etc/certs/httpd.p12").encode()).decode()[:60]
    attempt = secrets.Attempt(scenario, nodes, {}, tmp_path, [TRAVELLED, key, store])
    done = attempt.run()
    assert done.returncode == 0, done.stdout[-3000:].decode(errors="replace")
    leaks = attempt.leaks(done.stdout + done.stderr, [f"{INSTALLER}/setup.properties.last"])
    # The key where it belongs, which is not only root's: Tomcat reads it
    assert [leak for leak in leaks if leak != "n2:/etc/certs/httpd.key (440:root)"] == []
