# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What servers keep of passwords, against vectors that others published."""

from __future__ import annotations

import pytest

from ansible_collections.clusterkit.middleware.plugins.module_utils._database import passwords

#: RFC 7677's user with the password "pencil", as PostgreSQL keeps it.
PENCIL = (
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
    "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
)


def test_what_mariadb_keeps() -> None:
    # The manual's own example of PASSWORD()
    assert passwords.native("password") == "*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19"


def test_what_postgresql_keeps() -> None:
    assert passwords.is_scram_of(PENCIL, "pencil")
    assert not passwords.is_scram_of(PENCIL, "pencils")
    for other in ("", "md5a3556571e93b0d20722ba62be61e8c2d", PENCIL[:-4], "NULL"):
        assert not passwords.is_scram_of(other, "pencil")


@pytest.mark.parametrize(
    "password", ["Canary #!0^(' \"$%\\`;& Grüße", "ﬁ", "\u00a0", "\u0627\u0031", "\u0627", "a\x07b"]
)
def test_a_verifier_is_of_its_password(password: str) -> None:
    one, two = passwords.scram(password), passwords.scram(password)
    assert one != two  # salted
    assert passwords.is_scram_of(one, password) and passwords.is_scram_of(two, password)


def test_letters_that_look_alike_are_alike() -> None:
    """SASLprep: drivers send the normal form, so the verifier has to be of that."""
    assert passwords.is_scram_of(passwords.scram("ﬁsh\u00ades"), "fishes")
