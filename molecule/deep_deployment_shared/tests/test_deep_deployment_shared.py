# SPDX-License-Identifier: GPL-3.0-or-later
"""Two servers have their artifacts from a share: merged by choice, none lost, and never read as removed."""

from __future__ import annotations

from molecule.shared.scenario import Node, Scenario, wait_for

Nodes = dict[str, Node]
REPOSITORY = "/opt/mi/repository"
SERVER = f"{REPOSITORY}/deployment/server"
FOLDERS = (f"{SERVER}/carbonapps", f"{SERVER}/synapse-configs", f"{REPOSITORY}/tenants")
BACKUPS = "/var/backups/clusterkit/deployment_sync"
MEMBERS = ("n1", "n2")


def start(node: Node) -> bool:
    """Start the service; tell whether systemd did."""
    node.run("systemctl", "reset-failed", "mi.service")
    return node.run("systemctl", "start", "mi.service", limit=120).returncode == 0


def runs(node: Node) -> bool:
    """Tell whether the service runs."""
    return node.run("systemctl", "is-active", "--quiet", "mi.service").returncode == 0


def deployed(node: Node) -> None:
    """Assert that the service has read the artifacts when it started."""
    wait_for(lambda: "n1.car" in str(node.read("/run/deployed")), "the artifacts", limit=30)
    node.out("rm", "/run/deployed")


def test_artifacts_were_merged_and_none_is_lost(nodes: Nodes) -> None:
    """What only one had both have, with its mode; of what differs the winner's; the other's is in its copy."""
    for node in nodes.values():
        if node.name not in MEMBERS:
            continue
        for name in MEMBERS:
            assert node.read(f"{SERVER}/carbonapps/{name}.car") == f"{name}\n"
            assert node.read(f"{REPOSITORY}/tenants/1/{name}.xml") == f"{name}\n"
        assert node.out("stat", "-c", "%a", f"{SERVER}/carbonapps/n1.car").strip() == "640"
        assert node.read(f"{SERVER}/synapse-configs/both.xml") == "n2\n"
        # What is not among the directories stays each server's own
        assert node.out("ls", f"{SERVER}/other").split() == [node.name]
        assert node.out("ls", "-A", f"{SERVER}/carbonapps").split() == ["n1.car", "n2.car"]
    kept = nodes["n1"].out("sh", "-c", f"cat {BACKUPS}/*synapse-configs-*/both.xml")
    assert kept == "n1\n"


def test_changes_are_there_at_once(nodes: Nodes) -> None:
    """An artifact that is added, replaced and deleted on one is so on the other."""
    path = f"{SERVER}/carbonapps/new.car"
    nodes["n1"].write(path, "first")
    wait_for(lambda: nodes["n2"].read(path) == "first", "the artifact", limit=30)
    nodes["n2"].write(path, "other")
    wait_for(lambda: nodes["n1"].read(path) == "other", "the replacement", limit=30)
    nodes["n1"].out("rm", path)
    wait_for(lambda: nodes["n2"].read(path) is None, "the deletion", limit=30)


def test_an_unmounted_directory_is_never_read(nodes: Nodes) -> None:
    """The service is stopped when a directory is unmounted; without the share it does not start, nothing is written."""
    node = nodes["n1"]
    assert start(node)
    deployed(node)
    node.out("umount", "--lazy", FOLDERS[0])
    wait_for(lambda: not runs(node), "the service to be stopped", limit=30)
    done = node.run("touch", f"{FOLDERS[0]}/below.car")
    assert done.returncode != 0 and "Operation not permitted" in done.stderr
    assert start(node)
    deployed(node)
    node.out("systemctl", "stop", "mi.service")
    nodes["s1"].engine("kill")
    try:
        assert not start(node) and not runs(node)
    finally:
        nodes["s1"].engine("start")
    wait_for(lambda: start(node), "the service", limit=90)


def test_a_server_that_comes_back_has_its_artifacts(nodes: Nodes) -> None:
    """Killed and started again: share, directories, then the service, by themselves."""
    nodes["n2"].engine("kill")
    nodes["n2"].engine("start")
    wait_for(lambda: runs(nodes["n2"]), "the service", limit=90)
    deployed(nodes["n2"])


def test_what_differs_is_refused_until_it_is_decided(scenario: Scenario, nodes: Nodes) -> None:
    """A directory of which a server has a copy of its own: refused, then the share wins, and the copy is kept."""
    node, path = nodes["n1"], f"{FOLDERS[1]}/both.xml"
    node.out("systemctl", "stop", "mi.service")
    node.out("sh", "-c", f"umount {FOLDERS[1]} && chattr -i {FOLDERS[1]}")
    node.write(path, "mine\n")
    refused = scenario.play()
    assert "both.xml" in refused.complaint() and "deployment_sync_share_wins=true" in refused.complaint()
    assert refused.changed == set()
    scenario.play(variables={"deployment_sync_share_wins": True}).check()
    assert node.read(path) == nodes["n2"].read(path) == "n2\n"
    assert "mine" in node.out("sh", "-c", f"cat {BACKUPS}/*synapse-configs-*/both.xml")
    assert start(node)


def test_bad_input_is_refused_before_a_change(scenario: Scenario) -> None:
    """One clear error that names the variable and the value, and nothing changed."""
    for variables, said in (
        ({"deployment_sync_share": "/srv/none"}, "there is no share at /srv/none"),
        ({"deployment_sync_share": ""}, "deployment_sync_share is ''"),
        ({"deployment_sync_exclude": ["*.tmp"]}, "deployment_sync_exclude is *.tmp"),
    ):
        refused = scenario.play(variables=variables)
        assert said in refused.complaint() and refused.changed == set()
