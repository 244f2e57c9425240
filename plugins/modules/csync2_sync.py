#!/usr/bin/python
# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: csync2_sync
short_description: Synchronises a csync2 member with its peers
version_added: 0.1.0
author:
  - clusterkit contributors (@clusterkit)
description:
  - Sends what has changed on this member to its peers, and tells what was sent, what was not, and why.
  - Every run of csync2 holds one lock and has a time limit, since csync2 itself waits for ever for a peer that hangs.
attributes:
  check_mode:
    support: partial
    description: Asks the peers which files differ.
    details:
      - What has changed since csync2 last looked at the files is not seen.
      - Where a peer does not answer nothing can be predicted, and a warning says so.
  diff_mode:
    support: full
    description: Lists the files that differ or were sent.
  idempotent:
    support: full
    description: A second run sends nothing.
options:
  name:
    description: The member's name in the configuration.
    type: str
    required: true
  state:
    description:
      - V(recorded) notes the files that are there, where csync2 never did. It has to be done on all members before the
        first comparison and exchange, or a conflict is not seen and a file is overwritten.
      - V(compared) compares the files with peers with which that was never done, so that both get what they lack, and
        forgets former peers. It has to be done on a new member first, then on those that have been compared before.
      - V(synchronised) sends what has changed.
      - V(probed) writes a file into a directory that is there for nothing else, and sends that file alone. Whether it
        has arrived is asked of the peers with M(clusterkit.middleware.csync2_info). It counts as no change.
    type: str
    choices: [recorded, compared, synchronised, probed]
    default: synchronised
  anew:
    description:
      - Names of members that have never noted their files, or lost what they had noted, as after a reinstallation.
      - With O(state=recorded), that this member has been compared with them before is forgotten.
    type: list
    elements: str
    default: []
  winner:
    description: Whether this member's version of a file that was changed on both sides replaces the peers'.
    type: bool
    default: false
  binary:
    description: Path of the binary, or its name where it is on the search path.
    type: str
    default: csync2
  config_path:
    description: Path of the configuration file, from which the peers are taken.
    type: path
    default: /etc/csync2.cfg
  show_content:
    description:
      - Whether the difference that check mode shows with C(--diff) is that of the files' content.
      - Off by default, since files may hold secrets.
    type: bool
    default: false
  config:
    description:
      - Text of the configuration as a run would have written it before. Check mode takes the peers from it.
    type: str
    default: ""
  limit:
    description: Seconds that each run of csync2 may take.
    type: float
    default: 300.0
"""

EXAMPLES = r"""
- name: Send what has changed here
  clusterkit.middleware.csync2_sync:
    name: idp1.example.org
"""

RETURN = r"""
recorded:
  description: Whether the files were noted for the first time.
  type: bool
  returned: when O(state=recorded)
  sample: false
met:
  description: Peers with which the files had been compared before. There is none yet on a new member.
  type: list
  elements: str
  returned: when O(state=recorded)
  sample: []
newcomers:
  description: Peers with which the files were compared for the first time.
  type: list
  elements: str
  returned: when O(state=compared)
  sample: [idp3.example.org]
forgotten:
  description: Former peers for which the database held something, which was deleted.
  type: list
  elements: str
  returned: when O(state=compared)
  sample: []
probe:
  description: What was written into the file that was sent.
  type: str
  returned: when O(state=probed)
  sample: "1795248000123456789"
error:
  description: Why nothing could be sent, empty where it could.
  type: str
  returned: when O(state=probed)
  sample: ""
sent:
  description: Files that were sent, or, in check mode, that differ.
  type: list
  elements: dict
  returned: when O(state=synchronised)
  sample: [{"peer": "n2", "file": "/srv/web/index.html"}]
left:
  description:
    - Files that were not sent, with the reason.
    - The module fails for them, unless the peer's version wins by C(auto), or this member is a slave of the group.
  type: list
  elements: dict
  returned: when O(state=synchronised)
  sample: []
"""

import pathlib
import time
from typing import Any, Collection

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.differences import DifferenceTracker
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.files import (
    read_if_exists,
    remove,
    write_atomically,
)
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.module import finish
from ansible_collections.clusterkit.middleware.plugins.module_utils._csync2.config import PROBE_DIRECTORY, parse
from ansible_collections.clusterkit.middleware.plugins.module_utils._csync2.sync import Csync2, Exchange, summary


def record(module: AnsibleModule, csync2: Csync2) -> dict[str, Any]:
    """Note the present files, once. Raises ClusterkitError."""
    new = not csync2.recorded()
    anew = (peers_of(module, module.params["anew"]) or []) if module.params["anew"] and not new else []
    met = [peer for peer in csync2.met() if peer not in anew]
    if not module.check_mode:
        csync2.record_if_new()
        csync2.forget_meeting(anew)
    differences = DifferenceTracker()
    differences.add("files", "recorded", "not recorded" if new else "recorded")
    return {"changed": new, "diff": differences.diff(), "recorded": new, "met": met}


def compare(module: AnsibleModule, csync2: Csync2) -> dict[str, Any]:
    """Compare the files with peers that are new to this member; forget former ones. Raises ClusterkitError."""
    peers = peers_of(module)
    newcomers, strangers = (csync2.newcomers(peers), csync2.strangers(peers)) if peers is not None else ([], [])
    if peers is not None and not module.check_mode:
        for peer in newcomers:
            csync2.introduce(peer)
        if strangers:
            csync2.forget_strangers(strangers)
        csync2.note_peers(peers)
    differences = DifferenceTracker()
    for peer in newcomers:
        differences.add(f"peer {peer}", "compared", "never compared")
    for peer in strangers:
        differences.add(f"peer {peer}", "forgotten", "no peer any more")
    return {
        "changed": differences.changed,
        "diff": differences.diff(),
        "newcomers": newcomers,
        "forgotten": strangers,
    }


def peers_of(module: AnsibleModule, names: Collection[str] | None = None) -> list[str] | None:
    """Return the peers that the configuration gives to the member, all or those of some names; None where unknown yet.

    Raises ClusterkitError.
    """
    path = module.params["config_path"]
    content = read_if_exists(path)
    if module.check_mode and module.params["config"]:
        content = module.params["config"].encode("utf-8", "surrogateescape")
    if content is None:
        if module.check_mode:
            return None  # a run would have written it before
        raise ClusterkitError(f"no configuration at {path}: write it before anything is synchronised")
    return parse(content.decode("utf-8", "surrogateescape")).peers_of(module.params["name"], names)


def probe(module: AnsibleModule, csync2: Csync2) -> dict[str, Any]:
    """Send a file of nobody's, to show that files travel; tell why it could not be sent."""
    if module.check_mode:
        return {"changed": False, "probe": "", "error": "", "sent": [], "left": []}
    try:
        return {"changed": False, "error": "", **send_probe(module, csync2)}
    except ClusterkitError as error:
        # An answer, too: a verification has more to tell than that
        return {"changed": False, "probe": "", "error": str(error), "sent": [], "left": []}


def send_probe(module: AnsibleModule, csync2: Csync2) -> dict[str, Any]:
    """Write this member's file and send it. Raises ClusterkitError."""
    name = module.params["name"].lower()
    directory = pathlib.Path(PROBE_DIRECTORY)
    directory.mkdir(mode=0o755, parents=True, exist_ok=True)
    members = {name, *(peers_of(module) or [])}
    for path in directory.iterdir():
        # Of one that left. What begins with a dot is being written at this moment
        if path.name not in members and not path.name.startswith("."):
            remove(str(path))
    content = str(time.time_ns())
    write_atomically(str(directory / name), content.encode(), mode=0o644, durable=False)
    # Nobody else writes this file: whatever a peer has there is an older one
    result = csync2.exchange(winner=True, paths=[PROBE_DIRECTORY], below=PROBE_DIRECTORY)
    return {"probe": content, **summary(result)}


def predict(module: AnsibleModule, csync2: Csync2) -> dict[str, Any]:
    """Tell what a run would send. Raises ClusterkitError."""
    database = csync2.database()
    if not (database and database.files):
        after = "the first exchange of all files\n"
        return {"changed": True, "sent": [], "left": [], "diff": {"before": "", "after": after}}
    try:
        # A file that only the peer has is sent by the peer, so it is no change of this member's run
        rows = [{"peer": one.peer, "file": one.file} for one in csync2.differences() if one.side != "peer only"]
        diff = listing(rows)
        if rows and module.params["show_content"] and module._diff:
            diff = {"prepared": csync2.contents_that_differ()}
    except ClusterkitError as error:
        module.warn(f"Not predictable: {error}")
        rows, diff = [], listing([])
    return {"changed": bool(rows), "sent": rows, "left": [], "diff": diff}


def synchronise(module: AnsibleModule, csync2: Csync2) -> dict[str, Any]:
    """Send what has changed. Raises ClusterkitError for files that stay unsent."""
    # A verification's file of another member, met while it arrived, looks as if it had been changed here: its owner
    # sends it anew, and it is no file of the user's
    result = csync2.exchange(winner=module.params["winner"]).outside(PROBE_DIRECTORY)
    told = summary(result)
    if result.conflicts() or result.failures():
        raise ClusterkitError(complaint(module.params["name"], result), told)
    return {"changed": bool(result.sent), "diff": listing(told["sent"]), **told}


def complaint(name: str, result: Exchange) -> str:
    """Say in one sentence what was not sent and what would help."""
    wrong = {*result.conflicts(), *result.failures()}
    left = [(one, reason) for one, reason in result.left if one in wrong]
    rows = [f"{one.file} to {one.peer} ({reason})" for one, reason in left[:5]]
    more = f", and {len(left) - 5} more" if len(left) > 5 else ""
    text = f"{name} could not send {', '.join(rows)}{more}."
    if result.conflicts():
        text += " Compare the versions and declare the member whose version is right as the winner."
    return text


def listing(rows: list[dict[str, str]]) -> dict[str, str]:
    """Return the difference as a list of files."""
    return {"before": "", "after": "".join(f"{row['file']} to {row['peer']}\n" for row in rows)}


def run(module: AnsibleModule) -> dict[str, Any]:
    """Do what the state asks for. Raises ClusterkitError."""
    probed = module.params["state"] == "probed"
    binary = module.get_bin_path(module.params["binary"], required=not probed)
    if not binary:
        return {"changed": False, "probe": "", "error": "csync2 is not installed", "sent": [], "left": []}
    csync2 = Csync2(module.params["name"], Runner(), binary, limit=module.params["limit"])
    if module.params["state"] == "recorded":
        return record(module, csync2)
    if probed:
        return probe(module, csync2)
    if module.params["state"] == "compared":
        return compare(module, csync2)
    return predict(module, csync2) if module.check_mode else synchronise(module, csync2)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "binary": {"type": "str", "default": "csync2"},
            "state": {
                "type": "str",
                "choices": ["recorded", "compared", "synchronised", "probed"],
                "default": "synchronised",
            },
            "anew": {"type": "list", "elements": "str", "default": []},
            "winner": {"type": "bool", "default": False},
            "config": {"type": "str", "default": ""},
            "show_content": {"type": "bool", "default": False},
            "limit": {"type": "float", "default": 300.0},
            "config_path": {"type": "path", "default": "/etc/csync2.cfg"},
        },
        supports_check_mode=True,
    )
    finish(module, run)


if __name__ == "__main__":
    main()
