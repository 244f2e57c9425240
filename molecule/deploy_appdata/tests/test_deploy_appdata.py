# SPDX-License-Identifier: GPL-3.0-or-later
"""Application data move to shared storage on real servers, there and back, whatever happens on the way."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from molecule.shared.scenario import Node, Run, Scenario, kill_with_descendants, wait_for

Nodes = dict[str, Node]
PROPERTIES = "/opt/deploy/conf/server/installed.properties"
UNIT = "deploy-server.service"
SHARE = "/media/share"
FOLDER, SEPARATE, LINKED = f"{SHARE}/deploy_folder", f"{SHARE}/deploy_separate", f"{SHARE}/deploy_linked"
OWN = "/opt/deploy"
ASK = """\
import sys, urllib.request
method, path = sys.argv[1:]
content = sys.stdin.buffer.read() or None
request = urllib.request.Request("http://127.0.0.1:8080" + path, method=method, data=content)
print(urllib.request.urlopen(request, timeout=5).read().decode(), end="")
"""
ROLE = "clusterkit.middleware.deploy_appdata : "
MIGRATE = f"{ROLE}Copy what has changed since, and switch over"
BACK = {"deploy_appdata_rollback": True}


def appdata(node: Node) -> str | None:
    """Return what a server's properties say of where its data are."""
    lines = str(node.read(PROPERTIES)).splitlines()
    return next((line.partition("=")[2] for line in lines if line.startswith("server.appdata.dir")), None)


def ask(node: Node, method: str, path: str, content: str = "") -> str | None:
    """Ask a server, on its own node; nothing when it does not answer well."""
    done = node.run("python3", "-c", ASK, method, path, stdin=content)
    return done.stdout if done.returncode == 0 else None


def health(node: Node) -> dict[str, Any]:
    """Return what a server says of itself; empty when it is not well."""
    answered: dict[str, Any] = json.loads(ask(node, "GET", "/health") or "{}")
    return answered


def upload(node: Node, name: str, content: str) -> None:
    """Let a server keep a file among its data."""
    assert ask(node, "PUT", f"/files/{name}", content) is not None


def download(node: Node, name: str) -> str | None:
    """Ask a server for such a file."""
    return ask(node, "GET", f"/files/{name}")


def listing(node: Node, data: str) -> str:
    """Return content and attributes of all data, as they were noted before anything was moved."""
    return node.out("/root/data.sh", "list", data)


def exists(node: Node, path: str) -> bool:
    """Tell whether there is something at a path; a link counts, wherever it leads."""
    return node.run("test", "-e", path).returncode == 0 or node.run("test", "-L", path).returncode == 0


def on_b1(scenario: Scenario, *options: str, **variables: Any) -> Run:
    """Run on the server of the second layout, whose originals are kept."""
    return scenario.play("converge.yml", "--limit", "b1", *options, variables=variables)


@pytest.fixture
def own_data(scenario: Scenario, nodes: Nodes) -> Iterator[Node]:
    """Give a test a server that uses its own data, and leave one that uses the shared ones."""
    on_b1(scenario, **BACK).check()
    try:
        yield nodes["b1"]
    finally:
        on_b1(scenario).check()


# --- what a migration leaves -----------------------------------------------------------------------------------------


def test_members_have_the_same_data(nodes: Nodes) -> None:
    """What one server keeps the others have, and they use one database; the originals are gone, what others had not."""
    for number, name in enumerate(("s1", "n1", "n2")):
        assert appdata(nodes[name]) == FOLDER
        assert health(nodes[name])["appdata"] == FOLDER
        upload(nodes[name], f"kept-by-{name}", f"content {number}")
    for name in ("s1", "n1", "n2"):
        assert [download(nodes[name], f"kept-by-{one}") for one in ("s1", "n1", "n2")] == [
            f"content {number}" for number in range(3)
        ]
    for name in ("s1", "n1", "n2"):
        nodes["s1"].out("rm", f"{FOLDER}/var/repository/kept-by-{name}")
    assert listing(nodes["s1"], FOLDER) == nodes["s1"].read("/root/manifest")
    assert not exists(nodes["s1"], f"{OWN}/appdata")
    assert exists(nodes["n1"], f"{OWN}/appdata/conf/encryption.keystore")


def test_every_layout(nodes: Nodes) -> None:
    """Folders of their own become one folder that a property names, or that links lead to; all is as it was."""
    b1, c1 = nodes["b1"], nodes["c1"]
    assert appdata(b1) == SEPARATE and health(b1)["appdata"] == SEPARATE
    assert listing(b1, SEPARATE) == b1.read("/root/manifest")
    assert b1.read(f"{SEPARATE}/conf/installed.version") == b1.read(f"{OWN}/conf/installed.version") == "7.3.0.0\n"
    assert appdata(c1) is None and health(c1)["ready"]
    assert listing(c1, LINKED) == c1.read("/root/manifest")
    for name in ("var/repository", "logs", "conf/encryption.keystore", "patches"):
        assert c1.out("readlink", f"{OWN}/{name}") == f"{LINKED}/{name}\n"
        assert not exists(c1, f"{OWN}/{name}.clusterkit-original")
    assert c1.run("test", "-L", f"{OWN}/conf/installed.version").returncode != 0
    assert c1.read(f"{LINKED}/conf/installed.version") == "6.1.1.0\n"


@pytest.mark.deep
def test_check_mode_tells_the_plan_and_changes_nothing(scenario: Scenario, own_data: Node) -> None:
    """What would be moved is shown as a difference, and is what a run then does."""
    before = own_data.read(PROPERTIES)
    predicted = on_b1(scenario, "--check", "--diff").check()
    assert own_data.read(PROPERTIES) == before and health(own_data)["ready"]
    plan = predicted.diffs["b1", MIGRATE]["after"]
    assert plan["in use"] == "the new location" and "files" in plan["to copy"] and "free at the target" in plan
    assert plan[f"{OWN}/var/repository"].startswith(f"{SEPARATE}/var/repository: 2")
    done = on_b1(scenario).check()
    assert done.changed == predicted.changed and done.changed
    assert on_b1(scenario).check().changed == set()


# --- the way back, and later removal ---------------------------------------------------------------------------------


def test_there_and_back(scenario: Scenario, nodes: Nodes) -> None:
    """As long as originals are there a server goes back to them; what was written meanwhile is kept."""
    b1 = nodes["b1"]
    upload(b1, "written-at-the-new-location", "new")
    predicted = on_b1(scenario, "--check", **BACK).check()
    done = on_b1(scenario, **BACK).check()
    assert done.changed and predicted.changed == done.changed
    assert appdata(b1) == ".." and health(b1)["appdata"] == OWN
    assert listing(b1, OWN) == b1.read("/root/manifest")
    kept = b1.out("sh", "-c", f"ls -d {SEPARATE}/.clusterkit-appdata/rolled-back-*").split()[-1]
    assert b1.read(f"{kept}/var/repository/written-at-the-new-location") == "new"
    assert on_b1(scenario, **BACK).check().changed == set()
    assert on_b1(scenario).check().changed
    assert listing(b1, SEPARATE) == b1.read("/root/manifest")


@pytest.mark.deep
def test_copied_beforehand(scenario: Scenario, own_data: Node) -> None:
    """While the server runs nothing but the copy grows; then only the difference is copied."""
    for _turn in range(2):
        on_b1(scenario, deploy_appdata_phase="precopy").check()
    assert appdata(own_data) == ".." and health(own_data)["ready"]
    upload(own_data, "written-meanwhile", "late")
    predicted = on_b1(scenario, "--check", "--diff", deploy_appdata_precopy=False).check()
    # The file, and the directory that it came into
    try:
        to_copy = predicted.diffs["b1", MIGRATE]["after"]["to copy"]
        assert int(to_copy.split()[0]) < 20, to_copy
        on_b1(scenario).check()
        assert download(own_data, "written-meanwhile") == "late"
    finally:
        for data in (SEPARATE, OWN):
            own_data.out("rm", "-f", f"{data}/var/repository/written-meanwhile")


# --- what goes wrong -------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def broken_start(node: Node) -> Iterator[None]:
    """Let a server not start meanwhile."""
    directory = f"/run/systemd/system/{UNIT}.d"
    node.out("mkdir", "-p", directory)
    node.write(f"{directory}/broken.conf", "[Service]\nExecStartPre=/bin/false\n")
    node.out("systemctl", "daemon-reload")
    try:
        yield
    finally:
        node.out("rm", "-r", directory)
        node.out("systemctl", "daemon-reload")
        node.out("systemctl", "reset-failed", UNIT)


def test_a_start_that_fails_leaves_the_originals(scenario: Scenario, own_data: Node) -> None:
    """The message says what to do; mended, another run ends it."""
    with broken_start(own_data):
        run = on_b1(scenario, deploy_appdata_remove_source=True)
    assert "does not start well" in run.complaint() and "deploy_appdata_rollback=true" in run.complaint()
    assert listing(own_data, OWN) == own_data.read("/root/manifest")
    on_b1(scenario).check()
    assert health(own_data)["appdata"] == SEPARATE


@pytest.mark.deep
def test_a_migration_that_fails_starts_the_server_again(scenario: Scenario, own_data: Node) -> None:
    """Something else has a file open: it is named, and the server runs as before."""
    own_data.out("systemd-run", "--unit=reader", "tail", "-f", f"{OWN}/logs/deployserver.out")
    try:
        run = on_b1(scenario)
        assert "in use by tail" in run.complaint()
        assert appdata(own_data) == ".."
        wait_for(lambda: health(own_data), "the server", limit=30)
    finally:
        own_data.out("systemctl", "stop", "reader.service")


@pytest.mark.deep
def test_runs_killed_at_several_moments(scenario: Scenario, own_data: Node) -> None:
    """Whenever a run is killed, the data are whole, and another run ends it."""
    for seconds in (3.0, 4.5, 6.0, 8.0):
        process = scenario.start("--limit", "b1")
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=seconds)
        if process.poll() is None:
            kill_with_descendants(process)
        place = {"..": OWN, SEPARATE: SEPARATE}[str(appdata(own_data))]
        assert listing(own_data, place) == own_data.read("/root/manifest")
    on_b1(scenario).check()
    assert listing(own_data, SEPARATE) == own_data.read("/root/manifest")


def test_verification_names_what_is_wrong(scenario: Scenario, nodes: Nodes) -> None:
    """A member whose server is down is named, though a run is limited to another one."""
    nodes["n2"].out("systemctl", "stop", UNIT)
    try:
        run = scenario.play("converge.yml", "--limit", "n1", "--tags", "deploy_appdata_verify")
        assert f"{UNIT} on n2 is inactive" in run.complaint() and "the server on n2 answers -1" in run.complaint()
    finally:
        nodes["n2"].out("systemctl", "start", UNIT)


def test_a_member_without_the_storage_is_refused(scenario: Scenario, nodes: Nodes) -> None:
    """Before anything changes, and named: it would else write into its own root file system."""
    nodes["n2"].out("systemctl", "stop", UNIT)
    nodes["n2"].out("umount", SHARE)
    try:
        run = scenario.play("converge.yml", "--limit", "deploy_folder")
        assert "n2 and s1 do not see the same" in run.complaint()
        assert run.changed == set()
    finally:
        nodes["n2"].out("mount", SHARE)
        nodes["n2"].out("systemctl", "start", UNIT)


def test_a_member_that_is_off_is_named(scenario: Scenario, nodes: Nodes) -> None:
    """Also where a run is limited to others."""
    nodes["n2"].engine("pause")
    try:
        run = scenario.play("converge.yml", "--limit", "n1", "--ssh-common-args=-o ConnectTimeout=3")
        assert "n2 could not be asked" in run.complaint()
    finally:
        nodes["n2"].engine("unpause")


@pytest.mark.parametrize(
    ("variables", "complaint"),
    [
        ({"deploy_appdata_target": "share"}, "deploy_appdata_target is 'share'"),
        ({"deploy_appdata_unit": "deploy-server"}, "deploy_appdata_unit is 'deploy-server'"),
        ({"deploy_appdata_source": "nobody"}, "deploy_appdata_source is nobody, which is no member"),
        ({"deploy_appdata_phase": "precopy", **BACK}, "exclude each other"),
        ({"deploy_appdata_layout": "none"}, "value of deploy_appdata_layout must be one of"),
        ({"deploy_appdata_target": f"{SHARE}/other"}, f"uses {SEPARATE}, and deploy_appdata_target is {SHARE}/other"),
        ({"deploy_appdata_install_dir": "/opt/absent"}, "On b1 there is no /opt/absent/conf/server/installed.prop"),
    ],
)
def test_bad_input_is_refused(scenario: Scenario, variables: dict[str, Any], complaint: str) -> None:
    """Before the first change, with the variable, its value and what would be right."""
    run = on_b1(scenario, **variables)
    assert complaint in run.complaint() and run.changed == set()


@pytest.mark.deep
def test_what_the_storage_cannot_hold_is_refused(scenario: Scenario, own_data: Node) -> None:
    """A link that would lead elsewhere is named before anything is copied, and the server goes on all the time."""
    started = own_data.out("systemctl", "show", "-P", "ActiveEnterTimestampMonotonic", UNIT)
    own_data.out("ln", "-s", "../../opt", f"{OWN}/var/repository/leads-out")
    try:
        run = on_b1(scenario)
        assert "accept: [links]" in run.complaint() and "var/repository/leads-out" in run.complaint()
        assert own_data.out("systemctl", "show", "-P", "ActiveEnterTimestampMonotonic", UNIT) == started
    finally:
        own_data.out("rm", f"{OWN}/var/repository/leads-out")


def test_secrets_of_the_server_show_nowhere(scenario: Scenario, own_data: Node) -> None:
    """As loud as can be, the properties' secrets are not shown."""
    done = on_b1(scenario, "-vvv", "--diff").check()
    assert "canary-of-the-database" not in done.output.replace('"deploy_server_database_password"', "")
    assert own_data.out("stat", "-c", "%a %U", PROPERTIES) == "600 deploy\n"


# --- leaving and removal ---------------------------------------------------------------------------------------------


@pytest.mark.deep
def test_a_member_leaves_and_comes_back(scenario: Scenario, nodes: Nodes) -> None:
    """It uses its own data again, is left stopped, and nothing of the migration stays; then it joins again."""
    n1 = nodes["n1"]
    assert scenario.play("entry_remove.yml", "--check").check().changed
    assert scenario.play("entry_remove.yml").check().changed
    assert appdata(n1) == f"{OWN}/appdata" and n1.out("sh", "-c", f"systemctl is-active {UNIT} || :") == "inactive\n"
    assert not exists(n1, "/var/lib/clusterkit/appdata")
    assert scenario.play("entry_remove.yml").check().changed == set()
    scenario.play("converge.yml", "--limit", "n1").check()
    assert health(n1)["appdata"] == FOLDER


def test_the_only_data_are_not_left_behind(scenario: Scenario, nodes: Nodes) -> None:
    """A server whose originals were removed cannot go back, and runs on all the time."""
    started = nodes["c1"].out("systemctl", "show", "-P", "ActiveEnterTimestampMonotonic", UNIT)
    run = scenario.play("converge.yml", "--limit", "c1", variables=BACK)
    assert "The originals of c1 have been removed" in run.complaint()
    assert nodes["c1"].out("systemctl", "show", "-P", "ActiveEnterTimestampMonotonic", UNIT) == started


@pytest.mark.deep
def test_originals_are_removed_later(scenario: Scenario, nodes: Nodes) -> None:
    """After one more comparison; what use has changed meanwhile is no obstacle."""
    b1 = nodes["b1"]
    upload(b1, "changed-by-use", "1")
    remove = {"deploy_appdata_remove_source": True}
    predicted = on_b1(scenario, "--check", **remove).check()
    done = on_b1(scenario, **remove).check()
    assert done.changed == predicted.changed == {("b1", f"{ROLE}Remove the originals")}
    assert not exists(b1, f"{OWN}/var/repository") and exists(b1, f"{OWN}/conf/installed.version")
    assert on_b1(scenario, **remove).check().changed == set()
    assert health(b1)["ready"]
