"""A stop signal of somebody else that the engine has forgotten: other signs, and for how long they count."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from kolla_drain.drain.context import Context
from kolla_drain.drain.history import Moment
from kolla_drain.drain.one_signal import OneSignal
from kolla_drain.drain.plan import plan
from kolla_drain.drain.result import Target
from kolla_drain.evidence import profile_for
from kolla_drain.model import (
    NO_PROFILE,
    Answer,
    Container,
    ContainerStatus,
    Entry,
    EvidenceState,
    Heartbeat,
    Profile,
    Reading,
    Sent,
    StopRequest,
)

CINDER = profile_for("cinder-volume", {}, 29)
NOVA = profile_for("nova-compute", {}, 33)
ALL = Sent((), 0.0)
LATE = Sent((), 900.0, horizon=70.0)
ONCE = replace(LATE, forgotten=75.0)


@dataclass
class Engine:
    told: Sent

    def sent(self, container: Container) -> Sent:
        return self.told


class Ledger:
    """Keeps nothing: each look finds a stop that has sent no signal."""

    def read(self, container_id: str) -> None:
        return None


class Stop:
    """One stop of 180 s, seen at one moment after the other."""

    def __init__(
        self, told: Sent, profile: Profile = NO_PROFILE, unit: str = "", ages: tuple[float, ...] = ()
    ) -> None:
        container = Container("1d", "c", ContainerStatus.RUNNING, started_at="1")
        request = StopRequest(timeout=180.0)
        target = Target(container, request, profile, plan(request, profile), 60.0, stopping_unit=unit)
        self.now, self.engine, self.beats = 0.0, Engine(told), [0] * len(ages)
        self.context = Context(target, self.engine, Ledger(), lambda: self.now)  # type: ignore[arg-type]
        self.context.entry = Entry("1d", "c", "1", 0.0, 180.0, "SIGTERM")
        self.signal = OneSignal(self.context)
        self.read(*ages)

    def read(self, *ages: float) -> None:
        rows = [
            Heartbeat("cinder-volume", f"one@{number}", age, self.beats[number], age <= 60, False)
            for number, age in enumerate(ages)
        ]
        answer = Answer("1d", 1, Reading(EvidenceState.OK, heartbeats=tuple(rows)))
        self.context.history.hear(answer, self.now, Moment.BEFORE_SIGNAL)

    def may_be_signalled(self, at: float = 0.0) -> bool:
        self.now = at
        return self.signal._had(self.context.entry) == ""  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("told", "profile", "ages"),
    [
        (ALL, CINDER, (100.0,)),
        (LATE, NO_PROFILE, ()),
        (LATE, CINDER, (5.0,)),
        (LATE, CINDER, (100.0, 5.0)),
        (LATE, CINDER, (65.0,)),
        (LATE, CINDER, (500000.0,)),
        (LATE, NOVA, (100.0,)),
        (replace(ONCE, forgotten=181.0), NO_PROFILE, ()),
    ],
    ids=[
        "nothing forgotten", "no sign", "beats", "one of two beats", "remembered that long", "silent for days",
        "beats while it drains", "over by now",
    ],
)  # fmt: skip
def test_without_a_sign_it_is_signalled(told: Sent, profile: Profile, ages: tuple[float, ...]) -> None:
    stop = Stop(told, profile, ages=ages)
    assert stop.may_be_signalled()
    assert not stop.context.timeline


@pytest.mark.parametrize(
    ("told", "profile", "ages", "over"),
    [
        (ONCE, NO_PROFILE, (), 105.0),
        (ONCE, CINDER, (5.0,), 105.0),
        (LATE, CINDER, (100.0,), 80.0),
        (LATE, CINDER, (100.0, 500000.0), 80.0),
    ],
    ids=[
        "a signal without a name",
        "and it beats",
        "a heartbeat that stands still",
        "and one that did before",
    ],
)
def test_the_stop_of_somebody_else_has_as_long_as_ours(
    told: Sent, profile: Profile, ages: tuple[float, ...], over: float
) -> None:
    stop = Stop(told, profile, ages=ages)
    assert not stop.may_be_signalled()
    # Whatever is written to the engine's file later makes it no longer.
    stop.engine.told = replace(told, forgotten=told.forgotten and 0.0)
    assert not stop.may_be_signalled(over - 0.1)
    assert stop.may_be_signalled(over)
    [note] = [event.event for event in stop.context.timeline]
    assert f"waits for {over:.0f} s" in note


def test_a_heartbeat_that_moves_is_no_sign() -> None:
    stop = Stop(LATE, CINDER, ages=(100.0,))
    assert not stop.may_be_signalled()
    stop.beats = [1]
    stop.read(100.0)
    assert stop.may_be_signalled(10.0)


def test_what_its_unit_stops_is_signalled_already() -> None:
    stop = Stop(LATE, unit="kolla-c-container.service")
    assert stop.signal._had(stop.context.entry) == "SIGTERM"  # type: ignore[arg-type]
