"""When the evidence is read next, by a clock and by chances that are made up."""

from __future__ import annotations

from typing import Any

import pytest

from kolla_drain.drain.context import Context
from kolla_drain.drain.pace import LATEST, LONGEST_REST, NO_ANSWER, SPREAD, Pace, interval
from kolla_drain.drain.plan import plan
from kolla_drain.drain.result import Target
from kolla_drain.model import (
    NO_PROFILE,
    Container,
    ContainerStatus,
    EvidenceState,
    Operation,
    Reading,
    StopRequest,
)

RUNS = Container("1d", "c", ContainerStatus.RUNNING, started_at="1")
OURS = Operation("volume_create", "v1", "creating")
ANOTHERS = Operation("volume_create", "v2", "creating", unattributed="any member may work on it")


@pytest.mark.parametrize(
    ("waited", "rest", "seen", "expected"),
    [
        (10.0, 0.0, {"working": (OURS,)}, 2.0),
        (100.0, 0.0, {"working": (OURS,)}, 10.0),
        (5000.0, 0.0, {"working": (OURS,)}, LATEST),
        (100.0, 0.0, {"signalled": True}, 10.0),
        # The next reading may decide.
        (100.0, 0.0, {}, 2.0),
        (100.0, 0.0, {"working": (ANOTHERS,)}, 2.0),
        (100.0, 8.0, {"empty": 1}, 0.5),
        (100.0, 8.0, {"exited": True, "signalled": True}, 2.0),
        (5.0, 8.0, {"state": EvidenceState.UNAVAILABLE}, 2.0),
        # The database was slow.
        (1.0, 8.0, {"working": (OURS,)}, 8.0),
        (1.0, 8.0, {}, 8.0),
        (100.0, 8.0, {"working": (OURS,)}, 10.0),
    ],
)
def test_how_long_until_the_next_reading(
    waited: float, rest: float, seen: dict[str, Any], expected: float
) -> None:
    request = StopRequest(timeout=6000.0)
    target = Target(RUNS, request, NO_PROFILE, plan(request, NO_PROFILE))
    context = Context(target, None, None, lambda: 1000.0)  # type: ignore[arg-type]
    context.begun = 1000.0 - waited
    context.history.waiting_for = seen.get("working", ())
    context.history.reading = Reading(seen.get("state", EvidenceState.OK))
    context.history.empty_readings = seen.get("empty", 0)
    exited, signalled = seen.get("exited", False), seen.get("signalled", False)
    assert interval(context, rest, exited=exited, signalled=signalled) == expected


def test_a_short_budget_has_ten_readings_whatever_the_database_does() -> None:
    request = StopRequest(timeout=10.0)
    target = Target(RUNS, request, NO_PROFILE, plan(request, NO_PROFILE))
    context = Context(target, None, None, lambda: 5.0)  # type: ignore[arg-type]
    assert interval(context, LONGEST_REST, exited=False, signalled=True) == 1.0


def moments(*chances: float, interval: float = 2.0) -> list[float]:
    """When a run reads whose database answers at once."""
    drawn, found, now = iter(chances), [], 0.0
    pace = Pace(lambda: next(drawn), now)
    for _ in chances:
        now = pace.next(interval, now)
        found.append(now)
        pace.asked(["c"], now)
        pace.heard("c", now)
    return found


def test_hosts_that_begin_together_drift_apart() -> None:
    assert moments(0.5, 0.5, 0.5) == [0.0, 2.0, 4.0]
    assert moments(0.0, 0.0, 0.0) == pytest.approx([0.0, 2.0 * (1 - SPREAD), 4.0 * (1 - SPREAD)])
    assert moments(1.0, 0.0, 0.0) == pytest.approx([0.0, 2.0 * (1 + SPREAD), 4.0])


def test_a_question_is_not_repeated_until_it_is_given_up() -> None:
    pace = Pace(lambda: 0.5, 0.0)
    pace.asked(["c"], 0.0)
    assert pace.waits("c", NO_ANSWER - 1)
    assert not pace.waits("c", NO_ANSWER)
    assert not pace.waits("other", 1.0)
    pace.heard("c", 1.0)
    assert not pace.waits("c", 1.0)


@pytest.mark.parametrize(("took", "rest"), [(0.01, 0.2), (0.2, 4.0), (5.0, LONGEST_REST)])
def test_the_database_rests_for_a_multiple_of_what_it_took(took: float, rest: float) -> None:
    pace = Pace(lambda: 0.5, 0.0)
    pace.asked(["c"], 0.0)
    pace.next(2.0, 0.0)
    pace.heard("c", took)
    assert pace.rest == pytest.approx(rest)
    assert pace.next(max(2.0, pace.rest), took) == pytest.approx(max(2.0, took + rest))


def test_an_interval_that_becomes_shorter_counts_at_once() -> None:
    pace = Pace(lambda: 0.5, 0.0)
    pace.asked(["c"], 0.0)
    pace.heard("c", 0.4)
    assert pace.next(8.0, 0.4) == pytest.approx(8.4)
    assert pace.next(0.5, 1.0) == pytest.approx(1.5)
