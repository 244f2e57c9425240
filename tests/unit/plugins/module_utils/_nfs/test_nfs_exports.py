# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is exported, to whom and how: the files, what kernels say, and the judgement."""

from __future__ import annotations

import os
import pathlib
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._nfs import exports
from ansible_collections.clusterkit.middleware.plugins.modules import nfs_server_info

if TYPE_CHECKING:
    from tests.unit.conftest import RunModule

MEMBERS = [{"host": "h1", "name": "nas1", "address": ""}]
CLIENTS = ["192.0.2.1", "192.0.2.2"]
SHARES: list[dict[str, Any]] = [
    {"path": "/srv/share"},
    {"path": "/srv/media", "squash": "all", "anonymous_user": 2000, "anonymous_group": 2000, "read_only": True},
    {
        "path": "/srv/root",
        "squash": "none",
        "fsid": "7",
        "only_mounted": True,
        "clients": ["192.0.2.0/24", "2001:db8::/64"],
    },
]
#: As exportfs of nfs-utils 2.6.2 writes /var/lib/nfs/etab; the options are all spelled out there.
_ALL = (
    "rw,sync,wdelay,hide,nocrossmnt,secure,root_squash,no_all_squash,no_subtree_check,secure_locks,acl,no_pnfs,"
    "anonuid=65534,anongid=65534,sec=sys,rw,root_squash,no_all_squash"
)
TABLE = f"""/srv/share\t192.0.2.1({_ALL})
/srv/share\t192.0.2.2/32({_ALL})
/srv/with\\040blank\t*(ro,sync)
"""


def test_files() -> None:
    """What the server reads: no client but the members, versions that are not served switched off."""
    text = exports.render(SHARES, CLIENTS)
    first, second, third = text.splitlines()[1:]
    options = "rw,sync,no_subtree_check,root_squash,no_all_squash,sec=sys"
    assert first == f"/srv/share 192.0.2.1({options}) 192.0.2.2({options})"
    assert "192.0.2.1(ro,sync,no_subtree_check,all_squash,anonuid=2000,anongid=2000,sec=sys)" in second
    assert third == "/srv/root " + " ".join(
        f"{client}(rw,sync,no_subtree_check,no_root_squash,no_all_squash,fsid=7,mountpoint,sec=sys)"
        for client in ("192.0.2.0/24", "2001:db8::/64")
    )
    assert exports.config(["4.2"], threads=4).splitlines()[1:] == [
        *("[nfsd]", "threads=4", "udp=n", "tcp=y", "vers3=n", "vers4=y", "vers4.0=n", "vers4.1=n", "vers4.2=y"),
        *("grace-time=90", "lease-time=90"),
    ]
    assert "grace-time=30\nlease-time=20\n" in exports.config(["4.2"], threads=4, grace=30, lease=20)
    assert "vers3=y\nvers4=n\n" in exports.config(["3"], threads=4)


def test_what_kernels_say() -> None:
    """The table of exports with its octal characters, versions, and lines of other files."""
    table = exports.parse_table(TABLE)
    assert set(table) == {"/srv/share", "/srv/with blank"} and set(table["/srv/share"]) == set(CLIENTS)
    assert "root_squash" in table["/srv/share"]["192.0.2.1"] and table["/srv/with blank"] == {"*": ["ro", "sync"]}
    assert exports.parse_versions("-2 +3 +4 -4.0 +4.1 +4.2\n") == ["3", "4.1", "4.2"]
    assert exports.parse_versions("+3 +4 +4.1 +4.2\n") == ["3", "4.0", "4.1", "4.2"]
    assert exports.parse_versions("+3 -4 -4.0 -4.1 -4.2\n") == ["3"]
    assert exports.parse_versions("") == []
    lines = '# none\n/srv/a *(ro) # all\n\n"/srv/b c" h(rw) \\\n  i(rw)\n'
    assert exports.foreign(lines) == ["/srv/a", "/srv/b c"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"path": "srv"}, "has the path 'srv'"),
        ({"path": "/srv/a b"}, "without blanks"),
        ({"path": "/srv"}, "a directory of the system itself"),
        ({"path": "/srv/a", "squash": "most"}, "give one of root, all, none"),
        ({"path": "/srv/a", "anonymous_user": "nobody"}, "give a number"),
        ({"path": "/srv/a", "fsid": "0"}, "give a number from 1 on"),
        ({"path": "/srv/a", "security": ["none"]}, "give some of sys"),
        ({"path": "/srv/a", "clients": ["*"]}, "give an address or a network"),
        ({"path": "/srv/a", "option": "x"}, "has option"),
    ],
)
def test_mistakes(wrong: dict[str, Any], said: str) -> None:
    """Each in a sentence that says what would be right."""
    assert said in " ".join(exports.mistakes([wrong], ["4.2"], clients=CLIENTS))


def test_mistakes_of_all_together() -> None:
    """None, twice one, no clients, and a version that is none."""
    assert exports.mistakes(SHARES, ["3", "4.2"], clients=CLIENTS) == []
    assert "nfs_server_exports is empty" in exports.mistakes([], ["4.2"], clients=CLIENTS)[0]
    assert "/srv/share twice" in exports.mistakes([SHARES[0], SHARES[0]], ["4.2"], clients=CLIENTS)[0]
    assert "has no clients" in exports.mistakes([SHARES[0]], ["4.2"], clients=[])[0]
    assert "nfs_server_versions is 4 " in exports.mistakes(SHARES, ["4"], clients=CLIENTS)[0]


def state(**more: Any) -> dict[str, Any]:
    """Return what a server says that exports the first share."""
    said = {"kernel": True, "threads": 8, "listening": True, "versions": ["4.2"], "foreign": {}, "directories": {}}
    said.update(grace=90, lease=90)
    return {"h1": {**said, "exported": exports.parse_table(TABLE), **more}}


def test_judgement_before_a_change() -> None:
    """A kernel without a server, an export of somebody else, and what is not mounted."""
    assert exports.problems(state(), MEMBERS, SHARES[:2]) == []
    for found, said in (
        ({}, "h1 could not be asked"),
        (state(kernel=False), "has no NFS server (nfsd)"),
        (state(foreign={"/srv/share": "/etc/exports"}), "exported by /etc/exports as well"),
        (state(directories={"/srv/share": {"exists": True, "is_directory": False}}), "is no directory"),
        (state(), "Nothing is mounted at /srv/root"),
    ):
        assert said in " ".join(exports.problems(found, MEMBERS, SHARES))


def test_verification() -> None:
    """Versions, clients and options are exactly those that are declared."""

    def judge(found: dict[str, Any], shares: list[dict[str, Any]], versions: list[str]) -> dict[str, Any]:
        return exports.verification(found, MEMBERS, cluster="nas", exports=shares, clients=CLIENTS, versions=versions)

    assert judge(state(), SHARES[:1], ["4.2"])["ok"]
    for document, said in (
        (judge({}, SHARES[:1], ["4.2"]), "could not be asked"),
        (judge(state(threads=0), SHARES[:1], ["4.2"]), "0 threads"),
        (judge(state(), SHARES[:1], ["3", "4.2"]), "serves 4.2"),
        (judge(state(grace=20), SHARES[:1], ["4.2"]), "20 s of grace"),
        (judge(state(), SHARES[:2], ["4.2"]), "/srv/media to nobody; 192.0.2.1, 192.0.2.2 may not mount it"),
        (judge(state(), [{"path": "/srv/share", "clients": ["192.0.2.1"]}], ["4.2"]), "192.0.2.2 may, and should not"),
        (judge(state(), [{"path": "/srv/share", "squash": "none"}], ["4.2"]), "/srv/share on nas1: no_root_squash"),
    ):
        assert not document["ok"]
        assert said in " ".join(one["evidence"] for one in document["checks"] if not one["ok"])


def test_info(run_module: RunModule, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a host without a server, and on one that has it as a module and serves."""
    for name in (
        "VERSIONS",
        "THREADS",
        "GRACE",
        "LEASE",
        "GRACE_ENDED",
        "GRACE_ENDED_OF_3",
        "TABLE",
        "FILESYSTEMS",
        "MODULES",
        "FILE",
        "DIRECTORY",
    ):
        monkeypatch.setattr(nfs_server_info, name, str(tmp_path / name))
    bare = run_module(nfs_server_info.main, paths=[str(tmp_path), "/missing"])
    assert (bare["kernel"], bare["threads"], bare["versions"], bare["exported"]) == (False, 0, [], {})
    assert bare["directories"][str(tmp_path)] == {"exists": True, "is_directory": True, "is_mount_point": False}
    modules = tmp_path / "MODULES" / os.uname().release
    modules.mkdir(parents=True)
    (modules / "modules.dep").write_text("kernel/fs/nfsd/nfsd.ko: kernel/net/sunrpc/sunrpc.ko\n")
    (tmp_path / "THREADS").write_text("8\n")
    (tmp_path / "VERSIONS").write_text("-3 +4 -4.0 -4.1 +4.2\n")
    (tmp_path / "GRACE").write_bytes(b"30\n\0")
    (tmp_path / "TABLE").write_text(TABLE)
    (tmp_path / "FILE").write_text("/srv/other *(ro)\n")
    (tmp_path / "DIRECTORY").mkdir()
    own = tmp_path / "DIRECTORY" / "clusterkit.exports"
    own.write_text("/srv/share 192.0.2.1(rw)\n")
    found = run_module(nfs_server_info.main, own_path=str(own))
    assert (found["kernel"], found["threads"], found["versions"]) == (True, 8, ["4.2"])
    assert not found["in_grace"]
    (tmp_path / "GRACE_ENDED_OF_3").write_bytes(b"N\n\0")
    assert not run_module(nfs_server_info.main)["in_grace"]  # that is version 3, which is not served
    (tmp_path / "GRACE_ENDED").write_text("N\n")
    assert run_module(nfs_server_info.main)["in_grace"]
    (tmp_path / "GRACE_ENDED").write_text("Y\n")
    (tmp_path / "VERSIONS").write_text("+3 -4\n")
    assert run_module(nfs_server_info.main)["in_grace"]
    assert (bare["grace"], found["grace"], found["lease"]) == (0, 30, 0)
    assert set(found["exported"]["/srv/share"]) == set(CLIENTS)
    assert found["foreign"] == {"/srv/other": str(tmp_path / "FILE")}
    (tmp_path / "MODULES").rename(tmp_path / "away")
    (tmp_path / "FILESYSTEMS").write_text("nodev\tproc\nnodev\tnfsd\n")
    assert run_module(nfs_server_info.main)["kernel"]
