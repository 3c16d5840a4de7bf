"""A look at a container that the engine refuses, in the middle of its stop."""

from __future__ import annotations

from typing import Any

from kolla_drain.drain.plan import plan
from kolla_drain.drain.result import Target
from kolla_drain.drain.stop import ContainerStop
from kolla_drain.errors import EngineError
from kolla_drain.model import NO_PROFILE, Container, ContainerStatus, Entry, StopRequest

RUNS = Container("1d", "c", ContainerStatus.RUNNING, started_at="1")


class Engine:
    def inspect(self, container_id: str) -> Container:
        raise EngineError("Podman refused: the container's state is improper.")


class Ledger:
    def begin(self, *_: Any) -> tuple[Entry, bool]:
        return Entry("1d", "c", "1", 0.0, 60.0, "SIGTERM"), False


class Stories:
    def of(self, *_: Any) -> tuple[()]:
        return ()


def test_what_the_engine_refuses_to_show_is_looked_at_again() -> None:
    target = Target(RUNS, StopRequest(timeout=60.0), NO_PROFILE, plan(StopRequest(timeout=60.0), NO_PROFILE))
    stop = ContainerStop(target, Engine(), Ledger(), Stories(), lambda: 0.0)  # type: ignore[arg-type]

    stop.step()

    assert stop.result is None, "it is not given up"
    assert "improper" in stop._context.timeline[-1].event
