"""What the services beside Cinder have in common: they use its MariaDB and RabbitMQ, and come and go by themselves."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

import docker
from docker.models.containers import Container

from testbed import cinder_config, containers
from testbed.cinder_config import Endpoints
from testbed.console import say
from testbed.mariadb import MariaDB
from testbed.pauses import Pauses, Slowed
from testbed.stack import MARIADB, ServiceStatus, Stack


class BesideCinder(Slowed):
    """Services with databases of their own; all objects of a class are the same ones."""

    services: ClassVar[tuple[str, ...]]
    databases: ClassVar[tuple[str, ...]]
    folder: ClassVar[Path]  # with what the services and the testbed keep

    def __init__(self, stack: Stack | None = None) -> None:
        self.stack = stack or Stack()
        self.client: docker.DockerClient = self.stack.client
        self._pauses = Pauses(self.folder / "pauses.json")

    def _refuse_strangers(self) -> None:
        for service in self.services:
            containers.refuse_strangers(self.client, service)
            cinder_config.refuse_strangers(service)

    def _remove(self) -> None:
        """Remove the containers and the databases; MariaDB and RabbitMQ stay for the others."""
        self._remove_containers()
        server = containers.find(self.client, MARIADB)
        if server is not None and server.status == "running":
            for database in self.databases:
                self.mariadb.execute(f"DROP DATABASE IF EXISTS `{database}`")

    def _remove_containers(self) -> None:
        for container in containers.ours(self.client, self.name):
            say(f"removing container {container.name}")
            containers.remove(self.client, str(container.name))

    @property
    def shared(self) -> Endpoints:
        """Of the MariaDB and RabbitMQ that all share."""
        return self.stack.state.endpoints

    @property
    def mariadb(self) -> MariaDB:
        """The database server."""
        return self.stack.mariadb

    def container(self, name: str) -> Container:
        """The engine's object for one of the containers."""
        return self.client.containers.get(name)

    def status(self) -> list[ServiceStatus]:
        """Return an entry for each of the containers, present or not."""
        return [self.stack.status_of(name) for name in self.services]

    def _tails(self, names: Iterable[str]) -> str:
        return "\n".join(containers.log_tail(self.client, name) for name in names)
