# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What keepalived says of its instances and checks: in the file that it writes when it is asked by a signal."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import re
import signal
import time
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.locks import exclusive

UNIT = "keepalived.service"
#: Instances and checks as the role has configured them.
CATALOGUE = "/etc/keepalived/clusterkit.json"
#: Where keepalived writes it: the role gives the unit this directory for its temporary files, closed to others.
DUMP = "/run/keepalived/keepalived.data"
_LOCK = "/run/clusterkit-keepalived.lock"
#: What follows the parts that are read here: once it is there, those are whole.
_END = "------< Interfaces >------"
_HEAD = re.compile(r"^ VRRP (Instance|Script) = (.*)$")
_VALUE = re.compile(r"^   ([A-Z][A-Za-z ]*) = (.*)$")


@dataclass(frozen=True)
class Said:
    """What keepalived says: of each instance its state and more, of each check whether it passes."""

    instances: list[dict[str, Any]] = field(default_factory=list)
    checks: list[dict[str, Any]] = field(default_factory=list)


def parse(text: str) -> Said:
    """Return what a dump says. Raises ClusterkitError where it is another format than that of keepalived 2."""
    blocks: list[tuple[str, str, dict[str, str]]] = []
    for line in text.partition(_END)[0].splitlines():
        head, value = _HEAD.match(line), _VALUE.match(line)
        if head:
            blocks.append((head[1], head[2].strip(), {}))
        elif line.startswith("------<"):
            blocks.append(("", "", {}))
        elif value and blocks:
            blocks[-1][2].setdefault(value[1], value[2].strip())
    try:
        return Said(
            [
                {
                    "name": name,
                    "state": values["State"],
                    "interface": values["Interface"],
                    "router_id": int(values["Virtual Router ID"]),
                    "priority": int(values["Effective priority"]),
                    "since": float(values["Last transition"].split()[0]),
                }
                for kind, name, values in blocks
                if kind == "Instance"
            ],
            [
                {"name": name, "ok": values["Status"].startswith("GOOD")}
                for kind, name, values in blocks
                if kind == "Script"
            ],
        )
    except (KeyError, ValueError, IndexError) as error:
        raise ClusterkitError(
            f"keepalived describes itself otherwise than is known here: {error!r} is missing"
        ) from None


def read_catalogue(path: str = CATALOGUE) -> dict[str, Any]:
    """Return what the role has configured, empty where it has not. Raises ClusterkitError."""
    try:
        found: dict[str, Any] = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ClusterkitError(f"cannot read {path}: {error} - the role keepalived writes it") from None
    return found


def ask(runner: Runner, dump: str = DUMP, limit: float = 5.0) -> Said:
    """Ask the keepalived that runs. Raises ClusterkitError where none does or it does not answer."""
    said = runner.run(["systemctl", "show", "--property=MainPID,ActiveState", UNIT], limit=10).stdout
    values = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    process = int(values.get("MainPID") or 0)
    if not process or values.get("ActiveState") not in ("active", "reloading"):
        raise ClusterkitError(f"{UNIT} is {values.get('ActiveState') or 'unknown'}")
    place = pathlib.Path(dump)
    with exclusive(_LOCK, 30.0, "asking keepalived"):
        with contextlib.suppress(FileNotFoundError):
            place.unlink()
        try:
            os.kill(process, signal.SIGUSR1)
        except ProcessLookupError:
            raise ClusterkitError(f"{UNIT} has just ended") from None
        end = time.monotonic() + limit
        while time.monotonic() < end:
            with contextlib.suppress(FileNotFoundError):
                text = place.read_text(encoding="utf-8", errors="replace")
                if _END in text:
                    return parse(text)
            time.sleep(0.02)
    raise ClusterkitError(
        f"keepalived (process {process}) runs and does not answer within {limit:g} s: it is paused, or not started by "
        "the role's unit"
    )
