"""The loop: containers are signalled, then watched side by side, each to a verdict of its own.

Engine, evidence, ledger, clock and wait come in from outside, so the loop runs the same against a
real engine and in a simulation. It decides nothing: ``policy`` does. Times are seconds on the
clock that is handed in.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from . import policy
from .errors import EngineUnreachable, KollaDrainError, NoSuchContainer, NotRunning
from .ledger import Entry, Ledger
from .model import (
    Answer,
    Container,
    Ending,
    EvidenceState,
    Finding,
    Heartbeat,
    Operation,
    Outcome,
    Profile,
    Reading,
    StopRequest,
    Verdict,
)
from .policy import Action, Freshness, Observation, Plan

# The net below the engine's events: a container is looked at this often, in seconds, whatever else happens.
LOOK_EVERY = 1.0

# A signal whose call broke off may still be on its way through a slow engine for this long, in seconds; it has
# to be longer than the engine's client waits for one call.
DOUBT = 20.0


@dataclass(frozen=True)
class Sent:
    """Signals that the engine sent to one process life, as far back as it remembers."""

    signals: tuple[str, ...]  # names, oldest first
    covers_from: float  # wall clock: nothing was forgotten since then


class Engine(Protocol):
    """What the loop asks of a container engine. Every call raises EngineError or a kind of it."""

    def inspect(self, container_id: str) -> Container | None:
        """Look at a container; None when the engine no longer has it."""

    def signal(self, container_id: str, signal: str) -> None:
        """Send a signal; raises NotRunning or NoSuchContainer where there is no process."""

    def kill(self, container_id: str) -> None:
        """Start SIGKILL without waiting for it; the observed exit tells whether it worked."""

    def kill_failure(self, container_id: str) -> str:
        """What the engine said against the SIGKILL, so far; empty when nothing."""

    def thaw(self, container_id: str) -> None:
        """Let a paused container run again."""

    def sent(self, container: Container) -> Sent:
        """Which signals this process life has had."""


class Evidence(Protocol):
    """Where readings come from. Neither call blocks."""

    def ask(self, asks: Mapping[str, tuple[Operation, ...]]) -> int:
        """Ask for a reading of each container, and for what became of the operations given."""

    def answers(self) -> Sequence[Answer]:
        """The answers that came in since the last call."""


@dataclass(frozen=True)
class Target:
    """One container to be stopped, and all that is known of it beforehand."""

    container: Container
    request: StopRequest
    profile: Profile
    plan: Plan
    service_down_time: float = 60.0
    evidence_missing: str = ""  # why its evidence cannot even be asked for; empty when it can
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class Event:
    """One line of the timeline: ``at`` is seconds since this run began."""

    at: float
    event: str


@dataclass(frozen=True)
class StopResult:
    """What a stop came to, for one container. Durations in seconds."""

    name: str
    id: str
    verdict: Verdict | None  # None: the stop failed before it could come to one
    reason: str
    failed: bool = False  # the stop did not end as it was asked to
    changed: bool = False
    joined: bool = False
    signal: str = ""  # the stop signal that this process life has had
    exit_code: int | None = None
    oom_killed: bool = False
    quiesced: float | None = None
    drained: float | None = None
    timeout: float = 0.0
    endings: tuple[Ending, ...] = ()
    standing: tuple[Operation, ...] = ()  # states that only inform, as last seen
    dead: frozenset[tuple[str, str]] = frozenset()
    heartbeats: tuple[Heartbeat, ...] = ()
    heartbeat_note: str = ""
    evidence: EvidenceState = EvidenceState.NONE
    evidence_why: str = ""
    findings: tuple[Finding, ...] = ()
    timeline: tuple[Event, ...] = ()
    plan: Plan | None = None


@dataclass
class _Record:
    """The operations of one stop: every one that was ever seen in flight, and how it ended."""

    seen: dict[tuple[str, str], Operation] = field(default_factory=dict)
    ended: dict[tuple[str, str], Ending] = field(default_factory=dict)
    late: set[tuple[str, str]] = field(default_factory=set)  # first seen after the exit

    def open(self) -> tuple[Operation, ...]:
        return tuple(op for key, op in self.seen.items() if key not in self.ended)


def stop_all(
    targets: Iterable[Target],
    *,
    engine: Engine,
    evidence: Evidence,
    ledger: Ledger,
    clock: Callable[[], float],
    wait: Callable[[float], None],
) -> tuple[StopResult, ...]:
    """Stop all targets side by side; one that fails does not stop the others.

    ``wait(seconds)`` returns early when an exit or a reading came in. Returns one result a target,
    in their order. Ends within the longest timeout plus policy.KILL_BOUND and policy.VERIFY_BOUND.
    """
    stops = [_Stop(target, engine, ledger, clock) for target in targets]
    for stop in stops:
        stop.begin()
    interval = min((s.target.request.poll_interval for s in stops), default=LOOK_EVERY)
    next_reading = clock()
    while open_stops := [s for s in stops if s.result is None]:
        by_key = {s.container.id: s for s in open_stops}
        for answer in evidence.answers():
            if answer.key in by_key:
                by_key[answer.key].hear(answer)
        silence: EngineUnreachable | None = None
        for stop in open_stops:
            # One call to an engine that hangs takes seconds: the others do not wait for theirs, too.
            if silence is None or stop.has_exited:
                silence = stop.step() or silence
            else:
                stop.engine_is_silent(silence)
        readers = [s for s in open_stops if s.result is None and s.reads]
        if readers and (clock() >= next_reading or any(s.wants_reading for s in readers)):
            number = evidence.ask({s.container.id: s.record.open() for s in readers})
            for stop in readers:
                stop.asked(number)
            next_reading = clock() + interval
        if any(s.result is None for s in open_stops):
            now = clock()
            moments = [now + LOOK_EVERY, *(at for s in open_stops for at in s.turns if at > now)]
            if readers:
                moments.append(next_reading)
            wait(max(0.01, min(moments) - now))
    return tuple(s.result for s in stops if s.result is not None)


class _Stop:
    """One container on its way from the first look to the verdict."""

    def __init__(self, target: Target, engine: Engine, ledger: Ledger, clock: Callable[[], float]) -> None:
        self.target = target
        self.container = target.container
        self.plan = target.plan
        self.record = _Record()
        self.result: StopResult | None = None
        self.deadline = 0.0
        self.wants_reading = True
        self._engine = engine
        self._ledger = ledger
        self._clock = clock
        self._started = clock()
        self._entry: Entry | None = None
        self._joined = False
        self._changed = False
        self._signalled_at: float | None = None
        self._last_signal = ""
        self._killed_at: float | None = None
        self._was_killed = False  # in this life or in one before
        self._kill_failure = ""
        self._killed_by_another = False
        self._exited_at: float | None = None
        self._final_number: int | None = None  # answers from this question on were read after the exit
        self._late_asked = False
        self._reading: Reading | None = None
        self._empty = 0
        self._busy = False
        self._quiet_since: float | None = None
        self._readable_at = self._started
        self._outage: tuple[float, str] | None = None
        self._outages: list[str] = []
        self._waiting_for: tuple[Operation, ...] = ()
        self._dead: frozenset[tuple[str, str]] = frozenset()
        self._freshness = Freshness(target.profile.refreshes_workers, target.service_down_time)
        self._pulse = _Pulse(target.service_down_time)
        self._silent_engine = False
        self._timeline: list[Event] = []

    # --- the start

    @property
    def reads(self) -> bool:
        """Whether there is evidence to ask for."""
        return self.target.profile.name != "none" and not self.target.evidence_missing

    @property
    def has_exited(self) -> bool:
        """Whether only its evidence is waited for, and nothing more of the engine."""
        return self._exited_at is not None

    @property
    def turns(self) -> tuple[float, float]:
        """When quiesce ends and when the deadline is, on the loop's clock."""
        return (self._begun + self.plan.quiesce, self.deadline)

    def begin(self) -> None:
        """Open the stop in the ledger, or join the one under way; a container at rest is done."""
        if self.container.at_rest:
            self._guard(self._forget)
            self._finish(Verdict.ALREADY_STOPPED, f"the container is {self.container.status.value}")
            return
        self._guard(self._open)

    def _open(self) -> None:
        self._entry, self._joined = self._ledger.begin(self.container, self.plan.timeout, self.plan.signal)
        self.deadline = self._entry.deadline
        self._adopt_budget(self._entry)
        if self._joined:
            left = self.deadline - self._clock()
            self._note(f"joined the stop under way, {left:.0f} s before its deadline")
        else:
            self._note(f"begun, with {self.plan.timeout:g} s until the deadline")
        if self.target.evidence_missing:
            self._note(f"no evidence: {self.target.evidence_missing}")

    def _adopt_budget(self, entry: Entry) -> None:
        """A stop that was joined may have a longer budget than was asked for here."""
        extra = (entry.deadline - entry.begun) - self.plan.timeout
        if extra:
            quiesce = self.plan.quiesce + extra if self.plan.quiesce else 0.0
            drain = self.plan.drain if self.plan.quiesce else self.plan.drain + extra
            self.plan = replace(
                self.plan, timeout=self.plan.timeout + extra, quiesce=max(0.0, quiesce), drain=drain
            )

    def _was_signalled(self, entry: Entry) -> bool | None:
        """Whether this process life has had a stop signal: by the ledger, else by the engine's events.

        None while that is in doubt. An intent that nobody can ever confirm counts as sent: a second
        signal kills work (FACTS S4), a missing one only costs time.
        """
        if entry.signalled is not None:
            return True
        sent = self._engine.sent(self.container)
        stop_signals = {self.plan.signal, entry.signal, self.container.stop_signal or "SIGTERM", "SIGTERM"}
        if stop_signals & set(sent.signals):
            return True
        if entry.intent is None or entry.intent_wall is None:
            return False
        if sent.covers_from > entry.intent_wall:
            return True
        return None if self._clock() - entry.intent < DOUBT else False

    # --- evidence

    def asked(self, number: int) -> None:
        """The loop asked for a reading."""
        self.wants_reading = False
        if self._exited_at is not None and self._final_number is None:
            self._final_number = number

    def hear(self, answer: Answer) -> None:
        """Take in a reading and what became of the operations asked about."""
        now = self._clock()
        reading = answer.reading
        final = self._final_number is not None and answer.number >= self._final_number
        if self._exited_at is not None and not final:
            # Asked before the exit: it may be the only reading that shows what was in flight then.
            self._record_operations([op for op in reading.operations if not op.informs], late=False)
            return
        self._reading = reading
        if reading.state is not EvidenceState.OK:
            self._unreadable(reading, now)
        else:
            self._readable(answer, now)
        if final:
            self._settle_with(answer)

    def _unreadable(self, reading: Reading, now: float) -> None:
        self._empty = 0
        self._quiet_since = None
        self._freshness.blind(now)
        if self._outage is None:
            self._outage = (now, reading.why)
            self._note(f"evidence cannot be read: {reading.why}")

    def _readable(self, answer: Answer, now: float) -> None:
        self._readable_at = now
        if self._outage is not None:
            since, why = self._outage
            self._outages.append(f"from {since - self._started:.1f} s to {now - self._started:.1f} s: {why}")
            self._outage = None
            self._note("evidence can be read again")
        reading = answer.reading
        self._pulse.update(reading.heartbeats, now)
        working = [op for op in reading.operations if not op.informs]
        self._freshness.update(working, now)
        self._record_operations(working, late=self._exited_at is not None)
        self._record_endings(answer.endings, {op.key for op in working})
        self._mark_dead(self._freshness.dead(now))
        self._waiting_for = tuple(op for op in working if op.key not in self._dead)
        self._busy = bool(self._waiting_for)
        self._empty = 0 if self._waiting_for else self._empty + 1
        if self._waiting_for or self._signalled_at is None:
            self._quiet_since = None
        elif self._quiet_since is None:
            self._quiet_since = now

    def _record_operations(self, working: Iterable[Operation], *, late: bool) -> None:
        for op in working:
            key = op.key
            if key not in self.record.seen or key in self.record.ended:
                self._note(f"{_say(op)} in flight")
                if late:
                    self.record.late.add(key)
            self.record.ended.pop(key, None)
            self.record.seen[key] = op

    def _record_endings(self, endings: Iterable[Ending], in_flight: set[tuple[str, str]]) -> None:
        """Keep the end of what is no longer in flight; what is still unclear is asked about again."""
        for ending in endings:
            key = ending.operation.key
            if key in in_flight or key not in self.record.seen or key in self.record.ended:
                continue
            failed = ending.status.startswith("error")
            if failed and self._exited_at is None and not self._stop_was_sent():
                # No signal yet: the service brought it to this end by itself.
                ending = replace(ending, outcome=Outcome.FINISHED, fate="ended in error before the signal")
            if ending.outcome is Outcome.FINISHED or failed:
                self.record.ended[key] = ending
                self._note(f"{_say(ending.operation)} ended: {ending.status}")

    def _stop_was_sent(self) -> bool:
        """Whether this process life or one before it has been told to stop, as far as is known."""
        intended = self._entry is not None and self._entry.intent is not None
        return bool(self._last_signal) or self._was_killed or intended

    def _mark_dead(self, dead: frozenset[tuple[str, str]]) -> None:
        for key in dead - self._dead:
            limit = self.target.service_down_time
            self._note(
                f"{_say(self.record.seen[key])} is dead: its worker row stood still for over {limit:g} s"
            )
        self._dead = dead

    # --- one look

    def step(self) -> EngineUnreachable | None:
        """Look at the container and do what the policy says; returns the error when the engine is silent."""
        return self._guard(self._step) if self.result is None else None

    def _guard(self, act: Callable[[], None]) -> EngineUnreachable | None:
        try:
            act()
        except EngineUnreachable as exc:
            return self.engine_is_silent(exc)
        except KollaDrainError as exc:
            self._finish(None, str(exc), failed=True)
        return None

    def _step(self) -> None:
        now = self._clock()
        if self._exited_at is not None:
            if now - self._exited_at >= policy.VERIFY_BOUND:
                self._settle(verified=False)
            return
        found = self._engine.inspect(self.container.id)
        if self._silent_engine:
            self._silent_engine = False
            self._note("the engine answers again")
        if found is not None:
            self._notice_new_life(found)
            self.container = found
        if self._killed_at is not None and found is not None and not found.at_rest:
            self._see_kill_through(now, self._killed_at)
            return
        seen = self._observe(found, now)
        self._act(policy.decide(self.target.request, self.target.profile, self.plan, seen, now - self._begun))

    @property
    def _begun(self) -> float:
        return self._entry.begun if self._entry is not None else self._started

    def _observe(self, found: Container | None, now: float) -> Observation:
        signalled = self._signalled_at is not None
        if not signalled and self._entry is not None and found is not None and found.alive:
            signalled = self._learn_of_signal(self._entry)
        missing = self.target.evidence_missing
        reading = Reading(EvidenceState.UNAVAILABLE, missing) if missing else self._reading
        return Observation(
            container=found,
            signalled=signalled,
            reading=reading,
            empty_readings=self._empty,
            busy=self._busy,
            unread_for=now - self._readable_at,
            quiet_for=0.0 if self._quiet_since is None else self._readable_at - self._quiet_since,
            waiting_for=self._waiting_for,
        )

    def _learn_of_signal(self, entry: Entry) -> bool:
        """Another run, or another tool, may have signalled this process life; in doubt it counts as signalled."""
        current = self._ledger.read(self.container.id)
        if current is not None and current.life == self.container.life:
            entry = self._entry = current
        was_signalled = self._was_signalled(entry)
        if was_signalled:
            self._signalled_at = entry.signalled or entry.intent or self._clock()
            self._last_signal = entry.signal if entry.intent is not None else "SIGTERM"
            by = "the run before" if entry.intent is not None else "somebody else"
            self._note(f"already signalled by {by}; it is not signalled again")
        return was_signalled is not False

    def _notice_new_life(self, found: Container) -> None:
        if found.life == self.container.life or not found.alive:
            return
        self._note("the engine started it again")
        if self._signalled_at is not None or self._killed_at is not None:
            # FACTS E2: a signal other than StopSignal leaves the restart policy in force.
            self.plan = replace(
                self.plan,
                signal=found.stop_signal or "SIGTERM",
                quiesce=0.0,
                drain=self.plan.timeout,
                reason="the engine started it again after its exit, and its StopSignal ends that",
            )
        self._signalled_at = self._killed_at = None
        if self._entry is not None:
            self._entry = replace(
                self._entry,
                started_at=found.started_at,
                signal=self.plan.signal,
                intent=None,
                intent_wall=None,
                signalled=None,
            )
            with self._ledger.held(found.id):
                current = self._ledger.read(found.id)
                if current is not None and current.life == found.life:
                    self._entry = current  # a run beside this one was quicker, and may have signalled it
                else:
                    self._ledger.write(self._entry)

    def _act(self, decision: policy.Decision) -> None:
        acts: dict[Action, Callable[[str], None]] = {
            Action.WAIT: lambda reason: None,
            Action.THAW: self._thaw,
            Action.CANCEL_RESTART: self._cancel_restart,
            Action.SIGNAL: self._signal,
            Action.KILL: self._kill,
            Action.LEAVE: self._leave,
            Action.DONE: self._exited,
        }
        acts[decision.action](decision.reason)

    def _thaw(self, reason: str) -> None:
        self._note(f"thawed: {reason}")
        self._changed = True
        self._engine.thaw(self.container.id)

    def _cancel_restart(self, reason: str) -> None:
        self._note(f"restart cancelled: {reason}")
        self._changed = True
        with contextlib.suppress(NotRunning, NoSuchContainer):  # the next look tells
            self._engine.signal(self.container.id, self.container.stop_signal or "SIGTERM")

    def _signal(self, reason: str) -> None:
        with self._ledger.held(self.container.id):
            entry = self._ledger.read(self.container.id)
            if entry is None or entry.life != self.container.life:
                entry = self._entry
            if entry is None or self._was_signalled(entry) is not False:
                return  # the next look learns of it
            entry = self._entry = self._ledger.intend(replace(entry, signal=self.plan.signal))
            try:
                self._engine.signal(self.container.id, self.plan.signal)
            except (NotRunning, NoSuchContainer):
                return  # it exited just before; the next look tells
            self._entry = self._ledger.sent(entry)
        self._signalled_at = self._clock()
        self._last_signal = self.plan.signal
        self._changed = True
        self.wants_reading = True
        self._note(f"{self.plan.signal} sent: {reason}")

    def _kill(self, reason: str) -> None:
        with self._ledger.held(self.container.id):
            entry = self._ledger.read(self.container.id)
            longer = max(self.deadline, self._clock())
            if entry is not None and entry.life == self.container.life and entry.deadline > longer:
                self._leave(
                    f"{reason}, but another run gave it until {entry.deadline - self._clock():.0f} s from now"
                )
                return
            if self._was_killed:
                self._leave("it was killed, and something started it again; see what does, and stop that first")
                return
            self._was_killed = True
            self._killed_at = self._clock()
            self._changed = True
            self._note(f"SIGKILL sent: {reason}")
            self._engine.kill(self.container.id)

    def _see_kill_through(self, now: float, killed_at: float) -> None:
        failure = self._engine.kill_failure(self.container.id)
        self._kill_failure = failure or self._kill_failure
        if now < min(killed_at, self.deadline) + policy.KILL_BOUND:
            if failure:
                self._engine.kill(self.container.id)  # unlike a stop signal it may be repeated
            return
        why = self._kill_failure or "its process may hang in the kernel"
        self._finish(
            Verdict.LEFT_RUNNING,
            f"SIGKILL did not end {self.container.name} within {now - killed_at:.0f} s ({why}); "
            f"look at process {self.container.pid} on the host",
            failed=True,
        )

    def _leave(self, reason: str) -> None:
        self._finish(Verdict.LEFT_RUNNING, reason, failed=True)

    def _exited(self, reason: str) -> None:
        self._exited_at = self._clock()
        if self._killed_at is None and self.container.exit_code == 137 and not self.container.oom_killed:
            # FACTS E6. A run beside this one, or another tool, may have sent it.
            with contextlib.suppress(EngineUnreachable):
                self._killed_by_another = "SIGKILL" in self._engine.sent(self.container).signals
        code = "" if self.container.exit_code is None else f" with exit code {self.container.exit_code}"
        self._note(f"{reason}{code}")
        self._guard(self._forget)
        if self.result is None and not self.reads:
            self._settle(verified=False)
        self.wants_reading = True

    def _forget(self) -> None:
        if self._ledger.read(self.container.id) is not None:
            self._ledger.forget(self.container.id, self.container.life)

    def engine_is_silent(self, exc: EngineUnreachable) -> EngineUnreachable:
        """Try on, up to a bound after the deadline; returns the error that was given."""
        if not self._silent_engine:
            self._silent_engine = True
            self._note(f"the engine does not answer, trying on: {exc}")
        if self.result is None and self._clock() >= max(self.deadline, self._started) + policy.KILL_BOUND:
            self._finish(
                None,
                f"The engine has not answered up to {policy.KILL_BOUND:g} s after the deadline of "
                f"{self.container.name}, so its state is not known ({exc}); see to the engine, then run this again.",
                failed=True,
            )
        return exc

    # --- the end

    def _settle_with(self, answer: Answer) -> None:
        """A reading that began after the exit came in."""
        if answer.reading.state is not EvidenceState.OK:
            if not answer.reading.passing:
                self._settle(verified=False)
            self.wants_reading = False  # the loop asks again at its own pace, up to VERIFY_BOUND
            return
        told = {ending.operation.key: ending for ending in answer.endings}
        untold = [op for op in self.record.open() if op.key not in told]
        if untold and not self._late_asked:
            self._late_asked = True
            self._final_number = None
            self.wants_reading = True
            return
        for op in self.record.open():
            ending = told.get(
                op.key, Ending(op, Outcome.UNKNOWN, op.status, "its rows told nothing after the exit")
            )
            self.record.ended[op.key] = self._late(ending) if op.key in self.record.late else ending
        self._settle(verified=True)

    @staticmethod
    def _late(ending: Ending) -> Ending:
        """First seen after the exit: unless its worker row says that it was taken, it may still be queued."""
        if ending.outcome is Outcome.INTERRUPTED and ending.operation.claimed is not True:
            fate = (
                "it came as the service went: done at the next start if its request is still queued, else "
                f"{ending.fate}"
            )
            return replace(ending, outcome=Outcome.UNKNOWN, fate=fate)
        return ending

    def _settle(self, *, verified: bool) -> None:
        for op in self.record.open():
            self.record.ended[op.key] = Ending(
                op, Outcome.UNKNOWN, op.status, "it could not be looked up after the exit"
            )
        verdict, reason = policy.judge(
            profile=self.target.profile,
            killed=self._ended_by_sigkill(),
            verified=verified,
            endings=self.record.ended.values(),
            exit_code=self.container.exit_code,
            oom_killed=self.container.oom_killed,
            why_unverified=self._why_unverified(),
        )
        self._finish(verdict, reason)

    def _ended_by_sigkill(self) -> bool:
        """It may have exited by itself while SIGKILL was on its way: then its exit code is its own (FACTS E6)."""
        ours = self._killed_at is not None and self.container.exit_code in (None, 137)
        return ours or self._killed_by_another

    def _why_unverified(self) -> str:
        if self.target.evidence_missing:
            return self.target.evidence_missing
        if self._reading is not None and self._reading.why:
            return self._reading.why
        return f"no answer came within {policy.VERIFY_BOUND:g} s"

    def _finish(self, verdict: Verdict | None, reason: str, *, failed: bool = False) -> None:
        if verdict is not None:
            self._note(f"{verdict.value}: {reason}")
        for op in self.record.open():
            self.record.ended[op.key] = Ending(
                op, Outcome.UNKNOWN, op.status, "still in flight when it was left"
            )
        exited = self._exited_at
        signalled = self._signalled_at
        state, why = self._evidence_summary()
        quiesced_until = signalled if signalled is not None else exited or self._clock()
        self.result = StopResult(
            name=self.container.name,
            id=self.container.id,
            verdict=verdict,
            reason=reason,
            failed=failed,
            changed=self._changed or exited is not None,
            joined=self._joined,
            signal=self._last_signal,
            exit_code=self.container.exit_code if exited is not None or self.container.at_rest else None,
            oom_killed=self.container.oom_killed,
            quiesced=max(0.0, quiesced_until - self._begun) if self._entry is not None else None,
            drained=exited - signalled if exited is not None and signalled is not None else None,
            timeout=self.plan.timeout,
            endings=tuple(self.record.ended.values()),
            standing=tuple(op for op in (self._reading.operations if self._reading else ()) if op.informs),
            dead=self._dead,
            heartbeats=self._pulse.rows,
            heartbeat_note=self._pulse.note(
                self.target.profile, signalled is not None, exited or self._clock()
            ),
            evidence=state,
            evidence_why=why,
            findings=self.target.findings,
            timeline=tuple(self._timeline),
            plan=self.plan,
        )

    def _evidence_summary(self) -> tuple[EvidenceState, str]:
        if self.target.profile.name == "none":
            return EvidenceState.NONE, self.target.evidence_missing
        if self.target.evidence_missing:
            return EvidenceState.UNAVAILABLE, self.target.evidence_missing
        if self._outage is not None:
            since, why = self._outage
            outages = [*self._outages, f"from {since - self._started:.1f} s on: {why}"]
            return EvidenceState.UNAVAILABLE, "; ".join(outages)
        if self._reading is None:
            if self._entry is None:
                return EvidenceState.NONE, "not read"
            return EvidenceState.UNAVAILABLE, "no reading came in"
        why = "; ".join(self._outages)
        return EvidenceState.OK, f"could not be read {why}" if why else ""

    def _note(self, event: str) -> None:
        self._timeline.append(Event(round(self._clock() - self._started, 2), event))


def _say(op: Operation) -> str:
    return f"{op.kind} {op.id} ({op.status})"


class _Pulse:
    """A service's heartbeats over one stop. A report_count that moves is life, whatever the clocks say."""

    def __init__(self, service_down_time: float) -> None:
        self.rows: tuple[Heartbeat, ...] = ()
        self._limit = service_down_time
        self._moved_at: dict[str, float] = {}
        self._first_at: float | None = None

    def update(self, rows: tuple[Heartbeat, ...], now: float) -> None:
        before = {row.host: row.report_count for row in self.rows}
        for row in rows:
            if row.host in before and row.report_count != before[row.host]:
                self._moved_at[row.host] = now
        self._first_at = now if self._first_at is None else self._first_at
        self.rows = tuple(replace(row, up=True) if self._moved_lately(row.host, now) else row for row in rows)

    def _moved_lately(self, host: str, now: float) -> bool:
        return host in self._moved_at and now - self._moved_at[host] <= self._limit

    def note(self, profile: Profile, signalled: bool, now: float) -> str:
        """What the heartbeat says of the service, judged by its profile; empty when there is none."""
        if not self.rows or self._first_at is None:
            return ""
        latest = max(self._moved_at.values(), default=None)
        if latest is not None and now - latest <= self._limit:
            return f"moved {now - latest:.0f} s ago: it lives"
        if signalled and not profile.heartbeat_while_draining:
            return f"silent, as {profile.name} is from its signal on"
        if any(row.up for row in self.rows):
            return "up by its age"
        return f"still for over {self._limit:g} s: it hangs, or its work does not let it beat"
