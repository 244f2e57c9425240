# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A release of artifacts, made of files of the control node."""

from __future__ import annotations

DOCUMENTATION = r"""
name: deployment_release
short_description: A release made of artifacts that lie on the control node
version_added: 0.1.0
author: clusterkit contributors (@clusterkit)
description:
  - Reads artifacts, files or directories of the control node, and says which files the directories of all servers
    are to have. It is for the role P(clusterkit.middleware.deployment_sync#role).
options:
  _terms:
    description:
      - The artifacts, each with its C(path) on the control node, looked for in C(files) beside a playbook or role as
        well; its C(name), the path that it gets below the directory, by default the name it has, and for a
        directory, whose files all belong to the release, nothing; its C(directory), by default the first of
        O(directories); and its C(mode), by default C(0644).
    type: list
    elements: dict
    required: true
  directories:
    description: The directories, each with the C(name) that it has on all servers, and its C(path).
    type: list
    elements: dict
    required: true
  name:
    description: Name of the release. Where it is empty, one that its contents give.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Make a release
  ansible.builtin.set_fact:
    made: "{{ lookup('clusterkit.middleware.deployment_release', artifacts, directories=directories) }}"
  vars:
    directories: [{name: srv_artifacts, path: /srv/artifacts}]
    artifacts: [{path: build/orders.car}, {path: build/sequences, name: sequences}]
"""

RETURN = r"""
_raw:
  description:
    - One element with C(release), its C(name) and its C(files); C(digest), one hash of them; C(sources), where each
      content is, by its hash; and C(error), why there is none, empty where there is one.
  type: list
  elements: dict
"""

import pathlib
import posixpath
from typing import Any, Iterator

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._deployment import release

_MODE = "0644"


class LookupModule(LookupBase):
    """Reads artifacts on the control node."""

    def run(self, terms: list[Any], variables: Any = None, **options: Any) -> list[dict[str, Any]]:
        """Return the release. What is wrong is said in `error`, so that a role can say it with all else."""
        self.set_options(var_options=variables, direct=options)
        directories = self.get_option("directories")
        files: dict[str, dict[str, Any]] = {one["name"]: {} for one in directories}
        sources: dict[str, str] = {}
        try:
            for artifact in self._flatten(terms):
                self._add(artifact, directories, files, sources, variables)
            name = self.get_option("name") or release.now_name(files)
            release.from_mapping({"name": name, "files": files})
        except (ClusterkitError, OSError) as error:
            return [{"release": {}, "digest": "", "sources": {}, "error": str(error)}]
        made = {"name": name, "files": files}
        return [{"release": made, "digest": release.digest(files), "sources": sources, "error": ""}]

    def _add(
        self,
        artifact: dict[str, Any],
        directories: list[dict[str, str]],
        files: dict[str, dict[str, Any]],
        sources: dict[str, str],
        variables: Any,
    ) -> None:
        given = str(artifact.get("path") or "")
        path = self._found(given, variables)
        place = str(artifact.get("directory") or directories[0]["path"]).rstrip("/")
        known = [one["name"] for one in directories if one["path"] == place]
        if not known:
            raise ClusterkitError(
                f"the artifact {given} is for {place}, which is none of the directories "
                f"{', '.join(one['path'] for one in directories)}"
            )
        mode = f"{int(str(artifact.get('mode') or _MODE), 8):04o}"
        for inner, file in _files(path):
            wanted = artifact.get("name") or ("" if inner else posixpath.basename(given))
            name = posixpath.join(wanted, inner) if inner else wanted
            if name in files[known[0]]:
                raise ClusterkitError(f"two artifacts would be {name} in {place}: give one of them another name")
            with file.open("rb") as reading:
                sha256, size = release.hash_of(reading)
            files[known[0]][name] = {"sha256": sha256, "size": size, "mode": mode}
            sources[sha256] = str(file)

    def _found(self, given: str, variables: Any) -> pathlib.Path:
        """Return where an artifact is. Raises ClusterkitError where it is not."""
        try:
            found = given and self.find_file_in_search_path(
                variables or {}, "files", str(pathlib.Path(given).expanduser())
            )
        except AnsibleError:
            found = ""
        if not found:
            raise ClusterkitError(f"the artifact '{given}' is not on the control node: give the path of a file there")
        return pathlib.Path(found)


def _files(path: pathlib.Path) -> Iterator[tuple[str, pathlib.Path]]:
    """Walk over the files of an artifact, each with its path within it, which is empty for a file."""
    if path.is_file():
        yield "", path
        return
    for one in sorted(path.rglob("*")):
        if one.is_dir():
            if one.is_symlink():
                raise ClusterkitError(f"{one} is a link to a directory: give the directory itself")
        elif one.is_file():
            yield one.relative_to(path).as_posix(), one
        else:
            raise ClusterkitError(f"{one} is no file that can be read")
