# SPDX-License-Identifier: GPL-3.0-or-later
"""The check of `verify`'s document takes a good one, and refuses those that are wrong or contradict themselves."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest

from tests.verify_document import InvalidDocumentError, load_and_validate

GOOD: dict[str, Any] = {
    "cluster": "files",
    "role": "csync2",
    "members_expected": ["node1", "node2"],
    "members_seen": ["node2", "node1"],
    "ok": True,
    "checks": [
        {"name": "listener answers", "member": "node1", "ok": True, "evidence": "port 30865 accepts connections"}
    ],
}


def test_good_documents(tmp_path: pathlib.Path) -> None:
    """A mapping, JSON text and a file are taken; so is the document of a broken cluster."""
    path = tmp_path / "verify.json"
    path.write_text(json.dumps(GOOD), encoding="utf-8")
    assert load_and_validate(GOOD) == load_and_validate(json.dumps(GOOD)) == load_and_validate(path) == GOOD
    load_and_validate({**GOOD, "ok": False, "members_seen": ["node1"]})


@pytest.mark.parametrize(
    "change",
    [
        {"cluster": ""},
        {"members_seen": ["node1"]},
        {"members_seen": ["node1", "node1"]},
        {"ok": "yes"},
        {"ok": False},
        {"checks": []},
        {"checks": [{"name": "x", "ok": True}]},
        {"checks": [{"name": "x", "ok": False, "evidence": "refused"}]},
        {"more": 1},
    ],
)
def test_bad_documents(change: dict[str, Any]) -> None:
    """What contradicts the schema or itself is refused."""
    with pytest.raises(InvalidDocumentError):
        load_and_validate({**GOOD, **change})
