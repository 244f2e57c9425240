# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server set up from its archive: whole or not at all. A small archive and its set-up stand for OpenDJ's."""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Outcome, Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj import installation as under_test
from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj.installation import (
    MADE,
    Installation,
    Setup,
    read_ldif,
)

STORE = Path(__file__).parent / "recorded" / "admin-truststore.base64"
ME, MINE = str(os.getuid()), str(os.getgid())
SETUP = Setup("idp1.example.org", ["o=site", "o=other"], "cn=directory manager", 1389, 4444)
PASSWORD = "CANARY #!0^(' \"$"
CONFIG = """\
# comment
dn: cn=config
objectClass: ds-cfg-root-config

dn: cn=Administration Connector,cn=config
ds-cfg-listen-port: 5444

dn: cn=LDAP Connection Handler,cn=Connection Handlers,
 cn=config
ds-cfg-enabled: true
ds-cfg-listen-port: 1389

dn: cn=LDAPS Connection Handler,cn=Connection Handlers,cn=config
ds-cfg-enabled: false
ds-cfg-listen-port: 636

dn: ds-cfg-backend-id=userRoot,cn=Backends,cn=config
objectClass: top
objectClass: ds-cfg-pluggable-backend
ds-cfg-base-dn: o=site
ds-cfg-base-dn:: bz3DvA==

dn: ds-cfg-backend-id=monitor,cn=Backends,cn=config
objectClass: ds-cfg-monitor-backend
ds-cfg-base-dn: cn=monitor
"""


class Place:
    """A host: where the server goes, its archive, and what set-up was called with."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "opt" / "opendj"
        self.archive = directory / "opendj.zip"
        self.archive.write_bytes(self.zipped("opendj"))
        self.runner = Runner()
        self.installation = Installation(str(self.path), self.runner, lock=str(directory / "lock"))
        self.calls: list[list[str]] = []
        self.passwords: list[str] = []
        self.ends: Callable[[list[str]], Outcome] = self.succeed

    def zipped(self, top: str) -> bytes:
        file = self.archive.with_suffix(".tmp")
        with zipfile.ZipFile(file, "w") as archive:
            for name, mode in ((f"{top}/setup", 0o755), (f"{top}/template/config.ldif", 0o444), (f"{top}/db/", 0o744)):
                info = zipfile.ZipInfo(name)
                info.external_attr = mode << 16
                archive.writestr(info, name)
        return file.read_bytes()

    def execute(self, argv: list[str], _stdin: bytes, env: dict[str, str], _cwd: str, _limit: float) -> Outcome:
        self.calls.append(argv)
        secret = argv[argv.index("--rootUserPasswordFile") + 1]
        # As another process would read it
        self.passwords.append(Path(secret).read_text(encoding="utf-8"))
        assert PASSWORD not in " ".join(argv) and PASSWORD not in env.values()
        return self.ends(argv)

    def succeed(self, _argv: list[str]) -> Outcome:
        assert self.installation.incomplete
        (self.path / "config").mkdir()
        (self.path / "config" / "config.ldif").write_text(CONFIG, encoding="utf-8")
        (self.path / "config" / "buildinfo").write_text("4.9.2.abc\n", encoding="utf-8")
        (self.path / "config" / "hostname").write_text("idp1.example.org", encoding="utf-8")
        return Outcome(0)

    def install(self, setup: Setup = SETUP, checksum: str = "") -> None:
        digest = checksum or hashlib.sha256(self.archive.read_bytes()).hexdigest()
        self.installation.install(str(self.archive), digest, ME, MINE, setup, PASSWORD)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    place = Place(tmp_path)
    monkeypatch.setattr(Runner, "execute", lambda _self, *arguments: place.execute(*arguments))
    return place


def test_sets_up_as_the_owner_and_tells_what_is_there(place: Place) -> None:
    place.install()
    assert place.passwords == [PASSWORD]
    (argv,) = place.calls
    assert argv[:4] == ["setpriv", f"--reuid={ME}", f"--regid={MINE}", "--init-groups"]
    after = argv[argv.index("--") + 1 :]
    assert after[:4] == [str(place.path / "setup"), "--cli", "--no-prompt", "--quiet"]
    words = " ".join(after)
    for option in (
        "--hostname idp1.example.org --baseDN o=site --baseDN o=other --ldapPort 1389 --adminConnectorPort 4444",
        "--rootUserDN cn=directory manager --rootUserPasswordFile /dev/fd/",
        "--generateSelfSignedCertificate --enableStartTLS --doNotStart --addBaseEntry",
    ):
        assert option in words
    assert "--ldapsPort" not in words
    assert (place.path / "setup").stat().st_mode & 0o777 == 0o755
    assert (place.path / "template" / "config.ldif").stat().st_mode & 0o777 == 0o644
    assert [path.name for path in place.path.parent.iterdir()] == ["opendj"]
    told = place.installation.told()
    assert told == {
        "installed": True,
        "incomplete": False,
        "made": True,
        "build": "4.9.2.abc",
        "hostname": "idp1.example.org",
        "ldap_port": 1389,
        "ldaps_port": 0,
        "admin_port": 5444,
        "config_base_dns": ["o=site", "o=ü"],
        "certificate": "",
        "owner": (place.path / "setup").owner(),
    }


def test_imports_what_is_given(place: Place) -> None:
    place.install(Setup("h", ["o=site"], "cn=m", 1389, 4444, ldaps_port=1636, ldif="/root/site.ldif"))
    words = " ".join(place.calls[0])
    assert "--ldapsPort 1636" in words
    assert "--ldifFile /root/site.ldif --rejectFile " in words
    assert "--addBaseEntry" not in words


def test_entries_that_are_rejected_are_a_failure(place: Place) -> None:
    def reject(argv: list[str]) -> Outcome:
        Path(argv[argv.index("--rejectFile") + 1]).write_text(
            "# Entry uid=a violates the schema\ndn: uid=a\n\n# Entry uid=b\ndn: uid=b\n", encoding="utf-8"
        )
        return place.succeed(argv)

    place.ends = reject
    with pytest.raises(ClusterkitError) as raised:
        place.install(Setup("h", ["o=site"], "cn=m", 1389, 4444, ldif="/x.ldif"))
    assert str(raised.value) == (
        "/x.ldif: 2 entries cannot be imported, the first since: Entry uid=a violates the schema"
    )
    assert not place.installation.installed and place.installation.incomplete


def test_a_killed_set_up_is_begun_anew(place: Place) -> None:
    def die(argv: list[str]) -> Outcome:
        place.succeed(argv)
        (place.path / "half").touch()
        raise KeyboardInterrupt

    place.ends = die
    with pytest.raises(KeyboardInterrupt):
        place.install()
    assert place.installation.incomplete and not place.installation.installed
    place.ends = place.succeed
    place.install()
    assert place.installation.installed and not (place.path / "half").exists()


def test_set_up_that_fails_shows_no_password(place: Place) -> None:
    place.ends = lambda _argv: Outcome(1, stderr=f"no {PASSWORD} taken".encode())
    with pytest.raises(ClusterkitError, match=r"no \*{8} taken") as raised:
        place.install()
    assert "CANARY" not in str(raised.value.details)
    place.ends = lambda _argv: Outcome(0)
    with pytest.raises(ClusterkitError, match=r"ended without an error, and without .*config.ldif"):
        place.install()


def test_what_is_not_ours_is_not_touched(place: Place) -> None:
    place.path.mkdir(parents=True)
    (place.path / "data").touch()
    with pytest.raises(ClusterkitError, match="neither empty nor a server that has been set up"):
        place.install()
    assert [path.name for path in place.path.iterdir()] == ["data"] and place.calls == []
    (place.path / "data").unlink()
    place.install()
    assert place.installation.installed


def test_wrong_archives(place: Place, tmp_path: Path) -> None:
    with pytest.raises(ClusterkitError, match=f"opendj.zip has the SHA-256 [0-9a-f]{{64}}, expected {'0' * 64}"):
        place.install(checksum="0" * 64)
    place.archive.write_bytes(b"nonsense")
    with pytest.raises(ClusterkitError, match=r"cannot unpack .*opendj.zip to .*: File is not a zip file"):
        place.install()
    with zipfile.ZipFile(place.archive, "w") as archive:
        archive.writestr("csync2/configure", "")
    with pytest.raises(ClusterkitError, match=r"opendj.zip is no archive of OpenDJ"):
        place.install()
    assert not place.path.exists() and list(place.path.parent.iterdir()) == []
    place.archive.unlink()
    with pytest.raises(ClusterkitError, match=r"cannot read the archive .*opendj.zip: No such file"):
        place.install(checksum="0" * 64)


def test_removes_all(place: Place) -> None:
    place.install()
    # What a removal left that was killed
    discarded = place.path.with_name(".opendj.clusterkit-discarded")
    discarded.mkdir()
    place.installation.remove()
    assert list(place.path.parent.iterdir()) == []
    assert not place.installation.leftovers


def test_what_somebody_else_has_set_up_is_not_removed(place: Place) -> None:
    place.install()
    (place.path / MADE).unlink()
    assert not place.installation.leftovers
    place.installation.remove()
    assert place.installation.installed


def test_nothing_is_removed_under_a_running_program(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.install()
    script = "import sys; print('runs', flush=True); sys.stdin.read()"
    java = place.path / "java"
    java.symlink_to(sys.executable)
    monkeypatch.setattr(under_test, "_ORPHAN_SECONDS", 0.3)
    pipe = subprocess.PIPE
    with subprocess.Popen([str(java), "-c", script, f"{place.path}/config"], stdin=pipe, stdout=pipe) as server:
        # Right behind exec() the kernel shows no arguments yet
        assert server.stdout and server.stdin and server.stdout.readline()
        with pytest.raises(ClusterkitError, match=rf"still run \(process {server.pid}\): stop them"):
            place.installation.remove()
        server.stdin.close()
    assert place.installation.installed


def test_where_the_server_answers(place: Place) -> None:
    place.install()
    with pytest.raises(ClusterkitError, match="no certificate of its administration connector yet"):
        place.installation.address()
    (place.path / "config" / "admin-truststore").write_bytes(base64.b64decode(STORE.read_text(encoding="ascii")))
    address = place.installation.address(limit=2)
    assert (address.host, address.port, address.tls, address.limit) == ("n1", 5444, "ldaps", 2)
    other = place.installation.address("::1", 1389, "PEM", "starttls")
    assert (other.host, other.port, other.certificate, other.tls) == ("::1", 1389, "PEM", "starttls")


def test_nothing_is_there(place: Place) -> None:
    told = place.installation.told()
    assert (told["installed"], told["incomplete"], told["admin_port"]) == (False, False, 4444)
    with pytest.raises(ClusterkitError, match="does not tell the server's name: give it as host"):
        place.installation.address(certificate="PEM")


def test_ldif() -> None:
    entries: Any = read_ldif("version: 1\n\ndn: cn=a\n b\nX: 1\nx:: w7w=\nnonsense\n\ndn:\ny: \n\n# only\n")
    assert entries == [("cn=ab", {"x": ["1", "ü"]}), ("", {"y": [""]})]
