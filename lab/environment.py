# SPDX-License-Identifier: GPL-3.0-or-later
"""Python environments below build/, made from lock files with hashes."""

from __future__ import annotations

import dataclasses
import hashlib
import pathlib
import re
import sys

from lab.steps import BUILD, ROOT, VENV, LabError, run, run_logged, say, write_atomically

REQUIREMENTS = ROOT / "requirements"


@dataclasses.dataclass(frozen=True)
class Environment:
    """A Python environment and what it is made from."""

    directory: pathlib.Path
    lock_file: pathlib.Path

    def __str__(self) -> str:
        made_from = self.lock_file.relative_to(ROOT)
        return f"the Python environment {self.directory.relative_to(ROOT)}/ from {made_from} (hashes checked)"

    @property
    def python(self) -> pathlib.Path:
        """Its interpreter."""
        return self.directory / "bin" / "python"

    @property
    def _stamp(self) -> pathlib.Path:
        """Written last, so that an environment which has it was made to its end."""
        return self.directory / "made-from"

    def _digest(self) -> str:
        return hashlib.sha256(self.lock_file.read_bytes()).hexdigest()

    def is_current(self) -> bool:
        """Tell whether it was completely made from the present lock file."""
        return self.python.exists() and self._stamp.exists() and self._stamp.read_text("ascii") == self._digest()

    def make(self) -> None:
        """Make it, or bring it to the present lock file. Raises LabError."""
        say(f"making {self}")
        name = self.directory.name
        if not (self.python.exists() and self._stamp.exists()):
            # --clear: one that was interrupted may lack pip
            run_logged(name, [sys.executable, "-m", "venv", "--clear", str(self.directory)], limit=120)
        uv = _uv()
        sync = [str(uv), "pip", "sync", "--require-hashes", "--python", str(self.python), str(self.lock_file)]
        run_logged(f"{name}-sync", sync, limit=900, env={"UV_LINK_MODE": "copy", "UV_CACHE_DIR": str(_cache(uv))})
        write_atomically(self._stamp, self._digest())


#: What everything runs in.
MAIN = Environment(VENV, REQUIREMENTS / "dev.txt")
#: The oldest ansible-core that the collection declares.
OLDEST_CORE = Environment(BUILD / "venv-core-2.16", REQUIREMENTS / "core-2.16.txt")


def _uv() -> pathlib.Path:
    """Return uv, which installs some 200 packages in seconds; the main environment gets it first, by pip."""
    pinned = re.search(r"^uv==.*?(?=^\S)", MAIN.lock_file.read_text(encoding="utf-8") + "\nend", re.M | re.S)
    if not pinned:
        raise LabError(f"{MAIN.lock_file.relative_to(ROOT)} pins no uv: run `make lock`")
    only = BUILD / "uv.txt"
    write_atomically(only, pinned.group(0))
    pip = [str(MAIN.python), "-m", "pip", "install", "--quiet", "--no-cache-dir", "--require-hashes", "-r", str(only)]
    run_logged("pip-uv", pip, limit=300)
    return VENV / "bin" / "uv"


def _cache(uv: pathlib.Path) -> pathlib.Path:
    """Return uv's cache: the machine's if it has one, as with Docker; else one that goes with the rest of build/."""
    machines = pathlib.Path(run([str(uv), "cache", "dir"]).strip())
    return machines if machines.exists() else BUILD / "cache" / "uv"
