# SPDX-License-Identifier: GPL-3.0-or-later
"""What benchmarks on nodes share: the scenarios' nodes and load, and a playbook with its seconds."""

from __future__ import annotations

import importlib.util
import os
import pathlib
import subprocess
import sys
import time
from types import ModuleType

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from lab.steps import BUILD  # noqa: E402  # the project's root has to be on the path first


def of_scenarios(name: str) -> ModuleType:
    """Return a module of molecule/shared, by its path: the installed molecule has the name of the directory."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "molecule" / "shared" / f"{name}.py")
    assert spec and spec.loader
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def play(inventory: pathlib.Path, playbook: pathlib.Path, *options: str) -> float:
    """Run a playbook and return its seconds."""
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(BUILD / "collections"), "ANSIBLE_PIPELINING": "1"}
    program = pathlib.Path(sys.executable).with_name("ansible-playbook")
    began = time.monotonic()
    done = subprocess.run(
        [str(program), "-i", str(inventory), str(playbook), *options],
        env=environment,
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
        cwd=ROOT,
    )
    if done.returncode:
        raise SystemExit(done.stdout[-3000:] + done.stderr)
    return time.monotonic() - began


def percentile(values: list[float], share: float) -> float:
    """Return the value below which a share of the values lies."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]
