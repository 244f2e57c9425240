# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""WSO2 Carbon: which kernel an installation has, and what that one's clustering agent reads.

The kernels' names were established by running their own agents; wrong ones are ignored without a word.
"""

from __future__ import annotations

import re
from typing import Iterable

from ansible_collections.clusterkit.middleware.plugins.module_utils._common.errors import ClusterkitError
from ansible_collections.clusterkit.middleware.plugins.module_utils._formats.format import Surroundings
from ansible_collections.clusterkit.middleware.plugins.module_utils._hazelcast.membership import Membership

_AGENT = "org.wso2.carbon.core.clustering.hazelcast.HazelcastClusteringAgent"
#: From this kernel on the agent is in a package of its own.
_LATER_AGENT = (4, 9, 21), "org.wso2.carbon.hazelcast.HazelcastClusteringAgent"
#: Kernels of which it is known that they cluster with Hazelcast through this file.
_FIRST, _LAST = (4, 4), (4, 13)
#: The first Hazelcast that lets members in whatever their group's password is.
_NO_PASSWORD = (3, 8, 2)
#: What Hazelcast 4.2 scans of the ports that Amazon's instances may have.
_SCANNED_42 = range(5701, 5709)

AWS_NAMES = {
    "aws.access_key": "accessKey",
    "aws.secret_key": "secretKey",
    "aws.security_group": "securityGroup",
    "aws.connection_timeout_seconds": "connTimeout",
    "aws.host_header": "hostHeader",
    "aws.region": "region",
    "aws.tag_key": "tagKey",
    "aws.tag_value": "tagValue",
    "aws.iam_role": "iamRole",
}
_LATER_AWS_NAMES = {
    "aws.access_key": "access-key",
    "aws.secret_key": "secret-key",
    "aws.security_group": "security-group-name",
    "aws.connection_timeout_seconds": "connection-timeout-seconds",
    "aws.host_header": "host-header",
    "aws.region": "region",
    "aws.tag_key": "tag-key",
    "aws.tag_value": "tag-value",
    "aws.iam_role": "iam-role",
}
_KNOWN = "4.4 to 4.9 and 4.12; of 4.10 and 4.11 all but the names for scheme aws"


def version(text: str) -> tuple[int, ...]:
    """Return the numbers of a version such as `4.4.35` or `4.4.35.wso2v1`."""
    found = re.match(r"\d+(?:\.\d+)*", text)
    return tuple(int(one) for one in found[0].split(".")) if found else ()


def aws_names(kernel: str) -> dict[str, str]:
    """Return what a kernel calls the parameters of scheme aws. Raises ClusterkitError where that is not known."""
    found = version(kernel)[:2]
    if (4, 4) <= found <= (4, 6) or found == (4, 12):
        return AWS_NAMES
    if (4, 7) <= found <= (4, 9):
        return _LATER_AWS_NAMES
    raise ClusterkitError(
        f"kernel is {kernel or 'not given'}: which names it reads for scheme aws is not known; known are {_KNOWN}"
    )


def agent_class(kernel: str) -> str:
    """Return the class of a kernel's clustering agent."""
    first, later = _LATER_AGENT
    return later if version(kernel) >= first else _AGENT


def hazelcast_of(around: Surroundings) -> tuple[int, ...]:
    """Return the version of an installation's Hazelcast, the one that its kernel came with where none was found."""
    found = version(around.kernel)
    return version(around.hazelcast) or ((3, 5, 4) if found[:2] == (4, 4) else (3, 12) if found < (4, 7) else (4, 2))


def kernel_warnings(declared: Membership, around: Surroundings) -> list[str]:
    """Return what a kernel's user ought to know. Raises ClusterkitError for what it cannot do."""
    found = version(around.kernel)
    if not _FIRST <= found < _LAST:
        raise ClusterkitError(
            f"kernel is {around.kernel or 'not given'}: known are {_KNOWN}. Give carbon_home, so that it is looked up, "
            "or kernel"
        )
    hazelcast = hazelcast_of(around)
    port = declared.get("local_port")
    if declared.get("scheme") == "aws":
        aws_names(around.kernel)
        if hazelcast >= (4, 2) and port is not None and port not in _SCANNED_42:
            raise ClusterkitError(
                f"local_port is {port}: with scheme aws the Hazelcast of kernel {around.kernel} scans 5701 to 5708, "
                "and would not find the others"
            )
    if declared.get("password") and hazelcast >= _NO_PASSWORD:
        return [
            f"password is given, and kernel {around.kernel} has a Hazelcast that lets members in whatever theirs is "
            "(since 3.8.2): it protects nothing; let the firewall do that"
        ]
    return []


#: Where the versions of the kernel and of its Hazelcast stand, below the directory of an installation.
_PLUGINS = "repository/components/plugins"
_JARS = {
    "kernel": ("org.wso2.carbon.core_*.jar", r"/org\.wso2\.carbon\.core_([^/]*)\.jar$"),
    "Hazelcast": ("hazelcast*.jar", r"/hazelcast(?:-all)?[_-](\d[^/]*)\.jar$"),
}


def patterns(home: str) -> list[str]:
    """Return the patterns of paths that tell which versions an installation has."""
    return [f"{home}/{_PLUGINS}/{pattern}" for pattern, _name in _JARS.values()] if home else []


def installed(home: str, paths: Iterable[str], kernel: str, dotted: bool) -> Surroundings:
    """Return the versions that those paths tell. Raises ClusterkitError where they tell none, or several."""
    found = {}
    for name, (_pattern, named) in _JARS.items():
        versions = sorted({match[1] for one in paths if (match := re.search(named, one))})
        if len(versions) > 1:
            raise ClusterkitError(
                f"{home} has several versions of its {name} ({', '.join(versions)}): leave one of them"
            )
        found[name] = versions[0] if versions else ""
    if home and not (kernel or found["kernel"]):
        raise ClusterkitError(
            f"{home}/{_PLUGINS} has no org.wso2.carbon.core_VERSION.jar: expected the directory of an installed "
            "product, or the version as kernel"
        )
    return Surroundings(kernel or found["kernel"], found["Hazelcast"], dotted)
