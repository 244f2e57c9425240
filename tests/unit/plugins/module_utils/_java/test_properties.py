# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Properties files are read as Java's own java.util.Properties reads them, and changed in the places meant alone."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path
from typing import IO, Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._java.properties import PropertiesFile

SOURCE = Path(__file__).with_name("LoadProperties.java")

#: What matters to the reader, often, and any byte, rarely.
PIECES = st.one_of(
    st.sampled_from(
        [b"\\", b"\n", b"\r\n", b"\r", b" ", b"\t", b"\f", b"=", b":", b"#", b"!", b"u", b"n", b"a", b"key", b"value"]
    ),
    st.sampled_from([b"\\u00e9", b"\\uD83D\\uDE00", b"\\uD83D", b"\\u12", b"\\uuuu", b"\xe9", b"\x85", b"\\\n  "]),
    st.binary(min_size=1, max_size=1),
)
ANY_FILE = st.lists(PIECES, max_size=40).map(b"".join)
#: Files as they are written by people and programs: keys come again, in other spellings.
LINES = st.tuples(
    st.sampled_from([b"", b"  ", b"\t"]),
    st.sampled_from([b"a", b"b.c", b"\\u0061", b"d\\ e", b"f\\:g", b"h\xe9", b"# a", b"! b", b""]),
    st.sampled_from([b"=", b" = ", b":", b" ", b"\t", b" : = ", b""]),
    st.sampled_from(
        [b"", b"1", b"two words ", b"C\\:\\\\x", b"long \\\n    goes on", b"\\u20ac", b"\xe4", b"x\\\r\n\ty"]
    ),
    st.sampled_from([b"\n", b"\n", b"\r\n", b"\r", b"\n\n"]),
).map(b"".join)
WRITTEN_FILE = st.tuples(st.lists(LINES, max_size=12).map(b"".join), st.sampled_from([b"", b"a=end", b"end\\"])).map(
    b"".join
)
FILES = st.one_of(ANY_FILE, WRITTEN_FILE)
TEXT = st.text(st.one_of(st.sampled_from(" \t\n\r\f\\=:#!ué€😀"), st.characters()), max_size=12)
KEYS = st.one_of(st.sampled_from(["a", "b.c", "d e", "f:g", "hé"]), TEXT)


class Java:
    """Java's own reader, one process for all files."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin and process.stdout
        self._in: IO[bytes] = process.stdin
        self._out: IO[bytes] = process.stdout

    def read(self, content: bytes) -> dict[str, str] | None:
        """Return what Java reads in a file, None where it refuses it."""
        self._in.write(struct.pack(">i", len(content)) + content)
        self._in.flush()
        count = self._number()
        return None if count < 0 else {self._text(): self._text() for _number in range(count)}

    def _number(self) -> int:
        return int(struct.unpack(">i", self._out.read(4))[0])

    def _text(self) -> str:
        return self._out.read(2 * self._number()).decode("utf-16-be", "surrogatepass")


@pytest.fixture(scope="module")
def java() -> Iterator[Java]:
    """Start Java, which compiles the program by itself."""
    process = subprocess.Popen(["java", str(SOURCE)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    yield Java(process)
    assert process.stdin
    process.stdin.close()
    assert process.wait(timeout=30) == 0


def ours(content: bytes) -> dict[str, str] | None:
    """Return what we read in a file, None where we refuse it."""
    try:
        return PropertiesFile(content).values
    except ClusterkitError:
        return None


@settings(max_examples=1500, deadline=None)
@given(content=FILES)
@example(content=b"\\\n#no comment?\n")
@example(content=b"\\")
@example(content=b"\\\r\n")
@example(content=b"a=b\\\n\nc=d")
@example(content=b"a=b\\\n# c=d\n")
def test_reads_what_java_reads(java: Java, content: bytes) -> None:
    assert ours(content) == java.read(content)


@settings(max_examples=700, deadline=None)
@given(content=FILES, wanted=st.dictionaries(KEYS, TEXT, min_size=1, max_size=3))
@example(content=b"a=b\\", wanted={"c": "d"})
@example(content=b"key value", wanted={"key": "=x"})
@example(content=b"key", wanted={"key": " x"})
@example(content=b"a:\\\n  old\\\n  er\r\n", wanted={"a": ""})
def test_java_reads_what_we_wrote(java: Java, content: bytes, wanted: dict[str, str]) -> None:
    present = java.read(content)
    if present is None:
        return
    try:
        new = PropertiesFile(content).with_values(wanted).content
    except ClusterkitError:
        # Refused only where a lone backslash joins what we would write to what is there
        assert any(not line.strip(b" \t\f\\") and b"\\" in line for line in content.splitlines()), content
        return
    assert java.read(new) == {**present, **wanted}
    assert PropertiesFile(new).with_values(wanted).content == new


@settings(max_examples=700, deadline=None)
@given(content=FILES, keys=st.lists(KEYS, min_size=1, max_size=3))
@example(content=b"a=1\nb=2\na=3", keys=["a"])
def test_java_reads_nothing_of_what_we_removed(java: Java, content: bytes, keys: list[str]) -> None:
    present = java.read(content)
    if present is None:
        return
    try:
        new = PropertiesFile(content).without(keys).content
    except ClusterkitError:
        assert any(not line.strip(b" \t\f\\") and b"\\" in line for line in content.splitlines()), content
        return
    assert java.read(new) == {key: value for key, value in present.items() if key not in keys}


@given(content=WRITTEN_FILE, value=TEXT)
def test_every_other_byte_stays(content: bytes, value: str) -> None:
    """One run of bytes is replaced, and it lies within the lines of the key that was asked for."""
    before = PropertiesFile(content)
    if "a" not in before.values:
        return
    after = before.with_values({"a": value}).content
    one = [each for each in before._properties if each.key == "a"][-1]
    tail = len(content) - one.stop
    assert after[: one.start] == content[: one.start]
    assert after[len(after) - tail :] == content[one.stop :]


def test_a_file_as_an_installer_leaves_it() -> None:
    content = (
        b"#Written by the installer\r\n#Thu Jan 01\r\nserver.appdata.dir=..\r\n"
        b"database.url=jdbc\\:mysql\\://db/x\r\n! kept\r\nname : gr\xfcn\r\n"
    )
    after = PropertiesFile(content).with_values({"server.appdata.dir": "/media/share/appdata", "new": "é"}).content
    assert after == content.replace(b"dir=..", b"dir=/media/share/appdata") + b"new=\\u00e9\r\n"


@pytest.mark.parametrize("content", [b"a=\\u12", b"x=1\na=\\uXYZW\n", b"\\u=1"])
def test_what_java_refuses_is_refused_without_the_value(content: bytes) -> None:
    with pytest.raises(ClusterkitError, match=r"^line \d: malformed") as raised:
        PropertiesFile(content)
    assert "XYZW" not in str(raised.value)
