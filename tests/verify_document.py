# SPDX-License-Identifier: GPL-3.0-or-later
"""Check the document that a role's `verify` returns: against its schema, and that it does not contradict itself.

Scenarios import it: `from tests.verify_document import load_and_validate`.
"""

from __future__ import annotations

import json
import pathlib
from collections.abc import Mapping
from typing import Any

import jsonschema

SCHEMA = pathlib.Path(__file__).resolve().parents[1] / "docs" / "verify.schema.json"


class InvalidDocumentError(AssertionError):
    """A document that is not what `verify` has to return; the text lists every reason."""


def load_and_validate(source: str | pathlib.Path | Mapping[str, Any]) -> dict[str, Any]:
    """Return a document of `verify`, given as a mapping, as JSON text or as a path. Raises InvalidDocumentError."""
    document = dict(source) if isinstance(source, Mapping) else _load(source)
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))
    problems = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)]
    problems = problems or _contradictions(document)
    if problems:
        raise InvalidDocumentError("not a document of verify:\n" + "\n".join(problems))
    return document


def _load(source: str | pathlib.Path) -> dict[str, Any]:
    text = (
        source
        if isinstance(source, str) and source.lstrip().startswith("{")
        else pathlib.Path(source).read_text(encoding="utf-8")
    )
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def _contradictions(document: Mapping[str, Any]) -> list[str]:
    """Return where `ok` does not follow from the rest."""
    complete = sorted(document["members_expected"]) == sorted(document["members_seen"])
    checks = all(check["ok"] for check in document["checks"])
    if document["ok"] and not checks:
        return ["$.ok: true, although a check failed"]
    if document["ok"] and not complete:
        return ["$.ok: true, although the members seen are not those expected"]
    if not document["ok"] and checks and complete:
        return ["$.ok: false, although every check holds and all members are seen: add the check that failed"]
    return []
