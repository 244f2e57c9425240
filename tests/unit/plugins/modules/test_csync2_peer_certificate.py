# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module csync2_peer_certificate forgets pins that are no longer right, in a database as csync2 makes it."""

from __future__ import annotations

import functools
import hashlib
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._csync2.sync import Csync2
from ansible_collections.clusterkit.middleware.plugins.modules import csync2_peer_certificate
from ansible_collections.clusterkit.middleware.plugins.modules.csync2_peer_certificate import main

if TYPE_CHECKING:
    from tests.unit.conftest import RunModule

SCHEMA = Path(__file__).parents[1] / "module_utils" / "_csync2" / "recorded" / "schema.sql"
PINS = {peer: hashlib.sha256(peer.encode()).hexdigest() for peer in ("n2", "n3", "n4")}


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a member's database with three pins; the lock is one of this test."""
    limited = functools.partial(Csync2, lock=str(tmp_path / "lock"))
    monkeypatch.setattr(csync2_peer_certificate, "Csync2", limited)
    path = tmp_path / "n1.db3"
    connection = sqlite3.connect(path)
    connection.executescript(SCHEMA.read_text())
    rows = [(peer, peer.encode().hex().upper()) for peer in PINS]
    connection.executemany("INSERT INTO x509_cert VALUES (?, ?)", rows)
    connection.commit()
    connection.close()
    return path


def pinned(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT peername FROM x509_cert ORDER BY peername").fetchall()
    connection.close()
    return [row[0] for row in rows]


@pytest.fixture
def run(run_module: RunModule, database: Path) -> Any:
    def call(check: bool = False, **certificates: Any) -> dict[str, Any]:
        return run_module(
            main, check=check, name="N1", certificates=certificates, database_directory=str(database.parent)
        )

    return call


def test_outdated_pins_are_forgotten_once(run: Any, database: Path) -> None:
    wanted = {"n2": PINS["n2"], "N3": "0" * 64, "n9": "1" * 64}
    predicted = run(check=True, **wanted)
    assert pinned(database) == ["n2", "n3", "n4"]
    done = run(**wanted)
    assert predicted == done
    assert (done["changed"], done["forgotten"], done["pins"]) == (True, ["n3"], PINS)
    assert done["diff"]["before"] == {"n3": PINS["n3"]}
    assert done["diff"]["after"] == {"n3": "to be pinned at the next contact"}
    assert pinned(database) == ["n2", "n4"]
    for check in (False, True):
        again = run(check=check, **wanted)
        assert (again["changed"], again["forgotten"]) == (False, [])


def test_empty_fingerprint_forgets_whatever_is_pinned(run: Any, database: Path) -> None:
    assert run(n2="", n4="")["forgotten"] == ["n2", "n4"]
    assert pinned(database) == ["n3"]
    assert run(n2="", n4="")["changed"] is False


def test_member_without_a_database(run: Any, database: Path) -> None:
    database.unlink()
    result = run(n2="")
    assert (result["failed"], result["changed"], result["pins"]) == (False, False, {})
    assert not database.exists()


def test_nothing_is_forgotten_for_a_fingerprint_that_is_none(run: Any, database: Path) -> None:
    result = run(n2="SHA256:AA:BB")
    assert result["msg"] == (
        "the fingerprint of n2 is 'SHA256:AA:BB': write SHA-256 as 64 digits in lower case, no colons"
    )
    assert pinned(database) == ["n2", "n3", "n4"]


def test_what_is_no_database(run: Any, database: Path) -> None:
    database.write_text("nonsense" * 100)
    assert "n1.db3 cannot be read as csync2's database" in run(n2="")["msg"]
