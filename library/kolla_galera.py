#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: report whether a Galera cluster can spare the member on this host."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: kolla_galera
short_description: Ask a Galera cluster whether it can spare the member on this host
version_added: "0.3.0"
description:
  - Reads C(wsrep_cluster_status), C(wsrep_local_state_comment) and C(wsrep_cluster_size) of the MariaDB on this host
    and of every other member that its configuration names. Changes nothing.
  - The member can be spared if it is Primary and Synced and more than half of all members still are without it. A
    member whose status cannot be read counts as one that does not serve.
  - A status that cannot be read does not fail the task. RV(can_spare) is then false, and RV(why) gives the cause.
options:
  config_file:
    description:
      - The configuration file that Kolla writes for MariaDB. It gives the addresses of all members and, where
        O(database) does not, the port and the account (C(wsrep_sst_auth)).
    type: path
    default: /etc/kolla/mariadb/galera.cnf
  leaving:
    description: Number of members that are about to stop together, including the one on this host.
    type: int
    default: 1
  database:
    description:
      - How to reach the members, where O(config_file) does not fit. The account needs no privilege but to log in
        (C(USAGE)).
    type: dict
    suboptions:
      host:
        description: Address of the member on this host.
        type: str
      port:
        description: TCP port of all members.
        type: int
      unix_socket:
        description: Path of the Unix socket of the member on this host.
        type: path
      user:
        description: Account to read with.
        type: str
      password:
        description: Password of the account.
        type: str
      ssl_ca:
        description: Path on the managed host of the CA certificates for the servers.
        type: path
      ssl_cert:
        description: Path on the managed host of the client's certificate.
        type: path
      ssl_key:
        description: Path on the managed host of the client's key.
        type: path
      ssl_verify:
        description: Whether the servers' certificates and host names are checked.
        type: bool
      connect_timeout:
        description: Seconds to wait for a connection, V(5) if not set.
        type: float
      read_timeout:
        description: Seconds to wait for an answer, V(5) if not set.
        type: float
requirements:
  - On the managed host Python 3.9 or later with PyMySQL.
attributes:
  check_mode:
    description: The module never changes anything.
    support: full
  diff_mode:
    description: The module never changes anything.
    support: none
author:
  - The kolla-drain developers
"""

EXAMPLES = r"""
- name: Can this member be stopped?
  kolla_galera: {}
  register: galera

- name: The same with an account that has no other privilege
  kolla_galera:
    database:
      user: drain
      password: "{{ kolla_drain_database_password }}"
"""

RETURN = r"""
can_spare:
  description: Whether the cluster can spare the members that are about to stop.
  returned: always
  type: bool
why:
  description: The cause, as a clause.
  returned: always
  type: str
  sample: 3 of 3 members serve, and 2 are left
members:
  description:
    - Status of each member, the one on this host first. The others are read only if that one serves.
  returned: always
  type: list
  elements: dict
  sample:
    - address: 192.0.2.11
      size: 3
      status: Primary
      state: Synced
      why: ""
synced:
  description:
    - Whether the member on this host is Primary and Synced. Also true if it answers and neither its configuration nor
      its status names a cluster.
  returned: always
  type: bool
"""

import traceback

from ansible.module_utils.basic import AnsibleModule

from ansible.module_utils.kolla_drain import galera
from ansible.module_utils.kolla_drain.database.target import SERVER_OPTIONS
from ansible.module_utils.kolla_drain.errors import KollaDrainError
from ansible.module_utils.kolla_drain.masking import Masked


def argument_spec():
    """Return the module's options; a test compares them with DOCUMENTATION."""
    return {
        "config_file": {"type": "path", "default": "/etc/kolla/mariadb/galera.cnf"},
        "leaving": {"type": "int", "default": 1},
        "database": {"type": "dict", "options": SERVER_OPTIONS},
    }


def look(params):
    """Ask the cluster and return the result; unusable input is an answer, too."""
    try:
        answer = galera.look(params["config_file"], params["database"] or {}, params["leaving"])
    except KollaDrainError as exc:
        answer = galera.Answer(False, f"its status cannot be read: {exc}", False, ())
    return {
        "changed": False,
        "can_spare": answer.can_spare,
        "why": answer.why,
        "synced": answer.synced,
        "members": [described(member) for member in answer.members],
    }


def described(member):
    """Return one member as the result shows it."""
    return {name: getattr(member, name) for name in ("address", "size", "status", "state", "why")}


class KollaModule(Masked, AnsibleModule):
    """An Ansible module whose misspelt options may hold secrets."""


def main():
    """Read the options, ask the cluster, and return the result to Ansible."""
    module = KollaModule(argument_spec=argument_spec(), supports_check_mode=True)
    try:
        result = look(module.params)
    except OSError as exc:
        module.fail_json(msg=f"The cluster cannot be asked: {exc}.", exception=traceback.format_exc())
    module.exit_json(**result)


if __name__ == "__main__":
    main()
