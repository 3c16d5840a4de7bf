"""The loop: containers are signalled, then watched side by side, each to a verdict of its own.

Engine, evidence, ledger, clock and wait come in from outside, so the loop runs the same against a
real engine and in a simulation. It decides nothing: ``policy`` does. Times are seconds on the
clock that is handed in.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace

from ..engine.port import Engine
from ..errors import (
    CannotFreeze,
    EngineAbsent,
    EngineError,
    EngineUnreachable,
    KollaDrainError,
    LedgerBusy,
    NoSuchContainer,
    NotRunning,
)
from ..freezing import Freezes
from ..host.ledger import Entry, Ledger
from ..model import Answer, Container, ContainerStatus, EvidenceState, Exit, Reading, Verdict
from . import policy
from .history import Moment, Record
from .one_signal import DOUBT, stop_signals
from .policy import Action, Observation
from .result import Event, StopResult, Target
from .verdict import Killer, judge

# A run holds a lock for one call to the engine at the most; one that holds it for longer, in seconds, hangs.
LOCK_BOUND = 30.0


class ContainerStop:
    """One container on its way from the first look to the verdict."""

    def __init__(self, target: Target, engine: Engine, ledger: Ledger, clock: Callable[[], float]) -> None:
        self.target = target
        self.container = target.container
        self.plan = target.plan
        self.result: StopResult | None = None
        self.deadline = 0.0
        self.wants_reading = True
        self._engine = engine
        self._ledger = ledger
        self._clock = clock
        self._started = self._begun = clock()  # when this run began, and the stop that it may have joined
        self._timeline: list[Event] = []
        self.record = Record(target.profile, target.service_down_time, self._started, self._note)
        self._entry: Entry | None = None
        self._joined = False
        self._changed = False
        self._asked_engine = False  # whether this process life had been signalled before this run looked
        self._doubt_from = self._started  # until then somebody may have been sending the signal
        self._signalled_at: float | None = None
        self._own_intent: float | None = None  # when this run was about to send it
        self._cancel_intent: float | None = None  # the same of a cancelled restart, which may reach a process
        self._last_signal = ""
        self._killed_at: float | None = None
        self._was_killed = False  # in this life or in one before
        self._kill_failure = ""
        self._kill_failed = False  # the last of them, as has been noticed
        self._killed_by_another = False
        self._killed_frozen_by_another = False
        self._freezes = Freezes()
        self._ended_frozen = False
        self._exited_at: float | None = None
        self._final_number: int | None = None  # answers from this question on were read after the exit
        self._late_asked = False
        self._silent_engine = False
        self._locked_out_since: float | None = None

    # --- what the loop asks

    @property
    def reads(self) -> bool:
        """Whether there is evidence to ask for."""
        return self.target.profile.name != "none" and not self.target.evidence_missing

    @property
    def asks_broker(self) -> bool:
        """Whether its queues matter: what is in them at a signal may be taken and lost, and in a freeze it stays."""
        return self._signalled_at is None and self._exited_at is None and self.plan.exit is Exit.SIGNAL

    @property
    def interval(self) -> float:
        """Seconds from one reading to the next; the second of two empty ones is not waited for for long."""
        interval = min(self.target.request.poll_interval, self.plan.timeout / 10)
        if self._signalled_at is not None:
            return interval
        if self.plan.exit is Exit.FREEZE and self.record.all_young(self._clock()):
            return min(interval, policy.BRISK)
        return min(interval, 1.0) if self.record.empty_readings == 1 else interval

    @property
    def turns(self) -> tuple[float, ...]:
        """When quiesce ends, when the deadline is and when a freeze must end, on the loop's clock."""
        turns = (self._begun + self.plan.quiesce, self.deadline)
        if self._freezes.since is not None:
            return (*turns, self._freezes.since + policy.FREEZE_DECISION)
        again = self._freezes.refusals and self.record.empty_readings >= policy.EMPTY_READINGS
        return (*turns, self._clock() + policy.FREEZE_AGAIN) if again else turns

    def asked(self, number: int) -> None:
        """The loop asked for a reading."""
        self.wants_reading = False
        if self._exited_at is not None and self._final_number is None:
            self._final_number = number
        self._freezes.asked(number)

    def hear(self, answer: Answer) -> None:
        """Take in a reading and what became of the operations asked about."""
        final = self._final_number is not None and answer.number >= self._final_number
        if self._exited_at is not None and not final:
            self.record.overhear(answer.reading)
            return
        self.record.hear(answer, self._clock(), self._moment())
        self._freezes.hear(answer)
        if final:
            self._settle_with(answer)

    def _moment(self) -> Moment:
        if self._exited_at is not None or self._ended_frozen:
            return Moment.EXITED  # nothing of it has run since it was frozen
        entry = self._entry
        with contextlib.suppress(KollaDrainError):  # the next look tells of it
            entry = self._ledger.read(self.container.id) or entry  # a run beside this one may have sent it
        signalled = self._last_signal or self._was_killed or (entry is not None and entry.intent is not None)
        return Moment.SIGNALLED if signalled else Moment.BEFORE_SIGNAL

    # --- one look

    def step(self, silence: EngineUnreachable | None = None) -> EngineUnreachable | None:
        """Look at the container and do what the policy says; returns the error when the engine is silent.

        With ``silence``, which another container has met just now, the engine is not asked again.
        """
        if self.result is not None:
            return None
        try:
            self._step(silence)
        except EngineUnreachable as exc:
            return self._engine_is_silent(exc)
        except LedgerBusy as exc:
            self._locked_out(exc)
        except KollaDrainError as exc:
            self._finish(None, str(exc), failed=True)
        else:
            self._locked_out_since = None
        return None

    def _step(self, silence: EngineUnreachable | None) -> None:
        now = self._clock()
        if self._exited_at is not None:
            if now - self._exited_at >= policy.VERIFY_BOUND:
                self._settle(verified=False)
            return
        if self._entry is None and not self._open():
            return
        if silence is not None:
            self._engine_is_silent(silence)
            return
        found = self._engine.inspect(self.container.id)
        if self._silent_engine:
            self._silent_engine = False
            self._note("the engine answers again")
        if found is not None:
            self._notice_new_life(found)
            self.container = found
            self._notice_freeze(found)
        if self._killed_at is not None and found is not None and not found.at_rest:
            self._see_kill_through(found, now, self._killed_at)
            return
        self._act(self._decide(found, now))

    def _decide(self, found: Container | None, now: float) -> policy.Decision:
        seen = self._observe(found, now)
        return policy.decide(self.target.request, self.target.profile, self.plan, seen, now - self._begun)

    def _observe(self, found: Container | None, now: float) -> Observation:
        signalled = self._signalled_at is not None
        if not signalled and self._entry is not None and found is not None and found.alive:
            signalled = self._learn_of_signal(self._entry)
        missing = self.target.evidence_missing
        record = self.record
        return Observation(
            container=found,
            signalled=signalled,
            reads=self.reads,
            reading=Reading(EvidenceState.UNAVAILABLE, missing) if missing else record.reading,
            empty_readings=record.empty_readings,
            busy=record.busy,
            unread_for=record.unread_for(now),
            quiet_for=record.quiet_for,
            waiting_for=record.waiting_for,
            given_more=self._given_more(),
            frozen_for=now - self._freezes.since if self._freezes.since is not None else None,
            frozen_reading=self._freezes.reading,
            frozen_by_another=self._frozen_by_another(found),
            futile_freezes=self._freezes.futile,
            hangs=bool(record.dead) and not record.pulse.beats(now),
        )

    def _given_more(self) -> float:
        """Seconds by which the deadline of a run beside this one is later."""
        entry = self._entry
        return max(0.0, entry.deadline - self.deadline) if entry is not None and entry.shared else 0.0

    def _engine_is_silent(self, exc: EngineUnreachable) -> EngineUnreachable:
        """Try on, up to a bound after the deadline; returns the error that was given."""
        if not self._silent_engine:
            self._silent_engine = True
            self._note(f"trying on: {exc}")
        if self._clock() >= self.deadline + policy.KILL_BOUND:
            self._finish(
                None,
                f"The state of {self.container.name} is not known {policy.KILL_BOUND:g} s after its deadline "
                f"({str(exc).rstrip('.')}); see to the engine, then run this again.",
                failed=True,
            )
        return exc

    def _locked_out(self, exc: LedgerBusy) -> None:
        """Another run is in the middle of a call to the engine: the next look tries again, up to a bound."""
        now = self._clock()
        if self._locked_out_since is None:
            self._locked_out_since = now
        # A budget counts from the start: the rest of it must do for a stop.
        bound = LOCK_BOUND if self._entry is not None else min(LOCK_BOUND, self.plan.timeout / 2)
        if now - self._locked_out_since >= bound:
            self._finish(None, str(exc), failed=True)

    # --- the start

    def _open(self) -> bool:
        """Open the stop in the ledger, or join the one under way; false for a container at rest, which is done."""
        if self.container.at_rest:
            self._forget()
            self._finish(Verdict.ALREADY_STOPPED, f"the container is {self.container.status.value}")
            return False
        self._entry, self._joined = self._ledger.begin(
            self.container, self.plan.timeout, self.plan.signal, self._started
        )
        self._begun, self.deadline = self._entry.begun, self._entry.deadline
        self._adopt_budget(self._entry)
        if self._joined:
            left = self.deadline - self._clock()
            self._note(f"joined the stop under way, {left:.0f} s before its deadline")
        else:
            self._note(f"begun, with {self.plan.timeout:g} s until the deadline")
        if self.target.evidence_missing:
            self._note(f"no evidence: {self.target.evidence_missing}")
        return True

    def _adopt_budget(self, entry: Entry) -> None:
        """A stop that was joined may have a longer budget than was asked for here."""
        extra = round(entry.deadline - entry.begun - self.plan.timeout, 3)
        if extra:
            quiesce = self.plan.quiesce + extra if self.plan.quiesce else 0.0
            drain = self.plan.drain if self.plan.quiesce else self.plan.drain + extra
            self.plan = replace(
                self.plan, timeout=self.plan.timeout + extra, quiesce=max(0.0, quiesce), drain=drain
            )

    # --- one signal a process life

    def _learn_of_signal(self, entry: Entry) -> bool:
        """Another run, or another tool, may have signalled this process life; in doubt it counts as signalled."""
        current = self._ledger.read(self.container.id)
        if current is not None and current.life == self.container.life:
            entry = self._entry = current
        if self._asked_engine and entry.intent is None:
            return False  # the engine is asked again right before the signal
        signal = self._signal_had(entry)
        self._asked_engine = True
        if signal:
            self._adopt_signal(entry, signal)
        return signal != ""

    def _signal_had(self, entry: Entry) -> str | None:
        """The stop signal that this process life has had, by the ledger, else by the engine's events.

        Empty if none, None while that is in doubt. An intent that nobody can ever confirm counts as
        sent: a second signal kills work (FACTS S4), a missing one costs the rest of the budget.
        """
        if entry.signalled is not None:
            return entry.signal
        sent = self._engine.sent(self.container)
        known = stop_signals(self.container)
        if entry.intent is not None:
            known |= {entry.signal}
        for signal in sent.signals:
            if signal in known:
                return signal
        if entry.intent is None or entry.intent_wall is None:
            return ""
        if any(at >= entry.intent_wall for at in sent.unnamed):
            return entry.signal
        if sent.covers_from > entry.intent_wall:
            return entry.signal
        self._doubt_from = max(self._doubt_from, entry.intent)
        if sent.pending or self._ledger.on_its_way(entry):
            self._doubt_from = self._clock()
        return None if self._clock() - self._doubt_from < DOUBT else ""

    def _adopt_signal(self, entry: Entry, signal: str) -> None:
        """Keep it, for the engine forgets its events, and say whose it was."""
        by = "the run before" if entry.intent is not None else "somebody else"
        if entry.intent is not None and entry.intent in (self._own_intent, self._cancel_intent):
            by = "this run, whose call broke off"
            self._own_intent = entry.intent
            self._changed = True
        at = entry.signalled or entry.intent or self._clock()
        # One without a sender was adopted by a run beside this one, too: nobody knows since when it was on its way.
        if entry.intent is None or not entry.sender:
            self.record.somebody_had_signalled()
        if entry.signalled is None:
            with self._ledger.held(self.container.id):
                current = self._ledger.read(self.container.id)
                if current is not None and current.life == entry.life:
                    entry = current  # another run may have made its deadline longer just now
                entry = replace(entry, intent=at, signalled=at, signal=signal)
                self._ledger.write(entry)
        self._entry = entry
        self._signalled_at = at
        self._last_signal = signal
        self._note(f"already signalled with {signal} by {by}; it is not signalled again")

    def _unsignalled(self) -> Entry | None:
        """The entry of this life if it has not been signalled; to be called with the lock held."""
        entry = self._ledger.read(self.container.id)
        if entry is None or entry.life != self.container.life:
            entry = self._entry
        if entry is None or self._signal_had(entry) != "":
            self._asked_engine = False  # the next look learns of it
            return None
        return entry

    def _signal(self, reason: str) -> None:
        with self._ledger.held(self.container.id):
            entry = self._unsignalled()
            if entry is None:
                return
            if entry.intent is not None:
                self.record.nothing_was_signalled()
            intended = self._ledger.intend(replace(entry, signal=self.plan.signal))
            before, self._own_intent = self._own_intent, intended.intent
            try:
                self._send(intended)
            except (NotRunning, NoSuchContainer):
                return  # it exited just before; the next look tells
            except EngineAbsent:
                self._own_intent = before
                raise
            self.record.nobody_has_signalled()
            self._signalled_at = self._clock()
            self._last_signal = self.plan.signal
            self._changed = True
            self.wants_reading = True
            self._note(f"{self.plan.signal} sent: {reason}")
            self._entry = self._ledger.sent(intended)

    def _send(self, intended: Entry) -> None:
        """Send what was intended; the intent is taken back if nobody was there to take the request."""
        self._entry = intended
        try:
            self._engine.signal(self.container.id, intended.signal)
        except EngineAbsent:
            self._entry = replace(intended, intent=None, intent_wall=None, sender="")
            self._ledger.write(self._entry)
            raise

    def _notice_new_life(self, found: Container) -> None:
        if found.life == self.container.life or not found.alive:
            return
        if self._entry is not None:
            with self._ledger.held(found.id):
                current = self._ledger.read(found.id)
                if current is None or current.life != found.life:
                    current = (current or self._entry).in_life(found.started_at)
                    self._ledger.write(current)
                self._entry = current  # a run beside this one may have been quicker, and signalled it
        self._engine.exited(self.container.id)
        self._look_back()
        self.record.nobody_has_signalled()
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
        self._ended_frozen = self._asked_engine = False
        self._freezes.over()

    # --- acting

    def _act(self, decision: policy.Decision) -> None:
        acts: dict[Action, Callable[[str], None]] = {
            Action.WAIT: lambda reason: None,
            Action.FREEZE: self._freeze,
            Action.END_FROZEN: self._end_frozen,
            Action.THAW: self._thaw,
            Action.CANCEL_RESTART: self._cancel_restart,
            Action.SIGNAL: self._signal,
            Action.KILL: self._kill,
            Action.LEAVE: self._leave,
            Action.DONE: self._exited,
        }
        acts[decision.action](decision.reason)

    def _thaw(self, reason: str) -> None:
        with self._ledger.held(self.container.id):
            entry = self._ledger.read(self.container.id)
            if entry is not None and self._ledger.frozen_by_another(entry, policy.FREEZE_BOUND):
                return
            self._note(f"thawed: {reason}")
            self._changed = self._changed or self._freezes.since is None
            self._engine.thaw(self.container.id)
            if entry is not None and entry.frozen is not None:
                self._ledger.thawed(entry)
        self._freezes.over()

    # --- a freeze

    def _freeze(self, reason: str) -> None:
        with self._ledger.held(self.container.id):
            entry = self._unsignalled()
            # A run beside this one may have frozen it since the look; its entry is what lets it end what it froze.
            if entry is None or self._ledger.frozen_by_another(entry, policy.FREEZE_BOUND):
                return
            self._entry = self._ledger.freezing(entry)
            self._freezes.begin(self._clock())
            try:
                self._engine.freeze(self.container.id)
            except EngineUnreachable:
                raise  # it may come about later; the next look tells
            except (NotRunning, NoSuchContainer):
                self._freezes.over()
                return
            except CannotFreeze as exc:
                self._cannot_freeze(str(exc))
                return
            except EngineError as exc:
                self._note_refusal(str(exc))
                return
        self._note(f"frozen: {reason}")
        self._freezes.come_about()
        self.wants_reading = True

    def _note_refusal(self, why: str) -> None:
        self._freezes.refusals += 1
        self._freezes.over()
        with contextlib.suppress(KollaDrainError):
            self._engine.thaw(self.container.id)  # in case that it was frozen in part
        if self._freezes.refusals >= policy.FREEZE_REFUSALS:
            self._cannot_freeze(why)
        elif self._freezes.refusals == 1:
            self._note(f"not frozen yet, the engine tries again: {why}")

    def _cannot_freeze(self, why: str) -> None:
        self._note(f"it cannot be frozen, so it is signalled: {why}")
        self._freezes.over()
        self.plan = replace(self.plan, exit=Exit.SIGNAL)

    def _notice_freeze(self, found: Container) -> None:
        """A freeze whose call broke off may come about later, and one may be ended by somebody else."""
        if self._freezes.since is None or self._ended_frozen:
            return
        paused = found.status is ContainerStatus.PAUSED
        if paused and not self._freezes.is_on:
            self._freezes.come_about()
            self.wants_reading = True
        elif not paused and self._freezes.is_on:
            self._note("somebody else thawed it")
            self._freezes.over()
        elif not paused and self._freezes.never_came(self._clock()):
            self._freezes.over()

    def _frozen_by_another(self, found: Container | None) -> bool:
        if found is None or found.status is not ContainerStatus.PAUSED:
            return False
        entry = self._ledger.read(found.id)
        return entry is not None and self._ledger.frozen_by_another(entry, policy.FREEZE_BOUND)

    def _end_frozen(self, reason: str) -> None:
        with self._ledger.held(self.container.id):
            found = self._engine.inspect(self.container.id)
            if (
                found is None
                or found.life != self.container.life
                or found.status is not ContainerStatus.PAUSED
            ):
                return  # the next look tells
            entry = self._ledger.read(self.container.id)
            if entry is None or not self._ledger.frozen_by_us(entry):
                # The reading is of a freeze that is over: between the two work may have come.
                self._freezes.over()
                return
            self._ended_frozen = self._was_killed = self._changed = True
            self._killed_at = self._clock()
            self._note(f"SIGKILL sent: {reason}")
            failure = self._engine.end_frozen(self.container.id)
            if failure:
                self._note(f"its processes may have run for a moment before their end: {failure}")

    def _see_frozen_end_through(self, failure: str) -> None:
        """The engine would not kill it: it goes on as before, and gets its signal."""
        self._ended_frozen = self._was_killed = False
        self._killed_at = None
        self.record.it_lives()
        self._cannot_freeze(f"SIGKILL failed ({failure.rstrip('.')})")
        self._thaw("it could not be ended")

    def _cancel_restart(self, reason: str) -> None:
        with self._ledger.held(self.container.id):
            entry = self._ledger.read(self.container.id) or self._entry
            if entry is not None and entry.life == self.container.life and not self._may_be_on_its_way(entry):
                # In the ledger, for it may come late and reach the life that the restart begins.
                self._note(f"restart cancelled: {reason}")
                self._changed = True
                signal = self.container.stop_signal or "SIGTERM"
                intended = self._ledger.intend(replace(entry, signal=signal, signalled=None))
                self._cancel_intent = intended.intent
                with contextlib.suppress(NotRunning, NoSuchContainer):  # the next look tells
                    self._send(intended)

    def _may_be_on_its_way(self, entry: Entry) -> bool:
        """Whether an earlier call to cancel may still come, and then reach the life that the restart begins."""
        return entry.intent is not None and entry.signalled is None and self._clock() - entry.intent < DOUBT

    def _kill(self, reason: str) -> None:
        with self._ledger.held(self.container.id):
            if self._left_to_another(reason):
                return
            if self._was_killed:
                self._leave(
                    "it was killed, and something started it again; see what does, and stop that first"
                )
                return
            self._was_killed = True
            self._killed_at = self._clock()
            self._changed = True
            self._note(f"SIGKILL sent: {reason}")
            self._engine.kill(self.container.id)

    def _left_to_another(self, reason: str) -> bool:
        """Whether another run has given it longer than this one; to be called with the lock held."""
        entry = self._ledger.read(self.container.id)
        longer = max(self.deadline, self._clock())
        if entry is None or entry.life != self.container.life or entry.deadline <= longer:
            return False
        left = entry.deadline - self._clock()
        self._leave(f"{reason}, but another run gave it until {left:.0f} s from now")
        return True

    def _see_kill_through(self, found: Container, now: float, killed_at: float) -> None:
        failure = self._engine.kill_failure(self.container.id)
        if failure and self._ended_frozen:
            self._see_frozen_end_through(failure)
            return
        self._kill_failure = failure or self._kill_failure
        if now < min(killed_at, self.deadline) + policy.KILL_BOUND:
            if failure:
                self._kill_again(found, now, failure)
            return
        why = self._kill_failure or "its process may hang in the kernel"
        self._finish(
            Verdict.LEFT_RUNNING,
            f"SIGKILL did not end {self.container.name} within {now - killed_at:.0f} s ({why}); "
            f"look at process {self.container.pid} on the host",
            failed=True,
        )

    def _kill_again(self, found: Container, now: float, failure: str) -> None:
        """Unlike a stop signal SIGKILL may be repeated; one that was idle may have got work meanwhile."""
        if not self._kill_failed:
            self._kill_failed = True
            self.record.look_anew()
        if self._decide(found, now).action is Action.KILL:
            with self._ledger.held(self.container.id):
                if not self._left_to_another(f"SIGKILL failed ({failure.rstrip('.')})"):
                    self._kill_failed = False
                    self._engine.kill(self.container.id)

    def _leave(self, reason: str) -> None:
        self._look_back()
        self._finish(Verdict.LEFT_RUNNING, reason, failed=True)

    # --- the end

    def _exited(self, reason: str) -> None:
        self._exited_at = self._clock()
        code = "" if self.container.exit_code is None else f" with exit code {self.container.exit_code}"
        self._note(f"{reason}{code}")
        self._engine.exited(self.container.id)
        self._look_back()
        self._forget()
        if not self.reads:
            self._settle(verified=False)
        self.wants_reading = True

    def _look_back(self) -> None:
        """Whether somebody else had a hand in the end of this life, in a way that was not noticed before."""
        self._killed_by_another = self._killed_frozen_by_another = False
        maybe_killed = self._killed_at is None and self.container.exit_code in (None, 137)  # FACTS E6
        unsignalled = self._signalled_at is None and self._killed_at is None
        if not maybe_killed and not unsignalled:
            return
        with contextlib.suppress(KollaDrainError):
            sent = self._engine.sent(self.container)
            signals = sent.signals
            self._killed_by_another = maybe_killed and "SIGKILL" in signals
            self._killed_frozen_by_another = maybe_killed and sent.killed_frozen
            entry = self._ledger.read(self.container.id)
            known = stop_signals(self.container)
            had = next((signal for signal in signals if signal in known), "")
            if not unsignalled or not had:
                return
            self._last_signal = had
            if entry is None or entry.intent is None:
                self.record.somebody_had_signalled()
                self._note(f"it had been signalled with {had} by somebody else")

    def _forget(self) -> None:
        """An entry that cannot be dropped now does no harm: its process life is over, and a later run sweeps it."""
        with contextlib.suppress(KollaDrainError):
            if self._ledger.read(self.container.id) is not None:
                self._ledger.forget(self.container.id, self.container.life)

    def _settle_with(self, answer: Answer) -> None:
        """A reading that began after the exit came in."""
        if answer.reading.state is not EvidenceState.OK:
            if not answer.reading.passing:
                self._settle(verified=False)
            self.wants_reading = False  # the loop asks again at its own pace, up to VERIFY_BOUND
        elif self.record.settle(answer, ended_frozen=self._ended_frozen):
            self._settle(verified=True)
        elif not self._late_asked:
            self._late_asked = True
            self._final_number = None
            self.wants_reading = True
        else:
            self.record.give_up("its rows told nothing after the exit")
            self._settle(verified=True)

    def _settle(self, *, verified: bool) -> None:
        self.record.give_up("it could not be looked up after the exit")
        why = "" if verified else self._why_unverified()
        if verified and not self._looked_in_time():
            verified = False
            why = "its evidence could not be read before the signal: what was in flight is not known"
        verdict, reason = judge(
            profile=self.target.profile,
            killer=self._killer(),
            verified=verified,
            endings=self.record.endings,
            exit_code=self.container.exit_code,
            oom_killed=self.container.oom_killed,
            why_unverified=why,
        )
        self._finish(verdict, reason)

    def _looked_in_time(self) -> bool:
        """Where the signal was not ours a look after it must do, and shows what is left: lost work leaves a row."""
        ours = self._own_intent is not None
        needed = {Moment.BEFORE_SIGNAL} if ours else {Moment.BEFORE_SIGNAL, Moment.SIGNALLED}
        return bool(needed & self.record.readable)

    def _killer(self) -> Killer:
        """It may have exited by itself while SIGKILL was on its way: then its exit code is its own (FACTS E6)."""
        if self._killed_at is not None and self.container.exit_code in (None, 137):
            return Killer.US_WHILE_FROZEN if self._ended_frozen else Killer.US
        if self._killed_frozen_by_another:
            return Killer.ANOTHER_WHILE_FROZEN
        return Killer.ANOTHER if self._killed_by_another else Killer.NOBODY

    def _why_unverified(self) -> str:
        reading = self.record.reading
        why = self.target.evidence_missing or (reading.why if reading is not None else "")
        why = why or f"no answer came within {policy.VERIFY_BOUND:g} s"
        return f"its evidence could not be read after the exit: {why}"

    def _finish(self, verdict: Verdict | None, reason: str, *, failed: bool = False) -> None:
        self._note(f"{verdict.value if verdict else 'failed'}: {reason}")
        record = self.record
        record.give_up("still in flight when it was left")
        exited = self._exited_at
        signalled = self._killed_at if self._ended_frozen else self._signalled_at
        ended = exited if exited is not None else self._clock()
        state, why = self._evidence()
        self.result = StopResult(
            name=self.container.name,
            id=self.container.id,
            verdict=verdict,
            reason=reason,
            failed=failed,
            changed=self._changed or exited is not None,
            joined=self._joined,
            signal=self._last_signal,
            exit=self._way(),
            freezes=self._freezes.count,
            exit_code=self.container.exit_code if exited is not None or self.container.at_rest else None,
            oom_killed=self.container.oom_killed,
            quiesced=max(0.0, (signalled or ended) - self._begun) if self._entry is not None else None,
            drained=exited - signalled if exited is not None and signalled is not None else None,
            timeout=self.plan.timeout,
            endings=record.endings,
            standing=record.standing,
            dead=record.dead,
            heartbeats=record.pulse.rows,
            heartbeat_note=record.pulse.note(signalled is not None, ended),
            evidence=state,
            evidence_why=why,
            findings=self.target.findings,
            timeline=tuple(self._timeline),
            plan=self.plan,
            profile=self.target.profile,
        )

    def _way(self) -> Exit | None:
        if self._exited_at is None:
            return None
        if self._ended_frozen:
            return Exit.FREEZE
        return Exit.SIGNAL if self._last_signal else None

    def _evidence(self) -> tuple[EvidenceState, str]:
        if self.target.profile.name == "none":
            return EvidenceState.NONE, ""
        if self.target.evidence_missing:
            return EvidenceState.UNAVAILABLE, self.target.evidence_missing
        if self._entry is None:
            return EvidenceState.NONE, "not read, for it does not run"
        return self.record.summary()

    def _note(self, event: str) -> None:
        self._timeline.append(Event(round(self._clock() - self._started, 2), event))
