# SPDX-License-Identifier: GPL-3.0-or-later
"""Run phases of a migration as a process of its own, so that it can be traced and killed.

    python -B tests/faults/run_migration.py PHASE[,PHASE…] REQUEST.json

A phase that begins with `plan:` is only planned. Prints the last report as JSON; ends with 1 and the reason when a
phase refuses.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "build" / "collections"))

from ansible_collections.clusterkit.middleware.plugins.module_utils._appdata.migration import (  # the path comes first
    Migration,
    Request,
)
from ansible_collections.clusterkit.middleware.plugins.module_utils._appdata.switch import (
    LinkSwitch,
    PropertySwitch,
)
from ansible_collections.clusterkit.middleware.plugins.module_utils._appdata.tree import Entry
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import (
    ClusterkitError,
)


def request_of(given: dict[str, object]) -> Request:
    """Return the request that a JSON document describes; `property` is path and key, without it links are made."""
    document: dict[str, object] = dict(given)
    target = str(document["target"])
    entries = tuple(Entry(**one) for one in document.pop("entries"))  # type: ignore[attr-defined]  # JSON is untyped
    where = document.pop("property", None)
    switch = PropertySwitch(*where, target) if where else LinkSwitch(entries, target)  # type: ignore[misc]  # as above
    for name in ("identity", "units"):
        document[name] = tuple(document.get(name, ()))  # type: ignore[arg-type]  # as above
    document["accept"] = frozenset(document.get("accept", ()))  # type: ignore[arg-type]  # as above
    return Request(entries=entries, switch=switch, **document)  # type: ignore[arg-type]  # as above


def main() -> int:
    """Run the phases."""
    phases, path = sys.argv[1:3]
    request = request_of(json.loads(pathlib.Path(path).read_text(encoding="utf-8")))
    try:
        for phase in phases.split(","):
            migration = Migration(request, Runner())
            report = migration.plan(phase[5:]) if phase.startswith("plan:") else migration.run(phase)
    except ClusterkitError as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(dataclasses.asdict(report)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
