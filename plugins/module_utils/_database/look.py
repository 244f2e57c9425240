# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host finds: its own database server, and the one that it connects to."""

from __future__ import annotations

import pathlib
import re
from typing import Any, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common import host
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.files import read_if_exists
from ansible_collections.clusterkit.middleware.plugins.module_utils._database.engine import Engine

_CLUSTERS = "/etc/postgresql"
_MARIADB = ("/usr/sbin/mariadbd", "/usr/sbin/mysqld")


def server(engine: Engine, database: str) -> dict[str, Any]:
    """Return what this host's own server is."""
    directories = clusters() if engine.default_port == 5432 else []
    hba = f"{directories[0]}/pg_hba.conf" if directories else ""
    found: dict[str, Any] = {
        "installed": bool(directories) or (engine.default_port == 3306 and any(map(_is_file, _MARIADB))),
        "clusters": directories,
        "hba_path": hba,
        "hba": (read_if_exists(hba) or b"").decode("utf-8", "surrogateescape") if hba else "",
        "version": "",
        "error": "",
        "database": None,
        "port_holder": host.port_holder(engine.port, engine.server_processes),
        "listens": host.reach("127.0.0.1", engine.port) == "",
    }
    if found["installed"]:
        try:
            found["version"] = engine.version()
            found["database"] = engine.look(database)
        except ClusterkitError as error:
            found["error"] = str(error)
    return found


def clusters(root: str = _CLUSTERS) -> list[str]:
    """Return the directories of the configurations of Debian's PostgreSQL servers on this host."""
    return sorted(str(path.parent) for path in pathlib.Path(root).glob("*/*/postgresql.conf"))


def connection(engine: Engine, database: str, rights: Sequence[str]) -> dict[str, Any]:
    """Return what this host finds when it connects to the server over the network, as the application does."""
    access = engine.access
    found: dict[str, Any] = {
        "asked": False,
        "error": "",
        "version": "",
        "charset": "",
        "missing": [],
        "surplus": [],
        "tls": "",
    }
    why = host.reach(access.host, engine.port, access.connect_seconds)
    if why:
        found["error"] = f"{access.host}:{engine.port} cannot be reached: {why}"
        return found
    if not engine.installed():
        # It answers; who would ask it more comes with the role
        return found
    found["asked"] = True
    try:
        rows = engine.query("SELECT 1", database)
        if rows != [["1"]]:
            raise ClusterkitError(f"{access.host}:{engine.port} answers {rows}")
        found["version"] = engine.version()
        found["charset"] = (engine.look(database) or {}).get("charset", "")
        found.update(engine.rights(database, rights))
        found["tls"] = engine.encryption(database)
    except ClusterkitError as error:
        found["error"] = _short(str(error.details.get("stderr") or error))
    return found


def older(version: str, minimum: str) -> bool:
    """Tell whether a version is older than another one; numbers are compared, as far as both have them."""

    def numbers(text: str) -> list[int]:
        return [int(one) for one in re.findall(r"\d+", text.split("-", maxsplit=1)[0])]

    return numbers(version) < numbers(minimum)


def _short(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return "; ".join(lines[-2:])


def _is_file(path: str) -> bool:
    return pathlib.Path(path).is_file()
