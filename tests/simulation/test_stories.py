"""Single worlds, each with one thing to see in it; those that arbitrary worlds turned up stand here, too."""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace
from unittest import mock

import pytest

from kolla_drain.drain import history, one_signal, policy
from kolla_drain.drain import loop as drain_loop
from kolla_drain.drain import stop as drain
from kolla_drain.errors import EngineError, LedgerError
from kolla_drain.host.ledger import Ledger
from kolla_drain.model import (
    NO_PROFILE,
    EvidenceState,
    OnTimeout,
    Outcome,
    Profile,
    Quiesce,
    StopRequest,
    Verdict,
)

from . import promises
from .world import BEGINNING, CINDER, NEVER, Job, Run, Scene, Service, World

AT_ONCE = replace(CINDER, quiesce=False)
ON_THREADS = replace(CINDER, keeps_work=False)
LONG = Job(takes=NEVER)


def stop(*services, runs=(), **scene):
    """Let a world pass, hold the promises, and give it back with the result of the first container."""
    with World(Scene(services=services, **scene)) as world:
        runs = runs or (Run(),)
        world.stop(*runs)
        promises.hold(world, *runs)
        return world, runs[-1].results[0]


def only(world):
    return next(iter(world.containers.values()))


def asked(timeout=60.0, **more):
    return StopRequest(timeout=timeout, **more)


# --- side by side


def test_ten_take_as_long_as_the_slowest():
    services = [Service(exits_in=float(n), profile=AT_ONCE) for n in range(1, 11)]
    world, _ = stop(*services)
    assert 10.0 <= world.age <= 10.5


def test_evidence_is_asked_for_in_one_batch():
    services = [Service(jobs=(Job(takes=20.0),), profile=AT_ONCE) for _ in range(10)]
    with World(Scene(services=tuple(services))) as world:
        run = world.stop(Run())
        polls = [asks for when, asks in run.evidence.asks]
        assert all(len(asks) == 10 for asks in polls[:-2])
        # One each poll_interval, one more for the signals and one more for the exits.
        assert len(polls) <= 20 / 2.0 + 4


def asked_at(**scene):
    """When the evidence of a stop was asked for that has work for a while, in seconds from its beginning."""
    with World(Scene(services=(Service(jobs=(Job(takes=150.0),), request=asked(300.0)),), **scene)) as world:
        run = world.stop(Run())
        promises.hold(world, run)
        assert run.results[0].verdict is Verdict.DRAINED
        return [when - BEGINNING for when, _ in run.evidence.asks]


def test_the_longer_it_waits_the_less_often_it_reads():
    moments = asked_at(latencies=(0.05,))
    pauses = [(before, after - before) for before, after in zip(moments, moments[1:]) if after < 150.0]
    assert all(1.6 <= pause <= 2.4 for before, pause in pauses if before < 15.0)
    assert all(0.08 * before <= pause <= 0.13 * before for before, pause in pauses if before > 40.0)
    assert len(moments) < 45, "with as many seconds between them it would be 75"


def test_a_slow_database_is_left_alone_after_each_reading():
    """For 20 times as long as that took, and 5 s at the most; and no question is asked while another one waits."""
    assert len([when for when in asked_at(latencies=(0.3,)) if when < 60.0]) <= 16
    slow = [when for when in asked_at(latencies=(4.0,)) if when < 60.0]
    assert min(after - before for before, after in zip(slow, slow[1:])) >= 4.0 + 4.0


def test_one_that_fails_does_not_stop_the_others():
    hangs = Service(jobs=(LONG,), request=asked(5.0), kill_takes=NEVER, profile=AT_ONCE)
    with World(Scene(services=(hangs, Service(jobs=(Job(takes=20.0),))))) as world:
        run = world.stop(Run())
        promises.hold(world, run)
        failed, well = run.results
        assert (failed.verdict, failed.failed) == (Verdict.LEFT_RUNNING, True)
        assert well.verdict is Verdict.DRAINED


def test_a_broken_record_of_one_does_not_stop_the_others():
    with World(Scene(services=(Service(), Service()))) as world:
        os.makedirs(world.folder)
        with open(os.path.join(world.folder, "0" * 64 + ".json"), "w") as stream:
            stream.write("{")
        world.sabotage = "cannot be read"
        run = world.stop(Run())
        promises.hold(world, run)
        broken, well = run.results
        assert broken.failed
        assert broken.verdict is None
        assert not only(world).life.signals
        assert well.verdict is Verdict.DRAINED


@pytest.mark.parametrize(("number", "takes"), [(20, 5.0), (100, 0.3)])
def test_a_slow_engine_is_asked_about_all_at_once(number, takes):
    """One after the other, a look at each would have taken a minute or more, and the deadline with it."""
    services = [Service(jobs=(Job(takes=3.0),), profile=ON_THREADS) for _ in range(number)]
    with World(Scene(services=tuple(services), engine_takes=takes)) as world:
        run = world.stop(Run())
        promises.hold(world, run)
        assert {result.verdict for result in run.results} == {Verdict.DRAINED}
        assert run.ended - run.begun <= 10 * takes + 8.0


def test_two_hundred_end_together():
    services = [Service(jobs=(Job(takes=float(n % 20)),), profile=ON_THREADS) for n in range(200)]
    with World(Scene(services=tuple(services))) as world:
        run = world.stop(Run())
        promises.hold(world, run)
        assert {result.verdict for result in run.results} == {Verdict.DRAINED}
        assert run.ended - run.begun <= 25.0


@pytest.mark.parametrize("step", [-7200.0, 7200.0])
@pytest.mark.parametrize("when", [3.0, 15.0])
def test_a_wall_clock_that_is_set_changes_nothing(step, when):
    """Before the signal, and after it, which a run that was killed has sent."""
    service = Service(profile=AT_ONCE, jobs=(Job(takes=20.0),), request=asked(30.0))
    with World(Scene(services=(service,), clock_steps=((when, step),), memory=12.0)) as world:
        first = Run(dies_at_step=steps_until(world, "signal") + 1)
        world.stop(first)
        second = world.stop(Run(starts_at=5.0))
        promises.hold(world, first, second)
        assert len(only(world).life.signals) == 1
        assert second.results[0].verdict is Verdict.DRAINED
    stuck = Service(jobs=(LONG,), request=asked(30.0))
    world, _ = stop(stuck, clock_steps=((when, step),))
    assert only(world).life.kills[0][0] - BEGINNING == pytest.approx(30.0, abs=0.1)


def test_a_deadline_is_kept_though_the_engine_is_slow_for_many():
    services = [Service(jobs=(LONG,), request=asked(30.0)) for _ in range(20)]
    with World(Scene(services=tuple(services), engine_takes=5.0)) as world:
        run = world.stop(Run())
        promises.hold(world, run)
        kills = [life.kills[0][0] - BEGINNING for c in world.containers.values() for life in c.lives]
        assert len(kills) == 20
        # The deadline may come in the middle of a round: a look, twice the engine's events, and a signal.
        assert max(kills) <= 30.0 + 5 * 5.0


@pytest.mark.parametrize("timeout", range(20, 26))
def test_what_a_look_takes_is_time_of_the_budget(timeout):
    """So the kill comes with the first look that ends after the deadline, and not with the one after it."""
    service = Service(jobs=(LONG,), profile=AT_ONCE, request=asked(float(timeout)))
    world, _ = stop(service, engine_takes=5.0)
    assert only(world).life.kills[0][0] - BEGINNING <= timeout + 5.0 + drain_loop.LOOK_EVERY + 0.1


def test_a_silent_engine_costs_one_call_a_round_and_not_one_a_container():
    services = [Service(jobs=(LONG,), request=asked(20.0)) for _ in range(10)]
    with World(Scene(services=tuple(services), engine_gaps=((5.0, 1e6),), engine_patience=10.0)) as world:
        run = world.stop(Run())
        assert all(result.failed and "is not known 30 s after" in result.reason for result in run.results)
        assert run.ended - run.begun <= 20.0 + policy.KILL_BOUND + 15.0


def test_a_slow_call_for_one_does_not_cost_another_its_last_look():
    """Found by arbitrary worlds: its 10 s were over before the loop could ask, or hear the answer."""
    services = (Service(), Service(jobs=(Job(takes=30.0),), dies_at=8.5))
    with World(Scene(services=services, signal_faults=("holds",), slow=58.5)) as world:
        run = world.stop(Run())
        promises.hold(world, run)
        assert run.results[1].verdict is Verdict.CUT


def test_a_second_question_after_the_exit_has_its_time_as_well():
    """Found by arbitrary worlds, as above: an operation is seen by the last look for the first time."""
    hung = Service(jobs=(Job(takes=NEVER),), by_hand=29.75, profile=AT_ONCE)
    again = Service(profile=NO_PROFILE, dies_at=12.5, restarts_in=3.25, supervised=2.0, exits_in=14.0)
    with World(Scene(services=(hung, again), engine_takes=8.5)) as world:
        run = world.stop(Run())
        promises.hold(world, run)
        assert [ending.outcome for ending in run.results[0].endings] == [Outcome.INTERRUPTED]


def test_requests_after_the_exit_do_not_hide_what_became_of_the_work_before():
    """Found by arbitrary worlds: one more in each reading, and nothing was told of the others either."""
    jobs = (Job(takes=20.0), Job(arrives=5.5, by_worker=False), Job(arrives=6.5, by_worker=False))
    service = Service(jobs=jobs, dies_at=5.0)
    _, result = stop(service, latencies=(1.0,), read_at_the_end=True)
    outcomes = {ending.operation.id: ending.outcome for ending in result.endings}
    assert outcomes == {
        "c0-0": Outcome.INTERRUPTED,
        "c0-1": Outcome.UNKNOWN,
        "c0-2": Outcome.UNKNOWN,
    }
    assert result.verdict is Verdict.CUT


# --- the exit


@pytest.mark.parametrize("profile", [AT_ONCE, NO_PROFILE], ids=["with evidence", "without"])
def test_an_exit_is_noticed_at_once(profile):
    world, result = stop(Service(profile=profile, exits_in=7.3, request=asked(poll_interval=30.0)))
    assert result.drained == pytest.approx(7.3, abs=0.05)
    signalled_at = only(world).life.signals[0].at - BEGINNING
    # Beside the drain there is only the reading before the signal and the one after the exit.
    assert world.age == pytest.approx(signalled_at + 7.3, abs=0.2)
    assert signalled_at <= 0.2


def test_a_container_without_evidence_is_looked_at_once_a_second():
    world, _ = stop(Service(profile=NO_PROFILE, exits_in=30.0))
    looks = [call for _, call, _ in world.engine.calls if call == "inspect"]
    assert len(looks) <= 35


def test_an_exit_while_the_engine_is_away_is_found_when_it_is_back():
    _, result = stop(Service(exits_in=5.0, profile=AT_ONCE), engine_gaps=((3.0, 20.0),))
    assert result.verdict is Verdict.DRAINED
    assert "it can be looked at again" in [event.event for event in result.timeline]


def test_that_the_engine_is_back_is_told_before_the_verdict():
    _, result = stop(Service(exits_in=5.0, profile=NO_PROFILE), engine_gaps=((3.0, 20.0),))
    told = [event.event for event in result.timeline]
    assert told.index("it can be looked at again") == len(told) - 2


def test_a_container_that_cannot_be_unpaused_is_not_called_unpaused():
    service = Service(exits_in=5.0, profile=AT_ONCE, paused_at=0.0)
    with World(Scene(services=(service,))) as world:
        real, calls = world.engine.unpause, []

        def refused_once(container_id):
            calls.append(container_id)
            if len(calls) == 1:
                raise EngineError("The engine refused (made up).")
            real(container_id)

        with mock.patch.object(world.engine, "unpause", refused_once):
            run = world.stop(Run())
        assert run.results[0].verdict is Verdict.DRAINED
        told = [event.event for event in run.results[0].timeline]
        assert len([event for event in told if event.startswith("unpaused")]) == 1 == len(calls) - 1


def test_what_the_engine_refuses_does_not_end_the_watch():
    world, result = stop(Service(exits_in=5.0, profile=AT_ONCE), refusals=((3.0, 10.0),))
    assert result.verdict is Verdict.DRAINED
    assert len(only(world).life.signals) == 1


def test_a_signal_that_the_engine_refused_is_sent_again():
    with World(Scene(services=(Service(profile=AT_ONCE),))) as world:
        real, calls = world.engine.signal, []

        def refused_once(*args):
            calls.append(args)
            if len(calls) == 1:
                raise EngineError("The engine refused (made up).")
            real(*args)

        with mock.patch.object(world.engine, "signal", refused_once):
            run = world.stop(Run())
        promises.hold(world, run)
        assert only(world).life.signals[0].at - BEGINNING == pytest.approx(one_signal.DOUBT, abs=1.5)
        assert run.results[0].verdict is Verdict.DRAINED


def test_a_deadline_is_kept_after_the_engine_refused():
    hangs = Service(jobs=(LONG,), profile=AT_ONCE, request=asked(20.0))
    world, result = stop(hangs, refusals=((0.5, 15.0),))
    assert result.verdict is Verdict.KILLED
    assert only(world).life.kills[0][0] - BEGINNING == pytest.approx(20.0, abs=1.1)


def test_a_disk_that_is_full_right_after_the_signal_does_not_end_the_watch():
    with mock.patch.object(Ledger, "sent", side_effect=LedgerError("No space left on device.")):
        world, result = stop(Service(exits_in=5.0, profile=AT_ONCE))
    assert result.verdict is Verdict.DRAINED
    assert len(only(world).life.signals) == 1


def test_a_disk_that_is_full_before_the_signal_leaves_the_container_alone():
    world, result = stop(Service(jobs=(Job(takes=20.0),)), disk_full=((5.0, 1e6),))
    assert (result.verdict, result.failed) == (None, True)
    assert "No space left" in result.reason
    assert world.age == pytest.approx(20.0, abs=3.0)
    assert not only(world).life.signals
    assert not only(world).life.kills


def test_a_signal_of_somebody_else_is_watched_though_it_cannot_be_written_down():
    world, result = stop(
        Service(jobs=(Job(takes=20.0),), request=asked(30.0), by_hand=5.0), disk_full=((4.0, 1e6),)
    )
    assert result.verdict is Verdict.DRAINED
    assert len(only(world).life.signals) == 1


@pytest.mark.parametrize("of", ["inspect", "sent"])
def test_an_error_that_nobody_expected_costs_neither_the_container_nor_its_neighbour(of):
    with World(Scene(services=(Service(profile=AT_ONCE, exits_in=8.0), Service(profile=AT_ONCE)))) as world:
        first = only(world)
        real = getattr(world.engine, of)

        def broken(asked_for):
            answer = real(asked_for)
            if getattr(asked_for, "id", asked_for) == first.id and (of == "sent" or world.age > 1.0):
                raise KeyError("State")
            return answer

        with mock.patch.object(world.engine, of, broken):
            run = world.stop(Run())
        strange, well = run.results
        assert well.verdict is Verdict.DRAINED
        assert (strange.verdict, strange.failed) == (None, True)
        assert "is not known 30 s after its deadline (KeyError at test_stories.py:" in strange.reason
        assert len(first.life.signals) == (1 if of == "inspect" else 0)


def test_a_stop_that_could_not_be_begun_has_touched_nothing():
    with mock.patch.object(Ledger, "begin", side_effect=KeyError("begun")), World(Scene()) as world:
        result = world.stop(Run()).results[0]
    assert (result.verdict, result.failed) == (None, True)
    assert "was not touched: KeyError" in result.reason
    assert world.age < 1.0


def test_a_reading_that_cannot_be_taken_in_costs_only_the_evidence():
    services = (Service(profile=AT_ONCE, exits_in=8.0, request=asked(30.0)), Service(profile=AT_ONCE))
    with World(Scene(services=services)) as world:
        first, real = only(world), history.History.hear

        def broken(heard, answer, *args):
            if answer.key == first.id:
                raise KeyError("status")
            return real(heard, answer, *args)

        with mock.patch.object(history.History, "hear", broken):
            run = world.stop(Run())
        strange, well = run.results
        assert [strange.verdict, well.verdict] == [Verdict.UNVERIFIED, Verdict.DRAINED]
        told = [event.event for event in strange.timeline if "KeyError" in event.event]
        assert len(told) == len(set(told)) > 0
        assert "it can be looked at again" not in [event.event for event in strange.timeline]


def test_an_exit_is_verified_though_the_engine_went_silent_for_another():
    services = (
        Service(exits_in=1.0, profile=AT_ONCE),
        Service(jobs=(LONG,), profile=AT_ONCE, request=asked(30.0)),
    )
    gone = {"engine_gaps": ((1.5, 1e6),), "outages": ((0.5, 1e6, True),)}
    with World(Scene(services=services, **gone)) as world:
        run = world.stop(Run())
        assert run.results[0].verdict is Verdict.UNVERIFIED


def test_one_that_exits_by_itself_while_sigkill_is_on_its_way_was_not_killed():
    world, result = stop(Service(profile=AT_ONCE, exits_in=10.5, request=asked(10.0), kill_takes=2.0))
    assert only(world).life.kills
    assert (result.verdict, result.exit_code) == (Verdict.DRAINED, 0)


# --- quiesce


def test_the_signal_waits_for_the_work():
    world, result = stop(Service(jobs=(Job(takes=20.0),)))
    assert only(world).life.signals[0][0] - only(world).works[0].ended_at >= 0.0
    assert result.quiesced > 20.0
    assert [e.outcome for e in result.endings] == [Outcome.FINISHED]


def test_requests_that_keep_coming_are_waited_for_until_the_drain_needs_the_rest():
    jobs = tuple(Job(arrives=n * 1.5, takes=4.0) for n in range(60))
    world, result = stop(Service(jobs=jobs, request=asked(60.0)))
    sent_at = only(world).life.signals[0][0] - world.now + world.age
    assert sent_at == pytest.approx(45.0, abs=0.1)
    assert result.verdict in (Verdict.DRAINED, Verdict.UNVERIFIED, Verdict.CUT)


def test_a_service_that_drops_its_work_is_not_signalled_while_it_has_some():
    world, result = stop(Service(jobs=(Job(takes=50.0),), at_signal="drops", profile=ON_THREADS))
    assert result.verdict is Verdict.DRAINED
    assert only(world).works[0].state == "finished"


@pytest.mark.parametrize("ends", [3.0 + 0.2 * step for step in range(16)])
def test_one_empty_reading_may_fall_between_two_steps_of_a_request(ends):
    """Whenever the readings come, one of them falls between the two steps in one of these cases."""
    jobs = (Job(takes=ends), Job(arrives=ends + 0.3, takes=5.0))
    service = Service(jobs=jobs, at_signal="drops", profile=ON_THREADS, request=asked(poll_interval=0.5))
    world, result = stop(service)
    assert [work.state for work in only(world).works] == ["finished", "finished"]
    assert result.verdict is Verdict.DRAINED


def test_a_service_that_drops_its_work_and_does_not_end_it_is_never_signalled():
    world, result = stop(Service(jobs=(LONG,), at_signal="drops", profile=ON_THREADS))
    assert not only(world).life.signals
    assert result.verdict is Verdict.KILLED


def test_left_running_it_goes_on_and_a_second_call_joins():
    service = Service(
        jobs=(Job(takes=40.0),), profile=AT_ONCE, request=asked(10.0, on_timeout=OnTimeout.LEAVE)
    )
    with World(Scene(services=(service,))) as world:
        first = world.stop(Run())
        second = world.stop(Run(starts_at=world.age, request={"timeout": 100.0}))
        promises.hold(world, first, second)
        assert first.results[0].verdict is Verdict.LEFT_RUNNING
        assert (second.results[0].verdict, second.results[0].joined) == (Verdict.DRAINED, True)
        assert len(only(world).life.signals) == 1


# --- the database


def test_an_outage_in_the_middle_is_told_and_ends_well():
    _, result = stop(Service(jobs=(Job(takes=30.0),)), outages=((5.0, 15.0, True),))
    assert (result.verdict, result.evidence) == (Verdict.DRAINED, EvidenceState.OK)
    assert "could not be read from" in result.evidence_why


@pytest.mark.parametrize("passing", [True, False])
def test_work_that_was_seen_is_waited_for_through_an_outage(passing):
    """Longer than the patience with a service of which nothing was seen."""
    service = Service(jobs=(Job(takes=50.0),), request=asked(90.0))
    world, result = stop(service, outages=((5.0, 45.0, passing),))
    assert only(world).life.signals[0].at - BEGINNING >= 50.0
    assert result.verdict is Verdict.DRAINED


def test_never_readable_it_falls_back_to_exit_and_deadline():
    world, result = stop(Service(jobs=(Job(takes=50.0),)), outages=((0.0, 1e6, True),))
    sent_at = only(world).life.signals[0][0] - world.now + world.age
    assert sent_at == pytest.approx(policy.PATIENCE, abs=1.1)
    assert (result.verdict, result.evidence) == (Verdict.UNVERIFIED, EvidenceState.UNAVAILABLE)
    assert only(world).works[0].state == "finished"


def test_answers_that_never_come_are_no_hang():
    _, result = stop(Service(jobs=(LONG,)), latencies=(1e6,))
    assert result.verdict is Verdict.KILLED
    assert [e.outcome for e in result.endings] == []


def test_what_only_a_late_reading_shows_is_told():
    """The reading was asked for before the exit and came in after it."""
    _, result = stop(Service(jobs=(Job(arrives=0.05, takes=3.0),), profile=AT_ONCE), latencies=(0.1, 5.0))
    assert [(e.operation.id, e.outcome) for e in result.endings] == [("c0-0", Outcome.FINISHED)]


def test_a_late_reading_from_before_the_exit_does_not_tell_how_it_ended():
    """It was in flight then; it had finished when the service exited."""
    _, result = stop(Service(jobs=(Job(takes=3.0),), profile=AT_ONCE), latencies=(0.1, 5.0))
    assert [e.outcome for e in result.endings] == [Outcome.FINISHED]
    assert result.verdict is Verdict.DRAINED


def test_what_came_as_the_service_went_is_told():
    """A request that arrives between the last reading and the exit shows in the final reading only."""
    late = Job(arrives=3.2, takes=5.0)
    _, result = stop(Service(jobs=(late,), profile=AT_ONCE, exits_in=3.3, request=asked(poll_interval=30.0)))
    assert [(e.operation.id, e.outcome) for e in result.endings] == [("c0-0", Outcome.UNKNOWN)]
    assert result.verdict is Verdict.UNVERIFIED


def test_a_password_that_is_wrong_holds_what_would_drop_its_work_until_an_exit_needs_the_rest():
    service = Service(jobs=(Job(takes=40.0),), at_signal="drops", profile=ON_THREADS)
    world, result = stop(service, outages=((0.0, 1e6, False),))
    assert only(world).life.signals[0].at - BEGINNING == pytest.approx(45.0, abs=1.0)
    assert only(world).works[0].state == "finished"
    assert result.verdict is Verdict.UNVERIFIED


def test_a_password_that_is_wrong_does_not_hold_what_keeps_its_work():
    world, result = stop(Service(jobs=(Job(takes=40.0),)), outages=((0.0, 1e6, False),))
    assert only(world).life.signals[0].at - BEGINNING <= 1.2
    assert only(world).works[0].state == "finished"
    assert result.verdict is Verdict.UNVERIFIED


@pytest.mark.parametrize("keeps_work", [True, False])
def test_evidence_that_cannot_even_be_asked_for_is_as_a_password_that_is_wrong(keeps_work):
    service = Service(
        jobs=(Job(takes=40.0),),
        at_signal="drains" if keeps_work else "drops",
        profile=replace(CINDER, keeps_work=keeps_work),
        evidence_missing="its configuration is not here",
    )
    world, result = stop(service)
    sent_at = only(world).life.signals[0].at - BEGINNING
    assert sent_at == pytest.approx(0.0 if keeps_work else 45.0, abs=1.0)
    assert only(world).works[0].state == "finished"
    assert (result.verdict, result.evidence) == (Verdict.UNVERIFIED, EvidenceState.UNAVAILABLE)
    assert "its configuration is not here" in result.reason


PASSES = ((0.0, 40.0, True),)
LASTS = ((0.0, 40.0, False),)
NEVER_READ = ((0.0, 1e6, True),)


@pytest.mark.parametrize("outages", [PASSES, LASTS, NEVER_READ], ids=["passes", "lasts", "never read"])
def test_unseen_work_of_a_service_that_drops_it_is_waited_for(outages):
    """Longer than the patience with a service that keeps its work."""
    service = Service(jobs=(Job(takes=42.0),), at_signal="drops", profile=ON_THREADS)
    world, _ = stop(service, outages=outages)
    assert only(world).works[0].state == "finished"
    assert only(world).life.signals[0].at - BEGINNING >= 42.0


def test_no_answer_at_all_holds_what_would_drop_its_work_until_an_exit_needs_the_rest():
    service = Service(jobs=(Job(takes=42.0),), at_signal="drops", profile=ON_THREADS)
    world, result = stop(service, latencies=(1e6,))
    assert only(world).life.signals[0].at - BEGINNING == pytest.approx(45.0, abs=1.0)
    assert only(world).works[0].state == "finished"
    assert result.verdict is Verdict.UNVERIFIED


def test_of_a_short_budget_half_is_kept_for_the_exit_where_nothing_can_be_read():
    service = Service(at_signal="drops", profile=ON_THREADS, request=asked(20.0))
    world, result = stop(service, outages=NEVER_READ)
    assert only(world).life.signals[0].at - BEGINNING == pytest.approx(10.0, abs=1.0)
    assert result.verdict is Verdict.UNVERIFIED


# --- what may be called drained


BLIND_AT_FIRST = ((0.0, 1.0, False),)


def test_what_nobody_could_look_at_before_our_signal_is_not_verified():
    """The work was dropped at the signal and its row is gone: looking afterwards shows nothing."""
    service = Service(profile=AT_ONCE, exits_in=3.0)
    _, result = stop(service, outages=BLIND_AT_FIRST)
    assert result.verdict is Verdict.UNVERIFIED
    assert "could not be read before the signal" in result.reason


def test_our_own_signal_is_ours_though_its_answer_was_lost():
    service = Service(profile=AT_ONCE, exits_in=3.0)
    world, result = stop(service, outages=BLIND_AT_FIRST, signal_faults=("answer lost",))
    assert len(only(world).life.signals) == 1
    assert result.verdict is Verdict.UNVERIFIED
    assert "already signalled with SIGTERM by this run" in told_of(result)


def test_of_a_signal_that_was_not_ours_a_look_after_it_will_do():
    service = Service(profile=AT_ONCE, by_hand=0.0, exits_in=5.0)
    _, result = stop(service, outages=BLIND_AT_FIRST)
    assert result.verdict is Verdict.DRAINED


@pytest.mark.parametrize("passing", [True, False])
def test_what_nobody_could_look_at_after_the_exit_is_not_verified(passing):
    _, result = stop(Service(profile=AT_ONCE, exits_in=3.0), outages=((2.0, 1e6, passing),))
    assert result.verdict is Verdict.UNVERIFIED
    assert "could not be read after the exit" in result.reason


def test_rows_that_tell_of_no_work_verify_nothing():
    _, result = stop(Service(profile=Profile("nova-conductor", rows_tell=False)))
    assert (result.verdict, result.evidence) == (Verdict.UNVERIFIED, EvidenceState.OK)


def test_a_life_that_was_signalled_before_anybody_looked_is_not_verified_by_a_later_one():
    """Its signal's answer was lost, somebody started it again, and only that life was looked at before its signal."""
    blind = Service(profile=AT_ONCE, supervised=0.5, by_hand=7.0)
    beside = Service(profile=NO_PROFILE)
    world, result = stop(blind, beside, read_at_the_end=True, signal_faults=("holds", "answer lost"))
    assert [len(life.signals) for life in only(world).lives] == [1, 1, 1]
    assert result.verdict is Verdict.UNVERIFIED


def test_what_processes_did_not_tell_is_not_verified():
    """A conductor that prints no report is signalled as soon as its rows show nothing, and nobody knows what it did."""
    _, result = stop(Service(unseen="what it works on could not be seen: it printed no report"))
    assert result.verdict is Verdict.UNVERIFIED
    assert "it printed no report" in result.reason
    assert "it printed no report" in told_of(result)


# --- the first look


def test_what_needs_no_quiesce_is_looked_at_once_before_its_signal():
    world, result = stop(Service(jobs=(Job(takes=5.0),), profile=AT_ONCE), latencies=(3.0,))
    assert only(world).life.signals[0].at - BEGINNING == pytest.approx(3.0, abs=0.1)
    assert [e.outcome for e in result.endings] == [Outcome.FINISHED]


@pytest.mark.parametrize(("timeout", "waits"), [(60.0, 6.0), (8.0, 2.0)])
def test_the_first_look_is_not_waited_for_for_long(timeout, waits):
    world, _ = stop(Service(profile=AT_ONCE, request=asked(timeout)), latencies=(30.0,))
    assert only(world).life.signals[0].at - BEGINNING == pytest.approx(waits, abs=1.1)


def test_of_two_empty_readings_the_second_is_soon_taken():
    world, _ = stop(Service(request=asked(poll_interval=30.0)))
    assert only(world).life.signals[0].at - BEGINNING <= 1.5


def test_a_budget_is_read_in_ten_times_at_least():
    service = Service(jobs=(Job(takes=1.0),), request=asked(10.0, poll_interval=30.0))
    world, _ = stop(service)
    assert only(world).life.signals[0].at - BEGINNING <= 3.5


# --- freshness


def test_a_row_that_stands_still_where_rows_are_refreshed_is_not_waited_for():
    jobs = (Job(takes=100.0), LONG)
    world, result = stop(Service(jobs=jobs, refreshes=True, request=asked(400.0)))
    sent_at = only(world).life.signals[0][0] - world.now + world.age
    assert 100.0 < sent_at < 105.0
    assert [key[1] for key in result.dead] == ["c0-1"]


def test_in_stock_cinder_a_row_is_waited_for_however_old_it_is():
    world, result = stop(Service(jobs=(Job(takes=300.0),), request=asked(400.0)))
    assert not result.dead
    assert only(world).life.signals[0][0] - only(world).works[0].ended_at >= 0.0


def test_a_slow_operation_is_not_called_dead_because_nobody_could_read_its_row():
    """Its row moved all the while; the database was away for longer than service_down_time."""
    service = Service(jobs=(Job(takes=120.0),), refreshes=True, request=asked(300.0))
    world, result = stop(service, outages=((30.0, 100.0, True),))
    assert not result.dead
    assert only(world).life.signals[0].at - BEGINNING >= 120.0


# --- the signal


@pytest.mark.parametrize("fault", ["lost", "answer lost", "late"])
@pytest.mark.parametrize("memory", [NEVER, 0.0], ids=["remembers", "forgets"])
def test_a_signal_whose_call_broke_off_is_not_sent_twice(fault, memory):
    world, result = stop(Service(profile=AT_ONCE), signal_faults=(fault,), memory=memory)
    sent = len(only(world).life.signals)
    assert sent == (0 if fault == "lost" and memory == 0.0 else 1)
    if sent:
        assert result.verdict is Verdict.DRAINED


def test_somebody_else_sent_it_already():
    world, result = stop(Service(jobs=(Job(takes=10.0),), by_hand=0.0, accepts=1.0))
    assert len(only(world).life.signals) == 1
    assert result.verdict is Verdict.DRAINED


def told_of(result):
    return "; ".join(event.event for event in result.timeline)


def test_somebody_else_sent_it_while_it_was_quiesced():
    world, result = stop(Service(jobs=(Job(takes=20.0),), by_hand=5.0, exits_in=30.0))
    assert [signal.run for signal in only(world).life.signals] == [None]
    assert "already signalled with SIGTERM by somebody else" in told_of(result)
    assert result.verdict is Verdict.DRAINED


def test_a_signal_of_somebody_else_is_kept_where_the_engine_forgets_it():
    service = Service(
        jobs=(Job(takes=40.0),),
        profile=AT_ONCE,
        by_hand=0.0,
        request=asked(10.0, signal="SIGUSR2", on_timeout=OnTimeout.LEAVE),
    )
    with World(Scene(services=(service,), memory=5.0)) as world:
        first = world.stop(Run())
        entry = Ledger(world.folder).read(only(world).id)
        second = world.stop(Run(starts_at=world.age, request={"timeout": 60.0}))
        promises.hold(world, first, second)
        assert entry.signal == "SIGTERM"
        assert entry.signalled is not None
        assert [signal.run for signal in only(world).life.signals] == [None]
        assert (second.results[0].verdict, second.results[0].signal) == (Verdict.DRAINED, "SIGTERM")


def test_what_failed_after_a_signal_that_nobody_noticed_did_not_finish():
    """Found by arbitrary worlds: the error was called an end of its own, and the stop drained."""
    _, result = stop(Service(jobs=(Job(takes=0.5, fails=True),), by_hand=0.25, exits_in=6.0))
    assert (result.verdict, result.signal) == (Verdict.CUT, "SIGTERM")
    assert "signalled with SIGTERM by somebody else" in told_of(result)


def test_what_failed_before_our_signal_ended_by_itself():
    _, result = stop(Service(jobs=(Job(takes=0.5, fails=True),)))
    assert result.verdict is Verdict.DRAINED


@pytest.mark.parametrize("memory", [NEVER, 0.0], ids=["remembers", "forgets"])
def test_a_signal_that_nobody_was_there_to_take_is_sent_at_the_next_look(memory):
    world, result = stop(Service(profile=AT_ONCE), signal_faults=("absent", "absent"), memory=memory)
    assert only(world).life.signals[0].at - BEGINNING <= 3.0
    assert result.verdict is Verdict.DRAINED


@pytest.mark.parametrize("slow", [5.0, 30.0])
def test_a_slow_signal_is_waited_for_and_not_sent_beside(slow):
    world, result = stop(
        Service(profile=AT_ONCE, jobs=(Job(takes=40.0),)), signal_faults=("slow",), slow=slow
    )
    assert len(only(world).life.signals) == 1
    assert only(world).life.signals[0].at - BEGINNING == pytest.approx(slow, abs=0.2)
    assert result.verdict is Verdict.DRAINED


def test_a_slow_signal_of_a_run_beside_this_one_is_waited_for():
    """Longer than the doubt lasts: as long as its sender lives, only that one knows what comes of it."""
    service = Service(profile=AT_ONCE, jobs=(Job(takes=60.0),), request=asked(90.0))
    with World(Scene(services=(service,), signal_faults=("slow",), slow=45.0)) as world:
        runs = (Run(), Run(starts_at=3.0))
        world.stop(*runs)
        promises.hold(world, *runs)
        assert len(only(world).life.signals) == 1


def test_a_signal_that_a_stalled_engine_delivers_long_after_its_run_died_is_not_sent_again():
    """The engine holds the container for as long, so that nobody sees it meanwhile."""
    service = Service(profile=AT_ONCE, jobs=(Job(takes=60.0),), request=asked(120.0))
    with World(Scene(services=(service,), signal_faults=("holds",), slow=45.0)) as world:
        first = Run(dies_at_step=steps_until(world, "signal") + 1)
        world.stop(first)
        assert first.died
        assert not only(world).life.signals
        second = world.stop(Run(starts_at=world.age))
        promises.hold(world, first, second)
        assert len(only(world).life.signals) == 1
        assert second.results[0].verdict is Verdict.DRAINED


@pytest.mark.parametrize("memory", [NEVER, 60.0])
def test_a_signal_that_a_run_was_about_to_send_as_it_died_is_sent_by_the_next(memory):
    service = Service(profile=AT_ONCE, request=asked(90.0))
    with World(Scene(services=(service,), memory=memory)) as world:
        first = Run(dies_at_step=steps_until(world, "signal"))
        world.stop(first)
        assert first.died
        assert Ledger(world.folder).read(only(world).id).intent is not None
        assert not only(world).life.signals
        second = world.stop(Run(starts_at=world.age + 5.0))
        promises.hold(world, first, second)
        sent_at = only(world).life.signals[0].at - second.begun
        assert sent_at == pytest.approx(one_signal.DOUBT, abs=1.1)
        assert second.results[0].verdict is Verdict.DRAINED


def test_a_signal_that_a_run_had_just_sent_as_it_died_is_not_sent_again():
    """The engine has forgotten its event by then, so only the intent in the ledger tells of the signal."""
    service = Service(profile=AT_ONCE, jobs=(Job(takes=20.0),))
    with World(Scene(services=(service,), memory=0.0)) as world:
        first = Run(dies_at_step=steps_until(world, "signal") + 1)
        world.stop(first)
        assert first.died
        assert len(only(world).life.signals) == 1
        second = world.stop(Run(starts_at=world.age + 5.0))
        promises.hold(world, first, second)
        assert len(only(world).life.signals) == 1


def steps_until(world, call):
    """At which step a run in such a world makes its first call of that name."""
    with World(world.scene) as other:
        steps = []
        real = getattr(other.engine, call)

        def counted(*args):
            steps.append(other.run.steps)
            return real(*args)

        with mock.patch.object(other.engine, call, counted):
            other.stop(Run())
        return steps[0] + 1


def test_a_cancelled_restart_that_comes_late_is_a_signal_of_the_next_life():
    """Found by arbitrary worlds: the engine takes the call late, and signals what it has started meanwhile."""
    service = Service(profile=NO_PROFILE, jobs=(Job(takes=5.0),), status="restarting", restarts_in=1.25)
    world, _ = stop(service, signal_faults=("lost", "late"))
    assert len(only(world).life.signals) == 1
    assert only(world).works[0].state == "finished"


def stop_beside_a_lock(lasts, timeout=60.0):
    """Of two containers, both with work that does not end, the first one's lock is held by another for a while."""
    service = Service(profile=AT_ONCE, jobs=(LONG,), request=asked(timeout))
    with World(Scene(services=(service, service))) as world:
        with contextlib.ExitStack() as held:
            held.enter_context(Ledger(world.folder).held(only(world).id))
            world.sabotage = "find it (fuser"
            world.later(lasts, held.close)
            run = world.stop(Run())
            promises.hold(world, run)
        assert run.results[1].verdict is Verdict.KILLED
        return world, run.results[0]


def test_a_lock_that_another_holds_is_waited_for_and_the_budget_runs_on():
    world, result = stop_beside_a_lock(20.0)
    assert only(world).life.signals[0].at - BEGINNING == pytest.approx(20.0, abs=1.1)
    assert only(world).life.kills[0][0] - BEGINNING == pytest.approx(60.0, abs=0.1)
    assert result.verdict is Verdict.KILLED


def test_a_restart_is_not_cancelled_twice_while_the_first_call_may_come_late():
    """Found by arbitrary worlds: both came late, and the next life had two signals."""
    service = Service(profile=NO_PROFILE, jobs=(Job(takes=5.0),), status="restarting", restarts_in=1.25)
    world, _ = stop(service, signal_faults=("late", "late"))
    assert len(only(world).life.signals) == 1
    assert only(world).works[0].state == "finished"


def test_a_restart_is_not_cancelled_twice_though_the_engine_was_stalled_meanwhile():
    service = Service(
        profile=NO_PROFILE,
        jobs=(Job(takes=5.0),),
        status="restarting",
        restarts_in=44.5,
        request=asked(120.0),
    )
    world, _ = stop(service, signal_faults=("holds", "late"), slow=45.0)
    assert len(only(world).life.signals) == 1
    assert only(world).works[0].state == "finished"


def test_a_restart_is_cancelled_again_when_the_first_call_was_lost():
    service = Service(profile=NO_PROFILE, status="restarting", restarts_in=50.0)
    world, _ = stop(service, signal_faults=("lost",))
    assert len(only(world).lives) == 1
    assert world.age == pytest.approx(one_signal.DOUBT, abs=3.0)


def test_a_cancelled_restart_that_comes_late_is_our_own_signal():
    """Found by arbitrary worlds: nobody had looked before it, and the stop was called drained."""
    service = Service(profile=AT_ONCE, status="restarting", restarts_in=0.25, exits_in=2.0)
    world, result = stop(service, signal_faults=("late",), latencies=(1.6,), read_at_the_end=True)
    assert len(only(world).life.signals) == 1
    assert (result.verdict, result.signal) == (Verdict.UNVERIFIED, "SIGTERM")
    assert "signalled with SIGTERM by this run, whose call broke off" in told_of(result)


@pytest.mark.parametrize(
    ("faults", "removed", "verdict"),
    [
        (("late",), False, Verdict.UNVERIFIED),
        (("late",), True, Verdict.UNVERIFIED),
        ((), False, Verdict.DRAINED),
        ((), True, Verdict.UNVERIFIED),  # what is gone may have had another life
    ],
)
def test_a_cancelled_restart_may_have_met_a_life_that_nobody_saw(faults, removed, verdict):
    """Found by arbitrary worlds: it was called drained, and its work was first read after the signal."""
    service = Service(
        at_signal="ignores", status="restarting", restarts_in=1.25, dies_at=1.75, auto_removed=removed
    )
    world, result = stop(service, signal_faults=faults)
    assert sum(len(life.signals) for life in only(world).lives) == len(faults)
    assert result.verdict is verdict


@pytest.mark.parametrize(("timeout", "waits"), [(90.0, drain.LOCK_BOUND), (10.0, 5.0)])
def test_a_lock_that_another_does_not_let_go_of_is_told_of(timeout, waits):
    world, result = stop_beside_a_lock(1e6, timeout)
    assert result.failed
    assert "find it (fuser" in result.reason
    assert result.timeline[-1].at <= waits + 1.1
    assert not only(world).life.signals


def test_a_silent_engine_gives_nobody_a_later_deadline():
    """Found by arbitrary worlds: the second container was not begun as long as the first met silence."""
    services = (Service(profile=AT_ONCE), Service(profile=AT_ONCE, jobs=(LONG,), request=asked(30.0)))
    world, _ = stop(*services, engine_gaps=((0.0, 12.5),))
    assert list(world.containers.values())[1].life.kills[0][0] - BEGINNING == pytest.approx(30.0, abs=0.1)


def test_two_runs_with_two_signals_send_one():
    """The second run sends its own signal and loses the answer; the first must know it as a stop signal."""
    service = Service(jobs=(Job(takes=3.0),), at_signal="ignores", request=asked(40.0))
    with World(Scene(services=(service,), signal_faults=("answer lost",), turns=(1,) * 400)) as world:
        runs = (Run(request={"quiesce": Quiesce.ALWAYS}), Run(starts_at=0.5, request={"signal": "SIGUSR2"}))
        world.stop(*runs)
        promises.hold(world, *runs)


@pytest.mark.parametrize("steps", range(0, 16, 2))
def test_two_runs_that_are_about_to_signal_send_one(steps):
    """One of them stands still somewhere between its look at the engine's events and the signal."""
    for of_the_second in (4, 8, 12, 16):
        turns = (0,) * steps + (1,) * of_the_second + (0,) * 4
        with World(Scene(services=(Service(profile=NO_PROFILE, exits_in=5.0),), turns=turns)) as world:
            runs = (Run(), Run())
            world.stop(*runs)
            promises.hold(world, *runs)
            assert len(only(world).life.signals) == 1


@pytest.mark.parametrize("steps", range(12))
def test_a_deadline_made_longer_while_a_signal_is_learnt_of_is_kept(steps):
    """Somebody else sent the signal; the first run writes that down while the second begins."""
    service = Service(profile=NO_PROFILE, jobs=(Job(takes=20.0),), by_hand=0.0)
    for of_the_second in range(1, 12):
        with World(Scene(services=(service,), turns=(0,) * steps + (1,) * of_the_second)) as world:
            runs = (Run(request={"timeout": 5.0}), Run(request={"timeout": 30.0}))
            world.stop(*runs)
            promises.hold(world, *runs)
            assert only(world).works[0].state == "finished"


def test_a_signal_of_a_run_beside_this_one_counts_from_when_it_was_sent():
    """The work fails of it before this run has looked at the container again."""
    service = Service(profile=AT_ONCE, jobs=(Job(takes=4.3, fails=True),), exits_in=5.0)
    always, never = {"quiesce": Quiesce.ALWAYS}, {"quiesce": Quiesce.NEVER}
    with World(Scene(services=(service,), latencies=(0.6,), read_at_the_end=True)) as world:
        runs = (Run(request=always), Run(starts_at=3.6, request=never))
        world.stop(*runs)
        promises.hold(world, *runs)
        (signal,) = only(world).life.signals
        assert signal.run is runs[1]
        assert signal.at < only(world).works[0].ended_at
        assert [e.outcome for e in runs[0].results[0].endings] == [Outcome.INTERRUPTED]


@pytest.mark.parametrize("turns", [(0,) * 200, (1,) * 200, (0, 1) * 100, (1, 1, 0) * 70])
def test_two_runs_that_see_a_new_life_signal_it_once(turns):
    """Restarted by policy, as its StopSignal is another, and the engine forgets what it did."""
    service = Service(
        profile=AT_ONCE,
        request=asked(40.0, signal="SIGTERM"),
        stop_signal="SIGQUIT",
        restarts_in=0.0,
        at_signal="drains",
        exits_in=3.0,
    )
    with World(Scene(services=(service,), memory=0.0, turns=turns)) as world:
        runs = (Run(), Run(starts_at=0.25))
        world.stop(*runs)
        promises.hold(world, *runs)
        assert len(only(world).lives) > 1


def test_what_the_engine_starts_again_is_signalled_in_its_new_life():
    """Restarted by policy, as the signal is not its StopSignal; that one ends it for good."""
    service = Service(
        profile=AT_ONCE, request=asked(40.0, signal="SIGTERM"), stop_signal="SIGQUIT", restarts_in=0.0
    )
    world, result = stop(service)
    assert [[signal.name for signal in life.signals] for life in only(world).lives] == [
        ["SIGTERM"],
        ["SIGQUIT"],
    ]
    assert [life.kills for life in only(world).lives] == [[], []]
    assert result.verdict is Verdict.DRAINED


def test_a_longer_deadline_is_kept_by_both():
    service = Service(jobs=(Job(takes=50.0),), profile=AT_ONCE, request=asked(20.0))
    with World(Scene(services=(service,))) as world:
        runs = (Run(), Run(starts_at=5.0, request={"timeout": 80.0}))
        world.stop(*runs)
        promises.hold(world, *runs)
        short, long = (run.results[0] for run in runs)
        assert (short.verdict, long.verdict) == (Verdict.LEFT_RUNNING, Verdict.DRAINED)
        assert not only(world).life.kills


def test_a_shorter_budget_does_not_signal_work_that_a_longer_one_waits_for():
    """Found by arbitrary worlds: the first run kept its own rest for the exit, and the signal dropped the work."""
    service = Service(jobs=(Job(takes=60.0),), at_signal="drops", profile=ON_THREADS)
    with World(Scene(services=(service,), outages=((0.0, 1e6, False),))) as world:
        runs = (Run(), Run(starts_at=1.0, request={"timeout": 90.0}))
        world.stop(*runs)
        promises.hold(world, *runs)
        assert only(world).works[0].state == "finished"
        assert [run.results[0].verdict for run in runs] == [Verdict.LEFT_RUNNING, Verdict.UNVERIFIED]


def test_a_longer_budget_counts_that_came_while_the_engine_was_asked():
    """Found by arbitrary worlds: the first run decided by the ledger as it was before a call of 7 s."""
    service = Service(jobs=(Job(takes=50.0),), at_signal="drops", profile=ON_THREADS, request=asked(23.25))
    with World(Scene(services=(service,), engine_takes=7.0)) as world:
        runs = (Run(), Run(starts_at=8.0, request={"timeout": 90.0}))
        world.stop(*runs)
        promises.hold(world, *runs)
        assert only(world).works[0].state == "finished"


def test_the_budget_of_a_joined_stop_counts_from_its_start():
    service = Service(jobs=(LONG,), profile=AT_ONCE, request=asked(40.0))
    with World(Scene(services=(service,))) as world:
        runs = (Run(dies_at_step=40), Run(starts_at=20.0))
        world.stop(*runs)
        promises.hold(world, *runs)
        assert only(world).life.kills[0][0] - BEGINNING == pytest.approx(40.0, abs=0.1)
        assert runs[1].results[0].joined


def test_a_longer_budget_of_a_run_that_died_is_nobodys():
    service = Service(jobs=(LONG,))
    with World(Scene(services=(service,))) as world:
        runs = (Run(), Run(starts_at=1.0, request={"timeout": 90.0}, dies_at_step=60))
        world.stop(*runs)
        assert runs[1].died
        assert only(world).life.signals[0].at - BEGINNING == pytest.approx(45.0, abs=1.1)


# --- the kill


def test_at_the_deadline_and_not_before():
    world, result = stop(Service(jobs=(LONG,), profile=AT_ONCE, request=asked(20.0)))
    ((when, _),) = only(world).life.kills
    assert when - BEGINNING == pytest.approx(20.0, abs=0.05)
    assert (result.verdict, result.timeout) == (Verdict.KILLED, 20.0)


def test_the_deadline_counts_from_the_start_of_quiesce():
    world, result = stop(Service(jobs=(LONG,), request=asked(40.0)))
    ((when, _),) = only(world).life.kills
    assert only(world).life.signals[0].at - BEGINNING == pytest.approx(25.0, abs=0.1)
    assert when - BEGINNING == pytest.approx(40.0, abs=0.05)
    assert result.verdict is Verdict.KILLED


def test_a_kill_that_failed_is_not_tried_again_where_another_run_gave_it_longer():
    """Found by arbitrary worlds: the second SIGKILL went out 78 s before the deadline of the other run."""
    service = Service(jobs=(Job(takes=30.0),), profile=AT_ONCE, request=asked(10.0))
    with World(Scene(services=(service,), kills_lost=1)) as world:
        runs = (Run(), Run(starts_at=10.02, request={"timeout": 80.0}))
        world.stop(*runs)
        promises.hold(world, *runs)
        assert runs[0].results[0].verdict is Verdict.LEFT_RUNNING
        assert "SIGKILL sent" in told_of(runs[0].results[0])
        assert not only(world).life.kills
        assert only(world).works[0].state == "finished"


def test_a_new_budget_of_another_run_does_not_keep_the_first_waiting():
    """The other begins as the deadline passes, before the first run looks: the first ends all the same."""
    service = Service(jobs=(LONG,), at_signal="drops", profile=ON_THREADS, request=asked(10.0))
    with World(Scene(services=(service,), turns=(1,) * 99)) as world:
        runs = (Run(), Run(starts_at=10.005))
        world.stop(*runs)
        promises.hold(world, *runs)
        assert runs[0].results[0].verdict is Verdict.LEFT_RUNNING
        assert runs[0].ended - runs[0].begun < 12.0
        assert only(world).life.kills[0][0] - BEGINNING == pytest.approx(20.005, abs=0.05)


def test_a_longer_budget_holds_in_a_later_life():
    """Found by arbitrary worlds: the first run carried its own, shorter one over."""
    service = Service(
        profile=NO_PROFILE, jobs=(Job(arrives=1.5, takes=10.0),), supervised=0.0, at_signal="drains"
    )
    with World(Scene(services=(service,))) as world:
        runs = (Run(request={"timeout": 6.0}), Run(starts_at=0.5, request={"timeout": 30.0}))
        world.stop(*runs)
        promises.hold(world, *runs)
        assert only(world).works[0].state == "finished"
        assert not [kill for life in only(world).lives for kill in life.kills if kill[0] - BEGINNING < 30.0]


def test_a_shorter_budget_does_not_cut_short_a_run_that_goes_on_in_a_later_life():
    """It begins as the container has been started again, before the first run has seen that."""
    service = Service(
        jobs=(Job(takes=50.0), Job(arrives=6.0, takes=40.0)),
        profile=AT_ONCE,
        dies_at=5.0,
        restarts_in=0.25,
        request=asked(80.0, quiesce=Quiesce.ALWAYS),
    )
    with World(Scene(services=(service,), turns=(1,) * 99, engine_gaps=((4.9, 5.3),))) as world:
        runs = (Run(), Run(starts_at=5.35, request={"timeout": 5.0}))
        world.stop(*runs)
        promises.hold(world, *runs)
        assert len(only(world).lives) == 2
        assert not only(world).life.kills
        assert only(world).works[1].state == "finished"


def test_a_longer_budget_holds_though_the_other_run_still_looks_at_the_life_before():
    """Found by arbitrary worlds: what that run wrote down of the life before hid its budget in this one."""
    service = Service(
        request=asked(60.0, quiesce=Quiesce.NEVER, poll_interval=7.0),
        dies_at=28.0,
        supervised=1.0,
        by_hand=40.0,
    )
    with World(Scene(services=(service,), engine_takes=9.0)) as world:
        runs = (Run(), Run(starts_at=2.0, request={"timeout": 90.0}))
        world.stop(*runs)
        promises.hold(world, *runs)
        kills = [when - BEGINNING for life in only(world).lives for when, _ in life.kills]
        assert min(kills) >= 90.0


def test_a_kill_that_the_engine_could_not_take_is_tried_again():
    world, result = stop(Service(jobs=(LONG,), profile=AT_ONCE, request=asked(20.0)), kills_lost=3)
    assert result.verdict is Verdict.KILLED
    assert 20.5 < world.age < 30.0


def test_a_kill_that_the_engine_never_takes_is_told_of():
    world, result = stop(Service(jobs=(LONG,), profile=AT_ONCE, request=asked(20.0)), kills_lost=99)
    assert (result.verdict, result.failed) == (Verdict.LEFT_RUNNING, True)
    assert "SIGKILL did not end c0 within 30 s (The engine does not answer" in result.reason
    assert world.age == pytest.approx(20.0 + policy.KILL_BOUND, abs=1.1)


def test_what_is_started_again_after_its_kill_is_left_and_told_of():
    service = Service(jobs=(LONG,), profile=AT_ONCE, request=asked(10.0), supervised=0.0, kill_takes=0.3)
    world, result = stop(service)
    assert (result.verdict, result.failed) == (Verdict.LEFT_RUNNING, True)
    assert "something started it again" in result.reason
    assert len(only(world).lives[0].kills) == 1


# --- a container that somebody paused


def unpauses(world):
    return [call for _, call, _ in world.engine.calls if call == "unpause"]


@pytest.mark.parametrize(
    "paused",
    [{"status": "paused"}, {"paused_at": 3.0}, {"paused_at": 12.0}],
    ids=["at first", "in quiesce", "in drain"],
)
def test_a_paused_container_is_unpaused_once_and_then_stopped(paused):
    service = Service(jobs=(Job(takes=8.0),), exits_in=6.0, **paused)
    world, result = stop(service)
    assert len(unpauses(world)) == 1
    assert len(only(world).life.signals) == 1
    assert only(world).works[0].state == "finished"
    assert (result.verdict, result.changed) == (Verdict.DRAINED, True)
    assert "unpaused: a paused process can neither" in told_of(result)


def test_a_container_that_is_paused_at_its_deadline_is_killed_and_not_unpaused():
    service = Service(jobs=(LONG,), profile=AT_ONCE, request=asked(10.0), paused_at=9.5)
    world, result = stop(service, engine_gaps=((9.4, 9.99),))
    assert not unpauses(world)
    assert result.verdict is Verdict.KILLED


def test_a_paused_container_is_left_as_it_is_where_the_deadline_has_passed():
    service = Service(request=asked(10.0, on_timeout=OnTimeout.LEAVE), jobs=(LONG,), paused_at=9.5)
    world, result = stop(service, engine_gaps=((9.4, 9.99),))
    assert not unpauses(world)
    assert result.verdict is Verdict.LEFT_RUNNING


# --- where a container can be


@pytest.mark.parametrize(
    ("service", "verdict"),
    [
        (Service(status="exited"), Verdict.ALREADY_STOPPED),
        (Service(status="created"), Verdict.ALREADY_STOPPED),
        (Service(status="paused", jobs=(Job(takes=5.0),)), Verdict.DRAINED),
        (Service(status="restarting", restarts_in=5.0), Verdict.DRAINED),
        (Service(status="removing"), Verdict.DRAINED),
        (Service(auto_removed=True), Verdict.DRAINED),
        (Service(profile=NO_PROFILE), Verdict.UNVERIFIED),
        (Service(dies_at=5.0, jobs=(Job(takes=20.0),)), Verdict.CUT),
        (Service(profile=AT_ONCE, alarm=10.0, jobs=(Job(takes=20.0),)), Verdict.CUT),
        (Service(profile=AT_ONCE, at_signal="drops", jobs=(Job(takes=20.0),)), Verdict.CUT),
        (Service(profile=Profile("cinder-backup"), jobs=(Job(takes=20.0),)), Verdict.DRAINED),
    ],
    ids=lambda value: value.value if isinstance(value, Verdict) else None,
)
def test_every_state_has_its_answer(service, verdict):
    _, result = stop(service)
    assert result.verdict is verdict


def test_a_budget_is_told_as_it_was_asked_for():
    """No rounding error of the clock in it."""
    _, result = stop(Service(request=asked(180.0)))
    assert result.timeout == 180.0
    assert result.plan.timeout == 180.0


# --- what was left behind

DAYS = 86400.0
WRECK = Job(arrives=-400 * DAYS, wreck=True, by_worker=False)


@pytest.mark.parametrize("profile", [CINDER, ON_THREADS])
@pytest.mark.parametrize("up_for", [60.0, 20 * DAYS])
def test_what_an_earlier_life_left_behind_holds_nothing_up(profile, up_for):
    at_signal = "drains" if profile.keeps_work else "drops"
    request = asked(on_timeout=OnTimeout.LEAVE)
    service = Service(
        jobs=(WRECK,), profile=profile, at_signal=at_signal, up_for=up_for, request=request, exits_in=1.0
    )
    world, result = stop(service)
    assert (result.verdict, result.endings) == (Verdict.DRAINED, ())
    assert [op.id for op in result.passed_over] == ["c0-0"]
    assert "older than the process" in result.passed_over[0].passed_over
    assert result.reason.endswith("1 operation passed over")
    assert world.age < 5.0


def test_work_beside_a_wreck_is_waited_for():
    service = Service(jobs=(WRECK, Job(takes=20.0)), profile=ON_THREADS, at_signal="drops", up_for=60.0)
    _, result = stop(service)
    assert result.verdict is Verdict.DRAINED
    assert [ending.operation.id for ending in result.endings] == ["c0-1"]


def test_a_request_that_waited_as_its_process_began_is_work():
    waited = Job(arrives=-1800.0, takes=20.0, by_worker=False)
    _, result = stop(Service(jobs=(waited,), profile=ON_THREADS, at_signal="drops", up_for=60.0))
    assert (result.verdict, result.passed_over) == (Verdict.DRAINED, ())


def test_work_of_twenty_hours_is_waited_for():
    long = Job(arrives=-20 * 3600.0, takes=20.0, by_worker=False)
    _, result = stop(Service(jobs=(long,), profile=ON_THREADS, at_signal="drops", up_for=21 * 3600.0))
    assert (result.verdict, result.passed_over) == (Verdict.DRAINED, ())


def test_where_the_age_of_the_process_is_not_known_every_row_counts():
    _, result = stop(Service(jobs=(WRECK,), profile=ON_THREADS, at_signal="drops"))
    assert (result.verdict, result.passed_over) == (Verdict.KILLED, ())


def test_what_is_ignored_is_not_waited_for():
    service = Service(jobs=(LONG,), profile=ON_THREADS, at_signal="drops", ignores=(0,))
    world, result = stop(service)
    assert (result.verdict, result.endings) == (Verdict.DRAINED, ())
    assert [op.passed_over for op in result.passed_over] == ["ignored, as ignore_operations asks"]
    assert world.age < 5.0


# --- what may be another's

SIBLINGS = Job(takes=NEVER, anothers=True)


@pytest.mark.parametrize(("profile", "quiesce"), [(CINDER, 45.0), (ON_THREADS, 60.0)], ids=["keeps", "drops"])
def test_what_may_be_anothers_holds_a_stop_for_half_of_the_time(profile, quiesce):
    at_signal = "drains" if profile.keeps_work else "drops"
    _, result = stop(Service(jobs=(SIBLINGS,), profile=profile, at_signal=at_signal))
    assert result.verdict is Verdict.UNVERIFIED
    assert quiesce / 2 <= result.quiesced <= quiesce / 2 + 2.5
    assert [ending.outcome for ending in result.endings] == [Outcome.UNKNOWN]


def test_work_of_its_own_beside_it_is_waited_for():
    own = Job(takes=50.0)
    _, result = stop(Service(jobs=(SIBLINGS, own), profile=ON_THREADS, at_signal="drops"))
    assert result.verdict is Verdict.UNVERIFIED
    assert result.quiesced >= 50.0
    assert sorted(ending.outcome.value for ending in result.endings) == ["finished", "unknown"]


def test_what_may_be_anothers_and_was_its_own_goes_on_in_the_drain():
    _, result = stop(Service(jobs=(SIBLINGS, Job(takes=40.0, unattributed=True))))
    assert result.quiesced < 40.0
    assert sorted(ending.outcome.value for ending in result.endings) == ["finished", "unknown"]


def test_what_was_its_own_after_all_and_is_cut_is_not_known_to_be():
    _, result = stop(
        Service(jobs=(Job(takes=40.0, unattributed=True),), profile=ON_THREADS, at_signal="drops")
    )
    assert result.verdict is Verdict.UNVERIFIED
    assert [ending.outcome for ending in result.endings] == [Outcome.UNKNOWN]


# --- what arbitrary schedules turned up


def test_the_last_look_is_over_in_time_though_its_answer_is_late():
    """An answer that came after its bound was asked about once more, which was 13 s after the exit."""
    service = Service(jobs=(Job(),), profile=replace(ON_THREADS, quiesce=False))
    world, result = stop(service, latencies=(11.0, 7.0))
    assert (result.verdict, only(world).life.ended - BEGINNING) == (
        Verdict.UNVERIFIED,
        pytest.approx(7.06, abs=0.1),
    )
    assert world.age == pytest.approx(17.1, abs=0.1)


def test_an_unseen_service_has_its_signal_though_a_slow_look_would_come_after_its_last_chance():
    """A look takes 4 s here, and 2 s are kept for the exit: it was killed without a signal before."""
    service = Service(
        profile=replace(CINDER, exit_seconds=2.0), request=asked(8.5, quiesce=Quiesce.ALWAYS), exits_in=0.5
    )
    world, result = stop(service, engine_takes=2.0, outages=((0.0, 48.0, True),))
    assert (result.verdict, len(only(world).life.signals)) == (Verdict.UNVERIFIED, 1)
    assert not only(world).life.kills


def test_a_run_that_has_signalled_watches_on_though_the_next_life_cannot_be_recorded():
    """The engine, slow and forgetful, started the container again, and the disk was full: the run gave up."""
    service = Service(profile=NO_PROFILE, exits_in=8.0, dies_at=13.0, restarts_in=0.0)
    _, result = stop(service, engine_takes=4.0, disk_full=((27.0, 72.0),), memory=5.0)
    assert result.verdict is Verdict.UNVERIFIED


def test_somebody_elses_signal_is_told_though_a_restart_was_cancelled_after_it():
    """The cancelled restart hid it, and what had ended in error after the signal was called ended before it."""
    service = Service(
        jobs=(Job(fails=True), LONG),
        at_signal="ignores",
        dies_at=16.0,
        stop_signal="SIGQUIT",
        restarts_in=3.0,
        by_hand=1.0,
    )
    _, result = stop(service)
    assert "signalled with SIGTERM by somebody else" in told_of(result)
    assert [ending.outcome for ending in result.endings] == [Outcome.INTERRUPTED] * 2


def test_a_life_between_a_cancelled_restart_and_the_one_that_was_drained_is_not_verified():
    """The engine was silent meanwhile. The late call ended a life that nobody saw, and the next one was drained."""
    restarting = Service(status="restarting", restarts_in=5.0, supervised=6.0)
    world, result = stop(restarting, engine_gaps=((6.5, 28.0),), engine_takes=3.0)
    assert [len(life.signals) for life in only(world).lives] == [0, 1, 1]
    assert result.verdict is Verdict.UNVERIFIED
    assert "may have ended a process that nobody had looked at" in result.reason


def test_somebody_elses_signal_before_our_sigkill_is_told():
    """A slow engine was not asked about it any more; what had ended in error after it was called ended before it."""
    job = Job(arrives=29.0, takes=20.0, fails=True)
    service = Service(
        jobs=(job,), profile=replace(CINDER, exit_seconds=2.0), at_signal="ignores", by_hand=39.0
    )
    _, result = stop(service, engine_takes=8.0)
    assert (result.verdict, result.signal) == (Verdict.KILLED, "SIGTERM")
    assert "signalled with SIGTERM by somebody else" in told_of(result)
    assert [ending.outcome for ending in result.endings] == [Outcome.INTERRUPTED]


def test_a_run_that_was_locked_out_does_not_undo_what_another_knows_of_a_later_life():
    """It opened its stop in the life that it had seen before the lock, and the next life had a second signal."""
    services = (Service(evidence_missing="made up"), Service(status="restarting", restarts_in=5.0))
    scene = Scene(services=services, signal_faults=("late", "slow"), slow=11.0, memory=1.0)
    with World(scene) as world:
        runs = (Run(), Run())
        world.stop(*runs)
        promises.hold(world, *runs)
        assert len(list(world.containers.values())[1].life.signals) == 1


# --- the story of a run that died, told by the next


def test_a_run_that_joins_tells_what_the_one_before_has_seen():
    """One operation ended before the second run began; both runs' events are there, each at its time."""
    service = Service(jobs=(Job(takes=6.0), Job(takes=40.0)), request=asked(120.0))
    with World(Scene(services=(service,))) as world:
        first = Run(dies_at_step=steps_by(world.scene, 15.0))
        second = Run(starts_at=10.0)
        world.stop(first, second)
        promises.hold(world, second)
        (result,) = second.results
    assert first.died
    assert [ending.outcome for ending in result.endings] == [Outcome.FINISHED] * 2
    assert result.verdict is Verdict.DRAINED
    began, *_ = result.timeline
    assert (began.event[:5], began.at) == ("begun", pytest.approx(-10.0, abs=0.1))
    joined = next(event for event in result.timeline if event.event.startswith("joined"))
    assert joined.at >= 0
    assert sum("in flight" in event.event for event in result.timeline) == 2


def test_a_run_that_died_before_its_signal_has_begun_nothing_and_tells_nothing():
    """What it saw in flight may have ended in any way before the next run began, which is no loss of this one."""
    service = Service(jobs=(Job(takes=6.0, fails=True), Job(takes=40.0)), request=asked(120.0))
    with World(Scene(services=(service,))) as world:
        first = Run(dies_at_step=steps_by(world.scene, 4.0))
        world.stop(first)
        second = world.stop(Run(starts_at=20.0))
        promises.hold(world, first, second)
        (result,) = second.results
    assert not result.joined
    assert len(result.endings) == 1
    assert result.timeline[0].at >= 0


def test_what_was_in_flight_when_a_run_died_is_told_by_one_that_comes_after_the_exit():
    service = Service(profile=AT_ONCE, jobs=(Job(takes=10.0),), request=asked(120.0))
    with World(Scene(services=(service,))) as world:
        first = Run(dies_at_step=steps_until(world, "signal") + 8)
        world.stop(first)
        second = world.stop(Run(starts_at=60.0))
        (result,) = second.results
    assert first.died
    assert result.verdict is Verdict.ALREADY_STOPPED
    assert result.reason.endswith("a run stopped it, and died before its end")
    assert [(ending.outcome, ending.fate) for ending in result.endings] == [
        (Outcome.UNKNOWN, "the run that watched it died before its end")
    ]


def test_a_result_that_nobody_took_is_told_by_the_next_run():
    service = Service(jobs=(Job(takes=6.0),))
    with World(Scene(services=(service,))) as world:
        with mock.patch.object(world, "stories", Untaken()):
            first = world.stop(Run())
            second = world.stop(Run(starts_at=world.age + 10.0))
        (before,), (result,) = first.results, second.results
    assert (before.verdict, result.verdict) == (Verdict.DRAINED, Verdict.ALREADY_STOPPED)
    assert not result.changed
    assert result.reason == (
        "the container is exited; a run whose result nobody has taken stopped it 10 s ago: "
        f"drained, {before.reason}"
    )
    assert [ending.outcome for ending in result.endings] == [Outcome.FINISHED]
    assert (result.signal, result.serving) == ("SIGTERM", before.serving)
    assert [event.event for event in result.timeline][: len(before.timeline)] == [
        event.event for event in before.timeline
    ]


class Untaken(dict):
    """Stories whose watcher is gone, so that nobody removes them."""

    def pop(self, *_):
        return None


def steps_by(scene, when):
    """How many steps a run alone in such a world has made by then."""
    with World(scene) as other:
        run, found = Run(), []
        other.at(when, lambda: found.append(run.steps))
        other.stop(run)
        return found[0]
