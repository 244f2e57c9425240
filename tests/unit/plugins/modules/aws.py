# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of modules for AWS share: an account in this process, as far as moto has it."""

from __future__ import annotations

from typing import Any, Iterator

import pytest

moto = pytest.importorskip("moto", reason="moto stands for AWS")

REGION = "eu-central-1"


def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Yield boto3's clients by name, within an account that has nothing in it."""
    import boto3  # noqa: PLC0415  # it has to see moto's environment

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    with moto.mock_aws():
        yield lambda name: boto3.client(name, region_name=REGION)
