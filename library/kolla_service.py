#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: take a Cinder, Manila or Nova service out of scheduling, and put it back."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: kolla_service
short_description: Disable a Cinder, Manila or Nova service before a stop, and enable it afterwards
version_added: "0.2.0"
description:
  - Disables a service in Cinder's, Manila's or Nova's API, so that it is given no new work while it is drained and
    stopped, and enables it again.
  - The disabled reason begins with the marker V(kolla-drain:) and gives time and cause. A service that somebody else
    disabled is never enabled, and its reason never changed.
  - The module does not rely on the answer of the API but reads the service back. In cinder 29.0.0 a request to enable
    is answered with 200 and changes nothing; O(fallback) handles that.
  - Runs where openstacksdk is installed and the API can be reached, which may be the controller, with C(delegate_to).
options:
  service:
    description:
      - Binary of the service.
      - Disabling has an effect on V(cinder-volume), V(cinder-backup), V(manila-share) and V(nova-compute). Nothing
        reads the flag of the others, so the module never disables them and only reports their state.
    type: str
    required: true
    choices:
      - cinder-backup
      - cinder-scheduler
      - cinder-volume
      - manila-share
      - nova-compute
      - nova-conductor
      - nova-scheduler
  host:
    description:
      - Host of the service as the API lists it, which is C([DEFAULT]/host) of the service's configuration.
      - For V(cinder-volume) and V(manila-share), a bare host selects all of its backends, and V(host@backend) selects
        one of them.
    type: str
    required: true
  state:
    description:
      - V(disabled) disables services that are enabled, as far as O(disable) allows.
      - V(enabled) enables services that this module has disabled.
      - V(status) reports the state and changes nothing.
    type: str
    required: true
    choices: [disabled, enabled, status]
  disable:
    description:
      - Which services O(state=disabled) disables. No effect on the other states.
      - V(auto) disables a service only if another one that is enabled, up and in the same availability zone can take
        its work. For V(cinder-volume) the scheduler must offer pools of the other one with the same
        C(volume_backend_name), because new volumes of a type whose only backend is disabled end in V(error); for
        V(manila-share) with the same C(share_backend_name). A service that could not be enabled again is not disabled
        either. If nothing is disabled the task does not fail, and RV(reason) gives the cause.
      - V(always) disables in any case. V(never) changes nothing.
    type: str
    choices: [auto, always, never]
    default: auto
  reason:
    description: Text of the disabled reason, after the marker and the time. By default it names the service.
    type: str
  timeout:
    description:
      - Seconds to wait until the API and, for V(cinder-volume), the scheduler show the requested state.
      - All read the flag from the database for each request, so this takes no longer than the database does. Nova's
        API answers only after nova-compute has set its trait in Placement.
    type: int
    default: 30
  fallback:
    description:
      - What to do if the API takes the request to enable and changes nothing. Cinder only.
      - V(database) enables the service in Cinder's database, by two columns of its row, if that still holds the reason
        this module wrote. Requires O(database) or O(service_config).
      - V(auto) does so if O(database) or O(service_config) is given.
      - V(none) fails, and the message holds the SQL statement that enables the service.
    type: str
    choices: [auto, database, none]
    default: auto
  database:
    description:
      - Cinder's database for O(fallback), reached from where the module runs. Parts given here override those of the
        URL.
      - 'The account needs: GRANT SELECT (id, host, `binary`, deleted, disabled, disabled_reason), UPDATE (disabled,
        disabled_reason) ON cinder.services.'
    type: dict
    suboptions:
      url:
        description: As in the service's own configuration, such as V(mysql+pymysql://user:password@host/cinder).
        type: str
      host:
        description: Host name or address of the server.
        type: str
      port:
        description: TCP port of the server.
        type: int
      unix_socket:
        description: Path of the server's Unix socket, instead of host and port.
        type: path
      user:
        description: Account to write with.
        type: str
      password:
        description: Password of the account.
        type: str
      name:
        description: Name of the database.
        type: str
      ssl_ca:
        description: Path of the CA certificates for the server.
        type: path
      ssl_cert:
        description: Path of the client's certificate.
        type: path
      ssl_key:
        description: Path of the client's key.
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
  service_config:
    description:
      - Configuration files of Cinder whose C([database]/connection) is used, if the module runs on a host that has
        them, such as V(/etc/kolla/cinder-volume/cinder.conf).
    type: list
    elements: path
  ignore_missing:
    description: Do nothing, instead of failing, if the API lists no such service.
    type: bool
    default: false
  cloud:
    description:
      - Name of a cloud in C(clouds.yaml).
      - Without this, O(auth) and O(auth_type), openstacksdk reads the environment (C(OS_CLOUD)).
    type: str
  auth_type:
    description:
      - Name of the keystoneauth plugin, V(password) if not set.
      - V(none) is for an API without Keystone. It requires O(endpoint_override), and O(auth.token) if the API needs a
        token.
    type: str
  auth:
    description:
      - Parameters of the plugin. If given without O(cloud), neither C(clouds.yaml) nor the environment is read.
      - The account must be allowed to list and change services, which by default only administrators are.
    type: dict
    suboptions:
      auth_url:
        description: Address of Keystone.
        type: str
      username:
        description: Name of the user.
        type: str
      user_id:
        description: Id of the user.
        type: str
      password:
        description: Password of the user.
        type: str
      user_domain_name:
        description: Domain of the user, by name.
        type: str
      user_domain_id:
        description: Domain of the user, by id.
        type: str
      project_name:
        description: Project, by name.
        type: str
      project_id:
        description: Project, by id.
        type: str
      project_domain_name:
        description: Domain of the project, by name.
        type: str
      project_domain_id:
        description: Domain of the project, by id.
        type: str
      domain_name:
        description: Domain to be scoped to, by name.
        type: str
      domain_id:
        description: Domain to be scoped to, by id.
        type: str
      default_domain_name:
        description: Domain of user and project if theirs is not given, by name.
        type: str
      default_domain_id:
        description: Domain of user and project if theirs is not given, by id.
        type: str
      system_scope:
        description: V(all) to be scoped to the system.
        type: str
      application_credential_id:
        description: Id of an application credential.
        type: str
      application_credential_name:
        description: Name of an application credential.
        type: str
      application_credential_secret:
        description: Secret of an application credential.
        type: str
      token:
        description:
          - A token. With O(auth_type=none) it is sent unchanged, such as V(PROJECT:PROJECT) to an API without Keystone.
        type: str
      endpoint:
        description: Address of the API for the plugins V(none) and V(admin_token).
        type: str
  region_name:
    description: Region of the endpoint.
    type: str
  interface:
    description: Interface of the endpoint.
    type: str
    choices: [admin, internal, public]
    aliases: [endpoint_type]
  endpoint_override:
    description: URL of Cinder's, Manila's or Nova's API, instead of the one in the catalogue.
    type: str
  validate_certs:
    description: Whether the API's certificate is verified, V(true) if not set.
    type: bool
    aliases: [verify]
  ca_cert:
    description: Path of the CA certificates for the API.
    type: path
    aliases: [cacert]
  client_cert:
    description: Path of the client's certificate.
    type: path
    aliases: [cert]
  client_key:
    description: Path of the client's key.
    type: path
    aliases: [key]
  api_timeout:
    description: Seconds to wait for each answer of the API.
    type: int
    default: 60
requirements:
  - Python 3.9 or later with openstacksdk, where the module runs. Also PyMySQL for O(database), and oslo.config for
    O(service_config).
attributes:
  check_mode:
    description: Changes nothing, and reports the changes it would make.
    support: full
  diff_mode:
    description: Shows status and disabled reason before and after.
    support: full
author:
  - The kolla-drain developers
"""

EXAMPLES = r"""
- name: Place no new volumes on this host's backends while they are drained, if others can take them
  kolla_service:
    service: cinder-volume
    host: "{{ ansible_facts.nodename }}"
    state: disabled
    reason: upgrade to 2026.1
    cloud: kolla-admin
    database: &cinder_database
      host: 192.0.2.10
      name: cinder
      user: drain_disable
      password: "{{ drain_disable_database_password }}"
  delegate_to: localhost

- name: Enable them again, with any version of Cinder
  kolla_service:
    service: cinder-volume
    host: "{{ ansible_facts.nodename }}"
    state: enabled
    cloud: kolla-admin
    database: *cinder_database
  delegate_to: localhost

- name: Disable nova-compute in any case, with the credentials given here
  kolla_service:
    service: nova-compute
    host: compute-1
    state: disabled
    disable: always
    auth:
      auth_url: https://192.0.2.1:5000
      username: admin
      password: "{{ keystone_admin_password }}"
      project_name: admin
      user_domain_name: Default
      project_domain_name: Default
    interface: internal
    ca_cert: /etc/ssl/certs/ca-certificates.crt

- name: Report the state of cinder-backup in a Cinder without Keystone
  kolla_service:
    service: cinder-backup
    host: storage-1
    state: status
    auth_type: none
    endpoint_override: http://192.0.2.1:8776/v3/0123456789abcdef0123456789abcdef
    auth:
      token: 0123456789abcdef0123456789abcdef:0123456789abcdef0123456789abcdef
"""

RETURN = r"""
disabled:
  description: Whether all of the selected services are disabled, by whomever.
  returned: always
  type: bool
reason:
  description: What was done or not done with each service, and the cause.
  returned: always
  type: str
  sample: >-
    cinder-volume on storage-1@ceph stays enabled: no other cinder-volume in zone nova that is enabled and up has its
    backend name ceph
services:
  description: The selected services as they are now or, in check mode, as they would be.
  returned: always
  type: list
  elements: dict
  contains:
    id:
      description: UUID of a Nova service, number of a Manila service. Empty for Cinder, whose API lists none.
      returned: always
      type: str
    host:
      description: Host of the service.
      returned: always
      type: str
      sample: storage-1@ceph
    binary:
      description: Binary of the service.
      returned: always
      type: str
    zone:
      description: Availability zone of the service.
      returned: always
      type: str
    status:
      description: V(enabled) or V(disabled).
      returned: always
      type: str
    state:
      description: V(up) or V(down).
      returned: always
      type: str
    up:
      description: Whether the service is up.
      returned: always
      type: bool
    disabled_reason:
      description: The disabled reason in the API.
      returned: always
      type: str
      sample: "kolla-drain: disabled 2026-11-21T17:44:39Z upgrade to 2026.1"
    disabled_by_us:
      description: Whether this module disabled the service.
      returned: always
      type: bool
    cluster:
      description: Cluster of the service, empty if none.
      returned: always
      type: str
method:
  description: V(api), V(database) or V(api, database), by where the change was made. Empty if nothing was changed.
  returned: always
  type: str
undo:
  description: For each service that this module has disabled, the command that enables it.
  returned: always
  type: list
  elements: str
  sample:
    - openstack compute service set --enable compute-1 nova-compute
"""

import traceback

from ansible.module_utils.basic import AnsibleModule

from ansible.module_utils.kolla_drain.database.target import DATABASE_OPTIONS
from ansible.module_utils.kolla_drain.disable.apis import api_for
from ansible.module_utils.kolla_drain.disable.client import Access
from ansible.module_utils.kolla_drain.disable.database import services_table
from ansible.module_utils.kolla_drain.disable.disabling import Run
from ansible.module_utils.kolla_drain.disable.model import DisableError, Request
from ansible.module_utils.kolla_drain.errors import KollaDrainError
from ansible.module_utils.kolla_drain.masking import Masked

SERVICES = [
    "cinder-backup",
    "cinder-scheduler",
    "cinder-volume",
    "manila-share",
    "nova-compute",
    "nova-conductor",
    "nova-scheduler",
]


def argument_spec():
    """Return the module's options; a test compares them with DOCUMENTATION."""
    return {
        "service": {"type": "str", "required": True, "choices": SERVICES},
        "host": {"type": "str", "required": True},
        "state": {"type": "str", "required": True, "choices": ["disabled", "enabled", "status"]},
        "disable": {"type": "str", "choices": ["auto", "always", "never"], "default": "auto"},
        "reason": {"type": "str"},
        "timeout": {"type": "int", "default": 30},
        "fallback": {"type": "str", "choices": ["auto", "database", "none"], "default": "auto"},
        "database": {"type": "dict", "options": DATABASE_OPTIONS},
        "service_config": {"type": "list", "elements": "path"},
        "ignore_missing": {"type": "bool", "default": False},
        "cloud": {"type": "str"},
        "auth_type": {"type": "str"},
        "auth": {
            "type": "dict",
            # no_log on the secrets alone: on the dictionary it would mask "admin" and "cinder" in every message.
            "options": {
                "auth_url": {"type": "str"},
                "username": {"type": "str"},
                "user_id": {"type": "str"},
                "password": {"type": "str", "no_log": True},
                "user_domain_name": {"type": "str"},
                "user_domain_id": {"type": "str"},
                "project_name": {"type": "str"},
                "project_id": {"type": "str"},
                "project_domain_name": {"type": "str"},
                "project_domain_id": {"type": "str"},
                "domain_name": {"type": "str"},
                "domain_id": {"type": "str"},
                "default_domain_name": {"type": "str"},
                "default_domain_id": {"type": "str"},
                "system_scope": {"type": "str"},
                "application_credential_id": {"type": "str"},
                "application_credential_name": {"type": "str"},
                "application_credential_secret": {"type": "str", "no_log": True},
                "token": {"type": "str", "no_log": True},
                "endpoint": {"type": "str"},
            },
        },
        "region_name": {"type": "str"},
        "interface": {
            "type": "str",
            "choices": ["admin", "internal", "public"],
            "aliases": ["endpoint_type"],
        },
        "endpoint_override": {"type": "str"},
        "validate_certs": {"type": "bool", "aliases": ["verify"]},
        "ca_cert": {"type": "path", "aliases": ["cacert"]},
        "client_cert": {"type": "path", "aliases": ["cert"]},
        "client_key": {"type": "path", "aliases": ["key"], "no_log": False},
        "api_timeout": {"type": "int", "default": 60},
    }


def request_of(params, check_mode):
    """Return the request."""
    return Request(
        service=params["service"],
        host=params["host"],
        state=params["state"],
        disable=params["disable"],
        reason=params["reason"] or "",
        timeout=float(params["timeout"]),
        ignore_missing=params["ignore_missing"],
        check_mode=check_mode,
    )


def access_of(params):
    """Return how to reach the API."""
    return Access(
        cloud=params["cloud"],
        auth_type=params["auth_type"],
        auth=_given(params["auth"]),
        region_name=params["region_name"],
        interface=params["interface"],
        endpoint_override=params["endpoint_override"],
        verify=params["validate_certs"],
        cacert=params["ca_cert"],
        cert=params["client_cert"],
        key=params["client_key"],
        api_timeout=float(params["api_timeout"]),
    )


def fallback_of(params):
    """Return the table of services in Cinder's database, or None. Raises KollaDrainError."""
    if params["fallback"] == "none":
        return None
    table = services_table(params["service"], _given(params["database"]), params["service_config"] or ())
    if table is None and params["fallback"] == "database":
        raise DisableError("fallback is database, and no database is given: give database or service_config")
    return table


def _given(suboptions):
    return {key: value for key, value in (suboptions or {}).items() if value is not None}


def act(params, check_mode):
    """Carry out the request and return the outcome. Raises KollaDrainError."""
    api = api_for(params["service"], access_of(params))
    return Run(api, request_of(params, check_mode), fallback_of(params)).execute()


def described(service):
    """Return one service as the result shows it."""
    return {
        "id": service.id,
        "host": service.host,
        "binary": service.binary,
        "zone": service.zone,
        "status": "enabled" if service.enabled else "disabled",
        "state": "up" if service.up else "down",
        "up": service.up,
        "disabled_reason": service.reason,
        "disabled_by_us": service.disabled_by_us,
        "cluster": service.cluster,
    }


def result_of(outcome):
    """Return the module's result."""
    return {
        "changed": outcome.changed,
        "disabled": outcome.disabled,
        "reason": outcome.reason,
        "msg": outcome.reason,
        "services": [described(service) for service in outcome.services],
        "method": outcome.method,
        "undo": list(outcome.undo),
    }


def diff_of(outcome):
    """Return status and disabled reason of each service, before and after."""
    return {"before": _lines(outcome.before), "after": _lines(outcome.services)}


def _lines(services):
    return "".join(
        f"{service.name}: {'enabled' if service.enabled else 'disabled'}"
        + (f" ({service.reason})" if service.reason else "")
        + "\n"
        for service in services
    )


class KollaModule(Masked, AnsibleModule):
    """An Ansible module whose misspelt options may hold secrets."""


def main():
    """Read the options, carry out the request, and return the result to Ansible."""
    module = KollaModule(argument_spec=argument_spec(), supports_check_mode=True)
    try:
        outcome = act(module.params, module.check_mode)
    except KollaDrainError as exc:
        module.fail_json(msg=str(exc), exception=traceback.format_exc())
    for text in outcome.warnings:
        module.warn(text)
    result = result_of(outcome)
    if module._diff:
        result["diff"] = diff_of(outcome)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
