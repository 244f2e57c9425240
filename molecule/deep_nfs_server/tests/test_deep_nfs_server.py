# SPDX-License-Identifier: GPL-3.0-or-later
"""An NFS server where the kernel has none: refused before a change; what is written, read by the real programs."""

from __future__ import annotations

import pytest

from molecule.shared.scenario import Node, Scenario

SERVER = "clusterkit.middleware.nfs_server"


def test_a_kernel_without_a_server_is_refused(scenario: Scenario, nodes: dict[str, Node]) -> None:
    """One sentence that says what to do, in check mode and in a run, and nothing changed."""
    if "nfsd" in str(nodes["nas"].read("/proc/filesystems")):
        pytest.skip("this kernel has an NFS server")
    for options in ((), ("--check",)):
        refused = scenario.play(SERVER, *options)
        assert "The kernel of nas has no NFS server (nfsd)" in refused.complaint() and refused.changed == set()


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"nfs_server_exports": []}, "nfs_server_exports is empty"),
        ({"nfs_server_exports": [{"path": "/srv"}]}, "a directory of the system itself"),
        ({"nfs_server_exports": [{"path": "/srv/a", "clients": ["*"]}]}, "give an address or a network"),
        ({"nfs_server_clients_group": "nobody", "nfs_server_exports": [{"path": "/srv/a"}]}, "has no clients"),
    ],
)
def test_bad_input_is_refused_before_a_change(scenario: Scenario, variables: dict[str, object], said: str) -> None:
    """One clear error that names the variable and the value, and nothing changed."""
    refused = scenario.play(SERVER, variables=variables)
    assert said in refused.complaint() and refused.changed == set()


def test_real_programs_read_what_is_written(scenario: Scenario) -> None:
    """Exportfs and nfsconf understand it as it was meant, and the judgement understands exportfs."""
    scenario.play("written.yml").check()
