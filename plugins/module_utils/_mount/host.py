# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bringing the shares of a host to what is wanted: mount points, entries, mounts. A plan changes nothing."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Callable, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common import files, mounts
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.differences import DifferenceTracker
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.service import Systemd
from ansible_collections.clusterkit.middleware.plugins.module_utils._mount import below, entry, guard
from ansible_collections.clusterkit.middleware.plugins.module_utils._mount.settings import EXISTING, FSTAB, UNIT, Share


@dataclass
class Plan:
    """What differs, and what brings it about, in its order. `due` names shares that have to be mounted anew."""

    differences: DifferenceTracker = field(default_factory=DifferenceTracker)
    steps: list[Callable[[], None]] = field(default_factory=list)
    due: list[str] = field(default_factory=list)

    def add(self, name: str, wanted: object, present: object, step: Callable[[], None]) -> bool:
        """Note a difference where there is one, and the step that removes it."""
        differs = self.differences.add(name, wanted, present)
        if differs:
            self.steps.append(step)
        return differs


class Host:
    """The mounts of this host. `present` are wanted, `absent` shall be gone."""

    def __init__(self, present: Sequence[Share], absent: Sequence[Share], systemd: Systemd) -> None:
        self._present = present
        self._absent = absent
        self._systemd = systemd

    def plan(self) -> Plan:
        """Compare with what is there. Raises ClusterkitError for what cannot be brought about."""
        plan = Plan()
        table = mounts.table()
        for share in self._absent:
            if guard.mounted_at(share.path, table) and share.entry != EXISTING:
                plan.add(f"mount {share.path}", "absent", "mounted", self._unmounting(share.path))
        for share in self._present:
            self._plan_point(plan, share, table)
        self._plan_entries(plan, table)
        for share in self._absent:
            seen = below.look(share.path, table)
            if seen.immutable:
                plan.add(f"immutable {share.path}", False, True, self._closing(share.path, False))
        for share in self._present:
            mounted = guard.mounted_at(share.path, table)
            if mounted:
                continue
            if share.entry == EXISTING:
                raise ClusterkitError(
                    f"nothing is mounted at {share.path}, and share {share.name} has entry: existing. Mount it, or "
                    "give its source and fstype"
                )
            plan.add(f"mount {share.path}", share.source, None, self._mounting(share.path))
        return plan

    def _plan_point(self, plan: Plan, share: Share, table: Sequence[mounts.Mounted]) -> None:
        seen = below.look(share.path, table)
        mounted = guard.mounted_at(share.path, table)
        if seen.names and not mounted and not share.cover:
            raise ClusterkitError(hidden(share.path, seen.names))
        if not seen.exists:
            plan.add(f"directory {share.path}", "present", "absent", self._making(share.path))
        if share.immutable and not seen.immutable and not seen.unknown and share.entry != EXISTING:
            plan.add(f"immutable {share.path}", True, False, self._closing(share.path, True))

    def _plan_entries(self, plan: Plan, table: Sequence[mounts.Mounted]) -> None:
        text = (files.read_if_exists(entry.TABLE) or b"").decode("utf-8", "surrogateescape")
        wanted = text
        units: list[tuple[Share, str | None]] = []
        for share in self._absent:
            if share.entry != EXISTING:
                wanted = entry.without_line(wanted, share.path)
                units.append((share, None))
        for share in self._present:
            if share.entry == FSTAB:
                wanted = entry.with_line(wanted, share)
                units.append((share, None))
            elif share.entry == UNIT:
                wanted = entry.without_line(wanted, share.path)
                units.append((share, entry.unit(share)))
        changed = plan.add(entry.TABLE, _mine(wanted, text), _mine(text, wanted), lambda: _write(entry.TABLE, wanted))
        for share, content in units:
            path = entry.unit_path(share.path)
            found = files.read_if_exists(path)
            before = None if found is None else found.decode("utf-8", "replace")
            if plan.add(path, content, before, self._unit_writing(path, content)):
                changed = True
        names = [mounts.unit_name(share.path) for share in self._present if share.entry != EXISTING]
        states = self._systemd.states(names)
        outdated = [name for name, state in states.items() if state.outdated]
        if changed or outdated:
            plan.add("systemd", "daemon-reload", "knows older units", self._reloading)
        for share in self._present:
            name = mounts.unit_name(share.path)
            if share.entry == UNIT and not (states[name].enabled and files.read_if_exists(entry.unit_path(share.path))):
                plan.add(f"enabled {name}", True, False, self._enabling(name))
        if changed:
            before_lines = {share.path: entry.lines_of(text, share.path) for share in self._present}
            plan.due += [
                share.name
                for share in self._present
                if share.entry == FSTAB
                and guard.mounted_at(share.path, table)
                and before_lines[share.path] not in ([], [entry.line(share)])
            ]

    # --- the steps, each a function without arguments -----------------------------------------------------------------

    def _reloading(self) -> None:
        self._systemd.call("daemon-reload")

    def _enabling(self, name: str) -> Callable[[], None]:
        return lambda: self._systemd.call("enable", name)

    def _mounting(self, path: str) -> Callable[[], None]:
        def step() -> None:
            # Also after a run that was killed before it told systemd of the entry
            self._systemd.call("daemon-reload")
            self._systemd.run_up("start", mounts.unit_name(path))

        return step

    def _unmounting(self, path: str) -> Callable[[], None]:
        return lambda: self._systemd.call("stop", mounts.unit_name(path))

    @staticmethod
    def _making(path: str) -> Callable[[], None]:
        return lambda: os.makedirs(path, mode=0o755, exist_ok=True)

    @staticmethod
    def _closing(path: str, wanted: bool) -> Callable[[], None]:
        return lambda: below.set_immutable(path, mounts.table(), wanted)

    def _unit_writing(self, path: str, content: str | None) -> Callable[[], None]:
        def step() -> None:
            if content is not None:
                _write(path, content)
                return
            self._systemd.call("disable", os.path.basename(path))
            files.remove(path)

        return step


def hidden(path: str, names: Sequence[str]) -> str:
    """Say what a mount would hide."""
    shown = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
    return (
        f"{path} holds {shown}, which a mount would hide: move that to the share or away, or say cover: true for the "
        "share"
    )


def _write(path: str, content: str) -> None:
    files.write_atomically(path, content.encode("utf-8", "surrogateescape"), mode=0o644, owner=0, group=0)


def _mine(text: str, other: str) -> list[str]:
    """Return the lines of a table that the other one has not."""
    theirs = set(other.splitlines())
    return [one for one in text.splitlines() if one not in theirs]
