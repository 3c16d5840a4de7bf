"""Nova beside the Cinder stack, on its MariaDB and RabbitMQ: conductor, scheduler, compute and API.

nova = NovaStack().up()
nova.set_pause("instance_spawn", 20)
server = nova.api.create_server()
nova.down()

Real: Nova and Placement. Stand-ins: the Image and Network API and who asks (no Keystone).
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from docker.errors import APIError
from pymysql.connections import Connection

from testbed import cinder_config, containers, images, nova_config, state
from testbed.beside import BesideCinder
from testbed.console import step
from testbed.containers import Spec
from testbed.errors import NotReady, TestbedError
from testbed.locks import locked
from testbed.nova_api import GONE, NovaApi
from testbed.nova_config import CELL0, CELL1, DATABASES, NovaEndpoints, NovaSettings
from testbed.paths import DRIVERS, KOLLA_LABELS, LABEL, MARKER, MODE_LABEL, NOVA_DIR, NOVA_STATE_FILE
from testbed.stack import MARIADB, MODES, RABBITMQ, EngineEvent
from testbed.waiting import wait_until

PLACEMENT = "placement_api"
NEIGHBOURS = "kolla_drain_neighbours"
NOVA = ("nova_conductor", "nova_scheduler", "nova_api", "nova_compute")
SERVICES = (PLACEMENT, NEIGHBOURS, *NOVA)
# Where a service's row is; nova-api has none that it keeps fresh.
ROWS_IN = {"nova_conductor": "nova", "nova_compute": "nova", "nova_scheduler": "nova_cell0"}
TOPICS = {
    "nova_conductor": ("conductor",),
    "nova_scheduler": ("scheduler",),
    "nova_compute": ("compute", "compute-alt"),
}
PYTHON = "/opt/nova/bin/python"
TESTBED = "/opt/testbed/kolla_drain_testbed"


@dataclass(frozen=True)
class NovaState:
    """What ``up`` chose, remembered until ``down``."""

    settings: NovaSettings = field(default_factory=NovaSettings)
    endpoints: NovaEndpoints | None = None

    @classmethod
    def load(cls) -> NovaState | None:
        """The state of the stack, or None when there is none."""
        try:
            data = json.loads(NOVA_STATE_FILE.read_text())
        except FileNotFoundError:
            return None
        return cls(NovaSettings(**data["settings"]), NovaEndpoints(**data["endpoints"]))

    @property
    def ends(self) -> NovaEndpoints:
        """The endpoints of a state that is kept."""
        assert self.endpoints is not None
        return self.endpoints


def _fresh_endpoints() -> NovaEndpoints:
    ports = containers.free_ports()
    return NovaEndpoints(
        api_port=next(ports),
        placement_port=next(ports),
        neighbours_port=next(ports),
        database_password=secrets.token_hex(12),
        project_id=secrets.token_hex(16),
    )


class NovaStack(BesideCinder):
    """One Nova on this machine; all objects of this class are the same Nova."""

    name = "nova"
    services, databases, folder = SERVICES, DATABASES, NOVA_DIR

    # -- coming and going

    def up(self, *, timeout: float = 600, **settings: Any) -> NovaStack:
        """Create and start what is missing of Nova, and wait until it serves.

        ``settings`` are fields of NovaSettings; what is not given stays as it was.
        """
        self._refuse_strangers()
        self.stack.up(only=(MARIADB, RABBITMQ))
        with locked("ports"):
            self._next_state(settings)
        images.ensure(self.client, "nova", self.state.settings.image)
        self._make_folders()
        with locked("nova"), step(f"{', '.join(SERVICES)} (Nova on {self.state.settings.mode})"):
            self._ensure_databases()
            for name in SERVICES:
                if name == "nova_compute":
                    # nova-compute asks the conductor first, and waits 10 s for the answer if that does not serve yet.
                    self._wait_consumers(["nova_conductor"], timeout)
                self._ensure(name)
            self._wait_ready(NOVA, timeout)
            self.api.ensure_flavor()
        return self

    def down(self) -> None:
        """Remove Nova and its databases; MariaDB and RabbitMQ stay for the others."""
        self._remove()
        remove_files()

    def _next_state(self, settings: dict[str, Any]) -> None:
        before = NovaState.load() or NovaState(endpoints=_fresh_endpoints())
        chosen = {key: value for key, value in settings.items() if value is not None}
        after = replace(before, settings=replace(before.settings, **chosen))
        if after.settings.mode not in MODES:
            raise TestbedError(f"No mode {after.settings.mode}; there are {' and '.join(MODES)}.")
        state.keep(NOVA_STATE_FILE, asdict(after))

    @property
    def state(self) -> NovaState:
        """Return ports, passwords and settings. Raises TestbedError when Nova is not up."""
        known = NovaState.load()
        if known is None:
            raise TestbedError("Nova's test stack is not up: run 'tools/testbed up --nova'.")
        return known

    @property
    def host(self) -> str:
        """The ``host`` of every service."""
        return self.state.settings.host or os.uname().nodename

    # -- databases

    def _ensure_databases(self) -> None:
        """Schemas first and the mapping of the cells last, so that with these all is there."""
        if self._mapped():
            return
        self._forget_before()
        server, own = self.mariadb, self.state.ends
        for database in ("nova_api", "nova_cell0", "nova"):
            server.load_schema(database, image=self.state.settings.image)
        server.execute("CREATE DATABASE IF NOT EXISTS placement CHARACTER SET utf8mb3")
        server.create_user("nova", own.database_password, on="placement.*")
        for database in ("nova_api", "nova_cell0", "nova"):
            server.execute(f"GRANT ALL ON {database}.* TO nova@`%`")
        self._map_cells()

    def _forget_before(self) -> None:
        """Remove the files of a Nova whose databases are gone: a new nova-compute refuses old guests."""
        self._remove_containers()
        for file in NOVA_DIR.glob("*"):
            if file.is_file():
                file.unlink()

    def _mapped(self) -> bool:
        there = {name for (name,) in self.mariadb.execute("SHOW DATABASES")}
        if not there.issuperset(DATABASES):
            return False
        return len(self.mariadb.execute("SELECT id FROM nova_api.cell_mappings")) >= 2

    def _map_cells(self) -> None:
        """Do what ``nova-manage cell_v2 map_cell0`` and ``create_cell`` do, which take seconds each."""
        own, shared = self.state.ends, self.shared
        for uuid, name, transport, database in (
            (CELL0, "cell0", "none:///", "nova_cell0"),
            (CELL1, None, shared.broker_url, "nova"),
        ):
            self.mariadb.execute(
                "INSERT INTO nova_api.cell_mappings (created_at, uuid, name, transport_url, database_connection,"
                " disabled) VALUES (UTC_TIMESTAMP(), %s, %s, %s, %s, 0)",
                (uuid, name, transport, own.database_url(database, shared)),
            )

    def _map_host(self) -> bool:
        """Do what ``nova-manage cell_v2 discover_hosts`` does, once compute has its node."""
        nodes = self.mariadb.execute(
            "SELECT id FROM nova.compute_nodes WHERE deleted = 0 AND host = %s", (self.host,)
        )
        if not nodes:
            raise TestbedError(f"no compute node of {self.host}")
        self.mariadb.execute(
            "INSERT IGNORE INTO nova_api.host_mappings (created_at, cell_id, host)"
            " SELECT UTC_TIMESTAMP(), id, %s FROM nova_api.cell_mappings WHERE uuid = %s",
            (self.host, CELL1),
        )
        self.mariadb.execute("UPDATE nova.compute_nodes SET mapped = 1 WHERE host = %s", (self.host,))
        return True

    # -- the containers

    def _make_folders(self) -> None:
        (NOVA_DIR / "tmp").mkdir(parents=True, exist_ok=True)

    def _ensure(self, name: str) -> str:
        return containers.ensure(self.client, self.spec(name, self._image(name)))

    def _image(self, service: str) -> str:
        """Return the reference; Placement is upgraded before Nova, so it is never old."""
        name = self.state.settings.image if service in NOVA else "nova"
        return images.ensure(self.client, name)[name].reference

    def spec(self, name: str, image: str) -> Spec:
        """Describe a container with that image, and write its configuration."""
        files = self._files(name)
        prints = [cinder_config.write(name, file, text) for file, text in files.items()]
        cinder_config.write(name, MARKER, "")
        folder = "placement" if name == PLACEMENT else "nova"
        return Spec(
            name=name,
            image=image,
            command=self._command(name),
            environment={
                "KOLLA_CONFIG_STRATEGY": "COPY_ALWAYS",
                "KOLLA_SERVICE_NAME": name.replace("_", "-"),
                "PYTHONPATH": "/opt/testbed",
                "PYTHONDONTWRITEBYTECODE": "1",
                "PYTHONUNBUFFERED": "1",
                "TESTBED_PAUSES": "/var/lib/nova/pauses.json",
            },
            volumes=(
                *(f"{cinder_config.folder_of(name)}/{file}:/etc/{folder}/{file}:ro" for file in files),
                f"{NOVA_DIR}:/var/lib/nova",
                f"{DRIVERS}:/opt/testbed:ro",
            ),
            labels={LABEL: self.name}
            | ({MODE_LABEL: self.state.settings.mode, **KOLLA_LABELS} if name in NOVA else {}),
            ipc_mode="host" if name == "nova_compute" else None,
            fingerprint="".join(prints),
        )

    def _files(self, name: str) -> dict[str, str]:
        known = self.state
        if name == PLACEMENT:
            return {"placement.conf": nova_config.placement_conf(known.ends, self.shared)}
        if name == NEIGHBOURS:
            return {}
        conf = nova_config.nova_conf(name, known.settings, known.ends, self.shared)
        paste = nova_config.api_paste_ini(known.ends.project_id)
        return {"nova.conf": conf} | ({"api-paste.ini": paste} if name == "nova_api" else {})

    def _command(self, name: str) -> tuple[str, ...]:
        ends = self.state.ends
        applications = {
            PLACEMENT: ("placement.wsgi.api", ends.placement_port),
            NEIGHBOURS: ("kolla_drain_testbed.neighbours", ends.neighbours_port),
            "nova_api": ("kolla_drain_testbed.compute_api", ends.api_port),
        }
        if name in applications:
            module, port = applications[name]
            return (PYTHON, f"{TESTBED}/wsgi_server.py", module, str(port))
        return (name.replace("_", "-"), "--config-file", "/etc/nova/nova.conf")

    # -- ready

    def _wait_ready(self, names: Iterable[str], timeout: float) -> None:
        names = list(names)
        deadline = time.monotonic() + timeout
        self._wait_consumers([name for name in names if name in TOPICS], timeout)
        for probe, what in (
            (lambda: self._serving(names), ", ".join(names)),
            (self._map_host, "the mapping of the compute host"),
        ):
            wait_until(
                probe,
                max(1.0, deadline - time.monotonic()),
                what,
                on_timeout=lambda: self._tails(SERVICES),
            )

    def _wait_consumers(self, names: list[str], timeout: float) -> None:
        topics = [topic for name in names for topic in TOPICS[name]]
        if self.state.settings.image in images.OLD_RELEASES:
            topics = [topic for topic in topics if topic != "compute-alt"]  # since 2026.1
        queues = [f"{topic}.{self.host}" for topic in topics]
        if not queues:
            return
        command = [PYTHON, f"{TESTBED}/await_queues.py", str(timeout), *queues]
        try:
            containers.run_inside(self.client.containers.get(names[0]), command, "waiting for the queues")
        except (TestbedError, APIError) as error:
            raise NotReady(f"{error}\n{self._tails([RABBITMQ, *SERVICES])}") from error

    def _serving(self, names: list[str]) -> bool:
        """Check that all run, are fresh in the database, and that the API answers. Raises TestbedError."""
        for name in names:
            container = self.client.containers.get(name)
            if container.status != "running":
                raise NotReady(f"{name} is {container.status}.\n{containers.log_tail(self.client, name)}")
        stale = [name for name in names if name in ROWS_IN and not self._fresh(name)]
        if stale:
            raise TestbedError(f"no fresh heartbeat of {', '.join(stale)}")
        return "nova_api" not in names or self.api.healthy()

    def _fresh(self, name: str) -> bool:
        ages = self.mariadb.execute(
            "SELECT TIMESTAMPDIFF(SECOND, COALESCE(last_seen_up, created_at), UTC_TIMESTAMP())"
            " FROM services WHERE deleted = 0 AND `binary` = %s AND host = %s",
            (name.replace("_", "-"), self.host),
            ROWS_IN[name],
        )
        return bool(ages) and ages[0][0] < self.state.settings.service_down_time

    # -- what tests and the demo use

    @property
    def api(self) -> NovaApi:
        """A client of the Compute API."""
        ends = self.state.ends
        return NovaApi(ends.api_port, ends.token)

    def db(self, database: str = "nova") -> Connection:
        """A connection as root; the caller closes it."""
        return self.mariadb.open(database)

    def task_state(self, server_id: str) -> str | None:
        """Return the instance's task state, or None."""
        rows = self.mariadb.execute("SELECT task_state FROM instances WHERE uuid = %s", (server_id,), "nova")
        return str(rows[0][0]) if rows and rows[0][0] else None

    def delete_servers(self, timeout: float = 300) -> None:
        """Delete every instance, and wait until all are gone."""
        servers = [one["id"] for one in self.api.servers()]
        for server in servers:
            with contextlib.suppress(TestbedError):  # gone by itself since; else the wait below says so
                self.api.delete_server(server)
        for server in servers:
            self.api.wait_status(server, GONE, timeout)

    def restart_service(self, name: str, timeout: float = 600) -> str:
        """Start a stopped service, create a missing one, and wait until it serves."""
        done = self._ensure(name)
        self._wait_ready([name], timeout)
        return done

    def run(self, service: str, *command: str) -> tuple[int, str]:
        """Run a one-off container with a service's image and configuration; return exit code and output."""
        spec = self.spec(service, self._image(service))
        container = self.client.containers.run(
            spec.image,
            list(command),
            detach=True,
            network_mode="host",
            environment=spec.environment,
            volumes=list(spec.volumes),
            labels={LABEL: self.name},
        )
        try:
            code = int(container.wait(timeout=300)["StatusCode"])
            return code, containers.without_secrets(container.logs().decode(errors="replace"))
        finally:
            container.remove(force=True)

    def engine_events(self, container: str, since: float) -> list[EngineEvent]:
        """Return the engine's events of the container since then."""
        return self.stack.engine_events(container, since)


def remove_files() -> None:
    """Configuration, state and guests of Nova."""
    for service in SERVICES:
        folder = cinder_config.folder_of(service)
        if (folder / MARKER).exists():
            shutil.rmtree(folder)
    shutil.rmtree(NOVA_DIR, ignore_errors=True)
    NOVA_STATE_FILE.unlink(missing_ok=True)
