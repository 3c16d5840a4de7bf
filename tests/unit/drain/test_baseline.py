"""Which rows are wrecks of an earlier life, and which may be this process's work."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from kolla_drain.drain.baseline import CLOCKS, NO_BASELINE, QUEUED, SETTLED, Baseline
from kolla_drain.model import EvidenceState, Operation, Reading

NOW = 2_000_000.0  # on the loop's clock
AT = datetime(2026, 11, 29, 12, 0, 0)  # the same moment by the database's
MINUTE, DAY = 60.0, 86400.0


def written(seconds_ago: float) -> str:
    return (AT - timedelta(seconds=seconds_ago)).isoformat(timespec="microseconds") + "Z"


def row(seconds_ago: float, **more) -> Operation:
    return Operation("volume_extend", "d1ce", "extending", written=written(seconds_ago), **more)


def judged(op: Operation, process_age: float | None = MINUTE, ignored=(), waited_for=(), at: float = 0.0):
    """The operation as a process of this age has it; ``at`` seconds ago by the database's clock."""
    began = None if process_age is None else NOW - process_age
    reading = Reading(EvidenceState.OK, operations=(op,), at=written(at))
    (found,) = Baseline(began, frozenset(ignored)).judged(reading, NOW, waited_for).operations
    return found


@pytest.mark.parametrize("process_age", [0.0, MINUTE, 20 * DAY])
def test_a_row_of_400_days_is_no_work_however_young_the_process(process_age):
    found = judged(row(400 * DAY), process_age)
    began = (AT - timedelta(seconds=process_age)).isoformat(timespec="seconds")
    assert found.passed_over == (
        f"unchanged since 2025-10-25T12:00:00Z, older than the process, which began {began}Z"
    )


@pytest.mark.parametrize(
    ("before", "process_age", "is_wreck"),
    [
        # written so many seconds before a process of that age began
        (QUEUED + 1, MINUTE, True),
        (QUEUED, MINUTE, False),  # its request may have waited in the queue
        (QUEUED, SETTLED, False),
        (QUEUED, SETTLED + 1, True),  # by now that has ended
        (CLOCKS + 1, SETTLED + 1, True),
        (CLOCKS, SETTLED + 1, False),  # it may have been written by this process, if clocks differ
        (CLOCKS + 1, SETTLED, False),
        (0.0, 20 * DAY, False),
        (-1.0, 20 * DAY, False),  # a migration of twenty days is work
    ],
)
def test_the_bounds(before, process_age, is_wreck):
    assert bool(judged(row(process_age + before), process_age).passed_over) is is_wreck


@pytest.mark.parametrize(
    "op",
    [
        replace(row(400 * DAY), written=None),
        row(400 * DAY, claimed=True),
        row(400 * DAY, informs=True),
    ],
    ids=["unknown", "claimed by a worker row", "only informs"],
)
def test_what_is_never_a_wreck(op):
    assert judged(op).passed_over == ""


def test_a_request_that_nobody_has_claimed_may_be_a_wreck():
    assert judged(row(400 * DAY, claimed=False)).passed_over


def test_unknown_times_are_patient():
    old = row(400 * DAY)
    assert judged(old, process_age=None).passed_over == ""
    reading = Reading(EvidenceState.OK, operations=(old,))
    assert Baseline(NOW - MINUTE).judged(reading, NOW) == reading
    assert NO_BASELINE.judged(replace(reading, at=written(0)), NOW).working == (old,)


def test_ages_are_compared_by_one_clock_each():
    """The database's clock may be years from the host's: both ages are differences."""
    assert judged(row(DAY + 2 * QUEUED), MINUTE, at=DAY).passed_over
    assert not judged(row(DAY + QUEUED), MINUTE, at=DAY).passed_over


def test_what_was_waited_for_once_counts_to_its_end():
    old = row(400 * DAY)
    assert judged(old, waited_for={old.key}).passed_over == ""


SHARED = "other processes report as rbd:volumes@rbd-1, too, and any of them may work on it"


def claim(seconds_ago: float) -> Operation:
    touched = written(seconds_ago)
    return Operation("volume_create", "d1ce", "creating", claimed=True, touched=touched, unattributed=SHARED)


@pytest.mark.parametrize("process_age", [MINUTE, 20 * DAY])
@pytest.mark.parametrize(("before", "is_anothers"), [(CLOCKS + 1, True), (CLOCKS, False), (-30.0, False)])
def test_what_another_process_had_claimed_before_this_one_began_is_its(process_age, before, is_anothers):
    op = claim(process_age + before)
    assert bool(judged(op, process_age).passed_over) is is_anothers
    assert bool(judged(op, process_age, waited_for={op.key}).passed_over) is is_anothers
    own = replace(op, unattributed="")
    assert bool(judged(own, process_age).passed_over) is (is_anothers and process_age > QUEUED)


def test_what_an_earlier_life_has_claimed_is_taken_up_at_the_start_or_never():
    """A backend whose driver is not initialised leaves it as it is."""
    own = replace(claim(400 * DAY), unattributed="")
    assert judged(own, QUEUED).passed_over == ""
    assert judged(own, QUEUED + 1).passed_over.startswith("another process claimed it 2025-10-25T12:00:00Z")
    assert judged(replace(own, touched=None), 20 * DAY).passed_over == ""


def test_a_claim_of_another_process_says_so():
    assert judged(claim(2 * MINUTE + 1)).passed_over == (
        "another process claimed it 2026-11-29T11:57:59Z, before this one began 2026-11-29T11:59:00+00:00Z"
    ).replace("+00:00", "")


def test_a_request_that_is_unattributed_may_have_waited_in_the_queue():
    doubtful = replace(row(MINUTE + QUEUED), unattributed=SHARED)
    assert judged(doubtful).passed_over == ""
    assert judged(replace(doubtful, written=written(MINUTE + QUEUED + 1))).passed_over
    assert judged(claim(400 * DAY), process_age=None).passed_over == ""


def test_an_ignored_id_is_passed_over_whatever_its_row_says():
    for op in (row(0.0, claimed=True), row(400 * DAY), replace(row(0.0), written=None)):
        assert judged(op, ignored=["d1ce"], waited_for={op.key}).passed_over.startswith("ignored")
    assert judged(row(0.0), ignored=["ca5e"]).passed_over == ""
    assert judged(row(0.0, informs=True), ignored=["d1ce"]).passed_over == "", "it is not waited for anyway"


def test_a_reason_that_the_rows_give_by_themselves_stays():
    known = row(0.0, passed_over="its migration has completed")
    assert judged(known).passed_over == "its migration has completed"
    assert judged(replace(known, written=written(400 * DAY))).passed_over.startswith("unchanged since")
    assert judged(known, ignored=["d1ce"]).passed_over.startswith("ignored")


def test_an_unreadable_reading_stays_as_it_is():
    away = Reading(EvidenceState.UNAVAILABLE, "the server is down")
    assert Baseline(NOW, frozenset({"d1ce"})).judged(away, NOW) is away
