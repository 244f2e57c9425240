# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module java_truststore asks keytool once, and changes a copy; keytool is played."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._common import files
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Outcome, Runner
from ansible_collections.clusterkit.middleware.plugins.modules import java_truststore

if TYPE_CHECKING:
    from tests.unit.conftest import RunModule


def pem(text: str) -> str:
    """Return what looks like a certificate."""
    return f"-----BEGIN CERTIFICATE-----\n{base64.b64encode(text.encode()).decode()}\n-----END CERTIFICATE-----\n"


class Keytool:
    """A keytool whose stores are files of lines: alias and certificate."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.fails = ""

    def __call__(self, argv: list[str], stdin: bytes, *_more: Any) -> Outcome:
        self.calls.append(argv)
        verb = argv[1] if argv[0] != "chroot" else argv[3]
        assert Path(argv[argv.index("-storepass:file") + 1]).read_text(encoding="utf-8") == "the password"
        if verb == self.fails:
            return Outcome(1, b"keytool error: java.io.IOException: keystore password was incorrect")
        store = Path(argv[argv.index("-keystore") + 1])
        if argv[0] == "chroot":
            store = Path(files.in_chroot(argv[1], str(store)))
        entries = dict(line.split(" ", 1) for line in store.read_text(encoding="ascii").splitlines())
        if verb == "-list":
            said = "".join(
                f"Alias name: {alias}\nCreation date: Nov 21, 2026\nEntry type: trustedCertEntry\n\n"
                + pem(text) + "\n\n*******\n" for alias, text in entries.items()
            )  # fmt: skip
            return Outcome(0, f"Keystore type: JKS\n\n{said}".encode())
        alias = argv[argv.index("-alias") + 1]
        if verb == "-delete":
            del entries[alias]
        else:
            assert alias not in entries
            found = re.findall(r"(?m)^[^-].*$", stdin.decode())
            entries[alias] = base64.b64decode(found[0]).decode()
        store.write_text("".join(f"{name} {text}\n" for name, text in entries.items()), encoding="ascii")
        return Outcome(0)


@pytest.fixture
def keytool(monkeypatch: pytest.MonkeyPatch) -> Keytool:
    keytool = Keytool()
    monkeypatch.setattr(Runner, "execute", keytool)
    return keytool


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "java" / "lib" / "security" / "cacerts"
    path.parent.mkdir(parents=True)
    path.write_text("debian:ca authority\nidp-old before\n", encoding="ascii")
    path.chmod(0o644)
    return path


def call(run_module: RunModule, store: Path, check: bool = False, **options: Any) -> dict[str, Any]:
    home = {"java_home": str(store.parents[2])}
    return run_module(java_truststore.main, check=check, **{**home, "password": "the password", **options})


def test_replaced_added_and_removed(run_module: RunModule, keytool: Keytool, store: Path) -> None:
    """Check mode tells the same and changes nothing; others' aliases stay; a second run asks once."""
    wanted = {"idp-old": pem("after"), "IDP-New": pem("new")}
    foreseen = call(run_module, store, check=True, certificates=wanted)
    assert "before" in store.read_text(encoding="ascii")
    done = call(run_module, store, certificates=wanted)
    assert done["changed"] and foreseen["changed"]
    assert done["diff"] == foreseen["diff"]
    assert done["changed_aliases"] == ["idp-old", "idp-new"]
    assert store.read_text(encoding="ascii") == "debian:ca authority\nidp-old after\nidp-new new\n"
    assert store.stat().st_mode & 0o777 == 0o644
    del keytool.calls[:]
    assert not call(run_module, store, certificates=wanted)["changed"]
    assert len(keytool.calls) == 1
    assert call(run_module, store, absent=["idp-old", "not-there"])["changed_aliases"] == ["idp-old"]
    assert "idp-old" not in store.read_text(encoding="ascii")


def test_half_a_change_is_none(run_module: RunModule, keytool: Keytool, store: Path) -> None:
    keytool.fails = "-importcert"
    before = store.read_bytes()
    assert call(run_module, store, certificates={"idp-old": pem("after")})["failed"]
    assert store.read_bytes() == before


def test_in_a_chroot(run_module: RunModule, keytool: Keytool, store: Path, tmp_path: Path) -> None:
    """keytool runs in there; the paths that it gets are those in there."""
    (tmp_path / "tmp").mkdir()
    done = call(run_module, store, chroot=str(tmp_path), java_home="/java", certificates={"new": pem("new")})
    assert done["path"] == "/java/lib/security/cacerts"
    assert all(argv[:3] == ["chroot", str(tmp_path), "/java/bin/keytool"] for argv in keytool.calls)
    assert "new new" in store.read_text(encoding="ascii")


def test_links_in_a_chroot_lead_nowhere_outside(run_module: RunModule, keytool: Keytool, tmp_path: Path) -> None:
    """Distributions link a Java's truststore to one of the system's: that is the one in there, not the host's own."""
    system, root = tmp_path / "system" / "cacerts", tmp_path / "root"
    inside = root / system.relative_to("/")
    link = root / "java" / "lib" / "security" / "cacerts"
    for path in (system, inside):
        path.parent.mkdir(parents=True)
        path.write_text(f"of {path.parts[1]}\n", encoding="ascii")
    link.parent.mkdir(parents=True)
    link.symlink_to(system)
    (root / "tmp").mkdir(exist_ok=True)
    before = system.read_bytes()
    done = call(run_module, link, chroot=f"{root}/", java_home="/java", certificates={"new": pem("new")})
    assert (done["changed"], done["path"]) == (True, "/java/lib/security/cacerts")
    assert "new new" in inside.read_text(encoding="ascii")
    assert system.read_bytes() == before
    assert link.is_symlink()
    assert list((root / "tmp").glob("clusterkit-*")) == []
    again = call(run_module, link, chroot=f"{root}/", java_home="/java", certificates={"new": pem("new")})
    assert not again["changed"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"certificates": {"a": "no certificate"}}, "certificates: a is no certificate in PEM"),
        ({"chroot": "/opt/product", "java_home": None}, "give java_home"),
        ({"java_home": "/nowhere"}, "/nowhere has no truststore"),
    ],
)
def test_refused(run_module: RunModule, keytool: Keytool, store: Path, options: dict[str, Any], said: str) -> None:
    failed = call(run_module, store, **options)
    assert failed["failed"]
    assert said in failed["msg"]
    assert keytool.calls == []
