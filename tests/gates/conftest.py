# SPDX-License-Identifier: GPL-3.0-or-later
"""What several gates ask for."""

from __future__ import annotations

import pytest

from tests.gates import tree
from tests.gates.installation import Installed, install


@pytest.fixture(scope="module")
def installed(request: pytest.FixtureRequest) -> Installed:
    """Install the archive for the gates of one file; each file has its own, since files run side by side."""
    return install(tree.BUILD / "archive" / request.path.stem)
