"""Manila, Ironic and Heat beside the Cinder stack, on its MariaDB and RabbitMQ.

more = MoreStack().up()
more.set_pause("share_create", 20)
share = more.manila.create_share()
more.down()

Real: all services. Stand-ins: the share driver, the hardware and who asks (no Keystone).
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict

from docker.errors import APIError

from testbed import cinder_config, containers, images, more_config, state
from testbed.api_client import ASK_EVERY
from testbed.beside import BesideCinder
from testbed.console import step
from testbed.containers import Spec
from testbed.errors import NotReady, TestbedError
from testbed.locks import locked
from testbed.more_api import GONE, HeatApi, IronicApi, ManilaApi
from testbed.more_config import BACKEND, ENGINES, SHARE_TYPE, MoreEndpoints
from testbed.paths import DRIVERS, KOLLA_LABEL, LABEL, MARKER, MODE_LABEL, MORE_DIR, MORE_STATE_FILE
from testbed.stack import MARIADB, RABBITMQ
from testbed.waiting import wait_until

PROJECTS = images.MORE
SERVICES = (
    "manila_scheduler",
    "manila_api",
    "manila_share",
    "ironic_api",
    "ironic_conductor",
    "heat_api",
    "heat_engine",
)
# The API's applications; in Kolla they run under uWSGI.
APPLICATIONS = {
    "manila_api": "manila.wsgi.api",
    "ironic_api": "ironic.wsgi.api",
    "heat_api": "heat.wsgi.api",
}
KOLLA_VERSION = "23.0.0"  # that goes with these releases
PYTHON = "/opt/more/bin/python"
TESTBED = "/opt/testbed/kolla_drain_testbed"


def project_of(service: str) -> str:
    """Manila, ironic or heat."""
    return service.partition("_")[0]


class MoreStack(BesideCinder):
    """One of each on this machine; all objects of this class are the same ones."""

    name = "more"
    services, databases, folder = SERVICES, PROJECTS, MORE_DIR

    # -- coming and going

    def up(self, *, timeout: float = 600) -> MoreStack:
        """Create and start what is missing, and wait until it serves."""
        self._refuse_strangers()
        self.stack.up(only=(MARIADB, RABBITMQ))
        with locked("ports"):
            self._choose_endpoints()
        image = images.ensure(self.client, "more")["more"].reference
        for project in PROJECTS:
            (MORE_DIR / project / "locks").mkdir(parents=True, exist_ok=True)
        with locked("more"), step(", ".join(SERVICES)):
            self._ensure_databases()
            for service in SERVICES:
                containers.ensure(self.client, self.spec(service, image))
            self.wait_ready(SERVICES, timeout)
        return self

    def down(self) -> None:
        """Remove them and their databases; MariaDB and RabbitMQ stay for the others."""
        self._remove()
        remove_files()

    def _choose_endpoints(self) -> None:
        if load() is None:
            ports = containers.free_ports()
            own = MoreEndpoints(
                manila_port=next(ports),
                ironic_port=next(ports),
                heat_port=next(ports),
                database_password=secrets.token_hex(12),
                project_id=secrets.token_hex(16),
            )
            state.keep(MORE_STATE_FILE, {"endpoints": asdict(own)})

    @property
    def ends(self) -> MoreEndpoints:
        """Ports and passwords. Raises TestbedError when it is not up."""
        known = load()
        if known is None:
            raise TestbedError("Manila, Ironic and Heat are not up: run 'tools/testbed up --more'.")
        return known

    @property
    def host(self) -> str:
        """The ``host`` of Manila's and Heat's services."""
        return os.uname().nodename

    @property
    def conductor_host(self) -> str:
        """The ``host`` of ironic-conductor: another default than the others'."""
        return socket.getfqdn()

    def _ensure_databases(self) -> None:
        """Each has its name only when it is whole. Services of databases that are gone begin anew."""
        there = {name for (name,) in self.mariadb.execute("SHOW DATABASES")}
        missing = [project for project in PROJECTS if project not in there]
        if missing:
            self._remove_containers()
        for project in missing:
            self.mariadb.load_schema(project, f"{project}_half")
            self.mariadb.rename(f"{project}_half", project)
            self.mariadb.create_user(project, self.ends.database_password, on=f"{project}.*")

    # -- the containers

    def spec(self, service: str, image: str) -> Spec:
        """Describe a container with that image, and write its configuration."""
        project = project_of(service)
        file = f"{project}.conf"
        text = more_config.conf(project, self.ends, self.shared)
        return Spec(
            name=service,
            image=image,
            command=self._command(service),
            environment={
                "KOLLA_CONFIG_STRATEGY": "COPY_ALWAYS",
                "KOLLA_SERVICE_NAME": service.replace("_", "-"),
                "PYTHONPATH": "/opt/testbed",
                "PYTHONDONTWRITEBYTECODE": "1",
                "PYTHONUNBUFFERED": "1",
                "TESTBED_PAUSES": "/var/lib/testbed/pauses.json",
            },
            volumes=(
                f"{cinder_config.folder_of(service)}/{file}:/etc/{project}/{file}:ro",
                f"{MORE_DIR / project}:/var/lib/{project}",
                f"{MORE_DIR}:/var/lib/testbed:ro",
                f"{DRIVERS}:/opt/testbed:ro",
            ),
            labels={LABEL: self.name, MODE_LABEL: "threads", KOLLA_LABEL: KOLLA_VERSION},
            fingerprint=cinder_config.write(service, file, text),
        )

    def _command(self, service: str) -> tuple[str, ...]:
        project = project_of(service)
        if service in APPLICATIONS:
            port = str(self.ends.port(project))
            return (PYTHON, f"{TESTBED}/wsgi_server.py", APPLICATIONS[service], port)
        return (service.replace("_", "-"), "--config-file", f"/etc/{project}/{project}.conf")

    # -- ready

    def _queues(self, service: str) -> tuple[str, ...]:
        """The queues that a service's work comes from."""
        return {
            "manila_share": (f"manila-share.{self.host}@{BACKEND}",),
            "manila_scheduler": (f"manila-scheduler.{self.host}",),
            "ironic_conductor": (f"ironic.conductor_manager.{self.conductor_host}",),
            "heat_engine": ("engine", "engine_worker"),
        }.get(service, ())

    def wait_ready(self, services: Sequence[str], timeout: float = 600) -> None:
        """Wait until these serve."""
        deadline = time.monotonic() + timeout
        queues = [queue for service in services for queue in self._queues(service)]
        if queues:
            self._wait_consumers(services[0], queues, timeout)
        for service in services:
            wait_until(
                lambda service=service: self._serves(service),  # type: ignore[misc]
                max(1.0, deadline - time.monotonic()),
                service,
                on_timeout=lambda: self._tails(SERVICES),
            )

    def _wait_consumers(self, service: str, queues: Sequence[str], timeout: float) -> None:
        command = [PYTHON, f"{TESTBED}/await_queues.py", str(timeout), *queues]
        try:
            containers.run_inside(self.client.containers.get(service), command, "waiting for the queues")
        except (TestbedError, APIError) as error:
            raise NotReady(f"{error}\n{self._tails([RABBITMQ, *SERVICES])}") from error

    def _serves(self, service: str) -> bool:
        """Whether a service runs and does what it is for. Raises TestbedError."""
        container = self.client.containers.get(service)
        if container.status != "running":
            raise NotReady(f"{service} is {container.status}.\n{containers.log_tail(self.client, service)}")
        probes: dict[str, Callable[[], bool]] = {
            "manila_api": self._manila_answers,
            "manila_share": self._share_is_offered,
            "ironic_api": lambda: self.ironic.healthy(),
            "ironic_conductor": lambda: self.conductor_host in self.ironic.drivers().get("fake-hardware", []),
            "heat_api": lambda: self.heat.healthy(),
            "heat_engine": lambda: len(self._new_engines()) == ENGINES,
        }
        return service not in probes or probes[service]()

    def _manila_answers(self) -> bool:
        self.manila.ensure_type(SHARE_TYPE)
        return self.manila.healthy()

    def _share_is_offered(self) -> bool:
        if f"{self.host}@{BACKEND}" in self.manila.pools():
            return True
        # NOTE: the scheduler lists its pools as they were at the last request; asked too early, it has none for good.
        share = self.manila.create_share("probe")["id"]
        wait_until(
            lambda: self.manila.status(share) in ("available", "error"), 60, f"share {share} being placed"
        )
        self.manila.delete_share(share, force=True)
        return False

    def _new_engines(self) -> list[str]:
        """The ids of the engines that the container's processes have."""
        started = containers.started_at(self.container("heat_engine")).replace(microsecond=0, tzinfo=None)
        rows = self.mariadb.execute(
            "SELECT engine_id FROM service WHERE deleted_at IS NULL AND created_at >= %s", (started,), "heat"
        )
        return [engine for (engine,) in rows]

    # -- what tests use

    @property
    def manila(self) -> ManilaApi:
        """A client of the Shared File Systems API."""
        return ManilaApi(self.ends.manila_port, self.ends.token, self.ends.project_id)

    @property
    def ironic(self) -> IronicApi:
        """A client of the Bare Metal API."""
        return IronicApi(self.ends.ironic_port, self.ends.token)

    @property
    def heat(self) -> HeatApi:
        """A client of the Orchestration API."""
        return HeatApi(self.ends.heat_port)

    def one(self, database: str, statement: str, *parameters: object) -> object:
        """The only value that a statement finds, None where it finds no row."""
        rows = self.mariadb.execute(statement, parameters, database)
        return rows[0][0] if rows else None

    def restart_service(self, name: str, timeout: float = 600) -> str:
        """Start a stopped service, create a missing one, and wait until it serves."""
        image = images.ensure(self.client, "more")["more"].reference
        done = containers.ensure(self.client, self.spec(name, image))
        self.wait_ready([name], timeout)
        return done

    def delete_all(self, timeout: float = 300) -> None:
        """Remove every share, node and stack, in whatever state they are, and wait until all are gone."""
        shares = [one["id"] for one in self.manila.shares()]
        nodes = [one["uuid"] for one in self.ironic.nodes()]
        stacks = [(one["stack_name"], one["id"]) for one in self.heat.stacks()]
        for share in shares:
            with contextlib.suppress(TestbedError):  # gone by itself since; else the wait below says so
                self.manila.delete_share(share, force=True)
        for name, stack in stacks:
            with contextlib.suppress(TestbedError):
                self.heat.delete_stack(name, stack)
        for share in shares:
            self.manila.wait_status(share, GONE, timeout)
        for node in nodes:
            # A node that is worked on is locked until that has ended.
            wait_until(
                lambda node=node: self.ironic.delete_node(node),  # type: ignore[misc]
                timeout,
                f"node {node} gone",
                ASK_EVERY,
            )
        for name, stack in stacks:
            self.heat.wait_status(f"{name}/{stack}", (GONE, "DELETE_COMPLETE"), timeout)


def load() -> MoreEndpoints | None:
    """What ``up`` chose, remembered until ``down``."""
    try:
        data = json.loads(MORE_STATE_FILE.read_text())
    except FileNotFoundError:
        return None
    return MoreEndpoints(**data["endpoints"])


def remove_files() -> None:
    """Configuration and state of the three."""
    for service in SERVICES:
        folder = cinder_config.folder_of(service)
        if (folder / MARKER).exists():
            shutil.rmtree(folder)
    shutil.rmtree(MORE_DIR, ignore_errors=True)
    MORE_STATE_FILE.unlink(missing_ok=True)
