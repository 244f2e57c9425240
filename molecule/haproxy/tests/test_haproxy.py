# SPDX-License-Identifier: GPL-3.0-or-later
"""Two balancers before three servers: who is bound to whom, servers that leave and come back, what is refused."""

from __future__ import annotations

import base64
import functools
import http.client
import ssl
from collections import Counter
from typing import Any

import pytest
import yaml

from molecule.shared.load import Client, WebSocket, getting, load, posting, talking
from molecule.shared.scenario import ROOT, Node, Scenario, wait_for

Nodes = dict[str, Node]
SERVERS = {"s1", "s2", "s3"}
AUTHORITY = ROOT / "build" / "lab" / "haproxy-certificates" / "ca.pem"
PASSWORD = "Canary #!0^(' \"$%\\`;& Grüße"
ASK = """
import socket, sys
connection = socket.socket(socket.AF_UNIX)
connection.connect("/run/haproxy/admin.sock")
connection.sendall(sys.argv[1].encode() + b"\\n")
print(b"".join(iter(lambda: connection.recv(65536), b"")).decode())
"""
FETCH = """
import sys, urllib.request
print(urllib.request.urlopen(sys.argv[1], timeout=10).read().decode())
"""


@pytest.fixture(scope="session")
def addresses(scenario: Scenario) -> dict[str, str]:
    """Return the nodes' addresses."""
    return {name: node.out("hostname", "-i").split()[0] for name, node in scenario.nodes().items()}


@pytest.fixture
def tls() -> ssl.SSLContext:
    """Return what a browser that knows the site's authority believes."""
    return ssl.create_default_context(cafile=str(AUTHORITY))


def table(node: Node) -> list[dict[str, str]]:
    """Return what a balancer says of servers."""
    lines = node.out("python3", "-c", ASK, "show stat -1 4 -1")[2:].strip().splitlines()
    names = lines[0].split(",")
    return [dict(zip(names, line.split(","), strict=False)) for line in lines[1:]]


def statuses(node: Node, server: str) -> set[str]:
    """Return a server's states in all services of a balancer; who has just come back is "UP 1/3" until its check."""
    return {row["status"].split()[0] for row in table(node) if row["svname"] == server}


def balancers(nodes: Nodes) -> list[Node]:
    """Return the balancers."""
    return [nodes["lb1"], nodes["lb2"]]


def up(node: Node) -> bool:
    """Tell whether a balancer finds all servers well."""
    return all(row["status"] == "UP" and row["check_status"].startswith("L7OK") for row in table(node))


def everyone(addresses: dict[str, str], tls: ssl.SSLContext) -> dict[str, Any]:
    """Return clients of every kind at both balancers. Those of pass-through have one connection for each request."""
    clients: dict[str, Any] = {}
    for name in ("lb1", "lb2"):
        place = addresses[name]
        clients |= {
            f"{name} kept": getting(place, 80),
            f"{name} new": getting(place, 80, keep=False),
            f"{name} post": posting(place, 80),
            f"{name} post new": posting(place, 80, keep=False),
            f"{name} https": getting(place, 443, tls),
            f"{name} https post": posting(place, 443, tls),
            f"{name} inner": getting(place, 8443, tls),
            f"{name} socket": talking(place, 80),
            f"{name} socket tls": talking(place, 443, tls),
            f"{name} through": unnamed(place),
        }
    return clients


def unnamed(address: str) -> Any:
    """Return a client of the servers' own certificates, whichever server answers."""
    believing = ssl.create_default_context(cafile=str(AUTHORITY))
    believing.check_hostname = False
    return getting(address, 9444, believing, keep=False)


def test_a_session_stays_with_its_server(addresses: dict[str, str], tls: ssl.SSLContext) -> None:
    """1,000 requests of 50 sessions: each is served by one server, on both balancers, and all servers serve."""
    sessions = [Client(addresses["lb1"], 80) for _number in range(30)]
    sessions += [Client(addresses["lb1"], 8443, tls) for _number in range(20)]
    seen: list[set[str]] = [set() for _session in sessions]
    for number in range(20):
        for session, servers in zip(sessions, seen, strict=True):
            status, answer = session.request(keep=number % 2 == 0)
            assert status == 200
            servers.add(answer["server"])
    assert all(len(servers) == 1 for servers in seen), seen
    assert set.union(*seen) == SERVERS
    # The other balancer knows by the cookie alone
    moved = Client(addresses["lb2"], 80)
    moved.cookie = sessions[0].cookie
    assert {moved.request()[1]["server"]} == seen[0]
    plain, secure = sessions[0].cookie_attributes.lower(), sessions[-1].cookie_attributes.lower()
    assert "httponly" in plain and "secure" not in plain
    assert "httponly" in secure and "secure" in secure
    for session in sessions:
        session.close()


def test_an_address_stays_with_its_server_on_both_balancers(nodes: Nodes, addresses: dict[str, str]) -> None:
    """Where TLS is passed through, the balancers share who is bound to whom."""
    seen = Counter(unnamed(addresses["lb1"])() for _number in range(10))
    assert len(seen) == 1, seen
    wait_for(lambda: "key=" in nodes["lb2"].out("python3", "-c", ASK, "show table through"), "the other's table", 30)
    assert unnamed(addresses["lb2"])() in seen


def test_what_clients_say_of_themselves_is_not_believed(addresses: dict[str, str], tls: ssl.SSLContext) -> None:
    """Servers learn who asks and how; old TLS is refused, and plain HTTP is sent on."""
    connection = http.client.HTTPConnection(addresses["lb1"], 80, timeout=30)
    connection.request("GET", "/", headers={"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "https"})
    told = connection.getresponse().read().decode()
    connection.close()
    assert "192.0.2.1" not in told and '"X-Forwarded-Proto": "http"' in told
    assert Client(addresses["lb1"], 443, tls).request()[1]["headers"]["X-Forwarded-Proto"] == "https"  # type: ignore[index]
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(OSError, match=r"(?i)alert|version|protocol|closed|reset|EOF"):
        Client(addresses["lb1"], 443, old).request()
    redirected = http.client.HTTPConnection(addresses["lb1"], 8081, timeout=30)
    redirected.request("GET", "/path?x=1", headers={"Host": "site.example.org:8081"})
    answer = redirected.getresponse()
    assert (answer.status, answer.headers["Location"]) == (308, "https://site.example.org/path?x=1")
    redirected.close()


def test_pages_of_the_balancer(nodes: Nodes, addresses: dict[str, str]) -> None:
    """Prometheus finds its numbers; the statistics page wants its password, whatever characters are in it."""
    node = nodes["lb1"]
    assert 'haproxy_server_status{proxy="web",server="s1"' in node.out(
        "python3", "-c", FETCH, "http://127.0.0.1:8405/metrics"
    )
    assert "401" in node.run("python3", "-c", FETCH, "http://127.0.0.1:8404/").stderr
    token = base64.b64encode(f"admin:{PASSWORD}".encode()).decode()
    script = FETCH.replace("sys.argv[1]", "urllib.request.Request(sys.argv[1], headers={'Authorization': sys.argv[2]})")
    assert "Statistics Report" in node.out("python3", "-c", script, "http://127.0.0.1:8404/", f"Basic {token}")
    with pytest.raises(OSError, match=r"(?i)refused"):
        Client(addresses["lb1"], 8404).request()


def test_a_server_is_rolled_without_a_lost_request(
    scenario: Scenario, nodes: Nodes, addresses: dict[str, str], tls: ssl.SSLContext
) -> None:
    """Drained, stopped, started, ready: clients of every kind at both balancers lose nothing, and lose no session."""
    for node in balancers(nodes):
        wait_for(functools.partial(up, node), "all servers up", 60)
    with load(everyone(addresses, tls)) as outcome:
        assert scenario.play("clusterkit.middleware.drain", "-e", "node=s2").check().changed
        assert {status for name in ("lb1", "lb2") for status in statuses(nodes[name], "s2")} == {"MAINT"}
        nodes["s2"].out("systemctl", "stop", "backend.service")
        # A second time there is nothing to do, and another one may leave as long as one is left
        assert scenario.play("clusterkit.middleware.drain", "-e", "node=s2").check().changed == set()
        nodes["s2"].out("systemctl", "start", "backend.service")
        assert scenario.play("clusterkit.middleware.ready", "-e", "node=s2").check().changed
        before = outcome.answers["s2"]
        wait_for(lambda: outcome.answers["s2"] > before, "requests to s2 again", 60)
    redispatched = sum(int(row["wredis"] or 0) for name in ("lb1", "lb2") for row in table(nodes[name]))
    print(f"{outcome.requests} requests, {outcome.requests / outcome.seconds:.0f}/s, redispatched {redispatched}")
    assert outcome.failures == []
    # The rate is printed, and depends on the machine; a load it has to be
    assert outcome.requests >= 500


def test_a_reload_loses_nothing_and_forgets_nothing(
    scenario: Scenario, nodes: Nodes, addresses: dict[str, str], tls: ssl.SSLContext
) -> None:
    """Under load, with a server out of traffic, a port that changes and a tunnel that stays; then it is as before."""
    tunnel = WebSocket(addresses["lb1"], 80)
    scenario.play("clusterkit.middleware.drain", "-e", "node=s3" if tunnel.server != "s3" else "node=s2").check()
    out = "s3" if tunnel.server != "s3" else "s2"
    with load(everyone(addresses, tls)) as outcome:
        for node in balancers(nodes):
            for _number in range(3):
                process = node.out("python3", "-c", ASK, "show info")
                node.out("systemctl", "reload", "haproxy.service")
                wait_for(lambda node=node, process=process: pid(node) not in ("", pid_in(process)), "a new process", 60)
                assert statuses(node, out) == {"MAINT"}
    assert outcome.failures == []
    assert outcome.answers[out] == 0
    assert tunnel.echo("still there") == "still there"
    tunnel.close()
    # A restart forgets nothing either
    nodes["lb2"].out("systemctl", "restart", "haproxy.service")
    wait_for(lambda: statuses(nodes["lb2"], out) == {"MAINT"}, "the server out of traffic after a restart", 60)
    scenario.play("clusterkit.middleware.ready", "-e", f"node={out}").check()
    for node in balancers(nodes):
        wait_for(functools.partial(up, node), "all servers up", 60)


def pid_in(info: str) -> str:
    """Return the process number in what HAProxy says of itself."""
    return next((line.split()[1] for line in info.splitlines() if line.startswith("Pid:")), "")


def pid(node: Node) -> str:
    """Return the number of the process that answers now."""
    return pid_in(node.run("python3", "-c", ASK, "show info").stdout)


def test_the_port_of_a_server_can_change(scenario: Scenario, nodes: Nodes) -> None:
    """The server-state file does not bring the former port back."""
    changed = {"haproxy_services": [{**one, "member_port": 9443} for one in services() if one["name"] == "web"]}
    run = scenario.play(variables={**changed, "haproxy_up_limit_seconds": 1})
    assert "The balancers load_balancers do not serve all" in run.complaint()  # plain HTTP to a port with TLS
    rows = nodes["lb1"].out("python3", "-c", ASK, "show servers state web")
    assert " 9443 " in rows and " 8080 " not in rows
    assert scenario.play().check().changed
    rows = nodes["lb1"].out("python3", "-c", ASK, "show servers state web")
    assert " 8080 " in rows and " 9443 " not in rows


def services() -> list[dict[str, Any]]:
    """Return the services as the scenario declares them."""
    declared = yaml.safe_load((ROOT / "molecule" / "haproxy" / "molecule.yml").read_text(encoding="utf-8"))
    found: list[dict[str, Any]] = declared["provisioner"]["inventory"]["group_vars"]["load_balancers"][
        "haproxy_services"
    ]
    return found


def test_a_server_that_is_not_well_gets_no_traffic(scenario: Scenario, nodes: Nodes) -> None:
    """What answers its health check with an error stays out, and the run says so; one that may not leave stays."""
    scenario.play("clusterkit.middleware.drain", "-e", "node=s1").check()
    nodes["s1"].out("touch", "/run/backend-unwell")
    try:
        run = scenario.play("clusterkit.middleware.ready", "-e", "node=s1", "-e", "haproxy_ready_limit_seconds=1")
        assert "s1 is not well after 1 s and stays out of traffic" in run.complaint()
        assert "/health answers 503, expected 200" in run.complaint()
        assert statuses(nodes["lb1"], "s1") == {"MAINT"}
        scenario.play("clusterkit.middleware.drain", "-e", "node=s2").check()
        refused = scenario.play("clusterkit.middleware.drain", "-e", "node=s3")
        assert "s3 cannot be taken out of the service web, which 0 others would serve" in refused.complaint()
        assert refused.changed == set() and statuses(nodes["lb1"], "s3") == {"UP"}
    finally:
        nodes["s1"].out("rm", "/run/backend-unwell")
        scenario.play("clusterkit.middleware.ready", "-e", "node=app_servers").check()


def test_what_a_server_still_serves_decides(scenario: Scenario, nodes: Nodes, addresses: dict[str, str]) -> None:
    """A tunnel that goes on keeps the server in traffic, or is ended where that was asked for."""
    tunnel = WebSocket(addresses["lb1"], 80)
    node = ("-e", f"node={tunnel.server}", "-e", "haproxy_drain_limit_seconds=1")
    run = scenario.play("clusterkit.middleware.drain", *node)
    assert f"{tunnel.server} still serves 1 sessions after 1 s" in run.complaint()
    assert statuses(nodes["lb1"], tunnel.server) == statuses(nodes["lb2"], tunnel.server) == {"UP"}
    assert tunnel.echo("still there") == "still there"
    scenario.play("clusterkit.middleware.drain", *node, "-e", "haproxy_drain_remaining=shutdown").check()
    with pytest.raises(OSError, match=r"closed|reset|Broken"):
        tunnel.echo("gone")
    scenario.play("clusterkit.middleware.ready", "-e", f"node={tunnel.server}").check()


WEB = {"name": "web", "port": 80, "members_group": "app_servers", "member_port": 8080, "check": {"path": "/health"}}


@pytest.mark.parametrize(
    ("variables", "complaint"),
    [
        ({"haproxy_services": []}, "haproxy_services is empty"),
        ({"haproxy_services": [{**WEB, "port": 7919}]}, "port 7919 is one of haproxy_forbidden_ports"),
        ({"haproxy_services": [{**WEB, "member_port": 7919}]}, "member_port is 7919, one of haproxy_forbidden_ports"),
        ({"haproxy_services": [WEB, {**WEB, "name": "two"}]}, "port 80 is that of web already"),
        ({"haproxy_services": [{**WEB, "members_group": "nobody"}]}, "nobody, which has no hosts in the inventory"),
        ({"haproxy_services": [{**WEB, "check": {"path": "/a b"}}]}, "check.path is '/a b'"),
        ({"haproxy_services": [{**WEB, "mode": "reencrypt", "certificate": "site"}]}, "authority is missing"),
        ({"haproxy_services": [{**WEB, "mode": "tcp", "affinity": "cookie"}]}, "cannot set in the mode tcp"),
        ({"haproxy_services": [{**WEB, "port": 22}]}, "On lb1 port 22 is taken by sshd"),
        ({"haproxy_stats_password": "short"}, "haproxy_stats_password is shorter than 12 characters"),
        ({"haproxy_services": [{**WEB, "backend_lines": ["no such word"]}]}, "haproxy.cfg is not valid"),
        ({"haproxy_certificates": {"site": "no certificate"}}, "/etc/haproxy/certs/site.pem is not valid"),
    ],
)
def test_refused_before_anything_changes(
    scenario: Scenario, nodes: Nodes, variables: dict[str, Any], complaint: str
) -> None:
    """What cannot be right is named, and nothing is replaced."""
    before = [nodes[name].out("sh", "-c", "cat /etc/haproxy/*.cfg /etc/haproxy/certs/*") for name in ("lb1", "lb2")]
    run = scenario.play(variables=variables)
    assert complaint in run.complaint()
    assert run.changed == set()
    after = [nodes[name].out("sh", "-c", "cat /etc/haproxy/*.cfg /etc/haproxy/certs/*") for name in ("lb1", "lb2")]
    assert after == before


def test_no_secret_shows(scenario: Scenario, nodes: Nodes) -> None:
    """Neither the password nor the certificate's key is in what a loud run says, or in a file that others can read."""
    other = PASSWORD[::-1]
    key = (AUTHORITY.parent / "site.key").read_text(encoding="ascii").splitlines()[1]
    run = scenario.play("converge.yml", "--diff", "-vvv", variables={"haproxy_stats_password": other})
    assert run.check().changed
    back = scenario.play("converge.yml", "--diff", "-vvv").check()
    for output in (run.output, back.output):
        assert "Canary" not in output.replace("\\", "") and "yranaC" not in output and key not in output
    for name in ("lb1", "lb2"):
        for path in ("/etc/haproxy/clusterkit-users.cfg", "/etc/haproxy/certs/site.pem"):
            assert nodes[name].out("stat", "-c", "%a %U", path).strip() == "600 root"
        assert "Canary" not in nodes[name].out("sh", "-c", "cat /etc/haproxy/haproxy.cfg /etc/haproxy/clusterkit.json")


def test_exported_is_what_was_asked_for(scenario: Scenario) -> None:
    """What is configured can be written down in the role's variables."""
    variables = {"entry_role": "clusterkit.middleware.haproxy", "entry_hosts": "lb1", "entry_points": ["export"]}
    run = scenario.play(ROOT / "molecule" / "shared" / "entry_points.yml", variables=variables).check()
    found = {one["name"]: one for one in run.facts["lb1"]["haproxy_exported"]["haproxy_services"]}
    assert set(found) == {"web", "secure", "inner", "through"}
    assert {one["name"] for one in found["web"]["members"]} == SERVERS
    assert found["secure"]["redirect_port"] == 8081 and found["inner"]["check"]["path"] == "/health"
