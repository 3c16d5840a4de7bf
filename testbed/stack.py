"""The whole stack: MariaDB, RabbitMQ and the four Cinder services.

stack = Stack()
stack.up(mode="eventlet")
volume = stack.api.create_volume(1)
stack.down()
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import docker
from docker.errors import NotFound
from docker.models.containers import Container
from pymysql.connections import Connection

from testbed import cinder_config, containers, images, rabbitmq, state
from testbed.cinder_api import CinderApi
from testbed.cinder_config import BACKENDS, Settings
from testbed.console import say, step
from testbed.containers import Spec
from testbed.errors import NotReady, TestbedError
from testbed.image_source import ImageSource
from testbed.locks import locked
from testbed.mariadb import MariaDB, ensure_cinder
from testbed.paths import (
    CACHE_DIR,
    CINDER_DIR,
    DRIVERS,
    KOLLA_DIR,
    KOLLA_LABELS,
    LABEL,
    LOCK_DIR,
    MARKER,
    MODE_LABEL,
    PAUSES_FILE,
    STATE_DIR,
    STATE_FILE,
)
from testbed.pauses import Pauses, Slowed
from testbed.service import Service
from testbed.setup_host import ensure_host
from testbed.waiting import wait_until

MARIADB = "kolla_drain_mariadb"
RABBITMQ = "kolla_drain_rabbitmq"
IMAGES = "kolla_drain_images"
CINDER = ("cinder_scheduler", "cinder_api", "cinder_volume", "cinder_backup")
SERVICES = (MARIADB, RABBITMQ, IMAGES, *CINDER)
SHORT_NAMES = {"mariadb": MARIADB, "rabbitmq": RABBITMQ, "images": IMAGES}
MODES = ("eventlet", "threads")


@dataclass(frozen=True)
class EngineEvent:
    """One event of a container."""

    time: float  # seconds since the epoch
    action: str  # kill, die, start, stop, ...
    signal: int | None
    exit_code: int | None


@dataclass(frozen=True)
class ServiceStatus:
    """One line of ``status``."""

    name: str
    state: str
    uptime: float | None
    mode: str
    image: str


class Stack(Slowed):
    """The stack on this machine; all objects of this class are the same stack."""

    name = "cinder"

    def __init__(self) -> None:
        self.client: docker.DockerClient = ensure_host()
        self._state = state.load()
        self._pauses = Pauses(PAUSES_FILE)

    # -- coming and going

    def up(
        self,
        mode: str | None = None,
        *,
        only: Iterable[str] | None = None,
        service_timeout: int | None = None,
        report_interval: int | None = None,
        service_down_time: int | None = None,
        host: str | None = None,
        image: str | None = None,
        timeout: float = 600,
    ) -> Stack:
        """Create and start what is missing of the stack, and wait until it serves.

        What is not given stays as it was, or takes its default on a first ``up``. The schema of an older release's
        ``image`` is made on a first ``up`` only.
        """
        wanted = self._names(only)
        self._refuse_strangers()
        with locked("ports"):
            self._state = self._next_state(
                mode=mode,
                service_timeout=service_timeout,
                report_interval=report_interval,
                service_down_time=service_down_time,
                host=host,
                image=image,
            )
        needed = (self.settings.image,) if set(wanted) & set(CINDER) else ()
        built = images.ensure(self.client, *needed)
        self._make_folders()
        with locked("stack"), step(f"{', '.join(wanted)} (Cinder on {self.state.settings.mode})"):
            self._start_infrastructure(wanted, built["base"].reference)
            for name in (name for name in CINDER if name in wanted):
                self._ensure_cinder(name, built[self.settings.image].reference)
            self._wait_ready(wanted, timeout)
        return self

    def down(self, images_too: bool = False) -> None:
        """Remove the stack; with images_too also images, caches and lone databases."""
        for container in containers.ours(self.client, None if images_too else self.name):
            say(f"removing container {container.name}")
            with contextlib.suppress(NotFound):
                container.remove(force=True, v=True)
        if images_too:
            images.remove_all(self.client)
        remove_files(everything=images_too)
        self._state = None

    def _names(self, only: Iterable[str] | None) -> list[str]:
        asked = {SHORT_NAMES.get(name, name.replace("-", "_")) for name in only} if only else set(SERVICES)
        unknown = asked - set(SERVICES)
        if unknown:
            raise TestbedError(f"No service {', '.join(sorted(unknown))}; there are {', '.join(SERVICES)}.")
        if asked & set(CINDER):
            asked |= {MARIADB, RABBITMQ, IMAGES}
        return [name for name in SERVICES if name in asked]

    def _refuse_strangers(self) -> None:
        for service in SERVICES:
            containers.refuse_strangers(self.client, service)
            cinder_config.refuse_strangers(service)

    def _next_state(self, **chosen: Any) -> state.State:
        # From the file: another process may have changed it.
        before = state.load() or state.fresh()
        changes = {key: value for key, value in chosen.items() if value is not None}
        settings = replace(before.settings, **changes)
        if settings.mode not in MODES:
            raise TestbedError(f"No mode {settings.mode}; there are {' and '.join(MODES)}.")
        after = before.with_settings(settings)
        after.save()
        return after

    @property
    def state(self) -> state.State:
        """Return ports, passwords and settings. Raises TestbedError when the stack is not up."""
        self._state = self._state or state.load()
        if self._state is None:
            raise TestbedError("The test stack is not up: run 'tools/testbed up'.")
        return self._state

    @property
    def settings(self) -> Settings:
        """Mode and time-outs of the Cinder services."""
        return self.state.settings

    # -- the containers

    def _make_folders(self) -> None:
        for folder in ("volumes", "backup", "tmp", "coordination", "lanes"):
            (CINDER_DIR / folder).mkdir(parents=True, exist_ok=True)

    def _start_infrastructure(self, wanted: list[str], base: str) -> None:
        # First of all: RabbitMQ takes longest, and only the services wait for it.
        if RABBITMQ in wanted:
            self._ensure_rabbitmq(base)
        if IMAGES in wanted:
            self._ensure_images(base)
        if MARIADB in wanted:
            self._ensure_mariadb(base)
            if any(name in CINDER for name in wanted):
                ensure_cinder(self.mariadb, self.state.endpoints.database_password, self.settings.image)

    @property
    def mariadb(self) -> MariaDB:
        """The stack's database server."""
        ends = self.state.endpoints
        return MariaDB(
            client=self.client,
            name=MARIADB,
            port=ends.mariadb_port,
            root_password=ends.root_password,
            folder=cinder_config.folder_of(MARIADB),
            label=self.name,
        )

    def _ensure_mariadb(self, image: str) -> None:
        cinder_config.write(MARIADB, MARKER, "")
        self.mariadb.up(image)

    def _ensure_rabbitmq(self, image: str) -> None:
        cinder_config.write(RABBITMQ, MARKER, "")
        folder = cinder_config.folder_of(RABBITMQ)
        containers.ensure(
            self.client, rabbitmq.spec(RABBITMQ, image, folder, self.state.endpoints, self.name)
        )

    def _ensure_images(self, image: str) -> None:
        tool = "/opt/testbed/kolla_drain_testbed/wsgi_server.py"
        port = str(self.state.endpoints.images_port)
        spec = Spec(
            name=IMAGES,
            image=image,
            command=("/usr/bin/python3", tool, "kolla_drain_testbed.images", port),
            environment={"PYTHONPATH": "/opt/testbed", "PYTHONDONTWRITEBYTECODE": "1"},
            volumes=(f"{CINDER_DIR}:/var/lib/cinder:ro", f"{DRIVERS}:/opt/testbed:ro"),
            labels={LABEL: self.name},
            fingerprint=hashlib.sha256((DRIVERS / "kolla_drain_testbed/images.py").read_bytes()).hexdigest(),
        )
        containers.ensure(self.client, spec)

    def service(self, name: str) -> Service:
        """Return one of the stack's Cinder services, with the settings of now."""
        return Service(name, name.replace("_", "-"), self.settings)

    def cinder_spec(self, name: str, image: str) -> Spec:
        """Describe a Cinder container with that image, and write its configuration."""
        spec = self.service(name).spec(image, self.state.endpoints)
        return replace(spec, labels={**spec.labels, **KOLLA_LABELS})

    def _ensure_cinder(self, name: str, image: str) -> str:
        return containers.ensure(self.client, self.cinder_spec(name, image))

    # -- ready

    def _wait_ready(self, names: Sequence[str], timeout: float) -> None:
        cinder = [name for name in names if name in CINDER]
        deadline = time.monotonic() + timeout
        if IMAGES in names:
            wait_until(self.images.healthy, timeout, IMAGES, on_timeout=lambda: self._tails([IMAGES]))
        if "cinder_api" in cinder:
            wait_until(
                self.api.healthy,
                max(1.0, deadline - time.monotonic()),
                "an answer of cinder_api",
                on_timeout=lambda: self._tails(["cinder_api"]),
            )
            self.api.ensure_types(BACKENDS)
        self.wait_serving([self.service(name) for name in cinder], max(1.0, deadline - time.monotonic()))

    def wait_serving(self, services: Sequence[Service], timeout: float) -> None:
        """Wait until all run, take work from their queues, are fresh in the database and known to the scheduler."""
        deadline = time.monotonic() + timeout
        names = [one.container for one in services]
        self._wait_consumers([queue for one in services for queue in one.queues], names, timeout)
        wait_until(
            lambda: self._serving(services),
            max(1.0, deadline - time.monotonic()),
            ", ".join(names),
            on_timeout=lambda: self._tails(names),
        )
        wait_until(
            lambda: self._offered(services),
            max(1.0, deadline - time.monotonic()),
            f"the scheduler offering the backends of {', '.join(names)}",
            on_timeout=lambda: self._tails(names),
        )

    def _offered(self, services: Sequence[Service]) -> bool:
        """Return whether the scheduler, if one is asked for, knows each backend that is not disabled."""
        if not all(self._runs(name) for name in ("cinder_api", "cinder_scheduler")):
            return True
        volumes = [one for one in services if one.binary == "cinder-volume"]
        if any(one.binary == "cinder-scheduler" for one in services) and self._runs("cinder_volume"):
            volumes.append(self.service("cinder_volume"))
        rows = self.mariadb.execute(
            "SELECT host FROM services WHERE deleted = 0 AND disabled = 0 AND `binary` = 'cinder-volume'",
            (),
            "cinder",
        )
        enabled = {host for (host,) in rows}
        wanted = {one.offered_as(host) for one in volumes for host in one.hosts if host in enabled}
        missing = wanted - self.api.pools() if wanted else set()
        if missing:
            raise TestbedError(f"not offered: {', '.join(sorted(missing))}")
        return True

    def _runs(self, name: str) -> bool:
        found = containers.find(self.client, name)
        return found is not None and found.status == "running"

    def _serving(self, services: Sequence[Service]) -> bool:
        """Check that all run and are fresh in the database. Raises TestbedError with what is not."""
        for name in (one.container for one in services):
            container = self.client.containers.get(name)
            if container.status != "running":
                raise NotReady(f"{name} is {container.status}.\n{containers.log_tail(self.client, name)}")
        stale = [host for one in services for host in self._stale_rows(one)]
        if stale:
            raise TestbedError(f"no fresh heartbeat of {', '.join(stale)}")
        return True

    def _stale_rows(self, service: Service) -> list[str]:
        """Return the rows of ``services`` that should be fresh and are not."""
        age = "TIMESTAMPDIFF(SECOND, COALESCE(updated_at, created_at), UTC_TIMESTAMP())"
        rows = self.mariadb.execute(
            f"SELECT host, {age} FROM services WHERE deleted = 0 AND `binary` = %s",
            (service.binary,),
            "cinder",
        )
        ages = dict(rows)
        down = service.settings.service_down_time
        return [host for host in service.hosts if ages.get(host, down) >= down]

    def service_hosts(self, name: str) -> list[str]:
        """The ``host`` column of each row that the service has in ``services``."""
        return self.service(name).hosts

    def _wait_consumers(self, queues: Sequence[str], names: Sequence[str], timeout: float) -> None:
        """Ask RabbitMQ by a helper inside a container that has an AMQP library."""
        if not queues:
            return
        script = "/opt/testbed/kolla_drain_testbed/await_queues.py"
        command = ["/opt/cinder/bin/python", script, str(timeout), *queues]
        try:
            containers.run_inside(self.client.containers.get(names[0]), command, "waiting for the queues")
        except (TestbedError, docker.errors.APIError) as error:
            raise NotReady(f"{error}\n{self._tails([RABBITMQ, *names])}") from error

    def _tails(self, names: Iterable[str]) -> str:
        return "\n".join(containers.log_tail(self.client, name) for name in names)

    # -- what tests and the demo use

    @property
    def api(self) -> CinderApi:
        """A client of the stack's Block Storage API."""
        return CinderApi(self.state.endpoints.api_port, self.state.project_id)

    @property
    def images(self) -> ImageSource:
        """The stand-in for the Image API."""
        return ImageSource(self.state.endpoints.images_port)

    def container(self, name: str) -> Container:
        """Return the engine's object for one of the stack's containers."""
        return self.client.containers.get(name)

    def db(self, database: str = "cinder") -> Connection:
        """A connection as root; the caller closes it."""
        return self.mariadb.open(database)

    def restart_service(self, name: str, timeout: float = 600) -> str:
        """Start a stopped service, create a missing one, and wait until it serves."""
        name = SHORT_NAMES.get(name, name)
        if name in CINDER:
            image = self.settings.image
            done = self._ensure_cinder(name, images.ensure(self.client, image)[image].reference)
            self._wait_ready([name], timeout)
            return done
        self._start_infrastructure([name], images.ensure(self.client)["base"].reference)
        return "started"

    def taken_by(self, volume: str) -> str:
        """Return the host of the cinder-volume that has taken work on a volume; empty where none has."""
        rows = self.mariadb.execute(
            "SELECT s.host FROM workers w JOIN services s ON s.id = w.service_id"
            " WHERE w.resource_id = %s AND w.deleted = 0 AND s.`binary` = 'cinder-volume'",
            (volume,),
            "cinder",
        )
        return str(rows[0][0]) if rows else ""

    def engine_events(self, container: str, since: float | datetime) -> list[EngineEvent]:
        """Return the engine's events of the container since then, execs left out."""
        begin = since.timestamp() if isinstance(since, datetime) else since
        # The engine accepts fractions of a second; the docker SDK would cut them off a datetime.
        span: dict[str, Any] = {"since": f"{begin:.9f}", "until": f"{time.time():.9f}"}
        filters = {"container": container, "type": "container"}
        stream = self.client.api.events(filters=filters, decode=True, **span)
        return [_event(raw) for raw in stream if not raw["Action"].startswith("exec_")]

    def status(self) -> list[ServiceStatus]:
        """Return an entry for each container of the stack, present or not."""
        return [self.status_of(name) for name in SERVICES]

    def status_of(self, name: str) -> ServiceStatus:
        """What is there under this name, if it is the testbed's."""
        container = containers.find(self.client, name)
        if container is None or LABEL not in container.labels:
            return ServiceStatus(name, "absent", None, "", "")
        running = container.status == "running"
        now = datetime.now(timezone.utc)
        uptime = (now - containers.started_at(container)).total_seconds() if running else None
        image = container.attrs["Config"]["Image"]
        return ServiceStatus(name, container.status, uptime, container.labels.get(MODE_LABEL, ""), image)


def _event(raw: dict[str, Any]) -> EngineEvent:
    attributes = raw["Actor"]["Attributes"]
    signal, code = attributes.get("signal"), attributes.get("exitCode")
    return EngineEvent(
        raw["timeNano"] / 1e9,
        raw["Action"],
        int(signal) if signal is not None else None,
        int(code) if code is not None else None,
    )


def remove_files(everything: bool) -> None:
    """Configuration, state and volumes; with everything also caches and what lone databases left."""
    for folder in (*(cinder_config.folder_of(service) for service in SERVICES), *lane_folders()):
        if (folder / MARKER).exists():
            shutil.rmtree(folder)
    _remove_if_empty(KOLLA_DIR)
    for folder in (STATE_DIR, CACHE_DIR, LOCK_DIR) if everything else ():
        shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(CINDER_DIR, ignore_errors=True)
    STATE_FILE.unlink(missing_ok=True)
    _remove_if_empty(STATE_DIR)


def lane_folders(lane: str = "*") -> list[Path]:
    """The configuration of a lane's containers, or of all lanes'; see lanes.py."""
    return [
        folder for name in CINDER for folder in KOLLA_DIR.glob(f"{cinder_config.folder_of(name).name}-{lane}")
    ]


def _remove_if_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
