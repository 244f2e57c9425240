# SPDX-License-Identifier: GPL-3.0-or-later
"""Python environments: made from their lock file, made again when they are not whole."""

from __future__ import annotations

import pathlib

import pytest

from lab import environment


class Tools:
    """Stands for venv, pip and uv; notes what they were asked."""

    def __init__(self, cache: pathlib.Path) -> None:
        self.cache = cache
        self.asked: list[str] = []
        self.fails = ""

    def run(self, argv: list[str]) -> str:
        """Answer where uv has its cache."""
        assert argv[1:] == ["cache", "dir"]
        return f"{self.cache}\n"

    def run_logged(self, name: str, argv: list[str], *, limit: float, env: dict[str, str] | None = None) -> None:
        """Do as the tool would."""
        assert limit > 0
        if name == self.fails:
            raise environment.LabError(f"{name} ended with 1")
        self.asked.append(f"{name}{' --clear' if '--clear' in argv else ''}{(env or {}).get('UV_CACHE_DIR', '')}")
        if "venv" in argv:
            python = pathlib.Path(argv[-1]) / "bin" / "python"
            python.parent.mkdir(parents=True, exist_ok=True)
            python.touch()


@pytest.fixture
def tools(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Tools:
    """Let environments lie below a directory of the test's own."""
    tools = Tools(tmp_path / "machine-cache")
    monkeypatch.setattr(environment, "BUILD", tmp_path)
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    monkeypatch.setattr(environment, "run", tools.run)
    monkeypatch.setattr(environment, "run_logged", tools.run_logged)
    return tools


@pytest.fixture
def probe(tmp_path: pathlib.Path) -> environment.Environment:
    """Return an environment that has not been made."""
    lock_file = tmp_path / "lock.txt"
    lock_file.write_text("one==1\n", encoding="utf-8")
    return environment.Environment(tmp_path / "venv", lock_file)


def test_made_once(tools: Tools, probe: environment.Environment, tmp_path: pathlib.Path) -> None:
    """It is current after it was made, and no more when the lock file changes; then it is brought up in place."""
    assert not probe.is_current()
    probe.make()
    cache = f"{tmp_path}/cache/uv"
    assert tools.asked == ["venv --clear", "pip-uv", f"venv-sync{cache}"]
    assert probe.is_current()
    probe.lock_file.write_text("one==2\n", encoding="utf-8")
    assert not probe.is_current()
    probe.make()
    assert tools.asked[3:] == ["pip-uv", f"venv-sync{cache}"]
    assert probe.is_current()


def test_made_anew_when_it_is_not_whole(tools: Tools, probe: environment.Environment) -> None:
    """One that was interrupted, or whose interpreter has gone, is made from nothing."""
    tools.fails = "venv-sync"
    with pytest.raises(environment.LabError):
        probe.make()
    assert not probe.is_current()
    tools.fails = ""
    probe.make()
    assert tools.asked == ["venv --clear", "pip-uv", "venv --clear", "pip-uv", tools.asked[-1]]
    probe.python.unlink()
    assert not probe.is_current()


def test_cache_of_the_machine_is_used(tools: Tools, probe: environment.Environment) -> None:
    """Where uv has a cache already, nothing is downloaded twice; where not, none is left outside of build/."""
    tools.cache.mkdir()
    probe.make()
    assert tools.asked[-1] == f"venv-sync{tools.cache}"
