"""Arbitrary worlds for hypothesis."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from kolla_drain.drain.baseline import CLOCKS, QUEUED, SETTLED
from kolla_drain.model import OnTimeout, Profile, Quiesce, StopRequest

from .world import NEVER, Job, Scene, Service

FAULTS = ["", "lost", "answer lost", "late", "slow", "absent"]


def seconds(least, most):
    """Quarters of a second: coincidences are wanted."""
    return st.integers(int(least * 4), int(most * 4)).map(lambda quarters: quarters / 4)


def mostly(usual, other):
    return st.one_of(st.just(usual), st.just(usual), other)


@st.composite
def jobs(draw):
    by_worker = draw(st.booleans())
    return Job(
        arrives=draw(mostly(0.0, seconds(0, 60))),
        takes=draw(mostly(5.0, st.one_of(seconds(0.25, 90), st.just(NEVER)))),
        fails=draw(mostly(False, st.booleans())),
        by_worker=by_worker,
        unattributed=draw(mostly(False, st.booleans())),
        anothers=draw(mostly(False, st.booleans())),
    )


@st.composite
def of_before(draw, job, up_for):
    """A job that was there before the world began: a wreck, or work of this process of whatever age."""
    if up_for == NEVER:
        return replace(job, wreck=draw(st.booleans()), arrives=-draw(st.sampled_from([60.0, 4e3, 4e7])))
    if draw(st.booleans()):
        waited = draw(st.sampled_from([-up_for / 2, CLOCKS, QUEUED, QUEUED + 1.0, 2 * SETTLED, 4e7]))
        return replace(job, wreck=True, arrives=-(up_for + waited))
    longest = QUEUED if up_for < SETTLED else CLOCKS
    return replace(job, arrives=-(up_for + draw(st.sampled_from([-up_for / 2, 0.0, CLOCKS, longest]))))


@st.composite
def requests(draw):
    return StopRequest(
        timeout=draw(st.one_of(st.just(60.0), seconds(1, 90))),
        on_timeout=draw(mostly(OnTimeout.KILL, st.sampled_from(OnTimeout))),
        quiesce=draw(mostly(Quiesce.AUTO, st.sampled_from(Quiesce))),
        poll_interval=draw(st.sampled_from([2.0, 0.5, 7.0])),
    )


@st.composite
def services(draw, ways=("drains", "drops", "ignores")):
    at_signal = draw(st.sampled_from(ways))
    refreshes = draw(st.booleans())
    named = draw(mostly("cinder-volume", st.just("none")))
    profile = Profile(
        name=named,
        quiesce=draw(st.booleans()),
        heartbeat_while_draining=draw(st.booleans()),
        keeps_work=at_signal != "drops",
        refreshes_workers=refreshes and draw(st.booleans()),
        sees_work=draw(mostly(True, st.booleans())),
        exit_seconds=draw(st.sampled_from([15.0, 2.0])),
    )
    supervised = draw(mostly(NEVER, seconds(0, 12)))
    up_for = draw(mostly(NEVER, st.sampled_from([0.0, 60.0, 4e3, SETTLED - 3e3, SETTLED + 1.0, 4e6])))
    work = draw(st.lists(jobs(), max_size=3))
    return Service(
        jobs=tuple(draw(mostly(job, of_before(job, up_for))) for job in work),
        up_for=up_for,
        profile=profile,
        request=draw(requests()),
        at_signal=at_signal,
        exits_in=draw(mostly(1.0, seconds(0 if supervised else 1, 20))),
        alarm=draw(mostly(NEVER, seconds(0 if supervised else 1, 60))),
        accepts=draw(mostly(0.0, seconds(0, 5))),
        dies_at=draw(mostly(NEVER, seconds(0, 60))),
        refreshes=refreshes,
        kill_takes=draw(mostly(0.25, st.one_of(seconds(0.25, 40), st.just(NEVER)))),
        status=draw(
            mostly("running", st.sampled_from(["paused", "restarting", "removing", "exited", "created"]))
        ),
        stop_signal=draw(mostly("", st.sampled_from(["SIGTERM", "SIGQUIT"]))),
        restarts_in=draw(mostly(NEVER, seconds(0, 5))),
        supervised=supervised,
        auto_removed=draw(mostly(False, st.booleans())),
        by_hand=draw(mostly(NEVER, seconds(0, 60))),
        paused_at=draw(mostly(NEVER, seconds(0, 60))),
        evidence_missing=draw(mostly("", st.sampled_from(["", "its configuration is not here (made up)"]))),
    )


def gaps(most):
    return st.tuples(seconds(0, most), seconds(0.25, 60)).map(lambda gap: (gap[0], gap[0] + gap[1]))


@st.composite
def unseen_work(draw):
    """A service that drops its work, has some, and is to wait for it."""
    service = draw(services(ways=("drops",)))
    return replace(
        service,
        jobs=tuple(draw(st.lists(st.builds(Job, seconds(0, 20), seconds(5, 60)), min_size=1, max_size=2))),
        profile=replace(service.profile, name="cinder-volume", quiesce=True, exit_seconds=15.0),
        request=StopRequest(timeout=draw(seconds(60, 90)), poll_interval=service.request.poll_interval),
        status="running",
        dies_at=NEVER,
    )


@st.composite
def scenes(draw, services=services(), most=3):  # noqa: B008 - a strategy is a description
    outages = draw(st.lists(st.tuples(gaps(90), st.booleans()), max_size=2))
    return Scene(
        services=tuple(draw(st.lists(services, min_size=1, max_size=most))),
        latencies=tuple(draw(mostly([0.1], st.lists(seconds(0, 12), min_size=1, max_size=4)))),
        read_at_the_end=draw(st.booleans()),
        outages=tuple((begin, end, passing) for (begin, end), passing in outages),
        engine_gaps=tuple(draw(mostly([], st.lists(gaps(120), max_size=2)))),
        engine_patience=draw(st.sampled_from([0.0, 1.0])),
        signal_faults=tuple(draw(mostly([], st.lists(st.sampled_from(FAULTS), max_size=3)))),
        kills_lost=draw(mostly(0, st.integers(0, 3))),
        slow=draw(seconds(1, 15)),  # less than what the signal of a run that died is looked for
        memory=draw(mostly(NEVER, seconds(0, 30))),
        turns=tuple(draw(st.lists(st.integers(0, 2), max_size=40))),
    )
