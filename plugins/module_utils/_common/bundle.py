# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A program for a target, bundled from the same module_utils that the modules use, as one executable file.

The file is a zip archive that Python runs (see the standard library's zipapp). It is the same, byte for byte, as long
as the sources are: so a second run changes nothing.
"""

from __future__ import annotations

import ast
import io
import pathlib
import zipfile

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError

_PACKAGE = "ansible_collections.clusterkit.middleware.plugins.module_utils"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest moment that a zip archive can hold
_START = "from {module} import main\nraise SystemExit(main())\n"


def bundle(module_utils: pathlib.Path, module: str) -> bytes:
    """Return the program whose entry point is `main()` of a module below module_utils, such as `_csync2.agent`.

    Raises ClusterkitError when the module, or one that it imports, is not there, or needs Ansible itself.
    """
    files = {"__main__.py": _START.format(module=f"{_PACKAGE}.{module}").encode()}
    for name in sorted(_needed(module_utils, module)):
        files[f"{_PACKAGE}.{name}".replace(".", "/") + ".py"] = _source(module_utils, name)
    for path in list(files):
        for parent in pathlib.PurePosixPath(path).parents:
            if str(parent) != ".":
                files.setdefault(f"{parent}/__init__.py", b"")
    archive = io.BytesIO()
    archive.write(b"#!/usr/bin/env python3\n")
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_DEFLATED) as zipped:
        for path in sorted(files):
            zipped.writestr(zipfile.ZipInfo(path, _EPOCH), files[path], zipfile.ZIP_DEFLATED)
    return archive.getvalue()


def _needed(module_utils: pathlib.Path, module: str) -> set[str]:
    """Return the modules below module_utils that a module imports, directly or not, and itself."""
    needed: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in needed:
            continue
        needed.add(name)
        for imported in _imports(_source(module_utils, name), name):
            if imported == _PACKAGE or imported.startswith(f"{_PACKAGE}."):
                rest = imported[len(_PACKAGE) + 1 :]
                # `from package import module` and `from module import name` look alike: the files decide
                if (module_utils / f"{rest.replace('.', '/')}.py").is_file():
                    waiting.append(rest)
            elif imported.split(".")[0] in ("ansible", "ansible_collections"):
                raise ClusterkitError(f"{name} imports {imported}: a program for a target needs Python alone")
    return needed


def _imports(source: bytes, name: str) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(source, name)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.append(node.module)
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def _source(module_utils: pathlib.Path, name: str) -> bytes:
    path = module_utils / f"{name.replace('.', '/')}.py"
    try:
        return path.read_bytes()
    except OSError as error:
        raise ClusterkitError(f"no module {name} below {module_utils}: {error.strerror}") from error
