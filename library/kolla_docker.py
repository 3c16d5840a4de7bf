#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: stop, restart and look at Kolla's containers without losing the work inside them."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: kolla_docker
short_description: Stop Kolla's containers without losing the work inside them
version_added: "0.1.0"
description:
  - Stops, restarts and looks at the containers in which Kolla runs OpenStack.
  - A stop has one budget, O(graceful_shutdown_timeout). First the module waits, with the service alive, until the
    service's own database shows no operation in flight. Then it sends the stop signal once, with the engine's kill,
    and watches the container's exit and the database. SIGKILL is sent only when the budget is used up.
  - After the exit every operation that was seen in flight is looked up again. The verdict rests on what the database
    shows, never on an exit code.
  - Where there is no database to read, or it cannot be read, the container's exit and the deadline decide, and the
    result says so.
  - A process is signalled once, also when a run is repeated, was killed half way or has another beside it. A small
    record under C(/run/kolla-drain) on the managed host sees to that; a later run joins the stop under way.
options:
  action:
    description:
      - What to do.
      - V(stop_container) stops gracefully. V(stop_and_remove_container) also removes the container once it has
        stopped; its named volumes stay. V(restart_container) stops gracefully and starts the same container again.
      - V(start_container) starts a container that exists. V(remove_container) removes one that does not run.
      - V(get_container_state) and V(get_container_env) read from the engine.
      - V(drain_status) tells what a stop would do and what is in flight now, and changes nothing.
    type: str
    required: true
    choices:
      - drain_status
      - get_container_env
      - get_container_state
      - remove_container
      - restart_container
      - start_container
      - stop_and_remove_container
      - stop_container
  name:
    description:
      - The container's name or its id, of which the first 12 characters do.
      - For V(stop_container), V(stop_and_remove_container) and V(drain_status) a list of them. They are stopped side
        by side, each to a verdict of its own; one that fails does not stop the others.
    type: list
    elements: str
    required: true
  graceful_shutdown:
    description:
      - With V(false) the engine's plain stop is used, with O(graceful_shutdown_timeout), and no evidence is read.
      - It goes with neither O(on_timeout=leave), O(quiesce=always), O(stop_signal) nor O(idle_limit), and fails where a
        stop of the same process is under way.
    type: bool
    default: true
  graceful_shutdown_timeout:
    description:
      - Seconds from the start of the stop to its deadline, at least 1.
      - A stop that is under way keeps its deadline, unless a longer time is asked for here.
    type: int
    default: 180
    aliases: [graceful_timeout]
  on_timeout:
    description:
      - What to do at the deadline.
      - V(kill) sends SIGKILL and sees it through. V(leave) fails and leaves the container as it is; a later run joins.
    type: str
    choices: [kill, leave]
    default: kill
  quiesce:
    description:
      - Whether to wait for empty evidence before the signal.
      - V(auto) does as the service's profile says, which is to wait for every Cinder service.
    type: str
    choices: [auto, always, never]
    default: auto
  poll_interval:
    description: Seconds between readings of the evidence. The container's exit is noticed at once, whatever this is.
    type: float
    default: 2.0
  idle_limit:
    description:
      - Seconds after which a service that was signalled, has nothing in flight and still does not exit is sent SIGKILL
        ahead of the deadline.
      - Counts only for services whose evidence shows all of their work, which of those known here is cinder-backup.
        Not set, no container is ever killed before its deadline.
    type: float
  stop_signal:
    description: The signal to send. By default the container's own StopSignal, or SIGTERM where it has none.
    type: str
  service:
    description:
      - What runs in the containers, which decides where evidence is read.
      - One of V(cinder-volume), V(cinder-backup), V(cinder-scheduler), V(nova-compute), V(nova-conductor),
        V(nova-scheduler), or V(none) for a container without evidence. By default told by the container's name.
    type: str
  service_config:
    description:
      - The service's own configuration files on the managed host, later ones win. Read for its host name, backends,
        database and time-outs, and never printed.
      - By default told by the container's name, such as V(/etc/kolla/cinder-volume/cinder.conf) for cinder_volume.
    type: list
    elements: path
  database:
    description:
      - The service's database, if it is not the one in O(service_config). Parts given here go before those of the URL.
      - The account needs SELECT on a few tables and nothing else; the connection is made read-only.
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
        description: Account to read with.
        type: str
      password:
        description: Password of the account.
        type: str
      name:
        description: Name of the database.
        type: str
      ssl_ca:
        description: Path on the managed host of the certificates that the server's is checked against.
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
  preflight:
    description:
      - What to do with faults that are found beforehand, such as a PID 1 that does not handle the signal or a
        time-out of the service that is not below ours.
      - V(warn) warns and goes on, V(strict) fails before anything is touched, V(off) does not look for them.
      - V(strict) also reads the evidence once, and fails if it cannot be read.
    type: str
    choices: [warn, strict, "off"]
    default: warn
  ignore_missing:
    description:
      - For V(stop_container), V(restart_container) and V(drain_status) a container that does not exist gets the verdict
        V(absent) instead of an error.
      - V(stop_and_remove_container) and V(remove_container) never mind one that does not exist.
    type: bool
    default: false
  client_timeout:
    description: Seconds that the engine is given for calls that may take long, such as a removal.
    type: int
    default: 120
  container_engine:
    description: The container engine.
    type: str
    choices: [docker]
    default: docker
requirements:
  - On the managed host Python 3.9 or later with docker, and for evidence PyMySQL and oslo.config.
  - The rights of root on the managed host, for the engine and C(/run/kolla-drain).
attributes:
  check_mode:
    description: Changes nothing and returns the plan, what is in flight now, and what preflight finds.
    support: full
  diff_mode:
    description: Shows the container's state before and after.
    support: full
author:
  - The kolla-drain developers
"""

EXAMPLES = r"""
- name: Stop cinder-volume, with ten minutes for the work that is in flight
  kolla_docker:
    action: stop_container
    name: cinder_volume
    graceful_shutdown_timeout: 600

- name: Look before you stop
  kolla_docker:
    action: drain_status
    name:
      - cinder_volume
      - cinder_backup
  register: status

- name: Stop three services side by side; never kill, fail instead
  kolla_docker:
    action: stop_container
    name:
      - nova_compute
      - nova_conductor
      - nova_scheduler
    on_timeout: leave

- name: Read evidence with an account that can do nothing else
  kolla_docker:
    action: stop_container
    name: nova_compute
    database:
      host: 192.0.2.10
      name: nova
      user: drain
      password: "{{ drain_database_password }}"

- name: Restart a container that has no evidence
  kolla_docker:
    action: restart_container
    name: memcached
    service: none
"""

RETURN = r"""
containers:
  description:
    - One entry a container, in the order of O(name). With one name its keys are at the top level too.
    - In check mode and for O(action=drain_status) the keys from RV(containers[].plan) to RV(containers[].status).
  returned: for the stop actions, O(action=restart_container), O(action=start_container) and O(action=drain_status)
  type: list
  elements: dict
  contains:
    name:
      description: The container's name.
      returned: always
      type: str
    id:
      description: The container's id.
      returned: always
      type: str
    verdict:
      description:
        - V(drained) exited and every recorded operation finished. V(cut) exited by itself and left operations
          unfinished. V(killed) ended by SIGKILL. V(left_running) runs on after the deadline. V(already_stopped),
          V(absent). V(unverified) exited, and there was no evidence to judge by, or none that tells of its work.
        - Null when the stop failed before it could come to one.
      returned: after a stop
      type: str
      sample: drained
    reason:
      description: Why it is that verdict, in words.
      returned: after a stop
      type: str
      sample: exited by itself with exit code 0, 1 operation finished
    joined:
      description: Whether a stop was under way already and was joined.
      returned: after a graceful stop
      type: bool
    signal:
      description: The stop signal that the process has had, empty if none was sent.
      returned: after a graceful stop
      type: str
      sample: SIGTERM
    exit_code:
      description: Of the container, null while it runs. It proves nothing about the work.
      returned: after a stop
      type: int
    oom_killed:
      description: Whether the kernel ended it for lack of memory.
      returned: after a graceful stop
      type: bool
    quiesced:
      description: Seconds from the start of the stop to the signal.
      returned: after a graceful stop
      type: float
    drained:
      description: Seconds from the signal to the exit, null if one of them did not happen.
      returned: after a stop
      type: float
    timeout:
      description: The budget in seconds that was in force.
      returned: after a stop
      type: float
    gap:
      description: Seconds from the old process's exit to the new one's start, by the engine's clock.
      returned: for O(action=restart_container)
      type: float
    removed:
      description: Whether the container was removed.
      returned: for O(action=stop_and_remove_container)
      type: bool
    plan:
      description: How the budget is divided, with the reason, and which signal is sent.
      returned: after a graceful stop, in check mode and for O(action=drain_status)
      type: dict
      sample:
        signal: SIGTERM
        timeout: 180.0
        quiesce: 165.0
        drain: 15.0
        reason: "the last 15 s are kept for the drain: an idle cinder-volume takes up to 15 s to exit"
    operations:
      description:
        - Every operation that was seen in flight during the stop, with its outcome V(finished), V(interrupted) or
          V(unknown), its last status, and its fate if it did not finish, which is what the service will make of it at
          its next start. V(dead) is true where the worker that did it had died.
        - In check mode and for O(action=drain_status) what is in flight now.
      returned: after a graceful stop, in check mode and for O(action=drain_status)
      type: list
      elements: dict
      sample:
        - kind: volume_create
          id: 7d0c2f3e-4b0e-4f0a-9d0c-0d6c1f5b7a11
          status: creating
          since: "2026-11-21T10:00:00Z"
          claimed: true
          outcome: finished
          last_status: available
          fate: ""
          dead: false
    standing:
      description: States that can last for days, such as attaching; they inform and are not waited for.
      returned: after a graceful stop, in check mode and for O(action=drain_status)
      type: list
      elements: dict
    heartbeat:
      description: The service's own signs of life, one row each, and what they say.
      returned: after a graceful stop, in check mode and for O(action=drain_status)
      type: dict
    evidence:
      description: V(ok), V(unavailable), or V(none) for a container without evidence.
      returned: after a graceful stop, in check mode and for O(action=drain_status)
      type: str
      sample: ok
    evidence_why:
      description: Why evidence was not to be had, or when it was not.
      returned: after a graceful stop, in check mode and for O(action=drain_status)
      type: str
    preflight:
      description: Faults found before the stop, each with a code and a text.
      returned: after a graceful stop, in check mode and for O(action=drain_status)
      type: list
      elements: dict
      sample: []
    notes:
      description: What is in order and good to know, in the form of RV(containers[].preflight).
      returned: after a graceful stop, in check mode and for O(action=drain_status)
      type: list
      elements: dict
      sample: []
    timeline:
      description: What happened, each with its second.
      returned: after a graceful stop
      type: list
      elements: dict
      sample:
        - at: 4.1
          event: "SIGTERM sent: its evidence showed no operation 2 readings running"
    draining:
      description: By whom and since when a stop is under way, empty if none is.
      returned: in check mode and for O(action=drain_status)
      type: str
    service:
      description: The profile that is used.
      returned: after a graceful stop, in check mode and for O(action=drain_status)
      type: str
    status:
      description: The container's status in the engine.
      returned: in check mode and for O(action=drain_status)
      type: str
state:
  description: The container's state as the engine gives it.
  returned: for O(action=get_container_state)
  type: dict
env:
  description: The container's environment; values of variables that are named like a secret are masked.
  returned: for O(action=get_container_env)
  type: dict
"""

import traceback

from ansible.module_utils.basic import AnsibleModule

from ansible.module_utils.kolla_drain import actions
from ansible.module_utils.kolla_drain.errors import KollaDrainError
from ansible.module_utils.kolla_drain.model import OnTimeout, Quiesce, StopRequest


def argument_spec():
    """The module's options; a test holds that they agree with DOCUMENTATION."""
    return {
        "action": {
            "type": "str",
            "required": True,
            "choices": [
                "drain_status",
                "get_container_env",
                "get_container_state",
                "remove_container",
                "restart_container",
                "start_container",
                "stop_and_remove_container",
                "stop_container",
            ],
        },
        "name": {"type": "list", "elements": "str", "required": True},
        "graceful_shutdown": {"type": "bool", "default": True},
        "graceful_shutdown_timeout": {"type": "int", "default": 180, "aliases": ["graceful_timeout"]},
        "on_timeout": {"type": "str", "choices": ["kill", "leave"], "default": "kill"},
        "quiesce": {"type": "str", "choices": ["auto", "always", "never"], "default": "auto"},
        "poll_interval": {"type": "float", "default": 2.0},
        "idle_limit": {"type": "float"},
        "stop_signal": {"type": "str"},
        "service": {"type": "str"},
        "service_config": {"type": "list", "elements": "path"},
        "database": {
            "type": "dict",
            # no_log on the secrets alone: on the whole it would mask the database's name wherever that appears.
            "options": {
                "url": {"type": "str", "no_log": True},
                "host": {"type": "str"},
                "port": {"type": "int"},
                "unix_socket": {"type": "path"},
                "user": {"type": "str"},
                "password": {"type": "str", "no_log": True},
                "name": {"type": "str"},
                "ssl_ca": {"type": "path"},
                "ssl_cert": {"type": "path"},
                "ssl_key": {"type": "path", "no_log": False},
                "ssl_verify": {"type": "bool"},
                "connect_timeout": {"type": "float"},
                "read_timeout": {"type": "float"},
            },
        },
        "preflight": {"type": "str", "choices": ["warn", "strict", "off"], "default": "warn"},
        "ignore_missing": {"type": "bool", "default": False},
        "client_timeout": {"type": "int", "default": 120},
        "container_engine": {"type": "str", "choices": ["docker"], "default": "docker"},
    }


def options_of(params, check_mode):
    """Options as the core knows them, from the module's parameters."""
    database = {key: value for key, value in (params["database"] or {}).items() if value is not None}
    return actions.Options(
        action=params["action"],
        names=tuple(params["name"]),
        request=StopRequest(
            timeout=float(params["graceful_shutdown_timeout"]),
            on_timeout=OnTimeout(params["on_timeout"]),
            quiesce=Quiesce(params["quiesce"]),
            poll_interval=params["poll_interval"],
            signal=params["stop_signal"] or "",
            idle_limit=params["idle_limit"],
        ),
        graceful_shutdown=params["graceful_shutdown"],
        service=params["service"],
        service_config=tuple(params["service_config"] or ()),
        database=database,
        preflight=params["preflight"],
        ignore_missing=params["ignore_missing"],
        client_timeout=params["client_timeout"],
        check_mode=check_mode,
    )


def main():
    """Read the options, act, and answer Ansible."""
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    try:
        result = actions.run(options_of(module.params, module.check_mode))
    except KollaDrainError as exc:
        module.fail_json(msg=str(exc), exception=traceback.format_exc())
    for text in result.pop("warnings"):
        module.warn(text)
    diff = result.pop("diff")
    if module._diff and diff:
        result["diff"] = diff
    if result.pop("failed"):
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
