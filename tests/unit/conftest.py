# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all unit tests share: the collection as it is imported when installed, and running a module in this process."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any, Callable, Protocol

import pytest
from hypothesis import HealthCheck, settings

# How quick a machine is decides over no test
settings.register_profile("clusterkit", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("clusterkit")

CHECKOUT = Path(__file__).resolve().parents[2]
COLLECTIONS = CHECKOUT / "build" / "collections"


def _install_collection_loader() -> None:
    """Make `ansible_collections.clusterkit.middleware` importable by Ansible's own loader.

    `ansible-test units` has installed it already, with a copy of the collection.
    """
    if any(type(finder).__name__ == "_AnsibleCollectionFinder" for finder in sys.meta_path):
        return
    link = COLLECTIONS / "ansible_collections" / "clusterkit" / "middleware"
    if not link.exists():
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to("../../../..", target_is_directory=True)

    from ansible.utils.collection_loader._collection_finder import _AnsibleCollectionFinder  # noqa: PLC0415  # not needed under ansible-test

    _AnsibleCollectionFinder(paths=[str(COLLECTIONS)])._install()


_install_collection_loader()


class RunModule(Protocol):
    """Runs a module's main() and returns what it says; `failed` and `changed` are always there."""

    def __call__(self, main: Callable[[], None], check: bool = False, **options: Any) -> dict[str, Any]: ...


@pytest.fixture
def run_module(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> RunModule:
    """Run a module as Ansible would, within this process, with diff on."""
    from ansible.module_utils import basic  # noqa: PLC0415  # only what runs a module needs it

    def run(main: Callable[[], None], check: bool = False, **options: Any) -> dict[str, Any]:
        arguments = {**options, "_ansible_check_mode": check, "_ansible_diff": True}
        monkeypatch.setattr(basic, "_ANSIBLE_ARGS", json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode())
        # ansible-core 2.19 and later want to be told how the arguments are written
        monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)
        capsys.readouterr()
        with pytest.raises(SystemExit):
            main()
        said = capsys.readouterr()
        result: dict[str, Any] = {"failed": False, "changed": False, **json.loads(said.out)}
        return result

    return run


@pytest.fixture
def ends_soon() -> Callable[[int], bool]:
    """Tell whether a process, given by its number, is gone within a second; a zombie harms nobody."""

    def ends(pid: int) -> bool:
        for _turn in range(100):
            try:
                state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            except (FileNotFoundError, ProcessLookupError):
                return True
            if state == "Z":
                return True
            time.sleep(0.01)
        return False

    return ends
