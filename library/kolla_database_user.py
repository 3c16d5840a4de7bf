#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: the database account that may read the columns of evidence, and nothing else."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: kolla_database_user
short_description: Make the database account that reads evidence, with the least rights
version_added: "0.4.0"
description:
  - Makes an account in MariaDB that may read the columns that the evidence of O(services) needs, and nothing else.
    C(docs/database-account.rst) lists them.
  - An account that is there gets the password, the rights that it lacks, and loses those to columns that are no longer
    read. One that may do anything else than read single columns is not touched, and the task fails.
  - A Galera cluster repeats the statements on every member, so that the module runs once for a cluster.
options:
  name:
    description: Name of the account. It may log in from any host, like the accounts of Kolla's services.
    type: str
    required: true
  password:
    description:
      - Password of the account. If the account has another one, it is changed.
      - The server is sent its hash, and the account authenticates with C(mysql_native_password).
    type: str
    required: true
  services:
    description:
      - The services whose evidence is read with the account, such as V(nova-compute).
      - An empty list is all services whose databases are on the server. A database of that name which lacks what is
        read, such as one of another release, is warned of and left out, unless O(databases) names it.
    type: list
    elements: str
    default: []
  databases:
    description:
      - Lists of the names of the databases, by their schema. A schema with an empty list is left out. One that is not
        named has a database of its own name.
      - The schemas are those of Kolla, such as V(cinder), V(nova), V(nova_cell0), V(manila) and V(heat).
    type: dict
    default: {}
  config_file:
    description:
      - The configuration file that Kolla writes for MariaDB. It gives the address and the port of the member on this
        host, and an account that may make others (C(wsrep_sst_auth)), where O(database) does not.
      - Empty for a server that is none of Kolla's.
    type: path
    default: /etc/kolla/mariadb/galera.cnf
  database:
    description:
      - How to log in, where O(config_file) does not fit. The account needs C(CREATE USER), C(SELECT) on C(mysql.*), and
        C(SELECT) with C(GRANT OPTION) on the databases.
    type: dict
    suboptions:
      host:
        description: Address of the server.
        type: str
      port:
        description: TCP port of the server.
        type: int
      unix_socket:
        description: Path of the Unix socket of the server.
        type: path
      user:
        description: Account to log in with.
        type: str
      password:
        description: Password of that account.
        type: str
      ssl_ca:
        description: Path on the managed host of the CA certificates for the server.
        type: path
      ssl_cert:
        description: Path on the managed host of the client's certificate.
        type: path
      ssl_key:
        description: Path on the managed host of the client's key.
        type: path
      ssl_verify:
        description: Whether the server's certificate and host name are checked.
        type: bool
      connect_timeout:
        description: Seconds to wait for a connection, V(5) if not set.
        type: float
      read_timeout:
        description: Seconds to wait for an answer, V(5) if not set.
        type: float
requirements:
  - On the managed host Python 3.9 or later with PyMySQL.
  - MariaDB 10.4 or later.
attributes:
  check_mode:
    description: The account is compared in a read-only session, and nothing is changed.
    support: full
  diff_mode:
    description: The diff shows the columns, table by table.
    support: full
author:
  - The kolla-drain developers
"""

EXAMPLES = r"""
- name: The account that reads evidence
  kolla_database_user:
    name: drain
    password: "{{ kolla_drain_database_password }}"

- name: The same for nova-compute alone, on a server that is none of Kolla's
  kolla_database_user:
    name: drain
    password: "{{ kolla_drain_database_password }}"
    services: [nova-compute]
    config_file: ""
    database:
      host: db.example.org
      user: admin
      password: "{{ database_password }}"
"""

RETURN = r"""
statements:
  description: The statements that were sent, in check mode those that would be, without the password's hash.
  returned: always
  type: list
  elements: str
  sample:
    - "GRANT SELECT (`deleted`, `id`, `instance_uuid`) ON `nova`.`instance_actions` TO `drain`@`%`"
"""

import traceback

from ansible.module_utils.basic import AnsibleModule

from ansible.module_utils.kolla_drain import galera
from ansible.module_utils.kolla_drain.database import account
from ansible.module_utils.kolla_drain.database.connection import Database, WritingDatabase
from ansible.module_utils.kolla_drain.database.rights import BY_SERVICE, rights
from ansible.module_utils.kolla_drain.database.target import SERVER_OPTIONS
from ansible.module_utils.kolla_drain.errors import KollaDrainError, Refused
from ansible.module_utils.kolla_drain.masking import Masked


def argument_spec():
    """Return the module's options; a test compares them with DOCUMENTATION."""
    return {
        "name": {"type": "str", "required": True},
        "password": {"type": "str", "required": True, "no_log": True},
        "services": {"type": "list", "elements": "str", "default": []},
        "databases": {"type": "dict", "default": {}},
        "config_file": {"type": "path", "default": "/etc/kolla/mariadb/galera.cnf"},
        "database": {"type": "dict", "options": SERVER_OPTIONS},
    }


def ensure(params, check_mode, warn):
    """Compare the account, make it as it is wanted, and return the result. Raises KollaDrainError.

    ``warn`` takes a sentence about what is not as one would expect.
    """
    named = databases_of(params["services"], params["databases"])
    config = galera.load(params["config_file"]) if params["config_file"] else galera.Config()
    server = galera.server(config, params["database"] or {})
    database = (Database if check_mode else WritingDatabase)(server)
    try:
        with database.snapshot() as query:
            services = params["services"] or all_there(query, named, params["databases"], warn)
            wanted = account.Account(params["name"], params["password"], rights(services, named))
            difference = account.compare(query, wanted)
            for statement in () if check_mode else difference.statements:
                query(statement)
    finally:
        database.close()
    return {
        "changed": bool(difference.statements),
        "statements": [account.shown(statement) for statement in difference.statements],
        "diff": {"before": account.listed(difference.held), "after": account.listed(wanted.rights)},
    }


def all_there(query, named, asked, warn):
    """Return the services whose databases are on the server; warn of each database that is of no use.

    A service whose database was asked for is not left out. Raises EvidenceUnavailable.
    """
    there = account.columns_of(query, sorted({name for names in named.values() for name in names}))
    services = []
    for service, schemas in BY_SERVICE.items():
        names = [name for schema in schemas for name in named[schema]]
        missing = [] if schemas.keys() & asked.keys() else account.lacking(rights([service], named), there)
        if not missing:
            services.append(service)
        elif there.keys() & set(names):
            warn(
                f"The account has no right for {service}, because the database lacks {missing[0]}: it is of another "
                "release, or not this service's."
            )
    return services


def databases_of(services, databases):
    """Return the databases by their schema. Raises Refused for services or schemas that are not known."""
    known = {schema for schemas in BY_SERVICE.values() for schema in schemas}
    for option, given, choices in (("services", services, BY_SERVICE), ("databases", databases, known)):
        unknown = sorted(set(given) - set(choices))
        if unknown:
            raise Refused(f"{option} has {unknown[0]}, which is unknown: use {', '.join(sorted(choices))}")
    for schema, names in databases.items():
        if not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
            raise Refused(f"databases has no list of names for {schema}: write it as [{schema}]")
    return {schema: databases.get(schema, [schema]) for schema in known}


class KollaModule(Masked, AnsibleModule):
    """An Ansible module whose misspelt options may hold secrets."""


def main():
    """Read the options, make the account, and return the result to Ansible."""
    module = KollaModule(argument_spec=argument_spec(), supports_check_mode=True)
    if not module.params["password"]:
        module.fail_json(msg="password is empty: give the account one")
    # A server that does not know a statement quotes it.
    module.no_log_values.add(account.Account("", module.params["password"], {}).proof)
    try:
        result = ensure(module.params, module.check_mode, module.warn)
    except KollaDrainError as exc:
        module.fail_json(msg=f"The account {module.params['name']} is not as it should be: {exc}.")
    except OSError as exc:
        module.fail_json(msg=f"The account cannot be made: {exc}.", exception=traceback.format_exc())
    module.exit_json(**result)


if __name__ == "__main__":
    main()
