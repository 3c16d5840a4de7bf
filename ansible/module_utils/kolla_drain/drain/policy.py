"""What to do next, and why. Pure functions; nothing here waits, reads a clock or talks to anyone.

``plan`` divides the budget once. ``decide`` answers each look at a container with an action and
its reason. ``judge`` gives the verdict after the exit. ``Freshness`` tells dead operations from
slow ones. Every rule here stands on DESIGN's promises; a comment says which fact is behind it.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from ..model import (
    Container,
    ContainerStatus,
    EvidenceState,
    Exit,
    OnTimeout,
    Operation,
    Profile,
    Reading,
    StopRequest,
)
from .plan import Plan
from .verdict import count

# Evidence that was never readable is waited for this long, in seconds, when its cause may pass
# (a database that restarts). A cause that stays, such as a wrong password, is not waited for at all.
PATIENCE = 30.0

# A service that needs no quiesce is still looked at once before its signal, so that what was in flight is known:
# for this long, in seconds, the first reading is waited for, and never more than a quarter of the budget.
FIRST_LOOK = 6.0

# A SIGKILL is seen through for this long, in seconds: the engine itself tries for about 12 (FACTS E7).
KILL_BOUND = 30.0

# After the exit the operations are looked up for at most this long, in seconds: long enough for two
# attempts with the database's own time-outs of 5, short enough to keep a restart's gap small.
VERIFY_BOUND = 10.0

# Evidence has to be empty this many readings running: one may fall between two steps of one request.
EMPTY_READINGS = 2

# A service is frozen for at most this long, in seconds; a process of its own sees to it where a run dies or hangs
# (engine/watchdog.py). Long enough for one reading with the database's own time-out of a connection, and short against
# what a frozen service's partners wait for: 60 s for an answer, for a heartbeat and for the broker's.
FREEZE_BOUND = 5.0

# Its end is ordered within this long, in seconds, of the freeze, so that the engine carries it out before the thaw.
FREEZE_DECISION = FREEZE_BOUND - 2.0

# So many freezes without a reading are enough: then the evidence is too slow for it.
FREEZE_TRIES = 3

# On a busy host an engine may fail to freeze a container that it freezes a moment later (seen: runc 1.1 on cgroup v1
# gives up after 50 ms of waiting for processes that wait for a core). So often it is tried, this many seconds apart.
FREEZE_REFUSALS = 20
FREEZE_AGAIN = 0.25

# Under a stream of short requests a moment without any is short. While all that is in flight has been seen for less
# than YOUNG seconds, a service that is to be frozen is read this often, in seconds.
BRISK = 0.25
YOUNG = 5.0

# For this part of the quiesce a freeze waits for EMPTY_READINGS before it, so that what follows an operation's last row
# (its quota, say) has ended, too. Then one must do: the reading while frozen is the second.
UNHURRIED = 1 / 3


class Action(str, enum.Enum):
    """What the loop can be told to do with a container."""

    WAIT = "wait"
    FREEZE = "freeze"
    END_FROZEN = "end_frozen"
    THAW = "thaw"
    CANCEL_RESTART = "cancel_restart"
    SIGNAL = "signal"
    KILL = "kill"
    LEAVE = "leave"
    DONE = "done"


@dataclass(frozen=True)
class Decision:
    """An action with its reason, a clause that can follow the container's name."""

    action: Action
    reason: str


@dataclass(frozen=True)
class Observation:
    """All that a decision may rest on. Times are seconds on the loop's clock."""

    container: Container | None  # None: the engine no longer has it
    signalled: bool  # this process life has had its signal, by us or by another
    reads: bool = True  # its evidence can be asked for
    reading: Reading | None = None  # the newest; None before the first
    empty_readings: int = 0  # how many in a row, up to the newest, showed nothing to wait for
    busy: bool = False  # the last readable one showed something to wait for
    unread_for: float = 0.0  # since evidence was last readable, or since the start; 0 while it is
    quiet_for: float = 0.0  # since the first reading after the signal from which on all were empty
    waiting_for: tuple[Operation, ...] = ()
    given_more: float = 0.0  # by another run, which waits for the same stop
    frozen_for: float | None = None  # since this run froze it; None: it did not
    frozen_reading: Reading | None = None  # begun after the freeze
    frozen_by_another: bool = False  # a run beside this one froze it just now
    futile_freezes: int = 0  # that ended without a reading
    hangs: bool = (
        False  # operations count as dead, and the heartbeat stands still too: it may only be blocked
    )


def decide(request: StopRequest, profile: Profile, plan: Plan, seen: Observation, elapsed: float) -> Decision:
    """What to do now. ``elapsed`` is seconds since the start of this stop, or of the one that it joined."""
    container = seen.container
    if container is None:
        return Decision(Action.DONE, "the container is gone")
    if container.at_rest:
        return Decision(Action.DONE, f"the container is {container.status.value}")
    if container.status is ContainerStatus.PAUSED and seen.frozen_for is not None:
        return _while_frozen(seen, seen.frozen_for)
    late = elapsed >= plan.timeout
    if container.status is ContainerStatus.REMOVING:
        if late:
            return Decision(Action.LEAVE, "the engine is still removing it at the deadline")
        return Decision(Action.WAIT, "the engine is removing it")
    if late:
        return _at_deadline(request, plan, seen)
    if container.status is ContainerStatus.RESTARTING:
        return Decision(Action.CANCEL_RESTART, "no process runs; the engine is about to start it again")
    if container.status is ContainerStatus.PAUSED and seen.frozen_by_another:
        return Decision(Action.WAIT, "another run has frozen it, and reads its evidence")
    if container.status is ContainerStatus.PAUSED:
        return Decision(Action.THAW, "a paused process can neither finish its work nor take a signal")
    if seen.signalled:
        return _while_draining(request, profile, seen)
    return _before_signal(profile, plan, seen, elapsed)


def _while_frozen(seen: Observation, frozen_for: float) -> Decision:
    """Nothing comes in and nothing goes on: what one reading shows now is all there is."""
    reading = seen.frozen_reading
    if reading is None and frozen_for < FREEZE_DECISION:
        return Decision(Action.WAIT, "frozen; its evidence is read once more")
    if reading is None:
        return Decision(Action.THAW, f"its evidence was not read within {FREEZE_DECISION:g} s")
    if reading.state is not EvidenceState.OK:
        return Decision(Action.THAW, f"its evidence could not be read: {reading.why}")
    if seen.waiting_for:
        return Decision(Action.THAW, f"{count(seen.waiting_for)} came before the freeze")
    if frozen_for >= FREEZE_DECISION:
        return Decision(Action.THAW, f"it was frozen for {frozen_for:.1f} s, too long to end it safely")
    return Decision(Action.END_FROZEN, "frozen, its evidence still showed nothing to wait for")


def _at_deadline(request: StopRequest, plan: Plan, seen: Observation) -> Decision:
    if seen.signalled:
        state = "it has not exited"
    elif seen.waiting_for:
        state = "its work has not ended, so the signal was not sent"
    else:
        state = "its evidence was not empty for long enough, so the signal was not sent"
    reason = f"{state} after {plan.timeout:g} s"
    if request.on_timeout is OnTimeout.LEAVE:
        return Decision(Action.LEAVE, reason)
    return Decision(Action.KILL, reason)


def _while_draining(request: StopRequest, profile: Profile, seen: Observation) -> Decision:
    if seen.waiting_for:
        return Decision(Action.WAIT, f"draining with {count(seen.waiting_for)} in flight")
    limit = request.idle_limit
    idle = limit is not None and profile.evidence_complete and seen.empty_readings >= EMPTY_READINGS
    if limit is not None and idle and seen.quiet_for >= limit:
        return Decision(Action.KILL, f"nothing is left to wait for, and idle_limit is {limit:g} s")
    return Decision(Action.WAIT, "draining")


def _before_signal(profile: Profile, plan: Plan, seen: Observation, elapsed: float) -> Decision:
    if plan.quiesce <= 0:
        if seen.reads and seen.reading is None and elapsed < min(FIRST_LOOK, plan.timeout / 4):
            return Decision(Action.WAIT, "waiting for the first look at what is in flight")
        return Decision(Action.SIGNAL, plan.reason)
    elapsed -= seen.given_more  # the run with the longest budget sends it when time runs out
    if seen.reading is None or seen.reading.state is not EvidenceState.OK:
        return _blind(profile, plan, seen, elapsed)
    if _may_freeze(plan, seen, elapsed):
        return Decision(Action.FREEZE, "its evidence showed nothing to wait for")
    if seen.empty_readings >= EMPTY_READINGS:
        return Decision(Action.SIGNAL, f"its evidence showed no operation {EMPTY_READINGS} readings running")
    if elapsed >= plan.quiesce:
        return Decision(Action.SIGNAL, f"{count(seen.waiting_for)} still in flight, but {plan.reason}")
    if seen.waiting_for:
        return Decision(Action.WAIT, f"quiescing with {count(seen.waiting_for)} in flight")
    return Decision(Action.WAIT, "quiescing; one more empty reading is wanted")


def _may_freeze(plan: Plan, seen: Observation, elapsed: float) -> bool:
    wanted = EMPTY_READINGS if elapsed < plan.quiesce * UNHURRIED else 1
    in_time = elapsed + FREEZE_BOUND <= plan.timeout and seen.empty_readings >= wanted
    sure = seen.futile_freezes < FREEZE_TRIES and not seen.hangs
    return plan.exit is Exit.FREEZE and in_time and sure


def _blind(profile: Profile, plan: Plan, seen: Observation, elapsed: float) -> Decision:
    """Before the signal, while the evidence cannot be read: patient with what passes, never a hang."""
    # With nothing to see, some of the budget is kept for a clean exit whatever the profile says of work.
    last_call = plan.timeout - max(plan.drain, min(profile.exit_seconds, plan.timeout / 2))
    if seen.reading is not None and not seen.reading.passing:
        if profile.keeps_work or elapsed >= last_call:
            return Decision(Action.SIGNAL, f"its evidence cannot be read: {seen.reading.why}")
        # There may be work, and the signal would drop it: it gets what time there is.
        return Decision(
            Action.WAIT, "its evidence cannot be read, and a signal would drop work that nobody sees"
        )
    if seen.busy:
        if elapsed < last_call:
            return Decision(
                Action.WAIT, "quiescing; its evidence cannot be read just now and work was in flight"
            )
        return Decision(
            Action.SIGNAL, "its evidence did not come back and the time that is left is for the drain"
        )
    if seen.unread_for < PATIENCE and elapsed < last_call:
        return Decision(Action.WAIT, "quiescing; waiting for its evidence to become readable")
    return Decision(Action.SIGNAL, f"its evidence could not be read for {seen.unread_for:.0f} s")
