"""What one stop has seen of one service: readings go in, operations with their ends come out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kolla_drain.drain.freshness import Pulse
from kolla_drain.drain.history import Moment, Record
from kolla_drain.model import Answer, Ending, EvidenceState, Heartbeat, Operation, Outcome, Profile, Reading

LIMIT = 60.0  # service_down_time
CINDER = Profile("cinder-volume")
OPERATION = Operation("volume_create", "d1ce", "creating", claimed=True, touched="0")
OTHER = replace(OPERATION, id="ca5e")
STANDING = Operation("volume_attach", "f00d", "attaching", informs=True)
BEAT = Heartbeat("cinder-volume", "h@lvm", 3.0, 42, True, False)
AWAY = Reading(EvidenceState.UNAVAILABLE, "the server is down", passing=True)

BEFORE, SIGNALLED, EXITED = Moment


class Heard:
    """A record with its timeline, begun at 100 s."""

    def __init__(self, profile=CINDER):
        self.timeline = []
        self.record = Record(profile, LIMIT, 100.0, self.timeline.append)

    def hears(self, *operations, at=100.0, moment=BEFORE, endings=(), beats=()):
        reading = Reading(EvidenceState.OK, heartbeats=tuple(beats), operations=operations)
        self.record.hear(Answer("1d", 1, reading, tuple(endings)), at, moment)
        return self.record

    def goes_blind(self, at=100.0, moment=BEFORE):
        self.record.hear(Answer("1d", 1, AWAY), at, moment)
        return self.record


@pytest.fixture
def heard():
    return Heard()


def ended(operation=OPERATION, outcome=Outcome.FINISHED, status="available", fate=""):
    return Ending(operation, outcome, status, fate)


LOST = ended(outcome=Outcome.INTERRUPTED, status="creating", fate="set to error")
FAILED = ended(outcome=Outcome.INTERRUPTED, status="error", fate="stays in error")
UNCLEAR = ended(outcome=Outcome.UNKNOWN, status="creating")


# --- what is waited for


def test_nothing_was_read_yet(heard):
    record = heard.record
    assert (record.reading, record.empty_readings, record.busy, record.waiting_for) == (None, 0, False, ())
    assert record.summary() == (EvidenceState.UNAVAILABLE, "no reading came in")
    assert record.unread_for(107.0) == 7.0
    assert record.readable == set()


def test_an_operation_is_waited_for_and_told_once(heard):
    for at in (100.0, 102.0):
        record = heard.hears(OPERATION, at=at)
    assert (record.busy, record.waiting_for, record.empty_readings) == (True, (OPERATION,), 0)
    assert heard.timeline == ["volume_create d1ce (creating) in flight"]


def test_empty_readings_are_counted_in_a_row(heard):
    assert heard.hears().empty_readings == 1
    assert heard.hears().empty_readings == 2
    assert heard.hears(OPERATION).empty_readings == 0
    assert heard.hears().empty_readings == 1
    assert heard.goes_blind().empty_readings == 0


def test_a_state_that_only_informs_is_shown_and_not_waited_for(heard):
    record = heard.hears(STANDING)
    assert (record.empty_readings, record.waiting_for, record.open()) == (1, (), ())
    assert record.standing == (STANDING,)


def test_blind_it_stays_busy(heard):
    heard.hears(OPERATION)
    record = heard.goes_blind()
    assert record.busy
    assert record.reading is AWAY


def test_a_dead_operation_is_not_waited_for_and_told_once():
    heard = Heard(replace(CINDER, refreshes_workers=True))
    heard.hears(OPERATION, at=100.0)
    heard.hears(OPERATION, at=161.0)
    record = heard.hears(OPERATION, at=163.0)
    assert (record.dead, record.waiting_for, record.empty_readings) == ({OPERATION.key}, (), 2)
    assert record.open() == (OPERATION,)
    assert len([line for line in heard.timeline if "is dead" in line]) == 1


# --- times


def test_unread_counts_from_the_last_reading(heard):
    heard.hears(at=105.0)
    heard.goes_blind(at=110.0)
    assert heard.record.unread_for(112.0) == 7.0


def test_quiet_counts_from_the_first_empty_reading_after_the_signal(heard):
    heard.hears(at=100.0)
    assert heard.hears(at=110.0).quiet_for == 0.0
    assert heard.hears(at=112.0, moment=SIGNALLED).quiet_for == 0.0
    assert heard.hears(at=115.0, moment=SIGNALLED).quiet_for == 3.0


@pytest.mark.parametrize("breaks", [lambda h: h.hears(OPERATION, moment=SIGNALLED), lambda h: h.goes_blind()])
def test_quiet_begins_again_after_work_and_after_silence(heard, breaks):
    heard.hears(at=100.0, moment=SIGNALLED)
    breaks(heard)
    assert heard.record.quiet_for == 0.0
    assert heard.hears(at=120.0, moment=SIGNALLED).quiet_for == 0.0
    assert heard.hears(at=121.0, moment=SIGNALLED).quiet_for == 1.0


def test_no_reading_is_no_quiet(heard):
    """Quiet ends with the newest reading: what has come since is not known."""
    heard.hears(at=100.0, moment=SIGNALLED)
    assert heard.hears(at=103.0, moment=SIGNALLED).quiet_for == 3.0
    assert heard.record.quiet_for == 3.0  # however much later that is asked


def test_when_it_could_be_read(heard):
    heard.hears(moment=BEFORE)
    heard.goes_blind(moment=SIGNALLED)
    heard.hears(moment=EXITED)
    assert heard.record.readable == {BEFORE, EXITED}


def test_a_signal_in_doubt_that_was_never_sent(heard):
    record = heard.hears(moment=SIGNALLED)
    record.nothing_was_signalled()
    assert BEFORE in record.readable


def test_a_signal_that_was_never_sent_makes_nothing_readable(heard):
    record = heard.goes_blind(moment=SIGNALLED)
    record.nothing_was_signalled()
    assert record.readable == set()


# --- outages


def test_an_outage_is_told_when_it_begins_and_when_it_ends(heard):
    heard.hears(at=101.0)
    heard.goes_blind(at=103.0)
    heard.goes_blind(at=105.0)
    assert heard.record.summary() == (
        EvidenceState.UNAVAILABLE, "could not be read from 3.0 s on: the server is down",
    )  # fmt: skip
    heard.hears(at=107.5)
    why = "could not be read from 3.0 s to 7.5 s: the server is down"
    assert heard.record.summary() == (EvidenceState.OK, why)
    assert heard.timeline == [
        "evidence cannot be read: the server is down",
        "evidence can be read again",
    ]


def test_several_outages_are_all_told(heard):
    for at in (101.0, 103.0):
        heard.goes_blind(at=at)
        heard.hears(at=at + 1)
    heard.goes_blind(at=105.0)
    state, why = heard.record.summary()
    assert state is EvidenceState.UNAVAILABLE
    assert [part.split(":")[0] for part in why.split("; ")] == [
        "could not be read from 1.0 s to 2.0 s", "from 3.0 s to 4.0 s", "from 5.0 s on",
    ]  # fmt: skip


def test_no_outage_is_no_sentence(heard):
    assert heard.hears().summary() == (EvidenceState.OK, "")


# --- how operations end


def test_an_operation_that_finished(heard):
    heard.hears(OPERATION, OTHER)
    record = heard.hears(OTHER, endings=[ended()])
    assert record.endings == (ended(),)
    assert record.open() == (OTHER,)
    assert heard.timeline[-1] == "volume_create d1ce (creating) ended: available"


def test_what_is_still_in_flight_has_not_ended(heard):
    """Endings and operations are read one after the other."""
    heard.hears(OPERATION)
    assert heard.hears(OPERATION, endings=[ended()]).endings == ()


def test_the_end_of_what_was_never_seen_is_no_news(heard):
    assert heard.hears(endings=[ended()]).endings == ()


@pytest.mark.parametrize("moment", [BEFORE, SIGNALLED])
@pytest.mark.parametrize("ending", [LOST, UNCLEAR])
def test_what_is_not_clear_is_asked_about_again(heard, ending, moment):
    heard.hears(OPERATION)
    record = heard.hears(endings=[ending], moment=moment)
    assert (record.endings, record.open()) == ((), (OPERATION,))


def test_an_error_before_the_signal_is_an_end_of_its_own(heard):
    heard.hears(OPERATION)
    (ending,) = heard.hears(endings=[FAILED]).endings
    assert (ending.outcome, ending.fate) == (Outcome.FINISHED, "ended in error before the signal")


def test_an_error_that_may_have_come_of_a_signal(heard):
    """Somebody else had sent it, which came out later."""
    heard.hears(OPERATION)
    heard.hears(endings=[FAILED])
    heard.record.somebody_had_signalled()
    assert heard.record.endings == (FAILED,)


def test_an_error_from_before_a_signal_was_sent_stays_an_end_of_its_own(heard):
    heard.hears(OPERATION)
    heard.hears(endings=[FAILED])
    heard.record.nobody_has_signalled()
    heard.record.somebody_had_signalled()
    assert heard.record.endings[0].outcome is Outcome.FINISHED


def test_what_began_again_after_its_error_is_open(heard):
    heard.hears(OPERATION)
    heard.hears(endings=[FAILED])
    heard.hears(OPERATION)
    heard.record.somebody_had_signalled()
    assert heard.record.endings == ()


@pytest.mark.parametrize("moment", [SIGNALLED, EXITED])
def test_an_error_after_the_signal_is_an_interruption(heard, moment):
    heard.hears(OPERATION)
    assert heard.hears(endings=[FAILED], moment=moment).endings == (FAILED,)


def test_what_begins_again_is_open_again(heard):
    heard.hears(OPERATION)
    heard.hears(endings=[ended()])
    record = heard.hears(OPERATION)
    assert (record.open(), record.endings) == ((OPERATION,), ())
    assert heard.timeline.count("volume_create d1ce (creating) in flight") == 2


def test_an_end_is_kept_as_it_was_first_told(heard):
    heard.hears(OPERATION)
    heard.hears(endings=[ended()])
    assert heard.hears(endings=[ended(status="deleted")]).endings == (ended(),)


# --- after the exit


def test_settled_by_an_answer_about_all(heard):
    heard.hears(OPERATION, OTHER)
    lost = replace(LOST, operation=OTHER)
    assert heard.record.settle(Answer("1d", 2, Reading(EvidenceState.OK), (ended(), lost)))
    assert heard.record.endings == (ended(), lost)
    assert heard.record.open() == ()


def test_not_settled_by_an_answer_about_some(heard):
    heard.hears(OPERATION, OTHER)
    assert not heard.record.settle(Answer("1d", 2, Reading(EvidenceState.OK), (ended(),)))
    assert heard.record.open() == (OPERATION, OTHER)


def test_settling_leaves_alone_what_had_ended(heard):
    heard.hears(OPERATION)
    heard.hears(endings=[ended()])
    assert heard.record.settle(Answer("1d", 2, Reading(EvidenceState.OK), (LOST,)))
    assert heard.record.endings == (ended(),)


def test_what_was_asked_before_the_exit_only_tells_of_operations(heard):
    heard.record.overhear(Reading(EvidenceState.OK, operations=(OPERATION, STANDING)))
    assert heard.record.open() == (OPERATION,)
    assert (heard.record.reading, heard.record.readable, heard.record.busy) == (None, set(), False)


@pytest.mark.parametrize(
    ("claimed", "outcome"),
    [(True, Outcome.INTERRUPTED), (False, Outcome.UNKNOWN), (None, Outcome.UNKNOWN)],
    ids=["taken", "not taken", "nobody knows"],
)
@pytest.mark.parametrize("moment", [SIGNALLED, EXITED])
def test_what_is_first_seen_after_the_signal_may_still_be_queued(heard, claimed, outcome, moment):
    late = replace(OPERATION, claimed=claimed)
    heard.hears(late, moment=moment)
    assert heard.record.settle(Answer("1d", 2, Reading(EvidenceState.OK), (replace(LOST, operation=late),)))
    (ending,) = heard.record.endings
    assert ending.outcome is outcome
    assert ending.fate.endswith("set to error")
    assert ending.fate.startswith("it came as the service went") == (outcome is Outcome.UNKNOWN)


def test_a_start_that_resets_what_is_queued_is_said(heard):
    late = replace(OPERATION, claimed=None)
    heard.hears(late, moment=SIGNALLED)
    fate = "its next start sets the backup to error"
    lost = replace(LOST, operation=late, fate=fate, queued_fate=fate)
    assert heard.record.settle(Answer("1d", 2, Reading(EvidenceState.OK), (lost,)))
    (ending,) = heard.record.endings
    assert (ending.outcome, ending.fate) == (Outcome.UNKNOWN, f"it came as the service went: {fate}")


@pytest.mark.parametrize(
    ("reset", "fate"),
    [("", "done at the next start"), ("its next start sets it to error", "its next start sets it to error")],
)
def test_what_came_after_an_end_while_frozen_is_told_with_what_the_start_makes_of_it(heard, reset, fate):
    late = replace(OPERATION, claimed=None)
    heard.hears(late, moment=EXITED)
    lost = replace(LOST, operation=late, queued_fate=reset)
    assert heard.record.settle(Answer("1d", 2, Reading(EvidenceState.OK), (lost,)), ended_frozen=True)
    (ending,) = heard.record.endings
    assert (ending.outcome, ending.fate) == (Outcome.QUEUED, f"it came after the end: {fate}")


def test_what_was_seen_before_the_signal_is_not_late(heard):
    queued = replace(OPERATION, claimed=None)
    heard.hears(queued)
    heard.hears(queued, moment=EXITED)
    heard.record.settle(Answer("1d", 2, Reading(EvidenceState.OK), (replace(LOST, operation=queued),)))
    assert heard.record.endings[0].outcome is Outcome.INTERRUPTED


def test_giving_up_ends_only_what_is_open(heard):
    heard.hears(OPERATION, OTHER)
    heard.hears(OTHER, endings=[ended()])
    heard.record.give_up("nobody could look")
    assert heard.record.endings == (
        ended(), Ending(OTHER, Outcome.UNKNOWN, "creating", "nobody could look"),
    )  # fmt: skip


# --- heartbeats


def pulse(*counts, profile=CINDER, every=10.0, up=True):
    """A heartbeat read every ten seconds, from 100 s on."""
    beats = Pulse(profile, LIMIT)
    for number, count in enumerate(counts):
        beats.update((replace(BEAT, report_count=count, up=up),), 100.0 + number * every)
    return beats


def test_a_count_that_moves_is_life_whatever_the_clocks_say():
    (row,) = pulse(1, 2, up=False).rows
    assert row.up


def test_a_count_that_stands_still_leaves_the_word_to_the_age():
    assert not pulse(1, 1, up=False).rows[0].up
    assert pulse(1, 1, up=True).rows[0].up


def test_a_count_that_moved_long_ago_is_no_life():
    beats = pulse(1, 2, up=False)
    beats.update((replace(BEAT, report_count=2, up=False),), 110.0 + LIMIT)
    assert beats.rows[0].up
    beats.update((replace(BEAT, report_count=2, up=False),), 110.1 + LIMIT)
    assert not beats.rows[0].up


@pytest.mark.parametrize(
    ("beats", "signalled", "now", "words"),
    [
        (Pulse(CINDER, LIMIT), False, 100.0, ""),
        (pulse(1, 2), False, 115.0, "moved 5 s ago: it lives"),
        (pulse(1, 1), False, 115.0, "up by its age"),
        (pulse(1, 1), True, 115.0, "silent, as cinder-volume is from its signal on"),
        (pulse(1, 1, up=False), False, 115.0, "still for over 60 s"),
        (
            pulse(1, 1, up=False, profile=replace(CINDER, heartbeat_while_draining=True)),
            True,
            115.0,
            "still for over 60 s",
        ),
        (pulse(1, 2), True, 200.0, "silent, as cinder-volume is from its signal on"),
    ],
    ids=["none", "moves", "up", "silent", "hangs", "hangs in a drain", "moved long ago"],
)
def test_what_a_heartbeat_says(beats, signalled, now, words):
    said = beats.note(signalled, now)
    assert said.startswith(words)
    assert bool(said) == bool(words)
