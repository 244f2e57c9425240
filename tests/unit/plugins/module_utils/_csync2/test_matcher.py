# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a group includes is what csync2 includes: compared with its own functions, over the C library's fnmatch(3)."""

from __future__ import annotations

import ctypes
import locale
from typing import Iterator

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ansible_collections.clusterkit.middleware.plugins.module_utils._csync2.config import (
    Config,
    Group,
    Host,
    Matcher,
)

FNM_PATHNAME, FNM_LEADING_DIR = 1, 8
_LIBC = ctypes.CDLL(None)


@pytest.fixture(scope="module", autouse=True)
def c_locale() -> Iterator[None]:
    """csync2 never calls setlocale(3), so its fnmatch compares bytes."""
    before = locale.setlocale(locale.LC_CTYPE)
    locale.setlocale(locale.LC_CTYPE, "C")
    yield
    locale.setlocale(locale.LC_CTYPE, before)


def fnmatch(pattern: bytes, name: bytes, flags: int) -> bool:
    return _LIBC.fnmatch(ctypes.c_char_p(pattern), ctypes.c_char_p(name), flags) == 0


def match_pattern_list(patterns: list[tuple[str, bytes]], name: bytes) -> bool:
    """Decide as upstream's match_pattern_list() does, with add_patt() before it."""
    match_path, match_base = False, True
    for kind, pattern in patterns:
        text = pattern[:1] + pattern[1:].rstrip(b"/")
        if text[:1] in (b"/", b"%"):
            pathname = 0 if b"**" in text else FNM_PATHNAME
            if fnmatch(text, name, FNM_LEADING_DIR | pathname):
                match_path = kind == "include"
        elif fnmatch(text, name.rpartition(b"/")[2], 0):
            match_base = kind == "include"
    return match_path and match_base


def step_into(patterns: list[tuple[str, bytes]], name: bytes) -> bool:
    """Decide as upstream's csync_step_into() does."""
    if name == b"/":
        return True
    for kind, pattern in patterns:
        text = pattern[:1] + pattern[1:].rstrip(b"/")
        if kind == "include" and text[:1] in (b"/", b"%"):
            pathname = 0 if b"**" in text else FNM_PATHNAME
            while b"/" in text:
                text = text.rpartition(b"/")[0]
                if fnmatch(text, name, pathname):
                    return True
    return False


def matcher(patterns: list[tuple[str, bytes]]) -> Matcher:
    rows = [(kind, pattern.decode("utf-8", "surrogateescape")) for kind, pattern in patterns]
    return Matcher(Config([Group("g", [Host("n1"), Host("n2")], "/key", rows)]), "n1")


PIECES = [
    *(b"a", b"b", b"c", b".", b"/", b"*", b"**", b"?", b"\\*", b"\\[", b"\xff", b"\xc3\xa9", b"-", b"]", b"!", b"^"),
    *(
        b"[ab]",
        b"[!ab]",
        b"[^/]",
        b"[a-c]",
        b"[]a]",
        b"[!]a]",
        b"[a-]",
        b"[\\]]",
        b"[[:alpha:]-]",
        b"[[:nonsense:]]",
        b"[",
    ),
]
NAMES = st.lists(
    st.sampled_from([b"a", b"b", b"c", b".", b"/", b"*", b"\xff", b"\xc3\xa9", b"]", b"[", b"-", b"!", b"^", b"\n"]),
    max_size=6,
).map(b"".join)
PATTERNS = st.lists(
    st.tuples(
        st.sampled_from(["include", "exclude"]),
        st.tuples(
            st.sampled_from([b"/", b"/", b"%p%/", b""]), st.lists(st.sampled_from(PIECES), min_size=1, max_size=5)
        ).map(lambda parts: parts[0] + b"".join(parts[1])),
    ),
    min_size=1,
    max_size=5,
)


@given(PATTERNS, st.sampled_from([b"/", b"%p%/"]), NAMES)
def test_decides_as_csync2(patterns: list[tuple[str, bytes]], start: bytes, rest: bytes) -> None:
    # glibc has collating symbols, and takes an escaped slash after a star for none; nobody writes either
    assume(not any(odd in pattern for _kind, pattern in patterns for odd in (b"[.", b"[=", b"\\/")))
    name = start + rest
    assert matcher(patterns).includes(name) == match_pattern_list(patterns, name)
    assert matcher(patterns).leads_on(name) == step_into(patterns, name)


@pytest.mark.parametrize(
    ("patterns", "included", "not_included"),
    [
        ("+/srv/web", ["/srv/web", "/srv/web/a/b"], ["/srv", "/srv/webs", "/srv/web2/a"]),
        ("+/srv/web/", ["/srv/web", "/srv/web/a"], []),
        ("+/srv/*/conf", ["/srv/a/conf", "/srv/a/conf/x/y"], ["/srv/a/b/conf", "/srv/conf"]),
        ("+/srv/**conf", ["/srv/a/b/conf", "/srv/conf", "/srv/a/b/conf/x"], ["/srv/a/b"]),
        ("+/srv -*~ -.*", ["/srv/a", "/srv/.a/b"], ["/srv/a~", "/srv/.a"]),
        # The last one that matches decides
        ("+/srv -/srv/tmp +/srv/tmp/keep", ["/srv/tmp/keep", "/srv/tmp/keep/x"], ["/srv/tmp", "/srv/tmp/x"]),
        ("+/srv +/srv/tmp -/srv", [], ["/srv", "/srv/tmp"]),
        # Separately for paths and for base names
        ("+/srv -* +*.conf", ["/srv/a.conf"], ["/srv/a", "/srv"]),
        ("-*.conf +/srv", ["/srv/a"], ["/srv/a.conf"]),
        ("+*.conf", [], ["/srv/a.conf"]),
        ("+/", ["/"], ["/srv"]),
    ],
)
def test_examples(patterns: str, included: list[str], not_included: list[str]) -> None:
    rows = [("include" if text[0] == "+" else "exclude", text[1:].encode()) for text in patterns.split()]
    found = matcher(rows)
    assert [name for name in included if not found.includes(name.encode())] == []
    assert [name for name in not_included if found.includes(name.encode())] == []


def test_what_is_only_compared_is_not_included() -> None:
    assert not matcher([("compare", b"/srv")]).includes(b"/srv")
    assert not matcher([("compare", b"/srv/a")]).leads_on(b"/srv")


def test_any_group_of_the_host_includes() -> None:
    groups = [
        Group("a", [Host("n1"), Host("n2")], "/key", [("include", "/a")]),
        Group("b", [Host("n2"), Host("N1")], "/key", [("include", "/b")]),
        Group("c", [Host("n2"), Host("n3")], "/key", [("include", "/c")]),
    ]
    found = Matcher(Config(groups), "n1")
    assert [name for name in (b"/a", b"/b", b"/c") if found.includes(name)] == [b"/a", b"/b"]


def test_prefixes() -> None:
    """Files below a prefix's directory go by its name, and only by that."""
    config = Config(
        [Group("g", [Host("n1"), Host("n2")], "/key", [("include", "%home%/bob"), ("exclude", "/export/bob/tmp")])],
        prefixes=[("home", [("n[13]", "/export/"), ("*", "/home")]), ("none", [("n9", "/nine")])],
    )
    assert Matcher(config, "n1").starts == [(b"/", b"/"), (b"%home%", b"/export")]
    assert Matcher(config, "N2").starts == [(b"/", b"/"), (b"%home%", b"/home")]
    found = Matcher(config, "n1")
    assert found.includes(b"%home%/bob/tmp/x")
    assert not found.includes(b"/export/bob")
    assert found.leads_on(b"%home%")
