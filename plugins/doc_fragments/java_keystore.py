# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What modules are told of a keystore that a server shall have."""

from __future__ import annotations


class ModuleDocFragment:
    """Fragment `clusterkit.middleware.java_keystore`."""

    DOCUMENTATION = r"""
options:
  path:
    description: The keystore's file.
    type: path
    required: true
  content_base64:
    description: The keystore that is wanted, as base64, in any format that the host's Java reads.
    type: str
    required: true
  alias:
    description: Alias of the key that the server uses.
    type: str
    required: true
  password:
    description: Password of the keystore.
    type: str
    required: true
  key_password:
    description: Password of the key. Without it that of the keystore.
    type: str
    default: ""
  opens_present:
    description:
      - Whether the password has to open the keystore that is there, too. So it is where the server goes on using the
        password that it knows.
    type: bool
    default: false
  java_home:
    description: Directory of the Java. Without it that of the C(keytool) on the search path.
    type: path
"""
