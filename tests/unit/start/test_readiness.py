"""When a container that was started counts as serving, against a made-up clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from kolla_drain.errors import EngineUnreachable
from kolla_drain.model import Container, ContainerStatus, EvidenceState, Heartbeat, Reading
from kolla_drain.start.readiness import SETTLE, Readiness, await_ready

RUNNING = Container("id", "cinder_volume", ContainerStatus.RUNNING, started_at="1")


class World:
    """``looks(seconds)`` is the container then, ``beats(seconds)`` the reading."""

    def __init__(
        self,
        looks: Callable[[float], Container | None] = lambda at: RUNNING,
        beats: Callable[[float], Reading] | None = None,
    ) -> None:
        self.now, self.looks, self.beats, self.readings = 100.0, looks, beats, 0

    def inspect(self, name: str) -> Container | None:
        return self.looks(self.now - 100)

    def read(self) -> Reading:
        assert self.beats is not None
        self.readings += 1
        return self.beats(self.now - 100)

    def wait(self, seconds: float) -> None:
        self.now += seconds

    def ready(
        self, timeout: float = 30.0, since: Container | None = None, expected: frozenset[str] | None = None
    ) -> Readiness:
        return await_ready(
            "id",
            engine=self,
            read=self.read if self.beats else None,
            timeout=timeout,
            poll_interval=2.0,
            clock=lambda: self.now,
            wait=self.wait,
            since=since,
            expected=expected,
        )


def beat(**counts: int) -> Reading:
    rows = tuple(Heartbeat("cinder-volume", host, 1.0, count, True, False) for host, count in counts.items())
    return Reading(EvidenceState.OK, heartbeats=rows)


UNREADABLE = Reading(EvidenceState.UNAVAILABLE, "the server is away", passing=True)


def test_without_anything_else_its_process_has_to_stay() -> None:
    found = World().ready()
    assert found.ready
    assert SETTLE <= found.seconds < SETTLE + 1


@pytest.mark.parametrize(
    ("then", "why"),
    [
        (replace(RUNNING, status=ContainerStatus.EXITED, exit_code=3), "exit code 3"),
        (replace(RUNNING, status=ContainerStatus.RESTARTING), "again and again"),
        (replace(RUNNING, started_at="2"), "again and again"),
        (replace(RUNNING, status=ContainerStatus.PAUSED), "paused"),
        (None, "removed"),
    ],
)
@pytest.mark.parametrize("evidence", [True, False])
def test_a_process_that_ends_is_not_ready_and_is_not_waited_for(
    then: Container | None, why: str, evidence: bool
) -> None:
    beats = (lambda at: beat(a=1)) if evidence else None
    found = World(lambda at: RUNNING if at < 0.5 else then, beats).ready()
    assert not found.ready
    assert why in found.why
    assert found.seconds < 1


# `b` is a backend whose driver is not initialised: it never beats.
ONE_DEAD = {
    # what was up before: (expected, ready, silent)
    "not known: each is demanded": (None, False, ()),
    "only the other": (frozenset({"a"}), True, ("b",)),
    "both": (frozenset({"a", "b"}), False, ()),
    "the other, and one that is gone": (frozenset({"a", "gone"}), True, ("b",)),
    "others altogether: each is demanded": (frozenset({"gone"}), False, ()),
}


@pytest.mark.parametrize(("expected", "ready", "silent"), ONE_DEAD.values(), ids=ONE_DEAD)
def test_what_was_down_before_is_not_demanded(
    expected: frozenset[str] | None, ready: bool, silent: tuple[str, ...]
) -> None:
    found = World(beats=lambda at: beat(a=int(at / 5), b=7)).ready(expected=expected)
    assert (found.ready, found.silent) == (ready, silent)
    assert ready or "the heartbeat of b did not move" in found.why


def test_where_nothing_was_up_before_its_process_has_to_stay() -> None:
    found = World(beats=lambda at: beat(b=7)).ready(expected=frozenset())
    assert (found.ready, found.how) == (True, "its process runs on, and no heartbeat of it was up before")
    assert found.seconds >= SETTLE


def test_every_row_has_to_move() -> None:
    found = World(beats=lambda at: beat(a=int(at / 10), b=int(at / 15))).ready()
    assert found.ready
    assert 15 <= found.seconds < 18


def test_a_row_that_stands_still_is_named() -> None:
    found = World(beats=lambda at: beat(a=int(at / 5), b=7)).ready()
    assert not found.ready
    assert "heartbeat of b did not move within 30 s" in found.why
    assert not found.unread


def test_a_heartbeat_of_the_process_before_does_not_count() -> None:
    found = World(beats=lambda at: beat(a=1 if at < SETTLE else 2)).ready()
    assert not found.ready


def test_a_row_that_appears_late_has_to_move_too() -> None:
    found = World(beats=lambda at: beat(a=int(at)) if at < 3 else beat(a=int(at), b=int(at / 10))).ready()
    assert found.ready
    assert found.seconds >= 10


def test_evidence_that_cannot_be_read_for_a_while() -> None:
    found = World(beats=lambda at: UNREADABLE if at < 10 else beat(a=int(at / 10))).ready()
    assert found.ready
    assert found.seconds >= 20


def test_evidence_that_cannot_be_read_at_all() -> None:
    found = World(beats=lambda at: UNREADABLE).ready()
    assert not found.ready
    assert found.unread
    assert "the server is away" in found.why


def test_evidence_is_read_at_its_own_pace() -> None:
    world = World(beats=lambda at: beat(a=1))
    world.ready(timeout=21)
    assert 9 <= world.readings <= 11


@pytest.mark.parametrize(
    ("health", "ready", "why"),
    [
        (lambda at: "starting" if at < 5 else "healthy", True, ""),
        (lambda at: "starting" if at < 5 else "unhealthy", False, "unhealthy"),
        (lambda at: "starting", False, "says starting after 30 s"),
    ],
)
def test_a_healthcheck_is_the_proof_where_there_is_no_evidence(
    health: Callable[[float], str], ready: bool, why: str
) -> None:
    found = World(lambda at: replace(RUNNING, health=health(at))).ready()
    assert found.ready == ready
    assert why in found.why


def test_it_has_to_be_the_process_of_before() -> None:
    found = World().ready(since=replace(RUNNING, started_at="0"))
    assert not found.ready


def test_an_engine_that_is_silent_for_a_while() -> None:
    def look(at: float) -> Container:
        if 0.5 < at < 12:
            raise EngineUnreachable("The Docker Engine does not answer.")
        return RUNNING

    assert World(look).ready().ready


def test_an_engine_that_stays_silent() -> None:
    def look(at: float) -> Container:
        raise EngineUnreachable("The Docker Engine does not answer.")

    found = World(look).ready()
    assert not found.ready
    assert "does not answer" in found.why
    assert 30 <= found.seconds < 31
