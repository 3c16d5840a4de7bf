"""The rules, as tables: what was asked and seen, and what is decided; each line names its rule."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kolla_drain.drain import verdict
from kolla_drain.drain.plan import plan
from kolla_drain.drain.policy import Action, Observation, decide
from kolla_drain.drain.verdict import Killer, judge
from kolla_drain.model import (
    NO_PROFILE,
    Container,
    ContainerStatus,
    Ending,
    EvidenceState,
    OnTimeout,
    Operation,
    Outcome,
    Profile,
    Quiesce,
    Reading,
    StopRequest,
    Verdict,
)

CINDER = Profile(name="cinder-volume", quiesce=True)  # an idle one exits within 15 s
ON_THREADS = replace(CINDER, keeps_work=False)
NOVA = Profile(name="nova-compute", quiesce=True, manager_shutdown_counts=True)
NO_QUIESCE = replace(CINDER, quiesce=False)
SEES_NOTHING = Profile(name="nova-conductor", rows_tell=False)

OPERATION = Operation("volume_create", "d1ce", "creating")
DOUBTFUL = Operation("volume_extend", "ca5e", "extending", unattributed="any member may work on it")
OK = Reading(EvidenceState.OK)
AWAY = Reading(EvidenceState.UNAVAILABLE, "the server is down", passing=True)
WRONG = Reading(EvidenceState.UNAVAILABLE, "the password is wrong")
RUNNING = Container("1d", "cinder_volume", ContainerStatus.RUNNING, pid=4711, started_at="now")


# --- plan: signal


@pytest.mark.parametrize(
    ("asked", "profiles", "containers", "chosen"),
    [
        ("", "", "", "SIGTERM"),
        ("", "", "SIGQUIT", "SIGQUIT"),
        ("", "SIGUSR2", "SIGQUIT", "SIGUSR2"),
        ("SIGHUP", "SIGUSR2", "SIGQUIT", "SIGHUP"),
    ],
    ids=[
        "nothing named",
        "the container's StopSignal",
        "the profile's before it",
        "what was asked for before all",
    ],
)
def test_signal(asked, profiles, containers, chosen):
    assert plan(StopRequest(signal=asked), replace(CINDER, signal=profiles), containers).signal == chosen


# --- plan: the budget

BUDGETS = {
    # rule: (request, profile, manager_shutdown_timeout, quiesce, drain, words)
    "the drain gets what an idle one takes to exit": (
        StopRequest(180.0), CINDER, None, 165.0, 15.0, "idle it takes up to 15 s to exit",
    ),
    "a small budget is halved": (
        StopRequest(20.0), CINDER, None, 10.0, 10.0, "never more than half of the budget",
    ),
    "exactly half is not called a half": (StopRequest(30.0), CINDER, None, 15.0, 15.0, "15 s to exit"),
    "the smallest budget": (StopRequest(1.0), CINDER, None, 0.5, 0.5, "never more than half"),
    "work that is dropped gets all of it": (
        StopRequest(180.0), ON_THREADS, None, 180.0, 0.0, "the signal waits for the work",
    ),
    "who tells of every request, and drops it, gets an orderly end": (
        StopRequest(180.0), replace(ON_THREADS, rows_tell=False, reports=True), None, 165.0, 15.0, "15 s to exit",
    ),
    "manager_shutdown_timeout is slept through": (
        StopRequest(300.0), NOVA, 160.0, 125.0, 175.0, "its manager_shutdown_timeout of 160 s",
    ),
    "manager_shutdown_timeout and the exit fill a budget": (StopRequest(100.0), NOVA, 160.0, 0.0, 100.0, "160 s"),
    "manager_shutdown_timeout of 0 is no wait": (StopRequest(100.0), NOVA, 0.0, 85.0, 15.0, "0 s and 15 s to exit"),
    "manager_shutdown_timeout that is not known": (StopRequest(100.0), NOVA, None, 85.0, 15.0, "idle it takes"),
    "manager_shutdown_timeout that does not count": (StopRequest(100.0), CINDER, 160.0, 85.0, 15.0, "idle it takes"),
    "the profile needs no quiesce": (StopRequest(60.0), NO_QUIESCE, None, 0.0, 60.0, "needs no quiesce"),
    "never": (StopRequest(60.0, quiesce=Quiesce.NEVER), CINDER, None, 0.0, 60.0, "quiesce is set to never"),
    "never, though work is dropped": (
        StopRequest(60.0, quiesce=Quiesce.NEVER), ON_THREADS, None, 0.0, 60.0, "quiesce is set to never",
    ),
    "always, though the profile needs none": (
        StopRequest(60.0, quiesce=Quiesce.ALWAYS), NO_QUIESCE, None, 45.0, 15.0, "are kept for the drain",
    ),
    "always, but there is nothing to read": (
        StopRequest(60.0, quiesce=Quiesce.ALWAYS), NO_PROFILE, None, 0.0, 60.0, "there is no evidence",
    ),
    "no profile": (StopRequest(60.0), NO_PROFILE, None, 0.0, 60.0, "there is no evidence to quiesce by"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("request_", "profile", "manager", "quiesce", "drain", "words"), BUDGETS.values(), ids=BUDGETS
)
def test_budget(request_, profile, manager, quiesce, drain, words):
    chosen = plan(request_, profile, manager_shutdown_timeout=manager)
    assert (chosen.quiesce, chosen.drain) == (quiesce, drain)
    assert chosen.timeout == request_.timeout == chosen.quiesce + chosen.drain
    assert words in chosen.reason


# --- decide


def decided(
    *, request=None, profile=CINDER, elapsed=0.0, status=ContainerStatus.RUNNING, signalled=False, **seen
):
    request = request or StopRequest(100.0)
    container = None if status is None else replace(RUNNING, status=status)
    observation = Observation(container=container, signalled=signalled, **seen)
    return decide(request, profile, plan(request, profile), observation, elapsed)


LEAVE = StopRequest(100.0, on_timeout=OnTimeout.LEAVE)

# Where the container is, before the deadline, at it, and at it with on_timeout=leave.
STATES = [
    (None, Action.DONE, Action.DONE, Action.DONE, "gone"),
    (ContainerStatus.CREATED, Action.DONE, Action.DONE, Action.DONE, "created"),
    (ContainerStatus.EXITED, Action.DONE, Action.DONE, Action.DONE, "exited"),
    (ContainerStatus.DEAD, Action.DONE, Action.DONE, Action.DONE, "dead"),
    (ContainerStatus.REMOVING, Action.WAIT, Action.LEAVE, Action.LEAVE, "removing"),
    (ContainerStatus.RESTARTING, Action.CANCEL_RESTART, Action.KILL, Action.LEAVE, "start it again"),
    (ContainerStatus.PAUSED, Action.UNPAUSE, Action.KILL, Action.LEAVE, "paused process"),
    (ContainerStatus.RUNNING, Action.WAIT, Action.KILL, Action.LEAVE, "quiesc"),
]


@pytest.mark.parametrize(("status", "before", "at", "at_leave", "words"), STATES)
@pytest.mark.parametrize("signalled", [False, True], ids=["quiescing", "draining"])
def test_status(status, before, at, at_leave, words, signalled):
    early = decided(status=status, signalled=signalled, elapsed=99.9 if signalled else 1.0)
    assert early.action is before
    assert words in early.reason or (signalled and status is ContainerStatus.RUNNING)
    assert decided(status=status, signalled=signalled, elapsed=100.0).action is at
    assert decided(status=status, signalled=signalled, elapsed=100.0, request=LEAVE).action is at_leave


@pytest.mark.parametrize("status", list(ContainerStatus))
def test_every_status_is_in_the_table(status):
    assert status in [row[0] for row in STATES]


@pytest.mark.parametrize(
    ("signalled", "words"), [(True, "it has not exited"), (False, "the signal was not sent")]
)
def test_the_deadline_says_how_far_it_came(signalled, words):
    for request in (StopRequest(100.0), LEAVE):
        decision = decided(request=request, elapsed=100.0, signalled=signalled)
        assert words in decision.reason
        assert "100 s" in decision.reason


BUSY = dict(reading=OK, waiting_for=(OPERATION,))
BLIND_BUSY = dict(reading=AWAY, waiting_for=(OPERATION,))
EMPTY_ONCE = dict(reading=OK, empty_readings=1)
EMPTY_TWICE = dict(reading=OK, empty_readings=2)
OTHERS = dict(reading=OK, waiting_for=(DOUBTFUL,), own_empty_readings=2)
OTHERS_ONCE = dict(OTHERS, own_empty_readings=1)

BEFORE_SIGNAL = {
    # rule: (profile, elapsed, seen, action, words)
    "nothing read yet": (CINDER, 0.0, {}, Action.WAIT, "waiting for its evidence"),
    "work": (CINDER, 50.0, BUSY, Action.WAIT, "quiescing with 1 operation in flight"),
    "work, and the rest is for the drain": (CINDER, 85.0, BUSY, Action.SIGNAL, "1 operation still in flight, but"),
    "work that would be dropped": (ON_THREADS, 99.9, BUSY, Action.WAIT, "quiescing with"),
    "empty once": (CINDER, 1.0, EMPTY_ONCE, Action.WAIT, "one more empty reading"),
    "empty once, and the rest is for the drain": (CINDER, 85.0, EMPTY_ONCE, Action.SIGNAL, "are kept for the drain"),
    "empty twice": (CINDER, 1.0, EMPTY_TWICE, Action.SIGNAL, "2 readings running"),
    "empty twice, work that would be dropped": (ON_THREADS, 1.0, EMPTY_TWICE, Action.SIGNAL, "2 readings running"),
    # unattributed: half of the time to quiesce
    "work that may be another's": (CINDER, 42.4, OTHERS, Action.WAIT, "quiescing with 1 operation in flight"),
    "work that may be another's, after half of the time": (
        CINDER, 42.5, OTHERS, Action.SIGNAL, "1 operation still in flight that may be another process's, after 42 s",
    ),
    "work that may be another's and would be dropped": (ON_THREADS, 49.9, OTHERS, Action.WAIT, "quiescing with"),
    "the same, after half of the time": (ON_THREADS, 50.0, OTHERS, Action.SIGNAL, "may be another process's"),
    "none of its own once is not enough": (ON_THREADS, 99.0, OTHERS_ONCE, Action.WAIT, "quiescing with"),
    "no quiesce minds no work": (NO_QUIESCE, 0.0, BUSY, Action.SIGNAL, "the profile needs no quiesce"),
    "no profile": (NO_PROFILE, 0.0, dict(reads=False), Action.SIGNAL, "there is no evidence to quiesce by"),
    # the first look
    "no quiesce, and still one look": (NO_QUIESCE, 0.0, {}, Action.WAIT, "waiting for the first look"),
    "the first look is waited for": (NO_QUIESCE, 5.9, {}, Action.WAIT, "waiting for the first look"),
    "but not for long": (NO_QUIESCE, 6.0, {}, Action.SIGNAL, "the profile needs no quiesce"),
    "a look that saw nothing is a look": (NO_QUIESCE, 0.1, dict(reading=AWAY), Action.SIGNAL, "needs no quiesce"),
    "nobody looks where nothing can be asked": (
        NO_QUIESCE, 0.0, dict(reads=False, reading=WRONG), Action.SIGNAL, "needs no quiesce",
    ),
    # blind
    "a cause that stays": (CINDER, 0.0, dict(reading=WRONG), Action.SIGNAL, "the password is wrong"),
    "a cause that stays, work was seen": (
        CINDER, 84.9, dict(reading=WRONG, waiting_for=(OPERATION,)), Action.WAIT, "work was in flight",
    ),
    "a cause that stays, work would be dropped": (
        ON_THREADS, 84.9, dict(reading=WRONG), Action.WAIT, "a signal would drop work that nobody sees",
    ),
    "a cause that stays, and the rest is for an exit": (
        ON_THREADS, 85.0, dict(reading=WRONG), Action.SIGNAL, "the password is wrong",
    ),
    "a cause that may pass": (CINDER, 29.0, dict(reading=AWAY, unread_for=29.0), Action.WAIT, "to become readable"),
    "patience ends": (CINDER, 30.0, dict(reading=AWAY, unread_for=30.0), Action.SIGNAL, "not be read for 30 s"),
    "patience does not end where work would be dropped": (
        ON_THREADS, 84.9, dict(reading=AWAY, unread_for=84.9), Action.WAIT, "a signal would drop work that nobody sees",
    ),
    "nor where nothing ever came in": (
        ON_THREADS, 84.9, dict(unread_for=84.9), Action.WAIT, "a signal would drop work that nobody sees",
    ),
    "a cause that may pass, and the rest is for an exit": (
        ON_THREADS, 85.0, dict(reading=AWAY, unread_for=85.0), Action.SIGNAL, "the server is down",
    ),
    "nothing ever came in, and the rest is for an exit": (
        ON_THREADS, 85.0, dict(unread_for=85.0), Action.SIGNAL, "no reading came in",
    ),
    "patience counts from the last reading": (
        CINDER, 60.0, dict(reading=AWAY, unread_for=10.0), Action.WAIT, "to become readable",
    ),
    "patience leaves the drain its part": (
        CINDER, 85.0, dict(reading=AWAY, unread_for=10.0), Action.SIGNAL, "is for its exit",
    ),
    "nothing ever came in": (CINDER, 30.0, dict(unread_for=30.0), Action.SIGNAL, "not be read for 30 s"),
    "blind with work seen is patient": (
        CINDER, 84.9, dict(BLIND_BUSY, unread_for=80.0), Action.WAIT, "work was in flight",
    ),
    "blind with work seen ends with the budget": (
        CINDER, 85.0, dict(BLIND_BUSY, unread_for=80.0), Action.SIGNAL, "is for its exit",
    ),
    "blind keeps an exit also where work is dropped": (
        ON_THREADS, 85.0, dict(BLIND_BUSY, unread_for=80.0), Action.SIGNAL, "is for its exit",
    ),
    "blind, empty before is not empty now": (
        CINDER, 5.0, dict(reading=AWAY, unread_for=2.0), Action.WAIT, "to become readable",
    ),
}  # fmt: skip


def test_the_first_look_takes_a_quarter_of_a_small_budget():
    small = StopRequest(8.0)
    assert decided(request=small, profile=NO_QUIESCE, elapsed=1.9).action is Action.WAIT
    assert decided(request=small, profile=NO_QUIESCE, elapsed=2.0).action is Action.SIGNAL


@pytest.mark.parametrize("seen", [BUSY, BLIND_BUSY])
def test_what_another_run_gave_it_more_is_not_taken_from_it(seen):
    assert decided(elapsed=94.9, given_more=10.0, **seen).action is Action.WAIT
    assert decided(elapsed=95.0, given_more=10.0, **seen).action is Action.SIGNAL
    assert decided(elapsed=100.0, given_more=10.0, **seen).action is Action.KILL


def test_what_drops_its_work_is_held_blind_for_half_of_a_small_budget():
    small = StopRequest(20.0)
    assert decided(request=small, profile=ON_THREADS, elapsed=9.9, reading=WRONG).action is Action.WAIT
    assert decided(request=small, profile=ON_THREADS, elapsed=10.0, reading=WRONG).action is Action.SIGNAL


@pytest.mark.parametrize(
    ("profile", "elapsed", "seen", "action", "words"), BEFORE_SIGNAL.values(), ids=BEFORE_SIGNAL
)
def test_before_the_signal(profile, elapsed, seen, action, words):
    decision = decided(profile=profile, elapsed=elapsed, **seen)
    assert decision.action is action
    assert words in decision.reason


WHILE_DRAINING = {
    # rule: (profile, seen, words)
    "work": (CINDER, BUSY, "draining with 1 operation in flight"),
    "work that is dropped": (ON_THREADS, BUSY, "draining with 1 operation in flight"),
    "nothing left is no reason to kill": (CINDER, EMPTY_TWICE, "draining"),
    "blind": (CINDER, dict(reading=AWAY, unread_for=50.0), "draining"),
    "blind for good": (CINDER, dict(reading=WRONG, unread_for=50.0), "draining"),
    "nothing read yet": (CINDER, {}, "draining"),
}


@pytest.mark.parametrize(("profile", "seen", "words"), WHILE_DRAINING.values(), ids=WHILE_DRAINING)
def test_while_draining_it_waits_up_to_the_deadline(profile, seen, words):
    decision = decided(profile=profile, elapsed=99.9, signalled=True, **seen)
    assert decision.action is Action.WAIT
    assert decision.reason == words


@pytest.mark.parametrize(
    "profile", [CINDER, ON_THREADS, NO_QUIESCE, NO_PROFILE], ids=lambda profile: profile.name
)
@pytest.mark.parametrize("signalled", [False, True], ids=["quiescing", "draining"])
@pytest.mark.parametrize("elapsed", [0.0, 50.0, 99.9])
@pytest.mark.parametrize("reading", [None, OK, AWAY, WRONG], ids=["none", "ok", "away", "wrong"])
@pytest.mark.parametrize("waiting_for", [(), (OPERATION,)], ids=["idle", "busy"])
def test_nothing_is_killed_before_the_deadline(profile, signalled, elapsed, reading, waiting_for):
    seen = dict(
        reading=reading, waiting_for=waiting_for, empty_readings=2 * (not waiting_for), unread_for=elapsed
    )
    assert decided(profile=profile, elapsed=elapsed, signalled=signalled, **seen).action is not Action.KILL


# --- judge

DONE = Ending(OPERATION, Outcome.FINISHED, "available")
LOST = Ending(OPERATION, Outcome.INTERRUPTED, "creating", "its next start sets it to error")
OPEN = Ending(OPERATION, Outcome.UNKNOWN, "creating")

US = dict(killer=Killer.US, exit_code=137)
ANOTHER = dict(killer=Killer.ANOTHER, exit_code=137)
VERDICTS = {
    # rule: (what is otherwise than usual, verdict, words)
    "nothing was seen": ({}, Verdict.DRAINED, "exited by itself with exit code 0, no operation was seen in flight"),
    "all finished": (dict(endings=(DONE, DONE)), Verdict.DRAINED, "2 operations finished"),
    "an exit code is no proof of harm": (dict(endings=(DONE,), exit_code=143), Verdict.DRAINED, "143"),
    "nor of peace": (dict(endings=(DONE, LOST)), Verdict.CUT, "exit code 0, 1 operation left unfinished"),
    "lost goes before unknown": (dict(endings=(LOST, OPEN)), Verdict.CUT, "the outcome of 1 operation is unknown"),
    "lost goes before unverified": (dict(endings=(LOST,), verified=False), Verdict.CUT, "left unfinished"),
    "unknown is not drained": (dict(endings=(DONE, OPEN)), Verdict.UNVERIFIED, "the outcome of 1 operation is unknown"),
    "not looked up": (dict(verified=False), Verdict.UNVERIFIED, "exit code 0; the server is down"),
    "finished before, not looked up": (dict(endings=(DONE,), verified=False), Verdict.UNVERIFIED, "server is down"),
    "no evidence": (dict(profile=NO_PROFILE, verified=False), Verdict.UNVERIFIED, "no evidence to judge by"),
    "rows that tell of no work": (
        dict(profile=SEES_NOTHING), Verdict.UNVERIFIED, "no row shows the work of nova-conductor",
    ),
    "rows that told of work after all": (
        dict(profile=SEES_NOTHING, endings=(DONE,)), Verdict.DRAINED, "1 operation finished",
    ),
    "killed": (US, Verdict.KILLED, "ended by SIGKILL with exit code 137"),
    "killed, though all had finished": (dict(US, endings=(DONE,)), Verdict.KILLED, "ended by SIGKILL"),
    "killed with work": (dict(US, endings=(LOST,)), Verdict.KILLED, "1 operation left unfinished"),
    "killed without evidence": (dict(US, profile=NO_PROFILE, verified=False), Verdict.KILLED, "SIGKILL"),
    "killed by another": (ANOTHER, Verdict.KILLED, "a SIGKILL that somebody else sent with exit code 137"),
    "killed, nobody knows by whom": (dict(exit_code=137), Verdict.DRAINED, "did not come through the engine"),
    "out of memory": (dict(oom_killed=True, exit_code=137, endings=(LOST,)), Verdict.CUT, "for lack of memory"),
    "a child out of memory": (dict(oom_killed=True), Verdict.DRAINED, "exit code 0, after the kernel had killed"),
    "the container is gone": (dict(exit_code=None), Verdict.DRAINED, "removed by somebody else, no operation"),
    "killed, and the container is gone": (dict(US, exit_code=None), Verdict.KILLED, "ended by SIGKILL"),
}  # fmt: skip


@pytest.mark.parametrize(("otherwise", "verdict", "words"), VERDICTS.values(), ids=VERDICTS)
def test_judge(otherwise, verdict, words):
    usual = dict(
        profile=CINDER,
        killer=Killer.NOBODY,
        verified=True,
        endings=(),
        exit_code=0,
        oom_killed=False,
        why_unverified="the server is down",
    )
    said, why = judge(**{**usual, **otherwise})
    assert said is verdict
    assert words in why


@pytest.mark.parametrize(("number", "words"), [(0, "0 operations"), (1, "1 operation"), (2, "2 operations")])
def test_count(number, words):
    assert verdict.count([OPERATION] * number) == words
