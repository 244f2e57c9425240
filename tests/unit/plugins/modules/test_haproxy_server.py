# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that is to leave the traffic: what becomes of those that it still serves is the user's choice."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._haproxy.traffic import Traffic
from ansible_collections.clusterkit.middleware.plugins.modules import haproxy_server

WANTED: dict[str, Any] = {"name": "s1", "minimum_left": 1, "grace": 0.0, "limit": 0.0, "remaining": "fail"}


@pytest.fixture
def traffic(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> mock.Mock:
    """Return the traffic of a server whose two sessions do not end by themselves."""
    monkeypatch.setattr(haproxy_server, "LOCK", str(tmp_path / "lock"))
    made = mock.create_autospec(Traffic, instance=True)
    made.idle_within.return_value = False
    made.servers.return_value = [mock.Mock(sessions=2)]
    return made


def called(traffic: mock.Mock) -> list[str]:
    """Return what was asked of the traffic, in order, but for questions about its servers."""
    return [call[0] for call in traffic.method_calls if call[0] != "servers"]


def test_sessions_that_go_on_are_an_error(traffic: mock.Mock) -> None:
    """With their number and what can be done."""
    with pytest.raises(ClusterkitError, match=r"s1 still serves 2 sessions after 0 s: .* \(remaining: shutdown\)"):
        haproxy_server.drain(traffic, WANTED, due=True)
    assert called(traffic) == ["may_leave", "withdraw", "idle_within"]
    traffic.withdraw.assert_called_once_with("maint")


def test_sessions_that_go_on_can_be_kept_or_ended(traffic: mock.Mock) -> None:
    """Where that was asked for; what is out already is not asked whether it may leave."""
    haproxy_server.drain(traffic, {**WANTED, "remaining": "keep"}, due=False)
    assert called(traffic) == ["idle_within"]
    traffic.end_sessions.side_effect = lambda: setattr(traffic.idle_within, "return_value", True)
    haproxy_server.drain(traffic, {**WANTED, "remaining": "shutdown"}, due=False)
    assert called(traffic)[-2:] == ["end_sessions", "idle_within"]


def test_grace_lets_sessions_go_on_first(traffic: mock.Mock) -> None:
    """New ones go elsewhere at once, bound ones later."""
    traffic.idle_within.return_value = True
    haproxy_server.drain(traffic, {**WANTED, "grace": 5.0}, due=True)
    assert [call.args for call in traffic.withdraw.call_args_list] == [("drain",), ("maint",)]
    assert traffic.idle_within.call_args_list[0].args == (5.0,)


def test_the_last_one_does_not_leave(traffic: mock.Mock) -> None:
    """Nothing is changed then."""
    traffic.may_leave.side_effect = ClusterkitError("s1 cannot be taken out")
    with pytest.raises(ClusterkitError, match="cannot be taken out"):
        haproxy_server.drain(traffic, WANTED, due=True)
    traffic.withdraw.assert_not_called()
