"""Decide what to do next with a container, and why.

Pure functions: nothing here waits, reads a clock or talks to anyone. ``decide`` answers each look at a container with
an action and its reason. Evidence that cannot be read may hide work, so it never makes an end come earlier.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

from ..model import (
    Container,
    ContainerStatus,
    EvidenceState,
    OnTimeout,
    Operation,
    Profile,
    Reading,
    StopRequest,
)
from .plan import Plan
from .verdict import count

# Seconds to wait for evidence that has not been readable, where the cause may pass (a database that restarts) and the
# service keeps its work after the signal. A service that drops its work is waited for as long as its budget allows.
PATIENCE = 30.0

# Seconds to wait for the first reading of a service that needs no quiesce, so that what was in flight at the signal is
# known; never more than a quarter of the budget.
FIRST_LOOK = 6.0

# Seconds after the deadline for which a SIGKILL is seen through. The engine itself tries for about 12 s before it
# reports a process that does not die (a device wait, a dead shim).
KILL_BOUND = 30.0

# Seconds after the exit for which the operations are looked up: enough for two attempts with the database's own
# time-outs of 5 s, and short enough to keep the gap of a restart small.
VERIFY_BOUND = 10.0

# Part of the time to quiesce for which operations are waited for that may be another process's, as in a cluster or with
# one backend_host on several hosts. They may be this container's as well, so they are waited for. But a busy site
# always has some such work, and waiting for a moment without it would take the whole budget at every stop. After half
# of the time what was there at the beginning has mostly ended, and a service that keeps its work has the rest of the
# budget for what is its own. What has not ended by the exit is told, and makes the verdict unverified.
UNATTRIBUTED = 0.5

# Empty readings in a row that make a quiet moment: a single one may fall between two steps of one request.
EMPTY_READINGS = 2


class Action(str, enum.Enum):
    """What the loop is to do with a container."""

    WAIT = "wait"
    UNPAUSE = "unpause"
    CANCEL_RESTART = "cancel_restart"
    SIGNAL = "signal"
    KILL = "kill"
    LEAVE = "leave"
    DONE = "done"


class Decision(NamedTuple):
    """An action with its reason, a clause that can follow the container's name."""

    action: Action
    reason: str


class Observation(NamedTuple):
    """All that a decision may rest on. Times are seconds on the loop's clock."""

    container: Container | None  # None: the engine no longer has it
    signalled: bool  # this process life has had its signal, from us or from somebody else
    reads: bool = True  # there is evidence to ask for
    reading: Reading | None = None  # the newest; None before the first
    empty_readings: int = 0  # readings in a row, up to the newest, that showed nothing to wait for
    own_empty_readings: int = 0  # the same for what is certainly the container's own
    unread_for: float = 0.0  # since evidence was last readable, or since the start
    waiting_for: tuple[Operation, ...] = ()  # shown by the newest readable one
    look: float = 0.0  # seconds that this look has taken, and the next one may take
    given_more: float = 0.0  # by which another run that waits for the same stop has the later deadline


def decide(request: StopRequest, profile: Profile, plan: Plan, seen: Observation, elapsed: float) -> Decision:
    """Return what to do now. ``elapsed`` is seconds since the start of this stop, or of the one that it joined."""
    container = seen.container
    if container is None:
        return Decision(Action.DONE, "the container is gone")
    if container.at_rest:
        return Decision(Action.DONE, f"the container is {container.status.value}")
    late = elapsed >= plan.timeout
    if container.status is ContainerStatus.REMOVING:
        if late:
            return Decision(Action.LEAVE, "the engine is still removing it at the deadline")
        return Decision(Action.WAIT, "the engine is removing it")
    if late:
        return _at_deadline(request, plan, seen)
    if container.status is ContainerStatus.RESTARTING:
        return Decision(Action.CANCEL_RESTART, "no process runs; the engine is about to start it again")
    if container.status is ContainerStatus.PAUSED:
        return Decision(Action.UNPAUSE, "a paused process can neither finish its work nor take a signal")
    if seen.signalled:
        return _while_draining(seen)
    return _before_signal(profile, plan, seen, elapsed)


def _at_deadline(request: StopRequest, plan: Plan, seen: Observation) -> Decision:
    if seen.signalled:
        state = "it has not exited"
    elif seen.waiting_for:
        state = "its work has not ended, so the signal was not sent"
    else:
        state = "its evidence was not empty for long enough, so the signal was not sent"
    reason = f"{state} after {plan.timeout:g} s"
    return Decision(Action.LEAVE if request.on_timeout is OnTimeout.LEAVE else Action.KILL, reason)


def _while_draining(seen: Observation) -> Decision:
    if seen.waiting_for:
        return Decision(Action.WAIT, f"draining with {count(seen.waiting_for)} in flight")
    return Decision(Action.WAIT, "draining")


def _before_signal(profile: Profile, plan: Plan, seen: Observation, elapsed: float) -> Decision:
    if plan.quiesce <= 0:
        if seen.reads and seen.reading is None and elapsed < min(FIRST_LOOK, plan.timeout / 4):
            return Decision(Action.WAIT, "waiting for the first look at what is in flight")
        return Decision(Action.SIGNAL, plan.reason)
    elapsed -= seen.given_more  # the run with the longest budget sends the signal when time runs out
    if seen.reading is None or seen.reading.state is not EvidenceState.OK:
        return _blind(profile, plan, seen, elapsed)
    if seen.empty_readings >= EMPTY_READINGS:
        return Decision(Action.SIGNAL, f"its evidence showed no operation {EMPTY_READINGS} readings running")
    if elapsed >= plan.quiesce * UNATTRIBUTED and seen.own_empty_readings >= EMPTY_READINGS:
        return Decision(
            Action.SIGNAL,
            f"{count(seen.waiting_for)} still in flight that may be another process's, "
            f"after {elapsed:.0f} s, and {EMPTY_READINGS} readings running showed none of its own",
        )
    if elapsed >= plan.quiesce:
        return Decision(Action.SIGNAL, f"{count(seen.waiting_for)} still in flight, but {plan.reason}")
    if seen.waiting_for:
        return Decision(Action.WAIT, f"quiescing with {count(seen.waiting_for)} in flight")
    return Decision(Action.WAIT, "quiescing; one more empty reading is wanted")


def _blind(profile: Profile, plan: Plan, seen: Observation, elapsed: float) -> Decision:
    """Decide before the signal while evidence cannot be read: patient where a signal could drop work, never a hang."""
    # With nothing to see, some of the budget is kept for a clean exit whatever the profile says of work.
    last_call = plan.timeout - max(plan.drain, min(profile.exit_seconds, plan.timeout / 2))
    # The next look may come too late.
    if elapsed + seen.look >= last_call:
        why = seen.reading.why if seen.reading is not None else "no reading came in"
        return Decision(
            Action.SIGNAL, f"its evidence cannot be read ({why}) and the time that is left is for its exit"
        )
    if not profile.keeps_work:
        return Decision(
            Action.WAIT,
            "quiescing; its evidence cannot be read, and a signal would drop work that nobody sees",
        )
    if seen.waiting_for:
        return Decision(Action.WAIT, "quiescing; its evidence cannot be read just now and work was in flight")
    if seen.reading is not None and not seen.reading.passing:
        return Decision(Action.SIGNAL, f"its evidence cannot be read: {seen.reading.why}")
    if seen.unread_for < PATIENCE:
        return Decision(Action.WAIT, "quiescing; waiting for its evidence to become readable")
    return Decision(Action.SIGNAL, f"its evidence could not be read for {seen.unread_for:.0f} s")
