# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the time into a file again and again."""

import pathlib
import sys
import time

while True:
    pathlib.Path(sys.argv[1]).write_text(f"{time.time()}\n")
    time.sleep(0.5)
