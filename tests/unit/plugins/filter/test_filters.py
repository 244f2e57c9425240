# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters as a playbook calls them: by their names, with their documentation, errors with their text alone."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable

import pytest
import yaml
from ansible.errors import AnsibleFilterError

SIDECARS = Path(__file__).resolve().parents[4] / "plugins" / "filter"
PACKAGE = "ansible_collections.clusterkit.middleware.plugins.filter"
FILTERS: dict[str, Callable[..., Any]] = {
    name: function
    for path in sorted(SIDECARS.glob("[a-z]*.py"))
    for name, function in importlib.import_module(f"{PACKAGE}.{path.stem}").FilterModule().filters().items()
}
MEMBERS = [{"host": f"h{i}", "name": f"n{i}", "address": f"10.0.0.{i}"} for i in (1, 2)]


#: What a filter file may bring with it: every process that Ansible forks for a task loads them all.
LIGHT = {"_common", "_common.errors"}


def test_loading_the_filters_loads_nothing_that_they_call() -> None:
    modules = [f"{PACKAGE}.{path.stem}" for path in sorted(SIDECARS.glob("[a-z]*.py"))]
    program = f"""
import importlib, sys
from ansible.utils.collection_loader._collection_finder import _AnsibleCollectionFinder
_AnsibleCollectionFinder(paths=[{str(SIDECARS.parents[1] / "build" / "collections")!r}])._install()
for name in {modules!r}:
    importlib.import_module(name).FilterModule().filters()
print(*(name.partition(".module_utils.")[2] for name in sys.modules if "middleware.plugins.module_utils." in name))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert set(done.stdout.split()) <= LIGHT


def test_every_filter_is_documented() -> None:
    assert sorted(FILTERS) == sorted(path.stem for path in SIDECARS.glob("*.yml"))
    assert set(FILTERS) == {
        *("cluster_members", "cluster_results", "cluster_verifications", "members_without_address"),
        *("clock_problems", "resource_shortages"),
        *("appdata_problems", "appdata_source", "appdata_uses", "appdata_verification"),
        *("app_database_charset", "app_database_hba", "app_database_problems", "app_database_rights"),
        *("app_database_verification",),
        *("deploy_cluster_due", "deploy_cluster_failover_problems", "deploy_cluster_problems"),
        *("deploy_cluster_verification",),
        *("application_due", "application_problems", "application_unlike", "application_verification"),
        *("haproxy_catalogue", "haproxy_certificate_files", "haproxy_config", "haproxy_hosts_without_address"),
        *("carbon_due", "carbon_problems", "hazelcast_interface", "hazelcast_verification"),
        *("haproxy_mistakes", "haproxy_problems", "haproxy_said", "haproxy_users", "haproxy_verification"),
        *("chrony_config", "chrony_mistakes", "chrony_problems", "chrony_verification"),
        *("keepalived_catalogue", "keepalived_config", "keepalived_mistakes", "keepalived_problems"),
        *("keepalived_strangers", "keepalived_verification"),
        *("hazelcast_member_exported", "hazelcast_member_plan", "hazelcast_password_changes", "hazelcast_registered"),
        *("hazelcast_registry", "hazelcast_service_problems", "hazelcast_service_verification"),
        *("instance_discovery_plan", "instance_discovery_problems", "instance_discovery_verification"),
        *("lifecycle_document", "lifecycle_exported", "lifecycle_verification", "lifecycle_without_agent"),
        *("csync2_certificates", "csync2_config", "csync2_problems", "csync2_seedings", "csync2_verification"),
        *(
            "opendj_replication_due",
            "opendj_replication_problems",
            "opendj_replication_source",
            "opendj_replication_verification",
        ),
        *("opendj_server_problems", "opendj_server_verification"),
        *("shared_mount_drop_ins", "shared_mount_mistakes", "shared_mount_problems", "shared_mount_settings"),
        *("shared_mount_shares", "shared_mount_verification"),
        *("nfs_server_config", "nfs_server_exports", "nfs_server_mistakes", "nfs_server_problems"),
        *("nfs_server_verification",),
        *("deployment_sync_directories", "deployment_sync_known_hosts", "deployment_sync_nodes"),
        *("deployment_sync_is_first", "deployment_sync_merge_problems", "deployment_sync_too_many"),
        *("deployment_sync_artifacts", "deployment_sync_release_problems", "deployment_sync_rolled_back"),
        *("deployment_sync_problems", "deployment_sync_settings", "deployment_sync_verification"),
    }


@pytest.mark.parametrize("name", sorted(FILTERS))
def test_documented_options_are_those_that_it_takes(name: str) -> None:
    documented = yaml.safe_load((SIDECARS / f"{name}.yml").read_text())
    options = documented["DOCUMENTATION"]["options"]
    assert documented["DOCUMENTATION"]["name"] == name
    # A call without them says which is missing, a call with another that there is none
    required = [option for option, said in options.items() if said.get("required") and option != "_input"]
    if required:
        with pytest.raises(TypeError, match=required[0]):
            FILTERS[name]({})
    with pytest.raises((TypeError, AnsibleFilterError), match="unexpected"):
        FILTERS[name]({}, unexpected=1, **{option: [] for option in required})


def test_members_and_results() -> None:
    hostvars = {"h1": {"web_address": "10.0.0.1", "web_name": "n1", "asked": {"x": 1}}, "h2": {}}
    assert FILTERS["members_without_address"](hostvars, ["h1", "h2"], "web") == ["h2"]
    hostvars["h2"] = {"web_address": "10.0.0.2", "web_name": "n2"}
    assert FILTERS["cluster_members"](hostvars, ["h1", "h2"], "web") == MEMBERS
    elsewhere = {"results": [{"item": MEMBERS[1], "x": 2}]}
    assert [one["x"] for one in FILTERS["cluster_results"](hostvars, MEMBERS, "asked", elsewhere).values()] == [1, 2]


def test_seedings() -> None:
    counted = {
        "h1": {"groups": {"web": {"files": 9, "gives": True}}},
        "h2": {"groups": {"web": {"files": 1, "gives": True}}},
    }
    assert FILTERS["csync2_seedings"](counted, MEMBERS, ["h2"], minimum=8) == {"h2": "h1"}
    assert FILTERS["csync2_seedings"](counted, MEMBERS, ["h2"], source="n2", minimum=8) == {}


def test_errors_are_told_with_their_text_alone() -> None:
    with pytest.raises(AnsibleFilterError) as caught:
        FILTERS["cluster_members"]({"h1": {}}, ["h1"], "web")
    assert (
        str(caught.value)
        == "no address is known of h1: it has to be reachable, so that its facts can be gathered, or set "
        "web_address for it in the inventory"
    )
    with pytest.raises(AnsibleFilterError, match="csync2_groups is empty"):
        FILTERS["csync2_config"]([], members=["n1", "n2"], key="/etc/csync2.key")


def test_configuration() -> None:
    groups = [
        {
            "name": "web",
            "slaves": ["n3"],
            "include": ["/srv/web", "%logs%/web"],
            "exclude": ["*~", "/srv/web/my cache"],
            "actions": [{"patterns": ["/srv/web/*.conf"], "commands": ["systemctl reload nginx"], "do_local": True}],
            "backup_directory": "/var/backups/csync2",
            "backup_generations": 3,
            "auto": "younger",
        }
    ]
    text = FILTERS["csync2_config"](
        groups,
        members=["n1", "n2", "n3"],
        key="/etc/csync2.key",
        nossl=[{"from": "n1", "to": "*"}],
        ignore=["uid", "gid"],
        prefixes=[{"name": "logs", "paths": [{"hosts": "n[12]", "path": "/var/log"}, {"hosts": "*", "path": "/logs"}]}],
    )
    assert (
        text
        == """\
nossl n1 *;
ignore uid gid;

prefix logs
{
    on n[12]: /var/log;
    on *: /logs;
}

group web
{
    host n1;
    host n2;
    host (n3);
    key /etc/csync2.key;
    include /srv/web;
    include %logs%/web;
    exclude *~;
    exclude "/srv/web/my cache";
    action
    {
        pattern /srv/web/*.conf;
        exec "systemctl reload nginx";
        do-local;
    }
    backup-directory /var/backups/csync2;
    backup-generations 3;
    auto younger;
}

group clusterkit_probe
{
    host n1;
    host n2;
    host n3;
    key /etc/csync2.key;
    include /var/lib/clusterkit/csync2-probe;
}
"""
    )


def test_judgements() -> None:
    found = {"h1": {"certificate": "c1", "resolved": {}}}
    assert FILTERS["csync2_certificates"]({"h2": {"fingerprint": "c2"}}, found, MEMBERS) == {"n1": "c1", "n2": "c2"}
    assert FILTERS["csync2_problems"](found, MEMBERS, manage_hosts=True) == [
        "h2 could not be asked: it has to be reachable, also when --limit leaves it out."
    ]
    document = FILTERS["csync2_verification"](found, MEMBERS, cluster="web")
    assert (document["ok"], document["members_seen"]) == (False, ["n1"])
