# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module java_keystore proves a keystore before it replaces another, which is kept; keytool is played."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Outcome, Runner
from ansible_collections.clusterkit.middleware.plugins.modules import java_keystore, java_keystore_info

if TYPE_CHECKING:
    from tests.unit.conftest import RunModule


def keystore(kind: str = "JKS", store: str = "of the store", key: str = "of the key", alias: str = "web") -> bytes:
    """Return what the played keytool takes for a keystore."""
    return "\n".join([kind, store, key, alias, "a certificate"]).encode()


def keytool(_runner: Runner, argv: list[str], *_more: Any) -> Outcome:
    """Say what keytool says; keystores are files of lines."""
    kind, store, key, alias, certificate = Path(argv[argv.index("-keystore") + 1]).read_text("utf-8").split("\n")

    def given(option: str) -> str:
        return Path(argv[argv.index(option) + 1]).read_text(encoding="utf-8")

    if given("-storepass:file") != store:
        return Outcome(1, b"keytool error: java.io.IOException: keystore password was incorrect")
    if argv[1] == "-list":
        entry = "PrivateKeyEntry" if key else "trustedCertEntry"
        body = base64.b64encode(certificate.encode()).decode()
        pem = f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n"
        return Outcome(0, f"Alias name: {alias}\nCreation date: Nov 21, 2026\nEntry type: {entry}\n{pem}".encode())
    assert argv[1] == "-certreq"
    assert argv[argv.index("-alias") + 1].lower() == alias
    if kind == "JKS" and given("-keypass:file") != key:
        return Outcome(1, b"keytool error: java.security.UnrecoverableKeyException: Cannot recover key")
    other = kind == "PKCS12" and given("-keypass:file") != store
    warning = b"Warning:  Different store and key passwords not supported for PKCS12 KeyStores." if other else b""
    return Outcome(0, b"-----BEGIN NEW CERTIFICATE REQUEST-----", warning)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(Runner, "execute", keytool)
    return tmp_path / "tomcat.keystore"


def call(
    run_module: RunModule,
    path: Path,
    content: bytes,
    check: bool = False,
    main: Callable[[], None] = java_keystore.main,
    **options: Any,
) -> dict[str, Any]:
    given = {
        "path": str(path),
        "content_base64": base64.b64encode(content).decode(),
        "alias": "WEB",
        "password": "of the store",
        "key_password": "of the key",
        "java_home": "/java",
        **options,
    }
    return run_module(main, check=check, **given)


def test_the_quartet(run_module: RunModule, path: Path) -> None:
    """Check mode, run, run again, check mode again; the keystore that was there is kept."""
    before = keystore(store="another", alias="server")
    path.write_bytes(before)
    path.chmod(0o640)
    kept = Path(f"{path}.kept-{hashlib.sha256(before).hexdigest()[:16]}")

    foreseen = call(run_module, path, keystore(), check=True)
    assert path.read_bytes() == before
    done = call(run_module, path, keystore())
    assert foreseen == done
    proved = call(run_module, path, keystore(), main=java_keystore_info.main)
    assert (proved["changed"], proved["fingerprint"]) == (False, done["fingerprint"])
    assert proved["file"] == hashlib.sha256(keystore()).hexdigest()
    assert (done["changed"], done["kept"]) == (True, str(kept))
    assert done["fingerprint"] == hashlib.sha256(b"a certificate").hexdigest()
    assert done["diff"]["after"] == {"keystore": hashlib.sha256(keystore()).hexdigest()}
    assert (path.read_bytes(), kept.read_bytes()) == (keystore(), before)
    assert (path.stat().st_mode & 0o777, kept.stat().st_mode & 0o777) == (0o640, 0o600)
    for check in (False, True):
        again = call(run_module, path, keystore(), check=check)
        assert (again["changed"], again["kept"]) == (False, "")


def test_where_there_was_none(run_module: RunModule, path: Path) -> None:
    done = call(run_module, path, keystore())
    assert (done["changed"], done["kept"]) == (True, "")
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        (keystore(), {"password": "wrong"}, "the keystore cannot be opened with the password that is given"),
        (keystore(), {"alias": "other"}, "the keystore has no key other: its keys are web"),
        (keystore(key=""), {}, "the keystore has no key WEB: its keys are none"),
        (keystore(), {"key_password": "wrong"}, "the key WEB cannot be used with the password that is given"),
        (keystore(), {"key_password": ""}, "the key WEB cannot be used with the password that is given"),
        (keystore(kind="PKCS12"), {}, "the keystore is a PKCS#12 one, in which keys have the password"),
        (keystore(), {"opens_present": True}, "has another password than the keystore that is to take its place"),
        (keystore(), {"content_base64": "***"}, "content_base64 is no base64"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_changes(
    run_module: RunModule, path: Path, content: bytes, options: dict[str, Any], said: str
) -> None:
    before = keystore(store="another")
    path.write_bytes(before)
    for check, main in ((True, java_keystore.main), (False, java_keystore.main), (False, java_keystore_info.main)):
        told = call(run_module, path, content, check=check, main=main, **options)
        assert told["failed"]
        assert said in told["msg"]
        assert "of the store" not in str(told)
    assert path.read_bytes() == before
    assert len(list(path.parent.iterdir())) == 1


def test_a_keystore_of_the_password_that_the_server_knows(run_module: RunModule, path: Path) -> None:
    path.write_bytes(keystore(alias="server"))
    assert call(run_module, path, keystore(), opens_present=True)["changed"]
