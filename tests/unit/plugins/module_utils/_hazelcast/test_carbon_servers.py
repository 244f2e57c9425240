# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers that cannot be members of one cluster, and those that have to be restarted."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._hazelcast import servers

HOME = "/opt/wso2"
TOML = f"{HOME}/repository/conf/deployment.toml"
AXIS2 = f"{HOME}/repository/conf/axis2/axis2.xml"
PLUGINS = f"{HOME}/repository/components/plugins"
MEMBERS = [{"host": f"h{i}", "name": f"m{i}", "address": f"10.0.0.{i}", "port": 4000} for i in (1, 2)]


def there(number: int, kernel: str = "4.4.35", **other: Any) -> dict[str, Any]:
    """Return what is found on a host where all is well."""
    paths = {
        f"{PLUGINS}/org.wso2.carbon.core_{kernel}.jar": {"changed": 1.0, "owner": "wso2"},
        AXIS2: {"changed": 50.0, "owner": "wso2"},
    }
    return {
        "paths": paths,
        "addresses": [f"10.0.0.{number}", f"192.0.2.{number}"],
        "unit_state": "active",
        "running": True,
        "started_seconds": 100.0,
        "user": "wso2",
        "port_holder": "",
        **other,
    }


def problems(second: dict[str, Any], member: dict[str, Any] | None = None, **options: Any) -> list[str]:
    """Return the problems of two servers, of which the first is well."""
    members = [MEMBERS[0], {**MEMBERS[1], **(member or {})}]
    found = {"h1": there(1), "h2": second}
    return servers.problems(found, members, HOME, [TOML, AXIS2], "wso2.service", "wso2_cluster", **options)


def test_servers_that_can_be_members() -> None:
    assert problems(there(2)) == []
    assert problems(there(2, running=False, unit_state="failed", user="")) == []


@pytest.mark.parametrize(
    ("second", "member", "complaint"),
    [
        (there(2), {"address": "127.0.0.1"}, "is 127.0.0.1, which is loopback: give the address under which the other"),
        (there(2), {"address": "10.0.0.9"}, "10.0.0.9, which h2 does not have: it has 10.0.0.2, 192.0.2.2."),
        (there(2), {"address": "2001:db8::1"}, "cluster over IPv4"),
        (there(2, paths={}), {}, f"{PLUGINS} has no org.wso2.carbon.core_VERSION.jar"),
        (there(2, kernel="4.6.0"), {}, "different kernels, 4.4.35 on h1; 4.6.0 on h2"),
        (there(2, unit_state="not-found"), {}, "the unit wso2.service is not-found"),
        (there(2, unit_state="inactive"), {}, "the server runs, and not by wso2.service, which is inactive"),
        (there(2, port_holder="nginx (process 7)"), {}, "is taken by nginx (process 7)"),
    ],
)
def test_servers_that_cannot(second: dict[str, Any], member: dict[str, Any], complaint: str) -> None:
    found = problems(second, member)
    assert len(found) == 1 and complaint in found[0], found


def test_the_interface_of_each() -> None:
    assert problems(there(2), interface="10.0.0.*") == []
    for pattern in ("10.256.*.*", "192.0.2.*", "10.0.1.*"):
        found = problems(there(2), interface=pattern)
        assert len(found) == 2 and pattern in found[0], found


ANSWERS = {"answers": True, "tokens": "optional", "roles": ["members"]}


@pytest.mark.parametrize(
    ("kernel", "said", "iam_role", "complaint"),
    [
        ("4.4.35", ANSWERS, "members", ""),
        ("4.4.35", ANSWERS, "other", "has the role members, and wso2_cluster_aws_iam_role is other"),
        ("4.4.35", {**ANSWERS, "roles": []}, "members", "has the role of no profile"),
        ("4.4.35", {**ANSWERS, "answers": False, "tokens": ""}, "members", "metadata service does not answer"),
        ("4.4.35", {**ANSWERS, "answers": False, "tokens": ""}, "", ""),
        ("4.4.35", {**ANSWERS, "tokens": "required"}, "", ""),
        ("4.4.35", {**ANSWERS, "tokens": "required"}, "members", "Hazelcast 3.5.4 cannot: let it answer others"),
        ("4.6.0", {**ANSWERS, "tokens": "required"}, "", "(HttpTokens=required), which Hazelcast 3.12 cannot"),
        ("4.9.0", {**ANSWERS, "tokens": "required"}, "members", "which Hazelcast 4.2 cannot"),
    ],
)
def test_the_metadata_of_instances(kernel: str, said: dict[str, Any], iam_role: str, complaint: str) -> None:
    """Tokens are a problem for a Hazelcast that asks for metadata, and a role has to be that of the profile."""
    found = servers.problems(
        {"h1": there(1, kernel=kernel)}, MEMBERS[:1], HOME, [TOML, AXIS2], "wso2.service", "wso2_cluster",
        metadata={"h1": said}, iam_role=iam_role,
    )  # fmt: skip
    assert (complaint in found[0] and len(found) == 1) if complaint else found == []


def test_a_later_hazelcast_shows_tokens() -> None:
    first = there(1, kernel="4.9.20")
    first["paths"][f"{PLUGINS}/hazelcast_5.3.2.wso2v1.jar"] = {"changed": 1.0, "owner": "wso2"}
    said = {"h1": {**ANSWERS, "tokens": "required", "roles": []}}
    assert servers.problems({"h1": first}, MEMBERS[:1], HOME, [AXIS2], "u", metadata=said, iam_role="members") == []


def test_a_server_that_was_not_asked() -> None:
    found = servers.problems({"h1": there(1)}, MEMBERS, HOME, [TOML, AXIS2], "wso2.service")
    assert found == ["h2 could not be asked: it has to be reachable, also when --limit leaves it out."]


def test_a_single_server_may_have_loopback() -> None:
    member = {**MEMBERS[0], "address": "127.0.0.1"}
    assert servers.problems({"h1": there(1)}, [member], HOME, [TOML, AXIS2], "wso2.service") == []


def test_a_product_that_writes_the_file_anew() -> None:
    """What it writes itself at each start is younger than its process, and no reason to restart it."""
    first = there(1)
    first["paths"][AXIS2]["changed"] = 100.5
    first["paths"][TOML] = {"changed": 50.0, "owner": "wso2"}
    assert servers.due({"h1": first}, MEMBERS[:1], [TOML, AXIS2]) == []
    first["paths"][TOML]["changed"] = 101.0
    assert servers.due({"h1": first}, MEMBERS[:1], [TOML, AXIS2]) == MEMBERS[:1]


def test_a_file_that_the_server_could_not_read_any_more() -> None:
    second = there(2)
    second["paths"][AXIS2]["owner"] = "root"
    assert problems(second) == []
    assert "give wso2_cluster_user: wso2" in problems(second, closes=True)[0]
    assert problems(second, closes=True, user="wso2") == []


def test_who_has_to_be_restarted() -> None:
    """Who does not run comes first; who started before its file was changed is owed a restart."""
    found = {"h1": there(1), "h2": there(2, running=False)}
    assert servers.due(found, MEMBERS, [TOML, AXIS2]) == [MEMBERS[1]]
    assert servers.due(found, MEMBERS, [TOML, AXIS2], changed=["h1"]) == [MEMBERS[1], MEMBERS[0]]
    found["h1"]["paths"][AXIS2]["changed"] = 100.5
    assert servers.due(found, MEMBERS, [TOML, AXIS2]) == [MEMBERS[1], MEMBERS[0]]


def test_other_files_that_a_server_reads_when_it_starts() -> None:
    first = there(1)
    first["paths"]["/opt/wso2/bin/wso2server.sh"] = {"changed": 101.0, "owner": "wso2"}
    assert servers.due({"h1": first}, MEMBERS[:1], [AXIS2]) == []
    assert servers.due({"h1": first}, MEMBERS[:1], [AXIS2], also=["/opt/wso2/bin/wso2server.sh"]) == MEMBERS[:1]
