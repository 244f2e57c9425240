# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role writes for a database, and how it judges what was found."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._database import cluster
from ansible_collections.clusterkit.middleware.plugins.module_utils._database.look import older

MEMBERS = [{"host": f"h{i}", "name": f"n{i}", "address": f"10.0.0.{i}"} for i in (1, 2)]
SERVER: dict[str, Any] = {"port_holder": "", "clusters": [], "database": None}
GOOD: dict[str, Any] = {
    "asked": True,
    "error": "",
    "version": "10.11.6-MariaDB-1",
    "charset": "utf8mb4",
    "missing": [],
    "surplus": [],
    "tls": "TLSv1.3",
}
NO_BACKUP: dict[str, Any] = {"count": 0, "newest": "", "age_seconds": None, "drill": None, "restoring": ""}


def found(**changes: Any) -> dict[str, Any]:
    """Return what both see, the second one with changes."""
    return {"h1": {"connection": GOOD}, "h2": {"connection": {**GOOD, **changes}}}


def test_rights_are_those_an_application_needs() -> None:
    assert "GRANT OPTION" not in cluster.rights("mariadb") and "SUPER" not in cluster.rights("mysql")
    assert cluster.rights("mariadb", ["select", "insert"]) == ["INSERT", "SELECT"]
    assert cluster.rights("postgresql") == ["CONNECT", "CREATE", "TEMPORARY"]
    assert [cluster.charset(one) for one in ("mysql", "postgresql")] == ["utf8mb4", "UTF8"]
    assert cluster.charset("mysql", "latin1") == "latin1"


def test_hba_lets_clients_in_and_nobody_else() -> None:
    text = "# theirs\nlocal all postgres peer\n"
    wanted = cluster.hba(text, "shop", "keeper", ["192.0.2.1", "2001:db8::1"], tls=True)
    assert wanted.splitlines() == [
        "# BEGIN clusterkit shop",
        'hostssl "shop" "keeper" 192.0.2.1/32 scram-sha-256',
        'hostssl "shop" "keeper" 2001:db8::1/128 scram-sha-256',
        'host "shop" all 0.0.0.0/0 reject',
        'host "shop" all ::/0 reject',
        "# END clusterkit shop",
        *text.splitlines(),
    ]
    assert cluster.hba(wanted, "shop", "keeper", ["192.0.2.1", "2001:db8::1"], tls=True) == wanted
    both = cluster.hba(wanted, "other", "other", ["192.0.2.9"])
    assert cluster.hba(cluster.hba(both, "shop"), "other") == text
    # Whatever somebody puts before the block goes behind it again
    assert cluster.hba("host all all 0.0.0.0/0 trust\n" + wanted, "shop", "keeper", ["192.0.2.1"]).startswith("# BEGIN")
    with pytest.raises(ClusterkitError, match="without '# END clusterkit shop'"):
        cluster.hba("# BEGIN clusterkit shop\n", "shop")


def test_problems_of_a_host() -> None:
    clients: dict[str, Any] = {"h1": {"connection": {}}}
    server = {"port_holder": "nginx (process 7)", "clusters": ["/a", "/b"], "database": {"charset": "latin1"}}
    said = " ".join(cluster.problems(server, clients, MEMBERS, host="db", character_set="utf8mb4"))
    for part in (
        "taken by nginx (process 7)",
        "several PostgreSQL servers",
        "latin1, not utf8mb4",
        "h2 could not be asked",
    ):
        assert part in said
    assert cluster.problems(SERVER, found(), MEMBERS, host="db") == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"error": "Access denied"}, "h2: the database at e1 cannot be used: Access denied."),
        ({"version": "10.3.1"}, "h2: the server at e1 has version 10.3.1, 10.5 at least is needed."),
        ({"charset": "latin1"}, "h2: the database at e1 has the character set latin1, utf8mb4 is needed."),
        ({"missing": ["CREATE"]}, "h2: the user has not all rights on the database at e1: CREATE missing."),
        ({"asked": False}, "h2: the database at e1 cannot be used: there is no client to ask with."),
    ],
)
def test_problems_of_an_external_server(changes: dict[str, Any], said: str) -> None:
    told = cluster.problems(
        {},
        found(**changes),
        MEMBERS,
        host="db",
        external="e1",
        minimum_version="10.5",
        character_set="utf8mb4",
        ready=True,
    )
    assert told == [said]


def verify(seen: dict[str, Any], state: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
    """Return a verification."""
    return cluster.verification(
        seen,
        MEMBERS,
        cluster="db",
        state={"backups": state or NO_BACKUP},
        host="db",
        character_set="utf8mb4",
        **options,
    )


def test_a_database_that_all_can_use() -> None:
    document = verify(found(), tls=True, minimum_version="10.11")
    assert document["ok"] and document["members_seen"] == ["n1", "n2"]


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"error": "refused"}, "connects"),
        ({"asked": False}, "connects"),
        ({"charset": "latin1"}, "character set"),
        ({"missing": ["SELECT"]}, "rights"),
        ({"surplus": ["SUPER"]}, "rights"),
        ({"tls": ""}, "TLS"),
        ({"version": "10.5.0"}, "version"),
    ],
)
def test_what_one_member_finds_counts(changes: dict[str, Any], name: str) -> None:
    document = verify(found(**changes), tls=True, minimum_version="10.11")
    assert [(one["name"], one["member"]) for one in document["checks"] if not one["ok"]] == [(name, "n2")]
    assert not document["ok"]


def test_what_others_allow_is_theirs() -> None:
    assert verify(found(surplus=["SUPER"]), external="e1")["ok"]


def test_backups_count() -> None:
    drill = {"file": "/b", "ok": True, "time": 1000, "error": ""}
    state = {**NO_BACKUP, "count": 1, "age_seconds": 7200, "drill": drill}
    assert verify(found(), state, backup_hours=3, drill_hours=3, now=2000)["ok"]
    assert not verify(found(), state, backup_hours=1)["ok"]
    assert not verify(found(), state, drill_hours=1, now=9000)["ok"]
    assert not verify(found(), {**state, "drill": {**drill, "ok": False, "error": "x"}})["ok"]
    assert not verify(found(), {**state, "restoring": "/b"})["ok"]
    assert not verify({"h1": {"connection": GOOD}})["ok"]


def test_versions_are_compared_by_number() -> None:
    assert older("10.3.39-MariaDB", "10.11") and older("15.3", "15.10")
    assert not older("15.14", "15.10") and not older("10.11.6-MariaDB-0+deb12u1", "10.11")
