"""Stop containers side by side, each to a verdict of its own.

Engine, evidence, ledger, clock and wait come in from outside, so the loop runs the same against a real engine and in a
simulation. Times are seconds on the clock that is handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ..engine.port import Engine
from ..errors import EngineUnreachable
from .ports import Evidence, Ledger
from .result import StopResult, Target
from .stop import ContainerStop

# Seconds from one look at a container to the next at most: the net below the engine's events.
LOOK_EVERY = 1.0


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

    ``wait(seconds)`` returns early when an exit or a reading came in. Returns one result for each target, in their
    order. Ends within the longest timeout plus policy.KILL_BOUND and policy.VERIFY_BOUND.
    """
    stops = [ContainerStop(target, engine, ledger, clock) for target in targets]
    next_reading = clock()
    while open_stops := [stop for stop in stops if stop.result is None]:
        by_key = {stop.key: stop for stop in open_stops}
        for answer in evidence.answers():
            if answer.key in by_key:
                by_key[answer.key].hear(answer)
        _step_all(open_stops)
        readers = [stop for stop in open_stops if stop.result is None and stop.reads]
        now = clock()
        if readers and (now >= next_reading or any(stop.wants_reading for stop in readers)):
            number = evidence.ask({stop.key: stop.history.open() for stop in readers})
            for stop in readers:
                stop.asked(number)
            next_reading = now + min(stop.interval for stop in readers)
        if any(stop.result is None for stop in open_stops):
            moments = [now + LOOK_EVERY, *(at for stop in open_stops for at in stop.turns if at > now)]
            if readers:
                moments.append(min(next_reading, now + min(stop.interval for stop in readers)))
                next_reading = moments[-1]
            wait(max(0.01, min(moments) - clock()))
    return tuple(stop.result for stop in stops if stop.result is not None)


def _step_all(stops: Iterable[ContainerStop]) -> None:
    silence: EngineUnreachable | None = None
    for stop in stops:
        # One call to an engine that hangs takes seconds: the others do not wait for theirs, too.
        silence = stop.step(silence) or silence
