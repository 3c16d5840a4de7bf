"""What one stop has seen of one service: operations and how they ended, heartbeats, and when nothing could be read.

Pure bookkeeping of readings. It decides nothing and waits for nothing; times are seconds on the
clock of the loop that feeds it.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from dataclasses import replace

from ..model import Answer, Ending, EvidenceState, Operation, Outcome, Profile, Reading
from .freshness import Freshness, Pulse
from .policy import YOUNG


class Moment(enum.IntEnum):
    """How far a stop was when a reading was taken in."""

    BEFORE_SIGNAL = 0
    SIGNALLED = 1
    EXITED = 2


class Record:
    """The readings of one container, digested. ``note`` takes a line for the timeline."""

    def __init__(
        self, profile: Profile, service_down_time: float, started: float, note: Callable[[str], None]
    ) -> None:
        self.reading: Reading | None = None
        self.empty_readings = 0
        self.busy = False  # the last readable one showed something to wait for
        self.waiting_for: tuple[Operation, ...] = ()
        self.dead: frozenset[tuple[str, str]] = frozenset()
        self.readable: set[Moment] = set()  # in which of them a reading could be had
        self.pulse = Pulse(profile, service_down_time)
        self._note = note
        self._started = started
        self._limit = service_down_time
        self._freshness = Freshness(profile.refreshes_workers, service_down_time)
        self._seen: dict[tuple[str, str], Operation] = {}
        self._ended: dict[tuple[str, str], Ending] = {}
        self._failed: dict[
            tuple[str, str], Ending
        ] = {}  # ended in error, as far as is known before any signal
        self._first_seen: dict[tuple[str, str], float] = {}  # of those in flight
        self._late: set[tuple[str, str]] = set()  # first seen after the signal
        self._readable_at = started
        self._quiet_since: float | None = None
        self._outage: tuple[float, str] | None = None
        self._outages: list[str] = []

    # --- taking in

    def hear(self, answer: Answer, now: float, moment: Moment) -> None:
        """Take in a reading and what became of the operations asked about."""
        self.reading = answer.reading
        if answer.reading.state is EvidenceState.OK:
            self._readable(answer, now, moment)
        else:
            self._unreadable(answer.reading, now)

    def overhear(self, reading: Reading) -> None:
        """Take in what was asked before the exit and came after it: only which operations there were."""
        self._operations(reading.working, late=True)

    def it_lives(self) -> None:
        """An end that was ordered did not come about: what was seen since then may be in flight."""
        self._late = set()

    def look_anew(self) -> None:
        """That nothing is in flight has to be seen again, as if nothing had been read."""
        self.empty_readings = 0
        self._quiet_since = None

    def somebody_had_signalled(self) -> None:
        """It comes out that what ended in error may have done so for a signal."""
        self._ended.update((key, ending) for key, ending in self._failed.items() if key in self._ended)
        self._failed = {}

    def nobody_has_signalled(self) -> None:
        """Nobody has so far: what ended in error did so by itself."""
        self._failed = {}

    def nothing_was_signalled(self) -> None:
        """A signal that was in doubt was never sent: what was read meanwhile was read before the signal."""
        if Moment.SIGNALLED in self.readable:
            self.readable.add(Moment.BEFORE_SIGNAL)

    def _unreadable(self, reading: Reading, now: float) -> None:
        self.empty_readings = 0
        self._quiet_since = None
        self._freshness.blind(now)
        if self._outage is None:
            self._outage = (now, reading.why)
            self._note(f"evidence cannot be read: {reading.why}")

    def _readable(self, answer: Answer, now: float, moment: Moment) -> None:
        self.readable.add(moment)
        self._readable_at = now
        if self._outage is not None:
            since, why = self._outage
            self._outages.append(f"from {since - self._started:.1f} s to {now - self._started:.1f} s: {why}")
            self._outage = None
            self._note("evidence can be read again")
        self.pulse.update(answer.reading.heartbeats, now)
        working = answer.reading.working
        self._freshness.update(working, now)
        self._first_seen = {op.key: self._first_seen.get(op.key, now) for op in working}
        self._operations(working, late=moment is not Moment.BEFORE_SIGNAL)
        self._endings(answer.endings, {op.key for op in working}, moment)
        self._mark_dead(self._freshness.dead(now))
        self.waiting_for = tuple(op for op in working if op.key not in self.dead)
        self.busy = bool(self.waiting_for)
        self.empty_readings = 0 if self.busy else self.empty_readings + 1
        if self.busy or moment is Moment.BEFORE_SIGNAL:
            self._quiet_since = None
        elif self._quiet_since is None:
            self._quiet_since = now

    def _operations(self, working: Iterable[Operation], *, late: bool) -> None:
        for op in working:
            if op.key not in self._seen or op.key in self._ended:
                self._note(f"{say(op)} in flight")
                if late:
                    self._late.add(op.key)
            self._ended.pop(op.key, None)
            self._seen[op.key] = op

    def _endings(self, endings: Iterable[Ending], in_flight: set[tuple[str, str]], moment: Moment) -> None:
        """Keep the end of what is no longer in flight; what is still unclear is asked about again."""
        for ending in endings:
            key = ending.operation.key
            if key in in_flight or key not in self._seen or key in self._ended:
                continue
            failed = ending.status.startswith("error")
            if failed and moment is Moment.BEFORE_SIGNAL:
                # The service brought it to this end by itself, if nobody had signalled it.
                self._failed[key] = ending
                ending = replace(ending, outcome=Outcome.FINISHED, fate="ended in error before the signal")
            if ending.outcome is Outcome.FINISHED or failed:
                self._ended[key] = ending
                self._note(f"{say(ending.operation)} ended: {ending.status}")

    def _mark_dead(self, dead: frozenset[tuple[str, str]]) -> None:
        for key in dead - self.dead:
            self._note(
                f"{say(self._seen[key])} is dead: its worker row stood still for over {self._limit:g} s"
            )
        self.dead = dead

    # --- the end

    def settle(self, answer: Answer, *, ended_frozen: bool = False) -> bool:
        """End all that is open by a readable answer from after the exit; false when it was not asked about all.

        ``ended_frozen``: what was first seen after the end has never reached the service.
        """
        told = {ending.operation.key: ending for ending in answer.endings}
        if any(op.key not in told for op in self.open()):
            return False
        for op in self.open():
            late = _queued if ended_frozen else _late
            self._ended[op.key] = late(told[op.key]) if op.key in self._late else told[op.key]
        return True

    def give_up(self, fate: str) -> None:
        """Nothing more will be learnt: what is open has an unknown end."""
        for op in self.open():
            self._ended[op.key] = Ending(op, Outcome.UNKNOWN, op.status, fate)

    # --- asking

    def open(self) -> tuple[Operation, ...]:
        """The operations whose end is not known yet."""
        return tuple(op for key, op in self._seen.items() if key not in self._ended)

    @property
    def endings(self) -> tuple[Ending, ...]:
        """Every operation that has ended, as far as is known."""
        return tuple(self._ended.values())

    def all_young(self, now: float) -> bool:
        """Whether all that is waited for was first seen a moment ago."""
        return all(now - self._first_seen[op.key] < YOUNG for op in self.waiting_for)

    @property
    def standing(self) -> tuple[Operation, ...]:
        """States that only inform, as last seen."""
        return tuple(op for op in (self.reading.operations if self.reading else ()) if op.informs)

    def unread_for(self, now: float) -> float:
        """Seconds since evidence was last readable, or since the start."""
        return now - self._readable_at

    @property
    def quiet_for(self) -> float:
        """Seconds between the first and the newest of the empty readings since the signal."""
        return 0.0 if self._quiet_since is None else self._readable_at - self._quiet_since

    def summary(self) -> tuple[EvidenceState, str]:
        """Whether evidence can be read, and when it could not."""
        if self._outage is not None:
            since, why = self._outage
            outages = [*self._outages, f"from {since - self._started:.1f} s on: {why}"]
            return EvidenceState.UNAVAILABLE, f"could not be read {'; '.join(outages)}"
        if self.reading is None:
            return EvidenceState.UNAVAILABLE, "no reading came in"
        return EvidenceState.OK, f"could not be read {'; '.join(self._outages)}" if self._outages else ""


def _late(ending: Ending) -> Ending:
    """First seen after the signal: unless its worker row says that it was taken, it may still be queued."""
    if ending.outcome is Outcome.INTERRUPTED and ending.operation.claimed is not True:
        queued = ending.queued_fate or "done at the next start if its request is still queued"
        rest = "" if ending.fate == queued else f", else {ending.fate}"
        fate = f"it came as the service went: {queued}{rest}"
        return replace(ending, outcome=Outcome.UNKNOWN, fate=fate)
    return ending


def _queued(ending: Ending) -> Ending:
    """First seen after a service was ended while frozen: its request is in the queue, or not even sent."""
    if ending.outcome is Outcome.FINISHED:
        return ending
    fate = f"it came after the end: {ending.queued_fate or 'done at the next start'}"
    return replace(ending, outcome=Outcome.QUEUED, fate=fate)


def say(op: Operation) -> str:
    """An operation in a timeline."""
    return f"{op.kind} {op.id} ({op.status})"
