# SPDX-License-Identifier: GPL-3.0-or-later
"""Trees as nobody would make them by hand: whatever they hold arrives, and rsync finds no difference.

Source and target are two ext4 file systems of their own: not every machine's directory for temporary files knows
attributes, access control lists and flags.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from tests.faults.ground import LIMIT, NAMES, PROPERTY, Ground, command, differences

NAME = st.one_of(
    st.sampled_from([b"a", b"b", b"c", b" ", b"\n", b"-rf", b"*", b"\xff", b"\xc3\xa4", b"a\x00b"[:1], b"x" * 255]),
    st.binary(min_size=1, max_size=20).map(lambda name: name.replace(b"/", b"_").replace(b"\0", b"0")),
).filter(lambda name: name not in (b".", b".."))
#: Where something lies: in one of the first two entries, some directories deep.
PLACE = st.tuples(st.sampled_from(NAMES[:2]), st.lists(NAME, min_size=1, max_size=4))
MODE = st.sampled_from([0o644, 0o600, 0, 0o4755, 0o2770, 0o1777, 0o777])
KINDS = ("file", "file", "file", "directory", "near", "outside", "absolute", "twin", "sparse", "pipe")


@dataclass(frozen=True)
class Thing:
    """Something to make; what cannot be made there, since something else is in the way, is left out."""

    place: tuple[str, list[bytes]]
    kind: str
    mode: int
    size: int
    seconds: int
    owner: int
    attribute: bytes
    immutable: bool

    def make(self, root: pathlib.Path, made: list[bytes]) -> None:
        """Make it below a directory."""
        entry, names = self.place
        path = os.path.join(os.fsencode(root / entry), *names)  # noqa: PTH118  # names of bytes
        # A file, a dangling link or a link to itself may stand where a directory would be needed
        with contextlib.suppress(OSError):
            os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120  # names are bytes here
            self._make(path, made)
            made.append(path)
            if self.attribute and self.kind in ("file", "directory", "sparse"):
                os.setxattr(path, "user.note", self.attribute)

    def _make(self, path: bytes, made: list[bytes]) -> None:
        follow = self.kind not in ("near", "outside", "absolute")
        if self.kind == "directory":
            os.mkdir(path)  # noqa: PTH102  # names are bytes here
        elif not follow:
            lead = {"near": b"a", "outside": b"../../../../../etc/hostname", "absolute": b"/etc/hostname"}[self.kind]
            os.symlink(lead, path)  # noqa: PTH211  # names are bytes here
        elif self.kind == "twin" and (
            files := [one for one in made if stat.S_ISREG(os.lstat(one).st_mode)]
        ):  # names are bytes here
            os.link(files[self.size % len(files)], path)  # names are bytes here
            return
        elif self.kind == "pipe":
            os.mkfifo(path)
        else:
            with open(path, "xb") as file:  # noqa: PTH123  # names are bytes here
                file.write(os.urandom(self.size) if self.kind != "sparse" else b"")
                file.truncate(self.size * (100 if self.kind == "sparse" else 1))
        os.chown(path, self.owner, self.owner, follow_symlinks=False)
        if follow:
            os.chmod(path, self.mode)  # noqa: PTH101  # names are bytes here
        os.utime(path, ns=(0, self.seconds * 1_000_000_007), follow_symlinks=False)


THINGS = st.builds(
    Thing,
    place=PLACE,
    kind=st.sampled_from(KINDS),
    mode=MODE,
    size=st.sampled_from([0, 1, 4095, 4097, 70_000]),
    seconds=st.integers(0, 2_000_000_000),
    owner=st.sampled_from([0, 1, 65534, 4_000_000_000]),
    attribute=st.sampled_from([b"", b"", b"value\0", b"x" * 500]),
    immutable=st.booleans(),
)


@pytest.fixture(scope="module")
def disks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pathlib.Path]:
    """Mount two ext4 file systems, one for the data and one for the share."""
    root = tmp_path_factory.mktemp("disks")
    with contextlib.ExitStack() as stack:
        for name in ("old", "new"):
            (root / name).mkdir()
            image = root / f"{name}.img"
            with image.open("wb") as file:
                file.truncate(128 * 1024 * 1024)
            command("mke2fs", "-q", "-t", "ext4", image)
            command("mount", "-o", "loop", image, root / name)
            stack.callback(command, "umount", "--lazy", root / name)
        yield root


class Disks(Ground):
    """A ground whose data and share lie on the two file systems."""

    @property
    def install(self) -> pathlib.Path:
        """Where the data are at first."""
        return self.root / "old/install"

    @property
    def reference(self) -> pathlib.Path:
        """The data themselves: nothing of what is judged here changes them."""
        return self.install

    @property
    def share(self) -> pathlib.Path:
        """The mount point of the shared storage."""
        return self.root / "new"


ACCEPTED = ("flags", "hard_links_out", "links")


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    # An example takes a second: making a failing one smaller would take minutes
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@given(first=st.lists(THINGS, max_size=12), later=st.lists(THINGS, max_size=4), gone=st.integers(0, 3))
@example(first=[], later=[], gone=0)
def test_whatever_there_is_arrives(disks: pathlib.Path, first: list[Thing], later: list[Thing], gone: int) -> None:
    """After a first copy things come and go; then all is moved, and in the end the originals are removed."""
    ground = Disks(disks, PROPERTY, ACCEPTED)
    clear(ground)
    for name in (*NAMES[:2], "conf/server"):
        (ground.install / name).mkdir(parents=True)
    ground.properties.write_text("server.appdata.dir=..\n", encoding="utf-8")
    (ground.install / NAMES[2]).write_text("7.3\n", encoding="utf-8")
    ground.write_request()
    made: list[bytes] = []
    for thing in first:
        thing.make(ground.install, made)
    ground.report("precopy")
    for path in made[:gone]:
        subprocess.run([b"rm", b"-rf", b"--", path], timeout=LIMIT, check=True)
    made = [path for path in made if os.path.lexists(path)]  # names of bytes
    for thing in later:
        thing.make(ground.install, made)
    for thing, path in zip((*first, *later), made, strict=False):
        if thing.immutable and stat.S_ISREG(os.lstat(path).st_mode):  # names are bytes here
            subprocess.run([b"chattr", b"+i", b"--", path], capture_output=True, timeout=LIMIT, check=False)
    ground.report("migrate")
    assert ground.in_use() == ground.target
    assert not differences(ground.install, ground.target, "--exclude=/conf/server")
    assert ground.report("remove_source")["phase"] == "removed"
    left = {path.name for path in ground.install.rglob("*")}
    assert left == {"conf", "var", "server", "installed.properties", "installed.version"}


def clear(ground: Ground) -> None:
    """Remove everything that an earlier example left."""
    subprocess.run(["chattr", "-R", "-f", "-i", str(ground.install)], capture_output=True, timeout=LIMIT, check=False)
    for place in (ground.install, ground.target, ground.root / "state"):
        command("rm", "-rf", "--", place)


def test_deeper_than_a_path_can_be_long(disks: pathlib.Path) -> None:
    """A tree whose innermost path no call takes at once, moved, compared by tar, and removed."""
    ground = Disks(disks, PROPERTY)
    clear(ground)
    for name in (*NAMES[:2], "conf/server"):
        (ground.install / name).mkdir(parents=True)
    ground.properties.write_text("server.appdata.dir=..\n", encoding="utf-8")
    (ground.install / NAMES[2]).write_text("7.3\n", encoding="utf-8")
    ground.write_request()
    # One step at a time, which no limit of a path forbids
    script = (
        "import os, sys\nos.chdir(sys.argv[1])\nfor turn in range(60):\n"
        "    os.mkdir(sys.argv[2]); os.chdir(sys.argv[2])\nopen('file', 'w').write('innermost')"
    )
    command(sys.executable, "-c", script, ground.install / "logs", "d" * 200)
    ground.report("precopy,migrate")
    checksum = 'cd "$1" && find . -printf "%M %U %G %T@ %s %f\\n" | sort; find . -name file -execdir cat {} +'
    old, new = (command("sh", "-c", checksum, "sh", one / "logs") for one in (ground.install, ground.target))
    assert old == new and "innermost" in new and old.count("d" * 200) == 60
    ground.report("remove_source")
    assert not (ground.install / "logs").exists()
