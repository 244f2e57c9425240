# SPDX-License-Identifier: GPL-3.0-or-later
"""csync2 that was built from source keeps a directory identical; a build is all or nothing, and can be removed."""

from __future__ import annotations

import pathlib
import subprocess
from collections.abc import Iterator

import pytest
import yaml

from molecule.shared.csync2 import Nodes, quiet, synchronise
from molecule.shared.scenario import Node, Scenario, kill_with_descendants, wait_for

BINARY = "/usr/local/sbin/csync2"
WORK = "/var/cache/clusterkit-csync2"
BUILD = "clusterkit.middleware.csync2 : Build csync2"
DECLARED = yaml.safe_load((pathlib.Path(__file__).parents[1] / "molecule.yml").read_text(encoding="utf-8"))
CHECKSUM = DECLARED["provisioner"]["inventory"]["group_vars"]["csync2_servers"]["csync2_source_checksum"]


@pytest.fixture
def by_hand(nodes: Nodes) -> Iterator[None]:
    """Let nothing run by itself during a test."""
    with quiet(nodes):
        yield


def there(node: Node, path: str) -> bool:
    """Tell whether something is at a path of a node."""
    return node.run("test", "-e", path).returncode == 0


def test_it_was_built_and_nothing_of_the_build_is_left(nodes: Nodes) -> None:
    """No package is there; the binary reads its files from the directory that was asked for, and they are all there."""
    for node in nodes.values():
        assert node.run("dpkg-query", "-W", "csync2").returncode != 0
        assert "csync2 2.1-0rc1" in node.run(BINARY, "--help").stdout + node.run(BINARY, "--help").stderr
        assert node.out("sh", "-c", "ls -A /etc/csync2").split() == [
            *("csync2.cfg", "csync2.key", "csync2_ssl_cert.pem", "csync2_ssl_key.pem")
        ]
        assert "/usr/share" not in str(node.read("/var/lib/csync2/clusterkit-build.json"))
        for path in (WORK, f"{WORK}.tar", "/etc/csync2.cfg", "/usr/sbin/csync2"):
            assert not there(node, path), path


@pytest.mark.parametrize(("source", "target"), [("n1", "n2"), ("n2", "n1")])
def test_change_and_deletion_travel_and_are_backed_up(nodes: Nodes, by_hand: None, source: str, target: str) -> None:
    """What was built synchronises both ways, and keeps what it replaces."""
    path = f"/srv/web/from {source}"
    for content in ("first", "second, longer"):
        nodes[source].write(path, content)
        assert synchronise(nodes[source]).returncode == 0
        assert nodes[target].read(path) == content
    nodes[source].out("rm", path)
    assert synchronise(nodes[source]).returncode == 0
    assert nodes[target].read(path) is None
    kept = nodes[target].out("sh", "-c", f"cat /var/backups/csync2/srv/web/from*{source}*")
    assert "first" in kept and "second, longer" in kept


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"csync2_source": "csync2.tar.gz"}, "csync2_source is csync2.tar.gz"),
        ({"csync2_source_checksum": "89319ae2"}, "csync2_source_checksum is '89319ae2'"),
        ({"csync2_source_version": ""}, "csync2_source_version is ''"),
        ({"csync2_sysconfdir": "etc"}, "csync2_sysconfdir etc"),
        ({"csync2_source_version": "2.2", "csync2_source_checksum": f"sha256:{'0' * 64}"}, CHECKSUM),
        ({"csync2_source_version": "2.2", "csync2_source": "/no/such.tar"}, "/no/such.tar, which is no file"),
        ({"csync2_source_version": "1.34"}, "csync2 1.34 on n2 may not keep backups"),
        (
            {"csync2_sysconfdir": "/usr/local/etc/csync2/"},
            f"On n1 {BINARY} reads its files from /etc/csync2, not from /usr/local/etc/csync2",
        ),
        (
            {"csync2_source": "", "csync2_prefix": "/opt/csync2"},
            "there is no /opt/csync2/sbin/csync2, and the package brings /usr/sbin/csync2",
        ),
    ],
)
def test_bad_input_is_refused_before_a_change(scenario: Scenario, variables: dict[str, object], said: str) -> None:
    """One clear error that names the variable and the value, and nothing changed."""
    run = scenario.play(variables=variables)
    assert said in run.complaint()
    assert run.changed == set()


def test_archive_of_another_version_replaces_nothing(scenario: Scenario, nodes: Nodes) -> None:
    """What does not tell the declared version is not installed: the binary stays, and the cluster works on."""
    before = nodes["n1"].out("sha256sum", BINARY)
    wanted = {"csync2_source_version": "1.34", "csync2_allowed_versions": ["1.34"]}
    assert scenario.play("converge.yml", "--check", variables=wanted).check().changed == {("n1", BUILD), ("n2", BUILD)}
    complaint = scenario.play(variables=wanted).complaint()
    assert "builds csync2 2.1-0rc1 with its files in /etc/csync2: expected 1.34" in complaint
    assert nodes["n1"].out("sha256sum", BINARY) == before
    assert not there(nodes["n1"], WORK)
    assert scenario.play().check().changed == set()


def test_lost_directory_is_made_again(scenario: Scenario, nodes: Nodes) -> None:
    """A member that has lost all that csync2 reads gets the key again, and a certificate that the other accepts."""
    key = nodes["n1"].read("/etc/csync2/csync2.key")
    nodes["n2"].out("rm", "-r", "/etc/csync2")
    scenario.play().check()
    assert nodes["n2"].read("/etc/csync2/csync2.key") == key
    nodes["n2"].write("/srv/web/after-the-loss", "x")
    wait_for(lambda: nodes["n1"].read("/srv/web/after-the-loss"), "the change", limit=10)


def test_what_was_built_by_hand_is_taken_over(scenario: Scenario) -> None:
    """Without a source, prefix and directory tell where csync2 is; nothing is installed."""
    by_hand = {"csync2_source": "", "csync2_prefix": "/usr/local", "csync2_sysconfdir": "/etc/csync2/"}
    assert scenario.play(variables=by_hand).check().changed == set()


def test_source_from_an_address(scenario: Scenario, nodes: Nodes) -> None:
    """An archive is downloaded by each member; a wrong one changes nothing."""
    archive = pathlib.Path(scenario.directory.parents[1] / "build/lab/sources/csync2.orig.tar.gz")
    nodes["n1"].out("mkdir", "-p", "/srv/served")
    subprocess.run(
        ["docker", "cp", str(archive), f"{nodes['n1'].container}:/srv/served/csync2.tar.gz"], check=True, timeout=60
    )
    serve = ["python3", "-m", "http.server", "8099", "--directory", "/srv/served"]
    nodes["n1"].out("systemd-run", "--unit=served", *serve)
    wait_for(lambda: "8099" in nodes["n1"].out("ss", "-tln"), "the server", limit=20)
    nodes["n2"].out("rm", BINARY)
    address = {"csync2_source": "http://n1:8099/csync2.tar.gz"}
    run = scenario.play(variables={**address, "csync2_source_checksum": f"sha256:{'0' * 64}"})
    assert "checksum" in run.complaint() and run.changed == set()
    assert ("n2", BUILD) in scenario.play(variables=address).check().changed
    nodes["n1"].out("systemctl", "stop", "served.service")
    assert scenario.play().check().changed == set()


def test_build_killed_in_the_middle_is_begun_anew(scenario: Scenario, nodes: Nodes) -> None:
    """A server that loses its power while it compiles has no binary; the next run builds it and clears up."""
    node = nodes["n2"]
    node.out("rm", BINARY)
    process = scenario.start()
    wait_for(lambda: there(node, f"{WORK}/source/config.status"), "make", limit=120)
    node.engine("kill")
    kill_with_descendants(process)
    node.engine("start")
    wait_for(lambda: node.run("systemctl", "is-active", "ssh.service").stdout.strip() == "active", "n2", limit=60)
    assert there(node, f"{WORK}/source") and not there(node, BINARY)
    assert ("n2", BUILD) in scenario.play().check().changed
    assert not there(node, WORK) and not there(node, f"{WORK}.tar")
    assert scenario.play().check().changed == set()


def test_removal_takes_what_was_built(scenario: Scenario, nodes: Nodes) -> None:
    """Afterwards nothing of csync2 is there but the files and their backups."""
    assert scenario.play("remove.yml").check().changed
    for node in nodes.values():
        # The archive of its package lies in apt's cache, as nodes are made
        apart = ("-not", "-path", "/var/cache/apt/*")
        assert node.out("find", "/etc", "/usr/local", "/var/lib", "/var/cache", "-iname", "*csync2*", *apart) == ""
        assert node.read("/srv/web/both") == "both\n"
    assert scenario.play("remove.yml").check().changed == set()
