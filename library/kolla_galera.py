#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: can a Galera cluster spare the member on this host?"""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: kolla_galera
short_description: Ask a Galera cluster whether it can spare the member on this host
version_added: "0.3.0"
description:
  - Asks the MariaDB on this host for C(wsrep_cluster_status), C(wsrep_local_state_comment) and C(wsrep_cluster_size),
    and every other member that its configuration names for the same. Reads only.
  - It can be spared where it is Primary and Synced and, without it, more than half of all members are. A member that
    cannot be asked counts as one that does not serve.
  - That it cannot be asked is an answer, too, and no error. RV(why) says it.
options:
  config_file:
    description:
      - The configuration file that Kolla writes for MariaDB. From it come the addresses of all members and, where
        O(database) does not say, the port and the account of C(wsrep_sst_auth).
    type: path
    default: /etc/kolla/mariadb/galera.cnf
  leaving:
    description: How many members are about to stop together, the one on this host among them.
    type: int
    default: 1
  database:
    description:
      - How the members are reached, where it is not as in O(config_file). The account needs no right at all but to log
        in.
    type: dict
    suboptions:
      host:
        description: Address of the member on this host.
        type: str
      port:
        description: TCP port of all members.
        type: int
      unix_socket:
        description: Path of the socket of the member on this host.
        type: path
      user:
        description: Account to ask with.
        type: str
      password:
        description: Password of the account.
        type: str
      ssl_ca:
        description: Path on the managed host of the certificates that the servers' are checked against.
        type: path
      ssl_cert:
        description: Path of the client's certificate.
        type: path
      ssl_key:
        description: Path of the client's key.
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
    description: It never changes anything.
    support: full
  diff_mode:
    description: There is no difference to show.
    support: none
author:
  - The kolla-drain developers
"""

EXAMPLES = r"""
- name: Can this member be stopped?
  kolla_galera: {}
  register: galera

- name: With an account that can do nothing else
  kolla_galera:
    database:
      user: drain
      password: "{{ drain_database_password }}"
"""

RETURN = r"""
can_spare:
  description: Whether the cluster can spare it.
  returned: always
  type: bool
why:
  description: Why so, in a clause.
  returned: always
  type: str
  sample: 3 of 3 members serve, and 2 are left
members:
  description:
    - What each said, the one on this host first. The others are asked only if that one is well.
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
    - Whether the member on this host is Primary and Synced; also where it answers and neither its configuration nor
      itself knows of a cluster.
  returned: always
  type: bool
"""

import traceback

from ansible.module_utils.basic import AnsibleModule

from ansible.module_utils.kolla_drain import galera
from ansible.module_utils.kolla_drain.database.target import SERVER_OPTIONS
from ansible.module_utils.kolla_drain.errors import KollaDrainError


def argument_spec():
    """The module's options; a test holds that they agree with DOCUMENTATION."""
    return {
        "config_file": {"type": "path", "default": "/etc/kolla/mariadb/galera.cnf"},
        "leaving": {"type": "int", "default": 1},
        "database": {"type": "dict", "options": SERVER_OPTIONS},
    }


def look(params):
    """Ask; what cannot be asked is an answer."""
    try:
        answer = galera.look(params["config_file"], params["database"] or {}, params["leaving"])
    except KollaDrainError as exc:
        return {
            "changed": False,
            "can_spare": False,
            "why": f"it cannot be asked: {exc}",
            "synced": False,
            "members": [],
        }
    members = [
        {
            "address": one.address,
            "size": one.size,
            "status": one.status,
            "state": one.state,
            "why": one.why,
        }
        for one in (answer.own, *answer.others)
    ]
    alone = not answer.own.why and not answer.own.size and answer.configured < 2
    return {
        "changed": False,
        "can_spare": answer.can_spare,
        "why": answer.why,
        "synced": answer.own.serves or alone,
        "members": members,
    }


def main():
    """Read the options, ask, and answer Ansible."""
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    try:
        result = look(module.params)
    except OSError as exc:
        module.fail_json(msg=f"The cluster cannot be asked: {exc}.", exception=traceback.format_exc())
    module.exit_json(**result)


if __name__ == "__main__":
    main()
