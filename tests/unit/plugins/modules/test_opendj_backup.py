# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module opendj_backup gives a server tasks, and believes no file and no end of a task that is not right."""

from __future__ import annotations

import base64
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._opendj import backup, directory
from ansible_collections.clusterkit.middleware.plugins.modules.opendj_backup import main
from tests.unit.plugins.module_utils._opendj import fake_ldap
from tests.unit.plugins.module_utils._opendj.recorded_directory import RECORDED, recorded

if TYPE_CHECKING:
    from tests.unit.conftest import RunModule

BASE = "o=gluu"


class Server(fake_ldap.Server):
    """Carries out tasks: `outcome` is how they end, `content` what an export writes."""

    def __init__(self) -> None:
        super().__init__(recorded("n1.ldif"))
        self.outcome = "COMPLETED_SUCCESSFULLY"
        self.content = "dn: o=gluu\no: gluu\n\ndn: ou=people,o=gluu\nou: people\n"
        self.tasks: list[dict[str, list[str]]] = []
        self.log = ['[now] severity="NOTICE" message="Processed 2, imported 2, skipped 0, rejected 0"']

    def take(self, dn: str, values: Any) -> None:
        """Carry out a task."""
        task = {name: [one.decode() for one in given] for name, given in values}
        self.tasks.append(task)
        state = {"ds-task-state": [self.outcome], "ds-task-log-message": self.log, "objectclass": ["top"]}
        self.directory.entries[dn.lower()] = (dn, state)
        for file in task.get("ds-task-export-ldif-file", []):
            Path(file).write_text(self.content, encoding="utf-8")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    server = Server()
    server.directory.entries["ds-cfg-backend-id=userroot,cn=backends,cn=config"] = (
        "ds-cfg-backend-id=userRoot,cn=Backends,cn=config",
        {
            "objectclass": ["ds-cfg-pluggable-backend"],
            "ds-cfg-backend-id": ["userRoot"],
            "ds-cfg-base-dn": [BASE],
        },
    )

    def add(connection: Any, dn: str, values: Any) -> int:
        server.take(dn, values)
        return 1

    monkeypatch.setattr(fake_ldap.Connection, "add_ext", add)
    monkeypatch.setitem(sys.modules, "ldap", fake_ldap.make(server))
    monkeypatch.setattr(directory, "shown_certificate", lambda _address: b"")
    monkeypatch.setattr(backup, "_LOOK_SECONDS", 0.001)
    return server


@pytest.fixture
def run(run_module: RunModule, server: Server, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    config = tmp_path / "opendj" / "config"
    config.mkdir(parents=True)
    (config / "config.ldif").write_text("dn: cn=config\nobjectClass: top\n", encoding="utf-8")
    store = (RECORDED / "admin-truststore.base64").read_text(encoding="ascii")
    (config / "admin-truststore").write_bytes(base64.b64decode(store))
    fixed = {"path": str(tmp_path / "opendj"), "directory": str(tmp_path / "backups"), "password": "right"}

    def call(check: bool = False, **options: Any) -> dict[str, Any]:
        return run_module(main, check=check, **{**fixed, "base_dns": [BASE], **options})

    return call


def test_a_backup_is_written_and_older_ones_go(run: Any, server: Server, tmp_path: Path) -> None:
    assert run(check=True)["backups"] == [] and not server.tasks
    done = run()
    assert not done["failed"], done
    (written,) = done["backups"]
    assert (written["base_dn"], written["entries"]) == (BASE, 2) and Path(written["file"]).read_text() == server.content
    (task,) = server.tasks
    assert task["ds-task-export-exclude-attribute"] == [
        *("ds-sync-state", "ds-sync-generation-id", "ds-sync-hist", "ds-sync-conflict")
    ]
    older = Path(written["file"]).with_name("o=gluu-20200101T000000Z.ldif")
    older.write_text("x", encoding="utf-8")
    assert str(older) in run(keep=1)["removed"] and not older.exists()


def test_a_task_that_fails_is_told_with_its_last_words(run: Any, server: Server) -> None:
    server.outcome, server.log = "STOPPED_BY_ERROR", ['[now] severity="ERROR" message="No space left on device"']
    assert run()["msg"] == "the server's export ended as STOPPED_BY_ERROR: No space left on device"
    server.outcome = "RUNNING"
    assert "the server's export did not end within 0.01 s; it goes on as ds-task-id=" in run(task_seconds=0.01)["msg"]


def test_what_was_written_is_restored(run: Any, server: Server) -> None:
    (entry,) = [values for dn, values in server.directory.entries.values() if dn.startswith("cn=userRoot Backend")]
    server.content = "".join(f"dn: uid={number},o=gluu\n" for number in range(int(_count(entry)) - 1))
    server.content = f"dn: o=gluu\n\n{server.content}"
    file = run()["backups"][0]["file"]
    predicted = run(check=True, state="restored", file=file)
    assert predicted["changed"] and len(server.tasks) == 1
    done = run(state="restored", file=file)
    assert not done["failed"] and done["backups"] == predicted["backups"], done
    assert server.tasks[1]["ds-task-import-ldif-file"] == [file]
    server.log = ['[now] message="Processed 3, imported 2, skipped 0, rejected 1 and took 0 seconds"']
    assert "the server rejected 1" in run(state="restored", file=file)["msg"]
    Path(file).write_text("dn: o=gluu\n", encoding="utf-8")
    assert "it was changed" in run(state="restored", file=file)["msg"] and len(server.tasks) == 3


def _count(values: dict[str, list[str]]) -> str:
    return next(line.split()[0] for line in values["ds-base-dn-entry-count"] if line.endswith(BASE))


def test_entries_are_given_to_the_others_where_these_have_another_origin(run: Any, server: Server) -> None:
    assert not run(state="spread")["changed"] and not server.tasks
    server.directory.entries[BASE][1]["ds-sync-generation-id"] = ["1"]
    assert run(check=True, state="spread")["changed"] and not server.tasks
    assert run(state="spread")["changed"]
    assert [task["objectClass"][-1] for task in server.tasks] == [
        "ds-task-initialize-remote-replica",
        "ds-task-reset-generation-id",
    ]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"base_dns": ["o=other"]}, "there is no base DN o=other: the server has o=gluu"),
        ({"state": "restored"}, "state=restored needs file, and exactly one base DN in base_dns"),
        ({"state": "restored", "file": "/nowhere"}, "there is no checksum beside /nowhere"),
    ],
)
def test_refused(run: Any, server: Server, options: dict[str, Any], said: str) -> None:
    assert said in run(**options)["msg"] and not server.tasks
