"""Turn the story that a run keeps on its host (host/stories.py) into lines for a person.

Pure, and used only on the controller, by the action plugins. Times are seconds on the host's boot clock.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..masking import printable

# The actions that tell how far they are.
TELLING = (
    "recreate_or_restart_container",
    "reload_container",
    "restart_container",
    "start_container",
    "stop_and_remove_container",
    "stop_container",
)

# Seconds after which a container of which nothing was said is spoken of again.
QUIET = 30.0
# Operations that are named in a line, and events that are told of a container at a time.
NAMED, AT_A_TIME = 3, 20


class Progress:
    """The lines of one run. ``every_reading`` tells each reading of the evidence, too."""

    def __init__(self, host: str, *, every_reading: bool = False) -> None:
        self._host = host
        self._every_reading = every_reading
        self._stops: dict[str, _Stop] = {}
        self._steps = 0  # told so far
        self._said_at: dict[str, float] = {}  # when something was said last, by the container's name

    def lines(self, told: Mapping[str, Any], now: float) -> list[str]:
        """Return what is new in a story, or was last said long ago."""
        stops, steps = told["stops"], told["steps"]
        found: list[tuple[float, str, str]] = []  # the moment, the container, the line
        for story in stops:
            known = self._stops.setdefault(f"{story['id']} {story['begun']}", _Stop())
            found += [(at, story["name"], line) for at, line in known.events(story)]
            if self._every_reading and known.has_new_reading(story):
                found.append((now, story["name"], known.standing(story, now)))
        for step in steps[self._steps :]:
            found.append((step["at"], step["name"], _step(step, step["at"])))
        self._steps = len(steps)
        for _, name, _ in found:
            self._said_at[name] = now
        for name, line in self._again(stops, steps, now):
            if now - self._said_at.setdefault(name, now) >= QUIET:
                self._said_at[name] = now
                found.append((now, name, line))
        return [self._line(name, text) for _, name, text in sorted(found, key=lambda one: one[0])]

    def _again(
        self, stops: Sequence[Mapping[str, Any]], steps: Sequence[Mapping[str, Any]], now: float
    ) -> Iterator[tuple[str, str]]:
        """Yield how each container stands that is not done."""
        newest = {step["name"]: step for step in steps}
        for story in stops:
            if story["outcome"] is None:
                newest.pop(story["name"], None)
                yield story["name"], self._stops[f"{story['id']} {story['begun']}"].standing(story, now)
            elif story["name"] in newest and newest[story["name"]]["at"] < story["outcome"]["at"]:
                newest.pop(story["name"])
        for name, step in newest.items():
            if not step["done"]:
                yield name, _step(step, now)

    def _line(self, name: str, text: str) -> str:
        return printable(f"{f'{self._host} {name}':<28} {text}")


def last_seen(told: Mapping[str, Any] | None) -> str:
    """Return how the containers of a run stood when it was last heard of, as a clause; empty if nothing is known."""
    if told is None:
        return ""
    stops = {story["name"]: story for story in told["stops"]}
    return "; ".join(f"{name}: {_last(story, told['at'])}" for name, story in stops.items())


def _last(story: Mapping[str, Any], at: float) -> str:
    if story["outcome"] is not None:
        return f"{story['outcome']['verdict']}, {story['outcome']['reason']}"
    signal = "its stop signal was sent" if story["signalled"] else "no stop signal was sent"
    spent, budget = at - story["begun"], story["deadline"] - story["begun"]
    return f"{story['waits_for'] or story['phase']} after {spent:.0f} of {budget:.0f} s, {signal}"


def deadline(told: Mapping[str, Any] | None) -> float:
    """Return the latest deadline that the run is known to wait for, 0 if there is none."""
    found = [story["deadline"] for story in told["stops"] if story["outcome"] is None] if told else []
    return max(found, default=0.0)


class _Stop:
    """What was told of the stop of one container."""

    def __init__(self) -> None:
        self._events = 0  # told so far
        self._readings = 0
        self._began: dict[tuple[str, str], float] = {}  # of operations in flight, by kind and id
        self._took: dict[str, list[float]] = {}  # seconds of those that have ended, by kind

    def events(self, story: Mapping[str, Any]) -> list[tuple[float, str]]:
        """Return the events that are new, each with its moment."""
        self._learn(story)
        new = [event for event in story["events"] if event[0] >= self._events]
        if not new:
            return []
        before, self._events = self._events, new[-1][0] + 1
        shown = new[-AT_A_TIME:]
        left_out = self._events - before - len(shown)
        lines = [(at, f"{_clock(story, at, phase)}  {event}") for _, at, phase, event in shown]
        if left_out:
            at, phase = shown[0][1:3]
            more = f"{left_out} more events, which are in the result's timeline"
            lines.insert(0, (at, f"{_clock(story, at, phase)}  {more}"))
        return lines

    def has_new_reading(self, story: Mapping[str, Any]) -> bool:
        before, self._readings = self._readings, story["readings"]
        return self._readings > before and story["outcome"] is None

    def standing(self, story: Mapping[str, Any], now: float) -> str:
        """Return how it stands: what is in flight, the heartbeat, what comes next, and when."""
        parts = [
            *self._waits(story, now),
            *_heartbeat(story, now),
            *self._estimate(story, now),
            *_next(story),
        ]
        return f"{_clock(story, now, story['phase'])}  {'; '.join(parts)}"

    def _waits(self, story: Mapping[str, Any], now: float) -> Iterator[str]:
        operations = sorted(story["in_flight"], key=lambda op: op["began"] or now)
        why = story["waits_for"]
        if why and not (operations and " with " in why):
            yield why
        if operations:
            named = [f"{op['kind']} {op['id']} ({_age(op, now)})" for op in operations[:NAMED]]
            more = [f"{len(operations) - NAMED} more"] if len(operations) > NAMED else []
            yield f"in flight: {', '.join([*named, *more])}"

    def _estimate(self, story: Mapping[str, Any], now: float) -> Iterator[str]:
        """Yield how long it may take, where something like it was seen to end."""
        operations = story["in_flight"]
        if not operations:
            if story["phase"] == "drain" and story["service"] != "none":
                yield f"an idle {story['service']} exits within {story['exit_seconds']:g} s"
            return
        kinds = {op["kind"] for op in operations}
        if kinds <= set(self._took) and all(op["began"] is not None for op in operations):
            left = max(max(self._took[op["kind"]]) - (now - op["began"]) for op in operations)
            ended = sum(len(self._took[kind]) for kind in kinds)
            if left > 0:
                yield f"about {left:.0f} s more, if they take as long as the {ended} that ended"

    def _learn(self, story: Mapping[str, Any]) -> None:
        current = {
            (op["kind"], op["id"]): op["began"] for op in story["in_flight"] if op["began"] is not None
        }
        for key in set(self._began) - set(current):
            self._took.setdefault(key[0], []).append(story["heard_at"] - self._began.pop(key))
        self._began.update(current)


def _clock(story: Mapping[str, Any], at: float, phase: str) -> str:
    return _columns(phase, at - story["begun"], story["deadline"] - story["begun"])


def _columns(phase: str, spent: float, budget: float | None) -> str:
    spent_of = f"{max(0.0, spent):.0f}" + ("" if budget is None else f"/{budget:.0f}")
    return f"{phase:<8} {spent_of:>7} s"


def _step(step: Mapping[str, Any], now: float) -> str:
    budget = None if step["until"] is None else step["until"] - step["begun"]
    return f"{_columns(step['phase'], now - step['begun'], budget)}  {step['text']}"


def _age(op: Mapping[str, Any], now: float) -> str:
    return op["status"] if op["began"] is None else f"{op['status']}, {max(0.0, now - op['began']):.0f} s"


def _heartbeat(story: Mapping[str, Any], now: float) -> Iterator[str]:
    """Yield the age of the oldest heartbeat; a service that falls silent at its signal has none to be told of."""
    if story["phase"] != "quiesce" and not story["beats_while_draining"]:
        return
    ages = [now - beat["at"] for beat in story["beats"] if beat["at"] is not None]
    if ages:
        down = "" if all(beat["up"] for beat in story["beats"]) else ", down"
        yield f"heartbeat {max(0.0, max(ages)):.0f} s ago{down}"


def _next(story: Mapping[str, Any]) -> Iterator[str]:
    """Yield what happens at the latest, and when."""
    budget = story["deadline"] - story["begun"]
    at_deadline = f"{'SIGKILL' if story['on_timeout'] == 'kill' else 'left running'} at {budget:.0f} s"
    if story["phase"] == "quiesce":
        by = story["signal_by"] - story["begun"]
        yield f"signal at {by:.0f} s at the latest" if by < budget else at_deadline
    elif story["phase"] == "drain":
        yield at_deadline
