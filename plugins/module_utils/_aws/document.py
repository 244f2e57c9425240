# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A document of Systems Manager: what its default version says is what runs.

Systems Manager takes no content twice (`DuplicateDocumentContent`): a content that an earlier version has is used again
by making that version the default. That is also what a run does which was cut off between the two calls before.
"""

from __future__ import annotations

import json
import time
from typing import Any, Callable

from ansible_collections.clusterkit.middleware.plugins.module_utils._aws.client import ClientError, code_of, told
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.differences import DifferenceTracker
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError

#: Seconds between two looks at a version that is being made, and after which that is an error.
POLL, LIMIT = 1.0, 60.0


class Document:
    """One document, by its name."""

    def __init__(self, client: Any, name: str, sleep: Callable[[float], None] = time.sleep) -> None:
        self._client = client
        self.name = name
        self._sleep = sleep

    def read(self, version: str = "") -> Any:
        """Return a version's content, by default the default version's; None where there is none.

        Raises ClusterkitError.
        """
        given = {"DocumentVersion": version} if version else {}
        with told(f"document {self.name}"):
            try:
                found = self._client.get_document(Name=self.name, DocumentFormat="JSON", **given)
            except ClientError as error:
                if code_of(error) in ("InvalidDocument", "InvalidDocumentVersion"):
                    return None
                raise
        if found.get("DocumentType", "Command") != "Command":
            raise ClusterkitError(
                f"document {self.name} is there, and is of the type {found['DocumentType']}: give another name"
            )
        return json.loads(found["Content"])

    def write(self, content: Any, check: bool) -> DifferenceTracker:
        """Make a content that of the default version, and return what differed. Raises ClusterkitError."""
        present = self.read()
        changes = DifferenceTracker()
        if changes.add("content", content, present) and not check:
            with told(f"document {self.name}"):
                if present is None:
                    self._create(content)
                else:
                    version = self._version_of(content)
                    self._client.update_document_default_version(Name=self.name, DocumentVersion=version)
        return changes

    def remove(self, check: bool) -> DifferenceTracker:
        """Remove the document with all versions, and return what differed. Raises ClusterkitError."""
        changes = DifferenceTracker()
        if changes.add("content", None, self.read()) and not check:
            with told(f"document {self.name}"):
                try:
                    self._client.delete_document(Name=self.name)
                except ClientError as error:
                    if code_of(error) != "InvalidDocument":
                        raise
        return changes

    def _create(self, content: Any) -> None:
        self._client.create_document(
            Name=self.name,
            Content=json.dumps(content, sort_keys=True),
            DocumentType="Command",
            DocumentFormat="JSON",
            TargetType="/AWS::EC2::Instance",
        )
        self._wait("1")

    def _version_of(self, content: Any) -> str:
        """Return the version with a content; it is made where there is none."""
        try:
            made = self._client.update_document(
                Name=self.name,
                Content=json.dumps(content, sort_keys=True),
                DocumentVersion="$LATEST",
                DocumentFormat="JSON",
            )
        except ClientError as error:
            if code_of(error) != "DuplicateDocumentContent":
                raise
            return self._earlier(content)
        version = str(made["DocumentDescription"]["DocumentVersion"])
        self._wait(version)
        return version

    def _earlier(self, content: Any) -> str:
        latest = int(self._client.describe_document(Name=self.name)["Document"]["LatestVersion"])
        for version in range(latest, 0, -1):
            if self.read(str(version)) == content:
                return str(version)
        raise ClusterkitError(
            f"Systems Manager says that a version of document {self.name} has this content already, and none of its "
            f"{latest} versions has: remove the document"
        )

    def _wait(self, version: str) -> None:
        """Wait until a version can be used."""
        for _turn in range(int(LIMIT / POLL)):
            described = self._client.describe_document(Name=self.name, DocumentVersion=version)["Document"]
            if described["Status"] == "Active":
                return
            if described["Status"] == "Failed":
                raise ClusterkitError(
                    f"Systems Manager made no version {version} of document {self.name}: "
                    f"{described.get('StatusInformation', 'it does not say why')}"
                )
            self._sleep(POLL)
        raise ClusterkitError(f"version {version} of document {self.name} was not made within {LIMIT:.0f} s")
