"""Keep what one stop has seen of one service: operations and how they ended, heartbeats, and outages of the evidence.

Pure bookkeeping of readings: it decides nothing and waits for nothing. Times are seconds on the clock of the loop that
feeds it.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from ..heartbeat import Heartbeats
from ..model import Answer, Ending, EvidenceState, Operation, Outcome, Profile, Reading
from .baseline import NO_BASELINE, Baseline
from .freshness import Freshness


class Moment(enum.IntEnum):
    """How far a stop was when a reading was taken in."""

    BEFORE_SIGNAL = 0
    SIGNALLED = 1
    EXITED = 2


@dataclass(frozen=True)
class Memory:
    """What one run has seen, as another one takes it over that joins the stop."""

    seen: tuple[Operation, ...] = ()
    ended: tuple[Ending, ...] = ()
    failed: tuple[Ending, ...] = ()  # of the ended: in error, as far as is known before any signal
    late: tuple[tuple[str, str], ...] = ()  # keys of those that were first seen after the signal
    looked: bool = False  # a reading could be had before the signal
    unseen: str = ""
    serving: tuple[str, ...] | None = None


class History:
    """The readings of one container, digested. ``note`` takes a line for the timeline."""

    def __init__(
        self,
        profile: Profile,
        service_down_time: float,
        started: float,
        note: Callable[[str], None],
        baseline: Baseline = NO_BASELINE,
    ) -> None:
        self.reading: Reading | None = None
        self.readings = 0  # that were taken in
        self.heard_at = started  # when the newest was
        self.empty_readings = 0  # in a row, up to the newest, that showed nothing to wait for
        self.own_empty_readings = 0  # the same for what is certainly the container's own
        self.waiting_for: tuple[Operation, ...] = ()
        self.dead: frozenset[tuple[str, str]] = frozenset()
        self.readable: set[Moment] = set()  # the moments at which a reading could be had
        self.heartbeats = Heartbeats(service_down_time)
        self.unseen = ""  # why the work in flight at the signal is not all known
        self.serving: frozenset[str] | None = None  # hosts that were up before the signal; None: not known
        self._note = note
        self._started = started
        self._limit = service_down_time
        self._freshness = Freshness(profile.refreshes_workers, service_down_time)
        self._seen: dict[tuple[str, str], Operation] = {}
        self._ended: dict[tuple[str, str], Ending] = {}
        # Ended in error, as far as is known before any signal.
        self._failed: dict[tuple[str, str], Ending] = {}
        self._late: set[tuple[str, str]] = set()  # first seen after the signal
        self._baseline = baseline
        self._passed_over: dict[tuple[str, str], Operation] = {}
        self._moved: set[tuple[str, str]] = set()  # passed over, until their rows were seen to be written
        self._readable_at = started
        self._outage: tuple[float, str] | None = None
        self._outages: list[str] = []

    # --- taking in

    def hear(self, answer: Answer, now: float, moment: Moment) -> None:
        """Take in a reading and what became of the operations asked about."""
        self.reading = self._judged(answer.reading, now)
        self.readings, self.heard_at = self.readings + 1, now
        if self.reading.state is EvidenceState.OK:
            self._readable(self.reading, answer.endings, now, moment)
        else:
            self._unreadable(self.reading, now)

    def overhear(self, reading: Reading, now: float) -> None:
        """Take in what was asked before the exit and came after it: only which operations there were."""
        self._operations(self._judged(reading, now).working, late=True)

    def somebody_had_signalled(self) -> None:
        """Take back that operations ended in error by themselves: the signal may have been the cause."""
        self._ended.update((key, ending) for key, ending in self._failed.items() if key in self._ended)
        self._failed = {}

    def nobody_has_signalled(self) -> None:
        """Settle that what has ended in error so far did so by itself."""
        self._failed = {}

    def nothing_was_signalled(self) -> None:
        """Count the readings of a time of doubt as read before the signal, because none was sent then."""
        if Moment.SIGNALLED in self.readable:
            self.readable.add(Moment.BEFORE_SIGNAL)

    def _judged(self, reading: Reading, now: float) -> Reading:
        """Return the reading with what is passed over; what was waited for once, or moves, is not."""
        before = self._passed_over
        if not reading.operations and not before:
            return reading
        self._moved |= {
            op.key for op in reading.operations if op.key in before and op.written != before[op.key].written
        }
        waited_for = self._moved | {op.key for op in self.open()}
        judged = self._baseline.judged(reading, now, waited_for)
        for op in judged.passed_over:
            # It counted until it turned out to be another process's that shares the row.
            self._seen.pop(op.key, None)
            if op.key not in before:
                self._note(f"{say(op)} is passed over: {op.passed_over}")
        self._passed_over = {key: op for key, op in before.items() if key not in self._moved}
        self._passed_over.update((op.key, op) for op in judged.passed_over)
        return judged

    def _unreadable(self, reading: Reading, now: float) -> None:
        self.empty_readings = self.own_empty_readings = 0
        self._freshness.blind(now)
        if self._outage is None:
            self._outage = (now, reading.why)
            self._note(f"evidence cannot be read: {reading.why}")

    def _readable(self, reading: Reading, endings: Iterable[Ending], now: float, moment: Moment) -> None:
        self.readable.add(moment)
        self._readable_at = now
        if moment is Moment.BEFORE_SIGNAL or Moment.BEFORE_SIGNAL not in self.readable:
            if reading.why and reading.why != self.unseen:
                self._note(reading.why)
            self.unseen = reading.why
        if self._outage is not None:
            since, why = self._outage
            self._outages.append(f"from {since - self._started:.1f} s to {now - self._started:.1f} s: {why}")
            self._outage = None
            self._note("evidence can be read again")
        self.heartbeats.update(reading.heartbeats, now)
        if moment is Moment.BEFORE_SIGNAL:
            self.serving = (self.serving or frozenset()) | self.heartbeats.up
        working = reading.working
        self._freshness.update(working, now)
        self._operations(working, late=moment is not Moment.BEFORE_SIGNAL)
        self._endings(endings, {op.key for op in working}, moment)
        self._mark_dead(self._freshness.dead(now))
        self.waiting_for = tuple(op for op in working if op.key not in self.dead)
        self.empty_readings = 0 if self.waiting_for else self.empty_readings + 1
        own = any(not op.unattributed for op in self.waiting_for)
        self.own_empty_readings = 0 if own else self.own_empty_readings + 1

    def _operations(self, working: Iterable[Operation], *, late: bool) -> None:
        for op in working:
            if op.key not in self._seen or op.key in self._ended:
                self._note(f"{say(op)} in flight")
                if late:
                    self._late.add(op.key)
            before = self._seen.get(op.key)
            if op.unattributed and not (before is not None and before.unattributed):
                self._note(f"{say(op)} is unattributed: {op.unattributed}")
            self._ended.pop(op.key, None)
            self._seen[op.key] = op

    def _endings(self, endings: Iterable[Ending], in_flight: set[tuple[str, str]], moment: Moment) -> None:
        """Keep the end of what is no longer in flight; what is still unclear is asked about again."""
        for ending in endings:
            key = ending.operation.key
            if key in in_flight or key not in self._seen or key in self._ended or self._is_anothers(ending):
                continue
            failed = ending.status.startswith("error")
            if failed and moment is Moment.BEFORE_SIGNAL:
                # The service brought it to this end by itself, if nobody had signalled it.
                self._failed[key] = _if_anothers(ending)
                ending = replace(ending, outcome=Outcome.FINISHED, fate="ended in error before the signal")
            if ending.outcome is Outcome.FINISHED or failed:
                self._ended[key] = _if_anothers(ending)
                self._note(f"{say(ending.operation)} ended: {ending.status}")

    def _is_anothers(self, ending: Ending) -> bool:
        """Forget an operation that was unattributed and that another service has taken; return whether it is one."""
        if ending.anothers:
            self._seen.pop(ending.operation.key, None)
            self._note(f"{say(ending.operation)} was taken by {ending.anothers}")
        return bool(ending.anothers)

    def _mark_dead(self, dead: frozenset[tuple[str, str]]) -> None:
        for key in dead - self.dead:
            self._note(
                f"{say(self._seen[key])} is dead: its worker row stood still for over {self._limit:g} s"
            )
        self.dead = dead

    # --- the end

    def settle(self, answer: Answer, *, partly: bool = False) -> bool:
        """End all that is open by a readable answer from after the exit.

        Returns False where it does not cover all of them, and ends nothing then, or what it covers with ``partly``.
        """
        endings = {ending.operation.key: ending for ending in answer.endings}
        covered = [op for op in self.open() if op.key in endings]
        complete = len(covered) == len(self.open())
        for op in covered if complete or partly else ():
            ending = endings[op.key]
            if not self._is_anothers(ending):
                self._ended[op.key] = _if_anothers(_if_queued(ending) if op.key in self._late else ending)
        return complete

    def give_up(self, fate: str) -> None:
        """Mark the outcome of all that is open as unknown, because nothing more will be learnt."""
        for op in self.open():
            self._ended[op.key] = Ending(op, Outcome.UNKNOWN, op.status, fate)

    # --- handing over

    @property
    def memory(self) -> Memory:
        """Return what a run that joins this stop should know."""
        return Memory(
            seen=tuple(self._seen.values()),
            ended=tuple(self._ended.values()),
            failed=tuple(self._failed.values()),
            late=tuple(sorted(self._late)),
            looked=Moment.BEFORE_SIGNAL in self.readable,
            unseen=self.unseen,
            serving=None if self.serving is None else tuple(sorted(self.serving)),
        )

    def recall(self, memory: Memory) -> None:
        """Take over what an earlier run of this stop has seen; to be called before the first reading."""
        ended = {ending.operation.key: ending for ending in memory.ended}
        for op in memory.seen:
            self._seen[op.key] = op
            self._ended.pop(op.key, None)
        self._ended.update(ended)
        self._failed.update((ending.operation.key, ending) for ending in memory.failed)
        self._late |= set(memory.late)
        if memory.looked:
            self.readable.add(Moment.BEFORE_SIGNAL)
            self.unseen = memory.unseen
        if memory.serving is not None:
            self.serving = (self.serving or frozenset()) | set(memory.serving)

    # --- asking

    def open(self) -> tuple[Operation, ...]:
        """Return the operations whose end is not known yet."""
        return tuple([op for key, op in self._seen.items() if key not in self._ended])

    @property
    def endings(self) -> tuple[Ending, ...]:
        """Every operation that has ended, as far as is known."""
        return tuple(self._ended.values())

    @property
    def standing(self) -> tuple[Operation, ...]:
        """States that only inform, as last seen."""
        return tuple(op for op in (self.reading.operations if self.reading else ()) if op.informs)

    @property
    def passed_over(self) -> tuple[Operation, ...]:
        """The operations that were not waited for, each with the reason, as last seen."""
        return tuple(self._passed_over.values())

    def unread_for(self, now: float) -> float:
        """Return the seconds since evidence was last readable, or since the start."""
        return now - self._readable_at

    def summary(self) -> tuple[EvidenceState, str]:
        """Return whether evidence can be read, and when it could not."""
        if self._outage is not None:
            since, why = self._outage
            outages = [*self._outages, f"from {since - self._started:.1f} s on: {why}"]
            return EvidenceState.UNAVAILABLE, f"could not be read {'; '.join(outages)}"
        if self.reading is None:
            return EvidenceState.UNAVAILABLE, "no reading came in"
        told = [f"could not be read {'; '.join(self._outages)}"] if self._outages else []
        return EvidenceState.OK, "; ".join([*told, *filter(None, [self.unseen])])


def _if_queued(ending: Ending) -> Ending:
    """Return the ending of an operation first seen after the signal, whose request may still be in the queue.

    Only a worker row says that the service had taken the request.
    """
    if ending.outcome is Outcome.INTERRUPTED and ending.operation.claimed is not True:
        queued = ending.queued_fate or "done at the next start if its request is still queued"
        rest = "" if ending.fate == queued else f", else {ending.fate}"
        fate = f"it came as the service went: {queued}{rest}"
        return replace(ending, outcome=Outcome.UNKNOWN, fate=fate)
    return ending


def _if_anothers(ending: Ending) -> Ending:
    """Return the ending of an operation that may be another process's: nobody knows then whether it was cut here."""
    doubt = ending.operation.unattributed
    if not doubt or ending.outcome is not Outcome.INTERRUPTED:
        return ending
    return replace(
        ending, outcome=Outcome.UNKNOWN, fate=f"{doubt}; if it was this container's, {ending.fate}"
    )


def say(op: Operation) -> str:
    """Return an operation as it stands in a timeline."""
    return f"{op.kind} {op.id} ({op.status})"
