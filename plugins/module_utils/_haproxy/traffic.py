# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking a server out of a balancer's traffic and giving it back, so that no request is lost."""

from __future__ import annotations

import time
from typing import Any, Callable, Mapping, Sequence

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._haproxy import health, runtime, services
from ansible_collections.clusterkit.middleware.plugins.module_utils._haproxy.runtime import Runtime, Server

_LOOK_SECONDS = 0.2


class Traffic:
    """One server of a balancer, in some of its services or in all."""

    def __init__(
        self,
        balancer: Runtime,
        name: str,
        chosen: Sequence[str] = (),
        keep: Callable[[], None] = lambda: None,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        """`keep` is called after each change, to write down what HAProxy would forget; `wait` sleeps."""
        self._balancer = balancer
        self._name = name
        self._chosen = tuple(chosen)
        self._keep = keep
        self._wait = wait

    def servers(self) -> list[Server]:
        """Return it as each service has it. Raises ClusterkitError when none has."""
        return runtime.named(self._balancer.servers(), self._name, self._chosen)

    def may_leave(self, minimum: int) -> None:
        """Raise ClusterkitError when fewer than `minimum` others would serve one of its services."""
        problems = runtime.last_ones(self._balancer.servers(), self._name, minimum, self._chosen)
        if problems:
            raise ClusterkitError(" ".join(problems))

    def withdraw(self, state: str) -> None:
        """Give it no more requests: none that is new ('drain'), or none at all ('maint')."""
        for one in self.servers():
            if not one.status.startswith("MAINT"):
                self._balancer.set_state(one, state)
        self._keep()

    def give_back(self) -> None:
        """Give it requests again."""
        for one in self.servers():
            if one.withdrawn:
                self._balancer.set_state(one, "ready")
        self._keep()

    def idle_within(self, limit: float) -> bool:
        """Wait until it serves nobody, at most `limit` seconds; tell whether it does not."""
        return self._until(lambda: sum(one.sessions for one in self.servers()) == 0, limit)

    def end_sessions(self) -> None:
        """End what it still serves."""
        for one in self.servers():
            if one.sessions:
                self._balancer.end_sessions(one)

    def well_within(self, catalogue: Sequence[Mapping[str, Any]], limit: float) -> None:
        """Wait until it answers its health checks from here. Raises ClusterkitError with what it answers instead."""
        ailments: list[str] = []

        def well() -> bool:
            ailments[:] = [said for said in map(ask, self.servers()) if said]
            return not ailments

        def ask(server: Server) -> str:
            service = services.find(catalogue, server.backend)
            return health.ailment(service, services.find(service["members"], server.name))

        if not self._until(well, limit):
            told = "; ".join(sorted(set(ailments)))
            raise ClusterkitError(f"{self._name} is not well after {limit:g} s and stays out of traffic: {told}")

    def serves_within(self, limit: float) -> None:
        """Wait until the balancer itself has found it well. Raises ClusterkitError with what it found instead."""
        if not self._until(lambda: all(one.serves and one.checked for one in self.servers()), limit):
            states = "; ".join(f"{one.backend}: {one.status}, check {one.check}" for one in self.servers())
            raise ClusterkitError(f"the balancer does not find {self._name} well after {limit:g} s: {states}")

    def _until(self, question: Callable[[], bool], limit: float) -> bool:
        end = time.monotonic() + limit
        while not question():
            if time.monotonic() >= end:
                return False
            self._wait(_LOOK_SECONDS)
        return True
