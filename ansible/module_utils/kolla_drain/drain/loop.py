"""Stop containers side by side, each to a verdict of its own.

Engine, evidence, ledger, clock and wait come in from outside, so the loop runs the same against a real engine and in a
simulation. Times are seconds on the clock that is handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ..engine.port import Engine
from .pace import Pace
from .ports import Evidence, Ledger, Stories
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
    stories: Stories,
    clock: Callable[[], float],
    wait: Callable[[float], None],
    at_once: Callable[[Sequence[Callable[[], None]]], None],
    chance: Callable[[], float],
) -> tuple[StopResult, ...]:
    """Stop all targets side by side; one that fails does not stop the others.

    ``wait(seconds)`` returns early when an exit or a reading came in. ``at_once(calls)`` makes calls side by side and
    returns when all have come back, because the answers of a slow engine would add up to more than a deadline allows.
    ``chance`` returns a number from 0 to 1, by which the readings of many hosts drift apart.
    Returns one result for each target, in their order. Ends within the longest timeout plus policy.KILL_BOUND and
    policy.VERIFY_BOUND.
    """
    stops = [ContainerStop(target, engine, ledger, stories, clock) for target in targets]
    open_stops, pace = stops, Pace(chance, clock())
    while open_stops:
        if answers := evidence.answers():
            by_key = {stop.key: stop for stop in open_stops}
            now = clock()
            for answer in answers:
                if answer.key in by_key:
                    by_key[answer.key].hear(answer)
                pace.heard(answer.key, now)
        at_once([stop.step for stop in open_stops])
        if news := [
            stop.story.so_far(stop.result) for stop in open_stops if stop.story.has_news(stop.result)
        ]:
            stories.keep(news)
        open_stops = [stop for stop in open_stops if stop.result is None]
        readers = [stop for stop in open_stops if stop.reads]
        now = clock()
        # A question that waits for its answer is not asked again: a slow server would never come to rest.
        ready = [stop for stop in readers if stop.wants_reading or not pace.waits(stop.key, now)]
        if ready and (any(stop.wants_reading for stop in ready) or now >= _next_reading(pace, ready, now)):
            number = evidence.ask({stop.key: stop.history.open() for stop in ready})
            for stop in ready:
                stop.asked(number)
            pace.asked((stop.key for stop in ready), now)
            ready = []
        until = now + LOOK_EVERY
        for stop in open_stops:
            for at in stop.turns:
                if now < at < until:
                    until = at
        if ready:
            until = min(until, _next_reading(pace, ready, now))
        if open_stops:
            wait(max(0.01, until - clock()))
    return tuple(stop.result for stop in stops if stop.result is not None)


def _next_reading(pace: Pace, stops: Iterable[ContainerStop], now: float) -> float:
    return pace.next(min(stop.interval(pace.rest) for stop in stops), now)
