"""What is stopped: one service in one container, with its evidence, its queues and its stream."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from docker.models.containers import Container

from kolla_drain import evidence
from kolla_drain.database.target import target as make_target
from kolla_drain.evidence.reader import Batch, Source
from kolla_drain.model import EvidenceState, Reading
from kolla_drain.service import config as service_config
from testbed import containers
from testbed.lanes import Lane
from testbed.stack import Stack
from testbed.waiting import wait_until

# No idle service needs as long as this to exit; one that does hangs.
EXIT_LIMIT = 100.0


@dataclass
class Subject:
    """A service that is stopped again and again."""

    stack: Stack
    service: str  # cinder-volume
    mode: str
    container_name: str
    config: str
    backends: tuple[str, ...]
    hosts: tuple[str, ...]  # its rows in services
    set_pause: Callable[[str, float], None]
    clear_pauses: Callable[[], None]
    spare_of: Callable[[], containers.Spec]  # what its successor is made of
    ignored: Callable[[], set[str]] = set  # ids of what is lost already: not waited for again
    _batch: Batch | None = None
    _running: str = field(default="")

    # -- the container

    @property
    def container(self) -> Container:
        return self.stack.client.containers.get(self._running or self.container_name)

    def wait_exit(self, container: Container) -> bool:
        """False when it had to be killed."""
        try:
            container.wait(timeout=EXIT_LIMIT)
        except Exception:  # noqa: BLE001 - whatever it is called, the time is over
            container.kill()
            container.wait(timeout=30)
            return False
        return True

    def spare(self) -> Container:
        """A second container of the same service and the same host, ready to be started."""
        names = (self.container_name, f"{self.container_name}_b")
        other = names[1] if (self._running or names[0]) == names[0] else names[0]
        found = containers.find(self.stack.client, other)
        if found is None:
            containers.ensure(self.stack.client, replace(self.spare_of(), name=other))
            found = self.stack.client.containers.get(other)
            found.kill()
            found.wait(timeout=30)
        return found

    def switch_to(self, container: Container) -> None:
        self._running = str(container.name)

    def only_one(self) -> None:
        """The container of its own name runs, and no other."""
        self._running = ""
        spare = containers.find(self.stack.client, f"{self.container_name}_b")
        if spare is not None:
            spare.remove(force=True, v=True)
        if self.container.status == "paused":
            self.container.unpause()
        if self.container.status != "running":
            self.container.start()

    # -- its evidence

    def read(self) -> Reading:
        """One reading. Raises RuntimeError when there is none."""
        if self._batch is None:
            config = service_config.load([self.config], self.service)
            target = make_target(config.database, inherited=True)
            source = Source(evidence.evidence_of(self.service), config, target)
            self._batch = Batch({"it": source})
        reading = self._batch.readings_once(["it"], 10)["it"]
        if reading.state is not EvidenceState.OK:
            raise RuntimeError(reading.why)
        return reading

    def empty(self) -> bool:
        """Whether nothing is in flight that may still end."""
        lost = self.ignored()
        return all(one.id in lost for one in self.read().working)

    def beats(self) -> dict[str, int | None]:
        return {one.host: one.report_count for one in self.read().heartbeats}

    def wait_served(self, before: dict[str, int | None]) -> None:
        """Until each row has beaten again since."""

        def moved() -> bool:
            now = self.beats()
            return all(now.get(host) != count for host, count in before.items())

        wait_until(moved, 90, f"{self.container_name} to serve again")

    def close(self) -> None:
        if self._batch is not None:
            self._batch.close()
            self._batch = None


def of_lane(lane: Lane, kind: str) -> Subject:
    """The ``volume`` or the ``backup`` of a lane."""
    service = lane.service(kind)
    # Its container, not a new one of a newer image: it stays what it is all along.
    image = lane.container(kind).attrs["Config"]["Image"]
    return Subject(
        stack=lane.stack,
        service=f"cinder-{kind}",
        mode=lane.mode,
        container_name=lane.container_name(kind),
        config=lane.config(kind),
        backends=lane.backends,
        hosts=tuple(service.hosts),
        set_pause=lane.set_pause,
        clear_pauses=lane.clear_pauses,
        spare_of=lambda: service.spec(image, lane.stack.state.endpoints),
    )


def scheduler(stack: Stack, lane: Lane) -> Subject:
    """The stack's one cinder-scheduler, under the stream of a lane."""
    name = "cinder_scheduler"
    image = stack.container(name).attrs["Config"]["Image"]
    return Subject(
        stack=stack,
        service="cinder-scheduler",
        mode=stack.settings.mode,
        container_name=name,
        config="/etc/kolla/cinder-scheduler/cinder.conf",
        backends=lane.backends,
        hosts=tuple(stack.service_hosts(name)),
        set_pause=lane.set_pause,
        clear_pauses=lane.clear_pauses,
        spare_of=lambda: stack.cinder_spec(name, image),
    )
