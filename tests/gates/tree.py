# SPDX-License-Identifier: GPL-3.0-or-later
"""What the gates share: the files of a checkout, its roles and tasks, and running a tool of the environment."""

from __future__ import annotations

import ast
import dataclasses
import os
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml
from ansible.playbook.block import Block
from ansible.playbook.handler import Handler

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
COLLECTIONS = BUILD / "collections"
NAMESPACE = "clusterkit"
NAME = "middleware"
COLLECTION = f"{NAMESPACE}.{NAME}"
#: The reviewed list of places where a rule does not hold, each with its reason.
EXCEPTIONS = ROOT / "tests" / "gates" / "exceptions.yml"

#: Every word that is a keyword of a task or block, so that the one key left over is the module.
KEYWORDS = frozenset({*Handler.fattributes, *Block.fattributes, "block", "rescue", "always", "loop_control"})
#: Key under which a mapping keeps the line it began on.
LINE = "__line__"


@dataclasses.dataclass(frozen=True)
class Finding:
    """A place where a rule is broken, and what to do about it."""

    path: str
    line: int
    rule: str
    advice: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.rule}: {self.advice}"


@dataclasses.dataclass(frozen=True)
class Task:
    """A task or block in a YAML file; `tags` holds those of the blocks around it as well."""

    path: pathlib.Path
    line: int
    data: Mapping[str, Any]
    tags: frozenset[str]

    @property
    def name(self) -> str:
        """The task's name, or nothing."""
        return str(self.data.get("name") or "")

    @property
    def is_block(self) -> bool:
        """Whether this groups tasks."""
        return "block" in self.data

    @property
    def action(self) -> tuple[str, Any]:
        """The module with its full name, and its arguments; two empty strings for a block."""
        for key, value in self.data.items():
            if key not in KEYWORDS and key != LINE and not key.startswith("with_"):
                return (key if "." in key else f"ansible.builtin.{key}"), value
        return "", ""


# --- files -----------------------------------------------------------------------------------------------------------


def listed_files(root: pathlib.Path) -> list[pathlib.Path]:
    """Return the files of a checkout that git tracks or would track; of a bare directory, all files."""
    if not (root / ".git").exists():
        return sorted(path for path in root.rglob("*") if path.is_file())
    argv = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout.split("\0")
    return sorted({root / name for name in listed if name and (root / name).is_file()})


def files_below(root: pathlib.Path, *directories: str, suffixes: Sequence[str] = ()) -> list[pathlib.Path]:
    """Return the listed files below some directories, with one of the suffixes if there are any."""
    wanted = [root / directory for directory in directories]
    return [
        path
        for path in listed_files(root)
        if any(directory in path.parents for directory in wanted) and (not suffixes or path.suffix in suffixes)
    ]


def copy_checkout(target: pathlib.Path) -> None:
    """Lay a fresh copy of the checkout's files, in a git tree of its own."""
    shutil.rmtree(target, ignore_errors=True)
    for path in listed_files(ROOT):
        copy = target / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copy)
    for argv in (["git", "init", "--quiet"], ["git", "add", "--all"]):
        require(run(argv, cwd=target), "The work copy cannot be made a git tree.")


def role_directories(root: pathlib.Path) -> list[pathlib.Path]:
    """Return the directories of the roles: those below roles/ that hold a listed file."""
    roles = root / "roles"
    return sorted(
        {roles / path.relative_to(roles).parts[0] for path in files_below(root, "roles") if path.parent != roles}
    )


def plugin_names(root: pathlib.Path, kind: str) -> list[str]:
    """Return the names of the plugins of a kind (a directory below plugins/)."""
    return sorted(
        path.stem
        for path in files_below(root, f"plugins/{kind}", suffixes=(".py",))
        if path.parent == root / "plugins" / kind and not path.stem.startswith("_")
    )


def filter_names(root: pathlib.Path) -> list[str]:
    """Return the names of the filters: the keys of what `FilterModule.filters` returns."""
    names: set[str] = set()
    for path in files_below(root, "plugins/filter", suffixes=(".py",)):
        for node in ast.walk(ast.parse(text_of(path))):
            if isinstance(node, ast.FunctionDef) and node.name == "filters":
                tables = [one for one in ast.walk(node) if isinstance(one, ast.Dict)]
                names |= {str(key.value) for table in tables for key in table.keys if isinstance(key, ast.Constant)}
    return sorted(names)


def text_of(path: pathlib.Path) -> str:
    """Return a file's text; bytes that are no UTF-8 become replacement characters."""
    return path.read_text(encoding="utf-8", errors="replace")


def relative(root: pathlib.Path, path: pathlib.Path) -> str:
    """Return a path as it stands in a message."""
    return path.relative_to(root).as_posix()


# --- YAML ------------------------------------------------------------------------------------------------------------


class _Loader(yaml.SafeLoader):
    """Reads Ansible's YAML; each mapping remembers the line it began on."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    loader.flatten_mapping(node)
    return {LINE: node.start_mark.line + 1, **loader.construct_mapping(node, deep=True)}


def _tagged(loader: _Loader, _suffix: str, node: yaml.Node) -> Any:
    """Read `!vault`, `!unsafe` and the like as the plain value."""
    return loader.construct_scalar(node) if isinstance(node, yaml.ScalarNode) else None


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
_Loader.add_multi_constructor("!", _tagged)


def load_with_lines(path: pathlib.Path) -> Any:
    """Return what a YAML file holds; each mapping has the line it began on under `LINE`."""
    try:
        return yaml.load(text_of(path), Loader=_Loader)  # noqa: S506 - a SafeLoader underneath
    except yaml.YAMLError as error:
        raise AssertionError(f"{path}: this is no YAML: {error}") from error


def load(path: pathlib.Path) -> Any:
    """Return what a YAML file holds; an absent file holds nothing."""
    return _without_lines(load_with_lines(path)) if path.is_file() else None


def _without_lines(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_lines(one) for key, one in value.items() if key != LINE}
    return [_without_lines(one) for one in value] if isinstance(value, list) else value


def mappings(value: Any) -> Iterator[dict[str, Any]]:
    """Walk over every mapping in a loaded document."""
    if isinstance(value, dict):
        yield value
    if isinstance(value, (dict, list)):
        for one in value.values() if isinstance(value, dict) else value:
            yield from mappings(one)


def tasks_of(path: pathlib.Path) -> Iterator[Task]:
    """Walk over the tasks and blocks of a task file, handler file or playbook, in order."""
    yield from _tasks(path, load_with_lines(path), frozenset())


def _tasks(path: pathlib.Path, entries: Any, tags: frozenset[str]) -> Iterator[Task]:
    for entry in entries if isinstance(entries, list) else []:
        if not isinstance(entry, dict):
            continue
        own = tags | as_set(entry.get("tags"))
        if "hosts" in entry:
            for section in ("pre_tasks", "tasks", "post_tasks", "handlers"):
                yield from _tasks(path, entry.get(section), own)
            continue
        yield Task(path, entry[LINE], entry, own)
        for section in ("block", "rescue", "always"):
            yield from _tasks(path, entry.get(section), own)


def as_set(value: Any) -> frozenset[str]:
    """Return tags, or anything else that may be one word, a list in a string, or a list, as a set."""
    words = value.split(",") if isinstance(value, str) else value or []
    return frozenset(str(word).strip() for word in words)


def task_files(root: pathlib.Path, *directories: str) -> list[pathlib.Path]:
    """Return the YAML files below some directories that hold tasks: task files, handlers and playbooks."""
    found = files_below(root, *directories, suffixes=(".yml", ".yaml"))
    return [path for path in found if not {"defaults", "vars", "meta", "files", "templates"} & set(path.parts)]


# --- exceptions ------------------------------------------------------------------------------------------------------


def without_exceptions(findings: Sequence[Finding], exceptions: Any, rules: Sequence[str]) -> list[Finding]:
    """Take the reviewed exceptions away; one that has no reason, or excuses nothing any more, is itself a finding.

    `rules` are those that made the findings, so that only their exceptions are judged.
    """
    name = relative(ROOT, EXCEPTIONS)
    left = list(findings)
    for entry in exceptions or []:
        if entry["rule"] not in rules:
            continue
        covered = [one for one in left if one.rule == entry["rule"] and one.path == entry["path"]]
        left = [one for one in left if one not in covered]
        if not str(entry.get("reason") or "").strip():
            left.append(Finding(name, 1, "exception", f"{entry['rule']} for {entry['path']} has no reason: write one"))
        elif not covered:
            left.append(
                Finding(name, 1, "exception", f"{entry['rule']} for {entry['path']} excuses nothing: remove it")
            )
    return left


def report(findings: Sequence[Finding]) -> str:
    """Return the text that a failing gate prints."""
    return "\n" + "\n".join(str(finding) for finding in findings)


# --- tools -----------------------------------------------------------------------------------------------------------


def tool(name: str) -> str:
    """Return the path of a program of the environment that runs the gates."""
    return str(pathlib.Path(sys.executable).with_name(name))


def environment(**more: str) -> dict[str, str]:
    """Return the environment that tools run in: the project's programs first, its collection found, no colours."""
    return {
        **os.environ,
        "PATH": f"{pathlib.Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
        "ANSIBLE_NOCOLOR": "1",
        "NO_COLOR": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        **more,
    }


def run(
    argv: Sequence[str], *, cwd: pathlib.Path = ROOT, env: Mapping[str, str] | None = None, limit: float = 900
) -> subprocess.CompletedProcess[str]:
    """Run a tool and return what it printed; it never reads from the terminal."""
    return subprocess.run(
        [tool(argv[0]) if pathlib.Path(tool(argv[0])).exists() else argv[0], *argv[1:]],
        cwd=cwd,
        env=dict(env if env is not None else environment()),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=limit,
        check=False,
    )


def require(done: subprocess.CompletedProcess[str], advice: str) -> None:
    """Fail the gate with a tool's output when it did not exit 0."""
    command = " ".join([pathlib.Path(done.args[0]).name, *done.args[1:]])
    assert done.returncode == 0, f"`{command}` ended with {done.returncode}. {advice}\n{done.stdout}\n{done.stderr}"
