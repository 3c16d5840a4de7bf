"""Rows against what the processes tell."""

from __future__ import annotations

import pytest

from kolla_drain.drain.baseline import Baseline
from kolla_drain.evidence.weighing import Scale
from kolla_drain.model import EvidenceState, Operation, Profile, Reading

AT, NOW = "2026-11-30T12:00:00Z", 10000.0
YOUNG, OLD, FORMER = "2026-11-30T11:59:30Z", "2026-11-30T11:55:00Z", "2026-11-30T11:40:00Z"
LIFE = Baseline(began=NOW - 600)  # since 11:50
ANYBODYS = "no row tells which"
BY_REQUEST = Profile("manila-share", reports=True, works_in_requests=True)
OTHERWISE = Profile("cinder-volume", reports=True)


def operation(written: str | None, **more: object) -> Operation:
    return Operation("share_create", "s", "creating", written=written, **more)


def reading(*operations: Operation) -> Reading:
    return Reading(EvidenceState.OK, operations=operations, at=AT)


@pytest.mark.parametrize(
    ("profile", "op", "needed"),
    [
        (BY_REQUEST, operation(YOUNG), False),
        (BY_REQUEST, operation(OLD), True),
        (BY_REQUEST, operation(OLD, claimed=True), False),
        (BY_REQUEST, operation(None), False),
        # It may be what the service has resumed at its start, outside of any request.
        (BY_REQUEST, operation(FORMER), False),
        (BY_REQUEST, operation(YOUNG, unattributed=ANYBODYS), True),
        (OTHERWISE, operation(OLD), False),
        (OTHERWISE, operation(OLD, claimed=False), True),
        (OTHERWISE, operation(OLD, informs=True), True),
    ],
)
def test_when_the_processes_are_asked(profile: Profile, op: Operation, needed: bool) -> None:
    assert Scale(profile, LIFE).needs_processes(reading(op), NOW) is needed
    both = reading(op, operation(YOUNG, claimed=True))
    assert not Scale(profile, LIFE).needs_processes(both, NOW), "one that is certain is enough to wait for"


def test_they_are_asked_where_there_are_no_rows() -> None:
    assert Scale(BY_REQUEST, LIFE).needs_processes(reading(), NOW)


def test_a_wreck_of_an_earlier_life_does_not_stand_for_work() -> None:
    life = Baseline(began=NOW - 100000)
    wreck = Operation("share_create", "s", "creating", written="2026-11-20T00:00:00Z")
    assert Scale(BY_REQUEST, life).needs_processes(reading(wreck), NOW)


@pytest.mark.parametrize(
    ("profile", "op", "over"),
    [
        (BY_REQUEST, operation(OLD), True),
        (BY_REQUEST, operation(YOUNG), False),
        (BY_REQUEST, operation(OLD, unattributed=ANYBODYS), True),
        (BY_REQUEST, operation(FORMER, unattributed=ANYBODYS), True),
        (BY_REQUEST, operation(YOUNG, unattributed=ANYBODYS), False),
        (BY_REQUEST, operation(OLD, claimed=True), False),
        (BY_REQUEST, operation(OLD, informs=True), False),
        (OTHERWISE, operation(OLD), False),
        (OTHERWISE, operation(OLD, unattributed=ANYBODYS), False),
        (OTHERWISE, operation(OLD, claimed=False), True),
    ],
)
def test_what_nobody_works_on_is_passed_over(profile: Profile, op: Operation, over: bool) -> None:
    (judged,) = Scale(profile, LIFE).idle(reading(op), NOW).operations
    assert bool(judged.passed_over) is over
    if over:
        assert judged.passed_over == (
            f"unchanged since {op.written[:19]}Z, and no process of this container works on a request"
        )


def test_a_reason_that_is_there_stays() -> None:
    op = operation(OLD, passed_over="left behind")
    assert Scale(BY_REQUEST, LIFE).idle(reading(op), NOW).operations == (op,)
