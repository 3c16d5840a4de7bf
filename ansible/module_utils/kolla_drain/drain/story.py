"""The story of one stop as plain data: for whoever watches it, and for a run that joins it or comes after it.

A run keeps its stories while it goes, so that they outlive it. What another run kept is taken in with care, because it
may be another version's. Times are seconds on the clock of the loop.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from ..model import Ending, Operation, Outcome, Reading
from .context import Context
from .history import Memory
from .kill import Kill
from .one_signal import OneSignal
from .ports import Stories
from .result import StopResult
from .settle import Settlement

# Events and operations of one stop that are kept at the most: the first ones, and the newest.
FIRST, NEWEST = 50, 200

_OPERATION = tuple(part.name for part in fields(Operation))


class Story:
    """What one run tells of one stop, and hears from the runs before it."""

    def __init__(
        self, context: Context, stories: Stories, signal: OneSignal, kill: Kill, settlement: Settlement
    ) -> None:
        self.waits_for = ""  # a clause
        self._context = context
        self._stories = stories
        self._signal = signal
        self._kill = kill
        self._settlement = settlement
        self._told: tuple[object, ...] = ()
        context.phase = lambda: self._phase

    @property
    def _phase(self) -> str:
        if self._settlement.exited_at is not None:
            return "verdict"
        if self._kill.at is not None:
            return "escalate"
        signalled = self._signal.at is not None
        return "drain" if signalled else "quiesce" if self._context.plan.quiesce else "signal"

    def has_news(self, result: StopResult | None) -> bool:
        """Return whether there is more to tell than the last time."""
        context, known = self._context, self._context.history
        told = (self._phase, self.waits_for, len(context.timeline), known.readings, context.deadline, result)
        self._told, before = told, self._told
        return told != before

    def so_far(self, result: StopResult | None) -> dict[str, Any]:
        """Return what is to be kept of it."""
        phase = "verdict" if result is not None else self._phase
        return _plain_story(self._context, phase, self.waits_for, result)

    def join(self) -> None:
        """Take over what the runs before this one have seen of the stop that it has joined."""
        self._take_over(of_this_stop(self._stories.of(self._context.container.life), self._context.begun))

    def look_back(self) -> str:
        """Take over what the last stop of a container at rest came to; return that as a clause, empty if unknown.

        It is known only where nobody has taken that run's result.
        """
        context = self._context
        stories = of_its_end(self._stories.of(context.container.life))
        outcome = self._take_over(stories)
        if not stories:
            return ""
        if outcome is None:
            context.history.give_up("the run that watched it died before its end")
            return "a run stopped it, and died before its end"
        self._signal.name = outcome["signal"]
        return said(outcome, context.clock())

    def _take_over(self, stories: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
        known = past(stories)
        for memory in known.memories:
            self._context.history.recall(memory)
        self._context.earlier = known.events
        return known.outcome


def said(outcome: Mapping[str, Any], now: float) -> str:
    """Return what a stop came to whose result nobody has taken, as a clause."""
    ago = f"{max(0.0, now - outcome['at']):.0f} s ago"
    return f"a run whose result nobody has taken stopped it {ago}: {outcome['verdict']}, {outcome['reason']}"


def _plain_story(context: Context, phase: str, waits_for: str, result: StopResult | None) -> dict[str, Any]:
    history, container, entry = context.history, context.container, context.entry
    own = [(round(context.started + one.at, 2), one.phase, one.event) for one in context.timeline]
    return {
        "id": container.id,
        "name": container.name,
        "started_at": container.started_at,
        "service": context.target.profile.name,
        "begun": context.begun,
        "deadline": context.deadline or context.begun + context.plan.timeout,
        "signal_by": context.begun + context.plan.quiesce,
        "signalled": entry is not None and entry.intent is not None,
        "on_timeout": context.target.request.on_timeout.value,
        "beats_while_draining": context.target.profile.heartbeat_while_draining,
        "exit_seconds": context.target.profile.exit_seconds,
        "phase": phase,
        "waits_for": waits_for,
        "readings": history.readings,
        "heard_at": history.heard_at,
        "in_flight": [_in_flight(op, history.reading, history.heard_at) for op in history.waiting_for],
        "beats": [
            {"host": row.host, "up": row.up, "at": None if row.age is None else history.heard_at - row.age}
            for row in history.heartbeats.rows
        ],
        "events": _some([(number, *event) for number, event in enumerate([*context.earlier, *own])]),
        "memory": _plain_memory(history.memory),
        "outcome": _outcome(result, context.clock()) if result is not None else None,
    }


def _in_flight(op: Operation, reading: Reading | None, heard_at: float) -> dict[str, Any]:
    """Return an operation with the moment at which it began; None where its rows do not tell."""
    began = None
    if op.since and reading is not None and reading.at:
        with contextlib.suppress(ValueError, TypeError):  # a story is no reason for a stop to fail
            began = heard_at - (_moment(reading.at) - _moment(op.since)).total_seconds()
    return {"kind": op.kind, "id": op.id, "status": op.status, "began": began}


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.rstrip("Z"))


def _some(things: Sequence[Any]) -> list[Any]:
    return [*things] if len(things) <= FIRST + NEWEST else [*things[:FIRST], *things[-NEWEST:]]


def _outcome(result: StopResult, at: float) -> dict[str, Any]:
    return {
        "at": at,
        "verdict": result.verdict.value if result.verdict else "failed",
        "reason": result.reason,
        "signal": result.signal,
    }


def _plain_memory(memory: Memory) -> dict[str, Any]:
    return {
        "seen": [_plain(op) for op in _some(memory.seen)],
        "ended": [_plain_ending(ending) for ending in _some(memory.ended)],
        "failed": [_plain_ending(ending) for ending in _some(memory.failed)],
        "late": memory.late,
        "looked": memory.looked,
        "unseen": memory.unseen,
        "serving": memory.serving,
    }


def _plain(op: Operation) -> dict[str, Any]:
    return {name: getattr(op, name) for name in _OPERATION}


def _plain_ending(ending: Ending) -> dict[str, Any]:
    return {
        "operation": _plain(ending.operation),
        "outcome": ending.outcome.value,
        "status": ending.status,
        "fate": ending.fate,
    }


# --- and back


@dataclass(frozen=True)
class Past:
    """What runs before this one have kept of the stop of one process life."""

    memories: tuple[Memory, ...] = ()  # oldest first
    events: tuple[tuple[float, str, str], ...] = ()  # the same: the moment, the phase, the event
    outcome: Mapping[str, Any] | None = None  # of the newest that came to its end


def past(stories: Iterable[Mapping[str, Any]]) -> Past:
    """Return what stories of one process life tell together, without those that say nothing to this version."""
    memories, outcome = [], None
    events: dict[tuple[float, str, str], None] = {}  # a run that joined has those of the one before, too
    for story in stories:
        try:
            memories.append(_memory(story["memory"]))
            events.update(
                ((float(at), str(phase), str(event)), None) for _, at, phase, event in story["events"]
            )
            outcome = story["outcome"] or outcome
        except (KeyError, TypeError, ValueError):
            continue
    return Past(tuple(memories), tuple(sorted(events, key=lambda event: event[0])), outcome)


def of_this_stop(stories: Iterable[Mapping[str, Any]], begun: float) -> list[Mapping[str, Any]]:
    """Return the stories of the stop that began then, and of its signal.

    A run that died before its signal has begun nothing, and what it saw in flight may have ended long ago.
    """
    return [story for story in stories if story.get("signalled") or story.get("begun", 0.0) >= begun]


def of_its_end(stories: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the stories that tell of the end of a container at rest.

    A run that lives and has not come to its outcome tells it itself.
    """
    return [
        story for story in stories if story.get("outcome") or (story.get("signalled") and not story["lives"])
    ]


def _memory(kept: Mapping[str, Any]) -> Memory:
    serving = kept["serving"]
    return Memory(
        seen=tuple(map(_operation, kept["seen"])),
        ended=tuple(map(_ending, kept["ended"])),
        failed=tuple(map(_ending, kept["failed"])),
        late=tuple((kind, op_id) for kind, op_id in kept["late"]),
        looked=kept["looked"],
        unseen=kept["unseen"],
        serving=None if serving is None else tuple(serving),
    )


def _operation(kept: Mapping[str, Any]) -> Operation:
    return Operation(**{name: kept[name] for name in _OPERATION if name in kept})


def _ending(kept: Mapping[str, Any]) -> Ending:
    outcome = Outcome(kept["outcome"])
    return Ending(_operation(kept["operation"]), outcome, kept["status"], kept["fate"])
