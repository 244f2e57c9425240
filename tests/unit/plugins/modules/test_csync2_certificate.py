# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module csync2_certificate: predicts what it does, does it once, by openssl itself, and shows no key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._csync2.state import certificate_fingerprint
from ansible_collections.clusterkit.middleware.plugins.modules.csync2_certificate import main

if TYPE_CHECKING:
    from tests.unit.conftest import RunModule


@pytest.fixture
def options(tmp_path: Path) -> dict[str, Any]:
    return {"key_path": str(tmp_path / "key"), "certificate_path": str(tmp_path / "cert"), "bits": 2048}


def content(options: dict[str, Any]) -> list[tuple[bytes, int] | None]:
    paths = [Path(options[name]) for name in ("key_path", "certificate_path")]
    return [(path.read_bytes(), path.stat().st_mode) if path.exists() else None for path in paths]


@pytest.fixture
def quartet(run_module: RunModule) -> Any:
    """Check, run, run again, check again; the prediction has to come true, and the second run has nothing to do."""

    def run(options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        before = content(options)
        predicted = run_module(main, check=True, **options)
        assert content(options) == before
        done = run_module(main, **options)
        for name in ("changed", "failed", "certificate_changed", "reason", "diff"):
            assert predicted[name] == done[name]
        after = content(options)
        for check in (False, True):
            again = run_module(main, check=check, **options)
            assert (again["failed"], again["changed"], again["certificate_changed"]) == (False, False, False)
            assert (again["reason"], again["fingerprint"]) == ("", done["fingerprint"])
            assert again["diff"]["before"] == again["diff"]["after"]
            assert content(options) == after
        key = Path(options["key_path"]).read_text().splitlines()
        assert not any(line in json.dumps([predicted, done, again]) for line in key[1:-1])
        assert done["fingerprint"] == certificate_fingerprint(options["certificate_path"])
        return predicted, done

    return run


def test_missing_pair_is_made(quartet: Any, options: dict[str, Any]) -> None:
    predicted, done = quartet(options)
    assert done["changed"]
    assert done["reason"] == f"no key at {options['key_path']}"
    assert (predicted["fingerprint"], predicted["subject"]) == ("", "")
    assert (done["subject"], done["not_after"][-3:]) == ("CN=csync2", "GMT")
    assert (done["diff"]["before"], done["diff"]["after"]) == ({"certificate": "none"}, {"certificate": "new"})
    assert [row and row[1] & 0o777 for row in content(options)] == [0o600, 0o644]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"subject": "O=Example\\, Inc.,CN=csync2"}, "subject CN=csync2 instead of O=Example\\, Inc.,CN=csync2"),
        ({"bits": 3072}, "2048 bits instead of 3072"),
        ({"renew_days": 700, "days": 900}, "valid until "),
    ],
)
def test_pair_that_no_longer_fits_is_made_anew(
    run_module: RunModule, quartet: Any, options: dict[str, Any], change: dict[str, Any], reason: str
) -> None:
    first = run_module(main, **options)
    _predicted, done = quartet({**options, **change})
    assert done["reason"].startswith(reason)
    assert done["fingerprint"] != first["fingerprint"]
    assert done["diff"]["before"] == {"certificate": first["fingerprint"]}


def test_present_pair_is_kept_and_closed_to_others(
    run_module: RunModule, quartet: Any, options: dict[str, Any]
) -> None:
    first = run_module(main, **options)
    Path(options["key_path"]).chmod(0o644)
    _predicted, done = quartet(options)
    assert (done["changed"], done["certificate_changed"]) == (True, False)
    assert done["fingerprint"] == first["fingerprint"]
    assert (done["diff"]["before"], done["diff"]["after"]) == ({"modes": [options["key_path"]]}, {"modes": []})
    assert Path(options["key_path"]).stat().st_mode & 0o777 == 0o600


def test_regenerate(run_module: RunModule, options: dict[str, Any]) -> None:
    first = run_module(main, **options)
    predicted = run_module(main, check=True, regenerate=True, **options)
    done = run_module(main, regenerate=True, **options)
    assert predicted["reason"] == done["reason"] == "asked to make it anew"
    assert first["fingerprint"] != done["fingerprint"]
    assert predicted["fingerprint"] == ""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"subject": "csync2"}, "subject is 'csync2': write attributes as in 'CN=csync2' or 'O=Example,CN=csync2'"),
        ({"days": 10, "renew_days": 20}, "a certificate made with these options does not fit them: valid until "),
        ({"bits": "many"}, "bits"),
        (
            {"key_path": "/does/not/exist/key"},
            "cannot write /does/not/exist/key: there is no directory /does/not/exist",
        ),
    ],
)
def test_bad_input(run_module: RunModule, options: dict[str, Any], change: dict[str, Any], message: str) -> None:
    result = run_module(main, **{**options, **change})
    assert result["failed"]
    assert message in result["msg"]
    assert content(options) == [None, None]


def test_openssl_that_is_missing(
    run_module: RunModule, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    result = run_module(main, **options)
    assert result["msg"].startswith("command openssl not found")
