#!/usr/bin/python
# Copyright (c) 2026, clusterkit contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin hazelcast_member."""

from __future__ import annotations

DOCUMENTATION = r"""
module: hazelcast_member
short_description: Declare a host's membership in a Hazelcast cluster
version_added: 0.1.0
author:
  - clusterkit contributors (@clusterkit)
description:
  - Declares this host's membership in the file that its product reads, in one vocabulary for all formats. What a
    format cannot express is an error that says so.
  - Only the values concerned change, and every other byte of the file stays; comments, order, quoting, indentation,
    line ends, encoding and byte order mark. An element that is commented out stays so, and a live one is added beside
    it.
  - Of what is not given the file stays as it is.
  - The file is edited on the control node, parsed again and compared, and then replaced in one step, if it is still
    what was read. Nothing outside of it is followed, external entities of XML in particular.
extends_documentation_fragment:
  - clusterkit.middleware.file
  - clusterkit.middleware.attributes
  - clusterkit.middleware.attributes.action
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details:
      - Shows the values that change. Secrets are not shown.
  idempotent:
    support: full
  async:
    support: none
options:
  path:
    description: The file. It has to exist for O(state=present).
    type: str
    required: true
  format:
    description:
      - Of which format the file is. Its name tells that where this is not given.
      - V(axis2) is C(axis2.xml) of a Carbon kernel from 4.4 on.
      - V(deployment_toml) is C(deployment.toml) of products on a Carbon kernel from 4.5 on, which write their axis2.xml
        from it at each start. Its scheme is what enables clustering, so O(state=absent) takes that away.
      - V(hazelcast_xml) and V(hazelcast_yaml) are C(hazelcast.xml) and C(hazelcast.yaml) of Hazelcast 4 and 5. Schemes
        that are not declared are switched off.
      - V(sync_service) is a C(config.yml) with the keys C(sync.cluster) and C(sync.hazelcast), nested or dotted.
    type: str
    choices: [axis2, deployment_toml, hazelcast_xml, hazelcast_yaml, sync_service]
  state:
    description:
      - V(present) declares the membership and enables it.
      - V(absent) disables it. All other values stay in the file.
    type: str
    choices: [present, absent]
    default: present
  carbon_home:
    description: Directory of a Carbon installation, in which the kernel's version is looked up.
    type: str
  kernel:
    description: Version of the Carbon kernel, which decides over names. Goes before what O(carbon_home) tells.
    type: str
  scheme:
    description:
      - How members find each other; V(wka) by a list of them all, V(multicast), V(aws), or a name of another one that
        O(scheme_class) brings.
    type: str
  scheme_class:
    description: Class of a scheme that the product does not bring.
    type: str
  domain:
    description: Name of the cluster.
    type: str
  local_host:
    description: Address of this host under which the others reach it. Loopback is refused where there are others.
    type: str
  local_port:
    description: Port of this host for the cluster.
    type: int
  members:
    description: All members, this one among them, each as C(host:port). The list replaces what is there.
    type: list
    elements: str
  password:
    description:
      - Password of the group. Hazelcast from 3.8.2 on lets members in whatever theirs is, so a warning says where it
        protects nothing.
    type: str
  interfaces:
    description: Patterns of the addresses to bind to, such as C(10.3.10.*) or C(10.3.4-5.*).
    type: list
    elements: str
  bind_any:
    description: Whether to bind to all interfaces. O(interfaces) has no effect then, so both together are refused.
    type: bool
  port_auto_increment:
    description: Whether to take another port where O(local_port) is taken.
    type: bool
  public_address:
    description: Address and port under which others reach this member, where they are not those that it has.
    type: str
  timings:
    description: How long a member waits for others.
    type: dict
    suboptions:
      max_no_heartbeat_seconds:
        description: Seconds without a sign of life after which a member is taken for dead.
        type: int
      merge_first_run_seconds:
        description: Seconds after the start until a member looks for parts of the cluster that it was split from.
        type: int
      merge_next_run_seconds:
        description: Seconds between two such looks.
        type: int
      check_timeout_ms:
        description: Milliseconds to wait for a member's answer before it is taken for dead.
        type: int
  management_center:
    description: Hazelcast's Management Center.
    type: dict
    suboptions:
      enabled:
        description: Whether members report to it.
        type: bool
      url:
        description: Its address. Needed where it is enabled.
        type: str
  multicast:
    description: What scheme V(multicast) needs.
    type: dict
    suboptions:
      address:
        description: Address of the group.
        type: str
      port:
        description: Port of the group.
        type: int
      timeout_seconds:
        description: Seconds to wait for an answer.
        type: int
      ttl:
        description: How many routers it may pass.
        type: int
  aws:
    description: What scheme V(aws) needs.
    type: dict
    suboptions:
      access_key:
        description: Access key.
        type: str
      secret_key:
        description: Secret key that belongs to it.
        type: str
      iam_role:
        description: Role of the instance's profile, in place of keys, where the kernel supports it.
        type: str
      region:
        description: Region, without the letter of a zone.
        type: str
      host_header:
        description: Name of the endpoint, in place of C(ec2.amazonaws.com).
        type: str
      security_group:
        description: Name of the security group that all members are in. Required.
        type: str
      tag_key:
        description: Key of the tag that all members have. Required unless O(allow_untagged).
        type: str
      tag_value:
        description: Value of that tag.
        type: str
      connection_timeout_seconds:
        description: Seconds to wait for Amazon's answer.
        type: int
  allow_untagged:
    description: Whether scheme V(aws) is meant to take every instance of the security group for a member.
    type: bool
    default: false
  parameters:
    description: Other parameters, by the names that the product has for them.
    type: dict
  key_form:
    description:
      - How keys that are new are written in a file where a key may be nested or dotted. Keys that are there are changed
        where they stand.
    type: str
    choices: [nested, dotted]
    default: nested
"""

EXAMPLES = r"""
- name: Declare the membership of a Carbon server
  clusterkit.middleware.hazelcast_member:
    path: /opt/server/repository/conf/axis2/axis2.xml
    carbon_home: /opt/server
    scheme: wka
    domain: site
    local_host: 10.3.10.1
    local_port: 4000
    members: ["10.3.10.1:4000", "10.3.10.2:4000"]

- name: Declare that of a service that reads config.yml
  clusterkit.middleware.hazelcast_member:
    path: /opt/service-sync/config.yml
    format: sync_service
    interfaces: ["10.3.10.*"]
    bind_any: false
    password: "{{ sync_password }}"
"""

RETURN = r"""
changed_values:
  description: The words of the vocabulary whose values differed.
  type: list
  elements: str
  returned: success
  sample: [state, members]
advice:
  description: What the user ought to know, which is shown as warnings as well.
  type: list
  elements: str
  returned: success
backup:
  description: Where what was replaced is kept.
  type: str
  returned: when O(backup) is true and the file was changed
"""
