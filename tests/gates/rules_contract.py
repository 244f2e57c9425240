# SPDX-License-Identifier: GPL-3.0-or-later
"""The contract of a role: its files, its entry points, its interface, and that something exercises it."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Iterator
from typing import Any

from tests.gates import tree

RULES = (
    "missing-file",
    "entry-point",
    "option",
    "variable-name",
    "no-log",
    "preflight",
    "table-of-contents",
    "tags",
    "task-name",
    "not-exercised",
)
REQUIRED_ENTRIES = ("main", "preflight", "install", "configure", "verify", "remove", "export")
OPTIONAL_ENTRIES = ("drain", "ready", "backup", "restore")
ENTRIES = REQUIRED_ENTRIES + OPTIONAL_ENTRIES
REQUIRED_FILES = (
    "README.md",
    "meta/main.yml",
    "meta/argument_specs.yml",
    "defaults/main.yml",
    *(f"tasks/{entry}.yml" for entry in REQUIRED_ENTRIES),
)
#: What preflight may use: it asserts and reads. Modules whose names end in _info are allowed as well.
READ_ONLY = {
    *("ansible.builtin.assert", "ansible.builtin.fail", "ansible.builtin.debug", "ansible.builtin.meta"),
    *("ansible.builtin.set_fact", "ansible.builtin.include_vars", "ansible.builtin.validate_argument_spec"),
    *("ansible.builtin.include_tasks", "ansible.builtin.import_tasks", "ansible.builtin.getent"),
    *("ansible.builtin.setup", "ansible.builtin.gather_facts", "ansible.builtin.stat", "ansible.builtin.slurp"),
    *("ansible.builtin.find", "ansible.builtin.package_facts", "ansible.builtin.service_facts"),
}
ROLES = {"ansible.builtin.include_role", "ansible.builtin.import_role"}
INCLUDES = {f"ansible.builtin.{name}" for name in ("include_tasks", "import_tasks", "include_role", "import_role")}
#: argument_specs' type -> Python types that YAML gives for such a default
TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "path": (str,),
    "bool": (bool,),
    "int": (int,),
    "float": (int, float),
    "list": (list,),
    "dict": (dict,),
    "raw": (object,),
    "bytes": (str, int),
    "bits": (str, int),
    "jsonarg": (str, dict, list),
    "json": (str, dict, list),
}
SECRET_NAME = re.compile(r"(pass(word|wd|phrase)s?|secrets?|tokens?|credentials?|key_content|(?<!public)_key)$")
SECRET_DESCRIPTION = re.compile(r"(?i)\b(password|passphrase|secret|private key|content of (the|a) (\w+ )?key)\b")
#: An option that tells where a secret lies, or of what kind it is, holds none.
NO_SECRET_NAME = re.compile(
    r"_(file|path|dir|directory|url|mode|owner|group|user|name|alias|type|algorithm|size|bits|days|length)$"
)
#: How a description says what happens without the option.
LEFT_OUT = re.compile(r"(?i)\b(no default|unset|not (set|given)|left out|absent|omitted|without it)\b")
#: First words of a task's name that are no imperative, and words that only look so.
NOT_IMPERATIVE = re.compile(r"^(The|A|An|This|These|It|Is|Are|Was|Will|Should|Must|If|When|\w+ing|\w+ed|\w+[^s]s)$")
IMPERATIVE = {"Bring", "Ping", "Seed", "Feed", "Embed", "Proceed", "Exceed", "Need", "String", "Focus", "Alias", "Shed"}


def findings(root: pathlib.Path) -> list[tree.Finding]:
    """Return every breach of the contract in every role, and every module or role that nothing exercises."""
    found: list[tree.Finding] = []
    for role in tree.role_directories(root):
        for check in (_files, _entry_points, _options, _variables, _secrets, _preflight, _main):
            found += check(root, role)
    found += _task_names(root)
    found += _not_exercised(root)
    return found


def _specs(role: pathlib.Path) -> dict[str, Any]:
    loaded = tree.load(role / "meta" / "argument_specs.yml") or {}
    specs: dict[str, Any] = loaded.get("argument_specs") or {}
    return specs


def _options_of(spec: Any) -> dict[str, dict[str, Any]]:
    options: dict[str, dict[str, Any]] = (spec or {}).get("options") or {}
    return options


def _description(option: dict[str, Any]) -> str:
    text = option.get("description") or ""
    return " ".join(text) if isinstance(text, list) else str(text)


def _files(root: pathlib.Path, role: pathlib.Path) -> Iterator[tree.Finding]:
    for name in REQUIRED_FILES:
        if not (role / name).is_file():
            advice = "every role has it; where an entry point makes no sense, give the reason in exceptions.yml"
            yield tree.Finding(tree.relative(root, role / name), 1, "missing-file", advice)


def _entry_points(root: pathlib.Path, role: pathlib.Path) -> Iterator[tree.Finding]:
    """Every entry point has its file and its description."""
    where = tree.relative(root, role / "meta" / "argument_specs.yml"), 1
    specs = _specs(role)
    for entry in ENTRIES:
        if (role / "tasks" / f"{entry}.yml").is_file() and entry not in specs:
            yield tree.Finding(*where, "entry-point", f"describe tasks/{entry}.yml under argument_specs.{entry}")
    for entry, spec in specs.items():
        if not str((spec or {}).get("short_description") or "").strip():
            yield tree.Finding(*where, "entry-point", f"argument_specs.{entry} has no short_description")
        if not (role / "tasks" / f"{entry}.yml").is_file():
            yield tree.Finding(*where, "entry-point", f"argument_specs.{entry} has no tasks/{entry}.yml")


def _options(root: pathlib.Path, role: pathlib.Path) -> Iterator[tree.Finding]:
    """What argument_specs says of defaults is what defaults/main.yml says, in keys, values and types."""
    where = tree.relative(root, role / "meta" / "argument_specs.yml"), 1
    defaults = tree.load(role / "defaults" / "main.yml") or {}
    specs = _specs(role)
    options = _options_of(specs.get("main"))
    wrong = [
        f"{name} is in defaults/main.yml only: document it under argument_specs.main"
        for name in defaults
        if name not in options
    ]
    for name, option in options.items():
        wrong += _option(name, option, defaults)
    for entry, spec in specs.items():
        for name, option in _options_of(spec).items():
            if name in options and option.get("type", "str") != options[name].get("type", "str"):
                wrong.append(f"{name} is of another type in {entry} than in main")
    for advice in wrong:
        yield tree.Finding(*where, "option", advice)


def _option(name: str, option: dict[str, Any], defaults: dict[str, Any]) -> Iterator[str]:
    """Say what is wrong with an option of `main`."""
    kind = option.get("type", "str")
    if not _description(option).strip():
        yield f"{name} has no description"
    if kind == "list" and "elements" not in option:
        yield f"{name} is a list: say of what (elements)"
    if "default" in option:
        yield from _default(name, option, kind, defaults)
    elif name in defaults:
        yield f"{name} has a default in defaults/main.yml that is not documented"
    elif not option.get("required") and not LEFT_OUT.search(_description(option)):
        yield f"{name} has no default: make it required, or say in its description what leaving it unset means"


def _default(name: str, option: dict[str, Any], kind: str, defaults: dict[str, Any]) -> Iterator[str]:
    default = option["default"]
    if name not in defaults:
        yield f"{name} has a default that defaults/main.yml does not set"
    elif defaults[name] != default or type(defaults[name]) is not type(default):
        yield f"{name}: documented {default!r}, defaults/main.yml has {defaults[name]!r}"
    if isinstance(default, str) and "{{" in default:
        return
    boolean_as_number = isinstance(default, bool) and kind in ("int", "float")
    if not isinstance(default, TYPES.get(kind, ())) or boolean_as_number:
        yield f"{name} is of type {kind}, its default {default!r} is not"
    chosen = default if isinstance(default, list) else [default]
    if "choices" in option and not all(one in option["choices"] for one in chosen):
        yield f"{name}: the default {default!r} is none of the choices"


def _variables(root: pathlib.Path, role: pathlib.Path) -> Iterator[tree.Finding]:
    """Public names begin with the role's, internal ones with two underscores; each internal one is set somewhere."""
    public, internal = f"{role.name}_", f"__{role.name}_"
    named = {name for spec in _specs(role).values() for name in _options_of(spec)}
    for path in tree.files_below(root, tree.relative(root, role), suffixes=(".yml", ".yaml")):
        folder = path.relative_to(role).parts[0]
        if folder == "defaults":
            named |= set(tree.load(path) or {})
        if folder == "vars":
            for name in tree.load(path) or {}:
                if not name.startswith(internal):
                    advice = f"{name} is internal: call it {internal}{name.removeprefix(public)}"
                    yield tree.Finding(tree.relative(root, path), 1, "variable-name", advice)
    where = tree.relative(root, role / "meta" / "argument_specs.yml"), 1
    for name in sorted(named):
        if not name.startswith(public):
            yield tree.Finding(*where, "variable-name", f"{name} is public: it has to begin with {public}")
    for name, path in _undefined(root, role, internal).items():
        advice = f"{name} is set nowhere in the role: define it in vars/main.yml"
        yield tree.Finding(tree.relative(root, path), 1, "variable-name", advice)


def _undefined(root: pathlib.Path, role: pathlib.Path, internal: str) -> dict[str, pathlib.Path]:
    used: dict[str, pathlib.Path] = {}
    defined: set[str] = set()
    for path in tree.files_below(root, tree.relative(root, role)):
        if path.suffix == ".md":
            continue
        text = tree.text_of(path)
        for name in re.findall(rf"(?<!\w){internal}\w+", text):
            used.setdefault(name, path)
        # as a key (vars, set_fact), registered, a loop's variable, or set in a template
        defined |= set(re.findall(rf"(?m)^[\s-]*({internal}\w+):", text))
        defined |= set(re.findall(rf"(?m)(?:register|loop_var|index_var):\s*({internal}\w+)", text))
        defined |= set(re.findall(rf"[{{,]\s*({internal}\w+):", text))
        defined |= set(re.findall(rf"{{%-?\s*(?:set|for|macro)\s+({internal}\w+)", text))
    return {name: path for name, path in used.items() if name not in defined}


def _secrets(root: pathlib.Path, role: pathlib.Path) -> Iterator[tree.Finding]:
    """Whatever holds a secret is marked, since a failing argument validation prints the value."""
    where = tree.relative(root, role / "meta" / "argument_specs.yml"), 1
    for entry, spec in _specs(role).items():
        for name, option in _nested(_options_of(spec)):
            if option.get("no_log") is True or NO_SECRET_NAME.search(name):
                continue
            holds_text = option.get("type", "str") in ("str", "raw", "list", "dict")
            said = SECRET_DESCRIPTION.search(_description(option)) and "options" not in option
            if holds_text and (SECRET_NAME.search(name) or said):
                yield tree.Finding(*where, "no-log", f"{name} in {entry} seems to hold a secret: set no_log: true")


def _nested(options: dict[str, dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, option in options.items():
        yield name, option
        yield from _nested(_options_of(option))


def _preflight(root: pathlib.Path, role: pathlib.Path) -> Iterator[tree.Finding]:
    """Preflight asserts and reads; so does every task file that it includes. Of other roles it calls the same."""
    pending: list[tuple[pathlib.Path, dict[str, Any]]] = [(role / "tasks" / "preflight.yml", {})]
    seen = set[pathlib.Path]()
    while pending:
        path, variables = pending.pop()
        if path in seen or not path.is_file():
            continue
        seen.add(path)
        for task in tree.tasks_of(path):
            action, arguments = task.action
            where = tree.relative(root, path), task.line
            if action in ROLES:
                entry = re.sub(r"^\{\{\s*(\w+)\s*\}\}$", r"\1", str(arguments.get("tasks_from", "main")))
                if variables.get(entry, entry) != "preflight":
                    yield tree.Finding(*where, "preflight", "of another role only its preflight: tasks_from: preflight")
            elif (
                action
                and action not in READ_ONLY
                and not action.endswith("_info")
                # One that is in check mode for ever judges its input, and changes nothing
                and task.data.get("check_mode") is not True
            ):
                advice = f"{action} is not known to be read-only: preflight only asserts and reads"
                yield tree.Finding(*where, "preflight", advice)
            elif action in INCLUDES:
                pending.append((_included(role, arguments), task.data.get("vars") or {}))


def _included(role: pathlib.Path, arguments: Any) -> pathlib.Path:
    name = arguments.get("file", "") if isinstance(arguments, dict) else str(arguments or "").partition(" ")[0]
    return role / "tasks" / (name or "none")


def _main(root: pathlib.Path, role: pathlib.Path) -> Iterator[tree.Finding]:
    """main.yml is the table of contents: it includes entry points, preflight first, each with its stable tags."""
    path = role / "tasks" / "main.yml"
    if not path.is_file():
        return
    first = True
    for task in tree.tasks_of(path):
        action, arguments = task.action
        where = tree.relative(root, path), task.line
        if action and action not in {*INCLUDES, "ansible.builtin.meta"}:
            yield tree.Finding(*where, "table-of-contents", f"main.yml only includes task files: move {action}")
        if action not in ("ansible.builtin.include_tasks", "ansible.builtin.import_tasks"):
            continue
        entry = _included(role, arguments).stem
        if first and entry != "preflight":
            yield tree.Finding(*where, "table-of-contents", "preflight has to come first: nothing changes before it")
        first = False
        if entry not in ENTRIES:
            continue
        wanted = {role.name, f"{role.name}_{entry}"}
        if wanted - task.tags:
            yield tree.Finding(*where, "tags", f"{entry} needs the tags {', '.join(sorted(wanted))}")
        apply = arguments.get("apply") or {} if isinstance(arguments, dict) else {}
        if action == "ansible.builtin.include_tasks" and wanted - tree.as_set(apply.get("tags")):
            advice = (
                f"include_tasks hands no tags on: repeat {', '.join(sorted(wanted))} under apply, or use import_tasks"
            )
            yield tree.Finding(*where, "tags", advice)


def _task_names(root: pathlib.Path) -> Iterator[tree.Finding]:
    """Every task has a name, an imperative sentence that begins with a capital letter."""
    for path in tree.task_files(root, "roles", "playbooks", "molecule"):
        for task in tree.tasks_of(path):
            action, _arguments = task.action
            if task.is_block or not action or action.endswith(".import_playbook"):
                continue
            where = tree.relative(root, path), task.line
            first = task.name.rpartition(" | ")[2].split(" ")[0].strip(",:")
            if not task.name:
                yield tree.Finding(*where, "task-name", f"{action} has no name")
            elif not first[:1].isupper():
                yield tree.Finding(*where, "task-name", f"`{task.name}` does not begin with a capital letter")
            elif first not in IMPERATIVE and NOT_IMPERATIVE.match(first):
                yield tree.Finding(*where, "task-name", f"`{task.name}` is not imperative: say what the task is to do")


def _not_exercised(root: pathlib.Path) -> Iterator[tree.Finding]:
    """Each role has a scenario; each module, action and filter a unit test or a scenario."""
    scenarios = "\n".join(
        _without_comments(path) for path in tree.files_below(root, "molecule", suffixes=(".yml", ".yaml", ".j2"))
    )
    own = {path.parent.name for path in tree.files_below(root, "molecule") if path.name == "molecule.yml"}
    tests = "\n".join(tree.text_of(path) for path in tree.files_below(root, "tests/unit", suffixes=(".py",)))
    for role in tree.role_directories(root):
        if role.name not in own and not re.search(rf"{re.escape(tree.COLLECTION)}\.{role.name}(?!\w)", scenarios):
            advice = f"no molecule scenario exercises it: name a scenario {role.name}, or include the role in one"
            yield tree.Finding(tree.relative(root, role), 1, "not-exercised", advice)
    plugins = {kind: tree.plugin_names(root, kind) for kind in ("modules", "action")}
    for kind, names in {**plugins, "filter": tree.filter_names(root)}.items():
        for name in names:
            in_tests = re.search(rf"(?<![a-z]){name}(?!\w)", tests)
            if not in_tests and not re.search(rf"{re.escape(tree.COLLECTION)}\.{name}(?!\w)", scenarios):
                advice = f"neither a unit test nor a scenario names {name}"
                yield tree.Finding(f"plugins/{kind}", 1, "not-exercised", advice)


def _without_comments(path: pathlib.Path) -> str:
    return re.sub(r"(?m)(^|\s)#.*$", "", tree.text_of(path))
