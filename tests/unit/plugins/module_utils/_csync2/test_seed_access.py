# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a newcomer is let in: one line among those that are there, and none where sshd would not take it."""

from __future__ import annotations

import pathlib
import re
import stat
import time

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Outcome, Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._csync2 import seed_access
from ansible_collections.clusterkit.middleware.plugins.module_utils._csync2.seed_access import Door

#: As `sshd -T` of OpenSSH 9.2 tells it.
SETTINGS = {
    "port": "22",
    "pubkeyauthentication": "yes",
    "permitrootlogin": "without-password",
    "authorizedkeysfile": ".ssh/authorized_keys .ssh/authorized_keys2",
}
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA9cV0"
COMMAND = ["/usr/local/sbin/clusterkit-csync2", "serve-seed", "--name", "n1", "--newcomer", "n2"]
OTHERS = "# mine\nssh-rsa AAAA somebody@clusterkit-csync2-seed.example.org\nssh-rsa BBBB no line end"


@pytest.fixture
def home(tmp_path: pathlib.Path) -> pathlib.Path:
    """Return root's home."""
    return tmp_path


def door(home: pathlib.Path, **changes: str) -> Door:
    return Door({**SETTINGS, **changes}, str(home))


def test_one_line_for_one_command_and_a_limited_time(home: pathlib.Path) -> None:
    """The line allows what it has to and nothing else; the files are root's alone."""
    one = door(home)
    one.open("n2", KEY, "192.0.2.12", COMMAND, 3600)
    path = home / ".ssh" / "authorized_keys"
    found = re.fullmatch(
        r'restrict,from="192\.0\.2\.12",expiry-time="(\d{14})",command="/usr/local/sbin/clusterkit-csync2 serve-seed '
        rf'--name n1 --newcomer n2" {KEY} clusterkit-csync2-seed n2\n',
        path.read_text(encoding="utf-8"),
    )
    assert found
    assert 3500 < time.mktime(time.strptime(found.group(1), "%Y%m%d%H%M%S")) - time.time() <= 3600
    assert [stat.S_IMODE(one.stat().st_mode) for one in (path, path.parent)] == [0o600, 0o700]
    assert one.admits() and one.admits("n2") and not one.admits("n3")
    one.close()
    assert not path.exists() and not one.admits()


def test_other_lines_stay(home: pathlib.Path) -> None:
    """Those of the administrators byte for byte, and those of other newcomers; one that was left is replaced."""
    path = home / ".ssh" / "authorized_keys"
    path.parent.mkdir()
    path.write_text(OTHERS, encoding="utf-8")
    one = door(home)
    one.open("n2", "ssh-ed25519 OLD", "192.0.2.12", COMMAND, 3600)
    one.open("n2", KEY, "192.0.2.12", COMMAND, 3600)
    one.open("n22", KEY, "192.0.2.13", COMMAND, 3600)
    assert len(path.read_text(encoding="utf-8").splitlines()) == 5 and "OLD" not in path.read_text(encoding="utf-8")
    one.close("n2")
    assert one.admits("n22") and not one.admits("n2")
    one.close()
    assert path.read_text(encoding="utf-8") == OTHERS + "\n"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"permitrootlogin": "no"}, "sshd has permitrootlogin no"),
        ({"pubkeyauthentication": "no"}, "sshd has pubkeyauthentication no"),
        ({"authorizedkeysfile": "none"}, "sshd has no authorizedkeysfile"),
        ({"permitrootlogin": ""}, "sshd has permitrootlogin not set"),
    ],
)
def test_root_that_may_not_log_in(home: pathlib.Path, changes: dict[str, str], said: str) -> None:
    """It is said why, and nothing is written."""
    with pytest.raises(ClusterkitError, match=f"root may not log in by key: {said}"):
        door(home, **changes).open("n2", KEY, "192.0.2.12", COMMAND, 3600)
    assert list(home.iterdir()) == []
    assert not door(home, **changes).admits()


@pytest.mark.parametrize(
    ("setting", "wanted"),
    [("/etc/ssh/keys/%u", "/etc/ssh/keys/root"), ("%h/.keys/%%%U", "/root/.keys/%0"), ("keys", "/root/keys")],
)
def test_path_of_the_keys(setting: str, wanted: str) -> None:
    """As sshd_config(5) has it."""
    assert Door({"authorizedkeysfile": setting}, "/root").path == wanted


def test_what_sshd_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    """For an address, since rules may depend on it; of several ports the first."""
    asked: list[list[str]] = []

    def execute(_runner: Runner, argv: list[str], *_rest: object) -> Outcome:
        asked.append(argv[1:])
        return Outcome(0, stdout=b"port 2222\nport 22\nusepam yes\nauthorizedkeysfile a b\n")

    monkeypatch.setattr(Runner, "execute", execute)
    monkeypatch.setattr(seed_access.shutil, "which", lambda _name, path: "/usr/sbin/sshd")
    assert Door.found(Runner(), "192.0.2.12").port == 2222
    Door.found(Runner())
    assert asked == [["-T", "-C", "user=root,host=192.0.2.12,addr=192.0.2.12"], ["-T"]]
    monkeypatch.setattr(seed_access.shutil, "which", lambda _name, path: None)
    with pytest.raises(ClusterkitError, match="sshd is not installed"):
        Door.found(Runner())


def test_key_is_made_anew_and_removed(tmp_path: pathlib.Path) -> None:
    """Only its public half is handed out; the directory is closed."""
    directory = str(tmp_path / "below" / "seed")
    keys = {seed_access.make_key(Runner(), directory) for _turn in range(2)}
    assert len(keys) == 2 and all(re.fullmatch(r"ssh-ed25519 \S{68}", key) for key in keys)
    assert stat.S_IMODE(pathlib.Path(directory).stat().st_mode) == 0o700
    words = seed_access.shell("192.0.2.11", 2222, [KEY], directory)
    assert words[:7] == ["ssh", "-F", "none", "-l", "root", "-p", "2222"]
    assert "StrictHostKeyChecking=yes" in words and "HostName=192.0.2.11" in words
    assert (tmp_path / "below" / "seed" / "known_hosts").read_text(encoding="utf-8") == f"source {KEY}\n"
    seed_access.remove_key(directory)
    seed_access.remove_key(directory)
    assert not seed_access.has_key(directory) and (tmp_path / "below").exists()


def test_host_keys(tmp_path: pathlib.Path) -> None:
    """All that the host has, without their comments."""
    (tmp_path / "ssh_host_a_key.pub").write_text(f"{KEY} root@n1\n", encoding="utf-8")
    (tmp_path / "ssh_host_b_key.pub").write_text("", encoding="utf-8")
    assert seed_access.host_keys(str(tmp_path / "ssh_host_*_key.pub")) == [KEY]
