# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files go from one host to another as application_info reads and file_set writes them."""

from __future__ import annotations

import base64
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._application import services
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Outcome, Runner
from ansible_collections.clusterkit.middleware.plugins.modules import application_info, file_set

if TYPE_CHECKING:
    from tests.unit.conftest import RunModule

SECRET = b"\x00binary \xff secret"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Make a directory with a certificate, its key, a keystore, a backup and a subdirectory."""
    directory = tmp_path / "source"
    directory.mkdir()
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=x",
         "-keyout", str(directory / "web.key"), "-out", str(directory / "web.crt")],
        check=True, capture_output=True, timeout=30,
    )  # fmt: skip
    (directory / "web.jks").write_bytes(SECRET)
    (directory / "web.jks").chmod(0o440)
    (directory / "web.crt.1.2026-11-21~").write_text("old", encoding="utf-8")
    (directory / "web.d").mkdir()
    both = (directory / "web.crt").read_text(encoding="ascii") + (directory / "web.key").read_text(encoding="ascii")
    (directory / "web.pem").write_text(both, encoding="ascii")
    return directory


def read(run_module: RunModule, directory: Path, **options: Any) -> dict[str, Any]:
    return run_module(application_info.main, files=[f"{directory}/web.*", "/not/there"], **options)


def test_what_is_read(run_module: RunModule, source: Path) -> None:
    """Regular files without backups; a certificate only of a file that holds no key; content only when asked for."""
    found = read(run_module, source)
    files = {Path(path).name: one for path, one in found["files"].items()}
    assert sorted(files) == ["web.crt", "web.jks", "web.key", "web.pem"]
    assert files["web.jks"]["mode"] == "0440"
    certificate = (source / "web.crt").read_text(encoding="ascii")
    assert {name: one["certificate"] for name, one in files.items() if one["certificate"]} == {"web.crt": certificate}
    assert "carried" not in found
    numbers = read(run_module, source, numeric_owners=True)["files"][f"{source}/web.jks"]
    assert (numbers["owner"], numbers["group"]) == (str(os.getuid()), str(os.getgid()))


def carried_to(run_module: RunModule, source: Path, target: Path) -> list[dict[str, str]]:
    carried = read(run_module, source, content=True)["carried"]
    return [{**one, "path": str(target / Path(one["path"]).name)} for one in carried]


def test_written_with_backups(run_module: RunModule, source: Path, tmp_path: Path) -> None:
    """Check mode tells what a run does; what is overwritten is kept; a second run does nothing."""
    target = tmp_path / "target"
    target.mkdir()
    (target / "web.key").write_text("own key", encoding="utf-8")
    files = carried_to(run_module, source, target)
    foreseen = run_module(file_set.main, check=True, files=files)
    assert (target / "web.key").read_text(encoding="utf-8") == "own key"
    done = run_module(file_set.main, files=files)
    assert done["changed"] and foreseen["changed"]
    assert (done["diff"], done["paths"]) == (foreseen["diff"], foreseen["paths"])
    assert base64.b64encode(SECRET).decode() not in str(done)
    assert (target / "web.jks").read_bytes() == SECRET
    assert (target / "web.jks").stat().st_mode & 0o777 == 0o440
    assert list(done["backups"]) == [str(target / "web.key")]
    assert Path(done["backups"][str(target / "web.key")]).read_text(encoding="utf-8") == "own key"
    assert done["backups"][str(target / "web.key")].endswith("~")
    assert not run_module(file_set.main, files=files)["changed"]


def test_mode_alone(run_module: RunModule, source: Path) -> None:
    files = carried_to(run_module, source, source)
    (source / "web.key").chmod(0o644)
    done = run_module(file_set.main, files=files, backup=False)
    assert done["diff"]["before"] == {f"{source}/web.key: mode": "0644"}
    assert (source / "web.key").stat().st_mode & 0o777 == 0o600
    assert done["backups"] == {}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"owner": "nobody-of-this-name"}, "does not exist"), ({"content": "é"}, "base64"), ({"mode": "rw"}, "octal")],
)
def test_refused_before_the_first_is_written(
    run_module: RunModule, source: Path, tmp_path: Path, wrong: dict[str, str], said: str
) -> None:
    files = carried_to(run_module, source, tmp_path)
    failed = run_module(file_set.main, files=[*files[:-1], {**files[-1], **wrong}])
    assert failed["failed"]
    assert said in failed["msg"]
    assert not (tmp_path / "web.crt").exists()


def test_services(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other names of one, masked ones and templates are none; one that is on its way is waited for."""
    said = [
        b"tomcat.service generated -\ntomcat9.service alias -\ntomcat@.service static -\ntomcat8.service masked x\n",
        b"deactivating\n",
        b"active\n",
    ]
    monkeypatch.setattr(Runner, "execute", lambda *_arguments: Outcome(0, said.pop(0)))
    assert services.names(["tomcat*"], Runner()) == ["tomcat.service"]
    assert services.settled(["tomcat.service"], 5, Runner()) == {"tomcat.service": "active"}
    assert services.names([], Runner()) == []
