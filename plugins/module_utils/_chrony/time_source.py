# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What chrony is told, what it says, and the judgement over hosts that are to have one time."""

from __future__ import annotations

import csv
import re
from typing import Any, Mapping, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common import peers
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.members import unasked
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.verification import Verification

Found = Mapping[str, Mapping[str, Any]]
Members = Sequence[Mapping[str, str]]

_MARK = "# Written by the role chrony of clusterkit.middleware: changes by hand are replaced."
#: Directives by which somebody has chosen where time comes from or who gets it; sources that distributions ship.
_CHOSEN = re.compile(r"^[ \t]*(?:server|pool|peer|refclock|allow|local)\b[^\n]*", re.M)
_SHIPPED = re.compile(
    r"\.(?:debian|ubuntu|rhel|centos|fedora|rocky|almalinux|opensuse)\.pool\.ntp\.org|ntp\.ubuntu\.com"
)
_SOURCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:-]*")
_OPTION = re.compile(r"[A-Za-z0-9.:/ _-]*")


def mistakes(
    servers: Sequence[str], pools: Sequence[str], *, local_peers: bool, source_options: str, members: Members
) -> list[str]:
    """Return what cannot be right, whatever the hosts are like: sentences, none when all is well."""
    out = []
    if not servers and not pools:
        out.append(
            "chrony_time_servers and chrony_time_pools are empty - give one at least, such as your site's server."
        )
    for name, sources in (("chrony_time_servers", servers), ("chrony_time_pools", pools)):
        bad = [repr(one) for one in sources if not _SOURCE.fullmatch(str(one))]
        if bad:
            out.append(
                f"{name} has {', '.join(bad)} - give names or addresses; options belong to chrony_source_options."
            )
    if not _OPTION.fullmatch(source_options):
        out.append(f"chrony_source_options is {source_options!r} - give words such as 'iburst nts'.")
    own = {member["address"]: member["host"] for member in members} if local_peers else {}
    own.update({member["name"]: member["host"] for member in members})
    for one in (*servers, *pools):
        if str(one) in own:
            out.append(
                f"{one} is {own[str(one)]}, a member itself - give servers outside of the members; for members that "
                "hold together there is chrony_local_peers."
            )
    return out


def render(
    servers: Sequence[str],
    pools: Sequence[str],
    *,
    others: Sequence[str],
    source_options: str,
    allow: Sequence[str],
    lines: Sequence[str],
    drift_file: str,
) -> str:
    """Return chrony.conf; `others` are the addresses of the other members where they are to hold together."""
    options = f" {source_options}" if source_options else ""
    out = [_MARK, *(f"server {one}{options}" for one in servers), *(f"pool {one}{options}" for one in pools)]
    if others:
        # Where no server is left, members agree on the time of one of them (chrony.conf(5), "orphan")
        out += [*(f"peer {one}" for one in others), *(f"allow {one}" for one in others), "local stratum 10 orphan"]
    out += [f"allow {one}" for one in allow]
    out += [
        f"driftfile {drift_file}",
        # A clock that is wrong at the start is set, in the first three updates; later it is only slewed
        "makestep 1 3",
        "maxupdateskew 100",
        "rtcsync",
        "leapsectz right/UTC",
        *lines,
    ]
    return "\n".join(out) + "\n"


def chosen_by_others(text: str) -> list[str]:
    """Return the lines of a configuration by which somebody other than the role or a distribution chose sources."""
    if text.startswith(_MARK):
        return []
    lines = [found.group().strip() for found in _CHOSEN.finditer(text)]
    return [line for line in lines if not _SHIPPED.search(line)]


def parse_tracking(text: str) -> dict[str, Any]:
    """Return what `chronyc -c tracking` says."""
    rows = list(csv.reader(text.strip().splitlines()))
    if not rows or len(rows[0]) < 14:
        return {}
    row = rows[0]
    return {
        "source": row[1] or row[0],
        "stratum": int(row[2]),
        "offset": float(row[4]),
        "synchronised": row[13] == "Normal",
    }


def parse_sources(text: str) -> list[dict[str, Any]]:
    """Return what `chronyc -c sources` says of each source."""
    rows = [row for row in csv.reader(text.strip().splitlines()) if len(row) >= 6]
    return [
        {"name": row[2], "selected": row[1] == "*", "usable": row[1] in "*+", "reached": int(row[5], 8) != 0}
        for row in rows
    ]


def problems(found: Found, members: Members, *, steer: bool, replace: bool) -> list[str]:
    """Return, before anything is changed, why chrony cannot keep the time of these hosts; empty when it can."""
    out = []
    for member in members:
        host = member["host"]
        info = found.get(host)
        if not info:
            out.append(unasked(host))
            continue
        if steer and not info["may_set_time"]:
            out.append(
                f"On {host} nobody may set the clock (no CAP_SYS_TIME, as in containers): let the machine below "
                "keep the time, and say chrony_steer: false."
            )
        if not steer and info["may_set_time"]:
            out.append(
                f"{host} may set its own clock: with chrony_steer: false nobody would keep it. That is for containers."
            )
        if info["foreign"] and not replace:
            out.append(
                f"On {host} {info['config_path']} has {', '.join(map(repr, info['foreign']))}, which this role did not "
                "write and would replace: bring it into chrony_time_servers and the like, and say chrony_replace: true."
            )
    return out


def verification(found: Found, clocks: Found, members: Members, *, cluster: str, most: float) -> dict[str, Any]:
    """Return whether chrony runs and follows a source on every member, and whether their clocks show one time.

    The second is not chrony's own word: `clocks` is what each member answered when it was asked for its time.
    """
    out = Verification("chrony", cluster, [member["name"] for member in members])
    for member in members:
        info, name = found.get(member["host"]), member["name"]
        if not info or member["host"] not in clocks:
            out.silent(name)
            continue
        out.check("runs", not info["error"], info["error"] or f"chrony {info['version']} answers on {name}", name)
        if info["error"]:
            continue
        out.seen(name)
        tracking = info["tracking"]
        follows = bool(tracking.get("synchronised"))
        reached = [one["name"] for one in info["sources"] if one["reached"]]
        told = (
            f"follows {tracking['source']}, stratum {tracking['stratum']}"
            if follows
            else (
                f"follows no source; it reaches {', '.join(reached) or 'none'} of "
                f"{', '.join(one['name'] for one in info['sources']) or 'none'}"
            )
        )
        out.check("follows a source", follows, f"{name} {told}", name)
    asked = {host: info for host, info in clocks.items() if "clock_ahead" in info}
    differences = peers.clocks(asked, most=most)
    within = max((float(info["clock_within"]) for info in asked.values()), default=0.0)
    told = (
        f"the clocks of {len(asked)} members differ by no more than {most:g} s for certain, asked within {within:.2f} s"
    )
    out.check("one time", not differences and bool(asked), " ".join(differences) or told)
    return out.result()
