"""Lanes: cinder-volumes and cinder-backups beside the stack's own, so that several stops can be tried side by side.

    lane = Lane(stack, "a1", mode="threads").up()
    lane.set_pause("volume_create", 20)
    volume = lane.api.create_volume(1, "mine", backend=lane.backends[0])
    lane.down()

A lane shares the stack's MariaDB, RabbitMQ, API and scheduler, and has hosts, queues, backends and pauses of its own.
"""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from docker.models.containers import Container

from testbed import cinder_config, containers, images
from testbed.cinder_api import CinderApi
from testbed.cinder_config import Settings
from testbed.console import step
from testbed.errors import TestbedError
from testbed.locks import locked
from testbed.paths import CINDER_DIR, MARKER
from testbed.pauses import Pauses, Slowed
from testbed.service import Service
from testbed.stack import MARIADB, MODES, EngineEvent, Stack, lane_folders
from testbed.waiting import wait_until

KINDS = ("volume", "backup")
TOUCH_EVERY = 1  # seconds


class Lane(Slowed):
    """A further cinder-volume and cinder-backup; all objects of one name are the same lane."""

    def __init__(
        self,
        stack: Stack,
        name: str,
        mode: str | None = None,
        *,
        kinds: Iterable[str] = KINDS,
        service_timeout: int = 600,
        report_interval: int = 2,
        service_down_time: int = 60,
        image: str | None = None,
        touching: bool = False,
        cluster: str | None = None,
    ) -> None:
        """``image`` is the reference of another image than the stack's; the mode is the stack's if not given.

        Lanes of one ``cluster`` have its backends, and their cinder-volumes are its members.

        ``touching``: as some forks of Cinder do, an operation touches its row of ``workers`` for as long as it runs.
        """
        self.stack, self.name, self.image, self.touching = stack, name, image, touching
        self.mode = mode or stack.settings.mode
        self.kinds = tuple(kinds)
        self._refuse_nonsense()
        self.host = f"lane-{name}"
        self.backends = (f"{cluster or name}-1", f"{cluster or name}-2")
        self.settings = Settings(
            mode=self.mode,
            service_timeout=service_timeout,
            service_down_time=service_down_time,
            report_interval=report_interval,
            host=self.host,
            cluster=cluster,
        )
        self.volume, self.backup = (f"cinder_{kind}_{name}" for kind in KINDS)
        self._folder = CINDER_DIR / "lanes" / name
        self._pauses = Pauses(self._folder / "pauses.json")

    def _refuse_nonsense(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9]{0,15}", self.name):
            raise TestbedError(f"{self.name!r} is no name of a lane: letters and digits, a letter first.")
        if self.mode not in MODES:
            raise TestbedError(f"No mode {self.mode}; there are {' and '.join(MODES)}.")
        if not set(self.kinds) <= set(KINDS):
            raise TestbedError(f"A lane has {' and '.join(KINDS)}, not {', '.join(self.kinds)}.")

    # -- coming and going

    def up(self, timeout: float = 600) -> Lane:
        """Create and start what is missing of the lane, and wait until it serves."""
        names = [self.container_name(kind) for kind in self.kinds]
        for name in names:
            containers.refuse_strangers(self.stack.client, name)
            cinder_config.refuse_strangers(name)
        self._folder.mkdir(parents=True, exist_ok=True)
        with locked(f"lane-{self.name}"), step(f"lane {self.name}: {', '.join(names)} on {self.mode}"):
            self.stack.api.ensure_types(self.backends)
            for kind in self.kinds:
                self._ensure(kind)
            self.wait_ready(timeout=timeout)
        return self

    def start(self, kind: str, timeout: float = 600) -> str:
        """Start a stopped ``volume`` or ``backup``, create a missing one, and wait until it serves."""
        done = self._ensure(kind)
        self.wait_ready([kind], timeout)
        return done

    def restart(self, kind: str, timeout: float = 600) -> None:
        """Kill the ``volume`` or the ``backup``, and start it as above."""
        container = self.container(kind)
        if container.status == "running":
            container.kill()
            container.wait(timeout=timeout)
        self.start(kind, timeout)

    def down(self) -> None:
        """Remove containers, configuration, pauses and the rows of its services; volumes stay in the database."""
        for kind in KINDS:
            containers.remove(self.stack.client, self.container_name(kind))
        for folder in lane_folders(self.name):
            if (folder / MARKER).exists():
                shutil.rmtree(folder)
        shutil.rmtree(self._folder, ignore_errors=True)
        self._forget_services()

    def _forget_services(self) -> None:
        """Delete the services' rows, as ``cinder-manage service remove`` does: they are gone, not down."""
        server = containers.find(self.stack.client, MARIADB)
        if server is None or server.status != "running":
            return
        for kind in KINDS:
            for host in self.service(kind).hosts:
                self.stack.mariadb.execute(
                    "UPDATE services SET deleted = 1, deleted_at = UTC_TIMESTAMP()"
                    " WHERE deleted = 0 AND host = %s AND `binary` = %s",
                    (host, f"cinder-{kind}"),
                    "cinder",
                )
        if self.settings.cluster:
            # As Cinder's own deletion does: else no other cluster may ever have this name.
            self.stack.mariadb.execute(
                "UPDATE clusters SET deleted = 1, race_preventer = id WHERE deleted = 0 AND name LIKE %s",
                (f"{self.settings.cluster}@%",),
                "cinder",
            )

    def _ensure(self, kind: str) -> str:
        image = self.image or images.ensure(self.stack.client, "cinder")["cinder"].reference
        spec = self.service(kind).spec(image, self.stack.state.endpoints)
        return containers.ensure(self.stack.client, spec)

    def wait_ready(self, kinds: Iterable[str] | None = None, timeout: float = 600) -> None:
        """Wait until they take work from their queues and are fresh in the database."""
        self.stack.wait_serving([self.service(kind) for kind in kinds or self.kinds], timeout)

    # -- its parts

    def service(self, kind: str) -> Service:
        """``volume`` or ``backup``."""
        environment = {"TESTBED_PAUSES": f"/var/lib/cinder/lanes/{self.name}/pauses.json"}
        if self.touching:
            environment["TESTBED_TOUCHING"] = str(TOUCH_EVERY)
        return Service(
            container=self.container_name(kind),
            binary=f"cinder-{kind}",
            settings=self.settings,
            backends=self.backends,
            images_path=f"/lanes/{self.name}",
            environment=environment,
        )

    def container_name(self, kind: str) -> str:
        """Return the name of the container of the ``volume`` or the ``backup``."""
        if kind not in KINDS:
            raise TestbedError(f"A lane has {' and '.join(KINDS)}, not {kind}.")
        return {"volume": self.volume, "backup": self.backup}[kind]

    def container(self, kind: str) -> Container:
        """Return the engine's object of the container."""
        return self.stack.container(self.container_name(kind))

    def config(self, kind: str) -> str:
        """Return the path of the service's cinder.conf."""
        return str(cinder_config.folder_of(self.container_name(kind)) / "cinder.conf")

    def module_arguments(self, kind: str) -> str:
        """Return kolla_docker's arguments for the service, without the action."""
        return f"name={self.container_name(kind)} service=cinder-{kind} service_config={self.config(kind)}"

    @property
    def api(self) -> CinderApi:
        """A client of the stack's API; volumes get into the lane by ``backend=lane.backends[0]``."""
        return self.stack.api

    def volume_file(self, volume: dict[str, Any]) -> Path:
        """The file of a volume that was never migrated, on this machine."""
        folder = str(volume["os-vol-host-attr:host"]).partition("@")[2].partition("#")[0]
        return CINDER_DIR / "volumes" / folder / f"volume-{volume['id']}"

    def engine_events(self, kind: str, since: float) -> list[EngineEvent]:
        """Return the engine's events of the service's container since then."""
        return self.stack.engine_events(self.container_name(kind), since)

    def kill_operation(self, resource_id: str, timeout: float = 180) -> None:
        """Make the operation that sleeps on this resource hang for good, while its service lives."""
        dying = self._folder / "dying"
        dying.mkdir(exist_ok=True)
        told = dying / resource_id
        told.touch()
        try:
            wait_until(lambda: not told.exists(), timeout, f"the death of what is done to {resource_id}")
        finally:
            told.unlink(missing_ok=True)


def up_together(lanes: Iterable[Lane], timeout: float = 600) -> list[Lane]:
    """Bring all lanes up side by side. Raises the first error once all have ended."""
    lanes = list(lanes)
    with ThreadPoolExecutor(max_workers=max(1, len(lanes))) as pool:
        futures = [pool.submit(lane.up, timeout) for lane in lanes]
    return [future.result() for future in futures]


def down_together(lanes: Iterable[Lane]) -> None:
    """Remove all lanes side by side. Raises the first error once all have ended."""
    lanes = list(lanes)
    with ThreadPoolExecutor(max_workers=max(1, len(lanes))) as pool:
        futures = [pool.submit(lane.down) for lane in lanes]
    for future in futures:
        future.result()


@contextlib.contextmanager
def lanes_up(*lanes: Lane) -> Iterator[list[Lane]]:
    """Bring the lanes up together, and remove them at the end."""
    try:
        yield up_together(lanes)
    finally:
        down_together(lanes)
