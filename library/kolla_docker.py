#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: create, stop and inspect Kolla's containers without losing the work inside them."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: kolla_docker
short_description: Stop Kolla's containers without losing the work inside them
version_added: "0.1.0"
description:
  - Stops, restarts, creates, compares and inspects the containers in which Kolla runs OpenStack.
  - A stop has one budget, O(graceful_shutdown_timeout). The module first waits, while the service keeps running, until
    the service's own database shows no operation in flight. It then sends the stop signal once, with the engine's
    kill, and watches the container's exit and the database. SIGKILL is sent only when the budget is used up.
  - After the exit the module looks up every operation that was in flight. The verdict rests on what the database
    shows, never on an exit code.
  - Without a database, or when it cannot be read, the container's exit and the deadline decide, and the result says so.
  - Containers, images and volumes are created, compared and removed with the options that Kolla's services use.
    Different spellings of the same value are equal, so a second run changes nothing.
  - A container that is owned by a systemd unit C(kolla-NAME-container.service) is started through that unit. The unit
    is held while the container drains, so that it neither starts the container again nor cuts its time.
  - A process gets the stop signal once, even if a run is repeated, was killed half way or has another run beside it. A
    small record under C(/run/kolla-drain) on the managed host ensures that; a later run joins the stop under way.
notes:
  - What may take long runs in the background of the managed host, and what happens there is shown line by line on
    standard error. The drain goes on to its end whatever becomes of the connection and of the controller, so Ctrl-C
    does not cancel it; the next run joins it, or tells what it came to. C(docs/progress.rst) has the details.
  - The variable C(kolla_drain_progress=false) runs the module as any other and shows nothing.
options:
  action:
    description:
      - What to do.
      - V(stop_container) stops gracefully. V(stop_and_remove_container) also removes the container once it has
        stopped; its named volumes stay. V(restart_container) stops gracefully and starts the same container again.
      - V(start_container) creates the container if it is missing, with its volumes and its image, and starts it.
        Without O(image) it starts an existing container. A container that differs from the options is replaced, as by
        V(recreate_or_restart_container). With O(detach=false) the container is run once to its end.
      - V(recreate_or_restart_container) restarts the container gracefully if it is as the options say, and otherwise
        replaces it. The new container is created while the old one serves; then the old one is drained, the two swap
        names, and the new one is started. The old one is removed once the new one serves. If that takes longer than
        O(ready_timeout), the old one is put back and started, the task fails, and the new one is kept as
        C(NAME.failed) for its log. The next run repairs what an interrupted run left.
      - With C(KOLLA_CONFIG_STRATEGY=COPY_ONCE) in O(environment) V(recreate_or_restart_container) always replaces the
        container, because only a new container takes over a changed configuration.
      - V(reload_container) asks the service to read its configuration again, with SIGHUP or the signal of its profile.
        The signal is sent only if the process handles it, and the module checks that the service still serves
        afterwards. Otherwise O(reload_fallback) decides.
      - V(compare_container) reports whether the container is missing or differs from the options, and in which
        settings; a systemd unit that has to be written counts as a change. V(compare_image) compares the image alone. A
        running container of Kolla's images is also asked whether its configuration on the host has changed since it
        was copied, which is reported as the setting C(config).
      - V(remove_container) removes a container that does not run.
      - V(ensure_image) pulls an image that the host does not have. V(pull_image) pulls the registry's current image,
        and is changed if that is another one. V(remove_image) removes an image that no container uses.
      - V(create_volume) and V(remove_volume) create and remove the volume O(name); a volume in use is not removed.
      - V(get_container_state) and V(get_container_env) read from the engine.
      - V(drain_status) reports what a stop would do and what is in flight now, and changes nothing. Services whose rows
        leave a doubt are asked by SIGUSR2 what they work on, and print a Guru Meditation Report into the
        container's log; a stop asks them, too. Check mode does not.
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
      - Name or id of the container, of which the first 12 characters suffice; for V(create_volume) and
        V(remove_volume) the name of the volume. Actions on images take none.
      - V(stop_container), V(stop_and_remove_container), V(reload_container) and V(drain_status) take a list. The
        containers are stopped side by side, each to a verdict of its own; one that fails does not stop the others.
        V(start_container) also takes a list, of existing containers and without O(image).
      - V(drain_status) without a name means all of Kolla's containers on the host. They are recognised by the label
        C(kolla_version) of their image, by their systemd unit, or because this module created them. Those that an agent
        of Neutron has made for a network or a router are left out, because the agent starts and ends them.
    type: list
    elements: str
  graceful_shutdown:
    description:
      - V(false) selects the engine's plain stop, with O(graceful_shutdown_timeout), which reads no evidence.
      - The plain stop cannot be combined with O(on_timeout=leave), O(quiesce=always) or O(stop_signal), and it fails
        while a stop of the same process is under way.
    type: bool
    default: true
  graceful_shutdown_timeout:
    description:
      - Seconds from the start of the stop to its deadline, from 1 to 2000000.
      - A stop that is under way keeps its deadline, unless a longer time is asked for here.
      - A new container also gets it as its StopTimeout, so that the engine's plain stop and a shutdown of the host give
        its work the same time. A container that differs in its StopTimeout alone is not replaced.
      - V(180) if neither it nor O(common_options) sets it.
    type: int
    aliases: [graceful_timeout]
  on_timeout:
    description:
      - What to do at the deadline.
      - V(kill) sends SIGKILL and waits for the exit. V(leave) fails and leaves the container as it is; a later run
        joins the stop.
    type: str
    choices: [kill, leave]
    default: kill
  quiesce:
    description:
      - Whether to wait before the signal until nothing is in flight.
      - V(auto) follows the service's profile, which is to wait for every Cinder service and for nova-compute.
    type: str
    choices: [auto, always, never]
    default: auto
  poll_interval:
    description:
      - Seconds between readings of the evidence. The container's exit is noticed at once in any case.
      - A stop reads less often the longer it waits, after ten times this long every tenth of the time that it has
        waited so far, and every 30 seconds at the least. After a reading that took long it pauses for twenty times as
        long, up to 10 seconds, unless it failed. Pauses vary by a fifth at random, so that many hosts do not read in
        step.
    type: float
    default: 2.0
  ignore_operations:
    description:
      - Ids of operations that are passed over by a stop, a reload and V(drain_status), whatever their rows say. The
        result lists them in RV(containers[].passed_over); they are not waited for and do not count as lost.
      - The id is that of the resource, as in RV(containers[].operations). One that no operation has is noted.
      - Rows that were left behind before the process began are passed over without being named here.
    type: list
    elements: str
  stop_signal:
    description:
      - The signal to send. The default is the one that the program in the container drains on, which is SIGWINCH for
        Apache, SIGQUIT for nginx and SIGUSR1 for HAProxy; else the container's own StopSignal, or SIGTERM if it has
        none.
      - A new container also gets it as its StopSignal; the default is the one that Kolla's program of that name drains
        on, else that of its image, or SIGTERM. If this option is given, a container with another StopSignal differs.
    type: str
  service:
    description:
      - The service that runs in the containers, which decides where evidence is read.
      - A service such as V(cinder-volume), V(nova-compute) or V(manila-share), V(requests) for an API or another server
        whose connections are its work, or V(none) for a container without evidence; C(docs/services.rst) lists them.
        The default follows from the container's name, its E(KOLLA_SERVICE_NAME), its image's label and name, or the
        command that runs in it.
    type: str
  service_config:
    description:
      - The service's own configuration files on the managed host; later ones win. The module reads the host name, the
        backends, the database and the time-outs from them, and never prints their values.
      - By default, and where these files are those that the container copies at its start, they are those that the
        service's process has read, as it sees them in its container. Where they cannot be seen, they are those of the
        folder that is mounted at V(/var/lib/kolla/config_files), or follow from the container's name, or else from the
        service, such as V(/etc/kolla/cinder-volume/cinder.conf) for cinder_volume.
    type: list
    elements: path
  database:
    description:
      - The service's database, if it is not the one in O(service_config). Parts given here override those of the URL.
      - The account needs SELECT on a few columns, which C(docs/database-account.rst) lists, and nothing else. The
        connection is read-only.
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
        description: Path on the managed host of the CA certificates that verify the server.
        type: path
      ssl_cert:
        description: Path of the client's certificate.
        type: path
      ssl_key:
        description: Path of the client's key.
        type: path
      ssl_verify:
        description: Whether to verify the server's certificate and host name.
        type: bool
      connect_timeout:
        description: Seconds to wait for a connection, V(5) if not set.
        type: float
      read_timeout:
        description: Seconds to wait for an answer, V(5) if not set.
        type: float
  preflight:
    description:
      - What to do about faults that are found before the stop, such as a PID 1 that does not handle the signal, or a
        time-out of the service that is not below O(graceful_shutdown_timeout).
      - V(warn) warns and goes on, V(strict) fails before anything is touched, V(off) does not look for faults.
      - V(strict) also reads the evidence once, and fails if it cannot be read.
      - Before a cinder-volume is started, restarted or replaced, what other processes are creating under the name of
        its row is a fault as well, because the start sets it to error.
    type: str
    choices: [warn, strict, "off"]
    default: warn
  ignore_missing:
    description:
      - Whether V(stop_container), V(restart_container), V(reload_container) and V(drain_status) give a container that
        does not exist the verdict V(absent) instead of failing.
      - V(stop_and_remove_container) and V(remove_container) always accept a container that does not exist.
    type: bool
    default: false
  client_timeout:
    description:
      - Seconds to wait for engine calls that may take long, such as a removal or the next piece of a pull.
      - V(120) if neither it nor O(common_options) sets it.
    type: int
  container_engine:
    description:
      - The container engine, V(docker) if neither it nor O(common_options) sets it.
      - V(podman) needs the Python library podman on the managed host, and podman's service (C(podman.socket)).
    type: str
    choices: [docker, podman]
  common_options:
    description:
      - Options that many tasks share, such as Kolla's C(kolla_container_engine_common_options). Any option that has no
        default here is accepted, except O(action), O(name), O(image) and O(common_options) itself.
      - Options of the task itself win. O(environment), O(labels) and O(dimensions) are merged key by key.
      - Kolla's C(auth_email), C(api_version) and C(tls_verify), C(tls_cert), C(tls_key), C(tls_cacert) are accepted and
        have no effect.
    type: dict
  image:
    description:
      - The image of the container, with the tag C(latest) if it has none. Images are compared by their ids, so a tag
        that has moved is a difference, and another name of the same image is none.
      - Required to create or compare, and for the actions on images.
    type: str
  command:
    description: The command, as a list or as a string that is split as a shell would; the default is the image's.
    type: raw
  environment:
    description:
      - Variables beside those of the image. Null is the empty value.
      - C(KOLLA_SERVICE_NAME) is always set, from O(name), as Kolla's images expect.
    type: dict
  labels:
    description: Labels beside those of the image. Names that begin with C(kolla-drain.) belong to the module.
    type: dict
  volumes:
    description:
      - Named volumes, C(NAME:/PATH), and folders of the host, C(/PATH:/PATH), each with optional modes such as V(:ro),
        V(:shared) or V(:z); or a path in the container alone, for an anonymous volume.
      - Named volumes are created if they are missing. Empty entries are ignored.
    type: list
    elements: str
  volumes_from:
    description: Containers whose volumes are mounted too.
    type: list
    elements: str
  tmpfs:
    description: Paths in the container to mount as tmpfs, with optional options, such as V(/run:size=64m).
    type: list
    elements: str
  dimensions:
    description:
      - Limits. C(mem_limit), C(mem_reservation), C(memswap_limit) and C(kernel_memory) are sizes such as V(1g);
        C(cpu_period), C(cpu_quota), C(cpu_shares) and C(blkio_weight) are numbers; C(cpuset_cpus) and C(cpuset_mems)
        are lists such as V(0-3); C(ulimits) is a dictionary of names, each with C(soft) and C(hard).
      - With podman the limits C(RLIMIT_NOFILE) and C(RLIMIT_NPROC), which Kolla's roles give to every container, are
        left to podman, as kolla-ansible leaves them.
      - Limits that are not given have the engine's default. A limit that the engine dropped because the kernel does not
        support it is no difference.
    type: dict
  healthcheck:
    description:
      - C(test), C(interval), C(timeout), C(start_period) and C(retries), with times in seconds. V(NONE) as C(test)
        disables the check; without this option the image's check is used.
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
    description: The user that the container's process runs as; the default is the image's.
    type: str
  restart_policy:
    description:
      - When the container is started again without a request, V(no) if not given. V(oneshot) is Kolla's word for never.
      - On a host that was booted with systemd the engine does not do this. The container gets a systemd unit instead,
        with a C(TimeoutStopSec) above O(graceful_shutdown_timeout). A unit that was changed by hand is left as it is.
    type: str
    choices: ["no", on-failure, oneshot, always, unless-stopped]
  restart_retries:
    description: Restarts with O(restart_policy=on-failure), V(10) if not given; an error with any other policy.
    type: int
  detach:
    description:
      - With V(false) O(action=start_container) runs the container to its end, returns RV(rc), RV(stdout) and
        RV(stderr), and fails if the exit code is not 0.
      - The run has no time limit, because work that has begun, such as a database migration, must not be cut. Use
        Ansible's C(async) or C(timeout) where the task must come back; the container then goes on, and the next run of
        the same name is refused until it has ended.
      - The next run removes what an interrupted run left.
      - O(restart_policy) of O(common_options) does not count here.
      - V(true) if not given.
    type: bool
  remove_on_exit:
    description: Whether to remove a container of O(detach=false) when it has ended, V(true) if not given.
    type: bool
  auth_registry:
    description:
      - The registry of O(auth_username) and O(auth_password), which are never sent to another one. The default is the
        engine's default registry.
    type: str
  auth_username:
    description: The account at the registry.
    type: str
  auth_password:
    description: The password of that account.
    type: str
  ready_timeout:
    description:
      - Seconds to wait until a new, restarted or reloaded container serves. What did not serve before the stop, a
        heartbeat that was down or a healthcheck that said unhealthy, is warned of and not waited for.
      - A healthcheck is judged at the end of that time. One that has not counted by then, because its interval or its
        start period is longer, proves nothing; the container then counts as serving if its process stays, and the
        result warns.
      - Where the service's configuration sets C(report_interval), the time is at least three of these intervals.
    type: float
    default: 120.0
  reload_fallback:
    description:
      - What to do if the process does not handle the reload signal. V(fail) fails, V(restart) restarts gracefully.
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

- name: See what is in flight before a stop
  kolla_docker:
    action: drain_status
    name:
      - cinder_volume
      - cinder_backup
  register: status

- name: See what is in flight in all of Kolla's containers on the host
  kolla_docker:
    action: drain_status

- name: Stop three services side by side, and fail at the deadline instead of killing them
  kolla_docker:
    action: stop_container
    name:
      - nova_compute
      - nova_conductor
      - nova_scheduler
    on_timeout: leave

- name: Read evidence with an account of its own, which needs no other rights
  kolla_docker:
    action: stop_container
    name: nova_compute
    database:
      host: 192.0.2.10
      name: nova
      user: drain
      password: "{{ kolla_drain_database_password }}"

- name: Compare the container with what it should be
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

- name: Migrate the database in a container that is run once
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

- name: Pull the image before anything is stopped
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
    - In check mode and for O(action=drain_status) an entry holds the plan and what is in flight now.
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
        - V(drained) means that it exited and every recorded operation finished, V(cut) that it exited by itself and
          left operations unfinished, V(killed) that SIGKILL ended it, V(left_running) that it still runs after the
          deadline, V(unverified) that it exited and no evidence shows what became of its work. V(already_stopped)
          and V(absent) speak for themselves.
        - Null if the stop failed without a verdict.
      returned: after a stop
      type: str
      sample: drained
    reason:
      description: The reason for the verdict.
      returned: after a stop
      type: str
      sample: exited by itself with exit code 0, 1 operation finished
    joined:
      description:
        - Whether the run joined a stop that was already under way. Its operations and events are told from the
          beginning of that stop.
      returned: after a graceful stop
      type: bool
    signal:
      description: The stop signal that the process was sent, empty if none was.
      returned: after a graceful stop
      type: str
      sample: SIGTERM
    exit_code:
      description: The container's exit code, null while it runs. It proves nothing about the work.
      returned: after a stop
      type: int
    oom_killed:
      description: Whether the kernel killed the container for lack of memory.
      returned: after a graceful stop
      type: bool
    quiesced:
      description: Seconds from the start of the stop to the signal.
      returned: after a graceful stop
      type: float
    drained:
      description: Seconds from the signal to the exit, null if either did not happen.
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
    unattributed_at_start:
      description:
        - What other processes may have been working on that the start has set to error, because they report in the
          same row of Cinder's C(services), in the form of RV(containers[].operations) without an outcome.
      returned: after a start of cinder-volume, where its row is or may be shared
      type: list
      elements: dict
      sample: []
    removed:
      description: Whether the container was removed.
      returned: for O(action=stop_and_remove_container)
      type: bool
    ready_after:
      description: Seconds from the start, or from the reload signal, until the container served.
      returned: after a start that was proved
      type: float
    ready_by:
      description: What proved that the container serves, such as its heartbeat.
      returned: after a start that was proved
      type: str
    ready_timeout:
      description: Seconds that the container was given to serve.
      returned: after a start or a reload, where they are more than O(ready_timeout)
      type: float
    rolled_back:
      description: Whether the old container was put back and serves again, because the new one did not serve.
      returned: for O(action=recreate_or_restart_container), when it was replaced
      type: bool
    resumed:
      description: Whether the run finished an exchange that an earlier run had begun.
      returned: for O(action=recreate_or_restart_container) and O(action=start_container), when it was
      type: bool
    would:
      description: What would be done, such as C(recreate), C(restart) or C(reload).
      returned: in check mode, for O(action=recreate_or_restart_container) and O(action=reload_container)
      type: str
    how:
      description: V(reload) or V(restart).
      returned: for O(action=reload_container)
      type: str
    reloaded:
      description: Whether the service was sent the reload signal and still serves.
      returned: for O(action=reload_container)
      type: bool
    restarted:
      description: Whether the container was restarted instead.
      returned: for O(action=reload_container)
      type: bool
    differences:
      description: As RV(differences).
      returned: for O(action=recreate_or_restart_container)
      type: list
      elements: dict
    plan:
      description: How the budget is divided, in seconds, the reason for that, and the signal.
      returned: after a graceful stop, in check mode and for O(action=drain_status)
      type: dict
      sample:
        signal: SIGTERM
        timeout: 180.0
        quiesce: 165.0
        drain: 15.0
        reason: "the last 15 s are kept for the drain: idle it takes up to 15 s to exit"
    operations:
      description:
        - Every operation that was in flight during the stop, with its outcome V(finished), V(interrupted) or
          V(unknown) and its last status. C(fate) is what the service does with an unfinished operation at its next
          start. C(dead) is true if the worker of the operation had died. C(unattributed) is why another process may be
          the one that works on it, a member of the same cluster or a host with the same C(backend_host); it is empty
          if the operation is the container's own.
        - Of a request that a process of nova-conductor or nova-scheduler works on, C(kind) is the method and C(id) the
          process and a number.
        - In check mode and for O(action=drain_status) the operations that are in flight now.
      returned: after a graceful stop, in check mode and for O(action=drain_status)
      type: list
      elements: dict
      sample:
        - kind: volume_create
          id: 7d0c2f3e-4b0e-4f0a-9d0c-0d6c1f5b7a11
          status: creating
          since: "2026-11-21T10:00:00Z"
          claimed: true
          unattributed: ""
          outcome: finished
          last_status: available
          fate: ""
          dead: false
    passed_over:
      description:
        - Operations that are not waited for and do not count in the verdict, each with the reason in C(why). They are
          named in O(ignore_operations), or their row was last written before the process began, so that it cannot be
          working on them.
      returned: after a graceful stop or a reload, in check mode and for O(action=drain_status)
      type: list
      elements: dict
      sample:
        - kind: volume_extend
          id: 1f6c0d52-9a43-4a5e-8c1b-5a0b6f3c2e77
          status: extending
          since: "2025-10-25T08:00:00.000000Z"
          claimed: null
          unattributed: ""
          why: >-
            unchanged since 2025-10-25T08:00:00Z, older than the process, which began 2026-11-21T09:00:00Z
    standing:
      description: Operations in a state that can last for days, such as attaching. The stop does not wait for them.
      returned: after a graceful stop, in check mode and for O(action=drain_status)
      type: list
      elements: dict
    heartbeat:
      description:
        - The service's heartbeat rows, and whether all are up and any is disabled.
        - C(shared) of a row of cinder-volume is true if several processes were seen to report in it, and null if they
          may, because of its C(backend_host) or because its count is too high for its age.
      returned: after a graceful stop, in check mode and for O(action=drain_status)
      type: dict
    evidence:
      description: Whether evidence could be read, V(ok) or V(unavailable); V(none) for a container without evidence.
      returned: after a graceful stop, in check mode and for O(action=drain_status)
      type: str
      sample: ok
    evidence_why:
      description: Why evidence could not be read, or during which part of the stop, or what of it could not be seen.
      returned: after a graceful stop, in check mode and for O(action=drain_status)
      type: str
    preflight:
      description: Faults found before the stop, each with a code and a text.
      returned: after a graceful stop, in check mode and for O(action=drain_status)
      type: list
      elements: dict
      sample: []
    notes:
      description: Remarks that are no faults, in the form of RV(containers[].preflight).
      returned: after a graceful stop, in check mode and for O(action=drain_status)
      type: list
      elements: dict
      sample: []
    timeline:
      description:
        - The events of the stop, each with the seconds since this run began. They are negative for what happened
          before, in a run that this one has joined or whose result nobody has taken.
      returned: after a graceful stop, and for O(action=drain_status) while a stop is under way
      type: list
      elements: dict
      sample:
        - at: 4.1
          event: "SIGTERM sent: its evidence showed no operation 2 readings running"
    draining:
      description: Who is stopping the container, and since when; empty if no stop is under way.
      returned: in check mode and for O(action=drain_status)
      type: str
    service:
      description: The service whose profile was used.
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
        - After a stop or a start C(before) is its state before that. C(removed) is true if the unit was removed, with
          its container or because O(restart_policy) asks for none any more. If systemd does not answer, C(state) is
          V(unknown) and C(why) gives the cause.
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
elapsed:
  description: Seconds that the whole call took.
  returned: for the stop actions, O(action=restart_container) and O(action=recreate_or_restart_container)
  type: float
  sample: 12.4
code:
  description:
    - The cause of the failure, for programs. V(driver_missing) means that PyMySQL or oslo.config is missing on the
      managed host, V(config_missing) that a configuration file is missing or unreadable.
  returned: when the task fails for one of these causes
  type: str
  sample: driver_missing
state:
  description: The container's state as the engine reports it.
  returned: for O(action=get_container_state)
  type: dict
env:
  description: The container's environment; values of variables that are named like a secret are masked.
  returned: for O(action=get_container_env)
  type: dict
differences:
  description:
    - The settings in which the container is not as asked for, with their old and new values. Secrets are masked.
    - Empty if the container is missing, which RV(status) says.
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
  description: Deviations that do not count as differences, such as the StopTimeout, each with a code and a text.
  returned: for O(action=compare_container)
  type: list
  elements: dict
unit_written:
  description: Whether the container's systemd unit was written, or would be; RV(containers[].unit) has its state.
  returned: for O(action=start_container), O(action=recreate_or_restart_container), O(action=compare_container), if so
  type: bool
created:
  description: Whether the container was created.
  returned: for O(action=start_container), when it was
  type: bool
image_pulled:
  description: Whether the image was pulled for the new container.
  returned: for O(action=start_container), when the container was created
  type: bool
rc:
  description: The exit code of a container that ran to its end.
  returned: for O(detach=false), but not in check mode
  type: int
stdout:
  description: The last 256 KiB of its standard output.
  returned: for O(detach=false), but not in check mode
  type: str
stderr:
  description: The last 256 KiB of its standard error.
  returned: for O(detach=false), but not in check mode
  type: str
image:
  description: The image with its tag.
  returned: for the actions on images
  type: str
image_id:
  description: The image's id, empty if the host does not have the image.
  returned: for the actions on images
  type: str
"""

import traceback

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.common.parameters import remove_values

from ansible.module_utils.kolla_drain.actions import report
from ansible.module_utils.kolla_drain.actions.options import EvidenceOptions, Options
from ansible.module_utils.kolla_drain.actions.run import ACTIONS, run
from ansible.module_utils.kolla_drain.container.given import CONTAINER_OPTIONS, Login, merged
from ansible.module_utils.kolla_drain.database.target import DATABASE_OPTIONS
from ansible.module_utils.kolla_drain.errors import KollaDrainError, Refused
from ansible.module_utils.kolla_drain.host.stories import Stories
from ansible.module_utils.kolla_drain.masking import UNCHECKABLE, Masked, in_urls, secrets, tame, uncheckable
from ansible.module_utils.kolla_drain.model import OnTimeout, Quiesce, StopRequest


def argument_spec():
    """Return the module's options; a test holds that they agree with DOCUMENTATION."""
    plain = {
        "str": "stop_signal service image ipc_mode pid_mode cgroupns_mode user auth_registry auth_username",
        "int": "client_timeout restart_retries",
        "bool": "privileged tty detach remove_on_exit",
        "dict": "common_options environment labels dimensions healthcheck",
        "raw": "command",
    }
    lists = ("name", "volumes", "volumes_from", "tmpfs", "cap_add", "security_opt")
    return {
        **{name: {"type": kind} for kind, names in plain.items() for name in names.split()},
        **{name: {"type": "list", "elements": "str"} for name in lists},
        "action": {"type": "str", "required": True, "choices": sorted(ACTIONS)},
        "graceful_shutdown": {"type": "bool", "default": True},
        "graceful_shutdown_timeout": {"type": "int", "aliases": ["graceful_timeout"]},
        "on_timeout": {"type": "str", "choices": ["kill", "leave"], "default": "kill"},
        "quiesce": {"type": "str", "choices": ["auto", "always", "never"], "default": "auto"},
        "poll_interval": {"type": "float", "default": 2.0},
        "ignore_operations": {"type": "list", "elements": "str"},
        "service_config": {"type": "list", "elements": "path"},
        "database": {"type": "dict", "options": DATABASE_OPTIONS},
        "preflight": {"type": "str", "choices": ["warn", "strict", "off"], "default": "warn"},
        "ignore_missing": {"type": "bool", "default": False},
        "container_engine": {"type": "str", "choices": ["docker", "podman"]},
        "restart_policy": {
            "type": "str",
            "choices": ["no", "on-failure", "oneshot", "always", "unless-stopped"],
        },
        "auth_password": {"type": "str", "no_log": True},
        "ready_timeout": {"type": "float", "default": 120.0},
        "reload_fallback": {"type": "str", "choices": ["fail", "restart"], "default": "fail"},
    }


def common_spec():
    """Return the options that common_options may hold: all without a default, which would always win."""
    taken = {
        name: option
        for name, option in argument_spec().items()
        if "default" not in option and name not in ("action", "name", "image", "common_options")
    }
    ignored = ("auth_email", "api_version", "tls_verify", "tls_cert", "tls_key", "tls_cacert")
    return {**taken, **{name: {"type": "raw", "no_log": False} for name in ignored}}


def together(params):
    """Merge the common options into the task's own. Raises Refused."""
    try:
        checked = ArgumentSpecValidator(common_spec()).validate(params["common_options"] or {})
    except UNCHECKABLE as exc:
        raise Refused(uncheckable("common_options holds", exc)) from None
    unknown = sorted(str(name) for name in checked.unsupported_parameters)
    if unknown:
        raise Refused(
            f"common_options holds {unknown[0]}, which is no option that tasks can share; remove it, or give it to the "
            "task itself."
        )
    if checked.error_messages:
        raise Refused(f"common_options cannot be used: {checked.error_messages[0].rstrip('.')}.")
    common = {name: checked.validated_parameters.get(name) for name in common_spec()}
    return merged(params, {name: value for name, value in common.items() if value is not None})


# Options whose values are free, so that no_log does not cover the secrets in them.
FREE = ("auth_password", "command", "database", "environment", "healthcheck", "labels")


def secrets_of(params):
    """Return the values in free and in misspelt options that no log and no result may hold."""
    found, known = set(), argument_spec()
    for name, value in params.items():
        if name == "common_options" and isinstance(value, dict):
            found |= secrets_of(value)
        elif name in FREE or name == "common_options" or name not in known:
            found |= secrets(value, name)
        else:
            found |= in_urls(value)
    return found


class KollaModule(Masked, AnsibleModule):
    """An Ansible module whose free options may hold secrets."""

    def secrets(self):
        return secrets_of(self.params)

    def mask(self, told):
        """Return what is told while the module runs as it would stand in the result."""
        self._hide_secrets()
        return tame(remove_values(told, self.no_log_values))


def holds_nul(value):
    """Return whether a text in a value of any depth has a character that ends a text for the kernel."""
    if isinstance(value, dict):
        return any(map(holds_nul, (*value, *value.values())))
    return any(map(holds_nul, value)) if isinstance(value, (list, tuple)) else "\0" in str(value)


def cut(seconds):
    """Return a number of seconds, cut to what a float can hold; far less is refused later."""
    return max(-(10**9), min(seconds, 10**9))


def options_of(params, check_mode, stories=None):
    """Return the core's options from the module's merged parameters. Raises Refused."""
    database = {key: value for key, value in (params["database"] or {}).items() if value is not None}
    timeout, client_timeout = params["graceful_shutdown_timeout"], params["client_timeout"]
    username, password = params["auth_username"] or "", params["auth_password"] or ""
    registry = params["auth_registry"] or ""
    for name, value in params.items():
        if holds_nul(value):
            raise Refused(f"{name} holds a NUL character, which no name, path or text may have; remove it.")
    if bool(username) != bool(password):
        raise Refused("auth_username and auth_password go together; give both, or none.")
    return Options(
        action=params["action"],
        names=tuple(params["name"] or ()),
        request=StopRequest(
            timeout=180.0 if timeout is None else float(cut(timeout)),
            on_timeout=OnTimeout(params["on_timeout"]),
            quiesce=Quiesce(params["quiesce"]),
            poll_interval=params["poll_interval"],
            signal=params["stop_signal"] or "",
        ),
        evidence=EvidenceOptions(params["service"], tuple(params["service_config"] or ()), database),
        ignore_operations=tuple(params["ignore_operations"] or ()),
        client_timeout=120 if client_timeout is None else cut(client_timeout),
        check_mode=check_mode,
        image=params["image"] or "",
        container={name: params[name] for name in CONTAINER_OPTIONS},
        login=Login(username, password, registry) if username else None,
        detach=params["detach"] is not False,
        remove_on_exit=params["remove_on_exit"] is not False,
        container_engine=params["container_engine"] or "docker",
        stories=stories or Stories(),
        **{
            name: params[name]
            for name in (
                "graceful_shutdown",
                "preflight",
                "ignore_missing",
                "ready_timeout",
                "reload_fallback",
            )
        },
    )


def main():
    """Read the options, act, and answer Ansible."""
    module = KollaModule(argument_spec=argument_spec(), supports_check_mode=True)
    module.no_log_values.update(module.secrets())
    try:
        stories = Stories.of_this_run(module.mask)
        result = run(options_of(together(module.params), module.check_mode, stories))
    except KollaDrainError as exc:
        code = {"code": exc.code} if exc.code else {}
        module.fail_json(msg=str(exc), exception=traceback.format_exc(), **code)
    for text in result.warnings:
        module.warn(text)
    told = report.module_result(result)
    if module._diff and result.diffs:
        told["diff"] = report.diffs(result)
    if told.pop("failed"):
        module.fail_json(**told)
    module.exit_json(**told)


if __name__ == "__main__":
    main()
