# SPDX-License-Identifier: GPL-3.0-or-later
"""What `make test` counts: a test runner whose sums are wrong makes every other gate worthless."""

from __future__ import annotations

import pathlib
import re
import sys
import time

import pytest

from lab import environment
from tests import run
from tests.gates import tree

LOG = """\
INFO     [csync2 > syntax] Executing
INFO     [csync2 > syntax] Executed: Successful
WARNING  [csync2 > cleanup] Executed: Missing playbook (Remove from test_sequence to suppress)
INFO     [csync2 > verify] Executed: Successful
INFO     [csync2 > side_effect] Executed: 2 successful, 1 failed
ERROR    [csync2 > verify] Executed: Failed
DETAILS
csync2 ➜ syntax: Executed: Successful
"""


@pytest.fixture
def reports(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """Let the runner work in an empty directory."""
    monkeypatch.setattr(run, "REPORTS", tmp_path)
    monkeypatch.setattr(run, "BUILD", tmp_path)
    monkeypatch.setattr(run, "ROOT", tmp_path)
    return tmp_path


def part(reports: pathlib.Path, tests: str, limit: float = 60, name: str = "x") -> run.Part:
    """Return a part that runs these tests."""
    sample = reports / f"test_sample_{name}.py"
    sample.write_text(tests, encoding="utf-8")
    # The sample's root, wherever temporary files are: ids begin there
    (reports / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    argv = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", sample.name, f"--junitxml={reports}/{name}.xml")
    return run.Part(name, argv, budget=60, limit=limit)


def test_steps_of_a_scenario() -> None:
    """Each step that ran counts once, the last verify through its tests."""
    assert run.molecule_steps(LOG.splitlines(), verified_by_tests=False) == [True, True, False, False]
    assert run.molecule_steps(LOG.splitlines(), verified_by_tests=True) == [True, True, False]


def test_counts(reports: pathlib.Path) -> None:
    """Passed, failed and skipped tests are told apart; a skip has an id."""
    tests = "import pytest\ndef test_a(): pass\ndef test_b(): assert 0\ndef test_c(): pytest.skip('why')\n"
    outcome = run.run(part(reports, tests))
    assert (outcome.passed, outcome.failed, outcome.skipped) == (1, 1, ["x::test_sample_x::test_c"])
    assert outcome.failures == ["x::test_sample_x::test_b"]


@pytest.mark.parametrize("tests", ["", "import absent\n", "import os\ndef test_a(): os._exit(0)\n"])
def test_nothing_ran_is_a_failure(reports: pathlib.Path, tests: str) -> None:
    """No test, an import error and a runner that vanished are failures."""
    assert run.run(part(reports, tests)).failed == 1


def test_time_limit(reports: pathlib.Path) -> None:
    """A part that hangs is stopped with all its children, and has failed."""
    tests = "import subprocess\ndef test_a(): subprocess.run(['sh', '-c', 'echo $$ > child; exec sleep 600'])\n"
    outcome = run.run(part(reports, tests, limit=8))
    assert outcome.failed == 1
    assert "limit" in outcome.remark
    child = (reports / "child").read_text(encoding="ascii").strip()
    # A killed process goes when the kernel next runs it, which on a busy machine is not at once
    end = time.monotonic() + 10
    while _lives(child):
        assert time.monotonic() < end, "the child of a stopped part lives on"
        time.sleep(0.05)


#: Passes only while the other part runs.
MEETS = """
import pathlib, time
def test_meets():
    pathlib.Path({own!r}).touch()
    end = time.monotonic() + 30
    while not pathlib.Path({other!r}).exists():
        assert time.monotonic() < end
        time.sleep(0.05)
"""
#: Fails at its first run alone, if at all.
FAILS_ONCE = """
import pathlib
def test_a():
    known = pathlib.Path('was-here')
    again = known.exists()
    known.touch()
    assert again
"""


def test_two_parts_run_at_a_time(reports: pathlib.Path) -> None:
    """Each of two parts sees the other one run; each has a directory for temporary files of its own."""
    one = part(reports, MEETS.format(own="a", other="b"), name="one")
    two = part(reports, MEETS.format(own="b", other="a"), name="two")
    assert [outcome.passed for outcome in run.run_all([one, two], 2, ignore).values()] == [1, 1]
    assert run.environment(one)["TMPDIR"] != run.environment(two)["TMPDIR"]


def test_what_failed_beside_another_part_is_repeated_alone(
    reports: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What passes alone has passed, and the summary names it as unsteady; what fails alone as well has failed."""
    wavering = part(reports, FAILS_ONCE, name="wavering")
    failing = part(reports, "def test_b(): assert 0\n", name="failing")
    ended: list[str] = []
    outcomes = run.run_all([wavering, failing], 2, lambda name, _outcome: ended.append(name))
    assert sorted(ended[:2]) == ["failing", "wavering"] and ended[2:] == ["wavering", "failing", "failing"]
    assert (outcomes["wavering"].passed, outcomes["wavering"].failed) == (1, 0)
    assert outcomes["wavering"].unsteady == ["wavering::test_sample_wavering::test_a"]
    assert outcomes["failing"].failed == 1
    assert run.summarise(outcomes, 1.0) == 1
    said = capsys.readouterr().out
    unsteady = "UNSTEADY, passed only when it was repeated: wavering::test_sample_wavering::test_a\n      assert False"
    assert unsteady in said
    assert "failed: failing::test_sample_failing::test_b\n      assert 0" in said
    assert (reports / "wavering.beside.log").exists()


@pytest.mark.parametrize(("lanes", "number"), [(1, 1), (2, run.REPEATED + 1)])
def test_what_failed_alone_or_with_many_others_has_failed(reports: pathlib.Path, lanes: int, number: int) -> None:
    """Nothing is repeated that failed alone, and nothing where so much fails that the load is no explanation."""
    parts = [part(reports, FAILS_ONCE.replace("was-here", f"was-{one}"), name=f"p{one}") for one in range(number)]
    assert sum(outcome.failed for outcome in run.run_all(parts, lanes, ignore).values()) == number


def test_a_test_that_passed_once_has_passed(reports: pathlib.Path) -> None:
    """Where each run of a part fails by another test, none has failed, and all are named."""
    fails_twice = (
        FAILS_ONCE.replace("test_a", "test_c").replace("was-here", "c").replace("assert again", "assert not again")
    )
    one = part(reports, FAILS_ONCE + fails_twice)
    other = part(reports, "def test_b(): pass\n", name="other")
    outcome = run.run_all([one, other], 2, ignore)[one.name]
    assert (outcome.passed, outcome.failed, len(outcome.unsteady)) == (2, 0, 2)


def ignore(_name: str, _outcome: run.Outcome) -> None:
    """Nobody wants to know at once."""


def _lives(pid: str) -> bool:
    try:
        return "State:\tZ" not in pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_an_environment_that_is_missing_is_a_failure(reports: pathlib.Path) -> None:
    """A part whose interpreter is not there fails, and says how to get it."""
    outcome = run.run(run.core_part(reports / "venv-core-1.0"))
    assert (outcome.passed, outcome.failed) == (0, 1)
    assert "lab setup --deep" in outcome.remark


def test_the_deep_tier_has_the_oldest_core() -> None:
    """`make test-deep` runs with the ansible-core that meta/runtime.yml names, in the environment that lab/ makes."""
    (part, *_scenarios) = run.all_parts(deep=True)
    assert environment.OLDEST_CORE.directory == run.OLDEST_CORE
    assert part.name == f"core-{declared_core()}"
    assert f"\nansible-core=={declared_core()}." in "\n" + tree.text_of(environment.OLDEST_CORE.lock_file)


def declared_core() -> str:
    """Return the oldest ansible-core that the collection declares, as 2.N."""
    (number,) = re.findall(r">=\s*(\d+\.\d+)", tree.load(tree.ROOT / "meta" / "runtime.yml")["requires_ansible"])
    return str(number)


def test_parts_are_chosen_by_name() -> None:
    """Parts of both tiers can be run alone; a name that is none is answered with those that are."""
    assert [part.name for part in run.chosen_parts(["units", "core-2.16"], deep=False)] == ["units", "core-2.16"]
    with pytest.raises(
        ValueError, match=r"no part unit: there are static, units, faults, core-2\.16, faults-deep and scenario NAME"
    ):
        run.chosen_parts(["unit"], deep=False)


def test_what_is_marked_deep_in_a_core_scenario_runs_in_the_deep_tier() -> None:
    """Both tiers make its cluster; each runs its own tests of it, and the results have a line of their own."""
    core = next(part for part in run.all_parts(deep=False) if part.scenario == "csync2_options")
    deep = next(part for part in run.all_parts(deep=True) if part.scenario == "csync2_options")
    assert (core.name, core.tier) == ("scenario-csync2_options", "core")
    assert (deep.name, deep.tier) == ("scenario-csync2_options-deep", "deep")
    assert core.log != deep.log and core.junit != deep.junit
    assert run.environment(deep)["CLUSTERKIT_TIER"] == "deep"
    assert run.chosen_parts(["scenario", "csync2_options"], deep=True) == [deep]


def test_a_part_of_the_deep_tier_renews_its_own_line(reports: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was found of the other parts stays, and the order is that of the tier."""
    monkeypatch.setattr(run, "DEEP_RESULTS", reports / "deep.md")
    (reports / "deep.md").write_text("- Python 3.11.7, core-2.16: ansible core 2.16.19\n", encoding="utf-8")
    names = [one.name for one in run.all_parts(deep=True)][:2]
    run.renew_deep_results({names[1]: run.Outcome(passed=1)})
    run.renew_deep_results({names[0]: run.Outcome(passed=2), names[1]: run.Outcome(passed=3, failed=4)})
    run.renew_deep_results({names[0]: run.Outcome(passed=5)})
    text = (reports / "deep.md").read_text(encoding="utf-8")
    assert "core-2.16: ansible core 2.16.19\n" in text, "known from a time when that environment was there"
    lines = [line.split("|") for line in text.splitlines()]
    found = [(cells[1].strip(), cells[4].strip(), cells[5].strip()) for cells in lines if len(cells) == 10][2:]
    assert found == [(names[0], "5", "0"), (names[1], "3", "4")]


def test_programs_of_a_part_are_its_own() -> None:
    """What a part starts by name comes from the environment of its interpreter."""
    path = run.environment(run.core_part(run.OLDEST_CORE))["PATH"]
    assert path.split(":")[0] == str(run.OLDEST_CORE / "bin")


def test_skips_need_a_reason(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A skip is expected only when the committed list names it with a reason."""
    listed = tmp_path / "skips.yml"
    listed.write_text("- {id: 'x::*[a]', reason: no such kernel}\n- {id: 'y::*'}\n", encoding="utf-8")
    monkeypatch.setattr(run, "EXPECTED_SKIPS", listed)
    assert run.unexpected_skips(["x::t::b[a]", "x::t::ba", "y::t::c"]) == ["x::t::ba", "y::t::c"]


@pytest.mark.parametrize(
    ("outcome", "line", "code"),
    [
        (run.Outcome(passed=3), "3 passed, 0 failed, 0 skipped", 0),
        (run.Outcome(passed=3, failed=1), "3 passed, 1 failed, 0 skipped", 1),
        (run.Outcome(passed=3, skipped=["x::unheard::of"]), "3 passed, 0 failed, 1 skipped", 1),
        (run.Outcome(), "0 passed, 0 failed, 0 skipped", 1),
    ],
)
def test_closing_line(outcome: run.Outcome, line: str, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    """The last line sums up; the exit code is 0 only when something ran, nothing failed and each skip is explained."""
    assert run.summarise({"x": outcome}, 1.0) == code
    assert capsys.readouterr().out.splitlines()[-1] == line
