"""TODO: say what this is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from ..engine.port import Engine
from ..errors import EngineUnreachable
from ..host.ledger import Ledger
from ..model import Answer, Operation
from .result import StopResult, Target
from .stop import ContainerStop

# The net below the engine's events: a container is looked at this often, in seconds, whatever else happens.
LOOK_EVERY = 1.0


class Evidence(Protocol):
    """Where readings come from. Neither call blocks."""

    def ask(self, asks: Mapping[str, tuple[Operation, ...]], *, broker: bool = True) -> int:
        """Ask for a reading of each, with its queues if ``broker``, and for what became of the operations given."""

    def answers(self) -> Sequence[Answer]:
        """The answers that came in since the last call."""


def stop_all(
    targets: Iterable[Target],
    *,
    engine: Engine,
    evidence: Evidence,
    ledger: Ledger,
    clock: Callable[[], float],
    wait: Callable[[float], None],
) -> tuple[StopResult, ...]:
    """Stop all targets side by side; one that fails does not stop the others.

    ``wait(seconds)`` returns early when an exit or a reading came in. Returns one result a target,
    in their order. Ends within the longest timeout plus policy.KILL_BOUND and policy.VERIFY_BOUND.
    """
    stops = [ContainerStop(target, engine, ledger, clock) for target in targets]
    next_reading = clock()
    while open_stops := [s for s in stops if s.result is None]:
        by_key = {s.container.id: s for s in open_stops}
        for answer in evidence.answers():
            if answer.key in by_key:
                by_key[answer.key].hear(answer)
        _step_all(open_stops)
        readers = [s for s in open_stops if s.result is None and s.reads]
        now = clock()
        if readers and (now >= next_reading or any(s.wants_reading for s in readers)):
            asks = {s.container.id: s.record.open() for s in readers}
            number = evidence.ask(asks, broker=any(s.asks_broker for s in readers))
            for stop in readers:
                stop.asked(number)
            next_reading = now + min(s.interval for s in readers)
        if any(s.result is None for s in open_stops):
            moments = [now + LOOK_EVERY, *(at for s in open_stops for at in s.turns if at > now)]
            if readers:
                moments.append(min(next_reading, now + min(s.interval for s in readers)))
                next_reading = moments[-1]
            wait(max(0.01, min(moments) - clock()))
    return tuple(s.result for s in stops if s.result is not None)


def _step_all(stops: Iterable[ContainerStop]) -> None:
    silence: EngineUnreachable | None = None
    for stop in stops:
        # One call to an engine that hangs takes seconds: the others do not wait for theirs, too.
        silence = stop.step(silence) or silence
