"""A site of three managed hosts with Cinder spread over them as Kolla spreads it, every container under a systemd unit.

with Site().up() as site:
    volume = site.api.create_volume(1)
    site.hosts["s1"].engine.containers.get("cinder_volume")
    site.write_inventory(Path("site.json"))

The API and the scheduler run on the controllers c1 and c2, cinder-volume and cinder-backup on the storage host s1;
MariaDB and RabbitMQ on c1.
"""

from __future__ import annotations

import contextlib
import functools
import json
import secrets
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pymysql
from pymysql.connections import Connection

from testbed import cinder_config, containers, images, kolla_unit, rabbitmq, upgrades
from testbed.cinder_api import CinderApi
from testbed.cinder_config import BACKENDS, Endpoints, Settings
from testbed.console import step
from testbed.containers import Spec
from testbed.errors import TestbedError
from testbed.hosts import Host, Hosts
from testbed.mariadb import MariaDB, ensure_cinder
from testbed.paths import CACHE_DIR, DRIVERS, HOSTS_DIR, LABEL
from testbed.pauses import Pauses, Slowed
from testbed.service import CAPABILITIES, Service
from testbed.state import keep
from testbed.waiting import wait_until

# The services and their hosts, in the order of their start.
SPREAD = {
    "cinder_scheduler": ("c1", "c2"),
    "cinder_api": ("c1", "c2"),
    "cinder_volume": ("s1",),
    "cinder_backup": ("s1",),
}
CONTROLLER = "c1"
# All of it on one host.
TOGETHER = dict.fromkeys(SPREAD, (CONTROLLER,))


@dataclass
class SiteMariaDB(MariaDB):
    """A server on a managed host, reached from this machine by the host's address."""

    address: str = ""

    def open(self, database: str | None = None, **options: Any) -> Connection:
        return pymysql.connect(
            host=self.address,
            port=self.port,
            user="root",
            password=self.root_password,
            database=database,
            autocommit=True,
            connect_timeout=5,
            **options,
        )


@dataclass(frozen=True)
class Secrets:
    """The passwords of one site."""

    root: str = field(default_factory=lambda: secrets.token_hex(12))
    database: str = field(default_factory=lambda: secrets.token_hex(12))
    rabbitmq: str = field(default_factory=lambda: secrets.token_hex(12))
    project_id: str = field(default_factory=lambda: secrets.token_hex(16))


class Site(Slowed):
    """The hosts of one prefix with Cinder on them, spread as given."""

    def __init__(
        self,
        prefix: str = "site",
        settings: Settings | None = None,
        spread: Mapping[str, Sequence[str]] = SPREAD,
    ) -> None:
        self.folder = HOSTS_DIR / f"{prefix}.site"
        self.spread = spread
        self.names = sorted({CONTROLLER, *(place for places in spread.values() for place in places)})

        self.settings = settings or Settings(report_interval=2)
        # Under one path everywhere, so that a path means the same here, on a host and for its engine. It stands for the
        # storage that the hosts share.
        mounts = (f"{self.folder}:{self.folder}", f"{CACHE_DIR}:{CACHE_DIR}:ro", f"{DRIVERS}:{DRIVERS}:ro")
        self.hosts = Hosts(self.names, prefix, mounts=mounts)
        self.client = self.hosts.client
        self._pauses = Pauses(self.cinder_folder / "pauses.json")

    @property
    def cinder_folder(self) -> Path:
        return self.folder / "cinder"

    # -- coming and going

    def up(self, variants: Sequence[str] = ("", "next"), timeout: float = 600) -> Site:
        """Create what is missing of the site, with these variants of Cinder's image, and wait until it serves."""
        base = images.ensure(self.client, "cinder")["base"].reference
        wanted = [base, *(upgrades.cinder_image(self.client, variant) for variant in variants)]
        CACHE_DIR.mkdir(parents=True, exist_ok=True)
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in ("volumes", "backup", "tmp", "coordination"):
            (self.cinder_folder / folder).mkdir(parents=True, exist_ok=True)
        self.hosts.up(images=wanted)
        with step(f"Cinder on {', '.join(host.name for host in self.hosts.values())}"):
            self._start_infrastructure(base)
            with ThreadPoolExecutor(len(self.names)) as pool:
                list(pool.map(self._start_cinder, self.names))
            self.wait_serving(timeout)
            self.api.ensure_types(BACKENDS)
        return self

    def down(self) -> None:
        """Remove the hosts and what they shared."""
        self.hosts.down()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Site:
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    @functools.cached_property
    def _secrets(self) -> Secrets:
        file = self.folder / "secrets.json"
        with contextlib.suppress(FileNotFoundError):
            return Secrets(**json.loads(file.read_text()))
        made = Secrets()
        keep(file, vars(made))
        return made

    # -- where things are

    def endpoints(self, listen: str = "127.0.0.1") -> Endpoints:
        """Kolla's own ports: every host has its own network."""
        return Endpoints(
            mariadb_port=3306,
            rabbitmq_port=5672,
            epmd_port=4369,
            rabbitmq_dist_port=25672,
            images_port=9292,
            api_port=8776,
            root_password=self._secrets.root,
            database_password=self._secrets.database,
            rabbitmq_password=self._secrets.rabbitmq,
            address=self.hosts[CONTROLLER].address,
            listen=listen,
        )

    def api_on(self, name: str) -> CinderApi:
        """A client of the API on one controller."""
        return CinderApi(8776, self._secrets.project_id, self.hosts[name].address)

    @property
    def api(self) -> CinderApi:
        return self.api_on(CONTROLLER)

    @property
    def mariadb(self) -> SiteMariaDB:
        """The site's database server."""
        host = self.hosts[CONTROLLER]
        return SiteMariaDB(
            client=host.engine,
            name="mariadb",
            port=3306,
            root_password=self._secrets.root,
            folder=self.folder / "mariadb",
            host="0.0.0.0",  # noqa: S104 - of the site's own network
            label="site",
            address=host.address,
        )

    def services(self) -> list[tuple[Host, Service]]:
        """Each Cinder service with the host that it runs on."""
        return [
            (self.hosts[host], Service(name, name.replace("_", "-"), self._settings_on(host)))
            for name, places in self.spread.items()
            for host in places
        ]

    def _settings_on(self, host: str) -> Settings:
        return replace(self.settings, host=self.hosts[host].name)

    # -- making it

    def _start_infrastructure(self, base: str) -> None:
        host = self.hosts[CONTROLLER]
        ends = self.endpoints()
        folder = self.folder / "rabbitmq"
        folder.mkdir(exist_ok=True)
        with contextlib.closing(host.engine) as engine:
            containers.ensure(engine, rabbitmq.spec("rabbitmq", base, folder, ends, "site"))
        server = self.mariadb
        server.up(base)
        ensure_cinder(server, ends.database_password)
        for name in ("mariadb", "rabbitmq"):
            own(host, name)

    def _start_cinder(self, name: str) -> None:
        """Start the Cinder services of one host."""
        image = upgrades.cinder_image(self.client)
        there = self.hosts[name]
        with contextlib.closing(there.engine) as engine:
            for host, service in self.services():
                if host.name == there.name and containers.find(engine, service.container) is None:
                    self._configure(host, service)
                    containers.ensure(engine, self.spec(service, image))
                    own(host, service.container)

    def _configure(self, host: Host, service: Service) -> None:
        text = cinder_config.cinder_conf(service.settings, self.endpoints(host.address))
        host.put(f"{_config_folder(service)}/cinder.conf", text)

    def spec(self, service: Service, image: str) -> Spec:
        """Describe a service's container, which is the same on each of its hosts."""
        privileged = service.binary in ("cinder-volume", "cinder-backup")
        return Spec(
            name=service.container,
            image=image,
            command=(service.binary, "--config-file", "/etc/cinder/cinder.conf"),
            environment={
                "KOLLA_CONFIG_STRATEGY": "COPY_ALWAYS",
                "KOLLA_SERVICE_NAME": service.binary,
                "PYTHONPATH": "/opt/testbed",
                "PYTHONDONTWRITEBYTECODE": "1",
                "PYTHONUNBUFFERED": "1",
            },
            volumes=(
                f"{_config_folder(service)}/cinder.conf:/etc/cinder/cinder.conf:ro",
                f"{self.cinder_folder}:/var/lib/cinder",
                f"{DRIVERS}:/opt/testbed:ro",
            ),
            labels={LABEL: "site"},
            cap_add=CAPABILITIES if privileged else (),
            ipc_mode="host" if privileged else None,
        )

    # -- ready

    def wait_serving(self, timeout: float = 600) -> None:
        """Wait until every service takes work, is fresh and known to the schedulers, and both APIs answer."""
        queues = [queue for _, service in self.services() for queue in service.queues]
        script = "/opt/testbed/kolla_drain_testbed/await_queues.py"
        self.hosts[CONTROLLER].run(
            "docker", "exec", "cinder_scheduler", "/opt/cinder/bin/python", script, str(timeout), *queues
        )
        wait_until(self._all_up, timeout, "every service of the site", on_timeout=self.tails)
        for name in self.spread["cinder_api"]:
            wait_until(self.api_on(name).healthy, timeout, f"the API on {name}", on_timeout=self.tails)
        wait_until(
            self._all_offered, timeout, "every scheduler offering every backend", on_timeout=self.tails
        )

    def _all_offered(self) -> bool:
        """The broker asks the schedulers in turn."""
        wanted = {host for _, one in self.services() if one.binary == "cinder-volume" for host in one.hosts}
        return all(wanted <= self.api.pools() for _ in range(2 * len(self.spread["cinder_scheduler"])))

    def _all_up(self) -> bool:
        age = "TIMESTAMPDIFF(SECOND, COALESCE(updated_at, created_at), UTC_TIMESTAMP())"
        rows = self.mariadb.execute(
            f"SELECT `binary`, host, {age} FROM services WHERE deleted = 0",
            database="cinder",
        )
        fresh = {
            (binary, host) for binary, host, seconds in rows if seconds < self.settings.service_down_time
        }
        wanted = {(service.binary, host) for _, service in self.services() for host in service.hosts}
        if wanted - fresh:
            raise TestbedError(f"no fresh heartbeat of {sorted(wanted - fresh)}")
        return True

    def tails(self) -> str:
        """Return the last lines of all logs."""
        found = []
        for host, service in self.services():
            with contextlib.closing(host.engine) as engine:
                found.append(f"{host.name} {containers.log_tail(engine, service.container)}")
        return "\n".join(found)

    # -- for Ansible

    def inventory(self, image: str) -> dict[str, Any]:
        """The site as the plays of ansible/ know it, to be upgraded to this image."""
        groups = {name.replace("_", "-"): places for name, places in self.spread.items()} | {
            "mariadb": (CONTROLLER,)
        }
        children = {
            group: {"hosts": {self.hosts[place].name: {} for place in places}}
            for group, places in groups.items()
        }
        variables = {host.name: self._variables(host, image) for host in self.hosts.values()}
        return {"all": {"hosts": variables, "children": children}}

    def _variables(self, host: Host, image: str) -> dict[str, Any]:
        project = self._secrets.project_id
        found = self.hosts.variables(host) | {
            "cinder_api_listen_port": 8776,
            "cinder_privileged": False,
            "cinder_capabilities": list(CAPABILITIES),
            "cinder_labels": {LABEL: "site"},
            "kolla_drain_api": {
                "auth_type": "none",
                "auth": {"token": f"{project}:{project}"},
                "endpoint_overrides": {"cinder": self.api.base},
                # The way back for cinder-volume, which this release's API disables and does not enable.
                "database": {
                    "host": self.hosts[CONTROLLER].address,
                    "port": 3306,
                    "user": "root",
                    "password": self._secrets.root,
                    "name": "cinder",
                },
            },
            "enable_container_healthchecks": False,
            "kolla_one_off_setup": "",
            "default_container_dimensions": {},
        }
        for _, service in self.services():
            found |= upgrades.described(service.container, self.spec(service, image))
        return found

    def write_inventory(self, file: Path, image: str) -> Path:
        """The inventory as a file for its owner alone."""
        return upgrades.write(self.inventory(image), file)


def _config_folder(service: Service) -> str:
    """Return the path on a host."""
    return f"/etc/kolla/{service.binary}"


def own(host: Host, name: str, engine: str = "docker") -> None:
    """Put a container under a unit in kolla-ansible's form, and start it through the unit."""
    unit = kolla_unit.name_of(name)
    host.put(f"/etc/systemd/system/{unit}", kolla_unit.text(name, engine=engine), 0o644)
    host.run("systemctl", "daemon-reload")
    host.run("systemctl", "enable", "--now", unit)
