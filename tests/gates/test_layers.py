# SPDX-License-Identifier: GPL-3.0-or-later
"""The layer rule on the checkout, and on small trees that break it."""

from __future__ import annotations

import pathlib

import pytest

from tests.gates import rules_layers, tree


def test_arrows_run_downwards() -> None:
    """No layer knows one above it."""
    found = tree.without_exceptions(rules_layers.findings(tree.ROOT), tree.load(tree.EXCEPTIONS), rules_layers.RULES)
    assert not found, tree.report(found)


@pytest.mark.parametrize(
    ("path", "text", "rule"),
    [
        ("roles/relay/tasks/main.yml", "- include_role: {name: wso2_cluster}", "product-role-named"),
        ("roles/relay/README.md", "It is made for gluu_cluster.", "product-role-named"),
        ("roles/relay/tasks/main.yml", "- import_playbook: clusterkit.middleware.other", "playbook-named"),
        ("roles/gluu_cluster/tasks/main.yml", "- foo: ../../playbooks/site.yml", "playbook-named"),
        ("roles/relay/defaults/main.yml", "relay_path: /opt/wso2/conf", "product-named"),
        ("plugins/modules/relay.py", "PATH = '/opt/gluu-server'", "product-named"),
        ("plugins/module_utils/_relay/plan.py", "from ansible.plugins.action import ActionBase", "import-upwards"),
        ("plugins/module_utils/_common/files.py", "from .._relay import plan", "import-upwards"),
        ("plugins/modules/relay.py", "from ..action.relay import ActionModule", "import-upwards"),
        (
            "plugins/modules/relay.py",
            "from ansible_collections.clusterkit.middleware.plugins.filter.relay import x",
            "import-upwards",
        ),
        ("plugins/action/relay.py", "from lab import steps", "import-upwards"),
    ],
)
def test_the_rules_bite(tmp_path: pathlib.Path, path: str, text: str, rule: str) -> None:
    """Each way of breaking the layer rule is found."""
    file = tmp_path / path
    file.parent.mkdir(parents=True)
    file.write_text(f"{text}\n", encoding="utf-8")
    assert rule in [one.rule for one in rules_layers.findings(tmp_path)]


def test_what_is_allowed(tmp_path: pathlib.Path) -> None:
    """Downward arrows, and a product role's knowledge of its product, are no findings."""
    for path, text in {
        "roles/wso2_cluster/tasks/main.yml": "- include_role: {name: relay}\n- copy: {dest: /opt/wso2}",
        "roles/relay/README.md": "`ansible-playbook clusterkit.middleware.site` runs this role.",
        "playbooks/site.yml": "- hosts: all",
        "plugins/modules/relay.py": "from ansible.module_utils.basic import x\nfrom ..module_utils._relay import plan",
        "plugins/action/relay.py": "from ansible.plugins.action import x\nfrom ..module_utils._relay.plan import y",
        "plugins/module_utils/_formats/axis2.py": "SCHEMES = {'wso2'}",
        "plugins/module_utils/_relay/plan.py": "import pathlib\nfrom .._common import files\nfrom . import parse",
    }.items():
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n", encoding="utf-8")
    assert rules_layers.findings(tmp_path) == []
