# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A document's default version says what is wanted, whatever versions there are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Iterator

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._aws.document import Document
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.modules import ssm_document
from tests.unit.plugins.modules.aws import REGION, account

if TYPE_CHECKING:
    from tests.unit.conftest import RunModule

NAME = "stop-web"


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    yield from account(monkeypatch)


@pytest.fixture
def run(run_module: RunModule, clients: Any) -> Any:
    def call(check: bool = False, **options: Any) -> dict[str, Any]:
        return run_module(ssm_document.main, check=check, name=NAME, region=REGION, **options)

    return call


def content(command: str) -> dict[str, Any]:
    """Return a document that runs a command."""
    step = {"action": "aws:runShellScript", "name": "stop", "inputs": {"runCommand": [command]}}
    return {"schemaVersion": "2.2", "description": "Stops", "mainSteps": [step]}


def default(clients: Any) -> tuple[str, str]:
    """Return the default version's number and command."""
    found = clients("ssm").get_document(Name=NAME)
    return found["DocumentVersion"], json.loads(found["Content"])["mainSteps"][0]["inputs"]["runCommand"][0]


def test_created_changed_and_back(run: Any, clients: Any) -> None:
    foreseen = run(check=True, content=content("a"))
    assert foreseen["changed"]
    with pytest.raises(clients("ssm").exceptions.InvalidDocument):
        clients("ssm").get_document(Name=NAME)
    done = run(content=content("a"))
    assert done["changed"]
    assert done["diff"] == foreseen["diff"]
    assert not run(content=content("a"))["changed"]

    foreseen = run(check=True, content=content("b"))
    assert default(clients) == ("1", "a")
    assert foreseen["diff"]["before"]["content"] == content("a")
    assert foreseen["diff"]["after"]["content"] == content("b")
    assert run(content=content("b"))["diff"] == foreseen["diff"]
    assert default(clients) == ("2", "b")
    assert not run(check=True, content=content("b"))["changed"]

    # Systems Manager takes no content twice
    assert run(content=content("a"))["changed"]
    assert default(clients) == ("1", "a")
    assert not run(content=content("a"))["changed"]


def test_run_that_was_cut_off(run: Any, clients: Any) -> None:
    """A version that was made and did not become the default is not made again."""
    run(content=content("a"))
    clients("ssm").update_document(
        Name=NAME, Content=json.dumps(content("b"), sort_keys=True), DocumentVersion="$LATEST"
    )
    assert default(clients) == ("1", "a")
    assert run(content=content("b"))["changed"]
    assert default(clients) == ("2", "b")


def test_removed(run: Any, clients: Any) -> None:
    assert not run(state="absent")["changed"]
    run(content=content("a"))
    run(content=content("b"))
    assert run(check=True, state="absent")["changed"]
    assert default(clients) == ("2", "b")
    assert run(state="absent")["changed"]
    assert not run(state="absent")["changed"]


def test_refused(run: Any, clients: Any) -> None:
    assert "content" in run()["msg"]
    automation = {"schemaVersion": "0.3", "mainSteps": [{"name": "x", "action": "aws:sleep", "inputs": {}}]}
    clients("ssm").create_document(Name=NAME, Content=json.dumps(automation), DocumentType="Automation")
    assert "is of the type Automation: give another name" in run(content=content("a"))["msg"]


def test_profile_that_is_not_there(run: Any) -> None:
    failed = run(content=content("a"), profile="nobody")
    assert failed["failed"]
    assert "nobody" in failed["msg"]


@pytest.mark.parametrize(
    ("status", "said"),
    [("Failed", "made no version 2 of document stop-web: bad"), ("Updating", "not made within 60 s")],
)
def test_version_that_does_not_become_one(status: str, said: str) -> None:
    """Systems Manager makes versions in its own time, and may fail to."""

    class Client:
        def get_document(self, **_given: Any) -> Any:
            return {"Content": json.dumps(content("a")), "DocumentType": "Command"}

        def update_document(self, **_given: Any) -> Any:
            return {"DocumentDescription": {"DocumentVersion": "2"}}

        def describe_document(self, **_given: Any) -> Any:
            return {"Document": {"Status": status, "StatusInformation": "bad"}}

    with pytest.raises(ClusterkitError, match=said):
        Document(Client(), NAME, sleep=lambda _seconds: None).write(content("b"), check=False)
