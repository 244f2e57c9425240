# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Services as users declare them: whom they reach, what is refused, and what HAProxy is told."""

from __future__ import annotations

import ssl
import subprocess
import sys
from typing import Any

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._haproxy import cluster, config, services

GROUPS = {"app": ["h1", "h2"], "empty": list[str]()}
HOSTVARS: dict[str, dict[str, Any]] = {
    "h1": {"haproxy_name": "s1", "haproxy_address": "10.0.0.1"},
    "h2": {"haproxy_name": "s2", "haproxy_address": "2001:db8::2"},
    "h3": {},
}
WEB: dict[str, Any] = {
    "name": "web",
    "port": 80,
    "members_group": "app",
    "member_port": 8080,
    "check": {"path": "/health"},
}
OPTIONS: dict[str, Any] = {
    "hard_stop_seconds": 60,
    "max_connections": 0,
    "peers_port": 10000,
    "stats_address": "127.0.0.1",
    "stats_port": 8404,
    "stats_certificate": "",
    "metrics_address": "127.0.0.1",
    "metrics_port": 0,
    "global_lines": [],
}
BALANCERS = [
    {"name": "lb1", "host": "lb1", "address": "10.0.1.1"},
    {"name": "lb2", "host": "lb2", "address": "10.0.1.2"},
]


def rendered(*given: dict[str, Any], balancers: int = 2, **options: Any) -> str:
    """Return the configuration for services."""
    catalogue = services.catalogue(given, HOSTVARS, GROUPS)
    return config.render(catalogue, "lb1", BALANCERS[:balancers], **{**OPTIONS, **options})


def block(text: str, head: str) -> list[str]:
    """Return the lines of a section."""
    (found,) = [one for one in text.split("\n\n") if one.splitlines()[0] == head]
    return [line.strip() for line in found.splitlines()[1:]]


def test_servers_come_from_the_inventory_and_from_the_list() -> None:
    """Each has a name, an address and a port; the service's port is that of all that say no other."""
    given = {**WEB, "members": [{"name": "old", "address": "10.9.9.9", "port": 81}]}
    (one,) = services.catalogue([given], HOSTVARS, GROUPS)
    assert one["members"] == [
        {"name": "old", "address": "10.9.9.9", "port": 81},
        {"name": "s1", "address": "10.0.0.1", "port": 8080},
        {"name": "s2", "address": "2001:db8::2", "port": 8080},
    ]
    assert services.hosts_without_address([{**WEB, "members_group": "x"}], HOSTVARS, {"x": ["h1", "h3"]}) == ["h3"]


def test_said_is_taken_again() -> None:
    """What is exported makes the same services."""
    given = [{**WEB, "affinity": "none"}, {**WEB, "name": "tls", "mode": "https", "port": 443, "certificate": "site"}]
    catalogue = services.catalogue(given, HOSTVARS, GROUPS)
    again = services.catalogue(services.said(catalogue), {}, {})
    kept = ("name", "mode", "port", "affinity", "certificate", "check", "members", "balance")
    assert [{key: one[key] for key in kept} for one in again] == [{key: one[key] for key in kept} for one in catalogue]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"name": "1st"}, "its name is '1st'"),
        ({"name": "clusterkit-stats"}, "not clusterkit"),
        ({"mod": "http"}, "mod means nothing"),
        ({"check": {"path": "/", "pth": 1}}, "check.pth means nothing"),
        ({"mode": "ftp"}, "give one of http, https, reencrypt, passthrough, tcp"),
        ({"balance": "best"}, "balance is 'best'"),
        ({"timeout_seconds": 0}, "timeout_seconds is 0"),
        ({"backend_lines": ["a\nb"]}, "a line with a line end"),
        ({"addresses": ["lb.example.org"]}, "addresses has 'lb.example.org'"),
        ({"port": 70000}, "port is 70000"),
        ({"port": 7919}, "port 7919 is one of haproxy_forbidden_ports"),
        ({"member_port": 7919}, "member_port is 7919, one of haproxy_forbidden_ports"),
        ({"redirect_port": 81}, "in a mode with TLS"),
        ({"members_group": ""}, "neither members_group nor members"),
        ({"members_group": "empty"}, "empty, which has no hosts in the inventory"),
        ({"members": [{"name": "a b", "address": "10.0.0.1"}]}, "members has the name 'a b'"),
        ({"members": [{"name": "a", "address": "host"}]}, "the address of a is 'host'"),
        ({"members": [{"name": "a", "address": "10.0.0.1"}] * 2}, "members has a twice"),
        ({"member_port": 0}, "member_port is 0"),
        ({"mode": "tcp", "affinity": "cookie"}, "cannot set in the mode tcp"),
        ({"cookie_name": "a;b"}, "cookie_name is 'a;b'"),
        ({"certificate": "site"}, "certificate has no use in the mode http"),
        ({"mode": "https"}, "certificate is '' - name one of haproxy_certificates, which has site"),
        ({"mode": "reencrypt", "certificate": "site"}, "authority is missing"),
        ({"mode": "passthrough", "authority": "none"}, "authority is 'none'"),
        ({"check": {"path": "/a b"}}, "check.path is '/a b'"),
        ({"check": {}}, "check.path is missing"),
        ({"check": {"path": "/", "status": "ok"}}, "check.status is 'ok'"),
        ({"check": {"path": "/", "interval_seconds": 0}}, "check.interval_seconds is 0"),
        ({"check": {"path": "/", "fall": 0}}, "check.fall is 0"),
    ],
)
def test_what_cannot_be_is_one_sentence(changed: dict[str, Any], said: str) -> None:
    """Each mistake is told once, with the service and what would be right."""
    (sentence,) = services.mistakes([{**WEB, **changed}], GROUPS, [7919], ["site"], ["ours"])
    assert said in sentence and sentence.startswith("service ")


def test_ports_belong_to_one() -> None:
    """Two services, or a service and the balancer itself, cannot have a port together."""
    assert services.mistakes([WEB], GROUPS) == []
    assert services.mistakes([], GROUPS) == [
        "haproxy_services is empty: give the services that the balancers shall have."
    ]
    (sentence,) = services.mistakes([WEB, {**WEB, "name": "two"}], GROUPS)
    assert "port 80 is that of web already" in sentence
    (sentence,) = services.mistakes([WEB], GROUPS, own_ports={"haproxy_stats_port": 80})
    assert "port 80 is that of haproxy_stats_port already" in sentence


def test_affinity_by_cookie_and_by_address() -> None:
    """A cookie is for the browser alone, and for TLS alone where there is any; an address is known to all balancers."""
    text = rendered(WEB, {**WEB, "name": "through", "mode": "passthrough", "port": 443})
    assert "cookie SERVER_WEB insert indirect nocache httponly attr SameSite=Lax" in block(text, "backend web")
    assert "stick-table type ipv6 size 200k expire 480m peers clusterkit_peers" in block(text, "backend through")
    assert block(text, "peers clusterkit_peers") == ["peer lb1 10.0.1.1:10000", "peer lb2 10.0.1.2:10000"]
    secure = rendered({**WEB, "mode": "https", "certificate": "site"}, balancers=1)
    assert any(" httponly secure " in line for line in block(secure, "backend web"))
    assert "peers" not in secure


def test_servers_are_verified_by_name() -> None:
    """Where TLS begins anew, a server's certificate has to be of the authority and of that server."""
    text = rendered({**WEB, "mode": "reencrypt", "certificate": "/etc/site.pem", "authority": "ours"})
    lines = [line for line in block(text, "backend web") if line.startswith("server ")]
    ends = "ssl verify required ca-file /etc/haproxy/authorities/ours.pem"
    assert all(ends in line and " check-ssl" in line for line in lines)
    assert "[2001:db8::2]:8080" in lines[1] and "verifyhost s2" in lines[1] and "sni str(s2)" in lines[1]
    assert "bind *:80 ssl crt /etc/site.pem alpn h2,http/1.1" in block(text, "frontend web")
    with_health = {**WEB, "mode": "passthrough", "check": {"path": "/health", "port": 8081, "host": "site.example.org"}}
    lines = block(rendered(with_health), "backend web")
    assert "http-check send meth GET uri /health ver HTTP/1.1 hdr Host site.example.org" in lines
    assert not any("check-ssl" in line for line in lines)


def test_redirection_keeps_a_post() -> None:
    """From the port without TLS clients are sent to the one with it."""
    text = rendered({**WEB, "mode": "https", "certificate": "site", "port": 8443, "redirect_port": 80})
    assert any("redirect code 308" in line and ":8443%[" in line for line in block(text, "frontend web-redirect"))


def test_pages_of_the_balancer_can_be_left_out() -> None:
    """The page with a password, and the one with numbers."""
    assert "clusterkit-stats" not in rendered(WEB, stats_port=0)
    assert "prometheus-exporter" in rendered(WEB, metrics_port=8405)


def test_a_password_is_one_word() -> None:
    """Whatever characters are in it; without one there is nobody."""
    assert "user admin" not in config.users("admin", "")
    assert config.users("admin", 'a"b$c\\ d#').splitlines()[1].strip() == (
        'user "admin" insecure-password "a\\"b\\$c\\\\ d#"'
    )


def test_a_configuration_of_others_is_noticed() -> None:
    """One with traffic, not one that the package brought; ours is ours."""
    assert config.foreign("global\n  daemon\nfrontend shop\n bind :80\nlisten x\n") == ["frontend shop", "listen x"]
    assert config.foreign("global\ndefaults\n") == config.foreign(rendered(WEB)) == []


def test_a_certificate_is_tried_before_it_is_taken() -> None:
    """By a command that ends well for a certificate with its key, and badly for anything else."""
    (one, other) = config.certificate_files({"site": "text"}, {"ours": "text"}, sys.executable)
    assert (one["path"], other["path"]) == ("/etc/haproxy/certs/site.pem", "/etc/haproxy/authorities/ours.pem")
    assert "secret_content" in one and one["mode"] == "0600"
    authorities = ssl.get_default_verify_paths().cafile or "/etc/ssl/certs/ca-certificates.crt"
    for path, code in ((authorities, 0), (__file__, 1)):
        argv = [word.replace("%s", path) for word in other["validate"]]
        assert subprocess.run(argv, capture_output=True, check=False).returncode == code


def found(**changed: Any) -> dict[str, Any]:
    """Return what haproxy_info says of a balancer that is well."""
    names = ("s1", "s2")
    up = [
        {"service": "web", "name": name, "status": "UP", "up": True, "withdrawn": False, "check": ""} for name in names
    ]
    return {
        "error": "",
        "version": "2.6",
        "listening": [80],
        "servers": up,
        "port_holders": {},
        "foreign": [],
        "config_path": "/etc/haproxy/haproxy.cfg",
        **changed,
    }


def test_balancers_are_judged_together() -> None:
    """One that is silent, one that does not listen, and one whose server is down are named."""
    catalogue = services.catalogue([WEB], HOSTVARS, GROUPS)
    well = cluster.verification({"lb1": found(), "lb2": found()}, BALANCERS, catalogue, "lbs")
    assert well["ok"] and well["members_seen"] == ["lb1", "lb2"]
    down = [{**found()["servers"][0], "status": "DOWN", "up": False, "check": "L4CON"}, found()["servers"][1]]
    bad = cluster.verification({"lb1": found(servers=down, listening=[])}, BALANCERS, catalogue, "lbs", [], [7919])
    told = " ".join(one["evidence"] for one in bad["checks"] if not one["ok"])
    assert not bad["ok"] and "s1 is DOWN (L4CON)" in told and "not on 80" in told and "lb2" in told
    standby = services.catalogue([{**WEB, "standby": ["s1"]}], HOSTVARS, GROUPS)
    assert cluster.verification({"lb1": found(servers=down)}, BALANCERS[:1], standby, "lbs")["ok"]
    gone = cluster.verification({"lb1": found(servers=down[1:])}, BALANCERS[:1], standby, "lbs")
    assert "s1 is not there" in gone["checks"][-1]["evidence"] and not gone["ok"]
    balanced = cluster.verification({"lb1": found(listening=[80, 7919])}, BALANCERS[:1], catalogue, "lbs", [], [7919])
    assert [one["name"] for one in balanced["checks"] if not one["ok"]] == ["forbidden ports"]


def test_what_stands_in_the_way() -> None:
    """A port that something else has, a configuration of others, a balancer that was not asked."""
    seen = {"lb1": found(port_holders={"80": "nginx"}, foreign=["frontend shop"])}
    told = cluster.problems(seen, BALANCERS)
    assert "port 80 is taken by nginx" in told[0] and "frontend shop" in told[1] and "lb2" in told[2]
    assert cluster.problems({"lb1": found(foreign=["frontend shop"])}, BALANCERS[:1], replace=True) == []
