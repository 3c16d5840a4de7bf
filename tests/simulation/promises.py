"""The promises of a stop, each as a check of what the runs did and said against what really was.

1. No SIGKILL goes out before the deadline, and work that would have ended in time is not cut.
2. A process life gets one stop signal.
3. A run ends within its timeout plus 30 s for the kill itself, and 10 s for the last look at the evidence.
4. What a result says is true.
5. A run that is killed at any step does no harm, and the next one goes on from there; runs side by side stop a
   container as one would. This one has no check of its own: the others hold in such worlds, too.
6. A database that cannot be read costs no work: a service that drops its work at the signal is not signalled while
   work that nobody saw may run, until what is left of the budget is only the time of its exit. A fault that passes
   never costs work that one that lasts would not have cost.
   Work that may be another process's is waited for during half of the time to quiesce, and is never called cut.
7. What an earlier life of the process left behind holds nothing up and does not count as lost, and what may be work of
   this one is never taken for that.
"""

from __future__ import annotations

from kolla_drain.drain import policy
from kolla_drain.drain.baseline import CLOCKS, QUEUED, SETTLED
from kolla_drain.model import NO_PROFILE, EvidenceState, Outcome, Quiesce, Verdict

from .world import ALARM, BEGINNING, BY_ITSELF, CALL_BOUND, NEVER, REBOOTED

# What a run may take beyond the stated bounds: the looks in which it notices, in seconds.
SLACK = 3.0
EPSILON = 1e-6
# The bounds that are promised, in seconds: after the deadline for the kill, and after the exit for the last look.
KILLED_WITHIN = 30.0
VERIFIED_WITHIN = 10.0

EXITED = (Verdict.DRAINED, Verdict.CUT, Verdict.KILLED, Verdict.UNVERIFIED)


def hold(world, *runs):
    """All of them, by the world as it is now. What puts one to the test is kept, in words, as ``world.met``."""
    for container in world.containers.values():
        nothing_is_killed_early(world, container)
        work_that_would_finish_is_not_cut(world, container, runs)
        no_signal_goes_out_over_work_that_may_run(world, container, runs)
        signalled_once(world, container, runs)
    for before, run in zip(runs, runs[1:]):
        if before.died and not run.died:
            world.met("5. a run is killed, and the next one comes to a result")
    if world.runs_side_by_side and not any(run.died for run in runs):
        world.met("5. two runs side by side come to a result")
    for run in runs:
        it_ends(world, run, runs)
        if not run.died:
            for result in run.results:
                it_says_the_truth(world, run, result, alone=len(runs) == 1)


# --- 1


def nothing_is_killed_early(world, container):
    for life in container.lives:
        for when, running in life.kills:
            world.met("1. SIGKILL, with work in flight" if running else "1. SIGKILL, with nothing in flight")
            deadline = world.deadline(container, life, when)
            early = deadline - when
            assert early <= EPSILON, f"{container.name} was killed {early:g} s before its deadline"


def work_that_would_finish_is_not_cut(world, container, runs):
    """Of each job that was cut there must be an excuse that lies outside of this project."""
    for work in container.works:
        if work.cut_in is not None:
            why = excuse(world, container, work, runs)
            assert why, f"{work.id} was cut at {work.ended_at - world.now + world.age:g} s without need"
            world.met(f"1. cut, and {why}")
        elif work.state == "finished" and any(
            signal.run and signal.at < work.ended_at <= life.ended
            for life in container.lives
            for signal in life.signals
        ):
            world.met("1. work finishes after the signal")
        elif work.state == "finished" and any(run.begun < work.ended_at < run.ended for run in runs):
            world.met("1. work finishes before the signal")


def excuse(world, container, work, runs):
    service = container.service
    if work.ignored:
        return "it was to be ignored"
    life = work.cut_in
    would_end = work.taken_at + work.job.takes
    if life.by_sigkill and abs(work.ended_at - life.ended) < EPSILON:
        # Killed, and never before the deadline: that is checked above.
        scene = world.scene
        away = scene.engine_gaps or scene.refusals or scene.engine_takes or _held_up(world)
        if service.paused_at < would_end and away:
            return "somebody paused it while the engine did not answer, or not in time"
        return "it would not have ended in time" if would_end >= life.kills[0][0] - EPSILON else ""
    if life.exit_code == BY_ITSELF and abs(work.ended_at - life.ended) < EPSILON:
        return "the service died by itself"
    if life.exit_code == ALARM and abs(work.ended_at - life.ended) < EPSILON:
        return "it was the service's own alarm"
    if life.exit_code == REBOOTED and abs(work.ended_at - life.ended) < EPSILON:
        return "the host was rebooted"
    if len(life.signals) > 1:
        # That ours is no second one, as far as anybody can know, is checked below.
        others = [s for s in life.signals if s.run is None or _strayed(world, life, s)]
        return "one of the signals was somebody else's, or meant for the life before" if others else ""
    if service.at_signal == "drops" and work.ended_at == life.taken_note:
        return _excuse_for_signal(world, container, work, life, runs)
    return ""


def _excuse_for_signal(world, container, work, life, runs):
    """Why a service that drops its work was signalled while it had some."""
    signal = life.signals[0]
    if signal.run is None:
        return "somebody else sent the signal"
    if not _waits_for_work(container, life, signal):
        return "it was not to wait for the work"
    left = _budget_left(world, container, life, signal, runs)
    if work.taken_at + work.job.takes > signal.asked_at + left:
        return "it would not have ended in time"
    if work.unattributed and _half_is_over(world, container, life, signal, runs):
        return "it may have been another's, and was waited for during half of the time"
    told = _told(container, signal)
    if told and told[-1][2].state is EvidenceState.OK:
        _, taken, reading = told[-1]
        unseen = work.id not in [op.id for op in reading.operations]
        return "it came after the last reading" if unseen and work.taken_at >= taken - EPSILON else ""
    if left <= _exit_time(world, container, life, signal):
        return "the rest was for the exit"
    # A service that says that it keeps its work and drops it is beyond help.
    return "its profile says that it keeps its work" if container.service.profile.keeps_work else ""


def _waits_for_work(container, life, signal):
    """Whether our signal had to wait until the evidence showed no work."""
    service = container.service
    wanted = signal.run.request.get("quiesce", service.request.quiesce)
    asked_for = wanted is Quiesce.ALWAYS or (wanted is Quiesce.AUTO and service.profile.quiesce)
    # In a later life the signal is only repeated, to end what starts the container again.
    return asked_for and service.profile.name != NO_PROFILE.name and container.lives.index(life) == 0


def _budget_left(world, container, life, signal, runs):
    """Seconds to the deadline when the engine was asked to send our signal."""
    begun, deadline = world.budget(container, life, signal.asked_at)
    if not any(
        r is not signal.run and r.is_for(container) and r.begun <= signal.asked_at < r.ended for r in runs
    ):
        # Nobody waits for longer any more.
        timeout = signal.run.request.get("timeout", container.service.request.timeout)
        deadline = min(deadline, begun + timeout)
    return deadline - signal.asked_at


def _half_is_over(world, container, life, signal, runs):
    """Whether what may be another's had been waited for as long as it is. All of a budget is for quiesce here."""
    begun, _ = world.budget(container, life, signal.asked_at)
    waited = signal.asked_at - begun
    return (
        waited
        >= policy.UNATTRIBUTED * (waited + _budget_left(world, container, life, signal, runs)) - EPSILON
    )


def _exit_time(world, container, life, signal):
    """What is kept of the budget for the exit where nothing can be read, and what a look takes, or a second."""
    begun, deadline = world.budget(container, life, signal.asked_at)
    kept = min(container.service.profile.exit_seconds, (deadline - begun) / 2)
    return kept + max(1.0, _a_look(world))


def _told(container, signal):
    """The readings that the sender of our signal had heard by then."""
    told = signal.run.evidence.told.get(container.id, [])
    return [entry for entry in told if entry[0] <= signal.asked_at + EPSILON]


# --- 6


def no_signal_goes_out_over_work_that_may_run(world, container, runs):
    """Whether there was any: a service that drops its work needs evidence that it has none, until time runs out."""
    if container.service.profile.keeps_work:
        return
    for life in container.lives:
        for signal in life.signals:
            if signal.run is None or not _waits_for_work(container, life, signal):
                continue
            left = _budget_left(world, container, life, signal, runs)
            told = _told(container, signal)
            if told and told[-1][2].state is EvidenceState.OK:
                dead = {work.id for work in container.works if _dead(work) or work.ignored or work.job.wreck}
                if _half_is_over(world, container, life, signal, runs):
                    dead |= {work.id for work in container.works if work.unattributed}
                seen = {op.id for op in told[-1][2].working} - dead
                assert not seen, f"{container.name} was signalled although {seen} had been seen in flight"
                world.met("6. what drops its work is signalled, and seen to have none")
            elif left > _exit_time(world, container, life, signal):
                raise AssertionError(f"{container.name} was signalled unseen, {left:g} s before its deadline")
            else:
                world.met("6. what drops its work is signalled unseen, in the rest for its exit")


def _dead(work):
    """Whether its rows tell that it hangs."""
    return work.job.takes == NEVER and work.job.by_worker and work.container.service.refreshes


def a_passing_fault_costs_no_more(passing, lasting):
    """Of two worlds that differ in whether their outages may pass: what only the passing ones cost."""
    for one, other in zip(passing.containers.values(), lasting.containers.values()):
        for work, same in zip(one.works, other.works):
            # What the next life made of it says nothing of the stop.
            finished = same.state == "finished" and same.ended_at <= other.lives[0].ended
            lost = work.cut_in is one.lives[0]
            assert not (lost and finished), f"{work.id} was cut, and finishes if the outage is called lasting"
            if finished:
                passing.met("6. work finishes in a lasting outage, and so it does in one that passes")


# --- 2


def signalled_once(world, container, runs):
    for life in container.lives:
        strayed = [s for s in life.signals if s.run is not None and _strayed(world, life, s)]
        ours = [s for s in life.signals if s.run is not None and s not in strayed]
        if ours:
            world.met("2. a signal of ours")
        if any(
            run.is_for(container) and signal.at < run.begun < life.ended for signal in ours for run in runs
        ):
            world.met("2. a run begins after the signal of another")
        if any(signal.run is None and not ours for signal in life.signals):
            world.met("2. somebody else's signal is the only one")
        assert len(ours) <= 1, f"{container.name}, {life.started_at}: signals {life.signals}"
        for signal in ours:
            # The engine is asked right before. Of what it has forgotten it may know that it was there: then a process
            # is given as long as this stop may take.
            scene, own = world.scene, container.service.request.timeout
            stopping = signal.run.request.get("timeout", own) if scene.knows_of_stops else 0.0
            known = [s for s in life.signals if 0 < signal.asked_at - s.at < max(scene.memory, stopping)]
            if any(signal.asked_at - s.at >= scene.memory for s in life.signals):
                world.met("2. a signal of ours, after one that the engine has forgotten")
            if _looked_at(world, signal) <= life.begun:  # it may have been meant for the life before
                known = []
            known = [s for s in known if s not in strayed]
            assert not known, f"{container.name}, {life.started_at}: signals {life.signals}"


def _strayed(world, life, signal):
    """Whether a signal was meant for the life before, and nothing tells that it met this one instead.

    The engine may have forgotten it, or it is none that stops a container unless somebody asked for it.
    """
    if _looked_at(world, signal) <= life.begun and signal.name == "SIGUSR2":
        return True
    after = [other.asked_at - signal.at for other in life.signals if other.run and other.at > signal.at]
    return (
        _looked_at(world, signal) <= life.begun <= signal.at and min(after, default=0.0) >= world.scene.memory
    )


def _looked_at(world, signal):
    """When its sender began to look at the container that it was meant for."""
    return signal.asked_at - 3 * world.scene.engine_takes - _held_up(world)


# --- 3


def it_ends(world, run, runs):
    longest = max(
        (
            r.request.get("timeout", container.service.request.timeout)
            for r in runs
            for container in world.containers.values()
        ),
        default=0.0,
    )
    # The end of either bound may come in the middle of a look.
    bound = longest + KILLED_WITHIN + VERIFIED_WITHIN + SLACK + 2 * _a_look(world)
    assert run.ended - run.begun <= bound, f"a run took {run.ended - run.begun:g} s, more than {bound:g}"
    if not run.died and run.ended - run.begun > longest:
        world.met("3. a run ends after its deadline, within the bounds")


# --- 4


def it_says_the_truth(world, run, result, alone):
    container = world.containers[result.id]
    works = {work.id: work for work in container.works}
    endings = {ending.operation.id: ending for ending in result.endings}
    world.met(f"4. verdict {result.verdict.value if result.verdict else 'none'}")
    for ending in result.endings:
        world.met(f"4. an operation is called {ending.outcome.value}")
    _every_operation_is_told(run, result, endings)
    _what_is_passed_over_is_no_work(run, result, container, endings)
    said_at = _said_at(run, result)
    for key, ending in endings.items():
        _outcome_is_true(container, works[key], ending, said_at, _read_at(run, result))
    # What was started after the exit had been noticed, and ended before the verdict, is another story.
    ended_by_us = [life for life in container.lives if life.ended <= _noticed_at(run, result, said_at)]
    if result.verdict is Verdict.DRAINED:
        lost = [key for key in endings if not _finished(container, works[key], said_at)]
        assert not lost, f"{result.name} is called drained, and {lost} had not finished"
        assert all(ending.outcome is Outcome.FINISHED for ending in endings.values())
        assert result.evidence is EvidenceState.OK
        _it_was_looked_at(world, run, result, container, ended_by_us)
    if result.verdict is Verdict.CUT:
        # What ended in error between the last reading and the signal may count either way.
        read_at = _read_at(run, result)
        unfinished = [
            key for key in endings if works[key].state != "finished" or works[key].ended_at > read_at
        ]
        assert unfinished, f"{result.name} is called cut"
    if result.verdict in (Verdict.DRAINED, Verdict.CUT, Verdict.UNVERIFIED):
        by_sigkill = ended_by_us and ended_by_us[-1].by_sigkill
        assert not (by_sigkill and world.scene.memory == NEVER and alone), (
            f"{result.name} was killed and is called {result.verdict}"
        )
    if result.verdict is Verdict.KILLED:
        # With the container its exit code is gone: whether it went before the SIGKILL reached it nobody can tell.
        tried = any(event.event.startswith("SIGKILL sent") for event in result.timeline)
        tried = tried or any(life.kills for life in container.lives)
        untold = result.exit_code is None and tried
        assert ended_by_us[-1].by_sigkill or untold, f"{result.name} is called killed"
    if result.verdict in EXITED:
        assert ended_by_us, f"{result.name} is called {result.verdict} and its process lives"
    if result.verdict is Verdict.LEFT_RUNNING:
        assert result.failed
        if alone and "removing" not in result.reason:
            # The engine may be about to start it again: that is no rest either.
            rested = container.rested_at < said_at - SLACK - _a_look(world)
            assert not rested, f"{result.name} is called left_running"
    if result.verdict is None:
        assert result.failed
        _it_could_not_be_known(world, run, result, container, said_at)
    if result.verdict in EXITED:
        late = said_at - _noticed_at(run, result, said_at)
        # A question and its answer wait until the other containers have been looked at, and there may be a second one.
        assert late <= VERIFIED_WITHIN + SLACK + 4 * _a_look(world), (
            f"{result.name} was judged {late:g} s after its exit"
        )


def _it_could_not_be_known(world, run, result, container, said_at):
    """A stop without a verdict has met a fault that lasted, and has kept its bounds."""
    scene = world.scene
    world.met("4. no verdict: " + _kind(result.reason))
    if world.sabotage:
        assert world.sabotage in result.reason
        return
    if "fuser" in result.reason:
        assert world.runs_side_by_side
        return
    ours = [signal for signal in container.life.signals if signal.run is run]
    if "No space left" in result.reason and "is not known" not in result.reason:
        assert _was_within(world, scene.disk_full, said_at, _a_look(world))
        assert not ours, f"{result.name} was signalled, and is not watched any more: {result.reason}"
        return
    assert "is not known" in result.reason, result.reason
    # Of runs side by side, each gives up by its own deadline.
    own = run.begun + run.request.get("timeout", container.service.request.timeout)
    deadline = min(own, world.deadline(container, container.life, min(said_at, run.ended)))
    assert said_at >= deadline + KILLED_WITHIN - EPSILON, f"{result.name} was given up before its time"
    faults = scene.engine_gaps + scene.refusals + scene.disk_full
    held = {"holds"} & {*scene.signal_faults}
    assert held or _was_within(world, faults, said_at, _a_look(world) + SLACK), (
        f"{result.name}: {result.reason}"
    )


def _kind(reason):
    kinds = {
        "fuser": "locked out",
        "was not touched": "not touched",
        "is not known": "not known after the deadline",
    }
    return next((kind for word, kind in kinds.items() if word in reason), "the ledger cannot be written")


def _was_within(world, gaps, moment, before):
    age = moment - BEGINNING
    return any(begin <= age and age - before < end for begin, end in gaps)


def _a_look(world):
    """What a look at a container takes, of all side by side: its state, the engine's events of the life before, the
    same of this one, again before the signal, and the signal."""
    scene = world.scene
    return 5 * scene.engine_takes + scene.engine_patience + _held_up(world)


def _held_up(world):
    """What a call to signal takes, and a look at a container that such a call holds."""
    faults = world.scene.signal_faults
    return 2 * CALL_BOUND if "holds" in faults else CALL_BOUND if "slow" in faults else 0.0


def _it_was_looked_at(world, run, result, container, ended):
    """Nothing is called drained that nobody looked at: before our own signal, and again after the exit.

    A run that joins a stop takes over the looks of the runs before it.
    """
    shown = _looks(run, result)
    known = [taken for other in world.runs for taken in _looks(other, result)] if result.joined else shown
    ours = [s.at for life in container.lives for s in life.signals if s.run is run]
    if ours:
        assert any(taken <= min(ours) for taken in known), (
            f"{result.name} is called drained, and nobody had looked"
        )
    assert len(known) > 1, f"{result.name} is called drained, and was looked at once"
    assert any(taken >= ended[-1].ended for taken in shown), (
        f"{result.name} is called drained, and nobody looked afterwards"
    )


def _looks(run, result):
    """When this run's readable readings of a container were taken."""
    told = run.evidence.told.get(result.id, ()) if run.evidence is not None else ()
    return [taken for _, taken, reading in told if reading.state is EvidenceState.OK]


def _noticed_at(run, result, said_at):
    """When the exit was seen."""
    seen = [
        run.begun + event.at + 0.01 for event in result.timeline if event.event.startswith("the container is")
    ]
    return max(seen, default=said_at)


def _said_at(run, result):
    """When a result was made, which others may have followed."""
    return run.begun + result.timeline[-1].at + 0.01 if result.timeline else run.ended


def _finished(container, work, moment):
    if work.ended_at > moment:
        return False
    if work.state == "finished":
        return True
    # It failed, or was orphaned, before anybody asked the service to stop.
    # What was asked of a life before it was taken is no matter to it.
    lives = [life for life in container.lives if life.ended > work.taken_at]
    # Of somebody else's signal, and of one before a reboot, which empties the ledger, the engine tells, if it can be
    # asked and has not forgotten.
    scene, booted_at = container.world.scene, container.world.booted_at
    told = scene.memory == NEVER and not scene.engine_gaps and not scene.refusals
    stops = [
        max(signal.at, life.taken_note)
        for life in lives
        for signal in life.signals
        if life.taken_note is not None and (told or (signal.run is not None and signal.at >= booted_at))
    ]
    stops += [when for life in lives for when, _ in life.kills if life.by_sigkill]
    first = min(stops, default=NEVER)
    if container.world.runs_side_by_side:
        first += SLACK  # another run's signal is learnt of at the next look
    return work.state == "error" and (work.ended_at < first if work.cut_in else work.ended_at <= first)


def _read_at(run, result):
    """When the last reading was taken that a result rests on."""
    told, said_at = run.evidence.told.get(result.id, []), _said_at(run, result)
    return max([taken for heard, taken, _ in told if heard <= said_at], default=run.begun)


def _outcome_is_true(container, work, ending, moment, read_at):
    if ending.outcome is Outcome.FINISHED:
        assert _finished(container, work, moment), f"{work.id} is called finished and is {work.state}"
    if ending.outcome is Outcome.INTERRUPTED:
        assert not work.unattributed, f"{work.id} may be another's, and is called interrupted"
        done = work.state == "finished" and work.ended_at <= read_at
        assert not done, f"{work.id} is called interrupted and is finished"
        begun = work.taken_at <= moment or not work.job.by_worker
        assert begun, f"{work.id} is called interrupted and was never begun"


def _every_operation_is_told(run, result, endings):
    """What a reading showed while the run watched is in its result."""
    said_at = _said_at(run, result)
    for heard, _, reading in run.evidence.told.get(result.id, []):
        if result.verdict is Verdict.ALREADY_STOPPED or heard > said_at - 0.02:
            continue
        for op in reading.operations:
            told = op.informs or op.id in endings or op.id in {op.id for op in result.passed_over}
            assert told, f"{op.id} was seen in flight and is not told of"


# --- 7


def _what_is_passed_over_is_no_work(run, result, container, endings):
    works = {work.id: work for work in container.works}
    for op in result.passed_over:
        work = works[op.id]
        container.world.met("7. an operation is passed over")
        # A service that was away, or paused, for longer than a request can wait: that is what the rule says.
        waited = QUEUED < work.taken_at - work.written < NEVER
        left_behind = work.job.wreck or (work.cut_in is not None and work.cut_in.ended <= run.begun)
        assert work.ignored or left_behind or work.job.anothers or waited, (
            f"{op.id} is passed over: {op.passed_over}"
        )
    for key in endings:
        if container.service.up_for < NEVER and works[key].job.arrives < -container.service.up_for:
            container.world.met("7. a request that waited when its process began counts")
        lost = works[key].ignored or _plainly_a_wreck(works[key], container)
        assert not lost, f"{key} was left behind, or ignored, and counts"


def _plainly_a_wreck(work, container):
    """Whether its row is too old for any process of this container that a run has met."""
    up_for = container.service.up_for
    before = -work.job.arrives - up_for
    # Its age is counted from when a reading was heard, which is later than when it was taken.
    sooner = max(container.world.scene.latencies) + SLACK + _a_look(container.world)
    return work.job.wreck and (before > QUEUED + sooner or (before > CLOCKS + sooner and up_for > SETTLED))


def outcomes_are_known(world, run):
    """With a database that answers from the exit on, nothing is left open that the rows could tell."""
    for result in run.results:
        if result.verdict in EXITED and result.evidence is EvidenceState.OK:
            works = {work.id: work for work in world.containers[result.id].works}
            for ending in result.endings:
                work = works[ending.operation.id]
                world.met("4. an outcome that the rows could tell is told")
                said_at, read_at = _said_at(run, result), _read_at(run, result)
                if work.ended_at > min(said_at - SLACK, read_at) or work.taken_at > _noticed_at(
                    run, result, said_at
                ):
                    continue
                if work.state == "finished":
                    assert ending.outcome is Outcome.FINISHED, (
                        f"{work.id} has finished, and is {ending.outcome}"
                    )
                elif work.id not in _late(result) and not work.unattributed:
                    assert ending.outcome is not Outcome.UNKNOWN, (
                        f"{work.id} was {work.state}, and is unknown"
                    )


def _late(result):
    return {e.operation.id for e in result.endings if "came as the service went" in e.fate}
