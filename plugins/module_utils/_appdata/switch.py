# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes a program use the new location: a property in its configuration, or links in the old places."""

from __future__ import annotations

import os
from typing import Mapping, Protocol, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._appdata.tree import (
    Entry,
    exchange,
)
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.files import (
    read_if_exists,
    sync_directory,
    write_atomically,
)
from ansible_collections.clusterkit.middleware.plugins.module_utils._java.properties import PropertiesFile

#: Ends the name under which an original is kept beside its place, where that is taken by a link or to be cleared.
ASIDE = ".clusterkit-original"
NEITHER, PARTLY, ON = "off", "partly", "on"


class Switch(Protocol):
    """Tells which location is in use, and changes it."""

    #: Whether the old paths go on to exist, as links.
    links_stay: bool

    def state(self) -> str:
        """Return whether the new location is in use: 'off', 'partly' or 'on'."""

    def before(self) -> str | None:
        """Return what has to be known to switch back, None for nothing."""

    def on(self) -> None:
        """Use the new location. Done again after an interruption it goes on."""

    def off(self, before: str | None) -> None:
        """Use the old location."""

    def told(self) -> dict[str, str] | None:
        """Return the property that it is, None for links."""


class PropertySwitch:
    """A key in a Java properties file: one write, so there is no moment in between."""

    links_stay = False

    def __init__(self, path: str, key: str, value: str) -> None:
        self._path = path
        self._key = key
        self._value = value

    def state(self) -> str:
        """Return whether the key has the new value. Raises ClusterkitError."""
        return ON if self.before() == self._value else NEITHER

    def before(self) -> str | None:
        """Return the key's value, None where it does not stand there. Raises ClusterkitError."""
        return self._file().values.get(self._key)

    def on(self) -> None:
        """Write the new value. Raises ClusterkitError."""
        write_atomically(self._path, self._file().with_values({self._key: self._value}).content)

    def off(self, before: str | None) -> None:
        """Write the former value, or take the key out again. Raises ClusterkitError."""
        present = self._file()
        new = present.without([self._key]) if before is None else present.with_values({self._key: before})
        write_atomically(self._path, new.content)

    def told(self) -> dict[str, str]:
        """Return where the property is."""
        return {"path": self._path, "key": self._key}

    def _file(self) -> PropertiesFile:
        content = read_if_exists(self._path)
        if content is None:
            raise ClusterkitError(f"no file {self._path}: expected the properties file that says where the data are")
        try:
            return PropertiesFile(content)
        except ClusterkitError as error:
            raise ClusterkitError(f"{self._path}: {error}") from None


class LinkSwitch:
    """Symbolic links in the place of the originals, which are kept beside them under another name."""

    links_stay = True

    def __init__(self, entries: Sequence[Entry], target: str) -> None:
        self._links = {one.source: os.path.join(target, one.name) for one in entries if not one.keep}

    def state(self) -> str:
        """Return how many of the places are links to the new location: none, some, or all that have something there."""
        places = {place: new for place, new in self._links.items() if os.path.lexists(place) or os.path.lexists(new)}
        on = [place for place, new in places.items() if _leads(place) == new]
        return ON if places and len(on) == len(places) else PARTLY if on else NEITHER

    def before(self) -> None:
        """Return nothing: the originals themselves are kept."""

    def told(self) -> None:
        """Return nothing: it is links."""

    def on(self) -> None:
        """Let a link and its original change places, one after the other. Raises OSError."""
        for place, new in self._links.items():
            if _leads(place) == new or not os.path.lexists(new):
                continue
            aside = place + ASIDE
            if not os.path.lexists(place):
                # It never was here, or a file system without exchange was interrupted between its two steps
                os.symlink(new, place)
            else:
                if _leads(aside) == new:
                    os.unlink(aside)
                os.symlink(new, aside)
                if not exchange(aside, place):
                    os.unlink(aside)
                    os.rename(place, aside)
                    os.symlink(new, place)
            sync_directory(os.path.dirname(place))

    def off(self, before: str | None) -> None:
        """Put the originals back in their places. Raises OSError."""
        del before  # the originals are what was before
        for place, new in self._links.items():
            aside = place + ASIDE
            if _leads(aside) == new:
                os.unlink(aside)  # left by a switch that was interrupted
            if _leads(place) == new:
                if os.path.lexists(aside) and exchange(aside, place):
                    os.unlink(aside)
                else:
                    os.unlink(place)
            if not os.path.lexists(place) and os.path.lexists(aside):
                os.rename(aside, place)
            sync_directory(os.path.dirname(place))


def switch_of(entries: Sequence[Entry], target: str, prop: Mapping[str, str] | None) -> Switch:
    """Return what makes a program use the target: the property, or links in the places of the entries."""
    return PropertySwitch(prop["path"], prop["key"], target) if prop else LinkSwitch(entries, target)


def original(entry: Entry) -> str | None:
    """Return where the original of an entry lies now, None where it is nowhere: originals are no links themselves."""
    for place in (entry.source, entry.source + ASIDE):
        if os.path.lexists(place) and not os.path.islink(place):
            return place
    return None


def _leads(path: str) -> str | None:
    return os.readlink(path) if os.path.islink(path) else None
