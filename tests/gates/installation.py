# SPDX-License-Identifier: GPL-3.0-or-later
"""The archive as a user has it: built from the checkout, and installed where nothing else is."""

from __future__ import annotations

import dataclasses
import pathlib
import shutil

from tests.gates import tree


@dataclasses.dataclass(frozen=True)
class Installed:
    """The archive, the collections path it was installed into, and a home directory with nothing in it."""

    archive: pathlib.Path
    collections: pathlib.Path
    home: pathlib.Path

    @property
    def collection(self) -> pathlib.Path:
        """Where the collection lies."""
        return self.collections / "ansible_collections" / tree.NAMESPACE / tree.NAME

    def environment(self) -> dict[str, str]:
        """Return an environment that knows this installation, and neither the checkout nor anyone's home directory."""
        return tree.environment(
            ANSIBLE_COLLECTIONS_PATH=str(self.collections),
            HOME=str(self.home),
            ANSIBLE_HOME=str(self.home / ".ansible"),
            ANSIBLE_CONFIG=str(self.home / "ansible.cfg"),
        )


def install(work: pathlib.Path) -> Installed:
    """Build the archive from the checkout and install it into a clean collections path below a work directory."""
    shutil.rmtree(work, ignore_errors=True)
    (work / "home").mkdir(parents=True)
    (work / "home" / "ansible.cfg").touch()
    built = tree.run(["ansible-galaxy", "collection", "build", "--output-path", str(work), str(tree.ROOT)])
    tree.require(built, "The archive cannot be built.")
    (archive,) = work.glob("*.tar.gz")
    result = Installed(archive, work / "collections", work / "home")
    # Dependencies come with the `ansible` package of the environment: nothing is asked of a server
    argv = ["ansible-galaxy", "collection", "install", str(archive), "-p", str(result.collections), "--offline"]
    tree.require(tree.run(argv, env=result.environment(), cwd=work), "The archive cannot be installed.")
    assert (result.collection / "MANIFEST.json").exists()
    return result
