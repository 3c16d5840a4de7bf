"""What one stop has seen of one service: readings go in, operations with their ends come out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kolla_drain.drain.baseline import NO_BASELINE, Baseline
from kolla_drain.drain.freshness import heartbeat_note
from kolla_drain.drain.history import History, Moment
from kolla_drain.heartbeat import Heartbeats
from kolla_drain.model import Answer, Ending, EvidenceState, Heartbeat, Operation, Outcome, Profile, Reading

LIMIT = 60.0  # service_down_time
CINDER = Profile("cinder-volume")
OPERATION = Operation("volume_create", "d1ce", "creating", claimed=True, touched="2026-11-29T12:00:00Z")
OTHER = replace(OPERATION, id="ca5e")
STANDING = Operation("volume_attach", "f00d", "attaching", informs=True)
BEAT = Heartbeat("cinder-volume", "h@lvm", 3.0, 42, True, False)
AT = "2026-11-29T12:00:00.000000Z"
AWAY = Reading(EvidenceState.UNAVAILABLE, "the server is down", passing=True)

BEFORE, SIGNALLED, EXITED = Moment


class Heard:
    """A history with its timeline, begun at 100 s."""

    def __init__(self, profile=CINDER, baseline=NO_BASELINE):
        self.timeline = []
        self.history = History(profile, LIMIT, 100.0, self.timeline.append, baseline)

    def hears(self, *operations, at=100.0, moment=BEFORE, endings=(), beats=(), why=""):
        reading = Reading(EvidenceState.OK, why, heartbeats=tuple(beats), operations=operations, at=AT)
        self.history.hear(Answer("1d", 1, reading, tuple(endings)), at, moment)
        return self.history

    def goes_blind(self, at=100.0, moment=BEFORE):
        self.history.hear(Answer("1d", 1, AWAY), at, moment)
        return self.history


@pytest.fixture
def heard():
    return Heard()


def ended(operation=OPERATION, outcome=Outcome.FINISHED, status="available", fate=""):
    return Ending(operation, outcome, status, fate)


LOST = ended(outcome=Outcome.INTERRUPTED, status="creating", fate="set to error")
FAILED = ended(outcome=Outcome.INTERRUPTED, status="error", fate="stays in error")
UNCLEAR = ended(outcome=Outcome.UNKNOWN, status="creating")


# --- what could not be seen


def test_what_was_unseen_before_the_signal_is_told_once(heard):
    for at in (100.0, 102.0):
        history = heard.hears(at=at, why="no report")
    heard.hears(moment=SIGNALLED)
    assert (history.unseen, heard.timeline) == ("no report", ["no report"])
    assert history.summary() == (EvidenceState.OK, "no report")


def test_what_was_seen_before_the_signal_need_not_be_seen_after_it(heard):
    heard.hears(why="not yet")
    heard.hears()
    heard.hears(moment=SIGNALLED, why="it has had its stop signal")
    assert heard.history.unseen == ""


def test_without_a_look_before_the_signal_one_after_it_tells(heard):
    assert (
        heard.hears(moment=SIGNALLED, why="it has had its stop signal").unseen == "it has had its stop signal"
    )


def test_what_was_unseen_before_the_signal_is_recalled(heard):
    """By the run that joins: it cannot see it any more."""
    heard.hears(OPERATION, why="no report")
    joined = Heard()
    joined.history.recall(heard.history.memory)
    joined.hears(OPERATION, moment=SIGNALLED)
    assert joined.history.unseen == "no report"
    assert joined.history.summary() == (EvidenceState.OK, "no report")


# --- what is waited for


def test_nothing_was_read_yet(heard):
    history = heard.history
    assert (history.reading, history.empty_readings, history.waiting_for) == (None, 0, ())
    assert history.summary() == (EvidenceState.UNAVAILABLE, "no reading came in")
    assert history.unread_for(107.0) == 7.0
    assert history.readable == set()


def test_an_operation_is_waited_for_and_told_once(heard):
    for at in (100.0, 102.0):
        history = heard.hears(OPERATION, at=at)
    assert (history.waiting_for, history.empty_readings) == ((OPERATION,), 0)
    assert heard.timeline == ["volume_create d1ce (creating) in flight"]


def test_empty_readings_are_counted_in_a_row(heard):
    assert heard.hears().empty_readings == 1
    assert heard.hears().empty_readings == 2
    assert heard.hears(OPERATION).empty_readings == 0
    assert heard.hears().empty_readings == 1
    assert heard.goes_blind().empty_readings == 0


def test_a_state_that_only_informs_is_shown_and_not_waited_for(heard):
    history = heard.hears(STANDING)
    assert (history.empty_readings, history.waiting_for, history.open()) == (1, (), ())
    assert history.standing == (STANDING,)


def test_blind_it_waits_for_what_it_saw(heard):
    heard.hears(OPERATION)
    history = heard.goes_blind()
    assert history.waiting_for == (OPERATION,)
    assert history.reading is AWAY


def test_a_dead_operation_is_not_waited_for_and_told_once():
    heard = Heard(replace(CINDER, refreshes_workers=True))
    heard.hears(OPERATION, at=100.0)
    heard.hears(OPERATION, at=161.0)
    history = heard.hears(OPERATION, at=163.0)
    assert (history.dead, history.waiting_for, history.empty_readings) == ({OPERATION.key}, (), 2)
    assert history.open() == (OPERATION,)
    assert len([line for line in heard.timeline if "is dead" in line]) == 1


def test_a_row_that_nobody_could_read_did_not_stand_still():
    heard = Heard(replace(CINDER, refreshes_workers=True))
    heard.hears(OPERATION, at=100.0)
    heard.goes_blind(at=150.0)
    history = heard.hears(OPERATION, at=200.0)
    assert (history.dead, history.waiting_for) == (frozenset(), (OPERATION,))


# --- what is passed over

WRECK = Operation("volume_extend", "0ff", "extending", written="2025-10-25T12:00:00.000000Z")


def passing_over(*ignored):
    """A history of a process that began a minute before its first reading."""
    return Heard(baseline=Baseline(40.0, frozenset(ignored)))


def test_a_wreck_is_told_once_and_neither_waited_for_nor_open():
    heard = passing_over()
    for at in (100.0, 102.0):
        history = heard.hears(WRECK, OPERATION, at=at)
    assert (history.waiting_for, history.open()) == ((OPERATION,), (OPERATION,))
    assert [op.id for op in history.passed_over] == ["0ff"]
    (line,) = [line for line in heard.timeline if "0ff" in line]
    assert line.startswith(
        "volume_extend 0ff (extending) is passed over: unchanged since 2025-10-25T12:00:00Z"
    )
    assert heard.hears(WRECK, moment=EXITED).settle(Answer("1d", 2, AWAY, (ended(),)))


def test_a_wreck_that_moves_is_work():
    heard = passing_over()
    heard.hears(WRECK)
    moved = replace(WRECK, written="2025-10-25T12:00:01.000000Z")
    for at in (102.0, 104.0):
        history = heard.hears(moved, at=at)
    assert (history.waiting_for, history.passed_over) == ((moved,), ())


def test_what_was_waited_for_stays_work():
    heard = passing_over()
    recent = replace(WRECK, written="2026-11-29T11:30:00.000000Z")
    heard.hears(recent)
    history = heard.hears(recent, at=100.0 + 2 * 86400.0)
    assert (history.waiting_for, history.passed_over) == ((recent,), ())


def test_what_comes_with_the_exit_is_passed_over_too():
    heard = passing_over("d1ce")
    heard.hears()
    heard.history.overhear(Reading(EvidenceState.OK, operations=(WRECK, OPERATION), at=AT), 101.0)
    assert heard.history.open() == ()
    assert {op.id for op in heard.history.passed_over} == {"0ff", "d1ce"}


# --- what may be another process's

DOUBT = "any member of the cluster big@a may work on it"
DOUBTFUL = replace(OPERATION, claimed=None, unattributed=DOUBT)


def test_what_may_be_anothers_is_waited_for_and_counted_apart(heard):
    for own, total in ((1, 0), (2, 0)):
        history = heard.hears(DOUBTFUL)
        assert (history.own_empty_readings, history.empty_readings) == (own, total)
    assert history.waiting_for == (DOUBTFUL,)
    assert heard.timeline == [
        "volume_create d1ce (creating) in flight",
        f"volume_create d1ce (creating) is unattributed: {DOUBT}",
    ]
    assert heard.hears(DOUBTFUL, OTHER).own_empty_readings == 0
    assert heard.hears().own_empty_readings == 1
    assert heard.goes_blind().own_empty_readings == 0


def test_what_turns_out_to_be_shared_is_told_once(heard):
    heard.hears(OPERATION)
    for _ in range(2):
        history = heard.hears(DOUBTFUL)
    assert heard.timeline[1:] == [f"volume_create d1ce (creating) is unattributed: {DOUBT}"]
    assert [op.unattributed for op in history.open()] == [DOUBT]


@pytest.mark.parametrize("moment", [SIGNALLED, EXITED])
def test_what_may_be_anothers_is_never_lost_for_certain(heard, moment):
    heard.hears(DOUBTFUL)
    open_, failed = replace(LOST, operation=DOUBTFUL), replace(FAILED, operation=DOUBTFUL)
    heard.hears(moment=moment, endings=[failed])
    (ending,) = heard.history.endings
    assert (ending.outcome, ending.status) == (Outcome.UNKNOWN, "error")
    other = Heard()
    history = other.hears(DOUBTFUL)
    assert history.settle(Answer("1d", 2, history.reading, (open_,)))
    (ending,) = history.endings
    assert (ending.outcome, ending.fate) == (
        Outcome.UNKNOWN,
        f"{DOUBT}; if it was this container's, set to error",
    )


def test_what_may_be_anothers_is_not_lost_for_certain_when_a_signal_comes_to_light(heard):
    heard.hears(DOUBTFUL)
    history = heard.hears(endings=[replace(FAILED, operation=DOUBTFUL)])
    history.somebody_had_signalled()
    assert [ending.outcome for ending in history.endings] == [Outcome.UNKNOWN]


def test_what_may_be_anothers_and_finished_has_finished(heard):
    heard.hears(DOUBTFUL)
    history = heard.hears(endings=[ended(DOUBTFUL)])
    assert [ending.outcome for ending in history.endings] == [Outcome.FINISHED]


def test_what_another_has_taken_is_forgotten(heard):
    taken = Ending(DOUBTFUL, Outcome.UNKNOWN, "creating", anothers="m2@a")
    heard.hears(DOUBTFUL)
    history = heard.hears(endings=[taken])
    assert (history.open(), history.endings) == ((), ())
    assert heard.timeline[-1] == "volume_create d1ce (creating) was taken by m2@a"
    late = Heard().hears(DOUBTFUL)
    assert late.settle(Answer("1d", 2, late.reading, (taken,)))
    assert (late.open(), late.endings) == ((), ())


def test_what_another_had_claimed_before_the_process_began_is_forgotten():
    heard = Heard(baseline=Baseline(40.0))
    old = replace(OPERATION, touched="2026-11-29T11:00:00Z")
    assert heard.hears(old).open() == (old,)
    history = heard.hears(replace(old, unattributed=DOUBT))
    assert (history.open(), history.waiting_for) == ((), ())
    assert "another process claimed it" in heard.timeline[-1]
    assert [op.id for op in history.passed_over] == ["d1ce"]


# --- times


def test_unread_counts_from_the_last_reading(heard):
    heard.hears(at=105.0)
    heard.goes_blind(at=110.0)
    assert heard.history.unread_for(112.0) == 7.0


def test_when_it_could_be_read(heard):
    heard.hears(moment=BEFORE)
    heard.goes_blind(moment=SIGNALLED)
    heard.hears(moment=EXITED)
    assert heard.history.readable == {BEFORE, EXITED}


def test_a_signal_in_doubt_that_was_never_sent(heard):
    history = heard.hears(moment=SIGNALLED)
    history.nothing_was_signalled()
    assert BEFORE in history.readable


def test_a_signal_that_was_never_sent_makes_nothing_readable(heard):
    history = heard.goes_blind(moment=SIGNALLED)
    history.nothing_was_signalled()
    assert history.readable == set()


# --- outages


def test_an_outage_is_told_when_it_begins_and_when_it_ends(heard):
    heard.hears(at=101.0)
    heard.goes_blind(at=103.0)
    heard.goes_blind(at=105.0)
    assert heard.history.summary() == (
        EvidenceState.UNAVAILABLE, "could not be read from 3.0 s on: the server is down",
    )  # fmt: skip
    heard.hears(at=107.5)
    why = "could not be read from 3.0 s to 7.5 s: the server is down"
    assert heard.history.summary() == (EvidenceState.OK, why)
    assert heard.timeline == [
        "evidence cannot be read: the server is down",
        "evidence can be read again",
    ]


def test_several_outages_are_all_told(heard):
    for at in (101.0, 103.0):
        heard.goes_blind(at=at)
        heard.hears(at=at + 1)
    heard.goes_blind(at=105.0)
    state, why = heard.history.summary()
    assert state is EvidenceState.UNAVAILABLE
    assert [part.split(":")[0] for part in why.split("; ")] == [
        "could not be read from 1.0 s to 2.0 s", "from 3.0 s to 4.0 s", "from 5.0 s on",
    ]  # fmt: skip


def test_no_outage_is_no_sentence(heard):
    assert heard.hears().summary() == (EvidenceState.OK, "")


# --- how operations end


def test_an_operation_that_finished(heard):
    heard.hears(OPERATION, OTHER)
    history = heard.hears(OTHER, endings=[ended()])
    assert history.endings == (ended(),)
    assert history.open() == (OTHER,)
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
    history = heard.hears(endings=[ending], moment=moment)
    assert (history.endings, history.open()) == ((), (OPERATION,))


def test_an_error_before_the_signal_is_an_end_of_its_own(heard):
    heard.hears(OPERATION)
    (ending,) = heard.hears(endings=[FAILED]).endings
    assert (ending.outcome, ending.fate) == (Outcome.FINISHED, "ended in error before the signal")


def test_an_error_that_may_have_come_of_a_signal(heard):
    """Somebody else had sent it, which came out later."""
    heard.hears(OPERATION)
    heard.hears(endings=[FAILED])
    heard.history.somebody_had_signalled()
    assert heard.history.endings == (FAILED,)


def test_an_error_from_before_a_signal_was_sent_stays_an_end_of_its_own(heard):
    heard.hears(OPERATION)
    heard.hears(endings=[FAILED])
    heard.history.nobody_has_signalled()
    heard.history.somebody_had_signalled()
    assert heard.history.endings[0].outcome is Outcome.FINISHED


def test_what_began_again_after_its_error_is_open(heard):
    heard.hears(OPERATION)
    heard.hears(endings=[FAILED])
    heard.hears(OPERATION)
    heard.history.somebody_had_signalled()
    assert heard.history.endings == ()


@pytest.mark.parametrize("moment", [SIGNALLED, EXITED])
def test_an_error_after_the_signal_is_an_interruption(heard, moment):
    heard.hears(OPERATION)
    assert heard.hears(endings=[FAILED], moment=moment).endings == (FAILED,)


def test_what_begins_again_is_open_again(heard):
    heard.hears(OPERATION)
    heard.hears(endings=[ended()])
    history = heard.hears(OPERATION)
    assert (history.open(), history.endings) == ((OPERATION,), ())
    assert heard.timeline.count("volume_create d1ce (creating) in flight") == 2


def test_an_end_is_kept_as_it_was_first_told(heard):
    heard.hears(OPERATION)
    heard.hears(endings=[ended()])
    assert heard.hears(endings=[ended(status="deleted")]).endings == (ended(),)


# --- after the exit


def test_settled_by_an_answer_about_all(heard):
    heard.hears(OPERATION, OTHER)
    lost = replace(LOST, operation=OTHER)
    assert heard.history.settle(Answer("1d", 2, Reading(EvidenceState.OK), (ended(), lost)))
    assert heard.history.endings == (ended(), lost)
    assert heard.history.open() == ()


def test_not_settled_by_an_answer_about_some(heard):
    heard.hears(OPERATION, OTHER)
    assert not heard.history.settle(Answer("1d", 2, Reading(EvidenceState.OK), (ended(),)))
    assert heard.history.open() == (OPERATION, OTHER)


def test_settling_leaves_alone_what_had_ended(heard):
    heard.hears(OPERATION)
    heard.hears(endings=[ended()])
    assert heard.history.settle(Answer("1d", 2, Reading(EvidenceState.OK), (LOST,)))
    assert heard.history.endings == (ended(),)


def test_what_was_asked_before_the_exit_only_tells_of_operations(heard):
    heard.history.overhear(Reading(EvidenceState.OK, operations=(OPERATION, STANDING)), 100.0)
    assert heard.history.open() == (OPERATION,)
    assert (heard.history.reading, heard.history.readable, heard.history.waiting_for) == (None, set(), ())


@pytest.mark.parametrize(
    ("claimed", "outcome"),
    [(True, Outcome.INTERRUPTED), (False, Outcome.UNKNOWN), (None, Outcome.UNKNOWN)],
    ids=["taken", "not taken", "nobody knows"],
)
@pytest.mark.parametrize("moment", [SIGNALLED, EXITED])
def test_what_is_first_seen_after_the_signal_may_still_be_queued(heard, claimed, outcome, moment):
    late = replace(OPERATION, claimed=claimed)
    heard.hears(late, moment=moment)
    assert heard.history.settle(Answer("1d", 2, Reading(EvidenceState.OK), (replace(LOST, operation=late),)))
    (ending,) = heard.history.endings
    assert ending.outcome is outcome
    assert ending.fate.endswith("set to error")
    assert ending.fate.startswith("it came as the service went") == (outcome is Outcome.UNKNOWN)


def test_a_start_that_resets_what_is_queued_is_said(heard):
    late = replace(OPERATION, claimed=None)
    heard.hears(late, moment=SIGNALLED)
    fate = "its next start sets the backup to error"
    lost = replace(LOST, operation=late, fate=fate, queued_fate=fate)
    assert heard.history.settle(Answer("1d", 2, Reading(EvidenceState.OK), (lost,)))
    (ending,) = heard.history.endings
    assert (ending.outcome, ending.fate) == (Outcome.UNKNOWN, f"it came as the service went: {fate}")


def test_what_was_seen_before_the_signal_is_not_late(heard):
    queued = replace(OPERATION, claimed=None)
    heard.hears(queued)
    heard.hears(queued, moment=EXITED)
    heard.history.settle(Answer("1d", 2, Reading(EvidenceState.OK), (replace(LOST, operation=queued),)))
    assert heard.history.endings[0].outcome is Outcome.INTERRUPTED


def test_giving_up_ends_only_what_is_open(heard):
    heard.hears(OPERATION, OTHER)
    heard.hears(OTHER, endings=[ended()])
    heard.history.give_up("nobody could look")
    assert heard.history.endings == (
        ended(), Ending(OTHER, Outcome.UNKNOWN, "creating", "nobody could look"),
    )  # fmt: skip


# --- heartbeats


def beating(*counts, every=10.0, up=True):
    """A heartbeat read every ten seconds, from 100 s on."""
    beats = Heartbeats(LIMIT)
    for number, count in enumerate(counts):
        beats.update((replace(BEAT, report_count=count, up=up),), 100.0 + number * every)
    return beats


def test_a_count_that_moves_is_life_whatever_the_clocks_say():
    beats = beating(1, 2, up=False)
    assert beats.rows[0].up
    assert beats.up == {"h@lvm"}
    assert beats.moved("h@lvm")


def test_a_count_that_stands_still_leaves_the_word_to_the_age():
    assert not beating(1, 1, up=False).rows[0].up
    assert beating(1, 1, up=True).rows[0].up
    assert not beating(1, 1).moved("h@lvm")


def test_a_count_that_moved_long_ago_is_no_life():
    beats = beating(1, 2, up=False)
    beats.update((replace(BEAT, report_count=2, up=False),), 110.0 + LIMIT)
    assert beats.rows[0].up
    beats.update((replace(BEAT, report_count=2, up=False),), 110.1 + LIMIT)
    assert not beats.rows[0].up
    assert beats.up == frozenset()


DRAINS_ON = replace(CINDER, heartbeat_while_draining=True)


@pytest.mark.parametrize(
    ("beats", "profile", "signalled", "now", "words"),
    [
        (Heartbeats(LIMIT), CINDER, False, 100.0, ""),
        (beating(1, 2), CINDER, False, 115.0, "moved 5 s ago: it lives"),
        (beating(1, 1), CINDER, False, 115.0, "up by its age"),
        (beating(1, 1), CINDER, True, 115.0, "silent, as cinder-volume is from its signal on"),
        (beating(1, 1, up=False), CINDER, False, 115.0, "still for over 60 s"),
        (beating(1, 1, up=False), DRAINS_ON, True, 115.0, "still for over 60 s"),
        (beating(1, 2), CINDER, True, 200.0, "silent, as cinder-volume is from its signal on"),
    ],
    ids=["none", "moves", "up", "silent", "hangs", "hangs in a drain", "moved long ago"],
)
def test_what_a_heartbeat_says(beats, profile, signalled, now, words):
    note = heartbeat_note(beats, profile, LIMIT, signalled=signalled, now=now)
    assert note.startswith(words)
    assert bool(note) == bool(words)


def test_what_serves_is_what_was_up_before_the_signal(heard):
    dead = replace(BEAT, host="h@broken", up=False)
    assert heard.history.serving is None
    heard.hears(beats=(BEAT, dead))
    assert heard.history.serving == {"h@lvm"}
    heard.hears(beats=(replace(BEAT, up=False), replace(dead, up=True)), moment=SIGNALLED)
    assert heard.history.serving == {"h@lvm"}
