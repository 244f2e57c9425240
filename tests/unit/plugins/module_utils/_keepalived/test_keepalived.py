# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Virtual addresses as users declare them, what keepalived is told and says, and how members are judged together."""

from __future__ import annotations

import http.server
import pathlib
import struct
import subprocess
import threading
from typing import Any

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._keepalived import (
    cluster,
    config,
    instances,
    network,
    state,
)
from ansible_collections.clusterkit.middleware.plugins.modules import keepalived_info

PROGRAM = pathlib.Path(__file__).resolve().parents[5] / "roles/keepalived/files/clusterkit-keepalived"
RECORDED = pathlib.Path(__file__).with_name("keepalived-2.2.7.data").read_text(encoding="utf-8")
MEMBERS = [
    {"name": "lb1", "host": "h1", "address": "10.0.0.1"},
    {"name": "lb2", "host": "h2", "address": "10.0.0.2"},
    {"name": "lb3", "host": "h3", "address": "10.0.0.3"},
]
WEB: dict[str, Any] = {"name": "web", "router_id": 51, "addresses": ["10.0.0.100"]}
CHECKS: list[dict[str, Any]] = [{"name": "alive", "command": "/bin/true"}, {"name": "open", "port": 80, "fall": 3}]
OPTIONS: dict[str, Any] = {"checks": CHECKS, "advert_seconds": 1.0, "multicast": False}


def catalogue(*given: dict[str, Any], **options: Any) -> dict[str, Any]:
    """Return instances with what was not said of them."""
    return instances.catalogue(given or (WEB,), **{**OPTIONS, **options})


def own(last: int) -> list[dict[str, Any]]:
    """Return the addresses of a host."""
    return [
        {"interface": "lo", "address": "127.0.0.1", "prefix": 8},
        {"interface": "eth0", "address": f"10.0.0.{last}", "prefix": 24},
    ]


def found(last: int, **more: Any) -> dict[str, Any]:
    """Return what the module finds on a member that is well and stands by."""
    return {
        "version": "2.2.7",
        "error": "",
        "foreign": [],
        "config_path": "/etc/keepalived/keepalived.conf",
        "missing_commands": [],
        "heard": [],
        "answering": {},
        "addresses": own(last),
        "instances": [{"name": "web", "state": "BACKUP"}],
        "checks": [{"name": "alive", "ok": True}, {"name": "open", "ok": True}],
        **more,
    }


def holding(last: int, **more: Any) -> dict[str, Any]:
    """Return what the module finds on the member that holds the address."""
    addresses = [*own(last), {"interface": "eth0", "address": "10.0.0.100", "prefix": 32}]
    return found(last, addresses=addresses, instances=[{"name": "web", "state": "MASTER"}], **more)


def evidence(result: dict[str, Any]) -> str:
    """Return what a verification found wrong."""
    return "; ".join(one["evidence"] for one in result["checks"] if not one["ok"])


def verified(*infos: dict[str, Any]) -> dict[str, Any]:
    """Return the verification over the first members."""
    by_host = {member["host"]: info for member, info in zip(MEMBERS, infos)}
    return cluster.verification(by_host, MEMBERS[: len(infos)], catalogue(), cluster="lbs")


def test_what_was_not_said() -> None:
    """Addresses have a prefix, checks their times."""
    assert catalogue()["instances"][0] == {
        "name": "web",
        "router_id": 51,
        "addresses": ["10.0.0.100/32"],
        "interface": "",
        "preferred": "",
        "preempt": False,
        "routed": False,
    }
    assert catalogue()["checks"][1] == {
        "name": "open",
        "command": "",
        "port": 80,
        "address": "127.0.0.1",
        "path": "",
        "interval_seconds": 1,
        "timeout_seconds": 2,
        "fall": 3,
        "rise": 2,
    }
    # What is configured can be declared again
    assert instances.catalogue(**{**catalogue()}) == catalogue()
    with pytest.raises(ClusterkitError, match="is no address of IPv4"):
        catalogue({**WEB, "addresses": ["2001:db8::1"]})


@pytest.mark.parametrize(
    ("given", "options", "complaint"),
    [
        ([], {}, "keepalived_instances is empty"),
        ([WEB], {"checks": []}, "keepalived_checks is empty"),
        ([WEB], {"advert_seconds": 0.005}, "keepalived_advert_seconds is 0.005"),
        ([WEB], {"advert_seconds": 0.255}, "keepalived_advert_seconds is 0.255"),
        ([{**WEB, "router_id": 256}], {}, "router_id is 256"),
        ([WEB, {**WEB, "name": "b", "addresses": ["10.0.0.9"]}], {}, "has the router_id 51 twice"),
        ([WEB, {**WEB, "name": "b", "router_id": 2}], {}, "has the addresses 10.0.0.100 twice"),
        ([{**WEB, "name": "a b"}], {}, "name is 'a b'"),
        ([{**WEB, "addresses": ["127.0.0.1"]}], {}, "no clients reach that"),
        ([{**WEB, "addresses": []}], {}, "addresses is empty"),
        ([{**WEB, "interface": "eth 0"}], {}, "interface is 'eth 0'"),
        ([{**WEB, "preferred": "h1"}], {}, "preferred is 'h1' - name one of the members: lb1, lb2, lb3"),
        ([{**WEB, "preempt": True}], {}, "say which member takes the address back"),
        ([WEB], {"checks": [{"name": "a"}]}, "has none of command and port"),
        ([WEB], {"checks": [{"name": "a", "command": "/bin/true", "port": 1}]}, "has both of command and port"),
        ([WEB], {"checks": [{"name": "a", "command": "true"}]}, "command is 'true'"),
        ([WEB], {"checks": [{"name": "a", "command": '/bin/sh -c "x"'}]}, "no shell reads it"),
        ([WEB], {"checks": [{"name": "a", "port": 70000}]}, "port is 70000"),
        ([WEB], {"checks": [{"name": "a", "port": 80, "fall": 0}]}, "fall is 0"),
        ([WEB], {"checks": [{"name": "a", "port": 80, "path": "health"}]}, "path is 'health'"),
        ([WEB], {"checks": [{"name": "a", "command": "/bin/true", "path": "/"}]}, "path is '/'"),
    ],
)
def test_what_cannot_be_right_is_named(given: list[dict[str, Any]], options: dict[str, Any], complaint: str) -> None:
    """With what would be right."""
    assert complaint in " ".join(instances.mistakes(given, MEMBERS, **{**OPTIONS, **options}))
    assert instances.mistakes([WEB], MEMBERS, **OPTIONS) == []


def test_one_member_is_no_cluster() -> None:
    """An address that nobody takes over needs no keepalived."""
    assert "has 1 hosts" in " ".join(instances.mistakes([WEB], MEMBERS[:1], **OPTIONS))


def test_router_ids_of_other_clusters_of_the_inventory() -> None:
    """Are noticed; a host that shares no address may have the variables."""
    others = {"keepalived_members_group": "others", "keepalived_instances": [{"router_id": 51}]}
    hostvars: dict[str, dict[str, Any]] = {
        "h1": {"keepalived_members_group": "lbs", "keepalived_instances": [{"router_id": 51}]},
        "o1": others,
        "o2": others,
        "o3": {"keepalived_members_group": "third", "keepalived_instances": [{"router_id": 52}]},
        "o4": {"keepalived_instances": [{"router_id": 51}]},
        "o5": {},
    }
    groups = {"all": list(hostvars), "lbs": ["h1"], "others": ["o1", "o2"], "third": ["o3"]}
    (told,) = instances.strangers([WEB], hostvars, groups, group="lbs")
    assert told.startswith("router_id 51 of web is that of o1 in others, too")
    assert instances.strangers([WEB], hostvars, {"all": ["h1", "o1", "o4"], "lbs": ["h1"]}, group="lbs") == []
    # Where no group is named it is the role's default one
    groups["keepalived_servers"] = ["o4"]
    assert "o4 in keepalived_servers" in " ".join(instances.strangers([WEB], hostvars, groups, group="lbs"))


def test_configuration_of_a_member() -> None:
    """All begin alike, one has the highest priority, each names the others."""
    text = config.render(catalogue(), "lb2", MEMBERS, addresses=own(2))
    lines = [line.strip() for line in text.splitlines()]
    assert "state BACKUP" in lines and "nopreempt" in lines and "priority 240" in lines
    assert "unicast_src_ip 10.0.0.2" in lines and "10.0.0.100/32 dev eth0" in lines
    peers = lines[lines.index("unicast_peer {") + 1 : lines.index("unicast_peer {") + 4]
    assert peers == ["10.0.0.1", "10.0.0.3", "}"]
    assert 'script "/bin/bash /usr/local/sbin/clusterkit-keepalived port 127.0.0.1 80"' in lines
    assert config.foreign(text) == []
    preferred = catalogue({**WEB, "preferred": "lb3", "preempt": True, "interface": "eth7"}, multicast=True)
    text = config.render(preferred, "lb3", MEMBERS, addresses=own(3))
    assert "priority 250" in text and "interface eth7" in text
    assert "nopreempt" not in text and "unicast" not in text
    with pytest.raises(ClusterkitError, match=r"no interface has the address 10\.0\.0\.2"):
        config.render(catalogue(), "lb2", MEMBERS, addresses=own(9))


def test_priorities_are_distinct_in_any_number() -> None:
    """And within what VRRP allows."""
    many = [{"name": f"n{number}", "host": "h", "address": "a"} for number in range(60)]
    values = sorted(instances.priorities(catalogue()["instances"][0], many).values())
    assert len(set(values)) == 60 and values[0] >= 1 and values[-1] == 250


def test_what_somebody_else_wrote() -> None:
    """Is named by its sections."""
    text = "global_defs {\n}\nvrrp_instance VI_1 {\n}\n  virtual_server 10.0.0.1 80 {\n}\n"
    assert config.foreign(text) == ["vrrp_instance VI_1", "virtual_server 10.0.0.1 80"]


def test_what_keepalived_says() -> None:
    """As recorded of 2.2.7."""
    said = state.parse(RECORDED)
    assert said.instances == [
        {
            "name": "web",
            "state": "MASTER",
            "interface": "eth0",
            "router_id": 51,
            "priority": 240,
            "since": pytest.approx(1795943212, abs=10),
        }
    ]
    assert said.checks == [{"name": "haproxy", "ok": True}]
    assert state.parse(RECORDED.replace("Status = GOOD", "Status = BAD")).checks == [{"name": "haproxy", "ok": False}]
    with pytest.raises(ClusterkitError, match="'Effective priority'"):
        state.parse(RECORDED.replace("Effective priority", "Something"))


def test_what_the_role_has_configured(tmp_path: pathlib.Path) -> None:
    """Nothing where it has not; a broken file is an error."""
    assert state.read_catalogue(str(tmp_path / "none")) == {}
    (tmp_path / "broken").write_text("{", encoding="utf-8")
    with pytest.raises(ClusterkitError, match="cannot read"):
        state.read_catalogue(str(tmp_path / "broken"))


def packet(protocol: int = 112, kind: int = 0x31, router: int = 51) -> bytes:
    """Return an advertisement in a packet of IPv4."""
    head = struct.pack(
        "!BBHHHBBH4s4s", 0x45, 0, 32, 0, 0, 255, protocol, 0, bytes((10, 0, 0, 9)), bytes((224, 0, 0, 18))
    )
    return head + bytes((kind, router, 100, 1, 0, 100, 0, 0, 10, 0, 0, 100))


def test_advertisements_are_told_from_other_packets() -> None:
    """By protocol and type."""
    assert network.advertisement(packet()) == ("10.0.0.9", 51)
    assert network.advertisement(packet(kind=0x21)) == ("10.0.0.9", 51)
    assert network.advertisement(packet(protocol=17)) is None
    assert network.advertisement(packet(kind=0x32)) is None
    assert network.advertisement(packet()[:24]) is None
    assert network.advertisement(b"") is None


def problems(*infos: dict[str, Any], members: int = 2, **options: Any) -> str:
    """Return why members cannot share the address."""
    by_host = {member["host"]: info for member, info in zip(MEMBERS, infos)}
    return " ".join(cluster.problems(by_host, MEMBERS[:members], catalogue(), **options))


def test_who_cannot_share_an_address() -> None:
    """What was found on which host, and what would be right."""
    assert problems(found(1), holding(2)) == ""
    assert "h2 could not be asked" in problems(found(1))
    assert "On h1 /etc/keepalived/keepalived.conf has vrrp_instance A" in problems(
        found(1, foreign=["vrrp_instance A"]), found(2)
    )
    assert problems(found(1, foreign=["vrrp_instance A"]), found(2), replace=True) == ""
    stranger = {"interface": "eth0", "source": "10.0.0.77", "router_id": 51}
    assert "h1 hears 10.0.0.77 advertise router_id 51 at eth0" in problems(found(1, heard=[stranger]), found(2))
    assert problems(found(1, heard=[{**stranger, "source": "10.0.0.2"}]), found(2)) == ""
    taken = {"10.0.0.100": "02:00:00:00:00:01"}
    assert "somebody has 10.0.0.100 already" in problems(found(1, answering=taken), found(2))
    # It is a member that has it: a run after one that was interrupted
    assert problems(found(1, answering=taken), holding(2)) == ""
    missing = found(1, missing_commands=["/usr/bin/none"])
    assert "On h1 there is no /usr/bin/none" in problems(missing, found(2))
    assert problems(missing, found(2), commands_later=True) == ""


def test_addresses_that_nobody_would_reach() -> None:
    """Of another network, at an interface that is not there, or a host's own."""
    by_host = {"h1": found(1), "h2": found(2)}

    def told(**more: Any) -> str:
        return " ".join(cluster.problems(by_host, MEMBERS[:2], catalogue({**WEB, **more})))

    assert "192.0.2.1 of web is in no network of eth0 on h1" in told(addresses=["192.0.2.1"])
    assert told(addresses=["192.0.2.1"], routed=True) == ""
    assert "On h1 there is no interface eth7" in told(interface="eth7")
    assert "10.0.0.2 of web is the address of h2 itself" in told(addresses=["10.0.0.2"])


def test_exactly_one_holds_the_address() -> None:
    """By the kernels of all, and keepalived means it so."""
    well = verified(holding(1), found(2))
    assert well["ok"] and well["members_seen"] == ["lb1", "lb2"]
    assert "is held by nobody" in evidence(verified(found(1), found(2)))
    both = evidence(verified(holding(1), holding(2)))
    assert "is held by lb1, lb2: do firewalls let protocol 112 (VRRP) through" in both
    by_hand = verified(holding(1), {**holding(2), "addresses": own(2)})
    assert "web is MASTER on lb1, lb2, 10.0.0.100 of web is held by lb1" in evidence(by_hand)


def test_members_that_are_not_well() -> None:
    """Are named with what is wrong, although another one holds the address."""
    fault = found(2, instances=[{"name": "web", "state": "FAULT"}], checks=[{"name": "open", "ok": False}])
    told = evidence(verified(holding(1), fault))
    assert "lb2: of its checks open fails" in told and "web: lb2 is FAULT" in told
    silent = verified(holding(1), found(2, error="keepalived.service is inactive", instances=[]))
    assert "keepalived.service is inactive" in evidence(silent) and silent["members_seen"] == ["lb1"]
    assert "lb2 is not there" in evidence(verified(holding(1), found(2, instances=[])))
    unasked = cluster.verification({"h1": holding(1)}, MEMBERS[:2], catalogue(), cluster="lbs")
    assert "lb2 could not be asked" in evidence(unasked)


class Answering(http.server.BaseHTTPRequestHandler):
    """A server that is well at one path only."""

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(204 if self.path == "/health" else 503)
        self.end_headers()

    def log_message(self, *_words: Any) -> None:
        """Say nothing."""


def checked(*words: str) -> tuple[int, str]:
    """Return how the role's program ends and what it says."""
    done = subprocess.run(["bash", str(PROGRAM), *words], capture_output=True, text=True, timeout=30, check=False)
    return done.returncode, done.stderr


@pytest.mark.skipif(not PROGRAM.exists(), reason="the roles are not beside the plugins")
def test_what_the_check_of_a_port_asks() -> None:
    """That a connection is taken, or that the program behind it answers well."""
    with http.server.HTTPServer(("127.0.0.1", 0), Answering) as server:
        port = str(server.server_port)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert checked("port", "127.0.0.1", port) == (0, "")
        assert checked("port", "127.0.0.1", port, "/health") == (0, "")
        assert checked("port", "127.0.0.1", port, "/other") == (1, f"127.0.0.1 answers at port {port} with 503\n")
        server.shutdown()
    assert checked("port", "127.0.0.1", port)[0] == 1
    assert checked("port", "127.0.0.1", port, "/health")[0] == 1
    assert checked("port")[0] == 64


def test_settled_only_after_some_advertisements(monkeypatch: pytest.MonkeyPatch) -> None:
    """A state that has just begun may be a passing one; silence is told of when the time is over."""
    now = 1000.0
    answers = [
        state.Said([{"name": "web", "state": "FAULT", "since": now - 100}]),
        state.Said([{"name": "web", "state": "MASTER", "since": now - 1}]),
        state.Said([{"name": "web", "state": "MASTER", "since": now - 6}]),
    ]
    last = answers[-1]
    monkeypatch.setattr(keepalived_info.time, "time", lambda: now)
    monkeypatch.setattr(keepalived_info.time, "sleep", lambda _seconds: None)
    monkeypatch.setattr(keepalived_info.state, "ask", lambda _runner: answers.pop(0))
    assert keepalived_info.settled(None, catalogue(), 60.0) == (last, "")  # type: ignore[arg-type]
    assert answers == []

    def silent(_runner: Any) -> state.Said:
        raise ClusterkitError("keepalived.service is inactive")

    monkeypatch.setattr(keepalived_info.state, "ask", silent)
    assert keepalived_info.settled(None, {}, 0.0)[1] == "keepalived.service is inactive"  # type: ignore[arg-type]
