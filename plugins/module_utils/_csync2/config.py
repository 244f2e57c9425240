# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration of csync2 as data: read, written, and judged.

The grammar is that of csync2 2.0 (upstream's cfgfile_scanner.l and cfgfile_parser.y); which files a group includes
follows match_pattern_list() and csync_step_into() in upstream's groups.c.
"""

from __future__ import annotations

import dataclasses
import os
import re
import string
from dataclasses import dataclass, field
from typing import Any, Collection, Iterator, Pattern, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError

#: What csync2 does with a file that was changed on both sides (set_auto() upstream).
AUTO_METHODS = ("none", "first", "younger", "older", "bigger", "smaller", "left", "right")
#: File properties that csync2 can be told not to compare (new_ignore() upstream).
IGNORABLE = ("uid", "gid", "mod")
KIND_INCLUDE, KIND_EXCLUDE, KIND_COMPARE = "include", "exclude", "compare"

#: The program that the role installs; an action that has to settle goes through it.
AGENT = "/usr/local/sbin/clusterkit-csync2"
#: Group and directory by which a verification shows that files travel.
PROBE_GROUP = "clusterkit_probe"
PROBE_DIRECTORY = "/var/lib/clusterkit/csync2-probe"
_SETTLED = re.compile(re.escape(AGENT) + r" act --settle (\S+) '(.*)'\Z", re.S)
_PLAIN = re.compile(r"[A-Za-z0-9_./%*?~+,=\[\]!^-]+\Z")
_KEYWORDS = frozenset(
    "group host exclude include compare key auto action pattern exec logfile do-local do-local-only prefix on "
    "nossl ignore database tempdir lock-timeout backup-directory backup-generations config no-cygwin-lowercase".split()
)
#: A word may hold colons and braces; it ends before a colon at its end, and a brace alone is a mark.
_TOKEN = re.compile(
    r'[ \t\r\n]+|\#[^\r\n]*|"(?P<quoted>[^"]*)"'
    r'|(?P<word>[^ \t\r\n@;()\#"]*[^ \t\r\n@:;()\#"])|(?P<mark>[();:@])'
)
_NUMBER = re.compile(r"[0-9]+\Z")
#: A bracket expression of fnmatch(3): whether it is negated, and what it lists.
_BRACKET = re.compile(rb"\[([!^]|(?![!^]))((?:\]|\[:[a-z]+:\]|\\.|[^\]\\])(?:\[:[a-z]+:\]|\\.|[^\]\\])*)\]", re.S)
_ITEM = re.compile(rb"\[:(?P<class>[a-z]+):\]|(?P<low>\\.|.)(?:-(?P<high>\\.|.))?", re.S)
_CLASSES = {
    b"alnum": (string.ascii_letters + string.digits).encode(),
    b"alpha": string.ascii_letters.encode(),
    b"blank": b" \t",
    b"cntrl": bytes([*range(32), 127]),
    b"digit": string.digits.encode(),
    b"graph": bytes(range(33, 127)),
    b"lower": string.ascii_lowercase.encode(),
    b"print": bytes(range(32, 127)),
    b"punct": string.punctuation.encode(),
    b"space": string.whitespace.encode(),
    b"upper": string.ascii_uppercase.encode(),
    b"xdigit": string.hexdigits.encode(),
}


@dataclass
class Host:
    """A host of a group; `interface` is the name its peers connect to, where that is another one."""

    name: str
    interface: str = ""
    slave: bool = False

    @property
    def peer(self) -> str:
        """Return the name under which csync2 knows the host as a peer: its interface, if it has one."""
        return (self.interface or self.name).lower()


@dataclass
class Action:
    """Commands that run after files that match a pattern arrived (or, with do_local, were sent)."""

    patterns: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    logfile: str = ""
    do_local: bool = False
    do_local_only: bool = False


@dataclass
class Group:
    """Hosts that keep the files named by the patterns equal. `patterns` are (kind, text), in the file's order."""

    name: str = ""
    hosts: list[Host] = field(default_factory=list)
    key: str = ""
    patterns: list[tuple[str, str]] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    backup_directory: str = ""
    backup_generations: int | None = None
    auto: str = ""


@dataclass
class Config:
    """A whole configuration file."""

    groups: list[Group] = field(default_factory=list)
    prefixes: list[tuple[str, list[tuple[str, str]]]] = field(default_factory=list)
    nossl: list[tuple[str, str]] = field(default_factory=list)
    ignore: list[str] = field(default_factory=list)
    database: str = ""
    tempdir: str = ""
    lock_timeout: int | None = None

    def groups_of(self, name: str) -> list[Group]:
        """Return the groups that have the host `name` (csync2 compares names in lower case)."""
        return [group for group in self.groups if any(host.name.lower() == name.lower() for host in group.hosts)]

    def slave_for(self, name: str, file: str) -> bool:
        """Tell whether the host `name` receives a file and never sends it: it is a slave wherever it is included."""
        groups = [
            group
            for group in self.groups_of(name)
            if Matcher(dataclasses.replace(self, groups=[group]), name).includes(os.fsencode(file))
        ]
        return bool(groups) and all(
            host.slave for group in groups for host in group.hosts if host.name.lower() == name.lower()
        )

    def peers_of(self, name: str, among: Collection[str] | None = None) -> list[str]:
        """Return the peers of the host `name`, all or those of the hosts `among`, each once, in the file's order."""
        hosts = [host for group in self.groups_of(name) for host in group.hosts if host.name.lower() != name.lower()]
        return list(dict.fromkeys(host.peer for host in hosts if among is None or host.name in among))


def parse(text: str) -> Config:
    """Read a configuration file's text.

    Raises ClusterkitError with the line number for what csync2 would refuse.
    """
    return _Parser(text).config()


class _Parser:
    def __init__(self, text: str) -> None:
        self.tokens = list(_scan(text))
        self.at = 0
        self.nameless = 0

    def config(self) -> Config:
        config = Config()
        while self.at < len(self.tokens):
            word = self._word("group, prefix, nossl, ignore, database, tempdir or lock-timeout")
            if word == "group":
                config.groups.append(self._group())
            elif word == "prefix":
                config.prefixes.append(self._prefix())
            elif word == "nossl":
                config.nossl.append((self._string("a host pattern"), self._string("a host pattern")))
                self._mark(";")
            elif word == "ignore":
                config.ignore += [self._one_of(IGNORABLE, name) for name in self._strings()]
            elif word == "database":
                # csync2 keeps the first one
                database = self._single()
                config.database = config.database or database
            elif word == "tempdir":
                config.tempdir = self._single()
            elif word == "lock-timeout":
                config.lock_timeout = self._number()
            else:
                raise self._error(f"'{word}'", "group, prefix, nossl, ignore, database, tempdir or lock-timeout")
        return config

    def _group(self) -> Group:
        group = Group(name=self._string("a group's name") if self._peek() != "{" else self._next_name())
        self._mark("{")
        while self._peek() != "}":
            word = self._word("a statement of a group")
            if word == "host":
                group.hosts += self._hosts()
            elif word in (KIND_INCLUDE, KIND_EXCLUDE, KIND_COMPARE):
                group.patterns += _patterns(word, self._strings())
            elif word == "key":
                group.key = self._once(group.key)
            elif word == "auto":
                group.auto = self._one_of(AUTO_METHODS, self._once(group.auto))
            elif word == "backup-directory":
                group.backup_directory = self._single()
            elif word == "backup-generations":
                group.backup_generations = self._number()
            elif word == "action":
                group.actions.append(self._action())
            else:
                raise self._error(f"'{word}'", f"a statement of group {group.name}")
        self._mark("}")
        if not group.key:
            raise self._error("no 'key'", f"one in group {group.name}")
        return group

    def _next_name(self) -> str:
        """Return the name that csync2 gives to a group without one."""
        self.nameless += 1
        return f"group_{self.nameless}"

    def _hosts(self) -> list[Host]:
        hosts: list[Host] = []
        slave = False
        while slave or self._peek() != ";":
            if self._peek() == (")" if slave else "("):
                self._take()
                slave = not slave
                continue
            host = Host(self._string("a host's name"), slave=slave)
            if self._peek() == "@":
                self._take()
                host.interface = self._string("an interface's name")
            hosts.append(host)
        self._mark(";")
        return hosts

    def _action(self) -> Action:
        action = Action()
        self._mark("{")
        while self._peek() != "}":
            word = self._word("a statement of an action")
            if word == "pattern":
                action.patterns += self._strings()
            elif word == "exec":
                action.commands += self._strings()
            elif word == "logfile":
                action.logfile = self._single()
            elif word in ("do-local", "do-local-only"):
                action.do_local = True
                action.do_local_only = action.do_local_only or word == "do-local-only"
                self._mark(";")
            else:
                raise self._error(f"'{word}'", "pattern, exec, logfile, do-local or do-local-only")
        self._mark("}")
        return action

    def _prefix(self) -> tuple[str, list[tuple[str, str]]]:
        name = self._string("a prefix's name")
        entries = []
        self._mark("{")
        while self._peek() != "}":
            if self._word("on") != "on":
                raise self._error("something else", "on PATTERN: PATH;")
            pattern = self._string("a host pattern")
            self._mark(":")
            entries.append((pattern, self._single()))
            if not entries[-1][1].startswith("/"):
                raise self._error(f"'{entries[-1][1]}'", "an absolute path")
        self._mark("}")
        return name, entries

    def _strings(self) -> list[str]:
        strings = []
        while self._peek() != ";":
            strings.append(self._string("a string"))
        self._mark(";")
        return strings

    def _single(self) -> str:
        text = self._string("one string")
        self._mark(";")
        return text

    def _once(self, present: str) -> str:
        text = self._single()
        if present:
            raise self._error(f"'{text}' after '{present}'", "only one")
        return text

    def _number(self) -> int:
        text = self._single()
        if not _NUMBER.match(text):
            raise self._error(f"'{text}'", "a number")
        return int(text)

    def _one_of(self, known: Sequence[str], text: str) -> str:
        if text not in known:
            raise self._error(f"'{text}'", f"one of {', '.join(known)}")
        return text

    def _peek(self) -> str:
        """Return the next token if it is a mark, else an empty string."""
        if self.at >= len(self.tokens):
            raise self._error("the end of the file", "more")
        text, kind, _line = self.tokens[self.at]
        return text if kind == "mark" else ""

    def _take(self) -> tuple[str, str]:
        if self.at >= len(self.tokens):
            raise self._error("the end of the file", "more")
        text, kind, _line = self.tokens[self.at]
        self.at += 1
        return text, kind

    def _word(self, wanted: str) -> str:
        text, kind = self._take()
        if kind != "word":
            raise self._error(f"'{text}'", wanted)
        return text

    def _string(self, wanted: str) -> str:
        text, kind = self._take()
        if kind == "mark" or (kind == "word" and text in _KEYWORDS):
            raise self._error(f"'{text}'", wanted)
        return text

    def _mark(self, mark: str) -> None:
        text, kind = self._take()
        if kind != "mark" or text != mark:
            raise self._error(f"'{text}'", f"'{mark}'")

    def _error(self, found: str, wanted: str) -> ClusterkitError:
        line = self.tokens[min(self.at, len(self.tokens)) - 1][2] if self.tokens else 1
        return ClusterkitError(f"csync2's configuration, line {line}: found {found}, expected {wanted}")


def _scan(text: str) -> Iterator[tuple[str, str, int]]:
    position, line = 0, 1
    while position < len(text):
        found = _TOKEN.match(text, position)
        if not found:
            raise ClusterkitError(f"csync2's configuration, line {line}: found an unclosed quotation mark")
        kind = found.lastgroup
        token = found.group(kind) if kind else ""
        # An empty pair of quotation marks is no string for csync2, it is nothing
        if kind and token:
            yield token, "mark" if kind == "word" and token in ("{", "}") else kind, line
        line += found.group().count("\n")
        position = found.end()


def _patterns(kind: str, texts: Sequence[str]) -> list[tuple[str, str]]:
    """Return the patterns of one statement. Of several that are to be compared csync2 includes all but the last."""
    kinds = [KIND_INCLUDE if kind == KIND_COMPARE else kind] * (len(texts) - 1) + [kind]
    return list(zip(kinds, texts))


def render(config: Config) -> str:
    """Return the configuration file's text; `parse` of it gives the same configuration.

    Raises ClusterkitError for a string that the format cannot hold.
    """
    lines: list[str] = []
    for pattern_from, pattern_to in config.nossl:
        lines.append(f"nossl {_quote(pattern_from)} {_quote(pattern_to)};")
    if config.ignore:
        lines.append(f"ignore {' '.join(_quote(name) for name in config.ignore)};")
    for word, value in (("database", config.database), ("tempdir", config.tempdir)):
        if value:
            lines.append(f"{word} {_quote(value)};")
    if config.lock_timeout is not None:
        lines.append(f"lock-timeout {config.lock_timeout};")
    for name, entries in config.prefixes:
        lines += ["", f"prefix {_quote(name)}", "{"]
        lines += [f"    on {_quote(pattern)}: {_quote(path)};" for pattern, path in entries]
        lines.append("}")
    for group in config.groups:
        lines += ["", *_render_group(group)]
    return "\n".join(lines).lstrip("\n") + "\n"


def _render_group(group: Group) -> Iterator[str]:
    yield f"group {_quote(group.name)}" if group.name else "group"
    yield "{"
    for host in group.hosts:
        name = _quote(host.name) + (f"@{_quote(host.interface)}" if host.interface else "")
        yield f"    host ({name});" if host.slave else f"    host {name};"
    if group.key:
        yield f"    key {_quote(group.key)};"
    for kind, text in group.patterns:
        yield f"    {kind} {_quote(text)};"
    for action in group.actions:
        yield "    action"
        yield "    {"
        for pattern in action.patterns:
            yield f"        pattern {_quote(pattern)};"
        for command in action.commands:
            yield f"        exec {_quote(command, always=True)};"
        if action.logfile:
            yield f"        logfile {_quote(action.logfile)};"
        if action.do_local_only:
            yield "        do-local-only;"
        elif action.do_local:
            yield "        do-local;"
        yield "    }"
    if group.backup_directory:
        yield f"    backup-directory {_quote(group.backup_directory)};"
    if group.backup_generations is not None:
        yield f"    backup-generations {group.backup_generations};"
    if group.auto:
        yield f"    auto {group.auto};"
    yield "}"


def _quote(text: str, always: bool = False) -> str:
    """Return a string as the scanner reads it back; quotation marks cannot be escaped in the format."""
    if '"' in text or "\0" in text or not text:
        raise ClusterkitError(f"csync2's configuration cannot hold {text!r}: it has no escape for quotation marks")
    return text if _PLAIN.match(text) and text not in _KEYWORDS and not always else f'"{text}"'


def from_variables(
    groups: Sequence[dict[str, Any]],
    members: Sequence[str],
    key: str,
    nossl: Sequence[dict[str, str]] = (),
    ignore: Sequence[str] = (),
    prefixes: Sequence[dict[str, Any]] = (),
) -> Config:
    """Build the configuration from the role's variables; `members` are the hosts of a group that names none.

    Raises ClusterkitError that names the variable, the value, and what would be right.
    """
    if not groups:
        raise ClusterkitError("csync2_groups is empty: name at least one group with the paths to include")
    config = Config(
        groups=[_group_from(f"csync2_groups[{number}]", group, members, key) for number, group in enumerate(groups)],
        nossl=[(str(pair["from"]), str(pair["to"])) for pair in nossl],
        ignore=[str(name) for name in ignore],
        prefixes=[_prefix_from(f"csync2_prefixes[{number}]", one) for number, one in enumerate(prefixes)],
    )
    for name in config.ignore:
        if name not in IGNORABLE:
            raise ClusterkitError(f"csync2_ignore has {name!r}: csync2 knows {', '.join(IGNORABLE)}")
    _check_prefixes(config)
    names = [group.name for group in config.groups]
    hosts = {host.name.lower() for group in config.groups for host in group.hosts}
    for name in members:
        if name.lower() not in hosts:
            raise ClusterkitError(
                f"{name} is a member of the cluster and in none of csync2_groups: name it in one, or take it out"
            )
    if PROBE_GROUP in names:
        raise ClusterkitError(f"csync2_groups has a group named {PROBE_GROUP!r}, which verifications use: rename it")
    for name in names:
        if names.count(name) > 1:
            count = names.count(name)
            raise ClusterkitError(f"csync2_groups has {count} groups named {name!r}: give each its own name")
    return config


def with_probe(config: Config, members: Sequence[str], key: str) -> Config:
    """Return the configuration with one more group, by which a verification shows that files travel.

    Its directory is its own, and no action is tied to it: what a verification writes touches nothing of the user's.
    """
    # A host that the user's groups know by an interface is known by it here too: it has one identity
    known = {host.name.lower(): host.interface for group in config.groups for host in group.hosts}
    hosts = [Host(name, known.get(name.lower(), ""), False) for name in members]
    group = Group(name=PROBE_GROUP, hosts=hosts, key=key, patterns=[(KIND_INCLUDE, PROBE_DIRECTORY)])
    return dataclasses.replace(config, groups=[*config.groups, group])


def text(groups: Sequence[dict[str, Any]], members: Sequence[str], key: str, **options: Any) -> str:
    """Return the text of csync2.cfg for the role's variables. Raises ClusterkitError."""
    return render(with_probe(from_variables(groups, members, key, **options), members, key))


def _prefix_from(where: str, data: dict[str, Any]) -> tuple[str, list[tuple[str, str]]]:
    entries = []
    for number, entry in enumerate(data["paths"]):
        if set(entry) != {"hosts", "path"}:
            raise ClusterkitError(f"{where}.paths[{number}] has {', '.join(sorted(entry))}: write 'hosts' and 'path'")
        _absolute(f"{where}.paths[{number}].path", str(entry["path"]))
        entries.append((str(entry["hosts"]), str(entry["path"])))
    return str(data["name"]), entries


def _check_prefixes(config: Config) -> None:
    """Refuse patterns with a prefix that is not defined: they would match nothing."""
    defined = [name for name, _entries in config.prefixes]
    for group in config.groups:
        for _kind, text in group.patterns:
            if text.startswith("%") and text[1:].partition("%")[0] not in defined:
                raise ClusterkitError(
                    f"csync2_groups ({group.name}) has {text!r}: its prefix is none of csync2_prefixes, "
                    f"which has {', '.join(defined) or 'none'}"
                )


def _group_from(where: str, data: dict[str, Any], members: Sequence[str], key: str) -> Group:
    known = {"name", "hosts", "slaves", "include", "exclude", "patterns", "actions", "key", "auto"}
    known |= {"backup_directory", "backup_generations"}
    unknown = sorted(set(data) - known)
    if unknown:
        raise ClusterkitError(f"{where} has {unknown[0]!r}: known are {', '.join(sorted(known))}")
    slaves = [str(name) for name in data.get("slaves") or []]
    enslaved = [name.partition("@")[0] for name in slaves]
    names = [str(name) for name in data.get("hosts") or [one for one in members if one not in enslaved]]
    group = Group(
        name=str(data.get("name") or ""),
        hosts=[_host_from(f"{where}.hosts", text, members) for text in names]
        + [_host_from(f"{where}.slaves", text, members, slave=True) for text in slaves],
        key=str(data.get("key") or key),
        patterns=_patterns_from(where, data),
        actions=[_action_from(f"{where}.actions[{i}]", one) for i, one in enumerate(data.get("actions") or [])],
        backup_directory=str(data.get("backup_directory") or ""),
        auto=str(data.get("auto") or ""),
    )
    if not group.name:
        raise ClusterkitError(f"{where}.name is missing: give the group a name")
    if len(group.hosts) < 2:
        found = ", ".join(host.name for host in group.hosts) or "none"
        raise ClusterkitError(f"{where} ({group.name}) has one host or none ({found}): two at least make a cluster")
    if all(host.slave for host in group.hosts):
        raise ClusterkitError(f"{where}.slaves names every host: one at least has to send its files")
    duplicates = [host.name for host in group.hosts if [other.name for other in group.hosts].count(host.name) > 1]
    if duplicates:
        raise ClusterkitError(f"{where} names {duplicates[0]!r} twice: a host is in .hosts or in .slaves, once")
    if group.auto and group.auto not in AUTO_METHODS:
        raise ClusterkitError(f"{where}.auto is {group.auto!r}: csync2 knows {', '.join(AUTO_METHODS)}")
    generations = data.get("backup_generations")
    if generations is not None:
        if isinstance(generations, bool) or not _NUMBER.match(str(generations)) or int(generations) < 1:
            raise ClusterkitError(f"{where}.backup_generations is {generations!r}: a whole number from 1")
        if int(generations) == 1:
            # Recorded with 2.0-42: with 1 nothing is kept at all
            raise ClusterkitError(f"{where}.backup_generations is 1, with which csync2 keeps nothing: give 2 or more")
        if not group.backup_directory:
            raise ClusterkitError(
                f"{where}.backup_generations without .backup_directory has no effect: name the directory"
            )
        group.backup_generations = int(generations)
    _absolute(f"{where}.key", group.key)
    if group.backup_directory:
        _absolute(f"{where}.backup_directory", group.backup_directory)
    return group


def _host_from(where: str, text: str, members: Sequence[str], slave: bool = False) -> Host:
    name, _at, interface = text.partition("@")
    if name not in members:
        listed = ", ".join(members) or "none"
        raise ClusterkitError(f"{where} has {name!r}, which is no member: the members are {listed}")
    if name != name.lower():
        raise ClusterkitError(f"{where} has {name!r}: csync2 compares host names in lower case; write {name.lower()!r}")
    return Host(name, interface, slave)


def _patterns_from(where: str, data: dict[str, Any]) -> list[tuple[str, str]]:
    if data.get("patterns"):
        if data.get("include") or data.get("exclude"):
            raise ClusterkitError(f"{where} has patterns beside include or exclude: use the one or the others")
        patterns = []
        for number, one in enumerate(data["patterns"]):
            if len(one) != 1 or not set(one) <= {KIND_INCLUDE, KIND_EXCLUDE, KIND_COMPARE}:
                raise ClusterkitError(
                    f"{where}.patterns[{number}] is {one!r}: write 'include: PATH' or 'exclude: PATTERN'"
                )
            kind = next(iter(one))
            patterns.append((str(kind), str(one[kind])))
    else:
        patterns = [(KIND_INCLUDE, str(text)) for text in data.get("include") or []]
        for _kind, text in patterns:
            _absolute(f"{where}.include", text, prefixed=True)
        patterns += [(KIND_EXCLUDE, str(text)) for text in data.get("exclude") or []]
    if not any(kind == KIND_INCLUDE and _is_path(text) for kind, text in patterns):
        raise ClusterkitError(f"{where}.include is empty: name at least one absolute path")
    for kind, text in patterns:
        # A pattern without a leading slash is compared with the base name alone, which never has one
        if "/" in text and not _is_path(text):
            raise ClusterkitError(
                f"{where}.{kind} has {text!r}: write an absolute path, or a base-name pattern without a slash"
            )
        if "/" in text:
            _absolute(f"{where}.{kind}", text, prefixed=True)
    return patterns


def _is_path(pattern: str) -> bool:
    """Tell whether csync2 compares a pattern with whole paths, not with base names."""
    return pattern.startswith(("/", "%"))


def _absolute(where: str, path: str, prefixed: bool = False) -> None:
    if not path.startswith("/") and not (prefixed and _is_path(path)):
        raise ClusterkitError(
            f"{where} is {path!r}: csync2 takes absolute paths only; write '/{path}' if that is meant"
        )
    if "/../" in f"{path}/" or "/./" in f"{path}/" or "//" in path:
        raise ClusterkitError(
            f"{where} is {path!r}: csync2 compares paths as text; write it without '.', '..' and '//'"
        )


def _action_from(where: str, data: dict[str, Any]) -> Action:
    known = {"patterns", "commands", "logfile", "do_local", "do_local_only", "settle_seconds"}
    unknown = sorted(set(data) - known)
    if unknown:
        raise ClusterkitError(f"{where} has {unknown[0]!r}: known are {', '.join(sorted(known))}")
    if not data.get("commands") and not data.get("logfile"):
        raise ClusterkitError(f"{where} has neither commands nor a logfile: it would do nothing")
    for text in data.get("patterns") or []:
        # Unless a star may stand for slashes, which '**' makes all of them do
        if not _is_path(str(text)) and "**" not in str(text):
            raise ClusterkitError(f"{where}.patterns has {text!r}: csync2 compares whole paths; write an absolute path")
    only = bool(data.get("do_local_only"))
    settle = float(data.get("settle_seconds") or 0)
    if settle and any("%%" in str(text) for text in data.get("commands") or []):
        raise ClusterkitError(
            f"{where} has settle_seconds and '%%' in a command: the files differ from change to change"
        )
    return Action(
        patterns=[str(text) for text in data.get("patterns") or []],
        commands=[_settled(str(text), settle) for text in data.get("commands") or []],
        logfile=str(data.get("logfile") or ""),
        do_local=bool(data.get("do_local")) or only,
        do_local_only=only,
    )


def _settled(command: str, seconds: float) -> str:
    """Return the command line that runs a command once after a burst of changes; the command itself for 0 seconds."""
    if not seconds:
        return command
    quoted = "'" + command.replace("'", "'\\''") + "'"
    return f"{AGENT} act --settle {seconds:g} {quoted}"


def _unsettled(command: str) -> tuple[str, float]:
    """Return the command and its seconds from what `_settled` made of them."""
    found = _SETTLED.match(command)
    return (found.group(2).replace("'\\''", "'"), float(found.group(1))) if found else (command, 0.0)


def to_variables(config: Config) -> dict[str, Any]:
    """Return the role's variables that give this configuration: what `export` writes."""
    groups = []
    for group in (group for group in config.groups if group.name != PROBE_GROUP):
        data: dict[str, Any] = {"name": group.name}
        full = [host.name + (f"@{host.interface}" if host.interface else "") for host in group.hosts if not host.slave]
        slaves = [host.name + (f"@{host.interface}" if host.interface else "") for host in group.hosts if host.slave]
        data["hosts"] = full
        if slaves:
            data["slaves"] = slaves
        includes = [(kind, text) for kind, text in group.patterns if kind == KIND_INCLUDE]
        excludes = [(kind, text) for kind, text in group.patterns if kind == KIND_EXCLUDE]
        if group.patterns == includes + excludes and all(_is_path(text) for _kind, text in includes):
            data["include"] = [text for _kind, text in includes]
            if excludes:
                data["exclude"] = [text for _kind, text in excludes]
        else:
            data["patterns"] = [{kind: text} for kind, text in group.patterns]
        data["key"] = group.key
        if group.actions:
            data["actions"] = [_action_to(action) for action in group.actions]
        if group.backup_directory:
            data["backup_directory"] = group.backup_directory
        if group.backup_generations is not None:
            data["backup_generations"] = group.backup_generations
        if group.auto:
            data["auto"] = group.auto
        groups.append(data)
    variables: dict[str, Any] = {"csync2_groups": groups}
    if config.nossl:
        variables["csync2_nossl"] = [{"from": one, "to": other} for one, other in config.nossl]
    if config.ignore:
        variables["csync2_ignore"] = config.ignore
    if config.prefixes:
        variables["csync2_prefixes"] = [
            {"name": name, "paths": [{"hosts": hosts, "path": path} for hosts, path in entries]}
            for name, entries in config.prefixes
        ]
    return variables


def _action_to(action: Action) -> dict[str, Any]:
    data: dict[str, Any] = {}
    if action.patterns:
        data["patterns"] = action.patterns
    if action.commands:
        pairs = [_unsettled(command) for command in action.commands]
        if len({seconds for _command, seconds in pairs}) == 1:
            data["commands"] = [command for command, _seconds in pairs]
            if pairs[0][1]:
                data["settle_seconds"] = pairs[0][1]
        else:
            data["commands"] = action.commands
    if action.logfile:
        data["logfile"] = action.logfile
    if action.do_local_only:
        data["do_local_only"] = True
    elif action.do_local:
        data["do_local"] = True
    return data


class Matcher:
    """Tells which files a host's groups include, as csync2 does.

    In csync2 the last pattern that matches decides, separately for path patterns and for base-name patterns, and a
    file is included when both say so. Files go by the names that csync2 has for them: their path, or `%prefix%/…`
    below the directory of a prefix. Bytes throughout: csync2 compares bytes, and a name need not be UTF-8.
    """

    def __init__(self, config: Config, name: str) -> None:
        #: Where a walk has to begin: the names and paths of the root and of the prefixes' directories.
        self.starts = [(b"/", b"/")]
        for prefix, entries in config.prefixes:
            path = _prefix_path(entries, name.lower())
            if path:
                self.starts.append((_bytes(f"%{prefix}%"), _bytes(path)))
        self._groups: list[list[tuple[bool, bool, Pattern[bytes]]]] = []
        self._above: list[Pattern[bytes]] = []
        for group in config.groups_of(name):
            rows = []
            for kind, raw in group.patterns:
                if kind == KIND_COMPARE:
                    continue
                text = raw.rstrip("/") or "/"
                is_path, slashes = _is_path(text), "**" in text
                tail = b"(?:/.*)?" if is_path else b""
                rows.append((is_path, kind == KIND_INCLUDE, _compile(text, slashes or not is_path, tail)))
                if is_path and kind == KIND_INCLUDE:
                    self._above += [_compile(text[: found.start()], slashes) for found in re.finditer("/", text)]
            self._groups.append(rows)

    def includes(self, name: bytes) -> bool:
        """Tell whether a file or directory is included in a group."""
        base = name.rpartition(b"/")[2]
        for rows in self._groups:
            by_path, by_base = False, True
            for is_path, included, pattern in rows:
                if is_path and pattern.match(name):
                    by_path = included
                elif not is_path and pattern.match(base):
                    by_base = included
            if by_path and by_base:
                return True
        return False

    def leads_on(self, name: bytes) -> bool:
        """Tell whether below a directory that is not included there may be what is."""
        return name == b"/" or any(pattern.match(name) for pattern in self._above)


def fixed_parts(config: Config, name: str) -> Iterator[tuple[bytes, bytes]]:
    """Yield for each include pattern of a host its part above the first wildcard: csync2's name for it and the path."""
    prefixes = dict(Matcher(config, name).starts[1:])
    for group in config.groups_of(name):
        for kind, text in group.patterns:
            if kind != KIND_INCLUDE or not _is_path(text):
                continue
            parts = []
            for part in _bytes(text.rstrip("/")).split(b"/"):
                if any(mark in part for mark in b"*?[\\"):
                    break
                parts.append(part)
            file = path = b"/".join(parts)
            for prefix, directory in prefixes.items():
                if file == prefix or file.startswith(prefix + b"/"):
                    path = directory + file[len(prefix) :]
            # A prefix that has no path on this host leads nowhere
            if path.startswith(b"/") or not path:
                yield file or b"/", path or b"/"


def _prefix_path(entries: list[tuple[str, str]], name: str) -> str:
    """Return the path of a prefix on a host, empty where it has none."""
    paths = [path for pattern, path in entries if _compile(pattern, True).match(_bytes(name))]
    return paths[0].rstrip("/") or "/" if paths else ""


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _compile(pattern: str, slashes: bool, tail: bytes = b"") -> Pattern[bytes]:
    """Translate an fnmatch(3) pattern of the C locale; `slashes` tells whether wildcards match slashes.

    `tail` is what may follow, as an expression (FNM_LEADING_DIR).
    """
    raw, out, at = _bytes(pattern), [], 0
    while at < len(raw):
        char = raw[at : at + 1]
        bracket = _BRACKET.match(raw, at) if char == b"[" else None
        if bracket:
            out.append(_one_of(_members(bracket.group(2), bool(bracket.group(1))) - (set() if slashes else {ord("/")})))
            at = bracket.end()
            continue
        if char == b"*":
            out.append(b".*" if slashes else b"[^/]*")
        elif char == b"?":
            out.append(b"." if slashes else b"[^/]")
        elif char == b"\\":
            at += 1
            # Nothing is escaped at the end, and such a pattern matches nothing
            out.append(re.escape(raw[at : at + 1]) or b"(?!)")
        else:
            out.append(re.escape(char))
        at += 1
    return re.compile(b"".join(out) + tail + b"\\Z", re.S)


def _members(body: bytes, negated: bool) -> set[int]:
    """Return the bytes that a bracket expression stands for."""
    members: set[int] = set()
    for item in _ITEM.finditer(body):
        if item.group("class"):
            members.update(_CLASSES.get(item.group("class"), b""))
        else:
            low = item.group("low")[-1]
            members.update(range(low, (item.group("high") or item.group("low"))[-1] + 1))
    return set(range(256)) - members if negated else members


def _one_of(members: set[int]) -> bytes:
    return b"[" + b"".join(b"\\x%02x" % member for member in sorted(members)) + b"]" if members else b"(?!)"
