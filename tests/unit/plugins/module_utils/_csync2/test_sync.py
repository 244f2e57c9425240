# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""csync2's runs: what recorded outputs mean, what is tried again, what is given up, and that no key shows."""

from __future__ import annotations

import os
import re
import sqlite3
from pathlib import Path
from typing import Any, Callable, Iterable

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Outcome, Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.locks import exclusive
from ansible_collections.clusterkit.middleware.plugins.module_utils._csync2 import sync
from ansible_collections.clusterkit.middleware.plugins.module_utils._csync2.state import Dirty
from ansible_collections.clusterkit.middleware.plugins.module_utils._csync2.sync import (
    CONFLICT,
    DENIED,
    HUNG_UP_AT_ONCE,
    HUNG_UP_WHILE_SENT,
    NO_REASON,
    SLAVE,
    UNKNOWN,
    WAITING,
    Csync2,
    Difference,
    Exchange,
    last_words,
    reason_of,
    summary,
)

RECORDED = Path(__file__).with_name("recorded")
BUSY = b"Database backend is exceedingly busy => Terminating (requesting retry).\n"
ME = "idp1.gluu.org"
PEER = "idp2.gluu.org"


def recorded(name: str) -> str:
    """Return what csync2 said on standard error."""
    text = (RECORDED / f"{name}.txt").read_text()
    return text.partition("--- stderr\n")[2] or text


class Fake(Runner):
    """Plays csync2: what it is asked goes to `asked`, what it answers comes from `answer`."""

    def __init__(self, answer: Callable[[list[str]], Outcome]) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.limits: list[float] = []
        self.answer = answer

    def execute(self, argv: list[str], stdin: bytes, env: dict[str, str], cwd: str | None, limit: float) -> Outcome:
        assert argv[:3] == ["csync2", "-N", ME]
        assert env["LC_ALL"] == "C"
        self.asked.append(" ".join(argv[3:]))
        self.limits.append(limit)
        return self.answer(argv[3:])


class Member:
    """A member with a database that a fake csync2 works on."""

    def __init__(self, directory: Path) -> None:
        self.database = directory / f"{ME}.db3"
        self.directory = directory
        self.waited: list[float] = []
        connection = sqlite3.connect(self.database)
        connection.executescript((RECORDED / "schema.sql").read_text())
        connection.close()

    def change(self, statement: str, *rows: tuple[Any, ...]) -> None:
        connection = sqlite3.connect(self.database)
        connection.executemany(statement, rows)
        connection.commit()
        connection.close()

    def mark(self, *files: str, peer: str = PEER) -> None:
        self.change("INSERT INTO dirty VALUES (?, 0, ?, ?)", *((file, ME, peer) for file in files))

    def clear(self, *files: str, peer: str = PEER) -> None:
        self.change("DELETE FROM dirty WHERE filename = ? AND peername = ?", *((file, peer) for file in files))

    def csync2(self, runner: Runner, limit: float = 300) -> Csync2:
        return Csync2(
            ME,
            runner,
            database_directory=str(self.directory),
            limit=limit,
            lock=str(self.directory / "lock"),
            wait=self.waited.append,
        )

    def meets(self, said: str, files: Iterable[str], rc: int = 1, sends: Iterable[str] = ()) -> tuple[Exchange, Fake]:
        """Exchange the files with a csync2 that says something and sends some of them."""
        self.mark(*files)

        def answer(arguments: list[str]) -> Outcome:
            if arguments[0] != "-u":
                return Outcome(0)
            self.clear(*sends)
            return Outcome(rc, stderr=said.encode())

        runner = Fake(answer)
        return self.csync2(runner).exchange(), runner

    def takes(self, refused: str = "") -> Callable[[list[str]], Outcome]:
        """Return a csync2 that sends what it is given by name, but for one file, which is in conflict."""

        def answer(arguments: list[str]) -> Outcome:
            if arguments[0] != "-u":
                return Outcome(0)
            self.clear(*(name for name in arguments[4:] if name != refused))
            said = f"response from peer({refused}): {PEER} [10] <- File is also marked dirty here!\n"
            return Outcome(1, stderr=said.encode()) if refused in arguments and "-vvv" in arguments else Outcome(0)

        return answer


@pytest.fixture
def member(tmp_path: Path) -> Member:
    return Member(tmp_path)


# --- what breaks, and what is large ----------------------------------------------------------------------------------


def test_a_file_that_breaks_the_connection_keeps_no_other_from_being_sent(member: Member) -> None:
    """The peer's disk is full at one file: the others are sent without it, and it is named with the likely cause."""
    files = ["/srv/a", "/srv/b", "/srv/c"]
    member.mark(*files)

    def answer(arguments: list[str]) -> Outcome:
        if arguments[0] != "-u":
            return Outcome(0)
        names = arguments[4:] or files
        said = ""
        for file in names:
            said += f"Updating {file} on {PEER} ...\n"
            if file == "/srv/b":
                return Outcome(1, stderr=f"{said}Write-error while sending data.\n".encode())
            member.clear(file)
        return Outcome(0, stderr=said.encode())

    runner = Fake(answer)
    result = member.csync2(runner).exchange()
    assert [one.file for one in result.sent] == ["/srv/a", "/srv/c"]
    assert [(one.file, reason) for one, reason in result.left] == [("/srv/b", HUNG_UP_WHILE_SENT)]
    assert [line for line in runner.asked if line.startswith("-u")] == [
        f"-u -vvv -P {PEER}",
        f"-u -vvv -P {PEER} /srv/c",
    ]


def test_a_connection_that_always_breaks_is_given_up(member: Member) -> None:
    """A csync2 that is killed at once each time is not asked for ever."""
    member.mark("/srv/a")
    runner = Fake(lambda arguments: Outcome(-13 if arguments[0] == "-u" else 0))
    result = member.csync2(runner).exchange()
    assert [reason for _one, reason in result.left] == [NO_REASON]
    assert len([line for line in runner.asked if line.startswith("-u")]) <= 20


def test_a_large_file_is_sent_alone_in_silence_and_has_time(member: Member, tmp_path: Path) -> None:
    """At -vvv csync2 writes all that it sends: a large file goes without, and is asked for its reason if it stays."""
    large, small = tmp_path / "large", tmp_path / "small"
    large.touch()
    os.truncate(large, 50 << 20)
    small.write_text("x", encoding="utf-8")
    files = [str(large), str(small)]
    for stays in (False, True):
        member.mark(*files)
        runner = Fake(member.takes(str(large) if stays else ""))
        result = member.csync2(runner).exchange()
        asked = [line for line in runner.asked if line.startswith("-u")]
        again = [f"-u -vvv -P {PEER} {large}"] if stays else []
        assert asked == [f"-u -v -P {PEER} {large}", *again, f"-u -vvv -P {PEER} {small}"]
        assert [reason for _one, reason in result.left] == ([CONFLICT] if stays else [])
    assert max(runner.limits) == 300 + 50


def test_only_what_is_below_a_directory_is_sent(member: Member) -> None:
    """A verification sends its own file, and nothing that somebody else is about to send."""
    member.mark("/var/probe", "/var/probe/n1", "/var/probed", "/srv/a")
    runner = Fake(member.takes())
    result = member.csync2(runner).exchange(paths=["/var/probe"], below="/var/probe")
    assert [one.file for one in result.sent] == ["/var/probe", "/var/probe/n1"]
    assert runner.asked == ["-cr /var/probe", f"-u -vvv -P {PEER} /var/probe /var/probe/n1"]


# --- what recorded outputs mean --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "file", "reason"),
    [
        ("conflict", "/srv/conf/f", CONFLICT),
        ("auto-lost", "/srv/conf/f", WAITING),
        ("auto-lost-removal", "/srv/conf/f", WAITING),
        ("wrong-key", "/opt/idp/conf/k1", DENIED),
        ("hung-up-at-once", "/srv/conf/b", f"idp2.gluu.org {HUNG_UP_AT_ONCE}"),
        ("refused", "/opt/idp/conf/k1", "idp2.gluu.org could not be reached: Can't create socket: Connection refused"),
        ("pin-differs", "/srv/conf/z", "idp2.gluu.org has another certificate than the one pinned here"),
    ],
)
def test_reasons(member: Member, name: str, file: str, reason: str) -> None:
    result, runner = member.meets(recorded(name), [file])
    assert result == Exchange([], [(Dirty(PEER, file, False), reason)])
    # A peer that hangs up at once may only be busy: it is asked again
    assert runner.asked == ["-cr /"] + [f"-u -vvv -P {PEER}"] * (8 if name == "hung-up-at-once" else 1)
    assert result.conflicts() == ([Dirty(PEER, file, False)] if reason == CONFLICT else [])
    assert result.failures() == ([] if reason in (CONFLICT, WAITING) else [Dirty(PEER, file, False)])


def test_reasons_of_the_other_direction() -> None:
    """A slave sends nothing, and a host whose certificate was changed is told so at its first file only."""
    assert reason_of(Dirty(ME, "/srv/conf/n", False), recorded("slave")) == SLAVE
    assert Exchange([], [(Dirty(ME, "/srv/conf/n", False), SLAVE)]).failures() == []
    for file in ("/srv/conf/c", "/srv/conf/later"):
        assert reason_of(Dirty(ME, file, False), recorded("not-accepted")) == UNKNOWN


def test_a_file_has_its_own_reason_and_not_anothers() -> None:
    said = recorded("conflict") + recorded("auto-lost").replace("/srv/conf/f", "/srv/conf/g")
    assert reason_of(Dirty(PEER, "/srv/conf/f", False), said) == CONFLICT
    assert reason_of(Dirty(PEER, "/srv/conf/g", False), said) == WAITING
    assert reason_of(Dirty(PEER, "/srv/conf", False), said) == ""
    assert reason_of(Dirty("idp3.gluu.org", "/srv/conf/f", False), said) == ""


def test_odd_names_and_other_answers() -> None:
    file = "/srv/(a)\n[b] \udcff"
    said = f"response from peer({file}): {PEER} [1] <- OK (cmd_finished).\nresponse from peer({file}): {PEER} [8] <- "
    assert reason_of(Dirty(PEER, file, False), f"{said}No space left on device\n") == (
        "the peer answered: No space left on device"
    )


def test_part_of_the_files_is_sent(member: Member) -> None:
    result, _runner = member.meets(recorded("conflict"), ["/srv/a", "/srv/conf/f"], sends=["/srv/a"])
    assert summary(result) == {
        "sent": [{"peer": PEER, "file": "/srv/a"}],
        "left": [{"peer": PEER, "file": "/srv/conf/f", "reason": CONFLICT}],
    }


def test_no_reason_given(member: Member) -> None:
    result, _runner = member.meets("Finished with 1 errors.\n", ["/srv/a"])
    assert [reason for _file, reason in result.left] == [NO_REASON]


def test_nothing_to_send_asks_no_peer(member: Member) -> None:
    result, runner = member.meets("", [])
    assert result == Exchange()
    assert runner.asked == ["-cr /"]


# --- peers that hang, refuse, or are busy ----------------------------------------------------------------------------


def test_peer_that_hangs_keeps_no_other_from_its_files(member: Member) -> None:
    """The recorded output ends where csync2 waits for ever; Runner ended it after the limit."""
    member.mark("/srv/a")
    member.mark("/srv/a", peer="idp3.gluu.org")

    def answer(arguments: list[str]) -> Outcome:
        if PEER in arguments:
            return Outcome(-15, stderr=recorded("paused").encode(), timed_out=True)
        member.clear(*(["/srv/a"] if "idp3.gluu.org" in arguments else []), peer="idp3.gluu.org")
        return Outcome(0)

    result = member.csync2(Fake(answer), limit=20).exchange()
    assert result.sent == [Dirty("idp3.gluu.org", "/srv/a", False)]
    assert result.left == [(Dirty(PEER, "/srv/a", False), "idp2.gluu.org gave no answer within 20 s")]


def test_time_limit_on_a_check_is_an_error(member: Member) -> None:
    csync2 = member.csync2(Fake(lambda _arguments: Outcome(-15, timed_out=True)), limit=7)
    with pytest.raises(ClusterkitError, match=rf"`csync2 -N {ME} -cr /` did not end within 7 s and was stopped"):
        csync2.check()


def test_busy_database_is_tried_again(member: Member) -> None:
    answers = [Outcome(1, stderr=BUSY), Outcome(1, stderr=BUSY), Outcome(0)]
    runner = Fake(lambda _arguments: answers.pop(0))
    member.csync2(runner).check()
    assert runner.asked == ["-cr /"] * 3
    assert len(member.waited) == 2
    assert 0 < member.waited[0] < 1


@pytest.mark.parametrize("call", [Csync2.check, Csync2.differences, Csync2.exchange])
def test_busy_database_is_not_tried_for_ever(member: Member, call: Callable[[Csync2], Any]) -> None:
    member.mark("/srv/a")
    runner = Fake(lambda arguments: Outcome(1, stderr=BUSY) if arguments[0] != "-cr" else Outcome(0))
    if call is Csync2.check:
        runner = Fake(lambda _arguments: Outcome(1, stderr=BUSY))
    with pytest.raises(ClusterkitError, match="found the database busy 8 times"):
        call(member.csync2(runner))
    assert len(member.waited) == 8


def test_one_run_at_a_time(member: Member) -> None:
    csync2 = member.csync2(Fake(lambda _arguments: Outcome(0)), limit=0.1)
    with exclusive(str(member.directory / "lock"), limit=0, what="another"):
        for call in (csync2.check, lambda: csync2.forget([PEER])):
            with pytest.raises(ClusterkitError, match="is locked by"):
                call()


def test_lock_is_free_while_csync2_is_waited_for(member: Member) -> None:
    answers = [Outcome(1, stderr=BUSY), Outcome(0)]
    csync2 = member.csync2(Fake(lambda _arguments: answers.pop(0)))

    def wait(seconds: float) -> None:
        with exclusive(str(member.directory / "lock"), limit=0):
            member.waited.append(seconds)

    csync2._wait = wait
    csync2.check()
    assert len(member.waited) == 1


# --- winner, known conflicts, many names -----------------------------------------------------------------------------


def test_winner_replaces_what_is_in_conflict(member: Member) -> None:
    member.mark("/srv/conf/f", "/srv/conf/g", "/srv/other")
    answers = [recorded("conflict") + recorded("auto-lost").replace("/srv/conf/f", "/srv/conf/g"), ""]

    def answer(arguments: list[str]) -> Outcome:
        if arguments[0] != "-u":
            return Outcome(0)
        if len(answers) == 1:
            member.clear("/srv/conf/f", "/srv/conf/g")
        return Outcome(1, stderr=answers.pop(0).encode())

    runner = Fake(answer)
    result = member.csync2(runner).exchange(winner=True)
    assert runner.asked == [
        "-cr /",
        f"-u -vvv -P {PEER}",
        "-f /srv/conf/f",
        "-f /srv/conf/g",
        f"-u -vvv -P {PEER}",
    ]
    assert [one.file for one in result.sent] == ["/srv/conf/f", "/srv/conf/g"]
    assert [(one.file, reason) for one, reason in result.left] == [("/srv/other", NO_REASON)]


def test_known_conflicts_are_left_alone(member: Member) -> None:
    member.mark("/srv/a", "/srv/b", "/srv/known")
    member.mark("/srv/known", peer="idp3.gluu.org")
    runner = Fake(lambda arguments: member.clear(*arguments[4:]) or Outcome(0))
    known = {Dirty(PEER, "/srv/known", False), Dirty("idp3.gluu.org", "/srv/known", False)}
    result = member.csync2(runner).exchange(paths=["/srv/a"], without=known)
    assert runner.asked == ["-cr /srv/a", f"-u -vvv -P {PEER} /srv/a /srv/b"]
    assert [one.file for one in result.sent] == ["/srv/a", "/srv/b"]
    assert set(result.conflicts()) == known


def test_conflict_that_was_decided_is_tried_again(member: Member) -> None:
    member.change("INSERT INTO dirty VALUES ('/srv/known', 1, ?, ?)", (ME, PEER))
    runner = Fake(lambda _arguments: Outcome(0))
    member.csync2(runner).exchange(without={Dirty(PEER, "/srv/known", False)})
    assert runner.asked == ["-cr /", f"-u -vvv -P {PEER}"]


def test_many_names_go_in_several_runs(member: Member, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync, "_MANY_NAMES", 2)
    member.mark("/1", "/2", "/3", "/known")
    runner = Fake(lambda arguments: member.clear(*arguments[4:]) or Outcome(0))
    result = member.csync2(runner).exchange(without={Dirty(PEER, "/known", False)})
    assert runner.asked[1:] == [f"-u -vvv -P {PEER} /1 /2", f"-u -vvv -P {PEER} /3"]
    assert [one.file for one in result.sent] == ["/1", "/2", "/3"]


# --- what else a member does -----------------------------------------------------------------------------------------


def test_files_are_recorded_once(member: Member) -> None:
    def answer(_arguments: list[str]) -> Outcome:
        member.change("INSERT INTO file VALUES (?, '')", *((f"/{number}",) for number in range(3)))
        return Outcome(0)

    runner = Fake(answer)
    csync2 = member.csync2(runner)
    assert csync2.record_if_new() is True
    assert csync2.record_if_new() is False
    assert runner.asked == ["-cIr /"]


def test_member_without_a_database(tmp_path: Path) -> None:
    csync2 = Csync2(ME, Fake(lambda _arguments: Outcome(0)), database_directory=str(tmp_path), lock=str(tmp_path / "l"))
    assert csync2.database() is None
    assert csync2.recorded() is False and csync2.met() == [] and csync2.newcomers([PEER]) == [PEER]
    assert csync2.exchange() == Exchange()
    assert csync2.outdated_pins({PEER: ""}) == []


def test_differences(member: Member) -> None:
    said = (RECORDED / "differences.txt").read_text().partition("--- stdout\n")[2].partition("\n\n")[0]
    runner = Fake(lambda _arguments: Outcome(0, stdout=said.encode()))
    assert member.csync2(runner).differences() == [
        Difference(PEER, "/etc/csync2.cfg", "both"),
        Difference(PEER, "/opt/idp/metadata/n1only", "here only"),
        Difference(PEER, "/opt/idp/metadata/n2only", "peer only"),
    ]
    assert member.csync2(Fake(lambda _arguments: Outcome(2))).differences() == []
    failing = Fake(lambda _arguments: Outcome(1, stderr=b"ERROR: Connection to remote host `x' failed.\n"))
    with pytest.raises(ClusterkitError, match="-Tv` ended with 1: ERROR: Connection to remote host `x' failed"):
        member.csync2(failing).differences()


def test_unknown_name(member: Member) -> None:
    said = f"This host ({ME}) is not a member of any configured group.\n"
    with pytest.raises(ClusterkitError) as caught:
        member.csync2(Fake(lambda _arguments: Outcome(1, stderr=said.encode()))).check()
    assert str(caught.value) == f"`csync2 -N {ME} -cr /` ended with 1: {said.strip()}"


def test_outdated_pins(member: Member) -> None:
    member.change("INSERT INTO x509_cert VALUES (?, 'AA')", ("n2",), ("n3",), ("n4",))
    csync2 = member.csync2(Fake(lambda _arguments: Outcome(0)))
    pin = (csync2.database() or pytest.fail("no database")).pins["n2"]
    assert csync2.outdated_pins({"N2": pin, "n3": "0" * 64, "unknown": "1" * 64}) == ["n3"]
    assert csync2.outdated_pins({"n2": pin, "n4": ""}) == ["n4"]
    csync2.forget(["n4"])
    assert sorted((csync2.database() or pytest.fail("no database")).pins) == ["n2", "n3"]


@pytest.mark.parametrize("fingerprint", ["AA" * 32, "aa:" * 31 + "aa", "abc", None])
def test_fingerprints_that_could_never_be_a_pin(member: Member, fingerprint: Any) -> None:
    with pytest.raises(ClusterkitError, match=r"the fingerprint of n2 is .*: write SHA-256 as 64 digits in lower case"):
        member.csync2(Fake(lambda _arguments: Outcome(0))).outdated_pins({"n2": fingerprint})


def test_version(member: Member) -> None:
    class Says(Runner):
        def execute(self, argv: list[str], *_arguments: Any) -> Outcome:
            said = b"csync2: invalid option -- '-'\n\ncsync2 2.1-0rc1 - cluster synchronization tool, 2nd generation\n"
            return Outcome(1, stderr=said) if argv == ["csync2", "--version"] else Outcome(0)

    assert member.csync2(Says()).version() == "2.1-0rc1"
    assert Csync2(ME, Says(), binary="other").version() == ""


# --- the key ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["wrong-key", "auto-lost", "auto-lost-removal", "conflict", "slave"])
def test_no_key_and_no_content_in_any_text(member: Member, name: str) -> None:
    """-vvv shows the key in each command to the peer, and the changed parts of files."""
    said = recorded(name)
    keys = set(re.findall(r"Local> [A-Z]+ (\S{64}) ", said))
    assert len(keys) == 1
    lines = said.splitlines()
    for end in range(len(lines)):
        shown = last_words("\n".join(lines[: end + 1]))
        assert not any(key in shown for key in keys)
        assert "Local>" not in shown
        assert "Peer>" not in shown
    # Killed by a signal, however much it had said
    member.mark("/srv/conf/f")
    killed = Fake(lambda arguments: Outcome(-11, stderr=said.encode()) if arguments[0] == "-u" else Outcome(0))
    texts = [repr(summary(member.csync2(killed).exchange()))]
    # Ended at the time limit
    slow = Fake(lambda arguments: Outcome(-15, b"", said.encode(), arguments[0] == "-u"))
    slow.answer = lambda arguments: Outcome(-15, b"", said.encode(), True) if arguments[0] == "-u" else Outcome(0)
    texts.append(repr(summary(member.csync2(slow).exchange())))
    assert not any(key in text for key in keys for text in texts)


def test_last_words() -> None:
    assert last_words("") == "no output"
    assert last_words(
        "SQL: x\n one \n\ntwo\nthree\nauto resolving... response = 10Local> DEL k /f\nfour\nConnection closed.\n"
    ) == ("two; three; four")
