# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judging members whose data are to be shared: layouts, whose data they are, what does not fit, verification."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.clusterkit.middleware.plugins.filter.appdata import FilterModule

BASE, TARGET, KEY = "/opt/server", "/media/share/appdata", "server.appdata.dir"
FILTERS = FilterModule().filters()
LAYOUTS = {
    "application_data_folder": {"property": True, "entries": [{"source": "", "name": ""}]},
    "separate_folders": {
        "property": True,
        "entries": [{"source": "logs", "name": "logs"}, {"source": "version", "name": "version", "keep": True}],
    },
    "linked_folders": {"property": False, "entries": [{"source": "logs", "name": "logs"}]},
}
MEMBERS = [{"host": host, "name": host, "address": ""} for host in ("s1", "n1")]
STORAGE = {
    "error": "",
    "exists": False,
    "mount": "/media/share",
    "type": "nfs4",
    "read_only": False,
    "migration": "",
    "member": "",
    "published": False,
    "strangers": [],
    "text": "",
}
BROUGHT = {"exists": True, "migration": "0123", "member": "s1", "published": True, "text": "7.1"}
MOVED = {
    "target": TARGET,
    "phase": "switched",
    "in_use": True,
    "property": {"path": "/opt/server/installed.properties", "key": KEY},
    "entries": [{"source": "/opt/server/appdata", "name": "", "keep": False}],
}


def info(storage: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """Return what a member says that has its data in a folder of its own."""
    said = {
        "properties": {KEY: "appdata"},
        "data": "/opt/server/appdata",
        "data_exists": True,
        "paths": {"logs": "directory", "version": "file"},
        "digests": {"conf/encryption.keystore": "aa"},
        "text": "7.1",
        "storage": {**STORAGE, **(storage or {})},
        "migrations": [],
        "units": {"server.service": "active"},
    }
    return {**said, **more}


def shared(**more: Any) -> dict[str, Any]:
    """Return what a member says that uses the shared data."""
    return info(BROUGHT, properties={KEY: TARGET}, data=TARGET, **more)


def uses(found: dict[str, Any], layout: str = "auto") -> dict[str, Any]:
    """Return how the members use the target."""
    options = {"target": TARGET, "layouts": LAYOUTS, "base": BASE, "layout": layout, "since": "6.1.1.5"}
    told: dict[str, Any] = FILTERS["appdata_uses"](found, **options)
    return told


def source(found: dict[str, Any], named: str = "") -> str:
    """Return whose data are shared."""
    return str(FILTERS["appdata_source"](uses(found), found, MEMBERS, named=named))


def problems(found: dict[str, Any], named: str = "", **more: Any) -> str:
    """Return what does not fit, in one text."""
    options = {"host": source(found, named), "target": TARGET, "base": BASE, "role": "r", "named": named, **more}
    return " ".join(FILTERS["appdata_problems"](found, MEMBERS, uses(found), **options))


# --- layouts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "layout", "names"),
    [
        ({}, "application_data_folder", [""]),
        ({"data": BASE, "text": "6.1.1.5"}, "separate_folders", ["logs", "version"]),
        ({"data": BASE, "text": "6.10.0"}, "separate_folders", ["logs", "version"]),
        ({"data": BASE, "text": "6.1.1.4.999"}, "linked_folders", ["logs"]),
        ({"data": BASE, "text": "5.2"}, "linked_folders", ["logs"]),
    ],
)
def test_layout_is_decided(said: dict[str, Any], layout: str, names: list[str]) -> None:
    one = uses({"s1": info(**said)})["s1"]
    assert (one["layout"], one["shared"], one["has_data"]) == (layout, False, True)
    assert [entry["name"] for entry in one["entries"]] == names
    assert one["entries"][0]["source"] == ("/opt/server/appdata" if names == [""] else "/opt/server/logs")
    assert one["by_property"] == (layout != "linked_folders")


def test_from_one_shared_directory_to_another_is_refused() -> None:
    """Whatever became of the originals: the former one holds what is the collection's own."""
    moved = {**MOVED, "target": "/media/old", "phase": "removed"}
    found = {host: info(data="/media/old", properties={KEY: "/media/old"}, migrations=[moved]) for host in ("s1", "n1")}
    assert f"s1 uses /media/old, and r_target is {TARGET}: moving from one shared directory to" in problems(found)


def test_layout_that_cannot_be_told_is_refused() -> None:
    found = {host: info(data=BASE, text="") for host in ("s1", "n1")}
    assert "s1 says nothing of its version, so that its layout cannot be told: name it in r_layout." in problems(found)
    assert uses(found, "linked_folders")["s1"]["error"] == ""


def test_what_is_to_be_kept_is_no_data() -> None:
    found = {"s1": info(data=BASE, paths={"logs": "absent", "version": "file"})}
    assert not uses(found)["s1"]["has_data"]
    assert not uses({"s1": info(data_exists=False)})["s1"]["has_data"]


def test_later_the_journal_tells_what_was_moved() -> None:
    one = uses({"s1": shared(migrations=[MOVED])})["s1"]
    assert (one["shared"], one["phase"], one["entries"]) == (True, "switched", MOVED["entries"])
    linked = uses({"s1": info(migrations=[{**MOVED, "property": None, "in_use": False}])})["s1"]
    assert (linked["shared"], linked["by_property"]) == (False, False)


# --- whose data ------------------------------------------------------------------------------------------------------


def test_source() -> None:
    empty = info(data_exists=False)
    assert source({"s1": info(), "n1": empty}) == "s1"
    assert source({"s1": info(), "n1": info()}) == ""
    assert source({"s1": info(), "n1": info()}, "n1") == "n1"
    assert source({"s1": info(), "n1": info()}, "nobody") == ""
    assert source({"s1": empty, "n1": info(BROUGHT)}) == "s1"
    by_hand = info(data=TARGET, properties={KEY: TARGET})
    assert source({"s1": by_hand, "n1": info()}) == "s1"


@pytest.mark.parametrize(
    ("found", "options", "complaint"),
    [
        ({"s1": info(), "n1": info(data_exists=False)}, {}, ""),
        ({"s1": info()}, {}, "n1 could not be asked"),
        ({"s1": info(), "n1": info()}, {}, "s1, n1 have data of their own"),
        ({"s1": info(), "n1": info()}, {"named": "s1"}, ""),
        ({"s1": info(), "n1": info()}, {"named": "x"}, "r_source is x, which is no member: the members are s1, n1."),
        ({"s1": info(), "n1": info()}, {"named": "s1", "outside": ["s1"]}, "this run leaves it out"),
        ({"s1": shared(), "n1": info(BROUGHT)}, {"named": "n1"}, "holds the data of s1: leave it out"),
        ({"s1": shared(), "n1": info(BROUGHT)}, {"outside": ["s1"]}, ""),
        ({"s1": shared(migrations=[MOVED]), "n1": shared()}, {"rollback": True}, ""),
        (
            {"s1": shared(migrations=[{**MOVED, "phase": "removed"}]), "n1": shared()},
            {"rollback": True},
            "The originals of s1 have been removed",
        ),
        ({"s1": info(data_exists=False), "n1": info(data_exists=False)}, {}, "None of the members has data"),
        ({"s1": info(data_exists=False), "n1": info()}, {"named": "s1"}, "s1 has no data that could be moved"),
        ({"s1": info({**BROUGHT, "member": "x"}), "n1": info()}, {}, "the data of x, which is no member"),
        (
            {"s1": info({"strangers": ["mail"]}), "n1": info()},
            {"named": "s1"},
            "holds what nobody brought there (mail)",
        ),
        ({"s1": info({"error": "the share is silent"}), "n1": info()}, {"named": "s1"}, "On s1 the share is silent."),
        (
            {"s1": info(properties=None), "n1": info()},
            {"properties_path": "/p"},
            "On s1 there is no /p: set r_install_",
        ),
        (
            {"s1": info(migrations=[{**MOVED, "target": "/media/other"}]), "n1": info()},
            {"named": "s1"},
            "s1 uses /media/other, and r_target is /media/share/appdata",
        ),
        ({"s1": info(), "n1": info(text="7.2")}, {"named": "s1"}, "n1 has version 7.2, and s1 7.1"),
        (
            {"s1": shared(), "n1": info({**BROUGHT, "text": "7.0"})},
            {},
            "the data in /media/share/appdata are of version 7",
        ),
        ({"s1": shared(), "n1": info()}, {}, "n1 and s1 do not see the same"),
        (
            {"s1": info(data="/media/old"), "n1": info(data="/media/old")},
            {"named": "s1"},
            "n1 and s1 both use /media/old, which they may share already",
        ),
        (
            {"s1": info(), "n1": info(digests={"conf/encryption.keystore": "bb"})},
            {"named": "s1"},
            "conf/encryption.keystore on n1 is not that of s1",
        ),
        ({"s1": info(), "n1": info(digests={"conf/encryption.keystore": ""})}, {"named": "s1"}, ""),
    ],
)
def test_problems(found: dict[str, Any], options: dict[str, Any], complaint: str) -> None:
    said = problems(found, **options)
    assert complaint in said and bool(said) == bool(complaint)


# --- verification ----------------------------------------------------------------------------------------------------


def verified(found: dict[str, Any], health: dict[str, Any] | None = None) -> tuple[bool, list[str]]:
    """Return whether all is well, and the evidence against it."""
    said = {host: {"status": 200} for host in found} if health is None else health
    document = FILTERS["appdata_verification"](
        found, MEMBERS, uses(found), said, cluster="c", role="r", target=TARGET, statuses=[200]
    )
    return document["ok"], [check["evidence"] for check in document["checks"] if not check["ok"]]


def test_members_that_share_their_data() -> None:
    assert verified({"s1": shared(), "n1": shared()}) == (True, [])


@pytest.mark.parametrize(
    ("n1", "evidence"),
    [
        (None, "n1 could not be asked"),
        (info(BROUGHT), "n1 uses /opt/server/appdata"),
        (shared(units={"server.service": "failed"}), "server.service on n1 is failed"),
        (shared(text="7.2"), "n1 has version 7.2, the data 7.1"),
        (info({**BROUGHT, "migration": "4567"}, data=TARGET), "n1 sees something else"),
        (info({"error": "the share is silent"}, data=TARGET), "the share is silent"),
    ],
)
def test_a_member_that_does_not(n1: dict[str, Any] | None, evidence: str) -> None:
    found = {"s1": shared(), **({"n1": n1} if n1 else {})}
    ok, against = verified(found)
    assert not ok and evidence in against


def test_a_server_that_is_not_well() -> None:
    health = {"s1": {"status": 200}, "n1": {"status": -1, "msg": "Connection refused"}}
    ok, against = verified({"s1": shared(), "n1": shared()}, health)
    assert (ok, against) == (False, ["the server on n1 answers -1 (Connection refused)"])
    assert verified({"s1": shared(), "n1": shared()}, {"s1": {"status": 200}})[1] == [
        "the server on n1 answers nothing"
    ]
