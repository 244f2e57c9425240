# SPDX-License-Identifier: GPL-3.0-or-later
"""Two real members that ask Amazon's endpoint for each other: what keeps one out is named."""

from __future__ import annotations

from typing import Any

import pytest

from molecule.shared.scenario import ROOT, Node, Scenario

Nodes = dict[str, Node]
CALLS = ROOT / "build" / "lab" / "ec2" / "calls"
TRUSTSTORE = "/opt/wso2/repository/resources/security/client-truststore.jks"
AXIS2 = "/opt/wso2/repository/conf/axis2/axis2.xml"


def test_members_asked_with_a_signature_that_is_right(nodes: Nodes) -> None:
    """Each asked the endpoint, and nobody was refused; the file with the key is closed to others."""
    lines = CALLS.read_text(encoding="utf-8").splitlines()
    asked = {line.split()[0] for line in lines if line.endswith("DescribeInstances answered")}
    assert asked == {node.out("hostname", "-i").split()[0] for node in nodes.values()}
    assert all(node.out("stat", "-c", "%a %U", AXIS2).strip() == "640 wso2" for node in nodes.values())


@pytest.mark.parametrize(
    ("variables", "complaint"),
    [
        ({"wso2_cluster_aws_secret_key": "wrong"}, "Amazon does not accept its access key and secret key"),
        ({"wso2_cluster_aws_tag_value": "other"}, "a wrong region, tag, security group or secret key makes no error"),
    ],
)
def test_a_member_that_is_kept_out_is_named(
    scenario: Scenario, nodes: Nodes, variables: dict[str, Any], complaint: str
) -> None:
    """The run ends at the first member that does not come back, the other one is left as it was."""
    run = scenario.play(variables=variables)
    assert "w1 is not in the cluster again, the other members were left as they are" in run.complaint()
    assert complaint in run.complaint()
    assert "Canary" not in run.output
    scenario.play().check()


def test_without_the_certificate_nobody_joins(scenario: Scenario, nodes: Nodes) -> None:
    """The truststore makes it work: without the certificate the reason is named."""
    node = nodes["w2"]
    node.out("keytool", "-delete", "-alias", "ec2", "-keystore", TRUSTSTORE, "-storepass", "wso2carbon")
    node.out("systemctl", "restart", "wso2.service")
    run = scenario.play(variables={"wso2_cluster_certificates": {}, "wso2_cluster_join_limit_seconds": 30})
    assert "its truststore does not have the certificate of Amazon's endpoint" in run.complaint()
    assert scenario.play().check().changed


@pytest.mark.parametrize(
    ("variables", "complaint"),
    [
        ({"wso2_cluster_aws_region": "us-east-1a"}, "aws.region is us-east-1a, which is a zone"),
        ({"wso2_cluster_aws_security_group": ""}, "aws.security_group is missing"),
        ({"wso2_cluster_aws_tag_value": ""}, "aws.tag_key is given alone"),
        ({"wso2_cluster_port": 4000}, "local_port is 4000"),
    ],
)
def test_refused_before_anything_changes(scenario: Scenario, variables: dict[str, Any], complaint: str) -> None:
    """What the manual warns of is an error before the first change."""
    run = scenario.play(variables=variables)
    assert complaint in run.complaint() and run.changed == set()
