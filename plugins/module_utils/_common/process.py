# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a process asks of the kernel for itself."""

from __future__ import annotations

import ctypes
import signal

_PR_SET_PDEATHSIG = 1
#: Loaded here, not when it is called: between fork and exec the loader's locks must not be taken.
_LIBC = ctypes.CDLL(None)


def end_with_parent(wanted: bool = True) -> None:
    """Have the kernel send TERM to this process when its parent ends, however that ends; or no longer.

    Children do not inherit it. Linux only.
    """
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM if wanted else 0, 0, 0, 0)
