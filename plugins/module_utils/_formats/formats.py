# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which formats there are, and which one a file is of."""

from __future__ import annotations

import posixpath

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._formats.axis2 import Axis2
from ansible_collections.clusterkit.middleware.plugins.module_utils._formats.deployment_toml import DeploymentToml
from ansible_collections.clusterkit.middleware.plugins.module_utils._formats.format import Format
from ansible_collections.clusterkit.middleware.plugins.module_utils._formats.hazelcast_xml import HazelcastXml
from ansible_collections.clusterkit.middleware.plugins.module_utils._formats.hazelcast_yaml import HazelcastYaml
from ansible_collections.clusterkit.middleware.plugins.module_utils._formats.sync_service import SyncService

FORMATS: dict[str, type[Format]] = {
    one.name: one for one in (Axis2, DeploymentToml, HazelcastXml, HazelcastYaml, SyncService)
}


def of_file(path: str) -> type[Format]:
    """Return the format of a file by its name. Raises ClusterkitError where that does not tell."""
    name = posixpath.basename(path)
    for one in FORMATS.values():
        if name in one.file_names:
            return one
    known = ", ".join(name for one in FORMATS.values() for name in one.file_names)
    raise ClusterkitError(f"format is not given, and {name} does not tell it (known are {known}): give format")
