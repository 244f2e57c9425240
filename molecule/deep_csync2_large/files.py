# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the scenario's directory: as many small files as the command line says, odd names, and excluded files."""

import os
import pathlib
import sys

web = pathlib.Path("/srv/web")
number = int(sys.argv[1])
web.mkdir()
for file in range(number):
    directory = web / f"d{file // 100:03d}"
    if file % 100 == 0:
        directory.mkdir()
    (directory / f"f{file}").write_text(f"{file} " * (file % 100 + 1), encoding="utf-8")
if number:
    odd = web / "odd"
    odd.mkdir()
    for name in (b"line\nend", b"no utf-8 \xff", b"-rf", b"#comment", b" blank ", b"star*"):
        pathlib.Path(os.fsdecode(os.fsencode(odd) + b"/" + name)).write_bytes(name)
    (odd / "link").symlink_to("/nowhere")
    (odd / "hard").hardlink_to(web / "d000" / "f0")
    (web / "private").mkdir()
    (web / "private" / "excluded").write_text("excluded", encoding="utf-8")
    (web / "d000" / "draft~").write_text("excluded", encoding="utf-8")
