# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs for targets: they run without Ansible, are the same each time, and hold only what they need."""

from __future__ import annotations

import io
import os
import pathlib
import subprocess
import sys
import zipfile

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._common import bundle as module_under_test
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.bundle import bundle
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError

MODULE_UTILS = pathlib.Path(module_under_test.__file__).parents[1]
PACKAGE = "ansible_collections.clusterkit.middleware.plugins.module_utils"


def test_runs_with_python_alone(tmp_path: pathlib.Path) -> None:
    """The program starts in an isolated Python: no Ansible, no environment, no directory of ours on its path."""
    program = tmp_path / "agent"
    program.write_bytes(bundle(MODULE_UTILS, "_csync2.agent"))
    program.chmod(0o755)
    base = pathlib.Path(sys.base_prefix) / "bin" / "python3"
    done = subprocess.run(
        [str(base), "-I", str(program), "run", "--name", "n1", "--binary", "/nowhere/csync2"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"]},
    )
    assert done.returncode == 1 and "/nowhere/csync2" in done.stdout, done


def test_same_sources_same_bytes() -> None:
    """A second bundling gives the same file, so that copying it again changes nothing."""
    assert bundle(MODULE_UTILS, "_csync2.agent") == bundle(MODULE_UTILS, "_csync2.agent")


def test_holds_what_it_needs_and_no_more() -> None:
    """Imports are followed, in both ways to write them; what nobody imports stays out."""
    names = zipfile.ZipFile(io.BytesIO(bundle(MODULE_UTILS, "_csync2.state"))).namelist()
    prefix = PACKAGE.replace(".", "/")
    assert {f"{prefix}/_csync2/{name}.py" for name in ("state", "config", "key")} <= set(names)
    assert f"{prefix}/_csync2/sync.py" not in names
    assert names == sorted(names)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("from ansible.module_utils.basic import AnsibleModule\n", "imports ansible.module_utils.basic"),
        ("import ansible_collections.community.general\n", "a program for a target needs Python alone"),
    ],
)
def test_refuses_what_needs_ansible(tmp_path: pathlib.Path, source: str, said: str) -> None:
    """On a target there is no Ansible: found when the program is made, not when it runs at night."""
    (tmp_path / "probe.py").write_text(source, encoding="utf-8")
    with pytest.raises(ClusterkitError, match=said):
        bundle(tmp_path, "probe")


def test_refuses_what_is_not_there(tmp_path: pathlib.Path) -> None:
    """A name that leads nowhere is named."""
    with pytest.raises(ClusterkitError, match=r"no module _csync2\.absent below"):
        bundle(tmp_path, "_csync2.absent")
