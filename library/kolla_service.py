#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: take a Cinder or Nova service out of the scheduler's choice, and put it back."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: kolla_service
short_description: Fence a Cinder or Nova service from new work, and unfence what was fenced
version_added: "0.2.0"
description:
  - Disables a service in Cinder's or Nova's API, so that it is given no new work while it is emptied and stopped, and
    enables it again.
  - The disabled reason carries a mark, V(kolla-drain:), with when and why. What somebody else disabled is never enabled
    and its reason never touched.
  - What the API answers is never taken for the truth, the service is read back. cinder 29.0.0 answers a request to
    enable with 200 and changes nothing; for it there are second ways, see O(second_way).
  - Runs where openstacksdk is and the API can be reached, which may be the controller, by C(delegate_to).
options:
  service:
    description:
      - The service's binary.
      - Fencing makes a difference for V(cinder-volume), V(cinder-backup) and V(nova-compute). Nothing reads the flag of
        the others; they are never fenced, and can be looked at.
    type: str
    required: true
    choices:
      - cinder-backup
      - cinder-scheduler
      - cinder-volume
      - nova-compute
      - nova-conductor
      - nova-scheduler
  host:
    description:
      - The service's host as the API lists it, which is C([DEFAULT]/host) of the service's configuration.
      - For V(cinder-volume) it means all backends of that host; V(host@backend) means one of them.
    type: str
    required: true
  state:
    description:
      - V(fenced) disables what is enabled, as O(fence) allows. V(unfenced) enables what this module has disabled.
      - V(status) looks, and changes nothing.
    type: str
    required: true
    choices: [fenced, unfenced, status]
  fence:
    description:
      - Whether O(state=fenced) fences.
      - V(auto) fences only where another service that is enabled and up, in the same availability zone, can take the
        work; of V(cinder-volume) one whose pools the scheduler offers now with the same C(volume_backend_name), for
        with the only backend of a volume type fenced its new volumes end in V(error). Where the service could not be
        unfenced, it is not fenced either. When nothing is fenced the task does not fail, and RV(reason) says why.
      - V(always) fences in any case. V(never) does not, and leaves a fence that is there.
      - Neither has a say in O(state=unfenced).
    type: str
    choices: [auto, always, never]
    default: auto
  reason:
    description: Text for the disabled reason, after the mark and the time. By default what is stopped.
    type: str
  timeout:
    description:
      - Seconds to wait until the API and, for V(cinder-volume), the scheduler show what was asked for.
      - Both read the flag from the database whenever they are asked or choose, so it takes as long as the database
        does; Nova's API answers only after nova-compute has set its trait in Placement.
    type: int
    default: 30
  second_way:
    description:
      - What to do when the API takes the request to enable and changes nothing. Cinder only.
      - V(database) enables in Cinder's database, in two columns of a row that still holds our reason; O(database) or
        O(service_config) says where it is.
      - V(thaw) freezes cinder-volume's backend through the API and thaws it at once, upon which cinder-volume enables
        itself. It must be up and in no cluster. For that moment, some hundredths of a second, the API refuses deletes
        and snapshots on that backend.
      - V(auto) uses the database where it is given, and then thaws. V(none) fails.
    type: str
    choices: [auto, database, thaw, none]
    default: auto
  database:
    description:
      - Cinder's database for O(second_way), reached from where the module runs. Parts given here go before those of the
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
        description: Path of the server's socket, instead of host and port.
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
        description: Path of the certificates that the server's is checked against.
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
      - Files of Cinder's configuration whose C([database]/connection) is used, where the module runs on a host that has
        them, such as V(/etc/kolla/cinder-volume/cinder.conf).
    type: list
    elements: path
  ignore_missing:
    description: Do nothing instead of failing where the API lists no such service.
    type: bool
    default: false
  cloud:
    description:
      - Name of a cloud in C(clouds.yaml).
      - With neither this nor O(auth) nor O(auth_type), openstacksdk takes what the environment says (C(OS_CLOUD)).
    type: str
  auth_type:
    description:
      - Name of keystoneauth's plugin, V(password) if not set.
      - V(none) is for an API without Keystone; it needs O(endpoint_override), and O(auth.token) if the API wants one.
    type: str
  auth:
    description:
      - What the plugin needs. Given without O(cloud), no C(clouds.yaml) and no environment has a say.
      - The account must be allowed to list and change services, which by default is for administrators.
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
        description: Domain to be scoped to, by name; with some clients also short for both domains above.
        type: str
      domain_id:
        description: Domain to be scoped to, by id.
        type: str
      default_domain_name:
        description: Domain of user and project where theirs is not given, by name.
        type: str
      default_domain_id:
        description: Domain of user and project where theirs is not given, by id.
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
          - A token. With O(auth_type=none) it is sent as it is, such as V(PROJECT:PROJECT) without Keystone.
        type: str
      endpoint:
        description: Address of the API for the plugins V(none) and V(admin_token).
        type: str
  region_name:
    description: Region whose endpoints are used.
    type: str
  interface:
    description: Which of the endpoints is used.
    type: str
    choices: [admin, internal, public]
    aliases: [endpoint_type]
  endpoint_override:
    description: Address of Cinder's or Nova's API, instead of the one in the catalogue.
    type: str
  validate_certs:
    description: Whether the API's certificate is checked, which it is if not set.
    type: bool
    aliases: [verify]
  ca_cert:
    description: Path of the certificates that the API's is checked against.
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
  - Where the module runs, Python 3.9 or later with openstacksdk; for O(database) PyMySQL, for O(service_config)
    oslo.config as well.
attributes:
  check_mode:
    description: Changes nothing, and says what would be.
    support: full
  diff_mode:
    description: Shows status and disabled reason before and after.
    support: full
author:
  - The kolla-drain developers
"""

EXAMPLES = r"""
- name: Give this host's backends no new volumes while they are emptied, where others can take them
  kolla_service:
    service: cinder-volume
    host: "{{ ansible_facts.nodename }}"
    state: fenced
    reason: upgrade to 2026.1
    cloud: kolla-admin
  delegate_to: localhost
  register: fence

- name: Give them new volumes again, whatever version of Cinder it is
  kolla_service:
    service: cinder-volume
    host: "{{ ansible_facts.nodename }}"
    state: unfenced
    cloud: kolla-admin
    database:
      host: 192.0.2.10
      name: cinder
      user: drain
      password: "{{ drain_database_password }}"
  delegate_to: localhost

- name: Fence nova-compute with an account given here
  kolla_service:
    service: nova-compute
    host: compute-1
    state: fenced
    fence: always
    auth:
      auth_url: https://192.0.2.1:5000
      username: admin
      password: "{{ keystone_admin_password }}"
      project_name: admin
      user_domain_name: Default
      project_domain_name: Default
    interface: internal
    ca_cert: /etc/ssl/certs/ca-certificates.crt

- name: Look at cinder-backup of a Cinder without Keystone
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
fenced:
  description: Whether none of the services asked for is given new work, whoever saw to that.
  returned: always
  type: bool
reason:
  description: What was done or not done with each service, and why.
  returned: always
  type: str
  sample: >-
    cinder-volume on storage-1@ceph is not fenced: no other enabled and living cinder-volume has its backend name ceph
services:
  description: The services asked for as they are now; in check mode as they would be.
  returned: always
  type: list
  elements: dict
  contains:
    id:
      description: Nova's id of the service, empty for Cinder, whose API tells none.
      returned: always
      type: str
    host:
      description: The service's host.
      returned: always
      type: str
      sample: storage-1@ceph
    binary:
      description: The service's binary.
      returned: always
      type: str
    zone:
      description: Its availability zone.
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
      description: Whether it is up.
      returned: always
      type: bool
    disabled_reason:
      description: As it stands there.
      returned: always
      type: str
      sample: "kolla-drain: fenced 2026-11-21T17:44:39Z upgrade to 2026.1"
    fenced_by_us:
      description: Whether it was disabled by this module.
      returned: always
      type: bool
    cluster:
      description: The cluster that it belongs to, empty if none.
      returned: always
      type: str
method:
  description:
    - How it was done, V(api), V(database) or V(thaw), or more than one of them, empty if nothing was done.
  returned: always
  type: str
undo:
  description: What a person can do to enable each service that is fenced by this module.
  returned: always
  type: list
  elements: str
  sample:
    - openstack compute service set --enable compute-1 nova-compute
"""

import time
import traceback

from ansible.module_utils.basic import AnsibleModule

from ansible.module_utils.kolla_drain.database.target import DATABASE_OPTIONS
from ansible.module_utils.kolla_drain.disable import apis as fence_api
from ansible.module_utils.kolla_drain.disable import client, model
from ansible.module_utils.kolla_drain.disable import database as fence_database
from ansible.module_utils.kolla_drain.disable import disabling as fence
from ansible.module_utils.kolla_drain.errors import KollaDrainError


def argument_spec():
    """The module's options; a test holds that they agree with DOCUMENTATION."""
    return {
        "service": {
            "type": "str",
            "required": True,
            "choices": [
                "cinder-backup",
                "cinder-scheduler",
                "cinder-volume",
                "nova-compute",
                "nova-conductor",
                "nova-scheduler",
            ],
        },
        "host": {"type": "str", "required": True},
        "state": {"type": "str", "required": True, "choices": ["fenced", "unfenced", "status"]},
        "fence": {"type": "str", "choices": ["auto", "always", "never"], "default": "auto"},
        "reason": {"type": "str"},
        "timeout": {"type": "int", "default": 30},
        "second_way": {"type": "str", "choices": ["auto", "database", "thaw", "none"], "default": "auto"},
        "database": {"type": "dict", "options": DATABASE_OPTIONS},
        "service_config": {"type": "list", "elements": "path"},
        "ignore_missing": {"type": "bool", "default": False},
        "cloud": {"type": "str"},
        "auth_type": {"type": "str"},
        "auth": {
            "type": "dict",
            # no_log on the secrets alone: on the whole it would mask "admin" and "cinder" in every sentence.
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


def wish_of(params, check_mode):
    """What is asked for, as the core knows it."""
    return model.Wish(
        service=params["service"],
        host=params["host"],
        state=params["state"],
        fence=params["fence"],
        reason=params["reason"] or "",
        timeout=float(params["timeout"]),
        second_way=params["second_way"],
        ignore_missing=params["ignore_missing"],
        check_mode=check_mode,
    )


def access_of(params):
    """The way to the API, as its adapter knows it."""
    return client.Access(
        cloud=params["cloud"],
        auth_type=params["auth_type"],
        auth=_given(params["auth"]),
        region_name=params["region_name"],
        interface=params["interface"],
        endpoint_override=params["endpoint_override"],
        validate_certs=params["validate_certs"],
        ca_cert=params["ca_cert"],
        client_cert=params["client_cert"],
        client_key=params["client_key"],
        api_timeout=float(params["api_timeout"]),
    )


def second_way_of(params):
    """Cinder's database, or None."""
    if params["second_way"] not in ("auto", "database"):
        return None
    way = fence_database.database_way(
        params["service"], _given(params["database"]), params["service_config"] or ()
    )
    if way is None and params["second_way"] == "database":
        raise model.FenceError("second_way is database, and there is none: give database or service_config")
    return way


def _given(suboptions):
    return {key: value for key, value in (suboptions or {}).items() if value is not None}


def _utc():
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def act(params, check_mode):
    """Do it, and return the outcome."""
    run = fence.Run(
        api=fence_api.api_for(params["service"], access_of(params)),
        wish=wish_of(params, check_mode),
        clock=model.Clock(time.monotonic, time.sleep, _utc),
        database=second_way_of(params),
        by_hand=fence_database.by_hand,
    )
    return run.go()


def described(row):
    """One service in the result."""
    return {
        "id": row.id,
        "host": row.host,
        "binary": row.binary,
        "zone": row.zone,
        "status": "enabled" if row.enabled else "disabled",
        "state": "up" if row.up else "down",
        "up": row.up,
        "disabled_reason": row.reason,
        "fenced_by_us": row.ours,
        "cluster": row.cluster,
    }


def result_of(outcome):
    """The whole result."""
    return {
        "changed": outcome.changed,
        "fenced": outcome.fenced,
        "reason": outcome.reason,
        "msg": outcome.reason,
        "services": [described(row) for row in outcome.rows],
        "method": outcome.method,
        "undo": list(outcome.undo),
    }


def diff_of(outcome):
    """Status and reason of each service, before and after."""
    return {"before": _lines(outcome.before), "after": _lines(outcome.rows)}


def _lines(rows):
    return "".join(
        f"{row.binary} on {row.host}: {'enabled' if row.enabled else 'disabled'}"
        + (f" ({row.reason})" if row.reason else "")
        + "\n"
        for row in rows
    )


def main():
    """Read the options, act, and answer Ansible."""
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
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
