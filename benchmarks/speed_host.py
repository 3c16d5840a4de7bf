"""The managed host of the speed benchmarks, the ways to stop and to replace a container there, and what they take."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker

from benchmarks import ROOT
from testbed import images, mariadb, wheels
from testbed.errors import TestbedError
from testbed.hosts import Hosts
from testbed.recorder import Recorder
from testbed.waiting import wait_until
from tests.support.managed_host import FOLDER, WORKLOAD, ManagedHost

KOLLA_ANSIBLE = "23"  # its release
LIMIT = 400.0  # seconds that a call may take
GRACE = 60  # seconds until SIGKILL
READER = "benchmark"
CONFIG = "/etc/kolla/benchmark/cinder.conf"
EVIDENCE = {"service": "cinder-volume", "service_config": [CONFIG]}

# The ways, by their names on the page: the module, and its options for a container that is to be stopped.
OURS, WITH_EVIDENCE = "kolla_docker", "kolla_docker, with evidence"
COMMUNITY, KOLLA, CLI, PING = "community.docker", "kolla_container", "docker CLI", "ping"
UNIT, BARE = "kolla_docker, with a systemd unit", "docker start"
Options = dict[str, Any]


def stopping(way: str, name: str) -> tuple[str, Options]:
    """Return the module and its options by which a way stops a container."""
    asked: dict[str, tuple[str, Options]] = {
        OURS: ("kolla_docker", {"action": "stop_container", "name": name}),
        WITH_EVIDENCE: ("kolla_docker", {"action": "stop_container", "name": name, **EVIDENCE}),
        COMMUNITY: (
            "community.docker.docker_container",
            {"name": name, "state": "stopped", "stop_timeout": GRACE},
        ),
        KOLLA: ("kolla_container", {"action": "stop_container", "name": name, "container_engine": "docker"}),
        PING: ("ansible.builtin.ping", {"data": "pong"}),
    }
    return asked[way]


def replacing(way: str, name: str, image: str, round_: int) -> tuple[str, Options]:
    """Return the module and its options by which a way replaces a container whose environment is another each round."""
    told = {
        "name": name,
        "image": image,
        "volumes": [f"{WORKLOAD}:/workload.py:ro", f"{FOLDER}/{name}:/record"],
    }
    environment = {"ROUND": str(round_)}
    command = ["python3", "-u", "/workload.py", "--record", "/record/events"]
    ours = {"command": command, "environment": environment, **told}
    action = "recreate_or_restart_container" if round_ else "start_container"
    asked: dict[str, tuple[str, Options]] = {
        OURS: ("kolla_docker", {"action": action, "restart_policy": "no", **ours}),
        UNIT: ("kolla_docker", {"action": action, "restart_policy": "always", **ours}),
        KOLLA: (
            "kolla_container",
            {"action": action, "restart_policy": "always", "container_engine": "docker", **ours}
            | {"command": " ".join(command)},
        ),
        COMMUNITY: (
            "community.docker.docker_container",
            {"command": command, "stop_timeout": GRACE, "env": environment, **told},
        ),
    }
    return asked[way]


@dataclass
class Ran:
    """A command that has ended."""

    seconds: float
    computed: float  # processor seconds of this machine, without what the host has computed
    output: str
    answer: dict[str, Any] = field(default_factory=dict)


def environment() -> dict[str, str]:
    """Return an environment in which Ansible finds all modules that are compared, each as it is shipped."""
    kolla = wheels.kolla_ansible(KOLLA_ANSIBLE)
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")},
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_LIBRARY": f"{ROOT / 'library'}:{kolla / 'library'}",
        "ANSIBLE_MODULE_UTILS": f"{ROOT / 'ansible/module_utils'}:{kolla / 'module_utils'}",
        "ANSIBLE_ACTION_PLUGINS": "/nonexistent",  # ours would drain before kolla_container
        "ANSIBLE_COLLECTIONS_PATH": str(wheels.community_docker()),
        "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.minimal",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_TIMEOUT": "60",
    }


def timed(command: Sequence[str], limit: float = LIMIT) -> Ran:
    """Run a command of this machine. Raises TestbedError."""
    begun, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    ran = subprocess.run(
        command, env=environment(), cwd=ROOT, text=True, timeout=limit, check=False,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    seconds, after = time.monotonic() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    if ran.returncode:
        raise TestbedError(f"{' '.join(command)[:200]} failed: {ran.stdout[-1500:]}")
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Ran(seconds, used, ran.stdout)


def program(name: str) -> str:
    """Return the path of one of Ansible's programs."""
    return str(Path(sys.executable).with_name(name))


@dataclass
class Site:
    """One host under systemd with a Docker Engine of its own, and Ansible's way to it."""

    managed: ManagedHost
    inventory: Path
    database: mariadb.MariaDB
    payloads: dict[str, tuple[int, str]] = field(
        default_factory=dict
    )  # by way: bytes as sent, and where it lies

    def ad_hoc(self, module: str, options: Options) -> Ran:
        """Run ``ansible HOST -m MODULE``. Raises TestbedError."""
        ran = self.ansible(
            "ansible", "all", "-i", str(self.inventory), "-m", module, "-a", json.dumps(options)
        )
        begin = ran.output.find("=> {")
        if begin < 0:
            raise TestbedError(f"{module} answered nothing that can be read: {ran.output[-800:]}")
        ran.answer = json.JSONDecoder().raw_decode(ran.output[begin + 3 :])[0]
        return ran

    def ansible(self, name: str, *words: str) -> Ran:
        """Run a program of Ansible. Raises TestbedError."""
        return timed([program(name), *words])

    def docker(self, *words: str) -> Ran:
        """Run the docker command against the host's engine."""
        return timed(["docker", "-H", f"unix://{self.managed.host.folder}/docker.sock", *words])

    def stop(self, way: str, name: str) -> Ran:
        """Stop a container in one of the ways, or only ping its host."""
        if way == CLI:
            return self.docker("stop", "-t", str(GRACE), name)
        if way == WITH_EVIDENCE:
            self.beat()
        return self.ad_hoc(*stopping(way, name))

    def beat(self) -> None:
        """Write the service's row anew: a service that is up, and has nothing in flight."""
        self.database.execute("DELETE FROM services WHERE host = 'benchmark@lvm'", (), "cinder")
        self.database.execute(
            "INSERT INTO services (host, `binary`, topic, report_count, deleted, disabled, created_at, updated_at)"
            " VALUES ('benchmark@lvm', 'cinder-volume', 'cinder-volume', 9, 0, 0, UTC_TIMESTAMP(), UTC_TIMESTAMP())",
            (),
            "cinder",
        )

    def start(self, drains: dict[str, float], units: Sequence[str] = ()) -> None:
        """Start containers that drain so many seconds, some of them under a systemd unit."""
        for name, drain in drains.items():
            self.managed.create(name, "--drain", str(drain))
            if name in units:
                self.managed.write_unit(name, grace=GRACE)
        plain = [name for name in drains if name not in units]
        if plain:
            self.docker("start", *plain)
        for name in units:
            # Enabled: kolla_container does not find a unit that nothing else names.
            self.managed.sh(f"systemctl enable -q --now kolla-{name}-container.service")
        for name in drains:
            self.managed.wait_line(name, "ready")

    def wait_ready(self, name: str) -> None:
        """Wait until the process handles SIGTERM; kolla_container starts it twice, and one "ready" tells of neither."""
        handles = (
            f"pid=$(docker inspect -f '{{{{.State.Pid}}}}' {name})"
            " && child=$(cut -d' ' -f1 /proc/$pid/task/$pid/children)"
            " && caught=$(sed -n 's/^SigCgt:[[:space:]]*/0x/p' /proc/$child/status) && echo $((caught >> 14 & 1))"
        )
        wait_until(
            lambda: self.managed.tries(handles).strip() == "1", 120, f"{name} handling SIGTERM", interval=0.2
        )

    def remove(self, names: Sequence[str]) -> None:
        """Remove containers and their units."""
        self.managed.sh(
            "rm -f /etc/systemd/system/kolla-*-container.service /etc/systemd/system/*.wants/kolla-*"
            f"; docker rm -f {' '.join(names)} > /dev/null; systemctl daemon-reload; systemctl reset-failed"
        )

    @contextmanager
    def events(self) -> Iterator[Callable[..., float]]:
        """Record the engine's events; yields ``at(action, name, after=0.0)``: the time of the first, waited for."""
        with closing(self.managed.host.engine) as client:
            recorder = Recorder(client)

            def at(action: str, name: str, after: float = 0.0) -> float:
                def seen() -> list[float]:
                    # An exchange gives the old container or the new one a name such as NAME.new meanwhile.
                    return [
                        one.at
                        for one in recorder.events
                        if one.name.partition(".")[0] == name and one.action == action and one.at >= after
                    ]

                wait_until(lambda: bool(seen()), 20, f"the event {action} of {name}", 0.02)
                return seen()[0]

            try:
                yield at
            finally:
                recorder.close()


@contextmanager
def site() -> Iterator[Site]:
    """Make the host and the database; both are removed afterwards, whatever happens."""
    prefix = f"speed{os.getpid()}"
    base = images.ensure(docker.from_env())["base"].reference
    with ExitStack() as stack:
        hosts = stack.enter_context(Hosts(["a"], prefix=prefix))
        hosts.up(images=[base])
        managed = ManagedHost(hosts["a"], base)
        gateway = managed.sh("ip route show default | cut -d' ' -f3").strip()
        server = stack.enter_context(mariadb.start(prefix, host="0.0.0.0"))  # noqa: S104 - for the host
        mariadb.ensure_cinder(server, READER)
        managed.host.put(
            CONFIG,
            f"[DEFAULT]\nhost = benchmark\nenabled_backends = lvm\n[lvm]\nvolume_backend_name = lvm\n"
            f"[database]\nconnection = mysql+pymysql://cinder:{READER}@{gateway}:{server.port}/cinder\n",
        )
        yield Site(managed, hosts.inventory_file, server)
