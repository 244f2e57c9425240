# SPDX-License-Identifier: GPL-3.0-or-later
"""Two balancers share an address: one holds it, whatever happens to the other, and what cannot be right is refused."""

from __future__ import annotations

import contextlib
import json
import pathlib
import time
from collections.abc import Iterator
from typing import Any

import pytest

from molecule.shared.load import Client, Watcher
from molecule.shared.scenario import Node, Scenario, wait_for

Nodes = dict[str, Node]
ROLE = "clusterkit.middleware.keepalived"
INSTANCE: dict[str, Any] = {"name": "web", "router_id": 51}
#: As others do: a cluster of VRRP by multicast, without the role.
OTHER = """
vrrp_instance other {
    state MASTER
    interface eth0
    virtual_router_id 77
    priority 100
    advert_int 1
    virtual_ipaddress { %s }
}
"""


@pytest.fixture(scope="module")
def address(scenario: Scenario) -> str:
    """Return the virtual address."""
    own = scenario.nodes()["lb1"].out("hostname", "-i").split()[0]
    return own.rpartition(".")[0] + ".200"


def holders(nodes: Nodes, address: str) -> list[str]:
    """Return whose kernels have the address."""
    asked = [nodes["lb1"], nodes["lb2"]]
    return [node.name for node in asked if f" {address}/" in node.run("ip", "-4", "address", "show").stdout]


def held(nodes: Nodes, address: str) -> str:
    """Return who alone holds the address, waiting for it."""
    return wait_for(lambda: [one for one in [holders(nodes, address)] if len(one) == 1], "one holder", 30)[0][0]


def peer(nodes: Nodes, name: str) -> Node:
    """Return the other balancer."""
    return nodes["lb2" if name == "lb1" else "lb1"]


def running(node: Node) -> bool:
    """Tell whether a node has started whole."""
    return node.run("systemctl", "is-system-running").stdout.strip() == "running"


@contextlib.contextmanager
def killed(node: Node) -> Iterator[None]:
    """Let the node be without power, and come back."""
    node.engine("kill")
    yield
    node.engine("start")
    wait_for(lambda: running(node), f"{node.name} back", 90)


@contextlib.contextmanager
def without_haproxy(node: Node) -> Iterator[None]:
    """Let HAProxy be killed, and not come back by itself."""
    directory = "/run/systemd/system/haproxy.service.d"
    node.out("mkdir", "-p", directory)
    node.write(f"{directory}/stays.conf", "[Service]\nRestart=no\n")
    node.out("systemctl", "daemon-reload")
    node.out("systemctl", "kill", "--signal=KILL", "haproxy.service")
    yield
    node.out("rm", "-r", directory)
    node.out("systemctl", "daemon-reload")
    node.out("systemctl", "start", "haproxy.service")


@contextlib.contextmanager
def stopped(node: Node) -> Iterator[None]:
    """Let keepalived be stopped as an operator does."""
    node.out("systemctl", "stop", "keepalived.service")
    yield
    node.out("systemctl", "start", "keepalived.service")


FAULTS = {"node killed": killed, "HAProxy killed": without_haproxy, "keepalived stopped": stopped}


def test_the_address_serves(nodes: Nodes, address: str) -> None:
    """It has one holder, and behind it is the service."""
    assert held(nodes, address) in ("lb1", "lb2")
    assert Client(address, 80).request()[1]["server"] == "s1"


@pytest.mark.parametrize(("fault", "limit"), [("keepalived stopped", 2), ("HAProxy killed", 5), ("node killed", 6)])
def test_the_other_takes_over(nodes: Nodes, address: str, fault: str, limit: float) -> None:
    """Clients find the other one within seconds; who comes back takes nothing back, and one holds it all the time."""
    lost = held(nodes, address)
    with Watcher(address) as watcher:
        wait_for(lambda: watcher.answered, "answers", 30)
        began = time.monotonic()
        with FAULTS[fault](nodes[lost]):
            other = peer(nodes, lost)
            wait_for(lambda: f" {address}/" in other.run("ip", "-4", "address").stdout, "the other one", 30)
            wait_for(lambda: watcher.answered[-1] > began + 1, "answers again", 30)
            if fault != "node killed":
                assert held(nodes, address) == other.name
        gap = watcher.gap(began)
        # The former holder comes back well, and stands by
        wait_for(lambda: state(nodes[lost]) == "BACKUP", f"{lost} stands by", 60)
        back = time.monotonic()
        interruption = watcher.gap(back)
    print(f"{fault}: nobody answered for {gap:.2f} s")
    assert gap < limit
    assert interruption < 2
    assert held(nodes, address) == other.name


def state(node: Node) -> str:
    """Return what keepalived says of its one instance, by its own data."""
    asked = "P=$(systemctl show -P MainPID keepalived) && rm -f /run/keepalived/keepalived.json && kill -JSON_ $P"
    asked = asked.replace("-JSON_", '-"$(keepalived --signum=JSON)"')
    node.run("sh", "-c", f"{asked} && sleep 0.3")
    text = node.read("/run/keepalived/keepalived.json") or "[]"
    with contextlib.suppress(ValueError, IndexError, KeyError):
        return ["INIT", "BACKUP", "MASTER", "FAULT"][json.loads(text)[0]["data"]["state"]]
    return "unknown"


def test_a_paused_one_gives_way_when_it_goes_on(scenario: Scenario, nodes: Nodes, address: str) -> None:
    """A keepalived that hangs leaves the address in its kernel: the verification says so; then one holds it again."""
    lost = held(nodes, address)
    node, other = nodes[lost], peer(nodes, lost)
    node.out("pkill", "-STOP", "keepalived")
    try:
        began = time.monotonic()
        wait_for(lambda: f" {address}/" in other.run("ip", "-4", "address").stdout, "the other one", 30)
        took = time.monotonic() - began
        run = scenario.play(
            "clusterkit.middleware.keepalived",
            "--tags",
            "keepalived_verify",
            variables={"keepalived_settle_seconds": 1},
        )
        assert f"is held by {', '.join(sorted([lost, other.name]))}" in run.complaint()
        assert (
            f"(process {node.out('systemctl', 'show', '-P', 'MainPID', 'keepalived').strip()}) runs and does not"
            in (run.complaint())
        )
    finally:
        node.out("pkill", "-CONT", "keepalived")
    print(f"keepalived paused: the other one took over after {took:.2f} s")
    assert took < 6
    wait_for(lambda: len(holders(nodes, address)) == 1, "one holder", 15)
    assert Client(address, 80).request()[1]["server"] == "s1"


def test_within_a_second_where_that_was_asked_for(scenario: Scenario, nodes: Nodes, address: str) -> None:
    """With an advertisement each 0.2 s the death of the holder costs its clients a second."""
    assert scenario.play(ROLE, variables={"keepalived_advert_seconds": 0.2}).check().changed
    lost = held(nodes, address)
    with Watcher(address) as watcher:
        wait_for(lambda: watcher.answered, "answers", 30)
        began = time.monotonic()
        with killed(nodes[lost]):
            wait_for(lambda: watcher.answered[-1] > began + 2, "answers again", 30)
        gap = watcher.gap(began)
    print(f"node killed, an advertisement each 0.2 s: nobody answered for {gap:.2f} s")
    assert gap < 3  # on a busy machine; what it takes on a quiet one is measured by the benchmark
    assert scenario.play(ROLE).check().changed


def test_each_firewall_lets_the_others_advertisements_in(nodes: Nodes) -> None:
    """From the other member alone; also by multicast, which no firewall takes for an answer."""
    addresses = {name: nodes[name].out("hostname", "-i").split()[0] for name in ("lb1", "lb2")}
    assert f"ufw allow from {addresses['lb2']} proto vrrp" in nodes["lb1"].out("ufw", "show", "added")
    rule = f'rule family="ipv4" source address="{addresses["lb1"]}" protocol value="vrrp" accept'
    for kind in ("--quiet", "--permanent"):
        assert nodes["lb2"].run("firewall-cmd", kind, f"--query-rich-rule={rule}").returncode == 0


def test_by_multicast_there_is_one_holder_as_well(scenario: Scenario, nodes: Nodes, address: str) -> None:
    """Through both firewalls; the other one takes over, and there is one way back."""
    assert scenario.play(ROLE, variables={"keepalived_multicast": True}).check().changed
    lost = held(nodes, address)
    with stopped(nodes[lost]):
        assert held(nodes, address) == peer(nodes, lost).name
    wait_for(lambda: state(nodes[lost]) == "BACKUP", f"{lost} stands by", 60)
    assert scenario.play(ROLE).check().changed


def test_a_preferred_one_takes_its_address_back(scenario: Scenario, nodes: Nodes, address: str) -> None:
    """Where that was asked for: the other one has it only while the preferred one is not well."""
    preferring = {"keepalived_instances": [{**INSTANCE, "addresses": [address], "preferred": "lb2", "preempt": True}]}
    assert scenario.play(ROLE, variables=preferring).check().changed
    wait_for(lambda: holders(nodes, address) == ["lb2"], "the preferred one", 60)
    with stopped(nodes["lb2"]):
        wait_for(lambda: holders(nodes, address) == ["lb1"], "the other one", 60)
    wait_for(lambda: holders(nodes, address) == ["lb2"], "the preferred one again", 60)
    assert scenario.play(ROLE, variables=preferring).check().changed == set()
    assert scenario.play(ROLE).check().changed


def test_a_program_listens_on_the_address_before_it_comes(scenario: Scenario, nodes: Nodes, address: str) -> None:
    """On the member that does not hold it, where that was asked for."""
    waiting = peer(nodes, held(nodes, address))
    for node in (nodes["lb1"], nodes["lb2"]):
        # Of a container's kernel only the network is its own, and still nobody may set it
        node.out("mount", "-o", "remount,rw", "/proc/sys")
    listen = ("python3", "-c", "import socket, sys; socket.create_server((sys.argv[1], 8099))", address)
    assert "Cannot assign requested address" in waiting.run(*listen).stderr
    asked = {"keepalived_nonlocal_bind": True}
    assert scenario.play(ROLE, variables=asked).check().changed
    waiting.out(*listen)
    assert scenario.play(ROLE, variables=asked).check().changed == set()
    assert scenario.play(ROLE).check().changed


def test_who_else_is_on_the_network_is_noticed(scenario: Scenario, nodes: Nodes, address: str) -> None:
    """Another cluster with the same number, of the inventory or heard, and an address that somebody has: refused."""
    node = nodes["s1"]
    taken = address.rpartition(".")[0] + ".201"
    node.out("sh", "-c", "DEBIAN_FRONTEND=noninteractive apt-get install -y -qq keepalived", limit=120)
    node.write("/etc/keepalived/keepalived.conf", OTHER % f"{taken}/24")
    node.out("systemctl", "restart", "keepalived.service")
    wait_for(lambda: taken in node.out("ip", "-4", "address"), "another cluster", 30)
    own = node.out("hostname", "-i").split()[0]
    run = scenario.play(ROLE, variables={"keepalived_instances": [{**INSTANCE, "router_id": 77, "addresses": [taken]}]})
    assert f"hears {own} advertise router_id 77 at eth0" in run.complaint()
    assert f"somebody has {taken} already" in run.complaint()
    assert run.changed == set()
    node.out("systemctl", "stop", "keepalived.service")


def test_another_cluster_of_the_inventory_has_another_number(scenario: Scenario, tmp_path: pathlib.Path) -> None:
    """Two clusters with one router id would each take the other for itself."""
    other = {
        "hosts": {"other1": None},
        "vars": {
            "keepalived_members_group": "others",
            "keepalived_instances": [{"name": "shop", "router_id": 51, "addresses": ["192.0.2.1"]}],
        },
    }
    (tmp_path / "others.yml").write_text(json.dumps({"others": other}), encoding="utf-8")
    run = scenario.play(ROLE, "-i", str(tmp_path / "others.yml"))
    assert "router_id 51 of web is that of other1 in others, too" in run.complaint()
    assert run.changed == set()


@pytest.mark.parametrize(
    ("variables", "complaint"),
    [
        ({"keepalived_instances": []}, "keepalived_instances is empty"),
        ({"keepalived_checks": []}, "keepalived_checks is empty"),
        ({"keepalived_advert_seconds": 60}, "keepalived_advert_seconds is 60"),
        ({"keepalived_instances": [{**INSTANCE, "addresses": ["2001:db8::1"]}]}, "is no address of IPv4"),
        (
            {"keepalived_instances": [{**INSTANCE, "addresses": ["192.0.2.1"]}]},
            "192.0.2.1 of web is in no network of eth0",
        ),
        ({"keepalived_checks": [{"name": "a", "command": "/usr/bin/none"}]}, "On lb1 there is no /usr/bin/none"),
    ],
)
def test_refused_before_anything_changes(
    scenario: Scenario, nodes: Nodes, variables: dict[str, Any], complaint: str
) -> None:
    """What cannot be right is named, and nothing is replaced."""
    before = [nodes[name].read("/etc/keepalived/keepalived.conf") for name in ("lb1", "lb2")]
    run = scenario.play(ROLE, variables=variables)
    assert complaint in run.complaint()
    assert run.changed == set()
    assert [nodes[name].read("/etc/keepalived/keepalived.conf") for name in ("lb1", "lb2")] == before


def test_a_second_run_changes_nothing(scenario: Scenario) -> None:
    """After all of this."""
    assert scenario.play().check().changed == set()
