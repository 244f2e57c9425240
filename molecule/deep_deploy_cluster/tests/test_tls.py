# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers that terminate TLS: one keystore, proved on each before any has it; what differs is refused."""

from __future__ import annotations

import base64
import pathlib
from typing import Any

import pytest

from molecule.shared.scenario import Node, Scenario

KEYSTORE = "/opt/deploy/opt/tomcat/conf/tomcat.keystore"
#: Seconds for a run: each server leaves, starts anew and comes back.
LIMIT = 600
PASSWORD, KEY_PASSWORD, ALIAS = "canary of the store", "canary of the key", "deploy.example.org"
KIND = ["-keyalg", "RSA", "-keysize", "2048", "-dname", f"CN={ALIAS}"]
SHOWN = """
import hashlib, ssl
print(hashlib.sha256(ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate(("127.0.0.1", 8443)))).hexdigest())
"""


def keystore(node: Node, path: pathlib.Path, kind: str, key_password: str) -> str:
    """Make a keystore and return its path on the control node."""
    about = ["-storepass", PASSWORD, "-keypass", key_password, "-alias", ALIAS, *KIND]
    node.out("rm", "-f", "/root/made")
    node.out("keytool", "-genkeypair", "-keystore", "/root/made", "-storetype", kind, *about)
    path.write_bytes(base64.b64decode(node.out("base64", "/root/made")))
    return str(path)


def given(file: str = "", **more: Any) -> dict[str, Any]:
    """Return the variables of a run with one certificate."""
    return {
        "deploy_cluster_tls": True,
        "deploy_cluster_keystore_file": file,
        "deploy_cluster_keystore_alias": ALIAS,
        "deploy_cluster_keystore_password": PASSWORD,
        # The stand-in's name for it
        "deploy_cluster_keystore_property_name": "server.keystore.password",
        **more,
    }


def digests(nodes: dict[str, Node]) -> set[str]:
    """Return the checksums of the servers' keystores."""
    return {nodes[name].out("sha256sum", KEYSTORE).split()[0] for name in ("s1", "s2")}


def refused(scenario: Scenario, variables: dict[str, Any]) -> str:
    """Return why a run refuses; it changes nothing."""
    run = scenario.play("clusterkit.middleware.deploy_servers", variables=variables)
    text = run.complaint()
    assert run.changed == set()
    assert PASSWORD not in run.output
    return text


def test_keystores_that_differ_are_refused(scenario: Scenario, nodes: dict[str, Node]) -> None:
    """Each has one that the installer made, and nobody has said which is right."""
    if len(digests(nodes)) == 1:
        pytest.fail("the servers have one keystore already: these tests begin with what the installer made")
    told = refused(scenario, given(deploy_cluster_keystore_alias="server", deploy_cluster_keystore_password="changeit"))
    assert "s2 has another keystore than s1" in told


def test_a_keystore_is_proved_before_any_server_has_it(
    scenario: Scenario, nodes: dict[str, Node], tmp_path: pathlib.Path
) -> None:
    """A wrong password of the store, a wrong alias, a wrong password of the key, a password no server knows."""
    before = digests(nodes)
    file = keystore(nodes["s1"], tmp_path / "keystore", "JKS", KEY_PASSWORD)
    good = given(file, deploy_cluster_key_password=KEY_PASSWORD)
    for changed, said in (
        ({"deploy_cluster_keystore_password": "another"}, "the keystore cannot be opened with the password"),
        ({"deploy_cluster_keystore_alias": "other"}, f"the keystore has no key other: its keys are {ALIAS}"),
        ({"deploy_cluster_key_password": "another"}, f"the key {ALIAS} cannot be used with the password"),
        ({"deploy_cluster_keystore_property_name": ""}, "has another password than the keystore that is to take"),
        ({"deploy_cluster_keystore_alias": ""}, "so that the keystore can be proved before any server gets it"),
    ):
        assert said in refused(scenario, {**good, **changed})
    assert digests(nodes) == before


def test_all_show_one_certificate(scenario: Scenario, nodes: dict[str, Node], tmp_path: pathlib.Path) -> None:
    """What was there is kept; a run with the first one's keystore changes nothing."""
    before = {name: nodes[name].out("sha256sum", KEYSTORE).split()[0] for name in ("s1", "s2")}
    variables = given(keystore(nodes["s1"], tmp_path / "keystore", "PKCS12", PASSWORD))
    done = scenario.play("clusterkit.middleware.deploy_servers", "--diff", variables=variables, limit=LIMIT).check()
    assert {host for host, _task in done.changed} == {"s1", "s2"}
    assert PASSWORD not in done.output
    for name, digest in before.items():
        assert nodes[name].out("sha256sum", f"{KEYSTORE}.kept-{digest[:16]}").split()[0] == digest
        assert nodes[name].out("stat", "-c", "%U %a", KEYSTORE).split() == ["deploy", "600"]
    assert len(digests(nodes)) == 1
    shown = {nodes[name].out("python3", "-c", SHOWN).strip() for name in ("s1", "s2")}
    assert len(shown) == 1
    document = done.facts["s1"]["deploy_cluster_verification"]
    checks = {check["name"]: check["evidence"] for check in document["checks"]}
    assert document["ok"]
    assert shown.pop()[:16] in checks["same certificate"]
    again = scenario.play("clusterkit.middleware.deploy_servers", variables=given(), limit=LIMIT).check()
    assert again.changed == set()


def test_another_certificate_on_one_is_noticed(scenario: Scenario, nodes: dict[str, Node]) -> None:
    """A server whose keystore somebody changed is named by the verification."""
    kept = nodes["s2"].out("base64", KEYSTORE)
    try:
        nodes["s2"].out("sh", "-c", f"echo more >> {KEYSTORE}")
        told = scenario.play("clusterkit.middleware.verify", variables=given()).complaint()
        assert "the keystore of s2 is" in told
    finally:
        nodes["s2"].out("sh", "-c", f"base64 -d > {KEYSTORE}", stdin=kept)
