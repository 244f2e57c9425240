# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration is read as csync2 reads it, written so that it reads back, and refused where csync2 would fail."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._csync2.config import (
    AUTO_METHODS,
    IGNORABLE,
    Action,
    Config,
    Group,
    Host,
    from_variables,
    parse,
    render,
    to_variables,
    with_probe,
)

RECORDED = Path(__file__).with_name("recorded")
KEY = "/etc/csync2.key"
MEMBERS = ["n1", "n2", "n3"]

#: Whatever a string of the format can hold: all but quotation marks.
TEXT = st.text(st.characters(exclude_characters='"\0', exclude_categories=["Cs"]), min_size=1, max_size=12)
NUMBER = st.none() | st.integers(0, 10**6)
PATTERNS = st.lists(st.tuples(st.sampled_from(["include", "exclude", "compare"]), TEXT), max_size=4)
ACTIONS = st.builds(
    lambda only, **rest: Action(do_local_only=only, **{**rest, "do_local": rest["do_local"] or only}),
    only=st.booleans(),
    patterns=st.lists(TEXT, max_size=2),
    commands=st.lists(TEXT, max_size=2),
    logfile=st.just("") | TEXT,
    do_local=st.booleans(),
)
GROUPS = st.builds(
    Group,
    name=TEXT,
    hosts=st.lists(st.builds(Host, TEXT, st.just("") | TEXT, st.booleans()), max_size=4),
    key=TEXT,
    patterns=PATTERNS,
    actions=st.lists(ACTIONS, max_size=2),
    backup_directory=st.just("") | TEXT,
    backup_generations=NUMBER,
    auto=st.sampled_from(["", *AUTO_METHODS]),
)
CONFIGS = st.builds(
    Config,
    groups=st.lists(GROUPS, max_size=3),
    prefixes=st.lists(st.tuples(TEXT, st.lists(st.tuples(TEXT, TEXT.map(lambda text: f"/{text}")), max_size=2))),
    nossl=st.lists(st.tuples(TEXT, TEXT), max_size=2),
    ignore=st.lists(st.sampled_from(IGNORABLE), max_size=3),
    database=st.just("") | TEXT,
    tempdir=st.just("") | TEXT,
    lock_timeout=NUMBER,
)


@given(CONFIGS)
def test_what_is_rendered_reads_back(config: Config) -> None:
    assert parse(render(config)) == config


@given(TEXT)
def test_strings_survive_bare_or_quoted(text: str) -> None:
    """Words that are keywords, and characters that end a word, are quoted."""
    for word in (text, "include", "config", "no-cygwin-lowercase", "/a:b", "{", "a{b}", "*~", ".*"):
        group = Group("g", [Host("n1")], KEY, [("include", word)])
        assert parse(render(Config([group]))).groups == [group]


@pytest.mark.parametrize("text", ['a"b', "", "a\0b"])
def test_strings_that_the_format_cannot_hold(text: str) -> None:
    config = Config([Group("g", [Host("n1"), Host("n2")], KEY, [], [Action(commands=[text])])])
    with pytest.raises(ClusterkitError) as caught:
        render(config)
    assert str(caught.value) == (f"csync2's configuration cannot hold {text!r}: it has no escape for quotation marks")


# --- real files ------------------------------------------------------------------------------------------------------


def test_the_source_documents_configuration() -> None:
    config = parse((RECORDED / "source-document.cfg").read_text())
    assert to_variables(config) == {
        "csync2_groups": [
            {
                "name": "cluster_group",
                "hosts": ["idp1.gluu.org", "idp2.gluu.org"],
                "include": [
                    "/etc/csync2/csync2.cfg",
                    "/opt/idp/conf",
                    "/opt/idp/metadata",
                    "/opt/idp/ssl",
                    "/opt/apache-tomcat-7.0.65/conf",
                ],
                "exclude": ["*~", ".*"],
                "key": "/etc/csync2/csync2.key",
                "actions": [
                    {"logfile": "/var/log/csync2_action.log", "do_local": True},
                    {
                        "patterns": ["/opt/apache-tomcat-7.0.65/conf/*"],
                        "commands": ["/sbin/service tomcat restart"],
                        "logfile": "/var/log/csync2_action.log",
                        "do_local": True,
                    },
                ],
                "backup_directory": "/var/backups/csync2",
                "backup_generations": 3,
                "auto": "younger",
            }
        ]
    }
    assert config.peers_of("idp1.gluu.org") == ["idp2.gluu.org"]
    again = from_variables(
        to_variables(config)["csync2_groups"], members=["idp1.gluu.org", "idp2.gluu.org"], key="/another"
    )
    assert again == config


def test_the_packaged_example_is_all_comments() -> None:
    assert parse((RECORDED / "debian-example.cfg").read_text()) == Config()


def test_the_packaged_example_without_its_comment_signs() -> None:
    text = re.sub(r"(?m)^# ?", "", (RECORDED / "debian-example.cfg").read_text())
    config = parse(text[text.index("group mygroup") :])
    assert config.prefixes == [("homedir", [("host[12]", "/export/users"), ("*", "/home")])]
    (group,) = config.groups
    assert [(host.name, host.peer, host.slave) for host in group.hosts] == [
        ("host1", "host1", False),
        ("host2", "host2", False),
        ("host3", "host3", True),
        ("host4", "host4-eth2", False),
    ]
    assert group.patterns == [
        ("include", "/etc/apache"),
        ("include", "%homedir%/bob"),
        ("exclude", "%homedir%/bob/temp"),
        ("exclude", "*~"),
        ("exclude", ".*"),
    ]
    assert group.actions == [
        Action(
            patterns=["/etc/apache/httpd.conf", "/etc/apache/sites-available/*"],
            commands=["/usr/sbin/apache2ctl graceful"],
            logfile="/var/log/csync2_action.log",
            do_local=True,
        )
    ]
    assert (group.key, group.backup_directory, group.backup_generations, group.auto) == (
        "/etc/csync2.key_mygroup",
        "/var/backups/csync2",
        3,
        "none",
    )
    variables = to_variables(config)
    members = ["host1", "host2", "host3", "host4"]
    again = from_variables(variables["csync2_groups"], members, KEY, prefixes=variables["csync2_prefixes"])
    assert to_variables(again) == variables


# --- the grammar, each line tried with csync2 2.0 itself -------------------------------------------------------------

GRAMMAR: list[tuple[str, str]] = [
    ("group g { host n1 n2; key K; include /a:b; }", ""),
    ("group g{ host n1 n2; key K; }", "line 1: found 'host', expected '{'"),
    ("group { host n1 (n2); key K; include /a{b}c; }", ""),
    ("group g { host n1 (n2@x) n3; key K; }", ""),
    ("group g { host n1 ) n2 (; key K; }", "line 1: found ')', expected a host's name"),
    ("group g { host n1 (n2 (n3)); key K; }", "line 1: found '(', expected a host's name"),
    ("group g { host n1 (n2; key K; }", "line 1: found ';', expected a host's name"),
    ('group g { host n1 n2; key K; include "" /b; }', ""),
    ('group g { host n1 n2; key ""; }', "line 1: found ';', expected one string"),
    (
        "group g {\n host n1 n2;\n key K;\n auto none;\n auto first; }",
        "line 5: found 'first' after 'none', expected only one",
    ),
    (
        "group g { host n1 n2; key K;\n auto nonsense; }",
        "line 2: found 'nonsense', expected one of none, first, younger, older, bigger, smaller, left, right",
    ),
    ("group g { host n1 n2; include /a; }", "line 1: found no 'key', expected one in group g"),
    ("group g { host n1 n2; key K; key K; }", "line 1: found 'K' after 'K', expected only one"),
    ("ignore foo; group g { host n1 n2; key K; }", "line 1: found 'foo', expected one of uid, gid, mod"),
    ("prefix p { on *: rel; } group g { host n1 n2; key K; }", "line 1: found 'rel', expected an absolute path"),
    ("prefix p { on *:/x; } group g { host n1 n2; key K; }", "line 1: found ';', expected ':'"),
    ("prefix p { off *: /x; }", "line 1: found something else, expected on PATTERN: PATH;"),
    ("group g { host n1 n2;\nkey K; include /a\n}", "line 3: found '}', expected a string"),
    ('group g { host n1 n2; key K; action { do-local; exec "a\nb"; } }', ""),
    ("group g { host n1 n2 key K; }", "line 1: found 'key', expected a host's name"),
    ("group g { host n1 n2; key K; include a:; }", "line 1: found ':', expected a string"),
    ('group g {\n host n1 n2; key K; include "/a; }', "line 2: found an unclosed quotation mark"),
    ("group g { host n1 n2; key K; include :a; }", ""),
    ("group g { host n1 n2; key K; include /x#y; }", "line 1: found the end of the file, expected more"),
    ("group g { host n1 n2; key K; include a@b; }", "line 1: found '@', expected a string"),
    ("group host { host n1 n2; key K; }", "line 1: found 'host', expected a group's name"),
    ("group g { host n1 n2; key K; action { sleep; } }", "line 1: found 'sleep', expected pattern, exec, logfile"),
    ("group g { host n1 n2; key K; includes /a; }", "line 1: found 'includes', expected a statement of group g"),
    ("group", "line 1: found the end of the file, expected more"),
    ("no-cygwin-lowercase;", "line 1: found 'no-cygwin-lowercase', expected group, prefix, nossl"),
    ('"group" g { host n1 n2; key K; }', "line 1: found 'group', expected group, prefix, nossl"),
]


@pytest.mark.parametrize(("text", "message"), GRAMMAR)
def test_grammar(text: str, message: str, tmp_path: Path) -> None:
    if message:
        with pytest.raises(ClusterkitError) as caught:
            parse(text)
        assert str(caught.value).startswith(f"csync2's configuration, {message}")
    else:
        assert parse(text).groups
    if shutil.which("csync2"):
        assert csync2_takes(text, tmp_path) == (not message)


def csync2_takes(text: str, directory: Path) -> bool:
    """Ask csync2 itself, where it is installed."""
    (directory / "key").write_text("k" * 64)
    (directory / "csync2.cfg").write_text(text.replace("key K", f"key {directory}/key"))
    argv = ["csync2", "-N", "n1", "-D", str(directory), "-L"]
    environment = {**os.environ, "CSYNC2_SYSTEM_DIR": str(directory)}
    return subprocess.run(argv, env=environment, capture_output=True, timeout=20, check=False).returncode != 1


@pytest.mark.parametrize("text", ["group g { key K; backup-generations %s; }", "lock-timeout %s;"])
@pytest.mark.parametrize("number", ["x", "-1", "²", "1.5"])
def test_numbers(text: str, number: str) -> None:
    """csync2 would take any word here, as 0 mostly."""
    with pytest.raises(ClusterkitError, match=f"found '{re.escape(number)}', expected a number"):
        parse(text % number)


def test_what_csync2_makes_of_repetitions_and_lists() -> None:
    config = parse(
        "database /first; database /second; tempdir /a; tempdir /b;\n"
        "nossl a b; nossl * *; ignore uid gid; ignore mod;\n"
        "group { key K; compare /a /b /c; backup-directory /x; backup-directory /y; action { do-local-only; } }\n"
        "group named { key K; } group { key K; }"
    )
    assert (config.database, config.tempdir) == ("/first", "/b")
    assert (config.nossl, config.ignore) == ([("a", "b"), ("*", "*")], ["uid", "gid", "mod"])
    assert [group.name for group in config.groups] == ["group_1", "named", "group_2"]
    assert config.groups[0].patterns == [("include", "/a"), ("include", "/b"), ("compare", "/c")]
    assert config.groups[0].backup_directory == "/y"
    assert config.groups[0].actions == [Action(do_local=True, do_local_only=True)]


def test_carriage_returns_are_blanks_outside_of_strings() -> None:
    text = 'group g # comment\r\n{\r\n host n1 n2;\r\n key K;\r\n include "/a\rb";\r\n}\r\n'
    assert parse(text).groups == [Group("g", [Host("n1"), Host("n2")], "K", [("include", "/a\rb")])]


def test_groups_and_peers_of_a_host() -> None:
    config = parse(
        "group a { host N1 n2@n2-eth1 (n3); key K; } group b { host n2 n3; key K; } group c { host n1 n3 n4; key K; }"
    )
    assert [group.name for group in config.groups_of("n1")] == ["a", "c"]
    assert config.peers_of("n1") == ["n2-eth1", "n3", "n4"]
    assert config.peers_of("n9") == []


# --- from and to variables -------------------------------------------------------------------------------------------


def test_hosts_are_the_members_where_none_is_named() -> None:
    (group,) = from_variables([{"name": "web", "include": ["/srv"], "slaves": ["n3@n3-eth1"]}], MEMBERS, KEY).groups
    assert group.hosts == [Host("n1"), Host("n2"), Host("n3", "n3-eth1", slave=True)]
    assert group.key == KEY


def test_all_variables_are_exported_again() -> None:
    variables: dict[str, Any] = {
        "csync2_groups": [
            {
                "name": "web",
                "hosts": ["n1@n1-eth1", "n2"],
                "slaves": ["n3"],
                "patterns": [{"include": "/srv"}, {"exclude": "*"}, {"include": "*.conf"}, {"compare": "/etc"}],
                "key": "/etc/web.key",
                "actions": [
                    {"patterns": ["/srv/*", "**.conf"], "commands": ["systemctl reload x", "a\nb"], "do_local": True},
                    {"commands": ["b"], "logfile": "/var/log/b", "do_local_only": True},
                ],
                "backup_directory": "/var/backups",
                "backup_generations": 5,
                "auto": "left",
            },
            {"name": "home", "hosts": ["n1", "n2"], "include": ["%home%/bob"], "exclude": [".*"], "key": KEY},
        ],
        "csync2_nossl": [{"from": "n1", "to": "*"}],
        "csync2_ignore": ["uid", "gid"],
        "csync2_prefixes": [{"name": "home", "paths": [{"hosts": "n[12]", "path": "/export"}]}],
    }
    config = from_variables(
        variables["csync2_groups"],
        MEMBERS,
        KEY,
        nossl=variables["csync2_nossl"],
        ignore=variables["csync2_ignore"],
        prefixes=variables["csync2_prefixes"],
    )
    assert to_variables(config) == variables
    assert to_variables(parse(render(config))) == variables


PATHS = st.from_regex(r"\A(/[a-z*?.~ ]{1,4}[a-z])+\Z")
BASE_NAMES = st.from_regex(r"\A[a-z*?~.]{1,6}\Z")


@given(
    st.lists(
        st.fixed_dictionaries(
            {"hosts": st.permutations(MEMBERS), "key": PATHS},
            optional={
                "backup_directory": PATHS,
                "auto": st.sampled_from(AUTO_METHODS),
                "actions": st.lists(
                    st.fixed_dictionaries(
                        {"commands": st.lists(TEXT, min_size=1)}, optional={"patterns": st.lists(PATHS, min_size=1)}
                    ),
                    min_size=1,
                ),
            },
        ),
        min_size=1,
        max_size=3,
    ),
    st.lists(PATHS, min_size=1),
    st.lists(st.tuples(st.sampled_from(["include", "exclude", "compare"]), PATHS | BASE_NAMES)),
)
def test_variables_round_trip(groups: list[dict[str, Any]], includes: list[str], more: list[tuple[str, str]]) -> None:
    for number, group in enumerate(groups):
        group["name"] = f"g{number}"
        group["patterns"] = [{"include": path} for path in includes] + [{kind: text} for kind, text in more]
    config = from_variables(groups, MEMBERS, KEY)
    exported = to_variables(parse(render(config)))["csync2_groups"]
    assert from_variables(exported, MEMBERS, KEY) == config


WEB: dict[str, Any] = {"name": "web", "include": ["/srv/web"]}
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"includes": ["/srv"]}, "csync2_groups[0] has 'includes': known are actions, auto, backup_directory,"),
    ({"name": ""}, "csync2_groups[0].name is missing: give the group a name"),
    ({"hosts": ["n1"]}, "csync2_groups[0] (web) has one host or none (n1): two at least make a cluster"),
    ({"slaves": MEMBERS}, "csync2_groups[0].slaves names every host: one at least has to send its files"),
    (
        {"hosts": ["n1", "n2"], "slaves": ["n2"]},
        "csync2_groups[0] names 'n2' twice: a host is in .hosts or in .slaves, once",
    ),
    ({"hosts": ["n1", "n9"]}, "csync2_groups[0].hosts has 'n9', which is no member: the members are n1, n2, n3"),
    ({"slaves": ["n9"]}, "csync2_groups[0].slaves has 'n9', which is no member: the members are n1, n2, n3"),
    (
        {"hosts": ["n1", "UP"]},
        "csync2_groups[0].hosts has 'UP': csync2 compares host names in lower case; write 'up'",
    ),
    (
        {"auto": "newest"},
        "csync2_groups[0].auto is 'newest': csync2 knows none, first, younger, older, bigger, smaller, left, right",
    ),
    *(
        (
            {"backup_directory": "/b", "backup_generations": number},
            f"csync2_groups[0].backup_generations is {number!r}: a whole number from 1",
        )
        for number in (0, -1, True, "x", 1.5, "²")
    ),
    (
        {"backup_directory": "/b", "backup_generations": 1},
        "csync2_groups[0].backup_generations is 1, with which csync2 keeps nothing: give 2 or more",
    ),
    (
        {"backup_generations": 3},
        "csync2_groups[0].backup_generations without .backup_directory has no effect: name the directory",
    ),
    (
        {"backup_directory": "b"},
        "csync2_groups[0].backup_directory is 'b': csync2 takes absolute paths only; write '/b' if that is meant",
    ),
    (
        {"key": "%p%/key"},
        "csync2_groups[0].key is '%p%/key': csync2 takes absolute paths only; write '/%p%/key' if that is meant",
    ),
    ({"include": []}, "csync2_groups[0].include is empty: name at least one absolute path"),
    (
        {"include": ["srv/web"]},
        "csync2_groups[0].include is 'srv/web': csync2 takes absolute paths only; write '/srv/web' if that is meant",
    ),
    (
        {"include": ["/srv/../web"]},
        "csync2_groups[0].include is '/srv/../web': csync2 compares paths as text; write it without '.', '..' and '//'",
    ),
    (
        {"exclude": ["/srv//web"]},
        "csync2_groups[0].exclude is '/srv//web': csync2 compares paths as text; write it without '.', '..' and '//'",
    ),
    (
        {"exclude": ["web/tmp"]},
        "csync2_groups[0].exclude has 'web/tmp': write an absolute path, or a base-name pattern without a slash",
    ),
    (
        {"patterns": [{"include": "/srv"}]},
        "csync2_groups[0] has patterns beside include or exclude: use the one or the others",
    ),
    (
        {"include": [], "patterns": [{"include": "/a", "exclude": "/b"}]},
        "csync2_groups[0].patterns[0] is {'include': '/a', 'exclude': '/b'}: "
        "write 'include: PATH' or 'exclude: PATTERN'",
    ),
    (
        {"include": [], "patterns": [{"path": "/a"}]},
        "csync2_groups[0].patterns[0] is {'path': '/a'}: write 'include: PATH' or 'exclude: PATTERN'",
    ),
    (
        {"include": [], "patterns": [{"include": "*.conf"}]},
        "csync2_groups[0].include is empty: name at least one absolute path",
    ),
    (
        {"include": ["%home%/bob"]},
        "csync2_groups (web) has '%home%/bob': its prefix is none of csync2_prefixes, which has none",
    ),
    (
        {"actions": [{"exec": "x"}]},
        "csync2_groups[0].actions[0] has 'exec': known are commands, do_local, do_local_only,",
    ),
    (
        {"actions": [{"do_local": True}]},
        "csync2_groups[0].actions[0] has neither commands nor a logfile: it would do nothing",
    ),
    (
        {"actions": [{"commands": ["x"], "patterns": ["*.conf"]}]},
        "csync2_groups[0].actions[0].patterns has '*.conf': csync2 compares whole paths; write an absolute path",
    ),
]


@pytest.mark.parametrize(("change", "message"), REFUSED)
def test_refusals(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ClusterkitError) as caught:
        from_variables([{**WEB, **change}], [*MEMBERS, "UP"] if "UP" in message else MEMBERS, KEY)
    said = str(caught.value)
    assert said.startswith(message) if message.endswith(",") else said == message


def test_refusals_beside_the_groups() -> None:
    for arguments, message in (
        (
            {"groups": []},
            "csync2_groups is empty: name at least one group with the paths to include",
        ),
        ({"groups": [WEB, WEB]}, "csync2_groups has 2 groups named 'web': give each its own name"),
        ({"ignore": ["mode"]}, "csync2_ignore has 'mode': csync2 knows uid, gid, mod"),
        (
            {"prefixes": [{"name": "p", "paths": [{"hosts": "*", "path": "home"}]}]},
            "csync2_prefixes[0].paths[0].path is 'home': csync2 takes absolute paths only; write '/home' if that is "
            "meant",
        ),
        (
            {"prefixes": [{"name": "p", "paths": [{"host": "*"}]}]},
            "csync2_prefixes[0].paths[0] has host: write 'hosts' and 'path'",
        ),
        ({"members": []}, "csync2_groups[0] (web) has one host or none (none): two at least make a cluster"),
        ({"key": "k"}, "csync2_groups[0].key is 'k': csync2 takes absolute paths only; write '/k' if that is meant"),
    ):
        given_arguments: Any = {"groups": [WEB], "members": MEMBERS, "key": KEY, **arguments}
        with pytest.raises(ClusterkitError) as caught:
            from_variables(**given_arguments)
        assert str(caught.value) == message


def test_probe_is_a_group_of_its_own_that_no_export_shows() -> None:
    groups = [{"name": "web", "include": ["/srv/web"], "hosts": ["n1@eth1", "n2"], "slaves": ["n3"]}]
    wanted = from_variables(groups, members=["n1", "n2", "n3"], key="/k")
    probing = with_probe(wanted, ["n1", "n2", "n3"], "/k")
    assert to_variables(probing) == to_variables(wanted)
    assert parse(render(probing)) == probing
    hosts = [(host.name, host.interface, host.slave) for host in probing.groups[-1].hosts]
    assert hosts == [("n1", "eth1", False), ("n2", "", False), ("n3", "", False)]
    with pytest.raises(ClusterkitError, match="which verifications use: rename it"):
        from_variables([{**groups[0], "name": "clusterkit_probe"}], members=["n1", "n2", "n3"], key="/k")


def test_slave_for_what() -> None:
    groups = [
        {"name": "down", "include": ["/srv/down"], "hosts": ["n1"], "slaves": ["n2"]},
        {"name": "both", "include": ["/srv/both", "/srv/down/shared"], "hosts": ["n1", "n2"]},
    ]
    config = from_variables(groups, members=["n1", "n2"], key="/k")
    assert config.slave_for("N2", "/srv/down/file")
    assert not config.slave_for("n2", "/srv/down/shared")
    assert not config.slave_for("n2", "/srv/both/file")
    assert not config.slave_for("n1", "/srv/down/file")
    assert not config.slave_for("n2", "/elsewhere")


def test_a_member_that_no_group_names_is_refused() -> None:
    groups = [{"name": "web", "include": ["/srv/web"], "hosts": ["n1", "n2"]}]
    with pytest.raises(ClusterkitError, match="n3 is a member of the cluster and in none of csync2_groups"):
        from_variables(groups, members=["n1", "n2", "n3"], key="/k")
