"""The service under test: one container, its rows in ``services`` and its stream of requests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from docker.models.containers import Container

from testbed import containers
from testbed.lanes import Lane
from testbed.stack import Stack
from testbed.waiting import wait_until

SERVED_LIMIT = 120.0  # seconds from a start to a heartbeat of each row


@dataclass
class Subject:
    """A service that is stopped again and again."""

    stack: Stack
    lane: Lane  # its stream's backends and pauses
    service: str  # cinder-volume
    container_name: str
    config: str  # the path of its cinder.conf
    hosts: tuple[str, ...]  # column ``host`` of its rows in ``services``
    spec: Callable[[], containers.Spec]  # of a new container of the same image

    @property
    def container(self) -> Container:
        """Return the engine's object, looked up anew: a way may replace the container."""
        return self.stack.client.containers.get(self.container_name)

    def recreate(self) -> None:
        """Remove the container by force, and create and start another."""
        self.container.remove(force=True)
        containers.ensure(self.stack.client, self.spec())

    def ensure_running(self) -> None:
        """Bring the container back, whatever a broken round has left."""
        containers.ensure(self.stack.client, self.spec())

    def beats(self) -> dict[str, int]:
        """Return the count of heartbeats by host."""
        rows = self.stack.mariadb.execute(
            "SELECT host, report_count FROM services WHERE deleted = 0 AND `binary` = %s",
            (self.service,),
            "cinder",
        )
        return {host: count for host, count in rows if host in self.hosts}

    def wait_served(self, before: dict[str, int]) -> None:
        """Wait until every row has a heartbeat more. The service listens to its queues before the first."""

        def moved() -> bool:
            now = self.beats()
            return all(now.get(host, 0) > before.get(host, 0) for host in self.hosts)

        wait_until(moved, SERVED_LIMIT, f"{self.container_name} to serve again")


def of_lane(lane: Lane, service: str) -> Subject:
    """Return the cinder-volume or the cinder-backup of a lane."""
    kind = service.partition("-")[2]
    described = lane.service(kind)
    image = lane.container(kind).attrs["Config"]["Image"]
    return Subject(
        stack=lane.stack,
        lane=lane,
        service=service,
        container_name=lane.container_name(kind),
        config=lane.config(kind),
        hosts=tuple(described.hosts),
        spec=lambda: described.spec(image, lane.stack.state.endpoints),
    )


def scheduler(lane: Lane) -> Subject:
    """Return the stack's only cinder-scheduler, under the stream of a lane."""
    stack, name = lane.stack, "cinder_scheduler"
    image = stack.container(name).attrs["Config"]["Image"]
    return Subject(
        stack=stack,
        lane=lane,
        service="cinder-scheduler",
        container_name=name,
        config="/etc/kolla/cinder-scheduler/cinder.conf",
        hosts=tuple(stack.service_hosts(name)),
        spec=lambda: stack.cinder_spec(name, image),
    )
