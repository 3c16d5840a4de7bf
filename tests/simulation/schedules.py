"""A schedule is one world and the runs in it, from its beginning to their results, with all promises held.

``Schedule`` is a value, so one that breaks a promise can be made simpler part by part, and kept in test_stories.py.
"""

from __future__ import annotations

import itertools
import math
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

from . import promises
from .world import Job, Run, Scene, Service, World

PLAIN = Scene()


@dataclass(frozen=True)
class Call:
    """One run, as it is drawn."""

    starts_after: float = 0.0  # the end of the one before; of those side by side, the beginning
    dies_at_step: int = 0
    asks: tuple[tuple[str, Any], ...] = ()  # what it asks for otherwise than the services say
    only: tuple[int, ...] = ()
    then_reboot: bool = False

    def run(self, age: float) -> Run:
        return Run(age + self.starts_after, self.dies_at_step, dict(self.asks), self.only)


@dataclass(frozen=True)
class Schedule:
    """A world and its runs."""

    scene: Scene = PLAIN
    calls: tuple[Call, ...] = (Call(),)  # one after the other, or side by side
    side_by_side: bool = False
    nothing_stays_open: bool = False  # with a database that answers, all outcomes are known
    compared_with_lasting: bool = False  # the same outages, called lasting, lose no less


class Play:
    """A schedule as it passes; what it met is in ``seen``."""

    def __init__(self, schedule: Schedule, in_memory: bool = True) -> None:
        self.schedule = schedule
        self.passed: list[tuple[World, list[Run]]] = []
        self._in_memory = in_memory

    def hold(self) -> None:
        """Let it pass, and hold the promises. Raises AssertionError."""
        schedule = self.schedule
        self._pass(schedule.scene)
        world, runs = self.passed[0]
        if schedule.nothing_stays_open:
            promises.outcomes_are_known(world, runs[-1])
        if schedule.compared_with_lasting:
            outages = tuple((begin, end, False) for begin, end, _ in schedule.scene.outages)
            self._pass(replace(schedule.scene, outages=outages))
            promises.a_passing_fault_costs_no_more(world, self.passed[1][0])
        if len(schedule.scene.services) >= 100:
            world.met("100 containers or more")

    def _pass(self, scene: Scene) -> None:
        schedule, runs = self.schedule, []
        with World(scene, self._in_memory) as world:
            self.passed.append((world, runs))
            if schedule.side_by_side:
                runs += [call.run(0.0) for call in schedule.calls]
                world.stop(*runs)
            else:
                for call in schedule.calls:
                    runs.append(call.run(world.age))
                    world.stop(runs[-1])
                    if call.then_reboot:
                        world.reboot()
            promises.hold(world, *runs)

    @property
    def seen(self) -> set[str]:
        return set().union(*(world.seen for world, _ in self.passed))

    @property
    def story(self) -> str:
        """What the runs say, and what really was."""
        lines = []
        for world, runs in self.passed:
            for run in runs:
                lines.append(f"{run}{', which is killed' if run.died else ''}")
                for result in run.results:
                    lines.append(f"  {result.name}: {result.verdict} {result.reason}")
                    lines += [f"    {event.at:8.2f}  {event.event}" for event in result.timeline[:15]]
                    lines += [f"    {e.operation.id}: {e.outcome.value} {e.fate}" for e in result.endings]
            for container in world.containers.values():
                lines += [f"  {container.name} really: {life}" for life in container.lives]
                lines += [
                    f"    {work.id}: {work.state}, taken {work.taken_at}, ended {work.ended_at}"
                    for work in container.works
                ]
        return "\n".join(lines)


@dataclass(frozen=True)
class Broken:
    """What a schedule breaks: the error in words, and the lines by which it is known."""

    words: str
    place: tuple[tuple[str, int | None], ...]


def broken_promise(schedule: Schedule) -> Broken | None:
    """What a schedule breaks; None if it keeps the promises."""
    try:
        Play(schedule).hold()
    except Exception as exc:  # noqa: BLE001 - whatever it is, it is to be found
        frames = traceback.extract_tb(exc.__traceback__)
        return Broken(f"{type(exc).__name__}: {exc}", tuple((f.name, f.lineno) for f in frames))
    return None


# --- a failing schedule, made simple and readable


def simplified(schedule: Schedule, attempts: int = 3000) -> Schedule:
    """A schedule as simple as possible that breaks the same promise in the same place, after so many attempts."""
    broken = broken_promise(schedule)
    assert broken is not None
    number, changed = 0, False  # of the next candidate; whether one of this round was taken
    candidates = simpler(schedule)
    for _ in range(attempts):
        candidate = next(candidates, None)
        if candidate is None and not changed:
            break
        if candidate is None:
            number, changed, candidates = 0, False, simpler(schedule)
            continue
        found = broken_promise(candidate)
        if found is not None and found.place == broken.place:
            schedule, changed = candidate, True
            candidates = itertools.islice(simpler(schedule), number, None)
        else:
            number += 1
    return schedule


def simpler(value: Any) -> Iterator[Any]:
    """Values that differ from this one in one thing, which is left out, as by default, or a round number."""
    if isinstance(value, tuple):
        for number in range(len(value)):
            yield value[:number] + value[number + 1 :]
        for number, one in enumerate(value):
            for other in simpler(one):
                yield (*value[:number], other, *value[number + 1 :])
    elif isinstance(value, (Schedule, Call, Scene, Service, Job)):
        odd = [field for field in fields(value) if getattr(value, field.name) != field.default]
        for field in odd:
            yield replace(value, **{field.name: field.default})
        for field in odd:
            for other in simpler(getattr(value, field.name)):
                if other != field.default:
                    yield replace(value, **{field.name: other})
    elif isinstance(value, float) and math.isfinite(value) and value != round(value):
        yield float(round(value))


def spelled(value: Any) -> str:
    """Its repr, without what is as by default."""
    if isinstance(value, tuple):
        return f"({', '.join(map(spelled, value))}{',' if len(value) == 1 else ''})"
    if is_dataclass(value):
        told = (
            f"{field.name}={spelled(getattr(value, field.name))}"
            for field in fields(value)
            if getattr(value, field.name) != field.default
        )
        return f"{type(value).__name__}({', '.join(told)})"
    return "NEVER" if value == float("inf") else str(value) if hasattr(value, "name") else repr(value)
