# SPDX-License-Identifier: GPL-3.0-or-later
"""The way back from a cluster to one server with its data, and forth again."""

from __future__ import annotations

import json
import pathlib
import threading
import urllib.error
import urllib.request

from molecule.shared.deploy import fetch
from molecule.shared.scenario import Node, Scenario

UNIT = "deploy-server.service"
#: Seconds for a run on a busy machine.
LIMIT = 600
ALONE = {"deploy_cluster_members_group": "alone", "deploy_appdata_members_group": "alone", "deploy_hosts": "alone"}
FLAG = "com.urbancode.ds.UDeployServer.multiserver"


def asked(address: str, path: str) -> tuple[int, str]:
    """Return what a new user gets: status, and which server answered."""
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=10) as answer:
            return answer.status, str(json.load(answer)["node"])
    except urllib.error.HTTPError as error:
        return error.code, ""


def property_of(node: Node, key: str) -> str:
    """Return the value of one of a server's properties."""
    text = str(node.read("/opt/deploy/conf/server/installed.properties"))
    return next((line.partition("=")[2] for line in text.splitlines() if line.startswith(f"{key}=")), "")


def test_to_one_server_and_back(scenario: Scenario, nodes: dict[str, Node], tmp_path: pathlib.Path) -> None:
    """Nobody notices that one leaves; the other is none of several, and its data stay where they are."""
    address = nodes["lb1"].out("hostname", "-i").split()[0]
    seen: set[int] = set()
    ended = threading.Event()

    def use() -> None:
        while not ended.wait(0.1):
            seen.add(asked(address, "/rows")[0])

    user = threading.Thread(target=use)
    user.start()
    try:
        scenario.play("entry_remove.yml", limit=LIMIT).check()
    finally:
        ended.set()
        user.join()
    assert seen == {200}
    assert {asked(address, "/rows") for _number in range(5)} == {(200, "s1")}
    assert nodes["s2"].run("systemctl", "is-active", UNIT).stdout.strip() == "inactive"
    assert nodes["s2"].run("systemctl", "is-enabled", UNIT).stdout.strip() == "disabled"
    assert scenario.play("entry_remove.yml", limit=LIMIT).check().changed == set()

    # Out of the inventory, which is another group here
    inventory = tmp_path / "alone.yml"
    inventory.write_text("alone:\n  hosts:\n    s1:\n", encoding="utf-8")
    alone = ("-i", str(inventory))
    scenario.play("clusterkit.middleware.deploy_servers", *alone, variables=ALONE, limit=LIMIT).check()
    assert property_of(nodes["s1"], FLAG) == "false"
    home = {
        "deploy_appdata_target": "/opt/deploy/appdata",
        "deploy_appdata_install_dir": "/opt/deploy",
        "deploy_appdata_unit": UNIT,
        "deploy_appdata_health_url": "http://127.0.0.1:8080/health",
    }
    told = scenario.play("clusterkit.middleware.migrate_appdata", *alone, variables={**ALONE, **home}, limit=LIMIT)
    assert "moving from one shared directory to another is not done here" in told.complaint()
    assert told.changed == set()
    assert property_of(nodes["s1"], "server.appdata.dir") == "/media/share/appdata"
    assert asked(address, "/rows") == (200, "s1")
    assert "before.txt" in json.loads(fetch(nodes["s1"], "/files"))["names"]
