# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module csync2_key: predicts what it does, does it once, shows no key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._csync2.key import fingerprint
from ansible_collections.clusterkit.middleware.plugins.modules.csync2_key import main

if TYPE_CHECKING:
    from tests.unit.conftest import RunModule

KEY = "CANARY." * 9 + "_"
OTHER = "canary_" * 9 + "."


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "csync2.key"


@pytest.fixture
def quartet(run_module: RunModule, path: Path) -> Any:
    """Check, run, run again, check again; the prediction has to come true, and the second run has nothing to do."""

    def run(**options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        before = path.read_bytes() if path.exists() else None
        predicted = run_module(main, check=True, path=str(path), **options)
        assert (path.read_bytes() if path.exists() else None) == before
        done = run_module(main, path=str(path), **options)
        assert {name: predicted[name] for name in ("changed", "failed", "path")} == {
            name: done[name] for name in ("changed", "failed", "path")
        }
        for check in (False, True):
            again = run_module(main, check=check, path=str(path), **options)
            assert (again["failed"], again["changed"]) == (False, False)
            assert again["diff"]["before"] == again["diff"]["after"] == {}
        shown = json.dumps([predicted, done, again])
        assert "CANARY" not in shown
        assert "canary_" not in shown
        if path.exists():
            assert path.read_text().strip() not in shown
        return predicted, done

    return run


def test_missing_key_is_generated(quartet: Any, path: Path) -> None:
    predicted, done = quartet()
    key = path.read_text()
    assert (len(key), key[-1], path.stat().st_mode & 0o777) == (65, "\n", 0o600)
    assert (done["path"], done["size"], done["fingerprint"]) == (str(path), 65, fingerprint(key.strip()))
    assert done["diff"] == {
        "before": {"state": "absent", "fingerprint": None, "mode": None},
        "after": {"state": "present", "fingerprint": fingerprint(key.strip()), "mode": "0600"},
        "before_header": str(path),
        "after_header": str(path),
    }
    assert (predicted["size"], predicted["fingerprint"]) == (65, None)
    assert predicted["diff"]["after"]["fingerprint"] == "not predictable before the key is generated"


def test_given_key_is_written(quartet: Any, path: Path) -> None:
    predicted, done = quartet(content=f"{KEY}\n")
    assert path.read_text() == f"{KEY}\n"
    # Ansible adds mode, owner and the like of a file that is there
    assert predicted.items() <= done.items()
    assert done["fingerprint"] == fingerprint(KEY)


def test_given_key_replaces_another_one(quartet: Any, path: Path) -> None:
    path.write_text(f"{OTHER}\n")
    path.chmod(0o600)
    predicted, done = quartet(content=KEY)
    assert path.read_text() == f"{KEY}\n"
    assert (predicted["diff"], predicted["fingerprint"]) == (done["diff"], done["fingerprint"])
    assert (done["diff"]["before"], done["diff"]["after"]) == (
        {"fingerprint": fingerprint(OTHER)},
        {"fingerprint": fingerprint(KEY)},
    )


def test_present_key_is_kept_and_closed_to_others(quartet: Any, path: Path) -> None:
    path.write_text(f"{KEY}\n# csync2 reads the first line only\n")
    path.chmod(0o644)
    before = path.stat().st_ino
    _predicted, done = quartet()
    assert (done["diff"]["before"], done["diff"]["after"]) == ({"mode": "0644"}, {"mode": "0600"})
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.stat().st_ino == before


def test_mode_for_a_group(quartet: Any, path: Path) -> None:
    quartet(content=KEY, mode="0640", owner=str(path.parent.stat().st_uid), group=str(path.parent.stat().st_gid))
    assert path.stat().st_mode & 0o777 == 0o640


def test_absent(quartet: Any, path: Path) -> None:
    path.write_text(KEY)
    _predicted, done = quartet(state="absent")
    assert not path.exists()
    assert (done["diff"]["before"], done["diff"]["after"]) == ({"state": "present"}, {"state": "absent"})


def test_absent_leaves_no_key_of_a_killed_run(run_module: RunModule, path: Path) -> None:
    left = path.with_name(".csync2.key.clusterkit-0123456789abcdef")
    left.write_text(KEY)
    assert run_module(main, path=str(path), state="absent")["changed"] is False
    assert not left.exists()


def test_malformed_key_is_an_error_by_default(run_module: RunModule, path: Path) -> None:
    path.write_text(KEY[:20])
    for check in (True, False):
        result = run_module(main, check=check, path=str(path))
        assert result["failed"]
        assert result["msg"] == (
            f"{path} is no key that csync2 would take: its first line has 20 characters: csync2 takes 32 at least. "
            "Restore it, give the key as content, or have a new one made with regenerate=invalid"
        )
        assert path.read_text() == KEY[:20]


def test_malformed_key_is_replaced_on_request(quartet: Any, path: Path) -> None:
    path.write_text(KEY[:20])
    path.chmod(0o600)
    _predicted, done = quartet(regenerate="invalid")
    assert done["diff"]["before"] == {"fingerprint": "no valid key"}
    assert len(path.read_text()) == 65


def test_malformed_key_is_replaced_by_a_given_one(quartet: Any, path: Path) -> None:
    path.write_text(KEY[:20])
    quartet(content=KEY)
    assert path.read_text() == f"{KEY}\n"


def test_regenerate_always(run_module: RunModule, path: Path) -> None:
    path.write_text(f"{KEY}\n")
    prints = [run_module(main, path=str(path), regenerate="always") for _turn in range(2)]
    assert all(result["changed"] for result in prints)
    assert len({fingerprint(KEY), *(result["fingerprint"] for result in prints)}) == 3
    before = path.read_bytes()
    predicted = run_module(main, check=True, path=str(path), regenerate="always")
    assert (predicted["changed"], predicted["fingerprint"], path.read_bytes()) == (True, None, before)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"content": "CANARY"}, "content is no key that csync2 would take: its first line has 6 characters"),
        ({"content": ""}, "its first line has 0 characters"),
        ({"content": f"{KEY}\n{OTHER}"}, "it has more than one line"),
        ({"content": KEY + "-"}, "position 65 holds a character that csync2 does not allow"),
        ({"content": KEY, "regenerate": "always"}, "exclude each other"),
        ({"content": KEY, "regenerate": "sometimes"}, "value of regenerate must be one of"),
        ({"content": {"CANARY": KEY}}, "content is no key"),
        ({"content": [KEY, OTHER]}, "content is no key"),
        ({"content": KEY, "contents": OTHER}, "Unsupported parameters"),
        ({"content": KEY, "mode": "0644"}, "mode '0644' lets every user at the key"),
        ({"content": KEY, "mode": 384}, "mode is '384': expected an octal number in quotes"),
        ({"content": KEY, "mode": "u=rw"}, "mode is 'u=rw'"),
        ({"content": KEY, "owner": "nobody-has-it"}, "user 'nobody-has-it' does not exist"),
    ],
)
def test_bad_input_is_refused_without_showing_a_key(
    run_module: RunModule, path: Path, options: dict[str, Any], message: str
) -> None:
    result = run_module(main, path=str(path), **options)
    assert result["failed"]
    assert message in result["msg"]
    shown = json.dumps(result)
    assert "CANARY." not in shown
    assert "canary_" not in result["msg"]
    assert not path.exists()


def test_check_mode_does_not_need_what_an_earlier_task_would_make(run_module: RunModule, tmp_path: Path) -> None:
    path = tmp_path / "not" / "yet" / "csync2.key"
    result = run_module(main, check=True, path=str(path), owner="not-yet", group="not-yet")
    assert (result["failed"], result["changed"]) == (False, True)
    assert run_module(main, path=str(path))["msg"].endswith("its directory does not exist; create it first")


def test_key_that_cannot_be_read_is_an_error(run_module: RunModule, path: Path) -> None:
    path.mkdir()
    assert "is no regular file" in run_module(main, path=str(path))["msg"]
