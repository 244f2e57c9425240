# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A zip file of one file whose bytes depend on nothing but that file."""

from __future__ import annotations

import io
import zipfile


def archive(name: str, source: str) -> bytes:
    """Return the zip file. Lambda compares its digest, and versions of zlib pack differently: nothing is compressed."""
    entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    entry.create_system = 3  # Unix, so that the mode counts
    entry.external_attr = 0o100644 << 16
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", compression=zipfile.ZIP_STORED) as file:
        file.writestr(entry, source)
    return packed.getvalue()
