# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How modules reach AWS."""

from __future__ import annotations


class ModuleDocFragment:
    """Fragment `clusterkit.middleware.aws`."""

    DOCUMENTATION = r"""
options:
  region:
    description:
      - Region of AWS. Where it is not given, that of the profile or of the environment (E(AWS_DEFAULT_REGION)).
    type: str
  profile:
    description:
      - Profile of boto3's configuration. Where it is not given, boto3 takes credentials from the environment, its
        default profile, or the instance that it runs on. Credentials themselves are no options.
    type: str
  endpoint_url:
    description:
      - Address to ask instead of that of AWS, for stand-ins and private endpoints.
    type: str
requirements:
  - boto3, where the module runs
"""
