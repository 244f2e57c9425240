# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module csync2_sync over a csync2 that is played: what it predicts, what it does, and what it complains of."""

from __future__ import annotations

import functools
import json
import re
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Outcome, Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._csync2.sync import Csync2
from ansible_collections.clusterkit.middleware.plugins.modules import csync2_sync
from ansible_collections.clusterkit.middleware.plugins.modules.csync2_sync import main

if TYPE_CHECKING:
    from tests.unit.conftest import RunModule

RECORDED = Path(__file__).parents[1] / "module_utils" / "_csync2" / "recorded"
ME = "idp1.gluu.org"
PEER = "idp2.gluu.org"
#: csync2's answers to -T of a peer that differs in nothing.
IN_SYNC = Outcome(2)


class Played:
    """A csync2 whose files are those of `files`; what it changes in its database is what the real one would."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / f"{ME}.db3"
        self.files: list[str] = []
        self.asked: list[str] = []
        self.said = ""
        self.refused: set[str] = set()
        self.differs = IN_SYNC
        connection = sqlite3.connect(self.path)
        connection.executescript((RECORDED / "schema.sql").read_text())
        connection.close()

    def execute(self, argv: list[str], *_rest: Any) -> Outcome:
        assert argv[1:3] == ["-N", ME]
        self.asked.append(" ".join(argv[3:]))
        connection = sqlite3.connect(self.path)
        try:
            return self._answer(argv[3:], connection)
        finally:
            connection.commit()
            connection.close()

    def _answer(self, arguments: list[str], connection: sqlite3.Connection) -> Outcome:
        if arguments[0] in ("-cr", "-cIr"):
            known = {row[0] for row in connection.execute("SELECT filename FROM file")}
            for file in set(self.files) - known:
                connection.execute("INSERT INTO file VALUES (?, '')", (file,))
                if arguments[0] == "-cr":
                    connection.execute("INSERT INTO dirty VALUES (?, 0, ?, ?)", (file, ME, PEER))
        elif arguments[0] == "-f":
            connection.execute("UPDATE dirty SET forced = 1 WHERE filename = ?", (arguments[1],))
            self.refused.discard(arguments[1])
        elif arguments[0] == "-u":
            for (file,) in connection.execute("SELECT filename FROM dirty").fetchall():
                if file not in self.refused:
                    connection.execute("DELETE FROM dirty WHERE filename = ?", (file,))
            return Outcome(1 if self.refused else 0, stderr=self.said.encode())
        elif arguments[0].startswith("-T"):
            return self.differs
        return Outcome(0)

    def mark(self, file: str) -> None:
        """Note a file as to be sent, as csync2 does after a comparison."""
        connection = sqlite3.connect(self.path)
        connection.execute("INSERT INTO dirty VALUES (?, 0, ?, ?)", (file, ME, PEER))
        connection.commit()
        connection.close()

    def database(self) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(self.path)
        rows = [
            *connection.execute("SELECT * FROM file ORDER BY filename"),
            *connection.execute("SELECT * FROM dirty ORDER BY filename"),
        ]
        connection.close()
        return rows


@pytest.fixture
def played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Played:
    """Put a played csync2 on the PATH, with a configuration of two hosts."""
    played = Played(tmp_path)
    binary = tmp_path / "bin" / "csync2"
    binary.parent.mkdir()
    binary.write_text("#!/bin/sh\nexit 99\n")
    binary.chmod(0o755)
    monkeypatch.setenv("PATH", f"{binary.parent}:/usr/bin:/bin")
    # Bound already, so that it is not called with the runner
    monkeypatch.setattr(Runner, "execute", played.execute)
    limited = functools.partial(Csync2, database_directory=str(tmp_path), lock=str(tmp_path / "lock"))
    monkeypatch.setattr(csync2_sync, "Csync2", limited)
    (tmp_path / "csync2.cfg").write_text(f"group g {{ host {ME} {PEER}; key /k; include /srv; }}")
    return played


@pytest.fixture
def run(run_module: RunModule, played: Played) -> Any:
    def call(check: bool = False, **options: Any) -> dict[str, Any]:
        config = str(played.path.with_name("csync2.cfg"))
        return run_module(main, check=check, name=ME, **{"config_path": config, **options})

    return call


def test_files_are_recorded_once(run: Any, played: Played) -> None:
    played.files = ["/srv/a", "/srv/b"]
    predicted = run(check=True, state="recorded")
    assert played.asked == []
    done = run(state="recorded")
    assert played.asked == ["-cIr /"]
    assert predicted == done
    assert (done["changed"], done["recorded"], done["met"]) == (True, True, [])
    after = played.database()
    for check in (False, True):
        again = run(check=check, state="recorded")
        assert (again["failed"], again["changed"], again["recorded"]) == (False, False, False)
    assert played.asked == ["-cIr /"]
    assert played.database() == after


def test_a_killed_recording_is_done_again(run: Any, played: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    """csync2 keeps what it has noted every few seconds, and part of the files is not all of them."""
    played.files = ["/srv/a"]

    def killed(_runner: Runner, *arguments: Any) -> Outcome:
        played.execute(*arguments)
        return Outcome(-9)

    with monkeypatch.context() as patch:
        patch.setattr(Runner, "execute", killed)
        assert run(state="recorded")["failed"]
    assert len(played.database()) == 1
    assert run(check=True, state="recorded")["changed"]
    assert run(state="recorded")["changed"]
    assert not run(state="recorded")["changed"]


def test_no_files_are_recorded_too(run: Any, played: Played) -> None:
    assert run(state="recorded")["changed"] is True
    assert run(state="recorded")["changed"] is False
    assert played.asked == ["-cIr /"]


def test_each_peer_is_compared_once_and_a_former_one_forgotten(run: Any, played: Played) -> None:
    played.files = ["/srv/a"]
    run(state="recorded")
    compared = [run(check=True, state="compared"), run(state="compared")]
    assert [one["newcomers"] for one in compared] == [[PEER], [PEER]]
    assert run(state="recorded")["met"] == [PEER]
    config = played.path.with_name("csync2.cfg")
    config.write_text(f"group g {{ host {ME} idp3.gluu.org; key /k; include /srv; }}")
    played.asked.clear()
    predicted = run(check=True, state="compared")
    assert played.asked == []
    done = run(state="compared")
    assert predicted == done
    assert (done["changed"], done["newcomers"], done["forgotten"]) == (True, ["idp3.gluu.org"], [PEER])
    assert played.asked == [f"-TUIv {ME} idp3.gluu.org"]
    assert [row for row in played.database() if PEER in row] == []
    for check in (False, True):
        assert run(check=check, state="compared")["changed"] is False


def test_a_peer_that_begins_anew_is_compared_again(run: Any, played: Played) -> None:
    run(state="recorded")
    run(state="compared")
    for check in (True, False):
        result = run(check=check, state="recorded", anew=[PEER, "idp9.gluu.org"])
        assert (result["changed"], result["met"]) == (False, [])
    assert run(state="compared")["newcomers"] == [PEER]
    assert run(state="compared")["changed"] is False


def test_a_cluster_made_by_hand_has_met_those_whose_certificates_are_pinned(run: Any, played: Played) -> None:
    connection = sqlite3.connect(played.path)
    connection.execute("INSERT INTO file VALUES ('/srv/a', '')")
    connection.execute("INSERT INTO x509_cert VALUES (?, '00')", (PEER,))
    connection.commit()
    assert (run(state="recorded")["changed"], run(state="recorded")["met"]) == (False, [PEER])
    assert run(state="compared")["newcomers"] == []
    # From then on the note tells: a peer that was here and is not noted has been in contact, and not been compared
    config = played.path.with_name("csync2.cfg")
    config.write_text(f"group g {{ host {ME} {PEER} idp3.gluu.org; key /k; include /srv; }}")
    connection.execute("INSERT INTO x509_cert VALUES ('idp3.gluu.org', '00')")
    connection.commit()
    connection.close()
    assert run(state="compared")["newcomers"] == ["idp3.gluu.org"]


def test_no_configuration_to_take_the_peers_from(run: Any, tmp_path: Path) -> None:
    result = run(state="compared", config_path=str(tmp_path / "none.cfg"))
    assert result["msg"] == f"no configuration at {tmp_path}/none.cfg: write it before anything is synchronised"


def test_configuration_that_will_be_written_makes_nobody_a_stranger(run: Any, played: Played, tmp_path: Path) -> None:
    played.files = ["/srv/a"]
    run(state="recorded")
    predicted = run(check=True, state="compared", config_path=str(tmp_path / "none.cfg"))
    assert (predicted["changed"], predicted["newcomers"], predicted["forgotten"]) == (False, [], [])


def test_binary_that_is_named(run: Any, played: Played, tmp_path: Path) -> None:
    binary = tmp_path / "bin" / "csync2"
    binary.rename(tmp_path / "csync2-of-another")
    assert "csync2" in run()["msg"] and played.asked == []
    assert run(state="recorded", binary=str(tmp_path / "csync2-of-another"))["failed"] is False


def test_changes_are_sent_once(run: Any, played: Played) -> None:
    played.files = ["/srv/a"]
    run(state="recorded")
    played.mark("/srv/a")
    played.differs = Outcome(0, stdout=f"L\t{ME}\t{PEER}\t/srv/a\nR\t{ME}\t{PEER}\t/srv/theirs\n".encode())
    before = played.database()
    predicted = run(check=True)
    assert played.database() == before
    done = run()
    assert predicted == done
    assert (done["changed"], done["sent"], done["left"]) == (True, [{"peer": PEER, "file": "/srv/a"}], [])
    assert done["diff"] == {"before": "", "after": f"/srv/a to {PEER}\n"}
    played.differs = IN_SYNC
    for check in (False, True):
        again = run(check=check)
        assert (again["failed"], again["changed"], again["sent"]) == (False, False, [])


def test_first_exchange_is_predicted_as_a_change(run: Any, played: Played) -> None:
    played.files = ["/srv/a"]
    assert run(check=True)["changed"] is True
    assert played.asked == []
    played.path.unlink()
    assert run(check=True)["diff"]["after"] == "the first exchange of all files\n"


def test_what_cannot_be_predicted_is_a_warning(run: Any, played: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    # In a process that has also been a controller, Ansible would show it instead of returning it
    warnings: list[str] = []
    monkeypatch.setattr(AnsibleModule, "warn", lambda _module, text: warnings.append(text))
    played.files = ["/srv/a"]
    run(state="recorded")
    played.differs = Outcome(1, stderr=(RECORDED / "refused.txt").read_bytes())
    result = run(check=True)
    assert (result["failed"], result["changed"], result["sent"]) == (False, False, [])
    assert warnings[0].startswith("Not predictable: `")


def test_conflict_is_an_error_until_there_is_a_winner(run: Any, played: Played) -> None:
    played.files = ["/srv/conf/f", "/srv/other"]
    played.said = (RECORDED / "conflict.txt").read_text()
    played.refused = {"/srv/conf/f"}
    result = run()
    assert result["msg"] == (
        f"{ME} could not send /srv/conf/f to {PEER} (conflict: changed here and on the peer). "
        "Compare the versions and declare the member whose version is right as the winner."
    )
    assert result["sent"] == [{"peer": PEER, "file": "/srv/other"}]
    assert [one["file"] for one in result["left"]] == ["/srv/conf/f"]
    done = run(winner=True)
    assert (done["failed"], done["changed"], done["left"]) == (False, True, [])
    assert "-f /srv/conf/f" in played.asked
    assert run(winner=True)["changed"] is False


@pytest.mark.parametrize("name", ["auto-lost", "auto-lost-removal"])
def test_what_the_peer_will_send_is_no_error(run: Any, played: Played, name: str) -> None:
    """With auto younger the older side has to wait until the younger one runs."""
    played.files = ["/srv/conf/f"]
    played.said = (RECORDED / f"{name}.txt").read_text()
    played.refused = {"/srv/conf/f"}
    result = run()
    assert (result["failed"], result["changed"], result["sent"]) == (False, False, [])
    assert "whose version wins by 'auto'" in result["left"][0]["reason"]


def test_long_complaints_are_cut(run: Any, played: Played) -> None:
    played.files = [f"/srv/{number}" for number in range(8)]
    played.refused = set(played.files)
    played.said = "Finished with 8 errors.\n"
    result = run()
    assert result["msg"].endswith(f"/srv/4 to {PEER} (csync2 gave no reason), and 3 more.")
    assert len(result["left"]) == 8


def test_time_limit(run: Any, played: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    played.files = ["/srv/a"]
    run(state="recorded")
    played.mark("/srv/a")
    limits: list[float] = []

    def hangs(_runner: Runner, argv: list[str], _stdin: bytes, _env: Any, _cwd: Any, limit: float) -> Outcome:
        limits.append(limit)
        if argv[3] != "-u":
            return Outcome(0)
        return Outcome(-15, stderr=(RECORDED / "paused.txt").read_bytes(), timed_out=True)

    monkeypatch.setattr(Runner, "execute", hangs)
    result = run(limit=12)
    assert result["msg"] == f"{ME} could not send /srv/a to {PEER} ({PEER} gave no answer within 12 s)."
    assert set(limits) == {12}


def test_no_key_shows(run: Any, played: Played) -> None:
    played.files = ["/opt/idp/conf/k1"]
    played.refused = set(played.files)
    played.said = (RECORDED / "wrong-key.txt").read_text()
    (key,) = set(re.findall(r"Local> SIG (\S{64}) ", played.said))
    result = run()
    assert "refused by the peer: another key" in result["msg"]
    assert key not in json.dumps(result)


def test_csync2_that_is_missing(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    result = run()
    assert result["failed"]
    assert "csync2" in result["msg"]


def test_a_probe_is_sent_alone_and_those_of_former_members_go(
    run: Any, played: Played, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What a verification sends is in its own directory, is no change, and check mode sends none."""
    directory = tmp_path / "probe"
    monkeypatch.setattr(csync2_sync, "PROBE_DIRECTORY", str(directory))
    assert run(state="probed", check=True)["probe"] == ""
    assert not directory.exists()
    directory.mkdir()
    for name in (PEER, "gone"):
        (directory / name).write_text("1")
    played.files = ["/srv/of-the-user"]
    result = run(state="probed")
    assert (result["changed"], result["left"]) == (False, [])
    assert (directory / ME).read_text() == result["probe"]
    assert sorted(path.name for path in directory.iterdir()) == sorted([ME, PEER])
    assert played.asked == [f"-cr {directory}"]


def test_a_probe_of_another_member_is_no_change(run: Any, played: Played) -> None:
    """One that is met while it arrives looks as if it had been changed here; that it cannot be sent is no failure."""
    run(state="recorded")
    played.files = [f"{csync2_sync.PROBE_DIRECTORY}/{PEER}"]
    result = run()
    assert (result["changed"], result["sent"], result["left"]) == (False, [], [])
    played.files = [f"{csync2_sync.PROBE_DIRECTORY}/{PEER}", "/srv/b"]
    result = run()
    assert [row["file"] for row in result["sent"]] == ["/srv/b"]
