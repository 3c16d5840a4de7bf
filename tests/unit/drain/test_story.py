"""A story goes to a file and comes back as what it was."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from kolla_drain.drain.context import Context
from kolla_drain.drain.history import Moment
from kolla_drain.drain.plan import plan
from kolla_drain.drain.result import Target
from kolla_drain.drain.story import FIRST, NEWEST, Story, past
from kolla_drain.model import (
    Answer,
    Container,
    ContainerStatus,
    Ending,
    Entry,
    EvidenceState,
    Heartbeat,
    Operation,
    Outcome,
    Profile,
    Reading,
    StopRequest,
)

RUNS = Container("1d", "cinder_volume", ContainerStatus.RUNNING, started_at="1")
CINDER = Profile("cinder-volume", quiesce=True)
REQUEST = StopRequest(timeout=180.0)
AT = "2026-11-29T12:00:30.000000Z"
OPERATION = Operation("volume_create", "d1ce", "creating", since="2026-11-29T12:00:00.000000Z", claimed=True)
OTHER = Operation("volume_delete", "ca5e", "deleting")
BEAT = Heartbeat("cinder-volume", "h@lvm", 3.0, 42, True, False)
LOST = Ending(OTHER, Outcome.INTERRUPTED, "error", "stays in error")


class Told:
    """One stop, 30 s after its begin, with a reading that has just come in."""

    def __init__(self, *operations: Operation, endings: tuple[Ending, ...] = ()) -> None:
        self.now = 100.0
        target = Target(RUNS, REQUEST, CINDER, plan(REQUEST, CINDER))
        self.context = Context(target, None, None, lambda: self.now)  # type: ignore[arg-type]
        self.others: list[dict[str, Any]] = []
        self.signal, self.kill = SimpleNamespace(at=None, name=""), SimpleNamespace(at=None)
        self.settlement = SimpleNamespace(exited_at=None)
        stories = SimpleNamespace(of=lambda life: self.others)
        self.story = Story(self.context, stories, self.signal, self.kill, self.settlement)  # type: ignore[arg-type]
        self.context.note("begun")
        self.now = 130.0
        for shown in ((*operations, *(one.operation for one in endings)), operations):
            reading = Reading(EvidenceState.OK, heartbeats=(BEAT,), operations=shown, at=AT)
            answer = Answer("1d", 1, reading, endings)
            self.context.history.hear(answer, self.now, Moment.BEFORE_SIGNAL)

    @property
    def kept(self) -> dict[str, Any]:
        """As another run reads it."""
        return {**json.loads(json.dumps(self.story.so_far(None))), "lives": False}


def test_what_was_seen_comes_back_whole() -> None:
    told = Told(OPERATION, endings=(LOST,))
    (memory,) = past([told.kept]).memories
    assert memory == told.context.history.memory
    assert memory.seen == (OPERATION, OTHER)
    assert memory.serving == ("h@lvm",)
    assert (memory.looked, len(memory.ended), len(memory.failed)) == (True, 1, 1)


def test_who_watches_learns_when_it_began_and_when_it_beat() -> None:
    kept = Told(OPERATION).kept
    assert [(op["id"], op["began"]) for op in kept["in_flight"]] == [("d1ce", 100.0)]
    assert kept["beats"] == [{"host": "h@lvm", "up": True, "at": 127.0}]
    assert (kept["begun"], kept["deadline"], kept["readings"]) == (100.0, 280.0, 2)


def test_when_it_began_is_not_made_up() -> None:
    assert [op["began"] for op in Told(OTHER).kept["in_flight"]] == [None]


@pytest.mark.parametrize(
    ("set_up", "phase"),
    [
        (lambda told: None, "quiesce"),
        (lambda told: setattr(told.signal, "at", 1.0), "drain"),
        (lambda told: setattr(told.kill, "at", 1.0), "escalate"),
        (lambda told: setattr(told.settlement, "exited_at", 1.0), "verdict"),
    ],
)
def test_the_phase_is_kept_with_each_event(set_up: Any, phase: str) -> None:
    told = Told()
    set_up(told)
    told.context.note("something")
    assert told.kept["phase"] == phase
    assert told.kept["events"][-1] == [told.kept["events"][-1][0], 130.0, phase, "something"]


def test_there_is_news_once() -> None:
    told = Told()
    assert [told.story.has_news(None) for _ in range(2)] == [True, False]
    told.context.note("something")
    assert [told.story.has_news(None) for _ in range(2)] == [True, False]
    told.story.waits_for = "draining"
    assert told.story.has_news(None)


def test_a_long_story_keeps_its_beginning_and_its_end() -> None:
    told = Told()
    for number in range(1000):
        told.context.note(f"event {number}")
    events = told.kept["events"]
    assert len(events) == FIRST + NEWEST
    assert (events[0][3], events[-1][3]) == ("begun", "event 999")


def test_one_who_joins_has_the_events_of_all_before_once() -> None:
    first, second, third = Told(OPERATION), Told(), Told()
    second.others = [{**first.kept, "signalled": True}]
    second.context.entry = Entry("1d", "cinder_volume", "1", 100.0, 280.0, "SIGTERM")
    second.story.join()
    third.others = [*second.others, {**second.kept, "signalled": True}]
    third.story.join()
    assert [event.event for event in third.context.whole_timeline].count(
        "volume_create d1ce (creating) in flight"
    ) == 1
    assert third.context.history.open() == (OPERATION,)


def test_only_this_stop_and_its_signal_are_joined() -> None:
    """What a run saw that began nothing, and died long ago, has nothing to do with this stop."""
    before, told = Told(OPERATION), Told()
    before.context.begun = 50.0
    told.others = [before.kept]
    told.story.join()
    assert told.context.history.open() == ()
    told.others = [{**before.kept, "signalled": True}]
    told.story.join()
    assert told.context.history.open() == (OPERATION,)


@pytest.mark.parametrize(
    "broken", [{}, {"memory": None}, {"memory": {}}, {"memory": {"seen": [{"kind": "x"}]}}]
)
def test_the_story_of_another_version_is_passed_over(broken: dict[str, Any]) -> None:
    told = Told(OPERATION)
    known = past([{**told.kept, "memory": {}, **broken} if broken else broken, told.kept])
    assert known.memories == (told.context.history.memory,)


def test_nothing_known_is_nothing_said() -> None:
    told = Told()
    assert told.story.look_back() == ""
    assert past([]).memories == ()


def test_a_run_that_lives_tells_its_end_itself() -> None:
    told = Told()
    told.others = [{**Told(OPERATION).kept, "signalled": True, "lives": True}]
    assert told.story.look_back() == ""
    assert told.context.history.endings == ()
