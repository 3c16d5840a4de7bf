"""When a container that was started counts as serving, against a made-up clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from kolla_drain.errors import EngineUnreachable
from kolla_drain.model import Container, ContainerStatus, EvidenceState, Heartbeat, Reading
from kolla_drain.start.readiness import SETTLE, Before, Readiness, await_ready

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
        self,
        timeout: float = 30.0,
        since: Container | None = None,
        expected: frozenset[str] | None = None,
        unhealthy: bool = False,
        reports_from: float | None = None,
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
            before=Before(expected, unhealthy),
            reports_from=None if reports_from is None else 100.0 + reports_from,
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
    assert found.ready == ready
    assert [text.split()[3] for text in found.doubts if "was down before" in text] == list(silent)
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


@pytest.mark.parametrize(("health", "ready"), [("healthy", True), ("unhealthy", False), ("starting", False)])
def test_while_evidence_cannot_be_read_its_health_is_the_proof(health: str, ready: bool) -> None:
    found = World(lambda at: replace(RUNNING, health=health), lambda at: UNREADABLE).ready()
    assert (found.ready, found.unread) == (ready, not ready)
    assert found.seconds >= 30
    if ready:
        assert found.how == "its healthcheck says healthy"
        assert found.doubts == (
            "it runs, but its heartbeat could not be read for 30 s: the server is away, so only its healthcheck is its "
            "proof",
        )


def test_evidence_is_read_at_its_own_pace() -> None:
    world = World(beats=lambda at: beat(a=1))
    world.ready(timeout=21)
    assert 9 <= world.readings <= 11


HEALTH = {
    # (health by seconds, failures in a row, ready, words of the proof or of the failure)
    "healthy late": (lambda at: "starting" if at < 5 else "healthy", 0, True, "says healthy"),
    "healthy after unhealthy": (lambda at: "unhealthy" if at < 25 else "healthy", 3, True, "says healthy"),
    "unhealthy to the end": (lambda at: "unhealthy", 3, False, "says unhealthy after 30 s"),
    "failing to the end": (lambda at: "starting", 1, False, "says starting after 30 s"),
    "not counted by the end": (lambda at: "starting", 0, True, "has said nothing within 30 s"),
    "a word that is not known": (lambda at: "reset", 0, True, "has said nothing within 30 s"),
}


@pytest.mark.parametrize(("health", "failures", "ready", "words"), HEALTH.values(), ids=HEALTH)
def test_a_healthcheck_is_judged_at_the_end(
    health: Callable[[float], str], failures: int, ready: bool, words: str
) -> None:
    found = World(lambda at: replace(RUNNING, health=health(at), health_failures=failures)).ready()
    assert found.ready == ready
    assert words in (found.how if ready else found.why)
    if ready and "nothing" not in words:
        assert found.seconds < 30
        assert not found.doubts


def test_a_check_slower_than_the_time_is_named_with_a_way_out() -> None:
    slow = replace(RUNNING, health="starting", health_interval=300.0, health_start_period=60.0)
    (doubt,) = World(lambda at: slow).ready().doubts
    assert "every 300 s, after a start period of 60 s" in doubt
    assert "ready_timeout above 360 s" in doubt


@pytest.mark.parametrize("health", ["starting", "unhealthy"])
@pytest.mark.parametrize("evidence", [True, False])
def test_one_that_was_unhealthy_before_is_not_held_to_it(health: str, evidence: bool) -> None:
    beats = (lambda at: beat(a=int(at / 5))) if evidence else None
    found = World(lambda at: replace(RUNNING, health=health, health_failures=3), beats).ready(unhealthy=True)
    assert found.ready
    assert SETTLE <= found.seconds < 10
    assert [f"unhealthy before the stop, so its health was not waited for, and says {health}" in text
            for text in found.doubts] == [True]  # fmt: skip


def test_one_that_was_unhealthy_and_has_healed_is_not_warned_of() -> None:
    found = World(lambda at: replace(RUNNING, health="healthy")).ready(unhealthy=True)
    assert (found.ready, found.doubts) == (True, ())


# --- a row that other processes report in, too; this one can have reported from 10 s on


SHARED = "moved before this container can have reported"


def test_a_heartbeat_before_its_own_can_have_come_proves_nothing() -> None:
    found = World(beats=lambda at: beat(a=int(at / 4))).ready(reports_from=10)
    assert (found.ready, found.how) == (True, "its process runs on")
    assert [SHARED in text for text in found.doubts] == [True]


@pytest.mark.parametrize(("health", "ready"), [("unhealthy", False), ("healthy", True)])
def test_its_health_is_the_proof_then(health: str, ready: bool) -> None:
    shared = lambda at: beat(a=int(at / 4))  # noqa: E731
    found = World(lambda at: replace(RUNNING, health=health), shared).ready(reports_from=10)
    assert found.ready == ready
    assert f"its healthcheck says {health}" in found.how + found.why
    assert SHARED in found.doubts[0]


def test_its_own_heartbeat_is_a_proof_from_then_on() -> None:
    found = World(beats=lambda at: beat(a=int(at > 11))).ready(reports_from=10)
    assert (found.ready, found.how, found.doubts) == (True, "its heartbeat moves", ())


def test_a_heartbeat_just_before_its_own_can_have_come_is_not_missed() -> None:
    found = World(beats=lambda at: beat(a=int(at > 9.2))).ready(reports_from=10)
    assert found.how == "its process runs on"


def test_rows_of_its_own_are_waited_for_beside_a_shared_one() -> None:
    world = World(beats=lambda at: beat(a=int(at / 4), b=int(at / 12)))
    found = world.ready(reports_from=10)
    assert (found.ready, found.how) == (True, "its heartbeat moves")
    assert "heartbeat of a moved before" in found.doubts[0]
    silent = World(beats=lambda at: beat(a=int(at / 4), b=7)).ready(reports_from=10)
    assert not silent.ready
    assert "the heartbeat of b did not move" in silent.why


def test_without_such_a_moment_every_heartbeat_counts() -> None:
    found = World(beats=lambda at: beat(a=int(at / 4))).ready()
    assert (found.how, found.doubts) == ("its heartbeat moves", ())


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
