# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program `clusterkit-haproxy`: keeps who is out of traffic over reloads, and says whether HAProxy lives.

HAProxy forgets at a reload what was set at its socket, unless it finds it in the server-state file, which somebody else
has to write. `save` writes it, before each reload and after each change. `freshen`, before a start, drops what the file
says of health, which may be hours old. `check` ends with 0 when HAProxy answers and does not stop.

From that file HAProxy also takes the port of a server, whatever its configuration says: one that was changed would
only be used after a restart. So each is written with the port that the configuration has.
"""

from __future__ import annotations

import json
import pathlib
import sys
from typing import Any, Mapping, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.files import write_atomically
from ansible_collections.clusterkit.middleware.plugins.module_utils._haproxy.config import STATE_FILE
from ansible_collections.clusterkit.middleware.plugins.module_utils._haproxy.runtime import (
    ADDRESS,
    ADMINISTRATION,
    BACKEND,
    FORCED,
    OPERATION,
    PORT,
    SERVER,
    Runtime,
    States,
    parse_states,
)

#: The services as the role has configured them, for this program and for the modules.
CATALOGUE = "/etc/haproxy/clusterkit.json"
_RUNNING = "2"  # srv_op_state of a server that serves


def read_catalogue(path: str = CATALOGUE) -> list[dict[str, Any]]:
    """Return the services. Raises ClusterkitError where there are none."""
    try:
        services: list[dict[str, Any]] = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))["services"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ClusterkitError(f"cannot read {path}: {error} - the role haproxy writes it") from None
    return services


def fitted(states: States, services: Sequence[Mapping[str, Any]]) -> States:
    """Return the states with the servers, addresses and ports that the configuration has.

    Of a server that has moved only stays that somebody took it out: what is known of its health is another one's.
    """
    places = {
        (service["name"], member["name"]): (member["address"], str(member["port"]))
        for service in services
        for member in service["members"]
    }
    rows = []
    for row in states.rows:
        place = places.get((row[BACKEND], row[SERVER]))
        if place is None:
            continue
        if (row[ADDRESS], row[PORT]) != place:
            if not _forced(row):
                continue
            rows.append({**row, ADDRESS: place[0], PORT: place[1], OPERATION: _RUNNING})
        else:
            rows.append(row)
    return States(states.version, states.columns, tuple(rows))


def withdrawn_only(states: States) -> States:
    """Return the states of those alone that somebody took out of traffic."""
    rows = [{**row, OPERATION: _RUNNING} for row in states.rows if _forced(row)]
    return States(states.version, states.columns, tuple(rows))


def _forced(row: Mapping[str, str]) -> bool:
    return bool(int(row[ADMINISTRATION]) & FORCED)


def save(runtime: Runtime, services: Sequence[Mapping[str, Any]], path: str = STATE_FILE) -> None:
    """Write what HAProxy says of its servers. Raises ClusterkitError."""
    write_atomically(path, fitted(runtime.states(), services).render().encode(), mode=0o600)


def freshen(services: Sequence[Mapping[str, Any]], path: str = STATE_FILE) -> None:
    """Drop from the file what may be out of date. Raises ClusterkitError."""
    place = pathlib.Path(path)
    if not place.exists():
        # HAProxy warns at each start of a file that is not there
        write_atomically(path, b"1\n# be_name\n", mode=0o600)
        return
    try:
        states = fitted(withdrawn_only(parse_states(place.read_text(encoding="utf-8"))), services)
    except (ClusterkitError, ValueError, KeyError):
        place.unlink()  # whatever it is, HAProxy would make nothing of it either
        return
    write_atomically(path, states.render().encode(), mode=0o600)


def check(runtime: Runtime) -> None:
    """Ask whether HAProxy lives. Raises ClusterkitError when it does not."""
    if runtime.info().get("Stopping", "1") != "0":
        raise ClusterkitError("HAProxy is stopping")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        if words == ["save"]:
            save(Runtime(), read_catalogue())
        elif words == ["freshen"]:
            freshen(read_catalogue())
        elif words == ["check"]:
            check(Runtime(limit=2.0))
        else:
            sys.stderr.write("usage: clusterkit-haproxy save|freshen|check\n")
            return 64
    except ClusterkitError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0
