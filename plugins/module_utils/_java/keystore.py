# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The keystore of a server that terminates TLS: proved before it takes the place of another, which is kept."""

from __future__ import annotations

import base64
import binascii
import hashlib
from pathlib import Path
from typing import Any, Mapping, NamedTuple

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.files import (
    read_if_exists,
    status_if_exists,
    write_atomically,
)
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.tls import fingerprint
from ansible_collections.clusterkit.middleware.plugins.module_utils._java.keytool import Keytool

_KEY = "PrivateKeyEntry"
#: What keytool says of a PKCS#12 keystore whose key is said to have a password of its own.
_NO_OTHER = "Different store and key passwords not supported"
_KEPT_DIGITS = 16


def digest(content: bytes | None) -> str | None:
    """Return what tells a keystore from another one, None where there is none."""
    return None if content is None else hashlib.sha256(content).hexdigest()


def prove(runner: Runner, keytool: str, content: bytes, *, alias: str, password: str, key_password: str) -> str:
    """Return the fingerprint of an alias's certificate, having used the key: both passwords are right.

    keytool reads it from memory: nothing is written for that. Raises ClusterkitError, which says what is wrong.
    """
    program = Keytool(keytool, runner)
    with runner.secret_files(content) as (path,):
        try:
            entries = program.entries(path, password)
        except ClusterkitError as error:
            raise ClusterkitError(f"the keystore cannot be opened with the password that is given: {error}") from None
        entry = entries.get(alias.lower())
        if entry is None or entry.kind != _KEY:
            keys = ", ".join(sorted(name for name, one in entries.items() if one.kind == _KEY))
            raise ClusterkitError(f"the keystore has no key {alias}: its keys are {keys or 'none'}")
        try:
            # A request for a certificate is signed with the key
            said = program.call("-certreq", path, password, alias=alias, key_password=key_password)
        except ClusterkitError as error:
            raise ClusterkitError(f"the key {alias} cannot be used with the password that is given: {error}") from None
    if _NO_OTHER in said.stdout + said.stderr and key_password != password:
        raise ClusterkitError(
            "the keystore is a PKCS#12 one, in which keys have the password of the store, and another one is given for "
            f"the key {alias}"
        )
    return fingerprint(entry.certificate)


def opens(runner: Runner, keytool: str, path: str, password: str) -> bool:
    """Tell whether the keystore `path` can be opened with a password."""
    try:
        Keytool(keytool, runner).entries(path, password)
    except ClusterkitError:
        return False
    return True


#: What the modules that deal with a keystore are told of it; their documentation is a fragment of its own.
ARGUMENTS: dict[str, dict[str, Any]] = {
    "path": {"type": "path", "required": True},
    "content_base64": {"type": "str", "required": True, "no_log": True},
    "alias": {"type": "str", "required": True},
    "password": {"type": "str", "required": True, "no_log": True},
    "key_password": {"type": "str", "default": "", "no_log": True},
    "opens_present": {"type": "bool", "default": False},
    "java_home": {"type": "path"},
}


class Proved(NamedTuple):
    """A keystore that can take the place of the one that is there."""

    content: bytes
    fingerprint: str
    present: bytes | None

    @property
    def differs(self) -> bool:
        """Whether it is another one."""
        return self.content != self.present


def examine(given: Mapping[str, Any], keytool: str) -> Proved:
    """Prove a keystore and look at the one that it is for, as ARGUMENTS say. Raises ClusterkitError."""
    try:
        content = base64.b64decode(given["content_base64"], validate=True)
    except binascii.Error:
        raise ClusterkitError("content_base64 is no base64") from None
    runner, password = Runner(limit=120), given["password"]
    key_password = given["key_password"] or password
    shown = prove(runner, keytool, content, alias=given["alias"], password=password, key_password=key_password)
    proved = Proved(content, shown, read_if_exists(given["path"]))
    if (
        given["opens_present"]
        and proved.present is not None
        and proved.differs
        and not opens(runner, keytool, given["path"], password)
    ):
        raise ClusterkitError(
            f"{given['path']} has another password than the keystore that is to take its place, and the server knows "
            "its own"
        )
    return proved


def kept_path(path: str, content: bytes) -> str:
    """Return where a keystore is kept when another one takes its place: the same one always in the same file."""
    return f"{path}.kept-{digest(content) or ''}"[: len(path) + len(".kept-") + _KEPT_DIGITS]


def replace(path: str, content: bytes) -> str:
    """Let the file `path` be a keystore; return where the one before is kept, empty where there was none.

    The one before is whole under its other name before the file changes. Raises ClusterkitError.
    """
    before = read_if_exists(path)
    kept = ""
    status = status_if_exists(path)
    if before is not None and status is not None:
        kept = kept_path(path, before)
        if read_if_exists(kept) != before:
            write_atomically(kept, before, mode=0o600, owner=status.st_uid, group=status.st_gid)
    if status is None:
        # The server's own user has to read it: what is made in the server's directory is that user's
        parent = Path(path).parent.stat()
        write_atomically(path, content, mode=0o600, owner=parent.st_uid, group=parent.st_gid)
    else:
        write_atomically(path, content)
    return kept
