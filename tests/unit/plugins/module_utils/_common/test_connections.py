# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which connections there are, as the kernel's tables have them; and those that this process makes."""

from __future__ import annotations

import socket
from pathlib import Path

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.command import Outcome, Runner
from ansible_collections.clusterkit.middleware.plugins.module_utils._common.connections import (
    addresses,
    connected,
    listening,
)

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
#: A member at 10.213.201.12:5701 with one connection to 10.213.201.11 and one from 10.213.201.13; as recorded.
TCP = (
    HEAD
    + "   0: 0CC9D50A:1645 00000000:0000 0A 00000000:00000000 00:00000000 00000000   999        0 1 1\n"
    + "   1: 0CC9D50A:DCD5 0BC9D50A:1645 01 00000000:00000000 00:00000000 00000000   999        0 2 1\n"
    + "   2: 0CC9D50A:1645 0DC9D50A:90DF 01 00000000:00000000 00:00000000 00000000   999        0 3 1\n"
    + "   3: 0CC9D50A:1646 0EC9D50A:90DF 01 00000000:00000000 00:00000000 00000000   999        0 4 1\n"
    + "   4: 0CC9D50A:1645 0FC9D50A:90DF 06 00000000:00000000 00:00000000 00000000   999        0 0 1\n"
)
#: The same by a socket of IPv6, which listens everywhere.
TCP6 = (
    HEAD
    + "   0: 00000000000000000000000000000000:1645 00000000000000000000000000000000:0000 0A 0:0 0:0 0 999 0 5 1\n"
    + "   1: 0000000000000000FFFF00000CC9D50A:1645 0000000000000000FFFF000010C9D50A:90DF 01 0:0 0:0 0 999 0 6 1\n"
)


def test_recorded_tables(tmp_path: Path) -> None:
    (tmp_path / "tcp").write_text(TCP)
    assert listening(5701, str(tmp_path)) == ["10.213.201.12"]
    assert connected(5701, str(tmp_path)) == ["10.213.201.11", "10.213.201.13"]
    (tmp_path / "tcp6").write_text(TCP6)
    assert listening(5701, str(tmp_path)) == ["0.0.0.0", "10.213.201.12"]  # noqa: S104  # read, not bound to
    assert connected(5701, str(tmp_path)) == ["10.213.201.11", "10.213.201.13", "10.213.201.16"]


def test_own_connection() -> None:
    with socket.create_server(("127.0.0.2", 0)) as listener:
        port = listener.getsockname()[1]
        assert listening(port) == ["127.0.0.2"] and connected(port) == []
        with socket.create_connection(("127.0.0.2", port), source_address=("127.0.0.3", 0)):
            assert connected(port) == ["127.0.0.2", "127.0.0.3"]
    assert listening(port) == []


def test_addresses_of_this_host() -> None:
    runner = Runner()
    said = (
        '[{"ifname":"lo","addr_info":[{"local":"127.0.0.1"}]},{},{"addr_info":[{"local":"10.0.0.2"},'
        '{"local":"10.0.0.1"}]}]'
    )
    runner.execute = lambda *_arguments, **_options: Outcome(0, said.encode())  # type: ignore[method-assign]
    assert addresses(runner) == ["10.0.0.1", "10.0.0.2"]
