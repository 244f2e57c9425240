#!/usr/bin/python
# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module csync2_key."""

from __future__ import annotations

DOCUMENTATION = r"""
module: csync2_key
short_description: Manage the key that the members of a csync2 group share
version_added: 0.1.0
description:
  - Creates, distributes and removes the key file that csync2's configuration names in a group's C(key) statement.
  - All members of a group need the same key. Create it on one member, and give it to the others as O(content).
  - A key is never shown. What can be compared between members is RV(fingerprint).
author:
  - clusterkit contributors (@clusterkit)
extends_documentation_fragment:
  - clusterkit.middleware.attributes
attributes:
  check_mode:
    support: full
    details:
      - The fingerprint of a key that is still to be generated is not predictable.
  diff_mode:
    support: full
    details:
      - Shows fingerprints, never a key.
  idempotent:
    support: partial
    details:
      - Not with O(regenerate=always).
options:
  path:
    description:
      - The key file. Its directory has to exist.
      - If it is a symbolic link, what it points to is written; with O(state=absent) the link is removed.
    type: path
    required: true
  state:
    description:
      - Whether the key file is there.
    type: str
    choices: [present, absent]
    default: present
  content:
    description:
      - The key, 32 to 1023 characters of C(A-Z), C(a-z), C(0-9), C(.) and C(_). A line end after it is ignored.
      - If not given, a key that is there is kept, and a missing one is generated.
      - A file whose key is another one, or none that csync2 would take, is replaced.
    type: str
  regenerate:
    description:
      - When to generate a new key in the place of one that is there. A missing key is generated in any case.
      - V(never) fails when the file holds nothing that csync2 would take as a key.
      - V(invalid) replaces such a file.
      - V(always) generates a new key each time. Members that still have the former one are refused by the others.
      - Says nothing when O(content) is given; V(always) excludes it.
    type: str
    choices: [never, invalid, always]
    default: never
  owner:
    description:
      - Name or number of the user who owns the file. If not given, it stays as it is.
    type: str
  group:
    description:
      - Name or number of the group that owns the file. If not given, it stays as it is.
    type: str
  mode:
    description:
      - The permissions of the file, as an octal number in quotes. An existing file gets them too.
      - Those that let every user read the key are refused.
    type: str
    default: "0600"
seealso:
  - name: csync2 on GitHub
    description: Upstream's source and documentation.
    link: https://github.com/LINBIT/csync2
"""

EXAMPLES = r"""
- name: Have a key on the first member
  clusterkit.middleware.csync2_key:
    path: /etc/csync2.key
  register: first
  run_once: true

- name: Read the key of the first member
  ansible.builtin.slurp:
    path: /etc/csync2.key
  register: key
  run_once: true
  no_log: true

- name: Have the same key on all members
  clusterkit.middleware.csync2_key:
    path: /etc/csync2.key
    content: "{{ key.content | b64decode }}"

- name: Remove the key of a member that leaves
  clusterkit.middleware.csync2_key:
    path: /etc/csync2.key
    state: absent
"""

RETURN = r"""
path:
  description: The key file.
  returned: always
  type: str
  sample: /etc/csync2.key
size:
  description: Size of the file in bytes; a file written by this module holds the key and a line end.
  returned: O(state=present)
  type: int
  sample: 65
fingerprint:
  description:
    - The first 16 hexadecimal digits of the SHA-256 of the key, without the line end.
    - It does not give the key away, since keys of less than 32 characters are refused.
    - In check mode V(null) for a key that is still to be generated.
  returned: O(state=present)
  type: str
  sample: 0a1b2c3d4e5f6071
"""

import re
import stat
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterkit.middleware.plugins.module_utils._common import files
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.differences import DifferenceTracker
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.module import finish
from ansible_collections.clusterkit.middleware.plugins.module_utils._csync2 import key as keys

_NOT_PREDICTABLE = "not predictable before the key is generated"


class KeyFile:
    """The key file as it is, and what is to become of it."""

    def __init__(self, module: AnsibleModule) -> None:
        self._check_mode: bool = module.check_mode
        self._path: str = module.params["path"]
        self._content: str | None = module.params["content"]
        self._regenerate: str = module.params["regenerate"]
        self._owner: str | None = module.params["owner"]
        self._group: str | None = module.params["group"]
        self._mode = _mode(module.params["mode"])
        self._differences = DifferenceTracker()
        self._status = files.status_if_exists(self._path)

    def absent(self) -> dict[str, Any]:
        """Remove the file."""
        if self._status:
            self._differences.add("state", "absent", "present")
        if not self._check_mode:
            # Also when there is no file: a killed run may have left a key under a temporary name
            files.remove(self._path)
        return self._result()

    def present(self) -> dict[str, Any]:
        """Have a valid key in the file."""
        present, problem = self._present_key()
        if self._content is not None:
            wanted = _given(self._content)
        elif present is None and self._status and self._regenerate == "never":
            raise ClusterkitError(
                f"{self._path} is no key that csync2 would take: {problem}. "
                "Restore it, give the key as content, or have a new one made with regenerate=invalid"
            )
        elif present is None or self._regenerate == "always":
            wanted = keys.generate()
        else:
            wanted = present

        generated = self._content is None and wanted != present
        self._compare(wanted, present, _NOT_PREDICTABLE if generated and self._check_mode else keys.fingerprint(wanted))
        if self._differences.changed and not self._check_mode:
            attributes: dict[str, Any] = {"mode": self._mode, "owner": self._owner, "group": self._group}
            if wanted == present:
                files.set_attributes(self._path, **attributes)
            else:
                files.write_atomically(self._path, f"{wanted}\n".encode(), **attributes)
        unknown = generated and self._check_mode
        return self._result(
            # As Ansible adds it to any result that has the path of a file, but in check mode too
            size=self._status.st_size if self._status and wanted == present else len(wanted) + 1,
            fingerprint=None if unknown else keys.fingerprint(wanted),
        )

    def _present_key(self) -> tuple[str | None, str]:
        """Return the key that is there, and if it is none, why not."""
        content = files.read_if_exists(self._path)
        if content is None:
            return None, "the file does not exist"
        try:
            return keys.parse(content), ""
        except ClusterkitError as error:
            return None, error.message

    def _compare(self, wanted: str, present: str | None, fingerprint: str) -> None:
        add = self._differences.add
        status = self._status
        add("state", "present", "present" if status else "absent")
        if wanted != present:
            invalid = "no valid key" if status else None
            add("fingerprint", fingerprint, keys.fingerprint(present) if present else invalid)
        add("mode", f"{self._mode:04o}", f"{stat.S_IMODE(status.st_mode):04o}" if status else None)
        if self._owner is not None:
            add("owner", self._number(files.user_id, self._owner), status.st_uid if status else None)
        if self._group is not None:
            add("group", self._number(files.group_id, self._group), status.st_gid if status else None)

    def _number(self, look_up: Any, name: str) -> Any:
        try:
            return look_up(name)
        except ClusterkitError:
            # In check mode an earlier task may be the one that would create it
            if not self._check_mode:
                raise
            return name

    def _result(self, **values: Any) -> dict[str, Any]:
        return {
            "changed": self._differences.changed,
            "diff": self._differences.diff(self._path),
            "path": self._path,
            **values,
        }


def _given(content: str) -> str:
    try:
        return keys.parse_given(content)
    except ClusterkitError as error:
        raise ClusterkitError(f"content is no key that csync2 would take: {error.message}") from None


def _mode(text: str) -> int:
    if not re.fullmatch(r"0[0-7]{3}", text):
        raise ClusterkitError(f"mode is {text!r}: expected an octal number in quotes, such as '0600'")
    mode = int(text, 8)
    if mode & 0o007:
        raise ClusterkitError(f"mode {text!r} lets every user at the key: expected '0600', or '0640' with a group")
    return mode


def run(module: AnsibleModule) -> dict[str, Any]:
    """Do what the state asks for. Raises ClusterkitError."""
    if module.params["content"] is not None and module.params["regenerate"] == "always":
        raise ClusterkitError("content and regenerate=always exclude each other: give the key, or have one made")
    file = KeyFile(module)
    return file.present() if module.params["state"] == "present" else file.absent()


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "content": {"type": "str", "no_log": True},
            "regenerate": {"type": "str", "choices": ["never", "invalid", "always"], "default": "never"},
            "owner": {"type": "str"},
            "group": {"type": "str"},
            "mode": {"type": "str", "default": "0600"},
        },
        supports_check_mode=True,
    )
    finish(module, run)


if __name__ == "__main__":
    main()
