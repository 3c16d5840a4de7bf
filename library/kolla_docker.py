#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: make, stop and look at Kolla's containers without losing the work inside them."""

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
  - Containers, images and volumes are created, compared and removed with the options that Kolla's services use. Equal
    means equal, whatever the spelling, so a second run changes nothing.
  - A container that a systemd unit C(kolla-NAME-container.service) owns is started through it. While the
    container drains its unit is held, so that it neither starts its container again nor cuts its time.
  - A process is signalled once, also when a run is repeated, was killed half way or has another beside it. A small
    record under C(/run/kolla-drain) on the managed host sees to that; a later run joins the stop under way.
options:
  action:
    description:
      - What to do.
      - V(stop_container) stops gracefully. V(stop_and_remove_container) also removes the container once it has
        stopped; its named volumes stay. V(restart_container) stops gracefully and starts the same container again.
      - V(start_container) creates the container if it is missing, with its volumes and its image, and starts it.
        Without O(image) it starts one that exists. One that exists and differs from the options is
        replaced, as by V(recreate_or_restart_container). With O(detach=false) it is run once to its end.
      - V(recreate_or_restart_container) restarts the container gracefully if it is as the options say, and else
        replaces it. The new one is created beside the old one, which serves on; then the old one is drained, the two
        swap names, and the new one is started. The old one is removed when the new one serves. If it does not within
        O(ready_timeout), the old one is put back and started, the task fails, and the new one is kept as
        C(NAME.failed) for its log. What an interrupted run left is put right by the next one.
      - With C(KOLLA_CONFIG_STRATEGY=COPY_ONCE) in O(environment) it is always replaced, for only a new container takes
        over a changed configuration.
      - V(reload_container) asks the service to read its configuration again, with SIGHUP or the signal of its profile,
        only where its process handles that, and sees that it serves on. Where it does not, O(reload_fallback) counts.
      - V(compare_container) tells whether the container is missing or differs from the options, and in what.
        V(compare_image) does so for its image alone. A container of Kolla's images that runs is also asked whether its
        configuration on the host has changed since it was copied, which is the setting C(config).
      - V(remove_container) removes one that does not run.
      - V(ensure_image) pulls an image that the host has not. V(pull_image) fetches what the registry has now, and is
        changed if that is another image. V(remove_image) removes one that no container is made of.
      - V(create_volume) and V(remove_volume) make and remove the volume O(name); one in use is not removed.
      - V(get_container_state) and V(get_container_env) read from the engine.
      - V(drain_status) tells what a stop would do and what is in flight now, and changes nothing.
    type: str
    required: true
    choices:
      - compare_container
      - compare_image
      - create_volume
      - drain_status
      - ensure_image
      - get_container_env
      - get_container_state
      - pull_image
      - recreate_or_restart_container
      - reload_container
      - remove_container
      - remove_image
      - remove_volume
      - restart_container
      - start_container
      - stop_and_remove_container
      - stop_container
  name:
    description:
      - The container's name or its id, of which the first 12 characters do; for V(create_volume) and V(remove_volume)
        the volume's. Actions on images take none.
      - For V(stop_container), V(stop_and_remove_container), V(reload_container) and V(drain_status) a list of
        them. They are stopped side by side, each to a verdict of its own; one that fails does not stop the others.
        V(start_container) takes several, too, if they exist and no O(image) is given.
      - V(drain_status) without it means all of Kolla's containers on the host, told by the label C(kolla_version) of
        its images, by their systemd units, or by having been made by this module.
    type: list
    elements: str
  graceful_shutdown:
    description:
      - With V(false) the engine's plain stop is used, with O(graceful_shutdown_timeout), and no evidence is read.
      - It goes with neither O(on_timeout=leave), O(quiesce=always), O(exit=freeze), O(stop_signal) nor O(idle_limit),
        and fails where a stop of the same process is under way.
    type: bool
    default: true
  graceful_shutdown_timeout:
    description:
      - Seconds from the start of the stop to its deadline, at least 1.
      - A stop that is under way keeps its deadline, unless a longer time is asked for here.
      - A new container also gets it as its StopTimeout, so that the engine's plain stop and a shutdown of the host give
        its work the same time. A container that differs in that alone is not another one and is not made anew for it.
      - V(180) if neither it nor O(common_options) says so.
    type: int
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
      - V(auto) does as the service's profile says, which is to wait for every Cinder service and nova-compute.
    type: str
    choices: [auto, always, never]
    default: auto
  exit:
    description:
      - How a service is ended once its evidence is empty.
      - V(signal) sends the stop signal and waits for the exit. A request that arrives meanwhile may be taken and lost
        by the service.
      - V(freeze) pauses the container, reads the evidence once more, and ends it by SIGKILL while it is frozen if
        nothing is in flight; whatever arrives later waits in the queue for the next start. If there is work it is
        thawed and waited for. No freeze is longer than 5 seconds, for a process of its own thaws it if the run dies.
      - V(auto) does as the service's profile says. V(freeze) can be had for the Cinder services, whose evidence shows
        every request that was accepted.
      - Where work does not end in its part of the budget, and where evidence cannot be read, the stop signal is sent in
        either way.
    type: str
    choices: [auto, signal, freeze]
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
    description:
      - The signal to send. By default the container's own StopSignal, or SIGTERM where it has none.
      - A new container also gets it as its StopSignal, by default that of its image, or SIGTERM. A container with
        another one differs, if it is given.
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
  broker:
    description:
      - How the service's queues are looked at, over the management API of the RabbitMQ in its O(service_config), with
        the service's own account. A queue that holds requests is one more operation to wait for before the stop signal.
      - It is a help and no condition. A broker that cannot be asked is told in the notes, and asked no more. It is not
        asked where a service is ended while frozen, for what is in its queues then waits there for the next start.
    type: dict
    suboptions:
      enabled:
        description: Whether the broker is asked at all.
        type: bool
        default: true
      management_port:
        description: TCP port of the management API, Kolla's rabbitmq_management_port.
        type: int
        default: 15672
      ssl_ca:
        description: Path on the managed host of the certificates that the broker's is checked against, with TLS.
        type: path
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
    description:
      - Seconds that the engine is given for calls that may take long, such as a removal or the next piece of a pull.
      - V(120) if neither it nor O(common_options) says so.
    type: int
  container_engine:
    description:
      - The container engine, V(docker) if neither it nor O(common_options) says so.
      - V(podman) needs the Python library podman on the managed host, and podman's service (C(podman.socket)).
    type: str
    choices: [docker, podman]
  common_options:
    description:
      - Options that many tasks share, such as Kolla's C(kolla_container_engine_common_options). Any option that has no
        default here, but O(action), O(name), O(image) and itself.
      - What the task gives itself wins. O(environment), O(labels) and O(dimensions) are merged key by key.
      - Kolla's C(auth_email), C(api_version) and C(tls_verify), C(tls_cert), C(tls_key), C(tls_cacert) are taken and
        mean nothing here.
    type: dict
  image:
    description:
      - The image of the container, C(latest) if it has no tag. Images are told apart by their ids, so a tag that has
        moved is a difference and another name of the same image is none.
      - Required to create or compare, and for the actions on images.
    type: str
  command:
    description: The command, a string that is split as a shell would or a list; by default the image's.
    type: raw
  environment:
    description:
      - Variables. Those of the image stay. Null is the empty value.
      - C(KOLLA_SERVICE_NAME) is always set, from O(name), as Kolla's images expect.
    type: dict
  labels:
    description: Labels beside those of the image. Names that begin with C(kolla-drain.) are the module's own.
    type: dict
  volumes:
    description:
      - Volumes by name, C(NAME:/PATH), folders of the host, C(/PATH:/PATH), each with modes if any, such as V(:ro),
        V(:shared) or V(:z); or a path in the container alone, for a volume without a name.
      - Volumes by name are created if they are missing. Empty entries are left out.
    type: list
    elements: str
  volumes_from:
    description: Containers whose volumes are mounted too.
    type: list
    elements: str
  tmpfs:
    description: Paths in the container to mount as tmpfs, with options if any, such as V(/run:size=64m).
    type: list
    elements: str
  dimensions:
    description:
      - Limits. C(mem_limit), C(mem_reservation), C(memswap_limit) and C(kernel_memory) are sizes such as V(1g);
        C(cpu_period), C(cpu_quota), C(cpu_shares) and C(blkio_weight) numbers; C(cpuset_cpus) and C(cpuset_mems) lists
        such as V(0-3); C(ulimits) a dictionary of names, each with C(soft) and C(hard).
      - What is not given is the engine's default. A limit that the engine dropped, for its kernel has none of the
        kind, is no difference.
    type: dict
  healthcheck:
    description:
      - C(test), C(interval), C(timeout), C(start_period) and C(retries), the times in seconds. V(NONE) as C(test) means
        no check; without this option the image's counts.
    type: dict
  privileged:
    description: Whether the container has all rights on the host, V(false) if not given.
    type: bool
  cap_add:
    description: Capabilities to add, as V(SYS_ADMIN) or V(CAP_SYS_ADMIN).
    type: list
    elements: str
  security_opt:
    description: Security options, such as V(label=disable).
    type: list
    elements: str
  ipc_mode:
    description: The IPC namespace, V(host), V(private), V(shareable), V(none) or V(container:NAME).
    type: str
  pid_mode:
    description: The process namespace, V(host), V(private) or V(container:NAME).
    type: str
  cgroupns_mode:
    description: The cgroup namespace, V(host) or V(private).
    type: str
  tty:
    description: Whether the container has a terminal, V(false) if not given.
    type: bool
  user:
    description: The user that the container's process runs as; by default the image's.
    type: str
  restart_policy:
    description:
      - When the engine starts the container again by itself, V(no) if not given. V(oneshot) is Kolla's word for never.
      - Where systemd is the host's PID 1 it is not the engine that does so, but a unit that the container gets, with a
        C(TimeoutStopSec) above O(graceful_shutdown_timeout). A unit that was changed by hand is left as it is.
    type: str
    choices: ["no", on-failure, oneshot, always, unless-stopped]
  restart_retries:
    description: How often with O(restart_policy=on-failure), V(10) if not given. Without that policy it is an error.
    type: int
  detach:
    description:
      - With V(false) O(action=start_container) runs the container to its end, returns RV(rc), RV(stdout) and
        RV(stderr), and fails if its exit code is not 0.
      - It waits as long as the container takes, which no option limits, for what was begun (a database migration) must
        not be cut; use Ansible's C(async) or C(timeout) where the task must come back. The run goes on then, and the
        next one of the same name refuses until it has ended.
      - What an interrupted run left is removed by the next one.
      - O(restart_policy) of O(common_options) does not count here.
      - V(true) if not given.
    type: bool
  remove_on_exit:
    description: Whether a container of O(detach=false) is removed when it has ended, V(true) if not given.
    type: bool
  auth_registry:
    description:
      - The registry that O(auth_username) and O(auth_password) are for; the engine's default one if not given. They are
        never sent to another.
    type: str
  auth_username:
    description: The account at the registry.
    type: str
  auth_password:
    description: Its password.
    type: str
  ready_timeout:
    description: Seconds that a new, restarted or reloaded container is given until it serves.
    type: float
    default: 120.0
  reload_fallback:
    description:
      - What to do where the process does not handle the reload signal. V(fail) says so, V(restart) restarts gracefully.
    type: str
    choices: [fail, restart]
    default: fail
requirements:
  - On the managed host Python 3.9 or later with the library docker or podman, as the engine is, and for evidence
    PyMySQL and oslo.config.
  - The rights of root on the managed host, for the engine and C(/run/kolla-drain).
attributes:
  check_mode:
    description: Changes nothing and returns the plan, what is in flight now, and what preflight finds.
    support: full
  diff_mode:
    description:
      - Shows the container's state before and after, or each setting that differs, old and new. Secrets are masked.
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

- name: Look at all that Kolla runs on the host
  kolla_docker:
    action: drain_status

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

- name: Would anything change?
  kolla_docker: &cinder_volume
    action: compare_container
    name: cinder_volume
    image: registry.example.org:4000/kolla/cinder-volume:2026.1
    privileged: true
    ipc_mode: host
    environment:
      KOLLA_CONFIG_STRATEGY: COPY_ALWAYS
    volumes:
      - /etc/kolla/cinder-volume/:/var/lib/kolla/config_files/:ro
      - /run:/run:shared
      - cinder:/var/lib/cinder
    dimensions:
      mem_limit: 4g
      ulimits:
        nofile:
          soft: 131072
          hard: 131072
    healthcheck:
      test: ["CMD-SHELL", "healthcheck_port cinder-volume 5672"]
      interval: 30
      timeout: 30
      start_period: 5
      retries: 3
    common_options:
      restart_policy: unless-stopped
  check_mode: true
  diff: true

- name: Create the container if it is missing, and start it
  kolla_docker:
    <<: *cinder_volume
    action: start_container

- name: Bring the schema up to date, in a container that is run once
  kolla_docker:
    action: start_container
    name: bootstrap_cinder
    image: registry.example.org:4000/kolla/cinder-api:2026.1
    command: cinder-manage db sync
    detach: false
    environment:
      KOLLA_BOOTSTRAP: ""
    volumes:
      - /etc/kolla/cinder-api/:/var/lib/kolla/config_files/:ro

- name: Fetch the image before anything is stopped
  kolla_docker:
    action: pull_image
    image: registry.example.org:4000/kolla/cinder-volume:2026.1
    auth_registry: registry.example.org:4000
    auth_username: kolla
    auth_password: "{{ docker_registry_password }}"

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
    exit:
      description: How it was ended, V(signal) or V(freeze); null if it was not, or not by a signal through the engine.
      returned: after a graceful stop
      type: str
      sample: freeze
    freezes:
      description: How often it was frozen; all but the last time work had come just before.
      returned: after a graceful stop
      type: int
    exit_code:
      description: Of the container, null while it runs. It proves nothing about the work.
      returned: after a stop
      type: int
    oom_killed:
      description: Whether the kernel ended it for lack of memory.
      returned: after a graceful stop
      type: bool
    quiesced:
      description: Seconds from the start of the stop to the signal, or to the end while frozen.
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
      returned: for O(action=restart_container) and O(action=recreate_or_restart_container)
      type: float
    removed:
      description: Whether the container was removed.
      returned: for O(action=stop_and_remove_container)
      type: bool
    ready_after:
      description: Seconds from its start, or from the reload signal, until it served.
      returned: after a start that was proved
      type: float
    ready_by:
      description: What proved that it serves, such as its heartbeat.
      returned: after a start that was proved
      type: str
    rolled_back:
      description: Whether the old container was put back and serves again, because the new one did not serve.
      returned: for O(action=recreate_or_restart_container), when it was replaced
      type: bool
    resumed:
      description: Whether an exchange that an earlier run had begun was brought to its end.
      returned: for O(action=recreate_or_restart_container) and O(action=start_container), when it was
      type: bool
    would:
      description: What would be done, such as recreate, restart or reload.
      returned: in check mode, for O(action=recreate_or_restart_container) and O(action=reload_container)
      type: str
    how:
      description: V(reload) or V(restart).
      returned: for O(action=reload_container)
      type: str
    reloaded:
      description: Whether it took the reload signal and serves on.
      returned: for O(action=reload_container)
      type: bool
    restarted:
      description: Whether it was restarted instead.
      returned: for O(action=reload_container)
      type: bool
    differences:
      description: As RV(differences).
      returned: for O(action=recreate_or_restart_container)
      type: list
      elements: dict
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
        exit: freeze
    operations:
      description:
        - Every operation that was seen in flight during the stop, with its outcome V(finished), V(interrupted) or
          V(unknown), its last status, and its fate if it did not finish, which is what the service will make of it at
          its next start. What is V(queued) came after a service was ended while frozen, and waits for that, which
          does it unless the fate says otherwise. V(dead) is true where the worker that did it had died.
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
    unit:
      description:
        - The systemd unit that owns the container, C(kolla-NAME-container.service), with its C(state), whether it is
          C(enabled), its C(restart) rule, the C(stop_timeout) that it gives a stop in seconds (null for no limit), its
          C(drop_ins), and whether a run of this module C(held) it at that moment.
        - After a stop or a start C(before) is its state before that. C(removed) is true if it went with its container,
          or because O(restart_policy) asks for none any more. Where systemd does not answer C(state) is V(unknown),
          with C(why).
      returned: where there is such a unit
      type: dict
      sample:
        name: kolla-cinder_volume-container.service
        state: inactive
        before: active
        enabled: enabled
        restart: always
        stop_timeout: 210.0
        drop_ins: []
        held: false
state:
  description: The container's state as the engine gives it.
  returned: for O(action=get_container_state)
  type: dict
env:
  description: The container's environment; values of variables that are named like a secret are masked.
  returned: for O(action=get_container_env)
  type: dict
differences:
  description:
    - The settings in which the container is not as asked for, with their old and new values. Secrets are masked.
    - Empty when it is missing; RV(status) says so.
  returned: for O(action=compare_container) and O(action=compare_image)
  type: list
  elements: dict
  sample:
    - setting: dimensions.mem_limit
      old: 0
      new: 1073741824
status:
  description: The container's status in the engine, V(absent) if there is none.
  returned: for O(action=compare_container) and O(action=compare_image)
  type: str
notes:
  description: What is not as asked for and still no difference, such as the StopTimeout, each with a code and a text.
  returned: for O(action=compare_container)
  type: list
  elements: dict
unit_written:
  description: Whether the container's systemd unit was written; RV(containers[].unit) tells its state.
  returned: for O(action=start_container) and O(action=recreate_or_restart_container), when it was
  type: bool
created:
  description: Whether the container was created.
  returned: for O(action=start_container), when it was
  type: bool
image_pulled:
  description: Whether the image was pulled for it.
  returned: for O(action=start_container), when the container was created
  type: bool
rc:
  description: The exit code of a container that was run to its end.
  returned: for O(detach=false), but not in check mode
  type: int
stdout:
  description: The last 256 KiB of what it wrote to its standard output.
  returned: for O(detach=false), but not in check mode
  type: str
stderr:
  description: The last 256 KiB of what it wrote to its standard error.
  returned: for O(detach=false), but not in check mode
  type: str
image:
  description: The image with its tag.
  returned: for the actions on images
  type: str
image_id:
  description: The image's id, empty if the host has none.
  returned: for the actions on images
  type: str
"""

import traceback

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible.module_utils.kolla_drain.actions import options
from ansible.module_utils.kolla_drain.actions import run as actions
from ansible.module_utils.kolla_drain.container.options import CONTAINER_OPTIONS, merged
from ansible.module_utils.kolla_drain.container.spec import Login
from ansible.module_utils.kolla_drain.database.target import DATABASE_OPTIONS
from ansible.module_utils.kolla_drain.errors import KollaDrainError, Refused
from ansible.module_utils.kolla_drain.masking import masked
from ansible.module_utils.kolla_drain.model import Exit, OnTimeout, Quiesce, StopRequest


def argument_spec():
    """The module's options; a test holds that they agree with DOCUMENTATION."""
    return {
        "action": {
            "type": "str",
            "required": True,
            "choices": [
                "compare_container",
                "compare_image",
                "create_volume",
                "drain_status",
                "ensure_image",
                "get_container_env",
                "get_container_state",
                "pull_image",
                "recreate_or_restart_container",
                "reload_container",
                "remove_container",
                "remove_image",
                "remove_volume",
                "restart_container",
                "start_container",
                "stop_and_remove_container",
                "stop_container",
            ],
        },
        "name": {"type": "list", "elements": "str"},
        "graceful_shutdown": {"type": "bool", "default": True},
        "graceful_shutdown_timeout": {"type": "int", "aliases": ["graceful_timeout"]},
        "on_timeout": {"type": "str", "choices": ["kill", "leave"], "default": "kill"},
        "quiesce": {"type": "str", "choices": ["auto", "always", "never"], "default": "auto"},
        "exit": {"type": "str", "choices": ["auto", "signal", "freeze"], "default": "auto"},
        "poll_interval": {"type": "float", "default": 2.0},
        "idle_limit": {"type": "float"},
        "stop_signal": {"type": "str"},
        "service": {"type": "str"},
        "service_config": {"type": "list", "elements": "path"},
        "database": {"type": "dict", "options": DATABASE_OPTIONS},
        "broker": {
            "type": "dict",
            "options": {
                "enabled": {"type": "bool", "default": True},
                "management_port": {"type": "int", "default": 15672},
                "ssl_ca": {"type": "path"},
            },
        },
        "preflight": {"type": "str", "choices": ["warn", "strict", "off"], "default": "warn"},
        "ignore_missing": {"type": "bool", "default": False},
        "client_timeout": {"type": "int"},
        "container_engine": {"type": "str", "choices": ["docker", "podman"]},
        "common_options": {"type": "dict"},
        "image": {"type": "str"},
        "command": {"type": "raw"},
        "environment": {"type": "dict"},
        "labels": {"type": "dict"},
        "volumes": {"type": "list", "elements": "str"},
        "volumes_from": {"type": "list", "elements": "str"},
        "tmpfs": {"type": "list", "elements": "str"},
        "dimensions": {"type": "dict"},
        "healthcheck": {"type": "dict"},
        "privileged": {"type": "bool"},
        "cap_add": {"type": "list", "elements": "str"},
        "security_opt": {"type": "list", "elements": "str"},
        "ipc_mode": {"type": "str"},
        "pid_mode": {"type": "str"},
        "cgroupns_mode": {"type": "str"},
        "tty": {"type": "bool"},
        "user": {"type": "str"},
        "restart_policy": {
            "type": "str",
            "choices": ["no", "on-failure", "oneshot", "always", "unless-stopped"],
        },
        "restart_retries": {"type": "int"},
        "detach": {"type": "bool"},
        "remove_on_exit": {"type": "bool"},
        "auth_registry": {"type": "str"},
        "auth_username": {"type": "str"},
        "auth_password": {"type": "str", "no_log": True},
        "ready_timeout": {"type": "float", "default": 120.0},
        "reload_fallback": {"type": "str", "choices": ["fail", "restart"], "default": "fail"},
    }


def common_spec():
    """What common_options may hold: the same options, but for those with a default, which would never count."""
    taken = {
        name: option
        for name, option in argument_spec().items()
        if "default" not in option and name not in ("action", "name", "image", "common_options")
    }
    ignored = ("auth_email", "api_version", "tls_verify", "tls_cert", "tls_key", "tls_cacert")
    return {**taken, **{name: {"type": "raw", "no_log": False} for name in ignored}}


def together(params):
    """The task's own options and the common ones in one. Raises Refused."""
    checked = ArgumentSpecValidator(common_spec()).validate(params["common_options"] or {})
    unknown = sorted(str(name) for name in checked.unsupported_parameters)
    if unknown:
        raise Refused(
            f"common_options holds {unknown[0]}, which is no option that tasks can share; take it out, or give it to "
            "the task itself."
        )
    if checked.error_messages:
        raise Refused(f"common_options cannot be used: {checked.error_messages[0].rstrip('.')}.")
    common = {name: checked.validated_parameters.get(name) for name in common_spec()}
    return merged(params, {name: value for name, value in common.items() if value is not None})


def secrets_of(params):
    """Values that no log and no result may hold, in the common options and in environments."""
    common = params.get("common_options")
    common = common if isinstance(common, dict) else {}
    database = common.get("database") if isinstance(common.get("database"), dict) else {}
    given = (common.get("auth_password"), database.get("password"), database.get("url"))
    found = {str(value) for value in given if value}
    for environment in (params.get("environment"), common.get("environment")):
        for name, value in (environment if isinstance(environment, dict) else {}).items():
            text = "" if value is None else str(value)
            # A switch or a single letter would be masked wherever it stands, in every word.
            if len(text) > 3 and text.lower() not in ("true", "false") and masked(str(name), text) != text:
                found.add(text)
    return found


class KollaModule(AnsibleModule):
    """Knows secrets that stand in free dictionaries before anything is logged."""

    def _log_invocation(self):
        self.no_log_values.update(secrets_of(self.params))
        super()._log_invocation()


def options_of(params, check_mode):
    """Options as the core knows them, from the module's parameters and the common ones together."""
    database = {key: value for key, value in (params["database"] or {}).items() if value is not None}
    timeout, client_timeout = params["graceful_shutdown_timeout"], params["client_timeout"]
    return options.Options(
        action=params["action"],
        names=tuple(params["name"] or ()),
        request=StopRequest(
            timeout=180.0 if timeout is None else float(timeout),
            on_timeout=OnTimeout(params["on_timeout"]),
            quiesce=Quiesce(params["quiesce"]),
            exit=Exit(params["exit"]),
            poll_interval=params["poll_interval"],
            signal=params["stop_signal"] or "",
            idle_limit=params["idle_limit"],
        ),
        graceful_shutdown=params["graceful_shutdown"],
        service=params["service"],
        service_config=tuple(params["service_config"] or ()),
        database=database,
        broker=params["broker"] or {},
        preflight=params["preflight"],
        ignore_missing=params["ignore_missing"],
        client_timeout=120 if client_timeout is None else client_timeout,
        check_mode=check_mode,
        image=params["image"] or "",
        container={name: params[name] for name in CONTAINER_OPTIONS},
        login=login_of(params),
        detach=params["detach"] is not False,
        remove_on_exit=params["remove_on_exit"] is not False,
        ready_timeout=params["ready_timeout"],
        reload_fallback=params["reload_fallback"],
        container_engine=params["container_engine"] or "docker",
    )


def login_of(params):
    """The login for the registry, if one is given. Raises Refused for half of one."""
    username, password = params["auth_username"] or "", params["auth_password"] or ""
    registry = params["auth_registry"] or ""
    if not username and not password:
        return None
    if not (username and password):
        raise Refused("auth_username and auth_password go together; give both, or none.")
    return Login(username, password, registry)


def main():
    """Read the options, act, and answer Ansible."""
    module = KollaModule(argument_spec=argument_spec(), supports_check_mode=True)
    module.no_log_values.update(secrets_of(module.params))
    try:
        result = actions.run(options_of(together(module.params), module.check_mode))
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
