# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a journal keeps of an item. That it survives whatever happens to a run is shown by tests/faults."""

from __future__ import annotations

import os

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._appdata.journal import Journal, inode


#: As GlusterFS gives them: of 64 bits without a sign.
@pytest.mark.parametrize("number", [1, (1 << 63) - 1, 1 << 63, 13064834492273976602, (1 << 64) - 1])
def test_inodes_of_network_file_systems_are_kept(number: int) -> None:
    status = os.stat_result((0o100640, number, 5, 1, 10, 20, 3, 4, 5, 6))
    row = (b"x", 0, "f", 0o640, 10, 20, 3, status.st_mtime_ns, status.st_ctime_ns, inode(status), 1, None, 512, 1)
    journal = Journal("")
    journal.saw([row])
    ((item,),) = journal.pages("generation = 1")
    assert item.is_still(status)
    assert not item.is_still(os.stat_result((0o100640, number ^ 1, 5, 1, 10, 20, 3, 4, 5, 6)))
    journal.close()
