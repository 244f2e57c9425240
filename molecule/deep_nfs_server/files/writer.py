# SPDX-License-Identifier: GPL-3.0-or-later
"""Lock a file, write numbered lines into it, each onto the disk, and note the last number that is there.

Usage: writer.py FILE NOTE. It goes on until a file NOTE.end is there. An error ends it, and is noted.
"""

from __future__ import annotations

import fcntl
import os
import pathlib
import sys

path, note = map(pathlib.Path, sys.argv[1:])
new, number = note.with_suffix(".new"), 0
try:
    with path.open("w", encoding="ascii") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        while not note.with_suffix(".end").exists():
            number += 1
            file.write(f"{number}\n")
            file.flush()
            os.fsync(file.fileno())
            new.write_text(str(number), encoding="ascii")
            new.rename(note)
except OSError as error:
    note.with_suffix(".error").write_text(f"after {number}: {error}", encoding="utf-8")
