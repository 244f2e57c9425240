# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's table of mounts, and the names of units, as systemd spells them."""

from __future__ import annotations

import pathlib

from ansible_collections.clusterkit.middleware.plugins.module_utils._common import mounts

RECORDED = (
    "25 1 8:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw\n"
    "40 25 0:60 / /srv/artifacts rw,relatime - autofs systemd-1 rw,fd=52\n"
    "371 145 0:144 / /srv/artifacts rw,relatime - fuse.glusterfs s1:/share rw,user_id=0,allow_other\n"
    "372 25 8:1 /data/with\\040space /srv/bind\\040here ro,relatime shared:1 master:2 - ext4 /dev/vda1 rw\n"
)


def test_the_table_is_read(tmp_path: pathlib.Path) -> None:
    """Optional fields, spaces in names, a mount over another one, and the options of both kinds."""
    path = tmp_path / "mountinfo"
    path.write_text(RECORDED)
    table = mounts.table(str(path))
    found = mounts.at("/srv/artifacts", table)
    assert found and (found.type, found.source, found.root) == ("fuse.glusterfs", "s1:/share", "/")
    assert "allow_other" in found.options and found.options.count("rw") == 1
    bind = mounts.at("/srv/bind here", table)
    assert bind and bind.root == "/data/with space" and "ro" in bind.options
    assert mounts.at("/srv", table) is None
    assert mounts.holding("/srv/artifacts/x/y", table).source == "s1:/share"
    assert mounts.holding("/srv/other", table).point == "/"


def test_the_real_table_is_read() -> None:
    """That of the machine that tests: something is mounted at its root."""
    assert mounts.holding("/proc/self", mounts.table()).type == "proc"


def test_units_are_named_as_systemd_names_them() -> None:
    """What `systemd-escape --path` (252) printed for these paths."""
    assert mounts.unit_name("/srv/artifacts") == "srv-artifacts.mount"
    assert mounts.unit_name("/srv/a-b/c.d/") == "srv-a\\x2db-c.d.mount"
    assert mounts.unit_name("/") == "-.mount"
    assert mounts.escaped("/.hidden/@x/ü") == "\\x2ehidden-\\x40x-\\xc3\\xbc"
