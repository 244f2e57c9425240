# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is a key is what csync2 takes as one, and errors show none of it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._csync2.key import (
    ALPHABET,
    fingerprint,
    generate,
    parse,
    parse_given,
)

KEYS = st.text(ALPHABET, min_size=32, max_size=1023)


def set_key(content: bytes) -> bytes | None:
    """Read a key file as upstream's set_key() does, statement by statement; None where it ends csync2."""
    if not content:
        return None
    line = bytearray((content[: content.find(b"\n") + 1] or content)[:1023] + b"\0")
    i = 0
    while line[i]:
        if line[i] == ord("\n"):
            line[i] = 0
            break
        if not re.match(rb"[A-Za-z0-9._]", line[i : i + 1]):
            return None
        i += 1
    key = bytes(line).partition(b"\0")[0]
    return key if len(key) >= 32 else None


@given(KEYS, st.sampled_from([b"", b"\n", b"\nsecond line", b"\n\n"]))
def test_valid_keys(key: str, end: bytes) -> None:
    assert parse(key.encode() + end) == key
    assert set_key(key.encode() + end) == key.encode()


@given(st.binary() | st.builds(lambda key, rest: key.encode() + rest, KEYS, st.binary(max_size=3)))
def test_what_is_taken_is_what_csync2_takes(content: bytes) -> None:
    try:
        key = parse(content)
    except ClusterkitError:
        # Stricter in two things only: what csync2 would cut off at a zero byte, or at its buffer's end
        assert set_key(content) is None or b"\0" in content or len(content.partition(b"\n")[0]) > 1023
    else:
        assert set_key(content) == key.encode()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has 0 characters: csync2 takes 32 at least"),
        (b"\n" + b"x" * 64, "has 0 characters"),
        (b"x" * 31, "has 31 characters"),
        (b"x" * 1024, "has 1024 characters: csync2 reads 1023 at most"),
        (b"x" * 64 + b"\r\n", "position 65 holds a carriage return"),
        (b"x" * 40 + b"-" + b"x" * 23, "position 41 holds a character that csync2 does not allow"),
        (b"x" * 40 + b"\0" * 24, "position 41 holds a character"),
        ("é".encode() + b"x" * 64, "position 1 holds a character"),
    ],
)
def test_malformed_keys(content: bytes, message: str) -> None:
    with pytest.raises(ClusterkitError, match=message):
        parse(content)


@given(st.text(min_size=1))
def test_no_error_shows_a_key(canary: str) -> None:
    content = f"canary-{canary}"
    with pytest.raises(ClusterkitError) as caught:
        parse(content.encode(errors="surrogatepass"))
    assert "canary" not in caught.value.message


def test_given_text_of_more_than_one_line_is_refused() -> None:
    key = "k" * 64
    assert parse_given(f"{key}\n") == parse_given(key) == parse_given(f"{key}\n \n") == key
    with pytest.raises(ClusterkitError, match="more than one line"):
        parse_given(f"{key}\nmore")


def test_generated_keys_are_as_csync2_makes_them() -> None:
    keys = {generate() for _turn in range(50)}
    assert len(keys) == 50
    assert all(len(key) == 64 and parse(key.encode()) == key for key in keys)
    assert set("".join(keys)) == set(ALPHABET)


def test_fingerprint() -> None:
    # printf '%064d' 0 | sha256sum
    assert fingerprint("0" * 64) == "60e05bd1b195af2f"
