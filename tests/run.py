# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the tests part by part, and end with one line that sums up all runners: `N passed, M failed, K skipped`.

The core tier is the static gates, the unit tests, the faults and every molecule scenario but the deep ones; a scenario
is deep when its name begins with `deep_`, a test by its marker, also one of a core scenario: the deep tier makes that
scenario's cluster again and runs what is marked. And once more, with the oldest ansible-core that the collection
declares, what needs no nodes. Each part has a time limit, a budget, and its whole
output in build/reports/PART.log.

Parts of the core tier run two at a time (LANES in the environment says otherwise): most of a scenario is waiting. What
fails beside another part is repeated alone once all have ended, and that counts: two parts on two cores may starve each
other. What fails alone as well is repeated once more as long as there is time. A test has failed when it never passed;
one that passed only when it was repeated is named as unsteady in the summary, with what it said: that is a fault of the
test or of the code.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import itertools
import os
import pathlib
import platform
import queue
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn
from xml.etree import ElementTree

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD = ROOT / "build"
REPORTS = BUILD / "reports"
DEEP_RESULTS = ROOT / "docs" / "results" / "deep.md"
EXPECTED_SKIPS = ROOT / "tests" / "expected_skips.yml"
DEEP = "deep_"
#: The environment of the oldest ansible-core that meta/runtime.yml declares; `python3 -m lab setup --deep` makes it.
OLDEST_CORE = BUILD / "venv-core-2.16"
#: Seconds between two signs of life, lines of a log that a failure shows, and seconds that SIGTERM gets before SIGKILL.
HEARTBEAT, TAIL, GRACE = 15.0, 60, 10.0
#: Parts that run at a time, and how many that failed beside another one are repeated alone, how often at most.
LANES, REPEATED, TRIES = 2, 4, 2
#: Seconds since the start after which nothing is repeated for the second time: whoever runs this has limits as well.
REPEATED_UNTIL = 4200.0
#: Characters that the summary shows of what a failed test said.
REASON = 400
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
#: Set when everything has to end.
stopping = threading.Event()


@dataclasses.dataclass(frozen=True)
class Part:
    """One runner's share of the tests."""

    name: str
    argv: tuple[str, ...]
    #: Seconds: it should take no longer, and is stopped after `limit`.
    budget: float
    limit: float
    scenario: str = ""
    #: Which of a scenario's tests run: those marked deep, or the others (molecule/conftest.py).
    tier: str = "core"

    @property
    def log(self) -> pathlib.Path:
        """Where its output goes."""
        return REPORTS / f"{self.name}.log"

    @property
    def junit(self) -> pathlib.Path:
        """Where its test runner writes its results."""
        return REPORTS / f"{self.name}.xml"

    @property
    def room(self) -> pathlib.Path:
        """Where its temporary files are: what one part leaves must not be found by another."""
        return BUILD / "tmp" / self.name


@dataclasses.dataclass
class Outcome:
    """What came of a part; `failures` and `skipped` hold ids."""

    passed: int = 0
    failed: int = 0
    failures: list[str] = dataclasses.field(default_factory=list)
    skipped: list[str] = dataclasses.field(default_factory=list)
    seconds: float = 0
    remark: str = ""
    #: What failed, and passed when the part was repeated.
    unsteady: list[str] = dataclasses.field(default_factory=list)
    #: What failed tests said, by id.
    reasons: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def whole(self) -> bool:
        """Whether all of its tests ran: nothing failed but tests."""
        return bool(self.passed) and self.failed == len(self.failures)

    def __str__(self) -> str:
        counts = f"{self.passed:5} passed {self.failed:3} failed {len(self.skipped):3} skipped  {self.seconds:6.1f} s"
        return f"{counts}  {self.remark}".rstrip()


# --- what there is to run --------------------------------------------------------------------------------------------


def tool(name: str) -> str:
    """Return the path of a program of the environment that runs this."""
    return str(pathlib.Path(sys.executable).with_name(name))


def pytest_part(name: str, directory: str, *options: str, budget: float, limit: float = 900) -> Part:
    """Return the part that runs the tests of a directory."""
    argv = (sys.executable, "-m", "pytest", directory, f"--junitxml={REPORTS / name}.xml", "--durations=15", *options)
    return Part(name, argv, budget, limit)


def core_part(directory: pathlib.Path) -> Part:
    """Return the part that runs with another ansible-core: the plugins' unit tests, and every playbook installed."""
    name = directory.name.removeprefix("venv-")
    what = ("tests/unit/plugins", "tests/gates/test_installed.py")
    argv = (str(directory / "bin" / "python"), "-m", "pytest", *what, f"--junitxml={REPORTS / name}.xml")
    return Part(name, argv, budget=180, limit=900)


def scenario_part(name: str, *, deep: bool) -> Part:
    """Return the part that runs a molecule scenario, or with `deep` what the deep tier runs of it."""
    argv = (tool("molecule"), "test", "--scenario-name", name)
    part = Part(f"scenario-{name}", argv, budget=300, limit=1800, scenario=name)
    if name.startswith(DEEP):
        return dataclasses.replace(part, budget=1800, limit=7200)
    if deep:
        return dataclasses.replace(part, name=f"{part.name}-deep", budget=900, limit=3600, tier="deep")
    return part


def scenarios() -> list[str]:
    """Return the names of all scenarios."""
    return sorted(path.parent.name for path in (ROOT / "molecule").glob("*/molecule.yml"))


def has_deep_tests(scenario: str) -> bool:
    """Tell whether a scenario has something for the deep tier."""
    tests = (ROOT / "molecule" / scenario / "tests").glob("test_*.py")
    return scenario.startswith(DEEP) or any("pytest.mark.deep" in path.read_text(encoding="utf-8") for path in tests)


def all_parts(*, deep: bool) -> list[Part]:
    """Return the parts of a tier in the order they run: what is quick and finds most comes first."""
    if deep:
        return [
            core_part(OLDEST_CORE),
            # Each story is thousands of runs on a ground of its own
            pytest_part("faults-deep", "tests/faults", "-m", "deep", "--numprocesses=2", budget=3600, limit=10800),
            *(scenario_part(name, deep=True) for name in scenarios() if has_deep_tests(name)),
        ]
    return [
        # A file goes to one worker, so that what its tests share is made once
        pytest_part("static", "tests/gates", "--numprocesses=2", "--dist=loadfile", budget=120, limit=2400),
        pytest_part("units", "tests/unit", budget=120),
        pytest_part("faults", "tests/faults", "-m", "not deep", budget=240),
        *(scenario_part(name, deep=False) for name in scenarios() if not name.startswith(DEEP)),
    ]


def chosen_parts(only: Sequence[str], *, deep: bool) -> list[Part]:
    """Return the parts that the command line asks for. Raises ValueError with what would be right."""
    if not only:
        return all_parts(deep=deep)
    if only[0] == "scenario":
        unknown = sorted(set(only[1:]) - set(scenarios()))
        if unknown or not only[1:]:
            raise ValueError(
                f"no scenario {', '.join(unknown) or 'named'}: there are {', '.join(scenarios()) or 'none'}"
            )
        return [scenario_part(name, deep=deep and has_deep_tests(name)) for name in only[1:]]
    others = {part.name: part for tier in (False, True) for part in all_parts(deep=tier) if not part.scenario}
    if unknown := sorted(set(only) - set(others)):
        raise ValueError(f"no part {', '.join(unknown)}: there are {', '.join(others)} and scenario NAME")
    return [others[name] for name in only]


# --- running ---------------------------------------------------------------------------------------------------------


def environment(part: Part) -> dict[str, str]:
    """Return what a part finds in its environment: its own programs, the project's collection, output for a log."""
    # What ansible-test and molecule keep for the next run stays in the usual place; a scenario's own does not
    own = {"ANSIBLE_HOME": str(part.room / "ansible")} if part.scenario else {}
    return {
        **os.environ,
        **own,
        # Compiled once, not in each of thousands of runs of Ansible, whatever the caller's environment says
        "PYTHONDONTWRITEBYTECODE": "",
        "TMPDIR": str(part.room),
        "PATH": f"{pathlib.Path(part.argv[0]).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "ANSIBLE_COLLECTIONS_PATH": str(BUILD / "collections"),
        "ANSIBLE_PIPELINING": "1",
        "ANSIBLE_NOCOLOR": "1",
        "NO_COLOR": "1",
        "PY_COLORS": "0",
        # Wide lines, so that molecule does not break them
        "COLUMNS": "200",
        "HYPOTHESIS_STORAGE_DIRECTORY": str(BUILD / "cache" / "hypothesis"),
        # What molecule's verifier writes its results to (verifier.options.junitxml of each scenario)
        "CLUSTERKIT_JUNIT": str(part.junit),
        "CLUSTERKIT_TIER": part.tier,
    }


def run(part: Part) -> Outcome:
    """Run one part to its end or its time limit, showing that it lives."""
    for path in (part.log, part.junit):
        path.unlink(missing_ok=True)
    shutil.rmtree(part.room, ignore_errors=True)
    part.room.mkdir(parents=True)
    print(f"── {part.name} (budget {part.budget:.0f} s)", flush=True)
    began = time.monotonic()
    if not pathlib.Path(part.argv[0]).exists():
        outcome = Outcome(failed=1, remark=f"no {part.argv[0]}: run `python3 -m lab setup --deep`")
        print(f"── {part.name}: {outcome}", flush=True)
        return outcome
    with part.log.open("w", encoding="utf-8") as log:
        code = _run_group(part.argv, part, log, part.limit)
        if code is None and part.scenario:
            # molecule was stopped before it could remove its nodes
            _run_group((tool("molecule"), "destroy", "--scenario-name", part.scenario), part, log, 300, to_its_end=True)
    outcome = _count(part, code)
    outcome.seconds = time.monotonic() - began
    if code is None:
        outcome.remark = "interrupted" if stopping.is_set() else f"stopped after its limit of {part.limit:.0f} s"
    elif outcome.seconds > part.budget:
        outcome.remark = f"WARNING: over its budget of {part.budget:.0f} s"
    tail = [f"   | {line}" for line in _lines(part.log)[-TAIL:]] if outcome.failed else []
    if tail:
        tail.insert(0, f"   the last {TAIL} lines of {part.log.relative_to(ROOT)}:")
    # In one piece, since the other lane prints as well
    print("\n".join([*tail, f"── {part.name}: {outcome}"]), flush=True)
    return outcome


def _run_group(argv: Sequence[str], part: Part, log: Any, limit: float, *, to_its_end: bool = False) -> int | None:
    """Run a command in a process group of its own; return its exit code, or nothing when it had to be stopped."""
    began = shown = time.monotonic()
    process = subprocess.Popen(
        argv,
        cwd=ROOT,
        env=environment(part),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    try:
        while (elapsed := time.monotonic() - began) < limit and (to_its_end or not stopping.is_set()):
            try:
                return process.wait(timeout=min(1.0, limit - elapsed))
            except subprocess.TimeoutExpired:
                if time.monotonic() - shown >= HEARTBEAT:
                    shown = time.monotonic()
                    last = next((line for line in reversed(_lines(part.log)) if line.strip()), "no output yet")
                    print(f"   {part.name} {shown - began:4.0f} s  {last.strip()[:100]}", flush=True)
        return None
    finally:
        _stop(process)


def run_all(parts: Sequence[Part], lanes: int, ended: Callable[[str, Outcome], None]) -> dict[str, Outcome]:
    """Run the parts, `lanes` at a time, and return what came of each, in their order; `ended` is told of each at once.

    With more than one lane, up to REPEATED of those that failed are repeated alone, and that result counts.
    """
    began = time.monotonic()
    waiting: queue.SimpleQueue[Part] = queue.SimpleQueue()
    for part in parts:
        waiting.put(part)
    outcomes: dict[str, Outcome] = {}

    def work() -> None:
        while not stopping.is_set():
            try:
                part = waiting.get_nowait()
            except queue.Empty:
                return
            outcomes[part.name] = run(part)
            if not stopping.is_set():
                ended(part.name, outcomes[part.name])

    workers = [threading.Thread(target=work, name=f"lane {number}") for number in range(lanes)]
    try:
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        failed = [part for part in parts if outcomes[part.name].failed]
        if lanes > 1 and len(parts) > 1 and len(failed) <= REPEATED:
            for number, part in itertools.product(range(TRIES), failed):
                late = number and time.monotonic() - began > REPEATED_UNTIL
                if outcomes[part.name].failed and not late:
                    outcomes[part.name] = repeated_alone(part, outcomes[part.name])
                    ended(part.name, outcomes[part.name])
    except KeyboardInterrupt:
        stopping.set()
        for worker in workers:
            worker.join()
    return {part.name: outcomes[part.name] for part in parts if part.name in outcomes}


def repeated_alone(part: Part, before: Outcome) -> Outcome:
    """Run a part again that failed; the log of its failure is kept as PART.beside.log."""
    print(f"\n── {part.name} failed; it is repeated alone, and that counts", flush=True)
    if part.log.exists():
        part.log.replace(REPORTS / f"{part.name}.beside.log")
    again = run(part)
    again.seconds += before.seconds
    again.reasons = {**before.reasons, **again.reasons}
    unsteady = {
        *before.unsteady,
        *(before.failures or [f"{part.name}: {before.remark or 'a step of molecule failed'}"]),
    }
    # Where both ran whole, a test that failed once has passed once
    if before.whole and again.whole:
        steady = [one for one in again.failures if one in before.failures]
        unsteady |= set(again.failures)
        again.passed += len(again.failures) - len(steady)
        again.failures, again.failed = steady, len(steady)
    again.unsteady = sorted(unsteady - set(again.failures))
    return again


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End whatever is left of a process group."""
    for number, patience in ((signal.SIGTERM, GRACE), (signal.SIGKILL, GRACE)):
        try:
            os.killpg(process.pid, number)
            process.wait(timeout=patience)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue


def _lines(path: pathlib.Path) -> list[str]:
    return COLOURS.sub("", path.read_text(encoding="utf-8", errors="replace")).splitlines()


# --- counting --------------------------------------------------------------------------------------------------------


def _count(part: Part, code: int | None) -> Outcome:
    """Count what a part ran. One that failed without a failed test to show, or ran nothing, counts as one failure."""
    outcome = Outcome()
    tests = list(_junit_cases(part))
    for identity, result, said in tests:
        outcome.passed += result == "passed"
        if result == "failed":
            outcome.failed += 1
            outcome.failures.append(identity)
            outcome.reasons[identity] = said
        if result == "skipped":
            outcome.skipped.append(identity)
    if part.scenario:
        for passed in molecule_steps(_lines(part.log), verified_by_tests=bool(tests)):
            outcome.passed += passed
            outcome.failed += not passed
    if not outcome.failed and (code != 0 or not (outcome.passed or outcome.skipped)):
        outcome.failed = 1
        outcome.remark = "it ran nothing" if code == 0 else f"it ended with {code}"
    return outcome


def _junit_cases(part: Part) -> Iterator[tuple[str, str, str]]:
    """Walk over the ids and results of the tests that a runner wrote down, and what they said."""
    try:
        root = ElementTree.parse(part.junit).getroot()  # noqa: S314 - it reads what our own test runners wrote
    except (FileNotFoundError, ElementTree.ParseError):
        return
    for case in root.iter("testcase"):
        kinds = {child.tag for child in case}
        result = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
        said = " ".join(child.get("message", "") for child in case if child.tag in ("failure", "error"))
        yield f"{part.name}::{case.get('classname')}::{case.get('name')}", result, " ".join(said.split())


def molecule_steps(lines: Sequence[str], *, verified_by_tests: bool) -> list[bool]:
    """Return, for each step of a scenario that ran, whether it passed; a step without a playbook did not run.

    The last `verify` is not counted when its tests are: they are what it did.
    """
    steps: list[tuple[str, bool]] = []
    for line in lines:
        step = re.match(r"(?:INFO|WARNING|ERROR)\s+\[.* > (\w+)\] Executed: (.*)", line)
        if step and re.search(r"(?i)successful|failed", step[2]):
            steps.append((step[1], not re.search(r"(?i)failed", step[2])))
    verifications = [number for number, (name, _passed) in enumerate(steps) if name == "verify"]
    if verifications and verified_by_tests:
        del steps[verifications[-1]]
    return [passed for _name, passed in steps]


def unexpected_skips(skipped: Sequence[str]) -> list[str]:
    """Return the skips that no entry of the committed list explains."""
    entries = yaml.safe_load(EXPECTED_SKIPS.read_text(encoding="utf-8")) or []
    patterns = [
        re.escape(str(entry["id"])).replace(r"\*", ".*") for entry in entries if str(entry.get("reason") or "").strip()
    ]
    return [identity for identity in skipped if not any(re.fullmatch(pattern, identity) for pattern in patterns)]


# --- reporting -------------------------------------------------------------------------------------------------------


def renew_deep_results(outcomes: dict[str, Outcome]) -> None:
    """Write down what parts of the deep tier found, when and of which commit; what is known of the others stays."""
    now = datetime.datetime.now(tz=datetime.UTC)
    git = ["git", "-C", str(ROOT)]
    done = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    quiet = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    # But for what this writes: the next part's line tells of the same commit
    look = [*git, "status", "--porcelain", "--", ".", f":(exclude){DEEP_RESULTS.parent.relative_to(ROOT)}"]
    status = subprocess.run(look, capture_output=True, text=True, check=False, env=quiet)
    commit = done.stdout[:12] + (" with local changes" if status.stdout.strip() else "")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    system = platform.freedesktop_os_release().get("PRETTY_NAME", "unknown system")
    rows = dict(_deep_rows())
    for name, one in outcomes.items():
        rows[name] = (
            f"| {name} | {now:%Y-%m-%d %H:%M} | {commit} | "
            f"{one.passed} | {one.failed} | {len(one.skipped)} | {one.seconds:.0f} | {one.remark} |"
        )
    order = [part.name for part in all_parts(deep=True)]
    oldest = core_part(OLDEST_CORE)
    known = (
        re.search(rf"{re.escape(oldest.name)}: (.+)", DEEP_RESULTS.read_text("utf-8"))
        if DEEP_RESULTS.exists()
        else None
    )
    # Where that environment was not made, the line of its part is of an earlier time, and so is its version
    version = _ansible_version(pathlib.Path(oldest.argv[0])) or (known[1] if known else "not installed")
    lines = [
        "# Deep tests",
        "",
        "`make test-deep` renews all lines, `make test-deep PART=…` one. Times are UTC.",
        "",
        f"- machine: {os.cpu_count()} cores, {memory:.0f} GiB, {system}, kernel {platform.release()}",
        f"- Python {platform.python_version()}, {_ansible_version(pathlib.Path(sys.executable))}; "
        f"{oldest.name}: {version}",
        "",
        "| part | when | commit | passed | failed | skipped | seconds | remark |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: | --- |",
        *(rows[name] for name in order if name in rows),
    ]
    DEEP_RESULTS.parent.mkdir(parents=True, exist_ok=True)
    DEEP_RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _deep_rows() -> Iterator[tuple[str, str]]:
    """Walk over the parts that the committed results have, each with its line."""
    lines = DEEP_RESULTS.read_text(encoding="utf-8").splitlines() if DEEP_RESULTS.exists() else []
    for line in lines:
        cells = line.split("|")
        if len(cells) == 10 and not cells[1].strip().startswith(("part", "---")):
            yield cells[1].strip(), line


def _ansible_version(python: pathlib.Path) -> str:
    """Return what the Ansible of an environment calls itself, nothing where there is none."""
    program = python.with_name("ansible")
    if not program.exists():
        return ""
    asked = subprocess.run([str(program), "--version"], capture_output=True, text=True, check=False)
    return asked.stdout.partition("\n")[0].replace("[", "").replace("]", "")


def summarise(outcomes: dict[str, Outcome], wall: float) -> int:
    """Print the time of each part, of all (`wall`, in seconds) and the closing line; return the exit code."""
    print("\n── summary")
    width = max(map(len, outcomes), default=0)
    for name, outcome in outcomes.items():
        print(f"   {name:{width}} {outcome}")
    passed = sum(one.passed for one in outcomes.values())
    failed = sum(one.failed for one in outcomes.values())
    skipped = [identity for one in outcomes.values() for identity in one.skipped]
    total = sum(one.seconds for one in outcomes.values())
    print(f"   {'all':{width}} {wall:.0f} s, in which parts ran for {total:.0f} s")
    for one in outcomes.values():
        for word, identities in (
            ("UNSTEADY, passed only when it was repeated", one.unsteady),
            ("failed", one.failures),
        ):
            for identity in identities:
                print(f"   {word}: {identity}\n      {one.reasons.get(identity, '')[:REASON]}".rstrip())
    unexpected = unexpected_skips(skipped)
    for identity in unexpected:
        print(f"   skipped without a reason in {EXPECTED_SKIPS.relative_to(ROOT)}: {identity}")
    if not passed + failed:
        print("   nothing ran")
    print(f"{passed} passed, {failed} failed, {len(skipped)} skipped", flush=True)
    return 1 if failed or unexpected or not passed else 0


def main() -> int:
    """Read the command line, run the parts, sum up; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="PART", help="static, units, faults, core-…, or scenario NAME …"
    )
    parser.add_argument("--deep", action="store_true", help="the deep tier, and its results into docs/results/deep.md")
    arguments = parser.parse_args()
    try:
        parts = chosen_parts(arguments.only, deep=arguments.deep)
    except ValueError as error:
        parser.error(str(error))

    def stop(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    # Stopped from outside, it ends what it started, as with Ctrl-C
    signal.signal(signal.SIGTERM, stop)
    REPORTS.mkdir(parents=True, exist_ok=True)
    # The deep tier loads the machine, and measures: one at a time
    lanes = 1 if arguments.deep else int(os.environ.get("LANES", LANES))
    began = time.monotonic()

    def ended(name: str, outcome: Outcome) -> None:
        # At once: a run of hours may be interrupted
        if arguments.deep:
            renew_deep_results({name: outcome})

    outcomes = run_all(parts, min(lanes, len(parts)), ended)
    wall = time.monotonic() - began
    if stopping.is_set():
        print("\ninterrupted", flush=True)
        summarise(outcomes, wall)
        return 130
    if arguments.deep and outcomes:
        print(f"\nwritten: {DEEP_RESULTS.relative_to(ROOT)}")
    return summarise(outcomes, wall)


if __name__ == "__main__":
    sys.exit(main())
